"""Training on a GPU: how long steps take and where the time goes, and whether bits and memory are as promised.

Parts of `benchmarks.gpu`; each gives plain values.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks import machine
from benchmarks.gpu.running import Job
from benchmarks.material import NOISE_DIM, make_latents, make_mapper, pictures, settle
from benchmarks.speed.paths import UNENDING
from benchmarks.timing import clocked, synchronise
from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine import devices, storage, training
from glann_lib.engine.devices import has_bfloat16, select_device
from glann_lib.engine.stages import SteppedStage
from glann_lib.glo import GLO, fit_glo
from glann_lib.imle import IMLE
from glann_lib.neighbours import nearest_neighbours
from glann_lib.sampling import draw_noise

EPOCHS = (1, 3, 5)  # that are timed: the first makes the loss network and records; the others take no snapshot
KERNELS = 30  # rows of a profile
NEAR = 1e-6  # part of the least distance by which a farther point is as near as float32 can tell


def step(job: Job) -> dict[str, Any]:
    """Seconds a step of stage 1 on 60,000 images of 28 px, by number format; peak memory, and whether it was recorded.

    A format that the device does not have is None.
    """
    device, images = select_device(job.device), _images(job, 60_000)
    found: dict[str, Any] = {}
    for precision in ("bfloat16", "float32"):
        found[precision] = None
        if precision == "float32" or has_bfloat16(device):
            _forget_peak(device)
            stage = GLO(images, _config(job, precision=precision), device)
            found[precision] = _timed_epochs(stage, len(images) // stage.config.batch_size)
            found[precision] |= {"cached": stage.targets.cache is not None}
            del stage
    return found


def imle(job: Job) -> dict[str, Any]:
    """Seconds of stage 2's epochs on 60,000 latents, search included."""
    device, latents = select_device(job.device), make_latents(job.pick(60_000, 64))
    stage = IMLE(latents, IMLEConfig(epochs=UNENDING, batch_size=job.pick(128, 16)), device)
    settle(stage.mapper)
    _forget_peak(device)
    return _timed_epochs(stage, len(latents) // stage.config.batch_size)


def profiled(job: Job) -> dict[str, Any]:
    """Where the time of a step of stage 1 goes, by kernels where it is replayed, by operations where it is not."""
    device, images = select_device(job.device), _images(job, 60_000)
    found = {}
    for graphs, name in (("auto", "replayed"), ("off", "plain")):
        stage = GLO(images, _config(job, graphs=graphs), device)
        stage.run_epoch(1)
        found[name] = _profile(stage, job.pick(50, 2), job.work / f"profile-{name}.txt")
        del stage
    return found


def _profile(stage: SteppedStage, steps: int, path: Path) -> dict[str, Any]:
    """The table of some steps goes to a file; the top rows: name, calls and milliseconds a step."""
    on_cuda = stage.device.type == "cuda"
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_cuda
    with devices.deterministic(stage.device), profile(activities=kinds) as profiler:
        for given in itertools.islice(stage.inputs(EPOCHS[-1]), steps):
            stage.recording.run(stage.step, given)
        synchronise(stage.device)
    rows, order = profiler.key_averages(), "self_device_time_total" if on_cuda else "self_cpu_time_total"
    storage.write_text(path, rows.table(sort_by=order, row_limit=KERNELS, max_name_column_width=90) + "\n")
    if on_cuda:  # an operation's row has the time of its kernels, too
        rows = [row for row in rows if row.device_type != DeviceType.CPU]
    top = sorted(rows, key=lambda row: -getattr(row, order))[:KERNELS]
    kernels = [{"name": row.key, "calls": row.count / steps, "ms": getattr(row, order) / 1000 / steps} for row in top]
    total = sum(getattr(row, order) for row in rows) / 1000 / steps
    return {"recorded": stage.recording.graph is not None, "ms_a_step": total, "top": kernels}


def search(job: Job) -> dict[str, Any]:
    """Seconds of five exact searches, 60,000 x 120,000 x 64; and how many of 5,000 indices float64 finds wrong."""
    device, latents = select_device(job.device), job.pick(60_000, 300)
    queries, noise = make_latents(latents).to(device), draw_noise(2 * latents, NOISE_DIM, seed=0).to(device)
    with torch.no_grad():
        points = make_mapper(device).train()(noise)
    nearest_neighbours(queries, points)
    _forget_peak(device)
    seconds = []
    for _ in range(5):
        taken, found = clocked(lambda: nearest_neighbours(queries, points).index[:, 0], device)
        seconds.append(taken)
    some = torch.randperm(latents, generator=torch.Generator().manual_seed(0))[: job.pick(5000, 100)].to(device)
    size = [latents, 2 * latents, queries.shape[1]]
    peak = machine.peak_bytes(device)
    return {"size": size, "seconds": seconds, "peak_bytes": peak} | _judge(queries[some], points, found[some])


def _judge(queries: Tensor, points: Tensor, found: Tensor) -> dict[str, int]:
    """How many indices are not those of all pairs in float64, and of how many the point is farther than by rounding."""
    points, other, wrong = points.double(), 0, 0
    for rows, index in zip(queries.double().split(250), found.split(250), strict=True):
        distance, nearest = torch.cdist(rows, points, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        other += int((nearest != index).sum())
        wrong += int(((rows - points[index]).norm(dim=1) > distance * (1 + NEAR)).sum())
    return {"judged": len(queries), "other": other, "wrong": wrong}


def bits(job: Job) -> dict[str, Any]:
    """Two trainings on 6,000 images for 3 epochs, with deterministic kernels and without: equal bits, at what cost?"""
    device, images = select_device(job.device), _images(job, 6000)
    found: dict[str, Any] = {}
    for name in ("deterministic", "any"):
        with contextlib.nullcontext() if name == "deterministic" else _any_kernels():
            runs = [_trained(images, _config(job, epochs=3), device) for _ in range(2)]
        steps = len(images) // runs[0][0].config.batch_size
        # The first epoch makes the loss network; of the others the faster, as other work only adds.
        fastest = min(record.seconds for _, records in runs for record in records[1:]) / steps
        found[name] = {"equal": _equal(*(stage for stage, _ in runs)), "seconds_a_step": fastest}
    return found | {"cost": found["deterministic"]["seconds_a_step"] / found["any"]["seconds_a_step"]}


def _trained(images: Tensor, config: GLOConfig, device: torch.device) -> tuple[GLO, list[Any]]:
    stage = GLO(images, config, device)
    return stage, list(training.train(stage))


@contextlib.contextmanager
def _any_kernels() -> Iterator[None]:
    """Stages train with whatever kernels cuDNN likes best, inside the block."""
    with mock.patch.object(devices, "deterministic", lambda device: contextlib.nullcontext()):
        yield


def resume(job: Job) -> dict[str, Any]:
    """Four epochs with Adam kept, in one go, and stopped after two and resumed: equal bits?"""
    device, images = select_device(job.device), _images(job, 6000)
    config = _config(job, epochs=4, optimiser="persistent")
    whole, records = _trained(images, config, device)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(training, "CHECKPOINT_SECONDS", -1.0):
        path = Path(folder) / "glo.safetensors"
        begun = training.train(GLO(images, config, device), path)
        first = list(itertools.islice(begun, 2))
        begun.close()
        resumed = GLO(images, config, device)
        rest = list(training.train(resumed, path))
    losses = {"whole": [record.loss for record in records], "resumed": [record.loss for record in rest]}
    return {"equal": _equal(whole, resumed), "stopped_after": len(first), "losses": losses}


def _equal(first: GLO, second: GLO) -> bool:
    """Whether all that decides how training goes on is the same, to the bit."""
    ours, theirs = first.state(), second.state()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name].cpu(), theirs[name].cpu()) for name in ours)


