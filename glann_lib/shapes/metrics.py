"""Scores of sets of voxel shapes, for which the paper has none: how real ones are matched, and whether sets differ.

`measures.SHAPE_METRICS` says of each score its unit, which way is better, its protocol and its paper. All distances are
exact, between voxels' centres, not points drawn. Shapes are bool [N, S, S, S], tensors or arrays, all on one device;
what is not bool, no cube of one size, or no shape at all is a ValueError.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

FLOATS = 8_000_000  # voxels of one set held as float32 at once: 32 MB, and as many of the other set


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of N pairs of shapes, float32 [N] in [0, 1]; of two empty ones 1."""
    a, b = _checked(a, b)
    if len(a) != len(b):
        raise ValueError(f"{len(a)} shapes for {len(b)} others: give as many, or take iou_matrix")
    return _ratio((a & b).flatten(1).sum(1), (a | b).flatten(1).sum(1))


def iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of each of N shapes with each of M, float32 [N, M] in [0, 1], in bounded memory."""
    a, b = (shapes.flatten(1) for shapes in _checked(a, b))
    common = _products(a, b)  # exact up to 256 voxels a side, where float32 still holds every count
    either = a.sum(1)[:, None] + b.sum(1) - common
    return _ratio(common, either)


def _ratio(common: Tensor, either: Tensor) -> Tensor:
    return torch.where(either > 0, common / either.clamp(min=1), 1.0)


def _products(a: Tensor, b: Tensor) -> Tensor:
    """a b^T, [N, M] from [N, V] and [M, V] of any type; two blocks of floats at once."""
    rows = max(1, FLOATS // a.shape[1])
    columns = []
    for block in b.split(rows):
        right = block.float().T
        columns.append(torch.cat([left.float() @ right for left in a.split(rows)]))
    return torch.cat(columns, 1)


def chamfer_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Chamfer distance of each of N shapes to each of M, float32 [N, M] in sides of the cube, on the processor.

    The mean over a's surface voxels of the distance to b's nearest one, plus the same the other way round. Achlioptas
    et al. 2018 add up squared distances of points drawn on the surfaces; plain ones make the number a length. A surface
    voxel has an empty neighbour at one of its 6 faces, or is at the cube's border. A shape without voxels is infinitely
    far from all, other empty ones included. `b` as the same object as `a` takes half of the time.
    """
    same = a is b
    a, b = (shapes.cpu() for shapes in _checked(a, b))
    there = _mean_distances(a, b)
    return there + (there if same else _mean_distances(b, a)).T


