"""Figures of translations: cases chosen by their loss, not by eye."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from glann_lib.records.plots import CELL, TITLE, literal, plot_strips, styled, subplots

ROWS = ("source", "T(G(z))", "translation")


@styled
def plot_rows(rows: Mapping[str, ArrayLike], title: str = "") -> Figure:
    """Rows of images, grey ones among colour ones: name -> uint8 [N, C, S, S], C 1 or 3."""
    return plot_strips.__wrapped__({name: _coloured(images) for name, images in rows.items()}, title)


@styled
def plot_translations(
    source: ArrayLike, explained: ArrayLike, translation: ArrayLike, loss: ArrayLike, count: int = 12, title: str = ""
) -> Figure:
    """Source | T(G(z)) | translation: `count` cases each, the best, the median and the worst by loss [N].

    Images are uint8 [N, C, S, S], C 1 or 3; where there are fewer than `count`, all of them are shown.
    """
    images, loss = [_coloured(part) for part in (source, explained, translation)], np.asarray(loss)
    order, count = np.argsort(loss, kind="stable"), min(count, len(loss))
    middle = (len(order) - count) // 2
    chosen = {"best": order[:count], "median": order[middle : middle + count], "worst": order[-count:]}
    height = 3 * len(ROWS) * CELL + 1.1
    figure, axes = subplots(3, 1, figsize=(count * CELL + 1.0, height))
    for ax, (name, cases) in zip(axes, chosen.items(), strict=True):
        heading = f"the {name} {count} of {len(order):,}: loss {loss[cases].min():.3g} to {loss[cases].max():.3g}"
        strips = dict(zip(ROWS, (part[cases] for part in images), strict=True))
        plot_strips.__wrapped__(strips, heading, ax)  # as it is inside `styled`: the style is set already
    figure.suptitle(literal(title, TITLE), x=0.01, ha="left", fontsize=11)
    return figure


def _coloured(images: ArrayLike) -> np.ndarray:
    """Grey or colour images as colour, so that all of them stand in one picture."""
    images = np.asarray(images)
    return np.broadcast_to(images, (len(images), 3, *images.shape[2:]))
