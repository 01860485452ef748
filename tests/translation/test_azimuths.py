"""Directions: the shorter way round, the best turn and mirror, and a network that learns to see them."""

import pytest
import torch

from glann_lib.scores.classifier import ClassifierConfig
from glann_lib.translation.azimuths import (
    CHANCE,
    AzimuthNetwork,
    align,
    azimuth_error,
    chance_after_alignment,
    directions,
    fit_azimuths,
    readings,
)


def uniform(count, seed):
    return torch.rand(count, generator=torch.Generator().manual_seed(seed)) * 360


@pytest.mark.parametrize(
    ("found", "true", "error"),
    [(10, 350, 20), (350, 10, 20), (0, 180, 180), (270, 90, 180), (359, 0, 1), (90, 45, 45), (725, -5, 10), (7, 7, 0)],
)
def test_the_error_goes_the_shorter_way_round(found, true, error):
    assert azimuth_error(torch.tensor([float(found)]), torch.tensor([float(true)])).tolist() == [error]


def test_the_error_is_symmetric_and_in_range():
    found, true = uniform(1000, 0), uniform(1000, 1)
    error = azimuth_error(found, true)
    torch.testing.assert_close(error, azimuth_error(true, found), atol=1e-4, rtol=0)
    assert error.min() >= 0 and error.max() <= 180
    assert azimuth_error(true, true).eq(0).all()
    torch.testing.assert_close(azimuth_error(true + 180, true), torch.full((1000,), 180.0), atol=1e-4, rtol=0)


def test_a_difference_that_rounding_alone_makes_is_no_turn():
    assert azimuth_error(torch.tensor([0.0]), torch.tensor([1e-6])).item() < 1e-5


def test_a_random_translation_is_at_chance():
    error = azimuth_error(uniform(200_000, 2), uniform(200_000, 3))
    assert abs(error.mean().item() - CHANCE) < 0.5
    assert abs(error.median().item() - CHANCE) < 1
    one_way = azimuth_error(uniform(200_000, 4), torch.tensor(33.0))
    assert abs(one_way.mean().item() - CHANCE) < 0.5


# Vectors


@pytest.mark.parametrize("length", [1e-3, 1.0, 50.0])
def test_a_vectors_direction_does_not_depend_on_its_length(length):
    degrees = uniform(1000, 5)
    vectors = length * torch.stack([degrees.deg2rad().cos(), degrees.deg2rad().sin()], 1)
    found = directions(vectors)
    assert azimuth_error(found, degrees).max() < 1e-3 and (found >= 0).all() and (found < 360).all()


def test_a_direction_never_is_360():
    found = directions(torch.stack([torch.ones(2000), -torch.logspace(-12, 0, 2000)], 1))  # a little below 0 degrees
    assert (found >= 0).all() and (found < 360).all() and (found > 359).any() and (found == 0).any()


# Alignment


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("turn", [0.0, 37.5, 180.0, 359.5])
def test_a_map_that_turns_and_mirrors_all_cars_alike_has_no_error_left(sign, turn):
    true = uniform(50, 6)
    found = (sign * (true - turn)).remainder(360)
    best = align(found, true)
    assert (best.sign, best.turn) == (sign, turn)
    assert best.errors.max() < 1e-3 and azimuth_error(best.aligned, true).max() < 1e-3


def test_no_alignment_leaves_less_on_average():
    found, true = uniform(30, 7), uniform(30, 8)
    best = align(found, true)
    others = [azimuth_error(sign * found + turn, true).mean() for sign in (1, -1) for turn in range(360)]
    assert best.errors.mean() <= min(others) + 1e-4
    torch.testing.assert_close(best.errors, azimuth_error(best.sign * found + best.turn, true), atol=1e-3, rtol=0)


def test_chance_is_less_after_alignment_the_fewer_the_directions():
    few, many = chance_after_alignment(uniform(8, 9)), chance_after_alignment(uniform(2000, 9))
    assert few[0] < many[0] < CHANCE and few[1] < many[1] < CHANCE
    assert many[1] > 86 and few[1] < 70
    assert chance_after_alignment(uniform(8, 9)) == few != chance_after_alignment(uniform(8, 9), seed=1)


def test_each_reading_of_the_papers_number_is_what_it_says():
    true = torch.arange(0, 360, 15.0)
    noise = 4 * torch.randn(24, generator=torch.Generator().manual_seed(2))
    found = readings((40 - (true + noise)).remainder(360), true)
    assert found["median error, steps of 15 degrees"] == pytest.approx(found["median error, degrees"] / 15)
    assert 1 < found["median error, degrees"] < 6
    root = found["root of the median of r\u00b2, degrees"]
    assert found["root of the median of |r|, root of degrees"] == pytest.approx(root**0.5)
    assert readings((200 - true).remainder(360), true) == pytest.approx(dict.fromkeys(found, 0), abs=0.02)


# The network


def dials(count, seed, size=16):
    """Grey pictures of a bright half plane, and the direction in which it lies."""
    degrees = uniform(count, seed)
    line = torch.linspace(-1, 1, size)
    across = degrees.deg2rad().cos().view(-1, 1, 1) * line + degrees.deg2rad().sin().view(-1, 1, 1) * line[:, None]
    return (255 * torch.sigmoid(8 * across)).to(torch.uint8)[:, None], degrees


def test_the_network_learns_to_see_directions_and_is_tested_on_others(tmp_path):
    config = ClassifierConfig(epochs=1, steps=150, batch_size=16, lr=0.005, shift=0)
    test = dials(64, 1)
    found = fit_azimuths(*dials(128, 0), *test, config, path=tmp_path / "judge.safetensors")
    errors = azimuth_error(found.azimuths(test[0]), test[1])
    assert found.test_error == pytest.approx(errors.mean().item(), abs=1e-3) and errors.mean() < 15
    assert found.history[-1].loss < found.history[0].loss and found.image_shape == (1, 16, 16)
    again = fit_azimuths(*dials(128, 0), *test, config, path=tmp_path / "judge.safetensors")
    assert torch.equal(again.azimuths(test[0]), found.azimuths(test[0])) and again.test_error == found.test_error
    with pytest.raises(ValueError, match="as in training"):
        found.azimuths(test[0][..., :12, :12])


def test_the_network_sees_32_px_of_larger_images():
    network = AzimuthNetwork(1).eval()
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    large = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(network(large), network(images))


def test_what_are_no_directions_is_refused():
    images, azimuths = dials(8, 0)
    for bad in (azimuths + 360, azimuths[:5], azimuths.double()):
        with pytest.raises(ValueError, match="azimuths are") as caught:
            fit_azimuths(images, bad, images, azimuths)
        assert "\n" not in str(caught.value)
