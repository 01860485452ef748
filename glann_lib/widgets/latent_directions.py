"""Directions in the space of the latents, to move codes along: those of largest variance, and those towards a class.

Stage 1 asks nothing of the latents' axes (Sec. 3.1), so no axis means anything by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import normalize

from glann_lib.data.record import name_classes

NO_LABELS = "attribute directions are learned from labels, and this model's training images have none"


@dataclass(frozen=True)
class Direction:
    """One direction in the space of the latents."""

    name: str  # "principal direction 1", "more like 7"
    vector: Tensor  # float32 [D] of length 1, on the CPU
    spread: float  # standard deviation of the latents along it, the unit in which `move` counts


def principal_directions(latents: Tensor, count: int = 6) -> list[Direction]:
    """The orthogonal directions along which latents [N, D] vary most, largest variance first.

    Each vector's entry of largest magnitude is positive: the same sign on every machine. ValueError for fewer than 2
    latents and for a count outside 1 to D.
    """
    rows = _rows(latents)
    if not 1 <= count <= rows.shape[1]:
        raise ValueError(f"{count} directions asked for in {rows.shape[1]} dimensions: ask for 1 to {rows.shape[1]}")
    _, vectors = torch.linalg.eigh(torch.cov(rows.T).reshape(rows.shape[1], -1))  # ascending
    largest = vectors.T.flip(0)[:count]
    signs = largest.gather(1, largest.abs().argmax(1, keepdim=True)).sign()
    named = enumerate(largest * signs, start=1)
    return [_direction(f"principal direction {number}", vector, rows) for number, vector in named]


def attribute_directions(latents: Tensor, labels: ArrayLike | None, class_names: Sequence[str] = ()) -> list[Direction]:
    """For each class of `labels` [N], integers from 0, "more like <name>": from the other latents' mean to its own.

    ValueError for missing labels, fewer than 2 classes, and another number of labels than of latents [N, D].

    The normal of a logistic regression tells classes apart better, but leads to a place between them: of 30 MNIST
    samples moved by 4 standard deviations towards each class it moved 35% there, this direction 66% (by the label of
    the training image that is nearest in pixels).
    """
    if labels is None:
        raise ValueError(f"no labels: {NO_LABELS}")
    classes, rows = np.asarray(labels), _rows(latents)
    if classes.shape != (len(rows),):
        raise ValueError(f"labels {list(classes.shape)} for {len(rows)} latents: give one label a latent")
    named = name_classes(classes, class_names)
    if len(named) < 2:
        raise ValueError("labels of one class only: attribute directions need 2 classes or more")
    return [
        _direction(f"more like {name}", rows[classes == label].mean(0) - rows[classes != label].mean(0), rows)
        for label, name in named.items()
    ]


def move(latents: Tensor, directions: Sequence[Direction], amounts: Sequence[float]) -> Tensor:
    """Latents [N, D] moved on the unit sphere, z -> unit(unit(z) + sum_i a_i s_i v_i), s_i the spread of direction v_i.

    `amounts` a_i are in standard deviations: as many as directions, or a ValueError.
    """
    if len(amounts) != len(directions):
        raise ValueError(f"{len(amounts)} amounts for {len(directions)} directions: give one amount a direction")
    moved = normalize(latents)
    for direction, amount in zip(directions, amounts, strict=True):
        moved = moved + float(amount) * direction.spread * direction.vector.to(moved)
    return normalize(moved)


def _rows(latents: Tensor) -> Tensor:
    if latents.dim() != 2 or len(latents) < 2:
        raise ValueError(f"latents {list(latents.shape)}: directions need rows [N, D], 2 or more")
    return latents.detach().cpu().double()


def _direction(name: str, vector: Tensor, rows: Tensor) -> Direction:
    vector = normalize(vector, dim=0)
    return Direction(name, vector.float(), (rows @ vector).std(correction=0).item())
