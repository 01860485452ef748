"""Mesh files -> meshes: which of them a directory or .zip holds, and one file's vertices and faces, checked."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glann_lib.data.files import DataFiles, list_files, reason

if TYPE_CHECKING:
    import trimesh

SUFFIXES = (".off", ".obj", ".stl", ".ply")
LISTED = ".off, .obj, .stl or .ply"


def list_meshes(path: Path, within: str = "") -> DataFiles:
    """The mesh files in a directory or .zip, as `list_files`; ValueError where it holds none."""
    files = list_files(path, SUFFIXES, within)
    if not files.names:
        raise ValueError(f"{path / within} holds no meshes: put {LISTED} files there")
    return files


def read_mesh(content: bytes, name: str) -> trimesh.Trimesh:
    """One mesh file, watertight or not, of its suffix's format; equal vertices are merged, materials and normals left.

    ValueError, by its name: another format, damaged, counts that do not fit, no faces, no extent, not finite.
    """
    import trimesh

    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{name} is no mesh file: give {LISTED}")
    if suffix == ".off":
        _check_off(content, name)  # trimesh would read an .off that is cut short without a word
    try:
        mesh = trimesh.load_mesh(io.BytesIO(content), file_type=suffix[1:], process=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError(f"{name} is no mesh, or a damaged one ({reason(error)}): export it again") from None
    if not len(getattr(mesh, "faces", ())):
        raise ValueError(f"{name} holds no faces: it is empty, or no mesh; export it again")
    _check_geometry(mesh, name)
    return trimesh.Trimesh(mesh.vertices, mesh.faces)


def _check_off(content: bytes, name: str) -> None:
    """ValueError where the lines are not the vertices and faces that the header counts."""
    lines = [line.partition("#")[0].split() for line in content.decode("utf-8", "replace").splitlines()]
    text = [" ".join(words) for words in lines if words]
    first = 2 if text and text[0].isalpha() else 1  # ModelNet's headers are often glued to the counts: "OFF490 518 0"
    header = re.fullmatch(r"[A-Z]*OFF ?(\d+) (\d+)( \d+)?", " ".join(text[:first]))
    if header is None:
        raise ValueError(f"{name} is no .off, or a damaged one (OFF and two counts must come first): export it again")
    vertices, faces, body = int(header[1]), int(header[2]), text[first:]
    widths = {line.count(" ") for line in body[:vertices]}
    if len(body) != vertices + faces or len(widths) > 1 or not all(map(_is_face, body[vertices:])):
        raise ValueError(
            f"{name} states {vertices} vertices and {faces} faces, but its {len(body)} lines after that are not these: "
            "it is damaged or cut short; export it again"
        )


def _is_face(line: str) -> bool:
    """Whether a line counts three corners or more and names as many (a colour may follow)."""
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
