"""The command line's promises: what it refuses, what it runs, and what a failing notebook leaves behind."""

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_files import write_files, write_zip

from glann_lib.companion import arguments, catalogue, execution, pipeline
from glann_lib.engine import devices, storage

ROOT = Path(__file__).resolve().parents[2]
PREFLIGHT = pipeline._preflight
CHOOSE_SHAPES = "--dataset made-chairs, chairs or meshes:PATH"
CHOOSE_IMAGES = "--dataset digits, mnist, fashion, cifar10, svhn, svhn-crops, celeba or folder:PATH"
COUNTING = "import time\nfor line in range(count):\n    print('line', line, flush=True)\n    time.sleep(0.7)"


@pytest.fixture(autouse=True, scope="module")
def environment():
    """What main() sets in the environment is taken back afterwards; nothing is asked of torch (it takes seconds)."""
    before = dict(os.environ)
    os.environ.pop("GLANN_RESULTS", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_preflight", lambda plan: ["a device"])
        yield
    os.environ.clear()
    os.environ.update(before)


class Clock(io.StringIO):
    """Remembers when each text was written."""

    def __init__(self):
        super().__init__()
        self.times = {}

    def write(self, text):
        self.times.setdefault(text.strip(), time.monotonic())
        return super().write(text)


def run(argv, notebooks):
    """Exit code, stdout and stderr of one command line."""
    out, err = Clock(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = pipeline.main([str(argument) for argument in argv], Path(notebooks))
    return code, out, err.getvalue()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--dataset", "mnits"], "did you mean mnist?"),
        (["--dataset", "array"], "unknown data set 'array': choose one of digits"),
        (["--dataset", "folder:/no/such/place"], "/no/such/place does not exist"),
        (["--dataset", "folder:"], "does not exist"),
        (["--dataset", f"folder:{__file__}"], "neither a folder nor a .zip"),
        (["--dataset", "meshes:/no/such/place"], "/no/such/place does not exist: name a folder of meshes"),
        (["--dataset", "meshes:"], "does not exist"),
        (["--dataset", f"meshes:{__file__}"], "neither a folder nor a .zip or .npz"),
        (["--dataset", "made-chair"], "did you mean made-chairs?"),
        (["--dataset", "meshes"], "did you mean meshes:PATH?"),
        (["--dataset", "zzz"], "folder:PATH, made-landscapes, celeba-hq, folder:PATH with"),
        (["--dataset", "chairs"], f"notebooks 00, 01, 02 and 11 work on images: {CHOOSE_IMAGES}"),
        (["--profile", "papers"], "did you mean paper?"),
        (["--device", "tpu"], "unknown value 'tpu'"),
        (["--only", "7"], "unknown notebook '7'"),
        (["--only", "02_imle_maping"], "did you mean 02_imle_mapping?"),
        (["--from", "x"], "unknown notebook 'x'"),
        (["--only", "1", "--from", "2"], "not allowed with"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "1.5"], "not a whole number"),
        (["--set", "count"], "is not NAME=VALUE"),
        (["--set", "coumt=3"], "did you mean count?"),
        (["--set", "glo_epochs=3", "--only", "02"], "no notebook that would run has a parameter 'glo_epochs'"),
        (["--set", "seed=3"], "has an option of its own: --seed"),
        (["--set", "results_dir=x"], "has an option of its own: --results"),
        (["--datset", "mnist"], "unknown option --datset: did you mean --dataset?"),
        (["--prof=quick"], "unknown option --prof"),
        (["mnist"], "unknown argument 'mnist'"),
        (["--results"], "expected one argument"),
        (["--test", "--only", "1"], "--test takes no other option"),
        (["--lab", "--seed", "1"], "--lab takes no other option"),
        (["--lab", "10"], "unknown argument '10'"),
        (["--lab"], "--lab opens notebooks/10_playground.ipynb, which is not there: get it from the repository"),
    ],
)
def test_wrong_argument_is_one_line_and_exit_code_2(argv, said, four):
    code, out, err = run(argv, four)
    assert code == 2 and out.getvalue() == ""
    assert err.startswith("run_all.sh: ") and err.count("\n") == 1 and said in err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("60", 60),
        ("1e-3", 1e-3),
        ("None", None),
        ("True", True),
        ("[1, 2]", [1, 2]),
        ("vgg16", "vgg16"),
        ("a=b", "a=b"),
    ],
)
def test_values_are_read_as_python_else_as_text(text, value, four):
    plan = arguments.make_plan(["--set", f"glo_epochs={text}", "--only", "1"], four)  # its default is None
    assert plan.steps[0].parameters["glo_epochs"] == value


