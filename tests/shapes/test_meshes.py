"""Meshes and voxels, both ways, against closed forms."""

import io
import math

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from glann_lib.shapes import meshes
from glann_lib.shapes.mesh_files import read_mesh
from glann_lib.shapes.meshes import save_mesh, surface, voxelise


def pitch(mesh, size):
    """A voxel's side in the mesh's unit."""
    return mesh.extents.max() / (meshes.PART * size)


def open_box(lid):
    """A unit box of walls without thickness, with or without its upper side."""
    box = trimesh.creation.box((1, 1, 1))
    upper = box.triangles_center[:, 2] > 0.4
    return box if lid else trimesh.Trimesh(box.vertices, box.faces[~upper])


# Meshes to voxels


@pytest.mark.parametrize("size", [32, 64, 96])
def test_a_box_is_exact(size):
    solid = voxelise(trimesh.creation.box((1.0, 0.5, 0.25)), size)
    sides = (3 * size // 4, 3 * size // 8, 3 * size // 16)
    expected = np.zeros((size,) * 3, bool)
    expected[tuple(slice((size - side) // 2, (size + side) // 2) for side in sides)] = True
    assert solid.dtype == bool and np.array_equal(solid, expected)


@pytest.mark.parametrize(
    ("mesh", "volume", "area"),
    [
        (trimesh.creation.icosphere(5, 0.5), math.pi / 6, math.pi),
        (trimesh.creation.box((0.9, 0.53, 0.31)), 0.9 * 0.53 * 0.31, 2 * (0.9 * 0.53 + 0.9 * 0.31 + 0.53 * 0.31)),
        (trimesh.creation.cylinder(0.3, 1.0, sections=256), 0.09 * math.pi, 0.78 * math.pi),
    ],
    ids=["ball", "box", "cylinder"],
)
def test_volume_is_off_by_less_than_a_voxel_all_around(mesh, volume, area):
    for turn in (0, 30):
        errors = []
        for size in (16, 32, 64, 128):
            side = pitch(mesh, size)
            errors.append((voxelise(mesh, size, turn).sum() * side**3 - volume) / volume)
            assert 0 < errors[-1] * volume < area * side
        assert errors[-1] < 0.2 * errors[0]  # it halves twice and a half when the size doubles three times


def test_the_error_of_a_ball_halves_when_the_size_doubles():
    ball = trimesh.creation.icosphere(6, 0.5)
    errors = [voxelise(ball, size).sum() * pitch(ball, size) ** 3 - math.pi / 6 for size in (32, 64, 128)]
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.05) and errors[2] / errors[1] == pytest.approx(
        0.5, abs=0.05
    )


@pytest.mark.parametrize("extents", [(0.2, 3.0, 1.0), (7.0, 1.0, 2.0), (1.0, 1.0, 50.0)])
def test_the_longest_side_takes_three_quarters_and_the_box_is_centred(extents):
    mesh = trimesh.creation.cylinder(0.5, 1.0).apply_scale(extents).apply_translation((40, -7, 1e3))
    solid = voxelise(mesh, 32)
    places = np.argwhere(solid)
    low, high = places.min(0), places.max(0)
    assert (high - low).max() + 1 == 24 and np.array_equal(low + high, [31, 31, 31])


def chair():
    """A seat, a back, one arm and four legs: no turn maps it onto itself."""
    parts = [((0.5, 0.5, 0.06), (0, 0, 0)), ((0.5, 0.06, 0.5), (0, 0.22, 0.25)), ((0.06, 0.3, 0.2), (0.22, 0.05, 0.1))]
    parts += [((0.05, 0.05, 0.4), (x, y, -0.2)) for x in (-0.21, 0.21) for y in (-0.21, 0.21)]
    boxes = [trimesh.creation.box(size).apply_translation(middle) for size, middle in parts]
    return trimesh.util.concatenate(boxes)


@pytest.mark.parametrize(
    "mesh", [chair(), open_box(False), trimesh.creation.icosphere(3)], ids=["chair", "box", "ball"]
)
def test_quarter_turns_go_counter_clockwise_from_above(mesh):
    solid = voxelise(mesh, 32)
    for quarters in (1, 2, 3, 4):
        assert np.array_equal(voxelise(mesh, 32, 90 * quarters), np.rot90(solid, quarters, (0, 1)))


def test_other_turns_add_up():
    turned = chair().apply_transform(trimesh.transformations.rotation_matrix(math.radians(30), (0, 0, 1)))
    ours, theirs = voxelise(chair(), 64, 30), voxelise(turned, 64)
    for solid in (ours, theirs):
        assert np.argwhere(solid)[:, 2].min() == 64 // 8  # the height is the longest side, turned or not
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.8  # its bounding box, and so its middle, is another


def test_what_sticks_out_when_turned_is_cut():
    plate = trimesh.creation.box((1.0, 1.0, 0.2))
    solid = voxelise(plate, 32, 45)
    corner = 0.5 * 24 * math.sqrt(2) - 16  # voxels that each corner sticks out
    assert solid[0, 15:17].any() and solid[:, :, 16].sum() == pytest.approx(24**2 - 4 * corner**2, rel=0.06)
    assert not solid[0, :12].any() and not solid[:12, :12, 16].all()


def test_walls_that_enclose_space_are_filled_and_others_not():
    closed, opened = voxelise(open_box(True), 32), voxelise(open_box(False), 32)
    assert closed.sum() == 24**3
    assert opened.sum() == 24**3 - 22 * 22 * 23
    assert not opened[16, 16, 27] and opened[16, 16, 4] and opened[4, 16, 27]


def test_a_solid_does_not_leak_however_coarse_or_fine_its_triangles_are():
    coarse = trimesh.creation.cylinder(0.5, 1.0, sections=7)
    sliver = trimesh.creation.cylinder(0.5, 1.0, sections=3000)
    for mesh in (coarse, coarse.subdivide().subdivide(), sliver):
        for turn in (0, 17):
            assert voxelise(mesh, 64, turn)[32, 32, 10:54].all()


def test_samples_leave_no_gap():
    triangles = np.random.default_rng(0).normal(scale=8, size=(60, 3, 3))
    triangles[:20, 2] += 0.95 * (triangles[:20, 0] - triangles[:20, 2])  # long and thin
    triangles[-5:, 2] = 0.7 * triangles[-5:, 0] + 0.3 * triangles[-5:, 1]  # without an area
    weights = np.random.default_rng(1).dirichlet(np.ones(3), 2000)
    for triangle in triangles:
        points = np.concatenate(list(meshes._samples(triangle[None])))
        gaps, _ = KDTree(points).query(weights @ triangle)
        assert gaps.max() < 0.447


def test_chunks_change_nothing(monkeypatch):
    whole = voxelise(chair(), 32, 30)
    monkeypatch.setattr(meshes, "CHUNK", 100)
    assert np.array_equal(voxelise(chair(), 32, 30), whole)


def test_a_sheet_becomes_a_layer():
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]])
    solid = voxelise(sheet, 32)
    assert np.array_equal(np.flatnonzero(solid.any((0, 1))), [15, 16])  # it lies on the border of both
    assert solid.sum() == 2 * 24 * 24


