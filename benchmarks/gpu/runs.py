"""Runs at the paper's scale that go on from call to call: both stages, samples, scores, a model.

Parts of `benchmarks.gpu`. Data sets lie in data/ or GLANN_DATA, VGG19's weights in data/weights or GLANN_WEIGHTS;
nothing is downloaded.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.utils import save_image

from benchmarks import machine
from benchmarks.gpu.facts import origin
from benchmarks.gpu.running import Job
from benchmarks.material import pictures
from glann_lib.config import Config, make_config
from glann_lib.data.images import load_images
from glann_lib.data.record import ImageData
from glann_lib.engine import progress, storage, training
from glann_lib.engine.devices import select_device
from glann_lib.engine.stages import SteppedStage
from glann_lib.glo import GLO, load_embedding
from glann_lib.imle import IMLE, load_mapping
from glann_lib.model import Glann

SAMPLES = 10_000
SHOWN = 100  # samples in the picture
ENOUGH = 60.0  # s for samples and scores; with less left they wait for the next call
QUICK = {"glo_loss": "random-vgg16-quarter", "glo_feature_channels": 16, "imle_hidden_dim": 16}
QUICK |= {"glo_epochs": 3, "glo_batch_size": 8, "imle_epochs": 3, "imle_batch_size": 8}


@dataclass(frozen=True)
class Run:
    """One run: a data set in the paper profile, with some settings of its own."""

    dataset: str
    settings: dict[str, Any]


# Those of results/published/RUNS.md that a GPU is wanted for; a part of the name each.
RUNS = {name: Run(name, {"glo_loss": "vgg19"}) for name in ("mnist", "fashion", "cifar10")}


def run(name: str, job: Job) -> dict[str, Any]:
    """Both stages, samples, scores and the model, in the work folder's runs/<name>, as far as the time allows.

    A later call goes on from the checkpoints.
    """
    device, folder = select_device(job.device), job.work / "runs" / name
    train, test, config = _material(RUNS[name], job)
    values: dict[str, Any] = {"config": config.as_dict(), "data": train.describe()}
    values["peak_bytes"] = job.before.get("peak_bytes", 0)
    for make, path in ((_glo, folder / "glo.safetensors"), (_imle, folder / "imle.safetensors")):
        stage = make(train, config, device, folder)
        values[stage.name] = _train(stage, path, job)
        values["peak_bytes"] = max(values["peak_bytes"], machine.peak_bytes(device))
        if values[stage.name]["epochs"] < stage.epochs:
            return values | {"unfinished": f"{stage.name}: {values[stage.name]['epochs']} of {stage.epochs} epochs"}
        del stage  # what it keeps of the images takes gigabytes
    if time.time() + job.pick(ENOUGH, 0) > job.until:
        return values | {"unfinished": "trained; samples and scores are to come"}
    return values | _finish(folder, train, test, config, device, job)


def _material(run: Run, job: Job) -> tuple[ImageData, ImageData, Config]:
    """Training and test images, and the settings; with `quick` some pictures, by other settings."""
    config = make_config(run.dataset, "paper", **run.settings | job.pick({}, QUICK))
    if job.quick:
        images = pictures(72, 1, 28)
        train, test = ImageData(images[:32], name="pictures"), ImageData(images[32:], name="pictures", split="test")
    else:
        train, test = (load_images(config.data, split, download=False) for split in ("train", "test"))
    return train, test, config.for_images(len(train))


def _glo(train: ImageData, config: Config, device: torch.device, folder: Path) -> GLO:
    return GLO(train.images, config.glo, device)


def _imle(train: ImageData, config: Config, device: torch.device, folder: Path) -> IMLE:
    return IMLE(load_embedding(folder / "glo.safetensors", device).latents, config.imle, device)


def _train(stage: SteppedStage, path: Path, job: Job) -> dict[str, Any]:
    """Train until the end or until it is late: epochs done, their seconds in all calls, first and last loss.

    The checkpoint is at most `training.CHECKPOINT_SECONDS` and an epoch older than what was done.
    """
    records, history = training.train(stage, path), []
    for record in progress.epochs(records, stage.epochs, stage.name):
        history.append(record)
        if job.late():
            break
    records.close()
    storage.write_json(path.with_suffix(".json"), [asdict(record) for record in history])
    seconds, losses = [record.seconds for record in history], [record.loss for record in history]
    recorded = stage.recording is not None and stage.recording.records
    known = {"epochs": len(history), "seconds": sum(seconds), "seconds_an_epoch": sorted(seconds)[len(seconds) // 2]}
    return known | {"first_loss": losses[0], "last_loss": losses[-1], "recorded": recorded}


def _finish(
    folder: Path, train: ImageData, test: ImageData, config: Config, device: torch.device, job: Job
) -> dict[str, Any]:
    """The model as a file, a picture of samples, and their scores; seconds of each."""
    embedding, mapping = (
        load(folder / f"{name}.safetensors", device) for load, name in ((load_embedding, "glo"), (load_mapping, "imle"))
    )
    facts = {"config": config.as_dict(), "data": train.describe(), "seed": config.glo.seed}
    record = origin(device, precision=embedding.precision, **facts)
    model = Glann.join(embedding, mapping, config, record, train)
    model.save(folder / "model.safetensors")
    start = time.monotonic()
    samples = model.sample(job.pick(SAMPLES, 40))
    sampled = time.monotonic() - start
    folder.mkdir(parents=True, exist_ok=True)
    save_image(samples[:SHOWN].float() / 255, folder / "samples.png", nrow=10, padding=0)
    scores = _score(samples, train, test, device)
    found = {"scores": scores, "sampling_seconds": sampled, "scoring_seconds": time.monotonic() - start - sampled}
    storage.write_json(folder / "scores.json", found | {"provenance": record})
    return found | {"samples": len(samples), "provenance": record, "precision": embedding.precision}


def _score(samples: Tensor, train: ImageData, test: ImageData, device: torch.device) -> dict[str, Any]:
    """Every measure of samples against test images by a random VGG16; why there is none where a package is missing."""
    try:
        from glann_lib.scores.evaluate import Reference
        from glann_lib.scores.features import make_score_extractor

        extractor = make_score_extractor("random-vgg16", train, test, device)
        return Reference.of(test.images, [extractor]).score(samples)
    except ImportError as error:
        return {"left_out": str(error)}
