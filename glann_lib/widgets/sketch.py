"""A field to draw in, with the mouse, a finger, a pen or the keyboard; the part in the browser is sketch.js."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

PIXELS = 224  # of the drawing's sides


class Sketch(anywidget.AnyWidget):
    """A field of white strokes on black; `value` is the drawing as PNG after each stroke, empty while there is none."""

    _esm = Path(__file__).with_name("sketch.js")
    _css = Path(__file__).with_name("sketch.css")
    value = traitlets.CBytes(b"").tag(sync=True)  # cast: the browser's bytes arrive as a view of memory
    label = traitlets.Unicode("drawing field").tag(sync=True)  # what to draw, in words
    brush = traitlets.Int(20).tag(sync=True)  # width of a stroke, px
    side = traitlets.Int(PIXELS).tag(sync=True)  # px
