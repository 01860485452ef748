"""Costs as work grows, of several processes, and of a million latents beside faiss's lists."""

import importlib
import json
import sys
import types
from pathlib import Path

import pytest
import torch

from benchmarks import chart, material
from benchmarks.speed import growth, scale, shared, together

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]


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


def test_growth_measures_each_point_in_a_process_of_its_own_and_draws_it(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(growth, "QUICK", growth.Grid((), (), (), (128, 1)))  # one latent is no training set
    run("--growth", "--quick", "--device", "cpu", "--folder", tmp_path)
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


def test_two_trainings_at_once_are_measured_beside_one(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(together, "WAITS", {"asleep": {}})
    tiny = growth.Point("latents", 128, latents=128)
    monkeypatch.setattr(growth, "Point", lambda *_, **__: tiny)
    run("--together", "--quick", "--device", "cpu", "--folder", tmp_path)
    (row,) = json.loads((tmp_path / "together.json").read_text())["rows"]
    assert row["alone"] > 0 and row["slowdown"] == pytest.approx(row["together"] / row["alone"])
    assert "slowdown" in capsys.readouterr().out


def test_a_run_beside_another_that_fails_says_why():
    point = growth.Point("latents", 1, latents=1)  # no training set
    with pytest.raises(RuntimeError, match="1 to train on"):
        together.measure_all(point, CPU, "float32")


def test_two_processes_are_timed_beside_one(monkeypatch, tmp_path):
    options = ["--quick", "--repeats", "1", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.speed.shared", *options])
    shared.main()
    record = json.loads((tmp_path / "shared.json").read_text())
    one, two = record["rows"]
    assert [(row["processes"], row["held"], row["images"]) for row in (one, two)] == [(1, 16, 16), (2, 8, 16)]
    assert one["glo_step_rate"] == one["imle_epoch_rate"] == 1
    assert two["glo_step_rate"] == pytest.approx(one["glo_step"] / two["glo_step"]) and two["imle_epoch"] > 0
    assert record["machine"]["device"] == "cpu"


def test_processes_that_cannot_share_a_batch_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks.speed.shared", "--quick", "--repeats", "1", "--processes", "1", "3"])
    with pytest.raises(SystemExit):
        shared.main()
    assert capsys.readouterr().err.splitlines()[-1].startswith("python -m benchmarks.speed.shared: error: ")


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
    monkeypatch.setattr(sys, "argv", ["benchmarks.speed.scale", *options])
    scale.main()
    rows = json.loads((tmp_path / "scale.json").read_text())["rows"]
    assert [row["way"] for row in rows] == ["exact, as here", "1 of 8 lists", "4 of 8 lists"]
    assert [row["recall"] for row in rows] == [1, 0.5, 1]
    assert rows[1]["farther"] > 1 and rows[2]["farther"] == pytest.approx(1, abs=1e-4)
    for row in rows:
        assert row["epoch_s"] == pytest.approx(row["build_s"] + 200 * row["query_s"])


def test_without_faiss_the_lists_are_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(sys, "argv", ["benchmarks.speed.scale", "--latents", "20"])
    with pytest.raises(SystemExit):
        scale.main()
    assert "faiss is not installed: pip install faiss-cpu" in capsys.readouterr().err.splitlines()[-1]
