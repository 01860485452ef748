"""Models that come with the repository: what there is, whether a file is whole, and each one's card as a page.

A released model is a folder, results/published/<name>/, of model.safetensors, model.json (its card: where it is from,
what it may be used for, how good it is) and model.md, the card for people. torch is not needed here.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from glann_lib import config
from glann_lib.records import runs

FOLDER = runs.ROOT / "results" / "published"
MODEL, CARD, PAGE = "model.safetensors", "model.json", "model.md"
LIMIT = 5 * 2**20  # bytes of a released file: every clone of the repository fetches it
UNKNOWN = "unknown"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
LICENCES = tomllib.loads(Path(__file__).with_name("licences.toml").read_text(encoding="utf-8"))
OWN_DATA = (config.FOLDER, config.MESHES)  # before the path of a person's own data: such models are never released


def available(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the released models in a folder, sorted; None: results/published (so everywhere below)."""
    folder = folder or FOLDER
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{CARD}") if (path.parent / MODEL).is_file()))


def card(name: str, folder: Path | None = None) -> dict[str, Any]:
    """The record of one released model.

    Raises FileNotFoundError, which says which there are, where there is none; ValueError where the card is damaged.
    """
    if name not in available(folder):
        raise FileNotFoundError(_no_such_model(name, folder))
    path = (folder or FOLDER) / name / CARD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {**values, "sha256": values["sha256"]}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{_shown(path)} is damaged: restore it with git checkout -- {_shown(path)}") from None


def find(name: str, folder: Path | None = None) -> Path:
    """The file of one released model, once it is found to be the one of its card; raises as `card`."""
    expected = card(name, folder)["sha256"]
    path = (folder or FOLDER) / name / MODEL
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise ValueError(
            f"{_shown(path)} is not the file of its card (sha256 {found[:12]}..., not {str(expected)[:12]}...): "
            f"restore it with git checkout -- {_shown(path)}"
        )
    return path


def locate(name: str | Path, folder: Path | None = None) -> Path:
    """The file that a released model's name, a file's path or a run's folder stands for; raises as `card`.

    A path need not exist unless it could be a name.
    """
    if isinstance(name, str) and name.startswith(OWN_DATA):
        raise FileNotFoundError(_no_such_model(name, folder))
    is_name, path = isinstance(name, str) and NAME.fullmatch(name), Path(name)
    if not is_name or (name not in available(folder) and path.exists()):
        return path / MODEL if path.is_dir() else path
    return find(name, folder)


def licence(dataset: str) -> str:
    """The terms of a data set's images or shapes, as stated at their source; a person's own are the owner's."""
    return LICENCES.get(dataset, "the owner's")


def _no_such_model(name: str, folder: Path | None) -> str:
    known = ", ".join(available(folder)) or "none"
    advice = "name a file that Glann.save wrote"
    if name in (*config.DATASETS, *config.SHAPES) or name.startswith(OWN_DATA):
        path = f"results/{runs.run_name(name, 'quick')}/{MODEL}"
        advice = f"train your own: ./run_all.sh --dataset {name}, then Glann.load('{path}')"
    return f"no released model {name!r}: released are {known}; {advice}"


def _shown(path: Path) -> str:
    """As `runs.shown`, but whole where it lies elsewhere: git and the reader must find it."""
    return runs.shown(path) if path.resolve().is_relative_to(runs.ROOT) else str(path)
