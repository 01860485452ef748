"""Made cars: the same at every call and size, inside the picture, turned as they say, front unlike back, varied."""

import dataclasses
import itertools

import numpy as np
import pytest

from glann_lib.translation.car_designs import FAMILIES, draw_car
from glann_lib.translation.made_cars import BACKGROUND, HEADLIGHT, TAIL_LIGHT, car_patches, make_cars, render

SIZE = 28
ALL = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def made():
    return {family: make_cars(family, 0, 120, SIZE) for family in FAMILIES}


def covered(images):
    """Which pixels are not background: bool [..., H, W] from [..., 3, H, W]."""
    return (images != np.array(BACKGROUND, np.uint8)[:, None, None]).any(-3)


def near(image, colour):
    """Columns of the pixels that have nearly a colour."""
    return np.nonzero((abs(image.astype(int) - np.array(colour)[:, None, None]) < 12).all(0))[1]


def change(one, other):
    """Mean difference of two pictures of one car over the pixels that either covers, 0 to 255."""
    difference = abs(one.astype(int) - other.astype(int)).mean(0)
    return difference[covered(one) | covered(other)].mean()


def holds(corners, points):
    """Which points [P, 2] lie in a convex polygon [N, 2], or on its edge."""
    edges = np.roll(corners, -1, 0) - corners
    offsets = points[:, None] - corners
    sides = edges[:, 0] * offsets[..., 1] - edges[:, 1] * offsets[..., 0]
    return (sides > -1e-9).all(1) | (sides < 1e-9).all(1)


def seen_patches(car, azimuth):
    """Depths [N, P] and colours [N, 3] of the patches that face the viewer, at the P places that the car covers.

    The patches are in the order of painting. Where a patch does not reach, its depth is minus infinity.
    More depth is nearer to the viewer.
    """
    turn, tilt = np.radians(azimuth), np.radians(20)
    right = np.array([np.sin(turn), np.cos(turn), 0])
    near = np.array([np.cos(tilt) * np.cos(turn), -np.cos(tilt) * np.sin(turn), np.sin(tilt)])
    up = np.cross(near, right)
    patches = [patch for patch in car_patches(car) if patch.normal @ near > 1e-3]
    places = np.stack(np.meshgrid(np.linspace(-0.45, 0.45, 45), np.linspace(-0.3, 0.6, 45)), -1).reshape(-1, 2)
    depths = np.full((len(patches), len(places)), -np.inf)
    for patch, depth in zip(patches, depths, strict=True):
        inside = holds(patch.corners @ np.stack([right, up], 1), places)
        start = places @ np.stack([right, up]) - patch.corners[0]
        depth[inside] = -(start @ patch.normal / (near @ patch.normal))[inside]
    return depths[:, np.isfinite(depths).any(0)], np.array([patch.colour for patch in patches])


def test_pictures_and_azimuths_have_their_shapes():
    images, azimuths = make_cars("vans", 3, 2, 20)
    assert images.shape == (2, 3, 20, 20) and images.dtype == np.uint8
    assert azimuths.shape == (2,) and azimuths.dtype == np.float32
    images, azimuths = make_cars("sedans", 0, 0, 16)
    assert images.shape == (0, 3, 16, 16) and azimuths.shape == (0,)


@ALL
def test_a_car_depends_on_its_family_and_number_only(made, family):
    images, azimuths = make_cars(family, 7, 3, SIZE)
    assert np.array_equal(images, made[family][0][7:10])
    assert np.array_equal(azimuths, made[family][1][7:10])
    assert np.array_equal(make_cars(family, 7, 3, 64)[1], azimuths)


def test_the_cars_are_the_data_set_that_they_were(made):
    # A change here changes every result on made cars: it is another data set.
    assert made["sedans"][1][:3].tolist() == [229.3011474609375, 320.3009033203125, 29.091796875]
    assert made["vans"][1][:3].tolist() == [184.251708984375, 119.4708251953125, 161.4276123046875]
    assert made["hatchbacks"][1][:3].tolist() == [94.1802978515625, 322.064208984375, 306.2274169921875]
    means = [made[family][0].mean() for family in FAMILIES]
    assert means == pytest.approx([211.662, 206.389, 205.130], abs=0.01)


@ALL
def test_a_finer_car_is_the_same_car(family):
    coarse, fine = (make_cars(family, 0, 40, size)[0].astype(float) for size in (32, 64))
    difference = abs(fine.reshape(40, 3, 32, 2, 32, 2).mean((3, 5)) - coarse)
    assert difference.mean((1, 2, 3)).max() < 2.5
    assert np.quantile(difference, 0.99) < 30


@ALL
def test_azimuths_are_spread_evenly(family):
    azimuths = np.array([draw_car(family, number)[0] for number in range(2000)], np.float32)
    assert azimuths.min() >= 0 and azimuths.max() < 360
    counts = np.histogram(azimuths, 12, (0, 360))[0]
    assert abs(counts - 2000 / 12).max() < 50  # four standard deviations


def test_families_draw_their_cars_apart(made):
    assert not np.isin(made["sedans"][1], made["vans"][1]).any()


