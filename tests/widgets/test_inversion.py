"""The widget of inversion: what is given is what is sought, the newest gift wins, and what is found is varied."""

import dataclasses
import datetime
import io

import numpy as np
import pytest
import torch
from PIL import Image

from glann_lib import Glann, features
from glann_lib.sampling import decode, interpolate, run_blocks
from glann_lib.widgets import inversion as inversion_widget
from glann_lib.widgets import uploads
from glann_lib.widgets.inversion import SEEDS, InversionWidget, require_weights, vary
from glann_lib.widgets.picture import png_bytes, strip_of

TINY = {"glo_epochs": 1, "glo_batch_size": 16, "glo_latent_dim": 16, "glo_loss": "l1"}
TINY |= {"imle_epochs": 1, "imle_batch_size": 16, "imle_noise_dim": 8, "imle_hidden_dim": 16}


def blobs(count, seed=0):
    """Bright spots at random places, on black: uint8 [N, 28, 28]."""
    random = np.random.default_rng(seed)
    place = random.uniform(8, 20, (2, count, 1, 1))
    ys, xs = np.mgrid[:28, :28]
    return (255 * np.exp(-((xs - place[0]) ** 2 + (ys - place[1]) ** 2) / 20)).round().astype(np.uint8)


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLANN_PROGRESS", "lines")
        made = Glann.fit(blobs(32), device="cpu", **TINY)
    made.generator.layers[-2].bias.data -= 4  # dark, as what it was trained on: one epoch ends at grey
    made.generator.layers[-2].weight.data *= 20
    return made


@pytest.fixture
def widget(model):
    return InversionWidget(model, steps=6, restarts=2)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def give(widget, content):
    """As the browser hands over a file."""
    now = datetime.datetime.now(datetime.UTC)
    file = {"name": "x.png", "type": "image/png", "size": len(content), "content": memoryview(content)}
    widget.upload.value = (file | {"last_modified": now},)


def stroke(row):
    field = np.zeros((224, 224), np.uint8)
    field[row : row + 20, 60:160] = 255
    return png(field)


def test_before_anything_is_given_the_pictures_say_so(widget):
    assert widget.given.caption == "upload an image or draw one"
    assert widget.given.value == png_bytes(np.zeros((1, 28, 28), np.uint8))
    assert all(picture.alt for picture in (widget.given, widget.found, widget.variation, widget.strip))
    widget.amount.value = 0.8
    widget.wait()
    assert widget.variation.caption == "its variations come here"


def test_an_upload_is_sought_as_the_model_would_and_varied(model, widget):
    content = png(blobs(1, seed=5)[0])
    give(widget, content)
    widget.wait()
    image = uploads.from_file(content, (1, 28, 28))
    found = model.invert(image, restarts=2, steps=6)
    assert widget.given.value == png_bytes(image[0]) and not widget.swap.value
    assert widget.found.value == png_bytes(found.images[0])
    assert widget.found.caption == f"step 6 of 6, loss {found.loss.item():.3f}"
    assert f"loss {found.loss.item():.3f}" in widget.message.value and " s," in widget.message.value
    widget.amount.value, widget.seed.value = 0.5, 3
    widget.wait()
    one, *strip = vary(model, found.codes[0], 0.5, [3, *SEEDS])
    assert widget.variation.value == png_bytes(one) and widget.variation.alt.endswith("50% of the way to seed 3")
    assert widget.strip.value == png_bytes(strip_of(torch.stack(strip)))


def test_a_drawing_is_placed_as_the_models_images_are(model, widget):
    widget.sketch.value = stroke(30)
    widget.wait()
    assert widget.given.value == png_bytes(uploads.from_drawing(stroke(30), model.sample(64))[0])
    assert "a drawing" in widget.given.alt
    widget.wipe.click()
    widget.wait()
    assert widget.given.caption == "upload an image or draw one" and widget.sketch.value == b""


