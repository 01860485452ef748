"""The benchmarks on tiny data: both sides agree, and tables, files and charts say what was measured."""

import dataclasses
import importlib
import json
import statistics
import subprocess
import sys
import time
import types
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from benchmarks import __main__ as program
from benchmarks import (
    chart,
    eyes,
    growth,
    machine,
    material,
    paths,
    quality,
    refining,
    scale,
    scores,
    shared,
    textbook,
    timing,
    together,
)
from benchmarks.material import QUICK, pictures
from benchmarks.timing import Comparison, Timing, count_operations, timed
from glann_lib import features, glo, losses
from glann_lib.config import GLOConfig, make_config
from glann_lib.engine import devices
from glann_lib.scores.features import make_score_extractor

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def small():
    return scores.features(count=300, width=24)


@pytest.fixture
def comparisons():
    two = Timing((1.0, 2.0)), Timing((4.0, 6.0))
    return [
        Comparison("stage A", two[0], "plain A", two[1], "none", operations={"float32": 3.0}),
        Comparison("stage B", two[1], "plain B", two[0], "1e-7"),
    ]


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["benchmarks", *map(str, arguments)])
    program.main()


def test_features_are_seeded_and_fall_off_as_those_of_networks(small):
    again = scores.features(count=300, width=24)
    assert all(np.array_equal(a, b) and a.dtype == np.float32 for a, b in zip(small, again, strict=True))
    spectrum = np.linalg.eigvalsh(np.cov(small[1].T))
    assert spectrum[-1] > 20 * np.median(spectrum)


def test_both_sides_of_each_score_agree(small):
    frechet = scores.compare_frechet(*small, repeats=1)
    assert frechet.results["here"] == pytest.approx(frechet.results["textbook"], rel=1e-6)
    prd = scores.compare_prd(*small, repeats=2)
    assert np.abs(np.mean(prd.results["here"], 0) - np.mean(prd.results["textbook"], 0)).max() < 0.05


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 3)])
def test_the_plain_loss_is_ours(size, channels):
    network = textbook.PlainVGG(features.make_extractor("random-vgg16", size), size)
    assert all(parameter.requires_grad for parameter in network.parameters())
    first, second = (material.pictures(4, channels, size) / 255).split(2)
    expected = losses.make_loss("random-vgg16", size)(first, second)
    torch.testing.assert_close(textbook.perceptual_loss(network, first, second), expected, rtol=1e-4, atol=0)


def test_a_gpu_is_given_whole_data_sets():
    small, large = material.Sizes(), material.Sizes.for_device(torch.device("cuda"))
    assert material.Sizes.for_device(CPU) == small
    assert [small.of_glo(size) for size in (28, 32, 64)] == [(128, 512), (128, 512), (64, 256)]
    assert [large.of_glo(size) for size in (28, 32, 64)] == [(128, 60_000), (128, 60_000), (64, 9000)]
    assert dataclasses.replace(large, glo_latents=None, large_glo_latents=None) == small
    assert 60_000 // 128 == 468 and QUICK.of_glo(64) == (4, 8)


@pytest.mark.parametrize(("latents", "words"), [(None, "batch 8"), (600, "batch 8, 600 latents")])
def test_a_row_names_the_latents_where_they_are_many(latents, words, monkeypatch):
    epochs = []
    monkeypatch.setattr(paths.textbook.PlainGLO, "epoch", lambda self, batch: epochs.append(len(self.images)))
    monkeypatch.setattr(glo.GLO, "run_epoch", lambda self, epoch: glo.GLOEpoch(epoch, 1.0, 0.01, 1.0))
    sizes = dataclasses.replace(QUICK, glo_latents=latents)
    (found,) = paths.compare_glo(sizes, CPU, 1, 28, 1)
    assert found.what == f"GLO step 28 px, grey, {words}" and epochs == [latents or 16] * 2


def test_operations_of_a_step_stand_under_the_devices_format_whatever_the_processor_has():
    images = material.pictures(4, 1, 28)
    config = GLOConfig(loss="random-vgg16-quarter", batch_size=4, epochs=9)
    counts = [
        paths.step_operations(images, dataclasses.replace(config, precision=name)) for name in ("float32", "bfloat16")
    ]
    assert list(counts[0]) == ["float32"] and counts[1] == {"bfloat16": counts[0]["float32"]}


