"""What is published agrees with itself: tables are those of the stored scores, the page of numbers says the same."""

import json
import re
from pathlib import Path

import pytest

from glann_lib.companion.number_runs import FOLDERS, NO_BREAK
from glann_lib.config import kind_of
from glann_lib.files import released
from glann_lib.scores import tables as score_tables
from glann_lib.scores.evaluate import read_records
from glann_lib.scores.measures import VOXELS
from glann_lib.translation import tables as translation_tables
from glann_lib.translation.domains import pairs_of

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"
PAGE = (PUBLISHED / "README.md").read_text(encoding="utf-8")
RUNS = sorted(path.parent for path in PUBLISHED.glob("*/scores"))
DATASETS = {folder: dataset for dataset, folder in FOLDERS.items()}
TRANSLATIONS = sorted({path.parent.parent for path in PUBLISHED.glob("*/*-to-*/scores")})


def test_some_scores_are_published():
    assert {"mnist", "chairs", "made-chairs"} <= {run.name for run in RUNS}
    assert {"embedded", "mnist-street", "car-to-car", "svhn-crops"} <= {run.name for run in TRANSLATIONS}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_published_tables_are_drawn_from_published_scores(run):
    records, dataset = read_records(run / "scores"), DATASETS.get(run.name, run.name)
    for name, table in (shape_tables if kind_of(dataset) == "shapes" else image_tables)(records, dataset).items():
        assert table.to_csv(index=False) == (run / "tables" / f"{name}.csv").read_text(encoding="utf-8"), name


@pytest.mark.parametrize("run", TRANSLATIONS, ids=lambda run: run.name)
def test_published_translations_are_drawn_from_published_scores(run):
    dataset = DATASETS.get(run.name, run.name)
    tasks = {f"{s}->{t}": read_records(run / f"{s}-to-{t}" / "scores") for s, t in pairs_of(dataset)}
    table = translation_tables.scores_table(tasks)
    assert table.to_csv(index=False) == (run / "tables/07_translation.csv").read_text(encoding="utf-8")
    for record in (record for records in tasks.values() for record in records):
        origin = record["provenance"]
        assert origin["commit"] and origin["device"] and origin["target"]["sha256"] and origin["config"]["nam"]


def image_tables(records, dataset):
    tables = {
        "05_quality": score_tables.quality_table(records, dataset),
        "05_prd": score_tables.prd_table(records, dataset),
        "05_budgets": score_tables.budgets_table(records, dataset),
    }
    for extractor in {score["extractor"] for record in records for score in record["scores"]}:
        tables[f"05_all_{extractor.replace('-', '_')}"] = score_tables.all_scores_table(records, extractor)
    return tables


def shape_tables(records, dataset):
    return {
        "06_scores": score_tables.all_scores_table(records, VOXELS),
        "06_budgets": score_tables.budgets_table(records, trained_on="shapes"),
    }


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_published_scores_name_their_origin(run):
    for record in read_records(run / "scores"):
        origin = record["provenance"]
        assert origin["commit"] and origin["device"] and origin["data"]["sha256"] and origin["config"]


@pytest.mark.parametrize("name", released.available())
def test_the_page_of_numbers_tells_of_a_released_model_what_its_card_tells(name):
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` ")]
    card = released.card(name)
    metric = "matching_chamfer" if card["kind"] == "shapes" else "frechet"
    values = {score["of"]: score["value"] for score in card["scores"] if score["metric"] == metric}
    for value in (values["float32"], values["released"], card["real"][metric]):
        assert f" {value:.4f} " in row
    assert f" {card['training_images']:,} " in row
    assert f"[{card['bytes'] / 2**20:.1f}{NO_BREAK}MiB]({name}/model.md)" in row
    assert not card["uncommitted_changes"] and card["commit"] and card["made_by"].startswith("./run_all.sh")


def test_links_of_published_notebooks_lead_somewhere():
    books = sorted(Path(released.FOLDER).glob("*/notebooks/*.ipynb"))
    assert books
    for book in books:
        cells = json.loads(book.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("http")]
        assert [link for link in links if link and not (book.parent / link).exists()] == [], book
