"""Tables of models beside one another on the pages of numbers: Markdown, drawn from stored scores alone.

A row is a model, a cell its mean over seeds, from two seeds on "mean ± standard deviation". GLANN's name is bold, and
in each column the score of the best trained model, a rival's too. Floors and baselines, which nobody trained to draw,
do not count. Every function raises ValueError or FileNotFoundError that names the file, as `traced.Published` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from glann_lib.companion.number_runs import NO_BREAK, TITLES, bold, drawn, folder, markdown, title
from glann_lib.companion.pages import NAMES
from glann_lib.companion.traced import Published
from glann_lib.scores import measures
from glann_lib.scores.reported import DATASETS, LABELS, reported
from glann_lib.scores.rows import DASH, Row, extractors, place, with_reported
from glann_lib.scores.tables import column_text
from glann_lib.translation.domains import pairs_of

OURS = ("glann", "nam-memory")  # the names in bold
UNTRAINED = ("baseline", "floor")
MEASURES = measures.METRICS | measures.SHAPE_METRICS | measures.TRANSLATION_METRICS
# The last is published once SVHN is at hand.
TRANSLATIONS = ("embedded", "mnist-street", "car-to-car", "mnist-svhn-crops", "mnist-svhn")

Key = tuple[str, bool]  # a model, and whether its budget is the protocol's
Cells = dict[Key, str]  # of a column
CHANCE: Key = ("chance", False)


def contest(published: Published, dataset: str) -> str:
    """Table 1 of the paper for one data set: scores by two kinds of features, and the FID that the paper reports."""
    own = published.rows(folder(dataset), "scores")
    rows, there, scores = with_reported(own, dataset), extractors(own, "frechet"), NAMES["scores"]["images"].items()
    columns = [(head, _cells(rows, **score)) for head, score in scores if score["extractor"] in there]
    return _beside(_names([rows]), [*columns, ("*FID in the paper*", _quoted(rows, dataset))])


def overview(published: Published, datasets: Sequence[str] = DATASETS, extractor: str = "imagenet") -> str:
    """Table 1 in short, of the data sets that an extractor has scored: its Fréchet distances, and the paper's FID."""
    found = ((name, published.rows(folder(name), "scores")) for name in datasets)
    runs = {name: own for name, own in found if extractor in extractors(own, "frechet")}
    columns, short = [], LABELS | NAMES["overview"]
    for name, own in runs.items():
        # What is best may be a rival that is not shown, but not GLANN by another loss.
        rows = with_reported([row for row in own if row.model in short or row.budget != "own"], name)
        columns.append((TITLES[name], _cells(rows, extractor, "frechet", spread=False)))
        columns.append(("*paper*", _quoted(rows, name, spread=False)))
    names = {key: name for key, name in _names(runs.values(), short).items() if key[0] in short and not key[1]}
    return _beside(names, columns)


def said(published: Published, dataset: str, model: str, extractor: str = "imagenet", spread: bool = False) -> str:
    """The Fréchet distance of a model, for a sentence; raises a ValueError where it has none."""
    rows = published.rows(folder(dataset), "scores")
    found = [row.values(extractor, "frechet") for row in rows if row.model == model and row.budget != "protocol"]
    if not any(found):
        raise ValueError(f"{folder(dataset)} has no {extractor} score of {model}: publish it, or drop the sentence")
    return column_text(found, spread=spread)[0].replace(" ± ", f"{NO_BREAK}±{NO_BREAK}")


def budgets(published: Published, datasets: Sequence[str] = DATASETS) -> str:
    """What the models of Table 1 got, and GLANN's FID where there were weights to measure it with."""
    got = [{"title": TITLES[name], **_budget(published.rows(folder(name), "scores"))} for name in datasets]
    return drawn("scores_budgets", budgets=got, span=_span, DASH=DASH)


def _budget(rows: Sequence[Row]) -> dict[str, Any]:
    trained = [row for row in rows if row.kind != "floor"]
    usual = [record for row in trained if row.budget != "protocol" for record in row.records]
    glann = [row for row in rows if row.model == "glann"]
    fids = [value for row in glann for value in row.values(measures.INCEPTION, "frechet")]
    return {
        "losses": {record["config"]["glo"]["loss"] for row in glann for record in row.records},
        "images": [record["train_images"] for record in usual],
        "steps": [record["generator_steps"] for record in usual],
        "own": [len(row.records) for row in trained if row.budget == "own"],  # seeds
        "rivals": [len(row.records) for row in trained if row.budget != "own"],
        # One classifier of a data set: all its records have one reference.
        "classifier": rows[0].records[0]["provenance"]["extractors"].get("classifier"),
        "fid": column_text([fids], spread=True)[0] if fids else None,
    }


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return " to ".join(f"{number:,}" for number in [*found[:1], *found[1:][-1:]]) or DASH


