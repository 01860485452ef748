"""Chairs as solid voxels, made by rule: a data set of 3D shapes that needs no download and has no end.

Chair number i is drawn by a random generator of its own, so it is the same whoever asks for it, and at every size. A
chair is a union of a few analytic parts, evaluated at the voxels' centres; a pose turns those points, not the voxels.
Lengths are in sides of the cube; x runs from the chair's front to its back, y along its width, z up from the floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

LONGEST = 0.75  # the bounding box's longest side: 24 of 32 voxels
DIAGONAL = 0.98  # of the bounding box seen from above, at most: every turn stays inside the cube
THINNEST = 2.1 / 32  # any less, and a part may be one voxel thin at size 32
GAP = 2.0 / 32  # between bars, at least: less would close at size 32
SMALLEST = 16  # voxels a side
MOST_POSES = 12
CORNERS = {"box": math.inf, "rounded": 4.0, "round": 2.0}  # exponent of the outline |x|^p + |y|^p = 1
ROUND_STEM = 1.2  # a round stem of this many thicknesses across holds as many voxels as a square one


@dataclass(frozen=True)
class Part:
    """A solid whose level cross-section has one outline; on its way up it may move in a straight line and taper."""

    low: float  # z of its underside
    high: float  # z of its top
    half: tuple[float, float]  # half its length along x and y, at the underside
    foot: tuple[float, float] = (0.0, 0.0)  # x and y of its centre at the underside
    head: tuple[float, float] | None = None  # the same at its top; None: straight above
    half_top: tuple[float, float] | None = None  # half its length along x and y at its top; None: no taper
    corners: float = math.inf  # exponent of the outline: inf is a box, 2 an ellipse
    turn: float = 0.0  # degrees, counter-clockwise from above, about its centre
    arch: float = 0.0  # part of its height in which its sides close in half an ellipse
    wall: float = 0.0  # thickness of the rim that is left of it; 0: it is solid
    cut: float = 0.0  # where the rim begins, from -1 at its front to 1 at its back

    def corner_points(self) -> np.ndarray:
        """x, y and z of the 8 corners of the boxes around both ends: [8, 3]."""
        cos, sin = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        ends = (
            (self.foot, self.half, self.low),
            (self.head or self.foot, self.half_top or self.half, self.high),
        )
        return np.array(
            [
                (x + cos * u * half_x - sin * v * half_y, y + sin * u * half_x + cos * v * half_y, z)
                for (x, y), (half_x, half_y), z in ends
                for u in (-1, 1)
                for v in (-1, 1)
            ]
        )

    def holds(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Which points lie inside: bool [X, Y, Z] from x [X, Y, 1], y [X, Y, 1] and z [Z] between low and high."""
        rise = (z - self.low) / (self.high - self.low)
        foot, head = self.foot, self.head or self.foot
        half, half_top = self.half, self.half_top or self.half
        x = x - (foot[0] + rise * (head[0] - foot[0]))
        y = y - (foot[1] + rise * (head[1] - foot[1]))
        if self.turn:
            cos, sin = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
            x, y = cos * x + sin * y, cos * y - sin * x
        half_x, half_y = (half[axis] + rise * (half_top[axis] - half[axis]) for axis in (0, 1))
        if self.arch:
            closed = np.clip((rise - 1) / self.arch + 1, 0, 1)
            half_y = half_y * np.sqrt(1 - closed**2)
        inside = self._outlined(x, y, half_x, half_y)
        if self.wall:
            inside &= ~self._outlined(x, y, half_x - self.wall, half_y - self.wall) & (x >= self.cut * half_x)
        return inside

    def _outlined(self, x: np.ndarray, y: np.ndarray, half_x: np.ndarray, half_y: np.ndarray) -> np.ndarray:
        if math.isinf(self.corners):
            return (np.abs(x) <= half_x) & (np.abs(y) <= half_y)
        return np.abs(x / half_x) ** self.corners + np.abs(y / half_y) ** self.corners <= 1


