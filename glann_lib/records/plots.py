"""Figures in one style: arrays in, a matplotlib figure out; nothing is computed, trained or saved here."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

# Colour-blind readers tell them apart (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
STYLE = {"figure.dpi": 110, "figure.facecolor": "white", "legend.frameon": False, "pdf.fonttype": 42}
STYLE |= {"font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left"}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False, "axes.prop_cycle": plt.cycler(color=COLOURS)}
STYLE |= {"axes.grid": True, "axes.axisbelow": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.6}
CELL = 0.55  # inches that one image takes in a grid
GAP = 2  # px between images


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """A plotting function in the house style; its figure is closed, and shown by whoever shows it."""

    @functools.wraps(draw)
    def drawing(*args: Any, **kwargs: Any) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
        plt.close(figure)  # or the notebook shows it a second time, at the cell's end
        return figure

    return drawing


@styled
def plot_images(images: ArrayLike, columns: int = 10, title: str = "", cell: float = CELL) -> Figure:
    """A grid of images, uint8 [N, C, H, W] with C 1 or 3, row by row; each takes `cell` inches."""
    images = np.asarray(images)
    rows = [images[i : i + columns] for i in range(0, len(images), columns)]
    figure, ax = _subplots((columns * cell, len(rows) * cell + 0.3 * bool(title)))
    _show_grid(ax, rows, columns, title)
    return figure


@styled
def plot_strips(strips: Mapping[str, ArrayLike], title: str = "", ax: Axes | None = None, cell: float = CELL) -> Figure:
    """Rows of images, uint8 [N, C, H, W], one below the other, each with its name on the left."""
    rows = [np.asarray(images) for images in strips.values()]
    columns = max(map(len, rows))
    label_width = 0.09 * max(map(len, strips))
    if ax is None:
        _, ax = _subplots((columns * cell + label_width, len(rows) * cell + 0.3 * bool(title)))
    height = rows[0].shape[2]
    _show_grid(ax, rows, columns, title)
    ax.set_yticks([(height + GAP) * r + height / 2 for r in range(len(rows))], list(strips))
    ax.tick_params(length=0)
    return ax.figure


@styled
def plot_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], xlabel: str, ylabel: str, title: str = "", log: bool = False
) -> Figure:
    """Lines (x [N], y [N]) by name; integers on x (epochs) get no ticks between them, `log` is of y."""
    figure, ax = _subplots((5.6, 2.8))
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
def plot_bars(values: Mapping[str, float], xlabel: str) -> Figure:
    """Horizontal bars from top to bottom, their values beside them; `xlabel` tells the unit and which way is better."""
    figure, ax = _subplots((5.6, 0.36 * len(values) + 0.9))
    bars = ax.barh(list(values), list(values.values()), color=COLOURS[0], height=0.6)
    ax.bar_label(bars, fmt="{:.3g}", padding=3)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.12)
    ax.set(xlabel=xlabel)
    return figure


@styled
def plot_neighbours(queries: ArrayLike, neighbours: Mapping[str, ArrayLike]) -> Figure:
    """Each query, uint8 [N, C, H, W], and right of it, by a distance's name, uint8 [N, k, C, H, W], nearest first."""
    panels = {"image": np.asarray(queries)[:, None]}
    panels |= {name: np.asarray(images) for name, images in neighbours.items()}
    widths = [images.shape[1] for images in panels.values()]
    size = (sum(widths) * CELL + 0.2 * len(widths), len(queries) * CELL + 0.6)
    figure, axes = plt.subplots(1, len(widths), figsize=size, width_ratios=widths, layout="constrained")
    for ax, (name, images) in zip(axes, panels.items(), strict=True):
        _show_grid(ax, images, images.shape[1], name)
    return figure


def show_image(ax: Axes, image: np.ndarray) -> None:
    """Draw an image, uint8 [C, H, W], without smoothing; grey runs from 0, black, to 255, white."""
    ax.imshow(image.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def plain_log_numbers(ax: Axes, *names: str) -> None:
    """Write 1, 2, 5, 10, ... on the logarithmic axes "x", "y" or both, once all is drawn: powers of ten are too few."""
    for name in names:
        axis = {"x": ax.xaxis, "y": ax.yaxis}[name]
        low, high = axis.get_view_interval()
        decades = math.log10(high / low)
        axis.set_major_locator(MaxNLocator(5) if decades < 1 else LogLocator(subs=(1, 2, 5) if decades < 3 else (1,)))
        axis.set_major_formatter("{x:,.10g}")
        axis.set_minor_formatter(NullFormatter())


def _subplots(size: tuple[float, float]) -> tuple[Figure, Axes]:
    return plt.subplots(figsize=size, layout="constrained")


def _show_grid(ax: Axes, rows: Sequence[np.ndarray], columns: int, title: str) -> None:
    """Rows uint8 [n, C, H, W] as one picture with white gaps."""
    channels, height, width = rows[0].shape[1:]
    cells = np.full((len(rows), columns, channels, height + GAP, width + GAP), 255, np.uint8)
    for r, row in enumerate(rows):
        cells[r, : len(row), :, :height, :width] = row
    picture = cells.transpose(2, 0, 3, 1, 4).reshape(channels, len(rows) * (height + GAP), columns * (width + GAP))
    show_image(ax, picture[:, :-GAP, :-GAP])
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
