"""What a run would refuse, before anything starts: a device, settings, a person's own files, weights that are missing.

Own files are decoded for it, into the cache that the notebooks read, as these would. Nothing is downloaded or trained.
`python -m glann_lib.companion.preflight` takes a pickled plan, for `pipeline`, in whose process torch has no place.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from typing import Any

from glann_lib import config, losses
from glann_lib.beyond.samplers import SAMPLERS
from glann_lib.companion import estimate, memory
from glann_lib.companion.estimate import UNKNOWN, Estimate
from glann_lib.companion.plans import Plan, Step, about
from glann_lib.data.images import load_images
from glann_lib.data.record import SPLITS
from glann_lib.engine import devices, ranks
from glann_lib.records import runs
from glann_lib.rivals.config import GAMES
from glann_lib.rivals.contenders import RIVALS
from glann_lib.scores.features import EXTRACTORS
from glann_lib.shapes.data import load_shapes
from glann_lib.translation.config import SEARCHES
from glann_lib.translation.domains import load_domain

WRONG = 2  # exit code
# Parameters of notebooks that are no field of a stage's settings: the least number, or the names to choose from.
COUNTS = dict.fromkeys(("samples", "tiny_epochs", "inversion_steps", "seeds", "rival_seeds", "rival_steps"), 1)
COUNTS |= {"steps": 2, "inverted": 2, "trial_steps": 0, "trial_seeds": 1, "stacked_steps": 1, "sampler_epochs": 1}
NAMES = {
    "rival_names": ("all", *RIVALS),
    "trial_rivals": tuple(GAMES),
    "sampler_names": tuple(SAMPLERS),
    "other_losses": config.LOSSES,
    "extractors": EXTRACTORS,
}
NAMES |= dict.fromkeys(("searches", "first_searches"), SEARCHES)
PATIENCE = 10  # s, for timing; what is being timed then is finished
OWN = (config.FOLDER, config.MESHES, config.CARS)


def check(plan: Plan) -> list[str]:
    """A line on each of a person's own sets of images or shapes among a plan's steps.

    ValueError or OSError, in one line, for what any of the steps would refuse: see the module's text.
    """
    try:
        device = devices.select_device(plan.device)
    except ValueError as error:
        raise ValueError(f"--device: {error}") from None
    asked = [(step, Estimate(step.dataset, plan.settings(step), device)) for step in plan.steps]
    if plan.gpus > 1:
        ranks.require_devices(plan.gpus, "cpu" if plan.device == "cpu" else "cuda")
    for step, settings in asked:
        _check_values(step.parameters)
        _check_losses(step, settings)
        if plan.gpus > 1 and config.kind_of(step.dataset) != "translations":
            _check_batches(settings.settings, plan.gpus)
        if step.notebook.number == "01" and not _is_trained(plan, step):
            _check_memory(settings, plan.gpus)
    # The first notebook's data are all others', but for the number of test images.
    first = {step.dataset: (step, settings) for step, settings in reversed(asked)}
    return [line for step, settings in reversed(first.values()) for line in _own_data(step, settings)]


def expected(plan: Plan) -> list[str]:
    """About how long the notebooks on large images will take, a line; none where stage 1 is finished or shared."""
    large = [plan.is_large(step) and not _is_trained(plan, step) for step in plan.steps]
    if not any(large) or plan.gpus > 1:
        return []
    with contextlib.suppress(Exception):  # an estimate is no reason to refuse a run
        times = estimate.times(plan, lambda step: large[plan.steps.index(step)], PATIENCE)
        known = {step.notebook.number: time for step, time in zip(plan.steps, times.seconds, strict=True) if time}
        who = "" if all(large) else f"notebook {plan.steps[large.index(True)].notebook.number}: "
        more = " or more" * (len(known) < sum(large))
        fewer = ": fewer epochs with --set glo_epochs=N" * (known.get("01", 0.0) > times.whole / 2)
        return [f"{who}{about(times.whole)}{more} on this machine, by steps timed just now{fewer}"] if known else []
    return []


def _is_trained(plan: Plan, step: Step) -> bool:
    return (plan.folders()[step.dataset] / runs.WORK / "glo.safetensors").is_file()


def _check_values(parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        if value is None:
            continue
        least = COUNTS.get(name)
        if least is not None and (type(value) is not int or value < least):
            raise ValueError(f"--set: {name} is {value!r}: give a whole number from {least}")
        for word in str(value).split(",") if name in NAMES else ():
            if word not in NAMES[name]:
                known = ", ".join(NAMES[name])
                raise ValueError(f"--set: {name} has {word!r}: choose from {known}, with commas between, no spaces")


def _check_batches(settings: config.Config, gpus: int) -> None:
    for name in ("glo", "imle"):
        size = getattr(settings, name).batch_size
        if size % gpus:
            near = max(1, round(size / gpus)) * gpus
            raise ValueError(f"--gpus: {gpus} cannot share batches of {size}: add --set {name}_batch_size={near}")


def _check_memory(asked: Estimate, gpus: int) -> None:
    """Of stage 1 on large images; small ones fit into every machine's."""
    size, glo = getattr(asked.settings.data, "image_size", 0), asked.settings.glo
    if size < config.MANY_PIXELS:
        return
    try:
        images = asked.train
    except UNKNOWN:  # data that are not at hand, or settings that are refused elsewhere
        images = glo.batch_size
    if images >= config.LEAST_IMAGES:
        memory.check(asked.shape, glo, images, asked.device, gpus)


def _check_losses(step: Step, asked: Estimate) -> None:
    """Of weights that no one can download for the person; others come when they are needed."""
    wanted = str(step.parameters.get("other_losses") or "").split(",")
    stages = asked.tasks() if config.kind_of(step.dataset) == "translations" else [asked.settings]
    for settings in stages:
        size = getattr(settings.data, "image_size", None)
        own = settings.glo.loss, step.parameters.get("refine_loss")
        if "vgg19" in (*wanted, *own) and size:
            losses.make_loss("vgg19", size)


def _own_data(step: Step, asked: Estimate) -> list[str]:
    splits: list[list[Any]] = []
    if config.kind_of(step.dataset) == "translations":
        for data in (task.data for task in asked.tasks()):
            for name, limit in ((data.source, data.source_images), (data.target, data.target_images)):
                if name.startswith(OWN):
                    limits = {"train": limit, "test": data.test_images}
                    splits.append([load_domain(name, split, data.image_size, limits[split]) for split in SPLITS])
    elif step.dataset.startswith(OWN):
        load = load_shapes if step.dataset.startswith(config.MESHES) else load_images
        splits.append([load(asked.settings.data, split) for split in SPLITS])
    for train, _ in splits:
        config.for_count(config.GLOConfig(), len(train))
    return [f"{len(train):,} to train on and {len(test):,} for testing from {train.source}" for train, test in splits]


def main() -> int:
    """The device's name and all lines for the plan at standard input, a line each, or the reason against it."""
    plan = pickle.load(sys.stdin.buffer)
    try:
        lines = check(plan) + expected(plan)
        print("\n".join([runs.device_name(devices.select_device(plan.device)), *lines]))
    except (ValueError, OSError) as error:
        print(str(error) if isinstance(error, ValueError) else error.strerror or error)
        return WRONG
    return 0


if __name__ == "__main__":
    sys.exit(main())
