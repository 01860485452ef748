"""Executed notebooks as papermill leaves them, and the commands that make their runs again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glann_lib.companion import catalogue
from glann_lib.config import STAGES, Config, make_config

OPTIONS = ("dataset", "profile", "seed", "device", "results_dir")  # parameters that --set does not take
TRAINED = re.compile(r"^trained in (\d+) s$", re.MULTILINE)  # what notebooks 01 and 02 print


@dataclass(frozen=True)
class Executed:
    """An executed notebook: what it declares, what stands in its file, and how it ran."""

    book: catalogue.Notebook
    content: dict[str, Any]
    given: dict[str, Any]  # the parameters that it was given
    seconds: float  # how long it took; 0 where papermill does not say
    earlier: float  # s, of training that it tells of yet found made; no part of `seconds`
    fault: str | None  # why it shows no whole run, in words that follow its name; None: it does

    @property
    def usual(self) -> dict[str, Any]:
        """The values of its own cell."""
        return {parameter.name: parameter.value for parameter in self.book.parameters or ()}

    @property
    def values(self) -> dict[str, Any]:
        """Its parameters: those that it was given, else as its own cell says."""
        return self.usual | self.given

    @property
    def whole(self) -> float:
        """How long it would have taken with nothing made before, s."""
        return self.seconds + self.earlier


def read_executed(path: Path) -> Executed:
    """One executed notebook; raises ValueError where the file is none."""
    book, content = catalogue.read_notebook(path), json.loads(path.read_text(encoding="utf-8"))
    try:
        facts = content.get("metadata", {}).get("papermill", {})
        seconds, earlier = facts.get("duration") or 0.0, _training_told(content["cells"])
        earlier = earlier if earlier > seconds else 0.0
        return Executed(book, content, facts.get("parameters", {}), seconds, earlier, _fault(path, content, facts))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} is not a readable notebook ({type(error).__name__}: {error})") from None


def _training_told(cells: list[dict[str, Any]]) -> float:
    texts = ["".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", ())]
    return sum(map(float, TRAINED.findall("".join(texts))))


def _fault(path: Path, content: dict[str, Any], facts: dict[str, Any]) -> str | None:
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    code = [cell for cell in cells if "".join(cell["source"]).strip()]
    errors = [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]
    if facts.get("exception") or ".failed." in path.name or errors:
        return "failed"
    # Papermill calls every cell "completed" even after a kernel's death; a count has only what ran.
    if facts.get("end_time") is None or any(cell["execution_count"] is None for cell in code):
        return "is not executed to its end"
    return None


def commands(copies: Sequence[Executed]) -> list[str]:
    """The commands that make executed notebooks again: one, where no two of them had different settings."""
    groups: list[tuple[list[Any], dict[str, Any], list[Executed]]] = []
    for copy in copies:
        base, usual = [copy.values[name] for name in OPTIONS[:3]], copy.usual
        own = {name: value for name, value in copy.values.items() if name not in OPTIONS and value != usual.get(name)}
        for other, settings, members in groups:
            joined, all_values = settings | own, [member.values for member in (*members, copy)]
            if other == base and all(v.get(name, x) == x for v in all_values for name, x in joined.items()):
                settings.update(own)
                members.append(copy)
                break
        else:
            groups.append((base, own, [copy]))
    only = [[copy.book.number for copy in members] if len(groups) > 1 else [] for _, _, members in groups]
    return [command(*base, settings, numbers) for (base, settings, _), numbers in zip(groups, only, strict=True)]


def command(dataset: str, profile: str, seed: int, settings: dict[str, Any], only: Sequence[str] = ()) -> str:
    """The command that runs notebooks with some settings, what --set gives, in as few words as it takes.

    `only` holds numbers of notebooks; none: all that suit the data set.
    """
    words = ["./run_all.sh", "--dataset", dataset]
    words += ["--profile", profile] * (profile != "quick") + ["--seed", str(seed)] * (seed != 0)
    words += ["--only", *only] if only else []
    return shlex.join(words + [word for name, value in settings.items() for word in ("--set", f"{name}={value}")])


def made_by(config: Config) -> str:
    """The command that trains a model of these settings again."""
    dataset, seed = config.data.dataset, config.glo.seed
    usual = make_config(dataset, config.profile, seed).as_dict()
    by_loss = make_config(dataset, config.profile, seed, glo_loss=config.glo.loss, refine_loss=config.refine.loss)
    usual["refine"]["epochs"] = by_loss.refine.epochs  # whether there is a third stage depends on the loss
    settings = {
        prefix + field: value
        for stage, prefix in (("data", ""), *((stage, f"{stage}_") for stage in STAGES))
        for field, value in config.as_dict()[stage].items()
        if value != usual[stage][field] and field != "decay_every"  # which follows the epochs
    }
    return command(without_folders(dataset), config.profile, seed, settings)


def without_folders(dataset: str) -> str:
    """A data set's name; of a path ("folder:PATH") the last part only."""
    kind, colon, path = dataset.partition(":")
    return f"{kind}{colon}{Path(path).name}" if colon else dataset
