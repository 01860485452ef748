"""A person's own files, images and meshes alike: how they are divided, and what the cache keeps of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from glann_lib.data import cache
from glann_lib.data.listing import DataFiles, few, printable
from glann_lib.data.record import random_order
from glann_lib.engine import storage

CACHE_FORMAT = 4  # raise it when the same files would become other tensors


@dataclass(frozen=True)
class Division:
    """Files that come without a split, divided into those for testing and those for training."""

    numbers: torch.Tensor  # int64 [N], indices of the files of both parts that are wanted; those for testing come first
    tests: int  # how many of them are for testing

    @classmethod
    def draw(cls, count: int, tests: int, limits: dict[str, int | None]) -> Division:
        """`tests` of `count` files for testing, by a fixed seed; `limits` is how many of each split are wanted."""
        order = random_order(count)
        test, train = order[:tests][: limits["test"]], order[tests:][: limits["train"]]
        return cls(torch.cat([test, train]), len(test))

    def part(self, split: str, readable: torch.Tensor) -> slice:
        """Where a split lies among the files that are `readable` (bool [N]): bad files leave neither part empty."""
        border = min(max(1, int(readable[: self.tests].sum())), int(readable.sum()) - 1)
        return slice(border) if split == "test" else slice(border, None)


def read_cached(
    files: DataFiles, numbers: torch.Tensor, kind: str, read: Callable[..., dict[str, Any]], *settings: Any
) -> tuple[dict[str, torch.Tensor], str]:
    """Of the files at the indices int64 [N] `read(files, names, *settings)`, or what the cache holds, and a remark.

    The former are tensors by name, among them "readable", bool [N]. The remark and a warning name what was left
    out, and the files of this kind ("image" or "mesh") that could not be read.
    """
    names = [files.names[number] for number in numbers.tolist()]
    key = storage.digest(CACHE_FORMAT, str(files.path.resolve()), files.stamp, names, *settings)
    tensors = cache.kept(key, lambda: read(files, names, *settings))
    skipped = [name for name, there in zip(names, tensors["readable"].tolist(), strict=True) if not there]
    remark = files.remark
    if skipped:
        remark += f"; {len(skipped)} unreadable of {len(names)} {kind} files skipped ({few(skipped)})"
    if skipped or files.is_partial:
        warnings.warn(printable(files.path.name) + remark, stacklevel=2)
    return tensors, remark
