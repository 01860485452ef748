"""What the comparisons work on: their sizes, and images, latents and networks from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glann_lib.engine.devices import scoped_seed
from glann_lib.networks import InfoGANGenerator, LatentMapper, unit_length
from glann_lib.sampling import draw_noise

LATENT_DIM, NOISE_DIM, HIDDEN_DIM = 64, 32, 128
LENGTH = 0.6  # of T(e) on average, after some epochs of stage 2


@dataclass(frozen=True)
class Sizes:
    """How much work each comparison does."""

    steps: int = 4  # of GLO, timed together
    batch: int = 128  # images
    large_batch: int = 64  # at 64 px
    latents: int = 60_000
    imle_batch: int = 128  # latents
    noise_per_latent: int = 2
    samples: int = 2000
    inverted: int = 4  # images
    candidates: int = 1024  # noises that an inversion may start from
    restarts: int = 4
    inversion_steps: int = 20
    pooled: int = 1000  # images
    features: int = 10_000  # of each set, for scores
    width: int = 2048  # numbers a feature
    glo_latents: int | None = None  # of GLO at 28 and 32 px, whole epochs are timed; None: `steps` batches of them
    large_glo_latents: int | None = None  # the same at 64 px

    @classmethod
    def for_device(cls, device: torch.device) -> Sizes:
        """On CUDA with whole data sets: an epoch of some steps would be mostly its ends, which are not recorded."""
        return cls(glo_latents=60_000, large_glo_latents=9000) if device.type == "cuda" else cls()

    def of_glo(self, size: int) -> tuple[int, int]:
        """Batch and latents of GLO on images of `size` px."""
        batch, whole = (self.large_batch, self.large_glo_latents) if size >= 64 else (self.batch, self.glo_latents)
        return batch, whole or self.steps * batch


QUICK = Sizes(2, 8, 4, 256, 32, 2, 70, 2, 16, 2, 2, 12, 300, 24)


def pictures(count: int, channels: int, size: int) -> Tensor:
    """Smooth blobs with a little noise, seeded: uint8 [count, channels, size, size]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(coarse, (size, size), mode="bicubic")
    noisy = smooth + 0.02 * torch.randn(smooth.shape, generator=generator)
    return noisy.clamp(0, 1).mul(255).to(torch.uint8)


def make_latents(count: int) -> Tensor:
    """Unit vectors [count, LATENT_DIM] on a bent surface of 16 dimensions, as embedded images are, seeded."""
    with scoped_seed(0, "benchmark latents"), torch.no_grad():
        bend = nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, LATENT_DIM))
        return unit_length(bend(torch.randn(count, 16)))


def make_mapper(device: torch.device) -> LatentMapper:
    """A T of random weights, seeded, see `settle`."""
    with scoped_seed(0, "benchmark mapper"):
        mapper = LatentMapper(NOISE_DIM, LATENT_DIM, HIDDEN_DIM).to(device)
    settle(mapper)
    return mapper


@torch.no_grad()
def settle(mapper: LatentMapper) -> None:
    """Make a fresh T's outputs as long as they are after some epochs: else all latents choose the same few noises."""
    noise = draw_noise(1024, mapper.noise_dim, seed=0).to(next(mapper.parameters()).device)
    mapper.layers[-1].weight *= LENGTH / mapper.train()(noise).norm(dim=1).mean()


def make_generator(size: int, channels: int, device: torch.device) -> InfoGANGenerator:
    """A fresh G, seeded."""
    with scoped_seed(0, "benchmark generator"):
        return InfoGANGenerator(size, channels, LATENT_DIM).to(device)
