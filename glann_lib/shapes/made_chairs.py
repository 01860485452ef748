"""Chairs as solid voxels, made by rule: a data set of 3D shapes that needs no download and has no end.

A chair's design becomes the few solids whose union it is, and these are evaluated at the voxels' centres; a pose turns
those points, not the voxels. Lengths and axes are those of `chair_designs`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from glann_lib.shapes.chair_designs import ROUND_STEM, THINNEST, Chair, Span, draw_chair
from glann_lib.shapes.solids import Part

SMALLEST = 16  # voxels a side
MOST_POSES = 12
GAP = 2.0 / 32  # between bars, at least: less would close at size 32


def make_chairs(first: int, count: int, size: int, poses: int = 1) -> np.ndarray:
    """Chairs `first` to `first` + `count` - 1 as bool [count * poses, size, size, size], each chair's poses together.

    An unturned chair faces the negative x direction. Its bounding box is centred in the cube; the longest side takes
    3/4 of it, or a little less where turned corners would leave the cube. Pose k of 1 to 12 is turned by k * 360 /
    poses degrees about the vertical axis, counter-clockwise seen from above. The size is 16 voxels a side or more; from
    32 on parts are 2 or more thick and a chair is one connected solid, below some fall apart. ValueError for a negative
    number or count, a size or poses out of range.
    """
    if first < 0 or count < 0:
        raise ValueError(f"{count} chairs from number {first} on: give numbers of 0 or more")
    if size < SMALLEST:
        raise ValueError(f"{size} voxels a side are too few for a chair: give {SMALLEST} or more")
    if not 1 <= poses <= MOST_POSES:
        raise ValueError(f"{poses} poses a chair: give 1 to {MOST_POSES}")
    shapes = np.zeros((count, poses, size, size, size), dtype=bool)
    for number, chair_shapes in enumerate(shapes, start=first):
        parts = chair_parts(draw_chair(number))
        for pose, shape in enumerate(chair_shapes):
            _fill(shape, parts, 2 * math.pi * pose / poses)
    return shapes.reshape(-1, size, size, size)


def _fill(shape: np.ndarray, parts: list[Part], angle: float) -> None:
    """Set the voxels [S, S, S] whose centres lie in a part; the angle is in radians."""
    size = len(shape)
    corners = np.stack([part.corner_points() for part in parts])  # [P, 8, 3]
    corners -= (corners.min((0, 1)) + corners.max((0, 1))) / 2
    middle = parts[0].corner_points()[0] - corners[0, 0]
    cos, sin = math.cos(angle), math.sin(angle)
    turned = corners @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    # Only the voxels in the box around a part are looked at.
    starts = np.ceil((turned.min(1) + 0.5) * size - 0.5).astype(int).clip(0, size)
    ends = np.floor((turned.max(1) + 0.5) * size + 0.5).astype(int).clip(0, size)
    centres = (np.arange(size) + 0.5) / size - 0.5
    x = cos * centres[:, None, None] + sin * centres[None, :, None] + middle[0]
    y = cos * centres[None, :, None] - sin * centres[:, None, None] + middle[1]
    z = centres + middle[2]
    for part, start, end in zip(parts, starts, ends, strict=True):
        i, j, k = (slice(*pair) for pair in zip(start, end, strict=True))
        shape[i, j, k] |= part.holds(x[i, j], y[i, j], z[k])


def chair_parts(chair: Chair) -> list[Part]:
    """The solids whose union a chair is; each overlaps another, and none is thinner than 2 voxels at size 32."""
    seat = Part(chair.underside, chair.seat_height, (chair.depth / 2, chair.width / 2), corners=chair.corners)
    base = {"sled": _runners, "cantilever": _runners, "disc": _pedestal, "star": _pedestal, "plinth": _plinth}
    parts = [seat, *base.get(chair.legs, _four_legs)(chair)]
    if chair.back == "shell":
        return [*parts, *_shell(chair)]
    return [*parts, *_back(chair), *_arms(chair)]


def _box(x: Span, y: Span, z: Span) -> Part:
    half = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    return Part(*z, half, foot=((x[0] + x[1]) / 2, (y[0] + y[1]) / 2))


def _four_legs(chair: Chair) -> Iterator[Part]:
    wider = ROUND_STEM if chair.variant else 1.0
    half, half_top = (wider * t / 2 for t in (chair.leg_thickness, chair.leg_thickness + chair.leg_taper))
    corners = 2.0 if chair.variant else math.inf
    (foot_x, foot_y), (head_x, head_y) = chair.leg_place(0), chair.leg_place()
    for u in (-1, 1):
        for v in (-1, 1):
            foot, head = (u * foot_x, v * foot_y), (u * head_x, v * head_y)
            yield Part(0, chair.leg_top, (half, half), foot, head, (half_top, half_top), corners)
    if chair.stretchers != "none" and chair.underside - chair.stretcher_height > GAP + THINNEST / 2:
        yield from _stretchers(chair)


def _stretchers(chair: Chair) -> Iterator[Part]:
    half, z = THINNEST / 2, chair.stretcher_height
    x, y = chair.leg_place(z)
    for v in (-y, y):
        yield _box((-x, x), (v - half, v + half), (z - half, z + half))
    for u in {"bridge": (0,), "around": (-x, x)}.get(chair.stretchers, ()):
        yield _box((u - half, u + half), (-y, y), (z - half, z + half))


def _runners(chair: Chair) -> Iterator[Part]:
    """Two bars on the floor; a cantilever seat is held at its front only, a sled's at both ends."""
    t = chair.leg_thickness
    x, y = chair.leg_place()
    for v in (-y, y):
        side = v - t / 2, v + t / 2
        yield _box((-x - t / 2, x + t / 2), side, (0, t))
        for u in (-x,) if chair.legs == "cantilever" else (-x, x):
            yield _box((u - t / 2, u + t / 2), side, (0, chair.leg_top))
    if chair.legs == "cantilever" or chair.variant:
        yield _box((x - t / 2, x + t / 2), (-y, y), (0, t))


