"""The record of images: its checks, what it takes and draws, its sums, and the directions that some images have."""

import json

import numpy as np
import pytest
import torch

from glann_lib.data.record import ImageData, random_order, tensors_sha256

IMAGES = torch.arange(50, dtype=torch.uint8).reshape(50, 1, 1, 1).expand(50, 1, 2, 2).contiguous()
AZIMUTHS = torch.arange(50) * 7.2


def test_image_data_knows_its_images():
    images = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).to(torch.uint8)
    record = ImageData(images, torch.tensor([1, 0]), "toy", "test", "made here", ("a", "b"))
    assert len(record) == 2
    assert record.float([1]).dtype == torch.float32
    assert torch.equal(record.float([1]), images[[1]] / 255)
    facts = json.loads(json.dumps(record.describe()))
    assert facts["count"] == 2 and facts["size"] == [4, 4] and facts["channels"] == 3 and facts["split"] == "test"


def test_sha256_depends_on_pixels_labels_and_shape_only():
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    record = ImageData(images, torch.tensor([1, 0]))
    other = images.clone()
    other[0, 0, 0, 0] = 1
    same = [ImageData(images.clone(), torch.tensor([1, 0]), "other", "test", "elsewhere")]
    different = [
        ImageData(images),
        ImageData(images, torch.tensor([0, 1])),
        ImageData(other, torch.tensor([1, 0])),
        ImageData(images.reshape(2, 1, 2, 8), torch.tensor([1, 0])),
    ]
    assert all(record.sha256 == twin.sha256 for twin in same)
    assert len({record.sha256, *(twin.sha256 for twin in different)}) == 5


def test_take_keeps_labels_with_images_and_repeats():
    images = torch.arange(50, dtype=torch.uint8).reshape(50, 1, 1, 1).expand(50, 1, 2, 2)
    record = ImageData(images, torch.arange(50))
    few, more = record.take(10, seed=3), record.take(20, seed=3)
    assert torch.equal(few.images[:, 0, 0, 0].long(), few.labels)
    assert len(few.labels.unique()) == 10
    assert torch.equal(more.labels[:10], few.labels)
    assert not torch.equal(record.take(10, seed=4).labels, few.labels)


@pytest.mark.parametrize(
    ("images", "labels", "split", "words"),
    [
        (torch.zeros(2, 1, 4, 4), None, "train", "float32 [2, 1, 4, 4]: give uint8"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), None, "train", "uint8 [2, 4, 4]"),
        (torch.zeros(2, 4, 8, 8, dtype=torch.uint8), None, "train", "C = 1 or 3"),
        (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), None, "train", "N at least 1"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), "train", "int64 [2]"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2), "train", "labels are float32"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), None, "valid", "unknown split 'valid'"),
    ],
)
def test_image_data_refuses(images, labels, split, words):
    with pytest.raises(ValueError) as caught:
        ImageData(images, labels, split=split)
    assert words in str(caught.value) and "\n" not in str(caught.value)


GREY = np.random.default_rng(0).integers(0, 256, (5, 8, 6), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (5, 3, 8, 6), dtype=np.uint8)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (COLOUR, COLOUR),
        (COLOUR.transpose(0, 2, 3, 1), COLOUR),
        (torch.from_numpy(COLOUR), COLOUR),
        (COLOUR[::-1], COLOUR[::-1]),
        (COLOUR / 255, COLOUR),
        ((COLOUR / 255).astype(">f4"), COLOUR),
        (torch.from_numpy(GREY / 255).float().requires_grad_(), GREY[:, None]),
    ],
)
def test_from_array_accepts(images, expected):
    record = ImageData.from_array(images, labels=[0, 1, 2, 1, 0], name="mine")
    assert record.images.is_contiguous()
    assert np.array_equal(record.images.numpy(), expected)
    assert record.labels.tolist() == [0, 1, 2, 1, 0] and record.name == "mine"


