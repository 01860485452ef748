"""Where the data files lie, data/ or the folder that GLANN_DATA names, and data/cache, what was decoded from them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import torch

from glann_lib.engine import storage

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"  # unpacked and decoded files go here where GLANN_DATA cannot be written


def data_place() -> Path:
    """The folder that holds the data sets: GLANN_DATA (ValueError where that does not exist), or the repository's."""
    place = locate(os.environ.get("GLANN_DATA") or DATA)
    if place != DATA and not place.is_dir():
        raise ValueError(f"GLANN_DATA names {place.name}, which does not exist: make it, or name another folder")
    return place


def locate(path: str | Path) -> Path:
    """A path as given or, where nothing lies there, from the repository: notebooks run in other folders."""
    path = Path(os.path.expanduser(path))
    return path if path.exists() else ROOT / path


def find(relative: str) -> Path | None:
    """A file or folder by its path in GLANN_DATA or else data/; None where it is in neither."""
    return next((root / relative for root in (data_place(), DATA) if (root / relative).exists()), None)


def writable(folder: Path) -> bool:
    """Whether files may be put there; a folder without any write permission is left alone even by root."""
    while not folder.exists():
        folder = folder.parent
    return bool(folder.stat().st_mode & 0o222) and os.access(folder, os.W_OK)


def cached(key: str, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Tensors on the CPU by name, from data/cache, or made now and kept there; the key must differ wherever they do."""
    path = DATA / "cache" / f"{key}.safetensors"
    with contextlib.suppress(OSError, ValueError, KeyError):
        tensors, record = storage.load_tensors(path)
        if record["sha256"] == storage.tensors_digest(tensors):
            return tensors
    tensors = make()
    with contextlib.suppress(OSError):  # where it cannot be written, they are made again next time
        storage.save_tensors(path, tensors, {"sha256": storage.tensors_digest(tensors)})
    return tensors
