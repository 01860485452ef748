"""Designs of made chairs: the numbers and names that one chair is made from, drawn from its family's ranges.

A family's sizes are in cm, a chair's in sides of the cube; x runs from front to back, y along the width, z up.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LONGEST = 0.75  # the bounding box's longest side: 24 of 32 voxels
DIAGONAL = 0.98  # of the bounding box seen from above, at most: every turn stays inside the cube
THINNEST = 2.1 / 32  # any less, and a part may be one voxel thin at size 32
CORNERS = {"box": math.inf, "rounded": 4.0, "round": 2.0}  # exponent of the outline |x|^p + |y|^p = 1
ROUND_STEM = 1.2  # a round stem of this many thicknesses across holds as many voxels as a square one
Span = tuple[float, float]  # low, high
# By a family's name its ranges and the names to choose among; the file says what they are.
FAMILIES = tomllib.loads(Path(__file__).with_name("chair_families.toml").read_text())
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
        """How far out the seat's corners lie, in halves of its width: 1 for a box."""
        return 2 ** (-1 / self.corners)

    @property
    def underside(self) -> float:
        """Height of the seat's underside."""
        return self.seat_height - self.seat_thickness

    @property
    def leg_top(self) -> float:
        """z where legs end: inside the seat, as rounding may part what only touches."""
        return self.underside + self.seat_thickness / 2

    @property
    def back_side(self) -> float:
        """y of the back's right edge, no farther out than the seat's corners."""
        return min(self.back_width, self.width if self.seat == "box" else (self.reach + 0.03) * self.width) / 2

    def leg_place(self, height: float = math.inf) -> Span:
        """x and y of the centre of the rear right leg at a height; a splayed one stands farther out near the floor."""
        top = (ROUND_STEM if self.variant else 1) * (self.leg_thickness + self.leg_taper)
        out = self.splay * max(0.0, 1 - height / self.underside)
        inset = (0.3 if self.seat == "round" else 0.5) * top  # a round seat has little room between its legs
        return tuple(self.reach * side / 2 - inset + out for side in (self.depth, self.width))

    def back_place(self, height: float) -> float:
        """x of the centre of the back at a height; below the seat's top it is upright."""
        foot = (self.reach if self.seat == "round" else 1) * self.depth / 2 - self.back_thickness / 2
        return foot + self.lean * max(0.0, height - self.seat_height) / (self.height - self.seat_height)


def draw_chair(number: int) -> Chair:
    """The chair of a number, 0 or more, from uniform numbers of a named bit generator: numpy promises to keep those."""
    random = np.random.Generator(np.random.PCG64(number))
    family = FAMILIES[_pick(random, SHARES)]
    rise, seat_height, width, depth = (_within(random, family[of]) for of in ("rise", "seat_height", "width", "depth"))
    names = _draw_names(random, family, low_back=rise < 28)
    lean = 0.0 if names["back"] == "shell" else rise * math.tan(math.radians(_within(random, family["lean"])))
    splay = _within(random, (3, 8)) if names["legs"] == "splayed" else 0.0
    wide, deep = width + 2 * splay, depth + splay + max(splay, lean)
    scale = min(LONGEST / max(seat_height + rise, wide, deep), DIAGONAL / math.hypot(wide, deep))  # cube sides a cm
    leg_thickness = _within(random, (THINNEST, 0.085))
    leg_taper = _within(random, (0, 0.05)) if random.random() < 0.5 else 0.0
    stout = names["arms"] == "solid"
    return Chair(
        **names,
        height=scale * (seat_height + rise),
        width=scale * width,
        depth=scale * depth,
        seat_height=scale * seat_height,
        seat_thickness=min(_within(random, family["cushion"]), scale * seat_height - THINNEST),
        leg_thickness=leg_thickness,
        leg_taper=max(0.0, min(leg_taper, 0.28 * scale * min(width, depth) - leg_thickness)),
        splay=scale * splay,
        variant=random.random() < 0.4,
        stretcher_height=scale * seat_height * _within(random, (0.28, 0.5)),
        back_width=scale * width * (1 if names["arms"] != "none" else _within(random, (0.8, 1))),
        back_thickness=_within(random, (0.08, 0.13) if stout else (0.068, 0.085)),
        lean=scale * lean,
        bars=2 + int(3 * random.random()),
        arm_height=scale * (seat_height + min(rise, _within(random, (18, 25)))),
        arm_thickness=_within(random, (0.08, 0.13) if stout else (THINNEST, 0.08)),
    )


def _draw_names(random: np.random.Generator, family: dict[str, Any], low_back: bool) -> dict[str, str]:
    kinds = ("seats", "legs", "backs", "arms", "stretchers")
    seat, legs, back, arms, stretchers = (_pick(random, family[kind]) for kind in kinds)
    if back == "shell" and seat == "box":
        seat = "rounded"  # the shell follows the seat's outline
    if low_back or (seat == "round" and back != "shell"):
        arms = "none"  # on a round seat they have no corner to stand on
    return {"seat": seat, "legs": legs, "back": back, "arms": arms, "stretchers": stretchers}


def _within(random: np.random.Generator, span: Span) -> float:
    return span[0] + (span[1] - span[0]) * random.random()


def _pick(random: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(len(names) * random.random())]
