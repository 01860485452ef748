"""Data sets and a person's own images, on small files made here and on real ones where present."""

import dataclasses
import gzip
import importlib.util
import io
import itertools
import json
import os
import struct
import sys
import types
import zlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from made_files import cached_files, empty_place, write_files, write_zip
from PIL import Image, ImageCms, UnidentifiedImageError
from torchvision import datasets

import glann_lib.data as package
from glann_lib import config
from glann_lib.config import DataConfig
from glann_lib.data import image_files, places
from glann_lib.data import images as data
from glann_lib.data.images import load_images
from glann_lib.data.listing import list_images

ROOT = Path(__file__).resolve().parents[2]
REAL_DATA = Path(os.environ.get("GLANN_DATA", ROOT.parent / "shared" / "data"))
README = (ROOT / "data" / "README.md").read_text()


def real(relative):
    """Skip the test where the real files are not there."""
    missing = not (REAL_DATA / relative).exists()
    return pytest.mark.skipif(missing, reason=f"{relative} is neither in GLANN_DATA nor in ../shared/data")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    return empty_place(tmp_path, monkeypatch)


@pytest.fixture
def real_place(monkeypatch):
    monkeypatch.setenv("GLANN_DATA", str(REAL_DATA))


def random_picture(seed, width=40, height=30, mode="RGB"):
    channels = {"L": (), "RGB": (3,)}[mode]
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, *channels), dtype=np.uint8))


def encoded(image, kind="png", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def folder_config(path, size=32, enlarge=True, **limits):
    return DataConfig(f"folder:{path}", size, enlarge=enlarge, **limits)


def pictures(count, **options):
    return {f"{index:02}.png": encoded(random_picture(index, **options)) for index in range(count)}


# Digits


def test_digits_are_whole_and_split_evenly():
    train, test = (load_images(DataConfig("digits"), split) for split in ("train", "test"))
    assert train.images.shape == (1500, 1, 28, 28) and test.images.shape == (297, 1, 28, 28)
    assert train.images.dtype == torch.uint8 and (train.images.min(), train.images.max()) == (0, 255)
    share = torch.bincount(train.labels) / 1500 - torch.bincount(test.labels) / 297
    assert share.abs().max() < 0.003
    assert train.class_names == tuple("0123456789") and "load_digits" in train.source


def test_digits_train_and_test_share_no_image():
    train, test = (load_images(DataConfig("digits"), split).images.flatten(1) for split in ("train", "test"))
    assert not {row.numpy().tobytes() for row in train} & {row.numpy().tobytes() for row in test}


def test_digits_are_the_same_every_time_and_as_published():
    settings = DataConfig("digits", 28, train_images=100)
    once, again = load_images(settings, "train"), load_images(settings, "train")
    assert len(once) == 100 and once.sha256 == again.sha256
    for split in ("train", "test"):
        assert load_images(DataConfig("digits"), split).sha256 in README


def test_digits_resize_keeps_the_mean():
    small = load_images(DataConfig("digits", 28), "test").images.double().mean()
    large = load_images(DataConfig("digits", 64), "test").images.double().mean()
    assert abs(small - large) < 1


def test_unknown_split():
    with pytest.raises(ValueError, match="unknown split 'valid': choose train or test"):
        load_images(DataConfig("digits"), "valid")


def test_validation_images_are_training_images_that_are_not_trained_on():
    settings = DataConfig("digits", train_images=1200, test_images=250, held_out="validation")
    train, held_out, test = (
        load_images(settings, "train"), load_images(settings, "test"), load_images(DataConfig("digits"), "test")
    )  # fmt: skip
    assert (len(train), len(held_out), held_out.split) == (1200, 250, "validation")
    rows = [{row.numpy().tobytes() for row in data.images.flatten(1)} for data in (train, held_out, test)]
    assert not rows[1] & rows[0] and not rows[1] & rows[2]
    whole = load_images(DataConfig("digits"), "train")
    known = dict(zip((row.numpy().tobytes() for row in whole.images.flatten(1)), whole.labels.tolist(), strict=True))
    assert [known[row.numpy().tobytes()] for row in held_out.images.flatten(1)] == held_out.labels.tolist()
    assert held_out.source.endswith("of the training split, beside the 1,200 trained on")
    everything = load_images(dataclasses.replace(settings, test_images=None), "test")
    assert len(everything) == 300 and everything.sha256 != held_out.sha256
    again = load_images(settings, "test")
    assert again.sha256 == held_out.sha256


@pytest.mark.parametrize("count", [None, 1500, 5000])
def test_nothing_is_left_for_validation(count):
    with pytest.raises(ValueError, match=r"^all 1,500 training images of digits are trained on: give fewer train_im"):
        load_images(DataConfig("digits", train_images=count, held_out="validation"), "test")


def test_validation_images_of_a_folder_are_none_to_train_or_test_on(tmp_path):
    path = write_zip(tmp_path / "photos.zip", pictures(40))
    settings = folder_config(path, train_images=20, held_out="validation")
    parts = [load_images(settings, "train"), load_images(settings, "test"), load_images(folder_config(path), "test")]
    assert [len(data) for data in parts] == [20, 16, 4]
    rows = [{row.numpy().tobytes() for row in data.images.flatten(1)} for data in parts]
    assert len(set.union(*rows)) == 40


# Data sets that torchvision reads


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(place, kind="MNIST", count=20, compress=gzip.compress, ending=".gz"):
    rng = np.random.default_rng(7)
    arrays = {}
    for part in ("train", "t10k"):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, count, dtype=np.uint8)
    write_files(place / kind / "raw", {name + ending: compress(idx(array)) for name, array in arrays.items()})
    return arrays