def test_paths_are_planned_relative_to_the_repository(four, tmp_path, monkeypatch):
    write_files(tmp_path / "My Photos", {f"{i}.png": b"" for i in range(3)})
    monkeypatch.chdir(tmp_path)
    assert arguments.make_plan([], four).results_dir == "results"
    plan = arguments.make_plan(["--dataset", "folder:My Photos", "--results", "out"], four)
    assert not os.path.isabs(plan.results_dir) and (ROOT / plan.results_dir).resolve() == tmp_path / "out"
    (dataset,) = plan.folders()
    assert (ROOT / dataset.removeprefix("folder:")).resolve() == tmp_path / "My Photos"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--only", "06", "--dataset", "mnist"], f"06_chairs_3d works on shapes: {CHOOSE_SHAPES}"),
        (["--from", "06", "--dataset", "mnist"], f"06_chairs_3d works on shapes: {CHOOSE_SHAPES}"),
        (["--only", "03", "--dataset", "chairs"], f"03_sampling works on images: {CHOOSE_IMAGES}"),
        (["--set", "poses=3", "--dataset", "mnist"], "--set: no notebook that would run has a parameter 'poses'"),
    ],
)
def test_what_suits_no_notebook_is_refused_in_one_line(argv, said, both):
    code, out, err = run(argv, both)
    assert code == 2 and out.getvalue() == "" and err.count("\n") == 1 and err.startswith(f"run_all.sh: {said}")


@pytest.mark.parametrize("name", ["my chairs", "chairs.zip", "CHAIRS.NPZ"])
def test_meshes_are_recorded_relative_to_the_repository(name, both, tmp_path, monkeypatch):
    meshes = {f"{i}.off": b"" for i in range(3)}
    if name.endswith(".NPZ"):
        (tmp_path / name).touch()
    else:
        (write_zip if name.endswith(".zip") else write_files)(tmp_path / name, meshes)
    monkeypatch.chdir(tmp_path)
    (dataset,) = arguments.make_plan(["--dataset", f"meshes:{name}"], both).folders()
    assert dataset.startswith("meshes:") and (ROOT / dataset.removeprefix("meshes:")).resolve() == tmp_path / name
    assert not os.path.isabs(dataset.removeprefix("meshes:"))


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ("dataset = 'chairs'", "shapes"),
        ('seed = 0\ndataset: str = "meshes:mine"  # a name', "shapes"),
        ("dataset = 'digits'", "images"),
        ("dataset = 3", "images"),
        ("dataset = None", "images"),
        ("dataset = ('made-'\n  'chairs')[0]", "images"),
        ("dataset = {[]: 'chairs'}", "images"),
        ("count = 'chairs'", "images"),
        ("", "images"),
        (None, "images"),
    ],
)
def test_a_notebooks_kind_is_that_of_its_own_data_set(parameters, kind, write_notebook, tmp_path):
    assert catalogue.read_notebook(write_notebook(tmp_path / "00_x.ipynb", parameters=parameters)).kind == kind


def test_devices_are_those_of_the_library():
    assert arguments.DEVICES == devices.DEVICES


