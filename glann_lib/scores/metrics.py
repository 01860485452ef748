"""The Frechet and the kernel distance of sets of images, from arrays of their features; `measures` has their facts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from scipy.linalg import lapack

BLOCK = 4_000_000  # kernel values held at once: 32 MB
TOLERANCE = 1e-6  # part of a Frechet distance by which rounding may move it
TINY = np.finfo(np.float64).tiny


def checked_features(generated: ArrayLike, real: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both sets as float64 [N, D] and [M, D]; other shapes, under 2 rows and values not finite are a ValueError."""
    sets = tuple(np.asarray(rows, dtype=np.float64) for rows in (generated, real))
    for name, rows in zip(("generated", "real"), sets, strict=True):
        if rows.ndim != 2 or not rows.shape[1]:
            raise ValueError(f"the {name} features have shape {list(rows.shape)}: give [N, D], one row an image")
        if len(rows) < 2:
            raise ValueError(f"{len(rows)} rows of {name} features: give 2 or more, a spread needs them")
        if not np.isfinite(rows).all():
            raise ValueError(f"the {name} features hold values that are not finite: look at the images they come from")
    if sets[0].shape[1] != sets[1].shape[1]:
        widths = [rows.shape[1] for rows in sets]
        raise ValueError(f"generated and real features are {widths} wide: take both from the same extractor")
    return sets


def frechet_distance(generated: ArrayLike, real: ArrayLike) -> float:
    """Squared Frechet distance between the Gaussians fitted to two sets of features (Eq. 7; see `checked_features`).

        ||mu_g - mu_r||^2 + Tr(S_g + S_r - 2 (S_g S_r)^(1/2))

    Only with Inception features is it called FID. In float64: float32 errs by tenths. The root's trace is the sum of
    the singular values of A_g^T A_r, where A A^T is the covariance, so that nothing complex or negative comes out.
    """
    sets = checked_features(generated, real)
    gap = np.square(sets[0].mean(0) - sets[1].mean(0)).sum()
    # The narrower factor first, so that no eigenvalue of the product's square is 0 by its shape alone.
    narrow, wide = sorted((_covariance_factor(rows) for rows in sets), key=lambda factor: factor.shape[1])
    total = np.square(narrow).sum() + np.square(wide).sum()
    product = narrow.T @ wide
    root_trace, error = _root_trace_by_eigenvalues(product)
    if error > TOLERANCE * (gap + total - 2 * root_trace):
        root_trace = linalg.svdvals(product, check_finite=False).sum()
    return float(gap + max(total - 2 * root_trace, 0.0))


def _covariance_factor(rows: np.ndarray) -> np.ndarray:
    """A [D, r] such that A A^T is the covariance; r is its rank, or the number of rows where that is less than D."""
    centred = rows - rows.mean(0)
    if len(centred) <= centred.shape[1]:
        return centred.T / math.sqrt(len(centred) - 1)
    covariance = centred.T @ centred
    covariance /= len(centred) - 1
    upper, fault = lapack.dpotrf(covariance.T)
    return _factor_by_rank(covariance) if fault else upper.T


def _factor_by_rank(covariance: np.ndarray) -> np.ndarray:
    """The same [D, r] of a singular covariance, as of units that never fire: pivoting stops at the rank."""
    upper, order, rank, _ = lapack.dpstrf(covariance.T)
    factor = np.empty((len(covariance), rank))
    factor[order - 1] = np.tril(upper.T[:, :rank])
    return factor


def _root_trace_by_eigenvalues(product: np.ndarray) -> tuple[float, float]:
    """Sum of the singular values, four times as fast, and how much it may be off: much where one is tiny."""
    if not product.size:
        return 0.0, 0.0
    squares = np.linalg.eigvalsh(product @ product.T).clip(0)
    noise = np.finfo(np.float64).eps * squares[-1]
    return np.sqrt(squares).sum(), np.linalg.norm(noise / np.sqrt(np.maximum(squares, noise) + TINY))


@dataclass(frozen=True)
class KernelDistance:
    """A squared maximum mean discrepancy and its standard error (nan with fewer than 3 rows in a set)."""

    value: float
    standard_error: float


def kernel_distance(generated: ArrayLike, real: ArrayLike) -> KernelDistance:
    """Unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x.y / D + 1)^3 (Binkowski et al. 2018).

        mean of k(x_i, x_j) over i != j  +  mean of k(y_i, y_j) over i != j  -  2 * mean of k(x_i, y_j)

    Only with Inception features is it called KID. All pairs of features [N, D] and [M, D] count (see
    `checked_features`); usual code takes random subsets, whose spread is no standard error. Here the error is the
    delete-one jackknife over both sets, without the part that vanishes faster than 1/N: all there is where the two sets
    are alike.
    """
    x, y = checked_features(generated, real)
    n, m = len(x), len(y)
    within_x, within_y = _sums_within(x), _sums_within(y)
    across_x, across_y = _sums_across(x, y)
    mean_x, mean_y = within_x.sum() / (n * (n - 1)), within_y.sum() / (m * (m - 1))
    value = mean_x + mean_y - 2 * across_x.sum() / (n * m)
    variance = _jackknife_variance(within_x, across_x, m) + _jackknife_variance(within_y, across_y, n)
    return KernelDistance(float(value), math.sqrt(variance))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    base = x @ y.T
    base /= x.shape[1]
    base += 1
    return base * base * base


def _sums_within(rows: np.ndarray) -> np.ndarray:
    """Each row's kernel values with all other rows, summed; each pair is computed once."""
    sums, height = np.zeros(len(rows)), max(1, BLOCK // len(rows))
    for start in range(0, len(rows), height):
        end = min(start + height, len(rows))
        values = _kernel(rows[start:end], rows[start:])
        np.fill_diagonal(values, 0)
        sums[start:end] += values.sum(1)
        sums[end:] += values[:, end - start :].sum(0)
    return sums


def _sums_across(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sums_x, sums_y, height = np.zeros(len(x)), np.zeros(len(y)), max(1, BLOCK // len(y))
    for start in range(0, len(x), height):
        values = _kernel(x[start : start + height], y)
        sums_x[start : start + height] = values.sum(1)
        sums_y += values.sum(0)
    return sums_x, sums_y


def _jackknife_variance(within: np.ndarray, across: np.ndarray, others: int) -> float:
    """Variance of the distance from one set: (n - 1) / n times the squared spread of its values without each row."""
    n = len(within)
    if n < 3:
        return math.nan
    without = (within.sum() - 2 * within) / ((n - 1) * (n - 2)) - 2 * (across.sum() - across) / ((n - 1) * others)
    return float((n - 1) / n * np.square(without - without.mean()).sum())


def label_agreement(labels: ArrayLike, neighbours: ArrayLike) -> float:
    """How often, 0 to 1, neighbours have an item's label.

    Labels are [N], neighbours [N, k] row numbers, the item itself left out; two different N are a ValueError.
    """
    labels, neighbours = np.asarray(labels), np.asarray(neighbours)
    if len(labels) != len(neighbours):
        raise ValueError(f"{len(labels)} labels for the neighbours of {len(neighbours)} items: give one label an item")
    return float((labels[neighbours] == labels[:, None]).mean())