def test_from_array_copies():
    array = COLOUR.copy()
    record = ImageData.from_array(array, labels=(labels := np.arange(5)))
    array[:], labels[:] = 0, 0
    assert np.array_equal(record.images.numpy(), COLOUR) and record.labels.tolist() == list(range(5))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        ([[1, 2], [3, 4]], None, "images are a list"),
        (COLOUR.astype(np.int64), None, "images are int64: give uint8"),
        (COLOUR / 127.5 - 1, None, "lie between -1 and 1"),
        (COLOUR.astype(np.float32), None, "and 255: give floating point in [0, 1]"),
        (np.full((2, 8, 8), np.nan), None, "lie between nan"),
        (GREY[0], None, "uint8 [8, 6]: give"),
        (np.zeros((2, 8, 8, 4), np.uint8), None, "C = 1 or 3"),
        (np.zeros((0, 8, 8), np.float32), None, "N at least 1"),
        (COLOUR, [0, 1], "labels are int64 [2]: give int64 [5]"),
        (COLOUR, [0.5] * 5, "labels are float32"),
    ],
)
def test_from_array_refuses(images, labels, words):
    with pytest.raises(ValueError) as caught:
        ImageData.from_array(images, labels)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_random_order_is_a_permutation():
    order = random_order(100)
    assert sorted(order.tolist()) == list(range(100)) and torch.equal(order[:7], random_order(100, 7))


# Directions


def test_take_keeps_azimuths_with_images():
    few = ImageData(IMAGES, azimuths=AZIMUTHS).take(10, seed=3)
    assert len(few) == 10 and torch.equal(few.azimuths, few.images[:, 0, 0, 0] * 7.2)


def test_data_without_azimuths_have_the_sums_they_always_had():
    labels = torch.arange(50)
    assert ImageData(IMAGES, labels).sha256 == tensors_sha256(IMAGES, labels)
    plain = ImageData(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([1, 0]))
    assert plain.sha256 == "c93dec4825c2d1a0507f78ea531d6ef0ff6bcc656f49fb2c749a6e31508fb57f"


def test_the_sum_depends_on_azimuths():
    other = AZIMUTHS.clone()
    other[7] += 1
    records = [ImageData(IMAGES), ImageData(IMAGES, azimuths=AZIMUTHS), ImageData(IMAGES, azimuths=other)]
    assert len({record.sha256 for record in records}) == 3
    assert ImageData(IMAGES, azimuths=AZIMUTHS.clone(), name="other").sha256 == records[1].sha256


def test_the_record_tells_of_azimuths_only_where_they_are():
    plain, directed = ImageData(IMAGES).describe(), ImageData(IMAGES, azimuths=AZIMUTHS).describe()
    assert "azimuths" not in plain
    assert json.loads(json.dumps(directed))["azimuths"] is True


def test_from_array_takes_azimuths():
    record = ImageData.from_array(IMAGES.numpy(), azimuths=AZIMUTHS)
    assert torch.equal(record.azimuths, AZIMUTHS) and record.labels is None


@pytest.mark.parametrize(
    ("azimuths", "words"),
    [
        (AZIMUTHS.double(), "azimuths are float64 [50]: give float32 [50] in [0, 360)"),
        (torch.arange(50), "azimuths are int64 [50]"),
        (AZIMUTHS[:49], "azimuths are float32 [49]"),
        (AZIMUTHS[:, None], "azimuths are float32 [50, 1]"),
        (AZIMUTHS + 10, "in [0, 360), one an image"),
        (AZIMUTHS - 0.1, "in [0, 360)"),
        (AZIMUTHS.where(AZIMUTHS > 0, float("nan")), "in [0, 360)"),
        (AZIMUTHS.where(AZIMUTHS > 0, float("inf")), "in [0, 360)"),
    ],
)
def test_other_azimuths_are_refused(azimuths, words):
    with pytest.raises(ValueError) as caught:
        ImageData(IMAGES, azimuths=azimuths)
    assert words in str(caught.value) and "\n" not in str(caught.value)
