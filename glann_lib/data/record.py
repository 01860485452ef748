"""The record that every data set becomes."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from glann_lib.engine import devices

SPLITS = ("train", "test")
VALIDATION = "validation"  # a part of the first, see `images.load_images`


@dataclass(frozen=True, eq=False)
class ImageData:
    """One split of a data set, in memory once or mapped from a file; ValueError: a field's type, shape or range."""

    images: torch.Tensor  # uint8 [N, C, H, W], C is 1 or 3, 0 to 255
    labels: torch.Tensor | None = None  # int64 [N], class indices
    name: str = "images"  # "mnist", "folder:faces.zip"
    split: str = "train"  # a name in SPLITS, or VALIDATION
    source: str = "an array"  # where the images come from and what was done to them, in words
    class_names: tuple[str, ...] = ()  # by class index; empty where classes have none
    azimuths: torch.Tensor | None = None  # float32 [N], degrees in [0, 360): the direction that each image shows

    def __post_init__(self) -> None:
        images, labels, azimuths = self.images, self.labels, self.azimuths
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
            raise ValueError(f"images are {kind(images)}: give uint8 [N, C, H, W] with C = 1 or 3 and N at least 1")
        if labels is not None and (labels.dtype != torch.int64 or labels.shape != images.shape[:1]):
            raise ValueError(f"labels are {kind(labels)}: give int64 [{len(images)}], one label an image")
        if azimuths is not None and not _are_directions(azimuths, len(images)):
            raise ValueError(f"azimuths are {kind(azimuths)}: give float32 [{len(images)}] in [0, 360), one an image")
        if self.split != VALIDATION:
            check_split(self.split)

    @classmethod
    def from_array(cls, images: Any, labels: Any = None, **fields: Any) -> ImageData:
        """Images from an array or tensor, copied, with integer labels [N]; `fields` are the record's others.

        Images are uint8 in 0 to 255 or floating point in [0, 1]; [N, H, W], [N, C, H, W] or [N, H, W, C], C = 1 or 3.
        Anything else is a ValueError.
        """
        pixels = _to_uint8(to_numpy(images, "images"))
        if pixels.ndim == 3:
            pixels = pixels[:, None]
        elif pixels.ndim == 4 and pixels.shape[1] not in (1, 3):
            pixels = pixels.transpose(0, 3, 1, 2)
        labels = None if labels is None else to_int64(labels, "labels", "an image")
        return cls(torch.from_numpy(np.array(pixels, order="C")), labels, **fields)

    def __len__(self) -> int:
        return len(self.images)

    def float(self, index: Any = slice(None), device: torch.device | str | None = None) -> torch.Tensor:
        """The images at `index` as float32 [n, C, H, W] in [0, 1], on `device`."""
        return self.images[index].to(device).float() / 255

    def take(self, count: int, seed: int = 0) -> ImageData:
        """At most `count` images, in random order; the same seed draws the same ones."""
        return self.part(random_order(len(self), count, seed))

    def part(self, index: Any) -> ImageData:
        """The images at `index`, a slice or int64 [n]."""
        labels = None if self.labels is None else self.labels[index]
        azimuths = None if self.azimuths is None else self.azimuths[index]
        return dataclasses.replace(self, images=self.images[index], labels=labels, azimuths=azimuths)

    def describe(self) -> dict[str, Any]:
        """Plain values for the provenance record, without a path of this machine."""
        count, channels, *size = self.images.shape
        facts = {"name": self.name, "split": self.split, "count": count, "channels": channels, "size": size}
        facts |= {"azimuths": True} if self.azimuths is not None else {}
        return {**facts, "source": self.source, "sha256": self.sha256}

    @functools.cached_property
    def sha256(self) -> str:
        """The `tensors_sha256` of images, labels and, where there are any, azimuths."""
        # Without azimuths nothing is added: such data keep the sums recorded before there were any.
        directions = () if self.azimuths is None else (self.azimuths,)
        return tensors_sha256(self.images, self.labels, *directions)


def random_order(count: int, limit: int | None = None, seed: int = 0) -> torch.Tensor:
    """At most `limit` of the indices below `count`, int64 [n], in random order; a smaller limit gives the first few."""
    return torch.randperm(count, generator=devices.seeded(seed, "subset"))[:limit]


def name_classes(labels: ArrayLike, class_names: Sequence[str] = ()) -> dict[int, str]:
    """By label the names of the classes that occur among labels [N]; the number where a class has no name."""
    known = np.unique(np.asarray(labels)).tolist()
    return {label: class_names[label] if label < len(class_names) else str(label) for label in known}


def tensors_sha256(*tensors: torch.Tensor | None) -> str:
    """SHA-256 of tensors' types, shapes and bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(kind(tensor).encode())
        if tensor is not None:
            digest.update(tensor.cpu().contiguous().numpy())
    return digest.hexdigest()


def check_split(split: str) -> None:
    """ValueError where `split` is no name in SPLITS."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose train or test")


def to_numpy(values: Any, field: str) -> np.ndarray:
    """An array, or a tensor as one (floating point as float32); ValueError, by the field's name, for anything else."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.float() if values.is_floating_point() else values).numpy()
    if not isinstance(values, np.ndarray):
        raise ValueError(f"{field} are a {type(values).__name__}: give a numpy array or a torch tensor")
    return values


def to_int64(numbers: Any, field: str, item: str, refused: tuple[torch.dtype, ...] = ()) -> torch.Tensor:
    """Integers as int64, copied; ValueError for other numbers and refused types."""
    numbers = torch.as_tensor(numbers).detach().cpu()
    if numbers.is_floating_point() or numbers.is_complex() or numbers.dtype in refused:
        raise ValueError(f"{field} are {kind(numbers)}: give integers, one {item}")
    return numbers.to(torch.int64, copy=True)


def kind(values: torch.Tensor | None) -> str:
    """A tensor's type and shape, for errors and digests: "uint8 [5, 1, 28, 28]"."""
    return "none" if values is None else f"{str(values.dtype).removeprefix('torch.')} {list(values.shape)}"


def _to_uint8(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind != "f":
        raise ValueError(f"images are {pixels.dtype}: give uint8 in 0 to 255 or floating point in [0, 1]")
    low, high = pixels.min(initial=0), pixels.max(initial=0)
    if not (low >= 0 and high <= 1):  # also where one is NaN
        raise ValueError(f"images lie between {low:.3g} and {high:.3g}: give floating point in [0, 1], or uint8")
    return (pixels.astype(np.float32) * 255).round().astype(np.uint8)


def _are_directions(azimuths: torch.Tensor, count: int) -> bool:
    plain = azimuths.dtype == torch.float32 and azimuths.shape == (count,)
    return plain and bool(((azimuths >= 0) & (azimuths < 360)).all())  # neither holds for NaN
