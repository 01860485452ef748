"""From samples to scores: every metric of a model's samples, in a JSON record that tables and figures draw on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from glann_lib.engine import storage
from glann_lib.scores.features import ScoreExtractor
from glann_lib.scores.metrics import frechet_distance, kernel_distance
from glann_lib.scores.precision_recall import (
    PRDCurve,
    density_coverage,
    duplicate_threshold,
    improved_precision_recall,
    prd_curve,
    support_size,
)

SHOWN = 100  # samples that are kept beside the scores, to be looked at
COUNTS = (100, 200, 500, 1000, 2000, 5000, 10_000)  # sizes at which the dependence on the number of samples is shown
FEWEST = 10  # images of the smaller set; fewer have no five neighbours and no twenty clusters
# Held-out digits by which each of 20 draws ranked real images, GLANN and GLO rightly; of 10 seven draws in ten did.
ENOUGH = 100
CURVE_STEP = 10  # every so many of a PRD curve's 1001 points are kept


class Judge(Protocol):
    """What a ScoreBook compares samples with: `Reference` for images, `shapes.scores.ShapeReference` for shapes."""

    digest: str

    def score(self, images: Tensor, seed: int = 0) -> dict[str, Any]:
        """Plain values, among them "scores": a list of {extractor, metric, value, ...}, the main one first."""


@dataclass(frozen=True)
class Reference:
    """Held-out images as the extractors see them."""

    extractors: tuple[ScoreExtractor, ...]
    features: tuple[Tensor, ...]  # [N, D] of each extractor, on its device
    digest: str  # equal for equal images and extractors

    @classmethod
    def of(cls, images: Tensor, extractors: Sequence[ScoreExtractor]) -> Reference:
        """The reference that uint8 images [N, C, S, S] make; `caution` says what few of them cannot tell."""
        features = tuple(extractor.features_on_device(images) for extractor in extractors)
        digest = storage.digest(storage.tensor_digest(images), [extractor.digest for extractor in extractors])
        return cls(tuple(extractors), features, digest)

    def score(self, images: Tensor, seed: int = 0) -> dict[str, Any]:
        """Every metric, by every extractor, of images uint8 [N, C, S, S], generated ones or, for a floor, real ones.

        "scores" lists {extractor, metric, value, standard_error}, for the support size with lower_bound; "prd" is
        extractor -> {precision, recall}, "by_count" extractor -> {counts, frechet}; "generated", "real" and
        "prd_images" count images. The seed is that of PRD's clusters and of the subsets by count.
        """
        record: dict[str, Any] = {"scores": [], "prd": {}, "by_count": {}}
        for extractor, real in zip(self.extractors, self.features, strict=True):
            features, name, curve = extractor.features_on_device(images), extractor.name, None
            pairs = min(len(features), len(real))  # PRD wants sets of one size
            record |= {"generated": len(features), "real": len(real), "prd_images": pairs}
            if pairs < 2:
                continue
            if pairs >= FEWEST:
                curve = prd_curve(features[:pairs], real[:pairs], seed=seed)
                record["prd"][name] = {
                    side: getattr(curve, side)[::CURVE_STEP].round(5).tolist() for side in ("precision", "recall")
                }
            rows = _all_metrics(features, real, curve)
            record["scores"] += [{"extractor": name, **row} for row in rows]
            record["by_count"][name] = _by_count(features, real, seed, rows[0]["value"])
        return record


def caution(count: int) -> str:
    """What so few images in the smaller set cannot tell, in a line; "" where they are enough."""
    if count < 2:
        return "one image has no spread: nothing can be measured"
    if count < FEWEST:
        return f"{count} images: distances are mostly chance; PRD, precision, recall, density and coverage are left out"
    return f"{count} images are few: distances come out too high, and change with the choice" if count < ENOUGH else ""


def _by_count(features: Tensor, real: Tensor, seed: int, of_all: float) -> dict[str, list[Any]]:
    counts = [count for count in COUNTS if count < len(features)]
    mixed = features[np.random.default_rng(seed).permutation(len(features))]  # real images may come in an order
    distances = [frechet_distance(mixed[:count], real) for count in counts]
    return {"counts": [*counts, len(features)], "frechet": [*distances, of_all]}


def _all_metrics(features: Tensor, real: Tensor, curve: PRDCurve | None) -> list[dict[str, Any]]:
    """A row for each metric, the Frechet distance first."""
    kernel, duplicates = kernel_distance(features, real), support_size(features, duplicate_threshold(real))
    values = {"frechet": frechet_distance(features, real), "kernel": kernel.value}
    if curve is not None:
        values |= {"f8": curve.f8, "f1_8": curve.f1_8}
        values |= improved_precision_recall(features, real) | density_coverage(features, real)
    values["support"] = duplicates.estimate
    rows = {name: {"metric": name, "value": value, "standard_error": None} for name, value in values.items()}
    rows["kernel"]["standard_error"] = None if math.isnan(kernel.standard_error) else kernel.standard_error
    rows["support"]["lower_bound"] = duplicates.lower_bound
    return list(rows.values())


@dataclass(frozen=True)
class ScoreBook:
    """The scores of one run's models: a JSON record each, made once, with the model's first samples beside it."""

    folder: Path  # below the work folder of a run
    reference: Judge  # what all models are compared with
    provenance: dict[str, Any]  # goes into every record

    def add(self, facts: dict[str, Any], settings: Any, make: Callable[[], tuple[Tensor, dict[str, Any]]]) -> dict:
        """The record of one model: from the folder where it was made in the same way, else scored now.

        `facts` (model, label, kind, seed, budget) name the record. `settings`, plain values, decide the scores together
        with the reference. `make` trains the model and gives its samples, uint8 [N, C, S, S], and further facts.
        """
        fingerprint = storage.digest(facts, settings, self.reference.digest)
        path = self.folder / _file_name(facts, "json")
        stored = _read(path)
        if stored and stored["fingerprint"] == fingerprint:
            return stored
        images, more = make()
        record = {**facts, **more, **self.reference.score(images, facts["seed"])}
        record |= {"fingerprint": fingerprint, "reference": self.reference.digest, "provenance": self.provenance}
        storage.save_tensors(path.with_suffix(".safetensors"), {"samples": images[:SHOWN]}, facts)
        storage.write_json(path, record)
        return record


def read_records(folder: Path, reference: str | None = None) -> list[dict[str, Any]]:
    """A ScoreBook's records, sorted by file name: all, or those against the reference of a digest."""
    records = [record for path in sorted(folder.glob("*.json")) if (record := _read(path))]
    return [record for record in records if reference in (None, record["reference"])]


def read_samples(folder: Path, record: dict[str, Any]) -> Tensor:
    """The first samples of a record's model, uint8 [at most SHOWN, C, S, S]; errors as of `storage.load_tensors`."""
    return storage.load_tensors(folder / _file_name(record, "safetensors"))[0]["samples"]


def _file_name(facts: dict[str, Any], ending: str) -> str:
    return f"{facts['model']}-{facts['budget']}-seed{facts['seed']}.{ending}"


def _read(path: Path) -> dict[str, Any] | None:
    """None where there is no record or a damaged one: it is then made again."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
