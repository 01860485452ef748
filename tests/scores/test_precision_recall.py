"""PRD, neighbour spheres and the birthday paradox: their definitions written out, and which way each score points."""

import itertools
import math
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.cluster import MiniBatchKMeans

from glann_lib.scores import clusters, metrics, precision_recall
from glann_lib.scores.clusters import k_means
from glann_lib.scores.precision_recall import (
    PRDCurve,
    density_coverage,
    duplicate_threshold,
    improved_precision_recall,
    prd_curve,
    support_size,
)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def modes(count, which, seed, width=6, spread=0.3):
    """`count` points in the modes named, at the corners of a simplex."""
    random = np.random.default_rng(seed)
    return 5 * np.eye(width)[random.choice(which, count)] + spread * random.normal(size=(count, width))


def junk(count, seed, width=6):
    return np.random.default_rng(seed).uniform(10, 30, (count, width))


def histogram_curve(generated, real, angles=1001):
    """The curve of two histograms in plain loops, with the published definition."""
    precision, recall = [], []
    for i in range(angles):
        slope = math.tan(1e-10 + i * (math.pi / 2 - 2e-10) / (angles - 1))
        precision.append(sum(min(slope * p, q) for p, q in zip(real, generated, strict=True)))
        recall.append(sum(min(p, q / slope) for p, q in zip(real, generated, strict=True)))
    return np.array(precision), np.array(recall)


def largest_f(precision, recall, beta):
    return max((1 + beta**2) * p * r / (beta**2 * p + r) for p, r in zip(precision, recall, strict=True))


def by_definition(generated, real, runs, seed, number=20):
    """F8 and F1/8 with scikit-learn on the features as they are."""
    curves = []
    for run in range(runs):
        labels = MiniBatchKMeans(number, n_init=10, random_state=1000 * seed + run).fit_predict(
            np.concatenate([generated, real])
        )
        parts = labels[: len(generated)], labels[len(generated) :]
        curves.append(histogram_curve(*(np.bincount(part, minlength=number) / len(part) for part in parts)))
    precision, recall = np.mean(curves, axis=0)
    return largest_f(precision, recall, 8), largest_f(precision, recall, 1 / 8)


def test_separate_clusters_give_the_histograms_own_curve(either_way):
    # Four modes without spread: each clustering finds the same histograms, so the curve has a closed form.
    counts = {"generated": (10, 30, 60, 0), "real": (40, 30, 10, 20)}
    sets = {name: np.repeat(7 * np.eye(4), number, axis=0) for name, number in counts.items()}
    found = prd_curve(**sets, clusters=4, angles=101, runs=2)
    expected = histogram_curve(*(np.array(counts[name]) / 100 for name in ("generated", "real")), angles=101)
    assert np.abs(found.precision - expected[0]).max() < 1e-9
    assert np.abs(found.recall - expected[1]).max() < 1e-9
    assert found.f8 == pytest.approx(largest_f(*expected, 8), rel=1e-9)
    assert found.f1_8 == pytest.approx(largest_f(*expected, 1 / 8), rel=1e-9)


def test_equal_sets_have_a_perfect_curve(either_way):
    rows = modes(300, range(6), 1)
    found = prd_curve(rows, np.random.default_rng(0).permutation(rows), runs=2)
    assert found.f8 == pytest.approx(1, abs=2e-3)  # the grid of angles need not hold the best slope
    assert found.f1_8 == pytest.approx(1, abs=2e-3)


def test_sets_apart_have_an_empty_curve(either_way):
    found = prd_curve(modes(300, range(6), 1), junk(300, 2), runs=2)
    assert found.f8 == found.f1_8 == 0


