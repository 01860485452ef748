"""Numbers that can be traced: what lies under results/published, read only where it says what it comes from.

A record must name its commit, its device and the SHA-256 of its data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from glann_lib.files import released
from glann_lib.records import runs
from glann_lib.scores.rows import Row, group


class Published:
    """The folder of what is published; `files` holds every file that was read from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.files: set[Path] = set()

    def record(self, *parts: str) -> dict[str, Any]:
        """A record by its path. Raises ValueError where it is missing, damaged or without provenance."""
        path = self.folder.joinpath(*parts)
        try:
            record = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise ValueError(f"{runs.shown(path)} is missing or damaged: restore it with git checkout") from None
        require_provenance(record, path)
        self.files.add(path)
        return record

    def rows(self, *parts: str) -> list[Row]:
        """The scores in a folder, a row a model under its budget and one more under the protocol's.

        Raises FileNotFoundError where there are none, ValueError where one has no provenance, they were not all scored
        against the same, or a model has two budgets beside the protocol's.
        """
        place = "/".join(parts)
        names = sorted(path.name for path in self.folder.joinpath(*parts).glob("*.json"))
        if not names:
            raise FileNotFoundError(f"{runs.shown(self.folder)}/{place} holds no scores: publish a run that has them")
        records = [self.record(*parts, name) for name in names]
        if len({record.get("reference") for record in records}) > 1:
            raise ValueError(
                f"the scores in {place} are against different held-out data or networks: "
                "run their notebook again and publish all that it writes"
            )
        rows = group(records)
        usual = [row.model for row in rows if row.budget != "protocol"]
        if twice := next((model for model in usual if usual.count(model) > 1), None):
            raise ValueError(f"{place} has {twice} under two budgets: publish the scores of one run")
        return rows

    def column(self, head: str, wanted: Iterable[str], *parts: str) -> tuple[dict[str, float], dict[str, Any]]:
        """A column of a stored table by the text in its rows' first cells, and the table's record.

        Raises FileNotFoundError where there is no table, ValueError where it lacks the column or a wanted row.
        """
        path = self.folder.joinpath(*parts[:-1], f"{parts[-1]}.csv")
        record, table = self.record(*parts[:-1], f"{parts[-1]}.json"), pd.read_csv(path, index_col=0)
        lacking = [f"column {head!r}"] * (head not in table)
        lacking += [f"row {row!r}" for row in wanted if row not in table.index]
        if lacking:
            raise ValueError(f"{runs.shown(path)} has no {lacking[0]}: run its notebook again and publish it")
        self.files.add(path)
        return table[head].to_dict(), record


def require_provenance(record: Mapping[str, Any], path: Path) -> None:
    """Raise ValueError where the record of a score, table, model or benchmark does not say what it comes from.

    Benchmarks have no data, they work on tensors drawn from a seed; translations have two data sets.
    """
    origin = record.get("provenance") or record.get("machine") or record
    facts = {"commit": [origin.get("commit")], "device": [origin.get("device") or origin.get("hardware")]}
    if "machine" not in record:
        data = [origin[name] for name in ("data", "source", "target") if isinstance(origin.get(name), dict)]
        facts["data's SHA-256"] = [part.get("sha256") for part in data]
    missing = [name for name, found in facts.items() if not found or not {None, "", released.UNKNOWN}.isdisjoint(found)]
    if missing:
        raise ValueError(f"{runs.shown(path)} has no {' and no '.join(missing)}: run its notebook again and publish it")
