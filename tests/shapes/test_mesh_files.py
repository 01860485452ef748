"""Mesh files: every kind that is read or refused, and what is listed."""

import math
import struct
import tracemalloc
import warnings

import numpy as np
import pytest
import trimesh
from made_files import write_files, write_zip

from glann_lib.data.listing import list_meshes
from glann_lib.shapes.mesh_files import read_mesh
from glann_lib.shapes.meshes import voxelise

CUBE_OFF = """8 6 0
0 0 0
1 0 0
1 1 0
0 1 0
0 0 1
1 0 1
1 1 1
0 1 1
4 0 3 2 1
4 4 5 6 7
4 0 1 5 4
4 1 2 6 5
4 2 3 7 6
4 3 0 4 7
"""


@pytest.mark.parametrize("kind", ["off", "obj", "stl", "ply"])
def test_every_format_is_read(kind):
    mesh = trimesh.creation.cylinder(0.3, 1.0)
    content = mesh.export(file_type=kind)
    content = content.encode() if isinstance(content, str) else content
    again = read_mesh(content, f"folder/A.{kind.upper()}")
    assert again.is_watertight and again.volume == pytest.approx(mesh.volume, rel=1e-5)
    assert len(again.vertices) == len(mesh.vertices)  # also of .stl, which repeats them


@pytest.mark.parametrize("header", ["OFF\n", "OFF", "OFF ", "# a comment\nOFF\n\n", "OFF # begins\n"])
def test_off_headers_and_quads(header):
    mesh = read_mesh((header + CUBE_OFF).encode(), "chair_0001.off")
    assert mesh.is_watertight and mesh.volume == pytest.approx(1) and len(mesh.faces) == 12


def test_off_with_colours_and_polygons():
    text = CUBE_OFF.replace("4 0 3 2 1\n", "4 0 3 2 1 255 0 0\n").replace("\n", "\r\n")
    assert read_mesh(("OFF\n" + text).encode(), "a.off").is_watertight
    prism = trimesh.creation.cylinder(1.0, 1.0, sections=6)
    rim = "6 " + " ".join(str(i) for i in range(6))
    corners = "\n".join(f"{math.cos(i)} {math.sin(i)} 0" for i in np.arange(6) * math.pi / 3)
    flat = read_mesh(f"OFF 6 1 0\n{corners}\n{rim}\n".encode(), "a.off")
    assert flat.area == pytest.approx(prism.volume)


def test_equal_vertices_of_an_obj_are_merged_in_spite_of_their_normals():
    mesh = trimesh.creation.box()
    soup = trimesh.Trimesh(mesh.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3), process=False)
    content = soup.export(file_type="obj", include_normals=True).encode()
    assert read_mesh(content, "a.obj").is_watertight


def off(vertices, faces, counts=None):
    counts = counts or (len(vertices), len(faces))
    lines = ["OFF", f"{counts[0]} {counts[1]} 0", *vertices, *faces]
    return ("\n".join(lines) + "\n").encode()


