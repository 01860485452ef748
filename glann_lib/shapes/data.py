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

TURNS = 12  # a model's poses are some of so many, evenly spaced: 30 degrees
PADDED = 30  # voxels along each side as 3D ShapeNets stores them; one empty voxel around makes them 32
MADE = {"train": (0, 1000), "test": (1000, 200)}  # number of the first chair, and how many
FOLDER, ARCHIVE, VOXELS = PLACES = ("ModelNet10/chair", "ModelNet10.zip", "modelnet10_chairs/train_30.npz")
ADDRESS = "http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip"
PACKED = ("packed", "shape", "model", "pose")  # arrays of an .npz of packed voxels


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
    folder, archive, voxels = map(places.find, PLACES)
    if folder is None and archive is None:
        if voxels is not None:
            return _from_voxels(settings, split, voxels, "chairs", f"{VOXELS}, ModelNet10 (Wu et al. 2015)")
        raise ConnectionError(
            f"cannot find chairs: place {FOLDER}/ (train/ and test/, unpacked), {ARCHIVE} ({ADDRESS}) or {VOXELS} in "
            "data/ or the folder that the environment variable GLANN_DATA names (data/README.md says how), or choose "
            "--dataset made-chairs, which needs no download"
        )
    files = list_files(archive, listing.MESHES, f"{FOLDER}/") if folder is None else list_files(folder, listing.MESHES)
    numbers = torch.tensor([i for i, name in enumerate(files.names) if Path(name).parent.name == split])
    if not len(numbers):
        raise ValueError(f"{files.path} holds no chairs in {split}/: remove it and unpack or download it again")
    numbers = numbers[random_order(len(numbers), _limits(settings)[split])]
    voxels, readable, remark = _voxelised(files, numbers, settings)
    source = f"{ARCHIVE if folder is None else FOLDER}, ModelNet10 (Wu et al. 2015), official split{remark}"
    return _assembled(settings, split, "chairs", source, voxels, numbers[readable])


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
    packed, side, models, turns = _packed(path)
    wanted = torch.tensor(_turns(settings.poses))
    rows = torch.from_numpy(np.lexsort((turns, models)))
    rows = rows[torch.isin(turns[rows], wanted)]
    count = len(models[rows].unique())
    if count < 2:
        raise ValueError(f"{path} holds too few models in the poses asked for ({count}): put at least two there")
    rows = rows[for_testing(models[rows]) == (split == "test")]
    rows = rows[draw_models(models[rows], _limits(settings)[split])]
    voxels = np.unpackbits(packed[rows.numpy()], axis=1, count=side**3).reshape(-1, side, side, side)
    poses = torch.searchsorted(wanted, turns[rows])
    padded = " (padded)" if side == PADDED else ""
    source += f": {count:,} models as voxels, {side} along each side{padded}, a tenth of the models for testing"
    return ShapeData(_fitted(voxels.view(bool), settings.size, path), models[rows], poses, name, split, source)


def _fitted(voxels: np.ndarray, size: int, path: Path) -> torch.Tensor:
    """Voxels at the size asked for: 30 are padded to 32, and these doubled to 64; no others are scaled."""
    side = voxels.shape[-1]
    if side == PADDED:
        voxels = np.pad(voxels, ((0, 0), (1, 1), (1, 1), (1, 1)))
        for axis in (1, 2, 3):
            voxels = voxels.repeat(size // voxels.shape[axis], axis)
    elif side != size:
        raise ValueError(
            f"the shapes in {path} are {side} x {side} x {side} voxels: give {size} x {size} x {size} (data_size), or "
            f"{PADDED} x {PADDED} x {PADDED}, which are padded"
        )
    return torch.from_numpy(np.ascontiguousarray(voxels))


def _packed(path: Path) -> tuple[np.ndarray, int, torch.Tensor, torch.Tensor]:
    """An .npz of PACKED, or of `voxels` -> packed uint8 [N, bytes], their side, models and turns int64 [N]."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in (*PACKED, "voxels") if key in file.files}
    except MemoryError:
        raise
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ValueError(f"{path} is no .npz, or a damaged one ({reason(error)}): write it again") from None
    if "voxels" in arrays:
        try:
            data = ShapeData.from_array(arrays["voxels"])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        packed = np.packbits(data.voxels.numpy().reshape(len(data), -1), axis=1)
        return packed, data.voxels.shape[-1], data.models, data.poses
    if len(arrays) < len(PACKED):
        raise ValueError(f"{path} lacks the arrays: put voxels [N, S, S, S] there, or {', '.join(PACKED)}")
    return _checked(path, *(arrays[key] for key in PACKED))


def _checked(
    path: Path, packed: np.ndarray, shape: np.ndarray, model: np.ndarray, pose: np.ndarray
) -> tuple[np.ndarray, int, torch.Tensor, torch.Tensor]:
    count, side = len(packed), int(shape.flat[-1]) if shape.size else 0
    whole = shape.tolist() == [count, side, side, side] and packed.shape == (count, -(-(side**3) // 8))
    whole &= all(numbers.shape == (count,) and numbers.dtype.kind in "iu" for numbers in (model, pose))
    if not whole or packed.dtype != np.uint8 or not count or not 1 <= pose.min() <= pose.max() <= TURNS:
        raise ValueError(
            f"the arrays in {path} do not fit: give packed uint8 [N, S^3 / 8] (bits, rounded up), shape (N, S, S, S), "
            f"and integers model [N] and pose [N] from 1 to {TURNS}"
        )
    return packed, side, *(torch.from_numpy(numbers.astype(np.int64)) for numbers in (model, pose - 1))


def _turns(poses: int) -> list[int]:
    return [TURNS * pose // poses for pose in range(poses)]


def _limits(settings: ShapeConfig) -> dict[str, int | None]:
    return {"train": settings.train_models, "test": settings.test_models}
