"""Exact neighbours: equal to comparing every pair, whatever the tiles, and never all distances at once."""

import itertools

import pytest
import torch

from glann_lib import neighbours
from glann_lib.neighbours import nearest_neighbours


def draw(rows, width, seed):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def whole_numbers(rows, width, seed, top=4):
    """Rows whose distances are exact in float32, with many ties."""
    return torch.randint(0, top, (rows, width), generator=torch.Generator().manual_seed(seed)).float()


def brute_force(queries, points):
    return torch.cdist(queries.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")


@pytest.fixture(params=["as they are", "tiny"])
def tiles(request, monkeypatch):
    if request.param == "tiny":
        monkeypatch.setattr(neighbours, "TILE", 40)
        monkeypatch.setattr(neighbours, "QUERIES_AT_ONCE", 7)


SIZES = [(1, 1, 1), (1, 50, 3), (50, 1, 3), (7, 40, 5), (8, 41, 5), (14, 5, 2), (33, 90, 64), (100, 300, 16)]


@pytest.mark.parametrize(("n", "m", "width"), SIZES)
def test_equal_to_brute_force(tiles, n, m, width):
    queries, points = draw(n, width, 1), draw(m, width, 2)
    exact = brute_force(queries, points)
    for k in {1, min(2, m), min(9, m), m}:
        found = nearest_neighbours(queries, points, k)
        assert found.index.shape == found.distance.shape == (n, k)
        assert found.index.dtype == torch.long
        expected = exact.sort(1).values[:, :k]
        assert (found.distance - expected).abs().max() < 1e-5
        # The distances are those of the points named, and each is named once.
        assert (exact.gather(1, found.index) - expected).abs().max() < 1e-5
        assert all(len(row.unique()) == k for row in found.index)


@pytest.mark.parametrize(("n", "m", "width"), SIZES)
def test_of_points_equally_near_the_first_is_taken(tiles, n, m, width):
    queries, points = whole_numbers(n, width, 1), whole_numbers(m, width, 2)
    exact = brute_force(queries, points).square().round()
    found = nearest_neighbours(queries, points)
    first = (exact == exact.min(1, keepdim=True).values).int().argmax(1)
    assert torch.equal(found.index[:, 0], first)
    assert torch.equal(found.distance[:, 0].square().round().double(), exact.min(1).values)


@pytest.mark.parametrize("k", [2, 5, 60])
def test_several_neighbours_come_nearest_first(tiles, k):
    queries, points = draw(40, 3, 1), draw(60, 3, 2)
    found = nearest_neighbours(queries, points, k)
    assert (found.distance.diff(dim=1) >= 0).all()
    assert (found.distance[:, :1] - nearest_neighbours(queries, points).distance).abs().max() < 1e-6


def test_ties_among_several_are_complete(tiles):
    points = torch.tensor([[0.0], [1.0], [1.0], [1.0], [5.0]]).repeat_interleave(1, 0)
    found = nearest_neighbours(torch.tensor([[1.0]]), points, k=4)
    assert sorted(found.index[0, :3].tolist()) == [1, 2, 3] and found.index[0, 3] == 0


@pytest.mark.parametrize("m", [39, 40, 41, 79, 80, 81])
def test_the_nearest_may_lie_anywhere_in_a_tile(monkeypatch, m):
    monkeypatch.setattr(neighbours, "TILE", 40)
    monkeypatch.setattr(neighbours, "QUERIES_AT_ONCE", 1)
    points = draw(m, 4, 1) + 10
    for place in (0, 1, 38, 39, 40, m - 1):
        if place < m:
            moved = points.clone()
            moved[place] = 0.25
            found = nearest_neighbours(torch.full((3, 4), 0.25), moved)
            assert found.index.tolist() == [[place]] * 3 and not found.distance.any()


def test_distances_of_close_points_keep_their_digits():
    points = draw(200, 64, 1)
    queries = points + 1e-4 * draw(200, 64, 2)
    found = nearest_neighbours(queries, points)
    assert torch.equal(found.index[:, 0], torch.arange(200))
    expected = (queries.double() - points.double()).norm(dim=1)
    assert ((found.distance[:, 0] - expected).abs() / expected).max() < 1e-5


@pytest.mark.parametrize("offset", [1.0, 100.0])
def test_a_common_offset_changes_no_neighbour(offset):
    # Pixels and features are far from 0 but near one another: ||p||^2 must not drown the differences.
    queries, points = draw(50, 16, 1) + offset, draw(500, 16, 2) + offset
    exact = brute_force(queries, points)
    found = nearest_neighbours(queries, points)
    assert (exact.gather(1, found.index)[:, 0] - exact.min(1).values).abs().max() < 1e-5


def test_float64_is_searched_in_float64():
    queries, points = draw(20, 8, 1).double(), draw(90, 8, 2).double()
    found = nearest_neighbours(queries, points, 3)
    exact = brute_force(queries, points)
    assert found.distance.dtype == torch.float64
    assert torch.equal(found.index, exact.topk(3, largest=False).indices)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["queries", "points"])
def test_values_that_are_not_finite_are_refused(bad, where):
    rows = {"queries": draw(5, 3, 1), "points": draw(9, 3, 2)}
    rows[where][4, 2] = bad
    with pytest.raises(ValueError, match=f"{where}.*not finite") as error:
        nearest_neighbours(**rows)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("queries", "points"), [((5, 3), (5, 4)), ((3,), (5, 3)), ((5, 3), (5, 3, 1))])
def test_rows_of_different_width_are_refused(queries, points):
    with pytest.raises(ValueError, match="one width"):
        nearest_neighbours(torch.zeros(queries), torch.zeros(points))


@pytest.mark.parametrize(("k", "m"), [(0, 5), (-1, 5), (6, 5), (1, 0)])
def test_more_neighbours_than_points_are_refused(k, m):
    with pytest.raises(ValueError, match=f"{k} neighbours") as error:
        nearest_neighbours(draw(4, 3, 1), draw(m, 3, 2), k)
    assert "\n" not in str(error.value)


def test_no_queries_have_no_neighbours():
    found = nearest_neighbours(torch.empty(0, 3), draw(9, 3, 2), k=2)
    assert found.index.shape == found.distance.shape == (0, 2)


@pytest.mark.parametrize(("n", "m", "k"), [(3000, 5000, 1), (3000, 5000, 4), (1, 5000, 1)])
def test_one_tile_of_distances_is_held_at_a_time(monkeypatch, n, m, k):
    monkeypatch.setattr(neighbours, "TILE", 100_000)
    held, real = [], torch.addmm

    def watched(*args, **kwargs):
        held.append(real(*args, **kwargs).numel())
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, "addmm", watched)
    nearest_neighbours(draw(n, 2, 1), draw(m, 2, 2), k)
    assert max(held) <= 100_000
    assert sum(held) == n * m  # each pair once


def test_tensors_made_on_the_way_stay_small(monkeypatch):
    """No operation of the search, distances included, gives more than a few tiles of numbers, even for wide rows."""
    monkeypatch.setattr(neighbours, "TILE", 50_000)
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in itertools.chain(result if isinstance(result, tuple | list) else [result]):
                if isinstance(tensor, torch.Tensor) and tensor._base is None and "view" not in str(function):
                    self.numbers = max(self.numbers, tensor.numel())
            return result

    queries, points = draw(400, 300, 1), draw(600, 300, 2)
    with Largest() as largest:
        nearest_neighbours(queries, points, k=10)
    assert largest.numbers <= 4 * max(neighbours.TILE, points.numel())
