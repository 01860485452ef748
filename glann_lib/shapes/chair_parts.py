"""A chair's numbers and names -> the few solids whose union it is: its seat, legs, back and arms.

Lengths are in sides of the cube; x runs from the chair's front to its back, y along its width, z up from the floor.
Parts overlap where they meet, and none is thinner than two voxels at size 32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from glann_lib.shapes.chair_designs import ROUND_STEM, THINNEST, Chair
from glann_lib.shapes.solids import Part

GAP = 2.0 / 32  # between bars, at least: less would close at size 32


def chair_parts(chair: Chair) -> list[Part]:
    """The solids whose union a chair is; each overlaps another, and none is thinner than 2 voxels at size 32."""
    base = {"sled": _runners, "cantilever": _runners, "disc": _pedestal, "star": _pedestal, "plinth": _plinth}
    backs = {"panel": _panel, "arch": _panel, "board": _board, "shell": _shell}
    seat = Part(chair.underside, chair.seat_height, (chair.depth / 2, chair.width / 2), corners=chair.corners)
    return [
        seat,
        *base.get(chair.legs, _four_legs)(chair),
        *backs.get(chair.back, _barred_back)(chair),
        *(_arms(chair) if chair.arms != "none" and chair.back != "shell" else ()),
    ]


def _box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Part:
    half = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    return Part(*z, half, foot=((x[0] + x[1]) / 2, (y[0] + y[1]) / 2))


def _four_legs(chair: Chair) -> Iterator[Part]:
    wider = ROUND_STEM if chair.variant else 1.0
    half, half_top = (wider * t / 2 for t in (chair.leg_thickness, chair.leg_thickness + chair.leg_taper))
    corners = 2.0 if chair.variant else math.inf
    (foot_x, foot_y), (head_x, head_y) = chair.leg_place(0), chair.leg_place()
    # Legs end inside the seat, not at its underside: touching parts may be parted by rounding.
    top = chair.underside + chair.seat_thickness / 2
    for u in (-1, 1):
        for v in (-1, 1):
            foot, head = (u * foot_x, v * foot_y), (u * head_x, v * head_y)
            yield Part(0, top, (half, half), foot, head, (half_top, half_top), corners)
    if chair.underside - chair.stretcher_height > GAP + THINNEST / 2:
        yield from _stretchers(chair)


def _stretchers(chair: Chair) -> Iterator[Part]:
    if chair.stretchers == "none":
        return
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
            yield _box((u - t / 2, u + t / 2), side, (0, chair.underside + chair.seat_thickness / 2))
    if chair.legs == "cantilever" or chair.variant:
        yield _box((x - t / 2, x + t / 2), (-y, y), (0, t))


def _pedestal(chair: Chair) -> Iterator[Part]:
    t, radius = chair.leg_thickness, 0.45 * min(chair.width, chair.depth)
    stem = ROUND_STEM * (t + chair.leg_taper) / 2
    yield Part(0, chair.underside + chair.seat_thickness / 2, (stem, stem), corners=2.0)
    if chair.legs == "disc":
        yield Part(0, t, (radius, radius), corners=2.0)
        return
    rays = (45, 135, 225, 315) if chair.variant else (0, 72, 144, 216, 288)
    for ray in rays:
        # Angles from -180 to 180, so that rays left and right are mirrored to the last digit.
        angle = math.radians(ray if ray <= 180 else ray - 360)
        centre = radius / 2 * math.cos(angle), radius / 2 * math.sin(angle)
        yield Part(0, t, (radius / 2, t / 2), foot=centre, turn=math.degrees(angle))


def _plinth(chair: Chair) -> Iterator[Part]:
    half = 0.46 * chair.depth, 0.46 * chair.width
    yield Part(0, chair.underside + chair.seat_thickness / 2, half, corners=chair.corners)


def _back_part(chair: Chair, y: tuple[float, float], z: tuple[float, float], arch: float = 0.0) -> Part:
    """A piece of the back, which leans as the back does."""
    half = chair.back_thickness / 2, (y[1] - y[0]) / 2
    middle = (y[0] + y[1]) / 2
    return Part(*z, half, (chair.back_place(z[0]), middle), (chair.back_place(z[1]), middle), arch=arch)


def _back_side(chair: Chair) -> float:
    """y of the back's right edge: no farther out than the seat's corners."""
    return min(chair.back_width, chair.width if chair.seat == "box" else (chair.reach + 0.03) * chair.width) / 2


def _back_root(chair: Chair) -> Part:
    """Ties the back to the seat, whose lean begins at the seat's top."""
    side = _back_side(chair)
    return _back_part(chair, (-side, side), (chair.seat_height - THINNEST, chair.seat_height))


def _panel(chair: Chair) -> Iterator[Part]:
    side = _back_side(chair)
    yield _back_root(chair)
    arch = 0.35 + 0.1 * chair.bars if chair.back == "arch" else 0.0
    yield _back_part(chair, (-side, side), (chair.seat_height, chair.height), arch)


def _posts(chair: Chair) -> Iterator[Part]:
    side = _back_side(chair)
    yield _back_root(chair)
    for y in ((-side, THINNEST - side), (side - THINNEST, side)):
        yield _back_part(chair, y, (chair.seat_height, chair.height))


def _board(chair: Chair) -> Iterator[Part]:
    side, rise = _back_side(chair), chair.height - chair.seat_height
    yield from _posts(chair)
    low = chair.height - max(THINNEST, (0.2 + 0.1 * chair.bars) * rise)
    yield _back_part(chair, (-side, side), (low, chair.height))


def _barred_back(chair: Chair) -> Iterator[Part]:
    """Posts and a top rail, and slats, rungs or a lower rail in between."""
    side, rise = _back_side(chair), chair.height - chair.seat_height
    yield from _posts(chair)
    yield _back_part(chair, (-side, side), (chair.height - THINNEST, chair.height))
    if chair.back == "frame":
        low = chair.seat_height + 0.08 * chair.bars * rise
        yield _back_part(chair, (-side, side), (low, low + THINNEST))
    elif chair.back == "slats":
        for y in _spread(THINNEST - side, side - THINNEST, chair.bars):
            yield _back_part(chair, y, (chair.seat_height, chair.height))
    else:
        for z in _spread(chair.seat_height, chair.height - THINNEST, chair.bars):
            yield _back_part(chair, (-side, side), z)


def _spread(low: float, high: float, bars: int) -> list[tuple[float, float]]:
    """Ends of bars spread evenly between two others, as many as leave gaps that can be seen."""
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
    t, side = chair.arm_thickness, _back_side(chair)
    front, rear = -chair.leg_place()[0], chair.back_place(chair.arm_height)
    for y in ((-side, t - side), (side - t, side)):
        if chair.arms == "solid":
            front = -chair.reach * chair.depth / 2
            yield _box((front, chair.depth / 2), y, (chair.underside, chair.arm_height))
        else:
            yield _box((front - t / 2, rear), y, (chair.arm_height - t, chair.arm_height))
            yield _box((front - t / 2, front + t / 2), y, (chair.underside, chair.arm_height))
