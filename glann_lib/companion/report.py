"""One page that shows a whole run: report.html, with every figure, table and provenance record, in itself.

It is drawn from the files of the run's folder alone, by the number in front of their names, and needs neither network
nor notebook; the links to PDF, CSV and executed notebooks lead to the files beside it. A record that is missing or
damaged costs its caption, not the page.
"""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glann_lib import config
from glann_lib.companion import catalogue
from glann_lib.companion.execution import duration
from glann_lib.companion.report_style import PAGE, STYLE
from glann_lib.engine import storage
from glann_lib.records.tables import table_html

NAMES = {"digits": "Handwritten digits", "mnist": "MNIST", "fashion": "Fashion-MNIST", "cifar10": "CIFAR-10"}
NAMES |= {"embedded": "Translation of made domains", "mnist-street": "MNIST and street MNIST"}
NAMES |= {
    "mnist-svhn": "MNIST and SVHN",
    "svhn": "SVHN",
    "celeba": "CelebA",
    "made-chairs": "Made chairs",
    "chairs": "ModelNet chairs",
}
PICTURES = (".png", ".gif")
UNNUMBERED = "··"  # in place of a notebook's number, for files that carry none


@dataclass(frozen=True)
class Item:
    """A figure or a table with the record beside it; an empty record is one that is missing or damaged."""

    path: Path
    record: dict[str, Any]

    @property
    def caption(self) -> str:
        """The record's caption, else the file's name in words."""
        words = re.sub(r"^\d\d_", "", self.path.stem).replace("_", " ")
        return str(self.record.get("caption") or words.capitalize())


