"""One page that shows a whole run: report.html, with every figure, table and provenance record, in itself.

It is drawn from the files of the run's folder alone, by the number in front of their names, and needs neither network
nor notebook; the links to PDF, CSV and executed notebooks lead to the files beside it. A record that is missing or
damaged costs its caption, not the page.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from glann_lib import config
from glann_lib.companion.commands import Executed, read_executed
from glann_lib.companion.execution import duration
from glann_lib.companion.pages import NAMES, render
from glann_lib.engine import storage
from glann_lib.records import tables

OWN_DATA = re.compile(r"(folder|meshes|cars):([^:]*/)?")  # before the name of a person's own files
PICTURES = (".png", ".gif", ".webp")
FORMATS = (*PICTURES, ".pdf", ".csv", ".md", ".tex")
HEAVY = 2**19  # bytes of a picture
UNNUMBERED = "··"  # in place of a notebook's number, for files that carry none


@dataclass(frozen=True)
class Item:
    """A figure or a table; other formats of it lie beside it."""

    path: Path
    record: dict[str, Any]  # how it was made; empty where it is missing or damaged
    caption: str  # the record's, else the file's name in words


@dataclass(frozen=True)
class Section:
    """What a notebook left."""

    number: str
    title: str  # the notebook's, else its name in words
    items: list[Item]  # in the order in which the notebook's code names them, then those that it does not name
    notebook: Path | None
    executed: Executed | None  # None: no notebook, or a damaged one
    has_failed: bool  # in its last run, whatever an earlier one left


def write_report(run_dir: Path) -> Path:
    """Write report.html over what lies in a run's folder in figures/, tables/ and notebooks/; returns its path."""
    run_dir = Path(run_dir)
    figures = [path for path in sorted((run_dir / "figures").glob("[!.]*")) if path.suffix in PICTURES]
    items = [read_item(path) for path in [*figures, *sorted((run_dir / "tables").glob("[!.]*.csv"))]]
    notebooks = {path.name[:2]: path for path in sorted((run_dir / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    sections = sections_of(items, notebooks)
    executed = [section.executed for section in sections if section.executed]
    records = [item.record for item in items if item.record]
    dataset, profile = _run(run_dir, [*(copy.given for copy in executed), *records])
    shown = {"dataset": dataset, "profile": profile, "sections": sections, "duration": duration}
    shown |= {"facts": _facts(records, sum(copy.seconds for copy in executed)), "quoted_note": tables.QUOTED_NOTE}
    shown |= {"pictures": PICTURES, "formats": FORMATS, "data_url": _data_url, "columns_of": _columns}
    shown |= {"pretty": partial(json.dumps, indent=2, sort_keys=True, ensure_ascii=False)}
    return storage.write_text(run_dir / "report.html", render("report.html.j2", **shown))


def read_item(path: Path) -> Item:
    """A figure or a table with what its record says."""
    record = read_json(path.with_suffix(".json"))
    words = re.sub(r"^\d\d_", "", path.stem).replace("_", " ")
    return Item(path, record, str(record.get("caption") or words.capitalize()))


def sections_of(items: Iterable[Item], notebooks: Mapping[str, Path]) -> list[Section]:
    """Figures and tables by the number of their notebook; every notebook has a section."""
    sections = {number: [] for number in sorted({number_of(item.path) for item in items} | set(notebooks))}
    for item in items:
        sections[number_of(item.path)].append(item)
    return [_section(number, own, notebooks.get(number)) for number, own in sections.items()]


def _section(number: str, items: list[Item], notebook: Path | None) -> Section:
    title = "Other results" if number == UNNUMBERED else f"Notebook {number}"
    executed, failed, code = None, False, ""
    if notebook:
        title = notebook.name.split(".")[0][3:].replace("_", " ").capitalize()
        failed = ".failed." in notebook.name or notebook.with_suffix(".failed.ipynb").is_file()
        with contextlib.suppress(ValueError):
            executed = read_executed(notebook)
            code = "".join("".join(cell.get("source", "")) for cell in executed.content["cells"])
            if executed.book.title != executed.book.name:  # it has a heading
                title = executed.book.title

    found = {item.path: re.search(rf"\b{re.escape(item.path.stem)}\b", code) for item in items}
    items = sorted(items, key=lambda item: found[item.path].start() if found[item.path] else len(code))
    return Section(number, title, items, notebook, executed, failed)


def _data_url(path: Path) -> str:
    """A whole picture, to stand in a page: a PNG of many bytes, which is one of photographs, as a JPEG."""
    content, kind = path.read_bytes(), path.suffix[1:]
    if kind == "png" and len(content) > HEAVY:
        with contextlib.suppress(OSError, SyntaxError), Image.open(io.BytesIO(content)) as picture:
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "JPEG", quality=90)
            content, kind = min((content, kind), (buffer.getvalue(), "jpeg"), key=lambda form: len(form[0]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _columns(path: Path) -> list[tables.Column]:
    """A table's columns; none where it cannot be read."""
    try:
        return tables.read_columns(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []


def number_of(path: Path) -> str:
    """The two digits in front of a file's name, its notebook's number; UNNUMBERED where there are none."""
    return path.name[:2] if re.match(r"\d\d_", path.name) else UNNUMBERED


def read_json(path: Path) -> dict[str, Any]:
    """A record; an empty one where the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def find(record: Any, key: str) -> Any:
    """The value of `key` at the outermost place of a nested record where it stands; None: nowhere."""
    if not isinstance(record, dict):
        return None
    if key in record:
        return record[key]
    return next((value for inner in record.values() for value in [find(inner, key)] if value is not None), None)


def _run(run_dir: Path, records: list[dict[str, Any]]) -> tuple[str, str]:
    """Data set and profile: as the first record says that names them, else the folder's name."""
    name, _, last = run_dir.resolve().name.rpartition("-")
    found = {"dataset": name or last, "profile": last if name else ""}
    for key in found:
        values = [value for record in records for value in [find(record, key)] if isinstance(value, str)]
        # Notebook 00's tiny model learns from an array, which is not what the run is of.
        found[key] = next((value for value in values if value != config.ARRAY), found[key])
    return data_title(found["dataset"]), found["profile"]


def data_title(dataset: str) -> str:
    """The name of a data set as a page is headed; of a person's own files the last part of their path."""
    return NAMES["headings"].get(dataset) or OWN_DATA.sub("", dataset)


def _facts(records: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """What holds for the whole run, from the newest record."""
    newest = max(records, key=lambda record: str(record.get("time", "")), default={})
    versions = newest.get("versions")
    listed = {"Python": newest.get("python")} | (versions if isinstance(versions, dict) else {})
    facts = {
        "Made": re.sub(r"T(\d\d:\d\d).*", r", \1 UTC", str(newest.get("time", ""))),
        "Running time": duration(seconds) if seconds else "",
        "Device": newest.get("device"),
        "Seed": find(newest, "seed"),
        "Commit": commits(records),
        "Versions": ", ".join(f"{name} {version}" for name, version in listed.items() if version),
    }
    return {name: fact for name, fact in facts.items() if fact not in (None, "")}


def commits(records: list[dict[str, Any]]) -> str:
    """The commits that the figures and tables came from, oldest first, and whether the code differed from them."""
    names = {}
    for record in sorted(records, key=lambda record: str(record.get("time", ""))):
        if record.get("commit"):
            name = str(record["commit"])[:10]
            names[name] = names.get(name, False) or bool(record.get("uncommitted_changes"))
    return ", ".join(f"{name} with uncommitted changes" if dirty else name for name, dirty in names.items())
