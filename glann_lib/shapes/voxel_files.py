"""Shapes in an .npz, as packed bits: read and checked in whole, unpacked by row; and which shapes are the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glann_lib.data.listing import reason
from glann_lib.shapes.record import ShapeData

TURNS = 12  # a model's poses are some of so many, evenly spaced: 30 degrees
PADDED = 30  # voxels along each side as 3D ShapeNets stores them; one empty voxel around makes them 32
PACKED = ("packed", "shape", "model", "pose")  # arrays of an .npz of packed voxels
AT_ONCE = 512  # shapes that are unpacked at a time where all are looked at


@dataclass(frozen=True, eq=False)
class VoxelFile:
    """What an .npz holds: N shapes."""

    path: Path
    packed: np.ndarray  # uint8 [N, bytes], the bits of each shape, rounded up
    side: int  # voxels along each side
    models: Tensor  # int64 [N]
    turns: Tensor  # int64 [N], from 0 to TURNS - 1

    def unpacked(self, rows: Tensor) -> Tensor:
        """Shapes by number, bool [n, S, S, S]; those of 30 voxels a side are padded to 32."""
        bits = np.unpackbits(self.packed[rows.numpy()], axis=1, count=self.side**3)
        voxels = bits.reshape(-1, self.side, self.side, self.side).view(bool)
        border = int(self.side == PADDED)
        return torch.from_numpy(np.pad(voxels, ((0, 0), *[(border, border)] * 3)))

    def fitted(self, rows: Tensor, size: int) -> Tensor:
        """The same at the size asked for: 30 are padded to 32, and 32 doubled to 64; no others are scaled."""
        if self.side not in (size, PADDED, PADDED + 2) or self.side > size:
            raise ValueError(
                f"the shapes in {self.path} are {self.side} x {self.side} x {self.side} voxels: give {size} x {size} x "
                f"{size} (data_size), or {PADDED} x {PADDED} x {PADDED}, which are padded"
            )
        voxels = self.unpacked(rows)
        for axis in (1, 2, 3):
            voxels = voxels.repeat_interleave(size // voxels.shape[axis], axis)
        return voxels

    def copies(self, other: VoxelFile) -> Tensor:
        """bool [N], which shapes are voxel for voxel among the other file's, in whatever pose those are."""
        known = {key for rows in torch.arange(len(other.models)).split(AT_ONCE) for key in keys(other.unpacked(rows))}
        return torch.tensor([key in known for key in keys(self.unpacked(torch.arange(len(self.models))))])


def keys(voxels: Tensor) -> list[bytes]:
    """Of each shape, bool [N, S, S, S], its bits; those of equal shapes are equal."""
    return [row.tobytes() for row in np.packbits(voxels.flatten(1).numpy(), axis=1)]


def read_voxels(path: Path) -> VoxelFile:
    """An .npz of PACKED, or of `voxels` [N, S, S, S]; ValueError for one that is damaged, lacks them or whose arrays do
    not fit each other."""
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
        return VoxelFile(path, packed, data.voxels.shape[-1], data.models, data.poses)
    if len(arrays) < len(PACKED):
        raise ValueError(f"{path} lacks the arrays: put voxels [N, S, S, S] there, or {', '.join(PACKED)}")
    return _checked(path, *(arrays[key] for key in PACKED))


def _checked(path: Path, packed: np.ndarray, shape: np.ndarray, model: np.ndarray, pose: np.ndarray) -> VoxelFile:
    count, side = len(packed), int(shape.flat[-1]) if shape.size else 0
    whole = shape.tolist() == [count, side, side, side] and packed.shape == (count, -(-(side**3) // 8))
    whole &= all(numbers.shape == (count,) and numbers.dtype.kind in "iu" for numbers in (model, pose))
    if not whole or packed.dtype != np.uint8 or not count or not 1 <= pose.min() <= pose.max() <= TURNS:
        raise ValueError(
            f"the arrays in {path} do not fit: give packed uint8 [N, S^3 / 8] (bits, rounded up), shape (N, S, S, S), "
            f"and integers model [N] and pose [N] from 1 to {TURNS}"
        )
    return VoxelFile(path, packed, side, *(torch.from_numpy(numbers.astype(np.int64)) for numbers in (model, pose - 1)))
