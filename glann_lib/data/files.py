"""Which files of some kinds a directory or .zip holds, and their bytes: for a person's own images and meshes alike.

Hidden files and __MACOSX are never counted. Names come sorted, so that the same files mean the same data.
"""

from __future__ import annotations

import contextlib
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class DataFiles:
    """Files of a directory or .zip, in sorted order; nothing is read yet."""

    path: Path  # the directory or the .zip
    names: tuple[str, ...]  # relative to the directory, or as stored in the .zip
    stamp: tuple[Any, ...]  # sizes and times of change: differs when the files do

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[str], bytes]]:
        """A function from a name to that file's bytes, which several threads may call."""
        if self.path.is_dir():
            yield lambda name: (self.path / name).read_bytes()
        else:
            with zipfile.ZipFile(self.path) as archive:
                yield archive.read

    def classes(self) -> tuple[np.ndarray | None, tuple[str, ...]]:
        """Labels from sub-folders, where every file lies in one and there are at least two of them.

        Returns:
            int64 [N], each file's place in the sorted names of the parent folders, and those names; else None and ().
        """
        parents = [name.rpartition("/")[0] for name in self.names]
        names = tuple(sorted({os.path.basename(parent) for parent in parents}))
        if len(names) < 2 or os.path.commonpath(set(parents)) in parents:
            return None, ()
        index = {name: position for position, name in enumerate(names)}
        return np.array([index[os.path.basename(parent)] for parent in parents]), names


def list_files(path: Path, suffixes: tuple[str, ...], within: str = "") -> DataFiles:
    """The files of some kinds in a directory (at any depth) or .zip; there may be none.

    Args:
        path: the directory or .zip.
        suffixes: of the files, in small letters with their point; capitals in names do not matter.
        within: only names that begin so.

    Raises:
        ValueError: it is neither a directory nor a whole .zip.
    """

    def wanted(name: str) -> bool:
        hidden = name.startswith((".", "__MACOSX/")) or "/." in name or "/__MACOSX/" in name
        return name.startswith(within) and name.lower().endswith(suffixes) and not hidden

    if path.is_dir():
        found = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        names = sorted(filter(wanted, found))
        stamp = tuple((file.stat().st_size, file.stat().st_mtime_ns) for file in map(found.get, names))
    else:
        names, stat = sorted(filter(wanted, _zip_names(path))), path.stat()
        stamp = (stat.st_size, stat.st_mtime_ns)
    return DataFiles(path, tuple(names), stamp)


def remark_on_skipped(files: DataFiles, names: list[str], readable: list[bool], kind: str) -> str:
    """A piece of a sentence on files that could not be read, given as a warning, too; "" where there are none.

    Args:
        files: where they lie.
        names: N names that were to be read.
        readable: which of them were, [N].
        kind: "image" or "mesh".
    """
    skipped = [name for name, there in zip(names, readable, strict=True) if not there]
    if not skipped:
        return ""
    first = ", ".join(skipped[:3]) + (", ..." if len(skipped) > 3 else "")
    remark = f"; {len(skipped)} unreadable of {len(names)} {kind} files skipped ({first})"
    warnings.warn(files.path.name + remark, stacklevel=3)
    return remark


def _zip_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no .zip, or a damaged one ({error}): name a directory or a whole .zip") from None
