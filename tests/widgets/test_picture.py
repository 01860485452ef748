"""Pictures for widgets: the PNG holds the pixels as they are; what the browser needs is there."""

import io

import numpy as np
import pytest
import traitlets
from PIL import Image

from glann_lib.widgets.picture import GAP, Picture, Sketch, png_bytes, strip_of


def pixels_of(png):
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_holds_the_pixels(channels):
    image = np.random.default_rng(0).integers(0, 256, (channels, 28, 20), dtype=np.uint8)
    assert (pixels_of(png_bytes(image)) == image).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_strip_holds_the_images_side_by_side(channels):
    images = np.random.default_rng(0).integers(0, 256, (3, channels, 5, 4), dtype=np.uint8)
    strip = strip_of(images)
    assert strip.shape == (channels, 5, 3 * 4 + 2 * GAP)
    for number, image in enumerate(images):
        left = number * (4 + GAP)
        assert (strip[..., left : left + 4] == image).all()
        assert (strip[..., left + 4 : left + 4 + GAP] == 255).all()


def test_show_replaces_picture_and_words():
    picture, image = Picture(alt="a"), np.full((1, 4, 4), 7, np.uint8)
    picture.show(image, alt="b", caption="c")
    assert (pixels_of(picture.value) == image).all() and (picture.alt, picture.caption) == ("b", "c")


def test_the_words_of_a_picture_are_its_alternative_text():
    script = str(Picture()._esm)
    assert 'image.alt = model.get("alt")' in script and "lmSuppressShortcuts" in script


def test_a_point_is_two_numbers():
    picture = Picture(asks=True)
    picture.point = (0.25, 0.75)
    with pytest.raises(traitlets.TraitError):
        picture.point = (0.25,)


def test_a_drawing_comes_as_bytes():
    sketch = Sketch()
    sketch.value = memoryview(b"\x89PNG")  # as the browser's message holds it
    assert sketch.value == b"\x89PNG" and isinstance(sketch.value, bytes)
