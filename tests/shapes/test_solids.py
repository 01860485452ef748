"""Solids: volumes against closed forms, turned the right way, inside their corners, as thick as promised."""

import itertools
import math

import numpy as np
import pytest

from glann_lib.shapes.chair_designs import THINNEST
from glann_lib.shapes.solids import Part

SIZE = 32


def fill(part, size=SIZE):
    """A part in a cube whose floor's middle is the origin."""
    centres = (np.arange(size) + 0.5) / size
    inside = (centres >= part.low) & (centres <= part.high)
    shape = np.zeros((size, size, size), bool)
    shape[:, :, inside] = part.holds(centres[:, None, None] - 0.5, centres[None, :, None] - 0.5, centres[inside])
    return shape


def test_a_box_has_its_volume_and_an_ellipse_pi_quarters_of_it():
    assert fill(Part(0.25, 0.5, (0.25, 0.125))).sum() == 16 * 8 * 8
    assert fill(Part(0.2, 0.7, (0.4, 0.3), corners=2.0), 64).sum() == pytest.approx(
        math.pi * 0.12 * 0.5 * 64**3, rel=0.02
    )


def test_a_slanted_part_keeps_its_volume_and_a_tapered_one_has_a_frustums():
    slanted = Part(0.25, 0.75, (0.125, 0.125), foot=(-0.2, 0.1), head=(0.2, -0.1))
    assert fill(slanted, 64).sum() == pytest.approx(64**3 / 32, rel=0.03)
    tapered = Part(0.25, 0.75, (0.3, 0.3), half_top=(0.1, 0.1))
    expected = 0.5 / 3 * (0.36 + 0.04 + 0.12)
    assert fill(tapered, 64).sum() == pytest.approx(expected * 64**3, rel=0.02)


def test_an_arch_is_half_an_ellipse_and_a_rim_the_rear_of_a_ring():
    arched = Part(0.25, 0.75, (0.25, 0.25), arch=1.0)
    assert fill(arched, 64).sum() == pytest.approx(math.pi / 4 * 64**3 / 8, rel=0.02)
    rim = Part(0.25, 0.75, (0.4, 0.4), corners=2.0, wall=0.1)
    shape = fill(rim, 64)
    assert shape.sum() == pytest.approx(math.pi / 2 * (0.16 - 0.09) / 2 * 64**3, rel=0.03)
    assert not shape[:32].any()


def test_a_turned_part_is_turned_counter_clockwise():
    ray = Part(0.25, 0.5, (0.3, 0.05), turn=90.0)
    assert np.array_equal(fill(ray), np.rot90(fill(Part(0.25, 0.5, (0.3, 0.05))), axes=(0, 1)))
    diagonal = fill(Part(0.25, 0.5, (0.3, 0.05), turn=45.0))
    x, y, _ = np.nonzero(diagonal)
    assert np.corrcoef(x, y)[0, 1] > 0.9


@pytest.mark.parametrize("turn", [0.0, 30.0, -72.0])
def test_corner_points_surround_a_part(turn):
    part = Part(0.2, 0.6, (0.2, 0.1), (0.1, 0.0), (-0.1, 0.05), (0.1, 0.15), turn=turn)
    corners = part.corner_points()
    assert corners.shape == (8, 3)
    occupied = (np.argwhere(fill(part, 64)) + 0.5) / 64 - (0.5, 0.5, 0)
    assert (occupied.min(0) >= corners.min(0)).all() and (occupied.max(0) <= corners.max(0)).all()


def test_thin_parts_are_as_thick_as_promised_wherever_they_lie():
    for place, turn in itertools.product(np.linspace(0, 1 / 32, 9), (0.0, 45.0)):
        shape = fill(Part(place, place + THINNEST, (0.3, THINNEST / 2), foot=(0.0, place), turn=turn))
        assert shape.any((0, 1)).sum() >= 2
        assert shape[SIZE // 2 - 4 : SIZE // 2 + 4].any(2).sum(1).min() >= 2