def chairs(published: Published, name: str) -> str:
    """Scores of one data set of shapes: MMD in thousandths of the cube's side, matching IoU, coverage."""
    rows = published.rows(name, "scores")
    columns = [(head, _cells(rows, **score)) for head, score in NAMES["scores"]["shapes"].items()]
    return _beside(_names([rows], NAMES["shapes"]), columns)


def translation(published: Published, names: Sequence[str] = TRANSLATIONS) -> str:
    """Scores of translations: accuracy in percent, then the errors of azimuth in degrees."""
    there = [name for name in names if (published.folder / folder(name)).is_dir()]
    pairs = [(name, pair) for name in there or names for pair in pairs_of(name)]
    runs = {pair: published.rows(folder(name), "-to-".join(pair), "scores") for name, pair in pairs}
    columns = [
        (f"{' → '.join(map(title, pair))}: {head}", _cells(rows, of, chance=_chance(rows, score["metric"]), **score))
        for head, score in NAMES["scores"]["translation"].items()
        for pair, rows in runs.items()
        for of in extractors(rows, score["metric"])
    ]
    return _beside(_names(runs.values(), NAMES["translation"]) | {CHANCE: "chance"}, columns)


def _chance(rows: Sequence[Row], metric: str) -> float:
    """What chance gives by a metric; where a score does not say, by the judge's first."""
    records = [record for row in rows for record in row.records]
    known = (score for record in records for score in record["scores"] if score["metric"] == metric)
    return next(known).get("chance", records[0]["chance"])


def _key(row: Row) -> Key:
    return row.model, row.budget == "protocol"


def _names(runs: Iterable[Sequence[Row]], words: Mapping[str, str] | None = None) -> dict[Key, str]:
    """Every model of any data set once, in the paper's order, and what it is called: by `words`, or by its labels.

    A label may tell a loss, which may differ between data sets. What the paper calls a model is its last name.
    """
    labels: dict[Key, dict[str, None]] = {}
    for row in sorted((row for rows in runs for row in rows), key=place):
        if row.records or _key(row) not in labels:
            labels.setdefault(_key(row), {})[row.name] = None
    names = {key: (words or {}).get(key[0], " or ".join(own)) for key, own in labels.items()}
    return {key: bold(name, key[0] in OURS) for key, name in names.items()}


def _cells(
    rows: Sequence[Row], extractor: str, metric: str, scale: float = 1, chance: float | None = None, spread: bool = True
) -> Cells:
    """A column: a score of each row, the best trained model's in bold, then that of chance where it is given."""
    values = {_key(row): [scale * value for value in row.values(extractor, metric)] for row in rows}
    values = {key: own for key, own in values.items() if own} | ({} if chance is None else {CHANCE: [scale * chance]})
    kinds = {_key(row): row.kind for row in rows}
    trained = {key: np.mean(own) for key, own in values.items() if kinds.get(key, "floor") not in UNTRAINED}
    best = {"lower": min, "higher": max}[MEASURES[metric].better](trained.values(), default=None)
    text = zip(values, column_text(list(values.values()), spread=spread), strict=True)
    return {key: bold(cell, key in trained and trained[key] == best) for key, cell in text}


def _quoted(rows: Sequence[Row], dataset: str, spread: bool = True) -> Cells:
    """The paper's FID of each model, in italics and with a dagger."""
    found = {_key(row): reported(dataset, row.model, "fid") for row in rows}
    texts = {key: number.text() for key, number in found.items() if number}
    return {key: f"*{text if spread else text.partition(' ')[0]}*†" for key, text in texts.items()}


def _beside(names: Mapping[Key, str], columns: Sequence[tuple[str, Cells]]) -> str:
    """Columns of cells behind their rows' names as a Markdown table; an en dash where there is no cell."""
    rows = [[name, *(cells.get(key, DASH) for _, cells in columns)] for key, name in names.items()]
    return markdown(["", *(head for head, _ in columns)], rows)
