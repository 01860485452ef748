"""Behind run_all.sh: runs the notebooks in order, each with the parameters that it declares, then writes the report.

Each data set has a run folder, and a report in it; `Plan.ready` says which notebook may run beside another. One failing
notebook stops the run; what earlier ones made stays. The folders are locked meanwhile. At the top only the standard
library is imported: `python -m glann_lib.companion.pipeline --help` needs nothing else.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from glann_lib.companion import arguments, lab, plans
from glann_lib.companion.arguments import ROOT
from glann_lib.companion.plans import Plan
from glann_lib.records import runs

CELL_TIMEOUT = {"quick": 7200, "full": None, "paper": None}  # s, for one cell; long trainings take their time
FAILED, INTERRUPTED = 1, arguments.INTERRUPTED
PATIENCE = 20  # s, for a worker to shut its kernel down
ENVIRONMENT = lab.ENVIRONMENT | {
    "GLANN_PROGRESS": "lines",  # log lines in place of progress bars
    "PYTHONUNBUFFERED": "1",
}


class PipelineError(RuntimeError):
    """The run cannot go on; the message is for the person who started it, without a traceback."""


def main(argv: Sequence[str] | None = None, notebooks: Path = arguments.NOTEBOOKS) -> int:
    """Do what one command line of run_all.sh asks for; None: that of this process.

    Returns the exit code: 0 done, 1 a notebook or the folder for results failed, 2 a wrong argument, 130 interrupted.
    With --lab the process becomes JupyterLab, whose exit code it is.
    """
    try:
        plan = arguments.make_plan(sys.argv[1:] if argv is None else argv, notebooks)
        if plan.text:
            print(plan.text)
            return 0
        _prepare_environment(lab.ENVIRONMENT if plan.lab else ENVIRONMENT)
        if plan.lab:
            open_lab(notebooks)
        return run_tests() if plan.test else run(plan)
    except arguments.UsageError as error:
        return arguments.refuse(error)
    except PipelineError as error:
        return arguments.refuse(error, FAILED)
    except OSError as error:
        return arguments.refuse(error.strerror or error, FAILED)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # ends the line where the terminal wrote ^C
        return arguments.refuse("interrupted; finished notebooks and checkpoints are kept", INTERRUPTED)


def run(plan: Plan) -> int:
    """Run the plan's notebooks and write the reports; holds their folders, so that no second run can write into them.

    UsageError where this machine lacks the device, PipelineError where a folder is in use or a notebook failed.
    """
    from glann_lib.companion import execution, report

    started, folders, place = time.monotonic(), plan.folders(), Path.cwd()
    waits = ["reading your files"] * any(":" in dataset for dataset in folders)  # many photographs take a while
    waits += ["timing this machine"] * any(map(plan.is_large, plan.steps))
    if waits:
        print(" and ".join(waits), flush=True)
    device, *data = _preflight(plan)
    shown = {dataset: plans.shown(folder, place) for dataset, folder in folders.items()}
    with contextlib.chdir(ROOT), contextlib.ExitStack() as stack:
        # A polite kill ends the run as Ctrl-C does: the kernel is shut down, half-written files go.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)
        for folder in folders.values():
            _hold(folder, stack)
        print(f"GLANN on {' and '.join(folders)}, profile {plan.profile}, seed {plan.seed}, on {device}")
        print("\n".join([*data, f"results go to {' and '.join(shown.values())}", *plan.left_out]), flush=True)
        try:
            if plan.gpus > 1:
                _train_together(plan, place)
            _run_steps(plan, folders, shown, device)
        finally:  # a report of what there is, also after a notebook that failed: it says so
            for folder in folders.values():
                with contextlib.suppress(OSError):
                    report.write_report(folder)
    print(f"\nall done in {execution.duration(time.monotonic() - started)}")
    for place in shown.values():
        print(f"look at {place}/report.html (figures, tables and executed notebooks lie beside it)")
    return 0


def open_lab(notebooks: Path) -> NoReturn:
    """Become JupyterLab on the playground in this folder, so that Ctrl-C and a polite kill reach it and no one else."""
    command = lab.command(sys.executable, notebooks / lab.PLAYGROUND, notebooks.parent)
    print("JupyterLab opens on the playground; stop it with Ctrl-C", flush=True)
    os.execv(command[0], command)


def run_tests() -> int:
    """Ruff, then the notebooks as they are and the unit tests, from nothing; returns the worst exit code.

    Files are shared out among processes of one thread each: two at most, since each may take some GiB.
    """
    python = [sys.executable, "-m"]
    sources = [name for name in ("glann_lib", "benchmarks", "tests", "notebooks") if (ROOT / name).is_dir()]
    pytest = ["pytest", "notebooks", "tests", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=1200"]
    pytest += [f"--numprocesses={min(2, os.cpu_count() or 1)}", "--no-loadscope-reorder"]  # the longest come first
    pytest += ["-p", "no:cacheprovider", "-rfE", "--durations=10", "--durations-min=5"]
    codes = []
    with tempfile.TemporaryDirectory(prefix="glann_tests_") as results:
        environment = os.environ | {"GLANN_RESULTS": results, "OMP_NUM_THREADS": "1"}
        for tool in (["ruff", "check", *sources], ["ruff", "format", "--check", *sources], pytest):
            print(f"$ {' '.join(tool)}", flush=True)
            codes.append(subprocess.run(python + tool, cwd=ROOT, env=environment).returncode)
    return max(abs(code) for code in codes)


def _train_together(plan: Plan, place: Path) -> None:
    """Both stages by several processes; the notebooks find them finished."""
    from glann_lib.companion import execution, train

    started = time.monotonic()
    print(f"\nboth stages, by {plan.gpus} processes", flush=True)
    if fault := train.launch(plan, place, lambda line: print(f"{execution.INDENT}{line}", flush=True)):
        raise PipelineError(fault)
    print(f"{execution.INDENT}done in {execution.duration(time.monotonic() - started)}", flush=True)


def _run_steps(plan: Plan, folders: dict[str, Path], shown: dict[str, str], device: str) -> None:
    """Run each step into the folder of its data set, which the person sees as `shown`."""
    cores = os.cpu_count() or 1
    at_once = plan.at_once(device.partition(" ")[0], cores)
    if at_once == 1:
        for place in range(len(plan.steps)):
            _run_notebook(plan, place, folders, shown)
        return
    print("two notebooks at a time: each line begins with its notebook's number", flush=True)
    with _workers(at_once, cores // at_once, plan, folders, shown) as idle:
        waiting, busy = list(range(len(plan.steps))), {}
        while waiting or busy:
            while idle and (place := plan.ready(waiting, busy.values())) is not None:
                waiting.remove(place)
                worker = idle.pop(0)
                busy[worker] = place
                worker.send(place)
            for worker in multiprocessing.connection.wait(busy):
                del busy[worker]
                idle.append(worker)
                try:
                    failure = worker.recv()
                except (EOFError, OSError):
                    failure = "a process that ran notebooks was killed"
                if failure:
                    raise PipelineError(failure)


@contextlib.contextmanager
def _workers(count: int, threads: int, *job: Any) -> Iterator[list[Connection]]:
    """Processes that run the steps whose places they are sent, and answer "" or what failed."""
    spawn = multiprocessing.get_context("spawn")
    pipes = [spawn.Pipe() for _ in range(count)]
    processes = [spawn.Process(target=_work, args=(theirs, threads, *job)) for _, theirs in pipes]
    try:
        for process, (_, theirs) in zip(processes, pipes, strict=True):
            process.start()
            theirs.close()  # else the end of the process would not be seen
        yield [ours for ours, _ in pipes]
    finally:  # each cleans up as after Ctrl-C; one that did not hear it, in the middle of something, is told again
        for sign in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            alive = [process for process in processes if process.is_alive()]
            for process in alive:
                os.kill(process.pid, sign)
            for process in alive:
                process.join(PATIENCE)


def _work(orders: Connection, threads: int, *job: Any) -> None:
    """Run notebooks in a process of its own, which Ctrl-C reaches by way of its parent alone."""
    os.setsid()
    for polite in (signal.SIGINT, signal.SIGTERM):
        signal.signal(polite, signal.default_int_handler)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    sys.stdout.reconfigure(line_buffering=True, write_through=False)  # no line is torn by the other worker's
    with contextlib.suppress(KeyboardInterrupt, EOFError, BrokenPipeError):  # the last two: the parent was killed
        while True:
            failure, place = "", orders.recv()
            try:
                _run_notebook(job[0], place, *job[1:], beside=True)
            except PipelineError as error:
                failure = str(error)
            orders.send(failure)


def _run_notebook(
    plan: Plan, place: int, folders: dict[str, Path], shown: dict[str, str], beside: bool = False
) -> None:
    """Run one step; `beside` others, each line tells the notebook's number."""
    from glann_lib.companion import execution

    step = plan.steps[place]
    book, folder = step.notebook, folders[step.dataset]
    margin = f"  {book.number}  " if beside else execution.INDENT
    head = f"[{place + 1}/{len(plan.steps)}] {book.name}  {book.title}"
    print(head if beside else f"\n{head}", flush=True)
    try:
        given = book.path, step.parameters, folder / "notebooks", CELL_TIMEOUT[plan.profile], margin
        seconds = execution.run_notebook(*given)
    except execution.NotebookError as error:
        failed = f"notebooks/{book.name}.failed.ipynb"
        kept = f"\n  all of it: {shown[step.dataset]}/{failed}" if (folder / failed).is_file() else ""
        raise PipelineError(f"{book.name} {error}{kept}") from None
    print(f"{margin}done in {execution.duration(seconds)}", flush=True)


