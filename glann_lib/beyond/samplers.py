"""Samplers over one frozen GLO: the same codes, the same G, only where a new code comes from differs.

IMLE maps a noise to the mean of the codes that it serves (see `moments`). Here stand samplers that are truer to the
density of the codes, and IMLE's own variants, to tell what that is worth in images.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from glann_lib.beyond.flow import Flow, FlowConfig, follow
from glann_lib.config import IMLEConfig
from glann_lib.engine import devices, training
from glann_lib.engine.stages import batches
from glann_lib.imle import IMLE
from glann_lib.neighbours import Neighbours, nearest_neighbours
from glann_lib.networks import BatchNorm1d, LatentMapper, unit_length
from glann_lib.sampling import GaussianSampler, draw_noise, run_blocks

PER_COMPONENT = 5  # codes of a mixture's component, for every number of a code: its covariance needs them
BANDWIDTH = 1 / 3  # of the mean distance between neighbouring codes: the length of what a kernel adds
REJECTED = 0.25  # part of the noises that RS-IMLE leaves out, those that are mapped nearest to some code
TIGHTENED = 0.02  # by what part of its new distance a code's threshold lies below it, in adaptive IMLE
Draw = Callable[[int, int], Tensor]


@dataclass(frozen=True)
class Sampler:
    """Where new codes come from."""

    name: str  # a name in SAMPLERS
    label: str  # as printed
    draw: Draw  # (count, seed) -> codes on the unit sphere, float32 [count, D]; row i does not depend on count
    seconds: float  # to train


class RejectingIMLE(IMLE):
    """RS-IMLE (Vashist, Peng and Li 2024): what is matched resembles what is drawn.

    Eq. 4 picks noises that lie near a code already, so T is trained on others than it is sampled from. The noises
    that T maps nearest to any code are left out before the match.
    """

    shared = False  # a process would know only its own codes

    @torch.no_grad()
    def match(self, noise: Tensor) -> Neighbours:
        """For every latent the nearest of the noises that are left."""
        mapped = self.mapped(noise)
        away = nearest_neighbours(mapped, self.latents).distance[:, 0]
        left = away.topk(len(away) - int(REJECTED * len(away))).indices
        found = nearest_neighbours(self.latents, mapped[left])
        return dataclasses.replace(found, index=left[found.index])


class AdaptiveIMLE(IMLE):
    """Adaptive IMLE (Aghabozorgi, Peng and Li 2023): a code keeps its noise until T maps that near enough to it.

    Then it gets a new one, by Eq. 4, and a threshold below the distance that this has.
    """

    shared = False  # a process would keep only its own codes' noises

    def inputs(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Each batch's noises, new or kept, and latents in a new order."""
        super().inputs(epoch)  # draws noises and matches them
        nearest, distance = self.noise[self.matched.index[:, 0]], self.matched.distance[:, 0]
        if epoch == 1:
            self.kept, self.threshold = nearest, torch.zeros_like(distance)
            reached = torch.ones_like(distance, dtype=torch.bool)
        else:
            with torch.no_grad():
                reached = (self.mapper(self.kept) - self.latents).norm(dim=1) <= self.threshold
        self.kept = torch.where(reached.unsqueeze(1), nearest, self.kept)
        self.threshold = torch.where(reached, (1 - TIGHTENED) * distance, self.threshold)
        random = devices.seeded(self.config.seed, f"adaptive order {epoch}")
        parts = batches(self.count, self.config.batch_size, random, self.device)
        return ((self.kept[batch], self.latents[batch]) for batch in parts)


class DeepIMLE(IMLE):
    """IMLE whose T has five hidden layers in place of two."""

    def _make_mapper(self) -> nn.Module:
        width = self.config.hidden_dim
        first = LatentMapper(self.config.noise_dim, width, width)
        last = LatentMapper(width, self.latents.shape[1], width)
        return nn.Sequential(first, BatchNorm1d(width), nn.ReLU(), last)


def _gaussian(latents: Tensor, config: IMLEConfig, device: torch.device) -> Draw:
    return GaussianSampler(latents).sample


