"""The pages of numbers: they say what is published, and made-up records give what they must."""

import itertools
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from glann_lib.companion import number_runs, number_scores, numbers, pages
from glann_lib.companion.number_runs import markdown, rounded
from glann_lib.companion.number_scores import overview as short_table
from glann_lib.companion.numbers import CLOSE, START, draw, main
from glann_lib.companion.pages import render
from glann_lib.companion.traced import Published, require_provenance
from glann_lib.scores import reported
from glann_lib.scores.rows import DASH

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED, README = ROOT / "results" / "published", ROOT / "README.md"
TYPED = {  # tables of measurements that no stored record has: a browser's and a person's watch took them
    "| | 28 px, grey | 64 px, colour |",
    "| | before | after |",
    "| | MNIST | CIFAR-10 |",
    "| notebook | with AVX-512 and bfloat16 | with neither |",
    "| tried | with it | without |",
}
ORIGIN = {"commit": "c0ffee1", "device": "cpu", "data": {"sha256": "d1"}, "seed": 0}
ORIGIN |= {"extractors": {"classifier": {"test_accuracy": 0.9876}}}
KINDS = {"ns-gan": "adversarial", "real-training-images": "floor", "real-training-shapes": "floor"}
KINDS |= {"nearest": "baseline", "real": "floor"}


def cells_of(table):
    """A table's cells by the text of its row's first cell, head and line of dashes left out."""
    lines = table.replace(number_runs.NO_BREAK, " ").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows[2:]}


def heads_of(table):
    return [cell.strip() for cell in table.splitlines()[0].strip("|").split("|")]


# What is published


@pytest.fixture(scope="module")
def drawn():
    """What is published, and the pages drawn from it."""
    published = Published(PUBLISHED)
    return published, draw(PUBLISHED, README, published)


def test_the_pages_say_what_is_published(drawn):
    for path, text in drawn[1].items():
        assert path.read_text(encoding="utf-8") == text, f"run {numbers.COMMAND}"


def test_every_number_is_traced_to_kept_files_with_provenance(drawn):
    published, kept = drawn[0], kept_files()
    for path in published.files:
        assert path.relative_to(ROOT).as_posix() in kept
        if path.suffix == ".csv":
            assert path.with_suffix(".json") in published.files  # which is the record of both
        else:
            record = json.loads(path.read_text(encoding="utf-8"))
            origin = record.get("provenance") or record.get("machine") or record
            assert len(origin["commit"]) == 40 and (origin.get("device") or origin["hardware"])
            data = [origin.get(part) for part in ("data", "source", "target") if isinstance(origin.get(part), dict)]
            assert all(len(part["sha256"]) == 64 for part in data) and (data or "machine" in record)


