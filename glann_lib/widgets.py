"""Sliders for the notebooks: thin ipywidgets shells; every picture they show comes from a plain function."""

from __future__ import annotations

import io
from collections.abc import Callable

import ipywidgets
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image


def png_bytes(image: ArrayLike, height: int = 224) -> bytes:
    """A uint8 image [C, H, W], C 1 or 3, as PNG, enlarged to `height` px without smoothing."""
    pixels = np.asarray(image)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    width = round(picture.width * height / picture.height)
    buffer = io.BytesIO()
    picture.resize((width, height), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def image_slider(render: Callable[[float], ArrayLike], label: str, alt: str) -> ipywidgets.VBox:
    """A slider from 0 to 1 and the image that belongs to its position.

    Args:
        render: position in [0, 1] -> uint8 image [C, H, W]; called at every move.
        label: stands beside the slider.
        alt: says in words what the image shows, for readers who do not see it.
    """
    slider = ipywidgets.FloatSlider(value=0.0, min=0.0, max=1.0, step=0.05, description=label, readout_format=".2f")
    slider.style.description_width = "initial"
    image = ipywidgets.Image(value=png_bytes(render(slider.value)), format="png")
    image.layout.width = "224px"

    def show(change: dict) -> None:
        image.value = png_bytes(render(change["new"]))

    slider.observe(show, names="value")
    return ipywidgets.VBox([slider, image, ipywidgets.HTML(f"<small>{alt}</small>")])
