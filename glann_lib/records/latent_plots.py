"""Figures of networks and latents, as in `plots`: the two networks in a row, and clouds of codes in two dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from glann_lib.records.plots import COLOURS, TITLE, literal, room, show_image, styled, subplots

TEN_COLOURS = ListedColormap([*COLOURS, "#f0e442", "#7a3b00"])


@styled
def plot_architecture(noise: ArrayLike, latent: ArrayLike, image: ArrayLike) -> Figure:
    """Fig. 1 with real values: a noise e [noise_dim], its z = T(e) [latent_dim], the image G(z), uint8 [C, H, W]."""
    noise, latent, image = np.asarray(noise), np.asarray(latent), np.asarray(image)
    figure, axes = subplots(1, 5, figsize=(7.2, 2.2), width_ratios=[1.1, 1.5, 1.1, 1.5, 2])
    for ax, vector, name in ((axes[0], noise, "noise $e$"), (axes[2], latent, "latent $z = T(e)$")):
        limit = np.abs(vector).max()
        ax.imshow(vector.reshape(-1, 4), cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set_title(f"{name}\n[{len(vector)}]", loc="center", parse_math=True)
    for ax, name, note in ((axes[1], "$T$", "IMLE mapping\n(Eq. 4, 5)"), (axes[3], "$G$", "GLO generator\n(Eq. 3)")):
        ax.annotate("", (1.0, 0.5), (0.0, 0.5), arrowprops={"arrowstyle": "-|>", "color": "#444444", "lw": 1.5})
        ax.text(0.5, 0.56, name, ha="center", va="bottom", fontsize=16, parse_math=True)
        ax.text(0.5, 0.42, note, ha="center", va="top", fontsize=8, color="#444444")
        ax.set(xlim=(0, 1), ylim=(0, 1))
    show_image(axes[4], image)
    axes[4].set_title(f"image $I = G(z)$\n{list(image.shape)}", loc="center", parse_math=True)
    for ax in axes:
        ax.axis("off")
    return figure


@styled
def plot_covering(targets: ArrayLike, snapshots: Mapping[int, ArrayLike]) -> Figure:
    """T learning to cover the latents: one panel an epoch, latents [N, 2] in grey, mapped noises [M, 2] in colour."""
    targets, size = np.asarray(targets), (1.9 * len(snapshots), 2.2)
    figure, axes = subplots(1, len(snapshots), figsize=size, sharex=True, sharey=True)
    for ax, (epoch, mapped) in zip(np.atleast_1d(axes), snapshots.items(), strict=True):
        ax.scatter(*targets.T, s=2, color="#c8c8c8", linewidths=0, label="latents z", rasterized=True)
        ax.scatter(*np.asarray(mapped).T, s=3, color=COLOURS[1], linewidths=0, label="T(e)", rasterized=True)
        ax.set(title=f"epoch {epoch}", aspect="equal", xticks=[], yticks=[])
    handles, names = ax.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, markerscale=4)
    return figure


@styled
def plot_projection(
    points: ArrayLike, labels: ArrayLike | None = None, class_names: Sequence[str] = (), title: str = ""
) -> Figure:
    """Points [N, 2] of a projection, coloured by labels [N] from 0 where 2 to 10 differ; a legend names the classes."""
    points = np.asarray(points)
    known = [] if labels is None else sorted(set(np.asarray(labels).tolist()))
    known = known if 1 < len(known) <= 10 else []
    names = [literal(class_names[label] if len(class_names) else str(label)) for label in known]
    figure, ax = subplots(figsize=(5.6 + room(names, 12), 4.4))
    for label in known:
        ax.scatter(*points[np.asarray(labels) == label].T, s=5, color=TEN_COLOURS(label), linewidths=0)
    if known:
        ax.legend(ax.collections, names, markerscale=3, loc="center left", bbox_to_anchor=(1, 0.5))
    else:
        ax.scatter(*points.T, s=5, linewidths=0)
    ax.set(title=literal(title, TITLE), xlabel="first principal direction", ylabel="second", aspect="equal")
    return figure
