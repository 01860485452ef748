"""Parts of a long measurement, each in a process of its own and with a time limit: what fails, or hangs, fails alone.

A part's result is a file in the work folder, so that the next call leaves out what is done. Processes are forks: what
takes seconds to import is imported once. So nothing in the parent may touch a GPU, which no fork could use then.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from glann_lib.engine import checks, storage
from glann_lib.engine.devices import select_device

FORK = multiprocessing.get_context("fork")
MARGIN = 10.0  # s, in which a part that goes on in the next call comes to its end


@dataclass(frozen=True)
class Job:
    """What a part is given."""

    device: str  # as for `select_device`
    work: Path  # where results, logs and checkpoints are
    until: float = float("inf")  # time.time() at which what can go on later should stop
    quick: bool = False  # tiny sizes
    before: dict[str, Any] = field(default_factory=dict)  # what an earlier try gave, where there was one

    def pick(self, whole: Any, quick: Any) -> Any:
        """The size of some work."""
        return quick if self.quick else whole

    def late(self) -> bool:
        """Whether it is time to stop."""
        return time.time() >= self.until


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        work: gives plain values; with "unfinished" or "error" among them, a reason, the next call does it again.
        least: seconds without which it is not begun.
        limit: seconds after which it is stopped.
    """

    name: str
    work: Callable[[Job], dict[str, Any]]
    least: float
    limit: float = float("inf")


def result(work: Path, name: str) -> dict[str, Any]:
    """What is known of a part: "state" ("done", "unfinished", "failed" or "missing"), "values", "reason", "seconds"."""
    try:
        return json.loads(_path(work, name).read_text())
    except (FileNotFoundError, ValueError):
        return {"state": "missing", "values": {}, "reason": "", "seconds": 0.0, "tries": 0}


def run(part: Part, job: Job, seconds: float) -> dict[str, Any]:
    """Do a part in a process of its own, for at most so many seconds; its `result`, which stays in the work folder."""
    before = result(job.work, part.name)
    tries = before["tries"] + 1
    given = Job(job.device, job.work, time.time() + seconds - job.pick(MARGIN, 0.2), job.quick, before["values"])
    start = time.monotonic()
    sys.stdout.flush(), sys.stderr.flush()  # else the fork would write it again
    process = FORK.Process(target=_work, args=(part, given, tries), daemon=True)
    process.start()
    try:
        process.join(seconds)
    finally:
        stopped = process.is_alive()
        _stop(process)
    found = result(job.work, part.name)
    if found["tries"] != tries:
        reason = f"stopped after {seconds:.0f} s" if stopped else f"ended with exit status {process.exitcode}"
        last = _last_line(log_path(job.work, part.name))
        found = _keep(job.work, part.name, "failed", before["values"], f"{reason}: {last}", start, tries)
    return found


def check_device(name: str) -> str:
    """What is wrong with a device's name on this machine, in a line; "" where nothing is. Asked in a fork."""
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_check_device, args=(name, sender))
    process.start()
    process.join()
    return receiver.recv() if receiver.poll() else "the device cannot be asked for"


def log_path(work: Path, name: str) -> Path:
    """Where a part's output goes, try after try."""
    return work / "logs" / f"{name}.log"


def first_line(error: BaseException) -> str:
    """An error in a line, with its kind."""
    return f"{type(error).__name__}: {checks.first_line(error)}"


def _work(part: Part, job: Job, tries: int) -> None:
    """In the fork: do the part and write its result."""
    os.setpgid(0, 0)  # with what it starts it is one group, and can be stopped as one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _write_to(log_path(job.work, part.name))
    print(f"--- {part.name}, try {tries}", flush=True)
    start = time.monotonic()
    try:
        values = part.work(job)
        reasons = {"failed": values.pop("error", ""), "unfinished": values.pop("unfinished", "")}
    except Exception as error:
        traceback.print_exc()
        values, reasons = job.before, {"failed": first_line(error)}
    state = next((name for name, reason in reasons.items() if reason), "done")
    _keep(job.work, part.name, state, values, reasons.get(state, ""), start, tries)


def _keep(
    work: Path, name: str, state: str, values: dict[str, Any], reason: str, start: float, tries: int
) -> dict[str, Any]:
    seconds = time.monotonic() - start
    found = {"state": state, "values": values, "reason": reason, "seconds": seconds, "tries": tries}
    storage.write_json(_path(work, name), found)
    return found


def _path(work: Path, name: str) -> Path:
    return work / "parts" / f"{name}.json"


def _write_to(log: Path) -> None:
    """All that this process writes goes to the log's end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    file = open(log, "a", buffering=1)  # noqa: SIM115 (as long as the process lives)
    os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)  # of what it starts, too
    sys.stdout = sys.stderr = file


def _stop(process: BaseProcess) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.is_alive():
        process.kill()
    process.join()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")


def _check_device(name: str, sender: Any) -> None:
    try:
        select_device(name)
    except ValueError as error:
        sender.send(str(error))
    else:
        sender.send("")
