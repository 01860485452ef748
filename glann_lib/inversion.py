"""Inversion: the codes whose images come nearest to given ones, e = arg min loss(G(T(e)), I) (Eq. 6), by Adam.

The loss has many local minima, so every image starts from several codes, and of those that they end in the best is
kept. One loop, `descend`, serves both who wants the result alone (`invert`, `refine`) and who watches it come
(`search`).
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from glann_lib.engine.devices import images_at_once, keep_freed_memory
from glann_lib.losses import ReconstructionLoss, smaller, unit
from glann_lib.neighbours import nearest_neighbours
from glann_lib.sampling import BLOCK
from glann_lib.settings import MANY_PIXELS

IMAGES, CUDA_IMAGES = 16, 256  # of 64 px at once; of so few a GPU would wait for each step's launches
COMPARED = 64  # px: starts of larger images are compared by means of pixels


@dataclass(frozen=True)
class Inversion:
    """What was found: codes [N, D], their images uint8 [N, C, S, S], and their losses [N]; on the CPU."""

    codes: Tensor
    images: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Descent:
    """Where a descent stands after `step` steps of Adam: codes [n, D] and their losses [n]."""

    step: int
    codes: Tensor
    loss: Tensor


def candidates_of(side: int) -> int:
    """Codes among which starts are chosen, for images of `side` px; each is drawn, which takes long for large ones."""
    return max(32, images_at_once(1024, side))


def restarts_of(side: int) -> int:
    """Starting codes an image of `side` px, where nobody says how many: steps of large images take long."""
    return 4 if side < MANY_PIXELS else 2


def found_in_minutes(side: int) -> tuple[int, int]:
    """Images of `side` px that a notebook looks for, and steps of Adam for each start, where nobody says how many."""
    return (6, 150) if side < MANY_PIXELS else (max(2, 6 * MANY_PIXELS**2 // side**2), 40)


def invert(
    render: Callable[[Tensor], Tensor],
    candidates: Tensor,
    images: Tensor,
    loss: ReconstructionLoss,
    restarts: int = 4,
    steps: int = 200,
    lr: float = 0.05,
) -> Inversion:
    """The codes whose images come nearest to given ones.

    Args:
        render: codes [n, D] -> images [n, C, S, S] in [0, 1], with gradients; on the device of `loss`.
        candidates: [M, D] codes to start from, M at least `restarts`; noises, or training latents. Each image starts
            from those whose images are nearest to it in pixels.
        images: uint8 [N, C, S, S], or voxels bool [N, S, S, S].
        loss: the loss to minimise.
        restarts: starting codes an image.
        steps: of Adam.
        lr: its step size, in units of the code.

    Raises:
        ValueError: more restarts than candidates.
    """
    start = _nearest_candidates(render, candidates, images, restarts)
    return refine(render, start, images, loss, steps, lr)


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
    targets = unit(images.to(start.device))
    at_once = images_at_once(CUDA_IMAGES if start.device.type == "cuda" else IMAGES, images.shape[-1])
    parts = [
        _last(descend(render, codes.flatten(0, 1), target.repeat_interleave(start.shape[1], 0), loss, steps, lr))
        for codes, target in zip(start.split(at_once), targets.split(at_once), strict=True)
    ]
    codes = torch.cat([part.codes for part in parts]).unflatten(0, start.shape[:2])
    values = torch.cat([part.loss for part in parts]).unflatten(0, start.shape[:2])
    return _best(render, codes, values, images.shape[-1])


def search(
    render: Callable[[Tensor], Tensor],
    candidates: Tensor,
    image: Tensor,
    loss: ReconstructionLoss,
    restarts: int = 4,
    steps: int = 200,
    lr: float = 0.05,
    every: int = 5,
) -> Iterator[Inversion]:
    """`invert` of one image, to be watched: the best of the restarts as it stands, time and again.

    Who stops listening stops the search: nothing runs on, and the networks are as they were.

    Args:
        image: uint8 [1, C, S, S], or voxels bool [1, S, S, S].
        render, candidates, loss, restarts, steps, lr: as for `invert`.
        every: steps from one report to the next, 1 or more.

    Returns:
        An iterator over the best start, the best code after every `every` steps, and at last what `invert` finds. The
        best is that of the step: with so large a step size, its loss can also rise in between.

    Raises:
        ValueError: several images at once; `every` below 1; more restarts than candidates.
    """
    if len(image) != 1 or every < 1:
        raise ValueError(f"{len(image)} images, reported every {every} steps: give one image, and 1 step or more")
    start = _nearest_candidates(render, candidates, image, restarts)[0]
    target = unit(image.to(start.device)).repeat_interleave(restarts, 0)
    descent = descend(render, start, target, loss, steps, lr)
    return (
        _best(render, stand.codes[None], stand.loss[None], image.shape[-1])
        for stand in descent
        if stand.step % every == 0 or stand.step == steps
    )


def descend(
    render: Callable[[Tensor], Tensor],
    start: Tensor,
    images: Tensor,
    loss: ReconstructionLoss,
    steps: int = 200,
    lr: float = 0.05,
) -> Iterator[Descent]:
    """Adam on codes, each for itself, with a step size that falls to zero; one `Descent` at the start and a step.

    Args:
        start: [n, D], on the device of `loss`.
        images: [n, C, S, S] in [0, 1], what each code should show.
        render, loss, steps, lr: as for `invert`.

    Yields:
        `steps` + 1 records, step 0 being the start. Each loss is computed on the way to the next step: watching every
        step costs nothing.
    """
    codes = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([codes], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps))
    wanted = loss.targets(images)
    for step in range(steps):
        optimiser.zero_grad(set_to_none=True)
        values = loss.compare(render(codes), wanted)
        yield Descent(step, codes.detach().clone(), values.detach())  # a copy: Adam changes the codes where they are
        values.sum().backward(inputs=[codes])
        optimiser.step()
        schedule.step()
    codes = codes.detach()
    with torch.no_grad():
        values = loss.compare(render(codes), wanted)
    yield Descent(steps, codes, values)


def _nearest_candidates(
    render: Callable[[Tensor], Tensor], candidates: Tensor, images: Tensor, restarts: int
) -> Tensor:
    """Codes [N, restarts, D]: for each image the candidates whose images are nearest to it in pixels."""
    if not 1 <= restarts <= len(candidates):
        raise ValueError(f"restarts is {restarts}: give 1 to {len(candidates)}, as many as there are candidates")
    with torch.no_grad():
        parts = candidates.split(images_at_once(BLOCK, images.shape[-1]))
        pixels = torch.cat([smaller(render(rows), COMPARED).flatten(1) for rows in parts])
    wanted = smaller(unit(images.to(candidates.device)), COMPARED).flatten(1)
    return candidates[nearest_neighbours(wanted, pixels, k=restarts).index]


def _last(records: Iterator[Descent]) -> Descent:
    return collections.deque(records, maxlen=1).pop()


def _best(render: Callable[[Tensor], Tensor], codes: Tensor, values: Tensor, side: int) -> Inversion:
    """Of the codes [N, restarts, D] of each image the one with the least loss [N, restarts], and its image."""
    best = values.nan_to_num(nan=torch.inf).argmin(1)  # argmin takes NaN for the least
    rows = torch.arange(len(codes), device=codes.device)
    codes, values = codes[rows, best], values[rows, best]
    with torch.no_grad():
        images = torch.cat([render(part) for part in codes.split(images_at_once(BLOCK, side))])
    return Inversion(codes.cpu(), images.mul(255).round().to(torch.uint8).cpu(), values.cpu())
