"""`python -m benchmarks.gpu`: what is to be known of a GPU, part by part, then a run at the paper's scale.

It is made for a machine that has torch and little else, no network, and a limit on the minutes of a call: what is done
is left out at the next call, what was stopped goes on, and everything comes back in at most eight files.
"""

from __future__ import annotations

import argparse
import functools
import math
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import facts, packing, running, runs, training
from benchmarks.gpu.running import Job, Part
from glann_lib.engine import storage

PARTS = (  # with what a GPU of the kind that they were thought out for may need, none of it measured
    Part("machine", facts.describe, 5, 60),
    Part("tests", facts.run_tests, 60, 300),
    Part("precision", facts.precision, 20, 90),
    Part("step", training.step, 40, 150),
    Part("profile", training.profiled, 40, 150),
    Part("search", training.search, 15, 90),
    Part("bits", training.bits, 25, 120),
    Part("resume", training.resume, 20, 90),
    Part("memory", training.memory, 20, 90),
    Part("imle", training.imle, 15, 90),
    Part("lines", facts.lines, 60, 300),
    *(Part(name, functools.partial(runs.run, name), 60) for name in runs.RUNS),
)
LATER = ("fashion", "cifar10")  # runs that are done where --only names them: one is enough for some calls
ASKED = tuple(part.name for part in PARTS if part.name not in LATER)
PACKING = 20.0  # s
QUICK_LEAST, QUICK_PACKING = 1.0, 0.5  # s, with --quick


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the parts that are asked for and not done; 0 where all of them are done then."""
    parser = _parser()
    given = parser.parse_args(arguments)
    deadline = time.monotonic() + 60 * given.minutes
    _check(parser, given)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what is running is ended, too
    try:
        if given.source:
            print(f"{packing.unpack(given.source, given.work)} files taken from {given.source}", flush=True)
        chosen = [part for part in PARTS if part.name in given.only]
        for part in chosen:
            _do(part, given, deadline - given.packing)
            _report(given, {})
        _report(given, packing.pack(given.work, given.out))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    finally:
        signal.signal(signal.SIGTERM, before)
    return int(any(running.result(given.work, part.name)["state"] != "done" for part in chosen))


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(part.name for part in PARTS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="for gpu.json and at most seven parts of gpu.tar.gz")
    parser.add_argument("--work", type=Path, default=Path("results/gpu"), help="for all else (default: results/gpu)")
    parser.add_argument("--from", type=Path, dest="source", help="an --out of another machine, to go on from")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which all is over (default: 9)")
    parser.add_argument("--only", nargs="+", default=list(ASKED), metavar="NAME", help=f"some of: {names}")
    parser.add_argument("--again", action="store_true", help="also what is done already")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything works")
    return parser


def _check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Refuse what cannot be done, in a line; folders become absolute."""
    known = [part.name for part in PARTS]
    if unknown := [name for name in given.only if name not in known]:
        parser.error(f"unknown part {unknown[0]!r}: choose from {', '.join(known)}")
    if not 0 < given.minutes < math.inf:
        parser.error(f"--minutes is {given.minutes:g}: give more than 0")
    if wrong := running.check_device(given.device):
        parser.error(wrong)
    given.out, given.work = given.out.absolute(), given.work.absolute()
    given.packing = QUICK_PACKING if given.quick else PACKING


def _do(part: Part, given: argparse.Namespace, deadline: float) -> None:
    """Do a part if it is not done and there is time; a line says what came of it."""
    state = running.result(given.work, part.name)["state"]
    left, least = deadline - time.monotonic(), QUICK_LEAST if given.quick else part.least
    if state == "done" and not given.again:
        print(f"{part.name}: done already", flush=True)
    elif left < least:
        print(f"{part.name}: not begun, {max(0.0, left):.0f} s are left and it needs {least:.0f}", flush=True)
    else:
        job = Job(given.device, given.work, quick=given.quick)
        found = running.run(part, job, min(left, part.limit))
        reason = f": {found['reason']}" if found["reason"] else ""
        print(f"{part.name}: {found['state']} after {found['seconds']:.1f} s{reason}", flush=True)


def _report(given: argparse.Namespace, packed: dict[str, Any]) -> None:
    """gpu.json: the results of all parts, and what was packed."""
    results = {part.name: running.result(given.work, part.name) for part in PARTS}
    known = {name: found for name, found in results.items() if found["state"] != "missing"}
    storage.write_json(given.out / "gpu.json", {"parts": known, "quick": given.quick, "packed": packed})


if __name__ == "__main__":
    sys.exit(main())
