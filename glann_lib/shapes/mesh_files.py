"""Mesh files -> meshes: one file's vertices and faces, checked."""

from __future__ import annotations

import contextlib
import itertools
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glann_lib.data.listing import MESHES, reason

if TYPE_CHECKING:
    import trimesh

LISTED = ".off, .obj, .stl or .ply"
BLANK = b"\0 \t\r\n"  # what may follow the numbers of a binary file
VERTEX = rb"\s+vertex\s+(\S+)\s+(\S+)\s+(\S+)"
FACET = rb"facet\s+normal(?:\s+\S+){3}\s+outer\s+loop" + 3 * VERTEX + rb"\s+end\s*loop\s+end\s*facet"
PLY_ORDERS = {b"ascii": "=", b"binary_little_endian": "<", b"binary_big_endian": ">"}
PLY_FORMAT = rb"(?:.*?[\r\n])??format[ \t]+(" + b"|".join(PLY_ORDERS) + rb")[ \t]"
PLY_HEADER = rb"(?s)\s*ply[ \t]*(\r\n|\n|\r)" + PLY_FORMAT + rb"(.*?)[\r\n]end_header[ \t]*(?:\1|\r?\n|\Z)"
PLY_NAMES = "char uchar short ushort int uint float double int8 uint8 int16 uint16 int32 uint32 float32 float64"
PLY_TYPES = dict(zip(PLY_NAMES.split(), "bBhHiIfd" * 2, strict=True)) | {"int64": "q", "uint64": "Q"}


def read_mesh(content: bytes, name: str) -> trimesh.Trimesh:
    """One mesh file, watertight or not, of its suffix's format; equal vertices are merged, polygons become triangles.

    Materials, normals and colours are left. ValueError, by its name: another format, damaged, more or less than it
    counts, no faces, no extent, not finite. Nothing shows, and so it passes, that an .obj ends early but after a whole
    vertex or corner, or that the last number of an .obj, .off or text .ply has lost digits.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in MESHES:
        raise ValueError(f"{name} is no mesh file: give {LISTED}")
    read = {".off": _read_off, ".obj": _read_obj, ".stl": _read_stl, ".ply": _read_ply}[suffix]
    try:
        vertices, faces = read(content.removeprefix(b"\xef\xbb\xbf"))
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError(f"{name} is no {suffix}, or damaged or cut short ({reason(error)}): export it again") from None
    return _welded(vertices, faces, name)


def _read_off(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [N, 3], triangles [F, 3]; a vertex or face a line, or without colours of faces, on any lines."""
    text = re.sub(rb"#[^\r\n]*", b"", content)
    header = re.match(rb"\s*(?:((?:ST|C|N)*)(4?n?)(?:OFF|off)(\s+BINARY)?)?", text)  # ModelNet glues: "OFF490 518 0"
    if header[2] or header[3]:
        raise ValueError(f"{'more than 3 dimensions' if header[2] else 'OFF BINARY'}: save it as a text OFF in 3D")
    lines = [line.split() for line in text[header.end() :].splitlines() if line.strip()]
    if lines and not re.search(rb"[\d\0]", b"".join(lines[-1])):
        del lines[-1]  # some exporters end with a line of words, or a 0
    words = [word for line in lines for word in line]
    if len(words) < 2 or not (words[0] + words[1]).isdigit():
        raise ValueError("OFF and the counts of vertices and faces must come first")
    points, faces, kind = int(words[0]), int(words[1]), header[1] or b""
    width = 3 + 3 * (b"N" in kind) + 2 * (b"ST" in kind)
    starts = (2, 3) if len(lines[0]) == 2 else (3,)  # the count of edges may be missing
    layouts = itertools.product(starts, (width + 4, width + 3) if b"C" in kind else (width,))
    alone = [row[0].isdigit() and len(row) == 1 + int(row[0]) for row in lines[-faces:]]
    if len(alone) > sum(alone) > len(alone) / 2:
        layouts = ()  # faces lie on their own lines, some of which are damaged
    for rows in itertools.chain([lines[1:]], (_off_rows(words, points, *layout) for layout in layouts)):
        with contextlib.suppress(ValueError, IndexError):
            return _off_mesh(list(rows), points, faces)
    raise ValueError(f"it states {points} vertices and {faces} faces, but its numbers are not these")


def _off_rows(words: list[bytes], points: int, at: int, width: int) -> Iterator[list[bytes]]:
    while at < len(words):
        row = words[at : at + (width if points > 0 else 1 + max(0, int(words[at])))]
        at, points = at + len(row), points - 1
        yield row


def _off_mesh(rows: list[list[bytes]], points: int, faces: int) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.array([[float(word) for word in row] for row in rows[:points]] or np.empty((0, 3)))[:, [0, 1, 2]]
    polygons = [[int(word) for word in row[1 : 1 + int(row[0])]] for row in rows[points : points + faces]]
    colours = {len(row) - 1 - int(row[0]) for row in rows[points : points + faces]}
    is_all = len(vertices) + len(polygons) == points + faces and rows[points + faces :] in ([], [[b"0"]])
    if not (is_all and (colours <= {0, 3, 4} or colours == {1})):
        raise ValueError
    return vertices, _triangles(polygons)


