"""The program of benchmarks on tiny data: options, tables, files and charts, and what is published."""

import json
import statistics
from pathlib import Path

import matplotlib.image
import pytest
import torch

from benchmarks import __main__ as program
from benchmarks import chart
from benchmarks.material import QUICK
from benchmarks.speed import paths, textbook
from benchmarks.timing import Comparison, Timing

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def comparisons():
    two = Timing((1.0, 2.0)), Timing((4.0, 6.0))
    return [
        Comparison("stage A", two[0], "plain A", two[1], "none", operations={"float32": 3.0}),
        Comparison("stage B", two[1], "plain B", two[0], "1e-7"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeats", "0"], "--repeats is 0: give 1 or more"),
        (["--only", "fid", "gol-28"], f"unknown name 'gol-28': choose from {', '.join(paths.PATHS)}"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(arguments, message, run, capsys):
    with pytest.raises(SystemExit):
        run(*arguments)
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


def test_a_quick_run_prints_a_table_and_writes_numbers_table_and_chart(tmp_path, run, capsys):
    names = ["glo-28", "imle", "neighbours", "sampling", "fid"]
    run("--quick", "--repeats", 1, "--device", "cpu", "--folder", tmp_path, "--only", *names)
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