def _pedestal(chair: Chair) -> Iterator[Part]:
    t, radius = chair.leg_thickness, 0.45 * min(chair.width, chair.depth)
    stem = ROUND_STEM * (t + chair.leg_taper) / 2
    yield Part(0, chair.leg_top, (stem, stem), corners=2.0)
    if chair.legs == "disc":
        yield Part(0, t, (radius, radius), corners=2.0)
        return
    for ray in (45, 135, 225, 315) if chair.variant else (0, 72, 144, 216, 288):
        # Angles from -180 to 180, so that rays left and right are mirrored to the last digit.
        angle = math.radians(ray if ray <= 180 else ray - 360)
        centre = radius / 2 * math.cos(angle), radius / 2 * math.sin(angle)
        yield Part(0, t, (radius / 2, t / 2), foot=centre, turn=math.degrees(angle))


def _plinth(chair: Chair) -> Iterator[Part]:
    yield Part(0, chair.leg_top, (0.46 * chair.depth, 0.46 * chair.width), corners=chair.corners)


def _back(chair: Chair) -> Iterator[Part]:
    """A panel, or posts and bars, that lean from the seat's top on, and a root that ties them to the seat."""
    y, low, high = (-chair.back_side, chair.back_side), chair.seat_height, chair.height
    yield _leaning(chair, y, (low - THINNEST, low))
    if chair.back in ("panel", "arch"):
        yield _leaning(chair, y, (low, high), 0.35 + 0.1 * chair.bars if chair.back == "arch" else 0.0)
        return
    for post in ((y[0], THINNEST + y[0]), (y[1] - THINNEST, y[1])):
        yield _leaning(chair, post, (low, high))
    for bar in _bars(chair, y, (low, high)):
        yield _leaning(chair, *bar)


def _leaning(chair: Chair, y: Span, z: Span, arch: float = 0.0) -> Part:
    half = chair.back_thickness / 2, (y[1] - y[0]) / 2
    middle = (y[0] + y[1]) / 2
    return Part(*z, half, (chair.back_place(z[0]), middle), (chair.back_place(z[1]), middle), arch=arch)


def _bars(chair: Chair, y: Span, z: Span) -> Iterator[tuple[Span, Span]]:
    """y and z of a board, or of a top rail and slats, rungs or a lower rail."""
    (low, high), rise = z, z[1] - z[0]
    if chair.back == "board":
        yield y, (high - max(THINNEST, (0.2 + 0.1 * chair.bars) * rise), high)
        return
    yield y, (high - THINNEST, high)
    if chair.back == "frame":
        rail = low + 0.08 * chair.bars * rise
        yield y, (rail, rail + THINNEST)
    elif chair.back == "slats":
        yield from ((slat, z) for slat in _spread(y[0] + THINNEST, y[1] - THINNEST, chair.bars))
    else:
        yield from ((y, rung) for rung in _spread(low, high - THINNEST, chair.bars))


def _spread(low: float, high: float, bars: int) -> list[Span]:
    """Ends of evenly spread bars, as many as leave gaps that can be seen."""
    count = max(0, min(bars, int((high - low - GAP) / (THINNEST + GAP))))
    gap = (high - low - count * THINNEST) / (count + 1)
    starts = [low + gap + bar * (gap + THINNEST) for bar in range(count)]
    return [(start, start + THINNEST) for start in starts]


def _shell(chair: Chair) -> Iterator[Part]:
    """A back that follows the seat's rear edge; with arms, a lower rim goes on to the front."""
    half, wall = (chair.depth / 2, chair.width / 2), chair.back_thickness
    yield Part(chair.underside, chair.height, half, corners=chair.corners, wall=wall, cut=0.15)
    if chair.arms != "none":
        yield Part(chair.underside, chair.arm_height, half, corners=chair.corners, wall=wall, cut=-0.6)


def _arms(chair: Chair) -> Iterator[Part]:
    t, side, top = chair.arm_thickness, chair.back_side, chair.arm_height
    front, rear = -chair.leg_place()[0], chair.back_place(top)
    for y in ((-side, t - side), (side - t, side)) if chair.arms != "none" else ():
        if chair.arms == "solid":
            yield _box((-chair.reach * chair.depth / 2, chair.depth / 2), y, (chair.underside, top))
        else:
            yield _box((front - t / 2, rear), y, (top - t, top))
            yield _box((front - t / 2, front + t / 2), y, (chair.underside, top))
