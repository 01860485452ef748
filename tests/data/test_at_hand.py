"""A model's images are taken where they lie here and are the same ones; else there is a reason, and no download."""

import numpy as np
import pytest
from PIL import Image

from glann_lib.config import ARRAY, DataConfig
from glann_lib.data.images import images_at_hand, load_images


def test_the_digits_are_always_here():
    images, reason = images_at_hand(DataConfig(), "test")
    assert reason == "" and (images.images == load_images(DataConfig(), "test").images).all()


def test_other_images_are_not_taken_for_the_models():
    right = load_images(DataConfig(), "train").sha256
    assert images_at_hand(DataConfig(), "train", right)[0] is not None
    images, reason = images_at_hand(DataConfig(), "train", "0" * 64)
    assert images is None and "training images of digits on this machine are others" in reason


@pytest.mark.parametrize("name", ["mnist", "celeba", "folder:nowhere", ARRAY])
def test_what_is_not_here_is_a_reason(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GLANN_DATA", str(tmp_path))
    monkeypatch.setattr("glann_lib.data.places.DATA", tmp_path)
    images, reason = images_at_hand(DataConfig(name, 64), "train")
    assert images is None and reason and "\n" not in reason


def test_damaged_files_are_a_reason(tmp_path):
    for number in range(3):
        Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.png").write_bytes((tmp_path / f"{number}.png").read_bytes()[:40])
    images, reason = images_at_hand(DataConfig(f"folder:{tmp_path}", 28), "train")
    assert images is None and "can be read" in reason
