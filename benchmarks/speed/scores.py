"""Scores of 10,000 + 10,000 features of 2,048 numbers: Frechet distance and PRD, here and by the book."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from benchmarks.timing import Comparison, timed
from glann_lib.scores.metrics import frechet_distance
from glann_lib.scores.precision_recall import PRDCurve, prd_curve

COUNT, WIDTH, CLASSES = 10_000, 2048, 10


def features(count: int = COUNT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """Generated and real float32 [count, width], seeded: classes, and a spectrum that falls as those of networks do.

    The generated set lacks one class and has a little more noise, so that neither score is at its end.
    """
    random = np.random.default_rng(0)
    scale = np.arange(1, width + 1) ** -0.8
    rotation = linalg.qr(random.normal(size=(width, width)), check_finite=False)[0]
    centres = 2 * random.normal(size=(CLASSES, width)) * scale
    labels = random.integers(CLASSES - 1, size=count), random.integers(CLASSES, size=count)
    sets = (
        (centres[label] + noise * random.normal(size=(count, width)) * scale) @ rotation
        for label, noise in zip(labels, (1.1, 1.0), strict=True)
    )
    return tuple(rows.astype(np.float32) for rows in sets)


def compare_frechet(generated: np.ndarray, real: np.ndarray, repeats: int) -> Comparison:
    """The Frechet distance against its formula as it is written."""
    (here, found), (book, expected) = timed(
        [lambda _: frechet_distance(generated, real), lambda _: _textbook_frechet(generated, real)], repeats
    )
    error = f"{max(abs(value / expected[0] - 1) for value in found):.1e} of {expected[0]:.5g}"
    return Comparison(
        f"Fréchet distance {_size(real)}", here, "np.cov, scipy.linalg.sqrtm", book, error,
        {"here": found, "textbook": expected},
    )  # fmt: skip


def compare_prd(generated: np.ndarray, real: np.ndarray, repeats: int) -> Comparison:
    """F8 and F1/8 against scikit-learn on the features as they are; each repeat has its own seed.

    Two means over seeds are compared: one F score differs from seed to seed, whoever computes it.
    """
    (here, curves), (book, expected) = timed(
        [lambda seed: prd_curve(generated, real, seed=seed), lambda seed: _textbook_prd(generated, real, seed)], repeats
    )
    ours, theirs = ([(curve.f8, curve.f1_8) for curve in found] for found in (curves, expected))
    gaps, spreads = np.abs(np.mean(ours, 0) - np.mean(theirs, 0)), np.ptp(theirs, axis=0)
    words = [
        f"{name} {gap:.1e} (textbook's seeds: {spread:.1e})"
        for name, gap, spread in zip(("F8", "F1/8"), gaps, spreads, strict=True)
    ]
    return Comparison(
        f"PRD {_size(generated)} + {_size(real)}", here, "10 fits of MiniBatchKMeans, all features, one thread", book,
        ", ".join(words), {"here": ours, "textbook": theirs},
    )  # fmt: skip


def _textbook_frechet(generated: np.ndarray, real: np.ndarray) -> float:
    sets = [rows.astype(np.float64) for rows in (generated, real)]
    covariances = [np.cov(rows, rowvar=False) for rows in sets]
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    gap = np.square(sets[0].mean(0) - sets[1].mean(0)).sum()
    return float(gap + np.trace(covariances[0] + covariances[1] - 2 * root.real))


def _textbook_prd(generated: np.ndarray, real: np.ndarray, seed: int) -> PRDCurve:
    union = np.concatenate([generated, real])
    slopes = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, 1001))
    precisions = []
    for run in range(10):
        with threadpool_limits(1):  # as here: with more, it takes several times longer on a busy machine
            labels = MiniBatchKMeans(20, n_init=10, random_state=1000 * seed + run).fit(union).labels_
        parts = labels[: len(generated)], labels[len(generated) :]
        made, true = (np.bincount(part, minlength=20) / len(part) for part in parts)
        precisions.append(np.minimum(slopes[:, None] * true, made).sum(1))
    precision = np.mean(precisions, axis=0)
    return PRDCurve(precision, precision / slopes)


def _size(rows: np.ndarray) -> str:
    return f"{len(rows):,} x {rows.shape[1]:,}"
