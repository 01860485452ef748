"""Pictures of cars, made by rule: families whose azimuths are known, for translation from one to another.

A car's number alone says what it is, at every size. It is two convex solids, its body and the cabin on top of it, over
four wheels that do not stand out at its sides; flat patches make up its surface. Seen from slightly above, without
perspective, the wheels come before the body and the body before the cabin, and patches of one solid that face the
viewer never hide one another: one order of painting is right at every azimuth, and nothing has to be sorted. Patches
are painted four times as fine as the picture, and averaged.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from glann_lib.translation.car_designs import FAMILIES, Car, Colour, draw_car

SMALLEST = 16  # pixels a side
FINER = 4  # pixels that are painted for one of the picture's, along each side
ELEVATION = math.radians(20)  # of the viewer
LIGHT = np.array([-0.38, 0.69, 0.616])  # towards it: right, up and towards the viewer; of length 1
AMBIENT = 0.58  # the light that every patch gets; the rest comes from one side
BACKGROUND = (236, 238, 241)
EDGE_ON = 1e-3  # a patch that faces the viewer less than this is a line at most
SHADOW = (188, 190, 196)
TYRE, HUB = (26, 26, 30), (196, 199, 205)
TRIM, GLASS, PLATE = (44, 45, 52), (52, 66, 88), (236, 236, 226)
HEADLIGHT, TAIL_LIGHT = (255, 244, 165), (226, 12, 24)
BUMPER, GRILLE, NUMBER, LIGHTS = (0, 0.26), (0.42, 0.86), (0.5, 0.78), (0.4, 0.94)  # spans up a face of the body
MIRRORS = np.array([(-1, 1, 1), (1, -1, 1)])
ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False)
LOWER_ANGLES = np.linspace(np.pi, 2 * np.pi, 9)


def make_cars(family: str, first: int, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cars `first` to `first` + `count` - 1 of a family, and where they point; those of one number never change.

    At azimuth 0 the car's front points towards the viewer, at 90 to the right; growing azimuths turn it
    counter-clockwise as seen from above. Azimuths are uniform, and drawn apart from all else about a car. More pixels
    a side, 16 or more, show the same car finer. Returns pictures, uint8 [count, 3, size, size], red, green and blue,
    and azimuths, float32 [count], degrees from 0 to below 360. A ValueError refuses an unknown family (not one of
    FAMILIES), a negative number or count, too small a size.
    """
    if family not in FAMILIES:
        raise ValueError(f"no made cars are called {family!r}: give one of {', '.join(FAMILIES)}")
    if first < 0 or count < 0:
        raise ValueError(f"{count} cars from number {first} on: give numbers of 0 or more")
    if size < SMALLEST:
        raise ValueError(f"{size} pixels a side are too few for a car: give {SMALLEST} or more")
    images = np.empty((count, 3, size, size), dtype=np.uint8)
    azimuths = np.empty(count, dtype=np.float32)
    for row in range(count):
        azimuths[row], car = draw_car(family, first + row)
        images[row] = render(car, float(azimuths[row]), size)
    return images, azimuths


def render(car: Car, azimuth: float, size: int) -> np.ndarray:
    """A car at an azimuth (degrees, as in `make_cars`): uint8 [3, size, size], the car's middle in its centre."""
    patches = car_patches(car)
    view = _view(azimuth)
    normals = np.stack([patch.normal for patch in patches]) @ view
    shades = AMBIENT + (1 - AMBIENT) * np.maximum(0, normals @ LIGHT)
    corners = np.concatenate([patch.corners for patch in patches]) - (0, 0, car.height / 2)
    places = (0.5 + corners @ view[:, :2] * (1, -1)) * (FINER * size) - 0.5  # a pixel's centre is a whole number
    ends = np.cumsum([len(patch.corners) for patch in patches])
    image = Image.new("RGB", (FINER * size, FINER * size), BACKGROUND)
    draw = ImageDraw.Draw(image)
    for patch, end, facing, shade in zip(patches, ends, normals[:, 2], shades, strict=True):
        if facing > EDGE_ON:
            colour = tuple(round(channel * (shade if patch.lit else 1)) for channel in patch.colour)
            draw.polygon(places[end - len(patch.corners) : end].ravel().tolist(), fill=colour)
    return np.asarray(image.reduce(FINER)).transpose(2, 0, 1)


