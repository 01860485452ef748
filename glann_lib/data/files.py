"""A person's own files, images and meshes alike: which a directory or .zip holds, and what is read of them."""

from __future__ import annotations

import contextlib
import os
import textwrap
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from glann_lib.data import listing, places
from glann_lib.data.listing import printable
from glann_lib.data.record import random_order
from glann_lib.engine import storage

CACHE_FORMAT = 2  # raise it when the same files would become other tensors


# Beside images or meshes these are to be expected: they are left out, and named, but do not count as what is missing.
BESIDE = (".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".toml", ".md", ".html", ".ini", ".db", ".log")


@dataclass(frozen=True)
class DataFiles:
    """Files of a directory or .zip, sorted, so that the same files mean the same data; nothing is read yet."""

    path: Path  # the directory or the .zip
    names: tuple[str, ...]  # relative to the directory, or to the top of the .zip
    stamp: tuple[Any, ...]  # sizes and times of change: differs when the files do
    remark: str = ""  # what was left out, as the end of a sentence: "; left out: 9 .tga, 2 that need a password"
    is_partial: bool = False  # whether something among it may have been meant: BESIDE is not

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[str], bytes]]:
        """A function from a name to the file's bytes, which several threads may call."""
        if self.path.is_dir():
            yield lambda name: (self.path / name).read_bytes()
        else:
            with zipfile.ZipFile(self.path) as archive:
                entries = listing.in_archive(archive)[0]
                yield lambda name: archive.read(entries[name])

    def classes(self) -> tuple[torch.Tensor | None, tuple[str, ...], str]:
        """Labels int64 [N], the classes' sorted names, and a remark on both: a class is all folders of one name.

        None and () unless all files lie in 2 or more sub-folders.
        """
        parents = [name.rpartition("/")[0] for name in self.names]
        folders = sorted(set(parents))
        classes = [printable(os.path.basename(folder)) for folder in folders]
        names, places = sorted(set(classes)), dict(zip(folders, classes, strict=True))
        top = os.path.commonpath(folders) if all(folders) else ""
        outside = [name for name, parent in zip(self.names, parents, strict=True) if parent == top]
        if len(names) < 2 or outside:
            if len(folders) < 2:
                return None, (), ""
            alone = f"{few(outside)} lie{'s' * (len(outside) == 1)} beside the sub-folders" if outside else ""
            return None, (), f"; no classes: {alone or f'all sub-folders are called {names[0]}'}"
        remark = f"; {len(names)} classes, named by the folders {few(folders)}"
        merged = sorted({name for name in names if classes.count(name) > 1})
        remark += f" (of one name, and so one class: {few(merged)})" if merged else ""
        return torch.tensor([names.index(places[parent]) for parent in parents]), tuple(names), remark


def list_files(path: Path, suffixes: tuple[str, ...], within: str = "", beside: tuple[str, ...] = ()) -> DataFiles:
    """The files with given suffixes (".png"; names may have capitals) in a directory, at any depth, or .zip, if any.

    Names begin with `within`; hidden files and __MACOSX never count. What else is left out stands in the remark.
    ValueError for another or a damaged file, and where more is left out than read, BESIDE and `beside` not counted.
    """
    stamp, remark = (), ""
    if path.is_dir():
        found, faults = listing.in_directory(path)
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                found, faults, guesses = listing.in_archive(archive)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            said = f"{path} is no .zip, or a damaged one ({reason(error)})"
            raise ValueError(f"{said}: name a directory or a whole .zip") from None
        stamp = path.stat().st_size, path.stat().st_mtime_ns
        remark = f"; {guesses} names are in an encoding that the .zip does not state" if guesses else ""
    inside = [name for name in found if name.startswith(within)]
    names = sorted(name for name in inside if name.lower().endswith(suffixes))
    kinds = [Path(name).suffix.lower() for name in inside if not name.lower().endswith(suffixes)]
    left_out = Counter(printable(kind) or "without a suffix" for kind in kinds) + Counter(faults)
    kinds_by_count = sorted(left_out, key=lambda kind: (-left_out[kind], kind))
    told = ", ".join(f"{left_out[kind]} {kind}" for kind in kinds_by_count[:5])
    told += f" and {len(left_out) - 5} other kinds" if len(left_out) > 5 else ""
    lost = len(faults) + sum(kind not in (*BESIDE, *beside) for kind in kinds)
    if lost > len(names):
        known = ", ".join(suffix[1:] for suffix in suffixes)
        raise ValueError(
            f"{path} holds more that is not read than what is ({len(names)} of {known}): left out were {told}; convert "
            "or unpack those, or take them away"
        )
    if path.is_dir():
        stamp = tuple((found[name].st_size, found[name].st_mtime_ns) for name in names)
    return DataFiles(path, tuple(names), stamp, f"; left out: {told}{remark}" if told else remark, lost > 0)


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

    The former are tensors by name, among them "readable", bool [N]. The remark and a warning name what was left
    out, and the files of this kind ("image" or "mesh") that could not be read.
    """
    names = [files.names[number] for number in numbers.tolist()]
    key = storage.digest(CACHE_FORMAT, str(files.path.resolve()), files.stamp, names, *settings)
    tensors = places.cached(key, lambda: read(files, names, *settings))
    skipped = [name for name, there in zip(names, tensors["readable"].tolist(), strict=True) if not there]
    remark = files.remark
    if skipped:
        remark += f"; {len(skipped)} unreadable of {len(names)} {kind} files skipped ({few(skipped)})"
    if skipped or files.is_partial:
        warnings.warn(printable(files.path.name) + remark, stacklevel=2)
    return tensors, remark


def few(names: Sequence[str]) -> str:
    """The first three names."""
    return ", ".join(map(printable, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def reason(error: Exception) -> str:
    """The error's text on one line."""
    return textwrap.shorten(str(error) or type(error).__name__, 200)
