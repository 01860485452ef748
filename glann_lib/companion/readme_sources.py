"""What the README's tables are drawn from: files under results/published, each one noted, none without provenance.

A number that nobody can trace is not shown: a record must name its commit, its device and the SHA-256 of its data. The
records of benchmarks have no data; they work on tensors drawn from a seed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glann_lib.companion import report
from glann_lib.companion.commands import Executed, read_executed
from glann_lib.files import released
from glann_lib.records import runs
from glann_lib.scores.rows import DASH

PLACE = "results/published"  # as the README links to it
FOLDERS = {"celeba": "faces"}  # where one is not called as its data set
TITLES = {"mnist": "MNIST", "fashion": "Fashion-MNIST", "cifar10": "CIFAR-10", "celeba": "faces of CelebA"}
TITLES |= {"digits": "digits", "svhn": "SVHN", "street-mnist": "street MNIST"}
DATA = ("data", "source", "target")  # whichever of them a record has; a translation has two
COMMIT = re.compile(r" · commit [0-9a-f]{7}")  # in the line that a notebook prints, see runs.describe


class Published:
    """The folder of what is published; it notes every file that a number is taken from.

    Attributes:
        folder: results/published, or another one of the same form.
        files: the files read so far, in their order, without repetition.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.files: dict[Path, None] = {}

    def record(self, *parts: str) -> dict[str, Any]:
        """A record by its path below the folder.

        Raises:
            ValueError: it is missing, damaged or without provenance; names the file.
        """
        path = self.folder.joinpath(*parts)
        record = report.read_json(path)
        if not record:
            raise ValueError(f"{runs.shown(path)} is missing or damaged: restore it with git checkout")
        require_provenance(record, path)
        self.files[path] = None
        return record

    def scores(self, *parts: str) -> list[dict[str, Any]]:
        """The records of a folder's scores, sorted by their files' names; none where there is no such folder.

        Raises:
            ValueError: one is damaged or has no provenance, or they were not all scored against the same.
        """
        names = sorted(path.name for path in self.folder.joinpath(*parts).glob("*.json"))
        records = [self.record(*parts, name) for name in names]
        if len({record.get("reference") for record in records}) > 1:
            raise ValueError(
                f"the scores in {'/'.join(parts)} are against different held-out data or networks: "
                "run their notebook again and publish all that it writes"
            )
        return records

    def column(self, head: str, *parts: str) -> dict[str, float]:
        """The numbers of one column of a stored table, CSV, by the text in the row's first cell.

        Raises:
            FileNotFoundError: there is no such table.
            ValueError: it has no such column.
        """
        path = self.folder.joinpath(*parts)
        heads, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        if head not in heads:
            raise ValueError(f"{runs.shown(path)} has no column {head!r}: run its notebook again and publish it")
        self.files[path] = None
        return {row[0]: float(row[heads.index(head)]) for row in rows}

    def notebooks(self, run: str) -> list[Executed]:
        """A run's executed notebooks.

        Raises:
            ValueError: one is damaged, failed, or does not print the commit that it ran at.
        """
        paths = sorted(self.folder.joinpath(run, "notebooks").glob("[0-9][0-9]_*.ipynb"))
        copies = [read_executed(path) for path in paths]
        for path, copy in zip(paths, copies, strict=True):
            outputs = [output for cell in copy.content["cells"] for output in cell.get("outputs", ())]
            if copy.fault:
                raise ValueError(f"{runs.shown(path)} {copy.fault}: run it again and publish it")
            if not any(COMMIT.search("".join(output.get("text", ""))) for output in outputs):
                raise ValueError(f"{runs.shown(path)} does not say its commit: run it again and publish it")
            self.files[path] = None
        return copies


def require_provenance(record: dict[str, Any], path: Path) -> None:
    """Refuse a record whose numbers nobody can trace.

    Args:
        record: of a score, a table, a released model or benchmarks; each keeps its provenance in a place of its own.
        path: its file.

    Raises:
        ValueError: it lacks commit, device or the SHA-256 of its data; names the file.
    """
    origin = record.get("provenance") or record.get("machine") or record
    facts = {"commit": [origin.get("commit")], "device": [origin.get("device") or origin.get("hardware")]}
    if "machine" not in record:
        facts["data's SHA-256"] = [origin[name].get("sha256") for name in DATA if isinstance(origin.get(name), dict)]
    missing = [name for name, found in facts.items() if not found or not {None, "", released.UNKNOWN}.isdisjoint(found)]
    if missing:
        raise ValueError(f"{runs.shown(path)} has no {' and no '.join(missing)}: run its notebook again and publish it")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A Markdown table, right-aligned from the column `words` on."""
    align = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join([_line(head), f"|{'|'.join(align)}|", *map(_line, rows)])


def table(names: dict[Any, str], columns: dict[str, dict[Any, str]]) -> str:
    """A Markdown table of columns.

    Args:
        names: what each row is called, by its key, in their order.
        columns: head -> cells by the row's key; an en dash stands where there is none.

    Raises:
        FileNotFoundError: there is no column.
    """
    if not columns:
        raise FileNotFoundError("nothing is published that this table shows")
    rows = [[name, *(cells.get(key, DASH) for cells in columns.values())] for key, name in names.items()]
    return markdown(["", *columns], rows)


def _line(cells: Sequence[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"