def _prepare_environment(values: dict[str, str]) -> None:
    for name, value in values.items():
        os.environ.setdefault(name, value)
    data = os.environ.get("GLANN_DATA")
    if data and Path(data).exists():  # typed in the person's folder, read in the repository's
        os.environ["GLANN_DATA"] = os.path.abspath(data)


def _preflight(plan: Plan) -> list[str]:
    """The device's name in words and a line on each of the person's own sets, before anything runs.

    UsageError for what would be refused later. In a process of its own: torch would take half a GiB here.
    """
    command = [sys.executable, "-P", "-m", "glann_lib.companion.preflight"]
    done = subprocess.run(command, cwd=ROOT, input=pickle.dumps(plan), capture_output=True)
    said, failed = done.stdout.decode(errors="replace").strip(), done.stderr.decode(errors="replace").strip()
    if done.returncode == arguments.WRONG:
        raise arguments.UsageError(said)
    if done.returncode:
        raise PipelineError(f"torch does not start: {failed.splitlines()[-1]}")
    return said.splitlines()


def _hold(folder: Path, stack: contextlib.ExitStack) -> None:
    """Lock a run's folder until the stack unwinds, and prove that it can be written and has some space left."""
    from glann_lib.engine import storage

    try:
        stack.enter_context(storage.locked(folder / runs.WORK / "run.lock", folder))
    except RuntimeError as error:
        raise PipelineError(error) from None
    storage.write_bytes(folder / ".space", bytes(2**20)).unlink()


if __name__ == "__main__":
    sys.exit(main())
