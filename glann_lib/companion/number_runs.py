"""Tables of single runs, released models and times on the pages of numbers: Markdown, a row each.

No number in them is typed by hand. Every function raises ValueError or FileNotFoundError that names the file, as
`traced.Published` does.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from glann_lib.companion.traced import Published
from glann_lib.files import released
from glann_lib.scores.reported import DATASETS

TITLES = {"digits": "digits", "mnist": "MNIST", "fashion": "Fashion-MNIST", "cifar10": "CIFAR-10", "svhn": "SVHN"}
TITLES |= {"celeba": "faces of CelebA", "street-mnist": "street MNIST", "chairs": "ModelNet's chairs"}
FOLDERS = {"celeba": "faces"}  # where a published folder is not called as its data set
RUNS = ("digits", *DATASETS)
FRECHET_TABLE = ("tables", "03_frechet")
FRECHET, GLANN = "Fréchet distance (random-VGG16)", "GLANN, G(T(e))"
FLOOR, COPIES, GAUSSIAN = "real training images", "reconstructions G(z)", "GLO, Gaussian"  # as notebook 03 calls them
MACHINES = ("amd-epyc-2-threads", "amd-epyc-2-threads-moves")  # folders below benchmarks
USUAL_REPEATS = 3
NO_BREAK = "\N{NO-BREAK SPACE}"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A Markdown table, right-aligned from the column `words` on; no line breaks beside a "±"."""
    align = ["left"] * words + ["right"] * (len(heads) - words)
    table = pd.DataFrame(rows, columns=heads).to_markdown(index=False, disable_numparse=True, colalign=align)
    return table.replace(" ± ", f"{NO_BREAK}±{NO_BREAK}")


def released_models(published: Published) -> str:
    """The released models, from their cards."""
    cards = [published.record(name, released.CARD) for name in released.available(published.folder)]
    if not cards:
        raise FileNotFoundError(f"no model is released in {published.folder}")
    cards.sort(key=lambda card: (card["kind"], [*RUNS, card["data"]["name"]].index(card["data"]["name"])))
    heads = ["`Glann.load(...)`", "of", "trained on", "distance as trained", "as released", "real ones", "file"]
    return markdown(heads, [_card_row(card) for card in cards], words=2)


def _card_row(card: dict[str, Any]) -> list[str]:
    data, images = card["data"]["name"], card["kind"] == "images"
    metric = "frechet" if images else "matching_chamfer"
    scores = {row["of"]: row["value"] for row in card["scores"] if row["metric"] == metric}
    return [
        f"`{card['name']}`",
        f"{title(data)}, {card['image_shape'][-1]} {'px' if images else 'voxels a side'}",
        f"{card['training_images']:,}",
        *(f"{value:.4f}" for value in (scores["float32"], scores["released"], card["real"][metric])),
        f"[{card['bytes'] / 2**20:.1f}{NO_BREAK}MiB]({card['name']}/{released.PAGE})",
    ]


def made_by(published: Published, names: Sequence[str] = RUNS) -> list[str]:
    """The commands that made the runs' released models."""
    return [published.record(FOLDERS.get(name, name), released.CARD)["made_by"] for name in names]


def frechet(published: Published, names: Sequence[str] = RUNS) -> str:
    """Fréchet distances of a run's samples, floor, reconstructions and Gaussian, with what the run was."""
    heads = ["", "real images", "*G(z)*", "GLANN, *G(T(e))*", "GLO, Gaussian"]
    heads += ["training images", "epochs, stage 1", "loss", "epochs, stage 2"]
    return markdown(heads, [_run_row(published, name) for name in names])


