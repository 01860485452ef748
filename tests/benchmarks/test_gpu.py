"""The script for a GPU machine, on a processor with tiny sizes: all parts run, go on, and come back in few files."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.gpu import __main__ as program
from benchmarks.gpu import facts, packing, runs
from benchmarks.gpu.running import Job, Part
from glann_lib import Glann
from glann_lib.engine import training

ROOT = Path(__file__).resolve().parents[2]
# Read by every Python that is started with its folder in PYTHONPATH: these packages cannot be imported there.
BLOCKED = ["pandas", "matplotlib", "scipy", "sklearn", "trimesh", "ipywidgets", "anywidget", "papermill", "nbformat"]
BLOCKED += ["IPython", "k3d", "jinja2", "torch_fidelity", "faiss", "pytest", "hypothesis", "xdist", "tabulate"]
BLOCK = f"import sys\nsys.modules.update(dict.fromkeys({BLOCKED}))\n"


def start(folder, *options, path=None):
    """The script in a process of its own, on tiny sizes; its output, and gpu.json."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", folder / "out", "--work", folder / "work", "--quick"]
    known = {name: value for name, value in os.environ.items() if not name.startswith("GLANN")}
    environment = known | {"PYTHONPATH": str(path or ""), "OMP_NUM_THREADS": "1", "GLANN_PROGRESS": "lines"}
    command += ["--device", "cpu", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout, json.loads((folder / "out" / "gpu.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder where all parts were done."""
    folder = tmp_path_factory.mktemp("whole")
    start(folder)
    return folder


@pytest.fixture(scope="module")
def values(whole):
    """What each part of it gave."""
    parts = json.loads((whole / "out" / "gpu.json").read_text())["parts"]
    assert {name: part["state"] for name, part in parts.items()} == dict.fromkeys(program.ASKED, "done"), parts
    return {name: part["values"] for name, part in parts.items()}


def test_the_machine_and_its_tests_are_told(values):
    assert values["machine"]["device"] == "cpu" and torch.__version__.startswith(values["machine"]["versions"]["torch"])
    assert len(values["machine"]["code_sha256"]) == 64
    assert values["tests"]["failed"] == [] and "10 passed" in values["tests"]["summary"]
    assert values["precision"]["same"] and values["precision"]["formats"][0] in ("float32", "bfloat16")


def test_steps_are_timed_and_profiled(values, whole):
    for found in (values["step"]["float32"], values["imle"]):
        assert [row["epoch"] for row in found["epochs"]] == [1, 3, 5] and found["steps"] == 4
        assert all(row["seconds_a_step"] == pytest.approx(row["seconds"] / 4) for row in found["epochs"])
        assert found["recorded"] is False and found["peak_bytes"] > 0
    assert values["step"]["float32"]["cached"]
    for name, found in values["profile"].items():
        assert found["ms_a_step"] > 0 and found["top"][0]["ms"] >= found["top"][-1]["ms"]
        assert "conv" in (whole / "work" / f"profile-{name}.txt").read_text()


def test_bits_are_equal_and_nothing_is_found_wrong(values):
    assert values["bits"]["deterministic"]["equal"] and values["bits"]["cost"] > 0
    assert values["resume"]["equal"] and values["resume"]["stopped_after"] == 2
    assert values["resume"]["losses"]["whole"] == values["resume"]["losses"]["resumed"]
    assert values["search"]["wrong"] == 0 and values["search"]["judged"] == 100
    assert len(values["search"]["seconds"]) == 5
    assert len(values["memory"]["used"]) == 4 and len(values["memory"]["collected"]) == 3


def test_lines_stand_beside_the_textbook(values):
    lines = values["lines"]["lines"]
    assert set(lines) == set(facts.QUICK_LINES) and set(lines) <= set(facts.ON_GPU)
    assert all(row["ratio"] > 0 and row["here"]["seconds"] for line in lines.values() for row in line["rows"])


def test_the_run_leaves_a_model_its_picture_and_scores(values, whole):
    found, folder = values["mnist"], whole / "work" / "runs" / "mnist"
    assert found["glo"]["epochs"] == found["imle"]["epochs"] == 3 and found["config"]["profile"] == "paper"
    assert found["glo"]["last_loss"] < found["glo"]["first_loss"]
    assert {"frechet", "f8"} <= {row["metric"] for row in found["scores"]["scores"] if math.isfinite(row["value"])}
    model = Glann.load(folder / "model.safetensors", "cpu")
    picture = torch.from_numpy(np.array(Image.open(folder / "samples.png").convert("L")))
    assert picture.shape == (112, 280)
    assert torch.equal(picture[:28, :28], model.sample(1)[0, 0])
    assert model.record["data"]["name"] == "pictures" and model.record["device"].startswith("cpu")
    assert len(json.loads((folder / "glo.json").read_text())) == 3


def test_the_packs_hold_the_same_files_for_another_machine(whole, tmp_path, capsys):
    packed = json.loads((whole / "out" / "gpu.json").read_text())["packed"]
    assert packed["parts"] == ["gpu.tar.gz.0"] and packed["left_out"] == []
    arguments = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--from", str(whole / "out")]
    assert program.main([*arguments, "--quick"]) == 0  # nothing is left to do
    said = capsys.readouterr().out
    assert all(f"{name}: done already" in said for name in program.ASKED)
    kept = {path.relative_to(tmp_path / "work"): path for path in (tmp_path / "work").rglob("*") if path.is_file()}
    wanted = {path.relative_to(whole / "work"): path for path in packing._files(whole / "work")}
    assert kept.keys() == wanted.keys() and len(kept) == packed["files"]
    assert all(kept[name].read_bytes() == path.read_bytes() for name, path in wanted.items())


def test_what_is_missing_on_a_bare_machine_is_left_out(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    names = ["machine", "tests", "mnist"]
    said, record = start(tmp_path, "--only", *names, path=tmp_path)
    assert [record["parts"][name]["state"] for name in names] == ["done"] * 3, said
    found = {name: record["parts"][name]["values"] for name in names}
    assert {"scipy", "pandas", "pytest", "faiss"} <= set(found["machine"]["missing"])
    assert "pytest" in found["tests"]["left_out"] and "scipy" in found["mnist"]["scores"]["left_out"]
    assert (tmp_path / "work" / "runs" / "mnist" / "model.safetensors").is_file()


def test_a_run_that_is_late_stops_and_goes_on_at_the_next_call(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(runs, "_score", lambda *_: {})
    first = runs.run("mnist", Job("cpu", tmp_path, until=0.0, quick=True))
    assert first["unfinished"] == "glo: 1 of 3 epochs" and "imle" not in first
    before = json.loads((tmp_path / "runs" / "mnist" / "glo.json").read_text())
    second = runs.run("mnist", Job("cpu", tmp_path, quick=True, before={"peak_bytes": 10**15}))
    after = json.loads((tmp_path / "runs" / "mnist" / "glo.json").read_text())
    assert "unfinished" not in second and len(after) == 3 and after[:1] == before  # its seconds, too
    assert second["peak_bytes"] == 10**15


def test_trained_models_wait_for_their_scores_where_time_is_short(tmp_path, monkeypatch):
    job = Job("cpu", tmp_path, until=time.time() + 50, quick=True)
    monkeypatch.setattr(Job, "pick", lambda self, whole, quick: whole if whole == runs.ENOUGH else quick)
    assert runs.run("mnist", job)["unfinished"] == "trained; samples and scores are to come"


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The script with one part of our own, in this process; options go to a call of it."""

    def call(work, *options, least=0.0, limit=math.inf):
        monkeypatch.setattr(program, "PARTS", (Part("own", work, least, limit),))
        monkeypatch.setattr(program, "QUICK_LEAST", least)
        folders = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--only", "own"]
        code = program.main([*folders, "--device", "auto", "--quick", *options])
        return code, json.loads((tmp_path / "out" / "gpu.json").read_text())["parts"].get("own")

    return call


def test_a_part_is_not_begun_without_the_minutes_that_it_needs(tiny, capsys):
    assert tiny(lambda job: {"x": 1}, "--minutes", "0.5", least=60.0) == (1, None)
    assert "own: not begun, 29 s are left and it needs 60" in capsys.readouterr().out
    code, found = tiny(lambda job: {"x": 1}, "--minutes", "2", least=60.0)
    assert code == 0 and found["state"] == "done" and found["values"] == {"x": 1}


def test_a_part_that_fails_is_told_and_tried_again(tiny):
    def fails(job):
        raise RuntimeError("no kernel\nmore words")

    code, found = tiny(fails)
    assert (code, found["state"], found["reason"], found["tries"]) == (1, "failed", "RuntimeError: no kernel", 1)
    code, found = tiny(lambda job: {"unfinished": "half", "done": 0.5})
    assert (code, found["state"], found["reason"]) == (1, "unfinished", "half")
    code, found = tiny(lambda job: {"before": job.before["done"]})
    assert (code, found["state"], found["values"], found["tries"]) == (0, "done", {"before": 0.5}, 3)
    assert tiny(lambda job: {"x": 2})[1]["tries"] == 3
    assert tiny(lambda job: {"x": 2}, "--again")[1]["values"] == {"x": 2}


def test_a_part_that_hangs_or_dies_takes_nothing_with_it(tiny, tmp_path):
    def hangs(job):
        subprocess.Popen([sys.executable, "-c", f"import time\ntime.sleep(3)\nopen({str(tmp_path / 'late')!r}, 'w')"])
        print("before it hung", flush=True)
        time.sleep(60)

    _, found = tiny(hangs, limit=1.0)
    assert (found["state"], found["reason"]) == ("failed", "stopped after 1 s: before it hung")
    _, found = tiny(lambda job: os._exit(7))
    assert found["state"] == "failed" and found["reason"].startswith("ended with exit status 7: --- own, try 2")
    time.sleep(2.5)
    assert not (tmp_path / "late").exists()


def test_a_line_that_takes_the_process_with_it_comes_last_at_the_next_call(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(facts, "QUICK_LINES", ("a", "b"))
    monkeypatch.setattr(facts, "_line", lambda name, *_: order.append(name) or {"rows": []})
    folder = tmp_path / "lines"
    folder.mkdir()
    (folder / "a.json").write_text('{"error": "the process ended in it"}')
    job = Job("cpu", tmp_path, quick=True)
    assert "error" not in facts.lines(job) and order == ["b", "a"]
    assert facts.lines(job)["lines"] == {"a": {"rows": []}, "b": {"rows": []}} and order == ["b", "a"]
    (folder / "b.json").unlink()
    late = facts.lines(Job("cpu", tmp_path, until=0.0, quick=True))
    assert late["unfinished"] == "not measured yet: b"


def test_what_does_not_fit_is_left_out_the_largest_first(tmp_path):
    work, out = tmp_path / "work", tmp_path / "out"
    for name, size in {"a/large": 5000, "a/middle": 1500, "small": 900, "data/x": 10, ".part": 10}.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(os.urandom(size))
    packed = packing.pack(work, out, part=1000, parts=4)
    assert packed["left_out"] == ["a/large"] and packed["files"] == 2 and len(packed["parts"]) in (3, 4)
    assert all(path.stat().st_size <= 1000 for path in out.iterdir())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "small").write_text("newer")
    assert packing.unpack(out, tmp_path / "other") == 1  # what is there stays
    assert (tmp_path / "other" / "small").read_text() == "newer"
    assert (tmp_path / "other" / "a" / "middle").read_bytes() == (work / "a" / "middle").read_bytes()
    (out / packed["parts"][-1]).unlink()
    with pytest.raises(ValueError, match="damaged, or not all of them are there"):
        packing.unpack(out, tmp_path / "third")
    packing.pack(work, out, part=10_000)
    assert [path.name for path in out.iterdir()] == ["gpu.tar.gz.0"]  # older parts are gone


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "step", "stepp"], "unknown part 'stepp': choose from machine, tests,"),
        (["--device", "cuda"], "this machine has no cuda device that torch can use"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--minutes", "0"], "--minutes is 0: give more than 0"),
        (["--minutes", "inf"], "--minutes is inf: give more than 0"),
        (["--from", "nowhere"], "nowhere holds no gpu.tar.gz.0"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        program.main(["--out", str(tmp_path), "--work", str(tmp_path / "work"), *options])
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_the_tests_of_the_script_exist():
    assert [name for name in facts.TESTS + facts.QUICK_TESTS if not (ROOT / name).is_file()] == []


def test_a_conftest_that_cannot_be_imported_is_done_without(monkeypatch, tmp_path):
    said = iter(["ImportError while loading conftest 'x'", "FAILED tests/a.py::b - c\n1 failed, 2 passed in 3 s"])
    asked = []
    monkeypatch.setattr(facts, "_said", lambda command, **_: asked.append(command) or next(said))
    found = facts.run_tests(Job("cpu", tmp_path, quick=True))
    assert found["without_conftest"] and found["error"] == "1 failed, 2 passed in 3 s" and len(found["failed"]) == 1
    assert ["--noconftest" in command for command in asked] == [False, True]
