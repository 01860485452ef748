"""What the widgets of paths share: two ends, the way between them, a slider along it, and a strip beneath."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np

from glann_lib.model import Glann
from glann_lib.records import runs
from glann_lib.sampling import PATHS
from glann_lib.settings import MANY_PIXELS
from glann_lib.widgets.explorer import Explorer, choice, labelled, require_kind, seed_box
from glann_lib.widgets.picture import Picture, png_bytes, strip_of

SHOWN = 9  # of a path's images or shapes, in the strip


class PathWidget(Explorer):
    """Two ends, a path of `frames` images or shapes, a slider along it, a player that moves it each `interval` ms.

    A subclass says how a frame is made ready (`prepare`) and shown, calls this constructor, then `begin`.
    """

    kind = "images"  # on the path
    prepare = staticmethod(png_bytes)  # of a frame what `show` takes; called once and kept
    pictures = staticmethod(np.asarray)  # of frames, for the strip, uint8 [n, C, H, W]

    def __init__(self, model: Glann, folder: Path | str, frames: int, interval: int, ends: str = "seed"):
        require_kind(model, self.kind)
        self.model, self.folder, self.frames = model, Path(folder), frames
        self._showing = threading.Lock()  # a path and a position can come at the same time
        self.first = seed_box(f"from {ends}", "where the path begins")
        self.last = seed_box(f"to {ends}", "where the path ends", 1)
        self.path = choice("path", "what changes evenly on the way", PATHS, value="noise-spherical")
        self.position = labelled(ipywidgets.IntSlider, "position", "place on the path", max=frames - 1)
        self.play = ipywidgets.Play(max=frames - 1, interval=interval, repeat=True, tooltip="move along the path")
        super().__init__([])

    def begin(self, row: Sequence[ipywidgets.Widget], strip: Picture, *controls: ipywidgets.Widget) -> None:
        """Show a row, the strip below it, and the first path; `controls`, too, ask for another."""
        self.strip, self.children = strip, (ipywidgets.HBox(row), strip, self.message)
        ipywidgets.jslink((self.play, "value"), (self.position, "value"))
        self.position.observe(lambda _: self._show_position(), "value")
        self.start(*controls, self.first, self.last, self.path)

    def request(self) -> tuple[Any, ...]:
        """The seeds of both ends, and the kind of path."""
        return self.first.value, self.last.value, self.path.value

    def draw(self, request: tuple[Any, ...]) -> None:
        """Show the path that `Glann.interpolate` draws."""
        self.say("")
        ends = self.ends_of(request)
        self.say("drawing the path ..." if self.model.generator.shape[-1] >= MANY_PIXELS else "")
        frames = self.model.interpolate(*ends, self.frames, request[-1])
        strip = frames[np.linspace(0, self.frames - 1, SHOWN).round().astype(int)]
        self.say("")
        self.shown = request, frames, strip, functools.cache(lambda position: self.prepare(frames[position]))
        self._show_position()
        words = f"{SHOWN} {self.kind} on the way {self.way(request)}, {request[-1]}"
        self.strip.show(strip_of(self.pictures(strip)), words)

    def ends_of(self, request: tuple[Any, ...]) -> Sequence[Any]:
        """Both ends, as `Glann.interpolate` takes them."""
        return request[-3:-1]

    def way(self, request: tuple[Any, ...]) -> str:
        """Both ends, in words."""
        return "from seed {} to seed {}".format(*request[-3:-1])

    def show(self, prepared: Any, part: str, request: tuple[Any, ...]) -> None:
        """Show the frame at that part of the way."""
        raise NotImplementedError

    def save_by(self, write: Callable[[], Path]) -> None:
        """Save by `write`, and say where it lies, or why not."""
        try:
            self.say(f"saved {runs.shown(write())}")
        except OSError as error:
            self.say(error.strerror or str(error))

    def _show_position(self) -> None:
        with self._showing:
            request, *_, prepared = self.shown
            position = self.position.value
            self.show(prepared(position), f"{position / (self.frames - 1):.0%}", request)