CORNERS = ["0 0 0", "1 0 0", "0 1 0", "0 0 1"]
FACES = ["3 0 2 1", "3 0 1 3", "3 0 3 2", "3 1 2 3"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.glb", b"", "is no mesh file: give .off, .obj, .stl or .ply"),
        ("a.off", b"", "is no .off, or damaged or cut short (OFF and the counts"),
        ("a.off", b"words and more words", "is no .off, or damaged or cut short (OFF and the counts"),
        ("a.off", b"\x00\xff\x80" * 50, "is no .off, or damaged or cut short (OFF and the counts"),
        ("a.off", b"OFF\n", "is no .off, or damaged or cut short (OFF and the counts"),
        ("a.off", b"OFF\n4 four 0\n", "is no .off, or damaged or cut short (OFF and the counts"),
        ("a.off", off(CORNERS, FACES[:3], (4, 4)), "states 4 vertices and 4 faces, but its numbers are not these"),
        ("a.off", off(CORNERS, FACES, (4, 3)), "states 4 vertices and 3 faces, but its numbers are not these"),
        ("a.off", off(CORNERS[:3], FACES, (4, 4)), "are not these"),
        ("a.off", off([*CORNERS, "1 1 1"], FACES, (4, 4)), "are not these"),
        ("a.off", off(CORNERS, FACES, (5, 3)), "are not these"),  # a face would be read as a vertex
        ("a.off", off(CORNERS, FACES, (3, 5)), "are not these"),  # and a vertex as a face
        ("a.off", off(CORNERS, [*FACES[:3], "3 1 2"]), "are not these"),
        ("a.off", off(CORNERS, [*FACES[:3], "2 1 2"]), "are not these"),
        ("a.off", off(CORNERS, [*FACES[:3], "3 1 2 x"]), "are not these"),
        ("a.off", off(CORNERS, [*FACES[:3], "3 1 2 4"]), "has a face with a corner that is none of its vertices"),
        ("a.off", off(CORNERS, []), "holds no faces"),
        ("a.off", off([], []), "holds no faces"),
        ("a.off", off([*CORNERS[:3], "0 0 nan"], FACES), "coordinates that are not finite"),
        ("a.off", off([*CORNERS[:3], "0 0 inf"], FACES), "coordinates that are not finite"),
        ("a.off", off(["1 2 3"] * 4, FACES), "has no extent"),
        ("a.off", off([*CORNERS[:2], "0 1e308 0", "0 -1e308 0"], FACES), "has no extent that can be scaled"),
        ("a.obj", b"", "holds no faces"),
        ("a.obj", b"just words", "holds no faces"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "has a face with a corner that is none of its vertices"),
        ("a.stl", b"just words", "it states 0 faces, but its 10 bytes are not these"),
        (
            "a.stl",
            trimesh.creation.box().export(file_type="stl")[:-60],
            "it states 12 faces, but its 624 bytes are not",
        ),
        ("a.ply", b"just words", "is no .ply, or damaged or cut short (a header from ply"),
        ("a.ply", trimesh.creation.box().export(file_type="ply")[:-30], "it states 8 x vertex and 12 x face, but what"),
        ("a.ply", trimesh.PointCloud(np.eye(3)).export(file_type="ply"), "holds no faces"),
    ],
)
def test_bad_files_are_named_in_one_line(name, content, words):
    with pytest.raises(ValueError) as caught, warnings.catch_warnings():
        warnings.simplefilter("error")
        read_mesh(content, name)
    text = str(caught.value)
    assert words in text and text.startswith(name) and "\n" not in text


def refusal(content, name):
    """The one line that refuses a file, None where it is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read_mesh(content, name)
        except ValueError as error:
            assert str(error).startswith(name) and "\n" not in str(error) and len(str(error)) < 300
            return str(error)
    return None


def exported(mesh, kind):
    """A mesh as a file's bytes; a kind is "off", "obj", "stl", "stl text", "ply", "ply text" or "ply big"."""
    suffix, _, form = kind.partition(" ")
    if form == "big":
        header = f"ply\nformat binary_big_endian 1.0\nelement vertex {len(mesh.vertices)}\n"
        header += "property double x\nproperty double y\nproperty double z\n"
        header += f"element face {len(mesh.faces)}\nproperty list uint8 uint16 vertex_index\nend_header\n"
        rows = np.empty(len(mesh.faces), [("count", "u1"), ("corners", ">u2", 3)])
        rows["count"], rows["corners"] = 3, mesh.faces
        return header.encode() + mesh.vertices.astype(">f8").tobytes() + rows.tobytes()
    if suffix == "stl" and form == "text":
        content = mesh.export(file_type="stl_ascii")
    else:
        content = mesh.export(file_type=suffix, **({"encoding": "ascii"} if form == "text" else {}))
    return content.encode() if isinstance(content, str) else content


def corners_of(mesh):
    return np.array(sorted(map(tuple, np.round(mesh.triangles.reshape(-1, 9), 6))))


BALL = trimesh.creation.icosphere(1)  # 80 faces, 42 vertices
KINDS = ("off", "obj", "stl", "stl text", "ply", "ply text", "ply big")


