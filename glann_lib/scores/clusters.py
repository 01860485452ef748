"""Clusters of two sets' features together, for PRD (Sec. 4.1): scikit-learn's, on a CUDA device k-means in torch."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from glann_lib.scores.metrics import CUDA_BLOCK, Rows

# On 10,000 + 10,000 MNIST images in 2,048 features, trained or random, clusters in the 64 directions of most variance
# moved F8 and F1/8 by at most 1.3 standard deviations over seeds, in a tenth of the time.
DIRECTIONS = 64
SKETCH_ROWS = 5000  # rows that the directions are found from
STARTS = 10  # of a clustering, the best of which counts
STEPS = 100  # of Lloyd's, at most
TINY = np.finfo(np.float64).tiny


def find_labels(sets: list[Rows], clusters: int, runs: int, random: np.random.Generator) -> np.ndarray:
    """Labels [runs, 2 N] of both sets' rows [N, D], of several clusterings that share their main directions."""
    return (_labels_on_gpu if isinstance(sets[0], Tensor) else _labels_on_processor)(sets, clusters, runs, random)


def _labels_on_processor(sets: list[Rows], clusters: int, runs: int, random: np.random.Generator) -> np.ndarray:
    """The labels of each run, by scikit-learn."""
    from sklearn.cluster import MiniBatchKMeans  # here: on a GPU nothing of it is needed
    from threadpoolctl import threadpool_limits

    # Thousands of small products: on a busy machine, threads that wait for one another take several times longer.
    with threadpool_limits(1):
        points = _main_directions(sets, random)
        seeds = random.integers(2**31, size=runs).tolist()
        fits = (MiniBatchKMeans(clusters, n_init=STARTS, random_state=seed).fit(points) for seed in seeds)
        return np.stack([fit.labels_ for fit in fits])


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
