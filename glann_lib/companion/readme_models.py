"""The README's tables of single models: those that are released, and the runs that made them."""

from __future__ import annotations

from typing import Any

from glann_lib.companion.execution import duration
from glann_lib.companion.readme_sources import FOLDERS, PLACE, TITLES, Published, markdown, table
from glann_lib.files import released
from glann_lib.scores.rows import DASH

DRAWS = {  # by the name of the data, in the order of the table
    "digits": "handwritten digits",
    "mnist": "MNIST's digits",
    "fashion": "Fashion-MNIST's clothes",
    "cifar10": "CIFAR-10's animals and vehicles",
    "celeba": "faces of CelebA",
    "made-chairs": "chairs made by rule",
    "chairs": "ModelNet's chairs",
}
MAIN_SCORE = {"images": "frechet", "shapes": "matching_chamfer"}
RUNS = ("digits", "mnist", "fashion", "cifar10", "celeba")
TABLE, FRECHET = "tables/03_frechet", "Fréchet distance (random-VGG16)"
GLANN = "GLANN, G(T(e))"
SETS = {  # as notebook 03 calls them, and the README
    "real training images": "real training images (floor)",
    "reconstructions G(z)": "reconstructions *G(z)*",
    GLANN: "**GLANN**, *G(T(e))*",
    "GLO, Gaussian": "GLO with a Gaussian",
}
MOMENTS, LEARNED, MATCHED = "moments", "learned", "matched"  # the folder, and the two values of IMLEConfig.moments
FIRST_FIVE = {"00", "01", "02", "03", "04"}
TOOK, MADE_BY = "notebooks 00 to 04 took", "made by"


def released_models(published: Published) -> str:
    """The released models, from their cards.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a card is damaged or has no provenance.
    """
    cards = [published.record(name, released.CARD) for name in released.available(published.folder)]
    if not cards:
        raise FileNotFoundError("no model is released")
    cards.sort(key=lambda card: [*DRAWS, card["data"]["name"]].index(card["data"]["name"]))  # unknown ones last
    score = "Fréchet distance as trained / as released (real images)"
    return markdown(
        ["`Glann.load(...)`", "draws", "trained on", score, "file"], [_card_row(card) for card in cards], words=2
    )


def _card_row(card: dict[str, Any]) -> list[str]:
    data, metric, side = card["data"]["name"], MAIN_SCORE[card["kind"]], card["image_shape"][-1]
    scores = {row["of"]: row["value"] for row in card["scores"] if row["metric"] == metric}
    return [
        f"`{card['name']}`",
        f"{DRAWS.get(data, data)}, {side} {'px' if card['kind'] == 'images' else 'voxels a side'}",
        f"{card['training_images']:,}",
        f"{scores['float32']:.4f} / {scores['released']:.4f} ({card['real'][metric]:.4f})",
        f"[{card['bytes'] / 2**20:.1f} MiB]({PLACE}/{card['name']}/{released.PAGE})",
    ]


def frechet(published: Published) -> str:
    """Fréchet distances of a run's samples, floor, reconstructions and Gaussian, with what the run was.

    Raises:
        FileNotFoundError: no run's table is published.
        ValueError: a record has no provenance, or a released model is of another run than the table beside it.
    """
    folders = {TITLES[name]: FOLDERS.get(name, name) for name in RUNS}
    there = {title: run for title, run in folders.items() if (published.folder / run / f"{TABLE}.csv").is_file()}
    columns = {title: _run(published, run) for title, run in there.items()}
    return table({row: SETS.get(row, row) for cells in columns.values() for row in cells}, columns)


def moments(published: Published) -> str:
    """GLANN's distance with T's codes as Eq. 5 leaves them and with the training codes' moments, on one stage 1.

    Raises:
        FileNotFoundError: no comparison is published.
        ValueError: a record has no provenance, both are of one setting, or they differ in more than it.
    """
    columns = {}
    for name in RUNS:
        run = FOLDERS.get(name, name)
        if (published.folder / MOMENTS / f"{run}.csv").is_file():
            cells, settings = {}, []
            for place in ((run, TABLE), (MOMENTS, run)):
                config = _settings(published.record(place[0], f"{place[1]}.json")["config"])
                values = published.column(FRECHET, place[0], f"{place[1]}.csv")
                cells[config["imle"]["moments"]] = f"{values[GLANN]:.4f}"
                cells |= {other: f"{values[other]:.4f}" for other in SETS if other != GLANN}
                settings.append(config | {"imle": config["imle"] | {"moments": None}})
            if not cells.keys() >= {LEARNED, MATCHED}:
                raise ValueError(f"{MOMENTS}/{run}.csv is of the same setting as {run}/{TABLE}.csv: publish the other")
            if settings[0] != settings[1]:
                raise ValueError(f"{MOMENTS}/{run}.csv and {run}/{TABLE}.csv differ in more than moments: run it again")
            columns[TITLES[name]] = cells
    names = SETS | {LEARNED: "GLANN, *T* as learned", MATCHED: "GLANN, *T* with the codes' moments"}
    order = ("reconstructions G(z)", LEARNED, MATCHED, "GLO, Gaussian")
    return table({row: names[row] for row in order}, columns)


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a record, which may be older than the choice of moments."""
    return config | {"imle": {"moments": LEARNED} | config["imle"]}


def _run(published: Published, run: str) -> dict[str, str]:
    """The cells of a column."""
    record, values = published.record(run, f"{TABLE}.json"), published.column(FRECHET, run, f"{TABLE}.csv")
    if missing := SETS.keys() - values.keys():
        raise ValueError(f"{run}/{TABLE}.csv has no row {min(missing)!r}: run notebook 03 again and publish it")
    cells = {name: f"{values[name]:.4f}" for name in SETS}
    cells |= {
        GLANN: f"**{cells[GLANN]}**",
        "training images": f"{record['data']['count']:,}",
        "epochs of stage 1": str(record["config"]["glo"]["epochs"]),
        "loss of stage 1": record["config"]["glo"]["loss"],
        "epochs of stage 2": f"{record['config']['imle']['epochs']:,}",
        TOOK: DASH,
        MADE_BY: DASH,
        "stored in": f"[{run}]({PLACE}/{run})",
    }
    if run in released.available(published.folder):
        card = published.record(run, released.CARD)
        theirs, ours = _settings(card["settings"]), _settings(record["config"])
        if (theirs, card["data"]["sha256"]) != (ours, record["data"]["sha256"]):
            raise ValueError(
                f"{run}/{released.CARD} is of another run than {run}/{TABLE}.json: publish one run of both"
            )
        cells[MADE_BY] = f"`{card['made_by']}`"
    times = {copy.book.number: copy.whole for copy in published.notebooks(run)}
    if times.keys() >= FIRST_FIVE:
        cells[TOOK] = duration(sum(times[number] for number in FIRST_FIVE))
    return cells