def test_help_is_in_plain_words(four):
    code, out, err = run(["--help"], four)
    assert code == 0 and not err
    for word in (
        "--dataset",
        "made-chairs, chairs or meshes:PATH",
        "--dataset made-chairs",
        "--profile",
        "--dry-run",
        "--set NAME=VALUE",
        "examples:",
        "GLANN_DATA",
    ):
        assert word in out.getvalue()


def test_list_shows_titles_parameters_and_comments(four):
    code, out, _ = run(["--list"], four)
    assert code == 0
    assert "00_overview: The whole story" in out.getvalue()
    assert "glo_epochs = None   # passes" in out.getvalue()


def test_dry_run_says_what_would_run_and_leaves_no_file(four, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(four.iterdir())
    code, out, err = run(["--dry-run", "--results", "out", "--only", "11", "0", "--set", "count=9"], four)
    text = out.getvalue()
    assert code == 0 and not err and list(tmp_path.iterdir()) == [] and sorted(four.iterdir()) == before
    assert text.index("00_overview") < text.index("11_late") and "count = 9" in text
    assert text.splitlines()[-1] == "results would go to out/digits-quick"


def test_a_notebook_without_parameters_cell_is_refused(write_notebook, tmp_path):
    write_notebook(tmp_path / "00_bare.ipynb", "1 + 1", parameters=None)
    code, _, err = run([], tmp_path)
    assert code == 2 and err.count("\n") == 1 and "00_bare has no cell tagged `parameters`" in err


def test_a_damaged_notebook_or_none_is_one_line(tmp_path):
    assert "there is no numbered notebook" in run([], tmp_path)[2]
    (tmp_path / "00_cut.ipynb").write_text('{"cells": [')
    code, _, err = run([], tmp_path)
    assert code == 2 and err.count("\n") == 1 and "00_cut.ipynb is not a readable notebook" in err


@pytest.fixture(scope="module")
def finished(write_notebook, on_shapes, tmp_path_factory):
    """Two notebooks on images and one on shapes that succeed: exit code, stdout, stderr, the images' run folder."""
    folder = tmp_path_factory.mktemp("finished")
    write_notebook(folder / "n" / "00_first.ipynb", COUNTING, "import os\nprint(os.getcwd() + os.sep + 'x')")
    table = "import os, pathlib\nfolder = pathlib.Path(results_dir) / f'{dataset}-{profile}' / 'tables'\n"
    table += "folder.mkdir(parents=True)\n_ = (folder / '01_t.csv').write_text(f'seed,half\\n{seed},0.5')"
    write_notebook(folder / "n" / "01_second.ipynb", table, "import os\nprint(os.environ['GLANN_PROGRESS'])")
    write_notebook(folder / "n" / "06_shapes.ipynb", "print(dataset, seed, poses)", parameters=on_shapes)
    argv = ["--results", folder / "out", "--seed", "41", "--set", "count=3", "--set", "poses=4"]
    return *run(argv, folder / "n"), folder / "out" / "digits-quick"


def test_a_run_says_where_it_is_and_where_results_lie(finished):
    code, out, err, folder = finished
    assert code == 0, err
    lines, shapes = out.getvalue().splitlines(), folder.with_name("made-chairs-quick")
    assert lines[0] == "GLANN on digits and made-chairs, profile quick, seed 41, on a device"
    assert lines[1] == f"results go to {folder} and {shapes}"
    assert "[1/3] 00_first  A title" in lines and "[2/3] 01_second  A title" in lines
    assert sum(line.startswith("      done in ") for line in lines) == 3
    assert "      lines" in lines and "      made-chairs 41 4" in lines  # GLANN_PROGRESS; the parameters
    assert lines[-2].startswith(f"look at {folder}/report.html")
    assert lines[-1].startswith(f"look at {shapes}/report.html")


def test_notebooks_on_images_and_on_shapes_have_a_folder_each(finished):
    copies = {"digits-quick": ["00_first.ipynb", "01_second.ipynb"], "made-chairs-quick": ["06_shapes.ipynb"]}
    for name, wanted in copies.items():
        folder = finished[3].with_name(name)
        assert sorted(path.name for path in (folder / "notebooks").iterdir()) == wanted
        page = (folder / "report.html").read_text()
        assert all(copy in page for copy in wanted) and page.count("</section>") == len(wanted)


def test_lines_of_a_notebook_appear_while_it_runs(finished):
    times = finished[1].times
    assert 0.5 < times["line 1"] - times["line 0"] < 5 and 0.5 < times["line 2"] - times["line 1"] < 5


def test_parameters_reach_the_notebook_and_the_report_shows_its_table(finished):
    folder = finished[3]
    assert (folder / "tables" / "01_t.csv").read_text() == "seed,half\n41,0.5"
    assert ">41</td>" in (folder / "report.html").read_text()


def test_executed_copies_hold_no_path_of_this_machine(finished):
    copies = sorted((finished[3] / "notebooks").iterdir())
    assert [copy.name for copy in copies] == ["00_first.ipynb", "01_second.ipynb"]
    for copy in copies:
        text = copy.read_text()
        assert str(ROOT) not in text and f'"{finished[3].parent}' not in text
        record = json.loads(text)["metadata"]["papermill"]
        assert record["input_path"] == record["output_path"] == copy.name


def test_widgets_state_is_left_out(write_notebook, tmp_path):
    path = write_notebook(tmp_path / "00_w.ipynb")
    notebook = json.loads(path.read_text())
    notebook["metadata"]["widgets"] = {"state": 1}
    path.write_text(json.dumps(notebook))
    execution._keep(path, tmp_path / "kept.ipynb", path)
    assert "widgets" not in json.loads((tmp_path / "kept.ipynb").read_text())["metadata"]


@pytest.fixture(scope="module")
def failed(write_notebook, on_shapes, tmp_path_factory):
    """Three notebooks, of which the second, on shapes, fails: exit code, stdout, stderr, the folder of all."""
    folder = tmp_path_factory.mktemp("failed")
    write_notebook(folder / "n" / "00_good.ipynb")
    bad = "cats = 3\n\nif cats > 2:\n    raise ValueError('too many cats\\nfar too many')\nx = 1\ny = 2"
    write_notebook(folder / "n" / "06_bad.ipynb", bad, parameters=on_shapes)
    write_notebook(folder / "n" / "11_never.ipynb")
    earlier = folder / "out" / "made-chairs-quick" / "figures" / "06_old.png"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"an earlier figure")
    return *run(["--results", folder / "out"], folder / "n"), folder


