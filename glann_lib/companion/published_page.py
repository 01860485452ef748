"""The page of a published folder, Markdown that GitHub shows: its command, its data, then notebook by notebook.

Facts and numbers on it are those of the records that lie beside the figures and tables.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from glann_lib import config
from glann_lib.companion import catalogue, report
from glann_lib.companion.commands import Executed, commands, read_executed
from glann_lib.companion.execution import duration
from glann_lib.companion.report import PICTURES, Item, number_of
from glann_lib.files import released
from glann_lib.records import runs

BESIDE = {".png": (".json",), ".gif": (".json",), ".csv": (".json", ".md")}  # what a figure and a table need
OWN_DATA = re.compile(r"(folder|meshes|cars):([^:]*/)?")  # before the name of a person's own files
OLDER = "From an earlier run, whose command and executed notebook are not kept here."


def page(name: str, files: dict[str, Path], has_model: bool) -> str:
    """The page of a published folder, Markdown; its facts and numbers are those of the records.

    Args:
        name: of the folder.
        files: by place, what lies there.
        has_model: whether a released model's card lies there, too.
    """
    copies = {number_of(path): read_executed(path) for place, path in files.items() if place.startswith("notebooks/")}
    records = [report.read_json(path) for place, path in files.items() if place.endswith(".json")]
    dataset = copies[min(copies)].values["dataset"]
    title = report.NAMES.get(dataset) or OWN_DATA.sub("", dataset)
    model = f'The model itself, `Glann.load("{name}")`: [{released.PAGE}]({released.PAGE}).\n\n' * has_model
    lines = [f"    {line}" for line in commands([copies[number] for number in sorted(copies)])]
    head = f"# {_escape(title)}\n\nNotebooks as they ran, with every figure and table that they left. Made by\n\n"
    parts = [head + "\n".join(lines), model + _facts([record.get("provenance", record) for record in records], copies)]
    known = {book.number: book for book in catalogue.find_notebooks(runs.ROOT / "notebooks")}
    shown = [path for _, path in sorted(files.items()) if path.suffix in BESIDE]
    items = [Item(path, report.read_json(path.with_suffix(".json"))) for path in shown]
    for number in sorted({number_of(path) for path in shown} | set(copies)):
        copy = copies.get(number)
        book = copy.book if copy else known.get(number)
        heading = f"{number} · {_escape(book.title)}" if book else number
        parts.append(f"## [{heading}](notebooks/{copy.book.path.name})" if copy else f"## {heading}\n\n{OLDER}")
        own = [item for item in items if number_of(item.path) == number]
        code = copy.content if copy else report.read_json(book.path) if book else {}
        parts += [_shown(item) for item in report.as_told(own, code)]
        parts += _links(number, files)
    return "\n\n".join(parts) + "\n"


def owner(place: str, path: Path) -> str:
    """The number of the notebook that a file belongs to; a score's record names it."""
    return str(recorded(path, "notebook"))[:2] if "scores" in Path(place).parts else number_of(path)


def recorded(path: Path, key: str) -> Any:
    """A fact of a record, as `report.find`; None for any other file."""
    return report.find(report.read_json(path), key) if path.suffix == ".json" else None


def _facts(records: list[dict[str, Any]], copies: dict[str, Executed]) -> str:
    """Machine, commits and times, then a table of the training data."""
    times = {number: _time(copy) for number, copy in sorted(copies.items())}
    each = ", ".join(f"{number}: {time}" for number, time in times.items())
    each = f" ({each})" if len(times) > 1 else ""
    whole = sum(copy.whole for copy in copies.values())
    rows = [
        f"- machine: {_escape(', '.join(sorted({record['device'] for record in records if 'device' in record})))}",
        f"- commit: {_escape(report.commits(records))}",
        f"- time: {duration(whole)}{each}; what an earlier run had left was not made again",
        "",
    ]
    rows += ["| trained on | count | SHA-256 | from | [terms](../../../data/README.md) |", "|---|--:|---|---|---|"]
    for (role, name), data in sorted(_training_data(records).items()):
        words = [name if role == "data" else f"{name} ({role})", f"{data['count']:,}", f"`{data['sha256'][:12]}`"]
        rows.append(f"| {_escape(words[0])} | {words[1]} | {words[2]} | {_escape(data['source'])} | {_terms(name)} |")
    return "\n".join(rows)


def _time(copy: Executed) -> str:
    """How long an executed notebook took; after a plus sign the training that it found made."""
    return duration(copy.seconds) + (f" + {duration(copy.earlier)} of training before it" if copy.earlier else "")


def _training_data(records: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """By role and name; of several parts of one data set the largest, since notebook 00 learns from a few images."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for role in ("data", "source", "target"):
        for data in (record[role] for record in records if isinstance(record.get(role), dict)):
            before = found.get((role, data["name"]), {"count": 0})
            if data.get("split") == "train" and data["count"] > before["count"]:
                found[role, data["name"]] = data
    return found


def _terms(name: str) -> str:
    """The terms of a data set or of the one that a domain of translation is made from."""
    base = name.removeprefix("street-").removeprefix("negative-")
    return released.licence("made-chairs" if base in config.CAR_FAMILIES else base)  # both are made by rule


def _shown(item: Item) -> str:
    """A figure above its caption, or a table below it."""
    caption, place = _escape(" ".join(item.caption.split())), f"{item.path.parent.name}/{item.path.name}"
    if item.path.suffix in PICTURES:
        return f"![{caption}]({place})<br>\n*{caption}*"
    return f"*{caption}* ([CSV]({place}))\n\n{item.path.with_suffix('.md').read_text(encoding='utf-8').strip()}"


def _links(number: str, files: dict[str, Path]) -> list[str]:
    """Lines that lead to a notebook's meshes, and to the folders of its scores."""
    others = [place for place, path in sorted(files.items()) if owner(place, path) == number]
    meshes = [place for place in others if place.startswith("meshes/")]
    scores = sorted({Path(place).parent.as_posix() for place in others if "scores" in Path(place).parts})
    lines = {"Meshes": [f"[{Path(place).name}]({place})" for place in meshes]}
    lines["Every score with its origin"] = [f"[{place}]({place})" for place in scores]
    return [f"{what}: {', '.join(links)}" for what, links in lines.items() if links]


def _escape(text: str) -> str:
    """Text in which Markdown sees no marks."""
    return re.sub(r"([\\`*_\[\]<>|$~])", r"\\\1", text)
