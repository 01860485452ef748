"""Chairs as solid voxels, made by rule: a data set of 3D shapes that needs no download and has no end.

A chair's number alone says what it is, at every size. Its parts are evaluated at the voxels' centres; a pose turns
those points, not the voxels. Lengths are in sides of the cube, and its axes are x, y and z, with z up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from glann_lib.shapes.chair_designs import draw_chair
from glann_lib.shapes.chair_parts import chair_parts
from glann_lib.shapes.solids import Part

SMALLEST = 16  # voxels a side
MOST_POSES = 12


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