def memory(job: Job) -> dict[str, Any]:
    """Bytes in use before and after each of three trainings in one process, whose results were let go of.

    Of the GPU's tensors, elsewhere of the process; "collected" is what is left after Python's collector ran, too.
    """
    device, images = select_device(job.device), _images(job, 6000)
    used, collected, peaks = [machine.used_bytes(device)], [], []
    for _ in range(3):
        _forget_peak(device)
        fit_glo(images, _config(job, epochs=2), device)
        used.append(machine.used_bytes(device))
        peaks.append(machine.peak_bytes(device))
        gc.collect()
        collected.append(machine.used_bytes(device))
    return {"used": used, "collected": collected, "peak_bytes": peaks}


def _images(job: Job, count: int) -> Tensor:
    return pictures(job.pick(count, 32), 1, 28)


def _config(job: Job, **changes: Any) -> GLOConfig:
    """Of stage 1 with a VGG16, whose arithmetic is that of one with ImageNet's weights."""
    less = {"loss": "random-vgg16-quarter", "batch_size": 8, "feature_channels": 16}
    return GLOConfig(**{"loss": "random-vgg16", "epochs": UNENDING} | job.pick({}, less) | changes)


def _timed_epochs(stage: SteppedStage, steps: int) -> dict[str, Any]:
    """Seconds of the EPOCHS and of a step of each, their losses, peak memory, and whether the step was recorded."""
    rows = []
    for epoch in EPOCHS:
        seconds, record = clocked(lambda epoch=epoch: stage.run_epoch(epoch), stage.device)
        row = {"epoch": epoch, "seconds": seconds, "seconds_a_step": seconds / steps, "loss": record.loss}
        print(stage.name, row, flush=True)
        rows.append(row)
    recorded, peak = stage.recording.graph is not None, machine.peak_bytes(stage.device)
    return {"epochs": rows, "steps": steps, "recorded": recorded, "peak_bytes": peak}


def _forget_peak(device: torch.device) -> None:
    """From here on the GPU's highest memory is counted anew."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
