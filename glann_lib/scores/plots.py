"""Figures of scores that compare models; as in `records.plots`, nothing is computed here.

A model's look follows from its place among the names: the same names in the same order look alike in every figure.
GLANN is drawn thick, in front or as a star.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy
from numpy.typing import ArrayLike

from glann_lib.records.plots import COLOURS, literal, plain_log_numbers, plot_strips, room, styled, subplots

FIRST = "GLANN"  # the model that is set apart
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
def plot_prd_curves(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Precision against recall, a curve a model (Sec. 4.2, Eq. 8 and 9): name -> (recall [N], precision [N])."""
    figure, ax = _square_panel(curves)
    for name, look in _looks(curves).items():
        ax.plot(*curves[name], label=name, **_line(look, name == FIRST))
    ax.set(xlabel="recall", ylabel="precision")
    _add_legend(ax, curves)
    return figure


@styled
def plot_recall_precision(points: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Fig. 2: recall against precision, name -> (F8, F1/8) of each model that was trained under this name."""
    figure, ax = _square_panel(points)
    for name, look in _looks(points).items():
        style = {"markersize": 14, "zorder": 5} if name == FIRST else {"markersize": 7, "zorder": 3}
        style |= {"markerfacecolor": look["color"], "markeredgecolor": "white", "markeredgewidth": 0.5}
        pairs = np.asarray(points[name], float).reshape(-1, 2)
        ax.plot(*pairs.T, label=name, linestyle="none", marker=look["marker"], **style)
    ax.set_xlabel("recall $F_8$", parse_math=True)
    ax.set_ylabel("precision $F_{1/8}$", parse_math=True)
    _add_legend(ax, points)
    return figure


def plot_sample_rows(samples: Mapping[str, ArrayLike]) -> Figure:
    """Fig. 3: a row a model of its first 12 samples, uint8 [N, C, H, W]; where they are fewer the rest stays white."""
    return plot_strips({name: np.asarray(images)[:12] for name, images in samples.items()})


@styled
def plot_distance_by_count(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], ylabel: str) -> Figure:
    """A distance, called `ylabel`, against the number of samples that it is computed from, on logarithmic axes."""
    figure, ax = subplots(figsize=(6.6 + room(curves, 24), 3.4))
    for name, look in _looks(curves).items():
        ax.plot(*curves[name], label=name, marker=look["marker"], markersize=4, **_line(look, name == FIRST))
    ax.set(xscale="log", yscale="log", xlabel="number of samples", ylabel=ylabel)
    plain_log_numbers(ax, "x", "y")
    _add_legend(ax, curves)
    return figure


@styled
def plot_against(points: Mapping[str, tuple[float, float]], xlabel: str, ylabel: str, line: float) -> Figure:
    """A point a model, name -> (x, y), with a legend; GLANN is a star, and a dashed line stands at x = `line`."""
    figure, ax = subplots(figsize=(PANEL + 1.4 + room(points), PANEL))
    for name, look in _looks(points).items():
        size = 14 if name == FIRST else 7
        style = {"marker": look["marker"], "color": look["color"], "markersize": size, "linestyle": "none"}
        ax.plot(*points[name], label=name, **style)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    _add_legend(ax, points)
    ax.axvline(line, color=GREY, linestyle=LINES[1], linewidth=1.2, zorder=1)
    return figure


@styled
def plot_scores(
    values: Mapping[str, Sequence[float]], xlabel: str, floors: Mapping[str, float] | None = None, log: bool = False
) -> Figure:
    """A row a model, a dot a seed, the mean at the right; floors, such as real images' scores, are vertical lines."""
    floors = floors or {}
    size = (6.2 + room(values, 24), ROW * len(values) + 0.9 + 0.2 * len(floors))
    figure, ax = subplots(figsize=size)
    for row, (name, scores) in enumerate(values.items()):
        colour = HIGHLIGHT if name == FIRST else COLOURS[0]
        ax.plot(scores, [row] * len(scores), "o", color=colour, markersize=5, alpha=0.75, label=name)
        mean = _three_digits(np.mean(scores)) if len(scores) else "\N{EN DASH}"
        place = {"xy": (1, row), "xycoords": ax.get_yaxis_transform(), "va": "center", "ha": "right"}
        ax.annotate(mean, xytext=(36, 0), textcoords="offset points", color=colour, **place)
    ax.set(xlabel=xlabel, yticks=range(len(values)), ylim=(len(values) - 0.4, -0.6), xscale="log" if log else "linear")
    for place, (name, score) in enumerate(floors.items()):
        key = f"{name}: {_three_digits(score)}"
        ax.axvline(score, color=GREY, linestyle=LINES[place % len(LINES)], linewidth=1.2, label=key, zorder=1)
    ax.set_yticklabels([*map(literal, values)])
    ax.tick_params(axis="y", length=0)
    if FIRST in values:
        ax.get_yticklabels()[list(values).index(FIRST)].set(fontweight="bold", color=HIGHLIGHT)
    if log:
        plain_log_numbers(ax, "x")
    if floors:
        below = {"bbox_transform": offset_copy(ax.transAxes, figure, y=-0.42)}  # inches of the axis and its name
        ax.legend(handles=ax.lines[-len(floors) :], loc="upper left", fontsize=8, bbox_to_anchor=(0, 0), **below)
    return figure


def _looks(names: Collection[str]) -> dict[str, dict[str, Any]]:
    own = {"color": HIGHLIGHT, "linestyle": "-", "marker": "*"}
    rivals = zip(*map(itertools.cycle, (RIVAL_COLOURS, LINES, MARKERS)), strict=True)
    return {name: own if name == FIRST else dict(zip(own, next(rivals), strict=True)) for name in names}


def _line(look: dict[str, Any], in_front: bool) -> dict[str, Any]:
    style = {"linewidth": 2.8, "zorder": 5} if in_front else {"linewidth": 1.2, "zorder": 3}
    return {"color": look["color"], "linestyle": look["linestyle"], **style}


def _three_digits(number: float) -> str:
    decimals = 2 - math.floor(math.log10(abs(number))) if number and math.isfinite(number) else 0
    return f"{number:.{max(decimals, 0)}f}"


def _square_panel(names: Collection[str]) -> tuple[Figure, Axes]:
    size = (PANEL + 0.5 + room(names), PANEL)
    figure, ax = subplots(figsize=size, subplot_kw={"box_aspect": 1})
    ax.set(xlim=(-MARGIN, 1 + MARGIN), ylim=(-MARGIN, 1 + MARGIN))
    return figure, ax


def _add_legend(ax: Axes, names: Iterable[str]) -> None:
    place = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.03)}
    legend = ax.legend(ax.lines, [*map(literal, names)], fontsize=8, handlelength=2.8, **place)
    for key in legend.legend_handles:
        key.set_markersize(min(key.get_markersize(), 9))