@ALL
@pytest.mark.parametrize("size", [16, 28, 64])
def test_no_turn_reaches_the_border(family, size):
    for number in range(8):
        car = draw_car(family, number)[1]
        seen = np.stack([covered(render(car, azimuth, size)) for azimuth in range(0, 360, 20)])
        assert seen.any((1, 2)).all()
        for side in (seen[:, [0, -1]], seen[..., [0, -1]]):
            assert not side.any()


@ALL
def test_the_longest_cars_take_most_of_the_width(family):
    spans = []
    for number, azimuth in itertools.product(range(12), range(0, 180, 15)):
        columns = np.nonzero(covered(render(draw_car(family, number)[1], azimuth, 64)).any(0))[0]
        spans.append((np.ptp(columns) + 1) / 64)
        assert abs(columns.min() + columns.max() - 63) <= 2  # centred, but for unlike corners
    assert 0.8 < max(spans) < 0.88


@ALL
def test_azimuth_zero_faces_the_viewer_and_90_the_right(family):
    for number in range(10):
        car = dataclasses.replace(draw_car(family, number)[1], paint=(90, 90, 90), roof_paint=(90, 90, 90))
        front, right, back, left = (render(car, azimuth, 256) for azimuth in (0, 90, 180, 270))
        assert len(near(front, HEADLIGHT)) and not len(near(front, TAIL_LIGHT))
        assert len(near(back, TAIL_LIGHT)) and not len(near(back, HEADLIGHT))
        assert near(right, TAIL_LIGHT).max() < 128 < near(right, HEADLIGHT).min()
        assert near(left, HEADLIGHT).max() < 128 < near(left, TAIL_LIGHT).min()


@ALL
def test_front_is_not_back(family):
    for number in range(20):
        azimuth, car = draw_car(family, number)
        assert change(render(car, azimuth, SIZE), render(car, azimuth + 180, SIZE)) > 12
        # Its outline alone tells it too: the two sides, seen straight on, are mirror images that differ.
        side, other = (covered(render(car, azimuth, 128)) for azimuth in (90, 270))
        assert (side != other).sum() > 0.04 * side.sum()


@ALL
def test_every_azimuth_looks_different(family):
    for number in range(6):
        car = draw_car(family, number)[1]
        turns = [render(car, azimuth, SIZE) for azimuth in range(0, 360, 30)]
        assert min(change(one, other) for one, other in itertools.combinations(turns, 2)) > 10


@ALL
def test_full_turns_change_nothing(family):
    car = draw_car(family, 0)[1]
    assert change(render(car, 40, 64), render(car, 400, 64)) < 0.5


@ALL
def test_patches_are_flat(family):
    for number in range(50):
        for patch in car_patches(draw_car(family, number)[1]):
            heights = (patch.corners - patch.corners[0]) @ patch.normal
            assert abs(heights).max() < 1e-9
            assert np.linalg.norm(patch.normal) == pytest.approx(1)


@ALL
def test_one_order_of_painting_is_right_from_every_side(family):
    for number, azimuth in itertools.product(range(4), range(5, 360, 35)):
        depths, colours = seen_patches(draw_car(family, number)[1], azimuth)
        order = np.arange(len(depths))[:, None]
        last = np.where(np.isfinite(depths), order, 0).max(0)
        foremost = np.where(depths >= depths.max(0) - 1e-9, order, 0).max(0)  # of those in one plane, the last
        assert depths.shape[1] > 150
        assert np.array_equal(colours[last], colours[foremost])  # tyres among themselves may have any order


@ALL
def test_wheel_arches_stay_within_the_body(family):
    for number in range(120):
        patches = car_patches(draw_car(family, number)[1])
        left = [patch for patch in patches if patch.lit and patch.normal[1] == 1]
        body, arches = left[0], [left[1], left[4]]
        for arch in arches:
            assert holds(body.corners[:, [0, 2]], arch.corners[:, [0, 2]]).all(), number


def test_vans_are_higher_than_sedans(made):
    heights = {family: covered(made[family][0]).any(2).sum(1) for family in FAMILIES}
    assert heights["vans"].mean() > 1.25 * heights["sedans"].mean()


@ALL
def test_cars_differ(made, family):
    cars = [draw_car(family, number)[1] for number in range(120)]
    for name in ("length", "width", "height", "belt", "wheel"):
        values = np.array([getattr(car, name) for car in cars])
        assert np.ptp(values) > 0.08 * values.mean(), name
    paints = np.array([car.paint for car in cars])
    assert (paints.std(0) > 30).all()
    upright = np.stack([render(car, 60, SIZE) for car in cars[:40]])
    assert min(change(one, other) for one, other in itertools.combinations(upright, 2)) > 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trucks", 0, 2, 32), "no made cars are called 'trucks': give one of sedans, vans, hatchbacks"),
        (("vans", -1, 2, 32), "2 cars from number -1 on: give numbers of 0 or more"),
        (("vans", 0, -2, 32), "-2 cars from number 0 on"),
        (("sedans", 0, 2, 15), "15 pixels a side are too few for a car: give 16 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words) as error:
        make_cars(*arguments)
    assert "\n" not in str(error.value)
