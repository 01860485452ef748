"""Tables of stored scores: Table 1 of the paper, precision and recall (Sec. 4.2), all metrics, what each model got.

A row is a model and budget, as `rows.group` makes it; a cell is the mean over its seeds, from 2 seeds on "mean ±
standard deviation" (ddof=1), an en dash where there is no number. The paper's own numbers stand in columns whose heads
end with "(quoted)"; only distances of Inception features are called FID and stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from glann_lib.records import tables as report_tables
from glann_lib.rivals.config import PROTOCOL_EPOCHS
from glann_lib.scores import measures
from glann_lib.scores.reported import DATASETS, GLO_EPOCHS, Reported, reported, reported_epochs
from glann_lib.scores.rows import DASH, Record, Row, extractors, group, with_reported

QUOTED, MINUS = report_tables.QUOTED, report_tables.MINUS
MEASURES = measures.METRICS | measures.SHAPE_METRICS
PAIR = {"f8": "F8", "f1_8": "F1/8"}
SIDES = {"f8": " (recall)", "f1_8": " (precision)"}  # what their names do not say
ARROWS = {"lower": "↓", "higher": "↑", "0.5": "→ 0.5"}
EXTRACTOR_NAMES = {"inception": "Inception", "random-vgg16": "random-VGG16"}
DIGITS = 3  # of a column's largest number; the smallest shows at least 2
MOST_DECIMALS = 5
PAPER_COUNT = 10_000  # images, generated and real, in the paper's FID


def quality_table(records: Sequence[Record], dataset: str) -> pd.DataFrame:
    """Table 1 beside our scores, as text; "difference" is ours less the paper's. No FID columns if neither has any."""
    rows = with_reported(group(records), dataset)
    found = extractors(rows, "frechet")
    columns = {}
    if dataset in DATASETS or "inception" in found:
        quoted = [reported(dataset, row.model, "fid") for row in rows]
        fids = [row.values("inception", "frechet") for row in rows]
        columns[f"reported FID {QUOTED}"] = [number.text() if number else DASH for number in quoted]
        columns["FID"] = column_text(fids, spread=True)
        columns["difference"] = [_difference(*pair) for pair in zip(fids, quoted, strict=True)]
    for extractor in found:
        if extractor != "inception":
            head = f"Fréchet distance ({EXTRACTOR_NAMES.get(extractor, extractor)})"
            columns[head] = _score_column(rows, extractor, "frechet")
    columns["seeds"] = [str(len(row.records)) if row.records else DASH for row in rows]
    return _with_names(rows, columns | _field_columns(rows, "epochs", "generator_steps", "seconds"))


def quality_note(records: Sequence[Record], dataset: str) -> str:
    """What a reader of `quality_table` must know: why cells are empty, and where the comparison is uneven."""
    parts, rows = ["The paper has no numbers for this data set."], group(records)
    if dataset in DATASETS:
        parts = [
            f"{report_tables.QUOTED_NOTE}: GLO and GLANN after {GLO_EPOCHS} epochs, the adversarial models and the "
            f"Bernoulli VAE, taken from Lucic et al., after {PROTOCOL_EPOCHS[dataset]}. (The paper calls that VAE's "
            "loss L1.)"
        ]
    scored = [row for row in rows if row.values("inception", "frechet")]
    counts = {(record["generated"], record["real"]) for row in scored for record in row.records}
    if not counts:
        if dataset in DATASETS:
            empty = f"FID and difference are empty ({DASH})"
            parts.append(f"{empty}: the weights of the Inception network were not at hand.")
        parts.append("Distances of other features are no FID: compare them with one another, not with the paper.")
    for generated, real in sorted(counts - {(PAPER_COUNT, PAPER_COUNT)}):
        parts.append(f"FID from {generated:,} generated and {real:,} real images (the paper: 10,000 each).")
    if any(row.budget == "short" for row in rows):
        parts.append("Budget short: fewer generator steps than GLANN's, so that the page is done in minutes.")
    if any(len(row.records) > 1 for row in rows):
        parts.append("± is the standard deviation over seeds (ddof=1).")
    return " ".join(parts)


def all_scores_table(records: Sequence[Record], extractor: str) -> pd.DataFrame:
    """Every metric by one extractor, or of "voxels", of the models that have it; arrows point towards the better."""
    rows = group(records)
    known = {key: metric for key, metric in MEASURES.items() if extractor in extractors(rows, key)}
    rows = [row for row in rows if any(s["extractor"] == extractor for r in row.records for s in r["scores"])]
    columns = {}
    for key, metric in known.items():
        name = measures.title(key, extractor).removesuffix(f" ({extractor})")
        column = (_support_column if key == "support" else _score_column)(rows, extractor, key)
        columns[f"{name}{SIDES.get(key, '')} {ARROWS[metric.better]}"] = column
    return _with_names(rows, columns)


