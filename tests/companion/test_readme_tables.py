"""The README's tables: those that are published give what it says, and made-up records give what they must."""

import json
import subprocess
from pathlib import Path

import pytest

from glann_lib.companion import arguments, plans, readme_sources, readme_tables, readme_times
from glann_lib.companion.readme_sources import Published, markdown, require_provenance
from glann_lib.companion.readme_tables import BLOCK, CLOSE, TABLES, block, main, redraw
from glann_lib.companion.readme_times import rounded
from glann_lib.scores import reported
from glann_lib.scores.rows import DASH

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "results" / "published"
README = (ROOT / "README.md").read_text(encoding="utf-8")
WITHOUT_MEASUREMENTS = (  # the heads of all tables that are written by hand: words, pictures, symbols
    "| real images, held out | new images, GLANN |",
    "| handwriting translated into painted digits | recall against precision of every model, MNIST |",
    "| new chairs from 800 of ModelNet's, as voxels | one from 500 chairs made by rule, two minutes |",
    "| notebook | tells | in the paper |",
    "| widget | what it does | the plain function behind it |",
    "| on the map | a drawing, found and varied |",
    "| symbol | in the code | is |",
    "| every model, recall against precision | the first samples of each |",
    "| between chairs | each sample and the training chair nearest to it |",
)
ORIGIN = {"commit": "c0ffee1", "device": "cpu", "data": {"sha256": "d1"}, "seed": 0}
ORIGIN |= {"extractors": {"classifier": {"test_accuracy": 0.9876}}}
KINDS = {"ns-gan": "adversarial", "real-training-images": "floor", "real-training-shapes": "floor"}
KINDS |= {"nearest": "baseline", "real": "floor"}


def draw(name, folder):
    return readme_tables.draw(name, Published(folder))


def drawable(folder):
    """The tables that what is published suffices for."""
    names = []
    for name in TABLES:
        try:
            draw(name, folder)
        except FileNotFoundError:
            continue
        names.append(name)
    return names


DRAWABLE = drawable(PUBLISHED)


def head_lines(text):
    """The first lines of all Markdown tables."""
    lines = text.splitlines()
    return [line for before, line in zip(["", *lines], lines, strict=False) if line[:1] == "|" != before[:1]]


def cells_of(table):
    """A table's cells by the text of its row's first cell, head and line of dashes left out."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0]: row[1:] for row in rows[2:]}


# What is published


def test_only_the_table_of_estimates_may_have_nothing_to_be_drawn_from():
    assert set(TABLES) - set(DRAWABLE) <= {"estimates"}


def test_the_readme_holds_every_table():
    assert set(BLOCK.findall(README)) >= set(DRAWABLE)


def test_the_readme_says_what_is_published():
    assert redraw(README, PUBLISHED)[1] == []


def test_every_table_with_measurements_is_drawn():
    assert set(head_lines(BLOCK.sub("", README))) <= set(WITHOUT_MEASUREMENTS)


@pytest.mark.parametrize("name", DRAWABLE)
def test_every_drawn_number_is_traced_to_kept_files_with_provenance(name):
    published, kept = Published(PUBLISHED), kept_files()
    readme_tables.draw(name, published)
    for path in published.files:
        assert path.relative_to(ROOT).as_posix() in kept
        if path.suffix == ".csv":
            assert path.with_suffix(".json") in published.files  # which is the record of both
        elif path.suffix == ".ipynb":
            assert " · commit " in path.read_text(encoding="utf-8")
        else:
            record = json.loads(path.read_text(encoding="utf-8"))
            origin = record.get("provenance") or record.get("machine") or record
            assert len(origin["commit"]) == 40 and (origin.get("device") or origin["hardware"])
            data = [origin.get(part) for part in ("data", "source", "target") if isinstance(origin.get(part), dict)]
            assert all(len(part["sha256"]) == 64 for part in data) and (data or "machine" in record)
    assert published.files


def kept_files():
    """What git keeps below results/published, or would keep after `git add`."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run([*command, "results/published"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this tree is not a git checkout")
    return set(done.stdout.split("\0"))


def test_a_cell_is_the_stored_number():
    record = json.loads((PUBLISHED / "mnist/scores/wgan-equal-seed0.json").read_text())
    (value,) = [s["value"] for s in record["scores"] if (s["extractor"], s["metric"]) == ("classifier", "frechet")]
    assert cells_of(draw("table1-classifier", PUBLISHED))["WGAN"][0] == f"{value:.2f}"


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


