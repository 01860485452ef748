"""Who judges translations: a classifier of the target domain by their class, or a network that sees where a car points.

Each judge is trained on real, labelled images of the target domain alone, and says how good it is on others of them.
A translation is right where the judge sees in it what the source image is labelled with. The judges suit a ScoreBook.
Directions are in degrees and wrap at 360; a network sorts them into sectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from glann_lib.data.record import ImageData
from glann_lib.engine import storage
from glann_lib.scores.classifier import ClassifierConfig, TrainedClassifier
from glann_lib.scores.classifier_training import fit_classifier

SECTORS = 24  # 15 degrees each, as in the car images of the original benchmark
WIDTH = 360 / SECTORS  # degrees; sector k is centred on k * WIDTH
# Degrees: mean and median error of a guess that is uniform over all directions, as its error is uniform on [0, 180].
CHANCE = 90.0
CLASSES, DIRECTIONS = "classifier", "azimuth network"  # in the extractor's place of a score


@dataclass(frozen=True)
class _TrainedJudge:
    """What both judges are; each says in `_measures` what it sees in images: by metric the value and standard error."""

    classifier: TrainedClassifier  # of the target domain
    wanted: Tensor  # [N], what the source images show: labels int64, or azimuths float32 in degrees
    chance: float  # the score that real target images in any order would have

    @property
    def digest(self) -> str:
        """Equal for equal classifiers and labels."""
        return storage.digest(self.classifier.train_sha256, vars(self.classifier.config), self.wanted.tolist())

    def score(self, images: Tensor, seed: int = 0, wanted: Tensor | None = None) -> dict[str, Any]:
        """The scores of translations, uint8 [N, C, S, S], in the order of the source images.

        `wanted` stands for what the source images show: real target images are judged by what they show themselves.
        """
        scores = [
            {"extractor": self.name, "metric": metric, "value": value, "standard_error": error}
            for metric, (value, error) in self._measures(images, self.wanted if wanted is None else wanted).items()
        ]
        return {"scores": scores, "chance": self.chance, "translated": len(images)}


@dataclass(frozen=True)
class ClassJudge(_TrainedJudge):
    """Accuracy of translations, 0 to 1: how many show the class of the source image."""

    name = CLASSES

    def _measures(self, images: Tensor, wanted: Tensor) -> dict[str, tuple[float, float | None]]:
        right = (self.classifier.predict(images) == wanted).double().mean().item()
        return {"accuracy": (right, math.sqrt(right * (1 - right) / len(images)))}


@dataclass(frozen=True)
class AzimuthJudge(_TrainedJudge):
    """Error of azimuth of translations, in degrees: how far they point from where the source images point.

    The classifier sorts into sectors; their mean, weighted by its probabilities, is the azimuth that it sees.
    """

    name = DIRECTIONS

    def errors(self, images: Tensor, wanted: Tensor) -> Tensor:
        """float32 [N], degrees, 0 to 180."""
        weights = self.classifier.probabilities(images)
        weights = pad(weights, (0, SECTORS - weights.shape[1]))  # sectors that no training image is in
        return azimuth_error(mean_azimuth(weights), wanted)

    def _measures(self, images: Tensor, wanted: Tensor) -> dict[str, tuple[float, float | None]]:
        errors = self.errors(images, wanted).double()
        turned = (errors > CHANCE).double().mean()  # how many point more than 90 degrees away
        values = {"azimuth_median": errors.quantile(0.5), "azimuth_mean": errors.mean(), "turned": turned}
        return {metric: (value.item(), None) for metric, value in values.items()}


@dataclass(frozen=True)
class NoJudge:
    """Nobody can judge: scores are off."""

    reason: str  # in words for a table's note
    digest: str = field(default="none", init=False)

    def score(self, images: Tensor, seed: int = 0, wanted: Tensor | None = None) -> dict[str, Any]:
        """No scores."""
        return {"scores": [], "chance": None, "translated": len(images), "unscored": self.reason}


Judge = ClassJudge | AzimuthJudge | NoJudge


def make_judge(
    source: ImageData,
    target: ImageData,
    target_test: ImageData,
    config: ClassifierConfig | None = None,
    device: torch.device | str = "cpu",
    path: Path | None = None,
) -> Judge:
    """Train the judge of one task; where labels are missing or do not fit, one that says why there are no scores.

    The source images are those that are to be translated. Without settings the usual ones are taken, with more steps
    for few images. Checkpoints and the result go to `path`, *.safetensors.
    """
    sets = (source, target, target_test)
    unlabelled = [data.name for data in sets if data.labels is None]
    if all(data.azimuths is not None for data in sets):
        kind, wanted, chance = AzimuthJudge, source.azimuths, CHANCE
        labels, test_labels = (sectors(data.azimuths) for data in (target, target_test))
    elif unlabelled:
        return NoJudge(f"no scores: {unlabelled[0]} has no class labels, and not all images have azimuths")
    elif source.class_names != target.class_names:
        return NoJudge(f"no scores: the classes of {source.name} and {target.name} are not the same")
    else:
        kind, wanted, chance = ClassJudge, source.labels, chance_accuracy(source.labels, target.labels)
        labels, test_labels = target.labels, target_test.labels
    config = config or _settings(kind, target)
    classifier = fit_classifier(target.images, labels, target_test.images, test_labels, config, device, path)
    return kind(classifier, wanted, chance)


def _settings(kind: type[_TrainedJudge], target: ImageData) -> ClassifierConfig:
    """Painted digits among others take three times the steps of white ones, and of directions, until they are seen."""
    steps = 400 if kind is ClassJudge and target.images.shape[1] == 3 else 120
    return ClassifierConfig(epochs=4, steps=steps, batch_size=32, lr=0.002, shift=1)


def chance_accuracy(wanted: Tensor, target: Tensor) -> float:
    """How often a target image drawn at random has the label that a source image wants; int64 [N] and [M]."""
    classes = int(max(wanted.max(), target.max())) + 1
    shares = (torch.bincount(labels, minlength=classes).double() / len(labels) for labels in (wanted, target))
    return float(torch.dot(*shares))


def azimuth_error(found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """How far directions lie apart, the shorter way round: float [N], 0 to 180, of two times float [N], degrees."""
    gap = (found - true).remainder(360)
    return torch.minimum(gap, 360 - gap)


def sectors(azimuths: torch.Tensor) -> torch.Tensor:
    """The sectors whose centres are nearest, int64 [N], 0 to 23, of float [N], degrees; a border is the upper's."""
    return (azimuths / WIDTH + 0.5).floor().long() % SECTORS


def mean_azimuth(weights: torch.Tensor) -> torch.Tensor:
    """The direction of the weighted sum of the sectors' unit vectors: their circular mean.

    Weights are float [N, 24], 0 or more: probabilities, or any multiple of them. Where they are in balance all round,
    rounding decides. Degrees come as float32 [N] in [0, 360).
    """
    angles = torch.arange(SECTORS, device=weights.device) * (2 * torch.pi / SECTORS)
    east, north = (weights.float() @ torch.stack([angles.cos(), angles.sin()], dim=1)).unbind(1)
    degrees = torch.atan2(north, east).rad2deg()
    return degrees.remainder(360).remainder(360)  # the first rounds a little below 0 up to 360 itself