@dataclass(frozen=True)
class Family:
    """A kind of chair: ranges of its lengths, and names to choose among (one that stands twice is twice as likely)."""

    seat_height: tuple[float, float]  # cm, of the seat's top
    rise: tuple[float, float]  # cm from there to the top of the back
    width: tuple[float, float]  # cm
    depth: tuple[float, float]  # cm
    cushion: tuple[float, float]  # the seat's thickness, in sides of the cube
    lean: tuple[float, float]  # degrees that the back leans backwards
    seats: tuple[str, ...]
    legs: tuple[str, ...]
    backs: tuple[str, ...]
    arms: tuple[str, ...]
    stretchers: tuple[str, ...] = ("none",)


FAMILIES: dict[str, Family] = {
    "dining": Family(
        seat_height=(42, 50), rise=(28, 62), width=(40, 56), depth=(40, 54), cushion=(0.066, 0.1), lean=(0, 15),
        seats=("box", "box", "rounded", "round"), legs=("straight", "straight", "splayed", "splayed", "sled"),
        backs=("panel", "arch", "board", "slats", "slats", "ladder", "ladder", "frame", "shell"),
        arms=("none", "none", "bars"), stretchers=("none", "none", "sides", "bridge", "around"),
    ),
    "lounge": Family(
        seat_height=(32, 42), rise=(38, 62), width=(54, 72), depth=(52, 66), cushion=(0.066, 0.13), lean=(12, 26),
        seats=("box", "rounded"), legs=("straight", "splayed", "splayed", "sled", "cantilever"),
        backs=("panel", "panel", "arch", "slats", "ladder", "frame"), arms=("none", "bars", "bars"),
    ),
    "armchair": Family(
        seat_height=(38, 46), rise=(32, 66), width=(68, 92), depth=(60, 78), cushion=(0.13, 0.24), lean=(0, 16),
        seats=("box", "box", "rounded"), legs=("straight", "straight", "splayed", "plinth"),
        backs=("panel", "panel", "arch", "shell"), arms=("solid", "solid", "solid", "none"),
    ),
    "sofa": Family(
        seat_height=(38, 46), rise=(32, 48), width=(105, 145), depth=(62, 80), cushion=(0.09, 0.16), lean=(0, 14),
        seats=("box",), legs=("straight", "straight", "plinth"), backs=("panel", "arch"), arms=("solid",),
    ),
    "swivel": Family(
        seat_height=(42, 54), rise=(30, 60), width=(44, 60), depth=(42, 56), cushion=(0.066, 0.12), lean=(0, 16),
        seats=("box", "rounded", "round", "round"), legs=("disc", "star", "star"),
        backs=("panel", "arch", "board", "frame", "shell"), arms=("none", "none", "bars", "solid"),
    ),
    "cantilever": Family(
        seat_height=(42, 50), rise=(34, 56), width=(44, 58), depth=(44, 56), cushion=(0.066, 0.1), lean=(4, 18),
        seats=("box", "rounded"), legs=("cantilever", "cantilever", "sled"),
        backs=("panel", "board", "arch", "frame", "ladder"), arms=("none", "bars"),
    ),
    "bar": Family(
        seat_height=(62, 76), rise=(16, 38), width=(40, 50), depth=(40, 48), cushion=(0.066, 0.1), lean=(0, 12),
        seats=("box", "rounded", "round"), legs=("straight", "splayed", "splayed", "disc", "sled"),
        backs=("panel", "arch", "frame", "shell", "slats"), arms=("none",), stretchers=("around", "sides", "bridge"),
    ),
}  # fmt: skip
SHARES = ("dining",) * 8 + ("lounge",) * 3 + ("armchair",) * 4 + ("sofa",) + ("swivel",) * 3 + ("cantilever", "bar") * 2


