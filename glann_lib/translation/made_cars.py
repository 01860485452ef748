"""Pictures of cars, made by rule: families whose azimuths are known, for translation from one to another.

A car's number alone says what it is, at every size. It is seen from slightly above, without perspective; its patches
are painted one over the other, four times as fine as the picture, and averaged.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from glann_lib.translation.car_designs import FAMILIES, Car, draw_car
from glann_lib.translation.car_parts import car_patches

SMALLEST = 16  # pixels a side
FINER = 4  # pixels that are painted for one of the picture's, along each side
ELEVATION = math.radians(20)  # of the viewer
LIGHT = np.array([-0.38, 0.69, 0.616])  # towards it: right, up and towards the viewer; of length 1
AMBIENT = 0.58  # the light that every patch gets; the rest comes from one side
BACKGROUND = (236, 238, 241)
EDGE_ON = 1e-3  # a patch that faces the viewer less than this is a line at most


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
