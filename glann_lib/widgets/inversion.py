"""The noise that draws a given image, sought before one's eyes (Eq. 6), and walks from it towards fresh noises."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import ipywidgets
import torch
from torch import Tensor

from glann_lib import features
from glann_lib.engine.devices import images_at_once
from glann_lib.model import Glann
from glann_lib.sampling import decode, draw_noise, interpolate, run_blocks
from glann_lib.widgets import uploads
from glann_lib.widgets.explorer import Explorer, labelled, require_kind, seed_box
from glann_lib.widgets.latest import Latest
from glann_lib.widgets.picture import Picture, Sketch, strip_of, widths_of

SHOW_EVERY = 5  # steps of the search
PARTS = 100  # of the way to a fresh noise, that `vary` can stop at
SEEDS = tuple(range(9))  # of the strip
EXAMPLES = 8, 64  # samples that tell how the model's own images are placed: at least, and up to 64 px
FILE, DRAWING, NOTHING = "file", "drawing", "nothing"


def require_weights(model: Glann) -> None:
    """FileNotFoundError, with where to put the weights, where the model's loss would need a download."""
    if model.config.glo.loss == "vgg16" and features.missing_weights("vgg16"):
        raise FileNotFoundError(
            f"this model's loss needs the ImageNet weights of VGG16, which are not here: put {features.VGG16_FILE} "
            "into data/weights or into the folder that GLANN_WEIGHTS names"
        )


