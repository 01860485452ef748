"""Domains and pairs: which names stand for what, what each domain holds, and that no digit stands in both."""

import collections
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from glann_lib import config
from glann_lib.config import DataConfig
from glann_lib.data import places
from glann_lib.data.images import load_images
from glann_lib.data.record import ImageData
from glann_lib.translation import domains
from glann_lib.translation.car_designs import FAMILIES
from glann_lib.translation.config import PairConfig
from glann_lib.translation.domains import load_pair, pairs_of
from glann_lib.translation.made_cars import make_cars
from glann_lib.translation.street_digits import make_street_digits

NAMES = "embedded, mnist-street, mnist-svhn, mnist-svhn-crops, car-to-car, cars:PATH"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty data place, and a stand-in for the repository's data/."""
    monkeypatch.setattr(places, "DATA", tmp_path / "repository_data")
    monkeypatch.setenv("GLANN_DATA", str(tmp_path / "place"))
    (tmp_path / "place").mkdir()


@pytest.fixture
def painted(monkeypatch):
    """Street digits that can be read: the digit itself in three channels; the seeds of the painting, in order."""
    seeds = []

    def paint(digits, seed):
        seeds.append(seed)
        return digits.repeat(1, 3, 1, 1)

    monkeypatch.setattr(domains, "make_street_digits", paint)
    return seeds


@pytest.fixture
def mnist(monkeypatch):
    """Sixty-one pictures in place of MNIST, each of another value, with labels."""

    def load(settings, split):
        assert settings == DataConfig("mnist", 28)
        images = torch.arange(61, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 28, 28)
        return ImageData(images, torch.arange(61) % 10, "mnist", split, "pictures", tuple("0123456789"))

    monkeypatch.setattr(domains, "load_images", load)


def limited(source, target, size=28, limits=(None, None, None)):
    return PairConfig(source, target, size, *limits)


def keys(images):
    return [image.numpy().tobytes() for image in images[:, 0]]