def test_seeds_become_mean_and_deviation_beside_the_papers_number(scored):
    cells = cells_of(draw("table1", scored))
    assert cells["**GLANN**"] == ["1.50 ± 0.71", "*8.6 ± 0.1*†"]
    assert cells["NS-GAN"] == ["1.70", "*6.8 ± 0.5*†"] and cells["NS-GAN (protocol)"][0] == "**1.20**"
    assert cells["WGAN"] == [DASH, "*6.7 ± 0.4*†"] and cells["REAL-TRAINING-IMAGES"] == ["0.50", DASH]
    order = list(cells)
    assert order.index("WGAN") < order.index("**GLANN**") < order.index("REAL-TRAINING-IMAGES")
    facts = ["FID of GLANN, here", "loss of GLO and GLANN", "training images", "generator steps"]
    assert order[-5:] == [*facts, "seeds (of each rival)"]
    assert [cells[name][0] for name in order[-5:]] == ["needs weights²", "vgg19", "5,000", "1,170", "2 (1)"]


def test_the_best_trained_models_score_is_bold(scored):
    (scored / "mnist/scores/ns-gan-protocol-seed0.json").unlink()
    assert cells_of(draw("table1", scored))["**GLANN**"][0] == "**1.50 ± 0.71**"  # the floor does not count
    cells = cells_of(draw("table1-classifier", scored))["**GLANN**"]
    assert cells == ["5.00 ± 1.41", "**0.500 ± 0.000**", "**0.250 ± 0.000**"]  # F8 and F1/8 are equal
    write_score(scored, "glann-vgg19", frechet(0.9), label="GLANN, VGG19")
    cells = cells_of(draw("table1", scored))
    assert (cells["**GLANN**"][0], cells["GLANN, VGG19"][0]) == ("1.50 ± 0.71", "**0.90**")


def test_a_measured_fid_stands_where_there_were_weights(scored):
    write_score(scored, "glann", frechet(1.0) | {("inception", "frechet"): 40.0})
    write_score(scored, "glann", frechet(2.0) | {("inception", "frechet"): 42.0}, seed=1)
    assert cells_of(draw("table1", scored))["FID of GLANN, here"][0] == "41.0 ± 1.4"


def test_the_classifiers_table_ends_with_what_it_knows(scored):
    cells = cells_of(draw("table1-classifier", scored))
    assert list(cells.items())[-1] == ("test accuracy of the classifier, %", ["98.76", DASH, DASH])
    assert "WGAN" not in cells  # quoted only: no cell would be filled


def test_data_sets_stand_beside_one_another_in_the_papers_order(scored):
    write_score(scored, "glann", frechet(7.0), run="faces")
    table = draw("table1", scored)
    assert "| | MNIST | *MNIST, the paper's FID* | faces of CelebA | *faces of CelebA, the" in table
    assert cells_of(table)["**GLANN**"] == ["1.50 ± 0.71", "*8.6 ± 0.1*†", "**7**", "*46.3 ± 0.1*†"]
    assert cells_of(table)["NS-GAN"][2:] == [DASH, "*55.0 ± 3.3*†"]
    assert "CIFAR" not in table and "faces" not in draw("table1-classifier", scored)


def test_a_label_that_differs_between_data_sets_is_told_in_full(scored):
    write_score(scored, "glo", frechet(3.0), label="GLO, perceptual")
    write_score(scored, "glo", frechet(3.0), run="fashion", label="GLO, Laplacian")
    assert "GLO, perceptual or GLO, Laplacian" in cells_of(draw("table1", scored))


def test_every_data_set_of_the_paper_has_a_title():
    assert set(reported.DATASETS) <= readme_sources.TITLES.keys()


def test_scores_that_do_not_belong_together_are_refused(scored):
    write_score(scored, "ns-gan", frechet(1.7), budget="short")
    with pytest.raises(ValueError, match=r"mnist/scores has ns-gan under two budgets"):
        draw("table1", scored)
    write_score(scored, "ns-gan", frechet(1.7), budget="short", reference="other")
    with pytest.raises(ValueError, match=r"mnist/scores are against different held-out data or networks"):
        draw("table1", scored)


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
    for name in ("table1", "table1-classifier"):
        with pytest.raises(ValueError, match=rf"wgan-equal-seed0\.json has no {words}: "):
            draw(name, scored)