def test_a_failing_notebook_stops_the_run_with_a_short_message(failed):
    code, out, err, folder = failed
    lines = err.splitlines()
    assert code == 1 and len(lines) == 7 and "Traceback" not in err + out.getvalue()
    assert lines[0].startswith("run_all.sh: 06_bad failed after ")
    assert lines[0].endswith("in cell [3]: ValueError: too many cats")
    assert lines[1].strip() == "cats = 3" and lines[5].strip() == "..."
    assert lines[6].endswith(f"{folder}/out/made-chairs-quick/notebooks/06_bad.failed.ipynb")
    assert "11_never" not in out.getvalue()


def test_a_failing_notebook_is_kept_and_so_are_earlier_results(failed):
    folder = failed[3] / "out" / "made-chairs-quick"
    assert [path.name for path in (folder / "notebooks").iterdir()] == ["06_bad.failed.ipynb"]
    assert "far too many" in (folder / "notebooks" / "06_bad.failed.ipynb").read_text()
    assert (folder / "figures" / "06_old.png").read_bytes() == b"an earlier figure"


def test_all_reports_are_written_after_a_failure(failed):
    out = failed[3] / "out"
    assert [path.name for path in (out / "digits-quick" / "notebooks").iterdir()] == ["00_good.ipynb"]
    assert "00_good.ipynb" in (out / "digits-quick" / "report.html").read_text()
    assert "failed in its last run" in (out / "made-chairs-quick" / "report.html").read_text()


