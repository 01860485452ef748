"""Figures of scores that compare models: curves, points and rows with one look a model, GLANN in front.

As in `records.plots`, nothing is computed here. A model's look (colour, line, marker) follows from its place among the
given names: give the same models in the same order, and every figure shows them alike. Grey is kept for quoted values.
Everywhere `highlight` is the name that is set apart, drawn thick, in front or as a star, and the title stands above.
With `zoom` a second panel shows the corner from there to 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy
from numpy.typing import ArrayLike

from glann_lib.records.plots import COLOURS, plain_log_numbers, plot_strips, styled

HIGHLIGHT = COLOURS[1]
GREY = "#777777"
RIVAL_COLOURS = tuple(colour for colour in COLOURS if colour not in (HIGHLIGHT, "#999999"))
# Counts without a common divisor with that of the colours, so that no two of 30 models look alike.
LINES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MARGIN = 0.025  # of a panel that ends at 1: what lies there stays whole
PANEL = 3.6  # inches, side of a square panel
ROW = 0.26  # inches, a model's row


@styled
def plot_prd_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    highlight: str = "GLANN",
    title: str = "",
    zoom: float | None = None,
) -> Figure:
    """Precision against recall, a curve a model (Sec. 4.2, Eq. 8 and 9): name -> (recall [N], precision [N])."""
    figure, axes = _square_panels(zoom, curves)
    looks = _looks(curves, highlight)
    for ax in axes:
        for name, (recall, precision) in curves.items():
            ax.plot(recall, precision, label=name, **_line(looks[name], name == highlight))
        ax.set(xlabel="recall", ylabel="precision")
    _finish(axes, title)
    return figure


@styled
def plot_recall_precision(
    points: Mapping[str, Sequence[tuple[float, float]]],
    highlight: str = "GLANN",
    quoted: Mapping[str, tuple[float, float]] | None = None,
    title: str = "",
    zoom: float | None = None,
) -> Figure:
    """Fig. 2: recall against precision, name -> (F8, F1/8) of each model that was trained under this name.

    The (F8, F1/8) that the paper reports are hollow and grey, in the shape of the name's own points.
    """
    quoted = quoted or {}
    names_quoted = {name: f"{name}, quoted from the paper" for name in quoted}
    figure, axes = _square_panels(zoom, [*points, *names_quoted.values()])
    looks = _looks([*points, *(name for name in quoted if name not in points)], highlight)
    marks = {name: _mark(looks[name], name == highlight) for name in looks}
    grey = {"markerfacecolor": "none", "markeredgecolor": GREY, "markeredgewidth": 1.2, "zorder": 6}
    hollow = {name: marks[name] | grey for name in quoted}
    for ax in axes:
        for name, pairs in points.items():
            ax.plot(*np.asarray(pairs, float).reshape(-1, 2).T, label=name, **marks[name])
        for name, pair in quoted.items():
            ax.plot(*pair, label=names_quoted[name], **hollow[name])
        ax.set(xlabel="recall $F_8$", ylabel="precision $F_{1/8}$")
    _finish(axes, title)
    return figure


def plot_sample_rows(samples: Mapping[str, ArrayLike], columns: int = 12, title: str = "") -> Figure:
    """Fig. 3: a row a model of its first samples, uint8 [N, C, H, W]; where they are fewer the rest stays white."""
    return plot_strips({name: np.asarray(images)[:columns] for name, images in samples.items()}, title=title)


@styled
def plot_distance_by_count(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], ylabel: str, highlight: str = "GLANN", title: str = ""
) -> Figure:
    """A distance, called `ylabel`, against the number of samples it is computed from; both axes are logarithmic."""
    figure, ax = plt.subplots(figsize=(6.6, 3.4), layout="constrained")
    for name, look in _looks(curves, highlight).items():
        ax.plot(*curves[name], label=name, marker=look["marker"], markersize=4, **_line(look, name == highlight))
    ax.set(xscale="log", yscale="log", xlabel="number of samples", ylabel=ylabel)
    plain_log_numbers(ax, "x", "y")
    _finish([ax], title)
    return figure


@styled
def plot_scores(
    values: Mapping[str, Sequence[float]],
    xlabel: str,
    floors: Mapping[str, float] | None = None,
    highlight: str = "GLANN",
    log: bool = False,
    title: str = "",
) -> Figure:
    """A row a model and a dot a seed; the mean stands at the right.

    `xlabel` tells unit and orientation; floors, scores to compare with such as that of real images, are vertical lines.
    """
    floors = floors or {}
    size = (6.2, ROW * len(values) + 0.9 + 0.2 * len(floors))
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    for row, (name, scores) in enumerate(values.items()):
        colour = HIGHLIGHT if name == highlight else COLOURS[0]
        ax.plot(scores, [row] * len(scores), "o", color=colour, markersize=5, alpha=0.75, label=name)
        mean = _three_digits(np.mean(scores)) if len(scores) else "\N{EN DASH}"
        place = {"xy": (1, row), "xycoords": ax.get_yaxis_transform(), "va": "center", "ha": "right"}
        ax.annotate(mean, xytext=(36, 0), textcoords="offset points", color=colour, **place)
    ax.set(xlabel=xlabel, yticks=range(len(values)), ylim=(len(values) - 0.4, -0.6), xscale="log" if log else "linear")
    for place, (name, score) in enumerate(floors.items()):
        key = f"{name}: {_three_digits(score)}"
        ax.axvline(score, color=GREY, linestyle=LINES[place % len(LINES)], linewidth=1.2, label=key, zorder=1)
    ax.set_yticklabels(values)
    ax.tick_params(axis="y", length=0)
    if highlight in values:
        ax.get_yticklabels()[list(values).index(highlight)].set(fontweight="bold", color=HIGHLIGHT)
    if log:
        plain_log_numbers(ax, "x")
    if floors:
        below = {"bbox_transform": offset_copy(ax.transAxes, figure, y=-0.42)}  # inches of the axis and its name
        ax.legend(handles=ax.lines[-len(floors) :], loc="upper left", fontsize=8, bbox_to_anchor=(0, 0), **below)
    ax.set_title(title)
    return figure


def _looks(names: Iterable[str], highlight: str) -> dict[str, dict[str, Any]]:
    """Colour, line and marker of each name, by its place among the others."""
    own = {"color": HIGHLIGHT, "linestyle": "-", "marker": "*"}
    rivals = zip(*map(itertools.cycle, (RIVAL_COLOURS, LINES, MARKERS)), strict=True)
    return {name: own if name == highlight else dict(zip(own, next(rivals), strict=True)) for name in names}


def _line(look: dict[str, Any], in_front: bool) -> dict[str, Any]:
    style = {"linewidth": 2.8, "zorder": 5} if in_front else {"linewidth": 1.2, "zorder": 3}
    return {"color": look["color"], "linestyle": look["linestyle"], **style}


def _mark(look: dict[str, Any], in_front: bool) -> dict[str, Any]:
    style = {"markersize": 14, "zorder": 5} if in_front else {"markersize": 7, "zorder": 3}
    style |= {"markerfacecolor": look["color"], "markeredgecolor": "white", "markeredgewidth": 0.5}
    return {"linestyle": "none", "marker": look["marker"], **style}


def _three_digits(number: float) -> str:
    decimals = 2 - math.floor(math.log10(abs(number))) if number and math.isfinite(number) else 0
    return f"{number:.{max(decimals, 0)}f}"


def _square_panels(zoom: float | None, names: Iterable[str]) -> tuple[Figure, list[Axes]]:
    """One panel from 0 to 1, and where wanted a second of its upper right corner, which is framed in the first."""
    count, room = (1 if zoom is None else 2), 0.5 + 0.07 * max(map(len, names), default=0)
    size, square = (count * PANEL + room, PANEL), {"box_aspect": 1}
    figure, axes = plt.subplots(1, count, figsize=size, squeeze=False, layout="constrained", subplot_kw=square)
    limits = (-MARGIN, 1 + MARGIN)
    axes[0, 0].set(xlim=limits, ylim=limits)
    if zoom is not None:
        limits = (zoom, 1 + MARGIN * (1 - zoom))
        axes[0, 1].set(xlim=limits, ylim=limits, title=f"the corner from {zoom:g} to 1")
        axes[0, 0].plot([zoom, zoom, 1], [1, zoom, zoom], color=GREY, linewidth=0.8, zorder=1)
    return figure, list(axes[0])


def _finish(axes: Sequence[Axes], title: str) -> None:
    """The title above the first panel, the legend to the right of the last; large markers are smaller there."""
    axes[0].set_title(title)
    legend = axes[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.03), fontsize=8, handlelength=2.8)
    for key in legend.legend_handles:
        key.set_markersize(min(key.get_markersize(), 9))
