"""What the widgets share: controls that ask for a picture, which is drawn in a thread; the newest request counts.

A mistake in what a person gave is one line below the controls, and the last picture stays.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets

from glann_lib.widgets.latest import Latest

WIDE = {"description_width": "10.5em"}  # of the longest label: the controls stand below each other
LONG = "440px"  # of a slider with its label and its number
SLIDERS = (ipywidgets.IntSlider, ipywidgets.FloatSlider)


def labelled(kind: type[ipywidgets.Widget], label: str, tooltip: str, **options: Any) -> ipywidgets.Widget:
    """A control with a tooltip and a label as wide as the others'."""
    layout = {"width": LONG} if kind in SLIDERS else {}
    return kind(description=label, tooltip=tooltip, style=WIDE, layout=layout, **options)


def seed_box(label: str, tooltip: str, value: int = 0) -> ipywidgets.Widget:
    """A field for a seed, or for another whole number from 0."""
    return labelled(ipywidgets.BoundedIntText, label, tooltip, value=value, max=999_999)


def slider(label: str, tooltip: str, limit: float, step: float, readout_format: str) -> ipywidgets.Widget:
    """A number from -limit to limit, 0 at first."""
    options = {"min": -limit, "max": limit, "step": step, "readout_format": readout_format}
    return labelled(ipywidgets.FloatSlider, label, tooltip, **options)


def choice(label: str, tooltip: str, options: Sequence[Any], **more: Any) -> ipywidgets.Widget:
    """One of several, as a list that opens."""
    return labelled(ipywidgets.Dropdown, label, tooltip, options=options, **more)


class Explorer(ipywidgets.VBox):
    """Rows of controls and pictures, and a line for messages; a subclass calls this constructor, then `start`."""

    def __init__(self, rows: Sequence[ipywidgets.Widget]):
        self.message = ipywidgets.HTML()
        self._latest = Latest(self.draw, self._failed)
        super().__init__([*rows, self.message])

    def __repr__(self) -> str:
        """What a saved page shows in its place."""
        return f"{type(self).__name__}: moves when this notebook is run in JupyterLab"

    def request(self) -> Any:
        """What the controls ask for, as plain values."""
        raise NotImplementedError

    def draw(self, request: Any) -> None:
        """Show what was asked for; runs in a thread of its own, never twice at once."""
        raise NotImplementedError

    def start(self, *controls: ipywidgets.Widget) -> None:
        """Draw what the controls ask for now, and again whenever the value of one of them changes."""
        self.draw(self.request())
        for control in controls:
            control.observe(lambda _: self.refresh(), "value")

    def refresh(self) -> None:
        """Ask for what the controls say now; returns at once."""
        self._latest.submit(self.request())

    def wait(self, timeout: float = 60) -> None:
        """Return once what was asked for last is shown; see `Latest.wait`."""
        self._latest.wait(timeout)

    @property
    def superseded(self) -> bool:
        """Whether the controls ask for something newer already; long work stops then."""
        return self._latest.superseded

    def say(self, text: str) -> None:
        """A line below the controls; empty: none."""
        self.message.value = f'<span role="status">{html.escape(text)}</span>' if text else ""

    def _failed(self, error: Exception) -> None:
        meant = isinstance(error, ValueError | FileNotFoundError)  # one line for a person, that says what to do
        self.say(str(error) if meant else f"{type(error).__name__}: {error}")


def require_kind(model: Any, shown: str = "images") -> None:
    """ValueError where the model draws something else than what is shown, "images" or "shapes"."""
    drawn = "shapes" if len(set(model.generator.shape)) == 1 else "images"
    if drawn != shown:
        fitting = "InterpolationWidget" if drawn == "images" else "ShapesWidget"
        raise ValueError(f"this model draws {drawn}, this widget shows {shown}: use widgets.{fitting}")
