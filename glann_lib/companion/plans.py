"""What one command line asks for, as a plan: which notebooks, on which data sets, with which parameters.

The options are checked already, by `arguments`; here they meet what the notebooks declare. The texts of `--list` and
`--dry-run` show a plan. Only the standard library is needed, as in `arguments`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from glann_lib import config
from glann_lib.companion import catalogue
from glann_lib.records import runs

# Every kind of data that a notebook may work on; the first name is taken where the person names none.
DATASETS = {
    "images": (*config.SMALL, "folder:PATH"),
    "large images": (*config.LARGE, f"folder:PATH with --set image_size={config.MANY_PIXELS}"),
    "shapes": (*config.SHAPES, "meshes:PATH"),
    "translations": (*config.TRANSLATIONS, "cars:PATH", "SOURCE-to-TARGET"),
}
# Parameters of notebooks that say what data they take.
DATA = ("train_images", "image_size", "enlarge", "test_images", "size", "poses", "train_models", "source_images")
DATA += ("target_images", "colour", "held_out")
AT_MOST_64 = ("00", "05", "09")  # notebooks that train networks which large images have not: the rivals', a tiny one
PREFIXES = tuple(f"{stage}_" for stage in config.STAGES)
TRAINING = ("01", "02")  # notebooks whose models the others on the same data set take
SHORT = ("00", "03", "04", "09", "10")  # notebooks of less than a minute by default
SHARED = ("01", "02", "06")  # notebooks whose stages several GPUs can train together
SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Step:
    """One notebook, its data set and the parameters that it will be given."""

    notebook: catalogue.Notebook
    dataset: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What one command line asks for: a text to print, the tests, or steps to run."""

    text: str = ""  # not empty: print it, no more is to be done
    test: bool = False
    lab: bool = False  # open JupyterLab on the playground
    profile: str = "quick"
    seed: int = 0
    device: str = "auto"
    results_dir: str = "results"  # relative to the repository
    gpus: int = 1  # that train both stages together, before the notebooks
    options: tuple[str, ...] = ()  # with several: the command line, for their processes
    steps: tuple[Step, ...] = ()
    left_out: tuple[str, ...] = ()  # a line on the notebooks of each kind that the data set does not suit

    def settings(self, step: Step) -> dict[str, Any]:
        """All that decides how long a step takes: its own parameters, and those that earlier notebooks train by."""
        defaults = {parameter.name: parameter.value for parameter in step.notebook.parameters or ()}
        given = [other.parameters.items() for other in self.steps if other.dataset == step.dataset]
        trained = {n: value for items in given for n, value in items if n in DATA or n.startswith(PREFIXES)}
        return defaults | {"profile": self.profile, "seed": self.seed} | trained | step.parameters

    def is_large(self, step: Step) -> bool:
        """Whether a step works on large images: see `config.is_large`."""
        images = config.kind_of(step.dataset) == "images"
        return images and config.is_large(step.dataset, self.settings(step).get("image_size"))

    def folders(self) -> dict[str, Path]:
        """The run folder of every data set among the steps, in their order."""
        datasets = dict.fromkeys(step.dataset for step in self.steps)
        folders = {name: runs.run_directory(name, self.profile, self.results_dir) for name in datasets}
        return {name: Path(os.path.normpath(folder)) for name, folder in folders.items()}

    def at_once(self, device: str, cores: int) -> int:
        """How many notebooks run at the same time, with an equal part of the cores each.

        Small networks leave cores idle that wait for each other: in the quick profile, on a "cpu" of several cores,
        two run where there are several data sets.
        """
        return 2 if self.profile == "quick" and device == "cpu" and cores > 1 and len(self.folders()) > 1 else 1

    def ready(self, waiting: Sequence[int], running: Iterable[int]) -> int | None:
        """Which of the `waiting` steps, by their places, is next to begin beside the `running` ones; None: none may.

        A notebook needs the training notebooks before it on its own data set, and no other. Short ones come last: they
        fill what the long ones leave of the cores.
        """
        unfinished = [*waiting, *running]
        for place in sorted(waiting, key=lambda place: (self.steps[place].notebook.number in SHORT, place)):
            earlier = (self.steps[other] for other in unfinished if other < place)
            if not any(s.dataset == self.steps[place].dataset and s.notebook.number in TRAINING for s in earlier):
                return place
        return None

    def whole(self, seconds: Sequence[float | None], at_once: int) -> float:
        """Seconds that all steps take, of which each takes so many and so many run at a time; unknown ones count 0."""
        now, waiting, ends = 0.0, list(range(len(self.steps))), {}
        while waiting or ends:
            while len(ends) < at_once and (place := self.ready(waiting, ends)) is not None:
                waiting.remove(place)
                ends[place] = now + (seconds[place] or 0.0)
            now = ends.pop(min(ends, key=ends.__getitem__))
        return now


