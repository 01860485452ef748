"""A person's own files, images and meshes alike: which a directory or .zip holds, and what is read of them."""

from __future__ import annotations

import contextlib
import os
import textwrap
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from glann_lib.data import places
from glann_lib.data.record import random_order
from glann_lib.engine import storage

CACHE_FORMAT = 1  # raise it when the same files would become other tensors


@dataclass(frozen=True)
class DataFiles:
    """Files of a directory or .zip, sorted, so that the same files mean the same data; nothing is read yet."""

    path: Path  # the directory or the .zip
    names: tuple[str, ...]  # relative to the directory, or as stored in the .zip
    stamp: tuple[Any, ...]  # sizes and times of change: differs when the files do

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[str], bytes]]:
        """A function from a name to the file's bytes, which several threads may call."""
        if self.path.is_dir():
            yield lambda name: (self.path / name).read_bytes()
        else:
            with zipfile.ZipFile(self.path) as archive:
                yield archive.read

    def classes(self) -> tuple[torch.Tensor | None, tuple[str, ...]]:
        """Labels int64 [N] and the folders' sorted names; None and () unless all files lie in 2 or more sub-folders."""
        parents = [name.rpartition("/")[0] for name in self.names]
        names = sorted({os.path.basename(parent) for parent in parents})
        if len(names) < 2 or os.path.commonpath(set(parents)) in parents:
            return None, ()
        return torch.tensor([names.index(os.path.basename(parent)) for parent in parents]), tuple(names)


def list_files(path: Path, suffixes: tuple[str, ...], within: str = "") -> DataFiles:
    """The files with given suffixes (".png"; names may have capitals) in a directory, at any depth, or .zip, if any.

    Names begin with `within`; hidden files and __MACOSX never count. ValueError for another or a damaged file.
    """

    def wanted(name: str) -> bool:
        hidden = name.startswith((".", "__MACOSX/")) or "/." in name or "/__MACOSX/" in name
        return name.startswith(within) and name.lower().endswith(suffixes) and not hidden

    if path.is_dir():
        found = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        names = sorted(filter(wanted, found))
        stamp = tuple((file.stat().st_size, file.stat().st_mtime_ns) for file in map(found.get, names))
        return DataFiles(path, tuple(names), stamp)
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(filter(wanted, archive.namelist()))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no .zip, or a damaged one ({error}): name a directory or a whole .zip") from None
    return DataFiles(path, tuple(names), (path.stat().st_size, path.stat().st_mtime_ns))


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
    files: DataFiles, numbers: torch.Tensor, kind: str, read: Callable[..., dict[str, torch.Tensor]], *settings: Any
) -> tuple[dict[str, torch.Tensor], str]:
    """Of the files at the indices int64 [N] `read(files, names, *settings)`, or what the cache holds, and a remark.

    The former are tensors by name, among them "readable", bool [N]. The remark and a warning name the files of this
    kind ("image" or "mesh") that could not be read.
    """
    names = [files.names[number] for number in numbers.tolist()]
    key = storage.digest(CACHE_FORMAT, str(files.path.resolve()), files.stamp, names, *settings)
    tensors = places.cached(key, lambda: read(files, names, *settings))
    skipped = [name for name, there in zip(names, tensors["readable"].tolist(), strict=True) if not there]
    if not skipped:
        return tensors, ""
    first = ", ".join(skipped[:3]) + (", ..." if len(skipped) > 3 else "")
    remark = f"; {len(skipped)} unreadable of {len(names)} {kind} files skipped ({first})"
    warnings.warn(files.path.name + remark, stacklevel=2)
    return tensors, remark


def reason(error: Exception) -> str:
    """The error's text on one line."""
    return textwrap.shorten(str(error) or type(error).__name__, 200)
