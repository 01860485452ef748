"""Designs of made chairs: the families that they come from, and the numbers and names that one chair is made from.

Chair number i is drawn by a random generator of its own, so it is the same whoever asks for it. A family's sizes are in
cm, a chair's in sides of the cube; x runs from its front to its back, y along its width, z up from the floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LONGEST = 0.75  # the bounding box's longest side: 24 of 32 voxels
DIAGONAL = 0.98  # of the bounding box seen from above, at most: every turn stays inside the cube
THINNEST = 2.1 / 32  # any less, and a part may be one voxel thin at size 32
CORNERS = {"box": math.inf, "rounded": 4.0, "round": 2.0}  # exponent of the outline |x|^p + |y|^p = 1
ROUND_STEM = 1.2  # a round stem of this many thicknesses across holds as many voxels as a square one


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
