"""The commands under which notebooks ran are read from their executed copies."""

import json

import pytest

from glann_lib.companion.commands import commands, read_executed
from glann_lib.records import runs


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, ["./run_all.sh --dataset fashion"]),
        ({"03": {"samples": 9}, "05": {"samples": 9}}, ["./run_all.sh --dataset fashion --set samples=9"]),
        (
            {"03": {"samples": 9}},  # then 05 had none, though it declares it
            ["./run_all.sh --dataset fashion --only 03 --set samples=9", "./run_all.sh --dataset fashion --only 05"],
        ),
        (
            {"05": {"seeds": 3, "names": "a b"}, "03": {"count": 2}},
            ["./run_all.sh --dataset fashion --set count=2 --set seeds=3 --set 'names=a b'"],
        ),
        (
            {"03": {"seed": 4, "profile": "paper"}, "05": {"seed": 4, "profile": "paper"}},
            ["./run_all.sh --dataset fashion --profile paper --seed 4"],
        ),
    ],
)
def test_the_commands_give_each_notebook_its_settings(tmp_path, execute, given, wanted):
    first = execute(tmp_path, "03_sampling", "samples = 1000\ncount = 1\n", **given.get("03", {}))
    cell = "samples = None\nseeds = 1.0e-3\nnames = 'all'\n"
    second = execute(tmp_path, "05_fid_prd_tables", cell, **given.get("05", {}))
    assert commands([read_executed(first), read_executed(second)]) == wanted


def test_an_executed_notebook_tells_time_and_parameters(tmp_path, execute, write_notebook):
    copy = read_executed(execute(tmp_path, "03_sampling", "samples = 1000\ncount = 1\n", count=2))
    assert copy.fault is None and copy.seconds == 65.4
    assert copy.given["count"] == copy.values["count"] == 2 and copy.usual["count"] == 1
    assert copy.values["samples"] == 1000 and "samples" not in copy.given
    never = read_executed(write_notebook(tmp_path / "04_never.ipynb", "1 + 1"))
    assert never.fault == "is not executed to its end" and (never.seconds, never.given) == (0, {})


def tell(path, text):
    content = json.loads(path.read_text())
    content["cells"][-2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [text]}]
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(("told", "earlier"), [(900, 900), (60, 0)])
def test_training_that_was_found_made_is_no_part_of_the_time(tmp_path, execute, told, earlier):
    path = execute(tmp_path, "01_glo_embedding")
    tell(path, f"5 images\ntrained in {told} s\n")
    copy = read_executed(path)
    assert (copy.seconds, copy.earlier, copy.whole) == (65.4, earlier, 65.4 + earlier)


@pytest.mark.parametrize("name", ["01_glo_embedding", "02_imle_mapping"])
def test_the_notebooks_that_train_tell_how_long(name):
    assert r"print(f\"trained in {" in (runs.ROOT / "notebooks" / f"{name}.ipynb").read_text()
