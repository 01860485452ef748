"""Figures: arrays in, a matplotlib figure out; nothing is computed, trained or saved here.

One style for all: small type, no clutter, colours that colour-blind readers tell apart (Okabe and Ito). Images are
drawn pixel by pixel.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
STYLE = {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "legend.frameon": False,
    "pdf.fonttype": 42,
}
CELL = 0.55  # inches that one image takes in a grid
GAP = 2  # px between images


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Give a plotting function the house style; its figure is shown once, by whoever shows it."""

    @functools.wraps(draw)
    def drawing(*args: Any, **kwargs: Any) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
        plt.close(figure)  # the notebook shows the returned figure: not a second time at the cell's end
        return figure

    return drawing


@styled
def plot_images(
    images: ArrayLike, columns: int = 10, title: str = "", ax: Axes | None = None, cell: float = CELL
) -> Figure:
    """A grid of images, row by row.

    Args:
        images: uint8 [N, C, H, W], C 1 or 3.
        columns: images a row.
        title: above the grid.
        ax: where to draw; None: a new figure.
        cell: inches that an image takes.
    """
    images = np.asarray(images)
    rows = math.ceil(len(images) / columns)
    figure, ax = _axes(ax, (columns * cell, rows * cell + 0.3 * bool(title)))
    _show(ax, _tile([images[r * columns : (r + 1) * columns] for r in range(rows)], columns))
    ax.set_title(title)
    return figure


@styled
def plot_strips(strips: Mapping[str, ArrayLike], title: str = "", ax: Axes | None = None, cell: float = CELL) -> Figure:
    """Rows of images one below the other, each with its name on the left.

    Args:
        strips: name -> uint8 [N, C, H, W].
        title: above the rows.
        ax: where to draw; None: a new figure.
        cell: inches that an image takes.
    """
    rows = [np.asarray(images) for images in strips.values()]
    columns = max(len(row) for row in rows)
    label_width = 0.09 * max(len(name) for name in strips)
    figure, ax = _axes(ax, (columns * cell + label_width, len(rows) * cell + 0.3 * bool(title)))
    height = rows[0].shape[2]
    _show(ax, _tile(rows, columns))
    ax.set_yticks([(height + GAP) * r + height / 2 for r in range(len(rows))], list(strips))
    ax.tick_params(length=0)
    ax.set_title(title)
    return figure


@styled
def plot_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    log: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Lines, each with its name at its end.

    Args:
        curves: name -> (x [N], y [N]); integers on x (epochs) get no ticks between them.
        xlabel, ylabel: what the axes show, with units.
        title: above the axes.
        log: a logarithmic y axis.
        ax: where to draw; None: a new figure.
    """
    figure, ax = _axes(ax, (5.6, 2.8))
    for name, (x, y) in curves.items():
        ax.plot(x, y, label=name, marker="o" if len(x) < 15 else None, markersize=3)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    whole = all(np.issubdtype(np.asarray(x).dtype, np.integer) for x, _ in curves.values())
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=whole, steps=[1, 2, 2.5, 5, 10]))
    if log:
        ax.set_yscale("log")
        plain_log_numbers(ax, "y")
    if len(curves) > 1:
        ax.legend()
    return figure


@styled
def plot_bars(values: Mapping[str, float], xlabel: str, title: str = "", ax: Axes | None = None) -> Figure:
    """Horizontal bars with their values written beside them.

    Args:
        values: name -> value, drawn from top to bottom.
        xlabel: what the values are, with unit and orientation.
        title: above the axes.
        ax: where to draw; None: a new figure.
    """
    figure, ax = _axes(ax, (5.6, 0.36 * len(values) + 0.9))
    bars = ax.barh(list(values), list(values.values()), color=COLOURS[0], height=0.6)
    ax.bar_label(bars, fmt=lambda value: f"{value:.3g}", padding=3)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.12)
    ax.set(xlabel=xlabel, title=title)
    return figure


@styled
def plot_neighbours(queries: ArrayLike, neighbours: Mapping[str, ArrayLike], title: str = "") -> Figure:
    """Each query image and, to its right, its nearest images under one or more distances.

    Args:
        queries: uint8 [N, C, H, W].
        neighbours: name of the distance -> uint8 [N, k, C, H, W], nearest first.
        title: above the panels.
    """
    queries = np.asarray(queries)
    widths = [1, *(np.asarray(images).shape[1] for images in neighbours.values())]
    figure, axes = plt.subplots(
        1,
        len(widths),
        figsize=(sum(widths) * CELL + 0.2 * len(widths), len(queries) * CELL + 0.6),
        width_ratios=widths,
        layout="constrained",
    )
    panels = {"image": queries[:, None], **{name: np.asarray(images) for name, images in neighbours.items()}}
    for ax, (name, images) in zip(axes, panels.items(), strict=True):
        _show(ax, _tile(list(images), images.shape[1]))
        ax.set_title(name)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def pixels(image: np.ndarray) -> np.ndarray:
    """An image [C, H, W] as matplotlib draws it: [H, W] where it is grey, else [H, W, 3]."""
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def colour_scale(image: np.ndarray) -> dict[str, Any]:
    """What `imshow` needs beside `pixels`: none is smoothed, and grey runs from 0, black, to 255, white."""
    scale = {"cmap": "gray", "vmin": 0, "vmax": 255} if len(image) == 1 else {}
    return {"interpolation": "nearest", **scale}


def plain_log_numbers(ax: Axes, *names: str) -> None:
    """Write 1, 2, 5, 10, ... on a logarithmic axis, in place of powers of ten; more where it spans little.

    Args:
        ax: after everything is drawn.
        *names: "x", "y" or both.
    """
    for name in names:
        axis = {"x": ax.xaxis, "y": ax.yaxis}[name]
        low, high = axis.get_view_interval()
        decades = math.log10(high / low)
        axis.set_major_locator(MaxNLocator(5) if decades < 1 else LogLocator(subs=(1, 2, 5) if decades < 3 else (1,)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(NullFormatter())


def _axes(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    if ax is not None:
        return ax.figure, ax
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    return figure, ax


def _tile(rows: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Rows of uint8 images [n, C, H, W] as one picture [C, H', W'] with white gaps."""
    channels, height, width = rows[0].shape[1:]
    shape = (channels, len(rows) * (height + GAP) - GAP, columns * (width + GAP) - GAP)
    picture = np.full(shape, 255, np.uint8)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            top, left = r * (height + GAP), c * (width + GAP)
            picture[:, top : top + height, left : left + width] = image
    return picture


def _show(ax: Axes, picture: np.ndarray) -> None:
    ax.imshow(pixels(picture), **colour_scale(picture))
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
