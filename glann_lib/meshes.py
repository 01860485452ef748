"""Mesh files <-> voxels: a person's or ModelNet's meshes become solids in a cube, and a cube of voxels a mesh again.

Arrays have the axes x, y, z, and z is up. A mesh file that says something else than it holds is refused by name, never
guessed at; a mesh that is not watertight is read, and is solid where its walls enclose space.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from scipy import ndimage
from skimage import measure

from glann_lib import storage

SUFFIXES = (".off", ".obj", ".stl", ".ply")
PART = 0.75  # of the cube, which a mesh's longest side takes: 24 of 32 voxels (3D ShapeNets, Wu et al. 2015)
SPACING = 0.4  # voxels, between samples of a surface: below 0.447 no path from voxel to voxel passes between them
SHRINK = 1 - 1e-4  # the longest side stays this much inside its voxels: rounding must not add another layer
BORDER = 1e-6  # voxels; a sample this near to a voxel's border belongs to both sides, whichever way it was rounded
CHUNK = 2_000_000  # samples at once (about 0.3 GB)


@dataclass(frozen=True)
class MeshFiles:
    """The mesh files of a directory or .zip, in sorted order; nothing is read yet."""

    path: Path  # the directory or the .zip
    names: tuple[str, ...]  # relative to the directory, or as stored in the .zip
    stamp: tuple[Any, ...]  # sizes and times of change: differs when the files do

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[str], bytes]]:
        """A function from a name to that file's bytes."""
        if self.path.is_dir():
            yield lambda name: (self.path / name).read_bytes()
        else:
            with zipfile.ZipFile(self.path) as archive:
                yield archive.read


def list_meshes(path: Path, within: str = "") -> MeshFiles:
    """The mesh files in a directory (at any depth) or .zip; hidden ones and __MACOSX are left out.

    Args:
        path: the directory or .zip.
        within: only names that begin so.

    Raises:
        ValueError: it is neither a directory nor a whole .zip, or holds no meshes.
    """
    if path.is_dir():
        found = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        names = sorted(name for name in found if name.startswith(within) and _is_mesh(name))
        stamp = tuple((file.stat().st_size, file.stat().st_mtime_ns) for file in map(found.get, names))
    else:
        names = sorted(name for name in _zip_names(path) if name.startswith(within) and _is_mesh(name))
        stamp = (path.stat().st_size, path.stat().st_mtime_ns)
    if not names:
        raise ValueError(f"{path / within} holds no meshes: put {_listed(SUFFIXES)} files there")
    return MeshFiles(path, tuple(names), stamp)