def test_a_text_ply_without_its_last_lines_is_refused():
    content = exported(trimesh.creation.icosphere(2), "ply text")
    assert len(read_mesh(content, "a.ply").faces) == 320 and voxelise(read_mesh(content, "a.ply"), 32).sum() > 5000
    short = b"\n".join(content.splitlines()[:-40])
    words = "it states 162 x vertex and 320 x face, but what follows is not these"
    assert refusal(short, "a.ply") == f"a.ply is no .ply, or damaged or cut short ({words}): export it again"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_anywhere_is_whole_or_refused(kind):
    """Text is cut at every line's end, a binary file at many bytes. Of an .obj only its corners' loss can be seen."""
    content, name = exported(BALL, kind), f"a.{kind[:3]}"
    whole = corners_of(read_mesh(content, name))
    assert len(whole) == 80
    is_text = kind in ("off", "obj") or kind.endswith("text")
    ends = {i for i, byte in enumerate(content) if byte == 10} if is_text else {*range(0, len(content), 3)}
    for end in sorted({*ends, *range(20), len(content) - 1}):
        if refusal(content[:end], name) is None:
            cut = read_mesh(content[:end], name)
            if kind == "obj":
                assert len(cut.faces) <= 80  # it counts nothing: what is read are the faces before the cut
            else:
                assert not content[end:].strip() and np.array_equal(corners_of(cut), whole), end


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes_never_change_the_number_of_faces(kind):
    """Any byte may become any other: the file is refused, or holds as many faces (an .obj counts none, and may)."""
    content, name, generator = exported(BALL, kind), f"a.{kind[:3]}", np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), generator.integers(1, 4)):
            changed[place] = (
                generator.integers(0, 256) if generator.random() < 0.5 else ord(generator.choice(list("0 \n3#-.")))
            )
        if refusal(bytes(changed), name) is None and kind != "obj":
            assert len(read_mesh(bytes(changed), name).faces) == 80


def test_random_bytes_are_refused():
    generator = np.random.default_rng(1)
    for size in (0, 1, 4, 79, 84, 134, 1000):
        for start in (b"", b"OFF ", b"ply\n", b"solid ", b"v ", b"\x89PNG\r\n\x1a\n"):
            for kind in ("off", "obj", "stl", "ply"):
                assert refusal(start + generator.bytes(size), f"a.{kind}")


def test_formats_do_not_pass_for_one_another():
    for kind in KINDS:
        content = exported(BALL, kind)
        for suffix in {"off", "obj", "stl", "ply"} - {kind[:3]}:
            assert refusal(content, f"a.{suffix}")


VERTICES, QUADS = CUBE_OFF.split("\n")[1:9], CUBE_OFF.split("\n")[9:15]
NUMBERS = " ".join([*VERTICES, *QUADS])


def batches(words, size):
    return [words[i : i + size] for i in range(0, len(words), size)]


