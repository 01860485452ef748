"""The Frechet and the kernel distance of sets of images, from arrays of their features; `measures` has their facts.

Features that lie on a CUDA device are worked on there, in float64 as well, but for roots and eigenvalues of [D, D].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import linalg
from scipy.linalg import lapack
from torch import Tensor

Rows = np.ndarray | Tensor  # float64, of `checked_features`: what both types can do is written once
BLOCK = 4_000_000  # kernel values held at once: 32 MB
CUDA_BLOCK = 1 << 26  # the same on a GPU: 512 MB
TOLERANCE = 1e-6  # part of a Frechet distance by which rounding may move it
TINY = np.finfo(np.float64).tiny


def checked_features(generated: ArrayLike, real: ArrayLike) -> tuple[Rows, Rows]:
    """Both sets as float64 [N, D] and [M, D]: tensors on a CUDA device where one lies there, else arrays.

    Other shapes, under 2 rows and values not finite are a ValueError.
    """
    device = cuda_device(generated, real)
    sets = [
        torch.as_tensor(s, device=device).double() if device else to_array(s, np.float64) for s in (generated, real)
    ]
    for name, rows in zip(("generated", "real"), sets, strict=True):
        if rows.ndim != 2 or not rows.shape[1]:
            raise ValueError(f"the {name} features have shape {list(rows.shape)}: give [N, D], one row an image")
        if len(rows) < 2:
            raise ValueError(f"{len(rows)} rows of {name} features: give 2 or more, a spread needs them")
        if not abs(rows).max() < math.inf:  # nor is NaN
            raise ValueError(f"the {name} features hold values that are not finite: look at the images they come from")
    if sets[0].shape[1] != sets[1].shape[1]:
        widths = [rows.shape[1] for rows in sets]
        raise ValueError(f"generated and real features are {widths} wide: take both from the same extractor")
    return tuple(sets)


def cuda_device(*sets: ArrayLike) -> torch.device | None:
    """The CUDA device that one of the sets lies on; None where none does (Apple's GPUs have no float64)."""
    return next((rows.device for rows in sets if isinstance(rows, Tensor) and rows.is_cuda), None)


def to_array(values: ArrayLike, dtype: type | None = None) -> np.ndarray:
    """Anything, a tensor on whatever device as well, as an array."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=dtype)


def rows_at_once(values: int, others: Rows) -> int:
    """Rows whose values with all `others` are held at once: so many values, `CUDA_BLOCK` on a GPU."""
    return max(1, (CUDA_BLOCK if cuda_device(others) else values) // len(others))


def frechet_distance(generated: ArrayLike, real: ArrayLike) -> float:
    """Squared Frechet distance between the Gaussians fitted to two sets of features (Eq. 7; see `checked_features`).

        ||mu_g - mu_r||^2 + Tr(S_g + S_r - 2 (S_g S_r)^(1/2))

    Only with Inception features is it called FID. In float64: float32 errs by tenths. The root's trace is the sum of
    the singular values of A_g^T A_r, where A A^T is the covariance, so that nothing complex or negative comes out.
    """
    sets = checked_features(generated, real)
    gap = _sum_of_squares(sets[0].mean(0) - sets[1].mean(0))
    # The narrower factor first, so that no eigenvalue of the product's square is 0 by its shape alone.
    narrow, wide = sorted((_covariance_factor(rows) for rows in sets), key=lambda factor: factor.shape[1])
    total = _sum_of_squares(narrow) + _sum_of_squares(wide)
    product = narrow.T @ wide
    root_trace, error = _root_trace_by_eigenvalues(product)
    if error > TOLERANCE * (gap + total - 2 * root_trace):
        root_trace = linalg.svdvals(to_array(product), check_finite=False).sum()
    return float(gap + max(total - 2 * root_trace, 0.0))


def _sum_of_squares(values: Rows) -> float:
    return float((values * values).sum())


def _covariance_factor(rows: Rows) -> Rows:
    """A [D, r] such that A A^T is the covariance; r is its rank, or the number of rows where that is less than D."""
    centred = rows - rows.mean(0)
    if len(centred) <= centred.shape[1]:
        return centred.T / math.sqrt(len(centred) - 1)
    covariance = centred.T @ centred
    covariance /= len(centred) - 1
    # LAPACK's on the processor even where the rows are on a GPU: torch has no Cholesky factor that stops at the rank.
    host = to_array(covariance)
    upper, fault = lapack.dpotrf(host.T)
    factor = _factor_by_rank(host) if fault else upper.T
    return torch.from_numpy(factor).to(rows.device) if isinstance(rows, Tensor) else factor


def _factor_by_rank(covariance: np.ndarray) -> np.ndarray:
    """The same [D, r] of a singular covariance, as of units that never fire: pivoting stops at the rank."""
    upper, order, rank, _ = lapack.dpstrf(covariance.T)
    factor = np.empty((len(covariance), rank))
    factor[order - 1] = np.tril(upper.T[:, :rank])
    return factor


def _root_trace_by_eigenvalues(product: Rows) -> tuple[float, float]:
    """Sum of the singular values, four times as fast, and how much it may be off: much where one is tiny."""
    if not min(product.shape):
        return 0.0, 0.0
    # Eigenvalues always on the processor: a GPU's solver in float64 may be slower than LAPACK at D = 2,048, or fail.
    squares = np.linalg.eigvalsh(to_array(product @ product.T)).clip(0)
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


def _kernel(x: Rows, y: Rows) -> Rows:
    base = x @ y.T
    base /= x.shape[1]
    base += 1
    return base * base * base


def _sums_within(rows: Rows) -> Rows:
    """Each row's kernel values with all other rows, summed; each pair is computed once."""
    sums, height = 0 * rows[:, 0], rows_at_once(BLOCK, rows)
    for start in range(0, len(rows), height):
        end = min(start + height, len(rows))
        values = _kernel(rows[start:end], rows[start:])
        own = list(range(end - start))
        values[own, own] = 0
        sums[start:end] += values.sum(1)
        sums[end:] += values[:, end - start :].sum(0)
    return sums


def _sums_across(x: Rows, y: Rows) -> tuple[Rows, Rows]:
    sums_x, sums_y, height = 0 * x[:, 0], 0 * y[:, 0], rows_at_once(BLOCK, y)
    for start in range(0, len(x), height):
        values = _kernel(x[start : start + height], y)
        sums_x[start : start + height] = values.sum(1)
        sums_y += values.sum(0)
    return sums_x, sums_y


def _jackknife_variance(within: Rows, across: Rows, others: int) -> float:
    """Variance of the distance from one set: (n - 1) / n times the squared spread of its values without each row."""
    n = len(within)
    if n < 3:
        return math.nan
    without = (within.sum() - 2 * within) / ((n - 1) * (n - 2)) - 2 * (across.sum() - across) / ((n - 1) * others)
    return (n - 1) / n * _sum_of_squares(without - without.mean())


def label_agreement(labels: ArrayLike, neighbours: ArrayLike) -> float:
    """How often, 0 to 1, neighbours have an item's label.

    Labels are [N], neighbours [N, k] row numbers, the item itself left out; two different N are a ValueError.
    """
    labels, neighbours = (to_array(values) for values in (labels, neighbours))
    if len(labels) != len(neighbours):
        raise ValueError(f"{len(labels)} labels for the neighbours of {len(neighbours)} items: give one label an item")
    return float((labels[neighbours] == labels[:, None]).mean())