def _view(azimuth: float) -> np.ndarray:
    """The matrix [3, 3] that takes rows of x, y and z of a car to right, up and towards the viewer."""
    cos, sin = math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    low, high = math.cos(ELEVATION), math.sin(ELEVATION)
    turn = np.array([[sin, -cos, 0], [cos, sin, 0], [0, 0, 1]])  # to right, away from the viewer, upwards
    return turn @ np.array([[1, 0, 0], [0, high, -low], [0, low, high]])


@dataclass(frozen=True)
class Patch:
    """A flat polygon with one colour; it is seen from the side to which its normal points."""

    corners: np.ndarray  # [N, 3]: x to the car's front, y to its left, z upwards
    normal: np.ndarray  # [3], of length 1
    colour: Colour
    lit: bool = True  # False: the same colour in all light

    def part(self, across: tuple[float, float], up: tuple[float, float], colour: Colour, lit: bool = True) -> Patch:
        """A part of a patch of four corners, from low left on: spans across and up it, each within 0 to 1."""
        (left, right), (low, high) = across, up
        low_left, low_right, high_right, high_left = self.corners
        u, v = np.array([(left, low), (right, low), (right, high), (left, high)]).T[..., None]
        corners = (1 - v) * ((1 - u) * low_left + u * low_right) + v * ((1 - u) * high_left + u * high_right)
        return Patch(corners, self.normal, colour, lit)

    def mirrored(self, axis: int) -> Patch:
        """The same at the car's other end (axis 0) or on its other side (axis 1)."""
        return Patch(self.corners * MIRRORS[axis], self.normal * MIRRORS[axis], self.colour, self.lit)


def car_patches(car: Car) -> list[Patch]:
    """All patches of a car, in the order of painting; those that face away from the viewer are to be left out."""
    front = _end(car, 1, HEADLIGHT, TRIM)
    rear = [patch.mirrored(0) for patch in _end(car, -1, TAIL_LIGHT, PLATE)]
    shadow = _level(-0.48 * car.length, 0.48 * car.length, 0.48 * car.width, 0, SHADOW, lit=False)
    deck = _level(*car.foot, 0.5 * car.width, car.belt, car.paint)  # only its shoulders stay to be seen
    return [shadow, *_both(_wheels(car)), *front, *rear, *_both(_side(car)), deck, *_cabin(car)]


def _patch(corners: Sequence[Sequence[float]], colour: Colour, lit: bool = True) -> Patch:
    """A patch whose corners run counter-clockwise for whom it faces."""
    corners = np.array(corners, dtype=float)
    (ax, ay, az), (bx, by, bz) = (corners[1:3] - corners[0]).tolist()
    normal = np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])
    return Patch(corners, normal / np.sqrt((normal**2).sum()), colour, lit)


def _both(patches: Sequence[Patch]) -> list[Patch]:
    """Patches of the left side, and those of the right."""
    return [*patches, *(patch.mirrored(1) for patch in patches)]


def _level(rear: float, front: float, y: float, z: float, colour: Colour, lit: bool = True) -> Patch:
    """A rectangle at a height, seen from above."""
    return _patch([(front, -y, z), (front, y, z), (rear, y, z), (rear, -y, z)], colour, lit)


def _wheels(car: Car) -> list[Patch]:
    """The treads and inner faces of the left wheels, as far as the body does not always hide them."""
    outer, inner = 0.5 * car.width, 0.5 * car.width - 0.9 * car.wheel
    patches = []
    for axle in car.axles:
        x, z = axle + car.wheel * np.cos(LOWER_ANGLES), car.wheel * (1 + np.sin(LOWER_ANGLES))
        rim = list(zip(x, z, strict=True))
        patches.append(_patch([(x, inner, z) for x, z in rim], TYRE, lit=False))
        for (x0, z0), (x1, z1) in itertools.pairwise(rim):
            corners = [(x0, outer, z0), (x1, outer, z1), (x1, inner, z1), (x0, inner, z0)]
            patches.append(_patch(corners, TYRE, lit=False))
    return patches


