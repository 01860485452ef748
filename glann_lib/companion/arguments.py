"""The command line of run_all.sh: every option is checked here, and `plans` makes of them what is to be run.

Only the standard library is needed, so that `--help`, `--list`, `--dry-run` and every wrong argument are answered by
the system's Python before anything is installed. run_all.sh starts this module first: exit code 0 means that
everything has been said, 2 that an argument is wrong, and GO_ON that there is something to run.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from glann_lib import config
from glann_lib.companion import catalogue, lab, plans
from glann_lib.companion.plans import Plan, Times
from glann_lib.data import listing
from glann_lib.records import runs

ROOT = runs.ROOT
NOTEBOOKS = ROOT / "notebooks"
DEVICES = ("auto", "cuda", "mps", "cpu")  # as in devices.py, which needs torch
GO_ON, WRONG, INTERRUPTED = 10, 2, 130  # exit codes
ALONE = {  # options that take no other, and why
    "test": "it always tests everything, on digits, made-chairs and embedded",
    "lab": "data set and seed are chosen in the playground itself",
}
# A person's own files: the suffixes beside a folder, what to name, and what finds them there or refuses the place.
OWN_FILES = {
    config.FOLDER: ((".zip",), "a folder of images or a .zip of them", listing.list_images),
    config.CARS: ((".zip",), "a folder of two sub-folders of cars with azimuths.csv, or its .zip", listing.list_images),
    config.MESHES: ((".zip", ".npz"), "a folder of meshes, a .zip of them, or an .npz of voxels", listing.list_meshes),
}

DESCRIPTION = """\
Makes every figure, table and model of this companion again: runs the notebooks in order, on the data set you name,
and gathers what they made in results/<data set>-<profile>/, with one page that shows it all: report.html.
Notebooks work on images, on shapes (voxels) or on translations (from one domain of images to another): those that the
data set does not suit are left out. Without --dataset all of them run, on digits, made-chairs and embedded.
The first start also installs what is needed into .venv (on Linux 6.4 GB, 3.2 GB of them fetched)."""

EXAMPLES = """\
examples:
  ./run_all.sh                                   the whole story on digits, made chairs and made domains; no download
  ./run_all.sh --dataset mnist                   the same on 5,000 images of MNIST
  ./run_all.sh --dataset folder:holiday.zip      on your own images: a folder or a .zip of png, jpg, webp, tiff, ...
  ./run_all.sh --dataset made-chairs             shapes alone: chairs made of voxels; no download
  ./run_all.sh --dataset meshes:chairs.zip       on your own shapes: a folder or a .zip of meshes, or an .npz of voxels
  ./run_all.sh --dataset mnist-street            translation alone: MNIST to digits painted as on a street, and back
  ./run_all.sh --dataset cars:my_cars            on your own cars, in two sub-folders, with azimuths.csv
  ./run_all.sh --dataset folder:a-to-folder:b    between any two sets of images
  ./run_all.sh --dataset mnist --profile full    on all 60,000 images: hours on two cores
  ./run_all.sh --dataset mnist --profile paper   the paper's own epochs and loss, on all images: days, better a GPU
  ./run_all.sh --dataset mnist --gpus 4          both stages trained by four GPUs, the notebooks by one
  ./run_all.sh --only 03 04                      two notebooks again, with what the earlier ones made
  ./run_all.sh --set glo_epochs=60 --dry-run     says what would run with more epochs, and runs nothing
  ./run_all.sh --lab                             open JupyterLab on the playground
  ./run_all.sh --test                            the style checks, the unit tests and all notebooks as tests

