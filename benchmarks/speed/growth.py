"""What an epoch costs as the work grows: time and peak memory against images, resolution, batch and latents.

Each point is measured in a process of its own, as a process never gives its highest memory back.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import peak_bytes
from benchmarks.material import make_latents, pictures, settle
from benchmarks.timing import Timing, clocked
from glann_lib import glo, imle
from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine.devices import keep_freed_memory, resolve_precision

ROOT = Path(__file__).resolve().parents[2]
TIMED = (3, 5, 6)  # epochs: others take snapshots, and the first makes the loss network


@dataclass(frozen=True)
class Point:
    """One measurement: `panel` says which of the others is the value that grows."""

    panel: str
    value: int
    images: int = 512  # grey
    resolution: int = 28  # px
    batch: int = 128  # images, or latents
    latents: int = 0  # of stage 2; 0: it is stage 1 that is measured


@dataclass(frozen=True)
class Grid:
    """The values of each panel, ascending; the rest of a point is as in `Point`."""

    images: tuple[int, ...] = (500, 1000, 2000, 4000)
    resolution: tuple[int, ...] = (28, 32, 64)
    batch: tuple[int, ...] = (32, 64, 128, 256)
    latents: tuple[int, ...] = (2500, 5000, 10_000, 20_000, 40_000)

    def points(self) -> Iterator[Point]:
        """All points, panel by panel."""
        for panel, values in dataclasses.asdict(self).items():
            for value in values:
                yield Point(panel, value, **{panel: value})


QUICK = Grid((128, 256), (28, 32), (128, 256), (256, 512))


def measure(point: Point, device: torch.device, precision: str) -> dict[str, Any]:
    """Time and memory of one point, in this process.

    Args:
        point: what to measure.
        device: where.
        precision: of stage 1, "float32" or "bfloat16".

    Returns:
        The point's own fields; "seconds", the median of an epoch, and "spread"; "peak_bytes", the highest memory, on a
        GPU of its own and else of the process, less what there was before; "cache_bytes", the part of it in which
        stage 1 keeps what the loss network sees of the images.
    """
    before = peak_bytes(device)
    stage = _make_stage(point, device, precision)
    stage.run_epoch(1)
    timing = Timing(tuple(clocked(functools.partial(stage.run_epoch, epoch), device)[0] for epoch in TIMED))
    return dataclasses.asdict(point) | {
        "seconds": timing.median,
        "spread": timing.spread,
        "peak_bytes": peak_bytes(device) - before,
        "cache_bytes": _cache_bytes(stage),
    }


def command(point: Point, device: torch.device, precision: str) -> list[str]:
    """What to start, in the repository's folder, for one point in a process of its own: its last line is JSON."""
    own = [sys.executable, "-m", "benchmarks.speed.growth", "--point", json.dumps(dataclasses.asdict(point))]
    return [*own, "--device", device.type, "--precision", precision]


def measure_all(grid: Grid, device: torch.device) -> dict[str, Any]:
    """Every point of `grid`, a process each; a point that cannot be measured is left out, with a line on stderr.

    Returns:
        "precision", that of stage 1 in all points, and "points", see `measure`.
    """
    precision = str(resolve_precision("auto", device)).removeprefix("torch.")
    found = []
    for point in grid.points():
        done = subprocess.run(command(point, device, precision), cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            print(f"growth, {point.panel} {point.value:,}: left out: {reason}", file=sys.stderr, flush=True)
            continue
        found.append(json.loads(done.stdout.splitlines()[-1]))  # a stage may say that memory is short
        row = found[-1]
        words = f"{row['seconds']:.3g} s an epoch, {row['peak_bytes'] / 2**20:,.0f} MiB"
        print(f"growth, {point.panel} {point.value:,}: {words}", file=sys.stderr, flush=True)
    return {"precision": precision, "points": found}


def _make_stage(point: Point, device: torch.device, precision: str) -> glo.GLO | imle.IMLE:
    if point.latents:
        stage = imle.IMLE(make_latents(point.latents), IMLEConfig(batch_size=point.batch), device)
        settle(stage.mapper)
        return stage
    config = GLOConfig(loss="random-vgg16", batch_size=point.batch, precision=precision)
    return glo.GLO(pictures(point.images, 1, point.resolution), config, device)


def _cache_bytes(stage: glo.GLO | imle.IMLE) -> int:
    if isinstance(stage, imle.IMLE):
        return 0
    cache = stage.targets.cache
    return sum(level.nbytes for level in cache.levels) if cache else 0


def main() -> None:
    """Measure one point and print it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.growth", description="One point, as JSON.")
    parser.add_argument("--point", required=True, type=json.loads, help="the fields of Point, as JSON")
    parser.add_argument("--device", required=True, type=torch.device)
    parser.add_argument("--precision", required=True, choices=("float32", "bfloat16"))
    arguments = parser.parse_args()
    keep_freed_memory()  # as training.train does
    print(json.dumps(measure(Point(**arguments.point), arguments.device, arguments.precision)))


if __name__ == "__main__":
    main()