def test_dropping_modes_lowers_f8_and_junk_lowers_f1_8(either_way):
    real = modes(600, range(6), 1)
    good = prd_curve(modes(600, range(6), 2), real, runs=3)
    dropped = prd_curve(modes(600, range(3), 3), real, runs=3)
    spoilt = prd_curve(np.concatenate([modes(300, range(6), 4), junk(300, 5)]), real, runs=3)
    assert min(good.f8, good.f1_8) > 0.9
    assert dropped.f8 < 0.6 and dropped.f1_8 > 0.9
    assert spoilt.f1_8 < 0.6 and spoilt.f8 > 0.9


def test_exchanged_sets_exchange_the_scores():
    a, b = modes(400, range(3), 1), modes(400, range(6), 2)
    there, back = prd_curve(a, b, runs=3), prd_curve(b, a, runs=3)
    assert there.f8 == pytest.approx(back.f1_8, abs=0.03)
    assert there.f8 < 0.6 < there.f1_8


@pytest.fixture(params=["scikit-learn", "torch"])
def either_way(request, monkeypatch):
    """The processor's clustering and that of a GPU, which runs here on the processor, too."""
    if request.param == "torch":
        monkeypatch.setattr(metrics, "cuda_device", lambda *_: torch.device("cpu"))


def two_sets(width):
    """Generated and real features [800, width]; two of eight modes are missing."""
    random = np.random.default_rng(0)
    scale = np.arange(1, width + 1) ** -0.7
    centres = 2 * random.normal(size=(8, width)) * scale
    labels = random.integers(8, size=800), random.integers(6, size=800)
    real, generated = (centres[label] + random.normal(size=(800, width)) * scale for label in labels)
    return generated, real


@pytest.mark.parametrize("width", [20, 200])  # with all directions, and with the main ones
def test_scores_agree_with_the_definition_within_its_own_spread(width):
    generated, real = two_sets(width)
    theirs = np.array([by_definition(generated, real, 2, seed) for seed in range(5)])
    ours = np.array([(c.f8, c.f1_8) for c in (prd_curve(generated, real, runs=2, seed=s) for s in range(5))])
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 3 * theirs.std(0, ddof=1)).all()
    assert theirs.mean(0)[0] < 0.9 < theirs.mean(0)[1]  # two modes are missing


def test_the_same_seed_gives_the_same_curve(either_way):
    sets = modes(300, range(6), 1, width=80, spread=2), modes(300, range(4), 2, width=80, spread=2)
    first, again, other = (prd_curve(*sets, runs=2, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.precision, again.precision) and np.array_equal(first.recall, again.recall)
    assert not np.array_equal(first.precision, other.precision)


def test_the_global_random_state_is_left_alone(either_way):
    np.random.seed(0)
    torch.manual_seed(0)
    expected, torchs = np.random.get_state()[1].copy(), torch.get_rng_state()
    prd_curve(modes(100, range(6), 1), modes(100, range(6), 2), runs=1)
    assert np.array_equal(np.random.get_state()[1], expected) and torch.equal(torch.get_rng_state(), torchs)


@pytest.mark.parametrize("counts", [(200, 500), (500, 200)])
def test_the_larger_set_is_drawn_down_and_a_warning_says_so(either_way, counts):
    generated, real = modes(counts[0], range(6), 1), modes(counts[1], range(6), 2)
    with pytest.warns(UserWarning, match=f"{counts[0]} generated and {counts[1]} real.*200 .*seed 7") as found:
        first = prd_curve(generated, real, runs=2, seed=7)
    assert len(found) == 1 and "\n" not in str(found[0].message)
    assert found[0].filename == __file__
    with pytest.warns(UserWarning):
        assert np.array_equal(first.precision, prd_curve(generated, real, runs=2, seed=7).precision)
    assert min(first.f8, first.f1_8) > 0.85


def test_rows_are_drawn_without_repetition():
    rows = np.arange(50.0)[:, None]
    with pytest.warns(UserWarning):
        drawn = precision_recall._equal_counts(rows, rows[:20], np.random.default_rng(0), 0)
    assert len(np.unique(drawn[0])) == 20 and np.array_equal(drawn[1], rows[:20])


def test_equal_counts_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prd_curve(modes(100, range(6), 1), modes(100, range(6), 2), runs=1)


@pytest.mark.parametrize(("generated", "real", "f"), [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0)])
def test_constant_features_have_a_curve(either_way, generated, real, f):
    for width in (3, 100):
        found = prd_curve(np.full((30, width), generated), np.full((30, width), real), clusters=2, runs=1)
        assert found.f8 == pytest.approx(f, abs=2e-3) and found.f1_8 == pytest.approx(f, abs=2e-3)