def _lid(car: Car, end: int) -> list[tuple[float, float, float]]:
    """The left edge of the bonnet (end 1) or boot (end -1), from the cabin to the end, as if it were the front."""
    x, y, foot = 0.5 * car.length, 0.5 * car.width, end * car.foot[max(0, end)]
    edge = car.nose if end == 1 else car.tail
    chamfer = min(0.05 * car.length, 0.6 * (x - foot))  # the body's upright edges are cut off
    side_edge = edge + (car.belt - edge) * chamfer / (x - foot)
    return [(foot, y, car.belt), (x - chamfer, y, side_edge), (x, y - 0.6 * chamfer, edge)]


def _end(car: Car, end: int, light: Colour, plate: Colour) -> list[Patch]:
    """The body's front (end 1) or rear (end -1) with the bonnet or boot, all as if it were the front."""
    lid, floor = _lid(car, end), car.floor
    (x_side, y_side, z_side), (x, y, z) = lid[1:]
    top = _patch([*((x, -y, z) for x, y, z in lid), *lid[::-1]], car.paint)
    face = _patch([(x, -y, floor), (x, y, floor), (x, y, z), (x, -y, z)], car.paint)
    corner = _patch([(x, y, floor), (x_side, y_side, floor), (x_side, y_side, z_side), (x, y, z)], car.paint)
    lamps = [face.part((0.76, 1), LIGHTS, light, lit=False), corner.part((0, 1), LIGHTS, light, lit=False)]
    return [
        top,
        face,
        face.part((0, 1), BUMPER, TRIM),
        face.part((0.24, 0.76), GRILLE, TRIM),
        face.part((0.36, 0.64), NUMBER, plate),
        *_both([corner, corner.part((0, 1), BUMPER, TRIM), *lamps]),
    ]


def _side(car: Car) -> list[Patch]:
    """The body's left side, and the wheels' outer faces, which lie in it."""
    front_foot, front_edge = _lid(car, 1)[:2]
    rear_foot, rear_edge = ((-x, y, z) for x, y, z in _lid(car, -1)[:2])
    low = [(x, y, car.floor) for x, y, _ in (front_edge, rear_edge)]
    patches = [_patch([*low, rear_edge, rear_foot, front_foot, front_edge], car.paint)]
    for axle in car.axles:
        patches += [_disc(car, axle, 1.15, TRIM, car.floor), _disc(car, axle, 1, TYRE), _disc(car, axle, 0.55, HUB)]
    return patches


def _disc(car: Car, axle: float, part: float, colour: Colour, lowest: float = 0.0) -> Patch:
    """A disc on a left wheel's outer face: its radius as a part of the wheel's; what is below a height is cut off."""
    radius = part * car.wheel
    x, z = axle - radius * np.cos(ANGLES), car.wheel + radius * np.sin(ANGLES)
    rim = np.stack([x, np.full(len(ANGLES), 0.5 * car.width), np.maximum(z, lowest)], 1)
    return Patch(rim, np.array([0.0, 1.0, 0.0]), colour)


def _cabin(car: Car) -> list[Patch]:
    (rear, front), y, z = car.foot, 0.5 * car.width - car.shoulder, car.belt
    (top_rear, top_front), top_y, top = car.roof, y - car.lean, car.height
    windscreen = [(front, -y, z), (front, y, z), (top_front, top_y, top), (top_front, -top_y, top)]
    rear_window = [(rear, y, z), (rear, -y, z), (top_rear, -top_y, top), (top_rear, top_y, top)]
    side = [(front, y, z), (rear, y, z), (top_rear, top_y, top), (top_front, top_y, top)]
    roof = [*windscreen[:1:-1], *rear_window[:1:-1]]  # between the upper edges of both
    front_face, rear_face, side_face = (_patch(corners, car.paint) for corners in (windscreen, rear_window, side))
    pane = 0.92 / car.windows
    starts = [0.05 + number * pane for number in range(1 if car.panelled else car.windows)]
    return [
        front_face,
        front_face.part((0.05, 0.95), (0.04, 0.92), GLASS),
        rear_face,
        rear_face.part((0.12, 0.88), (0.25, 0.88), GLASS),
        *_both([side_face, *(side_face.part((start, start + pane - 0.04), (0.1, 0.88), GLASS) for start in starts)]),
        _patch(roof, car.roof_paint),
    ]
