"""The networks of the paper: the generator G: z -> image or shape (Sec. 4.1, 4.4), the mapping T: e -> z (Sec. 3.4.2).

For images G is the generator of InfoGAN as Lucic et al. (2018) fixed it for all their models, in the variants that the
authors' released code and that protocol use; for voxels it is 3D-GAN's. T has two hidden layers of 128 with BatchNorm
and ReLU.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glann_lib.engine.ranks import BatchNorm1d, BatchNorm2d, BatchNorm3d

IMAGE_SIZES = (28, 32, 64, 128)  # of InfoGANGenerator; larger ones would need a linear layer of 2 GB
VOXEL_SIZES = (32, 64)


class InfoGANGenerator(nn.Module):
    """G: latents on the unit sphere to images, by two linear layers and two transposed convolutions.

    The paper names the generator of Lucic et al.; the authors' released code has fewer BatchNorms and no biases in the
    linear layers. `normalisation` chooses.

    Args:
        image_size: height and width of the images, px: 28, 32, 64 or 128.
        channels: 1 (grey) or 3 (colour).
        latent_dim: dimensions of z.
        normalisation: "batch": BatchNorm after the second linear layer and the first transposed convolution
            (released code, grey images); "none": no BatchNorm (released code, CIFAR-10); "lucic": biases everywhere and
            BatchNorm after all three hidden layers, weights from N(0, 0.02^2) (Lucic et al.).
        on_sphere: latents are divided by their norm, as GLO wants; the rivals' priors are taken as they are.
        features: maps after the second linear layer, even (InfoGAN: 128); 8 times as many before it, then half of them.

    Raises:
        ValueError: a size, number of channels or variant that there is not; an odd number of features.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        latent_dim: int = 64,
        normalisation: str = "batch",
        on_sphere: bool = True,
        features: int = 128,
    ):
        super().__init__()
        if image_size not in IMAGE_SIZES:
            larger = ", or choose generator=resnet" * (image_size > IMAGE_SIZES[-1])
            raise ValueError(f"no generator for {image_size} px: resize the images to 28, 32, 64 or 128 px{larger}")
        require_channels(channels)
        if normalisation not in ("batch", "none", "lucic"):
            raise ValueError(f"unknown normalisation {normalisation!r}: choose batch, none or lucic")
        if features % 2:
            raise ValueError(f"feature_channels {features} cannot be halved: give an even number")
        self.shape, self.latent_dim, self.on_sphere = (channels, image_size, image_size), latent_dim, on_sphere
        side, lucic, normalise = image_size // 4, normalisation == "lucic", normalisation != "none"

        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 8 * features, bias=lucic),
            BatchNorm1d(8 * features) if lucic else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Linear(8 * features, features * side**2, bias=lucic),
            BatchNorm1d(features * side**2) if normalise else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (features, side, side)),
            Doubling(features, features // 2),
            BatchNorm2d(features // 2) if normalise else nn.Identity(),
            nn.LeakyReLU(0.2),
            Doubling(features // 2, channels),
            LastSigmoid(),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear | nn.ConvTranspose2d):
                initialise(layer, std=0.02 if lucic else None)

    def forward(self, z: Tensor) -> Tensor:
        """Images in [0, 1], [N, C, S, S], of latents [N, latent_dim]; on the sphere their norms do not matter."""
        return self.layers(unit_length(z) if self.on_sphere else z)


def require_channels(channels: int) -> None:
    """Refuse, by a ValueError, images that are neither grey nor in colour."""
    if channels not in (1, 3):
        raise ValueError(f"images have {channels} channels: give grey (1) or colour (3)")


class LastSigmoid(nn.Sigmoid):
    """In float32 also where the rest is in bfloat16: there it is 1, and without a gradient, from 6.25 on."""

    def forward(self, x: Tensor) -> Tensor:
        """Numbers in [0, 1], float32, of x of any shape."""
        return super().forward(x.float())


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution with kernel 4 and stride 2, [N, wide, S, S] -> [N, narrow, 2 S, 2 S].

    Its weights' gradient is computed in float32 also where the rest is in bfloat16: oneDNN's kernel for the latter
    waits for the other threads in a busy loop, which takes a hundred times longer where two runs share a processor,
    and is hardly faster where they do not.
    """

    def __init__(self, wide: int, narrow: int):
        super().__init__(wide, narrow, kernel_size=4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """As nn.ConvTranspose2d, in the number format of `x`."""
        if x.device.type == "cuda":  # cuDNN has no such trouble
            return super().forward(x)
        return _Doubled.apply(x, self.weight) + self.bias.to(x.dtype)[:, None, None]


class _Doubled(torch.autograd.Function):
    """The transposed convolution without its bias: the gradient of a convolution from [2 S, 2 S] to [S, S]."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return nn.functional.conv_transpose2d(x, weight.to(x.dtype), stride=2, padding=1)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = None, None
        if ctx.needs_input_grad[0]:
            of_x = nn.functional.conv2d(gradient, weight.to(x.dtype), stride=2, padding=1)
        if ctx.needs_input_grad[1]:
            wide = gradient.float(), weight.shape, x.float()
            of_weight = nn.grad.conv2d_weight(*wide, stride=2, padding=1).to(weight.dtype)
        return of_x, of_weight


class VoxelGenerator(nn.Module):
    """G for shapes: 3D-GAN's generator (Wu et al. 2016, which Sec. 4.4 names), transposed convolutions only.

    From one point to 4^3 voxels, then doubled until the size is reached, while the channels halve:
    512 at 4^3, 256 at 8^3, 128 at 16^3, 64 at 32^3, 1 at 64^3. BatchNorm and ReLU between them, a sigmoid at the end.

    Args:
        size: voxels, each side: 32 (one layer less) or 64.
        latent_dim: dimensions of z (3D-GAN: 200).
        channels: of the first layer (3D-GAN: 512).
        on_sphere: as for `InfoGANGenerator`.

    Raises:
        ValueError: a size that there is not, or channels that cannot be halved often enough.
    """

    def __init__(self, size: int, latent_dim: int = 64, channels: int = 512, on_sphere: bool = True):
        super().__init__()
        if size not in VOXEL_SIZES:
            raise ValueError(f"no generator for {size} voxels a side: resample the shapes to 32 or 64")
        doublings = int(math.log2(size // 4))
        if channels % 2 ** (doublings - 1):
            least = 2 ** (doublings - 1)
            raise ValueError(
                f"voxel_channels {channels} cannot be halved {doublings - 1} times: give a multiple of {least}"
            )
        self.shape, self.latent_dim, self.on_sphere = (size, size, size), latent_dim, on_sphere
        widths = [channels // 2**level for level in range(doublings)]
        layers: list[nn.Module] = [nn.Unflatten(1, (latent_dim, 1, 1, 1))]
        layers += [nn.ConvTranspose3d(latent_dim, channels, kernel_size=4, bias=False)]
        for wide, narrow in itertools.pairwise(widths):
            layers += [BatchNorm3d(wide), nn.ReLU()]
            layers += [nn.ConvTranspose3d(wide, narrow, kernel_size=4, stride=2, padding=1, bias=False)]
        layers += [BatchNorm3d(widths[-1]), nn.ReLU(), LastDoubling(widths[-1]), LastSigmoid()]
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.ConvTranspose3d):
                initialise(layer)
        self.to(memory_format=torch.channels_last_3d)  # in float32 a quarter less time on processors

    def forward(self, z: Tensor) -> Tensor:
        """Occupancy in [0, 1], [N, S, S, S], of latents [N, latent_dim]; on the sphere their norms do not matter."""
        return self.layers(unit_length(z) if self.on_sphere else z).squeeze(1)


class LastDoubling(nn.ConvTranspose3d):
    """A transposed convolution with kernel 4 and stride 2 to one channel, [N, wide, S, S, S] -> [N, 1, 2 S, 2 S, 2 S].

    Computed as a convolution with kernel 2: what lies between 8 neighbours are 8 new voxels, a channel each. On
    processors that takes half of the time, as their kernels want more than one channel at a time.
    """

    def __init__(self, wide: int):
        super().__init__(wide, 1, kernel_size=4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """As nn.ConvTranspose3d."""
        # Along each side, tap 2 a + b of the kernel goes from neighbour 1 - a to new voxel b.
        taps = self.weight.reshape(-1, 2, 2, 2, 2, 2, 2).flip(1, 3, 5).permute(2, 4, 6, 0, 1, 3, 5).flatten(0, 2)
        between = nn.functional.conv3d(x, taps, self.bias.expand(8), padding=1)  # [N, 8, S + 1, S + 1, S + 1]
        voxels = between.unflatten(1, (2, 2, 2)).permute(0, 4, 1, 5, 2, 6, 3)
        side = 2 * between.shape[-1]
        return voxels.reshape(-1, 1, side, side, side)[..., 1:-1, 1:-1, 1:-1]  # the border's lie outside


def unit_length(z: Tensor) -> Tensor:
    """Latents [N, D] on the unit sphere, as every G takes them.

    The norm counts as a constant (released code): the gradient is not projected on the sphere's tangent.
    """
    # T(e) is 0 where all of T's hidden units are off: rare for noise, but inversion can wander there.
    return z / z.norm(dim=1, keepdim=True).detach().clamp(min=1e-12)


def make_generator(
    shape: Sequence[int],
    latent_dim: int = 64,
    normalisation: str = "batch",
    *,
    feature_channels: int = 128,
    voxel_channels: int = 512,
    on_sphere: bool = True,
) -> InfoGANGenerator | VoxelGenerator:
    """The generator for one kind of data: `InfoGANGenerator` for images, `VoxelGenerator` for shapes.

    Args:
        shape: of one image [C, S, S], C 1 or 3, or of one shape [S, S, S].
        latent_dim, on_sphere: of either.
        normalisation, feature_channels: of the generator for images; the latter are its `features`.
        voxel_channels: of the generator for shapes, its `channels`.

    Raises:
        ValueError: there is no generator for this shape.
    """
    if len(set(shape)) == 1:
        return VoxelGenerator(shape[0], latent_dim, voxel_channels, on_sphere)
    channels, size, _ = shape
    return InfoGANGenerator(size, channels, latent_dim, normalisation, on_sphere, feature_channels)


class LatentMapper(nn.Module):
    """T: noise to latents, noise_dim -> 128 -> 128 -> latent_dim (Sec. 4.1), without biases (released code).

    The output is not normalised: G divides by the norm, and Eq. 4 and 5 compare T(e) with z as they are.

    Args:
        noise_dim: dimensions of e.
        latent_dim: dimensions of z.
        hidden_dim: width of the two hidden layers.
    """

    def __init__(self, noise_dim: int = 32, latent_dim: int = 64, hidden_dim: int = 128):
        super().__init__()
        self.noise_dim, self.latent_dim = noise_dim, latent_dim
        self.layers = nn.Sequential(
            nn.Linear(noise_dim, hidden_dim, bias=False),
            BatchNorm1d(hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim, bias=False),
            BatchNorm1d(hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, latent_dim, bias=False),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                initialise(layer)

    def forward(self, e: Tensor) -> Tensor:
        """Latents [N, latent_dim] of noises [N, noise_dim] drawn from N(0, I)."""
        return self.layers(e)


def count_parameters(network: nn.Module) -> int:
    """How many numbers training changes in `network`."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def load_weights(network: nn.Module, state: dict[str, Tensor], prefix: str) -> None:
    """Give `network` the tensors of `state` whose names begin with `prefix`.

    Raises:
        ValueError: they are of another architecture.
    """
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    if {name: value.shape for name, value in own.items()} != wanted:
        raise ValueError(
            f"the file's {prefix[:-1]} is of another architecture: load it with the settings it was made by"
        )
    network.load_state_dict(own)


@torch.no_grad()
def initialise(layer: nn.Module, std: float | None = None) -> None:
    """Weights from N(0, std^2), or Xavier normal with gain sqrt(2) where std is None; biases zero."""
    if std is None:
        nn.init.xavier_normal_(layer.weight, gain=math.sqrt(2))
    else:
        nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
