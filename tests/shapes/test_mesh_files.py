"""Mesh files: every kind that is read or refused, and what is listed."""

import math
import warnings

import numpy as np
import pytest
import trimesh
from made_files import write_files, write_zip

from glann_lib.shapes.mesh_files import list_meshes, read_mesh
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
        ("a.off", b"", "is no .off, or a damaged one"),
        ("a.off", b"words and more words", "is no .off, or a damaged one"),
        ("a.off", b"\x00\xff\x80" * 50, "is no .off, or a damaged one"),
        ("a.off", b"OFF\n", "is no .off, or a damaged one"),
        ("a.off", b"OFF\n4 four 0\n", "is no .off, or a damaged one"),
        ("a.off", off(CORNERS, FACES[:3], (4, 4)), "states 4 vertices and 4 faces, but its 7 lines"),
        ("a.off", off(CORNERS, FACES, (4, 3)), "states 4 vertices and 3 faces, but its 8 lines"),
        ("a.off", off(CORNERS[:3], FACES, (4, 4)), "but its 7 lines"),
        ("a.off", off([*CORNERS, "1 1 1"], FACES, (4, 4)), "but its 9 lines"),
        ("a.off", off(CORNERS, FACES, (5, 3)), "are not these"),  # a face would be read as a vertex
        ("a.off", off(CORNERS, FACES, (3, 5)), "are not these"),  # and a vertex as a face
        ("a.off", off(CORNERS, [*FACES[:3], "3 1 2"]), "are not these"),
        ("a.off", off(CORNERS, [*FACES[:3], "2 1 2"]), "are not these"),
        ("a.off", off(CORNERS, [*FACES[:3], "3 1 2 x"]), "is no mesh, or a damaged one"),
        ("a.off", off(CORNERS, [*FACES[:3], "3 1 2 4"]), "is no mesh, or a damaged one"),
        ("a.off", off(CORNERS, []), "holds no faces"),
        ("a.off", off([*CORNERS[:3], "0 0 nan"], FACES), "coordinates that are not finite"),
        ("a.off", off([*CORNERS[:3], "0 0 inf"], FACES), "coordinates that are not finite"),
        ("a.off", off(["1 2 3"] * 4, FACES), "has no extent"),
        ("a.off", off([*CORNERS[:2], "0 1e308 0", "0 -1e308 0"], FACES), "has no extent that can be scaled"),
        ("a.obj", b"", "holds no faces"),
        ("a.obj", b"just words", "holds no faces"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "is no mesh, or a damaged one"),
        ("a.stl", b"just words", "holds no faces"),
        ("a.stl", trimesh.creation.box().export(file_type="stl")[:-60], "a.stl"),
        ("a.ply", b"just words", "is no mesh, or a damaged one (Not a ply file!)"),
        ("a.ply", trimesh.creation.box().export(file_type="ply")[:-30], "a.ply"),
        ("a.ply", trimesh.PointCloud(np.eye(3)).export(file_type="ply"), "holds no faces"),
    ],
)
def test_bad_files_are_named_in_one_line(name, content, words):
    with pytest.raises(ValueError) as caught, warnings.catch_warnings():
        warnings.simplefilter("error")
        read_mesh(content, name)
    text = str(caught.value)
    assert words in text and text.startswith(name) and "\n" not in text


def test_vertices_that_no_face_names_do_not_count():
    mesh = read_mesh(off([*CORNERS, "90 90 90"], FACES), "a.off")
    tetrahedron = read_mesh(off(CORNERS, FACES), "a.off")
    assert np.array_equal(voxelise(mesh, 16), voxelise(tetrahedron, 16))


def test_a_place_without_meshes_is_refused(tmp_path):
    contents = {"b/2.OFF": b"", "a.stl": b"", "b/1.obj": b"", "notes.txt": b"", ".x.off": b""}
    for path in (write_files(tmp_path / "m", contents), write_zip(tmp_path / "m.zip", contents)):
        assert list_meshes(path).names == ("a.stl", "b/1.obj", "b/2.OFF")
        assert list_meshes(path, "b/").names == ("b/1.obj", "b/2.OFF")
        with pytest.raises(ValueError, match=r"c holds no meshes: put \.off, \.obj, \.stl or \.ply files there"):
            list_meshes(path, "c/")
