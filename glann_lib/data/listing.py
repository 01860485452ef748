"""Which of a person's own files, images or meshes, a directory or .zip holds; nothing is read or unpacked yet.

Only the standard library is needed: the command line counts files before anything is installed.
"""

from __future__ import annotations

import contextlib
import os
import re
import textwrap
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

IMAGES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MESHES = (".off", ".obj", ".stl", ".ply")
LEAST = 3  # files: two to train on and one for testing
SYSTEM = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")  # folders that a system makes beside a person's own
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
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
                entries = in_archive(archive)[0]
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
        import torch

        return torch.tensor([names.index(places[parent]) for parent in parents]), tuple(names), remark


def list_images(path: Path) -> DataFiles:
    """The image files, LEAST of them at least, as `list_files`; FileNotFoundError where nothing is at the path."""
    return _enough(path, IMAGES, "images")


def list_meshes(path: Path) -> DataFiles:
    """The mesh files, likewise; a mesh's materials and textures may lie beside it."""
    return _enough(path, MESHES, "meshes", (".mtl", *IMAGES))


def _enough(path: Path, suffixes: tuple[str, ...], what: str, beside: tuple[str, ...] = ()) -> DataFiles:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name a directory or a .zip of {what}")
    files = list_files(path, suffixes, beside=beside)
    if len(files.names) < LEAST:
        known = ", ".join(suffix[1:] for suffix in suffixes)
        held = f"too few {what} ({few(files.names)})" if files.names else f"no {what} ({known})"
        raise ValueError(f"{path} holds {held}{files.remark}: put at least {LEAST} there, better some hundreds")
    return files


def list_files(path: Path, suffixes: tuple[str, ...], within: str = "", beside: tuple[str, ...] = ()) -> DataFiles:
    """The files with given suffixes (".png"; names may have capitals) in a directory, at any depth, or .zip, if any.

    Names begin with `within`; hidden files and __MACOSX never count. What else is left out stands in the remark.
    ValueError for another or a damaged file, and where more is left out than read, BESIDE and `beside` not counted.
    """
    stamp, remark = (), ""
    if path.is_dir():
        found, faults = in_directory(path)
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                found, faults, guesses = in_archive(archive)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            said = f"{path} is no .zip, or a damaged one ({reason(error)})"
            raise ValueError(f"{said}: name a directory or a whole .zip") from None
        stamp = path.stat().st_size, path.stat().st_mtime_ns
        remark = f"; {guesses} names are in an encoding that the .zip does not state" if guesses else ""
    inside = [name for name in found if name.startswith(within)]
    names = sorted(name for name in inside if name.lower().endswith(suffixes))
    kinds = [Path(name).suffix.lower() for name in inside if not name.lower().endswith(suffixes)]
    told = _counted([*(printable(kind) or "without a suffix" for kind in kinds), *faults])
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


def _counted(kinds: list[str]) -> str:
    """How many there are of each kind, the most frequent five: "9 .tga, 2 that need a password"."""
    counts = Counter(kinds)
    by_count = sorted(counts, key=lambda kind: (-counts[kind], kind))
    told = ", ".join(f"{counts[kind]} {kind}" for kind in by_count[:5])
    return told + (f" and {len(counts) - 5} other kinds" if len(counts) > 5 else "")


def few(names: Sequence[str]) -> str:
    """The first three names."""
    return ", ".join(map(printable, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def printable(name: str) -> str:
    r"""A file's name as text that can be written anywhere: what is no UTF-8, or ends a line, as "\xe9", "\n"."""

    def shown(letter: str) -> str:
        if "\udc80" <= letter <= "\udcff":  # a byte that is no UTF-8, as Python keeps it
            return f"\\x{ord(letter) - 0xDC00:02x}"
        return ascii(letter)[1:-1] if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter

    return "".join(map(shown, name))


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it lies in, is hidden or a system's own."""
    return any((part.startswith(".") and part != "..") or part in SYSTEM for part in name.split("/"))


def in_directory(path: Path) -> tuple[dict[str, os.stat_result], list[str]]:
    """Every file that is not hidden by its name relative to the directory, with its status; what keeps others out.

    Links to folders are followed, each folder once, the real one first.
    """
    files, faults, seen = {}, [], set()

    def refused(error: OSError) -> None:
        if not is_hidden(os.path.relpath(error.filename, path)):
            faults.append("in folders that may not be opened")

    for place, folders, names in os.walk(path, onerror=refused, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort(key=lambda name: (os.path.islink(os.path.join(place, name)), name))
        for name in names:
            file = Path(place, name)
            relative = file.relative_to(path).as_posix()
            if is_hidden(relative):
                continue
            if file.is_file():
                files[relative] = file.stat()
            else:
                faults.append("that are links to nothing" if file.is_symlink() else "that are devices")
    return files, faults


def in_archive(archive: zipfile.ZipFile) -> tuple[dict[str, zipfile.ZipInfo], list[str], int]:
    """Every file not hidden by its plain name, with its entry; what keeps others out; how many names are guesses.

    Names have "/" between their parts and no "./", "C:/" or "/" in front, however the archive's maker wrote them. Where
    the encoding is not stated, they are UTF-8 if they can be, else a guess (code page 437). Of two files of one name
    the last counts, as if they were unpacked.
    """
    _require_whole(archive)
    files, faults, guesses, lost = {}, {}, set(), []
    for entry in archive.infolist():
        name, is_guess = _decoded(entry)
        name = name.replace("\\", "/")
        parts = [part for part in re.sub("^[A-Za-z]:/", "", name).split("/") if part not in ("", ".")]
        plain = "/".join(parts)
        if (name.endswith("/") and not entry.file_size) or is_hidden(plain):
            continue
        if not parts:
            lost.append("without a name")
            continue
        lost += ["that others of the same name replace"] * (plain in files)
        files[plain] = entry
        faults[plain] = _fault(entry, parts)
        if is_guess:
            guesses.add(plain)
    readable = {name: entry for name, entry in files.items() if not faults[name]}
    return readable, lost + [fault for fault in faults.values() if fault], len(guesses)


def _require_whole(archive: zipfile.ZipFile) -> None:
    """BadZipFile where the archive's end counts other than its list: zipfile would not say a word."""
    with open(archive.filename, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2**16 - 22))
        end = file.read().rpartition(b"PK\5\6")[2]
    stated, listed = int.from_bytes(end[6:8], "little"), len(archive.infolist())
    if stated not in (0xFFFF, listed % 2**16):  # the former: the number stands elsewhere
        raise zipfile.BadZipFile(f"it states {stated} files, but lists {listed}")


def _decoded(entry: zipfile.ZipInfo) -> tuple[str, bool]:
    """An entry's name, and whether its letters are a guess."""
    if entry.flag_bits & 0x800:  # marked as UTF-8
        return entry.filename, False
    try:
        return entry.filename.encode("cp437").decode(), False
    except UnicodeError:
        return entry.filename, True


def _fault(entry: zipfile.ZipInfo, parts: list[str]) -> str:
    """Why an entry cannot be read, as the end of "3 files ..."; "" where it can."""
    if entry.flag_bits & 1:
        return "that need a password"
    if entry.compress_type not in METHODS:
        method = zipfile.compressor_names.get(entry.compress_type, f"method {entry.compress_type}")
        return f"compressed by {method}, which is not read"
    return "with .. in their paths" if ".." in parts else ""


def reason(error: Exception) -> str:
    """The error's text on one line."""
    return textwrap.shorten(str(error) or type(error).__name__, 200)
