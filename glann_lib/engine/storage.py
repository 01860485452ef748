"""Files that are either whole or not there: atomic writes, tensors with one JSON record, and a lock for a folder.

A file is first written under a temporary name in the same folder, flushed to the disk, then renamed: a run killed
at any moment leaves the last whole version. Tensors go to safetensors (never pickle), whose header carries one JSON
text; the bytes depend on the contents alone. torch is imported only where tensors are: who runs notebooks or checks
arguments needs none of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def write_bytes(path: Path, content: bytes) -> Path:
    """Write `content` to `path` in one step: after a crash the old file or the new one is there, never a part.

    Where the folder cannot be written or the disk is full, an OSError names the file, and the old one stays.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        reason = error.strerror or error
        raise OSError(error.errno, f"cannot write {path}: {reason}; free some space or choose another folder") from None
    return path


def write_text(path: Path, text: str) -> Path:
    """`write_bytes` for text in UTF-8."""
    return write_bytes(path, text.encode())


def write_json(path: Path, record: Any) -> Path:
    """`write_bytes` for a record as indented JSON with sorted keys."""
    return write_text(path, json.dumps(record, indent=2, sort_keys=True) + "\n")


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> Path:
    """Save named tensors and one JSON record to a safetensors file; atomic, as `write_bytes`."""
    import safetensors.torch

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One metadata key only: with more, safetensors' byte order changes from run to run.
    return write_bytes(path, safetensors.torch.save(plain, {"record": json.dumps(record, sort_keys=True)}))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors by name, on the CPU, and the record that `save_tensors` wrote.

    Raises FileNotFoundError where there is no such file, ValueError where it is damaged or not of this library.
    """
    import safetensors

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: name a .safetensors file that this library wrote")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})["record"])
            return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118 (no dict)
    except KeyError:
        raise ValueError(f"{path} was not written by glann_lib: it has no record; remove it or name another") from None
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}); remove it and run again") from None


def save_sealed(path: Path, tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> Path:
    """`save_tensors`, with a digest of the tensors in the record, "weights_sha256": `load_sealed` checks it."""
    return save_tensors(path, tensors, record | {"weights_sha256": tensors_digest(tensors)})


def load_sealed(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """`load_tensors`, a ValueError also where a number differs from what was saved.

    A file whose record holds no digest is older and taken as it is.
    """
    tensors, record = load_tensors(path)
    if record.get("weights_sha256") not in (None, tensors_digest(tensors)):
        raise ValueError(f"{path} is damaged: its numbers are not those that were saved; copy or make it again")
    return tensors, record


def digest(*parts: Any) -> str:
    """SHA-256 over plain values, by their JSON with sorted keys: equal settings give equal text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def tensor_digest(tensor: torch.Tensor) -> str:
    """SHA-256 over a tensor's shape, type and values."""
    array = tensor.detach().cpu().contiguous().numpy()
    value = hashlib.sha256(f"{array.shape}{array.dtype}".encode())
    value.update(array)  # no copy: images can fill gigabytes
    return value.hexdigest()


def tensors_digest(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 over the names of tensors, their shapes, types and values, in whatever order they come."""
    return digest({name: tensor_digest(tensor) for name, tensor in tensors.items()})


@contextlib.contextmanager
def locked(path: Path, folder: Path | None = None) -> Iterator[None]:
    """Hold `path` as a lock file while the block runs; the system frees it even after kill -9.

    Raises RuntimeError where another process holds it, OSError where the folder cannot be written, or its file system
    has no locks, unless GLANN_LOCK is "none". Both name `folder`, which the lock is for; None: the one that it lies in.
    """
    path = Path(path)
    folder = folder or path.parent
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+")  # noqa: SIM115 (closed by the block below)
    except OSError as error:
        raise OSError(error.errno, f"cannot write to {folder}: {error.strerror}; choose another folder") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise RuntimeError(
                f"{folder} is in use by another run (process {owner}): wait for it, or choose another --results"
            ) from None
        except OSError as error:
            if os.environ.get("GLANN_LOCK") != "none":
                raise OSError(
                    error.errno,
                    f"the file system of {folder} has no locks ({error.strerror}): choose another folder, or set "
                    "GLANN_LOCK=none and start one run at a time there",
                ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