def kept_files():
    """What git keeps below results/published, or would keep after `git add`."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run([*command, "results/published"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this tree is not a git checkout")
    return set(done.stdout.split("\0"))


@pytest.mark.parametrize("template", numbers.PAGES.values())
def test_tables_with_measurements_are_drawn(template):
    lines = (pages.TEMPLATES / template).read_text(encoding="utf-8").splitlines()
    heads = {line for before, line in zip(["", *lines], lines, strict=False) if line[:1] == "|" != before[:1]}
    beside_pictures = {
        line for line, picture in zip(lines, lines[2:], strict=False) if picture.startswith("| ![") and line in heads
    }
    assert heads - beside_pictures <= TYPED


def test_a_cell_is_of_the_stored_numbers():
    values = []
    for path in (PUBLISHED / "mnist/scores").glob("wgan-equal-seed*.json"):
        scores = json.loads(path.read_text())["scores"]
        values += [s["value"] for s in scores if (s["extractor"], s["metric"]) == ("classifier", "frechet")]
    cell = cells_of(number_scores.contest(Published(PUBLISHED), "mnist"))["WGAN"][2]
    assert cell == f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def test_a_number_in_a_sentence_is_of_the_stored_ones():
    stored = json.loads((PUBLISHED / "fashion/scores/wgan-equal-seed0.json").read_text())["scores"]
    value = next(s["value"] for s in stored if (s["extractor"], s["metric"]) == ("classifier", "frechet"))
    assert number_scores.said(Published(PUBLISHED), "fashion", "wgan", "classifier") == f"{value:.2f}"
    cell = cells_of(number_scores.contest(Published(PUBLISHED), "mnist"))["WGAN"][0]
    assert number_scores.said(Published(PUBLISHED), "mnist", "wgan", spread=True).replace("\xa0", " ") == cell


def test_sentences_about_the_contest_have_their_distances_drawn():
    text = (pages.TEMPLATES / "numbers.md.j2").read_text(encoding="utf-8")
    said = re.sub("{{.*?}}", "", text[text.index("**MNIST.**") : text.index("## Eyes that know")])
    assert re.findall(r"\d+\.\d+", said) == ["0.052", "0.146"]  # of a commit that is named there


def test_a_sentence_about_what_nobody_scored_is_refused():
    with pytest.raises(ValueError, match="fashion has no inception score of wgan: publish it"):
        number_scores.said(Published(PUBLISHED), "fashion", "wgan", "inception")


def test_what_was_looked_at_on_validation_images_differs_in_nothing_else():
    others = []
    for moments, epochs in itertools.product(("learned", "matched"), (400, 4000)):
        config = json.loads((PUBLISHED / f"moments/fashion-validation-{moments}-{epochs}.json").read_text())["config"]
        assert (config["imle"].pop("moments"), config["imle"].pop("epochs")) == (moments, epochs)
        assert config["data"]["held_out"] == "validation" and config["refine"]["epochs"] == 4
        others.append(config)
    assert others == others[:1] * 4


def test_the_readme_is_for_a_minute():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 180 and len(text.encode()) <= 14 * 1024


@pytest.mark.parametrize("page", ["README.md", "glann_lib/README.md", "results/published/README.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "#"))]
    assert links
    for link in links:
        path, _, part = link.partition("#")
        target = (ROOT / page).parent / path
        assert target.exists(), link
        if part:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert part in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


# Made-up scores


def write(folder, *parts, content):
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_score(folder, model, values, seed=0, budget="own", run="mnist", **facts):
    """A record; values: (extractor, metric) -> number."""
    scores = [{"extractor": e, "metric": m, "value": value} for (e, m), value in values.items()]
    kind = KINDS.get(model, "non-adversarial")
    record = {"model": model, "label": model.upper(), "kind": kind, "budget": budget, "seed": seed, "scores": scores}
    if kind != "floor":
        record |= {"train_images": 5000, "generator_steps": 1170, "config": {"glo": {"loss": "vgg19"}}}
    record |= {"reference": "r", "provenance": ORIGIN} | facts
    return write(folder, run, "scores", f"{model}-{budget}-seed{seed}.json", content=record)


def frechet(value, classifier=None):
    own = {("random-vgg16", "frechet"): value}
    if classifier is not None:
        own |= {("classifier", "frechet"): classifier, ("classifier", "f8"): 0.5, ("classifier", "f1_8"): 0.25}
    return own


@pytest.fixture
def scored(tmp_path):
    """GLANN with two seeds beside one rival under two budgets, and a floor."""
    write_score(tmp_path, "glann", frechet(1.0, 4.0))
    write_score(tmp_path, "glann", frechet(2.0, 6.0), seed=1)
    write_score(tmp_path, "ns-gan", frechet(1.7, 3.0), budget="equal")
    write_score(tmp_path, "ns-gan", frechet(1.2, 2.0), budget="protocol", generator_steps=9999)
    write_score(tmp_path, "real-training-images", frechet(0.5, 0.5), budget="none")
    return tmp_path


def contest(folder, dataset="mnist"):
    return number_scores.contest(Published(folder), dataset)


def overview(folder, *datasets, extractor="random-vgg16"):
    return short_table(Published(folder), datasets, extractor)


def test_seeds_become_mean_and_deviation_beside_the_papers_number(scored):
    cells = cells_of(contest(scored))
    assert heads_of(contest(scored))[1:3] == ["Fréchet distance, random VGG16", "Fréchet distance, classifier"]
    assert cells["**GLANN**"] == [
        "1.50 ± 0.71",
        "5.00 ± 1.41",
        "**0.500 ± 0.000**",
        "**0.250 ± 0.000**",
        "*8.6 ± 0.1*†",
    ]
    assert cells["NS-GAN"][0] == "1.70" and cells["NS-GAN (protocol)"][0] == "**1.20**"
    assert cells["WGAN"] == [DASH] * 4 + ["*6.7 ± 0.4*†"]
    assert cells["REAL-TRAINING-IMAGES"][0] == "0.50" and cells["REAL-TRAINING-IMAGES"][-1] == DASH
    order = list(cells)
    assert order.index("WGAN") < order.index("**GLANN**") < order.index("REAL-TRAINING-IMAGES")
    assert contest(scored).count(number_runs.NO_BREAK) and " ± " not in contest(scored)


def test_what_the_models_got_stands_in_a_table_of_its_own(scored):
    cells = cells_of(number_scores.budgets(Published(scored), ["mnist"]))
    assert cells == {"MNIST": ["vgg19", "5,000", "1,170", "2 (1)", "98.76", "needs weights²"]}
    write_score(scored, "glann", frechet(1.0) | {("inception", "frechet"): 40.0})
    write_score(scored, "glann", frechet(2.0) | {("inception", "frechet"): 42.0}, seed=1)
    assert cells_of(number_scores.budgets(Published(scored), ["mnist"]))["MNIST"][-1] == "41.0 ± 1.4"


def test_the_best_trained_models_score_is_bold(scored):
    (scored / "mnist/scores/ns-gan-protocol-seed0.json").unlink()
    assert cells_of(contest(scored))["**GLANN**"][0] == "**1.50 ± 0.71**"  # the floor does not count
    write_score(scored, "glann-vgg19", frechet(0.9), label="GLANN, VGG19")
    cells = cells_of(contest(scored))
    assert (cells["**GLANN**"][0], cells["GLANN, VGG19"][0]) == ("1.50 ± 0.71", "**0.90**")
    assert cells_of(overview(scored, "mnist"))["**GLANN**"][0] == "**1.50**"  # not beaten by its own variants
    write_score(scored, "vae-l1", frechet(0.8), budget="equal")
    assert cells_of(overview(scored, "mnist"))["**GLANN**"][0] == "1.50"  # a rival does, though it is not shown


def test_data_sets_stand_beside_one_another_in_the_papers_order(scored):
    write_score(scored, "glann", frechet(7.0), run="faces")
    table = overview(scored, "mnist", "celeba")
    assert heads_of(table) == ["", "MNIST", "*paper*", "faces of CelebA", "*paper*"]
    assert cells_of(table) == {
        "NS-GAN": ["1.70", "*6.8*†", DASH, "*55.0*†"],
        "**GLANN**": ["1.50", "*8.6*†", "**7**", "*46.3*†"],
        "real training images": ["0.50", DASH, DASH, DASH],
    }
    assert heads_of(contest(scored, "celeba")) == ["", "Fréchet distance, random VGG16", "*FID in the paper*"]


def test_the_short_table_shows_the_data_sets_that_its_eyes_have_seen(scored):
    write_score(scored, "glann", {("imagenet", "frechet"): 30.0}, run="fashion")
    write_score(scored, "glann-refined", {("imagenet", "frechet"): 20.0}, run="fashion")
    table = overview(scored, "mnist", "fashion", extractor="imagenet")
    assert heads_of(table) == ["", "Fashion-MNIST", "*paper*"]
    assert cells_of(table)["GLANN, with a third stage"] == ["**20**", DASH]
    assert short_table(Published(scored), ["mnist", "fashion"]) == table  # what README shows


def test_a_label_that_differs_between_data_sets_is_told_in_full(tmp_path, monkeypatch):
    monkeypatch.setattr(number_scores, "pairs_of", lambda name: [("a", "b"), ("c", "d")])
    for task, label in (("a-to-b", "Nearest"), ("c-to-d", "Nearest, L1")):
        place = {"run": f"embedded/{task}", "budget": "none", "chance": 0.1, "label": label}
        write_score(tmp_path, "nearest", {("classifier", "accuracy"): 0.5}, **place)
    assert "Nearest or Nearest, L1" in cells_of(number_scores.translation(Published(tmp_path)))


def test_every_data_set_of_the_paper_has_a_title():
    assert set(reported.DATASETS) <= number_runs.TITLES.keys()


def test_scores_that_do_not_belong_together_are_refused(scored):
    write_score(scored, "ns-gan", frechet(1.7), budget="short")
    with pytest.raises(ValueError, match=r"mnist/scores has ns-gan under two budgets"):
        contest(scored)
    write_score(scored, "ns-gan", frechet(1.7), budget="short", reference="other")
    with pytest.raises(ValueError, match=r"mnist/scores are against different held-out data or networks"):
        contest(scored)


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ({"commit": None}, "commit"),
        ({"device": ""}, "device"),
        ({"data": {"sha256": "unknown"}}, "data's SHA-256"),
        ({"data": {}, "commit": None}, "commit and no data's SHA-256"),
    ],
)
def test_a_record_without_provenance_is_refused(scored, lacking, words):
    write_score(scored, "wgan", frechet(1.0), budget="equal", provenance=ORIGIN | lacking)
    with pytest.raises(ValueError, match=rf"wgan-equal-seed0\.json has no {words}: "):
        contest(scored)


@pytest.mark.parametrize("content", ["{", "[1]", ""])
def test_a_damaged_record_is_refused_and_named(scored, content):
    (scored / "mnist/scores/wgan-equal-seed0.json").write_text(content)
    with pytest.raises(ValueError, match=r"wgan-equal-seed0\.json is missing or damaged"):
        contest(scored)


def test_each_form_of_provenance_is_known():
    for record in (
        {"provenance": ORIGIN},
        {"commit": "a", "hardware": "cpu", "data": {"sha256": "b"}},
        {"machine": {"commit": "a", "device": "cpu"}},
        {"commit": "a", "device": "cpu", "source": {"sha256": "b"}, "target": {"sha256": "b"}},
    ):
        require_provenance(record, Path("x.json"))
    with pytest.raises(ValueError, match="SHA-256"):
        half = {"commit": "a", "device": "cpu", "source": {"sha256": "b"}, "target": {"sha256": ""}}
        require_provenance(half, Path("x.json"))


def test_the_files_of_a_table_are_noted(scored):
    published = Published(scored)
    number_scores.contest(published, "mnist")
    assert sorted(published.files) == sorted(scored.glob("mnist/scores/*.json"))


def test_chairs_in_thousandths(tmp_path):
    def voxels(chamfer, iou, coverage, whole):
        values = {"matching_chamfer": chamfer, "matching_iou": iou, "coverage_chamfer": coverage, "whole": whole}
        return {("voxels", metric): value for metric, value in values.items()}

    write_score(tmp_path, "glann", voxels(0.04, 0.5, 0.4, 0.2), run="made-chairs")
    write_score(tmp_path, "vae", voxels(0.05, 0.25, 0.5, 0.1), budget="short", run="made-chairs")
    write_score(tmp_path, "real-training-shapes", voxels(0.03, 0.75, 0.6, 0.9), budget="none", run="made-chairs")
    table = number_scores.chairs(Published(tmp_path), "made-chairs")
    assert heads_of(table)[1:] == ["MMD", "matching IoU", "coverage", "in one piece, %"]
    cells = cells_of(table)
    assert cells["**GLANN**"] == ["**40**", "**0.500**", "0.400", "**20**"]
    assert cells["3D VAE, same generator"] == ["50", "0.250", "**0.500**", "10"]  # more coverage is better
    assert list(cells)[-1] == "real training chairs"


def test_translations_with_chance_and_azimuths_last(tmp_path, monkeypatch):
    pairs = [("hatchbacks", "negative-vans"), ("digits", "street-digits")]
    monkeypatch.setattr(number_scores, "pairs_of", {"embedded": pairs}.__getitem__)
    classes = {"run": "embedded/digits-to-street-digits", "budget": "none", "chance": 0.1}
    turns = {"run": "embedded/hatchbacks-to-negative-vans", "budget": "none", "chance": 90.0}
    write_score(tmp_path, "nam-memory", {("classifier", "accuracy"): 0.5}, **classes)
    write_score(tmp_path, "nam-memory", {("classifier", "accuracy"): 0.7}, seed=1, **classes)
    write_score(tmp_path, "nearest", {("classifier", "accuracy"): 0.75}, **classes)
    write_score(tmp_path, "nam-memory", {("net", "azimuth_median"): 5.0, ("net", "azimuth_mean"): 12.5}, **turns)
    table = number_scores.translation(Published(tmp_path))
    cars = "hatchbacks → negative vans"
    assert heads_of(table)[1:] == [
        "digits → street digits: accuracy, %", f"{cars}: median error of azimuth, °", f"{cars}: mean error, °"
    ]  # fmt: skip
    assert cells_of(table) == {
        "**NAM-MEMORY**": ["**60.0 ± 14.1**", "**5**", "**12.5**"],
        "NEAREST": ["75.0", DASH, DASH],
        "chance": ["10.0", "90", "90.0"],
    }


# Made-up runs, models and times


def write_run(folder, run="mnist", place="tables/03_frechet", glann=0.5, imle=None, **glo):
    """A run's table of Fréchet distances with its record; returns the record."""
    csv = "images,Fréchet distance (random-VGG16)\nreal training images,0.01\nreconstructions G(z),0.071\n"
    csv += f'"GLANN, G(T(e))",{glann}\n"GLO, Gaussian",1.25\n'
    config = {"glo": {"epochs": 30, "loss": "random-vgg16"} | glo, "imle": {"epochs": 400} | (imle or {})}
    record = {"commit": "c", "device": "cpu", "data": {"sha256": "d1", "count": 5000}, "config": config}
    path = write(folder, run, f"{place}.json", content=record)
    path.with_suffix(".csv").write_text(csv, encoding="utf-8")
    return record


