"""Spectra: where the power of known patterns lies, and a grid that is found where one was drawn."""

import numpy as np
import pytest
import torch
from torch import nn

from glann_lib.scores import spectra


def waves(side, period, count=3):
    """Images whose rows are a wave of so many px, around the middle grey."""
    rows = 127.5 + 100 * torch.cos(2 * torch.pi * torch.arange(side) / period)
    return rows.round().to(torch.uint8).expand(count, 1, side, side).clone()


def smooth_noise(count=16, side=64, seed=0):
    """Colour images whose power falls with the frequency, without any grid."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.fft.rfft2(torch.randn(count, 3, side, side, generator=random))
    radius = (torch.fft.fftfreq(side)[:, None].square() + torch.fft.rfftfreq(side).square()).sqrt().clamp(min=1 / side)
    images = torch.fft.irfft2(noise / radius, s=(side, side))
    images = images / images.flatten(1).std(1)[:, None, None, None]
    return (127.5 + 40 * images).clamp(0, 255).round().to(torch.uint8)


@pytest.mark.parametrize("period", [2, 4, 8, 16])
def test_the_power_of_a_wave_lies_at_its_frequency(period):
    frequencies, power = spectra.spectrum(waves(64, period))
    assert frequencies[power.argmax()] == pytest.approx(1 / period)
    assert len(frequencies) == 32 and frequencies[0] == 1 / 64 and frequencies[-1] == 0.5


def test_rows_and_columns_count_alike():
    images = waves(64, 8)
    assert np.allclose(spectra.spectrum(images)[1], spectra.spectrum(images.transpose(2, 3))[1])


def test_the_power_is_that_of_a_plain_sum():
    images = smooth_noise(2, 32)
    lines = [line for image in images.float().mean(1).numpy() / 255 for line in (*image, *image.T)]
    window = np.hanning(33)[:-1]
    plain = np.mean([np.abs(np.fft.rfft((line - line.mean()) * window)) ** 2 for line in lines], axis=0)
    assert np.abs(spectra.spectrum(images)[1] / plain[1:] - 1).max() < 1e-3


@pytest.mark.parametrize("period", spectra.PERIODS)
def test_a_grid_is_found_where_one_was_drawn(period):
    plain = smooth_noise()
    grid = plain.float()
    grid[..., ::period] += 20
    grid = grid.clamp(0, 255).to(torch.uint8)
    assert 0.5 < spectra.grid_peaks(plain)[period] < 2 < spectra.grid_peaks(grid)[period]


def test_an_untrained_transposed_convolution_draws_a_grid_and_upsampling_does_not():
    torch.manual_seed(0)
    small = smooth_noise(32, 32).float() / 255
    transposed = nn.ConvTranspose2d(3, 3, 4, stride=2, padding=1)
    upsampled = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3, padding=1))
    with torch.no_grad():
        peaks = [
            spectra.grid_peaks((network(small) * 60 + 128).clamp(0, 255).to(torch.uint8))[2]
            for network in (transposed, upsampled)
        ]
    assert peaks[0] > 3 * peaks[1]


def test_images_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match=r"images are \[2, 1, 8, 16\]: give \[N, C, S, S\]"):
        spectra.spectrum(torch.zeros(2, 1, 8, 16, dtype=torch.uint8))
