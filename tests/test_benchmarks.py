"""The benchmarks on small features: both sides agree, and the table and the file say what was measured."""

import json

import numpy as np
import pytest

from benchmarks import __main__ as program
from benchmarks import scores


@pytest.fixture
def small():
    return scores.features(count=300, width=24)


def test_features_are_seeded_and_fall_off_as_those_of_networks(small):
    again = scores.features(count=300, width=24)
    assert all(np.array_equal(a, b) and a.dtype == np.float32 for a, b in zip(small, again, strict=True))
    spectrum = np.linalg.eigvalsh(np.cov(small[1].T))
    assert spectrum[-1] > 20 * np.median(spectrum)


def test_both_sides_of_each_comparison_agree(small):
    frechet = scores.compare_frechet(*small, repeats=1)
    assert frechet.results["here"] == pytest.approx(frechet.results["textbook"], rel=1e-6)
    prd = scores.compare_prd(*small, repeats=2)
    assert np.abs(np.mean(prd.results["here"], 0) - np.mean(prd.results["textbook"], 0)).max() < 0.05


def test_a_ratio_is_that_of_the_medians():
    comparison = scores.Comparison("a", scores.Timing((1.0, 9.0, 2.0)), "b", scores.Timing((10.0, 12.0)), "none")
    assert comparison.ratio == 5.5 and comparison.here.spread == 8.0


def test_the_program_prints_a_table_and_writes_the_numbers(small, tmp_path, monkeypatch, capsys):
    path = tmp_path / "numbers.json"
    monkeypatch.setattr(scores, "features", lambda: small)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--repeats", "1", "--json", str(path)])
    program.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and "Fréchet distance 300 x 24" in lines[2] and "PRD 300 x 24" in lines[3]
    record = json.loads(path.read_text())
    assert record["machine"]["cores"] >= 1 and [row["ratio"] > 0 for row in record["results"]] == [True, True]


def test_repeats_below_one_are_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "--repeats", "0"])
    with pytest.raises(SystemExit):
        program.main()
    assert "--repeats is 0: give 1 or more" in capsys.readouterr().err
