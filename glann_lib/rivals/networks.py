"""The rivals' second networks under the protocol of Lucic et al. (2018): critics and the VAE's encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from glann_lib.networks import InfoGANGenerator, initialise


class InfoGANEncoder(nn.Module):
    """InfoGAN's discriminator for images of a multiple of 4 px; the protocol searches BatchNorm, with and without.

    `features` are its last maps, as InfoGANGenerator's first.
    """

    def __init__(self, image_size: int, channels: int, outputs: int, batch_norm: bool, features: int = 128):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, features // 2, kernel_size=4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(features // 2, features, kernel_size=4, stride=2, padding=1),
            nn.BatchNorm2d(features) if batch_norm else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(features * (image_size // 4) ** 2, 8 * features),
            nn.BatchNorm1d(8 * features) if batch_norm else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Linear(8 * features, outputs),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear | nn.Conv2d):
                initialise(layer, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """Numbers [N, outputs] of images [N, C, S, S] in [0, 1]."""
        return self.layers(2 * images - 1)


class VoxelEncoder(nn.Module):
    """3D-GAN's discriminator (Wu et al. 2016), for 32 or 64 voxels a side; `channels` are the last convolution's."""

    def __init__(self, size: int, outputs: int, channels: int):
        super().__init__()
        halvings = int(math.log2(size // 4))
        widths = [channels // 2**level for level in reversed(range(halvings))]
        layers: list[nn.Module] = [nn.Unflatten(1, (1, size))]
        for narrow, wide in zip([1, *widths[:-1]], widths, strict=True):
            layers += [nn.Conv3d(narrow, wide, kernel_size=4, stride=2, padding=1)]
            layers += [nn.BatchNorm3d(wide) if narrow > 1 else nn.Identity(), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 4**3, outputs))
        for layer in self.layers:
            if isinstance(layer, nn.Conv3d | nn.Linear):
                initialise(layer, std=0.02)

    def forward(self, shapes: Tensor) -> Tensor:
        """Numbers [N, outputs] of occupancies [N, S, S, S] in [0, 1]."""
        return self.layers(shapes)


def make_encoder(
    shape: Sequence[int], outputs: int, *, feature_channels: int = 128, voxel_channels: int = 512
) -> InfoGANEncoder | VoxelEncoder:
    """The VAE's encoder for one kind of data: images [C, S, S], C 1 or 3, or shapes [S, S, S]."""
    if len(set(shape)) == 1:
        return VoxelEncoder(shape[0], outputs, voxel_channels)
    channels, size, _ = shape
    return InfoGANEncoder(size, channels, outputs, batch_norm=True, features=feature_channels)


class Critic(nn.Module):
    """InfoGAN's discriminator: one unbounded number an image; the arguments are `InfoGANEncoder`'s."""

    def __init__(self, image_size: int, channels: int, batch_norm: bool, features: int = 128):
        super().__init__()
        self.encoder = InfoGANEncoder(image_size, channels, 1, batch_norm, features)

    def forward(self, images: Tensor) -> Tensor:
        """[N] of images [N, C, S, S] in [0, 1]."""
        return self.encoder(images).squeeze(1)


class AutoencodingCritic(nn.Module):
    """BEGAN's critic: how badly an autoencoder with a small code redraws an image (Berthelot et al. 2017)."""

    def __init__(self, image_size: int, channels: int, features: int = 128, code_dim: int = 64):  # of the protocol
        super().__init__()
        self.encoder = InfoGANEncoder(image_size, channels, code_dim, batch_norm=False, features=features)
        self.decoder = InfoGANGenerator(image_size, channels, code_dim, "none", on_sphere=False, features=features)

    def forward(self, images: Tensor) -> Tensor:
        """Mean absolute error [N] of images [N, C, S, S] in [0, 1]."""
        return (self.decoder(self.encoder(images)) - images).abs().flatten(1).mean(1)