@dataclass(frozen=True)
class Times:
    """What the steps of a plan take on this machine."""

    seconds: tuple[float | None, ...] = ()  # of each step, from nothing; None: not known
    how: str = ""  # they are known; without seconds: a line that says why they are not
    cache_mib: float = 0.0  # what stage 1 keeps in memory
    data: tuple[str, ...] = ()  # a line on each of the person's own sets of images or shapes
    whole: float | None = None  # seconds of all known steps, where some run at the same time


def overrides(given: dict[str, Any]) -> dict[str, Any]:
    """What `config.make_config` is told, of a notebook's parameters."""
    own = {name: value for name, value in given.items() if name.startswith(PREFIXES)}
    return own | {f"data_{name}": given[name] for name in DATA if name in given}


def select(
    notebooks: list[catalogue.Notebook], only: Sequence[str] | None, start: str | None
) -> list[catalogue.Notebook]:
    """The notebooks that `only` names, or `start` and those after it, or all; ValueError where there is none such."""
    if start:
        return notebooks[notebooks.index(catalogue.choose(notebooks, [start])[0]) :]
    return catalogue.choose(notebooks, only) if only else notebooks


def with_steps(
    plan: Plan, notebooks: list[catalogue.Notebook], dataset: str | None, image_size: int | None = None
) -> Plan:
    """The plan with a step, yet without parameters, for every notebook that the data set suits; None suits all.

    ValueError where it suits none of them.
    """
    suited = [notebook for notebook in notebooks if dataset is None or _suits(notebook, dataset, image_size)]
    left_out = [notebook for notebook in notebooks if notebook not in suited]
    kinds = ([book for book in left_out if book.kind == other] for other in DATASETS)
    images = dataset is not None and config.kind_of(dataset) == "images"
    unsuited = [_unsuited(books, images) for books in kinds if books]
    if not suited:
        raise ValueError("; ".join(f"{who}: {option}" for who, option in unsuited))
    steps = tuple(Step(notebook, dataset or DATASETS[notebook.kind][0]) for notebook in suited)
    if plan.gpus > 1 and not any(step.notebook.number in SHARED for step in steps):
        raise ValueError(f"--gpus: only notebooks {joined(SHARED, 'and')} train what several GPUs can share")
    return replace(plan, steps=steps, left_out=tuple(f"left out: {who} ({option})" for who, option in unsuited))


def with_parameters(plan: Plan, settings: dict[str, Any]) -> Plan:
    """The plan with the parameters that each notebook declares, `settings` among them.

    ValueError where no notebook declares one of the settings or its default is of another type, or where a notebook
    has no cell for parameters.
    """
    common = {name: getattr(plan, name) for name in ("profile", "seed", "device", "results_dir")}
    declared = [_declared(step.notebook) for step in plan.steps]
    known = sorted(set().union(*declared) - {"dataset", *common})
    for name in settings.keys() - set(known):
        hint = catalogue.suggestion(name, known)
        raise ValueError(f"--set: no notebook that would run has a parameter {name!r}: {hint}")
    steps = []
    for step, own in zip(plan.steps, declared, strict=True):
        values = {"dataset": step.dataset} | common
        values |= {name: _typed(own[name], value) for name, value in settings.items() if name in own}
        steps.append(replace(step, parameters={name: value for name, value in values.items() if name in own}))
    return replace(plan, steps=tuple(steps))


def list_text(plan: Plan) -> str:
    """What --list prints: the notebooks with their parameters and defaults."""
    notebooks = [catalogue.describe(step.notebook) for step in plan.steps]
    return "\n\n".join([*notebooks, _ending(plan)])


