"""Widgets are shells: a move of the slider must show what the plain function gives for that position."""

import io

import numpy as np
import pytest
from PIL import Image

from glann_lib import widgets


@pytest.mark.parametrize("channels", [1, 3])
def test_png_holds_the_pixels_enlarged(channels):
    image = np.random.default_rng(0).integers(0, 256, (channels, 28, 28), dtype=np.uint8)
    picture = np.asarray(Image.open(io.BytesIO(widgets.png_bytes(image, height=56))))
    assert picture.shape[:2] == (56, 56)
    assert (picture[::2, ::2] == (image[0] if channels == 1 else image.transpose(1, 2, 0))).all()


def test_slider_shows_what_the_function_gives():
    box = widgets.image_slider(lambda t: np.full((1, 4, 4), round(200 * t), np.uint8), "path", "a grey square")
    slider, image, text = box.children
    assert slider.description == "path" and "a grey square" in text.value
    assert image.value == widgets.png_bytes(np.zeros((1, 4, 4), np.uint8))
    slider.value = 0.5
    assert image.value == widgets.png_bytes(np.full((1, 4, 4), 100, np.uint8))
