"""Meshes <-> voxels: meshes become solids in a cube, and a cube of voxels a mesh again; the axes are x, y, z, z up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glann_lib.engine import storage

if TYPE_CHECKING:
    import trimesh

PART = 0.75  # of the cube, which a mesh's longest side takes: 24 of 32 voxels (3D ShapeNets, Wu et al. 2015)
SPACING = 0.4  # voxels, between samples of a surface: below 0.447 no path from voxel to voxel passes between them
SHRINK = 1 - 1e-4  # the longest side stays this much inside its voxels: rounding must not add another layer
BORDER = 1e-6  # voxels; a sample this near to a voxel's border belongs to both sides, whichever way it was rounded
CHUNK = 2_000_000  # samples at once (about 0.3 GB)


class EmptyShapeError(ValueError):
    """No voxel of a field is solid: it has no surface."""


def voxelise(mesh: trimesh.Trimesh, size: int, turn: float = 0.0) -> np.ndarray:
    """A mesh as a solid, bool [size, size, size]: the voxels that its surface passes through, and all they enclose.

    The mesh need not be watertight: a bowl or an open box keeps its inside empty, if its opening is wider than a voxel.
    Its bounding box is centred in the cube, the longest side takes PART of it, then the mesh is turned, in degrees
    about z, counter-clockwise seen from above; what then sticks out (at most 0.03 of the cube's side) is cut off.
    """
    from scipy import ndimage

    margin = size // 8 + 1  # turning needs 0.03 of the size; outside it, everything is empty and hangs together
    shell = np.zeros((size + 2 * margin,) * 3, bool)
    for points in _samples(turned(_centred(mesh, size), turn)):
        _mark(shell, points + shell.shape[0] / 2)
    regions, _ = ndimage.label(~shell)  # neighbours share a face
    solid = regions != regions[0, 0, 0]
    return np.ascontiguousarray(solid[margin:-margin, margin:-margin, margin:-margin])


def surface(field: Any, level: float = 0.5) -> trimesh.Trimesh:
    """The surface between the voxels below `level` and the others, by marching cubes: a watertight mesh in [0, 1]^3.

    The field [S, S, S] is bool, uint8 in 0 to 255, or floating point in [0, 1], the level above 0 and below 1. Voxel
    i's centre is at (i + 0.5) / S; normals point outward. ValueError for another type, shape or range; EmptyShapeError
    where no voxel reaches the level.
    """
    import trimesh
    from skimage import measure

    values = _to_unit(np.asarray(field))
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}: give a number above 0 and below 1")
    if not (values >= level).any():
        reach = f"none of its voxels reaches {level}"
        raise EmptyShapeError(f"the shape is empty: {reach}; lower the level or draw another")
    # Nothing lies nearer than half a step to where the surface is cut: a voxel right on it would give triangles without
    # an area, and voxels of 0 and 1 cut halfway leave open which diagonal neighbours hang together.
    step = 1e-3 * level
    values = np.pad(np.where(values >= level, values, np.minimum(values, level - step)), 1)
    corners, faces, _, _ = measure.marching_cubes(values, level - step / 2, gradient_direction="ascent")
    size = len(values) - 2
    return trimesh.Trimesh((corners - 0.5) / size, faces, process=False)  # voxel 0 has index 1 after padding


def save_mesh(mesh: trimesh.Trimesh, path: Path) -> Path:
    """Write a mesh as .obj or .stl, by the path's suffix (ValueError for another), in one step; the path."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".obj", ".stl"):
        raise ValueError(f"cannot write {Path(path).name}: name a file that ends in .obj or .stl")
    content = mesh.export(file_type=suffix[1:])
    return storage.write_bytes(path, content.encode() if isinstance(content, str) else content)


def _centred(mesh: trimesh.Trimesh, size: int) -> np.ndarray:
    """The triangles [F, 3, 3] in voxels, around the middle of their bounding box."""
    triangles = np.asarray(mesh.triangles, float)
    low, high = triangles.min((0, 1)), triangles.max((0, 1))
    return (triangles - (low + high) / 2) * (PART * SHRINK * size / (high - low).max())


def turned(points: np.ndarray, turn: float) -> np.ndarray:
    """Points [..., 3] turned about z by `turn` degrees, x towards y; quarter turns are exact."""
    cosine, sine = np.round([np.cos(np.radians(turn)), np.sin(np.radians(turn))], 15)
    return points @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])


def _samples(triangles: np.ndarray) -> Iterator[np.ndarray]:
    """Points [n, 3] on the triangles [F, 3, 3]; nothing on these is 0.447 voxels away from one.

    Rows parallel to the longest edge, SPACING apart, are sampled SPACING apart. A long thin triangle gets few samples:
    trimesh's voxelizer, which halves all edges until they are short, makes thousands of each.
    """
    lengths = np.linalg.norm(triangles - np.roll(triangles, -1, axis=1), axis=2)
    order = (lengths.argmax(1)[:, None] + np.arange(3)) % 3
    triangles = np.take_along_axis(triangles, order[..., None], axis=1)  # now the first edge is the longest
    longest = np.maximum(lengths.max(1), np.finfo(float).tiny)
    first, second, apex = triangles.transpose(1, 0, 2)
    height = np.linalg.norm(np.cross(second - first, apex - first), axis=1) / longest
    rows = np.ceil(height / SPACING).astype(int)
    chunk = np.cumsum((rows + 1) * (np.ceil(longest / SPACING).astype(int) + 1)) // CHUNK
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(chunk)) + 1):
        index, along = _fractions(rows[part])
        index = part[index]
        start = first[index] + along * (apex - first)[index]
        edge = second[index] + along * (apex - second)[index] - start
        index, along = _fractions(np.ceil(np.linalg.norm(edge, axis=1) / SPACING).astype(int))
        yield start[index] + along * edge[index]


def _fractions(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each item's index, once for every border of its steps, int [n], and where that lies, [n, 1] from 0 to 1."""
    counts = steps + 1
    index = np.repeat(np.arange(len(steps)), counts)
    position = np.arange(len(index)) - (np.cumsum(counts) - counts)[index]
    return index, (position / np.maximum(steps, 1)[index])[:, None]


def _mark(shell: np.ndarray, points: np.ndarray) -> None:
    """Set the voxels that hold one of the points [n, 3]; on a border, those on both sides."""
    cells = points.astype(np.int32)  # all are positive: this rounds down
    shell[cells[:, 0], cells[:, 1], cells[:, 2]] = True
    shared = points[(np.abs(points - np.rint(points)) < BORDER).any(1)]
    for corner in itertools.product((-BORDER, BORDER), repeat=3):
        shell[tuple((shared + corner).astype(np.int32).T)] = True


def _to_unit(values: np.ndarray) -> np.ndarray:
    if values.ndim != 3 or len(set(values.shape)) > 1 or 0 in values.shape:
        raise ValueError(f"the field is {values.dtype} {list(values.shape)}: give a cube of voxels [S, S, S]")
    if values.dtype in (bool, np.uint8):
        return values.astype(float) / (1 if values.dtype == bool else 255)
    if values.dtype.kind != "f" or not (values.min() >= 0 and values.max() <= 1):  # also where one is NaN
        reach = f"{values.min():.3g} to {values.max():.3g}"
        raise ValueError(f"the field is {values.dtype}, {reach}: give bool, uint8, or floating point in [0, 1]")
    return values.astype(float)