def test_the_newer_of_file_and_drawing_takes_the_others_place(widget):
    widget.sketch.value = stroke(30)
    content = png(255 - blobs(1, seed=5)[0])
    give(widget, content)
    widget.wait()
    assert widget.sketch.value == b"" and widget.swap.value and "a file" in widget.given.alt
    widget.sketch.value = stroke(90)
    widget.wait()
    assert widget.upload.value == () and not widget.swap.value and "a drawing" in widget.given.alt
    give(widget, content)  # the same once more
    widget.wait()
    assert widget.swap.value and "a file" in widget.given.alt


def test_light_and_dark_are_swapped_where_a_file_looks_inverted(widget):
    spots = blobs(1, seed=5)[0]
    give(widget, png(255 - spots))
    widget.wait()
    assert widget.swap.value and widget.given.value == png_bytes(spots[None])
    widget.swap.value = False
    widget.wait()
    assert widget.given.value == png_bytes(255 - spots[None]) and "step 6 of 6" in widget.found.caption


def test_what_is_given_during_a_search_supersedes_it(model, monkeypatch):
    taken = []

    def counted(self, image, **options):
        taken.append(0)
        for record in search(self, image, **options):
            taken[-1] += 1
            yield record
            if len(taken) == 1 and taken[0] == 10:
                widget.sketch.value = stroke(90)  # from another thread a moment later or sooner: the same

    search = Glann.search
    monkeypatch.setattr(Glann, "search", counted)
    widget = InversionWidget(model, steps=40, restarts=2)
    widget.sketch.value = stroke(30)
    widget.wait()
    assert taken == [11, 41]
    assert widget.given.value == png_bytes(uploads.from_drawing(stroke(90), model.sample(64))[0])


@pytest.mark.parametrize(("content", "line"), [(b"words, not pixels", "no image"), (b"", "empty")])
def test_what_is_no_image_is_one_line_and_the_last_pictures_stay(widget, content, line):
    give(widget, png(blobs(1, seed=5)[0]))
    widget.wait()
    before = widget.given.value, widget.found.value, widget.variation.value
    give(widget, content)
    widget.wait()
    assert line in widget.message.value and len(widget.message.value.splitlines()) == 1
    assert before == (widget.given.value, widget.found.value, widget.variation.value)


def test_an_empty_drawing_is_one_line(widget):
    widget.sketch.value = png(np.zeros((224, 224), np.uint8))
    widget.wait()
    assert "the drawing is empty: draw something first" in widget.message.value


def test_variations_go_from_what_was_found_to_fresh_samples(model):
    noise, seeds = torch.linspace(-1, 1, 8), [4, 7]
    near, far = vary(model, noise, 0, seeds), vary(model, noise, 1, seeds)
    own = decode(model.generator, run_blocks(model.mapper, noise[None]))
    assert (near.int() - own.int()).abs().max() <= 1
    for image, seed in zip(far, seeds, strict=True):
        assert (image.int() - model.sample(1, seed)[0].int()).abs().max() <= 1
    fresh = torch.stack([inversion_widget.draw_noise(1, 8, seed)[0] for seed in seeds])
    middles = torch.stack([interpolate(noise, end, 3, spherical=True)[1] for end in fresh])
    wanted = decode(model.generator, run_blocks(model.mapper, middles))
    assert (vary(model, noise, 0.5, seeds).int() - wanted.int()).abs().max() <= 1
    with pytest.raises(ValueError, match=r"amount is 1\.5"):
        vary(model, noise, 1.5, seeds)


def test_weights_that_are_not_here_are_named_and_never_downloaded(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GLANN_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    config = dataclasses.replace(model.config, glo=dataclasses.replace(model.config.glo, loss="vgg16"))
    other = Glann(model.generator, model.mapper, model.latents, config, model.record)
    with pytest.raises(FileNotFoundError, match=features.VGG16_FILE) as error:
        require_weights(other)
    assert "\n" not in str(error.value)
    widget = InversionWidget(other, steps=2)
    widget.sketch.value = stroke(30)
    widget.wait()
    assert features.VGG16_FILE in widget.message.value and not any(tmp_path.rglob("*.*"))


def test_a_model_of_shapes_is_refused(model, monkeypatch):
    monkeypatch.setattr(model.generator, "shape", (32, 32, 32))
    with pytest.raises(ValueError, match="draws shapes"):
        InversionWidget(model)
