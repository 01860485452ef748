"""Exact neighbours: equal to comparing every pair, whatever the tiles, and never all distances at once."""

import itertools

import pytest
import torch

from glann_lib import neighbours
from glann_lib.engine import coarse_search
from glann_lib.neighbours import nearest_neighbours


def draw(rows, width, seed):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def whole_numbers(rows, width, seed, top=4):
    """Rows whose distances are exact in float32, with many ties."""
    return torch.randint(0, top, (rows, width), generator=torch.Generator().manual_seed(seed)).float()


def brute_force(queries, points):
    return torch.cdist(queries.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")


def direct(queries, points):
    """The plain form: all differences in the rows' own format, the least sum of squares, of equals the first."""
    squared = torch.cat([(q[:, None] - points).square().sum(2) for q in queries.split(8)])
    first = squared == squared.amin(1, keepdim=True)
    return torch.where(first, torch.arange(len(points)), len(points)).amin(1)


def use_coarse(monkeypatch, *formats):
    """Search by these coarse formats, however few the rows."""
    monkeypatch.setattr(neighbours, "FEW_NUMBERS", 0)
    monkeypatch.setattr(coarse_search, "formats", lambda *_: iter(formats))


COARSE = {"float32": (torch.float32,), "bfloat16": (torch.bfloat16, torch.float32)}


@pytest.fixture(params=COARSE)
def coarse(request, monkeypatch):
    use_coarse(monkeypatch, *COARSE[request.param])


@pytest.fixture(params=["as they are", "tiny", "float32", "bfloat16", "bfloat16, tiny"])
def tiles(request, monkeypatch):
    name = request.param.split(",")[0]
    if name in COARSE:
        use_coarse(monkeypatch, *COARSE[name])
    if "tiny" in request.param:
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


def test_one_tile_of_distances_is_held_at_a_time(monkeypatch):
    monkeypatch.setattr(neighbours, "TILE", 100_000)
    held, real = [], torch.addmm

    def watched(*args, **kwargs):
        held.append(real(*args, **kwargs).numel())
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, "addmm", watched)
    nearest_neighbours(draw(3000, 2, 1), draw(5000, 2, 2), 4)
    assert max(held) <= 100_000
    assert sum(held) == 3000 * 5000  # each pair once


