"""Both stages alone, by several processes that torchrun starts: what `./run_all.sh --gpus N` does before the notebooks.

    torchrun --nproc-per-node 8 -m glann_lib.companion.train --dataset mnist --profile paper

takes run_all.sh's options. Each process holds a share of the images and of their latents (`engine.ranks`). What is
finished lies where the notebooks look for it, and they train it no more.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from glann_lib.companion import arguments
from glann_lib.companion.plans import SHARED, Plan, overrides
from glann_lib.config import kind_of
from glann_lib.engine.checks import first_line
from glann_lib.records import runs

FAILED = 1  # exit code
FAULTS = (ValueError, OSError, RuntimeError, MemoryError, ArithmeticError)  # told in a line, without a traceback


def main(argv: Sequence[str] | None = None) -> int:
    """One process's part; returns the exit code. Whatever stops it is one line on stderr."""
    from glann_lib.engine import ranks

    number = 0
    try:
        plan = arguments.make_plan(sys.argv[1:] if argv is None else argv)
        device = "cpu" if plan.device == "cpu" else "cuda"
        with ranks.joined(device):
            number = ranks.rank()
            for dataset, folder in shared(plan).items():
                train(plan, dataset, folder, device)
    except FAULTS as error:
        words = first_line(error)
        told = words if words.startswith("process ") else f"process {number}: {words}"
        print(f"run_all.sh: {told}", file=sys.stderr, flush=True)
        return FAILED
    return 0


def shared(plan: Plan) -> dict[str, Path]:
    """The folder of every data set of a plan whose stages several processes can train: images and shapes."""
    stages = [step.dataset for step in plan.steps if step.notebook.number in SHARED]
    return {dataset: folder for dataset, folder in plan.folders().items() if dataset in stages}


def train(plan: Plan, dataset: str, folder: Path, device: str) -> None:
    """Both stages of one data set into its folder, with the settings that the notebooks will ask for."""
    from glann_lib.engine import ranks
    from glann_lib.glo import fit_glo
    from glann_lib.imle import fit_imle
    from glann_lib.shapes.training_data import prepare

    step = next(step for step in plan.steps if step.dataset == dataset)
    with ranks.first_alone():  # it may download the data
        data = prepare(dataset, plan.profile, plan.seed, overrides(plan.settings(step)))
    work = runs.work_directory(folder)
    if not ranks.rank():
        print(f"{dataset}: {len(data.tensor):,} {kind_of(dataset)}, shared by {ranks.count()} processes", flush=True)
    embedding = fit_glo(data.tensor, data.config.glo, device, work / "glo.safetensors")
    fit_imle(embedding.latents, data.config.imle, device, work / "imle.safetensors")


def launch(plan: Plan, place: Path, say: Callable[[str], None]) -> str:
    """Start `main` once for each of `plan.gpus` GPUs, or with --device cpu as often on this processor.

    Args:
        plan: with the options that make it.
        place: the folder in which they were typed.
        say: is given each line that the first process prints.

    Returns:
        What went wrong, in a line; "" where nothing did.
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={plan.gpus}"]
    command = [sys.executable, *torchrun, "-m", "glann_lib.companion.train", *plan.options]
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=place) as process:
            try:
                for line in process.stdout:
                    say(line.rstrip("\n"))
            except BaseException:
                process.terminate()  # torchrun ends its processes, too
                raise
        errors.seek(0)
        return _fault(errors.read(), plan.gpus) if process.returncode else ""


def _fault(said: str, processes: int) -> str:
    """The cause in a line, from what torchrun and its processes wrote to stderr."""
    lines = [line.removeprefix("run_all.sh: ") for line in said.splitlines() if line.startswith("run_all.sh: ")]
    own = [line for line in lines if "another one stopped" not in line]
    killed = re.search(r"rank\s*:\s*(\d+).*?exitcode\s*:\s*-(\d+)", said.partition("Root Cause")[2], re.DOTALL)
    if own:
        return own[0]
    again = "start again, it goes on from the last checkpoint"
    if killed and killed[2] in ("9", "11", "6"):
        return f"process {killed[1]} of {processes} was killed (signal {killed[2]}), the others were stopped: {again}"
    return lines[0] if lines else f"the {processes} processes stopped: {(said.strip().splitlines() or [again])[-1]}"


if __name__ == "__main__":
    sys.exit(main())
