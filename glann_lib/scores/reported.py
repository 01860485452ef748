"""Every number of the paper that this project compares with, in one place, each with where it stands.

Quoted, never measured here: GLANN is Hoshen, Li and Malik (CVPR 2019); its numbers for the adversarial models and for
the VAE are those of Lucic et al., "Are GANs Created Equal?" (2018), who write mean and standard deviation over 50 seeds
of the best of 100 settings. What the spread of GLO and GLANN in Table 1 stands for is not said.
"""

from __future__ import annotations

from dataclasses import dataclass

from glann_lib.rivals.config import PROTOCOL_EPOCHS

DATASETS = ("mnist", "fashion", "cifar10", "celeba")
LABELS = {  # in the order of Table 1
    "mm-gan": "MM-GAN",
    "ns-gan": "NS-GAN",
    "lsgan": "LSGAN",
    "wgan": "WGAN",
    "began": "BEGAN",
    "vae": "VAE, Bernoulli",
    "vae-perceptual": "VAE, perceptual",
    "glo": "GLO, perceptual",
    "glann": "GLANN",
    "glann-places365": "GLANN, Places365",
}
ADVERSARIAL = ("mm-gan", "ns-gan", "lsgan", "wgan", "began")

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


_LUCIC = "Table 1, taken from Lucic et al."
_TABLE_1 = {  # FID and its spread, in the order of DATASETS
    "mm-gan": (_LUCIC, (9.8, 0.9), (29.6, 1.6), (72.7, 3.6), (65.6, 4.2)),
    "ns-gan": (_LUCIC, (6.8, 0.5), (26.5, 1.6), (58.5, 1.9), (55.0, 3.3)),
    "lsgan": (_LUCIC, (7.8, 0.6), (30.7, 2.2), (87.1, 47.5), (53.9, 2.8)),
    "wgan": (_LUCIC, (6.7, 0.4), (21.5, 1.6), (55.2, 2.3), (41.3, 2.0)),
    "began": (_LUCIC, (13.1, 1.0), (22.9, 0.9), (71.4, 1.6), (38.9, 0.9)),
    # The paper calls this VAE's loss L1; in Lucic et al. it is a Bernoulli likelihood.
    "vae": (_LUCIC, (23.8, 0.6), (58.7, 1.2), (155.7, 11.6), (85.7, 3.8)),
    "glo": ("Table 1", (49.6, 0.3), (57.7, 0.4), (65.4, 0.2), (52.4, 0.5)),
    "glann": ("Table 1, column Ours", (8.6, 0.1), (13.0, 0.1), (46.5, 0.2), (46.3, 0.1)),
}
_FID_IN_TEXT = {
    "vae-perceptual": ("Sec. 4.1, further VAE experiments with GLANN's loss", 23.7, 41.2, 86.0, 60.8),
    "glann-places365": ("Sec. 4.1, loss of a VGG network trained on Places365", 9.5, 13.5, 56.7, 34.8),
}
_PRD = {  # (F8, F1/8) = (recall, precision), in the order of DATASETS
    "glann": ((0.971, 0.979), (0.985, 0.963), (0.860, 0.825), (0.574, 0.681)),
    "glo": ((0.845, 0.616), (0.888, 0.594), (0.693, 0.680), (0.509, 0.404)),
}


def _all_numbers() -> tuple[Reported, ...]:
    found = []
    for model, (place, *cells) in _TABLE_1.items():
        found += [Reported(d, model, "fid", *cell, place) for d, cell in zip(DATASETS, cells, strict=True)]
    for model, (place, *values) in _FID_IN_TEXT.items():
        found += [Reported(d, model, "fid", value, None, place) for d, value in zip(DATASETS, values, strict=True)]
    for model, pairs in _PRD.items():
        for dataset, (recall, precision) in zip(DATASETS, pairs, strict=True):
            found.append(Reported(dataset, model, "f8", recall, None, "Sec. 4.2"))
            found.append(Reported(dataset, model, "f1_8", precision, None, "Sec. 4.2"))
    return (
        *found,
        Reported("mnist->svhn", "glann", "accuracy", 31.3, None, "Sec. 4.5"),
        Reported("svhn->mnist", "glann", "accuracy", 25.0, None, "Sec. 4.5"),
        Reported("car->car", "glann", "azimuth-error", 1.45, None, "Sec. 4.5"),
    )


NUMBERS = _all_numbers()
_BY_KEY = {(number.dataset, number.model, number.metric): number for number in NUMBERS}


def reported(dataset: str, model: str, metric: str) -> Reported | None:
    """The paper's number of a model on a data set; None where the paper has none."""
    return _BY_KEY.get((dataset, model, metric))


def reported_epochs(dataset: str, model: str) -> int | None:
    """For how many epochs the generator was trained for the paper's numbers; None where nothing is said.

    The comparison is uneven, and the paper does not say so: 500 epochs for GLO and GLANN, 20 to 100 for the rivals.
    """
    if dataset not in DATASETS or model == "vae-perceptual":
        return None
    if model in ("glo", "glann", "glann-places365"):
        return GLO_EPOCHS
    return PROTOCOL_EPOCHS[dataset] if model in LABELS else None