# Voxels to meshes


def ball_field(size, radius):
    """Falls linearly across the surface of a ball in the cube's middle: 0.5 on it; one voxel wide each way."""
    middle = (np.arange(size) + 0.5) / size - 0.5
    distance = np.sqrt((middle[:, None, None] ** 2) + middle[:, None] ** 2 + middle**2)
    return np.clip(0.5 + (radius - distance) * size / 2, 0, 1)


def test_the_surface_of_a_ball():
    field = ball_field(48, 0.35)
    for values, tolerance in (
        (field, 0.005),
        (field.astype(np.float32), 0.005),
        ((field * 255).astype(np.uint8), 0.01),
    ):
        mesh = surface(values)
        assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * math.pi * 0.35**3, rel=tolerance)
        radii = np.linalg.norm(mesh.vertices - 0.5, axis=1)
        assert np.abs(radii - 0.35).max() < 0.1 / 48  # also: its middle is the cube's
        assert (np.einsum("ij,ij->i", mesh.face_normals, mesh.triangles_center - 0.5) > 0).all()
    assert surface(field, 0.2).volume > surface(field, 0.5).volume > surface(field, 0.8).volume
    assert surface(field > 0.5).volume == pytest.approx(4 / 3 * math.pi * 0.35**3, rel=0.02)