def _mixture(latents: Tensor, config: IMLEConfig, device: torch.device) -> Draw:
    """Gaussians with full covariances; as many as have PER_COMPONENT codes for each number of a code."""
    components = max(1, len(latents) // (PER_COMPONENT * latents.shape[1]))
    fitted = GaussianMixture(components, reg_covar=1e-4, random_state=config.seed, max_iter=50)
    fitted.fit(latents.cpu().double().numpy())
    weights, means, covariances = map(torch.from_numpy, (fitted.weights_, fitted.means_, fitted.covariances_))
    roots = torch.linalg.cholesky(covariances)

    def draw(count: int, seed: int) -> Tensor:
        part, white = _part_and_white(count, latents.shape[1], seed)
        chosen = torch.searchsorted(weights.cumsum(0), part).clamp(max=components - 1)
        return unit_length(means[chosen] + (roots[chosen] @ white.unsqueeze(2)).squeeze(2)).float()

    return draw


def _kernel(latents: Tensor, config: IMLEConfig, device: torch.device) -> Draw:
    """A training code, and Gaussian noise of a fixed mean length on it: it draws near copies."""
    codes = unit_length(latents.cpu().double())
    between = nearest_neighbours(codes.float(), codes.float(), k=2).distance[:, 1].mean().item()
    scale = BANDWIDTH * between / codes.shape[1] ** 0.5

    def draw(count: int, seed: int) -> Tensor:
        part, white = _part_and_white(count, codes.shape[1], seed)
        rows = (part * len(codes)).long().clamp(max=len(codes) - 1)
        return unit_length(codes[rows] + scale * white).float()

    return draw


def _imle(kind: type[IMLE] = IMLE, times: int = 1, **own: Any) -> Callable[..., Draw]:
    """IMLE of some kind, with settings of its own and T so many times as wide."""

    def fit(latents: Tensor, config: IMLEConfig, device: torch.device) -> Draw:
        own_config = dataclasses.replace(config, **({"moments": "learned"} | own), hidden_dim=times * config.hidden_dim)
        stage = kind(latents, own_config, device)
        training.run(stage)
        mapper = stage.drawn_from.eval()
        return lambda count, seed: unit_length(run_blocks(mapper, draw_noise(count, own_config.noise_dim, seed)))

    return fit


def _flow(latents: Tensor, config: IMLEConfig, device: torch.device) -> Draw:
    flow = Flow(latents, FlowConfig(steps=min(2000, 10 * config.epochs), seed=config.seed), device)
    training.run(flow)
    return lambda count, seed: follow(flow, draw_noise(count, latents.shape[1], seed))


# name -> (label, how it is fitted to codes under the settings of stage 2)
SAMPLERS: dict[str, tuple[str, Callable[[Tensor, IMLEConfig, torch.device], Draw]]] = {
    "gaussian": ("Gaussian (GLO)", _gaussian),
    "mixture": ("mixture of Gaussians", _mixture),
    "kernel": ("kernel density", _kernel),
    "flow": ("flow matching", _flow),
    "imle": ("IMLE, as in the paper", _imle()),
    "imle-wide": ("IMLE, T four times as wide", _imle(times=4)),
    "imle-deep": ("IMLE, T of five hidden layers", _imle(DeepIMLE)),
    "imle-10": ("IMLE, M = 10 n", _imle(noise_per_latent=10)),
    "imle-matched": ("IMLE, moments matched", _imle(moments="matched")),
    "rs-imle": ("RS-IMLE", _imle(RejectingIMLE)),
    "adaptive-imle": ("adaptive IMLE", _imle(AdaptiveIMLE)),
}


def fit_sampler(name: str, latents: Tensor, config: IMLEConfig, device: torch.device | str = "cpu") -> Sampler:
    """Fit one sampler to codes, with progress shown.

    Args:
        name: in SAMPLERS (else a ValueError).
        latents: [N, D], of stage 1.
        config: of stage 2, for all that are kinds of IMLE; its seed is every sampler's.
        device: where to train.
    """
    if name not in SAMPLERS:
        raise ValueError(f"unknown sampler {name!r}: choose one of {', '.join(SAMPLERS)}")
    label, fit = SAMPLERS[name]
    start = time.monotonic()
    draw = fit(latents, config, torch.device(device))
    return Sampler(name, label, draw, time.monotonic() - start)


def distance_to_codes(codes: Tensor, latents: Tensor) -> Tensor:
    """Euclidean distance of each new code to the nearest training code, [n], both on the unit sphere."""
    return nearest_neighbours(unit_length(codes), unit_length(latents)).distance[:, 0]


def _part_and_white(count: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    """A number in [0, 1] and white noise for each of `count` codes, float64 [count] and [count, dim]."""
    noise = draw_noise(count, dim + 1, seed).double()
    return torch.special.ndtr(noise[:, 0]), noise[:, 1:]