def write_card(folder, config, run="mnist", **facts):
    scores = [{"metric": "frechet", "of": of, "value": v} for of, v in (("float32", 0.5), ("released", 0.51))]
    card = {"name": run, "kind": "images", "image_shape": [1, 28, 28], "training_images": 5000, "bytes": 3 * 2**20}
    card |= {
        "scores": scores,
        "real": {"frechet": 0.02},
        "settings": config,
        "made_by": f"./run_all.sh --dataset {run}",
    }
    card |= {"commit": "c", "hardware": "cpu", "data": {"name": run, "sha256": "d1"}, "sha256": "s"} | facts
    path = write(folder, run, "model.json", content=card)
    path.with_name("model.safetensors").touch()


def run_table(folder):
    return number_runs.frechet(Published(folder), ["mnist"])


def test_a_run_has_a_row_with_what_it_was(tmp_path):
    record = write_run(tmp_path)
    own = ["0.0100", "0.0710", "**0.5000**", "1.2500", "5,000", "30", "random-vgg16", "400"]
    assert cells_of(run_table(tmp_path)) == {"[MNIST](mnist)": own}
    write_card(tmp_path, record["config"])
    assert cells_of(run_table(tmp_path)) == {"[MNIST](mnist)": own}
    assert number_runs.made_by(Published(tmp_path), ["mnist"]) == ["./run_all.sh --dataset mnist"]


