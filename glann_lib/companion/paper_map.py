"""The map of the paper: every equation, figure, table and claim, where it is here, and whether it holds.

results/published/paper.csv says what the paper says, and which comparisons of stored numbers judge that:
"fashion: glann < vae by classifier frechet" of two models in a folder's scores ("gans": the best of them), and
"fashion: latent code z > pixels in 01_label_agreement, same label" of two rows of a table. So no verdict that rests on
numbers is written by hand. Where nothing can be compared, the file says "built" or "not measured", and why.
"""

from __future__ import annotations

import csv
import re
import statistics
from dataclasses import dataclass
from pathlib import Path

from glann_lib.companion.number_runs import TITLES, markdown
from glann_lib.companion.traced import Published
from glann_lib.records import runs
from glann_lib.scores.rows import Row

FILE = "paper.csv"
GIVEN = ("built", "not measured")  # verdicts without a comparison
BY_SCORES = re.compile(r"([\w/-]+): ([\w-]+) ([<>]) ([\w-]+) by ([\w -]+) (\w+)")
BY_TABLE = re.compile(r"([\w-]+): (.+) ([<>]) (.+) in (\w+), (.+)")
GANS = "gans"


@dataclass(frozen=True)
class Entry:
    """A line of the map; every field as it stands in the file."""

    place: str  # in the paper
    says: str
    notebook: str  # its two digits
    heading: str  # above the cell that shows it
    paper: str  # its number, if it gives one
    comparisons: str  # with semicolons between
    verdict: str  # one of GIVEN where there are none
    why: str
    cost: str  # of the run that the numbers are from


@dataclass(frozen=True)
class Judged:
    """What stored numbers say of one entry."""

    verdict: str  # "holds", "differs", "holds in 2 of 3", or one of GIVEN
    ours: str  # the numbers


def read(folder: Path) -> list[Entry]:
    """The entries of a folder's map, in the paper's order; a ValueError names a row that is not as long as the head."""
    with open(folder / FILE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if None in row or None in row.values():
            raise ValueError(f"{FILE}: the row that says {row['says']!r} has too many or too few cells")
    return [Entry(**row) for row in rows]


def judge(published: Published, entry: Entry) -> Judged:
    """Compare what an entry names; a ValueError names a comparison or a verdict that cannot be read."""
    wanted = [comparison for comparison in entry.comparisons.split("; ") if comparison]
    if bool(wanted) == bool(entry.verdict) or (entry.verdict and (entry.verdict not in GIVEN or not entry.why)):
        raise ValueError(f"{FILE}: {entry.says!r} needs comparisons, or one of {' and '.join(GIVEN)} and why")
    if not wanted:
        return Judged(entry.verdict, entry.why)
    found = [_compare(published, comparison) for comparison in wanted]
    true = sum(holds for holds, _ in found)
    verdict = {len(found): "holds", 0: "differs"}.get(true, f"holds in {true} of {len(found)}")
    return Judged(verdict, "<br>".join([text for _, text in found] + [entry.why] * bool(entry.why)))


def drawn(published: Published, notebooks: Path = runs.ROOT / "notebooks") -> str:
    """The map as a Markdown table, with links to the notebooks."""
    rows = []
    for entry in read(published.folder):
        judged, notebook = judge(published, entry), next(notebooks.glob(f"{entry.notebook}_*.ipynb"))
        says = f"{entry.says} ([{entry.notebook}, {entry.heading}](../../notebooks/{notebook.name}))"
        quoted = f"*{entry.paper}*†<br>" if entry.paper else ""
        verdict = judged.verdict if judged.verdict in GIVEN else f"**{judged.verdict}**"
        rows.append([entry.place, says, quoted + judged.ours.replace("|", r"\|"), verdict, entry.cost])
    heads = ["in the paper", "it says", "ours", "verdict", "cost"]
    return markdown(heads, rows, words=len(heads))


def _compare(published: Published, comparison: str) -> tuple[bool, str]:
    """Whether a comparison holds, and its numbers."""
    if found := BY_SCORES.fullmatch(comparison):
        folder, left, sign, right, of, metric = found.groups()
        stored = published.rows(*folder.split("/"), "scores")
        rows = [_row(stored, name, sign, of, metric, comparison) for name in (left, right)]
        names, values = [row.label for row in rows], [row.values(of, metric) for row in rows]
    elif found := BY_TABLE.fullmatch(comparison):
        folder, left, sign, right, table, of = found.groups()
        column, _ = published.column(of, (left, right), folder, "tables", table)
        names, values = (left, right), [[column[left]], [column[right]]]
    else:
        raise ValueError(f"{FILE}: {comparison!r} cannot be read: see {__name__}")
    less, more = map(statistics.mean, values)
    holds = less < more if sign == "<" else less > more
    shown = [f"{name} {_text(own)}" for name, own in zip(names, values, strict=True)]
    seen = sign if holds else {"<": "≥", ">": "≤"}[sign]
    return holds, f"{TITLES.get(folder, folder)}, {of}: {shown[0]} {seen} {shown[1]}"


def _row(rows: list[Row], name: str, sign: str, extractor: str, metric: str, comparison: str) -> Row:
    known = [row for row in rows if row.budget != "protocol" and row.values(extractor, metric)]
    chosen = [row for row in known if row.model == name or (name == GANS and row.kind == "adversarial")]
    if not chosen:
        raise ValueError(f"{FILE}: {comparison!r} names {name}, of which nothing is stored")
    best = min if sign == "<" else max
    return best(chosen, key=lambda row: statistics.mean(row.values(extractor, metric)))


def _text(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3g}{spread}"
