"""The solids that shapes are made of: analytic, so that they are the same at every size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """A solid along z whose level cross-section has one outline; on its way up it may slant and taper."""

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
        """x, y and z of the 8 corners of the boxes around both ends, [8, 3]."""
        cos, sin = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        ends = ((self.foot, self.half, self.low), (self.head or self.foot, self.half_top or self.half, self.high))
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
