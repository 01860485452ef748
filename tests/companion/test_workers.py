"""Notebooks at the same time: each after those it needs, each line whole and marked, an end of one an end of both."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glann_lib.companion import arguments

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import os, pathlib, signal, sys
from glann_lib.companion import pipeline
pipeline._preflight = lambda plan: ["cpu (made, 2 cores)"]
os.cpu_count = lambda: 2
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
sys.exit(pipeline.main(sys.argv[2:], pathlib.Path(sys.argv[1])))
"""
# A cell that goes on only when the other notebook is in its own.
MEET = """
import os, pathlib, time
pathlib.Path({place!r}, {own!r}).touch()
while not pathlib.Path({place!r}, {other!r}).exists():
    time.sleep(0.05)
print("threads", os.environ["OMP_NUM_THREADS"])
"""
SLEEP = "import os, time\nprint('kernel', os.getpid(), flush=True)\ntime.sleep(300)"


def start(folder):
    command = [sys.executable, "-c", RUN, str(folder / "n"), "--results", str(folder / "out")]
    own = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=own)


def finish(process):
    """Exit code, lines of stdout, stderr."""
    out, err = process.communicate(timeout=150)
    return process.returncode, out.splitlines(), err


def sleeping_kernel(process):
    number = next((int(line.split()[2]) for line in process.stdout if " kernel " in line), None)
    assert number is not None, process.stderr.read()
    return number


def is_gone(process_id):
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_two_notebooks_run_at_the_same_time(write_notebook, on_shapes, tmp_path):
    first, shapes = (MEET.format(place=str(tmp_path), own=own, other=other) for own, other in ("ab", "ba"))
    write_notebook(tmp_path / "n" / "00_first.ipynb", first)
    write_notebook(tmp_path / "n" / "06_shapes.ipynb", shapes, parameters=on_shapes)
    write_notebook(tmp_path / "n" / "01_second.ipynb", "print('whole', end='')")
    code, lines, err = finish(start(tmp_path))
    assert code == 0, err
    assert lines[2] == "two notebooks at a time: each line begins with its notebook's number"
    assert {"[1/3] 00_first  A title", "[2/3] 01_second  A title", "[3/3] 06_shapes  A title"} <= set(lines)
    assert {"  00  threads 1", "  06  threads 1", "  01  whole"} <= set(lines)  # a core each
    assert sum("  done in " in line for line in lines) == 3
    for folder, copies in (("digits-quick", 2), ("made-chairs-quick", 1)):
        assert len(list((tmp_path / "out" / folder / "notebooks").glob("*.ipynb"))) == copies
        assert (tmp_path / "out" / folder / "report.html").is_file()


def test_where_one_fails_the_other_is_stopped_and_the_reason_told(write_notebook, on_shapes, tmp_path):
    write_notebook(tmp_path / "n" / "00_long.ipynb", SLEEP)
    write_notebook(tmp_path / "n" / "06_bad.ipynb", "raise ValueError('too many cats')", parameters=on_shapes)
    code, lines, err = finish(start(tmp_path))
    assert code == 1 and "Traceback" not in err
    assert err.startswith("run_all.sh: 06_bad failed after ") and "ValueError: too many cats" in err
    assert [path.name for path in tmp_path.glob("out/*/notebooks/*")] == ["06_bad.failed.ipynb"]
    kernels = [int(line.split()[2]) for line in lines if " kernel " in line]
    assert all(map(is_gone, kernels))


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_both_with_one_line(sign, write_notebook, on_shapes, tmp_path):
    write_notebook(tmp_path / "n" / "00_long.ipynb", SLEEP)
    write_notebook(tmp_path / "n" / "06_long.ipynb", SLEEP, parameters=on_shapes)
    process = start(tmp_path)
    kernels = [sleeping_kernel(process), sleeping_kernel(process)]
    process.send_signal(sign)
    code, _, err = finish(process)
    assert code == 130 and err == "run_all.sh: interrupted; finished notebooks and checkpoints are kept\n"
    assert all(map(is_gone, kernels)) and not list(tmp_path.glob("out/*/notebooks/*"))


def test_a_killed_worker_is_one_line_and_stops_the_other(write_notebook, on_shapes, tmp_path):
    write_notebook(tmp_path / "n" / "00_long.ipynb", SLEEP)
    kill = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
    write_notebook(tmp_path / "n" / "06_kill.ipynb", kill, parameters=on_shapes)
    code, _, err = finish(start(tmp_path))
    assert code == 1 and err == "run_all.sh: a process that ran notebooks was killed\n"


def test_two_at_a_time_are_for_the_quick_profile_several_cores_of_a_processor_and_several_data_sets(both):
    plan = arguments.make_plan([], both)
    assert plan.at_once("cpu", 2) == plan.at_once("cpu", 8) == 2
    assert plan.at_once("cpu", 1) == plan.at_once("NVIDIA", 8) == 1
    assert arguments.make_plan(["--profile", "paper"], both).at_once("cpu", 8) == 1
    assert arguments.make_plan(["--dataset", "mnist"], both).at_once("cpu", 8) == 1


@pytest.fixture
def six(write_notebook, on_shapes, tmp_path):
    for name in ("00_look", "01_glo", "02_imle", "03_draw", "05_scores"):
        write_notebook(tmp_path / f"{name}.ipynb")
    write_notebook(tmp_path / "06_shapes.ipynb", parameters=on_shapes)
    return arguments.make_plan([], tmp_path)


@pytest.mark.parametrize(
    ("waiting", "running", "place"),
    [
        ([0, 1, 2, 3, 4, 5], [], 1),  # long ones first
        ([0, 2, 3, 4, 5], [1], 5),  # all others on the images but the short overview need stage 1
        ([0, 2, 3, 4], [1], 0),
        ([3, 4, 5], [2], 5),
        ([3, 4], [2], None),
        ([3, 4], [5], 4),  # after both stages any
        ([3], [4], 3),
        ([], [4, 5], None),
    ],
)
def test_a_notebook_waits_for_the_training_on_its_own_data(waiting, running, place, six):
    assert six.ready(waiting, running) == place


def test_two_at_a_time_take_as_long_as_the_last_to_end(six):
    # 01 0-20, 06 0-30, 02 20-30, 05 30-70, 00 30-40, 03 40-45; one of unknown time ends at once
    assert six.whole([10, 20, 10, 5, 40, 30], 2) == 70
    assert six.whole([10, 20, 10, 5, 40, 30], 1) == 115
    assert six.whole([10, 20, None, 5, 40, 30], 2) == 60
