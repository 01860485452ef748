"""Directions in the record of images: checked, kept with their images, and told only where they are."""

import json

import pytest
import torch

from glann_lib.data.record import ImageData, tensors_sha256

IMAGES = torch.arange(50, dtype=torch.uint8).reshape(50, 1, 1, 1).expand(50, 1, 2, 2).contiguous()
AZIMUTHS = torch.arange(50) * 7.2


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
