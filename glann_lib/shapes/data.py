"""Every set of shapes -> `ShapeData`; no model is in both splits, and the same settings give the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from glann_lib.config import MESHES, ShapeConfig
from glann_lib.data import listing, places
from glann_lib.data.files import Division, read_cached
from glann_lib.data.listing import DataFiles, list_files, list_meshes, printable, reason
from glann_lib.data.record import check_split, random_order
from glann_lib.shapes import meshes
from glann_lib.shapes.made_chairs import make_chairs
from glann_lib.shapes.mesh_files import read_mesh
from glann_lib.shapes.record import ShapeData, draw_models, for_testing, tenth
from glann_lib.shapes.voxel_files import PADDED, TURNS, VoxelFile, keys, read_voxels

MADE = {"train": (0, 1000), "test": (1000, 200)}  # number of the first chair, and how many
FOLDER, ARCHIVE = "ModelNet10/chair", "ModelNet10.zip"
VOXELS, HELD_OUT = "modelnet10_chairs/train_30.npz", "modelnet10_chairs/test_32.npz"
SOURCE = "ModelNet10 (Wu et al. 2015)"
ADDRESS = "http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip"


def load_shapes(settings: ShapeConfig, split: str) -> ShapeData:
    """One split of a set of shapes at the size asked for; at most `train_models` or `test_models`.

    Sets without a split of their own are split 9 to 1, by model, with a fixed seed. FileNotFoundError where the PATH
    of "meshes:PATH" (as in `places.locate`) is missing; ConnectionError, with what to place where, without ModelNet10;
    ValueError for an unknown split, and files that are damaged, too few, or neither meshes nor voxels of this size.
    """
    check_split(split)
    load = _own if settings.dataset.startswith(MESHES) else LOADERS[settings.dataset]
    return load(settings, split)


def _made(settings: ShapeConfig, split: str) -> ShapeData:
    first, count = MADE[split]
    count = min(count, _limits(settings)[split] or count)
    voxels = torch.from_numpy(make_chairs(first, count, settings.size, settings.poses))
    numbers = torch.arange(first, first + count)
    source = f"chairs made by rule (glann_lib.shapes.made_chairs), numbers {first:,} to {first + count - 1:,}"
    return _assembled(settings, split, settings.dataset, source, voxels, numbers)


def _chairs(settings: ShapeConfig, split: str) -> ShapeData:
    folder, archive, voxels, held_out = map(places.find, (FOLDER, ARCHIVE, VOXELS, HELD_OUT))
    if folder is None and archive is None:
        tested = held_out and read_voxels(held_out)
        # One pose cannot stand for the twelve that are drawn: then the training chairs, in twelve, are divided.
        if voxels is not None and tested and torch.isin(torch.tensor(_turns(settings.poses)), tested.turns).all():
            return _official_voxels(settings, split, read_voxels(voxels), tested)
        if voxels is not None:
            return _from_voxels(settings, split, voxels, "chairs", f"{VOXELS}, {SOURCE}")
        raise ConnectionError(
            f"cannot find chairs: place {FOLDER}/ (train/ and test/, unpacked), {ARCHIVE} ({ADDRESS}) or {VOXELS} in "
            "data/ or the folder that the environment variable GLANN_DATA names (data/README.md says how), or choose "
            "--dataset made-chairs, which needs no download"
        )
    files = list_files(archive, listing.MESHES, f"{FOLDER}/") if folder is None else list_files(folder, listing.MESHES)
    numbers = _of_split(files, split)[: settings.train_models if split == "train" else None]
    voxels, readable, remark = _voxelised(files, numbers, settings)
    numbers = numbers[readable]
    if split == "test":
        voxels, numbers, without = _unseen(files, voxels, numbers, settings)
        remark += without
    source = f"{ARCHIVE if folder is None else FOLDER}, {SOURCE}, official split{remark}"
    return _assembled(settings, split, "chairs", source, voxels, numbers)


def _of_split(files: DataFiles, split: str) -> torch.Tensor:
    """Numbers of the files in train/ or test/, in random order; ValueError where there are none."""
    numbers = torch.tensor([i for i, name in enumerate(files.names) if Path(name).parent.name == split])
    if not len(numbers):
        raise ValueError(f"{files.path} holds no chairs in {split}/: remove it and unpack or download it again")
    return numbers[random_order(len(numbers))]


def _unseen(
    files: DataFiles, voxels: torch.Tensor, numbers: torch.Tensor, settings: ShapeConfig
) -> tuple[torch.Tensor, torch.Tensor, str]:
    """The same without chairs that are training chairs, too, at most as many as asked for, and what was left out."""
    known = set(keys(_voxelised(files, _of_split(files, "train"), settings)[0].flatten(0, 1)))
    copies = torch.tensor([key in known for key in keys(voxels[:, 0])])
    if copies.all():
        raise ValueError(f"{files.path} holds no chair in test/ that is none of train/: unpack or download it again")
    without = _without(sorted(Path(files.names[number]).stem for number in numbers[copies].tolist()))
    chosen = (~copies).nonzero().squeeze(1)[: settings.test_models]
    return voxels[chosen], numbers[chosen], without


def _own(settings: ShapeConfig, split: str) -> ShapeData:
    path = places.locate(settings.dataset.removeprefix(MESHES))
    name = printable(path.resolve().name)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name a directory or .zip of meshes, or an .npz of voxels")
    if path.suffix.lower() == ".npz":
        return _from_voxels(settings, split, path, MESHES + name, name)
    files = list_meshes(path)
    count = len(files.names)
    division = Division.draw(count, tenth(count), _limits(settings))
    voxels, readable, remark = _voxelised(files, division.numbers, settings)
    part = division.part(split, readable)
    source = f"{name}: {count:,} mesh files, a tenth for testing{remark}"
    return _assembled(settings, split, MESHES + name, source, voxels[part].clone(), division.numbers[readable][part])


LOADERS = {"made-chairs": _made, "chairs": _chairs}


def _assembled(
    settings: ShapeConfig, split: str, name: str, source: str, voxels: torch.Tensor, numbers: torch.Tensor
) -> ShapeData:
    """From voxels [n, poses, S, S, S], or flat, all poses of a model one after the other, and models' numbers [n]."""
    models = numbers.repeat_interleave(settings.poses)
    poses = torch.arange(settings.poses).repeat(len(numbers))
    return ShapeData(voxels.reshape(-1, *voxels.shape[-3:]), models, poses, name, split, source)