def coloured(lines, colour):
    return "\n".join(f"{line} {colour}" for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        CUBE_OFF,  # no word at all
        "\ufeffOFF\n" + CUBE_OFF,
        "OFF 8 6 12\n" + NUMBERS,
        f"OFF 8 6 12 {NUMBERS}",  # all on one line
        f"OFF 8 6 12 {NUMBERS}\n0\n",
        f"8 6 0 {NUMBERS}",
        "OFF\n" + f"8 6 0 {NUMBERS}".replace(" ", "\n"),  # a number a line
        "OFF\n8 6\n0\n" + NUMBERS,
        *("\n".join(map(" ".join, batches(f"OFF 8 6 0 {NUMBERS}".split(), n))) for n in range(2, 12)),
        "OFF 8 6 0\n" + " ".join(VERTICES) + "\n" + "\n".join(QUADS),
        "OFF\n8 6\n" + NUMBERS,  # edges are not counted
        "OFF\n8 6\n" + NUMBERS.replace(" ", "\n"),
        "OFF8 6 0\n" + CUBE_OFF.partition("\n")[2],
        "OFF 8 6 0\n" + CUBE_OFF.partition("\n")[2],
        "OFF 8 6\n" + CUBE_OFF.partition("\n")[2],
        "off\n" + CUBE_OFF,
        ("OFF\n" + CUBE_OFF).replace("\n", "\r\n"),
        ("OFF\n" + CUBE_OFF).replace("\n", "\r"),
        "# made by hand\nOFF\n# counts\n8 6 0 # here\n\n"
        + "\n\n".join([*VERTICES, "# faces", *QUADS])
        + "\n\n# end\n\n",
        "OFF\n" + CUBE_OFF + "\n  \n",
        "OFF\n" + CUBE_OFF + "end of file\n",
        "OFF\n" + CUBE_OFF + "0\n",
        f"COFF\n8 6 0\n{coloured(VERTICES, '255 0 0 255')}\n" + "\n".join(QUADS),
        f"COFF\n8 6 0\n{coloured(VERTICES, '0.5 0 0')}\n" + "\n".join(QUADS),
        "COFF 8 6 0 " + " ".join([*(f"{line} 1 0 0 1" for line in VERTICES), *QUADS]),
        "COFF 8 6 0 " + " ".join([*(f"{line} 1 0 0" for line in VERTICES), *QUADS]),
        f"OFF\n8 6 0\n{coloured(VERTICES, '255 0 0 255')}\n" + "\n".join(QUADS),
        f"NOFF\n8 6 0\n{coloured(VERTICES, '0 0 1')}\n" + "\n".join(QUADS),
        "NOFF 8 6 0 " + " ".join([*(f"{line} 0 0 1" for line in VERTICES), *QUADS]),
        f"STOFF\n8 6 0\n{coloured(VERTICES, '0.5 0.5')}\n" + "\n".join(QUADS),
        f"CNOFF\n8 6 0\n{coloured(VERTICES, '0 0 1 255 0 0 255')}\n" + "\n".join(QUADS),
        *(
            "OFF\n8 6 0\n" + "\n".join(VERTICES) + "\n" + coloured(QUADS, colour)
            for colour in ("7", "0 9 0", "0.1 0 1.0 1")
        ),
        "OFF\n8 6 0\n" + "\n".join([*VERTICES, coloured(QUADS[:3], "255 0 0"), *QUADS[3:]]),
    ],
)
def test_every_form_of_off_is_the_same_cube(text):
    mesh = read_mesh(text.encode(), "a.off")
    assert mesh.is_watertight and mesh.volume == pytest.approx(1) and len(mesh.faces) == 12 and len(mesh.vertices) == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("OFF BINARY\n\0\0\0\x08\0\0\0\x06", "OFF BINARY: save it as a text OFF in 3D"),
        ("4OFF\n" + CUBE_OFF, "more than 3 dimensions: save it as a text OFF in 3D"),
        ("nOFF\n3\n" + CUBE_OFF, "more than 3 dimensions: save it as a text OFF in 3D"),
        (f"OFF\n{CUBE_OFF}0 0 0\n", "it states 8 vertices and 6 faces, but its numbers are not these"),
        (f"OFF\n{CUBE_OFF}7\n", "are not these"),
        (f"OFF\n{CUBE_OFF}0\n0\n", "are not these"),
        (f"OFF\n{CUBE_OFF}made by X 1.0\n", "are not these"),
        (f"OFF\n{CUBE_OFF}\0\0\0\n", "are not these"),
        (f"OFF 8 6 0 {NUMBERS} 3 0 1 2", "are not these"),
        (f"OFF 8 6 0 {NUMBERS[:-2]}", "are not these"),
        (f"OFF 8 6 0 {NUMBERS[2:]}", "are not these"),
        ("OFF\n8 6 0\n" + coloured(VERTICES, "1") + "\n" + coloured(QUADS, "1 2"), "are not these"),
        ("OFF\n" + CUBE_OFF.replace("4 0 3 2 1", "3 0 3 2 1"), "are not these"),  # a quad that says triangle
        ("OFF\n" + CUBE_OFF.replace("4 0 3 2 1", "-4 0 3 2 1"), "are not these"),
        ("OFF\n" + CUBE_OFF.replace("4 0 3 2 1", "4 0 3 2 1e9"), "are not these"),
        ("OFF\n" + CUBE_OFF.replace("4 0 3 2 1", f"4 0 3 2 {10**30}"), "too large"),
        ("OFF\n" + CUBE_OFF.replace("4 0 3 2 1", "4 0 3 2 -1"), "a corner that is none of its vertices"),
        ("OFF\n" + CUBE_OFF.replace("1 1 1", "1 1 1e999"), "coordinates that are not finite"),
        ("OFF\n" + CUBE_OFF.replace("4 2 3 7 6", "4 2 3 7"), "are not these"),  # the next line would make up for it
        (f"OFF\n{10**12} {10**12} 0\n0 0 0\n", "are not these"),
        (f"OFF\n3 {10**12} 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "are not these"),
        ("9" * 9999 + " 1 0\n", "a.off"),
    ],
)
def test_off_that_is_refused(text, words):
    assert words in refusal(text.encode(), "a.off")


