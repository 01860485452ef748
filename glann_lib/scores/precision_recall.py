"""Fidelity and variety apart: what is generated badly lowers precision, what is never generated lowers recall.

Here are the paper's curve (PRD, Sec. 4.1), two scores built on nearest neighbours, and the birthday paradox. Features
are [N, D] of generated and [M, D] of real images; `metrics.checked_features` says which are a ValueError.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from glann_lib.neighbours import nearest_neighbours
from glann_lib.scores.clusters import TINY, find_labels
from glann_lib.scores.metrics import Rows, checked_features, rows_at_once

EDGE = 1e-10  # rad: the grid of angles stops short of 0 and of a right angle
DISTANCES = 4_000_000  # held at once: 32 MB
ROUNDING = 1e-12  # part of the squared norms by which a squared distance may be off; a tie counts as inside
SURE = 3  # no collision in P pairs: with 95% certainty fewer than 3 in P were to be expected


@dataclass(frozen=True)
class PRDCurve:
    """Precision and recall, [angles] each, from the smallest slope of `prd_curve` to the largest."""

    precision: np.ndarray
    recall: np.ndarray

    @property
    def f8(self) -> float:
        """The curve's largest F score that weighs recall 8 times as much as precision."""
        return self._largest_f(8)

    @property
    def f1_8(self) -> float:
        """The curve's largest F score that weighs precision 8 times as much as recall."""
        return self._largest_f(1 / 8)

    def _largest_f(self, beta: float) -> float:
        weighted = beta**2 * self.precision + self.recall
        scores = (1 + beta**2) * self.precision * self.recall / np.maximum(weighted, TINY)
        return float(scores.max())


@dataclass(frozen=True)
class SupportSize:
    """How many different images a generator makes, guessed from how many pairs are alike."""

    pairs: int
    collisions: int  # pairs closer than the threshold
    estimate: float  # images
    lower_bound: bool  # no pair was alike: the support is larger than the estimate with 95% certainty


def prd_curve(
    generated: ArrayLike, real: ArrayLike, clusters: int = 20, angles: int = 1001, runs: int = 10, seed: int = 0
) -> PRDCurve:
    """Precision and recall for distributions (Sajjadi et al. 2018), mean of several clusterings.

    With P the real and Q the generated images' histogram over clusters of both together, for slopes s at evenly spaced
    angles:

        precision = sum of min(s P, Q) over clusters        recall = precision / s

    Unlike in the authors' code (whose README swaps the sets), the clusters are found in the directions of most
    variance, shared by all runs. The larger set is drawn down to the smaller, with a warning, as clusters would follow
    it. On a CUDA device `clusters.k_means` finds them, elsewhere scikit-learn. More clusters than rows, fewer than 3
    angles or no run is a ValueError.
    """
    random = np.random.default_rng(seed)
    sets = _equal_counts(*checked_features(generated, real), random, seed)
    count = len(sets[0])
    if not 1 <= clusters <= 2 * count:
        raise ValueError(f"{clusters} clusters of {2 * count} features: give from 1 to {2 * count}")
    if angles < 3 or runs < 1:
        raise ValueError(f"{angles} angles and {runs} runs: give 3 angles or more and 1 run or more")
    labels = find_labels(sets, clusters, runs, random)
    histograms = [[np.bincount(part, minlength=clusters) / count for part in np.split(run, 2)] for run in labels]
    precision, recall = np.mean([_curve(*pair, angles) for pair in histograms], axis=0).clip(max=1)
    return PRDCurve(precision, recall)


def _equal_counts(generated: Rows, real: Rows, random: np.random.Generator, seed: int) -> list[Rows]:
    least = min(len(generated), len(real))
    if len(generated) != len(real):
        words = f"{len(generated)} generated and {len(real)} real features: {least} of the larger set are used, drawn "
        warnings.warn(f"{words}without repetition with seed {seed}", stacklevel=3)
    return [
        rows if len(rows) == least else rows[random.choice(len(rows), least, replace=False, shuffle=False)]
        for rows in (generated, real)
    ]


