"""Settings of every stage as frozen dataclasses, and the named profiles built from them.

Each field's comment gives its unit and where the value comes from: "paper" is Hoshen, Li and Malik (CVPR 2019),
"official" the authors' released code. `make_config` joins a data set and a profile into one `Config`; nothing else in
the library holds a default of its own. This module needs the standard library only, so that the command line can
check its arguments before anything is installed.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

DATASETS = ("digits", "mnist", "fashion", "cifar10", "svhn", "celeba")
PROFILES = ("quick", "paper")
LOSSES = ("vgg16", "vgg19", "random-vgg16", "laplacian", "l1", "l2")
FOLDER = "folder:"
ARRAY = "array"  # images that the caller holds in memory


@dataclass(frozen=True)
class DataConfig:
    """Which images to train on.

    Raises:
        ValueError: unknown data set, or a size that no generator has.
    """

    dataset: str = "digits"  # a name in DATASETS, "folder:PATH" (a directory or a .zip), or "array" (held in memory)
    image_size: int = 28  # px, height and width: 28, 32 or 64
    train_images: int | None = None  # at most this many, drawn with a fixed seed; None: all
    test_images: int | None = None  # likewise, for the held-out images

    def __post_init__(self) -> None:
        if self.dataset not in (*DATASETS, ARRAY) and not self.dataset.startswith(FOLDER):
            known = ", ".join(DATASETS)
            raise ValueError(f"unknown data set {self.dataset!r}: choose one of {known}, or folder:PATH")
        if self.dataset == FOLDER:
            raise ValueError("folder: needs a path after the colon, for example folder:my_photos or folder:faces.zip")
        if self.image_size not in (28, 32, 64):
            raise ValueError(f"image_size is {self.image_size}: choose 28, 32 or 64 px")
        for name in ("train_images", "test_images"):
            if getattr(self, name) is not None:
                _require_positive(self, name, whole=True)


@dataclass(frozen=True)
class GLOConfig:
    """Stage 1, Sec. 3.4.1, Eq. 2 and 3: embed the images, train the generator.

    Raises:
        ValueError: a field out of its range.
    """

    latent_dim: int = 64  # dimensions of z (official; not stated in the paper)
    normalisation: str = "batch"  # generator variant: "batch" (official, grey), "none" (official, CIFAR-10), "lucic"
    loss: str = "vgg16"  # name in losses.LOSSES; paper: VGG perceptual loss
    optimiser: str = "official"  # "official": Adam made anew every epoch; "persistent": kept for the whole training
    epochs: int = 500  # passes over the images (paper, Sec. 4.1)
    batch_size: int = 128  # images (official)
    latent_lr: float = 0.01  # Adam step of the latents (paper; 0.003 for CelebA)
    generator_lr_ratio: float = 0.1  # generator's step as a part of the latents' (paper)
    decay: float = 0.5  # both steps are multiplied by this (paper) ...
    decay_every: int = 50  # ... every so many epochs (paper)
    beta1: float = 0.5  # Adam's first moment (official)
    latent_init_std: float = 0.01  # each latent starts from N(0, std^2) (official)
    seed: int = 0
    precision: str = "auto"  # while training: "auto" (the faster one on this machine), "float32" or "bfloat16"
    cache_mib: int = 1536  # MiB; what the loss network sees of all images is kept in memory where it takes no more

    def __post_init__(self) -> None:
        for name in ("latent_dim", "epochs", "batch_size", "decay_every"):
            _require_positive(self, name, whole=True)
        for name in ("latent_lr", "generator_lr_ratio", "decay", "latent_init_std"):
            _require_positive(self, name)
        _require_part(self, "beta1")
        _require_choice(self, "loss", LOSSES)
        _require_choice(self, "normalisation", ("batch", "none", "lucic"))
        _require_choice(self, "optimiser", ("official", "persistent"))
        _require_choice(self, "precision", ("auto", "float32", "bfloat16"))


@dataclass(frozen=True)
class IMLEConfig:
    """Stage 2, Sec. 3.4.2, Eq. 4 and 5: learn the mapping T from noise to latents.

    Raises:
        ValueError: a field out of its range.
    """

    noise_dim: int = 32  # dimensions of e (official)
    hidden_dim: int = 128  # width of T's two hidden layers (paper, Sec. 4.1)
    epochs: int = 50  # passes over the latents (paper, Sec. 4.1)
    batch_size: int = 128  # latents (official)
    noise_per_latent: int = 2  # M = 2 n candidate noises an epoch (official)
    lr: float = 1.0e-3  # Adam step (paper)
    weight_decay: float = 1.0e-5  # (official)
    beta1: float = 0.5  # Adam's first moment (official)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("noise_dim", "hidden_dim", "epochs", "batch_size", "noise_per_latent"):
            _require_positive(self, name, whole=True)
        _require_positive(self, "lr")
        _require_part(self, "beta1")
        _require_part(self, "weight_decay")


@dataclass(frozen=True)
class Config:
    """Everything that decides a run: the same Config and images give the same weights, on one machine and in one
    number format ("auto" chooses it by timing; the result records which)."""

    profile: str
    data: DataConfig
    glo: GLOConfig
    imle: IMLEConfig

    def require_images(self, count: int) -> None:
        """Refuse a training set that is smaller than a batch of either stage, before anything is trained.

        Raises:
            ValueError: says which settings to lower.
        """
        if count < max(self.glo.batch_size, self.imle.batch_size):
            raise ValueError(
                f"{count} training images are fewer than a batch ({self.glo.batch_size} in stage 1, "
                f"{self.imle.batch_size} in stage 2): add images, or lower glo_batch_size and imle_batch_size"
            )

    def as_dict(self) -> dict[str, Any]:
        """The settings as nested plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """The inverse of `as_dict`."""
        return cls(
            values["profile"],
            DataConfig(**values["data"]),
            GLOConfig(**values["glo"]),
            IMLEConfig(**values["imle"]),
        )


