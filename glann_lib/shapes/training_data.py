"""What `Glann.fit` is given, as one tensor to train on, the settings for it, and where it comes from.

A data set's name loads it; images or shapes that the caller holds in memory get the settings of a person's own data.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from glann_lib.config import ARRAY, SHAPES, Config, kind_of, make_config
from glann_lib.data.images import load_images
from glann_lib.data.record import ImageData
from glann_lib.shapes.data import load_shapes
from glann_lib.shapes.record import ShapeData


@dataclass(frozen=True)
class TrainingData:
    """What is trained on."""

    tensor: Tensor  # images uint8 [N, C, S, S], or voxels bool [N, S, S, S]
    config: Config
    data: ImageData | ShapeData  # the record that they come from


def prepare(
    data: str | ImageData | ShapeData | ArrayLike, profile: str, seed: int, settings: dict[str, Any]
) -> TrainingData:
    """Training data and settings of one fit: of a data set by its name, or in memory (see `from_array`).

    Profile, seed and settings are those of `make_config`. A ValueError says what to do about bad ones.
    """
    if isinstance(data, str):
        config = make_config(data, profile, seed, **settings)
        data = (load_shapes if kind_of(data) == "shapes" else load_images)(config.data, "train")
    else:
        data = from_array(data)
        data, config = (_shapes if isinstance(data, ShapeData) else _images)(data, profile, seed, settings)
    tensor = data.voxels if isinstance(data, ShapeData) else data.images
    return TrainingData(tensor, config.for_images(len(tensor)), data)


def from_array(data: ImageData | ShapeData | ArrayLike) -> ImageData | ShapeData:
    """Images or shapes in memory as the record that the library works with: a bool array is shapes, others images."""
    if isinstance(data, ImageData | ShapeData):
        return data
    if getattr(data, "dtype", None) in (torch.bool, np.dtype(bool)):
        return ShapeData.from_array(data)
    return ImageData.from_array(data)


def _images(data: ImageData, profile: str, seed: int, settings: dict[str, Any]) -> tuple[ImageData, Config]:
    channels, size = data.images.shape[1], data.images.shape[-1]
    own: dict[str, Any] = {"data_image_size": size}
    if profile == "paper":
        own["glo_normalisation"] = "batch" if channels == 1 else "none"
    config = make_config(ARRAY, profile, seed, **{**own, **settings})
    _require_size("images", size, "data_image_size", config.data.image_size)
    count = settings.get("data_train_images") or len(data)
    data = data.take(count, seed) if count < len(data) else data
    return data, dataclasses.replace(config, data=dataclasses.replace(config.data, train_images=count))


def _shapes(data: ShapeData, profile: str, seed: int, settings: dict[str, Any]) -> tuple[ShapeData, Config]:
    size, models = data.voxels.shape[-1], len(data.models.unique())
    config = make_config(SHAPES[-1], profile, seed, **{"data_size": size, **settings})
    _require_size("shapes", size, "data_size", config.data.size)
    count = settings.get("data_train_models") or models
    data = data.take(count, seed) if count < models else data
    own = {"dataset": ARRAY, "train_models": count, "poses": len(data.poses.unique())}
    return data, dataclasses.replace(config, data=dataclasses.replace(config.data, **own))


def _require_size(kind: str, size: int, name: str, asked: int) -> None:
    if size != asked:
        raise ValueError(f"{kind} are {size} a side, {name} is {asked}: resize them first")