def _mean_distances(a: Tensor, b: Tensor) -> Tensor:
    surfaces, others = (_surfaces(shapes) for shapes in (a, b))
    counts = surfaces.flatten(1).sum(1)
    blocks = others.split(max(1, FLOATS // others[0].numel()))  # so that not all distance fields are held at once
    sums = torch.cat([_products(surfaces.flatten(1), _distance_fields(block)) for block in blocks], 1)
    means = sums / counts.clamp(min=1)[:, None] / a.shape[-1]
    empty = (counts == 0)[:, None] | (others.flatten(1).sum(1) == 0)
    return means.masked_fill(empty, torch.inf)


def _surfaces(shapes: Tensor) -> Tensor:
    from scipy import ndimage

    faces = ndimage.generate_binary_structure(3, 1)[None]  # a voxel and its 6 neighbours, of the same shape
    return shapes & ~torch.from_numpy(ndimage.binary_erosion(shapes.numpy(), faces))


def _distance_fields(surfaces: Tensor) -> Tensor:
    """Of all voxels to the nearest of each surface, [M, S * S * S] in voxels; 0 for an empty one."""
    from scipy import ndimage

    fields = torch.zeros(surfaces.shape, dtype=torch.float32)
    for field, surface in zip(fields, surfaces.numpy(), strict=True):
        if surface.any():
            field.copy_(torch.from_numpy(ndimage.distance_transform_edt(~surface)))
    return fields.flatten(1)


def matching_scores(cross: ArrayLike, generated: ArrayLike, real: ArrayLike) -> tuple[float, float, float]:
    """Minimum matching distance, in the distances' unit, coverage, and accuracy of the nearest neighbour, both 0 to 1.

    `cross` is [G, R], of generated to real shapes, `generated` [G, G] and `real` [R, R] among their own, whose
    diagonals do not matter; other shapes, no rows, or NaN are a ValueError.

    MMD (lower is better) and COV (higher): Achlioptas et al. 2018; 1-NNA (0.5 is best at equal counts): Lopez-Paz and
    Oquab 2017, Yang et al. 2019. A generated shape infinitely far from all real ones covers none, and a shape
    infinitely far from all others is told apart. Of real shapes at equal distance a generated one covers the first. A
    shape as near to its own set as to the other counts as half told apart.
    """
    cross, generated, real = _checked_distances(cross, generated, real)
    nearest = cross.argmin(1)[np.isfinite(cross.min(1))]
    told_apart = np.concatenate([_told_apart(generated, cross), _told_apart(real, cross.T)])
    return float(cross.min(0).mean()), len(np.unique(nearest)) / len(real), float(told_apart.mean())


def _told_apart(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[N]: 1 where the nearest shape is of the own set, 0 where of the other, 0.5 where both are as near."""
    own = own.copy()
    np.fill_diagonal(own, np.inf)
    nearest_own, nearest_other = own.min(1), other.min(1)
    right = (nearest_own < nearest_other) | np.isinf(nearest_other)
    return np.where(right, 1.0, 0.5 * (nearest_own == nearest_other))


def _checked_distances(*matrices: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cross, generated, real = (np.asarray(matrix, dtype=np.float64) for matrix in matrices)
    if cross.ndim != 2 or not cross.size:
        raise ValueError(f"distances of generated to real shapes are {list(cross.shape)}: give [G, R], 1 or more each")
    for name, matrix, count in zip(("generated", "real"), (generated, real), cross.shape, strict=True):
        if matrix.shape != (count, count):
            raise ValueError(f"distances among {name} shapes are {list(matrix.shape)}: give [{count}, {count}]")
    if any(np.isnan(matrix).any() for matrix in (cross, generated, real)):
        raise ValueError("some distances are NaN: give infinity where there is nothing to measure")
    return cross, generated, real


def score_shapes(generated: Tensor, real: Tensor) -> dict[str, float]:
    """All scores of `measures.SHAPE_METRICS`, by its keys; they compare at as many generated shapes as real ones.

    Generated shapes may be empty; a real one without voxels is a ValueError.
    """
    generated, real = _checked(generated, real)
    missing = int((~real.flatten(1).any(1)).sum())
    if missing:
        raise ValueError(f"{missing} of {len(real)} real shapes have no voxel: leave them out")
    count = len(generated)
    likeness = iou_matrix(generated, real).cpu().numpy()
    shapes = torch.cat([generated, real])
    chamfer = chamfer_matrix(shapes, shapes)  # in one, so that each distance field is found once
    distance, coverage, accuracy = matching_scores(
        chamfer[:count, count:], chamfer[:count, :count], chamfer[count:, count:]
    )
    covered = likeness.argmax(1)[likeness.max(1) > 0]  # with nothing in common, nothing is covered
    return {
        "matching_chamfer": distance,
        "matching_iou": float(likeness.max(0).mean()),
        "coverage_chamfer": coverage,
        "coverage_iou": len(np.unique(covered)) / len(real),
        "nearest_accuracy_chamfer": accuracy,
        "whole": float(in_one_piece(generated).float().mean()),
        "empty": float((~generated.flatten(1).any(1)).float().mean()),
    }


def in_one_piece(shapes: Tensor) -> Tensor:
    """bool [N], which shapes have all their voxels in one piece, by faces, edges or corners; an empty one has none."""
    from scipy import ndimage

    touching = ndimage.generate_binary_structure(3, 3)
    return torch.tensor([ndimage.label(shape, touching)[1] == 1 for shape in _checked(shapes, shapes)[0].cpu().numpy()])


class NearestShapes(NamedTuple):
    """Of each query the reference most like it: row numbers [N], and the intersection over union [N] with it."""

    index: Tensor
    iou: Tensor


def nearest_shapes(queries: Tensor, references: Tensor) -> NearestShapes:
    """The reference with which each query has the largest intersection over union."""
    best = iou_matrix(queries, references).max(1)
    return NearestShapes(best.indices, best.values)


def _checked(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    sets = torch.as_tensor(a), torch.as_tensor(b)
    for shapes in sets:
        size = list(shapes.shape)
        if shapes.dtype != torch.bool:
            raise ValueError(f"shapes are {str(shapes.dtype).removeprefix('torch.')}: give bool, as in values > 0.5")
        if len(size) != 4 or len(set(size[1:])) != 1 or 0 in size:
            raise ValueError(f"shapes are {size}: give [N, S, S, S] with N and S at least 1")
    if sets[0].shape[1:] != sets[1].shape[1:]:
        sides = [shapes.shape[-1] for shapes in sets]
        raise ValueError(f"shapes have {sides} voxels a side: make both at the same size")
    return sets
