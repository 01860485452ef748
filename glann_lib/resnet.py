"""The generator for large images: residual blocks and nearest-neighbour upsampling (Sec. 4.3, "Higher resolution").

The paper takes the architecture of Mescheder, Geiger and Nowozin (2018), "Which training methods for GANs do actually
converge?": no transposed convolution, whose uneven overlaps draw checkerboards (Sec. 4.1), and no BatchNorm; a variant
of ours has it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu
from torch.utils.checkpoint import checkpoint

from glann_lib.engine.ranks import BatchNorm2d
from glann_lib.networks import require_channels, unit_length
from glann_lib.settings import SIZES

MOST_CHANNELS = 512  # of any layer (Mescheder et al.)
RESIDUE = 0.1  # part of a block's convolutions in its result (Mescheder et al.)
SMALLEST = 64  # px


class ResNetGenerator(nn.Module):
    """G: latents on the unit sphere to images, by a linear layer and residual blocks, each followed by a doubling.

    Args:
        image_size: height and width of the images, px: a power of two from 64 to 1024.
        channels: 1 (grey) or 3 (colour).
        latent_dim: dimensions of z (paper: 256).
        features: maps at the full size (paper: 64 at 256 px); twice as many at half of it, and so on, at most 512.
        normalisation: "none" (Mescheder et al.), or "batch": BatchNorm before each LeakyReLU, and blocks whose
            convolutions count in full (ours: it needs far fewer steps).
        start: px a side that the linear layer gives, a power of two: 4 (Mescheder et al.). With a quarter of the size,
            as in InfoGAN's generator, the coarse form is linear in the code and there after few steps (ours).
        on_sphere: as for `networks.InfoGANGenerator`.
        checkpointing: a block's activations are computed again on the way back: the memory of one block, not of all.

    Raises:
        ValueError: a size, number of channels or start that there is not.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        latent_dim: int = 256,
        features: int = 64,
        normalisation: str = "none",
        start: int = 4,
        on_sphere: bool = True,
        checkpointing: bool = False,
    ):
        super().__init__()
        sizes = [size for size in SIZES if size >= SMALLEST]
        if image_size not in sizes:
            raise ValueError(f"no resnet generator for {image_size} px: choose {', '.join(map(str, sizes))} px")
        require_channels(channels)
        self.shape, self.latent_dim, self.on_sphere = (channels, image_size, image_size), latent_dim, on_sphere
        if start not in (4, 8, 16, 32, 64, 128, 256) or start > image_size:
            raise ValueError(f"resnet_start is {start}: choose a power of two from 4 to 256 px, not above the image's")
        self.checkpointing, self.start = checkpointing, start
        doublings = int(math.log2(image_size // start))
        widths = [min(MOST_CHANNELS, features * 2**level) for level in range(doublings, -1, -1)]
        self.first = nn.Linear(latent_dim, widths[0] * start**2)
        pairs = [*itertools.pairwise(widths), (widths[-1], widths[-1])]
        normalise = normalisation != "none"
        self.blocks = nn.ModuleList(ResidualBlock(wide, narrow, normalise) for wide, narrow in pairs)
        self.normal = BatchNorm2d(widths[-1]) if normalise else nn.Identity()
        self.last = nn.Conv2d(widths[-1], channels, 3, padding=1)
        self.to(memory_format=torch.channels_last)  # a quarter less time on processors

    def forward(self, z: Tensor) -> Tensor:
        """Images in [0, 1], [N, C, S, S], of latents [N, latent_dim]; on the sphere their norms do not matter."""
        # The layers' first weights are for numbers of variance 1, as normal latents have.
        z = unit_length(z) * math.sqrt(self.latent_dim) if self.on_sphere else z
        x = self.first(z).unflatten(1, (-1, self.start, self.start))
        for number, block in enumerate(self.blocks):
            x = self._run(block, x if number == 0 else interpolate(x, scale_factor=2, mode="nearest"))
        return self.last(leaky_relu(self.normal(x), 0.2)).float().sigmoid()  # see networks.LastSigmoid

    def _run(self, block: nn.Module, x: Tensor) -> Tensor:
        if not (self.checkpointing and x.requires_grad):
            return block(x)

        def contexts() -> tuple[Any, Any]:
            return contextlib.nullcontext(), _averages_kept(block)

        return checkpoint(block, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


@contextlib.contextmanager
def _averages_kept(block: nn.Module) -> Iterator[None]:
    """What a block's BatchNorms remember stays as it is while its activations are computed again."""
    before = [buffer.clone() for buffer in block.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(block.buffers(), before, strict=True):
            buffer.copy_(value)


class ResidualBlock(nn.Module):
    """x' + 0.1 f(x), [N, wide, S, S] -> [N, narrow, S, S]; x' is x, where widths differ a 1 x 1 convolution of it."""

    def __init__(self, wide: int, narrow: int, normalise: bool = False):
        super().__init__()
        self.residue = 1.0 if normalise else RESIDUE
        self.shortcut = nn.Conv2d(wide, narrow, 1, bias=False) if wide != narrow else nn.Identity()
        self.convolutions = nn.Sequential(
            BatchNorm2d(wide) if normalise else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Conv2d(wide, narrow, 3, padding=1),
            BatchNorm2d(narrow) if normalise else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Conv2d(narrow, narrow, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The same maps, changed a little."""
        return self.shortcut(x) + self.residue * self.convolutions(x)