def test_a_damaged_record_is_refused_and_named(scored):
    (scored / "mnist/scores/wgan-equal-seed0.json").write_text("{")
    with pytest.raises(ValueError, match=r"wgan-equal-seed0\.json is missing or damaged"):
        draw("table1", scored)


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


def test_chairs_in_thousandths(tmp_path):
    def voxels(chamfer, iou, coverage):
        values = {"matching_chamfer": chamfer, "matching_iou": iou, "coverage_chamfer": coverage}
        return {("voxels", metric): value for metric, value in values.items()}

    write_score(tmp_path, "glann", voxels(0.04, 0.5, 0.4), run="made-chairs")
    write_score(tmp_path, "vae", voxels(0.05, 0.25, 0.5), budget="short", run="made-chairs")
    write_score(tmp_path, "real-training-shapes", voxels(0.03, 0.75, 0.6), budget="none", run="made-chairs")
    table = draw("chairs", tmp_path)
    assert "made chairs: MMD | made chairs: matching IoU | made chairs: coverage |" in table and "ModelNet" not in table
    cells = cells_of(table)
    assert cells["**GLANN**"] == ["**40**", "**0.500**", "0.400"]
    assert cells["3D VAE, same generator"] == ["50", "0.250", "**0.500**"]  # more coverage is better
    assert list(cells)[-1] == "real training chairs"


def test_translations_with_chance_and_azimuths_last(tmp_path):
    classes = {"run": "embedded/digits-to-street-digits", "budget": "none", "chance": 0.1}
    turns = {"run": "embedded/hatchbacks-to-negative-vans", "budget": "none", "chance": 90.0}
    write_score(tmp_path, "nam-memory", {("classifier", "accuracy"): 0.5}, **classes)
    write_score(tmp_path, "nam-memory", {("classifier", "accuracy"): 0.7}, seed=1, **classes)
    write_score(tmp_path, "nearest", {("classifier", "accuracy"): 0.75}, **classes)
    azimuths = {("net", "azimuth_median"): 5.0, ("net", "azimuth_mean"): 12.5}
    write_score(tmp_path, "nam-memory", azimuths, **turns)
    table = draw("translation", tmp_path)
    assert table.startswith(
        "| | digits → street digits, % | hatchbacks → negative vans, median (mean) error of azimuth |"
    )
    assert cells_of(table) == {
        "**NAM-MEMORY**": ["**60.0 ± 14.1**", "**5°** (12.5°)"],
        "NEAREST": ["75.0", DASH],
        "chance": ["10.0", "90°"],
    }


# Made-up runs, models and times


def write_run(folder, run="mnist", **glo):
    """A run's table of Fréchet distances with its record; returns the record."""
    csv = "images,Fréchet distance (random-VGG16)\nreal training images,0.01\nreconstructions G(z),0.071\n"
    csv += '"GLANN, G(T(e))",0.5\n"GLO, Gaussian",1.25\n'
    config = {"glo": {"epochs": 30, "loss": "random-vgg16"} | glo, "imle": {"epochs": 400}, "profile": "quick"}
    record = {"commit": "c", "device": "cpu", "data": {"sha256": "d1", "count": 5000}, "config": config}
    write(folder, run, "tables", "03_frechet.json", content=record)
    (folder / run / "tables" / "03_frechet.csv").write_text(csv, encoding="utf-8")
    return record


def write_card(folder, config, run="mnist", **facts):
    scores = [{"metric": "frechet", "of": of, "value": v} for of, v in (("float32", 0.5), ("released", 0.51))]
    card = {"name": run, "kind": "images", "image_shape": [1, 28, 28], "training_images": 5000, "bytes": 3 * 2**20}
    card |= {"scores": scores, "real": {"frechet": 0.02}, "settings": config, "made_by": "./run_all.sh --dataset mnist"}
    card |= {"commit": "c", "hardware": "cpu", "data": {"name": run, "sha256": "d1"}, "sha256": "s"} | facts
    (folder / run).mkdir(exist_ok=True)
    (folder / run / "model.safetensors").touch()
    return write(folder, run, "model.json", content=card)