def _run_row(published: Published, name: str) -> list[str]:
    """A run's distances and settings; its released model, where there is one, must be of the same run."""
    run = FOLDERS.get(name, name)
    values, record = published.column(FRECHET, (FLOOR, COPIES, GLANN, GAUSSIAN), run, *FRECHET_TABLE)
    if run in released.available(published.folder):
        card = published.record(run, released.CARD)
        theirs, ours = (_settings(card["settings"]), card["data"]["sha256"]), _settings(record["config"])
        if theirs != (ours, record["data"]["sha256"]):
            table = f"{run}/{'/'.join(FRECHET_TABLE)}.json"
            raise ValueError(f"{run}/{released.CARD} is of another run than {table}: publish one run of both")
    distances = [bold(f"{values[row]:.4f}", row == GLANN) for row in (FLOOR, COPIES, GLANN, GAUSSIAN)]
    glo, imle = record["config"]["glo"], record["config"]["imle"]
    settings = [f"{record['data']['count']:,}", str(glo["epochs"]), glo["loss"], f"{imle['epochs']:,}"]
    return [f"[{TITLES[name]}]({run})", *distances, *settings]


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a record, which may be older than the choice of moments."""
    return config | {"imle": {"moments": "learned"} | config["imle"]}


def moments(published: Published, names: Sequence[str] = RUNS) -> str:
    """GLANN's distance with T's codes as Eq. 5 leaves them and with the training codes' moments, on one stage 1.

    Raises ValueError where both are of one setting, or differ in more than it.
    """
    heads = ["", "reconstructions *G(z)*", "GLANN, *T* as learned", "GLANN, *T* with the codes' moments"]
    return markdown([*heads, "GLO with a Gaussian"], [_moments_row(published, name) for name in names])


def _moments_row(published: Published, name: str) -> list[str]:
    run = FOLDERS.get(name, name)
    places = {f"{run}/{'/'.join(FRECHET_TABLE)}.csv": (run, *FRECHET_TABLE), f"moments/{run}.csv": ("moments", run)}
    found, configs = {}, []
    for parts in places.values():
        values, record = published.column(FRECHET, (COPIES, GLANN, GAUSSIAN), *parts)
        config = _settings(record["config"])
        found[config["imle"]["moments"]] = values[GLANN]
        configs.append(config | {"imle": config["imle"] | {"moments": None}})
    own, other = places
    if found.keys() != {"learned", "matched"}:
        raise ValueError(f"{other} is of the same setting as {own}: publish the other")
    if configs[0] != configs[1]:
        raise ValueError(f"{other} and {own} differ in more than moments: run it again")
    numbers = values[COPIES], found["learned"], found["matched"], values[GAUSSIAN]
    return [TITLES[name], *(f"{number:.4f}" for number in numbers)]


def stored(published: Published, table: str, head: str, rows: Sequence[str], names: Sequence[str]) -> str:
    """Some rows of one column of a table that several runs stored; here a column each, a row a data set."""
    found = {name: published.column(head, rows, FOLDERS.get(name, name), "tables", table)[0] for name in names}
    cells = [[TITLES[name], *(f"{values[row]:g}" for row in rows)] for name, values in found.items()]
    return markdown(["", *rows], cells)


def speed(published: Published, machines: Sequence[str] = MACHINES) -> str:
    """Every hot path beside its textbook form: median times and their ratio, bold where it was always above 1."""
    found = [row for name in machines for row in published.record("benchmarks", name, "benchmarks.json")["results"]]
    heads = ["", "the textbook's way", "here", "textbook", "times as fast (least to largest)"]
    return markdown(heads, [_path_row(row) for row in found], words=2)


def _path_row(row: dict[str, Any]) -> list[str]:
    here, (least, largest) = row["here"]["seconds"], row["ratio_range"]
    repeats = f" ({len(here)} repeats)" if len(here) != USUAL_REPEATS else ""
    ratio = f"{bold(rounded(row['ratio'], 2), least > 1)} ({rounded(least, 2)} to {rounded(largest, 2)})"
    return [row["what"] + repeats, row["textbook"], _time(here), _time(row["textbook_time"]["seconds"]), ratio]


def _time(seconds: list[float]) -> str:
    median = statistics.median(seconds)
    return f"{rounded(median)}{NO_BREAK}s" if median >= 0.9995 else f"{rounded(1000 * median)}{NO_BREAK}ms"


def rounded(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, zeros at its end included: "1.20", "198", "5.0"."""
    text = np.format_float_positional(value, precision=digits, unique=False, fractional=False, trim="k")
    return text.removesuffix(".")


def title(name: str) -> str:
    """What a data set is called for people."""
    return TITLES.get(name, name.replace("-", " "))


def bold(text: str, chosen: bool) -> str:
    """Text, in bold where it is chosen."""
    return f"**{text}**" if chosen else text
