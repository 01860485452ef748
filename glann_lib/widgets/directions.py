"""An image moved along directions in the space of the latents: those of largest variance, and those towards a class."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets
import torch
from torch import Tensor

from glann_lib.model import Glann
from glann_lib.sampling import LIVE, decode
from glann_lib.widgets import latent_directions
from glann_lib.widgets.explorer import Explorer, choice, require_kind, seed_box, slider
from glann_lib.widgets.latent_directions import Direction, move
from glann_lib.widgets.picture import Picture, strip_of, widths_of

SHOWN = 9  # in the strip
PRINCIPAL, ATTRIBUTE = 3.0, 6.0  # ends of the sliders, in standard deviations of the latents
ONE_CLASS = "attribute directions tell classes apart, and this model's training images are of one class"


def moved(model: Glann, latent: Tensor, directions: Sequence[Direction], amounts: Sequence[float]) -> Tensor:
    """The image of a latent [D] moved as by `latent_directions.move`, uint8 [C, S, S]."""
    return decode(model.generator, move(latent[None], directions, amounts), block=LIVE)[0]


def along(
    latent: Tensor, directions: Sequence[Direction], amounts: Sequence[float], moving: int, limit: float = PRINCIPAL
) -> Tensor:
    """Latents [9, D]: direction number `moving` goes evenly from -limit to limit, the others stay at their amounts."""
    steps = [[*amounts] for _ in range(SHOWN)]
    for step, amount in zip(steps, torch.linspace(-limit, limit, SHOWN).tolist(), strict=True):
        step[moving] = amount
    return torch.cat([move(latent[None], directions, step) for step in steps])


class DirectionsWidget(Explorer):
    """The image of `model.sample(1, seed)`, a slider a principal direction, and the whole way of the one moved last.

    Where the training images have labels, the image can be of one class, and one more slider leads towards one. A
    ValueError refuses a model of shapes and a count beyond the latents' width.
    """

    def __init__(self, model: Glann, seed: int = 0, count: int = 5):
        require_kind(model)
        self.model, self._attributes = model, {}
        self._principal = latent_directions.principal_directions(model.latents, count)
        self.seed = seed_box("seed", "the number of the image that is moved", seed)
        self.sliders = [_slider(direction.name, PRINCIPAL) for direction in self._principal]
        self._names = model.classes
        classes = [(name, label) for label, name in self._names.items()]
        self.of = choice("of class", "the class that the image of the seed is drawn from", [("any", None), *classes])
        self.kind = choice("more like", "the class towards which the last slider moves", classes)
        self.likeness = _slider("how much more", ATTRIBUTE)
        self.zero = ipywidgets.Button(description="all to zero", tooltip="the image of the seed as it is")
        width, thumbnail = widths_of(model.generator.shape[-1])
        self.picture, self.strip = Picture(width=width), Picture(width=SHOWN * thumbnail)
        # Or a long caption moves the controls.
        self.picture.layout = ipywidgets.Layout(width=f"{width + 16}px", flex="none")
        self._moving = 0
        controls = [self.seed, self.of, *self.sliders, self.kind, self.likeness]
        rows = [*controls, *self._refusal(), self.zero]
        super().__init__([ipywidgets.HBox([self.picture, ipywidgets.VBox(rows)]), self.strip])
        for number, control in enumerate([*self.sliders, self.likeness]):
            control.observe(lambda _, number=number: self._now_moves(number), "value")
        self.kind.observe(lambda _: self._now_moves(len(self.sliders)), "value")
        self.zero.on_click(lambda _: self._all_to_zero())
        self.start(*controls)

    def request(self) -> tuple[int, int | None, int | None, tuple[float, ...], int]:
        """The seed and its class, the class moved towards, the amounts with its own last, and the number moved last."""
        amounts = tuple(round(slider.value, 3) for slider in (*self.sliders, self.likeness))
        return self.seed.value, self.of.value, self.kind.value, amounts, self._moving

    def draw(self, request: tuple[int, int | None, int | None, tuple[float, ...], int]) -> None:
        """Show the image and then, unless something newer is asked for, the strip."""
        seed, of, label, amounts, moving = request
        directions = self._directions(label, amounts, moving)
        amounts = amounts[: len(directions)]
        latent = self.model.codes(1, seed, of)[0]
        image = f"seed {seed}" if of is None else f"seed {seed} of class {self._names[of]}"
        words = _words(image, directions, amounts)
        self.picture.show(moved(self.model, latent, directions, amounts), words, f"image of {words}")
        self.say("")
        limit = ATTRIBUTE if moving == len(self._principal) else PRINCIPAL
        images = []
        for latents in along(latent, directions, amounts, moving, limit).split(LIVE):
            if self.superseded:
                return
            images.append(decode(self.model.generator, latents, block=LIVE))
        rest = _words(image, directions, [0 if number == moving else amount for number, amount in enumerate(amounts)])
        words = f"{directions[moving].name} from {-limit:+g} to {limit:+g}, the rest as above: {rest}"
        self.strip.show(strip_of(torch.cat(images)), words, f"{SHOWN} images: {words}")

    def _directions(self, label: int | None, amounts: Sequence[float], moving: int) -> list[Direction]:
        """The principal ones and, learned when it is first needed, that towards the class."""
        if not amounts[-1] and moving < len(self._principal):
            return self._principal
        if label not in self._attributes:
            self.say("learning the direction from the labels ...")
            labels = None if label is None else (self.model.labels == label).long()
            names = ("the rest", self._names.get(label))
            self._attributes[label] = latent_directions.attribute_directions(self.model.latents, labels, names)[1]
        return [*self._principal, self._attributes[label]]

    def _refusal(self) -> list[ipywidgets.Widget]:
        """Switches off what needs labels where there are none to learn from; a line that says why."""
        if len(self.kind.options) > 1:
            return []
        reason = latent_directions.NO_LABELS if self.model.labels is None else ONE_CLASS
        for control in (self.of, self.kind, self.likeness):
            control.disabled, control.tooltip = True, reason
        return [ipywidgets.HTML(f"<small>{reason}</small>")]

    def _now_moves(self, number: int) -> None:
        self._moving = number

    def _all_to_zero(self) -> None:
        moving = self._moving
        for control in (*self.sliders, self.likeness):
            control.value = 0.0
        self._moving = moving  # the strip stays that of the slider moved last
        self.refresh()


def _words(image: str, directions: Sequence[Direction], amounts: Sequence[float]) -> str:
    parts = [
        f"{direction.name} at {amount:+g}" for direction, amount in zip(directions, amounts, strict=True) if amount
    ]
    return ", ".join([image, *parts])


def _slider(name: str, limit: float) -> ipywidgets.Widget:
    return slider(name, f"{name}, in standard deviations of the training images' latents", limit, 0.1, "+.1f")