def test_two_rows_a_set_are_enough(either_way):
    found = prd_curve([[0.0], [1.0]], [[0.0], [9.0]], clusters=3, runs=1)
    assert found.f8 == pytest.approx(0.5, abs=0.02)
    assert (found.precision >= 0).all() and (found.precision <= 1).all()
    assert (found.recall >= 0).all() and (found.recall <= 1).all()


def test_fewer_rows_than_columns_are_no_trouble(either_way):
    random = np.random.default_rng(0)
    found = prd_curve(random.normal(size=(12, 300)), random.normal(size=(12, 300)), clusters=4, runs=2)
    assert 0 < found.f8 <= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clusters": 0}, "0 clusters of 20 features: give from 1 to 20"),
        ({"clusters": 21}, "21 clusters of 20 features"),
        ({"angles": 2}, "2 angles"),
        ({"runs": 0}, "0 runs"),
    ],
)
def test_settings_that_make_no_curve_are_refused(options, words):
    with pytest.raises(ValueError, match=words) as error:
        prd_curve(modes(10, range(6), 1), modes(10, range(6), 2), **options)
    assert "\n" not in str(error.value)


def test_f_scores_of_a_known_curve():
    curve = PRDCurve(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.8, 0.0]))
    assert curve.f8 == pytest.approx(65 * 0.5 * 0.8 / (64 * 0.5 + 0.8))
    assert curve.f1_8 == pytest.approx(65 / 64 * 0.5 * 0.8 / (0.5 / 64 + 0.8))
    assert PRDCurve(np.zeros(3), np.zeros(3)).f8 == 0


def spheres_by_loops(centres, points, k):
    """[centres, points]: whether the point is as near as the centre's k-th neighbour among the centres, or nearer."""
    held = np.zeros((len(centres), len(points)), dtype=bool)
    for i, centre in enumerate(centres):
        radius = sorted(np.linalg.norm(np.delete(centres, i, 0) - centre, axis=1))[k - 1]
        held[i] = [np.linalg.norm(point - centre) <= radius for point in points]
    return held


@pytest.fixture(params=["as they are", "tiny"])
def blocks(request, monkeypatch):
    if request.param == "tiny":
        monkeypatch.setattr(precision_recall, "DISTANCES", 70)


NEIGHBOUR_CASES = [(2, 2, 1, 1), (20, 30, 4, 3), (31, 17, 4, 5), (40, 40, 50, 1), (9, 12, 2, 8)]


