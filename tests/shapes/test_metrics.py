"""Scores of voxel shapes against closed forms, against point sets compared pair by pair, and on sets of known kind."""

import itertools
import math

import numpy as np
import pytest
import torch

from glann_lib.scores.measures import SHAPE_METRICS
from glann_lib.shapes import metrics as shape_metrics
from glann_lib.shapes.metrics import (
    chamfer_matrix,
    in_one_piece,
    iou,
    iou_matrix,
    matching_scores,
    nearest_shapes,
    score_shapes,
)

SIZE = 16


def box(low, high, size=SIZE):
    """One shape: voxels from low to high (left out) along each axis."""
    shape = torch.zeros(size, size, size, dtype=torch.bool)
    shape[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return shape


def ball(radius, size=SIZE):
    centres = (torch.arange(size) + 0.5) / size - 0.5
    squares = centres.square()
    return squares[:, None, None] + squares[None, :, None] + squares[None, None, :] <= radius**2


def random_boxes(count, seed, corner=(2, 2, 2), spread=4):
    """Boxes whose corner and sides vary a little: a distribution to draw from."""
    random = np.random.default_rng(seed)
    lows = np.array(corner) + random.integers(0, spread, (count, 3))
    highs = lows + random.integers(3, 8, (count, 3))
    return torch.stack([box(low, high) for low, high in zip(lows, highs, strict=True)])


def noise(count, seed, size=6, share=0.4):
    return torch.from_numpy(np.random.default_rng(seed).random((count, size, size, size)) < share)


EMPTY = torch.zeros(SIZE, SIZE, SIZE, dtype=torch.bool)


def surface_by_loops(shape):
    """Centres, in sides of the cube, of the voxels with an empty neighbour, voxel by voxel."""
    size, points = len(shape), []
    for x, y, z in itertools.product(range(size), repeat=3):
        around = [(x + 1, y, z), (x - 1, y, z), (x, y + 1, z), (x, y - 1, z), (x, y, z + 1), (x, y, z - 1)]
        if shape[x, y, z] and any(not 0 <= min(p) <= max(p) < size or not shape[p] for p in around):
            points.append([(x + 0.5) / size, (y + 0.5) / size, (z + 0.5) / size])
    return torch.tensor(points, dtype=torch.float64).reshape(-1, 3)


def chamfer_by_points(a, b):
    distances = torch.cdist(surface_by_loops(a), surface_by_loops(b), compute_mode="donot_use_mm_for_euclid_dist")
    return float(distances.amin(1).mean() + distances.amin(0).mean())


@pytest.fixture(params=["as they are", "tiny"])
def blocks(request, monkeypatch):
    if request.param == "tiny":
        monkeypatch.setattr(shape_metrics, "FLOATS", 3 * 6**3)


@pytest.mark.parametrize("shift", range(7))
def test_iou_of_shifted_boxes_has_a_closed_form(shift):
    a, b = box((2, 3, 4), (8, 9, 9)), box((2 + shift, 3, 4), (8 + shift, 9, 9))
    expected = pytest.approx((6 - shift) / (6 + shift))
    assert iou(a[None], b[None]).item() == expected
    assert iou_matrix(a[None], b[None]).item() == expected


def test_iou_of_boxes_within_one_another_is_the_ratio_of_volumes():
    assert iou(box((2, 2, 2), (6, 5, 4))[None], box((1, 1, 1), (9, 9, 9))[None]).item() == pytest.approx(24 / 512)


def test_empty_shapes_are_equal_to_each_other_and_to_nothing_else():
    shapes = torch.stack([EMPTY, ball(0.3)])
    assert iou_matrix(shapes, shapes).tolist() == [[1, 0], [0, 1]]
    assert iou(shapes, shapes.flip(0)).tolist() == [0, 0]
    assert iou(shapes, shapes).tolist() == [1, 1]


def test_iou_matrix_is_the_iou_of_each_pair(blocks):
    a, b = noise(7, 0), noise(5, 1)
    found = iou_matrix(a, b)
    assert found.shape == (7, 5) and found.dtype == torch.float32
    for row, shape in zip(found, a, strict=True):
        assert torch.equal(row, iou(shape.expand(5, -1, -1, -1), b))


def test_arrays_are_as_good_as_tensors():
    a, b = noise(3, 0), noise(3, 1)
    assert torch.equal(iou(a.numpy(), b.numpy()), iou(a, b))
    assert torch.equal(chamfer_matrix(a.numpy(), b.numpy()), chamfer_matrix(a, b))


def test_few_voxels_are_held_as_floats_at_once(monkeypatch):
    monkeypatch.setattr(shape_metrics, "FLOATS", 1000)
    held, to_float = [], torch.Tensor.float

    def watched(values):
        held.append(values.numel())
        return to_float(values)

    monkeypatch.setattr(torch.Tensor, "float", watched)
    iou_matrix(noise(20, 0), noise(30, 1))
    assert held and max(held) <= 1000


@pytest.mark.parametrize("size", [32, 48])
def test_a_sphere_and_a_box_have_the_iou_of_their_volumes(size):
    cube = box(
        (size // 8,) * 3, (7 * size // 8,) * 3, size
    )  # 3/4 of a side: the sphere of radius 3/8 fills pi / 6 of it
    assert iou(ball(0.375, size)[None], cube[None]).item() == pytest.approx(math.pi / 6, rel=0.01)
    assert ball(0.375, size).float().mean().item() == pytest.approx(4 / 3 * math.pi * 0.375**3, rel=0.01)


@pytest.mark.parametrize("share", [0.02, 0.4, 0.9])
def test_chamfer_distance_is_that_of_the_point_sets(blocks, share):
    a, b = noise(5, 0, share=share), noise(4, 1, share=share)
    expected = [[chamfer_by_points(x, y) for y in b] for x in a]
    assert torch.allclose(chamfer_matrix(a, b), torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_chamfer_distance_of_solids_is_that_of_their_surfaces():
    a, b = torch.stack([ball(0.3), box((2, 2, 2), (12, 9, 8))]), torch.stack([ball(0.45), torch.ones_like(EMPTY)])
    expected = [[chamfer_by_points(x, y) for y in b] for x in a]
    assert torch.allclose(chamfer_matrix(a, b), torch.tensor(expected), rtol=1e-5)


@pytest.mark.parametrize("gap", [0, 1, 5])
def test_chamfer_distance_of_parallel_plates_is_twice_their_distance(gap):
    a, b = box((3, 2, 2), (4, 14, 14)), box((3 + gap, 2, 2), (4 + gap, 14, 14))
    assert chamfer_matrix(a[None], b[None]).item() == pytest.approx(2 * gap / SIZE)


def test_chamfer_distance_of_single_voxels_is_twice_their_distance():
    a, b = box((1, 2, 3), (2, 3, 4)), box((4, 6, 3), (5, 7, 4))
    assert chamfer_matrix(a[None], b[None]).item() == pytest.approx(2 * 5 / SIZE)


def test_chamfer_matrix_of_a_set_with_itself(blocks):
    shapes = noise(7, 0)
    found = chamfer_matrix(shapes, shapes)
    assert torch.equal(found, found.T) and torch.equal(found.diagonal(), torch.zeros(7))
    assert torch.allclose(found, chamfer_matrix(shapes, shapes.clone()))


def test_a_shape_without_voxels_is_infinitely_far():
    shapes = torch.stack([EMPTY, ball(0.3), EMPTY])
    found = chamfer_matrix(shapes, shapes)
    assert torch.isinf(found[[0, 2]]).all() and torch.isinf(found[:, [0, 2]]).all()
    assert found[1, 1] == 0


def scores_of(points, others):
    """Matching scores of points on a line."""
    a, b = np.array(points, float), np.array(others, float)
    return matching_scores(*(np.abs(x[:, None] - y) for x, y in ((a, b), (a, a), (b, b))))


def test_matching_scores_of_points_on_a_line():
    distance, coverage, accuracy = scores_of([0, 1, 7], [1.2, 4, 20])
    assert distance == pytest.approx((0.2 + 3 + 13) / 3)  # 4 is nearest to 1 and to 7
    assert coverage == pytest.approx(2 / 3)
    # Own set nearest: 0. Other set nearest: 1, 7, 1.2, 4 (3 to 7, 2.8 to 1.2: own), 20 (13 to 7, 16 to 4).
    assert accuracy == pytest.approx(2 / 6)


def test_a_copied_set_is_covered_and_never_told_apart():
    assert scores_of([1, 2, 4, 8], [8, 4, 2, 1]) == (0, 1, 0)


def test_ties_cover_one_and_count_half():
    _, coverage, accuracy = scores_of([1, 1], [0, 2, 1, 1])
    assert coverage == 1 / 4
    assert accuracy == pytest.approx((0.5 + 0.5 + 0.5 * 4) / 6)


def test_infinite_distances_match_and_cover_nothing():
    inf = math.inf
    found = matching_scores([[inf, inf], [0.1, 0.2]], [[inf, inf], [inf, 0]], [[0, 0.05], [0.05, 0]])
    assert found == pytest.approx((0.15, 1 / 2, 3 / 4))
    nothing = matching_scores(np.full((2, 2), inf), np.full((2, 2), inf), [[0, 1], [1, 0]])
    assert nothing == (inf, 0, 1)


def test_the_diagonal_and_the_matrices_stay_as_they_are():
    own = np.full((2, 2), 3.0)
    matching_scores(np.ones((2, 2)), own, own)
    assert (own == 3).all()


def test_identical_sets_have_the_best_scores():
    shapes = random_boxes(20, 0).unique(dim=0)
    found = score_shapes(shapes, shapes)
    assert found["matching_iou"] == found["coverage_chamfer"] == found["coverage_iou"] == 1
    assert found["matching_chamfer"] == found["nearest_accuracy_chamfer"] == found["empty"] == 0


def test_a_collapsed_generator_covers_one_shape():
    real = random_boxes(20, 0).unique(dim=0)
    found = score_shapes(real[3].expand(20, -1, -1, -1), real)
    assert found["coverage_chamfer"] == found["coverage_iou"] == pytest.approx(1 / len(real))


def test_matching_gets_worse_as_modes_are_dropped():
    corners = [(0, 0, 0), (8, 0, 0), (0, 8, 0), (0, 0, 8)]
    modes = [random_boxes(8, seed, corner, spread=2) for seed, corner in enumerate(corners)]
    real = torch.cat([random_boxes(8, 10 + seed, corner, spread=2) for seed, corner in enumerate(corners)])
    found = [score_shapes(torch.cat(modes[:kept]), real) for kept in (4, 3, 2, 1)]
    for better, worse in itertools.pairwise(found):
        assert better["matching_chamfer"] < worse["matching_chamfer"]
        assert better["matching_iou"] > worse["matching_iou"]
        assert better["coverage_chamfer"] > worse["coverage_chamfer"]


def test_halves_of_one_distribution_are_not_told_apart():
    found = score_shapes(random_boxes(200, 0), random_boxes(200, 1))
    assert found["nearest_accuracy_chamfer"] == pytest.approx(0.5, abs=0.08)


def test_sets_that_share_nothing_are_told_apart():
    found = score_shapes(random_boxes(20, 0, (0, 0, 0), spread=2), random_boxes(20, 1, (8, 8, 8), spread=2))
    assert found["nearest_accuracy_chamfer"] == 1
    assert found["matching_iou"] == found["coverage_iou"] == 0
    assert found["matching_chamfer"] > 0.5


def test_shapes_with_loose_bits_are_told_from_whole_ones():
    shapes = torch.zeros(5, 8, 8, 8, dtype=torch.bool)
    shapes[:4, 1:4, 1:4, 1:4] = True
    shapes[1, 4, 4, 4] = True  # hangs on by a corner
    shapes[2, 5, 5, 5] = shapes[3, 0, 0, 7] = True
    assert in_one_piece(shapes).tolist() == [True, True, False, False, False]
    assert score_shapes(shapes, shapes[:1])["whole"] == pytest.approx(2 / 5)


def test_empty_generated_shapes_are_counted_and_match_nothing():
    real = random_boxes(8, 0).unique(dim=0)
    nothing = EMPTY.expand(4, -1, -1, -1)
    mixed = score_shapes(torch.cat([real[:4], nothing]), real)
    assert mixed["empty"] == 1 / 2
    alone = score_shapes(real[:4], real)
    for key in ("matching_iou", "matching_chamfer", "coverage_chamfer", "coverage_iou"):
        assert mixed[key] == pytest.approx(alone[key])
    assert score_shapes(nothing, real) == {
        "matching_iou": 0, "matching_chamfer": math.inf, "coverage_chamfer": 0, "coverage_iou": 0,
        "nearest_accuracy_chamfer": 1, "whole": 0, "empty": 1,
    }  # fmt: skip


def test_every_score_is_explained():
    found = score_shapes(random_boxes(4, 0), random_boxes(4, 1))
    assert list(found) == list(SHAPE_METRICS)
    assert all(isinstance(value, float) for value in found.values())
    assert {metric.better for metric in SHAPE_METRICS.values()} == {"lower", "higher", "0.5"}


def test_nearest_shapes_are_those_of_largest_iou(blocks):
    references = noise(9, 0)
    queries = references[[4, 0, 8]].clone()
    queries[:, 0, 0, 0] ^= True
    index, value = nearest_shapes(queries, references)
    assert index.tolist() == [4, 0, 8]
    assert torch.equal(value, iou(queries, references[index]))


SHAPES = torch.ones(2, 4, 4, 4, dtype=torch.bool)


@pytest.mark.parametrize("score", [iou, iou_matrix, chamfer_matrix, score_shapes, nearest_shapes])
@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (SHAPES.float(), SHAPES, "shapes are float32: give bool"),
        (SHAPES, SHAPES.byte(), "shapes are uint8: give bool"),
        (SHAPES[0], SHAPES, r"shapes are \[4, 4, 4\]: give \[N, S, S, S\]"),
        (SHAPES, SHAPES[:, :, :3], r"shapes are \[2, 4, 3, 4\]"),
        (SHAPES[:0], SHAPES, r"shapes are \[0, 4, 4, 4\]"),
        (SHAPES, SHAPES[:0], "N and S at least 1"),
        (SHAPES, SHAPES[:, :3, :3, :3], r"\[4, 3\] voxels a side: make both"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(score, a, b, words):
    with pytest.raises(ValueError, match=words) as error:
        score(a, b)
    assert "\n" not in str(error.value)


def test_pairs_want_equal_counts():
    with pytest.raises(ValueError, match="2 shapes for 1 others: give as many"):
        iou(SHAPES, SHAPES[:1])


def test_real_shapes_have_voxels():
    with pytest.raises(ValueError, match="1 of 3 real shapes have no voxel: leave them out"):
        score_shapes(SHAPES, torch.cat([SHAPES, ~SHAPES[:1]]))


@pytest.mark.parametrize(
    ("cross", "generated", "real", "words"),
    [
        (np.zeros((0, 2)), np.zeros((0, 0)), np.zeros((2, 2)), r"are \[0, 2\]: give \[G, R\]"),
        (np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2)), r"are \[2\]: give \[G, R\]"),
        (np.zeros((3, 2)), np.zeros((2, 2)), np.zeros((2, 2)), r"among generated shapes are \[2, 2\]: give \[3, 3\]"),
        (np.zeros((3, 2)), np.zeros((3, 3)), np.zeros((3, 3)), r"among real shapes are \[3, 3\]: give \[2, 2\]"),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), np.zeros((2, 2)), "some distances are NaN"),
    ],
)
def test_distances_that_do_not_fit_are_refused(cross, generated, real, words):
    with pytest.raises(ValueError, match=words) as error:
        matching_scores(cross, generated, real)
    assert "\n" not in str(error.value)
