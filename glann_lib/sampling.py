"""New images from trained networks: e -> T -> G (Sec. 3.4.3), interpolation, inversion (Eq. 6), the GLO Gaussian.

Where G draws shapes, everything here gives their fields [N, S, S, S] in place of images.

Networks run in eval mode on blocks of a fixed number of rows, the last one filled up: memory is bounded, and image i of
a seed is the same bits however many images are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glann_lib.devices import keep_freed_memory, seeded
from glann_lib.losses import ReconstructionLoss, unit
from glann_lib.neighbours import nearest_neighbours

BLOCK = 64  # rows that a network sees at once
PATHS = ("noise-linear", "noise-spherical", "latent-linear")
PRIORS = ("normal", "uniform")


def draw_noise(count: int, noise_dim: int, seed: int, prior: str = "normal") -> Tensor:
    """Noises, [count, noise_dim], on the CPU; row i of a seed does not depend on `count`.

    Args:
        count: rows, 1 or more.
        noise_dim: numbers a row.
        seed: of the noise.
        prior: "normal", e ~ N(0, I), or "uniform", each number in [-1, 1] (the GANs of Lucic et al.).

    Raises:
        ValueError: count below 1; unknown prior.
    """
    if count < 1:
        raise ValueError(f"{count} images asked for: ask for 1 or more")
    if prior not in PRIORS:
        raise ValueError(f"unknown prior {prior!r}: choose one of {', '.join(PRIORS)}")
    rows = -(-count // 16) * 16  # torch draws in runs of 16 numbers, and whole runs only are the same for any length
    random = seeded(seed, "noise")
    if prior == "normal":
        return torch.randn(rows, noise_dim, generator=random)[:count]
    return 2 * torch.rand(rows, noise_dim, generator=random)[:count] - 1


@torch.no_grad()
def run_blocks(network: nn.Module, rows: Tensor) -> Tensor:
    """`network` in eval mode over rows [N, D], in blocks of fixed size on the network's device; result on the CPU."""
    network.eval()
    device = next(network.parameters()).device
    outputs = []
    for block in rows.split(BLOCK):
        filled = torch.cat([block, block[:1].expand(BLOCK - len(block), -1)])
        outputs.append(network(filled.to(device))[: len(block)].float().cpu())
    return torch.cat(outputs)


def decode(generator: nn.Module, latents: Tensor) -> Tensor:
    """Images G(z), uint8 [N, C, S, S] on the CPU, of latents [N, latent_dim] of any norm; or fields [N, S, S, S].

    A shape's field is its occupancy, 0 to 255; from 128 on a voxel is taken to be solid.
    """
    images = [run_blocks(generator, rows).mul(255).round().to(torch.uint8) for rows in latents.split(1024)]
    return torch.cat(images)


def solid(fields: Tensor) -> Tensor:
    """Voxels bool [N, S, S, S] of fields uint8 [N, S, S, S], 0 to 255: those whose occupancy is one half or more."""
    return fields >= 128


def sample(generator: nn.Module, mapper: nn.Module, count: int, seed: int) -> Tensor:
    """New images G(T(e)), uint8 [count, C, S, S] on the CPU (Sec. 3.4.3)."""
    return decode(generator, run_blocks(mapper, draw_noise(count, mapper.noise_dim, seed)))


def interpolate(start: Tensor, end: Tensor, steps: int, spherical: bool = False) -> Tensor:
    """Points on the way from `start` [D] to `end` [D], both included, [steps, D].

    Args:
        start, end: the ends.
        steps: 2 or more.
        spherical: along a great circle, the length changing evenly, so that points between two noises are as long as
            noises are. Else along the straight line.

    Raises:
        ValueError: fewer than 2 steps, or ends of different size.
    """
    if steps < 2 or start.shape != end.shape or start.dim() != 1:
        raise ValueError(
            f"from {list(start.shape)} to {list(end.shape)} in {steps} steps: 2 steps or more, equal sizes"
        )
    t = torch.linspace(0, 1, steps)[:, None].to(start)
    if not spherical:
        return (1 - t) * start + t * end
    lengths = start.norm(), end.norm()
    a, b = start / lengths[0], end / lengths[1]
    angle = torch.acos((a @ b).clamp(-1 + 1e-6, 1 - 1e-6))
    direction = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return direction * ((1 - t) * lengths[0] + t * lengths[1])


