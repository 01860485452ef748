"""Who judges translations: a classifier of the target domain by their class, or a network that sees where a car points.

Each judge is trained on real, labelled images of the target domain alone, and says how good it is on others of them.
A translation is right where the judge sees in it what the source image is labelled with. The judges suit a ScoreBook.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from glann_lib.data.record import ImageData
from glann_lib.engine import storage
from glann_lib.scores.classifier import TrainedClassifier, fit_classifier
from glann_lib.scores.classifier_training import ClassifierConfig
from glann_lib.translation import azimuths

CLASSES, DIRECTIONS = "classifier", "azimuth network"  # in the extractor's place of a score


@dataclass(frozen=True)
class _TrainedJudge:
    """What both judges are.

    Attributes:
        classifier: of the target domain.
        wanted: [N], what the source images show: labels int64, or azimuths float32 in degrees.
        chance: the score that real target images in any order would have.
    """

    classifier: TrainedClassifier
    wanted: Tensor
    chance: float

    @property
    def digest(self) -> str:
        """Equal for equal classifiers and labels."""
        return storage.digest(self.classifier.train_sha256, vars(self.classifier.config), self.wanted.tolist())

    def self_test(self, images: Tensor, true: Tensor) -> dict[str, Any]:
        """The scores of real target images by what they show themselves."""
        return dataclasses.replace(self, wanted=true).score(images)

    def _record(self, scores: list[dict[str, Any]], images: Tensor) -> dict[str, Any]:
        return {"scores": scores, "chance": self.chance, "translated": len(images)}


@dataclass(frozen=True)
class ClassJudge(_TrainedJudge):
    """Accuracy of translations: how many show the class of the source image."""

    def right(self, images: Tensor) -> Tensor:
        """bool [N]: which of the translations, uint8 [N, C, S, S] in the order of the source images, are right."""
        return self.classifier.predict(images) == self.wanted

    def score(self, images: Tensor, seed: int = 0) -> dict[str, Any]:
        """The accuracy, 0 to 1, of translations as for `right`."""
        right = self.right(images).double()
        error = (right.mean() * (1 - right.mean()) / len(right)).sqrt().item()
        return self._record([_score(CLASSES, "accuracy", right.mean(), error)], images)


@dataclass(frozen=True)
class AzimuthJudge(_TrainedJudge):
    """Error of azimuth of translations, in degrees: how far they point from where the source images point.

    The classifier sorts into sectors; their mean, weighted by its probabilities, is the azimuth that it sees.
    """

    def errors(self, images: Tensor) -> Tensor:
        """float32 [N], degrees, 0 to 180, of translations uint8 [N, C, S, S] in the order of the source images."""
        weights = self.classifier.probabilities(images)
        weights = pad(weights, (0, azimuths.SECTORS - weights.shape[1]))  # sectors that no training image is in
        return azimuths.azimuth_error(azimuths.mean_azimuth(weights), self.wanted)

    def score(self, images: Tensor, seed: int = 0) -> dict[str, Any]:
        """Mean and median error, and how many point more than 90 degrees away, of translations as for `errors`."""
        errors = self.errors(images).double()
        turned = (errors > azimuths.CHANCE).double().mean()
        values = {"azimuth_median": errors.quantile(0.5), "azimuth_mean": errors.mean(), "turned": turned}
        return self._record([_score(DIRECTIONS, *item) for item in values.items()], images)


@dataclass(frozen=True)
class NoJudge:
    """Nobody can judge: scores are off.

    Attributes:
        reason: why, in words for a table's note.
    """

    reason: str
    digest: str = field(default="none", init=False)

    def score(self, images: Tensor, seed: int = 0) -> dict[str, Any]:
        """No scores."""
        return {"scores": [], "chance": None, "translated": len(images), "unscored": self.reason}

    def self_test(self, images: Tensor, true: Tensor) -> dict[str, Any]:
        """No scores."""
        return self.score(images)


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

    Args:
        source: the images that are to be translated, with their labels or azimuths.
        target, target_test: real images of the target domain to train it on, and others.
        config: settings; None: the usual ones, with more steps for few images.
        device: where to train.
        path: *.safetensors for checkpoints and the result.
    """
    config = config or ClassifierConfig(steps=300)
    sets = (source, target, target_test)
    if all(data.azimuths is not None for data in sets):
        labels = (azimuths.sectors(data.azimuths) for data in (target, target_test))
        classifier = _fit(target, target_test, labels, config, device, path)
        return AzimuthJudge(classifier, source.azimuths, azimuths.CHANCE)
    unlabelled = [data.name for data in sets if data.labels is None]
    if unlabelled:
        return NoJudge(f"no scores: {unlabelled[0]} has no class labels, and not all images have azimuths")
    if source.class_names != target.class_names:
        return NoJudge(f"no scores: the classes of {source.name} and {target.name} are not the same")
    classifier = _fit(target, target_test, (target.labels, target_test.labels), config, device, path)
    return ClassJudge(classifier, source.labels, chance_accuracy(source.labels, target.labels))


def chance_accuracy(wanted: Tensor, target: Tensor) -> float:
    """How often a target image drawn at random has the label that a source image wants; int64 [N] and [M]."""
    classes = int(max(wanted.max(), target.max())) + 1
    shares = (torch.bincount(labels, minlength=classes).double() / len(labels) for labels in (wanted, target))
    return float(torch.dot(*shares))


def _fit(
    target: ImageData, test: ImageData, labels: Any, config: ClassifierConfig, device: Any, path: Path | None
) -> Any:
    own, others = labels
    return fit_classifier(target.images, own, test.images, others, config, device, path)


def _score(judge: str, metric: str, value: Tensor, error: float | None = None) -> dict[str, Any]:
    return {"extractor": judge, "metric": metric, "value": value.item(), "standard_error": error}
