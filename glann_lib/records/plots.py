"""Figures in one style, whatever a person's own matplotlibrc says: arrays in, a figure out; nothing is computed here.

Names are shown as they are: no text is mathematics but our own formulas, and other scripts take the system's fonts.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from glann_lib.data.listing import printable

# Colour-blind readers tell them apart (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
FONT = "DejaVu Sans"  # which matplotlib brings
STYLE = {"figure.dpi": 110, "figure.facecolor": "white", "legend.frameon": False, "pdf.fonttype": 42}
STYLE |= {"text.parse_math": False, "font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left"}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False, "axes.prop_cycle": plt.cycler(color=COLOURS)}
STYLE |= {"axes.grid": True, "axes.axisbelow": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.6}
CELL = 0.55  # inches that one image of up to 64 px takes in a grid; of 128 px it takes two of these, of more three
WIDEST = 13  # inches, of a grid of larger images
GAP = 2  # px between images
SIGNS = "(?i)last ?resort|emoji|color"  # families without letters
NAME, TITLE = 40, 90  # letters that are shown of one

subplots = functools.partial(plt.subplots, layout="constrained")
house_style = functools.partial(plt.style.context, ["default", STYLE])  # a context, over no settings of a person's own


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """A plotting function in the house style; its figure is closed, and shown by whoever shows it."""

    @functools.wraps(draw)
    @house_style()
    def drawing(*args: Any, **kwargs: Any) -> Figure:
        figure = draw(*args, **kwargs)
        use_fonts(figure)
        plt.close(figure)  # or the notebook shows it a second time, at the cell's end
        return figure

    return drawing


@styled
def plot_images(images: ArrayLike, columns: int = 10, title: str = "", cell: float | None = None) -> Figure:
    """A grid of images, uint8 [N, C, H, W] with C 1 or 3, row by row; each takes `cell` inches.

    None: what suits their size; of images above 64 px only those are drawn that WIDEST inches each way hold.
    """
    images = np.asarray(images)
    if cell is None and images.shape[-1] > 64:
        most = int(WIDEST // cell_of(images))
        columns //= -(-columns // most)  # a part of what was asked for: rows that were full stay full
        images = images[: columns * most]
    cell = cell or cell_of(images)
    rows = [images[i : i + columns] for i in range(0, len(images), columns)]
    figure, ax = subplots(figsize=(columns * cell, len(rows) * cell + 0.3 * bool(title)))
    _show_grid(ax, rows, columns, title)
    return figure


@styled
def plot_strips(
    strips: Mapping[str, ArrayLike], title: str = "", ax: Axes | None = None, cell: float | None = None
) -> Figure:
    """Rows of images, uint8 [N, C, H, W], one below the other, each with its name on the left; `cell` as above."""
    rows = [np.asarray(images) for images in strips.values()]
    columns = max(map(len, rows))
    cell = cell_of(rows[0], columns) if cell is None else cell
    if ax is None:
        _, ax = subplots(figsize=(columns * cell + room(strips, letter=0.09), len(rows) * cell + 0.3 * bool(title)))
    height = rows[0].shape[2]
    _show_grid(ax, rows, columns, title)
    ax.set_yticks([(height + GAP) * r + height / 2 for r in range(len(rows))], [*map(literal, strips)])
    ax.tick_params(length=0)
    return ax.figure


@styled
def plot_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], xlabel: str, ylabel: str, title: str = "", log: bool = False
) -> Figure:
    """Lines (x [N], y [N]) by name; integers on x (epochs) get no ticks between them, `log` is of y."""
    figure, ax = subplots(figsize=(5.6, 2.8))
    for name, (x, y) in curves.items():
        ax.plot(x, y, label=name, marker="o" if len(x) < 15 else None, markersize=3)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=literal(title, TITLE))
    whole = all(np.issubdtype(np.asarray(x).dtype, np.integer) for x, _ in curves.values())
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=whole, steps=[1, 2, 2.5, 5, 10]))
    if log:
        ax.set_yscale("log")
        plain_log_numbers(ax, "y")
    if len(curves) > 1:
        ax.legend(ax.lines, [*map(literal, curves)])  # given, or matplotlib would leave out names like "_x"
    return figure


@styled
def plot_bars(values: Mapping[str, float], xlabel: str) -> Figure:
    """Horizontal bars from top to bottom, their values beside them; `xlabel` tells the unit and which way is better."""
    figure, ax = subplots(figsize=(5.6 + room(values, 24), 0.36 * len(values) + 0.9))
    bars = ax.barh(range(len(values)), list(values.values()), color=COLOURS[0], height=0.6)
    ax.set_yticks(range(len(values)), [*map(literal, values)])
    ax.bar_label(bars, fmt="{:.3g}", padding=3)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.12)
    ax.set(xlabel=xlabel)
    return figure


@styled
def plot_neighbours(queries: ArrayLike, neighbours: Mapping[str, ArrayLike]) -> Figure:
    """Each query, uint8 [N, C, H, W], and right of it, by a distance's name, uint8 [N, k, C, H, W], nearest first."""
    panels = {"image": np.asarray(queries)[:, None], **neighbours}
    widths = [np.shape(images)[1] for images in panels.values()]
    cell = cell_of(queries, sum(widths))
    size = (sum(widths) * cell + 0.2 * len(widths), len(queries) * cell + 0.6)
    figure, axes = subplots(1, len(widths), figsize=size, width_ratios=widths)
    for ax, columns, (name, images) in zip(axes, widths, panels.items(), strict=True):
        _show_grid(ax, np.asarray(images), columns, name)
    return figure


