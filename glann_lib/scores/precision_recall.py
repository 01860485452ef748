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
from glann_lib.scores.metrics import CUDA_BLOCK, Rows, checked_features, rows_at_once

EDGE = 1e-10  # rad: the grid of angles stops short of 0 and of a right angle
# On 10,000 + 10,000 MNIST images in 2,048 features, trained or random, clusters in the 64 directions of most variance
# moved F8 and F1/8 by at most 1.3 standard deviations over seeds, in a tenth of the time.
DIRECTIONS = 64
SKETCH_ROWS = 5000  # rows that the directions are found from
STARTS = 10  # of a clustering, the best of which counts
STEPS = 100  # of Lloyd's, at most
DISTANCES = 4_000_000  # held at once: 32 MB
ROUNDING = 1e-12  # part of the squared norms by which a squared distance may be off; a tie counts as inside
TINY = np.finfo(np.float64).tiny
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
    it. On a CUDA device `k_means` finds the clusters, elsewhere scikit-learn. More clusters than rows, fewer than 3
    angles or no run is a ValueError.
    """
    random = np.random.default_rng(seed)
    sets = _equal_counts(*checked_features(generated, real), random, seed)
    count = len(sets[0])
    if not 1 <= clusters <= 2 * count:
        raise ValueError(f"{clusters} clusters of {2 * count} features: give from 1 to {2 * count}")
    if angles < 3 or runs < 1:
        raise ValueError(f"{angles} angles and {runs} runs: give 3 angles or more and 1 run or more")
    find_labels = _labels_on_gpu if isinstance(sets[0], Tensor) else _labels_on_processor
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


def _labels_on_processor(sets: list[Rows], clusters: int, runs: int, random: np.random.Generator) -> list[np.ndarray]:
    """The labels [2 N] of each run, by scikit-learn."""
    from sklearn.cluster import MiniBatchKMeans  # here: on a GPU nothing of it is needed
    from threadpoolctl import threadpool_limits

    # Thousands of small products: on a busy machine, threads that wait for one another take several times longer.
    with threadpool_limits(1):
        points = _main_directions(sets, random)
        seeds = random.integers(2**31, size=runs).tolist()
        return [MiniBatchKMeans(clusters, n_init=STARTS, random_state=seed).fit(points).labels_ for seed in seeds]


def _main_directions(sets: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Both sets' rows in their `DIRECTIONS` directions of most variance; all directions where they have no more."""
    from sklearn.utils.extmath import randomized_svd

    centre = np.mean([rows.mean(0) for rows in sets], axis=0)
    centred = np.concatenate([(rows - centre).astype(np.float32) for rows in sets])
    if centred.shape[1] > DIRECTIONS:
        sketch = random.choice(centred, min(len(centred), SKETCH_ROWS), replace=False)
        centred = centred @ randomized_svd(sketch, DIRECTIONS, n_iter=2, random_state=int(random.integers(2**31)))[2].T
    return centred.astype(np.float64)  # scikit-learn copies float32 to float64 piece by piece, which takes longer


def _labels_on_gpu(sets: list[Tensor], clusters: int, runs: int, random: np.random.Generator) -> np.ndarray:
    """The labels [runs, 2 N] of all runs at once, by `k_means`."""
    points = _main_directions_by_torch(sets, random)
    return k_means(points, clusters, random.integers(2**31, size=runs).tolist()).cpu().numpy()


def _main_directions_by_torch(sets: list[Tensor], random: np.random.Generator) -> Tensor:
    """`_main_directions` by products on the device: the range of random columns, twice refined (Halko et al. 2011)."""
    centre = (sets[0].mean(0) + sets[1].mean(0)) / 2
    centred = torch.cat([rows - centre for rows in sets])
    if centred.shape[1] <= DIRECTIONS:
        return centred
    sketch = centred[random.choice(len(centred), min(len(centred), SKETCH_ROWS), replace=False)]
    basis = torch.from_numpy(random.normal(size=(centred.shape[1], DIRECTIONS + 10))).to(centred)
    for _ in range(3):
        basis = torch.linalg.qr(sketch.T @ (sketch @ basis)).Q
    spread = (sketch @ basis).T @ (sketch @ basis)
    return centred @ (basis @ torch.linalg.eigh(spread).eigenvectors[:, -DIRECTIONS:])


def k_means(points: Tensor, clusters: int, seeds: list[int]) -> Tensor:
    """k-means of points [N, D], as many times as there are seeds: labels int64 [len(seeds), N], 0 to clusters - 1.

    Of each seed's `STARTS` starts by k-means++ (Arthur and Vassilvitskii 2007) the one of least inertia after Lloyd's
    steps is kept. Numbers are drawn on the processor and no sum depends on the order of threads: on one device a seed
    gives the same labels every time. scikit-learn's MiniBatchKMeans stops farther from a minimum: on five pairs of
    1,000 samples of digits, features 128 and 448 wide, PRD's F8 and F1/8 were 0.3 to 1.9 of its standard deviations
    over seeds apart (means of 6 seeds), either way.
    """
    generators, size = (torch.Generator().manual_seed(seed) for seed in seeds), (STARTS, clusters)
    draws = torch.stack([torch.rand(size, generator=one, dtype=torch.float64) for one in generators]).to(points.device)
    labels = []
    for some in draws.split(max(1, CUDA_BLOCK // (len(points) * clusters * STARTS))):
        found, inertia = _lloyd(points, _starts(points, some.flatten(0, 1)))
        best = inertia.view(-1, STARTS).argmin(1)[:, None, None]
        labels.append(found.view(-1, STARTS, len(points)).take_along_dim(best, 1)[:, 0])
    return torch.cat(labels)


def _starts(points: Tensor, draws: Tensor) -> Tensor:
    """Centres [R, K, D] for draws [R, K] from 0 to 1: points, drawn by their squared distance to the centres before."""
    weights = points.new_ones(len(draws), len(points))
    nearest, norms, centres = weights * math.inf, points.square().sum(1), []
    for draw in draws.unbind(1):
        # As whole numbers, whose sums are exact: a GPU adds up floats in an order that changes.
        shares = (weights / weights.amax(1, keepdim=True).clamp(min=TINY) * 2**30).long().cumsum(1)
        place = torch.searchsorted(shares, (draw * shares[:, -1]).long()[:, None], right=True)[:, 0]
        centres.append(points[place.clamp(max=len(points) - 1)])
        squares = norms - 2 * centres[-1] @ points.T + centres[-1].square().sum(1, keepdim=True)
        weights = nearest = torch.minimum(nearest, squares.clamp(min=0))
    return torch.stack(centres, 1)


def _lloyd(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Labels [R, N] and, less a constant, inertia / 2 [R] from centres [R, K, D]; an empty cluster's stays in place."""
    runs, clusters, _ = centres.shape
    numbers, labels = torch.arange(clusters, device=points.device), None
    counted = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    for _ in range(STEPS):
        half = 0.5 * centres.square().sum(2).flatten() - points @ centres.flatten(0, 1).T
        least, found = half.view(-1, runs, clusters).min(2)
        if labels is not None and torch.equal(found, labels):
            break
        labels = found
        # Sums by a product: those of index_add depend on the order of a GPU's threads.
        members = (labels[..., None] == numbers).to(points.dtype).flatten(1)
        sums = (members.T @ counted).view(runs, clusters, -1)
        centres = torch.where(sums[..., -1:] > 0, sums[..., :-1] / sums[..., -1:].clamp(min=1), centres)
    return labels.T, least.sum(0)


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