def test_a_mended_notebook_takes_the_failed_copy_away_and_a_run_says_what_is_left_out(
    failed, write_notebook, on_shapes
):
    folder = failed[3]
    write_notebook(folder / "n" / "06_bad.ipynb", "'mended'", parameters=on_shapes)
    code, out, err = run(["--results", folder / "out", "--dataset", "made-chairs"], folder / "n")
    assert code == 0, err
    assert out.getvalue().splitlines()[2] == f"left out: notebooks 00 and 11 work on images ({CHOOSE_IMAGES})"
    copies = {path.parent.parent.name: path.name for path in (folder / "out").glob("*/notebooks/*")}
    assert copies == {"digits-quick": "00_good.ipynb", "made-chairs-quick": "06_bad.ipynb"}


@pytest.mark.parametrize("used", ["digits-quick", "made-chairs-quick"])
def test_either_folder_in_use_stops_the_run_before_anything_runs(used, both, tmp_path):
    with storage.locked(tmp_path / used / "work/run.lock"):
        code, out, err = run(["--results", tmp_path], both)
    assert code == 1 and err.count("\n") == 1 and f"{used} is in use by another run" in err and out.getvalue() == ""


def test_a_kernels_death_is_one_clear_line(write_notebook, tmp_path):
    write_notebook(tmp_path / "n" / "00_dies.ipynb", "import os\nos.kill(os.getpid(), 9)")
    code, _, err = run(["--results", tmp_path / "out"], tmp_path / "n")
    assert code == 1 and "its kernel died, most often for want of memory" in err.splitlines()[0]
    copies = tmp_path / "out" / "digits-quick" / "notebooks"
    assert [path.name for path in copies.iterdir()] == ["00_dies.failed.ipynb"]


def test_ctrl_c_ends_kernel_and_run_with_one_line(write_notebook, tmp_path):
    sleeping = "import os, time\nprint('kernel', os.getpid(), flush=True)\ntime.sleep(60)"
    write_notebook(tmp_path / "n" / "00_long.ipynb", sleeping)
    code = "import sys, pathlib, signal\nfrom glann_lib.companion import pipeline\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a test run in the background ignores it
    code += "sys.exit(pipeline.main(sys.argv[2:], pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(tmp_path / "n"), "--results", str(tmp_path / "out")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        kernel = next(int(line.split()[1]) for line in process.stdout if line.strip().startswith("kernel"))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "run_all.sh: interrupted; finished notebooks and checkpoints are kept\n"
    assert list((tmp_path / "out" / "digits-quick" / "notebooks").iterdir()) == []
    deadline = time.monotonic() + 10
    while _alive(kernel) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(kernel)


def _alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_second_run_into_the_same_folder_is_refused(four, tmp_path):
    folder = tmp_path / "digits-quick"
    with storage.locked(folder / "work/run.lock"):
        code, out, err = run(["--results", tmp_path], four)
    assert code == 1 and err.count("\n") == 1 and "in use by another run" in err and out.getvalue() == ""
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*")] == ["work", "work/run.lock"]


