"""Progress: a bar where somebody watches, else lines that come more rarely the longer it takes."""

import itertools
from dataclasses import dataclass

import pytest

from glann_lib.engine import progress


@dataclass(frozen=True)
class Epoch:
    loss: float = 0.5
    seconds: float = 2.0


@pytest.fixture
def unwatched(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


def slow(monkeypatch, seconds):
    """Every look at the clock comes so much later."""
    clock = itertools.count(0.0, seconds)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))


def test_lines_come_every_few_seconds_with_the_time_left(unwatched, monkeypatch, capsys):
    slow(monkeypatch, 2)
    records = [Epoch() for _ in range(10)]
    assert list(progress.epochs(records, 10, "glo")) == records
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"glo: epoch {n}/10" for n in (3, 6, 9, 10)]
    assert [line.rpartition(", ")[2] for line in lines] == ["14 s left", "8 s left", "2 s left", "0 s left"]


def test_the_time_left_foresees_that_the_first_epochs_are_short(unwatched, monkeypatch, capsys):
    slow(monkeypatch, 60)
    records = [Epoch(seconds=10), Epoch(seconds=10), Epoch(seconds=40), Epoch(seconds=40)]
    assert list(progress.epochs(records, 4, "glo", short=2)) == records
    left = [line.rpartition(", ")[2] for line in capsys.readouterr().out.splitlines()]
    assert left == ["90 s left", "80 s left", "40 s left", "0 s left"]


def test_lines_of_a_long_training_come_more_rarely(unwatched, monkeypatch, capsys):
    slow(monkeypatch, 6)
    list(progress.epochs([Epoch()] * 500, 500, "glo"))
    said = [int(line.split()[2].partition("/")[0]) for line in capsys.readouterr().out.splitlines()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(said)]
    assert gaps[0] == 1 and max(gaps) == 11 and len(said) < 80  # a minute and an epoch at most
    assert gaps[:-1] == sorted(gaps[:-1])


def test_a_bar_is_shown_where_somebody_watches(monkeypatch, capsys):
    monkeypatch.delenv("GLANN_PROGRESS", raising=False)
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    records = [Epoch(0.2)] * 5
    assert list(progress.epochs(records, 5, "glo")) == records
    out, err = capsys.readouterr()
    assert out == "" and "glo" in err and "5/5" in err and "loss 0.2000" in err


def test_items_are_counted_on_stderr_and_only_where_they_take_long(unwatched, monkeypatch, capsys):
    assert list(progress.items("abc", 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
    slow(monkeypatch, 3)
    assert list(progress.items("abcd", 1234, "letters")) == ["a", "b", "c", "d"]
    assert capsys.readouterr() == ("", "letters: 2 of 1,234\nletters: 4 of 1,234\n")
