"""Rendered cars: original files and the prepared array give the same images, divided as DiscoGAN does; bad files."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from glann_lib.config import CARS3D
from glann_lib.data import places
from glann_lib.translation.cars3d import halved, load_cars3d, read_mesh
from glann_lib.translation.config import PairConfig
from glann_lib.translation.domains import load_pair, pairs_of

REAL_DATA = Path(os.environ.get("GLANN_DATA", places.ROOT.parent / "shared" / "data"))
NUMBERS = [1, 2, 4, 5, *range(10, 24), 30]  # 19 cars, not all numbers


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "DATA", tmp_path / "repository_data")
    monkeypatch.setenv("GLANN_DATA", str(tmp_path))
    return tmp_path


def rendered(number):
    """A car as its original file holds it; the first pixel's red at the elevation used is its azimuth's index."""
    random = np.random.default_rng(number)
    images = np.repeat(np.repeat(random.integers(0, 256, (16, 16, 3, 24, 4)), 8, 0), 8, 1).astype(np.uint8)
    images[:8, :8, 0, :, 3], images[:8, :8, 1, :, 3] = np.arange(24), number
    return images


def write_originals(place, numbers=NUMBERS):
    (place / "cars").mkdir()
    for number in numbers:
        savemat(place / f"cars/car_{number:03}_mesh.mat", {"im": rendered(number)}, do_compression=True)


def prepared(numbers=NUMBERS, **changes):
    cars = [rendered(number)[..., 3].transpose(3, 0, 1, 2) for number in numbers]
    images = np.stack([car.reshape(24, 64, 2, 64, 2, 3).mean((2, 4)) for car in cars])
    arrays = {"images": images.astype(np.uint8), "car": np.array(numbers), "azimuth": np.arange(24) * 15.0}
    return {name: array for name, array in (arrays | changes).items() if array is not None}


def write_prepared(place, **arrays):
    (place / "cars3d").mkdir(exist_ok=True)
    np.savez(place / "cars3d/elevation3_64.npz", **(arrays or prepared()))
    return place / "cars3d/elevation3_64.npz"


def cars_of(data):
    """Which car and azimuth each image shows, by its first pixel."""
    pixel = data.images[:, :, 0, 0]
    return [(int(green), 15.0 * int(red)) for red, green in zip(pixel[:, 0], pixel[:, 1], strict=True)]


def test_the_last_14_are_for_testing_and_the_others_halves_are_the_domains(place):
    write_prepared(place)
    first, second = (cars_of(load_cars3d(domain, "train", in_colour=True)) for domain in CARS3D)
    assert sorted({car for car, _ in first}) == [1, 2] and len(first) == 2 * 24
    assert sorted({car for car, _ in second}) == [4, 5, 10] and len(second) == 3 * 24
    tests = [load_cars3d(domain, "test", in_colour=True) for domain in CARS3D]
    assert [sorted({car for car, _ in cars_of(test)}) for test in tests] == [NUMBERS[-14:]] * 2


def test_every_image_has_its_azimuth(place):
    write_prepared(place)
    data = load_cars3d(CARS3D[0], "test", in_colour=True)
    assert data.azimuths.tolist() == [azimuth for _, azimuth in cars_of(data)]
    assert len(set(zip(*[iter(cars_of(data))], strict=True))) == 14 * 24
    few = load_cars3d(CARS3D[0], "test", in_colour=True, limit=7)
    assert torch.equal(few.images, data.images[:7]) and torch.equal(few.azimuths, data.azimuths[:7])


def test_original_files_give_the_same_images_and_are_read_first(place):
    write_prepared(place)
    ready = load_cars3d(CARS3D[1], "train", in_colour=True)
    write_originals(place)
    original = load_cars3d(CARS3D[1], "train", in_colour=True)
    assert torch.equal(original.images, ready.images) and torch.equal(original.azimuths, ready.azimuths)
    assert "cars3d/elevation3_64.npz" in ready.source and "cars/car_NNN_mesh.mat" in original.source
    assert "cars 4 to 10 (3)" in original.source and "19 rendered cars" in original.source


def test_grey_is_what_pillow_makes_of_the_colours(place):
    write_prepared(place)
    grey, colour = load_cars3d(CARS3D[0], "train"), load_cars3d(CARS3D[0], "train", in_colour=True)
    assert grey.images.shape == (48, 1, 64, 64) and colour.images.shape == (48, 3, 64, 64)
    for one, other in zip(grey.images[:5], colour.images[:5], strict=True):
        wanted = np.array(Image.fromarray(other.permute(1, 2, 0).numpy()).convert("L"))
        assert np.array_equal(one[0].numpy(), wanted)


def test_32_px_are_the_means_of_2_x_2(place):
    write_prepared(place)
    large, small = load_cars3d(CARS3D[0], "train"), load_cars3d(CARS3D[0], "train", 32)
    means = large.images.float().unflatten(3, (32, 2)).unflatten(2, (32, 2)).mean((3, 5))
    assert small.images.shape == (48, 1, 32, 32) and (small.images - means).abs().max() <= 0.5
    assert torch.equal(halved(torch.tensor([[[[0, 1], [1, 0]]]], dtype=torch.uint8)), torch.ones(1, 1, 1, 1).byte())


def test_the_pair_takes_grey_or_colour(place):
    write_prepared(place)
    assert pairs_of("car-to-car") == (CARS3D,)
    for colour, channels in ((False, 1), (True, 3)):
        source, target = load_pair(PairConfig(*CARS3D, 64, None, colour=colour), "train")
        assert (source.images.shape[1], target.images.shape[1]) == (channels, channels)
        assert (source.name, target.name) == CARS3D


# Bad input


def refused(match, error=ValueError, **options):
    with pytest.raises(error, match=match) as caught:
        load_cars3d(*options.pop("of", (CARS3D[0], "train")), **options)
    assert "\n" not in str(caught.value)


def test_without_files_it_is_said_what_goes_where():
    refused(r"place cars/car_NNN_mesh.mat .* or cars3d/elevation3_64.npz in data/", ConnectionError)


def test_unknown_domains_splits_and_sizes(place):
    write_prepared(place)
    refused("unknown domain 'sedans': choose cars3d-first or cars3d-second", of=("sedans", "train"))
    refused("unknown split", of=(CARS3D[0], "all"))
    refused("image_size is 28: cars3d has images of 64 px, and of 32", size=28)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"car": None}, "lacks an array .*car"),
        ({"images": np.zeros((19, 24, 32, 32, 3), np.uint8)}, r"uint8 \[19, 24, 32, 32, 3\]"),
        ({"images": np.zeros((19, 24, 64, 64, 3), np.float32)}, "images float32"),
        ({"car": np.arange(5)}, r"car \[5\]"),
        ({"azimuth": np.arange(24) * 10.0}, "other azimuths"),
    ],
)
def test_a_prepared_file_with_other_arrays(place, changes, said):
    write_prepared(place, **prepared(**changes))
    refused(said)


def test_a_prepared_file_that_is_none(place):
    write_prepared(place).write_bytes(b"no archive")
    refused("elevation3_64.npz is no .npz, or a damaged one")


def test_too_few_cars(place):
    write_originals(place, NUMBERS[:15])
    refused(r"cars/car_NNN_mesh.mat holds 15 cars: 14 for testing and two more")


def test_a_folder_of_something_else(place):
    (place / "cars").mkdir()
    (place / "cars/readme.txt").write_text("cars")
    refused("holds no car_NNN_mesh.mat")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"pixels": np.zeros(3)}, "has no variable im"),
        ({"im": np.zeros((64, 64, 3, 24, 4), np.uint8)}, r"im in car_001_mesh.mat is uint8 \[64, 64, 3, 24, 4\]"),
        ({"im": np.zeros((128, 128, 3, 24, 4), np.float32)}, "is float32"),
        (b"not a file of MATLAB", "is no MATLAB file, or a damaged one"),
        (b"", "is no MATLAB file, or a damaged one"),
        # The header of version 7.3, which is HDF5: its version number, then the mark of little-endian machines.
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" * 20, "version 7.3: save it .* -v7"),
    ],
)
def test_damaged_originals(place, content, said):
    path = place / "car_001_mesh.mat"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        savemat(path, content)
    with pytest.raises(ValueError, match=said) as caught:
        read_mesh(path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not (REAL_DATA / "cars3d").exists(), reason="cars3d is neither in GLANN_DATA nor beside")
def test_real_cars(monkeypatch):
    monkeypatch.setenv("GLANN_DATA", str(REAL_DATA))
    first, second = (load_cars3d(domain, "train") for domain in CARS3D)
    assert (len(first), len(second)) == (84 * 24, 85 * 24)
    assert first.azimuths.unique().tolist() == list(range(0, 360, 15))