def write_pictures(folder, names):
    """Pictures of one colour each: the n-th has the red value n."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 30), (number, 200, 100)).save(folder / name)
    return folder


@pytest.fixture
def cars(tmp_path):
    names = [f"{domain}/{number:02}.png" for domain in ("coupes", "trucks") for number in range(20)]
    folder = write_pictures(tmp_path / "my cars", names)
    rows = [f"{name},{10 * number % 360}" for number, name in enumerate(names)]
    (folder / "azimuths.csv").write_text("\n".join(["file,azimuth", *rows, ""]))
    return folder


# Names


def test_a_name_stands_for_one_task_or_more():
    assert domains.PAIRS.keys() == set(config.TRANSLATIONS)
    digits, cars = (("digits", "street-digits"), ("street-digits", "digits")), ("hatchbacks", "negative-vans")
    assert pairs_of("embedded") == (*digits, cars)
    assert pairs_of("mnist-street") == (("mnist", "street-mnist"), ("street-mnist", "mnist"))
    assert pairs_of("mnist-svhn") == (("mnist", "svhn"), ("svhn", "mnist"))


def test_every_domain_of_a_named_task_can_be_asked_for():
    assert {name for pairs in domains.PAIRS.values() for pair in pairs for name in pair} <= set(config.DOMAINS)
    assert set(FAMILIES) == set(config.CAR_FAMILIES) and set(FAMILIES) <= set(config.DOMAINS)


@pytest.mark.parametrize("pair", [("digits", "street-digits"), ("sedans", "folder:a-to-b"), ("folder:a", "folder:b")])
def test_two_domains_stand_for_one_task(pair):
    assert pairs_of("-to-".join(pair)) == (pair,)


def test_a_persons_cars_are_one_task_from_the_first_folder_to_the_second(cars):
    assert pairs_of(f"cars:{cars}") == ((f"cars:{cars}/coupes", f"cars:{cars}/trucks"),)
    with pytest.raises(FileNotFoundError):
        pairs_of(f"cars:{cars}/nowhere")


@pytest.mark.parametrize("name", ["digits", "digits-to-nothing", "folder:photos", "svhn-mnist", ""])
def test_another_name_is_refused_with_the_choices_in_one_line(name):
    with pytest.raises(ValueError) as caught:
        pairs_of(name)
    text = str(caught.value)
    assert f"unknown translation {name!r}: choose one of {NAMES}, or SOURCE-to-TARGET" in text and "\n" not in text
    assert all(domain in text for domain in (*config.DOMAINS, "folder:PATH"))


@pytest.mark.parametrize("name", ["cats", "street-svhn", "negative-digits", "mnist-street", "array"])
def test_an_unknown_domain_is_refused_with_the_choices_in_one_line(name):
    for pair in ((name, "sedans"), ("sedans", name)):
        with pytest.raises(ValueError) as caught:
            load_pair(limited(*pair, limits=(2, 2, 2)), "train")
        assert f"unknown domain {name!r}: choose one of digits, " in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="unknown split 'valid': choose train or test"):
        load_pair(limited("sedans", "vans"), "valid")


# Digits


@pytest.mark.parametrize("pair", [("digits", "street-digits"), ("street-digits", "digits")])
def test_no_digit_stands_in_both_domains_of_a_pair_in_training(painted, pair):
    source, target = load_pair(limited(*pair), "train")
    base = load_images(DataConfig("digits", 28), "train").images
    assert len(set(keys(base))) == len(base), "all digits are different, so that the next line tells"
    assert not set(keys(source.images)) & set(keys(target.images))
    assert set(keys(source.images)) == set(keys(base[0::2])) and set(keys(target.images)) == set(keys(base[1::2]))
    street = source if pair[0] == "street-digits" else target
    plain = target if street is source else source
    assert len(street) == 2 * len(plain) == 1500 and street.images.shape[1] == 3 and plain.images.shape[1] == 1
    assert "from the 1st" in source.source and "from the 2nd" in target.source


def test_a_digits_domain_beside_another_one_holds_all_digits():
    source, _ = load_pair(limited("digits", "vans", limits=(None, 2, None)), "train")
    assert len(source) == 1500 and "every second" not in source.source


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("limit", [99, 100, None])
def test_painted_digits_keep_the_labels_of_their_digits_and_the_limits(painted, split, limit):
    source, target = load_pair(limited("digits", "street-digits", limits=(50, limit, limit)), split)
    whole = load_images(DataConfig("digits", 28), split)
    labels = dict(zip(keys(whole.images), whole.labels.tolist(), strict=True))
    for data in (source, target):
        assert data.labels.tolist() == [labels[key] for key in keys(data.images)]
        assert data.class_names == tuple("0123456789") and data.split == split
    counts = {"train": (50, limit or 1500), "test": (limit or 297, limit or 2 * 297)}
    assert (len(source), len(target)) == counts[split]
    assert len(set(target.labels.tolist())) == 10
    assert painted == [("train", "test").index(split)]  # other pictures in either split
    assert set(collections.Counter(keys(target.images)).values()) == ({1, 2} if limit == 99 else {2})


def test_street_digits_are_painted_in_the_order_of_their_labels():
    _, target = load_pair(limited("digits", "street-digits", limits=(2, 20, None)), "train")
    every = load_images(DataConfig("digits", 28), "train")
    odd = ImageData(every.images[1::2], every.labels[1::2]).take(10)
    assert torch.equal(target.images, make_street_digits(odd.images.repeat(2, 1, 1, 1), 0))
    assert target.labels.tolist() == 2 * odd.labels.tolist()
    assert target.name == "street-digits" and "painted as on a street by rule" in target.source
    assert not torch.equal(target.images[:10], target.images[10:])  # each copy looks another way


def test_of_mnist_each_digit_is_painted_once(painted, mnist):
    for pair in pairs_of("mnist-street"):
        source, target = load_pair(limited(*pair), "train")
        assert keys(source.images)[:2] == [bytes([0] * 784), bytes([2] * 784)]
        assert (len(source), len(target)) == (31, 30) and not set(keys(source.images)) & set(keys(target.images))
        assert all((data.images[:, 0, 0, 0] % 10).tolist() == data.labels.tolist() for data in (source, target))
    source, target = load_pair(limited("mnist", "street-mnist", limits=(9, 11, 5)), "test")
    assert (len(source), len(target)) == (5, 5)


@pytest.mark.parametrize("size", [28, 32])
def test_both_domains_have_the_size_asked_for(size):
    for pair in (("digits", "street-digits"), ("hatchbacks", "sedans")):
        for data in load_pair(limited(*pair, size, limits=(3, 4, 2)), "train"):
            assert data.images.shape[2:] == (size, size)


# Cars


def test_made_cars_come_with_azimuths_and_their_limits():
    source, target = load_pair(limited("hatchbacks", "vans", 32, (5, 4, 3)), "train")
    for data, name, count in ((source, "hatchbacks", 5), (target, "vans", 4)):
        images, azimuths = make_cars(name, 0, count, 32)
        assert torch.equal(data.images, torch.from_numpy(images)) and data.azimuths.tolist() == azimuths.tolist()
        assert data.name == name and data.labels is None and f"numbers 0 to {count - 1}" in data.source
    assert [len(data) for data in load_pair(limited("hatchbacks", "vans", 32, (5, 4, 3)), "test")] == [3, 3]


def test_negatives_are_the_same_cars_with_the_same_azimuths():
    for split in ("train", "test"):
        plain, negative = load_pair(limited("vans", "negative-vans", 32, (4, 4, 3)), split)
        assert torch.equal(negative.images, 255 - plain.images) and torch.equal(negative.azimuths, plain.azimuths)
        assert negative.name == "negative-vans" and negative.source == f"{plain.source}, as photographic negatives"


def test_made_cars_to_train_and_to_test_share_no_number(monkeypatch):
    numbers = {}

    def make(family, first, count, size):
        numbers.setdefault(family, []).append(range(first, first + count))
        return np.zeros((count, 3, size, size), np.uint8), np.zeros(count, np.float32)

    monkeypatch.setattr(domains, "make_cars", make)
    for split in ("train", "test"):
        load_pair(limited("sedans", "vans", 32), split)
    assert numbers.keys() == {"sedans", "vans"}
    for train, test in numbers.values():
        assert (len(train), len(test)) == (5000, 1000) and not set(train) & set(test)


def test_a_persons_cars_come_through_the_pair(cars):
    ((source, target),) = pairs_of(f"cars:{cars}")
    train = load_pair(limited(source, target, 32, (10, None, None)), "train")
    assert [data.name for data in train] == ["cars:my cars/coupes", "cars:my cars/trucks"]
    assert [len(data) for data in train] == [10, 18] and train[1].images.shape == (18, 3, 32, 32)
    for data in train:
        red = data.images[:, 0, 16, 16].float()
        assert torch.equal((10 * red).remainder(360), data.azimuths)
    tests = load_pair(limited(source, target, 32), "test")
    assert [len(data) for data in tests] == [2, 2]
    assert not set(keys(tests[0].images)) & set(keys(train[0].images))
    with pytest.raises(ValueError, match="unknown domain 'boats': choose coupes or trucks"):
        load_pair(limited(source, f"cars:{cars}/boats"), "train")


# Other images


def test_a_folder_of_images_is_a_domain(tmp_path):
    folder = write_pictures(tmp_path / "pictures", [f"{number:02}.png" for number in range(20)])
    source, target = load_pair(limited(f"folder:{folder}", "digits", 28, (7, 3, None)), "train")
    assert source.images.shape == (7, 3, 28, 28) and source.labels is None and source.name == "folder:pictures"
    assert target.images.shape == (3, 1, 28, 28) and target.labels is not None
    assert set(source.images[:, 0, 9, 9].tolist()) <= set(range(20)) and len(set(keys(source.images))) == 7


def test_images_are_read_as_every_data_set_is(monkeypatch):
    asked = []

    def load(settings, split):
        asked.append((settings, split))
        return ImageData(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), name=settings.dataset)

    monkeypatch.setattr(domains, "load_images", load)
    source, target = load_pair(limited("svhn", "cifar10", 32, (40, 50, 60)), "train")
    load_pair(limited("svhn", "cifar10", 32, (40, 50, 60)), "test")
    assert (source.name, target.name) == ("svhn", "cifar10")
    limits = [("svhn", 40, "train"), ("cifar10", 50, "train"), ("svhn", 60, "test"), ("cifar10", 60, "test")]
    assert asked == [(DataConfig(name, 32, limit, limit, enlarge=True), split) for name, limit, split in limits]


def test_missing_street_numbers_say_what_to_place(monkeypatch):
    def absent(root, download, **options):
        raise URLError("no route to host") if download else RuntimeError("Dataset not found.")

    monkeypatch.setattr(datasets, "SVHN", absent)
    with pytest.raises(ConnectionError) as caught:
        load_pair(limited("svhn", "digits", 32), "train")
    text = str(caught.value)
    assert "cannot download svhn" in text and "svhn/train_32x32.mat" in text and "GLANN_DATA" in text
    assert "\n" not in text
