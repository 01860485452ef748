"""Sets of shapes from rules, meshes and voxels, on small files made here and on ModelNet10's chairs where present."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from made_files import cached_files, empty_place, write_files, write_zip

from glann_lib.config import ShapeConfig
from glann_lib.data import places
from glann_lib.shapes import data as shapes
from glann_lib.shapes import made_chairs
from glann_lib.shapes.data import load_shapes
from glann_lib.shapes.meshes import voxelise

ROOT = Path(__file__).resolve().parents[2]
REAL_DATA = Path(os.environ.get("GLANN_DATA", ROOT.parent / "shared" / "data"))
README = (ROOT / "data" / "README.md").read_text()
VOXELS, HELD_OUT = "modelnet10_chairs/train_30.npz", "modelnet10_chairs/test_32.npz"
SPLITS = ("train", "test")
real = pytest.mark.skipif(
    not (REAL_DATA / VOXELS).exists(), reason=f"{VOXELS} is neither in GLANN_DATA nor in ../shared/data"
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    return empty_place(tmp_path, monkeypatch)


def mesh(number):
    """Boxes, each of another shape, with a corner that tells their turn."""
    base = trimesh.creation.box((1.0, 0.1 + 0.09 * (number % 10), 0.2 + 0.09 * (number // 10)))
    post = trimesh.creation.box((0.1, 0.1, 0.9)).apply_translation((0.45, 0.1, 0.2))
    return trimesh.util.concatenate([base, post])


def exported(shape, kind):
    content = shape.export(file_type=kind)
    return content.encode() if isinstance(content, str) else content


def mesh_files(count, kinds=("off", "obj", "stl")):
    """Contents by name, in mixed formats and folders."""
    names = [f"{'sub/' * (i % 2)}{i:03}.{kinds[i % len(kinds)]}" for i in range(count)]
    return {name: exported(mesh(i), kinds[i % len(kinds)]) for i, name in enumerate(names)}


def own(path, **fields):
    return ShapeConfig(f"meshes:{path}", **fields)


def both(settings):
    return tuple(load_shapes(settings, split) for split in SPLITS)


def contents_of(*records):
    return {voxels.numpy().tobytes() for record in records for voxels in record.voxels}


def packed_arrays(models=12, poses=12, size=30):
    """As the prepared chairs are kept: poses from 1, in the order of their names; models numbered with gaps."""
    order = sorted(range(1, poses + 1), key=str)
    rng = np.random.default_rng(5)
    voxels = rng.random((models * poses, size, size, size)) < 0.3
    arrays = {
        "packed": np.packbits(voxels.reshape(len(voxels), -1), axis=1),
        "shape": np.array(voxels.shape),
        "model": np.repeat(np.arange(models, dtype=np.int32) * 7 + 3, poses),
        "pose": np.tile(np.array(order, np.int32), models),
    }
    return arrays, voxels


def two_files(place, copied=(1, 4)):
    """The official split as two files: 12 models in 12 poses, 6 in one; some of the latter are copies of the former."""
    trained, voxels = packed_arrays()
    held_out = np.zeros((6, 32, 32, 32), bool)
    held_out[:, 4:28, 4:28, 4:28] = np.random.default_rng(7).random((6, 24, 24, 24)) < 0.3
    for number in copied:
        held_out[number] = np.pad(voxels[12 * number + 5], 1)
    bits = np.packbits(held_out.reshape(6, -1), axis=1)
    tested = {"packed": bits, "shape": np.array(held_out.shape), "model": np.arange(6), "pose": np.ones(6, int)}
    write_npz(place / VOXELS, **trained)
    write_npz(place / HELD_OUT, **tested)
    return held_out, tested


def write_npz(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


# Chairs made by rule


def test_made_chairs():
    settings = ShapeConfig("made-chairs", train_models=3, test_models=2, poses=4)
    train, test = both(settings)
    assert train.models.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and test.models.tolist() == [1000] * 4 + [1001] * 4
    assert train.poses.tolist() == [0, 1, 2, 3] * 3 and train.name == "made-chairs" and test.split == "test"
    assert np.array_equal(test.voxels.numpy(), made_chairs.make_chairs(1000, 2, 32, 4))
    assert "numbers 1,000 to 1,001" in test.source
    few = load_shapes(ShapeConfig("made-chairs", train_models=2, poses=4), "train")
    assert torch.equal(few.voxels, train.voxels[:8])


def test_made_chairs_are_a_thousand_and_two_hundred():
    train, test = both(ShapeConfig("made-chairs"))
    assert (len(train), len(test)) == (1000, 200) and train.voxels.shape[1:] == (32, 32, 32)


def test_unknown_split():
    with pytest.raises(ValueError, match="unknown split 'valid': choose train or test"):
        load_shapes(ShapeConfig("made-chairs"), "valid")


# ModelNet10's chairs


def official(train=5, test=2):
    names = [f"train/chair_{i:04}.off" for i in range(1, train + 1)]
    names += [f"test/chair_{i:04}.off" for i in range(train + 1, train + test + 1)]
    return {f"ModelNet10/chair/{name}": exported(mesh(i), "off") for i, name in enumerate(names)}


def test_official_folder_and_archive_are_the_same(place, tmp_path):
    write_files(place, official())
    from_folder = both(ShapeConfig("chairs", poses=2))
    (place / "ModelNet10").rename(tmp_path / "away")
    junk = {"ModelNet10/": b"", "ModelNet10/README.txt": b"words", "ModelNet10/bed/train/bed_0001.off": b"x"}
    junk["__MACOSX/ModelNet10/chair/train/._chair_0001.off"] = b"x"
    write_zip(place / "ModelNet10.zip", junk | official())
    from_archive = both(ShapeConfig("chairs", poses=2))
    for folder, archive, count in zip(from_folder, from_archive, (5, 2), strict=True):
        assert folder.sha256 == archive.sha256 and len(folder) == 2 * count and folder.name == "chairs"
        assert "official split" in archive.source and "ModelNet10.zip" in archive.source
    train, test = from_archive
    assert not set(train.models.tolist()) & set(test.models.tolist())
    assert torch.equal(test.voxels[test.poses == 0][test.models[test.poses == 0].argsort()][0], as_voxels(mesh(5)))


def as_voxels(shape, size=32, turn=0):
    return torch.from_numpy(voxelise(shape, size, turn))


def test_glued_headers_of_modelnet(place):
    contents = official()
    glued = {name: content.replace(b"OFF\n", b"OFF") for name, content in contents.items()}
    assert glued != contents
    write_files(place, glued)
    assert len(load_shapes(ShapeConfig("chairs"), "train")) == 5


def test_limits_draw_the_same_chairs(place):
    write_files(place, official(8, 3))
    whole, few = (load_shapes(ShapeConfig("chairs", train_models=limit), "train") for limit in (None, 3))
    assert torch.equal(few.models, whole.models[:3]) and torch.equal(few.voxels, whole.voxels[:3])
    assert sorted(whole.models.tolist()) != whole.models.tolist()
    assert len(load_shapes(ShapeConfig("chairs", test_models=1), "test")) == 1


def test_copies_of_training_chairs_are_left_out_and_named(place):
    contents = official(8, 4)
    for test, train in ((10, 2), (11, 5)):
        contents[f"ModelNet10/chair/test/chair_{test:04}.off"] = exported(mesh(train), "off")
    write_files(place, contents)
    train, test = both(ShapeConfig("chairs", poses=2))
    assert (len(train), len(test)) == (16, 4) and contents_of(test) & contents_of(train) == set()
    assert "without 2 that are training chairs voxel for voxel (chair_0010, chair_0011)" in test.source
    one = load_shapes(ShapeConfig("chairs", poses=2, train_models=1, test_models=1), "test")
    assert torch.equal(one.voxels, test.voxels[:2])


def test_only_copies_are_refused(place):
    contents = official(3, 1)
    contents["ModelNet10/chair/test/chair_0004.off"] = contents["ModelNet10/chair/train/chair_0001.off"]
    write_files(place, contents)
    with pytest.raises(ValueError, match=r"chair holds no chair in test/ that is none of train/: unpack or download"):
        load_shapes(ShapeConfig("chairs"), "test")


def test_an_archive_without_a_split_is_refused(place):
    write_files(place, official(3, 0))
    with pytest.raises(ValueError, match=r"chair holds no chairs in test/: remove it and unpack or download it again"):
        load_shapes(ShapeConfig("chairs"), "test")


def test_no_chairs_anywhere():
    with pytest.raises(ConnectionError) as caught:
        load_shapes(ShapeConfig("chairs"), "train")
    text = str(caught.value)
    assert "\n" not in text and "--dataset made-chairs" in text and "GLANN_DATA" in text
    for words in ("ModelNet10/chair/", "ModelNet10.zip", VOXELS, shapes.ADDRESS):
        assert words in text and words in README


def test_chairs_lie_in_the_repository_too(place):
    write_files(places.DATA, official())
    assert len(load_shapes(ShapeConfig("chairs"), "train")) == 5


# Voxels


@pytest.mark.parametrize(("size", "factor"), [(32, 1), (64, 2)])
def test_packed_chairs_are_padded_and_doubled(place, size, factor):
    arrays, voxels = packed_arrays()
    write_npz(place / VOXELS, **arrays)
    train, test = both(ShapeConfig("chairs", size=size, poses=12))
    assert len(train) == 11 * 12 and len(test) == 12 and train.voxels.shape[1:] == (size,) * 3
    for record in (train, test):
        for row in (0, 7, len(record) - 1):
            model, pose = record.models[row].item(), record.poses[row].item()
            (index,) = np.flatnonzero((arrays["model"] == model) & (arrays["pose"] == pose + 1))
            expected = np.kron(np.pad(voxels[index], 1), np.ones((factor,) * 3, bool))
            assert np.array_equal(record.voxels[row].numpy(), expected)
    assert "30 along each side (padded)" in train.source and "12 models" in train.source


@pytest.mark.parametrize(("size", "factor"), [(32, 1), (64, 2)])
def test_the_official_split_of_packed_chairs(place, size, factor):
    held_out, _ = two_files(place)
    train, test = both(ShapeConfig("chairs", size=size))
    assert len(train) == 12 and train.models.unique().tolist() == [7 * number + 3 for number in range(12)]
    assert sorted(test.models.tolist()) == [0, 2, 3, 5] and test.poses.tolist() == [0] * 4
    for number, voxels in zip(test.models.tolist(), test.voxels, strict=True):
        assert np.array_equal(voxels.numpy(), np.kron(held_out[number], np.ones((factor,) * 3, bool)))
    words = "12 models as voxels, 30 along each side (padded) for training, 4 for testing, without 2 that are training"
    for record in (train, test):
        assert words in record.source and "voxel for voxel (1, 4)" in record.source and "official" in record.source
    assert len(load_shapes(ShapeConfig("chairs", size=size, test_models=3), "test")) == 3


def test_one_pose_is_not_held_out_for_several(place):
    two_files(place)
    train, test = both(ShapeConfig("chairs", poses=2))
    assert (len(train), len(test)) == (11 * 2, 2) and "a tenth of the models for testing" in test.source
    assert len(load_shapes(ShapeConfig("chairs", poses=1), "test")) == 4


def test_only_copies_in_the_held_out_file(place):
    two_files(place, copied=range(6))
    with pytest.raises(
        ValueError, match=r"test_32\.npz holds no chair that is no training chair: put the whole"
    ) as error:
        load_shapes(ShapeConfig("chairs"), "train")
    assert "\n" not in str(error.value)


def test_an_official_split_without_copies(place):
    two_files(place, copied=())
    assert load_shapes(ShapeConfig("chairs"), "train").source.endswith(
        "12 models as voxels, 30 along each side (padded) for training, 6 for testing"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pose": np.full(6, 13)}, "do not fit"),
        ({"packed": np.zeros((6, 4095), np.uint8)}, "do not fit"),
        ({"model": np.arange(5)}, "do not fit"),
        (
            {"packed": np.zeros((6, 1000), np.uint8), "shape": np.array([6, 20, 20, 20])},
            "are 20 x 20 x 20 voxels: give",
        ),
        (None, "lacks the arrays"),
        (b"words", "is no .npz, or a damaged one"),
    ],
)
def test_bad_held_out_files_are_named_in_one_line(place, change, words):
    _, good = two_files(place)
    if isinstance(change, bytes):
        (place / HELD_OUT).write_bytes(change)
    else:
        write_npz(place / HELD_OUT, **(good | change if change else {"things": np.zeros(3)}))
    with pytest.raises(ValueError) as caught:
        load_shapes(ShapeConfig("chairs"), "test")
    assert words in str(caught.value) and str(place / HELD_OUT) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("poses", "steps"), [(1, [0]), (2, [0, 6]), (4, [0, 3, 6, 9]), (5, [0, 2, 4, 7, 9]), (12, [*range(12)])]
)
def test_poses_are_evenly_spaced(place, tmp_path, poses, steps):
    arrays, voxels = packed_arrays(models=3, size=32)
    path = write_npz(tmp_path / "x.npz", **arrays)
    record = load_shapes(own(path, poses=poses), "train")
    first = record.models[0].item()
    assert record.poses.tolist() == [*range(poses)] * 2 and record.models[:poses].tolist() == [first] * poses
    for row, step in enumerate(steps):
        (index,) = np.flatnonzero((arrays["model"] == first) & (arrays["pose"] == step + 1))
        assert np.array_equal(record.voxels[row].numpy(), voxels[index])
    write_files(tmp_path / "m", {f"{i}.off": exported(mesh(i), "off") for i in range(3)})
    turned = load_shapes(own(tmp_path / "m", poses=poses), "train")
    for row, step in enumerate(steps):
        assert torch.equal(turned.voxels[row], as_voxels(mesh(turned.models[0].item()), 32, 30 * step))


def test_no_model_of_packed_voxels_is_on_both_sides(tmp_path):
    arrays, voxels = packed_arrays(models=30, poses=3, size=32)
    arrays["pose"] = np.tile([1, 5, 9], 30)
    settings = own(write_npz(tmp_path / "mine.npz", **arrays), poses=12)
    train, test = both(settings)
    assert not set(train.models.tolist()) & set(test.models.tolist())
    assert (len(train), len(test)) == (81, 9) and contents_of(train, test) == {v.tobytes() for v in voxels}
    assert train.poses.unique().tolist() == [0, 4, 8] and train.name == "meshes:mine.npz"
    few = load_shapes(own(tmp_path / "mine.npz", poses=12, train_models=4), "train")
    assert torch.equal(few.voxels, train.voxels[:12])


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
@pytest.mark.parametrize(("side", "size"), [(32, 32), (64, 64), (30, 32), (30, 64)])
def test_plain_voxels(tmp_path, kind, side, size):
    solid = np.random.default_rng(0).random((5, side, side, side)) < 0.2
    train, test = both(own(write_npz(tmp_path / "v.npz", voxels=solid.astype(kind)), size=size))
    assert (len(train), len(test)) == (4, 1)
    expected = solid if side == size else [np.kron(np.pad(v, 1), np.ones((size // 32,) * 3, bool)) for v in solid]
    for record in (train, test):
        for model, voxels in zip(record.models.tolist(), record.voxels, strict=True):
            assert np.array_equal(voxels.numpy(), expected[model])


def changed(**arrays):
    good = packed_arrays(3, 2, 8)[0] | arrays
    return {key: value for key, value in good.items() if value is not None}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"things": np.zeros(3)}, "lacks the arrays: put voxels [N, S, S, S] there, or packed, shape, model, pose"),
        (changed(pose=None), "lacks the arrays"),
        (changed(), "are 8 x 8 x 8 voxels: give 32 x 32 x 32 (data_size), or 30 x 30 x 30"),
        ({"voxels": np.zeros((3, 20, 20, 20), bool)}, "are 20 x 20 x 20 voxels: give 32 x 32 x 32"),
        ({"voxels": np.zeros((3, 64, 64, 64), bool)}, "are 64 x 64 x 64 voxels: give 32 x 32 x 32"),
        ({"voxels": np.zeros((3, 32, 32, 31), bool)}, "voxels are bool [3, 32, 32, 31]: give bool [N, S, S, S]"),
        ({"voxels": np.full((3, 32, 32, 32), 2)}, "with other values than 0 and 1"),
        ({"voxels": np.zeros((1, 32, 32, 32), bool)}, "holds too few models in the poses asked for (1)"),
        ({"voxels": np.array([{}], dtype=object)}, "is no .npz, or a damaged one"),
        (changed(shape=np.array([6, 8, 8])), "do not fit"),
        (changed(shape=np.array([])), "do not fit"),
        (changed(shape=np.array([6, 9, 9, 9])), "do not fit"),
        (changed(shape=np.array([5, 8, 8, 8])), "do not fit"),
        (changed(packed=np.zeros((6, 64))), "do not fit"),
        (changed(packed=np.zeros((0, 64), np.uint8), shape=np.array([0, 8, 8, 8])), "do not fit"),
        (changed(model=np.zeros(6)), "do not fit"),
        (changed(model=np.zeros(5, int)), "do not fit"),
        (changed(pose=np.arange(6)), "pose [N] from 1 to 12"),
        (changed(pose=np.arange(6) + 8), "pose [N] from 1 to 12"),
        (changed(model=np.zeros(6, int)), "holds too few models in the poses asked for (1): put at least two there"),
        (changed(pose=np.full(6, 2)), "holds too few models in the poses asked for (0)"),
    ],
)
def test_bad_voxel_files_are_named_in_one_line(tmp_path, arrays, words):
    path = write_npz(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError) as caught:
        load_shapes(own(path), "train")
    assert words in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "words", "empty", "array"])
def test_damaged_voxel_files(tmp_path, damage):
    path = write_npz(tmp_path / "bad.npz", **packed_arrays(3, 2, 8)[0])
    content = path.read_bytes()
    np.save(tmp_path / "plain.npy", np.zeros(3))
    plain = (tmp_path / "plain.npy").read_bytes()
    path.write_bytes({"cut": content[:-90], "words": b"words", "empty": b"", "array": plain}[damage])
    with pytest.raises(ValueError, match=r"bad\.npz is no \.npz, or a damaged one \(.+\): write it again"):
        load_shapes(own(path), "train")


# A person's own meshes


def test_own_meshes_are_split_by_model(tmp_path):
    write_files(tmp_path / "mine", mesh_files(21) | {"notes.txt": b"words", ".hidden.off": b""})
    train, test = both(own(tmp_path / "mine", poses=2))
    assert (len(train), len(test)) == (38, 4) and len(contents_of(train, test)) == 42
    assert not set(train.models.tolist()) & set(test.models.tolist())
    order = sorted(mesh_files(21))
    for record in (train, test):
        assert record.poses.tolist() == [0, 1] * (len(record) // 2) and record.name == "meshes:mine"
        for row in (0, 1, len(record) - 1):
            number = int(order[record.models[row]].removeprefix("sub/")[:3])
            assert torch.equal(record.voxels[row], as_voxels(mesh(number), 32, 180 * record.poses[row].item()))
    assert str(tmp_path) not in json.dumps(train.describe()) and "mine: 21 mesh files" in train.source


def test_zip_equals_the_same_directory_and_paths_may_be_relative(tmp_path, monkeypatch):
    write_files(tmp_path / "mine", mesh_files(6))
    write_zip(tmp_path / "mine.zip", mesh_files(6) | {"__MACOSX/000.off": b"x"})
    monkeypatch.chdir(tmp_path)
    records = [load_shapes(own(path), "train") for path in ("mine", "mine.zip")]
    assert records[0].sha256 == records[1].sha256 and records[1].name == "meshes:mine.zip"


def test_own_limits(tmp_path):
    write_files(tmp_path / "mine", mesh_files(20))
    train, _ = both(own(tmp_path / "mine"))
    few, one = both(own(tmp_path / "mine", train_models=5, test_models=1))
    assert torch.equal(few.voxels, train.voxels[:5]) and len(one) == 1


def test_meshes_that_are_not_watertight_are_counted(tmp_path):
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 1, 2]])
    write_files(tmp_path / "m", mesh_files(4) | {"x.off": exported(sheet, "off"), "y.off": exported(sheet, "off")})
    words = "2 of 6 meshes are not watertight: solid only where their walls enclose space"
    assert words in load_shapes(own(tmp_path / "m"), "train").source
    write_files(tmp_path / "n", mesh_files(4))
    assert "watertight" not in load_shapes(own(tmp_path / "n"), "train").source


def test_unreadable_files_are_named_and_counted(tmp_path):
    bad = {"a.off": b"x", "b.obj": b"", "c.stl": b"words", "d.off": mesh_files(1)["000.off"][:-40]}
    write_files(tmp_path / "some", mesh_files(7) | bad)
    with pytest.warns(UserWarning) as caught:
        train, test = both(own(tmp_path / "some"))
    for record, warning in zip((train, test), caught, strict=True):
        text = str(warning.message)
        assert "4 unreadable of 11 mesh files skipped" in text and text.removeprefix("some") in record.source
        assert sum(name in text for name in bad) == 3 and " and 1 more)" in text
    assert len(train) + len(test) == 7 and len(contents_of(train, test)) == 7


def test_two_readable_meshes_leave_no_part_empty(tmp_path):
    contents = {f"{i}.off": exported(mesh(i), "off") if i in (4, 9) else b"" for i in range(10)}
    write_files(tmp_path / "bad", contents)
    with pytest.warns(UserWarning, match="8 unreadable"):
        train, test = both(own(tmp_path / "bad", poses=2))
    assert len(train) == len(test) == 2 and len(contents_of(train, test)) == 4


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ({"notes.txt": b"words"}, "holds no meshes (off, obj, stl, ply); left out: 1 .txt: put at least 3 there"),
        (mesh_files(1), "holds too few meshes (000.off): put at least 3 there"),
        ({"a.off": b"", "b.off": b"x", "c.ply": b"ply"}, "0 of 3 meshes in"),
        ({"a.off": b"", "b.stl": b"", "x.obj": exported(mesh(1), "obj")}, "1 of 3 meshes in"),
    ],
)
@pytest.mark.parametrize("kind", ["directory", "zip"])
def test_too_few_meshes(tmp_path, contents, words, kind):
    path = write_files(tmp_path / "d", contents) if kind == "directory" else write_zip(tmp_path / "d.zip", contents)
    with pytest.raises(ValueError) as caught:
        load_shapes(own(path), "train")
    assert words in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_path_and_damaged_zip(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist: name a directory or \.zip of meshes, or an"):
        load_shapes(own(tmp_path / "nowhere"), "train")
    write_files(tmp_path, {"cut.zip": b"PK"})
    with pytest.raises(ValueError, match=r"cut\.zip is no \.zip, or a damaged one .*: name a directory or"):
        load_shapes(own(tmp_path / "cut.zip"), "train")


def test_a_damaged_file_in_a_zip_is_skipped(tmp_path):
    path = write_zip(tmp_path / "m.zip", mesh_files(5))
    content = path.read_bytes()
    path.write_bytes(content.replace(mesh_files(5)["sub/001.obj"][:200], b"#" * 200))
    with pytest.warns(UserWarning, match=r"1 unreadable of 5 mesh files skipped \(sub/001\.obj\)"):
        load_shapes(own(path), "train")


# The cache


def test_second_load_reads_no_mesh(tmp_path, monkeypatch):
    write_files(tmp_path / "m", mesh_files(6))
    first = load_shapes(own(tmp_path / "m", poses=2), "train")
    monkeypatch.setattr(shapes, "read_mesh", lambda *arguments: pytest.fail("read again"))
    again = load_shapes(own(tmp_path / "m", poses=2), "train")
    assert again.sha256 == first.sha256 and again.source == first.source
    assert len(load_shapes(own(tmp_path / "m", poses=2), "test")) == 2 and len(cached_files()) == 1


def test_other_sizes_and_poses_are_read_anew(tmp_path):
    write_files(tmp_path / "m", mesh_files(6))
    for size, poses in ((32, 1), (64, 1), (32, 3)):
        record = load_shapes(own(tmp_path / "m", size=size, poses=poses), "train")
        assert record.voxels.shape == (5 * poses, size, size, size)


# Real data


@real
def test_real_chairs(place):
    (place / VOXELS).parent.mkdir()
    (place / VOXELS).symlink_to(REAL_DATA / VOXELS)
    train, test = both(ShapeConfig("chairs"))
    assert (len(train), len(test)) == (800, 89) and not set(train.models.tolist()) & set(test.models.tolist())
    solid = torch.nonzero(train.voxels.any(0))
    assert solid.min(0).values.tolist() >= [1, 1, 1] and solid.max(0).values.tolist() <= [30, 30, 30]
    assert 0.01 < train.voxels.float().mean() < 0.2
    assert train.sha256 in README and test.sha256 in README


@pytest.mark.skipif(not (REAL_DATA / HELD_OUT).exists(), reason=f"{HELD_OUT} is not beside {VOXELS}")
def test_real_chairs_of_the_official_split(monkeypatch):
    monkeypatch.setenv("GLANN_DATA", str(REAL_DATA))
    train, test = both(ShapeConfig("chairs"))
    assert (len(train), len(test)) == (889, 88) and not contents_of(train) & contents_of(test)
    assert "without 12 that are training chairs voxel for voxel (11, 15, 27, 33, " in train.source
    assert train.sha256 in README and test.sha256 in README


@real
def test_real_chairs_turn_as_ours_do(monkeypatch):
    monkeypatch.setenv("GLANN_DATA", str(REAL_DATA))
    record = load_shapes(ShapeConfig("chairs", poses=4, train_models=50), "train")
    for quarter in (1, 2, 3):
        first, turned = record.voxels[record.poses == 0], record.voxels[record.poses == quarter]
        ours = torch.rot90(first, quarter, (1, 2))
        assert (ours & turned).sum() / (ours | turned).sum() > 0.9
