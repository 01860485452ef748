"""A plane through the latents, to point at: principal components show where codes lie, near latents what lies there.

Two of 64 directions hold about an eighth of the variance: latents far apart can fall on one point. The inverse of the
projection would draw few kinds of image (on MNIST 0, 1, 8 and 9, all over the plane), so `LatentMap.lift` gives a code
between few of the latents that fall nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import normalize

from glann_lib.neighbours import nearest_neighbours
from glann_lib.widgets.latent_directions import principal_directions

NEAREST = 8  # latents that a point of the plane is lifted to
WIDTH = 0.25  # of the Gaussian that weights them, as a part of the distance to the next latent after them
MARGIN = 0.05  # around the points, as a part of their extent


@dataclass(frozen=True)
class LatentMap:
    """The plane of the two largest principal components."""

    latents: Tensor  # float32 [N, D] on the unit sphere
    points: Tensor  # [N, 2], where they lie in the plane
    axes: Tensor  # [2, D], the plane's directions, orthonormal, largest variance first
    centre: Tensor  # [D], the mean of the latents, at (0, 0)
    explained: float  # part of the latents' variance that the plane holds, 0 to 1

    @classmethod
    def of(cls, latents: Tensor) -> LatentMap:
        """The map of latents [N, D], which are put on the unit sphere and the CPU; ValueError for N or D below 2."""
        if latents.dim() != 2 or min(latents.shape) < 2:
            raise ValueError(f"latents {list(latents.shape)}: a map needs 2 or more, of 2 dimensions or more")
        latents = normalize(latents.detach().cpu().float())
        axes = torch.stack([direction.vector for direction in principal_directions(latents, 2)])
        centre = latents.mean(0)
        points = (latents - centre) @ axes.T
        variance = (latents - centre).square().sum().clamp(min=torch.finfo(torch.float32).tiny)
        return cls(latents, points, axes, centre, (points.square().sum() / variance).item())

    def lift(self, points: Tensor) -> Tensor:
        """Codes [n, D] on the unit sphere for points [n, 2] of the plane: a weighted mean of the 8 nearest latents.

        The weights are a Gaussian of the distance in the plane, so narrow that about three latents count: the mean of
        many that are neighbours in the plane alone is a blur. They fall to zero at the ninth latent, so that the code
        of a dragged point does not jump where the eighth and the ninth change places.
        """
        count = min(NEAREST, len(self.latents) - 1)
        found = nearest_neighbours(points.detach().cpu().float(), self.points, k=count + 1)
        reach = found.distance[:, -1:].clamp(min=torch.finfo(torch.float32).tiny)
        distance = found.distance[:, :-1] / reach  # 0 to 1
        weights = torch.exp(-0.5 * (distance / WIDTH) ** 2) - torch.exp(torch.tensor(-0.5 / WIDTH**2))
        weights = normalize(weights + torch.finfo(torch.float32).eps, p=1)  # all at one distance: each the same
        return normalize((weights[:, :, None] * self.latents[found.index[:, :-1]]).sum(1))

    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of a square around every point, with a margin."""
        low, high = self.points.amin(0), self.points.amax(0)
        half = (0.5 + MARGIN) * (high - low).max().item()
        x, y = ((low + high) / 2).tolist()
        return x - half, x + half, y - half, y + half

    def name_places(self, labels: ArrayLike, names: dict[int, str]) -> np.ndarray:
        """Where the names of classes are written, [classes, 2]: at the means of their points, or near where it is full.

        `labels` [N] are the points'; `names` are by label, in the order of the rows.
        """
        means = np.stack([self.points.numpy()[np.asarray(labels) == label].mean(0) for label in names])
        left, right, _, _ = self.extent()
        return _apart(means, (right - left) * np.array([0.03 + 0.025 * max(map(len, names.values())), 0.06]))


def _apart(places: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Places [n, 2] pushed apart until names of that width and height [2] hardly overlap."""
    scaled = places / size
    for _ in range(100):
        gaps = scaled[:, None] - scaled
        distance = np.linalg.norm(gaps, axis=2, keepdims=True).clip(1e-9)
        scaled = scaled + 0.25 * (gaps / distance * (1 - distance).clip(0)).sum(1)
    return scaled * size
