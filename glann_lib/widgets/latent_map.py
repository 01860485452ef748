"""A plane through the latents, to point at: principal components show where codes lie, near latents what lies there.

Two of 64 directions hold about an eighth of the variance, so the plane is a shadow: latents that fall on one point of
it can be far apart. The inverse of the projection would draw the few shapes that those two directions know (on MNIST 0,
1, 8 and 9, all over the plane). `LatentMap.lift` gives a code between few of the latents that fall nearest instead, so
what is drawn somewhere is what lies there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
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
        """The map of latents [N, D], put on the unit sphere and on the CPU; ValueError where N or D is below 2."""
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

        The weights are a Gaussian of the distance in the plane, narrow where latents lie close together: about three
        latents count, as the mean of many that are neighbours in the plane alone is a blur. They are
        lowered to fall to zero at the ninth latent, so that the code does not jump, wherever a point is dragged, when
        the eighth and the ninth change places. At a latent's own point that latent weighs most.
        """
        count = min(NEAREST, len(self.latents) - 1)
        found = nearest_neighbours(points.detach().cpu().float(), self.points, k=count + 1)
        reach = found.distance[:, -1:].clamp(min=torch.finfo(torch.float32).tiny)
        distance = found.distance[:, :-1] / reach  # 0 to 1
        weights = torch.exp(-0.5 * (distance / WIDTH) ** 2) - torch.exp(torch.tensor(-0.5 / WIDTH**2))
        weights = normalize(weights + torch.finfo(torch.float32).eps, p=1)  # all at one distance: each the same
        return normalize((weights[:, :, None] * self.latents[found.index[:, :-1]]).sum(1))

    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of a square with every point in it and a margin around."""
        low, high = self.points.amin(0), self.points.amax(0)
        half = (0.5 + MARGIN) * (high - low).max().item()
        x, y = ((low + high) / 2).tolist()
        return x - half, x + half, y - half, y + half
