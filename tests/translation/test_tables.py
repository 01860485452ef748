"""What stands in the cells of the tables of translations, in which order, and what a reader is told."""

import numpy as np
import pytest

from glann_lib.records import runs
from glann_lib.records import tables as report_tables
from glann_lib.translation.tables import note, scores_table, task_title

DASH = "\N{EN DASH}"
LABELS = {
    "nam-memory": ("NAM, latents from memory", "non-adversarial"),
    "nam-sphere": ("NAM, latents free", "non-adversarial"),
    "nearest": ("nearest training image, pixels", "baseline"),
    "nearest-up-to-colour": ("nearest training image, up to colour", "baseline"),
    "real": ("real images", "floor"),
}
REASON = "no scores: the source (folder:photos) has neither labels nor azimuths to compare"


def record(model, seed=0, chance=0.1, translated=1000, **scores):
    label, kind = LABELS[model]
    base = {"model": model, "label": label, "kind": kind, "budget": "none", "seed": seed}
    judge = "classifier" if "accuracy" in scores else "azimuth network"
    chances = {key: 0.5 if key == "turned" else chance for key in scores}
    rows = [
        {"extractor": judge, "metric": key, "value": value, "standard_error": None, "chance": chances[key]}
        for key, value in scores.items()
    ]
    return base | {"scores": rows, "chance": chance, "translated": translated}


def unscored(model, seed=0):
    return record(model, seed, chance=None) | {"unscored": REASON}


def pointing(model, median, mean, turned, **fields):
    return record(model, chance=90.0, azimuth_median=median, azimuth_mean=mean, turned=turned, **fields)


@pytest.fixture
def digits():
    return [
        record("real", accuracy=0.97, translated=60),
        record("nearest", accuracy=0.2),
        record("nam-memory", 0, accuracy=0.50),
        record("nam-memory", 1, accuracy=0.56),
    ]


@pytest.fixture
def more():
    models = ("nearest-up-to-colour", "nam-sphere", "real", "nearest", "nam-memory")
    return [record(model, accuracy=value) for model, value in zip(models, (0.3, 0.4, 0.9, 0.1, 0.6), strict=True)]


@pytest.fixture
def cars():
    return [pointing("nam-memory", 12.5, 20.25, 0.125), pointing("real", 2.0, 3.0, 0.0)]


def test_tasks_with_other_models_stand_side_by_side(digits, more):
    table = scores_table({"mnist->street-mnist": digits, "street-mnist->mnist": more})
    first, second = "mnist → street-mnist: accuracy, % ↑", "street-mnist → mnist: accuracy, % ↑"
    assert list(table.columns) == ["model", first, second]
    assert list(table["model"]) == [
        "NAM, latents from memory",
        "NAM, latents free",
        "nearest training image, pixels",
        "nearest training image, up to colour",
        "real images",
        "chance",
    ]
    assert list(table[first]) == [f"53.0 ± {100 * np.std([0.5, 0.56], ddof=1):.1f}", DASH, "20.0", DASH, "97.0", "10.0"]
    assert list(table[second]) == ["60", "40", "10", "30", "90", "10"]
    assert table.dtypes.unique().tolist() == [np.dtype(object)]


def test_floors_stand_last_whichever_task_has_the_other_models(digits, more):
    models = list(
        scores_table({"street-mnist->mnist": [*digits, record("nam-sphere", accuracy=0.3)], "a->b": more})["model"]
    )
    assert models[-2:] == ["real images", "chance"] and models.index("nearest training image, up to colour") == 3


def test_tasks_without_scores_add_no_rows_and_no_records_no_note(digits):
    assert "NAM, latents free" not in list(scores_table({"a->b": digits, "c->d": [unscored("nam-sphere")]})["model"])
    assert "c → d" not in note({"a->b": digits, "c->d": []})


def test_directions_are_degrees_and_what_is_turned_is_per_cent(cars):
    table = scores_table({"hatchbacks->vans": cars})
    heads = [
        "hatchbacks → vans: azimuth error, median, degrees ↓",
        "hatchbacks → vans: azimuth error, mean, degrees ↓",
        "hatchbacks → vans: turned, % ↓",
    ]
    assert list(table.columns) == ["model", *heads]
    assert list(table["model"]) == ["NAM, latents from memory", "real images", "chance"]
    assert [list(map(float, table[head])) for head in heads] == [[12.5, 2, 90], [20.2, 3, 90], [12.5, 0, 50]]


