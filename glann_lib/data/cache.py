"""What was decoded, kept in data/cache and mapped from there: neither making nor reading it takes a set's memory.

A file is in the format of safetensors, its header as long as a page. The record in it holds the SHA-256 of all that
follows and of the other fields; whatever does not agree is made again. Images are written one by one under a temporary
name, and by system calls: a full disk is then an error, where a mapping would end the process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import mmap
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from glann_lib.data import places
from glann_lib.engine import progress

HEAD, BLOCK = 4096, 2**24  # bytes: before the first tensor, and read at once
TYPES = {"U8": torch.uint8, "BOOL": torch.bool, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Python 3.13 names it. Without it Linux maps no file larger than its memory, if what is mapped may be written to.
NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0x40)
_checked: set[tuple[Any, ...]] = set()  # files that this process has made or checked


class Rows:
    """N images, written one by one by any threads into a file of the cache; where none can be, into memory."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.needed = shape, math.prod(shape)  # [N, C, S, S]; bytes
        self.file, self.memory = None, np.empty(0, np.uint8)
        try:
            self.file = _temporary(places.DATA / "cache")
        except OSError as error:
            if error.errno in FULL:
                raise self._full(error.errno) from None
            self.memory = np.empty(shape, np.uint8)
            return
        if shutil.disk_usage(self.file.name).free < self.needed:
            self._drop()
            raise self._full(errno.ENOSPC)

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        if kind is not None:
            self._drop()

    def fill(self, one: Callable[[int], Any], label: str) -> list[Any]:
        """What `one(index)`, which may `put` the row, returns for each row, on all cores; how far they are is shown."""
        pool = ThreadPool()
        try:
            return list(progress.items(pool.imap(one, range(self.shape[0]), chunksize=8), self.shape[0], label))
        finally:
            pool.terminate()
            pool.join()  # nothing writes any more

    def put(self, index: int, row: np.ndarray) -> None:
        """A row, uint8 [C, S, S]; one channel fills all."""
        if self.file is None:
            self.memory[index] = row
        else:
            row = np.ascontiguousarray(np.broadcast_to(row, self.shape[1:]))
            self._write(row, HEAD + index * row.nbytes)

    def trim(self, kept: np.ndarray, channels: int) -> None:
        """Only the rows where bool [N] is true stay, and of each the first channels."""
        shape = (int(kept.sum()), channels, *self.shape[2:])
        long, short = (math.prod(shape[1:]) for shape in (self.shape, shape))
        if self.file is None:
            self.memory = np.ascontiguousarray(self.memory[kept][:, :channels])
        elif shape != self.shape:
            for target, source in enumerate(np.flatnonzero(kept).tolist()):
                self._write(os.pread(self.file.fileno(), short, HEAD + source * long), HEAD + target * short)
            self.file.truncate(HEAD + math.prod(shape))
        self.shape = shape

    def save(self, path: Path, tensors: dict[str, torch.Tensor]) -> None:
        """Make the file that of a path: the rows, as "images", and other tensors after them."""
        end = math.prod(self.shape)
        fields = {"images": {"dtype": "U8", "shape": self.shape, "data_offsets": [0, end]}} if end else {}
        names = {dtype: name for name, dtype in TYPES.items()}
        self.needed += sum(tensor.nbytes for tensor in tensors.values())
        for name, tensor in tensors.items():
            array = tensor.contiguous().numpy()
            span = [end, end + array.nbytes]
            fields[name] = {"dtype": names[tensor.dtype], "shape": array.shape, "data_offsets": span}
            self._write(array, HEAD + end)
            end += array.nbytes
        record = json.dumps({"sha256": _sum(self.file, fields)})
        head = json.dumps(fields | {"__metadata__": {"record": record}}).encode().ljust(HEAD - 8)
        self._write(struct.pack("<Q", len(head)) + head, 0)
        os.fsync(self.file.fileno())
        os.chmod(self.file.name, 0o644)
        os.replace(self.file.name, path)
        _checked.add(_mark(path, self.file))
        self.file.close()

    def _write(self, content: Any, place: int) -> None:
        rest = memoryview(content).cast("B")
        try:
            while rest:  # a disk that is nearly full takes a part
                count = os.pwrite(self.file.fileno(), rest, place)
                rest, place = rest[count:], place + count
        except OSError as error:
            raise (self._full(error.errno) if error.errno in FULL else error) from None

    def _full(self, number: int) -> OSError:
        room = f"{math.ceil(self.needed / 2**20):,} MiB in {places.DATA / 'cache'}, where there is less room"
        return OSError(number, f"what is decoded takes {room}: free some space, or take fewer or smaller images")

    def _drop(self) -> None:
        if self.file is not None:
            self.file.close()
            Path(self.file.name).unlink(missing_ok=True)


def kept(key: str, make: Callable[[], dict[str, torch.Tensor | Rows]]) -> dict[str, torch.Tensor]:
    """Tensors on the CPU by name, from the cache, or made now and kept there; the key must differ wherever they do.

    Of those that are made "images" may be `Rows`. They are mapped: writing to them changes no file. OSError, in one
    line, where the disk is too full to keep them.
    """
    path = places.DATA / "cache" / f"{key}.safetensors"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, struct.error):
        return _mapped(path)
    tensors = make()
    rows = tensors.pop("images") if "images" in tensors else Rows(0)
    if rows.file is None:
        return tensors | ({"images": torch.from_numpy(rows.memory)} if len(rows.memory) else {})
    with rows:
        rows.save(path, tensors)
    return _mapped(path)


def _mapped(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file; one of many errors where it is not whole."""
    with open(path, "rb") as file:
        if struct.unpack("<Q", file.read(8)) != (HEAD - 8,):
            raise ValueError
        fields = json.loads(file.read(HEAD - 8))
        record = json.loads(fields.pop("__metadata__")["record"])
        if _mark(path, file) not in _checked and record["sha256"] != _sum(file, fields):
            raise ValueError
        _checked.add(_mark(path, file))
        how = {"flags": mmap.MAP_PRIVATE | NORESERVE, "prot": mmap.PROT_READ | mmap.PROT_WRITE}
        memory = mmap.mmap(file.fileno(), 0, **how)
    tensors = {}
    for name, field in fields.items():
        count, start = math.prod(field["shape"]), HEAD + field["data_offsets"][0]
        tensor = torch.frombuffer(memory, dtype=TYPES[field["dtype"]], count=count, offset=start)
        tensors[name] = tensor.reshape(field["shape"])
    return tensors


def _sum(file: IO[bytes], fields: dict[str, Any]) -> str:
    """SHA-256 of the fields and of all that follows the header."""
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    count = math.ceil((os.fstat(file.fileno()).st_size - HEAD) / BLOCK)
    file.seek(HEAD)
    for _ in progress.items(range(count), count, f"checking data/cache, {BLOCK >> 20} MiB each"):
        digest.update(file.read(BLOCK))
    return digest.hexdigest()


def _mark(path: Path, file: IO[bytes]) -> tuple[Any, ...]:
    status = os.fstat(file.fileno())
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns


def _temporary(folder: Path) -> IO[bytes]:
    """A new file in a folder, locked; those that killed runs left there, whose locks are free, are removed."""
    if not places.writable(folder):
        raise PermissionError
    folder.mkdir(parents=True, exist_ok=True)
    for stray in folder.glob(".*.making"):
        with contextlib.suppress(OSError), open(stray) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stray.unlink()
    file = tempfile.NamedTemporaryFile(prefix=".", suffix=".making", dir=folder, delete=False)  # noqa: SIM115 (kept)
    with contextlib.suppress(OSError):  # some file systems have no locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file
