"""Two trainings at once on one machine: each should take twice as long as alone, no more.

OpenMP's threads wait for work either asleep after a short spin, as here, or spinning on: such a thread takes the
processor from the other run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from typing import Any

import torch

from benchmarks.speed import growth
from benchmarks.speed.growth import Point

WAITS = {"asleep": {}, "spinning": {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "infinite"}}  # OpenMP's variables


def measure_all(point: Point, device: torch.device, precision: str) -> list[dict[str, Any]]:
    """For each way to wait: the seconds of an epoch of `point` alone and beside another of its kind.

    Returns:
        Rows with "wait", "alone", "together" (mean of both runs) and "slowdown", their ratio; 2 is what two runs that
        share a machine fairly take.

    Raises:
        RuntimeError: a run failed; gives its last line.
    """
    rows = []
    for wait in WAITS:
        (alone,) = _seconds(1, wait, point, device, precision)
        together = statistics.mean(_seconds(2, wait, point, device, precision))
        rows.append({"wait": wait, "alone": alone, "together": together, "slowdown": together / alone})
    return rows


def _seconds(count: int, wait: str, point: Point, device: torch.device, precision: str) -> list[float]:
    """The median seconds of an epoch in each of `count` processes that run at once."""
    environment = os.environ | WAITS[wait]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = growth.command(point, device, precision)
    runs = [subprocess.Popen(command, cwd=growth.ROOT, env=environment, **pipes) for _ in range(count)]
    found = [(*run.communicate(), run.returncode) for run in runs]
    for _, complaint, code in found:
        if code:
            raise RuntimeError((complaint.strip().splitlines() or [f"exit status {code}"])[-1])
    return [json.loads(text.splitlines()[-1])["seconds"] for text, _, _ in found]