@pytest.mark.parametrize(("n", "m"), [(3000, 5000), (1, 5000)])
def test_each_pair_is_bounded_once_or_too_far_by_its_norm(monkeypatch, coarse, n, m):
    monkeypatch.setattr(neighbours, "TILE", 100_000)
    held, ranges = [], []
    product, minima = coarse_search._product, coarse_search.block_minima

    def watched(left, right):
        held.append(len(left) * len(right))
        return product(left, right)

    def ranged(queries, points, tile):
        ranges.append((len(queries.rows), len(points.rows)))
        return minima(queries, points, tile)

    monkeypatch.setattr(coarse_search, "_product", watched)
    monkeypatch.setattr(coarse_search, "block_minima", ranged)
    # Queries at distance 0 or 5 of their mean: norms leave no point out where the queries of a tile differ so much.
    queries, points = draw(n, 2, 1), draw(m, 2, 2)
    queries[::2] *= 9
    found = nearest_neighbours(queries, points).index[:, 0]
    assert max(held) <= 100_000
    assert sum(held) == sum(rows * columns for rows, columns in ranges) <= n * -(-m // 64) * 64
    if n > 1:
        assert sum(held) > 0.9 * n * m
    assert torch.equal(found, direct(queries, points))


def test_points_too_far_by_their_norm_are_left_out(monkeypatch, coarse):
    held, minima = [], coarse_search.block_minima

    def ranged(queries, points, tile):
        held.append(len(queries.rows) * len(points.rows))
        return minima(queries, points, tile)

    monkeypatch.setattr(coarse_search, "block_minima", ranged)
    queries = torch.nn.functional.normalize(draw(500, 16, 1))
    points = torch.nn.functional.normalize(draw(20_000, 16, 2)) * torch.linspace(0.8, 20, 20_000)[:, None]
    assert torch.equal(nearest_neighbours(queries, points).index[:, 0], direct(queries, points))
    assert sum(held) < 0.3 * 500 * 20_000


@pytest.mark.parametrize("way", ["several", "float32", "bfloat16"])
def test_tensors_made_on_the_way_stay_small(monkeypatch, way):
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
    points[:500] = points[0]  # one tile of queries falls back
    if way != "several":
        use_coarse(monkeypatch, *COARSE[way])
    with Largest() as largest:
        nearest_neighbours(queries, points, k=10 if way == "several" else 1)
    assert largest.numbers <= 4 * max(neighbours.TILE, points.numel())


def clustered(rows, width, seed):
    centres = draw(20, width, 99)
    return centres[torch.arange(rows) % 20] + 0.05 * draw(rows, width, seed)


def with_outliers(rows, width, seed):
    values = draw(rows, width, seed)
    values[::97] *= 1e4
    return values


DATA = {
    "random": draw,
    "clustered": clustered,
    "duplicated": lambda rows, width, seed: draw(rows, width, seed)[torch.arange(rows) % max(1, rows // 40)],
    "whole": whole_numbers,
    "small": lambda *given: 1e-3 * draw(*given),
    "tiny": lambda *given: 1e-19 * draw(*given),
    "large": lambda *given: 1e3 * draw(*given),
    "huge": lambda *given: 1e17 * draw(*given),
    "far": lambda *given: 1e3 + draw(*given),
    "outliers": with_outliers,
}


@pytest.mark.parametrize("width", [1, 2, 3, 64, 784, 3072])
@pytest.mark.parametrize("data", DATA)
def test_one_neighbour_is_that_of_the_plain_form(coarse, data, width):
    n, m = (300, 2500) if width < 100 else (40, 700)
    queries, points = DATA[data](n, width, 1), DATA[data](m, width, 2)
    assert torch.equal(nearest_neighbours(queries, points).index[:, 0], direct(queries, points))
    # Queries among the points, some of them points.
    queries = points[:n] + 1e-3 * draw(n, width, 3) * points.abs().mean() * (torch.arange(n) % 2)[:, None]
    assert torch.equal(nearest_neighbours(queries, points).index[:, 0], direct(queries, points))


def test_numbers_that_vanish_when_squared_among_others(coarse):
    points = draw(2000, 5, 1) * 10 ** torch.linspace(-25, 0, 2000)[:, None]
    queries = draw(300, 5, 2) * 10 ** torch.linspace(-25, 0, 300)[:, None]
    assert torch.equal(nearest_neighbours(queries, points).index[:, 0], direct(queries, points))


def test_float64_rows_that_float32_cannot_tell_apart(coarse):
    points = 1 + 1e-10 * draw(1500, 8, 1).double()
    queries = torch.cat([points[::7] + 1e-12 * draw(215, 8, 2), 2 + draw(20, 8, 3)])
    assert torch.equal(nearest_neighbours(queries, points).index[:, 0], direct(queries, points))


def test_rows_that_do_not_lie_in_order_in_memory(coarse):
    queries, points = draw(65, 200, 1).T, draw(65, 3000, 2).T
    expected = direct(queries.contiguous(), points.contiguous())
    assert torch.equal(nearest_neighbours(queries, points).index[:, 0], expected)


def test_lower_precision_of_the_caller_changes_nothing(coarse):
    queries, points = draw(200, 64, 1), draw(3000, 64, 2)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu"):
            found = nearest_neighbours(queries, points).index[:, 0]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(found, direct(queries, points))


@pytest.mark.parametrize("formats", [(), (torch.bfloat16,), (torch.float32,), (torch.bfloat16, torch.float32)])
def test_where_too_many_blocks_are_left_pairs_are_compared_one_by_one(monkeypatch, formats):
    use_coarse(monkeypatch, *formats)
    monkeypatch.setattr(neighbours, "QUERIES_AT_ONCE", 100)
    points = draw(4000, 16, 1)
    points[200:] = points[200] + 1e-7 * draw(3800, 16, 2)  # nearly equal; their norms are, too
    queries = torch.cat([draw(100, 16, 3), points[200] + 0.1 * draw(100, 16, 4)])
    compared, real = [], neighbours._compare_all
    monkeypatch.setattr(neighbours, "_compare_all", lambda q, p: compared.append(len(q)) or real(q, p))
    assert torch.equal(nearest_neighbours(queries, points).index[:, 0], direct(queries, points))
    assert 100 in compared


def bounds(dtype, queries, points):
    """Coarse rows, true distances [n, m] in float64, and the block minima."""
    coarse = coarse_search.coarsen(queries, dtype, "queries"), coarse_search.coarsen(points, dtype, "points")
    return *coarse, brute_force(queries, points), coarse_search.block_minima(*coarse, 10_000)


def tile_pairs():
    for seed, width in itertools.product(range(5), (1, 3, 17, 64, 784)):
        for scale, shift in ((1, 0), (1e-3, 1), (1e3, 0), (1, 30)):
            queries, points = draw(50, width, seed) + shift, scale * draw(640, width, seed + 50) + shift
            points[:50] = queries * (1 + 1e-3 * seed)
            yield queries, points


def bounds_fail(dtype, monkeypatch=None):
    """How often, in many tiles, a bound is below the true least distance, or a nearest point's block is left out."""
    above = left_out = 0
    for queries, points in tile_pairs():
        coarse, coarse_points, true, minima = bounds(dtype, queries, points)
        least, nearest = true.min(1)
        above += int((coarse_search.upper_bound(coarse, coarse_points, minima) < least).sum())
        within = coarse_search.blocks_within(coarse, coarse_points, minima, least.float() * (1 + 1e-7))
        left_out += int((~within[nearest // coarse.block, torch.arange(len(queries))]).sum())
    return above, left_out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_bounds_hold(dtype):
    assert bounds_fail(dtype) == (0, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bounds_a_hundredth_as_wide_would_not_hold(monkeypatch, dtype):
    real = coarse_search.coarsen

    def narrow(*args):
        coarse = real(*args)
        return coarse_search.Coarse(coarse.rows, coarse.size, coarse.error / 100)

    monkeypatch.setattr(coarse_search, "coarsen", narrow)
    monkeypatch.setattr(coarse_search.Coarse, "slack", property(lambda self: 1e-2 * coarse_search.slack(8)))
    monkeypatch.setattr(
        coarse_search.Coarse, "rounding", property(lambda self: 1e-2 * 2.0**-8 * (dtype == torch.bfloat16))
    )
    above, left_out = bounds_fail(dtype)
    assert above > 0 and left_out > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_part_of_a_bound_is_at_least_the_error_made(dtype):
    """Rounded rows, their norms, and s before it is rounded, against float64."""
    for queries, points in tile_pairs():
        coarse, coarse_points, _, minima = bounds(dtype, queries, points)
        width = queries.shape[1]
        near, near_points = coarse.rows[:, :width].double(), -coarse_points.rows[:, :width].double()
        assert ((queries - near).norm(dim=1) <= coarse.error).all() and (near.norm(dim=1) <= coarse.size).all()
        true = 0.5 * torch.cdist(near_points, near, compute_mode="donot_use_mm_for_euclid_dist").square()
        spread = coarse.slack / 2 * (coarse_points.size[:, None] + coarse.size).square()
        low, high = ((true + sign * spread).view(-1, coarse.block, 50).amin(1) for sign in (-1, 1))
        assert (minima / (1 + coarse.rounding) <= high).all() and (minima / (1 - coarse.rounding) >= low).all()


def test_a_format_is_chosen_for_large_searches_only(monkeypatch):
    monkeypatch.setattr(coarse_search, "_bfloat16_is_faster", lambda *_: True)
    cpu = torch.device("cpu")
    assert list(coarse_search.formats(100, 100, 64, 1000, cpu)) == [torch.float32]
    assert list(coarse_search.formats(60_000, 120_000, 64, 1000, cpu)) == [torch.bfloat16, torch.float32]
    assert list(coarse_search.formats(60_000, 120_000, 64, 1000, torch.device("cuda"))) == [torch.float32]


def test_the_faster_format_is_chosen(monkeypatch):
    seconds = {torch.bfloat16: 1.0, torch.float32: 2.0}
    monkeypatch.setattr(coarse_search, "_seconds", lambda width, tile, dtype: seconds[dtype])
    measure = coarse_search._bfloat16_is_faster.__wrapped__
    assert measure(64, 1000) == torch.backends.mkldnn.is_available()
    seconds[torch.float32] = 0.5
    assert not measure(64, 1000)


def test_formats_are_timed():
    assert all(0 < coarse_search._seconds(8, 10_000, dtype) < 10 for dtype in (torch.float32, torch.bfloat16))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_minima_read_as_whole_numbers_are_those_of_the_floats(monkeypatch, dtype):
    values = draw(640, 9, 1).to(dtype)
    values[:64] = values[:64].abs() + 1  # no number below 0
    values[64:128] = -0.0
    values[128:192] = values[128:192].abs() * 1e-30
    monkeypatch.setattr(coarse_search, "_product", lambda *_: values.clone())
    found = coarse_search._minima(values, values[:9], 64)
    expected = values.view(10, 64, 9).amin(1).clamp(min=0)
    assert torch.equal(found, expected) and (found[0] >= 1).all() and (found[2] > 0).all()


def test_a_gpu_takes_larger_tiles_and_more_queries():
    cpu, cuda = torch.device("cpu"), torch.device("cuda", 0)
    assert neighbours._tile(cuda) == neighbours.CUDA_TILE > neighbours._tile(cpu) == neighbours.TILE
    at_once = neighbours._queries_at_once
    assert at_once(cuda) == neighbours.CUDA_QUERIES_AT_ONCE > at_once(cpu) == neighbours.QUERIES_AT_ONCE


def test_several_neighbours_are_searched_in_the_devices_tiles(monkeypatch):
    monkeypatch.setattr(neighbours, "_tile", lambda device: 500)
    monkeypatch.setattr(neighbours, "_queries_at_once", lambda device: 25)
    queries, points = draw(60, 5, 1), draw(210, 5, 2)
    exact = brute_force(queries, points).topk(4, largest=False)
    from torch.utils._python_dispatch import TorchDispatchMode

    class Seen(TorchDispatchMode):
        products, differences = (), ()

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if "addmm" in str(function):
                self.products += (tuple(result.shape),)
            if "sub" in str(function) and result.ndim == 3:
                self.differences += (tuple(result.shape),)
            return result

    with Seen() as seen:
        found = nearest_neighbours(queries, points, 4)
    assert torch.equal(found.index, exact.indices)
    assert seen.products[:2] == ((25, 20), (25, 20)) and seen.products[-1] == (10, 10)  # the last ten queries
    assert seen.differences == ((25, 4, 5), (25, 4, 5), (10, 4, 5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_several_neighbours_on_a_gpu_are_those_of_brute_force(dtype):
    queries, points = draw(9000, 16, 1).to(dtype), draw(40_000, 16, 2).to(dtype)  # more than one tile
    found = nearest_neighbours(queries.cuda(), points.cuda(), 5)
    exact = torch.cat([brute_force(part, points).topk(5, largest=False).values for part in queries.split(1000)])
    named = (queries[:, None].double() - points[found.index.cpu()].double()).norm(dim=2)
    assert (named - exact).abs().max() < 1e-5 and (found.distance.cpu() - exact).abs().max() < 1e-5