@pytest.mark.parametrize(("dataset", "kind"), [("mnist", "MNIST"), ("fashion", "FashionMNIST")])
def test_gzipped_idx_files_are_unpacked_beside_themselves(place, dataset, kind):
    arrays = write_idx(place, kind)
    for split, part in (("train", "train"), ("test", "t10k")):
        record = load_images(DataConfig(dataset), split)
        assert np.array_equal(record.images[:, 0].numpy(), arrays[f"{part}-images-idx3-ubyte"])
        assert np.array_equal(record.labels.numpy(), arrays[f"{part}-labels-idx1-ubyte"])
        assert record.name == dataset and len(record.class_names) == 10
    assert (place / kind / "raw" / "train-images-idx3-ubyte").is_file()
    assert not places.DATA.exists()


def test_a_read_only_place_is_left_alone(place):
    arrays = write_idx(place)
    folders = [place / "MNIST" / "raw", place / "MNIST", place]
    for folder in folders:
        folder.chmod(0o555)
    before = sorted(place.rglob("*"))
    record = load_images(DataConfig("mnist"), "train")
    again = load_images(DataConfig("mnist"), "train")
    for folder in folders:
        folder.chmod(0o755)
    assert np.array_equal(record.images[:, 0].numpy(), arrays["train-images-idx3-ubyte"])
    assert again.sha256 == record.sha256 and sorted(place.rglob("*")) == before
    assert len(list((places.DATA / "MNIST" / "raw").iterdir())) == 4


def test_limits_and_sizes(place):
    arrays = write_idx(place)
    settings = DataConfig("mnist", 32, train_images=6, test_images=100)
    train, test = load_images(settings, "train"), load_images(settings, "test")
    assert train.images.shape == (6, 1, 32, 32) and test.images.shape == (20, 1, 32, 32)
    assert np.array_equal(test.images[:, 0, 2:30, 2:30].numpy(), arrays["t10k-images-idx3-ubyte"])
    assert test.images.sum() == arrays["t10k-images-idx3-ubyte"].sum()  # the margin is black
    assert train.sha256 == load_images(settings, "train").sha256
    assert load_images(DataConfig("mnist", 64), "test").images.shape == (20, 1, 64, 64)


def test_unpacked_idx_files_are_read_as_they_are(place):
    arrays = write_idx(place, compress=bytes, ending="")
    assert len(load_images(DataConfig("mnist"), "test")) == len(arrays["t10k-labels-idx1-ubyte"])


@pytest.mark.parametrize("ending", [".gz", ""])
def test_damaged_idx_files_are_named(place, ending):
    write_idx(place, compress=gzip.compress if ending else bytes, ending=ending)
    path = place / "MNIST" / "raw" / f"train-images-idx3-ubyte{ending}"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"MNIST/raw.* is damaged .*: remove it and run again") as caught:
        load_images(DataConfig("mnist"), "train")
    assert "\n" not in str(caught.value)


def absent(error, seen=None):
    """A stand-in for a torchvision data set that is not on the disk and whose download fails."""

    def load(root, download, **options):
        if seen is not None:
            seen.append((root, download))
        raise error if download else RuntimeError("Dataset not found. You can use download=True to download it")

    return load


@pytest.mark.parametrize(("dataset", "kind"), [("mnist", "MNIST"), ("svhn", "SVHN"), ("cifar10", "CIFAR10")])
def test_nothing_is_downloaded_where_that_is_not_allowed(monkeypatch, dataset, kind):
    asked = []

    def absent_set(**options):
        asked.append(options["download"])
        raise RuntimeError("Dataset not found")

    monkeypatch.setattr(datasets, kind, absent_set)
    with pytest.raises(ConnectionError, match=f"{dataset} is not on this machine: place .* in data/"):
        load_images(config.make_config(dataset).data, "train", download=False)
    assert asked and not any(asked)


@pytest.mark.parametrize(
    ("dataset", "kind", "error", "words"),
    [
        ("mnist", "MNIST", RuntimeError("Error downloading x:\nTried a, got:\nb\n"), "MNIST/raw/*-ubyte.gz"),
        ("fashion", "FashionMNIST", URLError("no route to host"), "FashionMNIST/raw"),
        ("svhn", "SVHN", URLError("no route to host"), "svhn/train_32x32.mat"),
        ("cifar10", "CIFAR10", ConnectionResetError(104, "reset by peer"), "cifar10/train.zip"),
        ("celeba", "CelebA", ModuleNotFoundError("No module named 'gdown'"), "celeba10k/images.zip"),
    ],
)
def test_failed_download_is_one_line_that_says_what_to_do(monkeypatch, dataset, kind, error, words):
    monkeypatch.setattr(datasets, kind, absent(error))
    with pytest.raises(ConnectionError) as caught:
        load_images(config.make_config(dataset).data, "train")
    text = str(caught.value)
    assert "\n" not in text and words in text and "GLANN_DATA" in text and f"cannot download {dataset}" in text
    assert caught.value.__suppress_context__


def test_download_goes_where_it_can_be_written(place, monkeypatch):
    seen = []
    monkeypatch.setattr(datasets, "SVHN", absent(URLError("offline"), seen))
    place.chmod(0o555)
    with pytest.raises(ConnectionError):
        load_images(DataConfig("svhn", 32), "train")
    place.chmod(0o755)
    assert seen[-1] == (str(places.DATA / "svhn"), True)