@pytest.mark.parametrize(("n", "m", "width", "k"), NEIGHBOUR_CASES)
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_neighbour_scores_are_their_definitions(blocks, n, m, width, k, offset):
    random = np.random.default_rng(n)
    generated, real = offset + 0.3 + random.normal(size=(n, width)), offset + random.normal(size=(m, width))
    by_real, by_generated = spheres_by_loops(real, generated, k), spheres_by_loops(generated, real, k)
    found = improved_precision_recall(generated, real, k)
    assert found["precision"] == pytest.approx(by_real.any(0).mean(), abs=1e-12)
    assert found["recall"] == pytest.approx(by_generated.any(0).mean(), abs=1e-12)
    dense = density_coverage(generated, real, k)
    assert dense["density"] == pytest.approx(by_real.sum() / (k * n), abs=1e-12)
    assert dense["coverage"] == pytest.approx(by_real.any(1).mean(), abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_equal_sets_lie_within_their_own_spheres(blocks, offset):
    rows = offset + np.random.default_rng(0).normal(size=(60, 40))
    other = np.random.default_rng(1).permutation(rows)
    found, dense = improved_precision_recall(other, rows), density_coverage(other, rows)
    assert found["precision"] == found["recall"] == dense["coverage"] == 1
    assert dense["density"] == pytest.approx((5 + 1) / 5)  # the 5 neighbours, the last on the surface, and itself


def test_constant_features_lie_within_spheres_of_no_size():
    rows = np.full((9, 30), 0.1)
    found = improved_precision_recall(rows, rows)
    assert found["precision"] == found["recall"] == density_coverage(rows, rows)["coverage"] == 1
    assert improved_precision_recall(rows, rows + 1)["precision"] == 0


def test_dropped_modes_lower_recall_and_coverage_and_junk_lowers_precision_and_density():
    real = modes(400, range(6), 1)
    good, dropped = modes(400, range(6), 2), modes(400, range(3), 3)
    spoilt = np.concatenate([modes(200, range(6), 4), junk(200, 5)])
    scores = {}
    for name, generated in (("good", good), ("dropped", dropped), ("spoilt", spoilt)):
        scores[name] = improved_precision_recall(generated, real), density_coverage(generated, real)
    assert scores["good"][0]["precision"] > 0.8 < scores["good"][0]["recall"]
    assert scores["dropped"][0]["recall"] < 0.55 and scores["dropped"][0]["precision"] > 0.8
    assert scores["dropped"][1]["coverage"] < 0.55 < scores["dropped"][1]["density"]
    assert scores["spoilt"][0]["precision"] < 0.55
    assert scores["spoilt"][1]["density"] < 0.6 * scores["good"][1]["density"]


def test_scores_of_spheres_forget_the_order_of_rows(blocks):
    random = np.random.default_rng(0)
    generated, real = random.normal(size=(50, 3)), random.normal(size=(70, 3))
    mixed = random.permutation(generated), random.permutation(real)
    assert improved_precision_recall(*mixed) == improved_precision_recall(generated, real)
    assert density_coverage(*mixed) == density_coverage(generated, real)


@pytest.mark.parametrize("score", [improved_precision_recall, density_coverage])
@pytest.mark.parametrize("k", [0, -1, 4])
def test_more_neighbours_than_other_rows_are_refused(score, k):
    with pytest.raises(
        ValueError, match=f"{k} neighbours among 4 (generated|real) features: give k from 1 to 3"
    ) as error:
        score(modes(4, range(6), 1), modes(4, range(6), 2), k)
    assert "\n" not in str(error.value)


def test_support_size_counts_the_pairs_that_are_alike(blocks):
    rows = np.array([[0.0], [0.0], [0.5], [2.0], [2.9]])
    pairs = [abs(a - b) for a, b in itertools.combinations(rows[:, 0], 2)]
    for threshold in (0.0, 0.5, 1.0, 5.0):
        found = support_size(rows, threshold)
        assert found.collisions == sum(distance <= threshold for distance in pairs)
        assert found.pairs == 10 and found.estimate == 10 / found.collisions and not found.lower_bound


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_a_known_support_is_found(threshold):
    random = np.random.default_rng(0)
    images = random.normal(size=(300, 30))
    found = support_size(images[random.integers(300, size=2000)], threshold)
    assert found.estimate == pytest.approx(300, rel=0.05)  # 6,663 collisions are expected, give or take 82


def test_without_a_collision_the_support_has_a_lower_bound():
    found = support_size(np.arange(7.0)[:, None], 0.5)
    assert found.lower_bound and found.collisions == 0
    assert found.estimate == 21 / 3
    # Draws of 60 from a support of that size show a collision 95% of the time.
    random, bound = np.random.default_rng(0), round(60 * 59 / 2 / 3)
    silent = [len(np.unique(random.integers(bound, size=60))) == 60 for _ in range(4000)]
    assert np.mean(silent) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("threshold", [-1.0, math.nan, math.inf])
def test_a_threshold_that_is_no_distance_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold"):
        support_size(modes(9, range(6), 1), threshold)


def test_duplicate_threshold_is_half_of_the_median_distance_of_neighbours():
    rows = np.array([0.0, 1.0, 3.0, 6.0, 10.0])[:, None]  # nearest others at 1, 1, 2, 3 and 4
    assert duplicate_threshold(rows) == pytest.approx(1.0)
    assert duplicate_threshold(np.ones((4, 3))) == 0


def test_repeated_images_collide_and_others_do_not():
    random = np.random.default_rng(0)
    real, fresh = random.normal(size=(400, 8)), random.normal(size=(400, 8))
    threshold = duplicate_threshold(real)
    repeated = fresh[random.integers(50, size=400)] + 0.01 * random.normal(size=(400, 8))
    assert support_size(repeated, threshold).estimate == pytest.approx(50, rel=0.1)
    assert support_size(fresh, threshold).estimate > 2000


SCORES = {
    "prd": lambda a, b: prd_curve(a, b, clusters=2, runs=1),
    "improved": lambda a, b: improved_precision_recall(a, b, k=1),
    "density": lambda a, b: density_coverage(a, b, k=1),
    "support": lambda a, b: (support_size(a, 1.0), duplicate_threshold(b)),
}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(score, side, bad):
    sets = [modes(10, range(6), 1), modes(10, range(6), 2)]
    sets[side][4, 1] = bad
    with pytest.raises(ValueError, match="not finite"):
        SCORES[score](*sets)


@pytest.mark.parametrize("score", ["prd", "improved", "density"])
def test_different_widths_are_refused(score):
    with pytest.raises(ValueError, match=r"\[6, 5\] wide"):
        SCORES[score](modes(10, range(6), 1), modes(10, range(5), 2, width=5))


@pytest.mark.parametrize("score", SCORES)
def test_features_are_left_as_they_are(score):
    sets = modes(10, range(6), 1), modes(10, range(6), 2)
    copies = [rows.copy() for rows in sets]
    SCORES[score](*sets)
    assert all(np.array_equal(rows, copy) for rows, copy in zip(sets, copies, strict=True))


def test_one_block_of_distances_is_held_at_a_time(monkeypatch):
    monkeypatch.setattr(precision_recall, "DISTANCES", 2000)
    sizes, blocks = [], precision_recall._squared_distances

    def watched(*sets):
        for rows, squares, slack in blocks(*sets):
            sizes.append(squares.numel())
            yield rows, squares, slack

    monkeypatch.setattr(precision_recall, "_squared_distances", watched)
    density_coverage(modes(300, range(6), 1), modes(400, range(6), 2))
    assert max(sizes) <= 2000 and sum(sizes) == 300 * 400


def groups(count, number, width, seed):
    """Points [count, width] of `number` groups far apart, and which group each is of."""
    random = np.random.default_rng(seed)
    group = random.permutation(np.arange(count) % number)
    return torch.from_numpy(50 * np.eye(number, width)[group] + random.normal(size=(count, width))), group


def same_parts(first, second):
    """Whether two labellings differ by the labels' names only."""
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))


