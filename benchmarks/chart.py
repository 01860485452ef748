"""Charts from what `benchmarks.json` and `growth.json` hold: nothing is measured here."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.machine import title
from glann_lib.records.plots import COLOURS, styled

PANELS = {  # of growth.json, with the unit of what grows
    "images": "images, stage 1",
    "resolution": "resolution, px, stage 1",
    "batch": "batch, images, stage 1",
    "latents": "latents, stage 2",
}


@styled
def draw_ratios(record: dict[str, Any]) -> Figure:
    """A bar a comparison: how many times longer the textbook takes; whiskers from the least to the largest repeat.

    Args:
        record: of benchmarks.json.
    """
    rows = record["results"]
    figure, ax = plt.subplots(figsize=(7.6, 0.44 * len(rows) + 1.2), layout="constrained")
    ratios = [row["ratio"] for row in rows]
    # A repeat's ratio may lie on one side of that of the medians only.
    reach = [[max(0.0, row["ratio"] - row["ratio_range"][0]) for row in rows]]
    reach += [[max(0.0, row["ratio_range"][1] - row["ratio"]) for row in rows]]
    colours = [COLOURS[0] if ratio >= 1 else COLOURS[1] for ratio in ratios]
    bars = ax.barh(range(len(rows)), [ratio - 1 for ratio in ratios], left=1, height=0.6, color=colours)
    ax.errorbar(ratios, range(len(rows)), xerr=reach, fmt="none", ecolor=COLOURS[6], elinewidth=0.8, capsize=2)
    for place, (ratio, row) in enumerate(zip(ratios, rows, strict=True)):
        end = max(1.0, ratio, row["ratio_range"][1])
        ax.annotate(f"{ratio:.3g}", (end, place), xytext=(5, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(bars)), [f"{row['what']}\nagainst {row['textbook']}" for row in rows], fontsize=7)
    _style_ratios(ax, record["machine"])
    return figure


def _style_ratios(ax: Axes, machine: dict[str, Any]) -> None:
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 0.8), 1.25 * max(high, 2.0))
    _plain_numbers(ax.xaxis)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.axvline(1, color=COLOURS[6], linewidth=0.8)
    ax.set_xlabel("textbook's time / time here (log scale; right of 1: faster here)")
    ax.set_title(title(machine), fontsize=9)


@styled
def draw_growth(record: dict[str, Any]) -> Figure:
    """Two rows of small panels: seconds of an epoch above, peak memory below, against what grows.

    Args:
        record: of growth.json.
    """
    panels = [panel for panel in PANELS if any(point["panel"] == panel for point in record["points"])]
    size = 2.5 * len(panels) + 0.4, 4.6
    figure, axes = plt.subplots(2, len(panels), figsize=size, sharex="col", squeeze=False, layout="constrained")
    for column, panel in enumerate(panels):
        if column and panel != "latents":  # stage 2 costs so much less that one scale for all would hide it
            axes[0, column].sharey(axes[0, 0])
            axes[1, column].sharey(axes[1, 0])
    for column, panel in enumerate(panels):
        points = [point for point in record["points"] if point["panel"] == panel]
        values = [point["value"] for point in points]
        _draw_line(axes[0, column], values, [point["seconds"] for point in points], COLOURS[0])
        _draw_line(axes[1, column], values, [point["peak_bytes"] / 2**20 for point in points], COLOURS[1])
        axes[1, column].set_xticks(values, [f"{value:,}" for value in values], rotation=30)
        axes[1, column].set_xlabel(PANELS[panel])
    axes[0, 0].set_ylabel("time of an epoch, s")
    axes[1, 0].set_ylabel("peak memory, MiB")
    fixed = f"elsewhere 512 grey images, 28 px, batches of 128, {record['precision']}; {title(record['machine'])}"
    figure.suptitle(f"What an epoch costs as one thing grows ({fixed})", x=0.01, ha="left", fontsize=9)
    return figure


def _draw_line(ax: Axes, x: list[float], y: list[float], colour: str) -> None:
    ax.plot(x, y, marker="o", markersize=3, color=colour)
    ax.set(xscale="log", yscale="log")
    _plain_numbers(ax.yaxis)
    ax.minorticks_off()


def _plain_numbers(axis: Any) -> None:
    """A logarithmic axis with 1, 2, 5, 10, 20, ... and these written out."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())
