"""Frechet and kernel distance against closed forms, against their definitions, and against torch-fidelity."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import linalg
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from glann_lib.scores import metrics
from glann_lib.scores.measures import METRICS
from glann_lib.scores.metrics import frechet_distance, kernel_distance, label_agreement

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


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
    # Of 2 rows rounding alone leaves 1e-10.
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-8)


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


def dead_units(rows, width, seed, dead):
    """Features of a ReLU layer, rotated: some units never fire, so the covariance is singular in hidden directions."""
    features = draw(rows, width, seed).clip(0)
    features[:, dead] = 0
    return features @ linalg.qr(np.random.default_rng(7).normal(size=(width, width)))[0]


def by_rows(a, b):
    """With the singular values of the product of the centred rows themselves: no covariance is formed."""
    centred = [(x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (a, b)]
    spread = sum(np.square(x).sum() for x in centred) - 2 * linalg.svdvals(centred[0] @ centred[1].T).sum()
    return np.square(a.mean(0) - b.mean(0)).sum() + spread


@pytest.mark.parametrize("dead", [(range(10), range(10)), (range(10), range(5, 15)), (range(20), range(20, 40))])
def test_singular_covariances_are_no_trouble(dead):
    a, b = dead_units(300, 40, 1, dead[0]), dead_units(400, 40, 2, dead[1])
    assert frechet_distance(a, b) == pytest.approx(by_rows(a, b), rel=1e-9)
    assert frechet_distance(a, a) < 1e-9
    assert frechet_distance(a, 1.001 * a) == pytest.approx(by_rows(a, 1.001 * a), rel=1e-6)


@pytest.mark.parametrize("fall", [1.0, 3.0, 6.0])
def test_nearly_singular_covariances_keep_their_digits(fall):
    # Standard deviations from 1 down to 40^-6: the covariances' condition numbers reach 1e19.
    scale = np.arange(1, 41.0) ** -fall
    rotation = linalg.qr(np.random.default_rng(5).normal(size=(40, 40)))[0]
    random = np.random.default_rng(6)
    a, b = (random.normal(size=(n, 40)) * scale @ rotation for n in (500, 600))
    assert frechet_distance(a, b) == pytest.approx(by_rows(a, b), rel=1e-8)
    assert frechet_distance(a, 1.01 * a) == pytest.approx(by_rows(a, 1.01 * a), rel=1e-8)


def test_equal_to_torch_fidelity():
    a, b = draw(400, 30, 1), draw(500, 30, 2)
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_features_are_left_as_they_are():
    a, b = draw(50, 8, 1), draw(60, 8, 2)
    copies = a.copy(), b.copy()
    frechet_distance(a, b)
    kernel_distance(a, b)
    assert np.array_equal(a, copies[0]) and np.array_equal(b, copies[1])


def kernel_by_loops(x, y):
    """The unbiased estimate as it is written in the paper, pair by pair."""

    def kernel(u, v):
        return (u @ v / len(u) + 1) ** 3

    def within(rows):
        return np.mean([kernel(u, v) for u, v in itertools.permutations(rows, 2)])

    return within(x) + within(y) - 2 * np.mean([kernel(u, v) for u in x for v in y])


def jackknife_by_loops(x, y):
    """Delete one row at a time, from either set, and compute all again."""
    variance = 0.0
    for rows, distance in ((x, lambda rest: kernel_by_loops(rest, y)), (y, lambda rest: kernel_by_loops(x, rest))):
        values = np.array([distance(np.delete(rows, i, 0)) for i in range(len(rows))])
        variance += (len(rows) - 1) / len(rows) * np.square(values - values.mean()).sum()
    return math.sqrt(variance)


@pytest.fixture(params=["as they are", "tiny"])
def blocks(request, monkeypatch):
    if request.param == "tiny":
        monkeypatch.setattr(metrics, "BLOCK", 30)


@pytest.mark.parametrize(("n", "m", "width"), [(2, 2, 1), (2, 9, 3), (8, 5, 4), (13, 12, 20)])
def test_kernel_distance_is_the_mean_over_all_pairs(blocks, n, m, width):
    x, y = draw(n, width, 1), draw(m, width, 2)
    assert kernel_distance(x, y).value == pytest.approx(kernel_by_loops(x, y), rel=1e-10)


def test_kernel_distance_of_one_feature_has_a_closed_form():
    # Two rows each: one pair within each set, four pairs across.
    expected = (0 * 1 + 1) ** 3 + (2 * 3 + 1) ** 3 - 2 * np.mean([1, 1, (1 * 2 + 1) ** 3, (1 * 3 + 1) ** 3])
    assert kernel_distance([[0.0], [1.0]], [[2.0], [3.0]]).value == pytest.approx(expected)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (7, 4), (9, 12)])
def test_standard_error_is_the_jackknife(blocks, n, m):
    x, y = draw(n, 5, 1), draw(m, 5, 2)
    assert kernel_distance(x, y).standard_error == pytest.approx(jackknife_by_loops(x, y), rel=1e-9)


def test_standard_error_is_the_spread_over_redrawn_sets():
    random = np.random.default_rng(0)
    found = [kernel_distance(random.normal(size=(150, 4)), random.normal(0.5, 1, (200, 4))) for _ in range(300)]
    spread = np.std([distance.value for distance in found])
    assert np.mean([distance.standard_error for distance in found]) == pytest.approx(spread, rel=0.12)


def test_two_rows_have_no_standard_error():
    assert math.isnan(kernel_distance(draw(2, 3, 1), draw(9, 3, 2)).standard_error)
    assert math.isnan(kernel_distance(draw(9, 3, 1), draw(2, 3, 2)).standard_error)


def test_kernel_distance_is_equal_to_torch_fidelity():
    x, y = draw(120, 30, 1), draw(120, 30, 2)
    options = {"kid_subsets": 1, "kid_subset_size": 120, "rng_seed": 0, "verbose": False}
    polynomial = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    expected = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), **options, **polynomial, kid_kernel_poly_coef0=1.0
    )[KEY_METRIC_KID_MEAN]
    assert kernel_distance(x, y).value == pytest.approx(expected, rel=1e-10)


def test_kernel_distance_is_unbiased():
    random = np.random.default_rng(1)
    values = [kernel_distance(*random.normal(size=(2, 12, 3))).value for _ in range(3000)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))
    assert min(values) < 0 < max(values)


def test_kernel_distance_forgets_the_order_of_sets_and_rows(blocks):
    x, y = draw(40, 6, 1), draw(30, 6, 2)
    found = kernel_distance(x, y)
    for other in (kernel_distance(y, x), kernel_distance(x[::-1], np.random.default_rng(0).permutation(y))):
        assert other.value == pytest.approx(found.value, rel=1e-10)
        assert other.standard_error == pytest.approx(found.standard_error, rel=1e-10)


def test_kernel_distance_of_constant_features_is_exact():
    found = kernel_distance(np.zeros((5, 4)), np.ones((7, 4)))
    assert found.value == pytest.approx(1 + 8 - 2, rel=1e-12)
    assert found.standard_error == pytest.approx(0, abs=1e-12)


def test_one_block_of_kernel_values_is_held_at_a_time(monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK", 2000)
    sizes, kernel = [], metrics._kernel

    def watched(x, y):
        sizes.append(len(x) * len(y))
        return kernel(x, y)

    monkeypatch.setattr(metrics, "_kernel", watched)
    kernel_distance(draw(300, 2, 1), draw(400, 2, 2))
    assert max(sizes) <= 2000
    assert sum(sizes) < 1.1 * (300**2 / 2 + 400**2 / 2 + 300 * 400)  # each pair once


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("side", "name"), [(0, "generated"), (1, "real")])
def test_values_that_are_not_finite_are_refused(distance, bad, side, name):
    sets = [draw(10, 3, 1), draw(10, 3, 2)]
    sets[side][4, 1] = bad
    with pytest.raises(ValueError, match=f"the {name} features hold values that are not finite") as error:
        distance(*sets)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("generated", "real", "words"),
    [
        ((5, 3), (5, 4), r"\[3, 4\] wide"),
        ((1, 3), (5, 3), "1 rows of generated features"),
        ((5, 3), (0, 3), "0 rows of real features"),
        ((5,), (5,), r"generated features have shape \[5\]"),
        ((5, 3), (2, 3, 4), r"real features have shape \[2, 3, 4\]"),
        ((5, 0), (5, 0), r"shape \[5, 0\]"),
    ],
)
def test_sets_that_do_not_fit_are_refused(distance, generated, real, words):
    with pytest.raises(ValueError, match=words) as error:
        distance(np.zeros(generated), np.zeros(real))
    assert "\n" not in str(error.value)


def test_scores_lie_within_their_bounds_and_point_the_way_they_say():
    near, far, real = draw(200, 5, 1), 3 + draw(200, 5, 1), draw(200, 5, 1)[::-1] + 0.01
    for key, score in (("frechet", frechet_distance), ("kernel", lambda a, b: kernel_distance(a, b).value)):
        assert METRICS[key].better == "lower"
        assert METRICS[key].low <= score(near, real) < score(far, real) <= METRICS[key].high


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


@pytest.fixture
def by_torch(monkeypatch):
    """The way of a GPU, on this processor: features become tensors, and blocks are those of a GPU, only small ones."""
    monkeypatch.setattr(metrics, "cuda_device", lambda *_: torch.device("cpu"))
    monkeypatch.setattr(metrics, "CUDA_BLOCK", 900)


def pairs():
    """Full rank, fewer rows than columns on one side and on both, units that never fire, constant features."""
    yield draw(400, 30, 1), draw(500, 30, 2)
    yield draw(20, 64, 1), draw(500, 64, 2)
    yield draw(10, 64, 1), draw(30, 64, 2)
    yield dead_units(300, 40, 1, range(10)), dead_units(400, 40, 2, range(5, 15))
    yield np.zeros((5, 4)), np.ones((7, 4))
    yield draw(2, 3, 1), draw(2, 3, 2)


CASES = ["full rank", "one set of few rows", "few rows", "dead units", "constant", "two rows"]


def agree(sets, found):
    """Frechet and kernel distance `found` of a pair of sets, and those of arrays on the processor."""
    frechet, kernel = found
    assert frechet == pytest.approx(frechet_distance(*sets), rel=1e-9, abs=1e-12) and isinstance(frechet, float)
    expected = kernel_distance(*sets)
    assert kernel.value == pytest.approx(expected.value, rel=1e-9) and isinstance(kernel.value, float)
    assert kernel.standard_error == pytest.approx(expected.standard_error, rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("case", CASES)
def test_the_way_of_a_gpu_gives_the_processors_distances(case, monkeypatch):
    sets = list(pairs())[CASES.index(case)]
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "cuda_device", lambda *_: torch.device("cpu"))
        patch.setattr(metrics, "CUDA_BLOCK", 900)
        assert all(isinstance(rows, torch.Tensor) for rows in metrics.checked_features(*sets))
        found = frechet_distance(*sets), kernel_distance(*sets)
    agree(sets, found)


@pytest.mark.parametrize("dead", [range(10), range(20)])
def test_the_way_of_a_gpu_keeps_the_digits_of_singular_covariances(by_torch, dead):
    a, b = dead_units(300, 40, 1, dead), dead_units(400, 40, 2, dead)
    assert frechet_distance(a, b) == pytest.approx(by_rows(a, b), rel=1e-9)
    assert frechet_distance(a, 1.001 * a) == pytest.approx(by_rows(a, 1.001 * a), rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_way_of_a_gpu_refuses_what_is_not_finite(by_torch, bad):
    rows = draw(10, 3, 1)
    rows[4, 1] = bad
    with pytest.raises(ValueError, match="the real features hold values that are not finite"):
        kernel_distance(draw(10, 3, 2), rows)


def test_a_gpu_holds_blocks_of_its_own_size(by_torch, monkeypatch):
    sizes, kernel = [], metrics._kernel
    monkeypatch.setattr(metrics, "_kernel", lambda x, y: sizes.append(len(x) * len(y)) or kernel(x, y))
    kernel_distance(draw(70, 2, 1), draw(80, 2, 2))
    assert 450 < max(sizes) <= 900


def test_tensors_on_the_processor_count_as_arrays():
    a, b = draw(300, 20, 1).astype(np.float32), draw(200, 20, 2).astype(np.float32)
    tensors = torch.from_numpy(a), torch.from_numpy(b)
    assert all(isinstance(rows, np.ndarray) and rows.dtype == np.float64 for rows in metrics.checked_features(*tensors))
    assert frechet_distance(*tensors) == frechet_distance(a, b) and kernel_distance(*tensors) == kernel_distance(a, b)
    assert label_agreement(torch.tensor([0, 0, 1]), torch.tensor([[1], [2], [1]])) == pytest.approx(1 / 3)


@needs_cuda
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_gives_the_processors_distances(case):
    sets = list(pairs())[CASES.index(case)]
    tensors = [torch.from_numpy(rows).cuda() for rows in sets]
    assert all(rows.is_cuda and rows.dtype == torch.float64 for rows in metrics.checked_features(tensors[0], sets[1]))
    agree(sets, (frechet_distance(*tensors), kernel_distance(*tensors)))
    assert frechet_distance(sets[0], tensors[1]) == pytest.approx(frechet_distance(*tensors), rel=1e-12, abs=1e-12)


@needs_cuda
def test_a_gpus_float32_features_are_worked_on_in_float64():
    a, b = 100 + draw(300, 30, 1).astype(np.float32), 100 + draw(300, 30, 2).astype(np.float32)
    found = frechet_distance(torch.from_numpy(a).cuda(), torch.from_numpy(b).cuda())
    assert found == pytest.approx(frechet_distance(a, b), rel=1e-9)


@needs_cuda
def test_labels_and_neighbours_may_lie_on_a_gpu():
    assert label_agreement(torch.tensor([0, 0, 1]).cuda(), torch.tensor([[1], [2], [1]]).cuda()) == pytest.approx(1 / 3)
