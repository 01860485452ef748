"""The README's tables of time: hot paths beside their textbook forms, estimates of whole runs beside what they took."""

from __future__ import annotations

import math
import statistics
from typing import Any

from glann_lib.companion import plans
from glann_lib.companion.commands import Executed, commands
from glann_lib.companion.execution import duration
from glann_lib.companion.readme_sources import Published, markdown
from glann_lib.scores.rows import DASH

MACHINES = ("amd-epyc-2-threads", "amd-epyc-2-threads-moves")  # folders below benchmarks
USUAL_REPEATS = 3
CONTESTS = ("05", "06")  # the notebooks that train rivals


def speed(published: Published) -> str:
    """Every hot path beside its textbook form: median times and their ratio, with its least and largest.

    Raises:
        FileNotFoundError: no benchmarks are published.
        ValueError: a record has no provenance.
    """
    folder, file = published.folder / "benchmarks", "benchmarks.json"
    there = [machine for machine in MACHINES if (folder / machine / file).is_file()]
    rows = [row for machine in there for row in published.record("benchmarks", machine, file)["results"]]
    if not rows:
        raise FileNotFoundError("no benchmarks are published")
    head = ["", "the textbook's way", "here", "textbook", "times as fast (least to largest)"]
    return markdown(head, [_path_row(row) for row in rows], words=2)


def _path_row(row: dict[str, Any]) -> list[str]:
    here, (least, largest) = row["here"]["seconds"], row["ratio_range"]
    mark = "**" if least > 1 else ""
    return [
        row["what"] + (f" ({len(here)} repeats)" if len(here) != USUAL_REPEATS else ""),
        row["textbook"],
        _time(here),
        _time(row["textbook_time"]["seconds"]),
        f"{mark}{rounded(row['ratio'], 2)}{mark} ({rounded(least, 2)} to {rounded(largest, 2)})",
    ]


def _time(seconds: list[float]) -> str:
    median = statistics.median(seconds)
    return f"{rounded(median)} s" if median >= 0.9995 else f"{rounded(1000 * median)} ms"


def rounded(value: float, digits: int = 3) -> str:
    """A positive number with so many significant digits, zeros at its end included: "1.20", "198", "5.0"."""
    decimals = digits - 1 - math.floor(math.log10(float(f"{value:.{digits - 1}e}")))
    return f"{value:.{max(decimals, 0)}f}"


def estimated(published: Published) -> str:
    """What --dry-run says of whole runs on the reference machine, beside what their notebooks took.

    Raises:
        FileNotFoundError: no executed notebooks are published.
        ValueError: a notebook is damaged, failed, or does not say its commit.
    """
    folders = sorted(path.parent.name for path in published.folder.glob("*/notebooks"))
    found = [copies for run in folders if (copies := _made_in_one_go(published, run))]
    if not found:
        raise FileNotFoundError("no executed notebooks are published")
    return markdown(["", "estimate", "measured"], [_estimate_row(copies) for copies in found])


def _made_in_one_go(published: Published, run: str) -> list[Executed]:
    """A run's executed notebooks, but a contest that took less than its rivals: some were there from an earlier go."""
    rivals = [record for record in published.scores(run, "scores") if record["budget"] not in ("own", "none")]
    trained = sum(record["seconds"] for record in rivals)
    return [copy for copy in published.notebooks(run) if copy.book.number not in CONTESTS or copy.seconds >= trained]


def _estimate_row(copies: list[Executed]) -> list[str]:
    common, numbers = copies[0].values, [copy.book.number for copy in copies]
    steps = tuple(plans.Step(copy.book, copy.values["dataset"], copy.given) for copy in copies)
    times = plans.times(plans.Plan(profile=common["profile"], seed=common["seed"], steps=steps))
    return [
        f"`{'`, `'.join(commands(copies))}`, notebook{'s' * (len(numbers) > 1)} {plans.joined(numbers, 'and')}",
        DASH if None in times else plans.about(sum(times)).removeprefix("about "),
        duration(sum(copy.whole for copy in copies)),
    ]