OBJ = """mtllib gone.mtl
o cube
v 0 0 0
v 1 0 0
v 1 1 0 1.0
v 0 1 0 0.5 0.5 0.5
g top
v 0 0 1 # a corner
v 1 0 1
v 1 1 1
v 0 1 1
vt 0 0
vn 0 0 1
usemtl red
s off
f 1 4 3 2
f -4 -3 -2 -1
f 1/1 2/1 6/1 5/1
f 2//1 3//1 7//1 6//1
f 3/1/1 4/1/1 \\
  8/1/1 7/1/1
l 1 2 3
p 1
fo 4 1 5 8
"""


def test_obj_in_every_form_is_the_same_cube():
    for text in (OBJ, OBJ.replace("\n", "\r\n"), OBJ.replace("\n", "\r"), "\ufeff" + OBJ, OBJ.rstrip()):
        mesh = read_mesh(text.encode(), "a.obj")
        assert mesh.is_watertight and mesh.volume == pytest.approx(1) and len(mesh.faces) == 12
    triangle = "v 0 0 {0}\nv 1 0 {0}\nv 0 1 {0}\nf -3 -2 -1\n"  # counted from where the face stands
    two = read_mesh((triangle.format(0) + triangle.format(5)).encode(), "a.obj")
    assert two.area == pytest.approx(1) and np.ptp(two.triangles, axis=1)[:, 2].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("f 1 2", "not three corners or more"),
        ("f", "'f' is no whole vertex or face"),
        ("f 1/1/1 2/1/1 3/1/", "'f 1/1/1 2/1/1 3/1/' is no whole vertex or face"),
        ("f 1/1/1 2/1/1 3/1/1 4", "is no whole"),
        ("f 1 2 3 -", "is no whole"),
        ("f 1 2 3 \\", "is no whole"),
        ("v 0.1 0.2", "'v 0.1 0.2' is no whole vertex or face"),
        ("v 0.1 0.2 -", "is no whole"),
        ("v 0 0 0 0.1 0.2", "is no whole"),
        ("v", "is no whole"),
        ("f 1 2 0", "a corner that is none of its vertices"),
        ("f 1 2 9", "a corner that is none of its vertices"),
        ("f 1 2 -9", "a corner that is none of its vertices"),
        (f"f 1 2 {10**30}", "too large"),
        ("\0\0\0", "it holds zero bytes"),
        ("f 1 2 3.5", "is no whole"),
        ("v nan 0 0\nf 1 2 -1", "coordinates that are not finite"),
    ],
)
def test_obj_whose_last_line_is_no_whole_one_is_refused(end, words):
    assert words in refusal((OBJ + end).encode(), "a.obj")


