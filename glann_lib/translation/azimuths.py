"""Directions of cars: a network that sees where a car points, and how far directions lie apart.

Directions are in degrees and wrap at 360. A map that was learned without pairs may turn or mirror all cars alike and
be as good a map; `align` finds the turn and the mirror that explain most, and what error they leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, mse_loss

from glann_lib.data.record import ImageData
from glann_lib.engine import devices
from glann_lib.scores.classifier import Classifier, ClassifierConfig, TrainedNetwork
from glann_lib.scores.classifier_training import ClassifierTraining

# Degrees: mean and median error of a guess that is uniform over all directions, as its error is uniform on [0, 180].
CHANCE = 90.0
SEEN = 32  # px: the network sees no more, and learns faster than from larger images
TURNS = 720  # of a whole turn: the steps of the best one's search, half a degree
DRAWS = 40  # random maps, whose errors after the best alignment are what chance leaves
SETTINGS = ClassifierConfig(epochs=12, steps=240, batch_size=32, lr=0.003, shift=1)


@dataclass(frozen=True)
class AzimuthEpoch:
    """One epoch: number from 1, mean squared error of the unit vectors, mean error in degrees, seconds."""

    epoch: int
    loss: float
    error: float
    seconds: float


class TrainedRegressor(TrainedNetwork):
    """A network that sees directions; its network is an `AzimuthNetwork`."""

    @property
    def test_error(self) -> float:
        """Its mean error on the test images, degrees."""
        return self.tested

    def azimuths(self, images: Tensor) -> Tensor:
        """The direction that each image shows, float32 [N], degrees in [0, 360)."""
        return directions(self.answer(self.network, images))


class AzimuthNetwork(nn.Module):
    """The classifier's network with two outputs: the cosine and the sine of the direction; it sees 32 px at most."""

    def __init__(self, channels: int):
        super().__init__()
        self.inner = Classifier(channels, 2)

    def forward(self, images: Tensor) -> Tensor:
        """[N, 2] of images [N, C, S, S] in [0, 1]."""
        return self.inner(adaptive_avg_pool2d(images, SEEN) if images.shape[-1] > SEEN else images)


class AzimuthTraining(ClassifierTraining):
    """The regression as a stage; labels are directions, float32 [N], degrees in [0, 360)."""

    name = "azimuths"
    record_type = AzimuthEpoch

    @staticmethod
    def require(images: Tensor, labels: Tensor, test_images: Tensor, test_labels: Tensor) -> None:
        """Refuse what are no images and directions of one set, by a ValueError."""
        ImageData(images, azimuths=labels)
        ImageData(test_images, azimuths=test_labels)

    @staticmethod
    def make_network(images: Tensor, labels: Tensor) -> nn.Module:
        """The network that is trained on such images."""
        return AzimuthNetwork(images.shape[1])

    @staticmethod
    def compare(outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean squared error of the unit vectors."""
        angles = labels.deg2rad()
        return mse_loss(outputs, torch.stack([angles.cos(), angles.sin()], dim=1))

    @staticmethod
    def measure(outputs: Tensor, labels: Tensor) -> Tensor:
        """The error of each direction, [B], degrees."""
        return azimuth_error(directions(outputs), labels)


def fit_azimuths(
    images: Tensor,
    azimuths: Tensor,
    test_images: Tensor,
    test_azimuths: Tensor,
    config: ClassifierConfig = SETTINGS,
    device: torch.device | str = "cpu",
    path: Path | None = None,
) -> TrainedRegressor:
    """Train a network on images uint8 [N, C, S, S] and directions [N]; else as `classifier_training.fit_classifier`."""
    stage = AzimuthTraining(images, azimuths, test_images, test_azimuths, config, torch.device(device))
    return stage.trained_to_the_end(path, TrainedRegressor)


def directions(vectors: Tensor) -> Tensor:
    """Where vectors [N, 2] of any length point, [N], degrees in [0, 360)."""
    degrees = torch.atan2(vectors[:, 1], vectors[:, 0]).rad2deg()
    return degrees.remainder(360).remainder(360)  # the first rounds a little below 0 up to 360 itself


def azimuth_error(found: Tensor, true: Tensor) -> Tensor:
    """How far directions lie apart, the shorter way round: float [N], 0 to 180, of two times float [N], degrees."""
    gap = (found - true).remainder(360)
    return torch.minimum(gap, 360 - gap)


@dataclass(frozen=True)
class Alignment:
    """The mirror and the turn that bring found directions nearest to the true ones, by the mean error."""

    sign: int  # -1: mirrored
    turn: float  # degrees in [0, 360), added after the mirror
    aligned: Tensor  # the found directions after both, float [N]
    errors: Tensor  # what they leave, float [N], degrees


def align(found: Tensor, true: Tensor) -> Alignment:
    """The best of all turns by half a degree, with and without a mirror, of directions float [N], degrees."""
    turns = torch.arange(TURNS, device=found.device)[:, None] * (360 / TURNS)
    ways = torch.cat([found + turns, turns - found])
    best = int(azimuth_error(ways, true).mean(1).argmin())
    sign, turn, aligned = (1 if best < TURNS else -1), turns[best % TURNS].item(), ways[best].remainder(360)
    return Alignment(sign, turn, aligned, azimuth_error(aligned, true))


def chance_after_alignment(true: Tensor, seed: int = 0) -> tuple[float, float]:
    """The median and the mean error, degrees, that the best alignment leaves of random directions: few fit somehow.

    `true` is float [N], degrees; both are means over 40 draws of as many uniform directions.
    """
    random = devices.seeded(seed, "random directions")
    left = [align(360 * torch.rand(len(true), generator=random), true).errors for _ in range(DRAWS)]
    return tuple(torch.stack([of(errors) for errors in left]).mean().item() for of in (torch.median, torch.mean))


def readings(found: Tensor, true: Tensor) -> dict[str, float]:
    """What the paper's "Car -> Car 1.45" could be, which has no unit there: float [N] twice, degrees.

    Its source, NAM's paper, speaks of a root median residual deviation from a linear alignment: the residuals r of a
    straight line through found and true directions, after the best alignment. Which of these is meant is not certain.
    """
    best = align(found, true)
    residual = (best.aligned - true + 180).remainder(360) - 180
    line = torch.stack([true - true.mean(), torch.ones_like(true)], 1).double()
    residual = residual.double() - line @ torch.linalg.lstsq(line, residual.double()[:, None]).solution[:, 0]
    return {
        "median error, degrees": best.errors.median().item(),
        "median error, steps of 15 degrees": best.errors.median().item() / 15,
        "root of the median of r², degrees": residual.square().median().sqrt().item(),
        "root of the median of |r|, root of degrees": residual.abs().median().sqrt().item(),
    }
