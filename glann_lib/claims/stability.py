"""Stable training, by one setting: how far scores move with the seed and with larger and smaller steps.

The paper holds GANs to be hard to train, and GLANN's two plain losses not (Sec. 1). Here every model is trained with
several seeds and with all its step sizes times a factor, under the same number of generator steps. A training whose
numbers stop being finite is a result, "diverged", not an error.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glann_lib.config import Config, for_count
from glann_lib.rivals import contenders as rivals
from glann_lib.rivals.contenders import Contender, Trained
from glann_lib.scores.comparison import Contest
from glann_lib.scores.rows import Row, group, place


def or_diverged(fit: Callable[[], Trained], shown: Contender, budget: str, images: Tensor) -> Trained:
    """What `fit` trains; where that is not finite, one black image [1, C, S, S], and why among its facts ("diverged").

    `shown`, `budget` and `images` are those of the model that is trained. One image is never scored.
    """
    try:
        return fit()
    except FloatingPointError as error:
        black = torch.zeros_like(images[:1])
        return Trained(shown, lambda count, seed: black, budget, {"diverged": str(error)})


def of_steps(config: Config, steps: int, images: int) -> Config:
    """The settings with as many epochs of stage 1 as come nearest to so many steps of G, on so many images.

    Steps fall through as many halvings, stage 2 has its part of its epochs, and there is no third stage.
    """
    glo = for_count(config.glo, images)
    epochs = max(1, round(steps / (images // glo.batch_size)))
    imle = dataclasses.replace(config.imle, epochs=max(1, round(config.imle.epochs * epochs / glo.epochs)))
    refine = dataclasses.replace(config.refine, epochs=0)
    return dataclasses.replace(config, glo=glo.shortened(epochs), imle=imle, refine=refine)


def score_stability(
    contest: Contest, keys: Sequence[str], factors: Sequence[float], seeds: Sequence[int], steps: int
) -> list[dict[str, Any]]:
    """Train and score GLANN and rivals with all step sizes times each factor, through the contest's book; the records.

    A record's budget names its factor, and "factor" is it. One that diverged has "diverged", a line, and no score.

    Args:
        contest: with GLANN's settings; what is trained goes below its folder, to "stability".
        keys: in RIVALS.
        factors: more than 0.
        seeds: of all stages; each is also that of the samples.
        steps: of the generator, for GLANN and rivals, to the nearest whole epoch of stage 1.

    Raises:
        ValueError: unknown rival or factor out of its range, before any training.
    """
    count = len(contest.images)
    config = of_steps(contest.config, steps, count)
    steps = rivals.glo_steps(config, count)
    plan = []  # made whole first, so that a wrong name costs no training
    for factor in factors:
        for seed in seeds:
            own = rivals.with_seed(config, seed)
            plan += [_planned(contest, key, own, factor, steps) for key in ("glann", *keys)]
    return [contest.score(*planned) for planned in plan]


def fit_each(contest: Contest, keys: Sequence[str], steps: int) -> dict[str, Trained]:
    """GLANN and rivals by their own step sizes and the contest's seed, label -> what `score_stability` trained, too."""
    config = of_steps(contest.config, steps, len(contest.images))
    steps = rivals.glo_steps(config, len(contest.images))
    planned = [_planned(contest, key, config, 1.0, steps) for key in ("glann", *keys)]
    return {shown.label: fit() for shown, *_, fit in planned}


def _planned(
    contest: Contest, key: str, config: Config, factor: float, steps: int
) -> tuple[Contender, int, str, dict[str, Any], Callable[[], Trained]]:
    """What `Contest` wants to know of one model."""
    images, device, folder = contest.images, contest.device, contest.folder / "stability"
    budget, seed = f"x{factor:.3g}", config.glo.seed
    if key == "glann":
        config = with_steps(config, factor)
        settings = {"glo": dataclasses.asdict(config.glo), "imle": dataclasses.asdict(config.imle)}
        fit = functools.partial(_fit_glann, images, config, budget, device, folder)
    else:
        settings = dataclasses.asdict(rivals.scaled(rivals.rival_settings(key, config, steps, len(images)), factor))
        fit = functools.partial(rivals.fit_rival, key, images, config, budget, steps, device, folder, factor)
    shown = rivals.contender(key, config)

    def marked() -> Trained:
        trained = or_diverged(fit, shown, budget, images)
        return dataclasses.replace(trained, facts=trained.facts | {"factor": factor})

    return shown, seed, budget, settings, marked


def with_steps(config: Config, factor: float) -> Config:
    """The settings with the step sizes of stages 1 and 2 times a factor, more than 0 (else a ValueError)."""
    return dataclasses.replace(config, glo=rivals.scaled(config.glo, factor), imle=rivals.scaled(config.imle, factor))


def _fit_glann(images: Tensor, config: Config, budget: str, device: torch.device, folder: Path) -> Trained:
    return rivals.fit_glann(images, config, device, folder / f"glann-{budget}-seed{config.glo.seed}")["glann"]


def spread(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a model and factor for a table, in the paper's order, of stored records; those without factor are left out.

    Rows are {model, factor, mean, standard deviation, worst, diverged}. They are of the main score, a Frechet distance,
    over the seeds that did not diverge: mean, standard deviation (ddof=1), largest; None where there is no number.
    "diverged" counts the other seeds.
    """
    rows = group(record for record in records if "factor" in record)
    return [_row(row) for row in sorted(rows, key=lambda row: (place(row)[:3], row.records[0]["factor"]))]


def _row(row: Row) -> dict[str, Any]:
    values = [record["scores"][0]["value"] for record in row.records if "diverged" not in record]
    return {
        "model": row.label,
        "factor": row.records[0]["factor"],
        "mean": float(np.mean(values)) if values else None,
        "standard deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "worst": max(values, default=None),
        "diverged": len(row.records) - len(values),
    }