def _read_obj(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if b"\0" in content:
        raise ValueError("it holds zero bytes, which no text does")
    vertices, polygons = [], []
    for line in re.sub(rb"\\(\r\n|\n|\r)", b" ", content).splitlines():
        key, *words = line.partition(b"#")[0].split() or [b""]
        try:
            if key == b"v" and len(words) in (3, 4, 6, 7):  # with a weight, a colour or both
                vertices.append([float(word) for word in words][:3])
            elif key in (b"f", b"fo") and len(set(re.sub(rb"-?\d+", b"1", b" ".join(words)).split())) == 1:  # "1/2/3"
                corners = [int(word.partition(b"/")[0]) for word in words]
                polygons.append([corner - 1 if corner >= 0 else len(vertices) + corner for corner in corners])
            elif key in (b"v", b"f", b"fo"):
                raise ValueError
        except ValueError:
            raise ValueError(f"{line[:40].decode('latin-1')!r} is no whole vertex or face") from None
    return np.reshape(vertices, (-1, 3)), _triangles(polygons)


def _read_stl(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if content.lstrip()[:5].lower() == b"solid" and b"\0" not in content:
        text = content.lower()
        rest = [line.split()[0] for line in re.sub(FACET, b"", text).splitlines() if line.strip()]
        if rest != [b"solid", b"endsolid"] * max(1, len(rest) // 2):
            raise ValueError("it is not whole facets of three vertices from solid to endsolid")
        corners = np.array([[float(word) for word in facet] for facet in re.findall(FACET, text)])
    else:  # a binary one, which may begin with "solid" as well
        count = int.from_bytes(content[80:84], "little")
        if len(content) < 84 + 50 * count or content[84 + 50 * count :].strip(BLANK):
            raise ValueError(f"it states {count} faces, but its {len(content)} bytes are not these")
        corners = np.frombuffer(content, [("_", "<f4", 3), ("corners", "<f4", 9), ("", "<u2")], count, 84)["corners"]
    return corners.reshape(-1, 3).astype(float), np.arange(corners.size // 3).reshape(-1, 3)


def _read_ply(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [N, 3] and triangles [F, 3]; a text is read as binary numbers of eight bytes, a row a line."""
    header = re.match(PLY_HEADER, content)
    if header is None:
        raise ValueError("a header from ply and format to end_header must come first")
    text = "\n".join(" ".join(line.split()) for line in header[3].decode("latin-1").splitlines())
    elements = re.findall(r"^element (\S+) (\d+)$((?:\n(?!element ).*)*)", text, re.MULTILINE)
    body, order, types, at = content[header.end() :], PLY_ORDERS[header[2]], PLY_TYPES, 0
    if is_text := order == "=":
        ends = {8 * end for end in itertools.accumulate(len(line.split()) for line in body.splitlines())}
        body, types = np.array([float(word) for word in body.split()]).tobytes(), dict.fromkeys(PLY_TYPES, "d")

    def take(number: float, kind: str) -> tuple[float, ...]:
        nonlocal at
        row = f"{order}{number:g}{types[kind]}"
        at += struct.calcsize(row)
        return struct.unpack_from(row, body, at - struct.calcsize(row))

    data = {}
    try:
        for name, count, lines in elements:
            fields = re.findall(r"^property (?:list (\S+) )?(\S+) (\S+)$", lines, re.MULTILINE)
            for _ in range(int(count) * bool(fields)):
                for size, kind, field in fields:
                    numbers = take(*take(1, size), kind) if size else take(1, kind)
                    data.setdefault((name, field), []).append(numbers if size else numbers[0])
                if is_text and at not in ends:
                    raise struct.error
        if body[at:].strip(b"" if is_text else BLANK):
            raise struct.error
    except struct.error:
        stated = " and ".join(f"{count} x {name}" for name, count, _ in elements)
        raise ValueError(f"it states {stated}, but what follows is not these") from None
    vertices = np.array([data.get(("vertex", axis), ()) for axis in "xyz"], float).T
    lists = [key for key, values in data.items() if key[0] == "face" and isinstance(values[0], tuple)]
    indices = min(lists, key=lambda key: "vertex_ind" not in key[1], default=None)  # else one of another name
    return vertices, _triangles(data.get(indices, ()))


def _triangles(polygons: Iterable[Sequence[float]]) -> np.ndarray:
    """Each polygon's fan of triangles, int64 [F, 3]; ValueError for fewer than three corners, or parts of one."""
    fans = []
    for polygon in polygons:
        first, *others = map(int, polygon)
        if len(others) < 2 or [first, *others] != list(polygon):
            raise ValueError("one of its faces is not three corners or more")
        fans += [(first, *pair) for pair in itertools.pairwise(others)]
    return np.array(fans, int).reshape(-1, 3)


def _welded(vertices: np.ndarray, faces: np.ndarray, name: str) -> trimesh.Trimesh:
    """Vertices that are equal, to 1e-8 of the extent, become one; trimesh's own merging knows no extent but 1."""
    import trimesh

    if not len(faces):
        raise ValueError(f"{name} holds no faces: it is empty, or no mesh; export it again")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(f"{name} has a face with a corner that is none of its vertices: export it again")
    corners = vertices[faces.reshape(-1)]
    if not np.isfinite(corners).all():
        raise ValueError(f"{name} has coordinates that are not finite: repair it or leave it out")
    with np.errstate(over="ignore"):
        extent = np.ptp(corners, axis=0).max()
    if not 0 < extent < np.inf:
        raise ValueError(f"{name} has no extent that can be scaled: all its corners are one point, or too far apart")
    places = np.round((corners - corners.min(axis=0)) / extent * 1e8)
    _, first, corner = np.unique(places, axis=0, return_index=True, return_inverse=True)
    return trimesh.Trimesh(corners[first], corner.reshape(-1, 3), process=False)
