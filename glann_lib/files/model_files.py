"""A model as one safetensors file: both networks, the latents, labels where there are some, settings and origin.

Sealed with a digest of the numbers. What `compact` made smaller is read as any other file: float32 in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from glann_lib.config import Config
from glann_lib.data.listing import reason
from glann_lib.engine import storage
from glann_lib.engine.devices import select_device
from glann_lib.files import compact, released
from glann_lib.glo import Generator, generator_of
from glann_lib.moments import Mapper, make_mapper
from glann_lib.networks import load_weights

FORMAT = "glann-1"


def write(
    path: Path,
    generator: Generator,
    mapper: Mapper,
    latents: Tensor,
    config: Config,
    origin: dict[str, Any],
    labels: Tensor | None,
    class_names: Sequence[str],
) -> Path:
    """Write to one file what `model.Glann` consists of; OSError where that cannot be."""
    tensors = {f"generator.{name}": value for name, value in generator.state_dict().items()}
    tensors |= {f"mapper.{name}": value for name, value in mapper.state_dict().items()}
    tensors |= {"latents": latents} if labels is None else {"latents": latents, "labels": labels}
    record = {"format": FORMAT, "config": config.as_dict(), "image_shape": list(generator.shape)}
    return storage.save_sealed(path, tensors, record | {"class_names": list(class_names), "record": origin})


def read(name: str | Path, device: str = "auto") -> tuple[Any, ...]:
    """What `write` wrote, in that order, by the name of a released model or by a file's path, on a device.

    Raises FileNotFoundError, which says which there are, where there is none; ValueError where the file is damaged, or
    no model of this library.
    """
    path = released.locate(name)
    tensors, record = storage.load_sealed(path)
    if record.get("format") != FORMAT:
        raise ValueError(f"{path} is not a GLANN model: name a file that Glann.save wrote")
    place = select_device(device)
    try:
        config, shape, origin = Config.from_dict(record["config"]), record["image_shape"], dict(record["record"])
        latents = (tensors := compact.expand(tensors))["latents"]
        generator = generator_of(shape, config.glo)
        mapper = make_mapper(config.imle, config.glo.latent_dim)
        load_weights(generator, tensors, "generator.")
        load_weights(mapper, tensors, "mapper.")
        classes = tensors.get("labels"), tuple(record.get("class_names", ()))
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        other = f"was saved by another version of this library, or damaged ({reason(error)})"
        raise ValueError(f"{path} {other}: fit it again") from None
    return generator.to(place), mapper.to(place), latents.to(place), config, origin, *classes
