"""A path between two images to move along (Sec. 4.3): between two noises, or between real images that were inverted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
from torch import Tensor

from glann_lib.model import Glann
from glann_lib.records import runs
from glann_lib.records.plots import plot_strips
from glann_lib.sampling import BLOCK
from glann_lib.settings import MANY_PIXELS
from glann_lib.widgets.explorer import choice
from glann_lib.widgets.paths import SHOWN, PathWidget
from glann_lib.widgets.picture import FINE, Picture, png_bytes, shrunk, widths_of

FRAMES = BLOCK  # images on a path: as many as the networks see in one block; of more than 128 px fewer
SIDE, MOST = 224, 512  # px of a saved animation, at least and at most
NOISES, REAL = "random noises", "real images"


class InterpolationWidget(PathWidget):
    """Two ends, a slider along the way between them, the whole strip beneath, and buttons that save it to `folder`.

    `images` are real ones to go between, uint8 [N, C, S, S], best held out; each is inverted (Eq. 6), in `steps` of
    Adam, when it is first asked for. Where their `noises` [N, noise_dim] are known, the widget begins with them. A
    ValueError refuses a model of shapes.
    """

    def __init__(
        self,
        model: Glann,
        images: Tensor | None = None,
        noises: Tensor | None = None,
        folder: Path | str = ".",
        steps: int = 150,
    ):
        side = model.generator.shape[-1]
        frames = FRAMES if side <= MANY_PIXELS else max(SHOWN, FRAMES * MANY_PIXELS // side + 1)
        super().__init__(model, folder, frames, interval=60 * FRAMES // frames, ends="number")
        self.images, self.steps = images, steps
        self._found: dict[int, Tensor] = {} if noises is None else dict(enumerate(noises))
        self.first.tooltip = self.last.tooltip = "the seed of a noise, or the number of a real image"
        self.ends = choice("between", "what the ends are", [NOISES, REAL])
        if images is None:
            self.ends.options, self.ends.disabled = [NOISES], True
            self.ends.tooltip = "real images were not given to this widget, so that paths run between noises only"
        elif noises is not None:
            self.ends.value = REAL
        self.save_png = self._saver("save strip (PNG)", "write the strip below to a file", self._save_strip)
        self.save_gif = self._saver("save path (GIF)", "write the way there and back to a file", self._save_path)
        width, thumbnail = widths_of(side)
        self.picture = Picture(width=width)
        buttons = ipywidgets.HBox([self.save_png, self.save_gif])
        controls = [self.ends, self.first, self.last, self.path, self.position, self.play, buttons]
        self.begin([self.picture, ipywidgets.VBox(controls)], Picture(width=SHOWN * thumbnail), self.ends)

    def request(self) -> tuple[str, int, int, str]:
        """The kind of the ends, their numbers, and the path."""
        return self.ends.value, *super().request()

    def ends_of(self, request: tuple[str, int, int, str]) -> Sequence[int | Tensor]:
        """Seeds, or the noises of real images, sought where they are not known yet; ValueError beyond the images."""
        kind, *numbers, _ = request
        if kind == NOISES:
            return numbers
        new = sorted(set(numbers) - self._found.keys())
        if new and new[-1] >= len(self.images):
            raise ValueError(f"there are {len(self.images)} real images: choose numbers below {len(self.images)}")
        if new:
            self.say("looking for the real images in the space of the noise ...")
            self._found |= zip(new, self.model.invert(self.images[new], steps=self.steps).codes, strict=True)
            self.say("")
        return [self._found[number] for number in numbers]

    def way(self, request: tuple[str, int, int, str]) -> str:
        """Both ends, in words."""
        words = super().way(request)
        return words if request[0] == NOISES else words.replace("seed", "real image")

    def prepare(self, frame: Tensor) -> bytes:
        """A frame as the browser gets it."""
        return png_bytes(shrunk(frame, FINE * self.picture.width))

    def show(self, prepared: bytes, part: str, request: tuple[str, int, int, str]) -> None:
        """Show one image of the path."""
        with self.picture.hold_sync():
            self.picture.value = prepared
            self.picture.alt = self.picture.caption = f"{part} {self.way(request)}"

    def _saver(self, label: str, tooltip: str, write: Callable[[Path, dict[str, Any]], Path]) -> ipywidgets.Button:
        button = ipywidgets.Button(description=label, tooltip=tooltip)
        button.on_click(lambda _: self.save_by(lambda: write(*self._path_and_record())))
        return button

    def _path_and_record(self) -> tuple[Path, dict[str, Any]]:
        request = self.shown[0]
        stem = "-".join(["seeds" if request[0] == NOISES else "images", *map(str, request[1:])])
        facts = {"config": self.model.config.as_dict(), "data": self.model.record.get("data"), "ends": list(request)}
        return self.folder / stem, runs.provenance(self.model.device, **facts)

    def _save_strip(self, path: Path, record: dict[str, Any]) -> Path:
        return runs.save_figure(plot_strips({"": self.shown[2]}), path, record)

    def _save_path(self, path: Path, record: dict[str, Any]) -> Path:
        """There and back, enlarged without smoothing."""
        frames = np.stack([shrunk(frame, MOST) for frame in self.shown[1].numpy()])
        times = -(-SIDE // frames.shape[-1])
        large = frames.repeat(times, axis=2).repeat(times, axis=3)
        return runs.save_animation(np.concatenate([large, large[-2:0:-1]]), path, record)
