"""Where NAM looks for a latent: a generator and its latents, random starts, the nearest in memory."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glann_lib import sampling
from glann_lib.engine import devices, storage
from glann_lib.losses import ReconstructionLoss, unit
from glann_lib.moments import Mapper
from glann_lib.networks import InfoGANGenerator

BLOCK = 256  # latents of the memory that are compared at once


@dataclass(frozen=True)
class Target:
    """The target domain as a generator knows it; nothing of it is trained here."""

    generator: InfoGANGenerator  # in eval mode
    latents: Tensor  # [M, latent_dim], of its training images
    mapper: Mapper | None = None  # IMLE's, from noise to latents; only the search "noise" needs it

    def draw(self, codes: Tensor, search: str) -> Tensor:
        """Images [N, C, S, S] in [0, 1] of codes [N, D], with gradients: noises for "noise", else latents."""
        return self.generator(self.mapper(codes) if search == "noise" else codes)

    @functools.cached_property
    def memory(self) -> Tensor:
        """G(z) of all latents, uint8 [M, C, S, S] on the CPU; drawn once."""
        return sampling.decode(self.generator, self.latents)

    def digest(self) -> str:
        """Equal for equal weights and latents."""
        networks = [self.generator] if self.mapper is None else [self.generator, self.mapper]
        weights = [storage.tensor_digest(value) for network in networks for value in network.state_dict().values()]
        return storage.digest(storage.tensor_digest(self.latents), weights)


def first_codes(count: int, target: Target, search: str, seed: int, purpose: str = "nam codes") -> Tensor:
    """Random codes to start from, on the CPU, by a random stream of their own.

    For the search "noise" they are noises from N(0, I), [count, noise_dim], else latents drawn evenly on the sphere.
    """
    width = target.mapper.noise_dim if search == "noise" else target.latents.shape[1]
    codes = torch.randn(count, width, generator=devices.seeded(seed, purpose))
    return codes if search == "noise" else codes / codes.norm(dim=1, keepdim=True)


def code_lr(lr: float, codes: Tensor, search: str) -> float:
    """Adam's step for codes [..., D]: `lr` for latents of length 1, as a part of their length for noises."""
    return lr * codes.shape[-1] ** 0.5 if search == "noise" else lr


@torch.no_grad()
def nearest_in_memory(network: nn.Module, loss: ReconstructionLoss, memory: Tensor, images: Tensor, k: int) -> Tensor:
    """Row numbers [N, k] of the k memory images whose T(G(z)) come nearest to each source image, nearest first.

    Memory (G(z) of the latents) is uint8 [M, C', S, S], images are uint8 [N, C, S, S]. T is put into eval mode.
    """
    network.eval()
    device = next(network.parameters()).device
    targets = loss.targets_of(images.to(device))
    distance = torch.full((len(images), 0), torch.inf, device=device)
    index = torch.zeros(len(images), 0, dtype=torch.long, device=device)
    for start in range(0, len(memory), BLOCK):
        found = loss.distances(network(unit(memory[start : start + BLOCK].to(device))), targets)
        rows = torch.arange(start, start + found.shape[1], device=device).expand_as(found)
        distance, index = torch.cat([distance, found], dim=1), torch.cat([index, rows], dim=1)
        distance, order = distance.topk(min(k, distance.shape[1]), dim=1, largest=False)
        index = index.gather(1, order)
    return index