def dry_run_text(plan: Plan, times: Times) -> str:
    """What --dry-run prints: the notebooks with their parameters and times, or at the end a line that says why none."""
    shown = [f": {'time unknown' if time is None else about(time)}" for time in times.seconds]
    lines = ["would run, in this order:"]
    for step, time in itertools.zip_longest(plan.steps, shown, fillvalue=""):
        lines += [f"  {step.notebook.name}{time}"]
        lines += [f"      {name} = {value!r}" for name, value in step.parameters.items()]
    return "\n".join([*lines, *times.data, *_total(times), _ending(plan)])


def about(seconds: float) -> str:
    """A duration in words, as roughly as it is known: "about 40 s", "about 7 min", "about 1 h 10 min"."""
    if seconds < 90:
        return f"about {max(10, 10 * round(seconds / 10))} s"
    if seconds < 3570:
        return f"about {round(seconds / 60)} min"
    if seconds >= 48 * 3600:
        return f"about {round(seconds / 86400)} days"
    if seconds >= 10 * 3600:
        return f"about {round(seconds / 3600)} h"
    hours, tens = divmod(round(seconds / 600), 6)
    return f"about {hours} h" + (f" {10 * tens} min" if tens else "")


def joined(words: Sequence[str], conjunction: str) -> str:
    """Words as in a sentence: "a, b and c"."""
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def shown(path: Path, folder: Path) -> str:
    """A path as the person sees it who works in `folder`: relative where it lies below it, else whole."""
    path = Path(os.path.normpath(path))
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _suits(notebook: catalogue.Notebook, dataset: str, image_size: int | None) -> bool:
    kind = config.kind_of(dataset)
    if kind != "images":
        return notebook.kind == kind
    if not config.is_large(dataset, image_size):
        return notebook.kind == "images"
    return notebook.kind == "large images" or (notebook.kind == "images" and notebook.number not in AT_MOST_64)


def _unsuited(notebooks: list[catalogue.Notebook], for_images: bool) -> tuple[str, str]:
    """What notebooks of one kind work on that do not suit some data, images or not, and the option that suits them."""
    kind = notebooks[0].kind
    numbers = joined([notebook.number for notebook in notebooks], "and")
    who = f"notebooks {numbers} work" if len(notebooks) > 1 else f"{notebooks[0].name} works"
    if for_images and kind == "images":
        return f"{who} on images of at most 64 px", "--set image_size=64"
    return f"{who} on {kind}", f"--dataset {joined(DATASETS[kind], 'or')}"


def _declared(notebook: catalogue.Notebook) -> dict[str, catalogue.Parameter]:
    if notebook.parameters is None:
        raise ValueError(f"{notebook.name} has no cell tagged `parameters`, so it cannot be given any: tag one")
    return {parameter.name: parameter for parameter in notebook.parameters}


def _typed(parameter: catalogue.Parameter, value: Any) -> Any:
    """A setting in the type of its default; None, as a value or default, goes with any other."""
    default = parameter.value
    if value is None or default is None or type(value) is type(default):
        return value
    if isinstance(default, bool) and str(value).lower() in SWITCHES:
        return SWITCHES[str(value).lower()]
    if isinstance(default, str) and isinstance(value, int | float):  # a folder may be called 7
        return str(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    raise ValueError(f"--set: {parameter.name} is {value!r}: give {TYPES.get(type(default), parameter.default)}")


def _total(times: Times) -> list[str]:
    seconds = [time for time in times.seconds if time is not None]
    if not seconds:
        return [times.how] if times.how and not times.seconds else []
    more = "" if len(seconds) == len(times.seconds) else ", and what is unknown"
    whole = sum(seconds) if times.whole is None else times.whole
    more += ", two at a time" * (whole < sum(seconds))
    lines = [f"in all {about(whole)}{more} ({times.how}); what is already there is not made again"]
    kept = times.cache_mib / 1024
    return [*lines, f"stage 1 keeps about {kept:.1f} GiB of features in memory"] if kept >= 0.1 else lines


def _ending(plan: Plan) -> str:
    folders = [shown(folder, Path.cwd()) for folder in plan.folders().values()]
    return "\n".join([*plan.left_out, f"results would go to {joined(folders, 'and')}"])