def vary(model: Glann, noise: Tensor, amount: float, seeds: Sequence[int]) -> Tensor:
    """Images on the ways from one noise [noise_dim] to those of `seeds`, along great circles, uint8 [n, C, S, S].

    `amount` is the part of the way, 0 to 1 (else a ValueError), to the hundredth: at 0 all are the image of `noise`.
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"amount is {amount:g}: give a part of the way, 0 to 1")
    ends = [draw_noise(1, model.mapper.noise_dim, seed)[0] for seed in seeds]
    ways = [interpolate(noise, end, PARTS + 1, spherical=True)[round(PARTS * amount)] for end in ends]
    return decode(model.generator, run_blocks(model.mapper, torch.stack(ways), len(ways)), len(ways))


class InversionWidget(Explorer):
    """A file or a drawing, what `steps` of Adam from `restarts` noises make of it, and variations of what was found.

    More steps and restarts find better and take longer; None: as many as `Glann.invert` takes. A ValueError refuses a
    model of shapes.
    """

    def __init__(self, model: Glann, steps: int = 150, restarts: int | None = None):
        require_kind(model)
        self.model, self.steps, self.restarts = model, steps, restarts
        self._examples = model.sample(max(EXAMPLES[0], images_at_once(EXAMPLES[1], model.generator.shape[-1])))
        self._given: tuple[str, Tensor | ValueError | None] = NOTHING, None
        self._noise: Tensor | None = None
        self._variations = Latest(self._vary, self._failed)
        super().__init__([ipywidgets.HBox([self._givers(), self._results()])])
        self.upload.observe(lambda _: self._uploaded(), "value")
        self.sketch.observe(lambda _: self._drawn(), "value")
        self.wipe.on_click(lambda _: self.sketch.set_trait("value", b""))
        for control in (self.amount, self.seed):
            control.observe(lambda _: self._ask_variations(), "value")
        self.start(self.swap)

    def _givers(self) -> ipywidgets.Widget:
        self.upload = ipywidgets.FileUpload(
            accept="image/*", description="upload image", tooltip="PNG, JPEG, WebP, BMP"
        )
        self.upload.layout.width = "max-content"  # its label grows with the number of files
        words = "draw something like the training images"
        self.sketch = Sketch(label=words)
        self.wipe = ipywidgets.Button(description="wipe", tooltip="empty the drawing field")
        dark = "for an image that is dark where the training images are bright"
        self.swap = labelled(ipywidgets.Checkbox, "swap light and dark", dark, indent=False)
        return ipywidgets.VBox([self.upload, ipywidgets.Label(f"or {words}:"), self.sketch, self.wipe, self.swap])

    def _results(self) -> ipywidgets.Widget:
        width = 3 * widths_of(self.model.generator.shape[-1])[0] // 4
        self.given, self.found, self.variation = (Picture(width=width) for _ in range(3))
        way = "part of the way from the noise that was found to a fresh one"
        self.amount = labelled(ipywidgets.FloatSlider, "vary", way, value=0.3, max=1, step=1 / PARTS)
        self.seed = seed_box("of seed", "of the fresh noise that the third picture goes towards")
        self.strip = Picture(width=3 * width)
        pictures = ipywidgets.HBox([self.given, self.found, self.variation])
        return ipywidgets.VBox([pictures, self.amount, self.seed, self.strip])

    def request(self) -> tuple[str, Tensor | ValueError | None, bool]:
        """Which of file, drawing and nothing; the image, or why there is none; whether to swap light and dark."""
        return *self._given, self.swap.value

    def draw(self, request: tuple[str, Tensor | ValueError | None, bool]) -> None:
        """Look for the noise of what was given, until it is found or something else is given."""
        kind, image, swap = request
        if isinstance(image, ValueError):
            raise image
        self.say("")
        if image is None:
            blank = torch.zeros(1, *self.model.generator.shape, dtype=torch.uint8)
            self._show_given(blank, "upload an image or draw one")
            return
        require_weights(self.model)
        image = 255 - image if swap else image
        self._show_given(image, f"what was given, a {kind}" + ", light and dark swapped" * swap)
        self._search(image)

    def wait(self, timeout: float = 60) -> None:
        """Return once what was asked for last is shown, its variations, too."""
        super().wait(timeout)
        self._variations.wait(timeout)

    def _show_given(self, image: Tensor, words: str) -> None:
        self._noise = None
        self.given.show(image[0], words)
        empty = torch.zeros_like(image)
        self.found.show(empty[0], "what is found comes here")
        self.variation.show(empty[0], "its variations come here")
        self.strip.show(strip_of(empty.repeat(len(SEEDS), 1, 1, 1)), "its variations come here")

    def _search(self, image: Tensor) -> None:
        began = time.monotonic()
        search = self.model.search(image, restarts=self.restarts, steps=self.steps, every=1)
        for step, found in enumerate(search):
            if self.superseded:
                return
            loss = found.loss.item()
            if step % SHOW_EVERY == 0 or step == self.steps:
                words = f"step {step} of {self.steps}, loss {loss:.3f}"
                self.found.show(found.images[0], words, f"the image of the noise found so far: {words}")
        self._noise = found.codes[0]
        self.say(f"found in {time.monotonic() - began:.1f} s, loss {loss:.3f}")
        self._ask_variations()

    def _ask_variations(self) -> None:
        if self._noise is not None:
            self._variations.submit((self._noise, self.amount.value, self.seed.value))

    def _vary(self, request: tuple[Tensor, float, int]) -> None:
        """Drawn in a thread of its own: a search goes on meanwhile."""
        noise, amount, seed = request
        one, *strip = vary(self.model, noise, amount, [seed, *SEEDS])
        if noise is not self._noise:  # something else was given
            return
        words = f"{amount:.0%} of the way to seed {seed}"
        self.variation.show(one, words, f"a variation of what was found: {words}")
        words = f"{amount:.0%} of the way to seeds {SEEDS[0]} to {SEEDS[-1]}"
        self.strip.show(strip_of(torch.stack(strip)), words, f"variations of what was found: {words}")

    def _uploaded(self) -> None:
        if not self.upload.value:
            return  # set back
        image = _read(uploads.from_file, bytes(self.upload.value[0]["content"]), self.model.generator.shape)
        known = isinstance(image, Tensor)
        self._give(FILE, image, uploads.looks_inverted(image, self._examples) if known else self.swap.value)
        self.sketch.value = b""  # what is seen is what counts

    def _drawn(self) -> None:
        if self.sketch.value:
            image = _read(uploads.from_drawing, self.sketch.value, self._examples)
            self._give(DRAWING, image, self.swap.value and self._given[0] == DRAWING)
            self.upload.value = ()
        elif self._given[0] == DRAWING:
            self._give(NOTHING, None, False)

    def _give(self, kind: str, image: Tensor | ValueError | None, swap: bool) -> None:
        """Ask once: to set the checkbox to another value is to ask."""
        self._given = kind, image
        if swap == self.swap.value:
            self.refresh()
        else:
            self.swap.value = swap


def _read(read: Any, content: bytes, like: Any) -> Tensor | ValueError:
    try:
        return read(content, like)
    except ValueError as error:
        return error
