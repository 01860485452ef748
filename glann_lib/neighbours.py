"""Exact nearest neighbours in bounded memory (Eq. 4).

||q - p||^2 = ||q||^2 - 2 q.p + ||p||^2, and ||q||^2 does not change which p is nearest: one matrix product a tile gives
half of the rest. Only one tile of distances is held at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TILE = 3_000_000  # distances held at once; 2 to 4 million floats stay in a processor's cache and are fastest there
QUERIES_AT_ONCE = 1024


@dataclass(frozen=True)
class Neighbours:
    """The k nearest points of each query, nearest first: row numbers [N, k] and Euclidean distances [N, k]."""

    index: Tensor
    distance: Tensor


def nearest_neighbours(queries: Tensor, points: Tensor, k: int = 1) -> Neighbours:
    """The k points nearest to each query by Euclidean distance; equal to comparing each pair.

    Args:
        queries: [N, D], floating point.
        points: [M, D], on the same device.
        k: neighbours a query, 1 to M.

    Raises:
        ValueError: different widths, k out of range, or a value that is not finite (indices found among NaN are
            garbage, so none are returned).
    """
    if queries.dim() != 2 or points.dim() != 2 or queries.shape[1] != points.shape[1]:
        raise ValueError(f"queries {list(queries.shape)} and points {list(points.shape)} must be rows of one width")
    if not 1 <= k <= len(points):
        raise ValueError(f"{k} neighbours asked for among {len(points)} points: give k from 1 to {len(points)}")
    for name, rows in (("queries", queries), ("points", points)):
        if not torch.isfinite(rows).all():
            raise ValueError(f"the {name} hold values that are not finite: train with a smaller learning rate")

    if not len(queries):
        return Neighbours(torch.empty(0, k, dtype=torch.long, device=points.device), queries.new_empty(0, k))
    # Where points are far from 0, their norms would drown the differences. Rounded, so that whole numbers stay exact.
    centre = points.mean(0).bfloat16().to(points.dtype)
    centred = points - centre
    half_norms = 0.5 * centred.square().sum(1)
    index = torch.cat([_search(q - centre, centred, half_norms, k) for q in queries.split(QUERIES_AT_ONCE)])
    # Distances anew from the differences: the expanded form loses digits where neighbours are close.
    rows = max(1, TILE // (k * points.shape[1]))
    pairs = zip(queries.split(rows), index.split(rows), strict=True)
    distance, order = torch.cat([(q[:, None] - points[i]).norm(dim=2) for q, i in pairs]).sort(dim=1, stable=True)
    return Neighbours(index.gather(1, order), distance)


def _search(queries: Tensor, points: Tensor, half_norms: Tensor, k: int) -> Tensor:
    """Row numbers [n, k] of the nearest points, tile by tile; of equal ones the lower number wins."""
    width = max(k, TILE // len(queries))
    best_value = queries.new_full((len(queries), k), float("inf"))
    best_index = torch.zeros(len(queries), k, dtype=torch.long, device=queries.device)
    for start in range(0, len(points), width):
        tile = points[start : start + width]
        half = torch.addmm(half_norms[start : start + width], queries, tile.T, alpha=-1)
        if k == 1:
            value, index = half.min(1, keepdim=True)
            closer = value < best_value
            best_value, best_index = (
                torch.where(closer, value, best_value),
                torch.where(closer, index + start, best_index),
            )
        else:
            value, index = half.topk(min(k, half.shape[1]), dim=1, largest=False)
            value, index = torch.cat([best_value, value], 1), torch.cat([best_index, index + start], 1)
            best_value, order = value.topk(k, dim=1, largest=False)
            best_index = index.gather(1, order)
    return best_index