def test_stl_in_every_form():
    binary, text = exported(BALL, "stl"), exported(BALL, "stl text")
    named = b"solid ball".ljust(80, b" ") + binary[80:]  # binary all the same
    attributes = np.frombuffer(binary[84:], "u1").reshape(-1, 50).copy()
    attributes[:, 48:] = 255
    moved = exported(BALL.copy().apply_translation([5, 0, 0]), "stl text")
    forms = [named, binary[:84] + attributes.tobytes(), binary + b"\0\0\n", text.upper(), text.replace(b"\n", b"\r\n")]
    for content in (*forms, b"\n" + text, text.replace(b"endloop", b"end loop"), text + b"\n\n"):
        assert np.allclose(corners_of(read_mesh(content, "a.stl")), corners_of(BALL), atol=1e-5)
    assert len(read_mesh(text + b"\n" + moved, "a.stl").faces) == 160


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace(b"endsolid", b""), "not whole facets of three vertices from solid to endsolid"),
        (lambda text: text.replace(b"endfacet", b"", 1), "not whole facets"),
        (lambda text: text.replace(b"endloop", b"vertex 0 0 0\nendloop", 1), "not whole facets"),
        (lambda text: text.replace(b"vertex", b"", 1), "not whole facets"),
        (lambda text: text + text.partition(b"endsolid")[0], "not whole facets"),
        (lambda text: b"solid a\nendsolid a\n", "holds no faces"),
    ],
)
def test_text_stl_that_is_refused(change, words):
    assert words in refusal(change(exported(BALL, "stl text")), "a.stl")


def test_binary_stl_that_is_refused():
    content = exported(BALL, "stl")
    for count in (0, 79, 81, 2**32 - 1):
        counted = content[:80] + count.to_bytes(4, "little") + content[84:]
        assert f"it states {count} faces, but its {len(content)} bytes are not these" in refusal(counted, "a.stl")
    assert refusal(b"solid".ljust(80) + content[80:-50], "a.stl") and refusal(content + b"more", "a.stl")


PLY = """ply
format ascii 1.0
comment made by hand: element face 9
obj_info nothing
element vertex 8
property float x
property float y
property uchar red
property float z
element note 2
property list uchar float words
property int number
element face 6
property uchar red
property list uchar int vertex_indices
property list uchar float texcoord
element edge 1
property int vertex1
property int vertex2
end_header
"""
PLY_VERTICES = [[*map(int, line.split())] for line in VERTICES]
PLY_FACES = [[*map(int, line.split()[1:])] for line in [*QUADS[:5], "3 3 0 4", "3 3 4 7"]]  # quads and triangles


