"""Modes: counts and the divergence by hand, stacked digits and their thousand modes."""

import math

import pytest
import torch

from glann_lib.claims.modes import count_modes, stack, stacked_modes


def test_modes_are_counted_and_their_frequencies_compared():
    found = count_modes(torch.tensor([0, 0, 2, 2]), torch.tensor([0, 1, 2, 3]))
    assert (found.found, found.of) == (2, 4)
    assert math.isclose(found.divergence, math.log(0.5 / 0.25))  # a half where a quarter is, twice
    assert found.variation == 0.5


def test_equal_frequencies_have_no_divergence_and_a_single_mode_has_all():
    real = torch.arange(10).repeat(50)
    same = count_modes(real.flip(0), real)
    assert same.divergence == pytest.approx(0, abs=1e-12) and same.variation == 0
    alone = count_modes(torch.full((30,), 7), real)
    assert (alone.found, alone.of) == (1, 10) and math.isclose(alone.divergence, math.log(10))
    assert math.isclose(alone.variation, 0.9)


def test_a_mode_that_no_real_image_has_is_not_found_and_stays_finite():
    found = count_modes(torch.tensor([0, 5]), torch.tensor([0, 1]))
    assert (found.found, found.of) == (1, 2) and math.isfinite(found.divergence) and found.divergence > 0


def test_chance_alone_makes_the_divergence_that_is_said():
    samples, real = torch.randint(1000, (2, 20_000), generator=torch.Generator().manual_seed(0))
    assert count_modes(samples, real).divergence == pytest.approx(999 * (2 / 20_000) / 2, rel=0.15)


def test_modes_of_nothing_are_an_error():
    for sets in (
        (torch.tensor([], dtype=torch.int64), torch.tensor([1])),
        (torch.tensor([1]), torch.tensor([]).long()),
    ):
        with pytest.raises(ValueError, match="modes of no image"):
            count_modes(*sets)


def test_stacked_digits_are_three_images_and_tell_their_mode():
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 4, 4)  # image d is all d
    stacked = stack(images, 500, seed=3)
    assert stacked.shape == (500, 3, 4, 4) and torch.equal(stacked, stack(images, 500, seed=3))
    assert not torch.equal(stacked, stack(images, 500, seed=4))
    modes = stacked_modes(stacked, lambda grey: grey[:, 0, 0, 0].long())
    digits = stacked[:, :, 0, 0].long()
    assert torch.equal(modes, 100 * digits[:, 0] + 10 * digits[:, 1] + digits[:, 2])
    assert len(modes.unique()) > 300  # of a thousand, 500 draws hit some 393
    with pytest.raises(ValueError, match="images have 3 channels: grey ones can be stacked"):
        stack(stacked, 5, seed=0)