@pytest.mark.parametrize(("moments", "same"), [("learned", True), ("matched", False)])
def test_a_card_older_than_the_choice_of_moments_is_of_the_same_run(tmp_path, moments, same):
    config = write_run(tmp_path)["config"]
    write_card(tmp_path, config | {"imle": config["imle"] | {"moments": moments}})
    if same:
        assert "**0.5000**" in run_table(tmp_path)
    else:
        with pytest.raises(ValueError, match=r"mnist/model\.json is of another run than mnist/tables/03_frechet\.json"):
            run_table(tmp_path)


def test_a_model_of_another_run_is_refused(tmp_path):
    record = write_run(tmp_path, epochs=60)
    write_card(tmp_path, record["config"] | {"glo": {"epochs": 30}})
    with pytest.raises(ValueError, match="is of another run"):
        run_table(tmp_path)
    write_card(tmp_path, record["config"], data={"name": "mnist", "sha256": "d2"})
    with pytest.raises(ValueError, match="is of another run"):
        run_table(tmp_path)


def test_a_table_without_its_record_its_column_or_a_row_is_refused(tmp_path):
    write_run(tmp_path)
    table = tmp_path / "mnist/tables/03_frechet.csv"
    table.write_text("\n".join(table.read_text(encoding="utf-8").splitlines()[:-1]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"03_frechet\.csv has no row 'GLO, Gaussian'"):
        run_table(tmp_path)
    table.write_text("images,another distance\nreal training images,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"03_frechet\.csv has no column"):
        run_table(tmp_path)
    table.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match=r"03_frechet\.json is missing or damaged"):
        run_table(tmp_path)


def test_released_models_stand_in_the_order_of_the_story(tmp_path):
    for name in ("another", "mnist", "digits"):
        write_card(tmp_path, {}, run=name)
    cells = cells_of(number_runs.released_models(Published(tmp_path)))
    assert list(cells) == ["`digits`", "`mnist`", "`another`"]
    assert cells["`mnist`"] == ["MNIST, 28 px", "5,000", "0.5000", "0.5100", "0.0200", "[3.0 MiB](mnist/model.md)"]
    assert cells["`another`"][0] == "another, 28 px"
    write_card(tmp_path, {}, commit="unknown")
    with pytest.raises(ValueError, match=r"model\.json has no commit"):
        number_runs.released_models(Published(tmp_path))


def test_both_moments_stand_beside_one_another_whichever_is_the_runs_own(tmp_path):
    for run, own, other in (("fashion", "matched", "learned"), ("mnist", "learned", "matched")):
        write_run(tmp_path, run, glann=0.4 if own == "matched" else 0.7, imle={"moments": own})
        write_run(tmp_path, "moments", run, glann=0.4 if other == "matched" else 0.7, imle={"moments": other})
    published = Published(tmp_path)
    cells = cells_of(number_runs.moments(published, ["mnist", "fashion"]))
    assert cells["MNIST"] == cells["Fashion-MNIST"] == ["0.0710", "0.7000", "0.4000", "1.2500"]
    write_run(tmp_path, "moments", "mnist")  # older than the choice: learned, as the run's own
    with pytest.raises(ValueError, match="of the same setting"):
        number_runs.moments(published, ["mnist"])
    write_run(tmp_path, "moments", "mnist", imle={"moments": "matched", "epochs": 9})
    with pytest.raises(ValueError, match=r"mnist.*differ in more than moments"):
        number_runs.moments(published, ["mnist"])


def test_a_column_that_several_runs_stored(tmp_path):
    for run in ("mnist", "faces"):
        write_run(tmp_path, run)
    names = ["mnist", "celeba"]
    table = number_runs.stored(Published(tmp_path), "03_frechet", number_runs.FRECHET, ["GLO, Gaussian"], names)
    assert cells_of(table) == {"MNIST": ["1.25"], "faces of CelebA": ["1.25"]}


def benchmarks(**machine):
    row = {"what": "a step", "textbook": "a plain loop", "here": {"seconds": [0.25, 0.2, 0.9]}}
    row |= {"textbook_time": {"seconds": [1.2, 1.0, 1.1]}, "ratio": 4.4, "ratio_range": [0.9, 5.0]}
    other = {"what": "a path", "ratio_range": [1.01, 5.0], "here": {"seconds": [0.2, 0.2]}}
    return {"machine": {"commit": "c", "device": "cpu"} | machine, "results": [row, row | other]}


def test_speed_is_the_median_beside_the_textbooks(tmp_path):
    write(tmp_path, "benchmarks", "pc", "benchmarks.json", content=benchmarks())
    cells = cells_of(number_runs.speed(Published(tmp_path), ["pc"]))
    assert cells["a path (2 repeats)"] == ["a plain loop", "200 ms", "1.10 s", "**4.4** (1.0 to 5.0)"]
    assert cells["a step"] == ["a plain loop", "250 ms", "1.10 s", "4.4 (0.90 to 5.0)"]  # not always faster


MACHINE = {"commit": "c", "device": "cpu"}


def test_what_several_processes_keep_of_ones_rate(tmp_path):
    one = {"processes": 1, "images": 512, "held": 512, "glo_step": 0.9, "glo_step_rate": 1.0}
    one |= {"imle_epoch": 12.0, "imle_epoch_rate": 1.0}
    two = {"processes": 2, "held": 256, "glo_step": 1.0, "glo_step_rate": 0.9, "imle_epoch_rate": 0.955}
    write(tmp_path, "benchmarks", "pc", "shared.json", content={"machine": MACHINE, "rows": [one, one | two]})
    table = number_runs.shared(Published(tmp_path), "pc")
    assert heads_of(table)[1] == "codes held, of 512"
    assert cells_of(table) == {
        "1": ["512", "900 ms", "100%", "12.0 s", "100%"],
        "2": ["256", "1.00 s", "90%", "12.0 s", "96%"],
    }


@pytest.fixture
def searched(tmp_path):
    exact = {"way": "exact", "build_s": 0.0, "query_s": 0.005, "epoch_s": 5000.0, "recall": 1.0, "farther": 1.0}
    lists = {"way": "lists", "build_s": 40.0, "query_s": 0.0005, "epoch_s": 540.0, "recall": 0.876, "farther": 1.0125}
    content = {"machine": MACHINE, "sizes": {"latents": 1_000_000}, "rows": [exact, lists]}
    write(tmp_path, "benchmarks", "pc", "scale.json", content=content)
    return Published(tmp_path)


def test_what_lists_of_points_find(searched):
    table = number_runs.lists(searched, "pc")
    assert heads_of(table)[3] == "all 1,000,000"
    assert cells_of(table) == {
        "exact": [DASH, "5.00 ms", "83 min", "100.0%", "0.0%"],
        "lists": ["40.0 s", "0.50 ms", "9.0 min", "87.6%", "1.2%"],
    }


def test_two_kinds_of_eyes_stand_beneath_one_another(tmp_path):
    values = {"real training images": 2.0, "reconstructions": 30.0, "GLANN": 50.0, "Gaussian": 200.0}
    rows = [{"model": "mnist", "images": 9, "eyes": own, **values} for own in ("imagenet", "random-vgg16")]
    write(tmp_path, "benchmarks", "eyes", "eyes.json", content={"machine": MACHINE, "rows": rows})
    lines = number_runs.eyes(Published(tmp_path), "eyes").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert cells[0] == ["MNIST", "imagenet", "2.00", "30.0", "**50.0**", "200", "0.25"] and len(cells) == 2


def test_a_third_stage_tells_how_much_of_the_gap_it_closes(tmp_path):
    row = {
        "model": "mnist",
        "loss": "vgg19",
        "epochs": 10,
        "seconds": 59.7,
        "real training images": 10.0,
        "reconstructions": 30.0,
    }
    row |= {"GLANN, random-vgg16": 0.2, "stage 3, random-vgg16": 0.9}
    row |= {"GLANN": 50.0, "stage 3": 38.0, "GLANN, nearest": 4.7, "stage 3, nearest": 4.8, "unseen, nearest": 5.0}
    write(tmp_path, "benchmarks", "refining", "refining.json", content={"machine": MACHINE, "rows": [row]})
    last = number_runs.refining(Published(tmp_path), "refining").splitlines()[-1]
    cells = [cell.strip() for cell in last.strip("|").split("|")]
    assert cells == ["MNIST", "vgg19", "10", "60 s", "10.0", "30.0", "50.0", "**38.0**", "60%", "4.70", "4.80", "5.00"]
    said = number_runs.refined_otherwise(Published(tmp_path), "refining", "mnist")
    assert said == "0.200 before and 0.900 after"


def test_what_many_images_need_is_calculated(searched):
    cells = cells_of(number_runs.needs(searched, "pc", (1_000_000, 10_000_000)))
    assert cells["images, 64 px, colour, uint8"] == ["12 GB", "120 GB"]
    assert cells["their codes, gradients and Adam's moments"] == ["1.0 GB", "10 GB"]
    assert cells["pairs that the exact search compares"] == ["2e12", "2e14"]
    assert cells["an epoch of it, on those two cores"] == ["83 min", "5.8 days"]  # a hundred times as long
    assert cells["steps of stage 1 an epoch, batches of 128"] == ["7,812", "78,125"]


@pytest.mark.parametrize(("machine", "words"), [({"commit": None}, "commit"), ({"device": ""}, "device")])
def test_benchmarks_without_provenance_are_refused(tmp_path, machine, words):
    write(tmp_path, "benchmarks", "pc", "benchmarks.json", content=benchmarks(**machine))
    with pytest.raises(ValueError, match=rf"benchmarks\.json has no {words}"):
        number_runs.speed(Published(tmp_path), ["pc"])


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.2, 3, "1.20"), (198.4, 3, "198"), (9.996, 3, "10.0"), (0.95, 2, "0.95"), (0.999, 2, "1.0"), (12.6, 2, "13")],
)
def test_numbers_keep_their_significant_digits(value, digits, text):
    assert rounded(value, digits) == text


