"""Tables of single runs, released models and times on the pages of numbers: Markdown, a row each.

No number in them is typed by hand; what a row shows stands in templates/runs_*.md.j2. Every function raises ValueError
or FileNotFoundError that names the file, as `traced.Published` does.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from glann_lib.companion.pages import NAMES, render
from glann_lib.companion.traced import Published
from glann_lib.config import RefineConfig
from glann_lib.files import released
from glann_lib.scores.reported import DATASETS

TITLES, FOLDERS = NAMES["titles"], NAMES["folders"]
RUNS = ("digits", *DATASETS)
FRECHET_TABLE = ("tables", "03_frechet")
FRECHET, GLANN = "Fréchet distance (random-VGG16)", "GLANN, G(T(e))"
FLOOR, COPIES, GAUSSIAN = "real training images", "reconstructions G(z)", "GLO, Gaussian"  # as notebook 03 calls them
MACHINES = ("amd-epyc-2-threads", "amd-epyc-2-threads-moves")  # folders below benchmarks
NO_BREAK = "\N{NO-BREAK SPACE}"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A Markdown table, right-aligned from the column `words` on; no line breaks beside a "±"."""
    align = ["left"] * words + ["right"] * (len(heads) - words)
    table = pd.DataFrame(rows, columns=heads).to_markdown(index=False, disable_numparse=True, colalign=align)
    return table.replace(" ± ", f"{NO_BREAK}±{NO_BREAK}")


def drawn(template: str, **values: Any) -> str:
    """The Markdown table of a template, its columns made as wide as their cells."""
    shown = {"title": title, "folder": folder, "bold": bold, "rounded": rounded, "NO_BREAK": NO_BREAK}
    text = render(f"{template}.md.j2", **shown, **values)
    heads, align, *rows = _cells(text)
    return markdown(heads, rows, words=align.count(":--"))


def _cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table, line by line."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def released_models(published: Published) -> str:
    """The released models, from their cards."""
    cards = [published.record(name, released.CARD) for name in released.available(published.folder)]
    if not cards:
        raise FileNotFoundError(f"no model is released in {published.folder}")
    cards.sort(key=lambda card: (card["kind"], [*RUNS, card["data"]["name"]].index(card["data"]["name"])))
    return drawn("runs_released", cards=cards)


def made_by(published: Published, names: Sequence[str] = RUNS) -> list[str]:
    """The commands that made the runs' released models."""
    return [published.record(folder(name), released.CARD)["made_by"] for name in names]


def frechet(published: Published, names: Sequence[str] = RUNS) -> str:
    """Fréchet distances of a run's samples, floor, reconstructions and Gaussian, with what the run was.

    Raises ValueError where the model that is released of a run is another run's.
    """
    runs, wanted = [], (FLOOR, COPIES, GLANN, GAUSSIAN)
    for name in names:
        values, record = published.column(FRECHET, wanted, folder(name), *FRECHET_TABLE)
        _require_same_run(published, folder(name), record)
        runs.append((name, [values[row] for row in wanted], record))
    return drawn("runs_frechet", runs=runs)


def _require_same_run(published: Published, run: str, record: dict[str, Any]) -> None:
    if run in released.available(published.folder):
        card = published.record(run, released.CARD)
        theirs, ours = (_settings(card["settings"]), card["data"]["sha256"]), _settings(record["config"])
        if theirs != (ours, record["data"]["sha256"]):
            table = f"{run}/{'/'.join(FRECHET_TABLE)}.json"
            raise ValueError(f"{run}/{released.CARD} is of another run than {table}: publish one run of both")


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a record, which may be older than the choice of moments and than the third stage."""
    third = asdict(RefineConfig()) | config.get("refine", {})
    return config | {"imle": {"moments": "learned"} | config["imle"], "refine": third}


def moments(published: Published, names: Sequence[str] = RUNS) -> str:
    """GLANN's distance with T's codes as Eq. 5 leaves them and with the training codes' moments, on one stage 1.

    Raises ValueError where both are of one setting, or differ in more than it.
    """
    return drawn("runs_moments", runs=[(name, *_moments(published, folder(name))) for name in names])


def _moments(published: Published, run: str) -> tuple[float, dict[str, float], float]:
    """Distances of reconstructions, of GLANN by its moments, and of the Gaussian."""
    places = (run, *FRECHET_TABLE), ("moments", run)
    own, other = ("/".join(parts) + ".csv" for parts in places)
    found, configs = {}, []
    for parts in places:
        values, record = published.column(FRECHET, (COPIES, GLANN, GAUSSIAN), *parts)
        configs.append(_settings(record["config"]))
        found[configs[-1]["imle"].pop("moments")] = values[GLANN]
    if found.keys() != {"learned", "matched"}:
        raise ValueError(f"{other} is of the same setting as {own}: publish the other")
    if configs[0] != configs[1]:
        raise ValueError(f"{other} and {own} differ in more than moments: run it again")
    return values[COPIES], found, values[GAUSSIAN]


def stored(published: Published, table: str, head: str, rows: Sequence[str], names: Sequence[str]) -> str:
    """Some rows of one column of a table that several runs stored; here a column each, a row a data set."""
    found = {name: published.column(head, rows, folder(name), "tables", table)[0] for name in names}
    cells = [[TITLES[name], *(f"{values[row]:g}" for row in rows)] for name, values in found.items()]
    return markdown(["", *rows], cells)


def speed(published: Published, machines: Sequence[str] = MACHINES) -> str:
    """Every hot path beside its textbook form: median times and their ratio, bold where it was always above 1."""
    found = [row for name in machines for row in published.record("benchmarks", name, "benchmarks.json")["results"]]
    return drawn("runs_speed", rows=found, time=_time)


def quality(published: Published, *names: str) -> str:
    """What each way to train costs and gives, as `python -m benchmarks --quality` found it, in one or several goes."""
    tables = [_cells(published.record("benchmarks", name, "quality.json")["table"]) for name in names]
    return markdown(tables[0][0], [row for _, _, *rows in tables for row in rows])


def shared(published: Published, name: str) -> str:
    """What several processes keep of one's rate, as `python -m benchmarks.speed.shared` found it."""
    return drawn("runs_shared", rows=published.record("benchmarks", name, "shared.json")["rows"], time=_time)


