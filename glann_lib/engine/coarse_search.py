"""Fast, inexact distances with proven bounds, to leave out almost all points of an exact search (Eq. 4).

Queries q and points p, less a common centre, are x and y. They are rounded to x' and y' in a coarse number format, and
one product of wider rows gives all half squared distances:

    s = [x', |x'|^2 / 2, 1] . [-y', 1, |y'|^2 / 2]  ~  |x' - y'|^2 / 2

Of s only the minimum of each block of points is kept. It bounds the true distance d = |x - y| of each pair:

1. Rounding moves a row by at most e = |x - x'|, so | d - |x' - y'| | <= e_x + e_y. e is measured, and u |x| is added
   for the subtraction of the centre (u: unit roundoff of the rows' format).
2. The terms of s add up to |x'| |y'| + |x'|^2 / 2 + |y'|^2 / 2 = (|x'| + |y'|)^2 / 2 in size, at most. Summed in
   float32 in any order, K terms are wrong by at most g = K v / (1 - K v) of that; once more for the sums of squares,
   which three coarse numbers then hold to within v. v is 2^-23, twice the roundoff: some units cut digits off.
3. s is rounded to the nearest number of the coarse format, a part of at most r = eps / 2 away.

So |x' - y'|^2 / 2 lies between s / (1 + r) and s / (1 - r), give or take slack (|x'| + |y'|)^2 / 2 with slack = 4 g
(2 g and a little would do; the rest is for rounding where the bounds themselves are computed). Numbers too small for
the format vanish: `SMALL`, added to e, is far more than that changes, as long as not all rows are tiny (`MAGNITUDES`).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

WIDE = 256  # numbers a row, up to which blocks are long
GROUP = 16  # blocks whose minima are put together for the upper bound
PIECES = 3  # numbers of 8 digits, bfloat16, that hold a float32
MAGNITUDES = (1e-12, 1e12)  # norms whose squares neither vanish nor overflow in float32
SMALL = 1e-15  # its square is far above the least float32, and it is far below the least of MAGNITUDES
SMALL_TILE = 2**16  # values of s
MANY_PRODUCTS = 2e10  # of single numbers; from here, 0.1 s, the choice of a format is worth its time


@dataclass(frozen=True)
class Coarse:
    """Rows in a coarse format, widened for the product."""

    rows: Tensor  # [n, D + 2 PIECES]
    size: Tensor  # [n], at least |x'|
    error: Tensor  # [n], at least e = |x - x'|

    def __getitem__(self, part: slice) -> Coarse:
        return Coarse(self.rows[part], self.size[part], self.error[part])

    @property
    def block(self) -> int:
        """Points in a block."""
        return block_length(self.rows.shape[1])

    @property
    def slack(self) -> float:
        """Part of (|x'| + |y'|)^2 / 2 that s may be wrong by, besides the rounding of s itself."""
        return slack(self.rows.shape[1])

    @property
    def rounding(self) -> float:
        """r of the module's derivation."""
        return torch.finfo(self.rows.dtype).eps / 2


def block_length(width: int) -> int:
    """Points that one minimum stands for: few of wide rows, as those of a block that is left are compared in full."""
    return 64 if width <= WIDE else 16


def slack(width: int) -> float:
    """4 g of the module's derivation; it also covers norms [width] and sums of squares, computed in float32."""
    steps = (width + 8) * 2.0**-23
    return 4 * steps / (1 - steps)


def join(parts: list[Coarse]) -> Coarse:
    """One of several, in order."""
    return Coarse(*(torch.cat([getattr(part, name) for part in parts]) for name in ("rows", "size", "error")))


def coarsen(rows: Tensor, dtype: torch.dtype, role: str) -> Coarse:
    """Rows less the centre, [n, D], as the "queries" or the "points" of a product."""
    low = rows.to(dtype)
    near = low.float()
    half = 0.5 * near.square().sum(1)
    grow = 1 + slack(rows.shape[1])
    lost = (rows - near).norm(dim=1) + torch.finfo(rows.dtype).eps * rows.norm(dim=1)
    pieces = _pieces(half, dtype)
    ones = torch.ones_like(pieces)
    wide = [low, pieces, ones] if role == "queries" else [-low, ones, pieces]
    return Coarse(torch.cat(wide, 1), near.norm(dim=1) * grow, (lost * grow).float() + SMALL)


def _pieces(values: Tensor, dtype: torch.dtype) -> Tensor:
    """[n] as [n, PIECES] numbers of another format, which add up to it."""
    pieces = []
    for _ in range(PIECES):
        pieces.append(values.to(dtype))
        values = values - pieces[-1].float()
    return torch.stack(pieces, 1)


