"""How long notebooks would take on this machine: the steps that each trains, times what one takes.

`timing` takes a few real steps of every stage. What is no step (a kernel's start, imports, figures, tables) is one
constant. Nothing is downloaded or written.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from glann_lib import config, inversion, losses
from glann_lib.claims.choices import HIDDEN
from glann_lib.companion import timing
from glann_lib.companion.plans import Plan, Step, Times, overrides
from glann_lib.companion.timing import Shape
from glann_lib.config import GLOConfig, IMLEConfig, ShapeConfig
from glann_lib.data import places
from glann_lib.data.listing import list_images, list_meshes
from glann_lib.engine import devices
from glann_lib.engine.targets import TargetCache
from glann_lib.inversion import candidates_of
from glann_lib.rivals import contenders
from glann_lib.rivals.pixel_imle import PixelIMLE
from glann_lib.scores.classifier_training import ClassifierConfig
from glann_lib.shapes.data import load_shapes
from glann_lib.translation.config import TranslationConfig, make_translation_config
from glann_lib.translation.domains import NEGATIVE, STREET, pairs_of

START = 9.0  # s, what is no step: read off the published notebooks, which ran on two cores
# What makes a time unknown: data that are not at hand, settings that the notebook itself will refuse.
UNKNOWN = (ValueError, TypeError, AttributeError, LookupError, OSError)
# Images, models or cars in a data set's splits, to train and to test, as data/README.md has them.
SIZES = {"digits": (1500, 297), "cifar10": (50_000, 10_000), "svhn": (73_257, 26_032), "celeba": (162_770, 19_962)}
SIZES |= {"svhn-crops": (554, 486), "cars3d-first": (2016, 336), "cars3d-second": (2040, 336)}
SIZES |= dict.fromkeys(("mnist", "fashion"), (60_000, 10_000)) | dict.fromkeys(config.CAR_FAMILIES, (5000, 1000))
SIZES |= {"made-chairs": (1000, 200), "chairs": (889, 100), "made-landscapes": (600, 100), "celeba-hq": (27_000, 3000)}


def times(plan: Plan, wanted: Callable[[Step], bool] = lambda step: True, patience: float = math.inf) -> Times:
    """What the steps of a plan with its parameters would take; ValueError where this machine lacks its device.

    Steps that are not `wanted` stay unknown, and those that come when `patience` seconds have gone.
    """
    device, seconds, cache, began = devices.select_device(plan.device), [], 0.0, time.monotonic()
    trained = {step.dataset for step in plan.steps if step.notebook.number == "02"}
    at_once = plan.at_once(device.type, os.cpu_count() or 1)
    if at_once > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // at_once))
    for step in plan.steps:
        if not wanted(step) or time.monotonic() - began > patience:
            seconds.append(None)
            continue
        estimate = Estimate(step.dataset, plan.settings(step), device, step.dataset in trained)
        seconds.append(estimate.seconds(step.notebook.number))
        cache = max(cache, estimate.cache_mib() if step.notebook.number == "01" else 0.0)
    how = f"by steps timed just now on this machine, {device.type}"
    return Times(tuple(seconds), how, cache, whole=plan.whole(seconds, at_once))


class Estimate:
    """What the notebooks on one data set would take, from nothing.

    `given` are all other parameters of a notebook, and those by which the ones before it trained; `trained` says that
    notebooks 01 and 02 are among these.
    """

    def __init__(self, dataset: str, given: dict[str, Any], device: torch.device, trained: bool = False):
        self.dataset, self.given, self.device, self.trained = dataset, given, device, trained
        self.overrides = overrides(given) | {name: given[name] for name in given if name.startswith("nam_")}

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
            loss = losses.loss_of(glo, self.shape[-1], devices.resolve_precision(glo.precision, self.device))
            needed = self.train * TargetCache.size(loss.to(self.device).targets_of, one, self.device)
            kept = "vgg" in glo.loss and needed <= devices.memory_budget(glo.cache_mib, self.device)
            return needed / 2**20 if kept else 0.0
        except UNKNOWN:
            return 0.0

    @functools.cached_property
    def settings(self) -> config.Config:
        """As the notebook makes them."""
        return config.make_config(self.dataset, self.given["profile"], self.given["seed"], **overrides(self.given))

    @functools.cached_property
    def shape(self) -> Shape:
        """Of an image, or of voxels."""
        data = self.settings.data
        return (data.size,) * 3 if isinstance(data, ShapeConfig) else image_shape(self.dataset, data.image_size)

    @functools.cached_property
    def train(self) -> int:
        """Images, or shapes, to train on."""
        return self._count("train")

    @functools.cached_property
    def fitted(self) -> config.Config:
        """The settings for so many."""
        return self.settings.for_images(self.train)

    def _count(self, split: str) -> int:
        data = self.settings.data
        if data.dataset.lower().endswith(".npz"):
            return len(load_shapes(data, split))
        if isinstance(data, ShapeConfig):
            return data.poses * count(data.dataset, split, getattr(data, f"{split}_models"))
        return count(data.dataset, split, getattr(data, f"{split}_images"))

    def _training(self, settings: Any) -> float:
        """A stage on the images or shapes; on them IMLE is that on pixels."""
        if isinstance(settings, IMLEConfig):
            given = (PixelIMLE, self.shape, self.settings.glo)
            return timing.imle_seconds(settings, self.train, self.device, *given)
        return timing.training_seconds(settings, self.shape, self.train, self.device)

    def _overview(self) -> float:
        few = min(256, self.train)
        glo = GLOConfig(loss="laplacian", epochs=16, batch_size=64, latent_dim=12)
        imle = IMLEConfig(epochs=self.given["tiny_epochs"])
        return timing.training_seconds(glo, self.shape, few, self.device) + timing.imle_seconds(imle, few, self.device)

    def _glo(self, **changes: Any) -> float:
        return self._training(replace(self.fitted.glo, **changes))

    def _imle(self) -> float:
        return timing.imle_seconds(self.fitted.imle, self.train, self.device)

    def _refine(self) -> float:
        """Stage 3: its steps are like those of stage 1 on twice as many images."""
        glo, refine = self.fitted.glo, config.for_count(self.settings.refine, self.train)
        if not refine.epochs:
            return 0.0
        own = {"loss": refine.loss or glo.loss, "batch_size": 2 * refine.batch_size}
        return self._training(glo.shortened(2 * refine.epochs, **own))

    def _mapping(self) -> float:
        return self._imle() + self._refine()

    def _drawing(self, images: int) -> float:
        return images * timing.drawing(timing.plain(self.settings.glo), self.shape, self.device)

    def _sampling(self) -> float:
        samples = min(self.train, self.given["samples"])
        images = 4 * samples + self._count("test")
        return images * timing.feature(self.shape, self.device) + self._drawing(3 * samples + 800)

    def _interpolation(self) -> float:
        images = min(self._count("test"), self.given["inverted"] or inversion.found_in_minutes(self.shape[-1])[0])
        at_once = min(images, devices.images_at_once(inversion.IMAGES, self.shape[-1]))
        # By noise and by code, each from candidates that are drawn; and some thirty paths.
        drawn = 2 * candidates_of(self.shape[-1]) + 30 * self.given["steps"]
        return 2 * -(-images // at_once) * self._inversion(at_once) + self._drawing(drawn)

    def _inversion(self, images: int = 1) -> float:
        glo = timing.plain(self.settings.glo)
        step = timing.inversion_step(glo, self.settings.imle, self.shape, images, self.device)
        return (self.given["inversion_steps"] or inversion.found_in_minutes(self.shape[-1])[1]) * step

    def _tables(self) -> float:
        given, test = self.given, self._count("test")
        keys = contenders.RIVALS if given["rival_names"] == "all" else given["rival_names"].split(",")
        others = [loss for loss in (given["other_losses"] or "").split(",") if loss]
        seeds = given["seeds"] or (3 if self.settings.profile == "paper" else 1)
        found = self._training(ClassifierConfig()) + given["rival_seeds"] * sum(map(self._rival, keys))
        found += (seeds - 1) * (self._glo() + self._mapping()) if seeds > 1 else 0.0  # the first seed's is there
        found += sum(seeds * (self._glo(loss=loss) + self._mapping()) for loss in others)
        own = 3 if self.settings.refine.epochs else 2
        models = 2 + own * seeds * (1 + len(others)) + len(keys) * len(self._budgets()) * given["rival_seeds"]
        samples = given["samples"] or max(300, test)
        # By the classifier's features and the random VGG16's, which take far longer to compute.
        scores = samples * timing.feature(self.shape, self.device) + 2 * timing.score(min(samples, test), self.device)
        return found + models * scores

    def _claims(self) -> float:
        given, glimpse, seeds = self.given, self.dataset == "digits", self.given["trial_seeds"]
        steps = (0 if glimpse else 600) if given["trial_steps"] is None else given["trial_steps"]
        epochs = given["sampler_epochs"] or (60 if glimpse else self.fitted.imle.epochs)
        samplers = 2 if glimpse else 10  # kinds of IMLE; the wide one counts for four
        found = samplers * timing.imle_seconds(replace(self.fitted.imle, epochs=epochs), self.train, self.device)
        scored, step = 12, (self._glo() + self._imle()) / contenders.glo_steps(self.fitted, self.train)
        # How often GLANN (by three factors, four losses, each choice) and a rival, by how many steps; stacked images.
        plans = [(seeds * (7 + len(HIDDEN)), 3 * seeds, steps), (1, 1, given["stacked_steps"] or steps)]
        for own, others, long in plans if steps else ():
            keys = given["trial_rivals"].split(",")
            rivals = [contenders.rival_settings(key, self.fitted, long, self.train) for key in keys]
            found += own * long * step + others * sum(map(self._training, rivals))
            scored += own + others * len(keys)
        scored *= given["samples"] or max(300, self._count("test"))
        return found + scored * timing.feature(self.shape, self.device)

    def _large(self) -> float:
        given = self.given
        few = min(self.train, given["compared_images"])
        short = self.fitted.glo.shortened(given["compared_epochs"])
        grids = self.fitted.glo.shortened(given["grid_epochs"])
        compared = [(short, self.shape), (replace(short, loss_copies=0), self.shape)]
        small = (self.shape[0], 64, 64)
        compared += [(grids, small), (replace(grids, generator="infogan", feature_channels=32), small)]
        trained = sum(timing.training_seconds(*one, few, self.device) for one in compared)
        images = 4 * min(self.train, given["samples"]) + self._count("test")
        stages = 0.0 if self.trained else self._glo() + self._mapping()
        scored = images * timing.feature(self.shape, self.device) / 4  # half of the channels
        return stages + trained + scored + self._drawing(images + 200)

    def _chairs(self) -> float:
        return self.given["seeds"] * (self._glo() + self._imle() + self._rival("vae"))

    def _budgets(self) -> list[int]:
        return list(contenders.budgets(self.fitted, self.train, self.given["rival_steps"]).values())

    def _rival(self, key: str) -> float:
        """The training of one under all its budgets."""
        budgets = self._budgets()
        return sum(self._training(contenders.rival_settings(key, self.fitted, n, self.train)) for n in budgets)

    def _translations(self) -> float:
        given, tasks, found = self.given, self.tasks(), 0.0
        for place, settings in enumerate(tasks):
            first = place == 0 and len(tasks) > 1 and given["first_searches"]
            found += self._task(settings, (given["searches"] or first or settings.nam.search).split(","))
        return found

    def tasks(self) -> list[TranslationConfig]:
        """The settings of every pair of domains, as the notebook makes them."""
        given = self.given
        own = self.overrides | {"nam_search": given["searches"] and given["searches"].split(",")[0]}
        pairs = pairs_of(self.dataset)
        return [make_translation_config(*pair, given["profile"], given["seed"], **own) for pair in pairs]

    def _task(self, settings: TranslationConfig, searches: list[str]) -> float:
        """One pair of domains: the target's generator, the judge, and T in each search."""
        data, epochs, device = settings.data, settings.nam.epochs, self.device
        source, target = (image_shape(name, data.image_size) for name in (data.source, data.target))
        # Of the same images each domain gets every second one.
        part = 2 if data.source.removeprefix(STREET) == data.target.removeprefix(STREET) else 1
        wanted = count(data.source, "train", data.source_images, part)
        offered = count(data.target, "train", data.target_images, part)
        tests = count(data.source, "test", data.test_images)
        found = timing.imle_seconds(settings.imle, offered, device) if "noise" in searches else 0.0
        for trained in (settings.glo, ClassifierConfig(epochs=4, batch_size=32)):  # the latter nearly as the judge
            found += timing.training_seconds(trained, target, offered, device)
        for search in searches:
            nam = timing.plain(replace(config.for_count(settings.nam, wanted), search=search))
            step, pair = timing.nam_step(nam, timing.plain(settings.glo), settings.imle, source, target, device)
            training = epochs * (wanted // nam.batch_size) * step
            unseen = tests * nam.restarts * nam.test_steps / nam.batch_size * step
            compared = (epochs * wanted + tests) * offered * pair
            found += self.given["seeds"] * (training + (compared if search == "memory" else unseen))
        return found


NOTEBOOKS: dict[str, Callable[[Estimate], float]] = {"00": Estimate._overview, "01": Estimate._glo}
NOTEBOOKS |= {"02": Estimate._mapping, "03": Estimate._sampling, "04": Estimate._interpolation, "05": Estimate._tables}
NOTEBOOKS |= {"06": Estimate._chairs, "07": Estimate._translations, "08": Estimate._large, "09": Estimate._claims}
NOTEBOOKS |= {"10": Estimate._inversion}


def image_shape(dataset: str, size: int) -> Shape:
    """Of a data set's images; a person's own are taken for coloured."""
    # The paper profile tells grey images by their generator; rendered cars are grey unless colour is asked for.
    grey = dataset in config.DATASETS and config.make_config(dataset, "paper").glo.normalisation == "batch"
    grey |= dataset in config.CARS3D
    return (1 if grey else 3, size, size)


def count(dataset: str, split: str, limit: int | None = None, part: int = 1) -> int:
    """Images or models in a split of a data set or domain, one in `part` where there is no `limit`.

    A person's own are counted by the files' names. ValueError, LookupError, OSError: they are not at hand.
    """
    kind, own, path = dataset.removeprefix(STREET).removeprefix(NEGATIVE).partition(":")
    if kind.startswith("celeba") and not limit:
        raise LookupError(f"{kind} stands for all of its faces or for a part of them")
    if not own:
        found = SIZES[kind][split == "test"]
    else:
        if kind == "cars":  # two domains in one place
            files = list_images(places.locate(path.rpartition("/")[0])).names[::2]
        else:
            files = (list_meshes if kind == "meshes" else list_images)(places.locate(path)).names
        tests = max(1, len(files) // 10)
        found = tests if split == "test" else len(files) - tests
    return min(found, limit or found // part)