def test_clocks_are_read_when_the_queue_is_empty(monkeypatch):
    told = []
    monkeypatch.setattr(timing, "synchronise", lambda device: told.append("wait"))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: told.append("clock") or 0.0)
    timed([lambda _: told.append("work")], 1, warm_up=True, device=torch.device("cuda"))
    assert told == ["work", "wait", "clock", "work", "wait", "clock"]


# Runs where what is not needed to train and sample cannot be imported.
BARE = """
import sys
names = "pandas matplotlib ipywidgets anywidget trimesh sklearn scipy faiss IPython nbformat papermill jinja2"
sys.modules.update(dict.fromkeys(names.split()))
import torch
from benchmarks import machine, paths
from benchmarks.material import QUICK
for name in ("imle", "neighbours"):
    assert paths.PATHS[name](QUICK, torch.device("cpu"), 1)[0].ratio > 0
try:
    paths.PATHS["fid"](QUICK, torch.device("cpu"), 1)
except ImportError as error:
    print(error)
"""


def test_what_needs_more_than_torch_is_imported_when_it_is_asked_for():
    command = [sys.executable, "-P", "-c", BARE]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "scipy" in done.stdout.splitlines()[-1]


def test_steps_of_stage_1_have_the_same_losses_on_both_sides():
    config = GLOConfig(loss="random-vgg16", batch_size=8, precision="float32", epochs=9)
    network, images = textbook.PlainVGG(features.make_extractor("random-vgg16", 28), 28), material.pictures(8, 1, 28)
    stage = glo.GLO(images, config, CPU)
    plain = textbook.PlainGLO(images, stage.generator, stage.latents, network)
    assert paths.first_losses(images, config, CPU, network)[0] == pytest.approx(plain.epoch(8)[0], rel=1e-5)
    stage.run_epoch(1)
    assert stage.run_epoch(3).loss == pytest.approx(plain.epoch(8)[0], rel=1e-3)  # after a step of Adam on either side


def test_stage_2_matches_and_learns_alike_on_both_sides():
    (found,) = paths.compare_imle(QUICK, CPU, 1)
    assert found.results["other_matches"] == 0
    assert found.results["here"] == pytest.approx(found.results["textbook"], rel=1e-4)


def test_every_search_finds_the_same_neighbours():
    found = paths.compare_neighbours(QUICK, CPU, 1)
    assert len(found) == len(textbook.searches(CPU)) and not any(c.results["other_indices"] for c in found)


@pytest.mark.parametrize(
    ("name", "key", "most"),
    [
        ("sampling", "grey_levels", 1),
        ("move-28", "grey_levels", 1),
        ("move-64", "grey_levels", 1),
        ("features", "relative", 1e-5),
    ],
)
def test_samples_and_features_are_equal_on_both_sides(name, key, most):
    (found,) = paths.PATHS[name](QUICK, CPU, 1)
    assert found.results[key] <= most and found.operations["float32"] > 1e6


def test_inversion_ends_at_the_same_loss_on_both_sides():
    (found,) = paths.compare_inversion(QUICK, CPU, 1)
    assert found.results["here"] == pytest.approx(found.results["textbook"], rel=0.02)  # bfloat16 on some machines


def test_epochs_that_take_a_snapshot_are_not_timed():
    numbers = paths._epochs()
    assert [next(numbers) for _ in range(5)] == [3, 5, 6, 7, 9]


def test_ratios_are_those_of_the_medians_and_spreads_reach_from_end_to_end():
    comparison = Comparison("a", Timing((1.0, 9.0, 2.0)), "b", Timing((10.0, 12.0, 11.0)), "none")
    assert comparison.ratio == 5.5 and comparison.here.spread == 8.0
    assert comparison.ratio_range == (12 / 9, 10.0)
    assert comparison.here.part(2).seconds == (0.5, 4.5, 1.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [((2.0, 3.0, 4.5), "3 s (spread 2.5)"), ((0.002,), "2 ms (spread 0)"), ((2e-7,), "0.2 µs (spread 0)")],
)
def test_times_are_written_in_a_unit_that_fits(seconds, words):
    assert str(Timing(seconds)) == words


