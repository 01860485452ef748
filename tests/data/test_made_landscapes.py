"""Made landscapes: the same at every call, one scene at all sizes, structure at every scale, varied."""

import numpy as np
import pytest

from glann_lib.data.made_landscapes import make_landscapes

SIZE = 128
COUNT = 32


@pytest.fixture(scope="module")
def made():
    return make_landscapes(SIZE, range(COUNT))


def halved(images):
    """Means of 2 x 2 pixels, [N, 3, H, W]."""
    count, colours, height, width = images.shape
    return images.reshape(count, colours, height // 2, 2, width // 2, 2).mean((3, 5))


def differences(ones, others):
    """Mean absolute differences [N, M] of all pairs of pictures, 0 to 255."""
    return np.stack([abs(one - others.astype(float)).mean((1, 2, 3)) for one in ones])


def test_pictures_have_their_shape():
    for size in (64, 100, 257):
        images = make_landscapes(size, [5, 3])
        assert images.shape == (2, 3, size, size) and images.dtype == np.uint8
    assert make_landscapes(64, []).shape == (0, 3, 64, 64)


def test_a_landscape_depends_on_its_number_and_the_seed_only(made):
    assert np.array_equal(make_landscapes(SIZE, [7, 0, 7]), made[[7, 0, 7]])
    assert np.array_equal(make_landscapes(SIZE, np.arange(3, 5), seed=0), made[3:5])
    one, other = make_landscapes(64, [100_000, 100_001])
    assert np.array_equal(make_landscapes(64, [100_001])[0], other)
    assert not np.array_equal(one, other)


def test_the_landscapes_are_the_data_set_that_they_were(made):
    # A change here changes every result on made landscapes: it is another data set.
    assert made[:3].mean((1, 2, 3)) == pytest.approx([123.269, 73.868, 112.068], abs=0.02)
    assert made[3].std((1, 2)) == pytest.approx([36.799, 28.468, 32.783], abs=0.02)


def test_numbers_and_seeds_give_other_scenes(made):
    among = differences(made, made)[~np.eye(COUNT, dtype=bool)]
    assert among.min() > 15
    assert differences(made[:8], make_landscapes(SIZE, range(8), seed=1)).min() > 15


def test_a_finer_landscape_shows_the_same_scene(made):
    coarse = make_landscapes(64, range(COUNT))
    between = differences(coarse, halved(made))
    same, others = np.diag(between), between[~np.eye(COUNT, dtype=bool)]
    assert same.max() < 6 and same.mean() < 4
    assert others.min() > 2.5 * same.max()


def test_large_pictures_show_the_same_scene(made):
    large = halved(halved(make_landscapes(4 * SIZE, range(2))))
    assert np.diag(differences(large, made)).max() < 6


def test_there_is_structure_at_every_scale(made):
    # Of each octave, from single pixels to a quarter of the picture: the deviation from the next coarser mean.
    images = made.astype(float)
    for octave in range(6):
        coarse = halved(images)
        detail = images - coarse.repeat(2, 2).repeat(2, 3)
        deviations = np.sqrt((detail**2).mean((1, 2, 3)))
        assert deviations.min() > 3 and np.median(deviations) > 7, octave
        images = coarse


def test_larger_pictures_have_finer_detail():
    # Twice the pixels without a finer octave would have next to nothing at the scale of single pixels.
    images = make_landscapes(2 * SIZE, range(4)).astype(float)
    detail = images - halved(images).repeat(2, 2).repeat(2, 3)
    assert np.sqrt((detail**2).mean((1, 2, 3))).min() > 3


def test_no_picture_is_flat_dark_or_burnt_out(made):
    assert made.std((2, 3)).min() > 12
    means = made.mean((1, 2, 3))
    assert means.min() > 35 and means.max() < 200 and np.ptp(means) > 60  # nights and winter noons
    assert np.isin(made, (0, 255)).mean((1, 2, 3)).max() < 0.1


@pytest.mark.parametrize(
    ("size", "numbers", "seed", "words"),
    [
        (63, [0], 0, "landscapes cannot be 63 pixels a side: give 64 to 1024"),
        (1025, [0], 0, "landscapes cannot be 1025 pixels a side: give 64 to 1024"),
        (64, [3, -2], 0, "landscape -2 of seed 0: give numbers and a seed of 0 or more"),
        (64, [3], -1, "landscape 3 of seed -1: give numbers and a seed of 0 or more"),
        (64, [], -1, "seed -1: give numbers and a seed of 0 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(size, numbers, seed, words):
    with pytest.raises(ValueError, match=words) as error:
        make_landscapes(size, numbers, seed)
    assert "\n" not in str(error.value)


def test_numbers_are_whole():
    with pytest.raises(TypeError):
        make_landscapes(64, [0.5])
