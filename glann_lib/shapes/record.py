"""The record that every set of shapes becomes."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from glann_lib.data.record import check_split, kind, random_order, tensors_sha256, to_int64, to_numpy


@dataclass(frozen=True, eq=False)
class ShapeData:
    """One split of a set of shapes, held in memory once; a field of another type or shape is a ValueError."""

    voxels: torch.Tensor  # bool [N, S, S, S], axes x, y, z; z is up; True where the shape is
    models: torch.Tensor  # int64 [N], the number of the model that each is a pose of
    poses: torch.Tensor  # int64 [N], from 0; numbers of the turns about the upright axis
    name: str = "shapes"  # "chairs", "meshes:my_chairs.zip"
    split: str = "train"  # a name in SPLITS
    source: str = "an array"  # where the shapes come from and what was done to them, in words

    def __post_init__(self) -> None:
        voxels = self.voxels
        cube = voxels.ndim == 4 and len(set(voxels.shape[1:])) == 1 and 0 not in voxels.shape
        if voxels.dtype != torch.bool or not cube:
            raise ValueError(f"voxels are {kind(voxels)}: give bool [N, S, S, S] with N at least 1")
        for field in ("models", "poses"):
            numbers = getattr(self, field)
            if numbers.dtype != torch.int64 or numbers.shape != voxels.shape[:1] or numbers.min() < 0:
                raise ValueError(f"{field} are {kind(numbers)}: give int64 [{len(voxels)}] from 0, one number a shape")
        check_split(self.split)

    @classmethod
    def from_array(cls, voxels: Any, models: Any = None, poses: Any = None, **fields: Any) -> ShapeData:
        """Shapes [N, S, S, S], bool or of 0 and 1, from an array or tensor, copied; `fields` are the record's others.

        Models and poses are integers [N]; without models, every shape is one of its own; without poses, all are 0.
        Anything else is a ValueError.
        """
        voxels = _to_bool(to_numpy(voxels, "voxels"))
        count = len(voxels) if voxels.ndim else 0
        models = torch.arange(count) if models is None else to_int64(models, "models", "a shape", (torch.bool,))
        poses = torch.zeros(count).long() if poses is None else to_int64(poses, "poses", "a shape", (torch.bool,))
        return cls(voxels, models, poses, **fields)

    def __len__(self) -> int:
        return len(self.voxels)

    def take(self, count: int, seed: int = 0) -> ShapeData:
        """At most `count` models with all their poses, in random order; the same seed draws the same."""
        index = draw_models(self.models, count, seed)
        voxels, models, poses = self.voxels[index], self.models[index], self.poses[index]
        return dataclasses.replace(self, voxels=voxels, models=models, poses=poses)

    def describe(self) -> dict[str, Any]:
        """Plain values for the provenance record, without a path of this machine."""
        facts = {"name": self.name, "split": self.split, "count": len(self), "models": len(self.models.unique())}
        size = list(self.voxels.shape[1:])
        return {**facts, "poses": len(self.poses.unique()), "size": size, "source": self.source, "sha256": self.sha256}

    @functools.cached_property
    def sha256(self) -> str:
        """The `tensors_sha256` of voxels, models and poses."""
        return tensors_sha256(self.voxels, self.models, self.poses)


def draw_models(models: torch.Tensor, count: int | None = None, seed: int = 0) -> torch.Tensor:
    """Indices int64 [n] of the shapes of at most `count` models, drawn at random; a smaller count gives the first few.

    `models` int64 [N] is each shape's model; the poses of one follow one another in their order.
    """
    numbers, member = models.unique(return_inverse=True)
    order = random_order(len(numbers), count, seed)
    rank = torch.full((len(numbers),), len(numbers)).scatter(0, order, torch.arange(len(order)))[member]
    return rank.argsort(stable=True)[: int((rank < len(numbers)).sum())]


def for_testing(models: torch.Tensor) -> torch.Tensor:
    """bool [N], the shapes of a tenth of the models int64 [N], by a fixed seed; ValueError for a single model."""
    numbers = models.unique()
    if len(numbers) < 2:
        raise ValueError(f"{len(numbers)} model cannot be divided: give at least two, one to train and one to test")
    return torch.isin(models, numbers[random_order(len(numbers), tenth(len(numbers)))])


def tenth(count: int) -> int:
    """How many of two or more models are for testing: a tenth, at least one, and not all."""
    return min(max(1, round(0.1 * count)), count - 1)


def _to_bool(voxels: np.ndarray) -> torch.Tensor:
    if voxels.dtype.kind not in "biuf":
        raise ValueError(f"voxels are {voxels.dtype}: give bool, or numbers that are 0 or 1")
    solid = np.array(voxels == 1, order="C")
    if not (solid | (voxels == 0)).all():
        raise ValueError(f"voxels are {voxels.dtype} with other values than 0 and 1: compare with a threshold first")
    return torch.from_numpy(solid)
