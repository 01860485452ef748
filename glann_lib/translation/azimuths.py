"""Directions in degrees that wrap at 360: their error the shorter way round, their sectors, and the mean of sectors."""

from __future__ import annotations

import torch

SECTORS = 24  # 15 degrees each, as in the car images of the original benchmark
WIDTH = 360 / SECTORS  # degrees; sector k is centred on k * WIDTH
# Degrees: mean and median error of a guess that is uniform over all directions, as its error is uniform on [0, 180].
CHANCE = 90.0


def azimuth_error(found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """How far directions lie apart, the shorter way round: float [N], 0 to 180, of two times float [N], degrees."""
    gap = (found - true).remainder(360)
    return torch.minimum(gap, 360 - gap)


def sectors(azimuths: torch.Tensor) -> torch.Tensor:
    """The sectors whose centres are nearest, int64 [N], 0 to 23, of float [N], degrees; a border is the upper's."""
    return (azimuths / WIDTH + 0.5).floor().long() % SECTORS


def mean_azimuth(weights: torch.Tensor) -> torch.Tensor:
    """The direction of the weighted sum of the sectors' unit vectors: their circular mean.

    Weights are float [N, 24], 0 or more: probabilities, or any multiple of them. Where they are in balance all round,
    rounding decides. Degrees come as float32 [N] in [0, 360).
    """
    angles = torch.arange(SECTORS, device=weights.device) * (2 * torch.pi / SECTORS)
    east, north = (weights.float() @ torch.stack([angles.cos(), angles.sin()], dim=1)).unbind(1)
    degrees = torch.atan2(north, east).rad2deg()
    return degrees.remainder(360).remainder(360)  # the first rounds a little below 0 up to 360 itself