def write_report(run_dir: Path) -> Path:
    """Write report.html over what lies in a run's folder.

    Args:
        run_dir: the run's folder; figures/, tables/ and notebooks/ in it are shown as far as they are there.

    Returns:
        The page's path.

    Raises:
        OSError: the folder cannot be written.
    """
    run_dir = Path(run_dir)
    items = [Item(path, read_json(path.with_suffix(".json"))) for path in _shown_files(run_dir)]
    notebooks = {path.name[:2]: path for path in sorted((run_dir / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    copies = {number: read_json(path) for number, path in notebooks.items()}
    numbers = sorted({number_of(item.path) for item in items} | set(notebooks))
    titles = {number: _title(number, copies.get(number, {}), notebooks.get(number)) for number in numbers}
    sections = []
    for number in numbers:
        copy = copies.get(number, {})
        own = as_told([item for item in items if number_of(item.path) == number], copy)
        sections.append(_section(number, titles[number], notebooks.get(number), copy, own))
    dataset, profile = _run(run_dir, items)
    page = PAGE.format(
        title=_escape(f"{dataset}, {profile}: GLANN"),
        style=STYLE,
        heading=f"<h1>{_escape(dataset)} <small>{_escape(profile)} profile</small></h1>",
        facts=_facts([item.record for item in items if item.record], list(copies.values())),
        contents=_contents(titles),
        sections="\n".join(sections) or '<p class="note">This run has left nothing to show yet.</p>',
    )
    return storage.write_text(run_dir / "report.html", page)


def _shown_files(run_dir: Path) -> list[Path]:
    """Figures, then tables, in the order of their names."""
    figures = [path for path in sorted((run_dir / "figures").glob("*")) if path.suffix in PICTURES]
    files = [*figures, *sorted((run_dir / "tables").glob("*.csv"))]
    return [path for path in files if not path.name.startswith(".")]


def as_told(items: list[Item], copy: dict[str, Any]) -> list[Item]:
    """Figures and tables in the order in which the notebook's code names them, then those that it does not name."""
    cells = copy.get("cells") if isinstance(copy.get("cells"), list) else []
    code = "".join("".join(cell.get("source") or "") for cell in cells if isinstance(cell, dict))

    def place(item: Item) -> int:
        found = re.search(rf"\b{re.escape(item.path.stem)}\b", code)
        return found.start() if found else len(code)

    return sorted(items, key=place)


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


def _escape(value: Any) -> str:
    return html.escape(str(value))


def _title(number: str, copy: dict[str, Any], path: Path | None) -> str:
    """The executed notebook's first heading, else its name in words."""
    try:
        heading = catalogue.title_of(copy["cells"], number)
    except (KeyError, TypeError):
        heading = None
    if heading:
        return heading
    words = path.name.split(".")[0][3:].replace("_", " ") if path else ""
    return words.capitalize() or ("Other results" if number == UNNUMBERED else f"Notebook {number}")


def _run(run_dir: Path, items: list[Item]) -> tuple[str, str]:
    """Data set and profile: as recorded, else from the folder's name."""
    name, _, last = run_dir.resolve().name.rpartition("-")
    found = {}
    for key, fallback in (("dataset", name or last), ("profile", last if name else "")):
        values = [value for item in items for value in [find(item.record, key)] if isinstance(value, str)]
        found[key] = (values or [fallback])[0]
    dataset = found["dataset"].removeprefix(config.FOLDER).removeprefix(config.MESHES).rpartition("/")[2]
    return NAMES.get(dataset, dataset), found["profile"]


def find(record: Any, key: str) -> Any:
    """The value of `key` at the outermost place of a nested record where it stands; None: nowhere."""
    if not isinstance(record, dict):
        return None
    if key in record:
        return record[key]
    return next((value for inner in record.values() for value in [find(inner, key)] if value is not None), None)


def _facts(records: list[dict[str, Any]], copies: list[dict[str, Any]]) -> str:
    """What holds for the whole run, from the newest record."""
    newest = max(records, key=lambda record: str(record.get("time", "")), default={})
    seconds = [find(copy.get("metadata", {}).get("papermill"), "duration") for copy in copies]
    total = sum(s for s in seconds if isinstance(s, int | float))
    versions = newest.get("versions")
    listed = [f"{name} {version}" for name, version in versions.items()] if isinstance(versions, dict) else []
    facts = [
        ("Made", re.sub(r"T(\d\d:\d\d).*", r", \1 UTC", str(newest.get("time", "")))),
        ("Running time", duration(total) if total else ""),
        ("Device", newest.get("device")),
        ("Seed", find(newest, "seed")),
        ("Commit", commits(records)),
        ("Versions", ", ".join([f"Python {version}" for version in [newest.get("python")] if version] + listed)),
    ]
    cells = [
        f"<div{' class=wide' * (name in ('Commit', 'Versions'))}><dt>{name}</dt><dd>{_escape(value)}</dd></div>"
        for name, value in facts
        if value not in (None, "")
    ]
    return f"<dl>\n{chr(10).join(cells)}\n</dl>" if cells else ""


def commits(records: list[dict[str, Any]]) -> str:
    """The commits that the figures and tables came from, oldest first, and whether the code differed from them."""
    names = {}
    for record in sorted(records, key=lambda record: str(record.get("time", ""))):
        if record.get("commit"):
            name = str(record["commit"])[:10]
            names[name] = names.get(name, False) or bool(record.get("uncommitted_changes"))
    return ", ".join(f"{name} with uncommitted changes" if dirty else name for name, dirty in names.items())


def _contents(titles: dict[str, str]) -> str:
    if len(titles) < 2:
        return ""
    lines = [f'<li><a href="#s{n}"><span>{n}</span>{_escape(title)}</a></li>' for n, title in titles.items()]
    return f"<nav>\n<ol>\n{chr(10).join(lines)}\n</ol>\n</nav>"


def _section(number: str, title: str, notebook: Path | None, copy: dict[str, Any], items: list[Item]) -> str:
    parts = [f'<section id="s{number}">', f"<h2><span>{number}</span>{_escape(title)}</h2>"]
    if notebook:
        seconds = find(copy.get("metadata", {}).get("papermill"), "duration")
        took = f" · {duration(seconds)}" if isinstance(seconds, int | float) and seconds >= 0.5 else ""
        link = f'<a href="notebooks/{_escape(notebook.name)}">the executed notebook</a>'
        parts.append(f'<p class="took">{link}{took}</p>')
        failed = notebook if ".failed." in notebook.name else notebook.with_suffix(".failed.ipynb")
        if failed.is_file():
            parts.append(
                '<p class="note">This notebook failed in its last run: what stands here may be older or incomplete.</p>'
            )
    for item in items:
        parts.append(_figure(item) if item.path.suffix in PICTURES else _table(item))
    return "\n".join([*parts, "</section>"])


def _figure(item: Item) -> str:
    kind, image = item.path.suffix[1:], base64.b64encode(item.path.read_bytes()).decode()
    picture = f'<img src="data:image/{kind};base64,{image}" alt="{_escape(item.caption)}">'
    return _with_caption(f'<div class="frame">{picture}</div>', item, (*PICTURES, ".pdf"))


def _table(item: Item) -> str:
    try:
        table = table_html(item.path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return _with_caption('<p class="note">The table cannot be read.</p>', item, (".csv", ".md", ".tex"))
    return _with_caption(f'<div class="scroll">{table}</div>', item, (".csv", ".md", ".tex"))


def _with_caption(body: str, item: Item, suffixes: tuple[str, ...]) -> str:
    """A figure or table with its caption, links to its files, and its record folded away."""
    files = [item.path.with_suffix(suffix) for suffix in suffixes]
    links = [f'<a href="{f.parent.name}/{_escape(f.name)}">{f.suffix[1:].upper()}</a>' for f in files if f.is_file()]
    record = f"<details><summary>How this was made</summary><pre>{_escape(_pretty(item.record))}</pre></details>"
    if not item.record:
        name = _escape(item.path.with_suffix(".json").name)
        record = f'<p class="note">Its record, {name}, is missing or damaged.</p>'
    meta = f'<div class="meta"><p class="links">{" · ".join(links)}</p>\n{record}</div>'
    caption = f"<figcaption>{_escape(item.caption)}\n{meta}</figcaption>"
    return f"<figure>\n{body}\n{caption}\n</figure>"


def _pretty(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)
