"""Frechet distance against closed forms, and against the matrix root it is defined by."""

import numpy as np
import pytest
from scipy import linalg

from glann_lib.metrics import frechet_distance, label_agreement


def draw(rows, width, seed):
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, width)) @ random.normal(size=(width, width)) / np.sqrt(width) + random.normal(
        size=width
    )


def exact_moments(mean, deviations):
    """2D rows with exactly this mean and covariance diag(deviations^2)."""
    width = len(mean)
    steps = np.diag(deviations) * np.sqrt((2 * width - 1) / 2)
    return np.concatenate([mean + steps, mean - steps])


def by_definition(a, b):
    """With the matrix root of the product of the covariances, as in the papers."""
    root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    spread = np.trace(np.cov(a.T)) + np.trace(np.cov(b.T)) - 2 * np.trace(root).real
    return np.square(a.mean(0) - b.mean(0)).sum() + spread


def by_eigenvalues(a, b):
    """With the eigenvalues of S_a^(1/2) S_b S_a^(1/2): stable where the covariances are singular."""
    values, vectors = np.linalg.eigh(np.cov(a.T))
    half = vectors * np.sqrt(values.clip(0)) @ vectors.T
    roots = np.sqrt(np.linalg.eigvalsh(half @ np.cov(b.T) @ half).clip(0)).sum()
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(np.cov(a.T)) + np.trace(np.cov(b.T)) - 2 * roots


@pytest.mark.parametrize(("rows", "width"), [(2, 1), (2, 5), (10, 40), (500, 20)])
def test_equal_sets_have_no_distance(rows, width):
    features = draw(rows, width, 1)
    assert 0 <= frechet_distance(features, features) < 1e-9
    assert 0 <= frechet_distance(features, np.random.default_rng(0).permutation(features)) < 1e-9


@pytest.mark.parametrize("rows", [8, 300])
def test_equal_covariances_leave_the_squared_distance_of_means(rows):
    features, shift = draw(rows, 12, 1), np.random.default_rng(2).normal(size=12)
    expected = np.square(shift).sum()
    assert frechet_distance(features, features + shift) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(1000 + features, features) == pytest.approx(12e6, rel=1e-10)


def test_diagonal_gaussians_have_a_closed_form():
    random = np.random.default_rng(0)
    means, deviations = random.normal(size=(2, 9)), random.uniform(0.1, 3, size=(2, 9))
    sets = [exact_moments(m, s) for m, s in zip(means, deviations, strict=True)]
    assert np.abs(np.cov(sets[0].T) - np.diag(deviations[0] ** 2)).max() < 1e-12
    expected = np.square(means[0] - means[1]).sum() + np.square(deviations[0] - deviations[1]).sum()
    assert frechet_distance(*sets) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_scaled_set_has_a_closed_form(factor):
    features = draw(200, 15, 1)
    centred = features - features.mean(0)
    expected = (1 - factor) ** 2 * np.trace(np.cov(features.T))
    assert frechet_distance(factor * centred, centred) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "m", "width"), [(400, 500, 30), (100, 101, 64), (65, 2000, 64)])
def test_equal_to_the_definition(n, m, width):
    a, b = draw(n, width, 1), draw(m, width, 2)
    assert frechet_distance(a, b) == pytest.approx(by_definition(a, b), rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(by_eigenvalues(a, b), rel=1e-8)


@pytest.mark.parametrize(("n", "m", "width"), [(10, 30, 64), (2, 2, 64), (50, 40, 64), (20, 500, 64)])
def test_equal_to_the_definition_with_fewer_rows_than_columns(n, m, width):
    a, b = draw(n, width, 1), draw(m, width, 2)
    assert frechet_distance(a, b) == pytest.approx(by_eigenvalues(a, b), rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)


def test_order_of_sets_and_of_rows_does_not_matter():
    a, b = draw(100, 20, 1), draw(80, 20, 2)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    assert frechet_distance(a[::-1], b) == pytest.approx(frechet_distance(a, b), rel=1e-12)


def test_a_rotation_of_both_changes_nothing():
    a, b = draw(100, 20, 1), draw(80, 20, 2)
    rotation = linalg.qr(np.random.default_rng(3).normal(size=(20, 20)))[0]
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(frechet_distance(a, b), rel=1e-10)


def test_constant_features_are_no_trouble():
    a, b = np.zeros((5, 4)), np.ones((7, 4))
    assert frechet_distance(a, b) == pytest.approx(4, abs=1e-12)
    partly = draw(50, 4, 1)
    partly[:, 2] = 3.0
    spread = np.trace(np.cov(partly.T))
    assert frechet_distance(partly, np.tile(partly.mean(0), (9, 1))) == pytest.approx(spread, rel=1e-10)


def test_float32_features_are_worked_on_in_float64():
    a, b = draw(300, 30, 1).astype(np.float32), draw(300, 30, 2).astype(np.float32)
    assert frechet_distance(100 + a, 100 + b) == pytest.approx(
        by_definition(100.0 + a.astype(float), 100.0 + b.astype(float)), rel=1e-4
    )
    assert frechet_distance(a, b) == pytest.approx(by_definition(a.astype(float), b.astype(float)), rel=1e-6)
    assert isinstance(frechet_distance(a, b), float)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_values_that_are_not_finite_are_refused(bad, side):
    sets = [draw(10, 3, 1), draw(10, 3, 2)]
    sets[side][4, 1] = bad
    with pytest.raises(ValueError, match="not finite") as error:
        frechet_distance(*sets)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "shapes", [((5, 3), (5, 4)), ((1, 3), (5, 3)), ((5, 3), (0, 3)), ((5,), (5,)), ((2, 3, 4), (5, 3))]
)
def test_sets_that_do_not_fit_are_refused(shapes):
    with pytest.raises(ValueError, match="two sets") as error:
        frechet_distance(*map(np.zeros, shapes))
    assert "\n" not in str(error.value)


def test_label_agreement_counts_neighbours_of_the_same_label():
    labels = [0, 0, 1, 1]
    assert label_agreement(labels, [[1], [0], [3], [2]]) == 1.0
    assert label_agreement(labels, [[2], [2], [0], [0]]) == 0.0
    assert label_agreement(labels, [[1, 2], [0, 3], [0, 1], [2, 3]]) == pytest.approx((1 + 1 + 0 + 2) / 8)


def test_label_agreement_of_random_neighbours_is_chance():
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 5000)
    assert abs(label_agreement(labels, random.integers(0, 5000, (5000, 4))) - 0.1) < 0.012


def test_label_agreement_wants_one_label_an_item():
    with pytest.raises(ValueError, match="3 labels") as error:
        label_agreement([0, 1, 2], [[1], [0]])
    assert "\n" not in str(error.value)
