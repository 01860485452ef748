"""No mode is dropped (Sec. 1 and 3.2): of modes that are known, how many do samples hit, and how evenly?

Known modes are the classes of a data set, or the thousand of stacked digits (Metz et al. 2017): three grey images drawn
at random are the channels of one, and a classifier of one channel tells the three classes that make a mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from glann_lib.engine import devices


@dataclass(frozen=True)
class Modes:
    """What samples hit of the modes that real images have."""

    found: int  # modes with a sample
    of: int  # modes with a real image
    divergence: float  # KL(samples || real) of the modes' frequencies, nats; 0 where they are the same
    variation: float  # total variation between them, 0 to 1: the part of the samples that lies in the wrong mode


def count_modes(found: Tensor, real: Tensor) -> Modes:
    """The modes of samples, int64 [N], beside those of real images, int64 [M]; a mode is a number from 0.

        KL = sum over modes k of q_k log(q_k / p_k)        total variation = sum over modes k of |q_k - p_k| / 2

    with the frequencies q of the samples and p of the real images (PacGAN, Lin et al. 2018). For KL every mode counts
    one real image more, so that a sample of a mode that no real image shows stays finite. Chance alone makes KL of K
    equal modes about (K - 1) (1 / N + 1 / M) / 2. A ValueError: an empty set.
    """
    if not len(found) or not len(real):
        raise ValueError("modes of no image: give 1 or more samples and real images")
    length = int(torch.cat([found, real]).max()) + 1
    samples, known = found.bincount(minlength=length).double(), real.bincount(minlength=length).double()
    q, p = samples / samples.sum(), (known + 1) / (known + 1).sum()
    divergence = torch.special.xlogy(q, q / p).sum().item()
    variation = (q - known / known.sum()).abs().sum().item() / 2
    return Modes(int(((samples > 0) & (known > 0)).sum()), int((known > 0).sum()), divergence, variation)


def stack(images: Tensor, count: int, seed: int) -> Tensor:
    """Stacked digits, uint8 [count, 3, S, S]: each of three images drawn at random from grey ones [N, 1, S, S].

    Images of another number of channels are a ValueError.
    """
    if images.shape[1] != 1:
        raise ValueError(f"images have {images.shape[1]} channels: grey ones can be stacked")
    rows = torch.randint(len(images), (count, 3), generator=devices.seeded(seed, "stacked digits"))
    return images[rows][:, :, 0]


def stacked_modes(images: Tensor, predict: Callable[[Tensor], Tensor], classes: int = 10) -> Tensor:
    """The mode of each stacked image [N, 3, S, S], int64 [N] from 0 to classes^3 - 1.

    `predict` gives the class, int64 [N], of grey images [N, 1, S, S].
    """
    first, second, third = (predict(images[:, [channel]]) for channel in range(3))
    return (first * classes + second) * classes + third
