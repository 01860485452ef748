"""What lies in a person's directory or .zip, each file by a plain name; nothing is read or unpacked yet."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

SYSTEM = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")  # folders that a system makes beside a person's own
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def printable(name: str) -> str:
    r"""A file's name as text that can be written anywhere: what is no UTF-8, or no visible letter, as "\xe9", "\n"."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


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

    Names have "/" between their parts and no "./", "C:" or "/" in front, however the archive's maker wrote them. Where
    the encoding is not stated, they are UTF-8 if they can be, else a guess (code page 437). Of two files of one name
    the last counts, as if they were unpacked.
    """
    files, faults, guesses, replaced = {}, {}, set(), []
    for entry in archive.infolist():
        name, is_guess = _decoded(entry)
        name = name.replace("\\", "/")
        parts = [part for part in re.sub("^[A-Za-z]:", "", name).split("/") if part not in ("", ".")]
        plain = "/".join(parts)
        if not parts or name.endswith("/") or is_hidden(plain):
            continue
        replaced += ["that others of the same name replace"] * (plain in files)
        files[plain] = entry
        faults[plain] = _fault(entry, parts)
        if is_guess:
            guesses.add(plain)
    readable = {name: entry for name, entry in files.items() if not faults[name]}
    return readable, replaced + [fault for fault in faults.values() if fault], len(guesses)


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
