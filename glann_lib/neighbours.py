"""Exact nearest neighbours in bounded memory (Eq. 4).

One neighbour a query: `coarse_search` bounds all distances, and the few points that may be nearest are compared one by
one. So the answer is that of comparing each pair, whatever the coarse format.
Several neighbours: ||q - p||^2 = ||q||^2 - 2 q.p + ||p||^2, and ||q||^2 does not change which p is nearest: one matrix
product a tile gives half of the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from glann_lib.engine import coarse_search, ranks
from glann_lib.engine.coarse_search import Coarse

TILE = 3_000_000  # distances held at once; 2 to 4 million floats stay in a processor's cache and are fastest there
CUDA_TILE = 1 << 27  # so many that starting the kernels takes no time
QUERIES_AT_ONCE = 1024
CUDA_QUERIES_AT_ONCE = 8192
FEW_NUMBERS = 1 << 21  # of all differences; rows are compared one by one up to here
MOST_BLOCKS = 16  # left a query by a coarse search, on average; with more, a finer one is less work
FIRST_PART = 32  # of the points, this part first: it shows how many of the others are needed


@dataclass(frozen=True)
class Neighbours:
    """The k nearest points of each query, nearest first: row numbers [N, k] and Euclidean distances [N, k]."""

    index: Tensor
    distance: Tensor


def nearest_neighbours(queries: Tensor, points: Tensor, k: int = 1) -> Neighbours:
    """The k points nearest to each query by Euclidean distance; for k = 1 equal to comparing each pair.

    For more, points whose squared distances differ by less than the rounding of |p|^2, p counted from the points' mean,
    can be taken for one another.

    Args:
        queries: [N, D], floating point.
        points: [M, D], on the same device.
        k: neighbours a query, 1 to M. For k = 1 the index is that of the least sum of squared differences in the
            rows' own format, of equal ones the lowest.

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
    with torch.no_grad(), _full_precision(queries.device):
        # The search by bounds was never run on Apple's GPUs, whose torch lacks some operations on whole numbers.
        bounded = k == 1 and queries.device.type != "mps"
        index = _nearest(queries, points)[:, None] if bounded else _several(queries, points, k)
    # Distances anew from the differences: the expanded form loses digits where neighbours are close.
    rows = max(1, _tile(queries.device) // (k * points.shape[1]))
    pairs = zip(queries.split(rows), index.split(rows), strict=True)
    distance, order = torch.cat([(q[:, None] - points[i]).norm(dim=2) for q, i in pairs]).sort(dim=1, stable=True)
    return Neighbours(index.gather(1, order), distance)


@contextlib.contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Products of float32 in float32, whatever the caller allows: the bounds count on it."""
    precision = torch.get_float32_matmul_precision()
    if precision != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if precision != "highest":
            torch.set_float32_matmul_precision(precision)


def _several(queries: Tensor, points: Tensor, k: int) -> Tensor:
    """Row numbers [N, k] of the nearest points."""
    centre = _centre(points)
    centred = points - centre
    half_norms = 0.5 * centred.square().sum(1)
    at_once = queries.split(_queries_at_once(queries.device))
    return torch.cat([_topk(q - centre, centred, half_norms, k) for q in at_once])


def _centre(rows: Tensor) -> Tensor:
    """Where rows are far from 0, their norms would drown the differences. Rounded: whole numbers stay exact."""
    return rows.mean(0).bfloat16().to(rows.dtype)


def _topk(queries: Tensor, points: Tensor, half_norms: Tensor, k: int) -> Tensor:
    """Row numbers [n, k] of the nearest points, tile by tile."""
    width = max(k, _tile(queries.device) // len(queries))
    best_value = queries.new_full((len(queries), k), float("inf"))
    best_index = torch.zeros(len(queries), k, dtype=torch.long, device=queries.device)
    for start in range(0, len(points), width):
        tile = points[start : start + width]
        half = torch.addmm(half_norms[start : start + width], queries, tile.T, alpha=-1)
        value, index = half.topk(min(k, half.shape[1]), dim=1, largest=False)
        value, index = torch.cat([best_value, value], 1), torch.cat([best_index, index + start], 1)
        best_value, order = value.topk(k, dim=1, largest=False)
        best_index = index.gather(1, order)
    return best_index


def _nearest(queries: Tensor, points: Tensor) -> Tensor:
    """Row numbers [N] of the nearest points; of equally near ones the lowest."""
    few = len(queries) * points.numel() <= FEW_NUMBERS
    queries, points = queries.contiguous(), points.contiguous()  # sums of the same numbers always come in one order
    if few or queries.dtype != points.dtype or queries.dtype not in (torch.float32, torch.float64):
        return _compare_all(queries, points)
    centre = _centre(queries)  # the nearest points lie around the queries: there few digits are lost
    sizes = [_norms(rows, centre) for rows in (queries, points)]
    low, high = coarse_search.MAGNITUDES
    if not low < max(size.max().item() for size in sizes) < high:
        return _compare_all(queries, points)
    return _Search(queries, points, centre, *sizes).run()


def _tile(device: torch.device) -> int:
    return CUDA_TILE if device.type == "cuda" else TILE // ranks.count()  # who share a processor share its cache


def _queries_at_once(device: torch.device) -> int:
    return CUDA_QUERIES_AT_ONCE if device.type == "cuda" else QUERIES_AT_ONCE


def _norms(rows: Tensor, centre: Tensor) -> Tensor:
    return torch.cat([(part - centre).norm(dim=1) for part in rows.split(max(1, _tile(rows.device) // rows.shape[1]))])


class _Search:
    """One search by coarse bounds.

    Points whose norm |y| is near the queries' usual norm m come first: as |x - y| >= | |x| - |y| |, the points after
    some place are too far from all queries of a tile.

    Args:
        queries, points: [N, D], [M, D].
        centre: [D], subtracted from both.
        query_sizes, point_sizes: norms after that, [N] and [M].
    """

    def __init__(self, queries: Tensor, points: Tensor, centre: Tensor, query_sizes: Tensor, point_sizes: Tensor):
        self.queries, self.points, self.centre, self.query_sizes = queries, points, centre, query_sizes
        self.tile = _tile(queries.device)
        self.usual = query_sizes.mean()
        self.gap, order = (point_sizes - self.usual).abs().sort(stable=True)
        # The width of Coarse.rows, on which the length of blocks depends.
        self.block = coarse_search.block_length(points.shape[1] + 2 * coarse_search.PIECES)
        spare = order[-1:].expand(-len(order) % self.block)  # blocks are filled up with the last point
        self.order = torch.cat([order, spare])
        self.at_once = max(1, min(_queries_at_once(queries.device), 2 * self.tile // (len(self.order) // self.block)))
        self.coarse_points: dict[torch.dtype, Coarse] = {}

    def run(self) -> Tensor:
        """Row numbers [N]."""
        shape = (len(self.queries), len(self.points), self.queries.shape[1], self.tile, self.queries.device)
        formats = list(coarse_search.formats(*shape))
        tiles = zip(self.queries.split(self.at_once), self.query_sizes.split(self.at_once), strict=True)
        return torch.cat([self._nearest(queries, sizes, formats) for queries, sizes in tiles])

    def _nearest(self, queries: Tensor, sizes: Tensor, formats: list[torch.dtype]) -> Tensor:
        for dtype in formats:
            within = self._within(queries, sizes, dtype)
            if within.count_nonzero() <= MOST_BLOCKS * len(queries):
                return self._compare(queries, *within.nonzero().unbind(1))
        return _compare_all(queries, self.points)

    def _within(self, queries: Tensor, sizes: Tensor, dtype: torch.dtype) -> Tensor:
        """Which blocks may hold the nearest point of each query: bool [blocks, n], without those of far points."""
        points, coarse = self._points(dtype), coarse_search.coarsen(queries - self.centre, dtype, "queries")
        blocks = len(self.order) // self.block
        minima, done, needed = [], 0, -(-blocks // FIRST_PART)
        while done < needed:
            part = points[done * self.block : needed * self.block]
            minima.append(coarse_search.block_minima(coarse, part, self.tile))
            done = needed
            found, seen = torch.cat(minima), points[: done * self.block]
            # The least computed distance may be that of a point a little farther than the nearest.
            bound = coarse_search.upper_bound(coarse, seen, found) * (1 + coarse.slack)
            needed = min(blocks, self._needed(sizes, bound))
        return coarse_search.blocks_within(coarse, seen, found, bound)

    def _needed(self, sizes: Tensor, bound: Tensor) -> int:
        """Blocks that may hold a point within `bound` [n] of its query: | |y| - m | <= | |y| - |x| | + | |x| - m |."""
        part = coarse_search.slack(self.points.shape[1])  # of the norms, which are rounded
        reach = bound + (sizes - self.usual).abs() + part * (sizes + 2 * self.usual + bound)
        places = torch.searchsorted(self.gap, (reach.max() * (1 + part)).to(self.gap.dtype), right=True)
        return -(-int(places) // self.block)

    def _points(self, dtype: torch.dtype) -> Coarse:
        if dtype not in self.coarse_points:
            parts = self.order.split(max(1, self.tile // self.points.shape[1]))
            rows = (self.points[part] - self.centre for part in parts)
            self.coarse_points[dtype] = coarse_search.join([coarse_search.coarsen(r, dtype, "points") for r in rows])
        return self.coarse_points[dtype]

    def _compare(self, queries: Tensor, block: Tensor, query: Tensor) -> Tensor:
        """Row numbers [n] of the points nearest to queries [n, D] among their blocks, of equals the lowest."""
        members = self.order.view(-1, self.block)
        at_once = max(1, self.tile // (self.block * self.points.shape[1]))
        pairs = zip(block.split(at_once), query.split(at_once), strict=True)
        parts = [self._least_of(queries[q], members[b]) for b, q in pairs]
        value, index = (torch.cat(part) for part in zip(*parts, strict=True))
        best = value.new_full((len(queries),), float("inf")).scatter_reduce(0, query, value, "amin")
        index = torch.where(value == best[query], index, len(self.points))
        return index.new_full((len(queries),), len(self.points)).scatter_reduce(0, query, index, "amin")

    def _least_of(self, queries: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """`_least` of queries [n, D] and the points of row numbers [n, m]."""
        # index_select takes a quarter of the time of points[rows].
        points = self.points.index_select(0, rows.flatten()).view(*rows.shape, -1)
        return _least(points.sub_(queries[:, None]), rows)


def _least(difference: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Least sums of squares [n] of `difference` [n, m, D], which is used up; the lowest row number [n] with each."""
    distance = difference.square_().sum(2)
    value = distance.amin(1)
    return value, torch.where(distance == value[:, None], rows, torch.iinfo(rows.dtype).max).amin(1)


def _compare_all(queries: Tensor, points: Tensor) -> Tensor:
    """Row numbers [n] of the nearest of all points [M, D], pair by pair; of equals the lowest."""
    width, tile = max(1, points.shape[1]), _tile(points.device)
    wide = max(1, min(len(points), tile // width))
    return torch.cat([_compare_some(q, points, wide) for q in queries.split(max(1, tile // (wide * width)))])


def _compare_some(queries: Tensor, points: Tensor, wide: int) -> Tensor:
    """`_compare_all` of a few queries, `wide` points at a time."""
    rows = torch.arange(len(points), device=points.device)
    parts = [
        _least(queries[:, None] - part, numbers)
        for part, numbers in zip(points.split(wide), rows.split(wide), strict=True)
    ]
    values, index = (torch.stack(part) for part in zip(*parts, strict=True))
    return torch.where(values == values.amin(0), index, len(points)).amin(0)