def read_mesh(content: bytes, name: str) -> trimesh.Trimesh:
    """One mesh file; equal vertices are merged, materials and normals left out.

    Args:
        content: the file's bytes.
        name: the file's name; its suffix (.off, .obj, .stl, .ply) tells the format, and errors name it.

    Raises:
        ValueError: another format, damaged, counts that do not fit, no faces, no extent, or no finite coordinates.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{name} is no mesh file: give {_listed(SUFFIXES)}")
    if suffix == ".off":
        _check_off(content, name)  # trimesh would read an .off that is cut short without a word
    try:
        mesh = trimesh.load_mesh(io.BytesIO(content), file_type=suffix[1:], process=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        reason = textwrap.shorten(str(error) or type(error).__name__, 200)
        raise ValueError(f"{name} is no mesh, or a damaged one ({reason}): export it again") from None
    if not len(getattr(mesh, "faces", ())):
        raise ValueError(f"{name} holds no faces: it is empty, or no mesh; export it again")
    _check_geometry(mesh, name)
    return trimesh.Trimesh(mesh.vertices, mesh.faces)


def voxelise(mesh: trimesh.Trimesh, size: int, turn: float = 0.0) -> np.ndarray:
    """A mesh as a solid: the voxels that its surface passes through, and all that these enclose.

    The mesh's bounding box is centred in the cube, its longest side takes PART of the cube, then it is turned; what
    then sticks out of the cube (by at most 0.03 of the cube's side) is cut off. Hollows without a way out are filled,
    and only these: a bowl or an open box keeps its inside, if its opening is wider than a voxel.

    Args:
        mesh: as `read_mesh` returns it, watertight or not.
        size: S, voxels along each side of the cube.
        turn: degrees about the upright axis z, counter-clockwise as seen from above.

    Returns:
        bool [S, S, S], axes x, y, z.
    """
    margin = size // 8 + 1  # turning needs 0.03 of the size; outside it, everything is empty and hangs together
    shell = np.zeros((size + 2 * margin,) * 3, bool)
    for points in _samples(_turned(_centred(mesh, size), turn)):
        _mark(shell, points + shell.shape[0] / 2)
    regions, _ = ndimage.label(~shell)  # neighbours share a face
    solid = regions != regions[0, 0, 0]
    return np.ascontiguousarray(solid[margin:-margin, margin:-margin, margin:-margin])


def surface(field: Any, level: float = 0.5) -> trimesh.Trimesh:
    """The surface between the voxels below `level` and the others, by marching cubes; closed at the cube's border.

    Args:
        field: [S, S, S] (axes x, y, z): bool, uint8 in 0 to 255, or floating point in [0, 1].
        level: above 0, below 1.

    Returns:
        A watertight mesh with outward normals; the cube is [0, 1]^3, with voxel i's centre at (i + 0.5) / S.

    Raises:
        ValueError: another type, shape or range; no voxel reaches `level`.
    """
    values = _to_unit(np.asarray(field))
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}: give a number above 0 and below 1")
    if not (values >= level).any():
        raise ValueError(f"the shape is empty: none of its voxels reaches {level}; lower the level or draw another")
    # Nothing lies nearer than half a step to where the surface is cut: a voxel right on it would give triangles without
    # an area, and voxels of 0 and 1 cut halfway leave open which diagonal neighbours hang together.
    step = 1e-3 * level
    values = np.pad(np.where(values >= level, values, np.minimum(values, level - step)), 1)
    corners, faces, _, _ = measure.marching_cubes(values, level - step / 2, gradient_direction="ascent")
    size = len(values) - 2
    return trimesh.Trimesh((corners - 0.5) / size, faces, process=False)  # voxel 0 has index 1 after padding


def save_mesh(mesh: trimesh.Trimesh, path: Path) -> Path:
    """Write a mesh as .obj or .stl, by the path's suffix, in one step.

    Raises:
        ValueError: another suffix.
        OSError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".obj", ".stl"):
        raise ValueError(f"cannot write {path.name}: name a file that ends in .obj or .stl")
    content = mesh.export(file_type=suffix[1:])
    return storage.write_bytes(path, content.encode() if isinstance(content, str) else content)


def _centred(mesh: trimesh.Trimesh, size: int) -> np.ndarray:
    """The triangles [F, 3, 3] in voxels, around the middle of their bounding box."""
    triangles = np.asarray(mesh.triangles, float)
    low, high = triangles.min((0, 1)), triangles.max((0, 1))
    return (triangles - (low + high) / 2) * (PART * SHRINK * size / (high - low).max())


def _turned(triangles: np.ndarray, turn: float) -> np.ndarray:
    """Points [..., 3] turned about z by `turn` degrees, x towards y; quarter turns are exact."""
    cosine, sine = np.round([np.cos(np.radians(turn)), np.sin(np.radians(turn))], 15)
    return triangles @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])


def _samples(triangles: np.ndarray) -> Iterator[np.ndarray]:
    """Points [n, 3] that lie so close on the triangles [F, 3, 3] that no point of these is 0.447 voxels from one.

    Rows parallel to a triangle's longest edge, SPACING apart, are sampled SPACING apart. A long thin triangle gets few
    samples; trimesh's voxelizer, which halves all edges until they are short, makes thousands of each.
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
    """Each item's index, once for every border of its steps, int [n], and where that lies, float [n, 1] from 0 to 1."""
    counts = steps + 1
    index = np.repeat(np.arange(len(steps)), counts)
    position = np.arange(len(index)) - (np.cumsum(counts) - counts)[index]
    return index, (position / np.maximum(steps, 1)[index])[:, None]


