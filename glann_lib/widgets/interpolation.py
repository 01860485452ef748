"""A path between two images to move along (Sec. 4.3): between two noises, or between real images that were inverted.

The plain functions behind it are `Glann.interpolate` and `Glann.invert`. A whole path is drawn at once, as many images
as the networks see in one block: moving along it then costs nothing.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
from torch import Tensor

from glann_lib.model import Glann
from glann_lib.records import runs
from glann_lib.records.plots import plot_strips
from glann_lib.sampling import BLOCK, PATHS, draw_noise
from glann_lib.widgets.explorer import LONG, WIDE, Explorer, require_images
from glann_lib.widgets.picture import Picture, png_bytes, strip_of

FRAMES = BLOCK  # images on a path
SHOWN = 9  # of them in the strip ...
STRIP = [round(number * (FRAMES - 1) / (SHOWN - 1)) for number in range(SHOWN)]  # ... these
SIDE = 224  # px of a saved animation, at least
NOISES, REAL = "random noises", "real images"


class InterpolationWidget(Explorer):
    """Two ends, the way between them, a slider along it, the whole strip beneath, and buttons that save it.

    `images` are real ones to go between, uint8 [N, C, S, S], best held out; each is inverted (Eq. 6), in `steps` of
    Adam, when it is first asked for. Where their `noises` [N, noise_dim] are known, the widget begins with them. The
    buttons save to `folder`. A ValueError refuses a model of shapes.
    """

    def __init__(
        self,
        model: Glann,
        images: Tensor | None = None,
        noises: Tensor | None = None,
        folder: Path | str = ".",
        steps: int = 150,
    ):
        require_images(model)
        self.model, self.images, self.folder, self.steps = model, images, Path(folder), steps
        self._showing = threading.Lock()  # a path and a position can come at the same time
        self._found: dict[int, Tensor] = {} if noises is None else dict(enumerate(noises))
        self.picture, self.strip = Picture(), Picture(width=SHOWN * 72)
        super().__init__([ipywidgets.HBox([self.picture, self._controls()]), self.strip])
        if images is None:
            self.ends.disabled = True
            self.ends.tooltip = "real images were not given to this widget, so that paths run between noises only"
        elif noises is not None:
            self.ends.value = REAL
        ipywidgets.jslink((self.play, "value"), (self.position, "value"))
        self.position.observe(lambda _: self._show_position(), "value")
        self.save_png.on_click(lambda _: self._saved(self._save_strip))
        self.save_gif.on_click(lambda _: self._saved(self._save_path))
        self.start(self.ends, self.first, self.last, self.path)

    def _controls(self) -> ipywidgets.Widget:
        kinds = [NOISES] if self.images is None else [NOISES, REAL]
        self.ends = ipywidgets.Dropdown(options=kinds, description="between", tooltip="what the ends are")
        self.first = ipywidgets.BoundedIntText(0, 0, 999_999, description="from number")
        self.last = ipywidgets.BoundedIntText(1, 0, 999_999, description="to number")
        self.first.tooltip = self.last.tooltip = "the seed of a noise, or the number of a real image"
        self.path = ipywidgets.Dropdown(options=list(PATHS), value="noise-spherical", description="path")
        self.position = ipywidgets.IntSlider(0, 0, FRAMES - 1, description="position", tooltip="place on the path")
        self.path.tooltip = "what changes evenly on the way"
        controls = [self.ends, self.first, self.last, self.path, self.position]
        for control in controls:
            control.style = WIDE
        self.position.layout.width = LONG
        self.play = ipywidgets.Play(max=FRAMES - 1, interval=60, repeat=True, tooltip="move along the path")
        self.save_png = ipywidgets.Button(description="save strip (PNG)", tooltip="write the strip below to a file")
        self.save_gif = ipywidgets.Button(
            description="save path (GIF)", tooltip="write the way there and back to a file"
        )
        return ipywidgets.VBox([*controls, self.play, ipywidgets.HBox([self.save_png, self.save_gif])])

    def request(self) -> tuple[str, int, int, str]:
        """Kind of the ends, their numbers, and the path."""
        return self.ends.value, self.first.value, self.last.value, self.path.value

    def draw(self, request: tuple[str, int, int, str]) -> None:
        """The path between two ends, as `Glann.interpolate` draws it."""
        kind, first, last, path = request
        self.say("")
        ends = self._noises(kind, first, last)
        frames = self.model.interpolate(*ends, FRAMES, path)
        self.shown = request, frames, [png_bytes(frame) for frame in frames]
        words = f"{SHOWN} images on the way from {self._name(kind, first)} to {self._name(kind, last)}, {path}"
        self.strip.show(strip_of(frames[STRIP]), alt=words, caption=words)
        self._show_position()

    def _noises(self, kind: str, *numbers: int) -> list[Tensor]:
        if kind == NOISES:
            return [draw_noise(1, self.model.mapper.noise_dim, number)[0] for number in numbers]
        new = sorted(set(numbers) - self._found.keys())
        if new and new[-1] >= len(self.images):
            raise ValueError(f"there are {len(self.images)} real images: choose numbers below {len(self.images)}")
        if new:
            self.say("looking for the real images in the space of the noise ...")
            self._found |= zip(new, self.model.invert(self.images[new], steps=self.steps).codes, strict=True)
            self.say("")
        return [self._found[number] for number in numbers]

    def _name(self, kind: str, number: int) -> str:
        return f"seed {number}" if kind == NOISES else f"real image {number}"

    def _show_position(self) -> None:
        with self._showing:
            (kind, first, last, _), _, pictures = self.shown
            part = self.position.value / (FRAMES - 1)
            words = f"{part:.0%} from {self._name(kind, first)} to {self._name(kind, last)}"
            with self.picture.hold_sync():
                self.picture.value = pictures[self.position.value]
                self.picture.alt = self.picture.caption = words

    def _saved(self, save: Any) -> None:
        """Save by `save`, and say where it lies, or why not."""
        kind, first, last, path = self.shown[0]
        stem = f"{'seeds' if kind == NOISES else 'images'}-{first}-{last}-{path}"
        data = self.model.record.get("data")
        facts = {"config": self.model.config.as_dict(), "data": data, "ends": list(self.shown[0])}
        try:
            saved = save(self.folder / stem, runs.provenance(self.model.device, **facts))
            self.say(f"saved {runs.shown(saved)}")
        except OSError as error:
            self.say(error.strerror or str(error))

    def _save_strip(self, path: Path, record: dict[str, Any]) -> Path:
        return runs.save_figure(plot_strips({"": self.shown[1][STRIP]}), path, record)

    def _save_path(self, path: Path, record: dict[str, Any]) -> Path:
        """There and back, enlarged without smoothing."""
        frames = self.shown[1].numpy()
        times = -(-SIDE // frames.shape[-1])
        large = frames.repeat(times, axis=2).repeat(times, axis=3)
        return runs.save_animation(np.concatenate([large, large[-2:0:-1]]), path, record)
