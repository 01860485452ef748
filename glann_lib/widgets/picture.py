"""A picture for notebooks, and a field to draw in; the parts that run in the browser are picture.js and sketch.js.

ipywidgets' own Image has no alternative text and smooths small images when it enlarges them; this one enlarges pixel by
pixel, in the browser, so that only the small image travels.
"""

from __future__ import annotations

import io
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike
from PIL import Image

from glann_lib.settings import MANY_PIXELS

GAP = 2  # px between the images of a strip
FINE = 2  # a picture's pixels to one on the page, at most: what is larger is shrunk before it travels


def png_bytes(image: ArrayLike) -> bytes:
    """A uint8 image [C, H, W], C 1 or 3, as PNG."""
    pixels = np.asarray(image)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def shrunk(image: ArrayLike, width: int) -> np.ndarray:
    """A uint8 image [C, H, W], of no more than so many columns."""
    image = np.asarray(image)
    if image.shape[-1] <= width:
        return image
    size = width, max(1, round(image.shape[1] * width / image.shape[-1]))
    return np.stack([np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX)) for plane in image])


def widths_of(side: int) -> tuple[int, int]:
    """Pixels on the page that suit an image of so many, on its own and as one of nine in a strip."""
    return (224, 72) if side < MANY_PIXELS else (min(384, max(256, side)), 100)


def strip_of(images: ArrayLike) -> np.ndarray:
    """Images uint8 [N, C, H, W] side by side with white gaps, uint8 [C, H, W']."""
    images = np.asarray(images)
    padded = np.pad(images, ((0, 0), (0, 0), (0, 0), (0, GAP)), constant_values=255)
    return np.concatenate(padded, axis=2)[..., :-GAP]


class Picture(anywidget.AnyWidget):
    """A PNG with alternative text; where `asks` is set, a click, a drag or the arrow keys choose a point in it."""

    _esm = Path(__file__).with_name("picture.js")
    _css = Path(__file__).with_name("picture.css")
    value = traitlets.Bytes(b"").tag(sync=True)  # the PNG
    alt = traitlets.Unicode("").tag(sync=True)
    caption = traitlets.Unicode("").tag(sync=True)  # a line below it
    width = traitlets.Int(224).tag(sync=True)  # px on the page
    smooth = traitlets.Bool(False).tag(sync=True)  # whether the browser may smooth it
    asks = traitlets.Bool(False).tag(sync=True)
    # Parts of width and height from the upper left corner, each in [0, 1].
    point = traitlets.Tuple(traitlets.Float(), traitlets.Float(), default_value=(0.5, 0.5)).tag(sync=True)

    def show(self, image: ArrayLike, caption: str, alt: str = "") -> None:
        """Replace the picture by an image uint8 [C, H, W], and its words, in one message; `alt` is else the caption."""
        with self.hold_sync():
            self.value = png_bytes(shrunk(image, FINE * self.width))
            self.caption, self.alt = caption, alt or caption


class Sketch(anywidget.AnyWidget):
    """A field of white strokes on black; `value` is the drawing as PNG after each stroke, empty while there is none."""

    _esm = Path(__file__).with_name("sketch.js")
    _css = Path(__file__).with_name("sketch.css")
    value = traitlets.CBytes(b"").tag(sync=True)  # cast: the browser's bytes arrive as a view of memory
    label = traitlets.Unicode("drawing field").tag(sync=True)  # what to draw, in words
    brush = traitlets.Int(20).tag(sync=True)  # width of a stroke, px
    side = traitlets.Int(224).tag(sync=True)  # px
