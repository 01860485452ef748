"""Directions in the space of the latents, to move codes along: those of largest variance, and those towards a class.

Stage 1 puts every training image on the unit sphere and asks nothing of the axes (Sec. 3.1), so no axis means anything
by itself. Principal directions follow how the latents spread; attribute directions are learned from labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class Direction:
    """One direction in the space of the latents.

    Attributes:
        name: "principal direction 1", "more like 7".
        vector: float32 [D] of length 1, on the CPU.
        spread: standard deviation of the latents along it, the unit in which `move` counts.
    """

    name: str
    vector: Tensor
    spread: float


def principal_directions(latents: Tensor, count: int = 6) -> list[Direction]:
    """The orthogonal directions along which the latents vary most, largest variance first.

    Args:
        latents: [N, D], N at least 2.
        count: directions, 1 to D.

    Returns:
        `count` directions; of each vector the entry of largest magnitude is positive, so that the sign is the same on
        every machine.

    Raises:
        ValueError: fewer than 2 latents; count out of range.
    """
    rows = _rows(latents)
    if not 1 <= count <= rows.shape[1]:
        raise ValueError(f"{count} directions asked for in {rows.shape[1]} dimensions: ask for 1 to {rows.shape[1]}")
    _, vectors = torch.linalg.eigh(torch.cov(rows.T).reshape(rows.shape[1], -1))  # ascending
    largest = vectors.T.flip(0)[:count]
    signs = largest.gather(1, largest.abs().argmax(1, keepdim=True)).sign()
    return [
        _direction(f"principal direction {number}", vector, rows)
        for number, vector in enumerate(largest * signs, start=1)
    ]


def attribute_directions(latents: Tensor, labels: ArrayLike | None, class_names: Sequence[str] = ()) -> list[Direction]:
    """For each class the direction in which latents become more like its own: from the rest's mean to the class's.

    The normal of a logistic regression tells classes apart better, but leads to a place between them: on MNIST, 30
    samples moved by 4 standard deviations towards each class became it in 35% of the cases, by this direction in 66%
    (judged by the label of the training image that is nearest in pixels).

    Args:
        latents: [N, D].
        labels: whole numbers [N] from 0, the class of each latent; None where there are none.
        class_names: by class; empty: their numbers are the names.

    Returns:
        One direction for each class that occurs, "more like <class name>", in the order of the classes.

    Raises:
        ValueError: no labels; fewer than 2 classes; as many labels as latents are missing or too many.
    """
    if labels is None:
        message = "no labels: attribute directions are learned from labels, and this model's training images have none"
        raise ValueError(message)
    classes, rows = np.asarray(labels), _rows(latents)
    if classes.shape != (len(rows),):
        raise ValueError(f"labels {list(classes.shape)} for {len(rows)} latents: give one label a latent")
    known = np.unique(classes).tolist()
    if len(known) < 2:
        raise ValueError("labels of one class only: attribute directions need 2 classes or more")
    names = [class_names[label] if label < len(class_names) else str(label) for label in known]
    return [
        _direction(f"more like {name}", rows[classes == label].mean(0) - rows[classes != label].mean(0), rows)
        for label, name in zip(known, names, strict=True)
    ]


def move(latents: Tensor, directions: Sequence[Direction], amounts: Sequence[float]) -> Tensor:
    """Latents moved along directions and put on the unit sphere again: z -> unit(unit(z) + sum_i a_i s_i v_i).

    Args:
        latents: [N, D] of any norm but 0.
        directions: v_i, with their spreads s_i.
        amounts: a_i, as many as directions, in standard deviations; zeros give the latents' own directions.

    Returns:
        [N, D] on the unit sphere, where the latents are.

    Raises:
        ValueError: as many amounts as directions are missing or too many.
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
