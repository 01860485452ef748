"""The plane of a known cloud, and codes for its points that lie among the latents and do not jump."""

import pytest
import torch
from torch.nn.functional import normalize

from glann_lib.widgets.latent_map import NEAREST, LatentMap


def latents(count=500, width=16):
    random = torch.Generator().manual_seed(0)
    spreads = torch.tensor([3.0, 2.0] + [1.0] * (width - 2))
    return normalize(torch.randn(count, width, generator=random) * spreads)


@pytest.fixture(scope="module")
def plane():
    return LatentMap.of(latents())


def test_the_plane_is_that_of_a_singular_value_decomposition(plane):
    rows = latents()
    _, sizes, vectors = torch.linalg.svd((rows - rows.mean(0)).double(), full_matrices=False)
    assert (plane.axes @ plane.axes.T - torch.eye(2)).abs().max() < 1e-5
    assert ((plane.axes.double() @ vectors[:2].T).abs() - torch.eye(2)).abs().max() < 1e-5
    assert plane.explained == pytest.approx((sizes[:2].square().sum() / sizes.square().sum()).item(), abs=1e-5)
    assert (plane.centre - rows.mean(0)).abs().max() < 1e-6
    assert plane.points.mean(0).abs().max() < 1e-5


def test_latents_of_any_length_have_the_same_points(plane):
    assert (LatentMap.of(5 * latents()).points - plane.points).abs().max() < 1e-5


def test_a_plane_that_holds_everything_explains_everything():
    angles = torch.linspace(0, 1, 40)
    arc = torch.stack([angles.cos(), angles.sin(), torch.zeros(40)], dim=1)
    plane = LatentMap.of(arc)
    assert plane.explained == pytest.approx(1, abs=1e-5)
    # dense there, so what is lifted from a point falls on the point again
    wanted = plane.points[10:30]
    found = (plane.lift(wanted) - plane.centre) @ plane.axes.T
    assert (found - wanted).abs().max() < 0.01


def test_lifted_codes_lie_on_the_sphere_among_the_nearest_latents(plane):
    left, right, bottom, top = plane.extent()
    random = torch.rand(300, 2, generator=torch.Generator().manual_seed(1))
    points = torch.tensor([left, bottom]) + random * torch.tensor([right - left, top - bottom])
    codes = plane.lift(points)
    assert codes.shape == (300, 16) and codes.dtype == torch.float32
    assert (codes.norm(dim=1) - 1).abs().max() < 1e-6
    for point, code in zip(points, codes, strict=True):
        near = (plane.points - point).norm(dim=1).topk(NEAREST, largest=False).indices
        # in the cone of those latents: a sum of them with no negative weight
        weights = torch.linalg.lstsq(plane.latents[near].T, code[:, None]).solution[:, 0]
        assert weights.min() > -1e-4 and (plane.latents[near].T @ weights - code).abs().max() < 1e-4
        assert weights.argmax() == 0  # the nearest weighs most


def test_lifted_codes_are_nearer_to_the_latents_than_those_of_the_inverse_projection():
    plane = LatentMap.of(latents(1000, 64))
    codes = {"lift": plane.lift(plane.points), "inverse": normalize(plane.centre + plane.points @ plane.axes)}
    median = {name: torch.cdist(rows, plane.latents).amin(1).median() for name, rows in codes.items()}
    assert median["lift"] < 0.7 * median["inverse"]
    assert (codes["lift"] * plane.latents).sum(1).median() > 0.75  # each near its own latent


def test_a_point_that_is_dragged_does_not_make_the_code_jump(plane):
    """Twice as many steps on a line: the largest change falls towards none, as it would not at a jump."""
    start, end = plane.points[3], plane.points[90]
    largest = []
    for steps in (20_000, 40_000):
        line = start + (end - start) * torch.linspace(0, 1, steps, dtype=torch.float64).float()[:, None]
        largest.append(plane.lift(line).diff(dim=0).norm(dim=1).max().item())
    assert largest[1] < 0.7 * largest[0] and largest[1] < 0.01


@pytest.mark.parametrize("count", [2, 3, 8, 9])
def test_few_or_equal_latents_are_no_trouble(count):
    few = LatentMap.of(latents(count))
    for points in (few.points, few.points.mean(0, keepdim=True), torch.tensor([[50.0, -50.0]])):
        assert (few.lift(points).norm(dim=1) - 1).abs().max() < 1e-5
    equal = LatentMap.of(latents(1).repeat(count, 1))
    assert (equal.lift(equal.points) - latents(1)).abs().max() < 1e-5
    assert equal.explained == pytest.approx(0, abs=1e-3) or equal.points.abs().max() < 1e-5


def test_a_point_as_far_from_all_latents_gives_their_mean():
    ring = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
    plane = LatentMap.of(ring + torch.tensor([0, 0, 1.0]))
    assert (plane.lift(torch.zeros(1, 2))[0, 2]) > 0.7
    assert torch.isfinite(plane.lift(torch.zeros(1, 2))).all()


def test_the_extent_is_a_square_around_all_points_with_a_margin(plane):
    left, right, bottom, top = plane.extent()
    assert right - left == pytest.approx(top - bottom)
    low, high = plane.points.amin(0), plane.points.amax(0)
    assert left < low[0] and right > high[0] and bottom < low[1] and top > high[1]
    assert (right - left) == pytest.approx(1.1 * (high - low).max().item(), rel=1e-5)
    assert (left + right) / 2 == pytest.approx((low + high)[0].item() / 2, abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 8), (8,), (8, 1)])
def test_latents_without_a_plane_are_one_line_errors(shape):
    with pytest.raises(ValueError, match="a map needs 2 or more") as error:
        LatentMap.of(torch.ones(shape))
    assert "\n" not in str(error.value)