def inertia(points, labels):
    means = {label: points[labels == label].mean(0) for label in np.unique(labels)}
    return sum(np.square(points[labels == label] - mean).sum() for label, mean in means.items())


@pytest.mark.parametrize(("number", "width"), [(1, 3), (2, 2), (5, 5), (20, 30)])
def test_k_means_finds_groups_that_lie_apart(number, width):
    points, group = groups(600, number, width, 1)
    found = k_means(points, number, seeds=[0, 1, 2]).numpy()
    assert found.shape == (3, 600) and all(same_parts(labels, group) for labels in found)


def test_k_means_is_no_worse_than_scikit_learns():
    random = np.random.default_rng(0)
    points = random.normal(size=(1500, 24)) * np.arange(1, 25) ** -0.5
    found = [inertia(points, labels) for labels in k_means(torch.from_numpy(points), 20, list(range(4))).numpy()]
    fits = [MiniBatchKMeans(20, n_init=10, random_state=seed).fit(points) for seed in range(4)]
    assert max(found) <= min(inertia(points, fit.labels_) for fit in fits)


def test_k_means_ends_where_no_label_changes():
    points, _ = groups(400, 3, 6, 2)
    labels = k_means(points, 8, seeds=[5])[0]
    centres = torch.stack([points[labels == label].mean(0) for label in range(8)])
    assert torch.equal(torch.cdist(points, centres).argmin(1), labels)


