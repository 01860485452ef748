"""Designs of made cars: their families, and the lengths and colours that one car is made from.

Car number i of a family is drawn by a random generator of its own, so it is the same whoever asks for it.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

TURNS = 2**16  # azimuths are whole steps of 360 / 2^16 degrees: exact in float32, and never rounded up to 360

Span = tuple[float, float]
Colour = tuple[float, float, float]  # red, green and blue, 0 to 255
LENGTH = (0.71, 0.79)  # of a car, in widths of the picture: seen at its widest it takes 85 % of that
CREAM, SLATE = (243, 222, 184), (56, 58, 64)  # of roofs that differ from the body


@dataclass(frozen=True)
class Kind:
    """A family of cars: ranges of its lengths, in parts of the car's length or of what is named, and of its colours."""

    height: Span
    belt: Span  # where the windows begin, as a part of the height
    nose: Span  # the height of the front's upper edge, as a part of the belt's
    tail: Span  # the same at the rear
    bonnet: Span
    boot: Span
    rear_window: Span  # by how much its top lies farther forward than its foot
    windscreen: Span = (0.12, 0.17)  # by how much its top lies farther back than its foot
    width: Span = (0.38, 0.45)
    shoulder: Span = (0.015, 0.035)  # by how much the cabin's foot is narrower than the body, on each side
    wheel: Span = (0.062, 0.072)  # radius
    windows: tuple[int, ...] = (2, 2, 3)  # on each side; a number that stands twice is twice as likely
    panelled: bool = False  # the windows behind the first may be panels of sheet metal
    saturation: Span = (0.65, 0.95)
    value: Span = (0.6, 0.95)


KINDS: dict[str, Kind] = {
    "sedans": Kind(
        height=(0.31, 0.37), belt=(0.56, 0.62), nose=(0.84, 0.94), tail=(0.86, 0.97),
        bonnet=(0.27, 0.34), boot=(0.11, 0.19), rear_window=(0.06, 0.12),
    ),
    "vans": Kind(
        height=(0.44, 0.54), belt=(0.46, 0.54), nose=(0.66, 0.8), tail=(0.98, 1.0),
        bonnet=(0.09, 0.16), boot=(0.028, 0.04), rear_window=(0.005, 0.03), windscreen=(0.09, 0.15),
        shoulder=(0.01, 0.016), wheel=(0.064, 0.082), windows=(3, 4), panelled=True,
        saturation=(0.1, 0.5), value=(0.72, 0.95),
    ),
    "hatchbacks": Kind(
        height=(0.38, 0.44), belt=(0.52, 0.58), nose=(0.74, 0.84), tail=(0.97, 1.0),
        bonnet=(0.26, 0.33), boot=(0.028, 0.05), rear_window=(0.03, 0.08),
    ),
}  # fmt: skip
FAMILIES = tuple(KINDS)


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
    random = np.random.Generator(np.random.PCG64([FAMILIES.index(family), number]))
    azimuth = 360 * int(TURNS * random.random()) / TURNS
    return azimuth, _draw_design(random, KINDS[family])


def _draw_design(random: np.random.Generator, kind: Kind) -> Car:
    """One car; the order of its draws is part of the data set."""

    def within(span: Span) -> float:
        return span[0] + (span[1] - span[0]) * random.random()

    length = within(LENGTH)
    height = length * within(kind.height)
    belt = height * within(kind.belt)
    rear = -length / 2 + length * within(kind.boot)
    front = length / 2 - length * within(kind.bonnet)
    colour = colorsys.hsv_to_rgb(random.random(), within(kind.saturation), within(kind.value))
    paint = tuple(255 * channel for channel in colour)
    return Car(
        length=length,
        width=length * within(kind.width),
        height=height,
        belt=belt,
        nose=belt * within(kind.nose),
        tail=belt * within(kind.tail),
        foot=(rear, front),
        roof=(rear + length * within(kind.rear_window), front - length * within(kind.windscreen)),
        shoulder=length * within(kind.shoulder),
        lean=height * within((0.04, 0.1)),
        wheel=length * within(kind.wheel),
        axles=(length * within((-0.33, -0.29)), length * within((0.29, 0.33))),
        windows=kind.windows[int(len(kind.windows) * random.random())],
        panelled=random.random() < 0.5 and kind.panelled,
        paint=paint,
        roof_paint=(paint, paint, paint, CREAM, SLATE)[int(5 * random.random())],
    )
