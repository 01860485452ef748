"""Who judges translations: a classifier of the target domain by their class, or a network that sees where a car points.

Each judge is trained on real, labelled images of the target domain alone, and says how good it is on others of them.
A translation is right where the judge sees in it what the source image is labelled with. The judges suit a ScoreBook.
Directions are in degrees and wrap at 360: see `azimuths`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glann_lib.data.record import ImageData
from glann_lib.engine import storage
from glann_lib.scores.classifier import ClassifierConfig, TrainedClassifier
from glann_lib.scores.classifier_training import fit_classifier
from glann_lib.translation.azimuths import (
    CHANCE,
    TrainedRegressor,
    align,
    azimuth_error,
    chance_after_alignment,
    fit_azimuths,
)
from glann_lib.translation.azimuths import SETTINGS as AZIMUTHS

CLASSES, DIRECTIONS = "classifier", "azimuth network"  # in the extractor's place of a score


@dataclass(frozen=True)
class _TrainedJudge:
    """What both judges are; each says in `_measures` what it sees in images: by metric the value and standard error."""

    network: TrainedClassifier | TrainedRegressor  # of the target domain
    wanted: Tensor  # [N], what the source images show: labels int64, or azimuths float32 in degrees
    chance: float  # the first score that real target images in any order would have

    @property
    def digest(self) -> str:
        """Equal for equal networks and labels."""
        return storage.digest(self.name, self.network.train_sha256, vars(self.network.config), self.wanted.tolist())

    def score(self, images: Tensor, seed: int = 0, wanted: Tensor | None = None) -> dict[str, Any]:
        """The scores of translations, uint8 [N, C, S, S], in the order of the source images.

        `wanted` stands for what the source images show: real target images are judged by what they show themselves.
        """
        measures = self._measures(images, self.wanted if wanted is None else wanted)
        scores = [{"extractor": self.name, "metric": metric, **value} for metric, value in measures.items()]
        return {"scores": scores, "chance": self.chance, "translated": len(images)}


@dataclass(frozen=True)
class ClassJudge(_TrainedJudge):
    """Accuracy of translations, 0 to 1: how many show the class of the source image."""

    name = CLASSES

    def _measures(self, images: Tensor, wanted: Tensor) -> dict[str, dict[str, float | None]]:
        right = (self.network.predict(images) == wanted).double().mean().item()
        error = math.sqrt(right * (1 - right) / len(images))
        return {"accuracy": {"value": right, "standard_error": error, "chance": self.chance}}


@dataclass(frozen=True)
class AzimuthJudge(_TrainedJudge):
    """Error of azimuth of translations, in degrees: how far they point from where the source images point."""

    name = DIRECTIONS

    def azimuths(self, images: Tensor) -> Tensor:
        """Where the cars in images uint8 [N, C, S, S] point, float32 [N], degrees."""
        return self.network.azimuths(images)

    def _measures(self, images: Tensor, wanted: Tensor) -> dict[str, dict[str, float | None]]:
        found = self.azimuths(images)
        errors, left = azimuth_error(found, wanted), align(found, wanted).errors
        turned = (errors > CHANCE).double().mean()  # how many point more than 90 degrees away
        values = {"azimuth_median": (errors.median(), CHANCE), "azimuth_mean": (errors.mean(), CHANCE)}
        values |= {"turned": (turned, 0.5)}
        median, mean = chance_after_alignment(wanted)
        values |= {"aligned_median": (left.median(), median), "aligned_mean": (left.mean(), mean)}
        return {
            metric: {"value": value.item(), "standard_error": None, "chance": chance}
            for metric, (value, chance) in values.items()
        }


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
        seen = target.images, target.azimuths, target_test.images, target_test.azimuths
        return AzimuthJudge(fit_azimuths(*seen, config or AZIMUTHS, device, path), source.azimuths, CHANCE)
    if unlabelled:
        return NoJudge(f"no scores: {unlabelled[0]} has no class labels, and not all images have azimuths")
    if source.class_names != target.class_names:
        return NoJudge(f"no scores: the classes of {source.name} and {target.name} are not the same")
    seen = target.images, target.labels, target_test.images, target_test.labels
    classifier = fit_classifier(*seen, config or _settings(target), device, path)
    return ClassJudge(classifier, source.labels, chance_accuracy(source.labels, target.labels))


def _settings(target: ImageData) -> ClassifierConfig:
    """Painted digits among others take three times the steps of white ones until they are seen."""
    steps = 400 if target.images.shape[1] == 3 else 120
    return ClassifierConfig(epochs=4, steps=steps, batch_size=32, lr=0.002, shift=1)


def chance_accuracy(wanted: Tensor, target: Tensor) -> float:
    """How often a target image drawn at random has the label that a source image wants; int64 [N] and [M]."""
    classes = int(max(wanted.max(), target.max())) + 1
    shares = (torch.bincount(labels, minlength=classes).double() / len(labels) for labels in (wanted, target))
    return float(torch.dot(*shares))