def test_k_means_keeps_the_best_of_its_starts(monkeypatch):
    points = torch.from_numpy(np.random.default_rng(3).normal(size=(300, 6)))
    tried, lloyd = [], clusters._lloyd
    monkeypatch.setattr(clusters, "_lloyd", lambda *given: tried.append(lloyd(*given)) or tried[-1])
    found = k_means(points, 12, seeds=[0, 1]).numpy()
    every = [inertia(points.numpy(), labels) for labels in tried[0][0].numpy()]
    assert len(every) == 20 and len(set(np.round(every, 6))) > 2
    best = [min(every[:10]), min(every[10:])]
    assert [inertia(points.numpy(), labels) for labels in found] == pytest.approx(best)


def test_a_seed_gives_the_same_clusters_alone_and_among_others(monkeypatch):
    points = torch.from_numpy(np.random.default_rng(3).normal(size=(300, 6)))
    first = k_means(points, 12, seeds=[4, 5, 6])
    assert torch.equal(first, k_means(points, 12, seeds=[4, 5, 6])) and not torch.equal(first[0], first[1])
    monkeypatch.setattr(clusters, "CUDA_BLOCK", 1)  # one seed at a time
    assert torch.equal(first, k_means(points, 12, seeds=[4, 5, 6]))


def test_empty_clusters_make_no_trouble():
    points = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 1.0], [3.0, 1.0]], dtype=torch.float64)
    labels = k_means(points, 4, seeds=[0, 1])  # two different points
    assert (labels[:, :2] == labels[:, :1]).all() and (labels[:, 2:] == labels[:, 2:3]).all()
    assert (labels[:, 0] != labels[:, 2]).all() and labels.min() >= 0 and labels.max() <= 3
    far = torch.tensor([[[0.0, 0.0], [3.0, 1.0], [99.0, 99.0]]], dtype=torch.float64)  # a centre that nothing is near
    labels, left = clusters._lloyd(points, far)
    assert labels.tolist() == [[0, 0, 1, 1]] and torch.isfinite(left).all()
    assert len(set(k_means(torch.ones(5, 2).double(), 3, seeds=[0])[0].tolist())) == 1


def test_starts_are_points_drawn_by_their_squared_distance():
    points = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    draws = torch.rand(9000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second = clusters._starts(points, draws)[..., 0].unbind(1)
    for start, others in ((0.0, {1.0: 0.1, 3.0: 0.9}), (1.0, {0.0: 0.2, 3.0: 0.8}), (3.0, {0.0: 9 / 13, 1.0: 4 / 13})):
        chosen = second[first == start]
        assert len(chosen) / 9000 == pytest.approx(1 / 3, abs=0.02)
        assert {float(x): (chosen == x).double().mean().item() for x in chosen.unique()} == pytest.approx(
            others, abs=0.03
        )


def test_the_main_directions_by_torch_keep_as_much_as_the_best():
    sets = [torch.from_numpy(rows) for rows in two_sets(200)]
    points = clusters._main_directions_by_torch(sets, np.random.default_rng(0))
    best = torch.linalg.eigvalsh(torch.cov((torch.cat(sets) - torch.cat(sets).mean(0)).T))[-clusters.DIRECTIONS :]
    assert points.shape == (1600, 64)
    assert 0.999 * best.sum() < points.var(0).sum() <= best.sum() * (1 + 1e-9)


def test_curves_by_torch_agree_with_scikit_learns_within_its_spread(monkeypatch):
    sets = two_sets(200)

    def scores():
        return np.array([(c.f8, c.f1_8) for c in (prd_curve(*sets, runs=2, seed=seed) for seed in range(5))])

    theirs = scores()
    monkeypatch.setattr(metrics, "cuda_device", lambda *_: torch.device("cpu"))
    ours = scores()
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 3 * theirs.std(0, ddof=1)).all()
    assert not np.array_equal(ours, theirs)  # two ways