def test_works_take_turns_after_a_warm_up_that_is_not_timed():
    calls = []

    def work(name, seconds):
        def run(number):
            calls.append((name, number))
            time.sleep(seconds)
            return number

        return run

    (slow, numbers), (fast, _) = timed([work("a", 0.02), work("b", 0.0)], 2, warm_up=True)
    assert calls == [("a", 0), ("b", 0), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert numbers == [0, 1] and slow.median >= 0.02 > fast.median


def test_operations_are_counted_by_number_format_and_set_against_the_ceiling():
    image, weight = torch.ones(1, 3, 8, 8), torch.ones(5, 3, 3, 3)

    def work():
        torch.ones(3, 4, dtype=torch.bfloat16) @ torch.ones(4, 5, dtype=torch.bfloat16)
        torch.nn.functional.conv2d(image, weight, padding=1)

    counts = count_operations(work)
    assert counts == {"bfloat16": 2 * 3 * 4 * 5, "float32": 2 * 8 * 8 * 5 * 27}
    second = Timing((1.0,))
    ceilings = {"bfloat16": 240.0, "float32": 2 * counts["float32"]}
    assert Comparison("a", second, "b", second, "", operations=counts).fraction(ceilings) == 1.0
    assert Comparison("a", second, "b", second, "").fraction(ceilings) is None
    assert Comparison("a", second, "b", second, "", operations={"float64": 1.0}).fraction(ceilings) is None


def test_the_machine_is_described_and_measured():
    description, rates = machine.describe(CPU), machine.ceilings(CPU, side=64, copied=2**16)
    assert description["cores"] >= 1 and description["gpu"] is None and set(machine.PACKAGES) <= set(description)
    formats = {"float32"} | ({"bfloat16"} if devices.has_bfloat16(CPU) else set())
    assert set(rates) == formats | {"copy"} and min(rates.values()) > 0
    assert "billion operations a second" in machine.words(description, rates)
    assert machine.peak_bytes(CPU) >= machine.used_bytes(CPU) > 0


@pytest.mark.parametrize(("kind", "side"), [("cpu", 2048), ("cuda", 8192)])
def test_the_ceiling_of_a_gpu_is_that_of_large_products(kind, side, monkeypatch):
    asked = []
    monkeypatch.setattr(machine, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(machine, "_product_seconds", lambda device, side, dtype: asked.append(side) or 1.0)
    monkeypatch.setattr(machine, "timed", lambda works, *_, **__: [(Timing((1.0,)), [])])
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: torch.empty(0))
    rates = machine.ceilings(torch.device(kind))
    assert asked == [side, side] and rates["bfloat16"] == 2 * side**3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeats", "0"], "--repeats is 0: give 1 or more"),
        (["--only", "fid", "gol-28"], f"unknown name 'gol-28': choose from {', '.join(paths.PATHS)}"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_comparison_that_cannot_run_is_named_and_the_others_go_on(comparisons, monkeypatch, capsys):
    def fails(*_):
        raise torch.OutOfMemoryError("no memory left\nmore words")

    monkeypatch.setitem(program.PATHS, "fid", fails)
    monkeypatch.setitem(program.PATHS, "prd", lambda *_: comparisons)
    found, left_out = program.compare(["fid", "prd"], QUICK, CPU, 1)
    assert found == comparisons and left_out == ["fid: no memory left"]
    assert capsys.readouterr().err.splitlines()[0] == "left out: fid: no memory left"


def test_the_absence_of_faiss_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert list(textbook.searches(CPU)) == ["torch.cdist, argmin, in blocks"]
    assert program.compare(["neighbours"], QUICK, CPU, 1)[1] == [program.NO_FAISS]


def test_a_quick_run_prints_a_table_and_writes_numbers_table_and_chart(tmp_path, monkeypatch, capsys):
    names = ["glo-28", "imle", "neighbours", "sampling", "fid"]
    run(monkeypatch, "--quick", "--repeats", 1, "--device", "cpu", "--folder", tmp_path, "--only", *names)
    output = capsys.readouterr()
    assert {path.name for path in tmp_path.iterdir()} == {"benchmarks.json", "benchmarks.md", "chart.png"}
    assert output.out == (tmp_path / "benchmarks.md").read_text()
    assert [line for line in output.err.splitlines() if line.split(":")[0] in names]
    record = json.loads((tmp_path / "benchmarks.json").read_text())
    assert record["machine"]["threads"] >= 1 and all(row["ratio"] > 0 for row in record["results"])
    assert sum(line.startswith("| ") for line in output.out.splitlines()) == len(record["results"]) + 1
    assert matplotlib.image.imread(tmp_path / "chart.png").shape[0] > 300


def test_the_chart_has_a_labelled_bar_a_comparison_after_a_round_through_json(comparisons):
    results = [program.as_record(c, {"float32": 10.0}) for c in comparisons]
    record = json.loads(
        json.dumps({"results": results, "machine": {"gpu": None, "processor": "P", "threads": 2, "limits": {"A": "B"}}})
    )
    (ax,) = chart.draw_ratios(record).axes
    assert [bar.get_width() + 1 for bar in ax.patches] == pytest.approx([c.ratio for c in comparisons])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["stage A\nagainst plain A", "stage B\nagainst plain B"]
    assert [text.get_text() for text in ax.texts] == ["3.33", "0.3"]
    assert ax.get_xscale() == "log" and ax.get_title(loc="left") == "P, threads: 2, A=B"


def test_the_points_of_growth_differ_in_one_thing():
    points = list(growth.Grid().points())
    assert all(getattr(point, point.panel) == point.value for point in points)
    assert {point.panel for point in points} == set(chart.PANELS)
    assert [p.latents > 0 for p in points] == [p.panel == "latents" for p in points]


@pytest.mark.parametrize(
    "point", [growth.Point("images", 8, images=8, batch=4), growth.Point("latents", 64, latents=64, batch=32)]
)
def test_a_point_of_growth_holds_time_and_memory(point):
    found = growth.measure(point, CPU, "float32")
    assert found["panel"] == point.panel and found["seconds"] > 0 and found["peak_bytes"] >= 0
    assert (found["cache_bytes"] > 0) == (point.panel == "images")


def test_growth_measures_each_point_in_a_process_of_its_own_and_draws_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(growth, "QUICK", growth.Grid((), (), (), (128, 1)))  # one latent is no training set
    run(monkeypatch, "--growth", "--quick", "--device", "cpu", "--folder", tmp_path)
    record = json.loads((tmp_path / "growth.json").read_text())
    (point,) = record["points"]
    assert point["value"] == 128 and point["peak_bytes"] > 0
    assert "growth, latents 1: left out: ValueError: 1 to train on" in capsys.readouterr().err
    assert (tmp_path / "growth.png").is_file()


def test_growth_has_two_rows_of_labelled_panels():
    points = [{"panel": p, "value": v, "seconds": v / 9, "peak_bytes": v * 2**20} for p in chart.PANELS for v in (2, 4)]
    machine = {"gpu": "G", "threads": 2, "limits": {}}
    axes = chart.draw_growth({"points": points, "precision": "bfloat16", "machine": machine}).axes
    assert [ax.get_xlabel() for ax in axes] == [""] * 4 + list(chart.PANELS.values())
    assert [axes[0].get_ylabel(), axes[4].get_ylabel()] == ["time of an epoch, s", "peak memory, MiB"]
    assert all(ax.get_xscale() == ax.get_yscale() == "log" and len(ax.lines) == 1 for ax in axes)


def test_two_trainings_at_once_are_measured_beside_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(together, "WAITS", {"asleep": {}})
    tiny = growth.Point("latents", 128, latents=128)
    monkeypatch.setattr(growth, "Point", lambda *_, **__: tiny)
    run(monkeypatch, "--together", "--quick", "--device", "cpu", "--folder", tmp_path)
    (row,) = json.loads((tmp_path / "together.json").read_text())["rows"]
    assert row["alone"] > 0 and row["slowdown"] == pytest.approx(row["together"] / row["alone"])
    assert "slowdown" in capsys.readouterr().out


def test_a_run_beside_another_that_fails_says_why():
    point = growth.Point("latents", 1, latents=1)  # no training set
    with pytest.raises(RuntimeError, match="1 to train on"):
        together.measure_all(point, CPU, "float32")


PUBLISHED = ROOT / "results" / "published" / "benchmarks"


def test_benchmarks_are_published():
    assert (PUBLISHED / "amd-epyc-2-threads" / "benchmarks.json").is_file()


@pytest.mark.parametrize("folder", sorted(path.parent for path in PUBLISHED.glob("*/benchmarks.json")), ids=str)
def test_published_ratios_follow_from_the_seconds(folder):
    record = json.loads((folder / "benchmarks.json").read_text())
    assert record["machine"]["commit"] and not record["machine"]["uncommitted_changes"]
    for row in record["results"]:
        here, book = (statistics.median(row[side]["seconds"]) for side in ("here", "textbook_time"))
        assert row["ratio"] == pytest.approx(book / here)
        assert f"{row['ratio']:.3g} (" in (folder / "benchmarks.md").read_text()
    assert len(chart.draw_ratios(record).axes[0].patches) == len(record["results"])


WAYS = ["released recipe", "cheaper recipe", "cheaper, new random weights in every epoch"]


def test_what_quality_costs_is_told_way_by_way(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(quality, "SAMPLES", 64)
    run(monkeypatch, "--quality", "digits", "--quick", "--repeats", 2, "--folder", tmp_path, "--ways", *WAYS)
    record = json.loads((tmp_path / "quality.json").read_text())
    rows = record["rows"]
    assert [(row["way"], row["seed"]) for row in rows] == [(way, seed) for way in WAYS for seed in (0, 1)]
    assert (rows[0]["settings"]["glo_optimiser"], rows[2]["settings"]["glo_optimiser"]) == ("official", "persistent")
    assert [row["steps"] for row in rows[:3:2]] == [2, 6]  # 200 images in batches of 128 and of 64, two epochs
    for row in rows:
        assert min(row["seconds"], row["error"], row["samples, random VGG16"]) > 0
    assert rows[0]["samples, random VGG16"] != rows[1]["samples, random VGG16"]
    told = capsys.readouterr().out
    assert all(told.count(f"| {way}") == 1 for way in WAYS) and "±" in told


def test_ways_have_as_many_epochs_as_fit_into_the_minutes(monkeypatch, tmp_path):
    monkeypatch.setattr(quality, "SAMPLES", 64)
    monkeypatch.setattr(quality.timing, "step_seconds", lambda settings, *_: 0.1 if settings.batch_size == 128 else 0.3)
    options = ["--minutes", 0.03, "--images", 150, "--repeats", 1, "--folder", tmp_path, "--ways", *WAYS[:2]]
    run(monkeypatch, "--quality", "digits", "--quick", *options)
    rows = json.loads((tmp_path / "quality.json").read_text())["rows"]
    assert [row["settings"]["glo_epochs"] for row in rows] == [18, 3]  # 1.8 s by steps of 0.1 s, two of 0.3 s an epoch
    assert [row["steps"] for row in rows] == [18, 6] and rows[0]["settings"]["data_train_images"] == 150


def test_a_loss_redrawn_in_every_epoch_has_other_weights_in_each():
    images = pictures(16, 1, 28)
    config = GLOConfig(loss="random-vgg16-quarter", epochs=2, batch_size=8, latent_dim=8, precision="float32")
    stage = quality.Redrawn(images, config, CPU)
    seen = []
    for epoch in (1, 2):
        stage.run_epoch(epoch)
        seen.append(next(stage.loss.represent.extractors[0].stages.parameters()).clone())
        assert all(
            torch.equal(a, b)
            for a, b in zip(
                stage.targets(torch.arange(3), None), stage.loss.targets(losses.unit(images[:3])), strict=True
            )
        )
    assert not torch.equal(*seen)


# The ways that are the quick profile's.
USED = {"digits": "narrower recipe", "mnist": "released, a quarter in batches of 64, T 256 wide"}


def test_every_way_is_another_setting():
    for dataset in ("digits", "mnist", "celeba"):
        ways, quick = quality.ways(dataset), make_config(dataset)
        assert ways[0].name == "released recipe" and {way.name for way in ways} >= set(USED.values())
        found = [make_config(dataset, **way.settings) for way in ways]
        different = {(config.glo, config.imle, way.stage) for config, way in zip(found, ways, strict=True)}
        assert len(different) == len({way.name for way in ways}) == len(ways)
        used = found[[way.name for way in ways].index(USED.get(dataset, "released recipe"))]
        own = dataclasses.replace(quick.glo, batch_size=128) if dataset == "celeba" else quick.glo
        assert (dataclasses.replace(used.glo, decay_every=own.decay_every), used.imle) == (own, quick.imle)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["letters"], "unknown data set 'letters'"),
        (["digits", "--ways", "best"], "unknown way 'best'"),
        (["digits", "--minutes", "0"], "--minutes is 0.0: give more than 0"),
    ],
)
def test_an_unknown_data_set_or_way_of_quality_is_one_line(monkeypatch, capsys, given, said):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--quality", *given)
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_two_processes_are_timed_beside_one(monkeypatch, tmp_path):
    options = ["--quick", "--repeats", "1", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.shared", *options])
    shared.main()
    record = json.loads((tmp_path / "shared.json").read_text())
    one, two = record["rows"]
    assert [(row["processes"], row["held"], row["images"]) for row in (one, two)] == [(1, 16, 16), (2, 8, 16)]
    assert one["glo_step_rate"] == one["imle_epoch_rate"] == 1
    assert two["glo_step_rate"] == pytest.approx(one["glo_step"] / two["glo_step"]) and two["imle_epoch"] > 0
    assert record["machine"]["device"] == "cpu"


def test_processes_that_cannot_share_a_batch_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks.shared", "--quick", "--repeats", "1", "--processes", "1", "3"])
    with pytest.raises(SystemExit):
        shared.main()
    assert capsys.readouterr().err.splitlines()[-1].startswith("python -m benchmarks.shared: error: ")


class Lists:
    """In place of faiss.IndexIVFFlat: the nearest point, or for every other query one that is farther."""

    nprobe = 1

    def __init__(self, centres, width, lists):
        assert width == material.LATENT_DIM

    def train(self, points):
        assert len(points) >= 8

    def add(self, points):
        self.points = torch.from_numpy(points)

    def search(self, queries, count):
        squares, index = torch.cdist(torch.from_numpy(queries), self.points).square().topk(2, largest=False)
        place = torch.arange(len(index)) % 2 if self.nprobe == 1 else torch.zeros(len(index), dtype=torch.long)
        return [values.gather(1, place[:, None]).numpy() for values in (squares, index)]


def test_lists_are_judged_by_what_the_exact_search_finds(monkeypatch, tmp_path, capsys):
    fake = types.SimpleNamespace(IndexFlatL2=lambda width: width, IndexIVFFlat=Lists, __version__="0")
    monkeypatch.setitem(sys.modules, "faiss", fake)
    fake.__spec__ = importlib.machinery.ModuleSpec("faiss", None)
    options = ["--latents", "200", "--queries", "40", "--lists", "8", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.scale", *options])
    scale.main()
    rows = json.loads((tmp_path / "scale.json").read_text())["rows"]
    assert [row["way"] for row in rows] == ["exact, as here", "1 of 8 lists", "4 of 8 lists"]
    assert [row["recall"] for row in rows] == [1, 0.5, 1]
    assert rows[1]["farther"] > 1 and rows[2]["farther"] == pytest.approx(1, abs=1e-4)
    for row in rows:
        assert row["epoch_s"] == pytest.approx(row["build_s"] + 200 * row["query_s"])


def test_without_faiss_the_lists_are_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(sys, "argv", ["benchmarks.scale", "--latents", "20"])
    with pytest.raises(SystemExit):
        scale.main()
    assert "faiss is not installed: pip install faiss-cpu" in capsys.readouterr().err.splitlines()[-1]


def test_eyes_rank_real_images_before_all_others(monkeypatch, tmp_path, capsys):
    options = ["digits", "--images", "20", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.eyes", *options])
    monkeypatch.setattr(eyes, "EYES", ("random-vgg16",))
    eyes.main()
    (row,) = json.loads((tmp_path / "eyes.json").read_text())["rows"]
    assert (row["model"], row["images"], row["eyes"]) == ("digits", 20, "random-vgg16")
    assert 0 < row["real training images"] < row["GLANN"] < row["Gaussian"]


def test_the_third_stage_of_a_released_model_is_scored(monkeypatch, tmp_path, capsys):
    options = ["digits", "--images", "20", "--epochs", "1", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.refining", *options])
    model = refining.Glann.load("digits", "cpu")
    model.config = dataclasses.replace(model.config, refine=refining.RefineConfig())  # as if it had had two stages
    monkeypatch.setattr(refining.Glann, "load", lambda *_: model)
    monkeypatch.setattr(refining, "make_score_extractor", lambda _, *own: make_score_extractor("random-vgg16", *own))
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    refining.main()
    (row,) = json.loads((tmp_path / "refining.json").read_text())["rows"]
    assert (row["model"], row["images"], row["epochs"]) == ("digits", 20, 1) and row["seconds"] > 0
    assert row["stage 3"] != row["GLANN"] and 0 < row["real training images"] < row["stage 3"]
    assert row["stage 3, random-vgg16"] == row["stage 3"]  # the same eyes here
    assert all(row[f"{of}, nearest"] > 0 for of in ("GLANN", "stage 3", "unseen"))


def test_eyes_on_an_unknown_model_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks.eyes", "unicorns"])
    with pytest.raises(SystemExit):
        eyes.main()
    assert "unicorns" in capsys.readouterr().err.splitlines()[-1]
