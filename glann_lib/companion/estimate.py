"""How long notebooks would take on this machine: the steps that each trains, times what one takes.

`timing` takes a few real steps of every stage. What is no step (a kernel's start, imports, figures, tables) is one
constant. Nothing is downloaded or written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from glann_lib import config, losses
from glann_lib.companion import timing
from glann_lib.companion.plans import Plan, Times
from glann_lib.companion.timing import Shape
from glann_lib.config import DataConfig, GLOConfig, IMLEConfig, ShapeConfig
from glann_lib.data import places
from glann_lib.data.image_files import list_images
from glann_lib.data.images import load_images
from glann_lib.engine import devices
from glann_lib.rivals import contenders
from glann_lib.rivals.config import GANConfig
from glann_lib.rivals.gan import GAN
from glann_lib.rivals.pixel_imle import PixelIMLE
from glann_lib.rivals.vae import VAE
from glann_lib.shapes import data as shapes
from glann_lib.shapes.mesh_files import list_meshes
from glann_lib.translation import domains
from glann_lib.translation.config import TranslationConfig, make_translation_config

START = 9.0  # s, what is no step: read off the published notebooks, which ran on two cores
DATA = ("train_images", "image_size", "test_images", "size", "poses", "train_models", "source_images", "target_images")
# What makes a time unknown: data that are not at hand, settings that the notebook itself will refuse.
UNKNOWN = (ValueError, TypeError, AttributeError, LookupError, OSError)


def times(plan: Plan) -> Times:
    """What the steps of a plan with its parameters would take.

    Raises:
        ValueError: this machine lacks the plan's device.
    """
    device, seconds, cache = devices.select_device(plan.device), [], 0.0
    for step in plan.steps:
        estimate = Estimate(step.dataset, plan.settings(step), device)
        seconds.append(estimate.seconds(step.notebook.number))
        cache = max(cache, estimate.cache_mib() if step.notebook.number == "01" else 0.0)
    return Times(tuple(seconds), f"by steps timed just now on this machine, {device.type}", cache)


class Estimate:
    """What the notebooks on one data set would take, from nothing.

    Args:
        dataset: as their parameter `dataset`.
        given: all other parameters of a notebook, and those by which the ones before it trained.
        device: where it would run.
    """

    def __init__(self, dataset: str, given: dict[str, Any], device: torch.device):
        self.dataset, self.given, self.device = dataset, given, device
        self.overrides = {f"data_{name}": given[name] for name in DATA if name in given}
        self.overrides |= {name: given[name] for name in given if name.startswith(("glo_", "imle_", "nam_"))}

    def seconds(self, number: str) -> float | None:
        """What the notebook of a number takes; None where that cannot be known."""
        try:
            return START + NOTEBOOKS[number](self)
        except UNKNOWN:
            return None

    def cache_mib(self) -> float:
        """MiB that stage 1 keeps in memory of what the loss network sees of its images; 0 where that is not known."""
        try:
            glo, one = timing.plain(self.settings.glo), timing.random_data(1, self.shape)
            loss = losses.make_loss(glo.loss, self.shape[-1], devices.resolve_precision(glo.precision, self.device))
            needed = self.train * losses.TargetCache.size(loss.to(self.device), one, self.device)
            kept = "vgg" in glo.loss and needed <= devices.memory_budget(glo.cache_mib, self.device)
            return needed / 2**20 if kept else 0.0
        except UNKNOWN:
            return 0.0

    @functools.cached_property
    def settings(self) -> config.Config:
        """As the notebook makes them."""
        overrides = {name: value for name, value in self.overrides.items() if not name.startswith("nam_")}
        return config.make_config(self.dataset, self.given["profile"], self.given["seed"], **overrides)

    @functools.cached_property
    def shape(self) -> Shape:
        """Of an image, or of voxels."""
        data = self.settings.data
        return (data.size,) * 3 if isinstance(data, ShapeConfig) else image_shape(self.dataset, data.image_size)

    @functools.cached_property
    def train(self) -> int:
        """Images, or shapes, to train on."""
        return count(self.settings.data, "train")

    @functools.cached_property
    def test(self) -> int:
        """Those that are held out."""
        return count(self.settings.data, "test")

    def _overview(self) -> float:
        few = min(256, self.train)
        glo = GLOConfig(loss="laplacian", epochs=40, batch_size=min(64, few), latent_dim=12)
        imle = IMLEConfig(epochs=self.given["tiny_epochs"], batch_size=min(128, few))
        return timing.glo_seconds(glo, self.shape, few, self.device) + timing.imle_seconds(imle, few, self.device)

    def _glo(self, **changes: Any) -> float:
        return timing.glo_seconds(replace(self.settings.glo, **changes), self.shape, self.train, self.device)

    def _imle(self) -> float:
        return timing.imle_seconds(self.settings.imle, self.train, self.device)

    def _sampling(self) -> float:
        return (4 * min(self.train, self.given["samples"]) + self.test) * timing.feature(self.shape, self.device)

    def _interpolation(self) -> float:
        images = min(self.test, self.given["inverted"])
        return 2 * -(-images // 16) * self._inversion(min(images, 16))  # by noise and by code, 16 at a time

    def _inversion(self, images: int = 1) -> float:
        step = timing.inversion_step(
            timing.plain(self.settings.glo), self.settings.imle, self.shape, images, self.device
        )
        return self.given["inversion_steps"] * step

    def _tables(self) -> float:
        given, paper = self.given, self.settings.profile == "paper"
        keys = contenders.RIVALS if given["rival_names"] == "all" else given["rival_names"].split(",")
        others = [loss for loss in (given["other_losses"] or "").split(",") if loss]
        seeds, rival_seeds = given["seeds"] or (3 if paper else 1), given["rival_seeds"]
        found = (seeds - 1) * (self._glo() + self._imle()) if seeds > 1 else 0.0  # the first seed's is there
        found += sum(seeds * (self._glo(loss=loss) + self._imle()) for loss in others)
        found += rival_seeds * sum(map(self._rival, keys))
        models = 2 + 2 * seeds * (1 + len(others)) + len(keys) * len(self._budgets()) * rival_seeds
        samples = given["samples"] or max(1000, self.test)
        # By the classifier's features and the random VGG16's, which take far longer to compute.
        found += models * (
            samples * timing.feature(self.shape, self.device) + 2 * timing.score(min(samples, self.test))
        )
        return found + timing.classifier_seconds(self.shape, self.train, self.device)

    def _chairs(self) -> float:
        return self.given["seeds"] * (self._glo() + self._imle() + self._rival("vae"))

    def _budgets(self) -> list[int]:
        return list(contenders.budgets(self.settings, self.train, self.given["rival_steps"]).values())

    def _rival(self, key: str) -> float:
        """The training of one under all its budgets."""
        found, own = 0.0, self.settings
        for steps in self._budgets():
            settings = contenders.rival_settings(key, own, steps, self.train)
            if isinstance(settings, GLOConfig):
                found += timing.glo_seconds(settings, self.shape, self.train, self.device)
            elif isinstance(settings, IMLEConfig):
                found += timing.imle_seconds(
                    settings, self.train, self.device, PixelIMLE, self.shape, own.glo.normalisation
                )
            else:
                kind = GAN if isinstance(settings, GANConfig) else VAE
                found += steps * timing.step_seconds(kind, settings, self.shape, self.device)
        return found

    def _translations(self) -> float:
        given, pairs, found = self.given, domains.pairs_of(self.dataset), 0.0
        for place, (source, target) in enumerate(pairs):
            own = self.overrides | {"nam_search": given["searches"] and given["searches"].split(",")[0]}
            settings = make_translation_config(source, target, given["profile"], given["seed"], **own)
            first = place == 0 and len(pairs) > 1 and given["first_searches"]
            found += self._task(settings, (given["searches"] or first or settings.nam.search).split(","))
        return found

    def _task(self, settings: TranslationConfig, searches: list[str]) -> float:
        """One pair of domains: the target's generator, the judge, and T in each search."""
        data, epochs, device = settings.data, settings.nam.epochs, self.device
        source, target = (image_shape(name, data.image_size) for name in (data.source, data.target))
        shared = len({name.removeprefix(domains.STREET) for name in (data.source, data.target)}) == 1
        wanted = domain_count(data.source, "train", data.source_images, shared)
        offered = domain_count(data.target, "train", data.target_images, shared)
        tests = domain_count(data.source, "test", data.test_images)
        found = timing.glo_seconds(settings.glo, target, offered, device) + timing.classifier_seconds(
            target, offered, device
        )
        found += timing.imle_seconds(settings.imle, offered, device) if "noise" in searches else 0.0
        for search in searches:
            nam = timing.plain(replace(settings.nam, search=search))
            step, pair = timing.nam_step(nam, timing.plain(settings.glo), settings.imle, source, target, device)
            training = epochs * (wanted // nam.batch_size) * step
            unseen = tests * nam.restarts * nam.test_steps / nam.batch_size * step
            compared = (epochs * wanted + tests) * offered * pair
            found += self.given["seeds"] * (training + (compared if search == "memory" else unseen))
        return found


NOTEBOOKS: dict[str, Callable[[Estimate], float]] = {"00": Estimate._overview, "01": Estimate._glo}
NOTEBOOKS |= {"02": Estimate._imle, "03": Estimate._sampling, "04": Estimate._interpolation, "05": Estimate._tables}
NOTEBOOKS |= {"06": Estimate._chairs, "07": Estimate._translations, "10": Estimate._inversion}


def image_shape(dataset: str, size: int) -> Shape:
    """Of a data set's images; a person's own are taken for coloured."""
    # The paper profile tells grey images by their generator.
    grey = dataset in config.DATASETS and config.make_config(dataset, "paper").glo.normalisation == "batch"
    return (1 if grey else 3, size, size)


def count(settings: DataConfig | ShapeConfig, split: str) -> int:
    """Images or shapes in a split: by its limit, by the files' names, or by reading it where that is quick.

    Raises:
        ValueError, LookupError, OSError: it is not at hand, or takes long to read.
    """
    kind = "models" if isinstance(settings, ShapeConfig) else "images"
    limit = getattr(settings, f"{split}_{kind}")
    whole = replace(settings, **{f"train_{kind}": None, f"test_{kind}": None})
    if kind == "models":
        found = _models(replace(whole, poses=1), split)
        return min(found, limit or found) * settings.poses
    if settings.dataset.startswith(config.FOLDER):
        found = _part(list_images(places.locate(settings.dataset.removeprefix(config.FOLDER))).names, split)
    elif limit and settings.dataset != "digits":
        found = limit  # the other data sets have more
    elif settings.dataset == "celeba":
        raise LookupError("so many faces take minutes to read")
    else:
        found = len(load_images(whole, split, download=False))
    return min(found, limit or found)


def _models(settings: ShapeConfig, split: str) -> int:
    name, (folder, archive, _) = settings.dataset, map(places.find, shapes.PLACES)
    if name == "made-chairs":
        return shapes.MADE[split][1]
    if name == "chairs" and (folder or archive):
        files = list_meshes(folder) if folder else list_meshes(archive, f"{shapes.FOLDER}/")
        return sum(Path(file).parent.name == split for file in files.names)
    if name.startswith(config.MESHES) and not name.lower().endswith(".npz"):
        return _part(list_meshes(places.locate(name.removeprefix(config.MESHES))).names, split)
    return len(shapes.load_shapes(settings, split))


def _part(files: tuple[str, ...], split: str) -> int:
    test = max(1, len(files) // 10)
    return test if split == "test" else len(files) - test


def domain_count(name: str, split: str, limit: int | None, shared: bool = False) -> int:
    """Images of a translation's domain; `shared`: the other domain of the pair gets every second one."""
    if name.startswith(config.CARS):  # two domains in one place
        path = places.locate(name.removeprefix(config.CARS).rpartition("/")[0])
        found = _part(list_images(path).names[::2], split)
    elif name.removeprefix(domains.NEGATIVE) in config.CAR_FAMILIES:
        found = domains.MADE_CARS[split][1]
    else:
        whole = DataConfig(name.removeprefix(domains.STREET), train_images=limit, test_images=limit)
        found = count(whole, split) // (2 if shared and not limit else 1)
    return min(found, limit or found)