def ply(form, end="\n"):
    """PLY as a file: text, or binary of either order, with elements and lists of every kind."""
    header = PLY.replace("ascii", form).replace("face 6", "face 7").replace("\n", end).encode()
    rows = [[(x, "f"), (y, "f"), (200, "B"), (z, "f")] for x, y, z in PLY_VERTICES]
    rows += [[(2, "B"), (0.5, "f"), (0.25, "f"), (-3, "i")], [(0, "B"), (4, "i")]]
    for corners in PLY_FACES:
        rows += [[(9, "B"), (len(corners), "B"), *((i, "i") for i in corners), (2, "B"), (0.5, "f"), (0.5, "f")]]
    rows += [[(0, "i"), (1, "i")]]
    if form == "ascii":
        return header + end.join(" ".join(str(value) for value, _ in row) for row in rows).encode() + end.encode()
    order = "<" if "little" in form else ">"
    return header + b"".join(struct.pack(order + kind, value) for row in rows for value, kind in row)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ply_with_lists_of_all_lengths_and_further_elements(form, end):
    content = ply(form, end)
    for whole in (content, b"\xef\xbb\xbf" + content, content + b"\n", content + b"\r\n \n"):
        mesh = read_mesh(whole, "a.ply")
        assert mesh.is_watertight and mesh.volume == pytest.approx(1) and len(mesh.faces) == 12
    for place in range(len(content) - (1 + len(end) if form == "ascii" else 1)):
        assert refusal(content[:place], "a.ply"), place
    assert "it states 8 x vertex and 2 x note and 7 x face and 1 x edge, but" in refusal(content + b"1", "a.ply")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("vertex 8", f"vertex {10**12}", "what follows is not these"),
        ("face 7", f"face {10**12}", "what follows is not these"),
        ("edge 1", "edge 2", "what follows is not these"),
        ("edge 1", "edge 0", "what follows is not these"),
        ("face 7", "face 6", "what follows is not these"),
        ("face 7", "face 8", "what follows is not these"),
        ("face 7", "face -1", "what follows is not these"),
        ("property float z", "property half z", "'half'"),
        ("property float z", "property float w", "a.ply"),
        ("format ascii", "format utf8", "a header from ply and format to end_header must come first"),
        ("end_header", "", "a header from ply and format to end_header must come first"),
        ("4 0 3 2 1", "4 0 3 2 1.5", "not three corners or more"),
        ("4 0 3 2 1", "4 0 3 2 8", "a corner that is none of its vertices"),
        ("4 0 3 2 1", "4 0 3 2 nan", "a.ply"),
        ("4 0 3 2 1", "4 0 3 2 1e999", "a.ply"),
        ("4 0 3 2 1", "1e9 0 3 2 1", "what follows is not these"),
        ("4 0 3 2 1", "4 0 3 2", "what follows is not these"),
        ("200 1\n", "200 1 ", "what follows is not these"),  # a row is a line
        ("4 0 3 2 1", "-4 0 3 2 1", "what follows is not these"),
        ("4 0 3 2 1", "2 0 3 0 0", "a.ply"),
        ("4 0 3 2 1", "4 0 3 2 \0", "a.ply"),
        ("1 1 200 1", "1 1 200 1e999", "coordinates that are not finite"),
        ("1 1 200 1", "1 1 200 x", "could not convert string to float"),
    ],
)
def test_text_ply_that_is_refused(old, new, words):
    content = ply("ascii").replace(old.encode(), new.encode())
    assert content != ply("ascii") and words in refusal(content, "a.ply")


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_counts_far_beyond_the_file_take_no_memory(form):
    tracemalloc.start()
    for name in ("vertex 8", "face 7", "note 2"):
        assert refusal(ply(form).replace(name.encode(), name[:-1].encode() + b"9" * 15), "a.ply")
    assert refusal(exported(BALL, "stl")[:80] + b"\xff" * 4, "a.stl")
    assert refusal(b"OFF 999999999999 999999999999 0\n" + NUMBERS.encode(), "a.off")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", ["off", "ply big"])
@pytest.mark.parametrize(("scale", "offset"), [(1e-9, 0), (1e-300, 0), (1e11, 0), (1e200, 0), (1, 1e9)])
def test_vertices_are_merged_at_every_scale(kind, scale, offset):
    corners = BALL.triangles.reshape(-1, 3) * scale + offset
    soup = trimesh.Trimesh(corners, np.arange(240).reshape(-1, 3), process=False)
    lines = [" ".join(map(repr, corner)) for corner in corners.tolist()]
    text = off(lines, [f"3 {i} {i + 1} {i + 2}" for i in range(0, 240, 3)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mesh = read_mesh(text if kind == "off" else exported(soup, kind), f"a.{kind[:3]}")
    assert mesh.is_watertight and len(mesh.vertices) == 42
    assert np.array_equal(mesh.triangles, soup.triangles)


def test_vertices_that_no_face_names_do_not_count():
    mesh = read_mesh(off([*CORNERS, "90 90 90"], FACES), "a.off")
    tetrahedron = read_mesh(off(CORNERS, FACES), "a.off")
    assert np.array_equal(voxelise(mesh, 16), voxelise(tetrahedron, 16))


def test_a_place_without_meshes_is_refused(tmp_path):
    contents = {"b/2.OFF": b"", "a.stl": b"", "b/1.obj": b"", "notes.txt": b"", ".x.off": b""}
    for path in (write_files(tmp_path / "m", contents), write_zip(tmp_path / "m.zip", contents)):
        assert list_meshes(path).names == ("a.stl", "b/1.obj", "b/2.OFF")
