"""How far something is: a bar where a person watches, lines in a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tqdm.auto import tqdm

from glann_lib.engine import ranks

SECONDS, MOST_SECONDS = 5, 60  # between two lines, more in what takes long, and at most
SHORT = 0.25  # of a later epoch's time that a short one takes: half the side, a quarter of the pixels


def epochs(records: Iterable[Any], total: int, label: str, short: int = 0) -> Iterator[Any]:
    """Pass a training's records through, with loss and time left; each tells its `loss` and its `seconds`.

    `short`: so many of the first epochs take a part of the later ones' time.
    """
    if ranks.rank():  # the first process tells for all
        yield from records
        return
    bar = tqdm(total=total, desc=label, disable=_in_lines(), bar_format="{desc} |{bar}| {n_fmt}/{total_fmt}{postfix}")
    is_due = _due()
    for count, record in enumerate(records, 1):
        # By this epoch's own seconds: epochs that a checkpoint brought along took no time now.
        pace, short_left = record.seconds / (SHORT if count <= short else 1), max(0, short - count)
        left = pace * (total - count - short_left + SHORT * short_left)
        state = f"loss {record.loss:.4f}, {left:.0f} s left"
        bar.set_postfix_str(state, refresh=False)
        bar.update()
        if bar.disable and (is_due() or count == total):
            print(f"{label}: epoch {count}/{total}, {state}", flush=True)
        yield record
    bar.close()


def items(passed: Iterable[Any], total: int, label: str) -> Iterator[Any]:
    """Pass items through and show how many they were, if they take more than seconds; on stderr, as others read stdout.

    A bar is gone when all are through.
    """
    is_due = _due()
    bar = tqdm(passed, label, total, leave=False, disable=_in_lines(), delay=2)
    for count, item in enumerate(bar, 1):
        yield item
        if bar.disable and is_due():
            print(f"{label}: {count:,} of {total:,}", file=sys.stderr, flush=True)


def _in_lines() -> bool:
    """Where nobody watches: papermill, a log file, or GLANN_PROGRESS=lines."""
    return os.environ.get("GLANN_PROGRESS") == "lines" or not (sys.stderr.isatty() or "ipykernel" in sys.modules)


def _due() -> Callable[[], bool]:
    """Says whether it is time for a line: every five seconds, in what takes long more rarely, for a short log."""
    began = told = time.monotonic()

    def is_due() -> bool:
        nonlocal told
        now = time.monotonic()
        if now - told <= max(SECONDS, min(MOST_SECONDS, (now - began) / 10)):
            return False
        told = now
        return True

    return is_due
