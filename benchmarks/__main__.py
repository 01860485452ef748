"""`python -m benchmarks`: one table of what is faster here than by the book, by how much, and whether it is equal."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
from importlib import metadata
from pathlib import Path

import pandas as pd
import torch

from benchmarks import scores

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
CPU_INFO = Path("/proc/cpuinfo")


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": (models or [platform.processor()])[0],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "busy_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # processes, mean of a minute
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
    }


def table(comparisons: list[scores.Comparison]) -> str:
    """One line a comparison."""

    def words(timing: scores.Timing) -> str:
        return f"{timing.median:.2f} s (spread {timing.spread:.2f})"

    rows = [
        {
            "what": c.what,
            "here": words(c.here),
            "textbook": f"{words(c.textbook_time)}: {c.textbook}",
            "ratio": f"{c.ratio:.1f}",
            "largest difference": c.difference,
        }
        for c in comparisons
    ]
    return pd.DataFrame(rows).to_markdown(index=False)


def main() -> None:
    """Measure, print, and write the numbers where they are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement (default: 3)")
    parser.add_argument("--json", type=Path, help="write results and machine to this file")
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error(f"--repeats is {arguments.repeats}: give 1 or more")
    conditions, sets = machine(), scores.features()
    comparisons = [compare(*sets, arguments.repeats) for compare in (scores.compare_frechet, scores.compare_prd)]
    print(table(comparisons))
    if arguments.json:
        results = [dataclasses.asdict(c) | {"ratio": c.ratio} for c in comparisons]
        text = json.dumps({"machine": conditions, "results": results}, indent=2, ensure_ascii=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