@dataclass(frozen=True)
class Chair:
    """What a chair is made from; all lengths in sides of the cube."""

    height: float  # from the floor to the top of the back
    width: float  # of the seat, arms included
    depth: float  # of the seat
    seat: str  # a key of CORNERS
    seat_height: float  # of the seat's top
    seat_thickness: float
    legs: str  # straight, splayed, sled, cantilever, disc, star or plinth
    leg_thickness: float  # at the floor
    leg_taper: float  # by how much legs are thicker below the seat
    splay: float  # by how much feet stand farther out than the legs' tops
    variant: bool  # round legs, a star of 4 rays rather than 5, or a sled with a bar across its rear
    stretchers: str  # none, sides, bridge (one between the sides) or around
    stretcher_height: float  # of its centre
    back: str  # panel, arch, board, slats, ladder, frame or shell
    back_width: float
    back_thickness: float
    lean: float  # by how much the back's top is farther back than its foot
    bars: int  # slats or rungs, at most
    arms: str  # none, bars or solid
    arm_height: float  # of the arms' top
    arm_thickness: float

    @property
    def corners(self) -> float:
        """Exponent of the seat's outline."""
        return CORNERS[self.seat]

    @property
    def reach(self) -> float:
        """How far out the seat's corners lie, as a part of half its width: 1 for a box."""
        return 2 ** (-1 / self.corners)

    @property
    def underside(self) -> float:
        """Height of the seat's underside."""
        return self.seat_height - self.seat_thickness

    def leg_place(self, height: float = math.inf) -> tuple[float, float]:
        """x and y of the centre of the rear right leg at a height; below the seat's underside it may be splayed."""
        top = (ROUND_STEM if self.variant else 1) * (self.leg_thickness + self.leg_taper)
        out = self.splay * max(0.0, 1 - height / self.underside)
        inset = (0.3 if self.seat == "round" else 0.5) * top  # a round seat has little room between its legs
        return tuple(self.reach * side / 2 - inset + out for side in (self.depth, self.width))

    def back_place(self, height: float) -> float:
        """x of the centre of the back at a height; below the seat's top it is upright."""
        foot = (self.reach if self.seat == "round" else 1) * self.depth / 2 - self.back_thickness / 2
        return foot + self.lean * max(0.0, height - self.seat_height) / (self.height - self.seat_height)


