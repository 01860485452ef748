"""The command line of run_all.sh: every option checked, and turned into a plan of what to run with which parameters.

Only the standard library is needed, so that `--help`, `--list`, `--dry-run` and every wrong argument are answered by
the system's Python before anything is installed. run_all.sh starts this module first: exit code 0 means that
everything has been said, 2 that an argument is wrong, and GO_ON that there is something to run.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from glann_lib import catalogue, config, runs

ROOT = runs.ROOT
NOTEBOOKS = ROOT / "notebooks"
DEVICES = ("auto", "cuda", "mps", "cpu")  # as in devices.py, which needs torch
GO_ON, WRONG = 10, 2  # exit codes
# Every kind of data that a notebook may work on; the first name is taken where the person names none.
DATASETS = {"images": (*config.DATASETS, "folder:PATH"), "shapes": (*config.SHAPES, "meshes:PATH")}
# A person's own files: the suffixes beside a folder, and what to name.
OWN_FILES = {
    config.FOLDER: ((".zip",), "a folder of images or a .zip of them"),
    config.MESHES: ((".zip", ".npz"), "a folder of meshes, a .zip of them, or an .npz of voxels"),
}

DESCRIPTION = """\
Makes every figure, table and model of this companion again: runs the notebooks in order, on the data set you name,
and gathers what they made in results/<data set>-<profile>/, with one page that shows it all: report.html.
Some notebooks work on images, others on shapes (voxels): those that the data set does not suit are left out. Without
--dataset all of them run, on digits and on made-chairs.
The first start also installs what is needed into .venv (about 2 minutes and 6 GB)."""

EXAMPLES = """\
examples:
  ./run_all.sh                                   the whole story on handwritten digits and made chairs; no download
  ./run_all.sh --dataset mnist                   the same on 5,000 images of MNIST
  ./run_all.sh --dataset folder:holiday.zip      on your own images: a folder or a .zip of png, jpg, webp or bmp
  ./run_all.sh --dataset made-chairs             shapes alone: chairs made of voxels; no download
  ./run_all.sh --dataset meshes:chairs.zip       on your own shapes: a folder or a .zip of meshes, or an .npz of voxels
  ./run_all.sh --dataset mnist --profile paper   the paper's own epochs and loss, on all images: hours, better a GPU
  ./run_all.sh --only 03 04                      two notebooks again, with what the earlier ones made
  ./run_all.sh --set glo_epochs=60 --dry-run     says what would run with more epochs, and runs nothing
  ./run_all.sh --test                            the style checks, the unit tests and all notebooks as tests