def make_config(dataset: str = "digits", profile: str = "quick", seed: int = 0, **overrides: Any) -> Config:
    """The settings of one data set under one profile.

    Args:
        dataset: a name in DATASETS, or "folder:PATH".
        profile: "quick" (minutes on a laptop) or "paper" (the paper's epochs and loss, all images).
        seed: seed of both stages.
        **overrides: "data_X", "glo_X" or "imle_X" replaces field X of that stage; None leaves it as it is.

    Raises:
        ValueError: unknown data set, profile or override.
    """
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}: choose one of {', '.join(PROFILES)}")
    base = (_quick if profile == "quick" else _paper)(dataset, overrides.get("data_image_size"))
    stages = {"data": base.data, "glo": base.glo, "imle": base.imle}
    for stage in ("glo", "imle"):
        stages[stage] = dataclasses.replace(stages[stage], seed=seed)
    for name, value in overrides.items():
        stage, _, field = name.partition("_")
        if stage not in stages or field not in {f.name for f in dataclasses.fields(stages[stage])}:
            raise ValueError(f"unknown setting {name!r}: name a field as data_X, glo_X or imle_X")
        if value is not None:
            stages[stage] = dataclasses.replace(stages[stage], **{field: value})
    if profile == "quick" and overrides.get("glo_decay_every") is None:
        stages["glo"] = dataclasses.replace(stages["glo"], decay_every=max(1, stages["glo"].epochs // 5))
    return Config(profile, **stages)


def _paper(dataset: str, image_size: int | None) -> Config:
    grey = dataset in ("digits", "mnist", "fashion")
    own_size = 28 if grey else 64 if dataset == "celeba" or dataset.startswith(FOLDER) else 32
    size = image_size or own_size
    return Config(
        "paper",
        DataConfig(dataset, size),
        GLOConfig(normalisation="batch" if grey else "none", latent_lr=0.003 if size == 64 else 0.01),
        IMLEConfig(),
    )


def _quick(dataset: str, image_size: int | None) -> Config:
    paper = _paper(dataset, image_size)
    small, large = dataset == "digits", paper.data.image_size == 64
    # BatchNorm and the larger step everywhere: few epochs are enough with them, faces stay blurred without.
    glo = dataclasses.replace(paper.glo, normalisation="batch", latent_lr=0.01, loss="random-vgg16")
    glo = dataclasses.replace(glo, epochs=32 if small else 20 if large else 30)
    return Config(
        "quick",
        # At 64 px a step costs eight times as much: fewer images, and smaller batches for as many steps.
        dataclasses.replace(paper.data, train_images=2000 if large else 5000, test_images=1000),
        dataclasses.replace(glo, batch_size=64) if large else glo,
        # T learns by steps, not epochs: few images give few steps an epoch, so they need more epochs than the paper's.
        dataclasses.replace(paper.imle, epochs=600 if small else 400),
    )


def _require_positive(config: Any, name: str, whole: bool = False) -> None:
    value = getattr(config, name)
    if not isinstance(value, int if whole else (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"{name} is {value!r}: give a {'whole ' * whole}number above 0")


def _require_part(config: Any, name: str) -> None:
    value = getattr(config, name)
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{name} is {value!r}: give a number from 0 to below 1")


def _require_choice(config: Any, name: str, choices: tuple[str, ...]) -> None:
    value = getattr(config, name)
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(choices)}")
