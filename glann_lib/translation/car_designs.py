"""Designs of made cars: their families, and the lengths and colours that one car is made from.

Car number i of a family is drawn by a random generator of its own, so it is the same whoever asks for it.
"""

from __future__ import annotations

import colorsys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TURNS = 2**16  # azimuths are whole steps of 360 / 2^16 degrees: exact in float32, and never rounded up to 360
CREAM, SLATE = (243, 222, 184), (56, 58, 64)  # of roofs that differ from the body
Span = tuple[float, float]
Colour = tuple[float, float, float]  # red, green and blue, 0 to 255
# By a family's name its ranges and numbers of windows; the file says what they are.
FAMILIES = tomllib.loads(Path(__file__).with_name("car_families.toml").read_text())


@dataclass(frozen=True)
class Car:
    """What a car is made from; lengths in widths of the picture, x from the car's middle to its front, z upwards."""

    length: float
    width: float
    height: float
    belt: float  # z of the cabin's foot
    nose: float  # z of the front's upper edge
    tail: float  # z of the rear's upper edge
    foot: Span  # x of the cabin's rear and front ends, at the belt
    roof: Span  # the same at the roof
    shoulder: float  # by how much the cabin's foot is narrower than the body, on each side
    lean: float  # by how much the roof is narrower than that, on each side
    wheel: float  # radius
    axles: Span  # x of the rear and front wheels
    windows: int  # on each side
    panelled: bool  # all side windows but the first are closed
    paint: Colour
    roof_paint: Colour

    @property
    def floor(self) -> float:
        """Z of the body's underside."""
        return 0.65 * self.wheel


def draw_car(family: str, number: int) -> tuple[float, Car]:
    """Azimuth (degrees, 0 to below 360) and car of a number, 0 or more, of a family (one of FAMILIES).

    Only raw uniform numbers of a named bit generator are used: numpy promises those to stay as they are.
    """
    kind, place = FAMILIES[family], list(FAMILIES).index(family)
    random = np.random.Generator(np.random.PCG64([place, number]))
    azimuth = 360 * int(TURNS * random.random()) / TURNS
    drawn = {name: low + (high - low) * random.random() for name, (low, high) in kind["spans"].items()}
    length = drawn["length"]
    height = length * drawn["height"]
    belt = height * drawn["belt"]
    rear, front = -length / 2 + length * drawn["boot"], length / 2 - length * drawn["bonnet"]
    colour = colorsys.hsv_to_rgb(drawn["hue"], drawn["saturation"], drawn["value"])
    paint = tuple(255 * channel for channel in colour)
    return azimuth, Car(
        length=length,
        width=length * drawn["width"],
        height=height,
        belt=belt,
        nose=belt * drawn["nose"],
        tail=belt * drawn["tail"],
        foot=(rear, front),
        roof=(rear + length * drawn["rear_window"], front - length * drawn["windscreen"]),
        shoulder=length * drawn["shoulder"],
        lean=height * drawn["lean"],
        wheel=length * drawn["wheel"],
        axles=(length * drawn["rear_axle"], length * drawn["front_axle"]),
        windows=kind["windows"][int(len(kind["windows"]) * random.random())],
        panelled=random.random() < 0.5 and kind["panelled"],
        paint=paint,
        roof_paint=(paint, paint, paint, CREAM, SLATE)[int(5 * random.random())],
    )
