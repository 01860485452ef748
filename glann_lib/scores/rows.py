"""Stored scores, grouped for tables and figures: a row a model and budget, its seeds together, in the paper's order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from glann_lib.records.tables import DASH
from glann_lib.rivals.contenders import RIVALS
from glann_lib.scores.reported import ADVERSARIAL, LABELS, reported

Record = dict[str, Any]  # what one trained model left: model, label, kind, seed, budget, scores
KINDS = ("adversarial", "non-adversarial", "baseline", "floor")
BUDGETS = ("short", "equal", "long", "protocol", "own")
ORDER = (*RIVALS, "glo", "", "glann", "glann-refined", "glann-places365")  # "": any other model


@dataclass(frozen=True)
class Row:
    """One model under one budget; without records: one that only the paper has a number for."""

    model: str
    label: str
    kind: str
    budget: str
    records: tuple[Record, ...] = ()

    @property
    def name(self) -> str:
        """The label for a figure; it says so where the budget is the protocol's."""
        return f"{self.label} (protocol)" if self.budget == "protocol" else self.label

    def values(self, extractor: str, metric: str) -> list[float]:
        """A score of each seed for which it is stored."""
        return [score["value"] for score in self.scores(extractor, metric) if score["value"] is not None]

    def scores(self, extractor: str, metric: str) -> list[dict[str, Any]]:
        """All that is stored about one score, a dict a seed."""
        stored = [score for record in self.records for score in record["scores"]]
        return [score for score in stored if score["extractor"] == extractor and score["metric"] == metric]


def group(records: Iterable[Record]) -> list[Row]:
    """Records by model and budget, in the paper's order, floors last; two of one seed in a row are a ValueError."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        budget = DASH if record["budget"] in (None, "none") else record["budget"]
        groups.setdefault((record["model"], budget), []).append(record)
    for (model, budget), members in groups.items():
        if len({record["seed"] for record in members}) < len(members):
            raise ValueError(f"two records of {model}, budget {budget}, have one seed: keep one of them")
    rows = [Row(model, g[0]["label"], g[0]["kind"], budget, tuple(g)) for (model, budget), g in groups.items()]
    return sorted(rows, key=place)


def with_reported(rows: Sequence[Row], dataset: str, metric: str = "fid") -> list[Row]:
    """Add a row for every model that only the paper has a number for."""
    missing = [
        Row(model, label, KINDS[model not in ADVERSARIAL], DASH)
        for model, label in LABELS.items()
        if reported(dataset, model, metric) and model not in {row.model for row in rows}
    ]
    return sorted([*rows, *missing], key=place)


def extractors(rows: Iterable[Row], metric: str) -> list[str]:
    """The extractors that have scores of this metric; Inception first, then in the order of their names."""
    scores = (score for row in rows for record in row.records for score in record["scores"])
    found = {score["extractor"] for score in scores if score["metric"] == metric}
    return sorted(found, key=lambda name: (name != "inception", name))


def place(row: Row) -> tuple[int, int, str, int, str]:
    """What rows are sorted by: kind, the paper's order of models, budget."""
    families = (model for model in ORDER if f"{row.model}-".startswith(f"{model}-"))
    known = max(families, key=len, default="")  # "glann-vgg19" stands behind "glann"
    return KINDS.index(row.kind), ORDER.index(known), row.model, (*BUDGETS, row.budget).index(row.budget), row.budget
