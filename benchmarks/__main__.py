"""`python -m benchmarks`: one table of what is faster here than by the book, by how much, and whether it is equal."""

from __future__ import annotations

import argparse
import dataclasses
import io
import sys
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from benchmarks import chart, machine
from benchmarks.material import QUICK, Sizes
from benchmarks.quality import ways
from benchmarks.speed import growth, together
from benchmarks.speed.paths import PATHS
from benchmarks.timing import Comparison, as_record
from glann_lib.engine import storage
from glann_lib.engine.checks import first_line
from glann_lib.engine.devices import resolve_precision, select_device

NO_FAISS = "faiss is not installed: neighbours and imle are compared with torch.cdist only"


def compare(
    names: Sequence[str], sizes: Sizes, device: torch.device, repeats: int
) -> tuple[list[Comparison], list[str]]:
    """The comparisons called `names`, and a line for each that could not be made; progress goes to stderr."""
    comparisons, left_out = [], []
    if not util.find_spec("faiss") and {"neighbours", "imle"} & set(names):
        left_out.append(NO_FAISS)
    for name in names:
        try:
            found = PATHS[name](sizes, device, repeats)
        except (RuntimeError, MemoryError, ImportError) as error:  # torch's lack of memory is a RuntimeError
            left_out.append(f"{name}: {first_line(error)}")
            print(f"left out: {left_out[-1]}", file=sys.stderr, flush=True)
            continue
        comparisons += found
        for c in found:
            print(f"{name}: ratio {c.ratio:.3g} to {c.textbook}", file=sys.stderr, flush=True)
    return comparisons, left_out


def table(comparisons: Sequence[Comparison], ceilings: dict[str, float]) -> str:
    """One line a comparison."""

    def part(comparison: Comparison) -> str:
        fraction = comparison.fraction(ceilings)
        return "" if fraction is None else f"{fraction:.0%}"

    rows = [
        {
            "what": c.what,
            "here": str(c.here),
            "textbook": f"{c.textbook_time}: {c.textbook}",
            "ratio (least to largest)": f"{c.ratio:.3g} ({c.ratio_range[0]:.3g} to {c.ratio_range[1]:.3g})",
            "of the ceiling": part(c),
            "largest difference": c.difference,
        }
        for c in comparisons
    ]
    return pd.DataFrame(rows).to_markdown(index=False)


def run_comparisons(arguments: argparse.Namespace, device: torch.device) -> None:
    """Measure, print the table, and write benchmarks.json, benchmarks.md and chart.png where they are asked for."""
    description = machine.describe(device)
    ceilings = machine.ceilings(device, *machine.SMALL if arguments.quick else ())
    sizes = QUICK if arguments.quick else Sizes.for_device(device)
    comparisons, left_out = compare(arguments.only, sizes, device, arguments.repeats)
    parts = [machine.words(description, ceilings), *left_out]
    parts = ["\n".join(f"{line}  " for part in parts for line in part.splitlines())]  # two spaces: a new line
    if comparisons:
        parts.append(table(comparisons, ceilings))
    print("\n\n".join(parts))
    if arguments.folder and comparisons:
        record = {
            "machine": description,
            "ceilings": ceilings,
            "sizes": dataclasses.asdict(sizes),
            "results": [as_record(c, ceilings) for c in comparisons],
            "left_out": left_out,
        }
        storage.write_text(arguments.folder / "benchmarks.md", "\n\n".join(parts) + "\n")
        _keep(arguments.folder, "benchmarks.json", record, "chart.png", chart.draw_ratios(record))


def run_growth(arguments: argparse.Namespace, device: torch.device) -> None:
    """Measure costs as work grows, print them, and write growth.json and growth.png where they are asked for."""
    description = machine.describe(device)
    record = {"machine": description} | growth.measure_all(growth.QUICK if arguments.quick else growth.Grid(), device)
    print(pd.DataFrame(record["points"]).to_markdown(index=False, floatfmt=".4g", intfmt=","))
    if arguments.folder and record["points"]:
        _keep(arguments.folder, "growth.json", record, "growth.png", chart.draw_growth(record))


def run_together(arguments: argparse.Namespace, device: torch.device) -> None:
    """Measure two trainings at once, print them, and write together.json where it is asked for."""
    description = machine.describe(device)
    precision = str(resolve_precision("auto", device)).removeprefix("torch.")
    point = growth.Point("images", 256, images=256) if arguments.quick else growth.Point("images", 1024, images=1024)
    rows = together.measure_all(point, device, precision)
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".3g"))
    if arguments.folder:
        record = {"machine": description, "precision": precision, "point": dataclasses.asdict(point), "rows": rows}
        storage.write_json(arguments.folder / "together.json", record)


def run_quality(arguments: argparse.Namespace, device: torch.device) -> None:
    """Train in many ways, say what each costs and gives; quality.json has every row as soon as it is there."""
    record = {"machine": machine.describe(device), "dataset": arguments.quality, "rows": []}
    less = {"data_train_images": 200, "glo_epochs": 2, "imle_epochs": 2} if arguments.quick else {}
    less |= {"data_train_images": arguments.images} if arguments.images else {}
    less |= {"glo_epochs": arguments.epochs} if arguments.epochs else {}
    given = arguments.quality, arguments.ways, arguments.repeats, device, arguments.minutes, arguments.folder
    for row in ways.measure_all(*given, **less):
        record["rows"].append(row)
        record["table"] = ways.table(record["rows"]).to_markdown(index=False)
        if arguments.folder:
            storage.write_json(arguments.folder / "quality.json", record)
    print(record["table"])


def _keep(folder: Path, name: str, record: dict[str, Any], chart_name: str, figure: Figure) -> None:
    storage.write_json(folder / name, record)
    chart = io.BytesIO()
    figure.savefig(chart, dpi=200, format=Path(chart_name).suffix[1:])
    storage.write_bytes(folder / chart_name, chart.getvalue())


def main() -> None:
    """Read the options and do what they say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement (default: 3)")
    parser.add_argument("--only", nargs="+", default=list(PATHS), metavar="NAME", help=f"some of: {', '.join(PATHS)}")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything works")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--growth", action="store_true", help="instead: costs of an epoch as work grows")
    other.add_argument("--quality", metavar="DATASET", help="instead: GLANN trained in many ways on it, and scored")
    other.add_argument("--together", action="store_true", help="instead: two trainings at once on this machine")
    parser.add_argument(
        "--ways", nargs="+", metavar="WAY", help="some of those that --quality trains in; see its table"
    )
    parser.add_argument("--images", type=int, help="to train on, with --quality (default: the quick profile's)")
    parser.add_argument("--minutes", type=float, help="with --quality: of stage 1, for each way as many epochs as fit")
    parser.add_argument("--epochs", type=int, help="with --quality: of stage 1 (default: each way's own)")
    parser.add_argument("--folder", type=Path, help="write numbers (JSON), table (Markdown) and chart (PNG) there")
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error(f"--repeats is {arguments.repeats}: give 1 or more")
    if arguments.minutes is not None and not arguments.minutes > 0:
        parser.error(f"--minutes is {arguments.minutes}: give more than 0")
    if unknown := [name for name in arguments.only if name not in PATHS]:
        parser.error(f"unknown name {unknown[0]!r}: choose from {', '.join(PATHS)}")
    try:
        device = select_device(arguments.device)
    except ValueError as error:
        parser.error(str(error))
    others = {"growth": run_growth, "quality": run_quality, "together": run_together}
    chosen = next((run for name, run in others.items() if getattr(arguments, name)), run_comparisons)
    try:
        chosen(arguments, device)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
