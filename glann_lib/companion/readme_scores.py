"""The README's tables of scores: models trained on the same images beside one another, chairs, translations.

A row is a model, a column a data set's score: mean ± standard deviation over seeds. GLANN's name is bold, and the
score of the best trained model, a rival's too; floors and baselines, which nobody trained to draw, do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from glann_lib.companion import estimates
from glann_lib.companion.readme_sources import FOLDERS, TITLES, Published, table
from glann_lib.scores import measures
from glann_lib.scores.reported import DATASETS, reported
from glann_lib.scores.rows import DASH, Row, extractors, group, place, with_reported
from glann_lib.scores.tables import column_text

GLANN = "glann"
OURS = (GLANN, "nam-memory")  # the names in bold
MEASURES = measures.METRICS | measures.SHAPE_METRICS | measures.TRANSLATION_METRICS
FLOOR, UNTRAINED = "floor", ("baseline", "floor")
RANDOM, CLASSIFIER, INCEPTION = "random-vgg16", "classifier", measures.INCEPTION
NEEDS_WEIGHTS = "needs weights²"  # the README explains the ²
IMAGE_SCORES = {"frechet": "Fréchet distance", "f8": "F8", "f1_8": "F1/8"}
ACCURACY = "test accuracy of the classifier, %"
SHAPES = {"chairs": "ModelNet", "made-chairs": "made chairs"}
SHAPE_SCORES = {
    "matching_chamfer": ("MMD", 1000),
    "matching_iou": ("matching IoU", 1),
    "coverage_chamfer": ("coverage", 1),
}
# What rows are called where their records' labels leave to a caption what they are of.
SHAPE_MODELS = {
    "vae": "3D VAE, same generator",
    "glo": "GLO with a Gaussian",
    "real-training-shapes": "real training chairs",
}
SEARCHES = {
    "reconstructions": "reconstructions *G(z)*, by their own labels",
    "real": "real target images, by their own labels",
}
TRANSLATIONS = ("embedded", "mnist-street", "mnist-svhn")
CHANCE = ("chance", False)

Key = tuple[str, bool]  # a model, and whether its budget is the protocol's
Cells = dict[Key, str]


def table1(published: Published) -> str:
    """Table 1 of the paper: the Fréchet distance measured here, the FID that the paper reports, what each model got.

    Raises:
        FileNotFoundError: no scores are published.
        ValueError: as `Published.scores`; or a model has scores under two budgets.
    """
    contests = {name: with_reported(rows, name) for name, rows in _contests(published).items()}
    names, columns = _names(contests.values()), {}
    for dataset, rows in contests.items():
        facts = {(fact, False): cell for fact, cell in _facts(rows).items()}
        names |= {fact: fact[0] for fact in facts}
        columns[TITLES[dataset]] = _cells(rows, "frechet", RANDOM) | facts
        columns[f"*{TITLES[dataset]}, the paper's FID*"] = {_key(row): _quoted(dataset, row.model) for row in rows}
    return table(names, columns)


def table1_classifier(published: Published) -> str:
    """The same models by the features of a classifier: Fréchet distance, F8 (recall) and F1/8 (precision).

    Raises:
        FileNotFoundError: no scores of a classifier are published.
        ValueError: as `table1`.
    """
    contests = {name: rows for name, rows in _contests(published).items() if CLASSIFIER in extractors(rows, "frechet")}
    names, columns = _names(contests.values()) | {(ACCURACY, False): ACCURACY}, {}
    for dataset, rows in contests.items():
        own = {f"{TITLES[dataset]}: {words}": _cells(rows, name, CLASSIFIER) for name, words in IMAGE_SCORES.items()}
        # One classifier of a data set: all its records have one reference.
        accuracy = rows[0].records[0]["provenance"]["extractors"][CLASSIFIER]["test_accuracy"]
        next(iter(own.values()))[ACCURACY, False] = f"{100 * accuracy:.2f}"
        columns |= own
    return table(names, columns)


def chairs(published: Published) -> str:
    """Scores of shapes: MMD in thousandths of the cube's side, matching IoU, coverage.

    Raises:
        FileNotFoundError: none are published.
        ValueError: as `Published.scores`.
    """
    runs = {name: rows for name in SHAPES if (rows := _rows(published, name, "scores"))}
    columns = {
        f"{SHAPES[name]}: {words}": _cells(rows, metric, measures.VOXELS, scale)
        for name, rows in runs.items()
        for metric, (words, scale) in SHAPE_SCORES.items()
    }
    return table(_names(runs.values(), SHAPE_MODELS), columns)


def translation(published: Published) -> str:
    """Scores of translations: accuracy in percent, or the median (and mean) error of azimuth in degrees.

    Raises:
        FileNotFoundError: none are published.
        ValueError: as `Published.scores`.
    """
    pairs = {pair: name for name in TRANSLATIONS for pair in estimates.PAIRS[name]}
    found = {pair: _rows(published, name, "-to-".join(pair), "scores") for pair, name in pairs.items()}
    columns = {}
    for pair, rows in sorted(found.items(), key=lambda task: bool(extractors(task[1], "azimuth_median"))):  # those last
        words = " → ".join(TITLES.get(name, name.replace("-", " ")) for name in pair)
        if extractors(rows, "accuracy"):
            columns[f"{words}, %"] = _cells(rows, "accuracy", CLASSIFIER, 100, chance=rows[0].records[0]["chance"])
        elif extractors(rows, "azimuth_median"):
            columns[f"{words}, median (mean) error of azimuth"] = _azimuths(rows)
    return table(_names(found.values(), SEARCHES) | {CHANCE: "chance"}, columns)


def _contests(published: Published) -> dict[str, list[Row]]:
    """The rows of every data set of Table 1 that has scores."""
    stored = {name: _rows(published, FOLDERS.get(name, name), "scores") for name in DATASETS}
    return {name: rows for name, rows in stored.items() if rows}


def _rows(published: Published, *parts: str) -> list[Row]:
    """The stored scores of one folder; no model may stand in two rows but for the protocol's budget."""
    rows = group(published.scores(*parts))
    keys = [_key(row) for row in rows]
    if twice := next((row.model for row in rows if keys.count(_key(row)) > 1), None):
        raise ValueError(f"{'/'.join(parts)} has {twice} under two budgets: publish the scores of one run")
    return rows


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
    return {key: _bold(name, key[0] in OURS) for key, name in names.items()}


