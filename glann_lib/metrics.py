"""Scores of sets of images, from arrays of their features; no model or path comes in here."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg


def frechet_distance(generated: ArrayLike, real: ArrayLike) -> float:
    """Squared Frechet distance between the Gaussians fitted to two sets of features (Eq. 7).

        ||mu_g - mu_r||^2 + Tr(S_g + S_r - 2 (S_g S_r)^(1/2))

    Only with Inception features is this number called FID. In float64: float32 errs by tenths. The trace of the root
    is the sum of the singular values of A_g A_r^T, where A^T A is the covariance: no root of a matrix is needed.

    Args:
        generated: [N, D] features.
        real: [M, D] features.

    Returns:
        At least 0; lower is better; 0 for equal means and covariances.

    Raises:
        ValueError: different widths, fewer than 2 rows, or values that are not finite.
    """
    sets = [np.asarray(rows, dtype=np.float64) for rows in (generated, real)]
    if any(rows.ndim != 2 or len(rows) < 2 for rows in sets) or sets[0].shape[1] != sets[1].shape[1]:
        raise ValueError(f"features are {[rows.shape for rows in sets]}: give two sets of 2 rows or more, of one width")
    if not all(np.isfinite(rows).all() for rows in sets):
        raise ValueError("features hold values that are not finite: look at the images they come from")
    means = [rows.mean(0) for rows in sets]
    # The triangular factor R of the centred rows has R^T R = their scatter matrix, and at most D rows.
    factors = [
        linalg.qr((rows - mean) / np.sqrt(len(rows) - 1), mode="r", check_finite=False)[0][: rows.shape[1]]
        for rows, mean in zip(sets, means, strict=True)
    ]
    root_trace = linalg.svdvals(factors[0] @ factors[1].T, check_finite=False).sum()
    spread = sum(np.square(factor).sum() for factor in factors) - 2 * root_trace
    return float(np.square(means[0] - means[1]).sum() + max(spread, 0.0))


def label_agreement(labels: ArrayLike, neighbours: ArrayLike) -> float:
    """How often an item's neighbours have its own label, as a part of 1.

    Args:
        labels: [N] of all items.
        neighbours: [N, k] row numbers of each item's neighbours, itself left out.

    Raises:
        ValueError: the numbers of rows differ.
    """
    labels, neighbours = np.asarray(labels), np.asarray(neighbours)
    if len(labels) != len(neighbours):
        raise ValueError(f"{len(labels)} labels for the neighbours of {len(neighbours)} items: give one label an item")
    return float((labels[neighbours] == labels[:, None]).mean())