def test_a_full_cube_is_closed_at_its_border():
    mesh = surface(np.ones((16, 16, 16), bool))
    assert mesh.is_watertight and 0.95 < mesh.volume < 1
    assert np.abs(mesh.bounds - [[0, 0, 0], [1, 1, 1]]).max() < 1e-4


def test_axes_are_kept():
    solid = np.zeros((16, 16, 16), bool)
    solid[2, 5, 11] = True
    assert np.allclose(surface(solid).vertices.mean(0), (np.array([2, 5, 11]) + 0.5) / 16)


@pytest.mark.parametrize("seed", range(6))
def test_any_surface_is_watertight(seed):
    rng = np.random.default_rng(seed)
    solid = rng.random((12, 12, 12)) < (seed + 1) / 7
    for field in (solid, rng.integers(0, 256, (12, 12, 12)).astype(np.uint8), rng.integers(0, 5, (12, 12, 12)) / 4):
        mesh = surface(field)
        assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0


@pytest.mark.parametrize(
    ("field", "level", "words"),
    [
        (np.zeros((8, 8, 8), bool), 0.5, "the shape is empty: none of its voxels reaches 0.5"),
        (np.full((8, 8, 8), 0.4), 0.5, "the shape is empty"),
        (np.zeros((8, 8)), 0.5, "float64 [8, 8]: give a cube"),
        (np.zeros((8, 8, 9), bool), 0.5, "bool [8, 8, 9]: give a cube"),
        (np.zeros((0, 0, 0)), 0.5, "[0, 0, 0]: give a cube"),
        (np.full((8, 8, 8), 2.0), 0.5, "2 to 2: give bool, uint8, or floating point in [0, 1]"),
        (np.full((8, 8, 8), np.nan), 0.5, "nan"),
        (np.ones((8, 8, 8), np.int64), 0.5, "the field is int64"),
        (np.ones((8, 8, 8)), 0.0, "level is 0.0: give a number above 0"),
        (np.ones((8, 8, 8)), 1.0, "level is 1.0"),
    ],
)
def test_surface_refuses(field, level, words):
    with pytest.raises(ValueError) as caught:
        surface(field, level)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_level_that_a_voxel_only_just_reaches():
    field = np.zeros((8, 8, 8))
    field[4, 4, 4] = 0.5
    assert surface(field).is_watertight


@pytest.mark.parametrize("name", ["a.obj", "deep/a.STL"])
@pytest.mark.parametrize("field", [ball_field(24, 0.3), voxelise(chair(), 32)], ids=["ball", "chair"])
def test_saved_meshes_come_back(tmp_path, name, field):
    mesh = surface(field)
    path = save_mesh(mesh, tmp_path / name)
    again = trimesh.load_mesh(io.BytesIO(path.read_bytes()), file_type=name[-3:].lower())
    assert again.is_watertight and again.volume == pytest.approx(mesh.volume, rel=1e-5)
    assert np.abs(again.bounds - mesh.bounds).max() < 1e-6
    assert read_mesh(path.read_bytes(), name).is_watertight
    assert list(path.parent.iterdir()) == [path]  # nothing is left over from writing


def test_other_files_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"cannot write a\.glb: name a file that ends in \.obj or \.stl"):
        save_mesh(trimesh.creation.box(), tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())


def test_voxels_of_a_surface_are_the_voxels_it_came_from():
    solid = voxelise(trimesh.creation.icosphere(4), 32)
    again = voxelise(surface(solid), 32)
    assert (solid & again).sum() / (solid | again).sum() > 0.85
