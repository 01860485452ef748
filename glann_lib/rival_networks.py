"""The rivals' second networks under the protocol of Lucic et al. (2018): critics and the VAE's encoder.

Their generator is GLANN's own, `networks.InfoGANGenerator`. All networks here share one convolutional trunk, that of
InfoGAN's discriminator. A critic gives one number an image; what the number means is the game's business.
"""

from __future__ import annotations

from torch import Tensor, nn

from glann_lib.networks import InfoGANGenerator, initialise


class InfoGANEncoder(nn.Module):
    """Images to numbers: conv 64 and 128 (k4 s2), linear 1024, linear to the outputs, LeakyReLU 0.2 between them.

    Args:
        image_size: px, a multiple of 4.
        channels: of the images.
        outputs: numbers an image.
        batch_norm: BatchNorm after the second and third layer (the protocol searches both).
    """

    def __init__(self, image_size: int, channels: int, outputs: int, batch_norm: bool):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 64, kernel_size=4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, kernel_size=4, stride=2, padding=1),
            nn.BatchNorm2d(128) if batch_norm else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(128 * (image_size // 4) ** 2, 1024),
            nn.BatchNorm1d(1024) if batch_norm else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Linear(1024, outputs),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear | nn.Conv2d):
                initialise(layer, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """Numbers [N, outputs] of images [N, C, S, S] in [0, 1]."""
        return self.layers(2 * images - 1)


class Critic(nn.Module):
    """InfoGAN's discriminator: one unbounded number an image; the arguments are `InfoGANEncoder`'s."""

    def __init__(self, image_size: int, channels: int, batch_norm: bool):
        super().__init__()
        self.encoder = InfoGANEncoder(image_size, channels, 1, batch_norm)

    def forward(self, images: Tensor) -> Tensor:
        """[N] of images [N, C, S, S] in [0, 1]."""
        return self.encoder(images).squeeze(1)


class AutoencodingCritic(nn.Module):
    """BEGAN's critic: how badly an autoencoder with a small code redraws an image (Berthelot et al. 2017).

    Args:
        image_size: px: 28, 32 or 64.
        channels: of the images.
        code_dim: numbers in the code (protocol: 64).
    """

    def __init__(self, image_size: int, channels: int, code_dim: int = 64):
        super().__init__()
        self.encoder = InfoGANEncoder(image_size, channels, code_dim, batch_norm=False)
        self.decoder = InfoGANGenerator(image_size, channels, code_dim, "none", on_sphere=False)

    def forward(self, images: Tensor) -> Tensor:
        """Mean absolute error [N] of images [N, C, S, S] in [0, 1]."""
        return (self.decoder(self.encoder(images)) - images).abs().flatten(1).mean(1)
