"""The page of a published folder, Markdown that GitHub shows: its command, its data, then notebook by notebook.

Facts and numbers on it are those of the records that lie beside the figures and tables.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from glann_lib import config
from glann_lib.companion import catalogue, report
from glann_lib.companion.commands import Executed, commands, made_by, read_executed
from glann_lib.companion.execution import duration
from glann_lib.companion.pages import render
from glann_lib.companion.report import number_of
from glann_lib.files import released
from glann_lib.records import runs

BESIDE = {**dict.fromkeys(report.PICTURES, (".json",)), ".csv": (".json", ".md")}  # what a figure and a table need
TRAINING = {"01", "06", "07"}  # notebooks that train a model, and tell by which settings


def page(name: str, files: dict[str, Path], has_model: bool) -> str:
    """The page of the published folder `name` in Markdown, over `files` by place, and a model's card if it has one."""
    executed = {number_of(path): read_executed(path) for place, path in files.items() if place.startswith("notebooks/")}
    executed = dict(sorted(executed.items()))
    records = [report.read_json(path) for place, path in files.items() if place.endswith(".json")]
    records = [record.get("provenance", record) for record in records]
    shown = {"name": name, "title": report.data_title(executed[min(executed)].values["dataset"])}
    shown |= {"commands": commands(list(executed.values())), "trained": _trained(executed, records)}
    shown |= {"model": released.PAGE if has_model else None}
    shown |= {"machine": ", ".join(sorted({record["device"] for record in records if "device" in record}))}
    shown |= {"commit": report.commits(records), "duration": duration, "data": _training_data(records), "terms": _terms}
    shown |= {"sections": _sections(files, executed), "executed": executed, "links": partial(_links, files)}
    shown |= {"pictures": report.PICTURES, "places": {path: place for place, path in files.items()}}
    return render("published_folder.md.j2", **shown)


def owner(place: str, path: Path) -> str:
    """The number of the notebook that a file belongs to; a score's record names it."""
    return str(recorded(path, "notebook"))[:2] if "scores" in Path(place).parts else number_of(path)


def recorded(path: Path, key: str) -> Any:
    """A fact of a record, as `report.find`; None for any other file."""
    return report.find(report.read_json(path), key) if path.suffix == ".json" else None


def _sections(files: dict[str, Path], executed: dict[str, Executed]) -> list[report.Section]:
    """Figures and tables notebook by notebook; where no executed copy is there, the repository's tells their order."""
    notebooks = {book.number: book.path for book in catalogue.find_notebooks(runs.ROOT / "notebooks")}
    notebooks |= {number: copy.book.path for number, copy in executed.items()}
    items = [report.read_item(path) for _, path in sorted(files.items()) if path.suffix in BESIDE]
    sections = report.sections_of(items, notebooks)
    return [section for section in sections if section.items or section.number in executed]


def _trained(executed: dict[str, Executed], records: list[dict[str, Any]]) -> list[str]:
    """The commands that trained what is shown, by the records; none where a notebook that trains lies beside it."""
    if executed.keys() & TRAINING:
        return []
    settings = [record["config"] for record in records if "glo" in record.get("config", {})]
    return sorted({made_by(config.Config.from_dict(values)) for values in settings})


def _training_data(records: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """By role and name; of several parts of one data set the largest, since notebook 00 learns from a few images."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for role in ("data", "source", "target"):
        for data in (record[role] for record in records if isinstance(record.get(role), dict)):
            before = found.get((role, data["name"]), {"count": 0})
            if data.get("split") == "train" and data["count"] > before["count"]:
                found[role, data["name"]] = data
    return dict(sorted(found.items()))


def _terms(name: str) -> str:
    """The terms of a data set or of the one that a domain of translation is made from."""
    base = name.removeprefix("street-").removeprefix("negative-")
    return released.licence("made-chairs" if base in config.CAR_FAMILIES else base)  # both are made by rule


def _links(files: dict[str, Path], number: str) -> dict[str, dict[str, str]]:
    """Where a notebook's meshes and the folders of its scores lie, by the words of each link."""
    own = [place for place, path in sorted(files.items()) if owner(place, path) == number]
    scores = sorted({Path(place).parent.as_posix() for place in own if "scores" in Path(place).parts})
    return {
        "Meshes": {Path(place).name: place for place in own if place.startswith("meshes/")},
        "Every score with its origin": {place: place for place in scores},
    }
