"""`python -m benchmarks.speed.scale`: the exact search of stage 2 beside faiss's inverted lists, on a million latents.

The lists are made anew in every epoch, as T moves all points; a part of the queries is searched, and timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks import machine
from benchmarks.material import NOISE_DIM, make_latents, make_mapper
from benchmarks.timing import clocked
from glann_lib.engine import storage
from glann_lib.neighbours import nearest_neighbours
from glann_lib.sampling import draw_noise

CPU = torch.device("cpu")
PROBES = (1, 4, 16, 64)  # lists that are searched for a query
TRAINED_ON = 64  # points a list, from which the lists' centres are found


def points_of(latents: int, noise_per_latent: int = 2) -> Tensor:
    """T of the noises of an epoch, [noise_per_latent * latents, LATENT_DIM], T being as after some epochs."""
    noise = draw_noise(noise_per_latent * latents, NOISE_DIM, seed=0)
    with torch.no_grad():
        return make_mapper(CPU).eval()(noise)


def measure(latents: int, queries: int, lists: int) -> Iterator[dict[str, Any]]:
    """A row for the exact search, then one for each number of lists searched.

    Args:
        latents: of the data set.
        queries: of them that are searched.
        lists: that the points are sorted into.

    Yields:
        "way"; "build_s", seconds before the first query; "query_s", of one query; "epoch_s", both for all latents;
        "recall", part of the queries whose nearest point was found; "farther", the mean distance found over the mean
        distance to the nearest.
    """
    import faiss

    rows, points = make_latents(latents)[:queries], points_of(latents)
    seconds, exact = clocked(lambda: nearest_neighbours(rows, points))
    yield _row("exact, as here", 0.0, seconds / queries, latents, 1.0, 1.0)

    centres = faiss.IndexFlatL2(points.shape[1])
    index = faiss.IndexIVFFlat(centres, points.shape[1], lists)
    step = max(1, len(points) // (TRAINED_ON * lists))
    built, _ = clocked(lambda: (index.train(points[::step].numpy()), index.add(points.numpy())))
    for probes in (p for p in PROBES if p <= lists):
        index.nprobe = probes
        seconds, (squares, found) = clocked(lambda: index.search(rows.numpy(), 1))
        recall = float((torch.from_numpy(found) == exact.index).double().mean())
        farther = float(torch.from_numpy(squares).sqrt().mean() / exact.distance.mean())
        yield _row(f"{probes} of {lists:,} lists", built, seconds / queries, latents, recall, farther)


def _row(way: str, build: float, query: float, latents: int, recall: float, farther: float) -> dict[str, Any]:
    values = {"way": way, "build_s": build, "query_s": query, "epoch_s": build + query * latents}
    return values | {"recall": recall, "farther": farther}


def main() -> None:
    """Read the options, measure, print, and write scale.json where it is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.scale", description=__doc__)
    parser.add_argument("--latents", type=int, default=1_000_000, help="of the data set (default: 1,000,000)")
    parser.add_argument("--queries", type=int, default=4000, help="of them that are searched (default: 4,000)")
    parser.add_argument("--lists", type=int, default=2048, help="that faiss sorts the points into (default: 2,048)")
    parser.add_argument("--folder", type=Path, help="write scale.json there")
    given = parser.parse_args()
    try:
        rows = list(measure(given.latents, min(given.queries, given.latents), given.lists))
    except ImportError:
        parser.error("faiss is not installed: pip install faiss-cpu==1.15.1")
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".4g"))
    if given.folder:
        sizes = {name: getattr(given, name) for name in ("latents", "queries", "lists")}
        storage.write_json(
            given.folder / "scale.json", {"machine": machine.describe(CPU), "sizes": sizes, "rows": rows}
        )


if __name__ == "__main__":
    main()
