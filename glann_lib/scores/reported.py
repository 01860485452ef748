"""The paper's numbers, from reported.csv: quoted, never measured here.

Those of the adversarial models and the VAE are by Lucic et al. (2018): mean and standard deviation over 50 seeds of the
best of 100 settings. What the spread of GLO and GLANN in Table 1 stands for is not said. The VAE's loss there, which
the paper calls L1, is a Bernoulli likelihood in Lucic et al.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from glann_lib.rivals.config import GAMES, PROTOCOL_EPOCHS
from glann_lib.rivals.contenders import CONTENDERS

DATASETS = ("mnist", "fashion", "cifar10", "celeba")
GLO_EPOCHS = 500  # stage 1 of GLANN, every data set (Sec. 4.1)
IMLE_EPOCHS = 50  # stage 2 of GLANN, every data set (Sec. 4.1)


@dataclass(frozen=True)
class Reported:
    """One number of the paper."""

    dataset: str  # a name in DATASETS, or "source->target" for a translation
    model: str  # a key of LABELS
    metric: str  # "fid", lower is better; "f8" (recall), "f1_8" (precision), 0 to 1; "accuracy", %; "azimuth-error"
    value: float
    spread: float | None  # what the paper writes behind the ±; None: nothing
    place: str  # table or sentence

    def text(self, decimals: int = 1) -> str:
        """The number as the paper writes it, "8.6 ± 0.1"."""
        spread = f" ± {self.spread:.{decimals}f}" if self.spread else ""
        return f"{self.value:.{decimals}f}{spread}"


def _numbers() -> tuple[Reported, ...]:
    _head, *lines = Path(__file__).with_suffix(".csv").read_text(encoding="utf-8").splitlines()
    return tuple(
        Reported(dataset, model, metric, float(value), float(spread) if spread else None, place)
        for dataset, model, metric, value, spread, place in csv.reader(lines)
    )


NUMBERS = _numbers()
LABELS = {key: shown.label for key, shown in CONTENDERS.items() if key in {number.model for number in NUMBERS}}
LABELS |= {"glann-places365": "GLANN, Places365"}
ADVERSARIAL = tuple(model for model in LABELS if model in GAMES)
_BY_KEY = {(number.dataset, number.model, number.metric): number for number in NUMBERS}


def reported(dataset: str, model: str, metric: str) -> Reported | None:
    """The paper's number of a model on a data set; None where the paper has none."""
    return _BY_KEY.get((dataset, model, metric))


def reported_epochs(dataset: str, model: str) -> int | None:
    """The epochs of G behind the paper's numbers; None where not said.

    The comparison is uneven, and the paper does not say so: 500 for GLO and GLANN, 20 to 100 for the rivals.
    """
    if dataset not in DATASETS or model == "vae-perceptual":
        return None
    if model in ("glo", "glann", "glann-places365"):
        return GLO_EPOCHS
    return PROTOCOL_EPOCHS[dataset] if model in LABELS else None
