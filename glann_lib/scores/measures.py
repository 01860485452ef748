"""What a reader has to know of every score before reading its number: name, unit, orientation, bounds, protocol, paper.

`METRICS` are computed from features of images (`metrics`, `precision_recall`), `SHAPE_METRICS` from voxels
(`shape_metrics`), `TRANSLATION_METRICS` by a judge of the target domain (`translation_judges`). Which network the
features are of decides what a score may be called.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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


METRICS: dict[str, Metric] = {
    "frechet": Metric(
        "Fréchet distance", "squared feature units", "lower", 0.0, math.inf,
        "squared distance of Gaussians fitted to N generated and N real images; biased upwards at small N: "
        "compare at equal N only", "Heusel et al., NeurIPS 2017",
    ),
    "kernel": Metric(
        "Kernel distance", "none", "lower", -math.inf, math.inf,
        "unbiased squared MMD with the kernel (x.y / D + 1)^3 over all pairs; near 0 for equal distributions, also "
        "just below", "Binkowski et al., ICLR 2018",
    ),
    "f8": Metric(
        "F8", "part of 1", "higher", 0.0, 1.0,
        "weighs recall; 20 clusters, 1001 angles, mean curve of 10 runs, equal counts", "Sajjadi et al., NeurIPS 2018",
    ),
    "f1_8": Metric(
        "F1/8", "part of 1", "higher", 0.0, 1.0,
        "weighs precision; 20 clusters, 1001 angles, mean curve of 10 runs, equal counts",
        "Sajjadi et al., NeurIPS 2018",
    ),
    "precision": Metric(
        "Precision", "part of 1", "higher", 0.0, 1.0,
        "generated images within the 3-neighbour sphere of any real one", "Kynkäänniemi et al., NeurIPS 2019",
    ),
    "recall": Metric(
        "Recall", "part of 1", "higher", 0.0, 1.0,
        "real images within the 3-neighbour sphere of any generated one", "Kynkäänniemi et al., NeurIPS 2019",
    ),
    "density": Metric(
        "Density", "none", "higher", 0.0, math.inf,
        "how many 5-neighbour spheres of real images hold a generated one, by 5", "Naeem et al., ICML 2020",
    ),
    "coverage": Metric(
        "Coverage", "part of 1", "higher", 0.0, 1.0,
        "real images whose 5-neighbour sphere holds a generated one", "Naeem et al., ICML 2020",
    ),
    "support": Metric(
        "Support size", "images", "higher", 0.0, math.inf,
        "birthday paradox: N (N - 1) / 2 over the number of pairs closer than half of the median distance of real "
        "neighbours", "Arora, Risteski and Zhang, ICLR 2018",
    ),
}  # fmt: skip

SHAPE_METRICS: dict[str, Metric] = {
    "matching_chamfer": Metric(
        "MMD (Chamfer)", "sides of the cube", "lower", 0.0, math.inf,
        "Chamfer distance of each real shape to the nearest generated one, mean over real shapes; distances between "
        "surface voxels, not squared; falls with the number of generated shapes: compare at equal counts only",
        "Achlioptas et al., ICML 2018",
    ),
    "matching_iou": Metric(
        "Matching IoU", "part of 1", "higher", 0.0, 1.0,
        "intersection over union of each real shape with the generated one most like it, mean over real shapes; grows "
        "with the number of generated shapes: compare at equal counts only",
        "in the manner of Achlioptas et al., ICML 2018",
    ),
    "coverage_chamfer": Metric(
        "COV (Chamfer)", "part of 1", "higher", 0.0, 1.0,
        "real shapes that are nearest to at least one generated one by Chamfer distance; a set of real shapes stays "
        "below 1 as well; compare at equal counts only", "Achlioptas et al., ICML 2018",
    ),
    "coverage_iou": Metric(
        "COV (IoU)", "part of 1", "higher", 0.0, 1.0,
        "real shapes that are most like at least one generated one by intersection over union; compare at equal counts "
        "only", "in the manner of Achlioptas et al., ICML 2018",
    ),
    "nearest_accuracy_chamfer": Metric(
        "1-NNA (Chamfer)", "part of 1", "0.5", 0.0, 1.0,
        "shapes whose nearest other one by Chamfer distance is of their own set: 1 for sets that share nothing, 0 for "
        "a copied set; 0.5 is best at equal counts only",
        "Lopez-Paz and Oquab, ICLR 2017; Yang et al., ICCV 2019",
    ),
    "empty": Metric(
        "Empty shapes", "part of 1", "lower", 0.0, 1.0, "generated shapes without a single voxel", "this project",
    ),
}  # fmt: skip

TRANSLATION_METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        "Accuracy", "part of 1", "higher", 0.0, 1.0,
        "translations of unseen images in which a classifier of the target domain sees the source image's class",
        "Hoshen and Wolf, ECCV 2018",
    ),
    "azimuth_median": Metric(
        "Azimuth error, median", "degrees", "lower", 0.0, 180.0,
        "between the source image's azimuth and the one that a network, trained on the target domain, sees in its "
        "translation; the shorter way round", "in the manner of Hoshen and Wolf, ECCV 2018",
    ),
    "azimuth_mean": Metric(
        "Azimuth error, mean", "degrees", "lower", 0.0, 180.0,
        "as the median; a car turned round counts 180", "in the manner of Hoshen and Wolf, ECCV 2018",
    ),
    "turned": Metric(
        "Turned", "part of 1", "lower", 0.0, 1.0, "translations that point more than 90 degrees away", "this project",
    ),
}  # fmt: skip


def title(metric: str, extractor: str) -> str:
    """Words for axes and heads of tables: "FID", "Fréchet distance (classifier)", "MMD (Chamfer)".

    Raises:
        ValueError: unknown metric.
    """
    if metric in SHAPE_METRICS | TRANSLATION_METRICS:
        return (SHAPE_METRICS | TRANSLATION_METRICS)[metric].name
    return _inception_name(metric, extractor) or f"{METRICS[metric].name} ({extractor})"


def _inception_name(metric: str, extractor: str) -> str | None:
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}: choose one of {', '.join(METRICS)}")
    return {"frechet": "FID", "kernel": "KID"}.get(metric) if extractor == INCEPTION else None
