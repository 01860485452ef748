"""Made chairs: the same at every call and size, whole, inside the cube, turned the right way, thick enough, varied."""

import hashlib
import math

import numpy as np
import pytest
from scipy import ndimage

from glann_lib.shapes.chair_designs import draw_chair
from glann_lib.shapes.made_chairs import chair_parts, make_chairs

SIZE = 32


@pytest.fixture(scope="module")
def chairs():
    return make_chairs(0, 500, SIZE)


def overlap(shapes):
    """Intersection over union of each pair [N, N]."""
    rows = shapes.reshape(len(shapes), -1).astype(np.float32)
    common = rows @ rows.T
    counts = rows.sum(1)
    return common / (counts[:, None] + counts - common)


def extent(shape):
    """First and last occupied voxel along each axis: [3, 2]."""
    return np.array([(places.min(), places.max()) for places in np.nonzero(shape)])


def test_shapes_are_bool_cubes():
    assert make_chairs(3, 2, 16).shape == (2, 16, 16, 16)
    assert make_chairs(3, 2, 20, poses=3).shape == (6, 20, 20, 20)
    assert make_chairs(0, 0, 32, 2).shape == (0, 32, 32, 32)
    assert make_chairs(0, 1, 32).dtype == bool


def test_a_chair_depends_on_its_number_only(chairs):
    assert np.array_equal(make_chairs(7, 3, SIZE), chairs[7:10])
    assert np.array_equal(make_chairs(9, 1, SIZE, poses=4)[0], chairs[9])


def test_the_chairs_are_the_data_set_that_they_were():
    # A change here changes every result on made chairs: it is another data set.
    digest = hashlib.sha256(np.packbits(make_chairs(0, 64, SIZE)).tobytes()).hexdigest()
    assert digest == "e344ffb13ec2b5006961678bf1abe74e2b1222504dee800a6123b0c46b879816"


def test_no_part_is_thinner_than_two_voxels():
    for number in range(300):
        for part in chair_parts(draw_chair(number)):
            for half in (part.half, part.half_top or part.half):
                assert 2 * min(half) >= 2 / 32
            assert part.high - part.low >= 2 / 32 - 1e-9
            assert part.wall == 0 or part.wall >= 2 / 32


def test_every_chair_is_one_solid_inside_the_cube(chairs):
    for shape in chairs[:300]:
        assert ndimage.label(shape)[1] == 1
        box = extent(shape)
        assert box.min() >= 3 and box.max() <= SIZE - 4


@pytest.mark.parametrize(("size", "poses"), [(64, 1), (32, 12), (48, 5)])
def test_chairs_are_one_solid_at_other_sizes_and_poses(size, poses):
    for shape in make_chairs(500, 30, size, poses):
        assert ndimage.label(shape)[1] == 1


def test_no_turn_leaves_the_cube():
    shapes = make_chairs(0, 60, 64, 12)
    for side in (shapes[:, [0, -1]], shapes[:, :, [0, -1]], shapes[..., [0, -1]]):
        assert not side.any()
    volumes = shapes.reshape(60, 12, -1).sum(2)
    change = abs(volumes / volumes[:, :1] - 1)  # nothing is cut off: only voxels at surfaces come and go
    assert np.median(change) < 0.02 and change.max() < 0.15


def test_chairs_are_centred_and_take_three_quarters_of_the_cube(chairs):
    for shape in chairs:
        box = extent(shape)
        assert abs(box.sum(1) - (SIZE - 1)).max() <= 1
        assert 20 <= (box[:, 1] - box[:, 0] + 1).max() <= 25


def test_backs_stand_at_high_x(chairs):
    for number, shape in enumerate(chairs):
        chair = draw_chair(number)
        bottom = extent(shape)[2, 0]
        above = shape[:, :, bottom + round(SIZE * chair.seat_height) + 1 :]
        x = np.nonzero(above)[0].mean()
        assert x > SIZE / 2, number
        top = np.nonzero(shape[:, :, extent(shape)[2, 1]])[0]
        assert top.min() >= SIZE / 2, number


def test_chairs_are_as_high_as_their_parameters_say(chairs):
    for number, shape in enumerate(chairs):
        low, high = extent(shape)[2]
        assert high - low + 1 == pytest.approx(SIZE * draw_chair(number).height, abs=1)


def test_chairs_are_mirrored_left_and_right(chairs):
    assert np.array_equal(chairs, chairs[:, :, ::-1])


def test_quarter_turns_are_those_of_the_voxels(chairs):
    turned = make_chairs(0, 20, SIZE, 4).reshape(20, 4, SIZE, SIZE, SIZE)
    for pose in range(4):
        assert np.array_equal(turned[:, pose], np.rot90(chairs[:20], pose, axes=(1, 2)))


def test_poses_turn_counter_clockwise_in_equal_steps():
    centres = np.arange(SIZE) - (SIZE - 1) / 2
    for shapes in make_chairs(0, 10, SIZE, 12).reshape(10, 12, SIZE, SIZE, SIZE):
        back = [shape[:, :, -10:].sum(2) for shape in shapes]  # the top of the back points where the back is
        angles = [math.atan2((flat * centres).sum(), (flat * centres[:, None]).sum()) for flat in back]
        expected = 2 * math.pi * np.arange(12) / 12
        assert np.abs(np.exp(1j * np.array(angles)) - np.exp(1j * expected)).max() < 0.12


def test_a_finer_chair_is_the_same_shape():
    coarse, fine = make_chairs(0, 40, 32), make_chairs(0, 40, 64)
    blocks = fine.reshape(40, 32, 2, 32, 2, 32, 2).mean((2, 4, 6))
    assert (coarse == (blocks >= 0.5)).mean() > 0.985
    assert coarse[blocks == 1].mean() > 0.99
    assert coarse[blocks == 0].mean() < 0.01


def test_hardly_any_voxel_is_in_a_thin_place(chairs):
    pair = np.ones((2, 2, 2), bool)
    thick = np.stack([ndimage.binary_opening(shape, pair) for shape in chairs[:200]])
    assert (chairs[:200] & ~thick).sum() < 0.01 * chairs[:200].sum()


def test_chairs_differ(chairs):
    found = overlap(chairs)
    np.fill_diagonal(found, 0)
    assert found.max() < 0.98
    assert 0.1 < found.sum() / (500 * 499) < 0.3


def test_legs_stand_on_the_floor_and_seats_do_not(chairs):
    for number, shape in enumerate(chairs[:200]):
        low = extent(shape)[2, 0]
        seat = shape[:, :, low + round(SIZE * draw_chair(number).seat_height) - 2]
        assert 0 < shape[:, :, low].sum() < seat.sum()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((-1, 2, 32), "2 chairs from number -1 on: give numbers of 0 or more"),
        ((0, -2, 32), "-2 chairs from number 0 on"),
        ((0, 2, 15), "15 voxels a side are too few for a chair: give 16 or more"),
        ((0, 2, 32, 0), "0 poses a chair: give 1 to 12"),
        ((0, 2, 32, 13), "13 poses a chair"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words) as error:
        make_chairs(*arguments)
    assert "\n" not in str(error.value)