def _curve(generated: np.ndarray, real: np.ndarray, angles: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall at each angle from two histograms [clusters] that sum to 1."""
    slopes = np.tan(np.linspace(EDGE, math.pi / 2 - EDGE, angles))
    precision = np.minimum(slopes[:, None] * real, generated).sum(1)
    return precision, precision / slopes


def improved_precision_recall(generated: ArrayLike, real: ArrayLike, k: int = 3) -> dict[str, float]:
    """Precision and recall by spheres that reach to each image's k-th neighbour (Kynkaanniemi et al. 2019).

    "precision" is the part of the generated images within the sphere of any real one, "recall" that of the real images
    within the sphere of any generated one; published values are of 50,000 images and VGG16's second fully connected
    layer. A k that is not below N and M is a ValueError.
    """
    sets = [torch.as_tensor(rows) for rows in checked_features(generated, real)]
    radii = [_radii(rows, k, name) for rows, name in zip(sets, ("generated", "real"), strict=True)]
    held = [torch.zeros_like(rows[:, 0], dtype=torch.bool) for rows in sets]
    for rows, squares, slack in _squared_distances(*sets):
        held[0][rows] = (squares <= radii[1].square() + slack).any(1)
        held[1] |= (squares <= radii[0][rows, None].square() + slack).any(0)
    return {name: part.double().mean().item() for name, part in zip(("precision", "recall"), held, strict=True)}


def density_coverage(generated: ArrayLike, real: ArrayLike, k: int = 5) -> dict[str, float]:
    """Density and coverage (Naeem et al. 2020): spheres around real images only, which outliers sway less.

    "density" is the mean number of these spheres that hold a generated image, divided by k; it may exceed 1. "coverage"
    is the part of them that hold one: about 1 - 1 / 2^k for equal distributions. As in the paper's equations, unlike in
    its code, a sphere holds its surface. A k that is not below M is a ValueError.
    """
    generated, real = (torch.as_tensor(rows) for rows in checked_features(generated, real))
    reach = _radii(real, k, "real").square()
    spheres, covered = 0, torch.zeros_like(reach, dtype=torch.bool)
    for _, squares, slack in _squared_distances(generated, real):
        inside = squares <= reach + slack
        spheres += inside.sum().item()
        covered |= inside.any(0)
    return {"density": spheres / (k * len(generated)), "coverage": covered.double().mean().item()}


def support_size(generated: ArrayLike, threshold: float) -> SupportSize:
    """How many different images a generator makes, by the birthday paradox (Arora, Risteski and Zhang 2018).

    Of s equally likely images, n draws hold n (n - 1) / (2 s) equal pairs on average: s = pairs / collisions, too low
    where some are likelier. Without a collision it is a lower bound: a support of a third of the pairs would have shown
    one 95% of the time. Two images count as one if their features' Euclidean distance is at most the threshold (see
    `duplicate_threshold`); in that paper a person decides. A threshold that is negative or not finite is a ValueError.
    """
    if not (math.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"the threshold is {threshold}: give a finite distance of 0 or more")
    rows = torch.as_tensor(checked_features(generated, generated)[0])
    close = sum((squares <= threshold**2 + slack).sum().item() for _, squares, slack in _squared_distances(rows, rows))
    pairs, collisions = len(rows) * (len(rows) - 1) // 2, (close - len(rows)) // 2
    return SupportSize(pairs, collisions, pairs / (collisions or SURE), not collisions)


def duplicate_threshold(real: ArrayLike) -> float:
    """Half of the median distance between a real image and its nearest other one: our rule, no paper's."""
    rows = torch.as_tensor(checked_features(real, real)[1])
    return 0.5 * _radii(rows, 1, "real").median().item()


def _radii(rows: Tensor, k: int, name: str) -> Tensor:
    """[N] distances of each row to its k-th neighbour, itself not counted."""
    if not 1 <= k < len(rows):
        raise ValueError(f"{k} neighbours among {len(rows)} {name} features: give k from 1 to {len(rows) - 1}")
    return nearest_neighbours(rows, rows, k + 1).distance[:, k]


def _squared_distances(queries: Tensor, points: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Blocks of squared distances [n, M], each with its rows' place and the size [n, M] that rounding may have."""
    centre = points.mean(0)  # far from 0, the norms would drown the differences
    queries, points = queries - centre, points - centre
    point_norms, height = points.square().sum(1), rows_at_once(DISTANCES, points)
    for start in range(0, len(queries), height):
        block = queries[start : start + height]
        norms = block.square().sum(1, keepdim=True) + point_norms
        yield slice(start, start + height), torch.addmm(norms, block, points.T, alpha=-2), ROUNDING * norms