Data sets lie in data/, or where the environment variable GLANN_DATA says."""


class UsageError(ValueError):
    """An argument is wrong; the message is one line for the person."""


def make_plan(
    argv: Sequence[str], notebooks: Path = NOTEBOOKS, times_of: Callable[[Plan], Times] = lambda plan: Times()
) -> Plan:
    """Check the arguments of one command line, without the program's name, and find out what they ask for.

    `times_of` a plan gives what its steps take; only a dry run asks it, last, and it may refuse the plan by a
    ValueError. UsageError where an argument is wrong.
    """
    parser = _parser()
    options, unknown = parser.parse_known_args(argv)
    if options.help:
        return Plan(text=parser.format_help().rstrip())
    if unknown:
        raise UsageError(_unknown_argument(parser, unknown))
    for option, reason in ALONE.items():
        if getattr(options, option) and len(argv) > 1:
            raise UsageError(f"--{option} takes no other option: {reason}")
    if options.lab and not (notebooks / lab.PLAYGROUND).is_file():
        raise UsageError(f"--lab opens notebooks/{lab.PLAYGROUND}, which is not there: get it from the repository")
    if options.test or options.lab:
        return Plan(test=options.test, lab=options.lab)
    try:
        chosen = plans.select(catalogue.find_notebooks(notebooks), options.only, options.start)
        results_dir = options.results or "results"
        plan = Plan(profile=options.profile, seed=options.seed, device=options.device, results_dir=results_dir)
        plan = replace(plan, gpus=options.gpus, options=tuple(argv) if options.gpus > 1 else ())
        plan = plans.with_steps(plan, chosen, options.dataset, dict(options.settings).get("image_size"))
        if options.list:
            return Plan(text=plans.list_text(plan))
        plan = plans.with_parameters(plan, dict(options.settings))
        if options.dry_run:
            plan = Plan(text=plans.dry_run_text(plan, times_of(plan)))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return plan


def main() -> int:
    """Answer what can be answered without installing anything; returns the exit code (see the module's text)."""
    try:
        text = make_plan(sys.argv[1:], times_of=timed).text
    except UsageError as error:
        return refuse(error)
    except KeyboardInterrupt:
        return refuse("interrupted", INTERRUPTED)
    if not text:
        return GO_ON
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    print(text)
    return 0


def timed(plan: Plan) -> Times:
    """What a plan's steps learn from, and what they take on this machine, by some real steps.

    ValueError for what the run would refuse.
    """
    unknown = "how long it takes is not known"
    if importlib.util.find_spec("torch") is None:
        return Times(how=f"{unknown} before the installation, nor are settings and images checked: do this again then")
    print("reading the data and timing this machine, about 20 s", file=sys.stderr, flush=True)
    from glann_lib.companion import estimate, preflight

    try:
        data = preflight.check(plan)
    except OSError as error:
        raise ValueError(str(error)) from None
    try:
        return replace(estimate.times(plan), data=tuple(data))
    except Exception as error:  # an estimate is no reason to refuse a dry run
        said = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no reason given'}"
        return Times(how=f"{unknown}: timing this machine failed, {said}", data=tuple(data))


def refuse(error: Exception | str, code: int = WRONG) -> int:
    """Print one line to stderr, in the name of the command that the person typed, and hand the exit code on."""
    print(f"run_all.sh: {error}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UsageError(message.removeprefix("argument "))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("run_all.sh", "./run_all.sh [options]", DESCRIPTION, EXAMPLES, allow_abbrev=False, add_help=False)
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=110)
    add = parser.add_argument
    kinds = plans.DATASETS.items()
    named = "; ".join(f"{kind}: {plans.joined(names, 'or')} (default {names[0]})" for kind, names in kinds)
    add("--dataset", type=_dataset, metavar="NAME", help=named)
    told = "quick (minutes; default), full (all images, hours) or paper (days)"
    add("--profile", type=_one_of(config.PROFILES), default="quick", help=told)
    selection = parser.add_mutually_exclusive_group()
    selection.add_argument("--only", nargs="+", metavar="NN", help="run only these notebooks, by number or name")
    selection.add_argument("--from", dest="start", metavar="NN", help="run this notebook and those after it")
    add("--device", type=_one_of(DEVICES), default="auto", help="auto (the best there is; default), cuda, mps or cpu")
    several = "train both stages on N GPUs of this machine together; with --device cpu, in N processes (default 1)"
    add("--gpus", type=_gpus, default=1, metavar="N", help=several)
    add("--results", type=_from_root, metavar="DIR", help="folder for the results (default: results in the repository)")
    add("--seed", type=_seed, default=0, metavar="N", help="another seed, another throw of the dice (default 0)")
    other = "give any other parameter that a notebook declares (see --list); may be repeated"
    add("--set", action="append", type=_setting, default=[], metavar="NAME=VALUE", dest="settings", help=other)
    add("--dry-run", action="store_true", help="print what would run, and about how long it takes; run nothing")
    add("--list", action="store_true", help="print the notebooks with their parameters and defaults")
    playground = "open JupyterLab on the playground: sliders on models that are trained already"
    add("--lab", action="store_true", help=playground)
    add("--test", action="store_true", help="run ruff, the unit tests and all notebooks as tests")
    add("-h", "--help", action="store_true", help="print this text")
    return parser


def _dataset(text: str) -> str:
    pair = config.split_pair(text)
    if pair:
        return "-to-".join(domain if domain in config.DOMAINS else _dataset(domain) for domain in pair)
    for prefix, (suffixes, wanted, files) in OWN_FILES.items():
        if text.startswith(prefix):
            path = Path(os.path.expanduser(text.removeprefix(prefix)))
            if text == prefix or not path.exists():
                raise argparse.ArgumentTypeError(f"{listing.printable(text)} does not exist: name {wanted}")
            if not path.is_dir() and path.suffix.lower() not in suffixes:
                raise argparse.ArgumentTypeError(
                    f"{listing.printable(text)} is neither a folder nor a {' or '.join(suffixes)}"
                )
            if path.suffix.lower() != ".npz":
                try:
                    files(path)
                except ValueError as error:
                    raise argparse.ArgumentTypeError(str(error)) from None
            return prefix + _from_root(str(path))
    if text in (*config.DATASETS, *config.SHAPES, *config.TRANSLATIONS):
        return text
    hint = catalogue.suggestion(text, [name for names in plans.DATASETS.values() for name in names])
    raise argparse.ArgumentTypeError(f"unknown data set {text!r}: {hint}")


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"unknown value {text!r}: {catalogue.suggestion(text, choices)}")
        return text

    return check


def _from_root(text: str) -> str:
    """A path as typed in the person's folder -> relative to the repository: no absolute path is ever recorded."""
    path = os.path.relpath(Path(os.path.expanduser(text)).resolve(), ROOT)
    shown = listing.printable(path)
    if shown != path:  # notebooks, records and pages could not hold it
        raise argparse.ArgumentTypeError(f"{shown} has letters in its path that are no UTF-8 text: rename it first")
    return path


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 999999999")
    return int(text)


def _gpus(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 9999")
    return int(text)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, for example glo_epochs=60")
    if name in ("dataset", "profile", "seed", "device", "results_dir"):
        raise argparse.ArgumentTypeError(f"{name} has an option of its own: --{name.removesuffix('_dir')}")
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
    return name, parsed if isinstance(parsed, int | float | str | list | dict | None) else value


def _unknown_argument(parser: argparse.ArgumentParser, unknown: list[str]) -> str:
    word = unknown[0].partition("=")[0]
    if not word.startswith("-"):
        return f"unknown argument {word!r}: every option starts with --; see ./run_all.sh --help"
    return f"unknown option {word}: {catalogue.suggestion(word, parser._option_string_actions)}"


if __name__ == "__main__":
    sys.exit(main())