def _mark(shell: np.ndarray, points: np.ndarray) -> None:
    """Set the voxels of `shell` that hold one of the points [n, 3]; on a border, those on both sides."""
    cells = points.astype(np.int32)  # all are positive: this rounds down
    shell[cells[:, 0], cells[:, 1], cells[:, 2]] = True
    shared = points[(np.abs(points - np.rint(points)) < BORDER).any(1)]
    for corner in itertools.product((-BORDER, BORDER), repeat=3):
        shell[tuple((shared + corner).astype(np.int32).T)] = True


def _to_unit(values: np.ndarray) -> np.ndarray:
    """A field of voxels as float64 [S, S, S] in [0, 1]."""
    if values.ndim != 3 or len(set(values.shape)) > 1 or 0 in values.shape:
        raise ValueError(f"the field is {values.dtype} {list(values.shape)}: give a cube of voxels [S, S, S]")
    if values.dtype in (bool, np.uint8):
        return values.astype(float) / (1 if values.dtype == bool else 255)
    if values.dtype.kind != "f" or not (values.min() >= 0 and values.max() <= 1):  # also where one is NaN
        reach = f"{values.min():.3g} to {values.max():.3g}"
        raise ValueError(f"the field is {values.dtype}, {reach}: give bool, uint8, or floating point in [0, 1]")
    return values.astype(float)


def _check_off(content: bytes, name: str) -> None:
    """Refuse an .off whose lines are not the vertices and faces that its header counts."""
    lines = [line.partition("#")[0].split() for line in content.decode("utf-8", "replace").splitlines()]
    text = [" ".join(words) for words in lines if words]
    first = 2 if text and text[0].isalpha() else 1  # ModelNet's headers are often glued to the counts: "OFF490 518 0"
    header = re.fullmatch(r"[A-Z]*OFF ?(\d+) (\d+)( \d+)?", " ".join(text[:first]))
    if header is None:
        raise ValueError(f"{name} is no .off, or a damaged one (OFF and two counts must come first): export it again")
    vertices, faces, body = int(header[1]), int(header[2]), text[first:]
    widths = {line.count(" ") for line in body[:vertices]}
    whole = len(body) == vertices + faces and len(widths) < 2 and all(map(_is_face, body[vertices:]))
    if not whole:
        raise ValueError(
            f"{name} states {vertices} vertices and {faces} faces, but its {len(body)} lines after that are not these: "
            "it is damaged or cut short; export it again"
        )


def _is_face(line: str) -> bool:
    """Whether a line of an .off counts at least three corners and names as many (a colour may follow)."""
    count, *corners = line.split(" ")
    return count.isdigit() and 3 <= int(count) <= len(corners)


def _check_geometry(mesh: trimesh.Trimesh, name: str) -> None:
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise ValueError(f"{name} has a face with a corner that is none of its vertices: export it again")
    corners = mesh.vertices[mesh.faces]
    if not np.isfinite(corners).all():
        raise ValueError(f"{name} has coordinates that are not finite: repair it or leave it out")
    with np.errstate(over="ignore"):
        extent = np.ptp(corners, axis=(0, 1)).max()
    if not 0 < extent < np.inf:
        raise ValueError(f"{name} has no extent that can be scaled: all its corners are one point, or too far apart")


def _is_mesh(name: str) -> bool:
    """Whether a file's name is a mesh's; neither it nor a folder above it is hidden."""
    hidden = name.startswith((".", "__MACOSX/")) or "/." in name or "/__MACOSX/" in name
    return name.lower().endswith(SUFFIXES) and not hidden


def _zip_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no .zip, or a damaged one ({error}): name a directory or a whole .zip") from None


def _listed(suffixes: tuple[str, ...]) -> str:
    return ", ".join(suffixes[:-1]) + f" or {suffixes[-1]}"