def interpolate_images(
    generator: nn.Module, mapper: nn.Module, start: Tensor, end: Tensor, steps: int = 9, path: str = "noise-spherical"
) -> Tensor:
    """Images on the way between two noises, uint8 [steps, C, S, S] (Sec. 4.3).

    Args:
        generator, mapper: G and T.
        start, end: noises [noise_dim].
        steps: 2 or more, the ends included.
        path: "noise-linear", "noise-spherical", or "latent-linear" (between T(start) and T(end)).

    Raises:
        ValueError: unknown path, or as `interpolate`.
    """
    if path not in PATHS:
        raise ValueError(f"unknown path {path!r}: choose one of {', '.join(PATHS)}")
    if path == "latent-linear":
        first, last = run_blocks(mapper, torch.stack([start, end]))
        return decode(generator, interpolate(first, last, steps))
    return decode(generator, run_blocks(mapper, interpolate(start, end, steps, path == "noise-spherical")))


@dataclass(frozen=True)
class Inversion:
    """What `invert` found: codes [N, D], their images uint8 [N, C, S, S], and their losses [N]."""

    codes: Tensor
    images: Tensor
    loss: Tensor


def invert(
    render: Callable[[Tensor], Tensor],
    candidates: Tensor,
    images: Tensor,
    loss: ReconstructionLoss,
    restarts: int = 4,
    steps: int = 200,
    lr: float = 0.05,
) -> Inversion:
    """The codes whose images come nearest to given ones: e = arg min loss(G(T(e)), I) (Eq. 6), by Adam.

    The loss has many local minima, so every image starts from several codes: the candidates whose images are nearest to
    it in pixels. Of the codes they end in the best is kept.

    Args:
        render: codes [n, D] -> images [n, C, S, S] in [0, 1], with gradients; on the device of `loss`.
        candidates: [M, D] codes to start from, M at least `restarts`; noises, or training latents.
        images: uint8 [N, C, S, S], or voxels bool [N, S, S, S].
        loss: the loss to minimise.
        restarts: starting codes an image.
        steps: of Adam.
        lr: its step size, in units of the code.
    """
    device = candidates.device
    with torch.no_grad():
        pixels = torch.cat([render(rows).flatten(1) for rows in candidates.split(BLOCK)])
    start = nearest_neighbours(unit(images.to(device)).flatten(1), pixels, k=restarts).index
    return refine(render, candidates[start], images, loss, steps, lr)


def refine(
    render: Callable[[Tensor], Tensor],
    start: Tensor,
    images: Tensor,
    loss: ReconstructionLoss,
    steps: int = 200,
    lr: float = 0.05,
) -> Inversion:
    """`invert` from starting codes that the caller has chosen.

    Args:
        start: [N, restarts, D], on the device of `loss`.
        render, images, loss, steps, lr: as for `invert`; with 0 steps the best of the starting codes is taken.
    """
    keep_freed_memory()
    device, (count, restarts) = start.device, start.shape[:2]
    wanted = unit(images.to(device))
    found = [
        _descend(render, codes.flatten(0, 1), target.repeat_interleave(restarts, 0), loss, steps, lr)
        for codes, target in zip(start.split(16), wanted.split(16), strict=True)
    ]
    codes = torch.cat([codes for codes, _ in found]).unflatten(0, (count, restarts))
    values = torch.cat([values for _, values in found]).unflatten(0, (count, restarts))
    best = values.nan_to_num(nan=torch.inf).argmin(1)  # argmin takes NaN for the least
    rows = torch.arange(count, device=device)
    codes, values = codes[rows, best], values[rows, best]
    with torch.no_grad():
        result = torch.cat([render(rows) for rows in codes.split(BLOCK)])
    return Inversion(codes.cpu(), result.mul(255).round().to(torch.uint8).cpu(), values.cpu())


def _descend(
    render: Callable[[Tensor], Tensor], start: Tensor, target: Tensor, loss: ReconstructionLoss, steps: int, lr: float
) -> tuple[Tensor, Tensor]:
    """Codes after `steps` of Adam whose step size falls to zero, and their losses; each code for itself."""
    codes = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([codes], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps))
    wanted = loss.targets(target)
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss.compare(render(codes), wanted).sum().backward(inputs=[codes])
        optimiser.step()
        schedule.step()
    codes = codes.detach()
    with torch.no_grad():
        return codes, loss.compare(render(codes), wanted)


class GaussianSampler:
    """The sampler of the original GLO: a Gaussian with full covariance fitted to the latents (Sec. 3.3).

    Args:
        latents: [N, D], N at least 2.

    Raises:
        ValueError: fewer than 2 latents.
    """

    def __init__(self, latents: Tensor):
        if len(latents) < 2:
            raise ValueError("a Gaussian needs 2 latents or more")
        latents = latents.cpu().double()
        self.mean = latents.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(latents.T))
        self.root = vectors * values.clamp(min=0).sqrt()  # root root^T = covariance, which may be singular

    def sample(self, count: int, seed: int) -> Tensor:
        """Latents on the unit sphere, float32 [count, D]."""
        white = draw_noise(count, len(self.mean), seed).double()
        latents = self.mean + white @ self.root.T
        return (latents / latents.norm(dim=1, keepdim=True)).float()