def test_a_markdown_table_is_right_aligned_behind_its_words():
    lines = markdown(["", "a", "b"], [["x", "1", "2"]], words=2).splitlines()
    assert re.fullmatch(r"\|:-+\|:-+\|-+:\|", lines[1]) and cells_of("\n".join(lines)) == {"x": ["1", "2"]}


# The command


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (number_runs.released_models, "no model is released in"),
        (number_runs.frechet, r"03_frechet\.json is missing or damaged"),
        (number_runs.moments, r"03_frechet\.json is missing or damaged"),
        (number_runs.speed, r"benchmarks\.json is missing or damaged"),
        (lambda published: number_runs.shared(published, "pc"), r"shared\.json is missing or damaged"),
        (lambda published: number_runs.eyes(published, "eyes"), r"eyes\.json is missing or damaged"),
        (lambda published: number_runs.refining(published, "x"), r"refining\.json is missing or damaged"),
        (lambda published: number_runs.needs(published, "pc"), r"scale\.json is missing or damaged"),
        (number_scores.overview, "mnist/scores holds no scores"),
        (number_scores.budgets, "mnist/scores holds no scores"),
        (lambda published: number_scores.chairs(published, "chairs"), "chairs/scores holds no scores"),
        (number_scores.translation, "embedded/digits-to-street-digits/scores holds no scores"),
    ],
)
def test_what_is_not_published_is_named(tmp_path, table, names):
    with pytest.raises((ValueError, FileNotFoundError), match=names):
        table(Published(tmp_path))


