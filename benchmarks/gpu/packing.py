"""A folder as a few files of limited size, and back: one tar.gz, cut into parts."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from glann_lib.engine import storage

NAME = "gpu.tar.gz"
PART = 15 * 2**20  # bytes of a part
PARTS = 7  # at most
AWAY = "data"  # a folder that is not packed: whoever unpacks has the data


def pack(work: Path, out: Path, part: int = PART, parts: int = PARTS) -> dict[str, Any]:
    """Write the files below `work` to `out` as gpu.tar.gz.0, .1, ..., in place of those that are there.

    Args:
        work: hidden files, which a killed write may leave, and the folder "data" are not packed.
        out: a folder, which is made.
        part, parts: bytes of a part and how many there may be; what does not fit is left out, the largest file first.

    Returns:
        "parts", their names; "bytes", of all of them; "files", how many are in them; "left_out", names.
    """
    files, left_out = _files(work), []
    with tempfile.TemporaryFile() as archive:
        while _write(archive, work, files) > part * parts and files:
            files.remove(largest := max(files, key=lambda path: path.stat().st_size))
            left_out.append(largest.relative_to(work).as_posix())
        size, names = archive.tell(), []
        archive.seek(0)
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob(f"{NAME}.*"):
            old.unlink()
        while content := archive.read(part):
            names.append(storage.write_bytes(out / f"{NAME}.{len(names)}", content).name)
    return {"parts": names, "bytes": size, "files": len(files), "left_out": left_out}


def unpack(source: Path, work: Path) -> int:
    """Put what `pack` wrote to `source` into `work`, but for files that are there already; gives how many it put there.

    Raises ValueError where `source` holds no parts, or not all of them.
    """
    parts = sorted(source.glob(f"{NAME}.*"), key=lambda path: int(path.suffix[1:]))
    if not parts:
        raise ValueError(f"{source} holds no {NAME}.0: name the folder that --out named")
    content = io.BytesIO(b"".join(path.read_bytes() for path in parts))
    work.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=work, prefix=".unpacked.") as whole:
            with tarfile.open(fileobj=content, mode="r:gz") as archive:
                archive.extractall(whole, filter="data")
            return _move_new(Path(whole), work)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"the parts in {source} are damaged, or not all of them are there ({error})") from None


def _files(work: Path) -> list[Path]:
    names = ((path, path.relative_to(work).parts) for path in sorted(work.rglob("*")) if path.is_file())
    return [path for path, parts in names if parts[0] != AWAY and not any(name.startswith(".") for name in parts)]


def _write(target: BinaryIO, work: Path, files: Iterable[Path]) -> int:
    """The bytes of the archive, which is all that `target` then holds."""
    target.seek(0), target.truncate()
    # Weights hardly get smaller, whatever the time: the lowest level.
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as archive:
        for path in files:
            archive.add(path, path.relative_to(work).as_posix(), recursive=False)
    return target.tell()


def _move_new(source: Path, target: Path) -> int:
    moved = 0
    for path in (path for path in source.rglob("*") if path.is_file()):
        place = target / path.relative_to(source)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, place)
            moved += 1
    return moved
