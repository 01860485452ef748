"""Figures of scores that compare models: curves, points and rows with one look a model, GLANN in front.

As in `plots`, nothing is computed here. A model's look (colour, line, marker) follows from its place among the given
names: give the same models in the same order, and every figure shows them alike. Grey is kept for quoted values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
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
    """Precision against recall, a curve a model (Sec. 4.2, Eq. 8 and 9).

    Args:
        curves: name -> (recall [N], precision [N]), both from 0 to 1.
        highlight: the name that is drawn thick and in front.
        title: above the panels.
        zoom: draw a second panel that shows the corner from here to 1; None: none.
    """
    figure, axes = _square_panels(zoom, curves)
    looks = _looks(curves, highlight)
    for ax in axes:
        for name, (recall, precision) in curves.items():
            ax.plot(recall, precision, label=name, **_line(looks[name], name == highlight))
        ax.set(xlabel="recall", ylabel="precision")
    _finish(axes, [_key(name, _line(look, name == highlight)) for name, look in looks.items()], title)
    return figure


@styled
def plot_recall_precision(
    points: Mapping[str, Sequence[tuple[float, float]]],
    highlight: str = "GLANN",
    quoted: Mapping[str, tuple[float, float]] | None = None,
    title: str = "",
    zoom: float | None = None,
) -> Figure:
    """Fig. 2: every trained model as a point, recall against precision.

    Args:
        points: name -> (F8, F1/8) of each model trained under this name, from 0 to 1.
        highlight: the name that is drawn as a star.
        quoted: name -> (F8, F1/8) that the paper reports: hollow and grey, in the shape of the name's own points.
        title: above the panels.
        zoom: draw a second panel that shows the corner from here to 1; None: none.
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
    keys = [_key(name, marks[name]) for name in points]
    _finish(axes, [*keys, *(_key(names_quoted[name], hollow[name]) for name in quoted)], title)
    return figure


def plot_sample_rows(samples: Mapping[str, ArrayLike], columns: int = 12, title: str = "") -> Figure:
    """Fig. 3: samples of every model, a row a model.

    Args:
        samples: name -> uint8 [N, C, H, W], all of one size.
        columns: images a row, the first ones; a model with fewer leaves the rest of its row white.
        title: above the rows.
    """
    return plot_strips({name: np.asarray(images)[:columns] for name, images in samples.items()}, title=title)


@styled
def plot_distance_by_count(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], ylabel: str, highlight: str = "GLANN", title: str = ""
) -> Figure:
    """A distance against the number of samples it is computed from; both axes are logarithmic.

    Args:
        curves: name -> (counts [N], distances [N]), above 0.
        ylabel: what the distance is.
        highlight: the name that is drawn thick and in front.
        title: above the axes.
    """
    figure, ax = plt.subplots(figsize=(6.6, 3.4), layout="constrained")
    looks = _looks(curves, highlight)
    lines = {name: _line(look, name == highlight) for name, look in looks.items()}
    for name, look in looks.items():
        lines[name] |= {"marker": look["marker"], "markersize": 4}
        ax.plot(*curves[name], label=name, **lines[name])
    ax.set(xscale="log", yscale="log", xlabel="number of samples", ylabel=ylabel)
    plain_log_numbers(ax, "x", "y")
    _finish([ax], [_key(name, line) for name, line in lines.items()], title)
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
    """A row a model and a dot a seed; the mean stands at the right, floors are vertical lines.

    Args:
        values: name -> its score for each seed; drawn from top to bottom.
        xlabel: what the scores are, with unit and orientation.
        floors: name -> a score to compare with, such as that of real images.
        highlight: the name that is set apart.
        log: a logarithmic axis.
        title: above the axes.
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
    _name_rows(ax, values, highlight)
    if log:
        plain_log_numbers(ax, "x")
    if floors:
        below = offset_copy(ax.transAxes, figure, y=-0.42)  # inches that the axis and its name take
        keys = {"handles": ax.lines[-len(floors) :], "loc": "upper left", "fontsize": 8}
        ax.legend(**keys, bbox_to_anchor=(0, 0), bbox_transform=below)
    ax.set_title(title)
    return figure


def _looks(names: Iterable[str], highlight: str) -> dict[str, dict[str, Any]]:
    """Colour, line and marker of each name, by its place among the others."""
    looks, place = {}, 0
    for name in names:
        if name == highlight:
            looks[name] = {"color": HIGHLIGHT, "linestyle": "-", "marker": "*"}
            continue
        styles = {"color": RIVAL_COLOURS, "linestyle": LINES, "marker": MARKERS}
        looks[name] = {key: choices[place % len(choices)] for key, choices in styles.items()}
        place += 1
    return looks


def _line(look: dict[str, Any], in_front: bool) -> dict[str, Any]:
    style = {"linewidth": 2.8, "zorder": 5} if in_front else {"linewidth": 1.2, "zorder": 3}
    return {"color": look["color"], "linestyle": look["linestyle"], **style}


def _mark(look: dict[str, Any], in_front: bool) -> dict[str, Any]:
    style = {"markersize": 14, "zorder": 5} if in_front else {"markersize": 7, "zorder": 3}
    style |= {"markerfacecolor": look["color"], "markeredgecolor": "white", "markeredgewidth": 0.5}
    return {"linestyle": "none", "marker": look["marker"], **style}


def _key(name: str, style: dict[str, Any]) -> Line2D:
    """A legend's entry; large markers are drawn smaller there."""
    return Line2D([], [], label=name, **(style | {"markersize": min(style.get("markersize", 0), 9)}))


def _three_digits(number: float) -> str:
    decimals = 2 - math.floor(math.log10(abs(number))) if number and math.isfinite(number) else 0
    return f"{number:.{max(decimals, 0)}f}"


def _square_panels(zoom: float | None, names: Iterable[str]) -> tuple[Figure, list[Axes]]:
    """One panel from 0 to 1, and where wanted a second of its upper right corner, which is framed in the first."""
    count, room = (1 if zoom is None else 2), 0.5 + 0.07 * max(map(len, names), default=0)
    figure, axes = plt.subplots(
        1,
        count,
        figsize=(count * PANEL + room, PANEL),
        squeeze=False,
        layout="constrained",
        subplot_kw={"box_aspect": 1},
    )
    limits = (-MARGIN, 1 + MARGIN)
    axes[0, 0].set(xlim=limits, ylim=limits)
    if zoom is not None:
        limits = (zoom, 1 + MARGIN * (1 - zoom))
        axes[0, 1].set(xlim=limits, ylim=limits, title=f"the corner from {zoom:g} to 1")
        axes[0, 0].plot([zoom, zoom, 1], [1, zoom, zoom], color=GREY, linewidth=0.8, zorder=1)
    return figure, list(axes[0])


def _finish(axes: Sequence[Axes], keys: list[Line2D], title: str) -> None:
    """The title above the first panel, the legend to the right of the last."""
    axes[0].set_title(title)
    axes[-1].legend(handles=keys, loc="upper left", bbox_to_anchor=(1.02, 1.03), fontsize=8, handlelength=2.8)


def _name_rows(ax: Axes, names: Iterable[str], highlight: str) -> None:
    ax.set_yticklabels(names)
    ax.tick_params(axis="y", length=0)
    for label in ax.get_yticklabels():
        if label.get_text() == highlight:
            label.set(fontweight="bold", color=HIGHLIGHT)
