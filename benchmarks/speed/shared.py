"""`python -m benchmarks.speed.shared`: how much of one process's rate several keep that train one model.

On a processor the cores are shared out: one process has as many threads as several have together.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.material import QUICK, Sizes, make_latents, pictures, settle
from benchmarks.timing import Timing, clocked
from glann_lib import glo, imle
from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine import ranks, storage
from glann_lib.engine.devices import keep_freed_memory

ROOT = Path(__file__).resolve().parents[2]
TIMED = (3, 5, 6, 7, 9)  # epochs: the others take snapshots, and the first makes the loss network
PLACES = ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "RANK", "WORLD_SIZE")  # what torchrun tells its processes


def measure(sizes: Sizes, latents: int, device: torch.device) -> dict[str, Any]:
    """Seconds of a step of stage 1 and of an epoch of stage 2, and the rows of latents that this process holds."""
    batch, count = sizes.of_glo(28)
    first = glo.GLO(pictures(count, 1, 28), GLOConfig(loss="random-vgg16", batch_size=batch), device)
    second = imle.IMLE(make_latents(latents), IMLEConfig(batch_size=sizes.imle_batch), device)
    settle(second.mapper)
    return {
        "glo_step": _epochs(first, device, count // batch),
        "imle_epoch": _epochs(second, device),
        "held": len(first.latents),
        "images": count,
        "latents": latents,
    }


def _epochs(stage: glo.GLO | imle.IMLE, device: torch.device, parts: int = 1) -> list[float]:
    stage.run_epoch(1)
    return [clocked(functools.partial(stage.run_epoch, epoch), device)[0] / parts for epoch in TIMED]


def command(processes: int, *options: str) -> tuple[list[str], dict[str, str]]:
    """What to start, and in which environment, for one measurement by so many processes."""
    run = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    environment = {name: value for name, value in os.environ.items() if name not in PLACES}
    environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // processes))
    return [sys.executable, *run, "-m", "benchmarks.speed.shared", "--one", *options], environment


def compare(counts: list[int], repeats: int, options: list[str]) -> list[dict[str, Any]]:
    """A row for each number of processes, the first being what the others are compared with; they take turns."""
    found: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    for _ in range(repeats):
        for count in counts:
            line, environment = command(count, *options)
            done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ValueError((done.stderr.strip().splitlines() or ["it stopped without a word"])[-1])
            found[count].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{count} processes: {found[count][-1]}", file=sys.stderr, flush=True)
    return [_row(count, found[count], found[counts[0]]) for count in counts]


def _row(count: int, found: list[dict[str, Any]], base: list[dict[str, Any]]) -> dict[str, Any]:
    row = {"processes": count} | {name: found[0][name] for name in ("images", "held", "latents")}
    for name in ("glo_step", "imle_epoch"):
        own, others = (Timing(tuple(s for each in rows for s in each[name])) for rows in (found, base))
        row |= {name: own.median, f"{name}_spread": own.spread, f"{name}_rate": others.median / own.median}
    return row


def main() -> None:
    """Read the options; measure in this process, or start others and compare them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.shared", description=__doc__)
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="how many (default: 1 2)")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement (default: 3)")
    parser.add_argument("--latents", type=int, default=20_000, help="of stage 2 (default: 20,000)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="cuda: a GPU for each process")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything works")
    parser.add_argument("--folder", type=Path, help="write shared.json there")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = torch.device(given.device)
    sizes, latents = (QUICK, 256) if given.quick else (Sizes.for_device(device), given.latents)
    if given.one:
        keep_freed_memory()
        with ranks.joined(given.device) if "LOCAL_RANK" in os.environ else contextlib.nullcontext():
            result = measure(sizes, latents, device)
            if not ranks.rank():
                print(json.dumps(result))
        return
    options = ["--device", given.device, "--latents", str(latents), *["--quick"] * given.quick]
    try:
        rows = compare(given.processes, given.repeats, options)
    except ValueError as error:
        parser.error(str(error))
    for row in rows:
        print(row)
    if given.folder:
        record = {"machine": machine.describe(device), "sizes": dataclasses.asdict(sizes)}
        storage.write_json(given.folder / "shared.json", record | {"rows": rows})


if __name__ == "__main__":
    main()