def eyes(published: Published, name: str) -> str:
    """Distances of released models' images by two kinds of eyes, as `python -m benchmarks.quality.eyes` found them."""
    return drawn("runs_eyes", rows=published.record("benchmarks", name, "eyes.json")["rows"])


def refining(published: Published, *names: str) -> str:
    """What a third stage makes of the released models, as `python -m benchmarks.quality.refining` found it."""
    found = [published.record("benchmarks", name, "refining.json")["rows"] for name in names]
    return drawn("runs_refining", rows=[row for rows in found for row in rows])


def refined_otherwise(published: Published, name: str, model: str) -> str:
    """The same of one model by a random VGG16, before and after, in words."""
    row = next(row for row in published.record("benchmarks", name, "refining.json")["rows"] if row["model"] == model)
    return f"{rounded(row['GLANN, random-vgg16'])} before and {rounded(row['stage 3, random-vgg16'])} after"


def lists(published: Published, name: str) -> str:
    """The exact search beside faiss's inverted lists, as `python -m benchmarks.speed.scale` found it."""
    record = published.record("benchmarks", name, "scale.json")
    return drawn("runs_lists", rows=record["rows"], sizes=record["sizes"], time=_time, hours=_hours)


def needs(published: Published, name: str, counts: Sequence[int] = (60_000, 1_000_000, 100_000_000)) -> str:
    """What so many images need, calculated: bytes by the settings of `paper`, the search by `scale.json`'s query."""
    record = published.record("benchmarks", name, "scale.json")
    query, points = record["rows"][0]["query_s"], 2 * record["sizes"]["latents"]
    rows = {
        "images, 64 px, colour, uint8": lambda n: _bytes(n * 3 * 64 * 64),
        "their codes, gradients and Adam's moments": lambda n: _bytes(4 * n * 64 * 4),
        "an epoch's noises and T of them, in each process": lambda n: _bytes(2 * n * (32 + 64) * 4),
        "pairs that the exact search compares": lambda n: f"{2 * n * n:.0e}".replace("e+0", "e").replace("e+", "e"),
        "an epoch of it, on those two cores": lambda n: _hours(query * n * 2 * n / points),
        "steps of stage 1 an epoch, batches of 128": lambda n: f"{n // 128:,}",
    }
    heads = ["images", *(f"{n:,}" for n in counts)]
    return markdown(heads, [[what, *map(work, counts)] for what, work in rows.items()])


def _bytes(count: float) -> str:
    power = min(3, int(np.log10(count) // 3) - 2)
    return f"{rounded(count / 1000 ** (power + 2), 2)}{NO_BREAK}{('MB', 'GB', 'TB', 'PB')[power]}"


def _hours(seconds: float) -> str:
    units = ((365 * 86400, "years"), (86400, "days"), (3600, "h"), (60, "min"))
    size, unit = next((pair for pair in units if seconds >= 2 * pair[0]), (1, "s"))
    return f"{rounded(seconds / size, 2)}{NO_BREAK}{unit}"


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


def folder(name: str) -> str:
    """The published folder of a data set."""
    return FOLDERS.get(name, name)


def bold(text: str, chosen: bool) -> str:
    """Text, in bold where it is chosen."""
    return f"**{text}**" if chosen else text
