"""The widget shows what Glann.interpolate gives, at every position; what cannot be shown is one line."""

import numpy as np
import pytest
import torch
from PIL import Image

from glann_lib.model import Glann
from glann_lib.sampling import draw_noise
from glann_lib.widgets.interpolation import FRAMES, NOISES, REAL, SHOWN, InterpolationWidget
from glann_lib.widgets.picture import png_bytes, strip_of

TINY = {"glo_epochs": 1, "glo_batch_size": 16, "glo_loss": "l1", "imle_epochs": 2, "imle_batch_size": 16}


@pytest.fixture(scope="module")
def model():
    images = np.random.default_rng(0).integers(0, 256, (16, 28, 28), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLANN_PROGRESS", "lines")
        return Glann.fit(images, device="cpu", **TINY)


@pytest.fixture
def widget(model, tmp_path):
    return InterpolationWidget(model, model.sample(3, seed=9), folder=tmp_path, steps=3)


def test_every_position_shows_the_image_of_the_path(widget, model):
    frames = model.interpolate(0, 1, FRAMES)
    for position in (0, 1, 40, FRAMES - 1):
        widget.position.value = position
        assert widget.picture.value == png_bytes(frames[position])
    assert widget.picture.alt == "100% from seed 0 to seed 1"
    rows = np.linspace(0, FRAMES - 1, SHOWN).round().astype(int)
    assert widget.strip.value == png_bytes(strip_of(frames[rows]))


@pytest.mark.parametrize("path", ["noise-linear", "latent-linear"])
def test_ends_and_path_can_be_chosen(widget, model, path):
    widget.first.value, widget.last.value, widget.path.value, widget.position.value = 4, 5, path, 20
    widget.wait()
    assert widget.picture.value == png_bytes(model.interpolate(4, 5, FRAMES, path)[20])
    assert path in widget.strip.caption and "from seed 4 to seed 5" in widget.strip.alt


def test_real_images_are_inverted_once(widget, model, monkeypatch):
    asked, invert = [], Glann.invert
    monkeypatch.setattr(Glann, "invert", lambda self, images, **options: asked.append(len(images)) or invert(
        self, images, **options
    ))  # fmt: skip
    widget.ends.value = REAL
    widget.wait()
    found = model.invert(widget.images[:2], steps=3).codes
    assert widget.picture.value == png_bytes(model.interpolate(*found, FRAMES)[0])
    asked.clear()
    widget.last.value = 2
    widget.wait()
    widget.last.value = 1
    widget.wait()
    assert asked == [1] and widget.message.value == ""


def test_known_noises_are_taken_and_shown_first(model, monkeypatch):
    monkeypatch.setattr(Glann, "invert", lambda *_, **__: pytest.fail("inverted again"))
    noises = draw_noise(2, model.mapper.noise_dim, 5)
    widget = InterpolationWidget(model, model.sample(2), noises)
    assert widget.ends.value == REAL
    assert widget.picture.value == png_bytes(model.interpolate(*noises, FRAMES)[0])


def test_a_real_image_that_is_not_there_is_one_line(widget):
    widget.last.value = 3
    widget.wait()
    before = widget.strip.value
    widget.ends.value = REAL
    widget.wait()
    assert "there are 3 real images: choose numbers below 3" in widget.message.value
    assert widget.strip.value == before


def test_without_real_images_the_control_is_off_and_says_why(model):
    widget = InterpolationWidget(model)
    assert widget.ends.disabled and widget.ends.options == (NOISES,) and "not given" in widget.ends.tooltip


def test_the_path_is_saved_there_and_back_with_its_record(widget, tmp_path):
    widget.save_gif.click()
    with Image.open(tmp_path / "seeds-0-1-noise-spherical.gif") as gif:
        assert gif.n_frames <= 2 * FRAMES - 2 and gif.size == (224, 224)
    widget.save_png.click()
    assert "saved seeds-0-1-noise-spherical.png" in widget.message.value
    assert {path.suffix for path in tmp_path.iterdir()} == {".gif", ".png", ".pdf", ".json"}


def test_a_folder_that_cannot_be_written_is_one_line(model, tmp_path):
    (tmp_path / "file").touch()
    widget = InterpolationWidget(model, folder=tmp_path / "file")
    widget.save_gif.click()
    assert "cannot write" in widget.message.value


def test_a_model_of_shapes_is_refused():
    voxels = torch.zeros(16, 32, 32, 32, dtype=torch.bool)
    voxels[:, 8:24, 8:24, 8:24] = True
    shapes = Glann.fit(voxels, device="cpu", **TINY, glo_voxel_channels=8)
    with pytest.raises(ValueError, match="this model draws shapes"):
        InterpolationWidget(shapes)


def test_all_controls_have_labels(widget):
    controls = (widget.ends, widget.first, widget.last, widget.path, widget.position, widget.save_png, widget.save_gif)
    assert all(control.description for control in controls)