@pytest.fixture
def write_copies(execute):
    """A function that writes executed notebooks of a run of MNIST."""

    printed = {"output_type": "stream", "name": "stdout", "text": ["1 image · commit c0ffee1\n"]}

    def write(folder, *names, seconds=10.2, **given):
        for name in names:
            path = execute(folder / "mnist", name, "glo_epochs = None\n", dataset="mnist", **given)
            content = json.loads(path.read_text())
            content["cells"][-2]["outputs"] = [printed]
            content["metadata"]["papermill"]["duration"] = seconds
            path.write_text(json.dumps(content))

    return write


FIVE = ("00_overview", "01_glo_embedding", "02_imle_mapping", "03_sampling", "04_interpolation")


def test_a_run_has_a_column_with_what_it_was(tmp_path, write_copies):
    record = write_run(tmp_path)
    cells = cells_of(draw("frechet", tmp_path))
    assert [row[0] for row in cells.values()][:8] == [
        "0.0100",
        "0.0710",
        "**0.5000**",
        "1.2500",
        "5,000",
        "30",
        "random-vgg16",
        "400",
    ]
    assert cells["notebooks 00 to 04 took"] == cells["made by"] == [DASH]
    write_card(tmp_path, record["config"])
    write_copies(tmp_path, *FIVE, seconds=15.1)
    cells = cells_of(draw("frechet", tmp_path))
    assert cells["notebooks 00 to 04 took"] == ["1 min 16 s"] and cells["made by"] == ["`./run_all.sh --dataset mnist`"]
    assert cells["stored in"] == ["[mnist](results/published/mnist)"]


def test_four_notebooks_of_five_give_no_time(tmp_path, write_copies):
    write_run(tmp_path)
    write_copies(tmp_path, *FIVE[:4])
    assert cells_of(draw("frechet", tmp_path))["notebooks 00 to 04 took"] == [DASH]


def test_a_card_older_than_the_choice_of_moments_is_of_the_same_run(tmp_path):
    config = write_run(tmp_path)["config"]
    write_card(tmp_path, config | {"imle": config["imle"] | {"moments": "learned"}})
    assert cells_of(draw("frechet", tmp_path))["made by"] == ["`./run_all.sh --dataset mnist`"]
    write_card(tmp_path, config | {"imle": config["imle"] | {"moments": "matched"}})
    with pytest.raises(ValueError, match="is of another run"):
        draw("frechet", tmp_path)


def test_a_model_of_another_run_is_refused(tmp_path):
    record = write_run(tmp_path, epochs=60)
    write_card(tmp_path, record["config"] | {"glo": {"epochs": 30}})
    with pytest.raises(ValueError, match=r"mnist/model\.json is of another run than mnist/tables/03_frechet\.json"):
        draw("frechet", tmp_path)


