"""A map of the training latents to point at: what is drawn at a point of it, and which training images lie near."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import ArrayLike
from torch import Tensor

from glann_lib.data.record import name_classes
from glann_lib.model import Glann
from glann_lib.neighbours import nearest_neighbours
from glann_lib.records.latent_plots import TEN_COLOURS
from glann_lib.records.plots import house_style, literal, use_fonts
from glann_lib.sampling import LIVE, decode
from glann_lib.widgets.explorer import Explorer, require_kind
from glann_lib.widgets.latent_map import LatentMap
from glann_lib.widgets.picture import Picture, strip_of, widths_of

NEAREST = 6  # training images that are shown
WIDTH = 360  # px of the map on the page; twice as many are drawn
MOST_CLASSES = 10  # that have a colour of their own
HOW = "Each point is the latent of a training image. Click, drag or press arrow keys to choose where to draw."


def place(latent_map: LatentMap, point: Sequence[float]) -> tuple[float, float]:
    """Where in the plane a point of the map's picture lies, given in parts of width and height from its upper left."""
    left, right, bottom, top = latent_map.extent()
    return left + point[0] * (right - left), top + point[1] * (bottom - top)


def at(model: Glann, latent_map: LatentMap, point: Sequence[float]) -> Tensor:
    """The image drawn at a point (x, y) of the plane, uint8 [C, S, S]."""
    return decode(model.generator, latent_map.lift(torch.tensor([point])), block=LIVE)[0]


def nearest_training(latent_map: LatentMap, point: Sequence[float], count: int = NEAREST) -> list[int]:
    """The numbers of the training images whose latents are nearest, by angle, to the code drawn at (x, y)."""
    code = latent_map.lift(torch.tensor([point]))
    return nearest_neighbours(code, latent_map.latents, count).index[0].tolist()


@house_style()
def draw_map(
    latent_map: LatentMap, labels: ArrayLike | None = None, names: Sequence[str] = (), width: int = 2 * WIDTH
) -> np.ndarray:
    """The map, uint8 [3, width, width]; the picture's edges are `latent_map.extent`.

    Up to 10 classes of `labels` [N] have a colour each; their names, or else numbers, stand at or near their means, as
    colours alone do not tell everybody which is which.
    """
    figure = Figure(figsize=(4, 4), dpi=width / 4, facecolor="white")
    canvas, ax = FigureCanvasAgg(figure), figure.add_axes((0, 0, 1, 1))
    left, right, bottom, top = latent_map.extent()
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.axis("off")
    points = latent_map.points.numpy()
    classes = {label: literal(name) for label, name in _classes(labels, names).items()}
    colours = TEN_COLOURS(np.asarray(labels)) if classes else [TEN_COLOURS(0)] * len(points)
    order = np.random.default_rng(0).permutation(len(points))  # else the last class would lie above all others
    size = float(np.clip(18000 / len(points), 4, 14))
    ax.scatter(*points[order].T, s=size, c=np.asarray(colours)[order], alpha=0.75, linewidths=0)
    if classes:
        places = latent_map.name_places(labels, classes)
        for (label, name), spot in zip(classes.items(), places, strict=True):
            # A white halo, and one of the class's colour around it, tell the name from the points.
            halo = [Stroke(linewidth=7, foreground=TEN_COLOURS(label)), Stroke(linewidth=4, foreground="white")]
            style = {"weight": "bold", "size": 11, "path_effects": [*halo, Normal()]}
            ax.text(*spot, name, ha="center", va="center", **style)
    use_fonts(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].transpose(2, 0, 1).copy()


def _classes(labels: ArrayLike | None, names: Sequence[str]) -> dict[int, str]:
    """Names by label of the classes that are told apart: none where there are too many or only one."""
    named = {} if labels is None else name_classes(labels, names)
    return named if len(named) > 1 and max(named) < MOST_CLASSES else {}


class MapWidget(Explorer):
    """A map of the training latents; beside it what is drawn at the chosen point and the training images near it.

    `images` are the training images in their order, uint8 [N, C, S, S] (None: their reconstructions are shown), `names`
    the classes' (empty: the model's own). A ValueError refuses a model of shapes and other images.
    """

    def __init__(self, model: Glann, images: Tensor | None = None, names: Sequence[str] = ()):
        require_kind(model)
        shape = (len(model.latents), *model.generator.shape)
        if images is not None and (tuple(images.shape) != shape or images.dtype != torch.uint8):
            kind = f"{images.dtype} {list(images.shape)}"
            raise ValueError(f"images are {kind}: give the training images in their order, uint8 {list(shape)}")
        self.model, self.images, self.names = model, images, tuple(names) or model.class_names
        self.plane = LatentMap.of(model.latents)
        self.map = Picture(width=WIDTH, smooth=True, asks=True)
        width, thumbnail = widths_of(model.generator.shape[-1])
        self.picture, self.strip = Picture(width=width), Picture(width=NEAREST * (thumbnail - 12))
        self.map.layout = ipywidgets.Layout(width=f"{WIDTH + 16}px", flex="none")  # or a long caption moves the rest
        self.map.show(draw_map(self.plane, model.labels, self.names), HOW, self._map_in_words())
        super().__init__([ipywidgets.HBox([self.map, ipywidgets.VBox([self.picture, self.strip])])])
        self.start()
        self.map.observe(lambda _: self.refresh(), "point")

    def request(self) -> tuple[float, float]:
        """The chosen point of the plane."""
        return place(self.plane, self.map.point)

    def draw(self, request: tuple[float, float]) -> None:
        """Show the image at the point and then, unless something newer is asked for, the training images near it."""
        words = "drawn at ({:.2f}, {:.2f}) of the map".format(*request)
        self.picture.show(at(self.model, self.plane, request), words, f"image {words}")
        if self.superseded:
            return
        rows = nearest_training(self.plane, request, min(NEAREST, len(self.model.latents)))
        words = "nearest training images"
        if self.images is not None:
            images = self.images[rows]
        else:
            words += ", as the generator gives them back"
            images = decode(self.model.generator, self.model.latents[rows], block=LIVE)
        if self.model.labels is None:
            words += f": numbers {', '.join(map(str, rows))}"
        else:
            labels = self.model.labels[rows]
            named = name_classes(labels, self.names)
            words += f": {', '.join(named[label] for label in labels.tolist())}"
        self.strip.show(strip_of(images), words)

    def _map_in_words(self) -> str:
        told = ", ".join(_classes(self.model.labels, self.names).values())
        colours = f"a colour for each class, its name at the mean: {told}" if told else "all in one colour"
        part = f"which hold {self.plane.explained:.0%} of their variance"
        return f"map of {len(self.plane.points):,} latents in two dimensions, {part}; {colours}"
