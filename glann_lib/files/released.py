"""Models that come with the repository: what there is, whether a file is whole, and each one's card as a page.

A released model is a folder, results/published/<name>/, with three files: model.safetensors, its record model.json (the
card: where the model comes from, what it may be used for, how good it is), and model.md, the card for people, which
is drawn from the record alone. torch is not needed here.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from glann_lib import config
from glann_lib.records import runs

FOLDER = runs.ROOT / "results" / "published"
MODEL, CARD, PAGE = "model.safetensors", "model.json", "model.md"
LIMIT = 16 * 2**20  # bytes of a released file: every clone of the repository fetches it
UNKNOWN = "unknown"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
LICENCES = {  # as data/README.md says
    "digits": "CC BY 4.0",
    "mnist": "CC BY-SA 3.0",
    "fashion": "MIT",
    "cifar10": "none stated; asks for citation",
    "svhn": "non-commercial use only",
    "celeba": "non-commercial research only; the faces are of real people",
    "chairs": "research use only; the meshes belong to those who made them",
    "made-chairs": "no outside source",
}
OWN_LICENCE = "the owner's"
OWN_DATA = (config.FOLDER, config.MESHES)  # before the path of a person's own data: such models are never released


def available(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the released models, sorted.

    Args:
        folder: where they lie; None: results/published (so everywhere below).
    """
    folder = folder or FOLDER
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{CARD}") if (path.parent / MODEL).is_file()))


def card(name: str, folder: Path | None = None) -> dict[str, Any]:
    """The record of one released model.

    Raises:
        FileNotFoundError: there is no such model; says which there are.
        ValueError: the card is damaged.
    """
    if name not in available(folder):
        raise FileNotFoundError(_no_such_model(name, folder))
    path = (folder or FOLDER) / name / CARD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {**values, "sha256": values["sha256"]}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{_shown(path)} is damaged: restore it with git checkout -- {_shown(path)}") from None


def find(name: str, folder: Path | None = None) -> Path:
    """The file of one released model, once it is found to be the one of its card.

    Raises:
        FileNotFoundError: there is no such model; says which there are.
        ValueError: the file or the card is damaged.
    """
    expected = card(name, folder)["sha256"]
    path = (folder or FOLDER) / name / MODEL
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise ValueError(
            f"{_shown(path)} is not the file of its card (sha256 {found[:12]}..., not {str(expected)[:12]}...): "
            f"restore it with git checkout -- {_shown(path)}"
        )
    return path


def locate(name: str | Path, folder: Path | None = None) -> Path:
    """The file that a released model's name or a path stands for.

    Args:
        name: a released model's name; or a path, which need not exist unless it could be a name.
        folder: where released models lie.

    Raises:
        FileNotFoundError, ValueError: as `find`.
    """
    if isinstance(name, str) and name.startswith(OWN_DATA):
        raise FileNotFoundError(_no_such_model(name, folder))
    is_name = isinstance(name, str) and NAME.fullmatch(name)
    if not is_name or (name not in available(folder) and Path(name).is_file()):
        return Path(name)
    return find(name, folder)


def licence(dataset: str) -> str:
    """The terms of a data set's images or shapes, as stated at their source; a person's own are the owner's."""
    return LICENCES.get(dataset, OWN_LICENCE)


def card_text(card: dict[str, Any]) -> str:
    """The page for people, Markdown, of a card; nothing else goes into it."""
    difference = card["difference"]
    return f"""\
# {card["name"]}: a released GLANN model

{card["purpose"]} {card["limits"]}

## Use

```python
from glann_lib import Glann

model = Glann.load("{card["name"]}")
{"images" if card["kind"] == "images" else "fields"} = model.sample(16)  # uint8 {_sampled_shape(card)}
```

## Facts

| | |
|---|---|
{_rows(_facts(card))}

## Scores

{_score_table(card)}

Each row compares {card["scored"]:,} samples with as many held-out {card["kind"]}. *float32* is the model as trained,
*released* is this file, *real* are training {card["kind"]} in the samples' place: the floor.
Over {difference["samples"]:,} samples the released model differs from the trained one by {difference["mean"]:.2g}
of 255 grey levels on average, by {difference["largest"]} at most.

## Terms

{_sentence(card["licence"])} (the terms of the training data, as stated at their source:
[data/README.md](../../../data/README.md)).

## Made by

    {card["made_by"]}
    {card["released_by"]}

- commit: {card["commit"]}{", with uncommitted changes" * (card["uncommitted_changes"] is True)}
- time: {card["time"]}
- machine: {card["hardware"]}
- versions: {_versions(card["versions"])}

All settings stand in [model.json]({CARD}).
"""


def _facts(card: dict[str, Any]) -> dict[str, str]:
    data, settings = card["data"], card["settings"]
    return {
        "file": f"[{card['file']}]({card['file']}), {card['bytes'] / 2**20:.1f} MiB",
        "SHA-256": f"`{card['sha256']}`",
        "numbers stored as": card["format"],
        "draws": f"{card['kind']} of {' x '.join(map(str, card['image_shape']))}",
        "trained on": f"{card['training_images']:,} {card['kind']} of {data['name']}",
        "source": data["source"],
        "SHA-256 of the training data": f"`{data['sha256']}`",
        "profile, seed": f"{card['profile']}, {card['seed']}",
        "stage 1 (GLO)": f"{settings['glo']['epochs']:,} epochs, loss {settings['glo']['loss']}",
        "stage 2 (IMLE)": f"{settings['imle']['epochs']:,} epochs",
        "number format in training": card["precision"],
    }


def _rows(facts: dict[str, str]) -> str:
    return "\n".join(f"| {name} | {str(text).replace('|', chr(92) + '|')} |" for name, text in facts.items())


def _score_table(card: dict[str, Any]) -> str:
    """A row a metric; columns are the float32 model, the released one and real data."""
    scores: dict[str, dict[str, Any]] = {}
    for row in card["scores"]:
        scores.setdefault(row["metric"], row | {"values": {}})["values"][row["of"]] = row["value"]
    lines = ["| measure | unit | better | float32 | released | real |", "|---|---|---|--:|--:|--:|"]
    for metric, row in scores.items():
        numbers = (row["values"]["float32"], row["values"]["released"], card["real"][metric])
        shown = " | ".join(_number(number) for number in numbers)
        lines.append(f"| {row['name']} | {row['unit']} | {row['better']} | {shown} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _sampled_shape(card: dict[str, Any]) -> str:
    return str([16, *card["image_shape"]])


def _versions(versions: dict[str, str] | str) -> str:
    if isinstance(versions, str):
        return versions
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _no_such_model(name: str, folder: Path | None) -> str:
    known = ", ".join(available(folder)) or "none"
    advice = "name a file that Glann.save wrote"
    if name in (*config.DATASETS, *config.SHAPES) or name.startswith(OWN_DATA):
        path = f"results/{runs.run_name(name, 'quick')}/{MODEL}"
        advice = f"train your own: ./run_all.sh --dataset {name}, then Glann.load('{path}')"
    return f"no released model {name!r}: released are {known}; {advice}"


def _shown(path: Path) -> str:
    """As `runs.shown`, but whole where it lies elsewhere: git and the reader must find it."""
    return runs.shown(path) if path.resolve().is_relative_to(runs.ROOT) else str(path)