def test_a_table_without_its_record_its_column_or_a_row_is_refused(tmp_path):
    write_run(tmp_path)
    table = tmp_path / "mnist/tables/03_frechet.csv"
    table.write_text("\n".join(table.read_text(encoding="utf-8").splitlines()[:-1]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"03_frechet\.csv has no row 'GLO, Gaussian'"):
        draw("frechet", tmp_path)
    table.write_text("images,another distance\nreal training images,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"03_frechet\.csv has no column"):
        draw("frechet", tmp_path)
    table.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match=r"03_frechet\.json is missing or damaged"):
        draw("frechet", tmp_path)


def test_released_models_stand_in_the_order_of_the_story(tmp_path):
    for name in ("another", "mnist", "digits"):
        write_card(tmp_path, {}, run=name)
    cells = cells_of(draw("released", tmp_path))
    assert list(cells) == ["`digits`", "`mnist`", "`another`"]
    row = ["MNIST's digits, 28 px", "5,000", "0.5000 / 0.5100 (0.0200)", "[3.0 MiB](results/published/mnist/model.md)"]
    assert cells["`mnist`"] == row and cells["`another`"][0] == "another, 28 px"
    write_card(tmp_path, {}, commit="unknown")
    with pytest.raises(ValueError, match=r"model\.json has no commit"):
        draw("released", tmp_path)


def benchmarks(**machine):
    row = {"what": "a step", "textbook": "a plain loop", "here": {"seconds": [0.25, 0.2, 0.9]}}
    row |= {"textbook_time": {"seconds": [1.2, 1.0, 1.1]}, "ratio": 4.4, "ratio_range": [0.9, 5.0]}
    other = {"what": "a path", "ratio_range": [1.01, 5.0], "here": {"seconds": [0.2, 0.2]}}
    return {"machine": {"commit": "c", "device": "cpu"} | machine, "results": [row, row | other]}


def test_speed_is_the_median_beside_the_textbooks(tmp_path):
    write(tmp_path, "benchmarks", readme_times.MACHINES[0], "benchmarks.json", content=benchmarks())
    cells = cells_of(draw("speed", tmp_path))
    assert cells["a path (2 repeats)"] == ["a plain loop", "200 ms", "1.10 s", "**4.4** (1.0 to 5.0)"]
    assert cells["a step"] == ["a plain loop", "250 ms", "1.10 s", "4.4 (0.90 to 5.0)"]  # not always faster


@pytest.mark.parametrize(("machine", "words"), [({"commit": None}, "commit"), ({"device": ""}, "device")])
def test_benchmarks_without_provenance_are_refused(tmp_path, machine, words):
    write(tmp_path, "benchmarks", readme_times.MACHINES[1], "benchmarks.json", content=benchmarks(**machine))
    with pytest.raises(ValueError, match=rf"benchmarks\.json has no {words}"):
        draw("speed", tmp_path)


def test_estimates_are_those_of_dry_run_for_what_was_executed(tmp_path, write_copies):
    write_copies(tmp_path, *FIVE, seconds=61.0, glo_epochs=5)
    plan = arguments.make_plan(["--dataset", "mnist", "--set", "glo_epochs=5", "--only", *(name[:2] for name in FIVE)])
    (line,) = [line for line in plans.dry_run_text(plan).splitlines() if line.startswith("in all about")]
    ((name, (estimate, measured)),) = cells_of(draw("estimates", tmp_path)).items()
    assert name == "`./run_all.sh --dataset mnist --set glo_epochs=5`, notebooks 00, 01, 02, 03 and 04"
    assert line.startswith(f"in all about {estimate} (") and measured == "5 min 5 s"
    path = tmp_path / "mnist/notebooks/01_glo_embedding.ipynb"
    path.write_text(path.read_text().replace("c0ffee1\\n", "c0ffee1\\ntrained in 600 s\\n"))  # by a run before this
    assert list(cells_of(draw("estimates", tmp_path)).values()) == [[estimate, "15 min 5 s"]]


def test_both_moments_stand_beside_one_another_whichever_is_the_runs_own(tmp_path):
    rows = {"real training images": 0.1, "reconstructions G(z)": 0.2, "GLANN, G(T(e))": 0.4, "GLO, Gaussian": 0.9}
    for own, other in (("fashion/tables/03_frechet", "moments/fashion"), ("moments/mnist", "mnist/tables/03_frechet")):
        for place, setting, value in ((own, "matched", 0.4), (other, "learned", 0.7)):
            text = "".join(f'"{name}",{value if "T(e)" in name else number}\n' for name, number in rows.items())
            path = write(tmp_path, f"{place}.json", content=ORIGIN | {"config": {"imle": {"moments": setting}}})
            path.with_suffix(".csv").write_text("images,Fréchet distance (random-VGG16)\n" + text, encoding="utf-8")
    cells = cells_of(draw("moments", tmp_path))
    assert cells["GLANN, *T* as learned"] == ["0.7000"] * 2
    assert cells["GLANN, *T* with the codes' moments"] == ["0.4000"] * 2 and cells["GLO with a Gaussian"][0] == "0.9000"
    write(tmp_path, "moments/mnist.json", content=ORIGIN | {"config": {"imle": {}}})
    with pytest.raises(ValueError, match="of the same setting"):
        draw("moments", tmp_path)
    write(tmp_path, "moments/mnist.json", content=ORIGIN | {"config": {"imle": {"moments": "matched", "epochs": 9}}})
    with pytest.raises(ValueError, match=r"mnist.*differ in more than moments"):
        draw("moments", tmp_path)


@pytest.mark.parametrize(("trained", "told"), [(60.0, "03 and 05"), (62.0, "03")])
def test_a_contest_that_found_its_rivals_trained_tells_no_time(tmp_path, write_copies, trained, told):
    write_copies(tmp_path, "03_sampling", "05_fid_prd_tables", seconds=61.0)
    write_score(tmp_path, "wgan", frechet(1.0), budget="equal", seconds=trained)
    write_score(tmp_path, "glann", frechet(1.0), seconds=1000.0)  # of notebooks 01 and 02
    assert [name.split("notebook")[1].lstrip("s ") for name in cells_of(draw("estimates", tmp_path))] == [told]


@pytest.mark.parametrize(
    ("cut", "words"), [("commit c0ffee1", "does not say its commit"), ("end_time", "is not executed to its end")]
)
def test_a_notebook_without_provenance_is_refused(tmp_path, write_copies, cut, words):
    write_copies(tmp_path, "03_sampling")
    path = tmp_path / "mnist/notebooks/03_sampling.ipynb"
    path.write_text(path.read_text().replace(cut, "nothing"))
    with pytest.raises(ValueError, match=rf"03_sampling\.ipynb {words}"):
        draw("estimates", tmp_path)


# Blocks and the command


@pytest.mark.parametrize("name", TABLES)
def test_with_nothing_published_a_table_says_so(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r"published|released"):
        draw(name, tmp_path)


def page(*parts):
    return "# A page\n\n" + "\n".join(parts) + "\nThe end.\n"


def test_a_block_is_drawn_anew_and_all_else_stays(scored):
    rest = "Words.\n\n| by | hand |\n|---|---|\n| 1 | 2 |\n"
    text = page(block("table1", "| old |"), rest)
    new, changed = redraw(text, scored)
    assert changed == ["table1"] and new == page(block("table1", draw("table1", scored)), rest)
    assert redraw(new, scored) == (new, [])


PAIRS = "a table stands not between two comments: write <!-- table: NAME (made by "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (block("tabel1", ""), "unknown table 'tabel1': did you mean table1"),
        (block("table1", "").replace(CLOSE, ""), PAIRS),
        (block("table1", "").replace(CLOSE, "") + block("table1", ""), PAIRS),
        (f"Words.\n{CLOSE}\n", PAIRS),
        (f"<!-- table: table1 -->\n{CLOSE}\n", PAIRS),
    ],
)
def test_a_wrong_block_is_one_line_and_changes_nothing(scored, capsys, text, words):
    readme = scored / "README.md"
    readme.write_text(page(text), encoding="utf-8")
    assert main(["--readme", str(readme), "--folder", str(scored)]) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("readme_tables: ") and error.count("\n") == 1
    assert readme.read_text(encoding="utf-8") == page(text)


