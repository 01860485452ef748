"""Directions: the shorter way round, sectors, and their circular mean, at the wrap above all."""

import pytest
import torch
from torch.nn import functional

from glann_lib.translation.judges import CHANCE, SECTORS, azimuth_error, mean_azimuth, sectors


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


def test_sectors_are_centred_on_multiples_of_15():
    azimuths = torch.tensor([0.0, 7.4, 7.6, 15.0, 22.4, 180.0, 337.6, 352.4, 352.6, 359.99, 360.0, -8.0])
    found = sectors(azimuths)
    assert found.dtype == torch.int64
    assert found.tolist() == [0, 0, 1, 1, 1, 12, 23, 23, 0, 0, 0, 23]


def test_sectors_are_equally_wide():
    counts = sectors(torch.arange(0, 360, 0.5)).bincount()
    assert counts.tolist() == [30] * SECTORS


def test_sectors_and_back_agree_within_half_a_sector():
    azimuths = uniform(5000, 5)
    back = mean_azimuth(functional.one_hot(sectors(azimuths), SECTORS))
    error = azimuth_error(back, azimuths)
    assert error.max() <= 7.5 + 1e-3 and error.max() > 7


def weights_of(parts):
    weights = torch.zeros(1, SECTORS)
    for degrees, weight in parts.items():
        weights[0, degrees // 15] = weight
    return weights


@pytest.mark.parametrize(
    ("parts", "mean"),
    [
        ({345: 0.5, 15: 0.5}, 0),
        ({345: 0.5, 0: 0.5}, 352.5),
        ({0: 0.5, 90: 0.5}, 45),
        ({180: 1.0}, 180),
        ({270: 3.0, 300: 3.0}, 285),
        ({0: 0.75, 90: 0.25}, 18.4349),
    ],
)
def test_the_mean_is_circular(parts, mean):
    found = mean_azimuth(weights_of(parts))
    assert found.dtype == torch.float32 and found.shape == (1,)
    assert azimuth_error(found, torch.tensor([float(mean)])).item() < 1e-3


def test_the_mean_never_is_360():
    tilts = torch.logspace(-12, 0, 2000)
    weights = torch.zeros(2000, SECTORS)
    weights[:, 0], weights[:, -1] = 1, tilts  # a little below 0 degrees
    found = mean_azimuth(weights)
    assert (found >= 0).all() and (found < 360).all() and (found > 359).any() and (found == 0).any()
    assert mean_azimuth(weights.half()).dtype == torch.float32