Data sets lie in data/, or where the environment variable GLANN_DATA says."""


class UsageError(ValueError):
    """An argument is wrong; the message is one line for the person."""


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
    profile: str = "quick"
    seed: int = 0
    device: str = "auto"
    results_dir: str = "results"  # relative to the repository
    steps: tuple[Step, ...] = ()
    left_out: tuple[str, ...] = ()  # a line on the notebooks that the data set does not suit, or none

    def folders(self) -> dict[str, Path]:
        """The run folder of every data set among the steps, in their order."""
        datasets = dict.fromkeys(step.dataset for step in self.steps)
        folders = {name: runs.run_directory(name, self.profile, self.results_dir) for name in datasets}
        return {name: Path(os.path.normpath(folder)) for name, folder in folders.items()}


def make_plan(argv: Sequence[str], notebooks: Path = NOTEBOOKS) -> Plan:
    """Check the arguments of one command line (without the program's name), and find out what they ask for.

    Raises:
        UsageError: an argument is wrong.
    """
    parser = _parser()
    options, unknown = parser.parse_known_args(argv)
    if options.help:
        return Plan(text=parser.format_help().rstrip())
    if unknown:
        raise UsageError(_unknown_argument(parser, unknown))
    if options.test:
        if len(argv) > 1:
            raise UsageError("--test takes no other option: it always tests everything, on digits and made-chairs")
        return Plan(test=True)
    try:
        plan = _plan(options, _chosen(catalogue.find_notebooks(notebooks), options))
        if options.list:
            return Plan(text=_list(plan))
        plan = _with_parameters(plan, dict(options.settings))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Plan(text=_dry_run(plan)) if options.dry_run else plan


def main() -> int:
    """Answer what can be answered without installing anything; returns the exit code (see the module's text)."""
    try:
        text = make_plan(sys.argv[1:]).text
    except UsageError as error:
        return refuse(error)
    if not text:
        return GO_ON
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    print(text)
    return 0


def refuse(error: Exception | str, code: int = WRONG) -> int:
    """Print one line to stderr, in the name of the command that the person typed, and hand the exit code on."""
    print(f"run_all.sh: {error}", file=sys.stderr)
    return code


def shown(path: Path, folder: Path) -> str:
    """A path as the person sees it who works in `folder`: relative where it lies below it, else whole."""
    path = Path(os.path.normpath(path))
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UsageError(message.removeprefix("argument "))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("run_all.sh", "./run_all.sh [options]", DESCRIPTION, EXAMPLES, allow_abbrev=False, add_help=False)
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=110)
    add = parser.add_argument
    named = "; ".join(f"{kind}: {_joined(names, 'or')} (default {names[0]})" for kind, names in DATASETS.items())
    add("--dataset", type=_dataset, metavar="NAME", help=named)
    add("--profile", type=_one_of(config.PROFILES), default="quick", help="quick (minutes; default) or paper (hours)")
    selection = parser.add_mutually_exclusive_group()
    selection.add_argument("--only", nargs="+", metavar="NN", help="run only these notebooks, by number or name")
    selection.add_argument("--from", dest="start", metavar="NN", help="run this notebook and those after it")
    add("--device", type=_one_of(DEVICES), default="auto", help="auto (the best there is; default), cuda, mps or cpu")
    add("--results", type=_from_root, metavar="DIR", help="folder for the results (default: results in the repository)")
    add("--seed", type=_seed, default=0, metavar="N", help="another seed, another throw of the dice (default 0)")
    other = "give any other parameter that a notebook declares (see --list); may be repeated"
    add("--set", action="append", type=_setting, default=[], metavar="NAME=VALUE", dest="settings", help=other)
    add("--dry-run", action="store_true", help="print what would run, with which parameters, and run nothing")
    add("--list", action="store_true", help="print the notebooks with their parameters and defaults")
    add("--test", action="store_true", help="run ruff, the unit tests and all notebooks as tests")
    add("-h", "--help", action="store_true", help="print this text")
    return parser


def _dataset(text: str) -> str:
    for prefix, (suffixes, wanted) in OWN_FILES.items():
        if text.startswith(prefix):
            path = Path(text.removeprefix(prefix)).expanduser()
            if text == prefix or not path.exists():
                raise argparse.ArgumentTypeError(f"{text} does not exist: name {wanted}")
            if not path.is_dir() and path.suffix.lower() not in suffixes:
                raise argparse.ArgumentTypeError(f"{text} is neither a folder nor a {' or '.join(suffixes)}")
            return prefix + _from_root(str(path))
    if text in (*config.DATASETS, *config.SHAPES):
        return text
    hint = catalogue.suggestion(text, [name for names in DATASETS.values() for name in names])
    raise argparse.ArgumentTypeError(f"unknown data set {text!r}: {hint}")


def _one_of(choices: tuple[str, ...]) -> Any:
    def check(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"unknown value {text!r}: {catalogue.suggestion(text, choices)}")
        return text

    return check


def _from_root(text: str) -> str:
    """A path as typed in the person's folder -> relative to the repository: no absolute path is ever recorded."""
    return os.path.relpath(Path(text).expanduser().resolve(), ROOT)


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 999999999")
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


def _chosen(notebooks: list[catalogue.Notebook], options: argparse.Namespace) -> list[catalogue.Notebook]:
    if options.only:
        return catalogue.choose(notebooks, options.only)
    if options.start:
        return notebooks[notebooks.index(catalogue.choose(notebooks, [options.start])[0]) :]
    return notebooks


def _plan(options: argparse.Namespace, notebooks: list[catalogue.Notebook]) -> Plan:
    """The plan but for the parameters: the notebooks that the data set suits, all of them where none is named."""
    kind = config.kind_of(options.dataset) if options.dataset else None
    suited = [notebook for notebook in notebooks if kind in (None, notebook.kind)]
    left_out = [notebook for notebook in notebooks if notebook not in suited]
    if not suited:
        raise UsageError("{}: {}".format(*_unsuited(left_out)))
    return Plan(
        profile=options.profile,
        seed=options.seed,
        device=options.device,
        results_dir=options.results or "results",
        steps=tuple(Step(notebook, options.dataset or DATASETS[notebook.kind][0]) for notebook in suited),
        left_out=("left out: {} ({})".format(*_unsuited(left_out)),) if left_out else (),
    )


def _unsuited(notebooks: list[catalogue.Notebook]) -> tuple[str, str]:
    """What notebooks of one kind work on, and the option that suits them."""
    kind = notebooks[0].kind
    numbers = _joined([notebook.number for notebook in notebooks], "and")
    who = f"notebooks {numbers} work" if len(notebooks) > 1 else f"{notebooks[0].name} works"
    return f"{who} on {kind}", f"--dataset {_joined(DATASETS[kind], 'or')}"


def _joined(words: Sequence[str], conjunction: str) -> str:
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def _with_parameters(plan: Plan, settings: dict[str, Any]) -> Plan:
    """The plan with the parameters that each notebook declares, `settings` among them."""
    common = {name: getattr(plan, name) for name in ("profile", "seed", "device", "results_dir")}
    declared = [_declared(step.notebook) for step in plan.steps]
    known = sorted(set().union(*declared) - {"dataset", *common})
    for name in settings.keys() - set(known):
        hint = catalogue.suggestion(name, known)
        raise UsageError(f"--set: no notebook that would run has a parameter {name!r}: {hint}")
    steps = []
    for step, names in zip(plan.steps, declared, strict=True):
        values = {"dataset": step.dataset} | common | settings
        steps.append(replace(step, parameters={name: value for name, value in values.items() if name in names}))
    return replace(plan, steps=tuple(steps))


def _declared(notebook: catalogue.Notebook) -> set[str]:
    if notebook.parameters is None:
        raise UsageError(f"{notebook.name} has no cell tagged `parameters`, so it cannot be given any: tag one")
    return {parameter.name for parameter in notebook.parameters}


def _list(plan: Plan) -> str:
    notebooks = [catalogue.describe(step.notebook) for step in plan.steps]
    return "\n\n".join([*notebooks, _ending(plan)])


def _dry_run(plan: Plan) -> str:
    lines = ["would run, in this order:"]
    for step in plan.steps:
        lines += [f"  {step.notebook.name}", *(f"      {name} = {value!r}" for name, value in step.parameters.items())]
    return "\n".join([*lines, _ending(plan)])


def _ending(plan: Plan) -> str:
    folders = [shown(folder, Path.cwd()) for folder in plan.folders().values()]
    return "\n".join([*plan.left_out, f"results would go to {_joined(folders, 'and')}"])


if __name__ == "__main__":
    sys.exit(main())
