"""What the steps of every stage take on this machine, in seconds: real steps on random data, timed once a process."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from glann_lib import features, inversion, losses, sampling
from glann_lib.config import GLOConfig, IMLEConfig, for_count
from glann_lib.engine import devices
from glann_lib.glo import GLO, generator_of
from glann_lib.imle import IMLE
from glann_lib.moments import make_mapper
from glann_lib.neighbours import nearest_neighbours
from glann_lib.rivals.config import VAEConfig
from glann_lib.rivals.gan import GAN
from glann_lib.rivals.vae import VAE
from glann_lib.scores.classifier_training import ClassifierConfig, ClassifierTraining
from glann_lib.scores.evaluate import Reference
from glann_lib.scores.features import CPU, ScoreExtractor
from glann_lib.translation.config import NAMConfig
from glann_lib.translation.nam import NAM
from glann_lib.translation.search import BLOCK, Target, nearest_in_memory

PATIENCE, LONG = 0.15, 1.5  # s; for so long a step is timed again, and from so long on it is timed once
EPOCH = 3  # the one that is timed: at powers of two, and in its last, a stage does more
# Steps of an epoch that is timed on CUDA: before the fourth nothing is recorded, and the epoch's ends never are.
CUDA_STEPS = 50
NUMBERS = 2**18  # pixels or voxels at most in a batch that a processor is timed with: a larger one takes as much longer
STAGES = {GLOConfig: GLO, VAEConfig: VAE, ClassifierConfig: ClassifierTraining}  # all other settings are a GAN's
Shape = tuple[int, ...]  # of an image (C, S, S), of voxels (S, S, S), of a latent (D,)


def plain(settings: Any, steps: int = 1) -> Any:
    """A stage's settings without seed and schedule, by which a step takes no longer; nor does it by a VGG's weights.

    They are those of nine epochs, of so many `steps` where the settings count steps. VGG19 without its file is taken
    for VGG16, which at 64 px has a few layers more.
    """
    changes = {"seed": 0} | ({"steps": 9 * steps} if hasattr(settings, "steps") else {"epochs": 9})
    if getattr(settings, "coarse_epochs", 0):
        changes |= {"coarse_epochs": 8}
    loss = getattr(settings, "loss", "")
    if loss == "vgg16" or (loss == "vgg19" and features.missing_weights(loss)):
        changes["loss"] = "random-vgg16"
    return replace(settings, **changes)


def training_seconds(settings: Any, shape: Shape, images: int, device: torch.device) -> float:
    """A stage that takes a step a batch, on so many images or shapes: its epochs' steps, or as many as are set."""
    settings = for_count(settings, images)
    coarse, batches = getattr(settings, "coarse_epochs", 0), images // settings.batch_size
    steps = max((getattr(settings, "epochs", 0) - coarse) * batches, getattr(settings, "steps", 0))
    if isinstance(settings, GLOConfig):
        # A few batches are timed, with as large a part of the cache: they fit where all images would.
        few = timed_steps(GLO, device) * settings.batch_size
        settings = replace(settings, cache_mib=settings.cache_mib * few / images)
    if not coarse:
        return steps * step_seconds(settings, shape, device)
    fine = replace(settings, coarse_epochs=0)
    return steps * step_seconds(fine, shape, device) + coarse * batches * step_seconds(settings, shape, device)


def imle_seconds(
    settings: IMLEConfig, images: int, device: torch.device, kind: Any = IMLE, shape: Shape = (64,), *more: Any
) -> float:
    """Stage 2 on so many latents, or pixel IMLE: an epoch grows with their number, its pairs with the square of it."""
    settings = for_count(settings, images)
    few = min(images, timed_steps(kind, device) * settings.batch_size)
    epoch = epoch_seconds(kind, plain(settings), few, shape, device, *more)
    more_pairs = settings.noise_per_latent * images * (images - few)
    return settings.epochs * (epoch * images / few + more_pairs * pair(torch.Size(shape).numel(), device))


def step_seconds(settings: Any, shape: Shape, device: torch.device) -> float:
    """A step of a stage that takes one a batch."""
    kind = STAGES.get(type(settings), GAN)
    largest = NUMBERS // torch.Size(shape).numel() if device.type == "cpu" else settings.batch_size
    few, steps = max(2, min(settings.batch_size, largest)), timed_steps(kind, device)
    part = replace(plain(settings, steps), batch_size=few)
    return epoch_seconds(kind, part, steps * few, shape, device) / steps * settings.batch_size / few


def timed_steps(kind: Any, device: torch.device) -> int:
    """Of the epoch of a stage that is timed: as few as tell what one takes."""
    return CUDA_STEPS if device.type == "cuda" else {GLO: 2, IMLE: 20}.get(kind, 1)