def test_layouts_stand_in_the_readme():
    for words in ("MNIST/raw", "FashionMNIST/raw", "svhn/", "cifar-10-batches-py", "cifar10/", "celeba/", "celeba10k/"):
        assert words in README
    assert "celebahq_256/images.zip" in README and "celeba-hq/images.zip" in README


def test_svhn_and_cifar10_arrays_come_out_channels_first(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    svhn = types.SimpleNamespace(data=pixels, labels=np.arange(6))
    cifar = types.SimpleNamespace(data=pixels.transpose(0, 2, 3, 1), targets=list(range(6)), classes=list("abcdef"))
    monkeypatch.setattr(datasets, "SVHN", lambda **options: svhn)
    monkeypatch.setattr(datasets, "CIFAR10", lambda **options: cifar)
    for dataset in ("svhn", "cifar10"):
        record = load_images(DataConfig(dataset, 32), "test")
        assert np.array_equal(record.images.numpy(), pixels) and record.labels.tolist() == list(range(6))
        assert load_images(DataConfig(dataset, 28), "test").images.shape == (6, 3, 28, 28)


def test_cifar10_zip_of_lossless_images(place):
    images = {f"{name}/{i}.webp": random_picture(i, 32, 32) for name in ("ship", "airplane") for i in range(4)}
    contents = {name: encoded(image, "webp", lossless=True) for name, image in images.items()}
    write_zip(place / "cifar10" / "train.zip", contents)
    write_files(place / "cifar10", {"lossy.txt": b"train/ship/1.webp\ntest/ship/2.webp\n"})
    record = load_images(DataConfig("cifar10", 32), "train")
    originals = {np.asarray(image).transpose(2, 0, 1).tobytes(): name for name, image in images.items()}
    assert len(record) == 8 and record.class_names == ("airplane", "ship")
    assert all(image.numpy().tobytes() in originals for image in record.images)
    assert sorted(record.labels.tolist()) == [0] * 4 + [1] * 4 != record.labels.tolist()  # mixed, not by class
    assert "2 of the 60,000 images come from JPEG" in record.source
    few = load_images(DataConfig("cifar10", 32, train_images=3), "train")
    assert torch.equal(few.images, record.images[:3]) and torch.equal(few.labels, record.labels[:3])


def face(index, width=89, height=109, side=80):
    """Blue, with a white square of `side` px in the middle, its two outermost px red; `index` darkens its centre."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 2] = 255
    left, top = (width - side) // 2, (height - side) // 2
    pixels[top : top + side, left : left + side] = (255, 0, 0)
    pixels[top + 2 : top + side - 2, left + 2 : left + side - 2] = 255
    pixels[height // 2, width // 2] = index
    return Image.fromarray(pixels)


def check_faces(record):
    edges = [record.images[..., 0, :], record.images[..., -1, :], record.images[..., 0], record.images[..., -1]]
    for edge in edges:  # red and not blue: nothing outside the square is left, nothing of it is missing
        assert edge[:, 0].min() > 240 and edge[:, 2].float().mean() < 60
    assert record.images[:, :, 8:24, 8:24].min() == 255 and record.labels is None


def test_celeba_zip_is_cropped_as_by_lucic(place):
    write_zip(place / "celeba10k" / "images.zip", {f"{i:06}.png": encoded(face(i)) for i in range(20)})
    train, test = (load_images(DataConfig("celeba", 64), split) for split in ("train", "test"))
    assert train.images.shape == (18, 3, 64, 64) and test.images.shape == (2, 3, 64, 64)
    check_faces(train)
    check_faces(test)
    assert "first 10,000" in train.source and "half size JPEG" in train.source


def test_celeba_of_torchvision_is_cropped_as_by_lucic(place, monkeypatch):
    folder = place / "celeba" / "img_align_celeba"
    write_files(folder, {f"{i}.png": encoded(face(i, 178, 218, 160)) for i in range(6)})
    names = ["3.png", "1.png", "5.png"]
    found = types.SimpleNamespace(root=str(place), base_folder="celeba", filename=names)
    monkeypatch.setattr(datasets, "CelebA", lambda **options: found)
    record = load_images(DataConfig("celeba", 64), "test")
    assert len(record) == 3 and "torchvision.datasets.CelebA" in record.source
    check_faces(record)


# A person's own images


def palette_image():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 0, 200, 0])
    image.putpixel((0, 0), 0)
    return image


def turned(orientation):
    """Red above, blue below, as stored; a viewer turns it by its EXIF entry."""
    image = Image.new("RGB", (16, 16), "blue")
    image.paste("red", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "png", exif=exif)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(Image.new("1", (8, 8), 1)), [255]),
        (encoded(Image.new("L", (8, 8), 100)), [100]),
        (encoded(Image.new("LA", (8, 8), (0, 51))), [204]),
        (encoded(Image.fromarray(np.full((8, 8), 100 * 257, np.uint16))), [100]),
        (encoded(palette_image()), [0, 200, 0]),
        (encoded(palette_image(), transparency=1), [255, 255, 255]),
        (encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 51))), [255, 204, 204]),
        (encoded(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), "webp", lossless=True), [255, 255, 255]),
        (encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg", quality=100), [255, 0, 0]),
        (encoded(Image.new("RGB", (8, 8), (10, 20, 30)), "bmp"), [10, 20, 30]),
    ],
    ids=["1", "L", "LA", "I;16", "P", "P transparent", "RGBA", "WebP clear", "CMYK", "BMP"],
)
def test_every_mode_has_its_colour(content, expected):
    pixels = image_files.decode(content, 4)
    assert pixels.shape == (len(expected), 4, 4) and pixels.dtype == np.uint8
    assert np.abs(pixels[:, 2, 2].astype(int) - expected).max() <= 2


def colour_profile(*, primaries, gamma, description="Test RGB"):
    """An ICC profile of an RGB space: its primaries as XYZ under D50 (rows R, G, B), and one gamma."""

    def fixed(*numbers):
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    text = description.encode() + b"\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78), b"cprt": b"text\0\0\0\0none\0"}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)
    for letter, xyz in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[letter + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*xyz)
        tags[letter + b"TRC"] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    head = struct.pack(">I4sI4s4s4s", 128 + len(table + body), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + fixed(0.9642, 1, 0.8249)
    return head + bytes(128 - len(head)) + table + body


SRGB = [(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)]
ADOBE_RGB = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]
DISPLAY_P3 = [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)]


def in_srgb(pixel, primaries, gamma):
    """The same colour by its definition (IEC 61966-2-1), without any colour engine."""
    light = np.linalg.solve(np.array(SRGB).T, np.array(primaries).T @ ((np.array(pixel) / 255) ** gamma)).clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
@pytest.mark.parametrize(("primaries", "gamma"), [(ADOBE_RGB, 2.2), (DISPLAY_P3, 2.2), (SRGB, 1.8)])
@pytest.mark.parametrize("pixel", [(150, 100, 80), (60, 160, 90), (128, 128, 128), (0, 200, 0)])
def test_colours_are_those_that_the_profile_means(kind, primaries, gamma, pixel):
    options = {"quality": 100} if kind == "jpeg" else {"lossless": True} if kind == "webp" else {}
    profile = colour_profile(primaries=primaries, gamma=gamma)
    content = encoded(Image.new("RGB", (16, 16), pixel), kind, icc_profile=profile, **options)
    wanted = in_srgb(pixel, primaries, gamma)
    assert np.abs(image_files.decode(content, 4)[:, 2, 2] - wanted).max() <= (4 if kind == "jpeg" else 2)


def test_adobes_green_was_far_off_without_its_profile():
    assert np.abs(in_srgb((150, 100, 80), ADOBE_RGB, 2.2) - (150, 100, 80)).max() > 15


@pytest.mark.parametrize("profile", [b"", b"no profile", colour_profile(primaries=ADOBE_RGB, gamma=2.2)[:200]])
def test_a_profile_that_cannot_be_used_is_none(profile):
    content = encoded(Image.new("RGB", (16, 16), (0, 200, 0)), icc_profile=profile)
    assert image_files.decode(content, 4)[:, 2, 2].tolist() == [0, 200, 0]


def test_a_profile_of_another_number_of_channels_is_none():
    profile = colour_profile(primaries=ADOBE_RGB, gamma=2.2)
    inks = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "jpeg", quality=100, icc_profile=profile)
    assert np.abs(image_files.decode(inks, 4)[:, 2, 2].astype(int) - (255, 0, 0)).max() <= 2
    grey = encoded(Image.new("L", (16, 16), 77), icc_profile=profile)
    assert image_files.decode(grey, 4).tolist() == [[[77] * 4] * 4]


def test_srgb_profiles_and_profiles_of_another_kind_change_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mode, pixel in (("RGB", (0, 200, 0)), ("L", 77)):
        content = encoded(Image.new(mode, (16, 16), pixel), icc_profile=srgb)
        assert image_files.decode(content, 4)[:, 2, 2].tolist() == list(np.atleast_1d(pixel))


def test_transparent_parts_of_an_image_with_a_profile_are_white():
    profile = colour_profile(primaries=ADOBE_RGB, gamma=2.2)
    content = encoded(Image.new("RGBA", (16, 16), (0, 200, 0, 0)), icc_profile=profile)
    assert image_files.decode(content, 4)[:, 2, 2].tolist() == [255, 255, 255]


def tiff_of_floats(white):
    return encoded(Image.fromarray(np.full((8, 8), white * 0.5, np.float32)), "tiff")


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floating_point_images_are_read_by_the_range_that_they_keep_within(white):
    assert image_files.decode(tiff_of_floats(white), 4).tolist() == [[[128] * 4] * 4]


def test_odd_floating_point_numbers_are_in_range():
    numbers = np.array([[np.nan, -3, 0.5, 1]] * 4, np.float32)
    assert image_files.decode(encoded(Image.fromarray(numbers), "tiff"), 4)[0, 0].tolist()[0] == 0


def test_the_first_frame_of_a_gif_and_the_first_page_of_a_tiff_count():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    for kind in ("gif", "tiff"):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert image_files.decode(content, 4)[:, 1, 1].tolist() == [255, 0, 0]


def test_tiff_and_gif_are_read_like_the_rest(tmp_path):
    mixed = pictures(3) | {f"{i}.tif": encoded(random_picture(i), "tiff") for i in range(60)}
    mixed |= {f"{i}.GIF": encoded(random_picture(i), "gif") for i in range(20)}
    write_files(tmp_path / "mixed", mixed)
    train, test = (load_images(folder_config(tmp_path / "mixed"), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (75, 8)


def test_other_images_are_named_and_refused_where_they_are_the_majority(tmp_path):
    write_files(tmp_path / "p", pictures(9) | {"a.heic": b"", "b.HEIC": b"", "c.svg": b"", "notes.txt": b""})
    with pytest.warns(UserWarning, match=r"^p; left out: 2 \.heic, 1 \.svg, 1 \.txt$"):
        record = load_images(folder_config(tmp_path / "p"), "train")
    assert "; left out: 2 .heic, 1 .svg, 1 .txt" in record.source
    write_files(tmp_path / "p", {f"{i}.heic": b"" for i in range(9)})
    with pytest.raises(ValueError, match=r"left out were 11 \.heic, 1 \.svg, 1 \.txt; convert"):
        load_images(folder_config(tmp_path / "p"), "train")


def test_postscript_is_not_opened_whatever_its_name_says():
    with pytest.raises(UnidentifiedImageError):
        image_files.decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n", 4)


def deep_png(peak, colour=False):
    """Of 16 bits, its numbers from 0 to a peak; Pillow writes no colour of 16 bits, so that is put together here."""
    values = np.linspace(0, peak, 64).round().astype(np.uint16).reshape(8, 8)
    if not colour:
        return encoded(Image.fromarray(values))
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in values)
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0), b"IDAT": zlib.compress(rows), b"IEND": b""}
    packed = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("colour", [False, True])
def test_files_of_16_bits_that_use_12_are_told(tmp_path, colour):
    write_files(tmp_path / "p", {f"{i}.png": deep_png(4095, colour) for i in range(4)} | {"8.png": deep_png(900)})
    for _ in range(2):  # the second time from the cache
        with pytest.warns(UserWarning, match=r"^5 images of 16 bits use 6 % of their range and come out dark: scale"):
            record = load_images(folder_config(tmp_path / "p"), "train")
        assert "; 5 images of 16 bits use 6 % of their range and come out dark" in record.source
    write_files(tmp_path / "p", {"9.png": deep_png(65535, colour)} | pictures(3))
    assert "16 bits" not in load_images(folder_config(tmp_path / "p"), "train").source


@pytest.mark.parametrize(("orientation", "red"), [(1, "top"), (3, "bottom"), (6, "right"), (8, "left")])
def test_exif_orientation_is_applied(orientation, red):
    pixels = image_files.decode(turned(orientation), 16)
    sides = {"top": pixels[:, 2, 8], "bottom": pixels[:, 13, 8], "left": pixels[:, 8, 2], "right": pixels[:, 8, 13]}
    assert sides[red].tolist() == [255, 0, 0]


def test_centre_square_is_not_distorted():
    image = Image.new("L", (100, 40), 0)
    image.paste(255, (30, 0, 70, 40))
    assert image_files.decode(encoded(image), 32).min() == 255
    tall = image.transpose(Image.Transpose.ROTATE_90)
    assert image_files.decode(encoded(tall), 32).min() == 255


def test_large_jpeg_decoded_small_looks_like_the_whole():
    image = random_picture(0, 16, 12).resize((1280, 960), Image.Resampling.BICUBIC)
    pixels = image_files.decode(encoded(image, "jpeg", quality=95), 32)
    whole = image.crop((160, 0, 1120, 960)).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.abs(pixels - np.asarray(whole).transpose(2, 0, 1).astype(int)).max() < 12


def test_mixed_folder_is_rgb_and_grey_folder_is_grey(tmp_path):
    grey = {"a.png": encoded(random_picture(0, mode="L")), "b.BMP": encoded(random_picture(1, 9, 50, "L"), "bmp")}
    grey |= {"e.tif": encoded(random_picture(4, mode="L"), "tiff")}
    colour = {"c.JPeG": encoded(random_picture(2), "jpeg"), "deep/er/d.webp": encoded(random_picture(3), "webp")}
    write_files(tmp_path / "grey", grey)
    write_files(tmp_path / "both", grey | colour | {"notes.txt": b"no image", ".hidden.png": b"", "._a.png": b""})
    for folder, channels, count in (("grey", 1, 3), ("both", 3, 5)):
        train, test = (load_images(folder_config(tmp_path / folder), split) for split in ("train", "test"))
        assert train.images.shape == (count - 1, channels, 32, 32) and test.images.shape == (1, channels, 32, 32)
        assert train.name == f"folder:{folder}" and train.labels is None


def test_one_tenth_is_for_testing_and_nothing_is_shared(tmp_path):
    write_files(tmp_path / "many", pictures(30))
    train, test = (load_images(folder_config(tmp_path / "many"), split) for split in ("train", "test"))
    both = {image.numpy().tobytes() for image in (*train.images, *test.images)}
    assert (len(train), len(test), len(both)) == (27, 3, 30)
    few = load_images(folder_config(tmp_path / "many", train_images=5, test_images=2), "train")
    assert torch.equal(few.images, train.images[:5])


def test_describe_tells_no_path(tmp_path):
    write_files(tmp_path / "photos", pictures(4))
    record = load_images(folder_config(tmp_path / "photos"), "train")
    assert str(tmp_path) not in json.dumps(record.describe()) and "photos: 4 image files" in record.source


def test_zip_equals_the_same_directory(tmp_path):
    contents = {f"{kind}/{name}": content for kind in ("cats", "dogs") for name, content in pictures(5).items()}
    write_files(tmp_path / "animals", contents)
    extra = {"animals/": b"", "__MACOSX/animals/cats/._00.png": b"x", "animals/.thumb/00.png": b"x"}
    write_zip(tmp_path / "plain.zip", contents)
    write_zip(tmp_path / "topped.zip", {f"animals/{name}": content for name, content in contents.items()} | extra)
    records = [load_images(folder_config(tmp_path / n), "train") for n in ("animals", "plain.zip", "topped.zip")]
    assert len({record.sha256 for record in records}) == 1
    assert all(record.class_names == ("cats", "dogs") and len(record) == 9 for record in records)


def test_labels_are_the_sub_folders(tmp_path):
    red, blue = (encoded(Image.new("RGB", (8, 8), colour)) for colour in ("red", "blue"))
    write_files(tmp_path / "two", {f"red/{i}.png": red for i in range(9)} | {f"x/blue/{i}.png": blue for i in range(9)})
    record = load_images(folder_config(tmp_path / "two"), "train")
    assert record.class_names == ("blue", "red")
    assert torch.equal(record.labels, (record.images[:, 0, 0, 0] == 255).long())
    write_files(tmp_path / "two", {"top.png": red})
    assert load_images(folder_config(tmp_path / "two"), "train").labels is None
    write_files(tmp_path / "one", {f"only/{i}.png": red for i in range(4)})
    assert load_images(folder_config(tmp_path / "one"), "train").labels is None


def test_unreadable_files_are_named_and_counted(tmp_path):
    contents = pictures(10)
    contents["03.png"] = b"not an image"
    contents["04.png"] = contents["04.png"][: len(contents["04.png"]) // 2]
    contents["05.jpg"] = encoded(random_picture(5), "jpeg")[:500]
    contents["06.png"] = b""
    write_files(tmp_path / "some", contents)
    with pytest.warns(UserWarning) as caught:
        train, test = (load_images(folder_config(tmp_path / "some"), split) for split in ("train", "test"))
    for record, warning in zip((train, test), caught, strict=True):
        text = str(warning.message)
        assert "4 unreadable of 11 image files skipped" in text and text.removeprefix("some") in record.source
        assert sum(name in text for name in ("03.png", "04.png", "05.jpg", "06.png")) == 3 and " and 1 more)" in text
    assert len(train) + len(test) == 7


def test_labels_stay_with_images_where_files_are_skipped(tmp_path):
    red, blue = (encoded(Image.new("RGB", (8, 8), colour)) for colour in ("red", "blue"))
    good = {f"red/{i}.png": red for i in range(9)} | {f"blue/{i}.png": blue for i in range(9)}
    write_files(tmp_path / "two", good | {"red/2.png": b"", "blue/7.png": b""})
    with pytest.warns(UserWarning, match="2 unreadable"):
        record = load_images(folder_config(tmp_path / "two"), "train")
    assert torch.equal(record.labels, (record.images[:, 0, 0, 0] == 255).long())


def test_two_readable_files_leave_no_part_empty(tmp_path):
    contents = {name: content if name in ("04.png", "09.png") else b"" for name, content in pictures(10).items()}
    write_files(tmp_path / "bad", contents)
    with pytest.warns(UserWarning, match="8 unreadable"):
        train, test = (load_images(folder_config(tmp_path / "bad"), split) for split in ("train", "test"))
    assert len(train) == len(test) == 1 and not torch.equal(train.images, test.images)


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ({"notes.txt": b"words"}, "holds no images (png, jpg, jpeg, jfif, webp, bmp, gif, tif, tiff)"),
        (pictures(1), "holds too few images (00.png): put at least 3 there"),
        (pictures(2), "holds too few images (00.png, 01.png): put"),
        ({"a.png": b"", "b.jpg": b"x", "c.gif": b"GIF89a"}, "0 of 3 images in"),
        ({"a.png": b"", "b.tif": b"", "00.png": encoded(Image.new("L", (8, 8)))}, "1 of 3 images in"),
    ],
)
@pytest.mark.parametrize("kind", ["directory", "zip"])
def test_too_few_images(tmp_path, contents, words, kind):
    path = write_files(tmp_path / "d", contents) if kind == "directory" else write_zip(tmp_path / "d.zip", contents)
    with pytest.raises(ValueError) as caught:
        load_images(folder_config(path), "train")
    assert words in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_path_and_damaged_zip(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist: name a directory or a \.zip"):
        load_images(folder_config(tmp_path / "nowhere"), "train")
    write_files(tmp_path, {"cut.zip": b"PK"})
    with pytest.raises(ValueError, match=r"cut\.zip is no \.zip, or a damaged one .*: name a directory or"):
        load_images(folder_config(tmp_path / "cut.zip"), "train")


def test_relative_path_counts_from_the_working_folder_then_the_repository(tmp_path, monkeypatch):
    write_files(tmp_path / "work" / "mine", pictures(3))
    write_files(tmp_path / "repository" / "mine", pictures(5))
    write_files(tmp_path / "repository" / "theirs", pictures(7))
    monkeypatch.setattr(places, "ROOT", tmp_path / "repository")
    monkeypatch.chdir(tmp_path / "work")
    assert len(load_images(folder_config("mine"), "train")) == 2
    assert len(load_images(folder_config("theirs"), "train")) == 6
    monkeypatch.setenv("HOME", str(tmp_path / "repository"))
    assert len(load_images(folder_config("~/mine"), "train")) == 4


# Sizes


def of_sides(*sides):
    return {f"{side}_{index}.png": encoded(random_picture(index, side, side + 9)) for index, side in enumerate(sides)}


@pytest.mark.parametrize(
    ("sides", "size", "words"),
    [
        ((300, 80, 256, 90), 256, "2 of 4 images in p are smaller than 256 px (the smallest 80 px, 80_1.png): choose "),
        ((40, 27, 99), 28, "1 of 3 images in p are smaller than 28 px (the smallest 27 px, 27_1.png): choose "),
        ((40, 50, 60), 64, "3 of 3 images in p are smaller than 64 px (the smallest 40 px, 40_0.png): choose "),
    ],
)
def test_images_that_are_too_small_are_refused_or_enlarged_where_that_is_asked_for(tmp_path, sides, size, words):
    write_files(tmp_path / "p", of_sides(*sides))
    with pytest.raises(ValueError) as caught:
        load_images(folder_config(tmp_path / "p", size, enlarge=False), "train")
    choice = {80: "image_size=64, or ", 40: "image_size=32, or ", 27: ""}[min(sides)]
    assert str(caught.value) == f"{words}{choice}enlarge=True to enlarge them"
    assert not cached_files()
    record = load_images(folder_config(tmp_path / "p", size), "train")
    assert record.images.shape[2:] == (size, size)
    assert f"; {words.partition(' images')[0]} enlarged" in record.source


def test_images_that_are_large_enough_are_taken_whatever_is_asked_for(tmp_path):
    write_files(tmp_path / "p", of_sides(128, 128, 130, 500))
    records = [load_images(folder_config(tmp_path / "p", 128, enlarge=enlarge), "train") for enlarge in (False, True)]
    assert records[0].sha256 == records[1].sha256 and "enlarged" not in records[0].source + records[1].source


def test_a_refusal_names_the_same_images_in_whatever_order_they_are_read(tmp_path):
    write_files(tmp_path / "p", of_sides(*range(100, 180)) | {"a.png": b"", "b.jpg": b"x"})
    told = set()
    for _ in range(3):
        with pytest.raises(
            ValueError, match=r"28 of 82 images in p .* 100 px, 100_0.png.: choose image_size=64"
        ) as caught:
            load_images(folder_config(tmp_path / "p", 128, enlarge=False), "train")
        told.add(str(caught.value))
    assert len(told) == 1


def test_the_half_size_faces_are_cropped_to_80_px(place):
    write_zip(place / "celeba10k" / "images.zip", {f"{i:06}.png": encoded(face(i)) for i in range(20)})
    with pytest.raises(
        ValueError, match=r"20 of 20 images in images.zip are .* 128 px \(the smallest 80 px, .*_size=64"
    ):
        load_images(DataConfig("celeba", 128), "train")
    assert "20 of 20 enlarged" in load_images(DataConfig("celeba", 128, enlarge=True), "train").source


@pytest.mark.parametrize("layout", ["celeba-hq/images.zip", "celeba-hq", "celebahq_256/images.zip"])
def test_celeba_hq_is_read_from_each_place_and_divided(place, layout):
    faces = {f"{i:05}.png": encoded(random_picture(i, 128, 128)) for i in range(30)}
    (write_zip if layout.endswith(".zip") else write_files)(place / layout, faces)
    train, test = (load_images(DataConfig("celeba-hq", 128, test_images=2), split) for split in ("train", "test"))
    assert train.images.shape == (27, 3, 128, 128) and test.images.shape == (2, 3, 128, 128)
    whole = {np.asarray(Image.open(io.BytesIO(content))).tobytes() for content in faces.values()}
    assert {image.permute(1, 2, 0).numpy().tobytes() for image in train.images} < whole  # nothing is cropped
    assert train.name == "celeba-hq" and train.labels is None and f"{layout}: 30 CelebA-HQ faces" in train.source
    with pytest.raises(ValueError, match=r"30 of 30 images in .* choose image_size=128, or enlarge=True"):
        load_images(DataConfig("celeba-hq", 256), "train")


def test_celeba_hq_in_folders_has_no_classes(place):
    write_files(place / "celeba-hq", {f"{i % 2}/{i}.png": encoded(random_picture(i, 64, 64)) for i in range(9)})
    assert load_images(DataConfig("celeba-hq", 64), "train").labels is None


@pytest.mark.parametrize("download", [False, True])
def test_celeba_hq_is_never_downloaded(download):
    with pytest.raises(ConnectionError, match=r"place celeba-hq/ .* or celebahq_256/images.zip in data/ or ") as caught:
        load_images(DataConfig("celeba-hq", 256), "train", download)
    assert "\n" not in str(caught.value) and "GLANN_DATA" in str(caught.value)


def cut_digits(splits=("train", "test"), classes=10, name="{split}/{label}/{number}_0.png"):
    """Two digits of each class and split; the red of a digit is its class."""
    pictures = [encoded(Image.new("RGB", (32, 32), (label, 9, 9))) for label in range(classes)]
    digits = itertools.product(splits, range(classes), range(2))
    return {name.format(split=split, label=label, number=number): pictures[label] for split, label, number in digits}


def test_cut_digits_keep_their_split_and_their_classes(place):
    write_zip(place / "svhn_crops/images.zip", cut_digits())
    for split in ("train", "test"):
        data = load_images(DataConfig("svhn-crops", 32), split)
        assert data.images.shape == (20, 3, 32, 32) and data.class_names == tuple("0123456789")
        assert torch.equal(data.images[:, 0, 0, 0].long(), data.labels) and data.name == "svhn-crops"
        assert "svhn_crops/images.zip: 20 digits cut from SVHN's photographs" in data.source
        assert "not its official crops" in data.source


@pytest.mark.parametrize(
    "files",
    [
        cut_digits(("train",)),
        cut_digits(classes=9),
        cut_digits(name="{split}/{number}_{label}.png"),
        cut_digits(name="{label}/{split}/{number}.png"),
    ],
    ids=["no test", "nine classes", "no classes", "classes first"],
)
def test_cut_digits_that_are_laid_out_otherwise(place, files):
    write_zip(place / "svhn_crops/images.zip", files)
    with pytest.raises(ValueError, match=r"is not laid out as test/CLASS/.*place it again") as caught:
        load_images(DataConfig("svhn-crops", 32), "test")
    assert "\n" not in str(caught.value)


def test_cut_digits_are_never_downloaded():
    with pytest.raises(ConnectionError, match=r"place svhn_crops/images.zip in data/"):
        load_images(DataConfig("svhn-crops", 32), "train")


RULE = """
import numpy as np
def make_landscapes(size, numbers, seed=0):
    return np.stack([np.full((3, size, size), number % 251 + shift, np.uint8) for number in numbers])
shift = {}
"""


@pytest.fixture
def rule(tmp_path, monkeypatch):
    """A function that puts another rule in the place of that for landscapes."""

    def put(shift):
        path = write_files(tmp_path / f"rule{shift}", {"rule.py": RULE.replace("{}", str(shift)).encode()}) / "rule.py"
        spec = importlib.util.spec_from_file_location("glann_lib.data.made_landscapes", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setitem(sys.modules, spec.name, module)
        monkeypatch.setattr(package, "made_landscapes", module, raising=False)
        return module

    return put


def test_landscapes_are_made_once_and_others_by_another_rule(rule, monkeypatch):
    module = rule(0)
    train, test = (load_images(DataConfig("made-landscapes", 64), split) for split in ("train", "test"))
    assert train.images.shape == (600, 3, 64, 64) and test.images.shape == (100, 3, 64, 64)
    assert train.images[:, 2, 5, 5].tolist() == [number % 251 for number in range(600)]
    assert test.images[:, 0, 0, 0].tolist() == [number % 251 for number in range(100_000, 100_100)]
    assert train.name == "made-landscapes" and "numbers 100,000 to 100,099" in test.source
    monkeypatch.setattr(module, "make_landscapes", None)
    assert load_images(DataConfig("made-landscapes", 64), "train").sha256 == train.sha256
    rule(1)
    few = load_images(DataConfig("made-landscapes", 64, train_images=7), "train")
    assert few.images[:, 1, 1, 1].tolist() == list(range(1, 8)) and "numbers 0 to 6" in few.source


# The cache


def test_second_load_decodes_nothing(tmp_path, monkeypatch):
    write_files(tmp_path / "p", pictures(12))
    first = load_images(folder_config(tmp_path / "p"), "train")
    monkeypatch.setattr(data, "read_images", lambda *arguments: pytest.fail("decoded again"))
    assert load_images(folder_config(tmp_path / "p"), "train").sha256 == first.sha256
    assert len(load_images(folder_config(tmp_path / "p"), "test")) == 1
    assert len(cached_files()) == 1


def test_another_size_is_decoded_anew(tmp_path):
    write_files(tmp_path / "p", pictures(12))
    for size in (32, 28):
        assert load_images(folder_config(tmp_path / "p", size), "train").images.shape == (11, 3, size, size)


# Real data


@real("MNIST/raw")
def test_real_mnist(real_place):
    train, test = (load_images(DataConfig("mnist"), split) for split in ("train", "test"))
    assert train.images.shape == (60000, 1, 28, 28) and test.images.shape == (10000, 1, 28, 28)
    assert train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3] and test.labels[:4].tolist() == [7, 2, 1, 0]
    assert train.sha256 in README and test.sha256 in README


@real("FashionMNIST/raw")
def test_real_fashion(real_place):
    train, test = (load_images(DataConfig("fashion"), split) for split in ("train", "test"))
    assert torch.bincount(train.labels).tolist() == [6000] * 10 and len(test) == 10000
    assert train.class_names[train.labels[0]] == "Ankle boot"
    assert train.sha256 in README and test.sha256 in README


@real("cifar10/train.zip")
def test_real_cifar10_zips(real_place):
    assert len(list_images(REAL_DATA / "cifar10" / "train.zip").names) == 50000
    assert len(list_images(REAL_DATA / "cifar10" / "test.zip").names) == 10000
    record = load_images(DataConfig("cifar10", 32, train_images=100, test_images=1), "train")
    assert record.images.shape == (100, 3, 32, 32) and len(record.class_names) == 10
    assert record.class_names[3] == "cat" and "111 of the 60,000 images come from JPEG" in record.source


@real("celeba10k/images.zip")
def test_real_faces_by_both_ways(real_place):
    celeba = load_images(DataConfig("celeba", 64, train_images=200, test_images=20), "train")
    whole = load_images(folder_config(REAL_DATA / "celeba10k" / "images.zip", 64, train_images=200), "test")
    assert celeba.images.shape == (200, 3, 64, 64) and whole.images.shape == (1000, 3, 64, 64)
    mirror = (celeba.float().mean(0) - celeba.float().mean(0).flip(-1)).abs().mean()
    assert mirror < 0.03  # the mean face is symmetric: the crop is centred


@real("svhn_crops/images.zip")
def test_real_cut_digits(real_place):
    train, test = (load_images(DataConfig("svhn-crops", 32), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (554, 486) and torch.bincount(train.labels)[1] == 112
    assert train.sha256 in README and test.sha256 in README


@real("celebahq_256/images.zip")
def test_real_celeba_hq(real_place):
    train, test = (load_images(DataConfig("celeba-hq", 256, 40, 7), split) for split in ("train", "test"))
    assert train.images.shape == (40, 3, 256, 256) and len(test) == 7 and "1,100 CelebA-HQ faces" in train.source
    with pytest.raises(ValueError, match=r"47 of 47 images in images.zip are smaller than 512 px"):
        load_images(DataConfig("celeba-hq", 512, 40, 7), "train")
