"""Smooth paths (Sec. 1 and 4.3): how evenly do images change on the way from one noise to another?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Paths:
    """How images change on several paths, a number each, float32 [P]."""

    largest: Tensor  # largest step over the mean step: 1 where all are alike, the number of steps where one is all
    detour: Tensor  # length of the path over the distance of its ends, 1 or more: 1 where it is straight


def measure_paths(features: Tensor) -> Paths:
    """Measure paths by features of their images, [P, steps, D], 3 steps or more (else a ValueError).

    Ends that do not differ have no straight distance: their detour is 1.
    """
    if features.shape[1] < 3:
        raise ValueError(f"paths have {features.shape[1]} images: give 3 or more")
    steps = (features[:, 1:] - features[:, :-1]).norm(dim=2)
    straight = (features[:, -1] - features[:, 0]).norm(dim=1)
    largest = steps.max(1).values / steps.mean(1).clamp(min=1e-12)
    return Paths(largest, torch.where(straight > 0, steps.sum(1) / straight, 1.0))


def cross_fade(starts: Tensor, ends: Tensor, steps: int) -> Tensor:
    """The reference that needs no model: images uint8 [P, steps, C, S, S] that fade from [P, C, S, S] into others."""
    part = torch.linspace(0, 1, steps).view(1, -1, 1, 1, 1)
    return torch.lerp(starts.float().unsqueeze(1), ends.float().unsqueeze(1), part).round().to(torch.uint8)