def block_minima(queries: Coarse, points: Coarse, tile: int) -> Tensor:
    """The least s of each block of points for each query, [blocks, len(queries)], `tile` values of s at once."""
    rows = max(1, tile // (points.block * len(queries.rows))) * points.block
    return torch.cat([_minima(part, queries.rows, points.block) for part in points.rows.split(rows)])


def _minima(points: Tensor, queries: Tensor, block: int) -> Tensor:
    values = _product(points, queries).view(-1, block, len(queries))
    if values.device.type != "cpu":
        return values.amin(1).clamp(min=0)
    # As whole numbers, floats from 0 up keep their order and have no NaN to look for: 2 to 5 times as fast. Those below
    # 0 come before them all, if in another order: after the clamp that is the same.
    bits = torch.int16 if values.dtype == torch.bfloat16 else torch.int32
    return values.view(bits).amin(1).view(values.dtype).clamp(min=0)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right.T; float32 as a 1x1 convolution on processors: oneDNN's is 3 times as fast as MKL's on AMD."""
    if left.dtype != torch.float32 or left.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return left @ right.T
    images = left.view(1, 1, *left.shape).permute(0, 3, 1, 2)  # a row a pixel, channels last
    return torch.nn.functional.conv2d(images, right[:, :, None, None]).permute(0, 2, 3, 1)[0, 0].contiguous()


def formats(queries: int, points: int, width: int, tile: int, device: torch.device) -> Iterator[torch.dtype]:
    """Coarse formats in the order in which to try them: a later one leaves fewer points where an earlier left many."""
    if queries * points * width > MANY_PRODUCTS and device.type == "cpu" and _bfloat16_is_faster(width, tile):
        yield torch.bfloat16
    yield torch.float32


@functools.lru_cache
def _bfloat16_is_faster(width: int, tile: int) -> bool:
    """Whether minima in bfloat16 take less time than in float32 on this processor, on a tile of this shape."""
    if not torch.backends.mkldnn.is_available():
        return False  # torch's own product in bfloat16 is slow, and sums in it are not always float32
    small = SMALL_TILE  # first: where it alone takes longer than all in float32, the rest need not be waited for
    exact = _seconds(width, tile, torch.float32)
    return _seconds(width, small, torch.bfloat16) < exact and _seconds(width, tile, torch.bfloat16) < exact


def _seconds(width: int, tile: int, dtype: torch.dtype) -> float:
    side = max(64, int(tile**0.5) // 64 * 64)
    rows = torch.full((side, width), 0.5)
    queries, points = coarsen(rows, dtype, "queries"), coarsen(rows, dtype, "points")
    best = float("inf")
    for _ in range(4):  # the first run also sets up the kernels: the minimum leaves it out
        start = time.perf_counter()
        block_minima(queries, points, tile)
        best = min(best, time.perf_counter() - start)
    return best


def upper_bound(queries: Coarse, points: Coarse, minima: Tensor) -> Tensor:
    """[n], at least the true distance of each query's nearest point."""
    # First minima of groups of blocks: a minimum with its place takes 7 times as long as one without.
    value, group = torch.stack([part.amin(0) for part in minima.split(GROUP)]).float().min(0)
    size, error = (_maxima(values, GROUP * points.block)[group] for values in (points.size, points.error))
    spread = queries.slack * (queries.size + size).square()
    return (2 * value / (1 - queries.rounding) + spread).sqrt() + queries.error + error


def blocks_within(queries: Coarse, points: Coarse, minima: Tensor, distance: Tensor) -> Tensor:
    """Which blocks may hold a point as near as `distance` [n] to a query: bool [blocks, n].

    s / (1 + r) <= (distance + e_x + e_y)^2 / 2 + slack (|x'| + |y'|)^2 / 2, multiplied out into a product of thin
    matrices. All terms are positive: what float32 rounds here is a part of them, far below the slack.
    """
    size, error = (values.view(-1, points.block).amax(1) for values in (points.size, points.error))
    reach, part = distance + queries.error, queries.slack
    grow = (1 + part) * (1 + queries.rounding) / 2
    of_queries = [reach.square() + part * queries.size.square(), 2 * reach, 2 * part * queries.size]
    of_points = [torch.ones_like(size), error, size, error.square() + part * size.square()]
    limit = torch.stack(of_points, 1) @ torch.stack([*of_queries, torch.ones_like(reach)]).mul_(grow)
    return minima <= limit


def _maxima(values: Tensor, count: int) -> Tensor:
    """Of each `count` values; of the rest at the end, too."""
    return torch.stack([part.amax() for part in values.split(count)])
