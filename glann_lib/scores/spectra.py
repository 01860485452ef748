"""Power by spatial frequency: whether a generator draws a grid that real images have not (Sec. 4.1, "checkerboard").

A transposed convolution of stride 2 gives every second pixel other weights. What that leaves repeats every 2 px, of two
such layers every 2 and 4 px: a peak in the spectrum at a half and a quarter of a cycle a pixel (Odena et al. 2016).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

PERIODS = (2, 4)  # px, that two doublings leave
BESIDE = 2  # frequencies to each side of a peak that tell what is usual there


def spectrum(images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies [S / 2], 1/S to 1/2 cycles a pixel, and the mean power [S / 2] of images' rows and columns there.

    Images are uint8 [N, C, S, S]. Each row and column of their grey values is taken without its mean, under a Hann
    window, as it does not go on where it ends. ValueError for images that are not square.
    """
    if images.dim() != 4 or images.shape[-1] != images.shape[-2]:
        raise ValueError(f"images are {list(images.shape)}: give [N, C, S, S]")
    side, window = images.shape[-1], torch.hann_window(images.shape[-1], periodic=True)
    total = torch.zeros(side // 2, dtype=torch.float64)
    for part in images.split(64):
        grey = part.float().mean(1) / 255
        lines = torch.cat([grey, grey.transpose(1, 2)]).flatten(0, 1)
        lines = (lines - lines.mean(1, keepdim=True)) * window
        total += torch.fft.rfft(lines).abs().square().double().sum(0)[1 : side // 2 + 1]
    frequencies = np.arange(1, side // 2 + 1) / side
    return frequencies, (total / (2 * side * len(images))).numpy()


def grid_peaks(images: Tensor) -> dict[int, float]:
    """By PERIODS: how many times the power there is that of the frequencies beside it; 1 or so where there is no grid.

    Images and errors are as for `spectrum`; S is 28 or more.
    """
    _, power = spectrum(images)
    side, peaks = 2 * len(power), {}
    for period in PERIODS:
        place = round(side / period) - 1
        # Hann's window spreads a peak to the next frequency on each side.
        others = [
            power[place + sign * step]
            for sign in (-1, 1)
            for step in range(2, 2 + BESIDE)
            if place + sign * step < len(power)
        ]
        peaks[period] = float(power[place] / np.exp(np.mean(np.log(np.maximum(others, 1e-30)))))
    return peaks