def test_the_chance_of_each_task_is_its_own(digits, cars):
    others = [record("nam-memory", chance=0.25, accuracy=0.5)]
    table = scores_table({"digits->street-digits": digits, "a->b": others, "hatchbacks->vans": cars})
    last = table.iloc[-1].tolist()
    assert last == ["chance", "10.0", "25", "90.0", "90.0", "50.0"]


@pytest.mark.parametrize(("task", "value"), [("mnist->svhn", "31.3"), ("svhn->mnist", "25")])
def test_the_papers_number_stands_beside_nam_only_and_is_marked(more, task, value):
    table = scores_table({task: more})
    own, quoted = table.columns[1:]
    assert quoted == f"{task_title(task)}: paper, % (quoted)" and report_tables.is_quoted(quoted)
    assert not report_tables.is_quoted(own)
    assert list(table[quoted]) == [value, value, DASH, DASH, DASH, DASH]


def test_the_papers_number_stands_beside_no_model_that_the_task_lacks(digits, more):
    table = scores_table({"mnist->svhn": digits, "svhn->mnist": more}).set_index("model")
    sphere = table.loc["NAM, latents free"]
    assert list(sphere) == [DASH, DASH, "40", "25"]


def test_there_is_no_number_of_the_paper_for_painted_digits(digits):
    assert not any(map(report_tables.is_quoted, scores_table({"mnist->street-mnist": digits})))


def test_a_saved_table_sets_the_papers_number_apart(digits, tmp_path):
    path = runs.save_table(scores_table({"mnist->svhn": digits}), tmp_path / "07_scores", {})
    markdown = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "*31.3*†" in markdown and "not measured here" in markdown and "*53.0" not in markdown


def test_the_spread_over_seeds_is_told_where_there_are_some(digits, more):
    deviation = "± is the standard deviation over seeds (ddof=1)."
    assert note({"a->b": digits}).endswith(deviation)
    assert deviation not in note({"a->b": more})


def test_tasks_without_scores_have_no_column_and_a_reason(digits):
    tasks = {"digits->street-digits": digits, "folder:photos->digits": [unscored("nam-memory"), unscored("nearest")]}
    table = scores_table(tasks)
    assert list(table.columns) == ["model", "digits → street-digits: accuracy, % ↑"]
    assert list(table["model"]) == [
        "NAM, latents from memory",
        "nearest training image, pixels",
        "real images",
        "chance",
    ]
    told = note(tasks)
    assert f"folder:photos → digits: {REASON}." in told and told.count("no scores") == 1
    assert "digits → street-digits: 1,000 unseen images." in told


def test_where_nothing_is_scored_the_table_has_no_scores():
    tasks = {"folder:photos->digits": [unscored("nam-memory")]}
    assert list(scores_table(tasks).columns) == ["model"]
    assert REASON in note(tasks)


def test_the_note_counts_what_was_translated_and_not_the_real_images(digits):
    told = note({"digits->street-digits": digits, "a->b": [record("nam-memory", translated=20, accuracy=0.5)]})
    assert told.startswith("digits → street-digits: 1,000 unseen images. a → b: 20 unseen images. Chance: ")
    assert "60" not in told
    both = [record("nam-memory", translated=20, accuracy=0.5), record("nam-sphere", translated=1500, accuracy=0.5)]
    assert "a → b: 20 or 1,500 unseen images." in note({"a->b": both})


def test_two_records_of_one_seed_are_refused(digits):
    with pytest.raises(ValueError, match=r"two records of nearest, budget .*, have one seed"):
        scores_table({"digits->street-digits": [*digits, record("nearest", accuracy=0.4)]})


@pytest.mark.parametrize(
    ("task", "title"),
    [
        ("mnist->svhn", "mnist → svhn"),
        ("cars:my cars/sedans->cars:my cars/vans", "sedans → vans"),
        ("folder:photos->street-digits", "folder:photos → street-digits"),
        ("folder:a/photos->digits", "photos → digits"),
    ],
)
def test_a_tasks_title_names_both_domains_shortly(task, title):
    assert task_title(task) == title