def test_a_folder_that_cannot_be_written_is_one_line(four, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, out, err = run(["--results", tmp_path / "file"], four)
    assert code == 1 and err.count("\n") == 1 and "cannot write to" in err and out.getvalue() == ""
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_full_disk_is_one_line(four, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    code, _, err = run(["--results", tmp_path], four)
    assert code == 1 and err.count("\n") == 1 and "No space left on device" in err


def test_a_device_that_is_not_there_is_refused_before_anything_runs(four, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "_preflight", PREFLIGHT)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    code, out, err = run(["--results", tmp_path / "out", "--device", "cuda"], four)
    assert code == 2 and err.count("\n") == 1 and "no cuda device" in err
    assert out.getvalue() == "" and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a{x}", "run{seed}", "{}", "}{", "{{dataset}}"])
def test_braces_in_the_place_of_results_are_letters(name, write_notebook, tmp_path):
    write_notebook(tmp_path / "n" / "00_overview.ipynb", "print('line', seed)")
    code, out, err = run(["--only", "00", "--results", tmp_path / name], tmp_path / "n")
    assert (code, err) == (0, "") and "line 0" in out.getvalue()
    assert (tmp_path / name / "digits-quick" / "notebooks" / "00_overview.ipynb").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name != "n"] == [name]


def test_the_test_command_runs_three_tools_and_takes_the_worst_code(monkeypatch):
    calls = []

    def fake(command, cwd, env):
        calls.append((command[2:], env["GLANN_RESULTS"]))
        assert Path(env["GLANN_RESULTS"]).is_dir()
        return subprocess.CompletedProcess(command, 1 if command[3] == "format" else 0)

    monkeypatch.setattr(pipeline.subprocess, "run", fake)
    with contextlib.redirect_stdout(io.StringIO()):
        assert pipeline.main(["--test"]) == 1
    tools = [command for command, _ in calls]
    assert tools[0][:2] == ["ruff", "check"] and tools[1][:3] == ["ruff", "format", "--check"]
    assert tools[2][:3] == ["pytest", "notebooks", "tests"] and "--nbval-lax" in tools[2]
    assert not Path(calls[0][1]).exists()


@pytest.fixture(scope="module")
def opened(write_notebook, tmp_path_factory):
    """JupyterLab as --lab starts it, stopped by Ctrl-C: exit code, words, what the browser got, environment."""
    folder = tmp_path_factory.mktemp("lab")
    write_notebook(folder / "n" / "10_playground.ipynb")
    browser, page = folder / "browser", folder / "page"
    browser.write_text(f'#!/bin/sh\ncp "${{1#file://}}" "{page}.part" && mv "{page}.part" "{page}"\n')
    browser.chmod(0o755)
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    kept = {name: value for name, value in os.environ.items() if name not in (*pipeline.ENVIRONMENT, "JUPYTER_TOKEN")}
    code = "import sys, pathlib, signal\nfrom glann_lib.companion import pipeline\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # as above
    code += "sys.exit(pipeline.main(['--lab'], pathlib.Path(sys.argv[1])))"
    command, together = [sys.executable, "-c", code, str(folder / "n")], subprocess.STDOUT
    with (folder / "log").open("w+") as log:
        environment = kept | own | {"BROWSER": str(browser)}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=together)
        try:
            deadline = time.monotonic() + 60
            while not page.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            settings = Path(f"/proc/{process.pid}/environ")
            environment = settings.read_bytes().decode().split("\0") if settings.exists() else None
            process.send_signal(signal.SIGINT)
            process.wait(30)
        finally:
            process.kill()
    return process.returncode, (folder / "log").read_text(), page.read_text(), environment


def test_the_lab_says_where_it_is_and_that_ctrl_c_stops_it(opened):
    said = opened[1]
    assert said.startswith("JupyterLab opens on the playground; stop it with Ctrl-C\n")
    assert re.search(r"http://127\.0\.0\.1:\d+/lab/tree/n/10_playground\.ipynb\?token=[0-9a-f]{48}\n", said)


def test_the_lab_opens_the_persons_browser_on_the_playground(opened):
    assert re.search(r"/lab/tree/n/10_playground\.ipynb\?token=[0-9a-f]{48}", opened[2])


def test_ctrl_c_ends_the_lab_quietly(opened):
    code, said, _, _ = opened
    assert code == 0 and "Traceback" not in said and "(y/[n])" not in said


def test_the_lab_has_its_own_kernel_and_progress_bars(opened):
    environment = opened[3]
    if environment is None:
        pytest.skip("this system does not show the environment of a process")
    assert "JUPYTER_PREFER_ENV_PATH=1" in environment
    assert not any(entry.startswith("GLANN_PROGRESS=") for entry in environment)