def test_the_way_of_a_gpu_needs_no_scikit_learn(monkeypatch):
    monkeypatch.setattr(metrics, "cuda_device", lambda *_: torch.device("cpu"))
    for name in ("sklearn.cluster", "sklearn.utils.extmath", "threadpoolctl"):
        monkeypatch.setitem(sys.modules, name, None)
    assert prd_curve(modes(100, range(6), 1, width=80), modes(100, range(6), 2, width=80), runs=1).f8 > 0.5


@needs_cuda
def test_k_means_on_a_gpu_is_reproducible_and_as_good():
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(2000, 24)))
    first = k_means(points.cuda(), 20, seeds=[0, 1, 2])
    assert first.is_cuda and torch.equal(first, k_means(points.cuda(), 20, seeds=[0, 1, 2]))
    theirs = k_means(points, 20, seeds=[0, 1, 2])
    found, expected = ([inertia(points.numpy(), x) for x in labels.cpu().numpy()] for labels in (first, theirs))
    assert found == pytest.approx(expected, rel=0.01)
    apart, group = groups(600, 20, 30, 1)
    assert same_parts(k_means(apart.cuda(), 20, seeds=[0])[0].tolist(), group)


@needs_cuda
@pytest.mark.parametrize("width", [20, 200])
def test_curves_of_a_gpu_agree_with_the_processors(width):
    sets = two_sets(width)
    tensors = [torch.from_numpy(rows).cuda() for rows in sets]
    theirs, ours = (
        np.array([(c.f8, c.f1_8) for c in (prd_curve(*some, runs=2, seed=seed) for seed in range(5))])
        for some in (sets, tensors)
    )
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 3 * theirs.std(0, ddof=1)).all()
    again = prd_curve(*tensors, runs=2, seed=0)
    assert (again.f8, again.f1_8) == tuple(ours[0])


@needs_cuda
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_neighbour_scores_on_a_gpu_are_the_processors(offset):
    random = np.random.default_rng(0)
    sets = offset + 0.3 + random.normal(size=(500, 8)), offset + random.normal(size=(700, 8))
    tensors = [torch.from_numpy(rows).cuda() for rows in sets]
    assert improved_precision_recall(*tensors) == pytest.approx(improved_precision_recall(*sets), abs=1e-12)
    assert density_coverage(*tensors) == pytest.approx(density_coverage(*sets), abs=1e-12)
    threshold = duplicate_threshold(tensors[1])
    assert threshold == pytest.approx(duplicate_threshold(sets[1]), rel=1e-9)
    assert support_size(tensors[0], 4 * threshold).collisions == support_size(sets[0], 4 * threshold).collisions > 0


@needs_cuda
@pytest.mark.parametrize("score", SCORES)
def test_features_on_a_gpu_are_left_as_they_are(score):
    sets = [torch.from_numpy(modes(10, range(6), seed)).cuda() for seed in (1, 2)]
    copies = [rows.clone() for rows in sets]
    SCORES[score](*sets)
    assert all(torch.equal(rows, copy) for rows, copy in zip(sets, copies, strict=True))
