"""Tables of translation scores: a row a model, a column a task and score; data frames of text, drawn from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from glann_lib.records import tables as report_tables
from glann_lib.scores.measures import TRANSLATION_METRICS
from glann_lib.scores.reported import reported
from glann_lib.scores.rows import DASH, KINDS, Record, Row, group
from glann_lib.scores.tables import ARROWS, column_text

PERCENT = ("accuracy", "turned")  # as the paper gives them


def scores_table(tasks: Mapping[str, Sequence[Record]]) -> pd.DataFrame:
    """All scores of some tasks, with the chance level in the last row and the paper's numbers beside GLANN's NAM.

    Tasks are "mnist->svhn" -> records from a ScoreBook; those without scores are left out. Two records of one model and
    seed are a ValueError.
    """
    scored = {task: records for task, records in tasks.items() if any(record["scores"] for record in records)}
    rows = {task: {row.model: row for row in group(records)} for task, records in scored.items()}
    every = {model: row for own in rows.values() for model, row in own.items()}
    order = sorted(every, key=lambda model: KINDS.index(every[model].kind))  # the floors last, whichever task has them
    columns = {"model": [*(every[model].label for model in order), "chance"]}
    for task, own in rows.items():
        columns |= _columns(task, [own.get(model) for model in order], tasks[task])
    return pd.DataFrame(columns, dtype=object)


def note(tasks: Mapping[str, Sequence[Record]]) -> str:
    """What a reader of `scores_table` must know: how much was translated, what chance is, and why scores are off."""
    parts = []
    for task, records in ((task, records) for task, records in tasks.items() if records):
        if not any(record["scores"] for record in records):
            parts.append(f"{task_title(task)}: {records[0]['unscored']}.")
            continue
        counts = {record["translated"] for record in records if record["kind"] != "floor"}
        parts.append(f"{task_title(task)}: {' or '.join(f'{count:,}' for count in sorted(counts))} unseen images.")
    parts.append("Chance: real target images in any order, or any direction.")
    if any(len(row.records) > 1 for records in tasks.values() for row in group(records)):
        parts.append("± is the standard deviation over seeds (ddof=1).")
    return " ".join(parts)


def task_title(task: str) -> str:
    """ "mnist->svhn" as "mnist → svhn"; of a path only its end."""
    source, _, target = task.partition("->")
    return " → ".join(name.rpartition("/")[2] for name in (source, target))


def _columns(task: str, rows: Sequence[Row | None], records: Sequence[Record]) -> dict[str, list[str]]:
    """The columns of one task: one a metric, with the paper's numbers behind it where there are some."""
    scores = [[score for record in (row.records if row else ()) for score in record["scores"]] for row in rows]
    stored = {score["metric"] for own in scores for score in own}
    columns = {}
    for metric, known in TRANSLATION_METRICS.items():
        if metric not in stored:
            continue
        scale, unit = (100, "%") if metric in PERCENT else (1, known.unit)
        values = [[scale * score["value"] for score in own if score["metric"] == metric] for own in scores]
        first = next(score for own in scores for score in own if score["metric"] == metric)
        chance = scale * first.get("chance", records[0]["chance"])  # the judge's, where the score has none of its own
        head = f"{task_title(task)}: {known.name.lower()}, {unit} {ARROWS[known.better]}"
        columns[head] = column_text([*values, [chance]], spread=True)
        if quoted := reported(task, "glann", metric):
            cells = [f"{quoted.value:g}" if row and row.kind == "non-adversarial" else DASH for row in rows]
            columns[f"{task_title(task)}: paper, % {report_tables.QUOTED}"] = [*cells, DASH]
    return columns
