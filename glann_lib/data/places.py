"""Where the data files lie: data/, or the folder that GLANN_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

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