def cell_of(images: ArrayLike, columns: int = 1) -> float:
    """Inches that images, uint8 [N, C, H, W], take in a grid of so many columns."""
    times = min(3, max(1, np.shape(images)[-1] // 64))
    return CELL if times == 1 else min(CELL * times, WIDEST / columns)


def use_fonts(figure: Figure) -> None:
    """Give every text the families of fonts that have its letters."""
    for text in figure.findobj(Text):
        if others := {_family(letter) for letter in text.get_text()} - {FONT, None}:
            text.set_fontfamily([FONT, *sorted(others)])


def literal(text: str, most: int = NAME) -> str:
    r"""People's text as figures show it: in one line, without the middle of a long one; "\u732b" if no font has it."""
    text = unicodedata.normalize("NFC", printable(text))  # composed, as fonts have Korean letters
    text = "".join(letter if _family(letter) else ascii(letter)[1:-1] for letter in text)
    half = most * len(text) // max(1, _width(text)) // 2
    return text if _width(text) <= most else f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def room(names: Iterable[str], beyond: int = 0, letter: float = 0.07) -> float:
    """Inches that the longest name takes beyond so many letters; `letter` is inches, too."""
    return letter * max([0, *(_width(literal(name)) - beyond for name in names)])


def _width(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)  # East Asian ones are wider


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


@functools.cache
def _family(letter: str) -> str | None:
    """The first family of fonts that has a letter, ours if it can be; None: no font of the system has it."""
    if letter.isspace() or FT2Font(font_manager.findfont(FONT)).get_char_index(ord(letter)):
        return FONT
    faces = ((font.name, FT2Font(font.fname, face_index=font.index)) for font in _fonts())
    return next((name for name, face in faces if face.get_char_index(ord(letter))), None)


@functools.cache
def _fonts() -> list[font_manager.FontEntry]:
    """The system's fonts of regular faces, those like ours first; also what was installed since matplotlib looked."""
    manager = font_manager.fontManager
    for path in set(font_manager.findSystemFonts()) - {font.fname for font in manager.ttflist}:
        with contextlib.suppress(Exception):  # not all can be used
            manager.addfont(path)
    regular = [font for font in manager.ttflist if (font.style, font.weight, font.stretch) == ("normal", 400, "normal")]
    fonts = [font for font in regular if os.path.isfile(font.fname) and not re.search(SIGNS, font.name)]
    return sorted(fonts, key=lambda font: ("Sans" not in font.name, " HK" in font.name, font.name))


def _show_grid(ax: Axes, rows: Sequence[np.ndarray], columns: int, title: str) -> None:
    """Rows uint8 [n, C, H, W] as one picture with white gaps."""
    channels, height, width = rows[0].shape[1:]
    cells = np.full((len(rows), columns, channels, height + GAP, width + GAP), 255, np.uint8)
    for r, row in enumerate(rows):
        cells[r, : len(row), :, :height, :width] = row
    picture = cells.transpose(2, 0, 3, 1, 4).reshape(channels, len(rows) * (height + GAP), columns * (width + GAP))
    show_image(ax, picture[:, :-GAP, :-GAP])
    ax.set(xticks=[], yticks=[], title=literal(title, TITLE))
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