def make_chairs(first: int, count: int, size: int, poses: int = 1) -> np.ndarray:
    """Chairs `first` to `first` + `count` - 1 as voxels; the chairs of one number are the same at every call.

    In the unturned pose a chair faces the negative x direction: its back stands at high x. Its bounding box is centred
    in the cube; the longest side takes 3/4 of it, or a little less where turned corners would leave the cube.

    Args:
        first: number of the first chair, 0 or more.
        count: how many chairs.
        size: voxels a side, 16 or more; more voxels show the same shape finer. From 32 on parts are 2 or more thick
            and a chair is one connected solid; at less, some fall apart.
        poses: turns of each chair about the vertical axis through the cube's centre, 1 to 12. Pose k is turned by
            k * 360 / poses degrees, counter-clockwise seen from above.

    Returns:
        bool [count * poses, size, size, size], axes x, y, z with z up; the poses of a chair follow one another.

    Raises:
        ValueError: a negative number or count, a size or poses out of range.
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


def _fill(shape: np.ndarray, parts: Sequence[Part], angle: float) -> None:
    """Set the voxels [S, S, S] whose centres lie in a part, all parts turned by an angle (radians)."""
    size = len(shape)
    corners = np.stack([part.corner_points() for part in parts])  # [P, 8, 3]
    corners -= (corners.min((0, 1)) + corners.max((0, 1))) / 2
    middle = parts[0].corner_points()[0] - corners[0, 0]
    cos, sin = math.cos(angle), math.sin(angle)
    turned = corners @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    # Only the voxels in the box around a part are looked at: most of a cube is far from all of them.
    starts = np.ceil((turned.min(1) + 0.5) * size - 0.5).astype(int).clip(0, size)
    ends = np.floor((turned.max(1) + 0.5) * size + 0.5).astype(int).clip(0, size)
    centres = (np.arange(size) + 0.5) / size - 0.5
    x = cos * centres[:, None, None] + sin * centres[None, :, None] + middle[0]
    y = cos * centres[None, :, None] - sin * centres[:, None, None] + middle[1]
    z = centres + middle[2]
    for part, start, end in zip(parts, starts, ends, strict=True):
        i, j, k = (slice(*pair) for pair in zip(start, end, strict=True))
        shape[i, j, k] |= part.holds(x[i, j], y[i, j], z[k])


def draw_chair(number: int) -> Chair:
    """The chair of a number, 0 or more.

    Only raw uniform numbers of a named bit generator are used: numpy promises those to stay as they are.
    """
    random = np.random.Generator(np.random.PCG64(number))
    family = FAMILIES[_pick(random, SHARES)]
    rise, seat_height, width, depth = (
        _within(random, span) for span in (family.rise, family.seat_height, family.width, family.depth)
    )
    names = _draw_names(random, family, low_back=rise < 28)
    lean = 0.0 if names["back"] == "shell" else rise * math.tan(math.radians(_within(random, family.lean)))
    splay = _within(random, (3, 8)) if names["legs"] == "splayed" else 0.0
    wide, deep = width + 2 * splay, depth + splay + max(splay, lean)
    scale = min(LONGEST / max(seat_height + rise, wide, deep), DIAGONAL / math.hypot(wide, deep))  # cube sides a cm
    leg_thickness = _within(random, (THINNEST, 0.085))
    leg_taper = _within(random, (0, 0.05)) if _chance(random, 0.5) else 0.0
    stout = names["arms"] == "solid"
    return Chair(
        **names,
        height=scale * (seat_height + rise),
        width=scale * width,
        depth=scale * depth,
        seat_height=scale * seat_height,
        seat_thickness=min(_within(random, family.cushion), scale * seat_height - THINNEST),
        leg_thickness=leg_thickness,
        leg_taper=max(0.0, min(leg_taper, 0.28 * scale * min(width, depth) - leg_thickness)),
        splay=scale * splay,
        variant=_chance(random, 0.4),
        stretcher_height=scale * seat_height * _within(random, (0.28, 0.5)),
        back_width=scale * width * (1 if names["arms"] != "none" else _within(random, (0.8, 1))),
        back_thickness=_within(random, (0.08, 0.13) if stout else (0.068, 0.085)),
        lean=scale * lean,
        bars=2 + int(3 * random.random()),
        arm_height=scale * (seat_height + min(rise, _within(random, (18, 25)))),
        arm_thickness=_within(random, (0.08, 0.13) if stout else (THINNEST, 0.08)),
    )


def _draw_names(random: np.random.Generator, family: Family, low_back: bool) -> dict[str, str]:
    """The seat, legs, back, arms and stretchers of a chair, as far as they go with one another."""
    seat, legs, back, arms, stretchers = (
        _pick(random, names) for names in (family.seats, family.legs, family.backs, family.arms, family.stretchers)
    )
    if back == "shell" and seat == "box":
        seat = "rounded"  # the shell follows the seat's outline
    if low_back or (seat == "round" and back != "shell"):
        arms = "none"  # on a round seat they have no corner to stand on
    return {"seat": seat, "legs": legs, "back": back, "arms": arms, "stretchers": stretchers}


def _within(random: np.random.Generator, span: tuple[float, float]) -> float:
    return span[0] + (span[1] - span[0]) * random.random()


def _pick(random: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(len(names) * random.random())]


def _chance(random: np.random.Generator, share: float) -> bool:
    return random.random() < share


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
