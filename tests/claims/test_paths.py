"""Paths: straight ones, one with a jump, a detour; the cross-fade's ends and steps."""

import pytest
import torch

from glann_lib.claims.paths import cross_fade, measure_paths


def test_a_straight_even_path_has_equal_steps_and_no_detour():
    path = torch.linspace(0, 1, 9).view(1, 9, 1) * torch.ones(1, 1, 4)
    found = measure_paths(path)
    assert found.largest.item() == pytest.approx(1) and found.detour.item() == pytest.approx(1)


def test_a_jump_is_one_large_step_and_a_way_back_a_detour():
    jump = torch.tensor([0.0, 0, 0, 0, 1]).view(1, 5, 1)
    there_and_half_back = torch.tensor([0.0, 1, 2, 3, 2]).view(1, 5, 1)
    found = measure_paths(torch.cat([jump, there_and_half_back]))
    assert found.largest.tolist() == pytest.approx([4, 1]) and found.detour.tolist() == pytest.approx([1, 2])


def test_a_path_that_stands_still_is_even():
    found = measure_paths(torch.ones(2, 4, 3))
    assert found.largest.tolist() == [0, 0] and found.detour.tolist() == [1, 1]
    with pytest.raises(ValueError, match="paths have 2 images: give 3 or more"):
        measure_paths(torch.ones(2, 2, 3))


def test_a_cross_fade_goes_evenly_from_one_image_to_the_other():
    starts, ends = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.full((2, 1, 4, 4), 200, dtype=torch.uint8)
    found = cross_fade(starts, ends, 5)
    assert found.shape == (2, 5, 1, 4, 4) and found[0, :, 0, 0, 0].tolist() == [0, 50, 100, 150, 200]
    assert measure_paths(found.flatten(2).float()).largest.tolist() == pytest.approx([1, 1])
