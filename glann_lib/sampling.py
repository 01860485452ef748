"""New images from trained networks: e -> T -> G (Sec. 3.4.3), interpolation, the GLO Gaussian.

Where G draws shapes, everything here gives their fields [N, S, S, S] in place of images.

Networks run in eval mode on blocks of a fixed number of rows, the last one filled up: memory is bounded, and image i of
a seed is the same bits however many images are asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glann_lib.engine.devices import deterministic, images_at_once, seeded
from glann_lib.neighbours import nearest_neighbours

BLOCK = 64  # rows that a network sees at once
LIVE = 1  # rows of a block while somebody waits: one image is there in a quarter of the time that four take
PATHS = ("noise-linear", "noise-spherical", "latent-linear")
PRIORS = ("normal", "uniform")
VOTES = 10  # nearest training codes that say of which class a code is
DRAWN, MOST_DRAWN, SELDOM = 1024, 2**18, 4  # codes drawn at first, and at most; a seldom class has fewer of the first


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
def run_blocks(network: nn.Module, rows: Tensor, block: int = BLOCK) -> Tensor:
    """`network` in eval mode over rows [N, D], in blocks of fixed size on the network's device; result on the CPU.

    Args:
        network: T or G.
        rows: codes.
        block: rows that the network sees at once. A block is filled up, so one row costs as much as `block` do: where
            one image is drawn again and again, 1 is faster. Another size can round another way: before they are
            rounded to grey levels, the images of two sizes may differ in their last bits.
    """
    network.eval()
    device = next(network.parameters()).device
    outputs = []
    with deterministic(device):
        for part in rows.to(device).split(block):
            filled = torch.cat([part, part[:1].expand(block - len(part), -1)])
            outputs.append(network(filled)[: len(part)].float())
    return torch.cat(outputs).cpu()  # at once: a copy waits until the device is done


def decode(generator: nn.Module, latents: Tensor, block: int = BLOCK) -> Tensor:
    """Images G(z), uint8 [N, C, S, S] on the CPU, of latents [N, latent_dim] of any norm; or fields [N, S, S, S].

    A shape's field is its occupancy, 0 to 255; from 128 on a voxel is taken to be solid. `block` is as for
    `run_blocks`, for images of 64 px (of larger ones as many pixels): with another one a pixel that lies between two
    grey levels may fall to the other.
    """
    side = generator.shape[-1] if len(set(generator.shape)) > 1 else 64  # shapes have no more than 64^3 voxels
    block, at_once = images_at_once(block, side), images_at_once(1024, side)
    images = [run_blocks(generator, rows, block).mul(255).round().to(torch.uint8) for rows in latents.split(at_once)]
    return torch.cat(images)


def solid(fields: Tensor) -> Tensor:
    """Voxels bool [N, S, S, S] of fields uint8 [N, S, S, S], 0 to 255: those whose occupancy is one half or more."""
    return fields >= 128


def sample(generator: nn.Module, mapper: nn.Module, count: int, seed: int) -> Tensor:
    """New images G(T(e)), uint8 [count, C, S, S] on the CPU (Sec. 3.4.3)."""
    return decode(generator, run_blocks(mapper, draw_noise(count, mapper.noise_dim, seed)))


def class_codes(mapper: nn.Module, latents: Tensor, of_class: Tensor, count: int, seed: int) -> Tensor:
    """Codes T(e) [count, D] that lie among the training codes of one class (ours: the paper has no classes).

    The VOTES training codes `latents` [N, D] that are nearest to a code must all be of the class, bool [N], or as many
    as SELDOM of the first DRAWN codes have, half at least. Code i of a seed does not depend on `count`. ValueError:
    count below 1, or more than T draws among MOST_DRAWN codes.
    """
    drawn, votes = max(count, DRAWN) if count > 0 else count, min(VOTES, len(latents))
    latents, of_class = latents.cpu(), of_class.cpu()
    while True:
        codes = run_blocks(mapper, draw_noise(drawn, mapper.noise_dim, seed))
        found = of_class[nearest_neighbours(codes, latents, votes).index].sum(1)
        chosen = codes[found >= found[:DRAWN].topk(SELDOM).values[-1].clamp(min=votes / 2)]
        if len(chosen) >= count:
            return chosen[:count]
        if drawn >= MOST_DRAWN:
            raise ValueError(f"of {drawn:,} codes {len(chosen):,} are of that class: ask for fewer than {count:,}")
        drawn = min(4 * drawn, MOST_DRAWN)


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
        raise ValueError(f"{list(start.shape)} to {list(end.shape)} in {steps} steps: 2 steps or more, equal sizes")
    t = torch.linspace(0, 1, steps)[:, None].to(start)
    if not spherical or not (start.any() and end.any()):  # 0 has no direction
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
