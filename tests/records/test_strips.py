"""Strips of a training: files that hold the images as they are, and in a notebook one picture that is drawn again."""

import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from glann_lib.records.strips import Strips

GAP = 2  # px, make_grid's


def images(count, channels=3, size=16, seed=0):
    return torch.randint(0, 256, (count, channels, size, size), generator=torch.manual_seed(seed)).to(torch.uint8)


def test_a_strip_has_originals_redrawn_and_new_images_one_below_the_other(tmp_path):
    originals, redrawn, new = images(20), images(5, seed=1), images(5, seed=2)
    Strips(tmp_path / "training", originals)(7, redrawn, new)
    pixels = np.asarray(Image.open(tmp_path / "training" / "epoch_0007.png"))
    assert pixels.shape == (3 * (16 + GAP) + GAP, 5 * (16 + GAP) + GAP, 3)
    for row, wanted in enumerate((originals[:5], redrawn, new)):
        for column, image in enumerate(wanted):
            top, left = GAP + row * (16 + GAP), GAP + column * (16 + GAP)
            assert (pixels[top : top + 16, left : left + 16].transpose(2, 0, 1) == image.numpy()).all()
    assert (pixels[:GAP] == 255).all()


def test_grey_images_are_strips_too_and_shapes_are_not(tmp_path):
    strips = Strips(tmp_path, images(4, channels=1))
    strips(1, images(2, channels=1), images(2, channels=1))
    assert Image.open(tmp_path / "epoch_0001.png").size == (2 * (16 + GAP) + GAP, 3 * (16 + GAP) + GAP)
    voxels = torch.zeros(3, 8, 8, 8, dtype=torch.uint8)
    Strips(tmp_path, voxels)(2, voxels, voxels)
    strips(3, images(2, channels=2), images(2, channels=2))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_0001.png"]


def test_in_a_notebook_the_same_picture_is_drawn_again(tmp_path, monkeypatch):
    shown, updated = [], []
    handle = types.SimpleNamespace(update=updated.append)
    monkeypatch.setattr("IPython.get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", lambda image, display_id: shown.append(image) or handle)
    strips = Strips(tmp_path, images(4))
    for epoch in (1, 2, 3):
        strips(epoch, images(2, seed=epoch), images(2))
    assert len(shown) == 1 and [image.data for image in updated] == [
        (tmp_path / f"epoch_000{epoch}.png").read_bytes() for epoch in (2, 3)
    ]


@pytest.mark.parametrize(
    ("size", "in_file", "on_page"), [(16, 16, 640), (128, 128, 640), (256, 256, 1000), (512, 256, 1000)]
)
def test_a_strip_is_readable_and_bounded(tmp_path, monkeypatch, size, in_file, on_page):
    shown, originals = [], images(4, size=size)
    monkeypatch.setattr("IPython.get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", lambda image, display_id: shown.append(image))
    Strips(tmp_path, originals)(1, images(4, size=size, seed=1), images(4, size=size, seed=2))
    picture = Image.open(tmp_path / "epoch_0001.png")
    assert picture.size == (4 * (in_file + GAP) + GAP, 3 * (in_file + GAP) + GAP)
    assert [image.width for image in shown] == [on_page]
    corner = np.asarray(picture)[GAP : GAP + in_file, GAP : GAP + in_file].transpose(2, 0, 1)
    times = size // in_file
    means = originals[0].float().unflatten(1, (-1, times)).unflatten(3, (-1, times)).mean((2, 4))
    assert np.abs(corner - means.numpy()).max() <= 0.5


def test_without_ipython_there_are_files_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    Strips(tmp_path, images(4))(1, images(2), images(2))
    assert (tmp_path / "epoch_0001.png").is_file()