@functools.cache
def epoch_seconds(kind: Any, settings: Any, images: int, shape: Shape, device: torch.device, *more: Any) -> float:
    """An epoch of a stage on so many random images, with what else it takes after its settings."""
    some = random_data(images, shape)
    labels = torch.arange(images) % 10
    given = (some, labels, some, labels) if kind is ClassifierTraining else (some,)
    stage = kind(*given, settings, *more, device)
    return clocked(lambda: stage.run_epoch(EPOCH), device)


@functools.cache
def pair(width: int, device: torch.device) -> float:
    """To compare two rows of so many numbers."""
    some = torch.randn(2048, width, device=device)
    return clocked(lambda: nearest_neighbours(some, some).distance.sum().item(), device) / len(some) ** 2


@functools.cache
def feature(shape: Shape, device: torch.device) -> float:
    """The random VGG16's features of an image."""
    images = random_data(devices.images_at_once(64, shape[-1]), shape)
    extractor = features.make_extractor("random-vgg16", shape[-1]).to(device)
    return clocked(lambda: features.pooled_features(extractor, images), device) / len(images)


@functools.cache
def drawing(glo: GLOConfig, shape: Shape, device: torch.device) -> float:
    """To draw an image."""
    generator = generator_of(shape, glo).to(device).eval()
    latents = torch.randn(devices.images_at_once(sampling.BLOCK, shape[-1]), glo.latent_dim)
    return clocked(lambda: sampling.decode(generator, latents), device) / len(latents)


@functools.cache
def score(images: int, device: torch.device = CPU) -> float:
    """All measures of so many images against as many, by their features; nearly all of it grows by their number."""
    few = min(500, images)
    values = torch.randn(few, 448).to(device)  # as many numbers as the random VGG16 gives
    extractor = ScoreExtractor("timed", "", {}, lambda _: values, device=device)
    reference, some = Reference((extractor,), (values,), ""), random_data(few, (1, 8, 8))
    return clocked(lambda: reference.score(some), device) * images / few


@functools.cache
def inversion_step(glo: GLOConfig, imle: IMLEConfig, shape: Shape, images: int, device: torch.device) -> float:
    """A step of Adam on the noises of so many images, from as many starts each as usual."""
    known, loss = _target(glo, imle, shape, device), losses.loss_of(glo, shape[-1]).to(device)
    count = inversion.restarts_of(shape[-1]) * images
    start, wanted = torch.randn(count, imle.noise_dim).to(device), torch.rand(count, *shape).to(device)
    steps = inversion.descend(lambda noise: known.draw(noise, "noise"), start, wanted, loss, steps=100)
    next(steps)
    return clocked(lambda: next(steps).loss.sum().item(), device)


@functools.cache
def nam_step(
    nam: NAMConfig, glo: GLOConfig, imle: IMLEConfig, source: Shape, target: Shape, device: torch.device
) -> tuple[float, float]:
    """A step of T, and to compare a source image with one in memory, where that is searched."""
    steps = timed_steps(NAM, device)
    stage = NAM(random_data(steps * nam.batch_size, source), _target(glo, imle, target, device), nam, device)
    step = clocked(lambda: stage.run_epoch(EPOCH), device) / steps
    if nam.search != "memory":
        return step, 0.0
    images, memory = random_data(1000, source), random_data(BLOCK, target)
    compare = functools.partial(nearest_in_memory, stage.network, stage.loss, memory, images, 1)
    return step, clocked(lambda: compare().sum().item(), device) / len(images) / len(memory)


def _target(glo: GLOConfig, imle: IMLEConfig, shape: Shape, device: torch.device) -> Target:
    generator = generator_of(shape, glo).to(device).eval()
    latents = torch.randn(2, glo.latent_dim, device=device)
    return Target(generator, latents, make_mapper(imle, glo.latent_dim).to(device).eval())


def random_data(count: int, shape: Shape) -> Tensor:
    """Images uint8, voxels bool or latents float."""
    if len(shape) == 1:
        return torch.randn(count, *shape)
    voxels = len(set(shape)) == 1
    return torch.randint(0, 2 if voxels else 256, (count, *shape)).to(torch.bool if voxels else torch.uint8)


def clocked(work: Callable[[], Any], device: torch.device = CPU) -> float:
    """The fewest seconds of some calls after a first one, which sets things up: other work on the machine only adds.

    Each call must hand its result to the processor. Where the first takes long, setting up is little of it, and it is
    the only one, but for CUDA, where kernels are loaded and steps are recorded in it.
    """
    found = []
    while len(found) < 2 or (sum(found[1:]) < PATIENCE and len(found) < 9):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
        if found[0] > LONG and device.type != "cuda":
            return found[0]
    return min(found[1:])
