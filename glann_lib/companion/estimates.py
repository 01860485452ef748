"""How long the notebooks of a plan would take: an estimate, from `costs` and `data_sizes`, before anything runs.

Only the standard library is needed, so that --dry-run can tell before anything is installed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from glann_lib import config
from glann_lib.companion import costs
from glann_lib.companion.costs import (
    REFERENCE,
    Speed,
    Work,
    classifier_work,
    glo_work,
    image_step,
    imle_work,
    voxel_work,
)
from glann_lib.config import Config, GLOConfig, IMLEConfig
from glann_lib.data.sizes import counts, domain, is_grey, limited
from glann_lib.rivals import config as rival_config
from glann_lib.translation import config as translation_config

# Seconds of the reference machine, measured on whole runs unless a comment says otherwise.
KERNEL = 6.0  # start and imports
FIXED = {
    "00": 4.0,
    "01": 12.0,
    "02": 6.0,
    "03": 4.0,
    "04": 5.0,
    "05": 29.0,
    "06": 34.0,
    "07": 18.0,
    "10": 9.0,
}  # plots, tables
SCORE_PAIR = 2.5e-7  # distances and clusters for each pair of a sample and a held-out image
NAM_STEP = 0.0002  # step of T for each image at 28 px, width 8
NAM_PAIR = 1e-7  # to compare a source image with one of the memory at 28 px

# Facts of modules that need torch; tests compare them.
PAIRS = {
    "embedded": (("digits", "street-digits"), ("street-digits", "digits"), ("hatchbacks", "negative-vans")),
    "mnist-street": (("mnist", "street-mnist"), ("street-mnist", "mnist")),
    "mnist-svhn": (("mnist", "svhn"), ("svhn", "mnist")),
}
SHORT_STEPS = {"digits": 44, "made-chairs": 280}
CLASSIFIER_STEPS, JUDGE_STEPS = 200, 300  # at least so many
TINY = {"images": 384, "glo_epochs": 30}  # notebook 00's own model
# What the notebooks' parameters are where nobody sets them.
DEFAULTS = {"tiny_epochs": 1000, "samples": 1000, "inverted": 6, "inversion_steps": 150, "test_images": 10_000}
DEFAULTS |= {"rival_seeds": 1, "rival_names": "all", "first_searches": "memory,sphere"}
RESTARTS = 4  # of each image that is inverted

DATA = ("train_images", "image_size", "test_images", "size", "poses", "train_models", "source_images", "target_images")
UNKNOWN = (ValueError, TypeError, AttributeError, LookupError, OSError, zipfile.BadZipFile)  # what makes a time so


def estimate(number: str, dataset: str, parameters: dict[str, Any], speed: Speed = REFERENCE) -> float | None:
    """About how many seconds a notebook takes from nothing; None where that cannot be known.

    Args:
        number: of the notebook, "03".
        dataset: as its parameter `dataset`.
        parameters: its others, or some of them; also those by which the notebooks before it trained.
        speed: of the machine.
    """
    if number not in NOTEBOOKS:
        return None
    try:
        return costs.seconds(NOTEBOOKS[number](dataset, parameters) + Work(0, KERNEL + FIXED[number]), speed)
    except UNKNOWN:
        return None  # the notebook itself says what is wrong


def cache_mib(dataset: str, parameters: dict[str, Any]) -> float:
    """MiB that stage 1 keeps in memory of what the loss network sees of its images; 0 where it keeps nothing."""
    try:
        settings = _config(dataset, parameters)
        return costs.cached_mib(settings.glo, counts(settings)[0], settings.data.image_size)
    except UNKNOWN:
        return 0.0


def _overrides(parameters: dict[str, Any], parts: tuple[str, ...]) -> dict[str, Any]:
    named = {f"data_{name}": value for name, value in parameters.items() if name in DATA}
    return named | {name: value for name, value in parameters.items() if name.partition("_")[0] in parts}


def _config(dataset: str, parameters: dict[str, Any]) -> Config:
    overrides = _overrides(parameters, ("glo", "imle"))
    return config.make_config(dataset, parameters.get("profile", "quick"), parameters.get("seed", 0), **overrides)


def _get(parameters: dict[str, Any], name: str) -> Any:
    return parameters.get(name, DEFAULTS[name])


def _overview(dataset: str, parameters: dict[str, Any]) -> Work:
    settings = _config(dataset, parameters)
    count = min(TINY["images"], counts(settings)[0])
    glo = GLOConfig(loss="l1", epochs=TINY["glo_epochs"], batch_size=min(128, count))
    imle = IMLEConfig(epochs=_get(parameters, "tiny_epochs"), batch_size=min(128, count))
    return glo_work(glo, count, settings.data.image_size, is_grey(dataset)) + imle_work(imle, count)


def _embedding(dataset: str, parameters: dict[str, Any]) -> Work:
    settings = _config(dataset, parameters)
    return glo_work(settings.glo, counts(settings)[0], settings.data.image_size, is_grey(dataset))


def _mapping(dataset: str, parameters: dict[str, Any]) -> Work:
    settings = _config(dataset, parameters)
    return imle_work(settings.imle, counts(settings)[0])


def _sampling(dataset: str, parameters: dict[str, Any]) -> Work:
    settings = _config(dataset, parameters)
    train, test = counts(settings)
    # Features are taken in float32: an image takes as long as a whole step of the training in bfloat16.
    images = 4 * min(train, _get(parameters, "samples")) + test
    return Work(images * image_step("random-vgg16", settings.data.image_size, is_grey(dataset)))


def _interpolation(dataset: str, parameters: dict[str, Any]) -> Work:
    settings, grey = _config(dataset, parameters), is_grey(dataset)
    size, inverted = settings.data.image_size, min(counts(settings)[1], _get(parameters, "inverted"))
    steps = inverted * RESTARTS * (2 * _get(parameters, "inversion_steps") + 1)
    candidates = 3 * 1024 * image_step("l1", size, grey)
    return Work(steps * image_step(settings.glo.loss, size, grey) + candidates)


def _playground(dataset: str, parameters: dict[str, Any]) -> Work:
    settings, grey = _config(dataset, parameters), is_grey(dataset)
    size, steps = settings.data.image_size, RESTARTS * (_get(parameters, "inversion_steps") + 1)
    return Work(steps * image_step(settings.glo.loss, size, grey) + 1024 * image_step("l1", size, grey))


def _budgets(settings: Config, count: int, steps: int | None) -> int:
    """Generator steps of a rival, under all its budgets together; as `rivals.budgets`."""
    equal = settings.glo.epochs * (count // settings.glo.batch_size)
    if steps is not None:
        return steps
    if settings.profile == "paper":
        return equal + rival_config.protocol_steps(settings.data.dataset, count)
    return min(equal, SHORT_STEPS.get(settings.data.dataset, equal))


def _tables(dataset: str, parameters: dict[str, Any]) -> Work:
    settings = _config(dataset, parameters | {"test_images": _get(parameters, "test_images")})
    (train, test), size, grey = counts(settings), settings.data.image_size, is_grey(dataset)
    keys = _get(parameters, "rival_names")
    keys = list(costs.RIVALS) if keys == "all" else keys.split(",")
    paper = settings.profile == "paper"
    seeds, rival_seeds = parameters.get("seeds") or (3 if paper else 1), _get(parameters, "rival_seeds")
    samples = parameters.get("samples") or max(1000, test)

    image = image_step("random-vgg16", size, grey)
    wider, steps = image / costs.PERCEPTUAL[28], _budgets(settings, train, parameters.get("rival_steps"))
    rivals = costs.rival_work(keys, steps).times(wider).times(rival_seeds)
    losses = [loss for loss in (parameters.get("other_losses") or "").split(",") if loss]
    own = glo_work(settings.glo, train, size, grey) + imle_work(settings.imle, train)
    more = own.times(seeds - 1)
    for loss in losses:
        other = glo_work(replace(settings.glo, loss=loss), train, size, grey) + imle_work(settings.imle, train)
        more += other.times(seeds)
    models = 2 + 2 * seeds * (1 + len(losses)) + len(keys) * (1 + paper) * rival_seeds
    scores = Work(samples * image, samples * test * SCORE_PAIR).times(models)
    classifier = classifier_work(train, CLASSIFIER_STEPS).times(wider)
    return rivals + more + scores + classifier


def _shapes(dataset: str, parameters: dict[str, Any]) -> Work:
    settings = _config(dataset, parameters)
    train, _ = counts(settings)
    glo = voxel_work(settings.glo, train, settings.data.size)
    steps = _budgets(settings, train, parameters.get("rival_steps"))
    one = voxel_work(replace(settings.glo, epochs=1), settings.glo.batch_size, settings.data.size)
    rival, imle = one.times(steps * costs.VOXEL_VAE), imle_work(settings.imle, train)
    return (glo + imle + rival).times(parameters.get("seeds") or 1)


def _translation(dataset: str, parameters: dict[str, Any]) -> Work:
    pairs = PAIRS.get(dataset) or ((config.split_pair(dataset) or (dataset, dataset)),)
    searches = parameters.get("searches")
    work = Work()
    for place, pair in enumerate(pairs):
        first = place == 0 and len(pairs) > 1
        work += _task(*pair, searches or (_get(parameters, "first_searches") if first else None), parameters)
    return work


def _task(source: str, target: str, searches: str | None, parameters: dict[str, Any]) -> Work:
    """One pair of domains: the target's generator, the judge, and T in each search."""
    overrides = _overrides(parameters, ("glo", "imle", "nam"))
    if parameters.get("searches"):
        overrides["nam_search"] = parameters["searches"].split(",")[0]
    profile, seed = parameters.get("profile", "quick"), parameters.get("seed", 0)
    settings = translation_config.make_translation_config(source, target, profile, seed, **overrides)
    bases = {name.removeprefix("street-") for name in (source, target)}
    shared = len(bases) == 1 and bases <= set(translation_config.GREY)  # each gets every second digit
    wanted, offered = (domain(name)[0] // (1 + shared) for name in (source, target))
    wanted, offered = limited(wanted, settings.data.source_images), limited(offered, settings.data.target_images)
    tests = limited(domain(source)[1], settings.data.test_images)
    size, grey = settings.data.image_size, target in translation_config.GREY
    work = glo_work(settings.glo, offered, size, grey) + classifier_work(offered, JUDGE_STEPS).times((size / 28) ** 2)
    ways = (searches or settings.nam.search).split(",")
    work += imle_work(settings.imle, offered).times("noise" in ways)
    for search in ways:
        work += _nam(search, settings.nam, size, (wanted, offered, tests)).times(parameters.get("seeds") or 1)
    return work


def _nam(search: str, nam: translation_config.NAMConfig, size: int, images: tuple[int, int, int]) -> Work:
    """T's training and the translation of unseen images, in one search."""
    (wanted, offered, tests), pixels = images, (size / 28) ** 2
    step = NAM_STEP * pixels * nam.width / 8
    step += image_step(nam.loss, size) - image_step("l2", size)  # what a perceptual loss adds
    if search == "memory":
        return Work(nam.epochs * wanted * step + (nam.epochs * wanted + tests) * offered * NAM_PAIR * pixels)
    step += image_step("l2", size)  # here G works, too
    return Work((nam.epochs * wanted + tests * nam.restarts * nam.test_steps) * step)


NOTEBOOKS: dict[str, Callable[[str, dict[str, Any]], Work]] = {"00": _overview, "01": _embedding, "02": _mapping}
NOTEBOOKS |= {"03": _sampling, "04": _interpolation, "05": _tables, "06": _shapes, "07": _translation}
NOTEBOOKS |= {"10": _playground}