def prd_table(records: Sequence[Record], dataset: str) -> pd.DataFrame:
    """F8 (recall) and F1/8 (precision) by extractor; those of Sec. 4.2, quoted, compare with Inception's only."""
    rows = with_reported(group(records), dataset, "f8")
    columns = {}
    for key, name in PAIR.items():
        numbers = [reported(dataset, row.model, key) for row in rows]
        if any(numbers):
            columns[f"reported {name} {QUOTED}"] = [number.text(3) if number else DASH for number in numbers]
    for extractor in extractors(rows, "f8"):
        for key, name in PAIR.items():
            columns[f"{name} ({EXTRACTOR_NAMES.get(extractor, extractor)})"] = _score_column(rows, extractor, key)
    return _with_names(rows, columns)


def budgets_table(records: Sequence[Record], dataset: str = "", trained_on: str = "images") -> pd.DataFrame:
    """What each model but a floor got: images or shapes, epochs (also the paper's), batch, generator steps, seconds."""
    rows = [row for row in group(records) if row.kind != "floor"]
    paper = [reported_epochs(dataset, row.model) for row in rows]
    columns = _field_columns(rows, "train_images", "epochs")
    if any(paper):
        columns[f"epochs in the paper {QUOTED}"] = [DASH if n is None else str(n) for n in paper]
    columns |= _field_columns(rows, "batch_size", "generator_steps", "seconds")
    table = _with_names(rows, columns)
    return table.rename(columns={"train images": f"training {trained_on}", "batch size": "batch"})


def styled(table: pd.DataFrame) -> Styler:
    """A table for a notebook's page: quoted columns in grey italics with a dagger, and a line that explains it."""
    quoted = [head for head in table if report_tables.is_quoted(head)]
    names = [head for head in ("model", "budget") if head in table]
    view = table.style.hide(axis="index").format(escape="html").set_properties(subset=names, **{"text-align": "left"})
    view = view.set_table_attributes('class="tex2jax_ignore"')  # a $ in a name begins no formula
    if quoted:
        view = view.format(lambda cell: report_tables.mark_quoted(cell, "", report_tables.DAGGER), subset=quoted)
        view = view.set_properties(subset=quoted, **{"color": "#777777", "font-style": "italic"})
        view = view.set_caption(report_tables.QUOTED_NOTE)
    return view


def column_text(column: Sequence[Sequence[float]], spread: bool = False) -> list[str]:
    """A column's means over seeds, with the same decimals; with `spread`, from 2 seeds on, "mean ± std" (ddof=1)."""
    means = [float(np.mean(values)) for values in column if len(values)]
    spreads = [float(np.std(values, ddof=1)) for values in column if spread and len(values) > 1]
    decimals = _decimals(means, spreads)

    def text(values: Sequence[float]) -> str:
        if not len(values):
            return DASH
        mean = f"{np.mean(values):.{decimals}f}".replace("-", MINUS)
        return f"{mean} ± {np.std(values, ddof=1):.{decimals}f}" if spread and len(values) > 1 else mean

    return [text(values) for values in column]


def _decimals(means: list[float], spreads: list[float]) -> int:
    """As many as the largest number needs for 3 digits, the smallest for 2 and the smallest spread for 1."""
    sizes = sorted(abs(mean) for mean in means if mean and math.isfinite(mean))
    if not sizes or (not spreads and all(size == int(size) for size in sizes)):
        return 0
    wanted = [DIGITS - 1 - _exponent(sizes[-1]), 1 - _exponent(sizes[0])]
    wanted += [-_exponent(value) for value in spreads if value and math.isfinite(value)]
    return min(max(*wanted, 0), MOST_DECIMALS)


def _exponent(number: float) -> int:
    return math.floor(math.log10(number))


def _with_names(rows: list[Row], columns: dict[str, list[str]]) -> pd.DataFrame:
    names = {"model": [row.label for row in rows], "budget": [row.budget for row in rows]}
    return pd.DataFrame(names | columns, dtype=object)


def _difference(values: list[float], number: Reported | None) -> str:
    if number is None or not values:
        return DASH
    return f"{np.mean(values) - number.value:+.1f}".replace("-", MINUS)


def _score_column(rows: list[Row], extractor: str, metric: str) -> list[str]:
    return column_text([row.values(extractor, metric) for row in rows], spread=True)


def _support_column(rows: list[Row], extractor: str, metric: str) -> list[str]:
    """Whole numbers of images; "> " where a seed had no two samples alike, so that only a bound is known."""
    cells = []
    for row in rows:
        values = row.values(extractor, metric)
        bound = "> " if any(score.get("lower_bound") for score in row.scores(extractor, metric)) else ""
        cells.append(f"{bound}{np.mean(values):,.0f}" if values else DASH)
    return cells


def _field_columns(rows: list[Row], *names: str) -> dict[str, list[str]]:
    values = {name: [[r[name] for r in row.records if r.get(name) is not None] for row in rows] for name in names}
    return {name.replace("_", " "): column_text(column) for name, column in values.items()}
