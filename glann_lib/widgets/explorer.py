"""What the widgets share: controls that ask for a picture, drawn in a thread, the newest request first.

Each widget is a thin shell: `request` reads its controls, `draw` hands what they say to a plain function of the library
and shows what comes back. A mistake in what a person gave is one line below the controls, and the last picture stays.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets

from glann_lib.widgets.latest import Latest

WIDE = {"description_width": "10.5em"}  # the longest label is not cut off, and the controls stand below each other
LONG = "440px"  # of a slider with its label and its number


class Explorer(ipywidgets.VBox):
    """A box of controls and pictures; a line for messages comes last.

    A subclass makes its controls, calls this constructor with the rows to show, then `start`.
    """

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
        """Show what was asked for; runs in a thread of its own, and never twice at the same time."""
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
        """Return once what was asked for last is shown, for tests and scripts; see `Latest.wait`."""
        self._latest.wait(timeout)

    @property
    def superseded(self) -> bool:
        """Whether the controls ask for something newer already; long work stops then."""
        return self._latest.superseded

    def say(self, text: str) -> None:
        """A line below the controls; empty: none."""
        self.message.value = f'<span role="status">{html.escape(text)}</span>' if text else ""

    def _failed(self, error: Exception) -> None:
        meant = isinstance(error, ValueError | FileNotFoundError)  # for a person to read: one line that says what to do
        self.say(str(error) if meant else f"{type(error).__name__}: {error}")


def require_images(model: Any) -> None:
    """Refuse a model that draws shapes by a ValueError."""
    if len(set(model.generator.shape)) == 1:
        raise ValueError("this model draws shapes, this widget shows images: use widgets.ShapesWidget")