def _voxelised(
    files: DataFiles, numbers: torch.Tensor, settings: ShapeConfig
) -> tuple[torch.Tensor, torch.Tensor, str]:
    """The files at indices [N] as bool voxels [n, poses, S, S, S], bool [N] which those n are, and a remark."""
    size = settings.size
    tensors, remark = read_cached(files, numbers, "mesh", _read, size, settings.poses)
    watertight = tensors["watertight"]
    if not watertight.all():
        share = f"{int((~watertight).sum())} of {len(watertight)} meshes are not watertight"
        remark += f"; {share}: solid only where their walls enclose space"
    voxels = np.unpackbits(tensors["packed"].numpy()).reshape(-1, settings.poses, size, size, size)
    return torch.from_numpy(voxels.view(bool)), tensors["readable"], remark


def _read(files: DataFiles, names: list[str], size: int, poses: int) -> dict[str, torch.Tensor]:
    """For the cache: each mesh's poses packed to bits, uint8 [n, poses * S^3 / 8], readable [N], watertight [n]."""
    packed, watertight, faults = [], [], {}
    with files.opened() as read:
        for name in names:
            try:
                mesh = read_mesh(read(name), name)
            except MemoryError:
                raise
            except Exception as error:  # a damaged archive can raise nearly anything
                faults[name] = printable(reason(error))
                continue
            turned = [meshes.voxelise(mesh, size, turn * 360 / TURNS) for turn in _turns(poses)]
            packed.append(np.packbits(np.stack(turned)))
            watertight.append(mesh.is_watertight)
    if len(packed) < min(2, len(names)):
        first = next(iter(faults.values()))
        raise ValueError(f"{len(packed)} of {len(names)} meshes in {files.path} can be read ({first})")
    readable = torch.tensor([name not in faults for name in names])
    return {"packed": torch.from_numpy(np.stack(packed)), "readable": readable, "watertight": torch.tensor(watertight)}


def _from_voxels(settings: ShapeConfig, split: str, path: Path, name: str, source: str) -> ShapeData:
    """The split, poses and models asked for are drawn before they are unpacked."""
    file = read_voxels(path)
    rows = _in_order(file, settings)
    count = len(file.models[rows].unique())
    if count < 2:
        raise ValueError(f"{path} holds too few models in the poses asked for ({count}): put at least two there")
    rows = rows[for_testing(file.models[rows]) == (split == "test")]
    source += f": {_told(file, count)}, a tenth of the models for testing"
    return _drawn(file, rows, settings, split, name, source)


def _official_voxels(settings: ShapeConfig, split: str, train: VoxelFile, test: VoxelFile) -> ShapeData:
    """ModelNet10's own split from two files; of the chairs for testing without those that are training chairs, too."""
    copies = test.models[test.copies(train)].unique()
    rows, kept = _in_order(train, settings), _in_order(test, settings)
    kept = kept[~torch.isin(test.models[kept], copies)]
    models, unseen = (len(numbers.unique()) for numbers in (train.models[rows], test.models[kept]))
    if not models or not unseen:
        where, what = (test.path, "that is no training chair") if models else (train.path, "in the poses asked for")
        raise ValueError(f"{where} holds no chair {what}: put the whole file there, or remove {test.path}")
    source = f"{VOXELS} and {HELD_OUT}, {SOURCE}, official split: {_told(train, models)} for training, {unseen:,} for "
    source += f"testing{_without([str(number) for number in copies.tolist()])}"
    return _drawn(*((test, kept) if split == "test" else (train, rows)), settings, split, "chairs", source)


def _without(names: list[str]) -> str:
    """What is said of chairs for testing that are left out, as they are training chairs, too; nothing for none."""
    return f", without {len(names)} that are training chairs voxel for voxel ({', '.join(names)})" if names else ""


def _in_order(file: VoxelFile, settings: ShapeConfig) -> torch.Tensor:
    """Numbers of a file's shapes in the poses asked for, int64 [n], by model and then by pose."""
    rows = torch.from_numpy(np.lexsort((file.turns, file.models)))
    return rows[torch.isin(file.turns[rows], torch.tensor(_turns(settings.poses)))]


def _told(file: VoxelFile, count: int) -> str:
    padded = " (padded)" if file.side == PADDED else ""
    return f"{count:,} models as voxels, {file.side} along each side{padded}"


def _drawn(file: VoxelFile, rows: torch.Tensor, settings: ShapeConfig, split: str, name: str, source: str) -> ShapeData:
    """At most as many models as are asked for, of the shapes of these numbers."""
    rows = rows[draw_models(file.models[rows], _limits(settings)[split])]
    poses = torch.searchsorted(torch.tensor(_turns(settings.poses)), file.turns[rows])
    return ShapeData(file.fitted(rows, settings.size), file.models[rows], poses, name, split, source)


def _turns(poses: int) -> list[int]:
    return [TURNS * pose // poses for pose in range(poses)]


def _limits(settings: ShapeConfig) -> dict[str, int | None]:
    return {"train": settings.train_models, "test": settings.test_models}
