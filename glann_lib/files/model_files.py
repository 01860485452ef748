"""A model as one safetensors file: both networks, the latents, labels where there are some, settings and origin.

Sealed with a digest of the numbers. What `compact` made smaller is read as any other file: float32 in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from glann_lib.config import Config
from glann_lib.engine import storage
from glann_lib.engine.devices import select_device
from glann_lib.files import compact, released
from glann_lib.moments import Mapper, make_mapper
from glann_lib.networks import InfoGANGenerator, VoxelGenerator, load_weights, make_generator

FORMAT = "glann-1"


@dataclass(frozen=True)
class Parts:
    """What a file holds; each is described where `model.Glann` takes it."""

    generator: InfoGANGenerator | VoxelGenerator
    mapper: Mapper
    latents: Tensor
    config: Config
    record: dict[str, Any]
    labels: Tensor | None
    class_names: tuple[str, ...]


def write(path: Path, parts: Parts) -> Path:
    """Write a model to one file; OSError where that cannot be."""
    tensors = {f"generator.{name}": value for name, value in parts.generator.state_dict().items()}
    tensors |= {f"mapper.{name}": value for name, value in parts.mapper.state_dict().items()}
    tensors["latents"] = parts.latents
    if parts.labels is not None:
        tensors["labels"] = parts.labels
    record = {"format": FORMAT, "config": parts.config.as_dict(), "image_shape": list(parts.generator.shape)}
    record |= {"class_names": list(parts.class_names), "record": parts.record}
    return storage.save_sealed(path, tensors, record)


def read(name: str | Path, device: str = "auto") -> Parts:
    """A model by the name of a released one, or by its file's path, on a device.

    Raises FileNotFoundError, which says which there are, where there is none; ValueError where the file is damaged, or
    no model of this library.
    """
    path = released.locate(name)
    tensors, record = storage.load_sealed(path)
    if record.get("format") != FORMAT:
        raise ValueError(f"{path} is not a GLANN model: name a file that Glann.save wrote")
    try:
        config, shape, origin = Config.from_dict(record["config"]), record["image_shape"], record["record"]
        latents = (tensors := compact.expand(tensors))["latents"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} was saved by another version of this library ({error}): fit it again") from None
    glo, place = config.glo, select_device(device)
    generator = make_generator(shape, glo.latent_dim, glo.normalisation, glo.voxel_channels)
    mapper = make_mapper(config.imle, glo.latent_dim)
    load_weights(generator, tensors, "generator.")
    load_weights(mapper, tensors, "mapper.")
    classes = tensors.get("labels"), tuple(record.get("class_names", ()))
    return Parts(generator.to(place), mapper.to(place), latents.to(place), config, origin, *classes)
