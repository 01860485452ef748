"""Name, unit, orientation, bounds, protocol and paper of every score, as they stand in measures.toml.

`METRICS` are of features of images (`metrics`, `precision_recall`), `SHAPE_METRICS` of voxels (`shapes.metrics`),
`TRANSLATION_METRICS` by a judge of the target domain (`translation.judges`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

INCEPTION = "inception"  # the extractor whose distances bear the names FID and KID
VOXELS = "voxels"  # stands in the extractor's place where shapes are compared as they are


@dataclass(frozen=True)
class Metric:
    """What a reader has to know of a score before reading its number."""

    name: str  # for axes and heads of tables
    unit: str
    better: str  # "lower", "higher" or "0.5"
    low: float  # no value lies below
    high: float  # nor above
    protocol: str
    source: str  # paper


_FACTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
METRICS, SHAPE_METRICS, TRANSLATION_METRICS = (
    {key: Metric(**facts) for key, facts in _FACTS[kind].items()} for kind in ("images", "shapes", "translations")
)


def title(metric: str, extractor: str) -> str:
    """A metric's name for axes and tables: "FID", "Fréchet distance (classifier)"; an unknown one is a ValueError."""
    if metric in SHAPE_METRICS | TRANSLATION_METRICS:
        return (SHAPE_METRICS | TRANSLATION_METRICS)[metric].name
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}: choose one of {', '.join(METRICS)}")
    known = {"frechet": "FID", "kernel": "KID"} if extractor == INCEPTION else {}
    return known.get(metric) or f"{METRICS[metric].name} ({extractor})"
