"""The record that every set of shapes becomes: bool voxels [N, S, S, S], whose models and poses, their provenance."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from glann_lib.data.record import check_split, random_order, tensors_sha256


@dataclass(frozen=True, eq=False)
class ShapeData:
    """One split of a set of shapes, held in memory once.

    Raises:
        ValueError: voxels, models or poses of another type or shape, or an unknown split.
    """

    voxels: torch.Tensor  # bool [N, S, S, S], axes x, y, z; z is up; True where the shape is
    models: torch.Tensor  # int64 [N], the number of the model that each is a pose of
    poses: torch.Tensor  # int64 [N], from 0; numbers of the turns about the upright axis
    name: str = "shapes"  # "chairs", "meshes:my_chairs.zip"
    split: str = "train"  # a name in image_data.SPLITS
    source: str = "an array"  # where the shapes come from and what was done to them, in words

    def __post_init__(self) -> None:
        voxels = self.voxels
        cube = voxels.ndim == 4 and len(set(voxels.shape[1:])) == 1 and 0 not in voxels.shape
        if voxels.dtype != torch.bool or not cube:
            raise ValueError(f"voxels are {_kind(voxels)}: give bool [N, S, S, S] with N at least 1")
        for field in ("models", "poses"):
            numbers = getattr(self, field)
            if numbers.dtype != torch.int64 or numbers.shape != voxels.shape[:1] or numbers.min() < 0:
                raise ValueError(f"{field} are {_kind(numbers)}: give int64 [{len(voxels)}] from 0, one number a shape")
        check_split(self.split)

    @classmethod
    def from_array(cls, voxels: Any, models: Any = None, poses: Any = None, **fields: Any) -> ShapeData:
        """Shapes from a numpy array or a torch tensor, copied.

        Args:
            voxels: [N, S, S, S], axes x, y, z: bool, or another type whose values are 0 and 1.
            models: integers [N] (an array, a tensor or a list); None: every shape is a model of its own.
            poses: integers [N] from 0, likewise; None: all 0.
            **fields: name, split, source.

        Raises:
            ValueError: another type, shape or range.
        """
        voxels = _to_bool(voxels)
        count = len(voxels) if voxels.ndim else 0
        models = torch.arange(count) if models is None else _to_int64(models, "models")
        poses = torch.zeros(count, dtype=torch.int64) if poses is None else _to_int64(poses, "poses")
        return cls(voxels, models, poses, **fields)

    def __len__(self) -> int:
        return len(self.voxels)

    def take(self, count: int, seed: int = 0) -> ShapeData:
        """At most `count` models with all their poses, the models in random order; the same seed draws the same."""
        index = draw_models(self.models, count, seed)
        voxels, models, poses = self.voxels[index], self.models[index], self.poses[index]
        return dataclasses.replace(self, voxels=voxels, models=models, poses=poses)

    def describe(self) -> dict[str, Any]:
        """Plain values for the provenance record; no path of this machine stands in it."""
        facts = {"name": self.name, "split": self.split, "count": len(self), "models": len(self.models.unique())}
        size = list(self.voxels.shape[1:])
        return {**facts, "poses": len(self.poses.unique()), "size": size, "source": self.source, "sha256": self.sha256}

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the voxels', models' and poses' types, shapes and bytes, in hexadecimal."""
        return tensors_sha256(self.voxels, self.models, self.poses)


def draw_models(models: torch.Tensor, count: int | None = None, seed: int = 0) -> torch.Tensor:
    """Where at most `count` of the models lie, drawn at random; a smaller count gives the first few.

    Args:
        models: int64 [N], the model that each shape is a pose of.
        count: of models; None: all.
        seed: of the draw.

    Returns:
        int64 [n], indices of their shapes: model by model, a model's poses in the order in which they come.
    """
    numbers, member = models.unique(return_inverse=True)
    order = random_order(len(numbers), count, seed)
    rank = torch.full((len(numbers),), len(numbers)).scatter(0, order, torch.arange(len(order)))[member]
    return rank.argsort(stable=True)[: int((rank < len(numbers)).sum())]


def split_models(models: torch.Tensor, part: float = 0.1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Divide shapes by their models: no model has poses on both sides, and neither side is empty.

    Args:
        models: int64 [N], the model that each shape is a pose of.
        part: of the models that is for testing, between 0 and 1.
        seed: of the draw.

    Returns:
        bool [N] each: the shapes for training, and those for testing.

    Raises:
        ValueError: fewer than two models.
    """
    numbers = models.unique()
    if len(numbers) < 2:
        raise ValueError(f"{len(numbers)} model cannot be divided: give at least two, one to train and one to test")
    count = min(max(1, round(part * len(numbers))), len(numbers) - 1)
    test = torch.isin(models, numbers[random_order(len(numbers), count, seed)])
    return ~test, test


def _to_bool(voxels: Any) -> torch.Tensor:
    """Voxels of 0 and 1 in any type, as a bool tensor of its own."""
    if isinstance(voxels, torch.Tensor):
        voxels = voxels.detach().cpu()
        voxels = (voxels.float() if voxels.is_floating_point() else voxels).numpy()
    if not isinstance(voxels, np.ndarray):
        raise ValueError(f"voxels are a {type(voxels).__name__}: give a numpy array or a torch tensor")
    if voxels.dtype.kind not in "biuf":
        raise ValueError(f"voxels are {voxels.dtype}: give bool, or numbers that are 0 or 1")
    solid = np.array(voxels == 1, order="C")
    if not (solid | (voxels == 0)).all():
        raise ValueError(f"voxels are {voxels.dtype} with other values than 0 and 1: compare with a threshold first")
    return torch.from_numpy(solid)


def _to_int64(numbers: Any, field: str) -> torch.Tensor:
    numbers = torch.as_tensor(numbers).detach().cpu()
    if numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool:
        raise ValueError(f"{field} are {_kind(numbers)}: give integers, one a shape")
    return numbers.to(torch.int64, copy=True)


def _kind(values: torch.Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {list(values.shape)}"
