"""`python -m benchmarks.speed.resolutions`: memory and time of stage 1's steps at each size of images.

Memory is counted, not measured: the paper profile's G, VGG16, Adam and one batch in bfloat16, tensor by tensor, see
`glann_lib.engine.memory`. Time is measured, of narrow networks that a laptop trains.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks import machine
from benchmarks.timing import clocked
from glann_lib.companion import timing
from glann_lib.companion.memory import GIB, step_bytes
from glann_lib.config import GLOConfig, make_config
from glann_lib.engine import storage
from glann_lib.engine.devices import keep_freed_memory, select_device
from glann_lib.glo import GLO, generator_of
from glann_lib.networks import count_parameters
from glann_lib.settings import MANY_PIXELS, SIZES

LARGE = tuple(size for size in SIZES if size >= 64)  # px
LIMITS = (16, 80)  # GiB, of usual GPUs
NARROW = {"resnet_channels": 16, "loss": "random-vgg16-quarter", "precision": "auto"}
STEPS, REPEATS = 2, 3


def settings_at(size: int, **changes: Any) -> GLOConfig:
    """The paper profile's stage 1 for large colour images, with the same generator for smaller ones."""
    return replace(make_config("celeba-hq", "paper", data_image_size=max(size, MANY_PIXELS)).glo, **changes)


def counted(sizes: Iterable[int]) -> Iterator[dict[str, Any]]:
    """A row for each size: G's parameters, GiB of a step, and how many images a step of usual GPUs can take."""
    for size in sizes:
        shape, config = (3, size, size), settings_at(size, cache_mib=0)
        with torch.device("meta"):
            millions = count_parameters(generator_of(shape, config)) / 1e6
        row = {"px": size, "channels": config.resnet_channels, "G's parameters, millions": round(millions, 1)}
        for name, checkpointing in (("", False), (" with checkpointing", True)):
            needed = {n: gibibytes(size, n, checkpointing) for n in (config.batch_size, 2 * config.batch_size)}
            row[f"GiB at batch {config.batch_size}{name}"] = round(needed[config.batch_size], 2)
            row |= {f"images in {limit} GiB{name}": largest_batch(needed, limit) for limit in LIMITS}
        yield row


def gibibytes(size: int, batch_size: int, checkpointing: bool) -> float:
    """Memory of a step in bfloat16."""
    config = settings_at(size, batch_size=batch_size, checkpointing=checkpointing, cache_mib=0)
    return step_bytes((3, size, size), config, torch.bfloat16) / GIB


def largest_batch(needed: dict[int, float], limit: float) -> int:
    """Images of the largest batch that takes at most `limit`, where two batches take what `needed` says of them."""
    (few, less), (many, more) = needed.items()
    each = (more - less) / (many - few)
    return max(0, int((limit - less) / each) + few)


def timed(sizes: Iterable[int], device: torch.device, batch_size: int = 16) -> Iterator[dict[str, Any]]:
    """A row for each size: seconds an image of a step of narrow networks, the fastest of some epochs."""
    keep_freed_memory()
    for size in sizes:
        config = settings_at(size, batch_size=batch_size, **NARROW)
        stage = GLO(timing.random_data(STEPS * batch_size, (3, size, size)), timing.plain(config), device)
        times = [clocked(lambda: stage.run_epoch(timing.EPOCH), device)[0] for _ in range(1 + REPEATS)]  # noqa: B023
        precision = stage.facts()["precision"]
        yield {"px": size, "s an image": min(times[1:]) / STEPS / batch_size, "number format": precision}


def main() -> None:
    """Read the options, count, measure, print, and write a JSON file where it is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.resolutions", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", choices=LARGE, default=LARGE, help="px, to be counted")
    parser.add_argument("--time", type=int, nargs="*", choices=LARGE, default=(), help="px, to be timed")
    parser.add_argument("--device", default="auto", help="that is timed")
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    given = parser.parse_args()
    device = select_device(given.device)
    memory, times = list(counted(given.sizes)), list(timed(given.time, device))
    for rows in filter(None, (memory, times)):
        print(pd.DataFrame(rows).to_markdown(index=False), end="\n\n")
    if given.out:
        record = {"machine": machine.describe(device), "memory": memory, "narrow": NARROW, "times": times}
        storage.write_json(given.out, record)


if __name__ == "__main__":
    main()
