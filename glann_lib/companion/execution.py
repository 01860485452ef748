"""Runs one notebook by papermill, lets its lines through as they come, and keeps the executed copy.

The copy is written under a temporary name and renamed when the notebook has succeeded, since papermill marks every cell
"completed" even after a kernel's death; a failing one is kept as NAME.failed.ipynb. A copy carries no path of this
machine and no widgets' state.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from glann_lib.engine import storage

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 120  # s, for a kernel to answer
SHOWN_LINES = 4  # of a failing cell
INDENT = " " * 6  # of what a notebook prints, under the notebook's own line


class NotebookError(RuntimeError):
    """A notebook failed: where and why in one line, then the first lines of its cell, without a traceback."""


def run_notebook(
    notebook: Path, parameters: dict[str, Any], copies: Path, cell_timeout: int | None = None, margin: str = INDENT
) -> float:
    """Run a notebook in the repository's folder; its printed lines go to stdout as they come, each behind `margin`.

    Its cell tagged `parameters` must declare all of them. The executed copy goes to the folder `copies`. A cell may
    take `cell_timeout` seconds; None: as long as it takes. Returns the seconds. NotebookError where a cell failed, the
    kernel died, or the copy cannot be written.
    """
    temporary, failed = copies / f".{notebook.stem}.running.ipynb", copies / f"{notebook.stem}.failed.ipynb"
    started = time.monotonic()
    try:
        copies.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(_Log(margin)) as log:
            _execute(notebook, parameters, temporary, cell_timeout, log)
        _keep(temporary, copies / notebook.name, notebook)
    except Exception as error:
        with contextlib.suppress(Exception):  # with the disk full there may be nothing to keep
            _keep(temporary, failed, notebook)
        raise NotebookError(f"failed after {duration(time.monotonic() - started)}{_reason(error)}") from None
    finally:
        temporary.unlink(missing_ok=True)
    failed.unlink(missing_ok=True)
    return time.monotonic() - started


def duration(seconds: float) -> str:
    """Seconds in words: "20 s", "3 min 20 s", "2 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def _execute(notebook: Path, parameters: dict[str, Any], output: Path, cell_timeout: int | None, log: _Log) -> None:
    import papermill

    for name in ("papermill", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the exception says it all, and better
    papermill.execute_notebook(
        _verbatim(os.path.relpath(notebook)),  # a relative path: it is recorded in the copy
        _verbatim(os.path.relpath(output)),
        parameters,
        kernel_name="python3",
        progress_bar=False,
        stdout_file=log,
        stderr_file=log,
        start_timeout=START_TIMEOUT,
        execution_timeout=cell_timeout,
        cwd=ROOT,
        # No warning of TCP without encryption, no last words when killed.
        extra_arguments=["--IPKernelApp.log_level=50"],
    )


def _verbatim(path: str) -> str:
    """For papermill, which puts parameters into braces in a path."""
    return path.replace("{", "{{").replace("}", "}}")


class _Log:
    """Passes what a notebook prints on to the terminal, a whole line at a time: another's may come between."""

    def __init__(self, margin: str) -> None:
        self.margin, self.rest = margin, ""

    def write(self, text: str) -> None:
        lines = (self.rest + text).splitlines(keepends=True)
        self.rest = "" if not lines or lines[-1].endswith(("\n", "\r")) else lines.pop()
        sys.stdout.write("".join(self.margin + line for line in lines))

    def flush(self) -> None:
        sys.stdout.flush()

    def close(self) -> None:
        if self.rest:
            self.write("\n")


def _keep(temporary: Path, final: Path, notebook: Path) -> None:
    import nbformat

    copy = nbformat.read(temporary, as_version=4)
    copy.metadata.pop("widgets", None)
    source = notebook.relative_to(ROOT).as_posix() if notebook.is_relative_to(ROOT) else notebook.name
    copy.metadata.setdefault("papermill", {}).update(input_path=source, output_path=final.name)
    # The repository's place on this machine goes out of printed text, such as warnings.
    prefix = f"{ROOT}{os.sep}"
    for output in (output for cell in copy.cells for output in cell.get("outputs", [])):
        if "text" in output:
            output.text = output.text.replace(prefix, "")
        for kind, text in output.get("data", {}).items():
            if kind.startswith("text/") and isinstance(text, str):
                output.data[kind] = text.replace(prefix, "")
    storage.write_text(final, nbformat.writes(copy) + "\n")


def _reason(error: Exception) -> str:
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        lines = [line for line in error.source.splitlines() if line.strip()]
        lines[SHOWN_LINES:] = ["..."] if len(lines) > SHOWN_LINES else []
        source = "".join(f"\n      {line}" for line in lines)
        return f" in cell [{error.exec_count}]: {error.ename}: {_first_line(error.evalue)}{source}"
    if isinstance(error, DeadKernelError):
        return ": its kernel died, most often for want of memory: close other programs, or use fewer images"
    if isinstance(error, CellTimeoutError):
        return ": a cell took too long and was stopped"
    return f": {type(error).__name__}: {_first_line(getattr(error, 'strerror', None) or str(error))}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