@pytest.fixture
def page(scored, monkeypatch):
    """A small page and a README beside made-up scores, and the command's options."""
    templates = scored / "templates"
    templates.mkdir()
    (templates / "page.md.j2").write_text('# A page\n\n{{ scores.contest(published, "mnist") }}\n', encoding="utf-8")
    monkeypatch.setattr(numbers, "PAGES", {"README.md": "page.md.j2"})
    monkeypatch.setattr(pages, "render", lambda name, **values: render(name, templates, **values))
    monkeypatch.setattr(number_scores, "overview", lambda published: overview(scored, "mnist"))
    readme = scored / "top.md"
    readme.write_text(f"# Top\n\n{START}\n| old |\n{CLOSE}\nThe end.\n", encoding="utf-8")
    return ["--readme", str(readme), "--folder", str(scored)]


def test_the_command_checks_then_draws(scored, page, capsys):
    before = (scored / "top.md").read_text(encoding="utf-8")
    assert main(["--check", *page]) == 2 and not (scored / "README.md").exists()
    assert (scored / "top.md").read_text(encoding="utf-8") == before
    assert "not as published: README.md, top.md; run " in capsys.readouterr().err
    assert main(page) == 0 and "drawn anew: README.md, top.md" in capsys.readouterr().out
    text = (scored / "top.md").read_text(encoding="utf-8")
    assert text == f"# Top\n\n{START}\n\n{overview(scored, 'mnist')}\n\n{CLOSE}\nThe end.\n"
    assert (scored / "README.md").read_text(encoding="utf-8") == f"# A page\n\n{contest(scored)}\n"
    assert main(["--check", *page]) == 0 and "as published" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "content", "words"),
    [
        ("mnist/scores/wgan-equal-seed0.json", "[1]", "wgan-equal-seed0.json is missing or damaged"),
        ("templates/page.md.j2", "{{ scores.contest(", "templates/page.md.j2, line 1: "),
        ("templates/page.md.j2", "{{ scores.contests(published) }}", "templates/page.md.j2: "),
        ("top.md", f"{START}\n", "top.md has no place for its table: write <!-- scores: "),
        ("top.md", f"{START}\n{CLOSE}\n{START}\n{CLOSE}\n", "top.md has no place for its table"),
    ],
)
def test_the_command_refuses_in_one_line_and_changes_nothing(scored, page, capsys, place, content, words):
    (scored / place).write_text(content, encoding="utf-8")
    before = (scored / "top.md").read_text(encoding="utf-8")
    assert main(page) == 2 and (scored / "top.md").read_text(encoding="utf-8") == before
    error = capsys.readouterr().err
    assert words in error and error.startswith("numbers: ") and error.count("\n") == 1


def test_a_missing_score_and_readme_are_named(scored, page, capsys):
    for path in scored.glob("mnist/scores/*.json"):
        path.unlink()
    assert main(page) == 2 and "scores holds no scores" in capsys.readouterr().err
    assert main(["--readme", str(scored / "none.md")]) == 2 and "none.md" in capsys.readouterr().err


def test_the_command_in_the_readme_is_the_modules():
    assert numbers.COMMAND.endswith(f" -m {numbers.__name__}") and numbers.COMMAND in START