def _cells(
    rows: Sequence[Row], metric: str, extractor: str, scale: float = 1, unit: str = "", chance: float | None = None
) -> Cells:
    """A column: a score of each row, the best trained model's in bold, then that of chance where it is given."""
    values = {_key(row): [scale * value for value in row.values(extractor, metric)] for row in rows}
    values |= {} if chance is None else {CHANCE: [scale * chance]}
    models = [_key(row) for row in rows if row.kind not in UNTRAINED]
    trained = {key: np.mean(values[key]) for key in models if values[key]}
    best = {"lower": min, "higher": max}[MEASURES[metric].better](trained.values(), default=None)
    text = zip(values.items(), column_text(list(values.values()), spread=True), strict=True)
    return {key: _bold(cell + unit, key in trained and trained[key] == best) for (key, own), cell in text if own}


def _azimuths(rows: Sequence[Row]) -> Cells:
    (extractor,) = extractors(rows, "azimuth_median")
    medians = _cells(rows, "azimuth_median", extractor, unit="°", chance=rows[0].records[0]["chance"])
    means = column_text([row.values(extractor, "azimuth_mean") for row in rows], spread=True)
    return medians | {_key(row): f"{medians[_key(row)]} ({mean}°)" for row, mean in zip(rows, means, strict=True)}


def _quoted(dataset: str, model: str) -> str:
    number = reported(dataset, model, "fid")
    if number is None:
        return DASH
    return f"*{number.value:.1f}{f' ± {number.spread:.1f}' if number.spread else ''}*†"


def _facts(rows: Sequence[Row]) -> dict[str, str]:
    """What the models of a data set got, and GLANN's FID where there were weights to measure it with."""
    trained = [row for row in rows if row.records and row.kind != FLOOR]
    usual = [record for row in trained if row.budget != "protocol" for record in row.records]
    own = [len(row.records) for row in trained if row.budget == "own"]
    rivals = [len(row.records) for row in trained if row.budget != "own"]
    glann = [row for row in trained if row.model == GLANN]
    fids = [value for row in glann for value in row.values(INCEPTION, "frechet")]
    losses = sorted({record["config"]["glo"]["loss"] for row in glann for record in row.records})
    return {
        "FID of GLANN, here": column_text([fids], spread=True)[0] if fids else NEEDS_WEIGHTS,
        "loss of GLO and GLANN": ", ".join(losses) or DASH,
        "training images": _span(record["train_images"] for record in usual),
        "generator steps": _span(record["generator_steps"] for record in usual),
        "seeds (of each rival)": f"{_span(own)} ({_span(rivals)})" if rivals else _span(own),
    }


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return " to ".join(f"{number:,}" for number in [*found[:1], *found[1:][-1:]]) or DASH


def _bold(text: str, chosen: bool) -> str:
    return f"**{text}**" if chosen else text