def test_the_command_checks_then_draws(scored, capsys):
    readme, text = scored / "README.md", page(block("table1", "old"), block("table1-classifier", "old"))
    readme.write_text(text, encoding="utf-8")
    options = ["--readme", str(readme), "--folder", str(scored)]
    assert main(["--check", *options]) == 2 and readme.read_text(encoding="utf-8") == text
    assert "README.md differs from what is published in: table1, table1-classifier; run " in capsys.readouterr().err
    assert main(options) == 0 and "drawn anew: table1, table1-classifier" in capsys.readouterr().out
    assert readme.read_text(encoding="utf-8") == redraw(text, scored)[0]
    assert main(["--check", *options]) == 0 and "as published" in capsys.readouterr().out


def test_the_command_refuses_in_one_line(scored, capsys):
    (scored / "mnist/scores/wgan-equal-seed0.json").write_text("[1]")
    (scored / "README.md").write_text(page(block("table1", "")), encoding="utf-8")
    assert main(["--readme", str(scored / "README.md"), "--folder", str(scored)]) == 2
    assert "wgan-equal-seed0.json is missing or damaged" in capsys.readouterr().err
    assert main(["--readme", str(scored / "none.md")]) == 2 and capsys.readouterr().err.count("\n") == 1


def test_the_command_in_a_block_is_the_modules():
    assert f"(made by .venv/bin/python -m {readme_tables.__name__}) -->" in block("table1", "")


def test_the_files_of_a_table_are_noted(scored):
    published = Published(scored)
    readme_tables.draw("table1", published)
    assert sorted(published.files) == sorted(scored.glob("mnist/scores/*.json"))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.2, 3, "1.20"), (198.4, 3, "198"), (9.996, 3, "10.0"), (0.95, 2, "0.95"), (0.999, 2, "1.0"), (12.6, 2, "13")],
)
def test_numbers_keep_their_significant_digits(value, digits, text):
    assert rounded(value, digits) == text


def test_a_markdown_table_is_right_aligned_behind_its_words():
    assert markdown(["", "a", "b"], [["x", "1", ""]], words=2) == "| | a | b |\n|---|---|--:|\n| x | 1 | |"
