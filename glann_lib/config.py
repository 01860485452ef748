"""The named profiles: `make_config` joins a data set and a profile into one `Config`.

The fields, with their units and sources, are those of `settings`, which this module hands on; nothing else in the
library holds a default of its own. The standard library is enough, so that the command line can check its arguments
before anything is installed.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from glann_lib.engine.checks import require_read
from glann_lib.settings import (
    ARRAY,
    CAR_FAMILIES,
    CARS,
    CARS3D,
    DATASETS,
    DOMAINS,
    FOLDER,
    LARGE,
    LEAST_IMAGES,
    LOSSES,
    MANY_PIXELS,
    MESHES,
    PROFILES,
    SHAPES,
    SIZES,
    SMALL,
    TRANSLATIONS,
    DataConfig,
    GLOConfig,
    IMLEConfig,
    RefineConfig,
    ShapeConfig,
)

__all__ = [
    "ARRAY", "CARS", "CARS3D", "CAR_FAMILIES", "DATASETS", "DOMAINS", "FOLDER", "LARGE", "LOSSES",
    "MANY_PIXELS", "MESHES", "MOST_TESTED", "PROFILES", "SHAPES", "SIZES", "SMALL", "TRANSLATIONS", "Config",
    "DataConfig", "GLOConfig", "IMLEConfig", "RefineConfig", "ShapeConfig", "for_count", "is_large",
    "kind_of", "make_config", "override", "split_pair",
]  # fmt: skip

STAGES = ("glo", "imle", "refine")
HALVINGS = 5  # of the steps of stage 1, but in the paper profile
# Elsewhere a third stage by random weights only pleases those: see "A third stage" in results/published/README.md.
REFINED_BY_ALL = ("digits", "mnist")
# Which generator reads a setting of stage 1 that others do not.
READERS = {"feature_channels": "infogan", "resnet_channels": "resnet", "resnet_start": "resnet"}
READERS |= {"checkpointing": "resnet", "voxel_channels": "voxel"}
MOST_TESTED = 10_000  # held-out images in the full profile, as many as MNIST and CIFAR-10 have
# With fewer the notebooks say what to expect, and hold no result to their claims. On 500 and 1,000 digits GLANN drew
# better than the Gaussian from 4,000 steps of stage 2 on, after 2,000 worse.
FEW_IMAGES, FEW_STEPS = 500, {"glo": 300, "imle": 4000}


@dataclass(frozen=True)
class Config:
    """Everything that decides a run: the same Config and images give the same weights, on one machine with as many
    threads and in one number format, which the result records; for exceptions on GPUs see `engine.stages`."""

    profile: str
    data: DataConfig | ShapeConfig
    glo: GLOConfig
    imle: IMLEConfig
    refine: RefineConfig = field(default_factory=RefineConfig)
    given: tuple[str, ...] = field(default=("glo_epochs", "imle_epochs"), compare=False)  # settings to be left alone

    def for_images(self, count: int) -> Config:
        """The same for so many training images or shapes: see `for_count`.

        But in the paper profile, few images, which make few steps an epoch, get more epochs, where none were given.
        """
        stages = {name: for_count(getattr(self, name), count) for name in FEW_STEPS}
        for name, stage in stages.items() if self.profile != "paper" else ():
            epochs = -(-FEW_STEPS[name] // (count // stage.batch_size))
            if f"{name}_epochs" not in self.given and epochs > stage.epochs:
                follows = name == "glo" and "glo_decay_every" not in self.given
                own = {"decay_every": max(1, epochs // HALVINGS)} if follows else {}
                stages[name] = dataclasses.replace(stage, epochs=epochs, **own)
        return dataclasses.replace(self, **stages)

    def remark(self, count: int) -> str:
        """What so few images and steps can be expected to give, in a line; "" where there are enough of both."""
        settings, remarks = self.for_images(count), []
        if count < FEW_IMAGES:
            by_heart = "too few to learn what they share: at best they are learned by heart"
            remarks.append(f"{count} training {kind_of(self.data.dataset)} are {by_heart}, new ones copies or blends")
        for name, least in FEW_STEPS.items():
            stage = getattr(settings, name)
            each = count // stage.batch_size
            if each * stage.epochs < least:
                what = "reconstructions" if name == "glo" else "new ones"
                told = f"{each * stage.epochs:,} steps of {name} are too few for good {what}"
                remarks.append(f"{told} ({name}_epochs={-(-least // each)} makes {least:,})")
        return "; ".join(remarks)

    def as_dict(self) -> dict[str, Any]:
        """The settings as nested plain values, ready for JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "given"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """The inverse of `as_dict`."""
        data = (ShapeConfig if "poses" in values["data"] else DataConfig)(**values["data"])
        refine = RefineConfig(**values.get("refine", {}))  # models of before had no third stage
        return cls(values["profile"], data, GLOConfig(**values["glo"]), IMLEConfig(**values["imle"]), refine)


def for_count(settings: Any, count: int) -> Any:
    """A stage's settings for so many images, shapes or latents: as they are, but with no batch larger than that.

    Every stage trains by these, whatever its kind. Fewer than `LEAST_IMAGES` are a ValueError.
    """
    if count < LEAST_IMAGES:
        raise ValueError(f"{count} to train on: give {LEAST_IMAGES} or more, better some hundreds")
    return settings if count >= settings.batch_size else dataclasses.replace(settings, batch_size=count)


def kind_of(dataset: str) -> str:
    """What a data set's name stands for: "images", "shapes" or "translations" (pairs of image domains)."""
    if dataset in TRANSLATIONS or dataset.startswith(CARS) or split_pair(dataset):
        return "translations"
    return "shapes" if dataset in SHAPES or dataset.startswith(MESHES) else "images"


def is_large(dataset: str, image_size: int | None = None) -> bool:
    """Whether images of this data set and size, None being its own, are large: see MANY_PIXELS."""
    return dataset in LARGE if image_size is None else isinstance(image_size, int) and image_size >= MANY_PIXELS


def split_pair(dataset: str) -> tuple[str, str] | None:
    """Source and target of a translation's name, "digits-to-folder:my_photos"; None where it is no such name."""
    places = (found.start() for found in re.finditer("-to-", dataset))
    pairs = ((dataset[:place], dataset[place + len("-to-") :]) for place in places)
    return next((pair for pair in pairs if all(d in DOMAINS or d.startswith(FOLDER) for d in pair)), None)


def make_config(dataset: str = "digits", profile: str = "quick", seed: int = 0, **overrides: Any) -> Config:
    """The settings of one data set under one profile.

    Args:
        dataset: a name in DATASETS or SHAPES, "folder:PATH" or "meshes:PATH".
        profile: "quick" (minutes on a laptop), "full" (hours: all images, otherwise much as quick), or "paper" (days
            without a GPU: the paper's epochs and loss, all images).
        seed: seed of both stages.
        **overrides: "data_X", "glo_X", "imle_X" or "refine_X" replaces field X of that stage; None leaves it as it is.

    Raises:
        ValueError: unknown data set, profile or override, or one that this generator does not read.
    """
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}: choose one of {', '.join(PROFILES)}")
    base = _PROFILES[profile, kind_of(dataset)](dataset, overrides.get("data_image_size"))
    stages = {stage: dataclasses.replace(getattr(base, stage), seed=seed) for stage in STAGES}
    given = tuple(name for name, value in overrides.items() if value is not None)
    found = override(profile, {"data": base.data, **stages}, overrides)
    generator = "voxel" if kind_of(dataset) == "shapes" else found["glo"].generator
    require_read(found["glo"], base.glo, "glo_", READERS, generator)
    loss = found["refine"].loss or found["glo"].loss
    if "refine_epochs" not in given and loss != "vgg19" and dataset not in REFINED_BY_ALL:
        found["refine"] = dataclasses.replace(found["refine"], epochs=0)
    return Config(profile, **found, given=given)


def override(profile: str, parts: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Settings by the names of their parts, with the override "PART_X" in place of field X; None leaves it as it is.

    Where steps in stage 1 are halved, they are HALVINGS times but in the paper profile, unless an override says when.
    ValueError: an override that names no field.
    """
    changes: dict[str, dict[str, Any]] = {part: {} for part in parts}
    for name, value in overrides.items():
        part, _, field = name.partition("_")
        if part not in parts or field not in {f.name for f in dataclasses.fields(parts[part])}:
            known = " or ".join(", ".join(f"{part}_X" for part in parts).rsplit(", ", 1))
            raise ValueError(f"unknown setting {name!r}: name a field as {known}")
        if value is not None:
            changes[part][field] = value
    found = {part: dataclasses.replace(settings, **changes[part]) for part, settings in parts.items()}
    if profile != "paper" and "decay_every" not in changes["glo"]:
        found["glo"] = dataclasses.replace(found["glo"], decay_every=max(1, found["glo"].epochs // HALVINGS))
    return found


def _paper(dataset: str, image_size: int | None) -> Config:
    if is_large(dataset, image_size):
        return _paper_large(dataset, image_size)
    grey = dataset in ("digits", "mnist", "fashion")
    size = image_size or (28 if grey else 64 if dataset == "celeba" or dataset.startswith(FOLDER) else 32)
    glo = GLOConfig(normalisation="batch" if grey else "none", latent_lr=0.003 if size == 64 else 0.01)
    return Config("paper", DataConfig(dataset, size), glo, IMLEConfig())


def _paper_large(dataset: str, image_size: int | None) -> Config:
    size = image_size or (256 if dataset == "celeba-hq" else 128)
    glo = GLOConfig(latent_dim=256, normalisation="none", generator="resnet", latent_lr=0.003, generator_lr_ratio=1 / 3)
    # Sec. 4.3; 16 maps at 1024 px are Mescheder et al.'s. The paper does not say how large its batches are.
    glo = dataclasses.replace(glo, epochs=250, decay_every=10, batch_size=16, resnet_channels=min(64, 2**14 // size))
    return Config("paper", DataConfig(dataset, size), glo, IMLEConfig(noise_dim=100, lr=0.003))


# What suits one data set in the quick profile: see "What quality costs" in results/published/benchmarks. Where texture
# tells, the directions in which codes vary least matter ("matched").
_CHEAPER = {"glo_loss": "random-vgg16-quarter", "glo_batch_size": 64}
_STEPS = {"glo_schedule": "cosine", "glo_latent_init": "pca", "glo_generator_lr_ratio": 0.4}
_SOONER = _STEPS | {"imle_epochs": 600, "imle_batch_size": 64, "imle_lr": 2.0e-3}
_AT_64 = _STEPS | {"glo_optimiser": "persistent", "glo_epochs": 20, "glo_batch_size": 64, "imle_moments": "matched"}
_NARROW = {"glo_feature_channels": 64, "glo_latent_lr": 0.03, "imle_epochs": 300, "imle_lr": 4.0e-3}
# BatchNorm, codes of 64 numbers, and a linear layer that gives 32 px: few epochs are enough with them.
_LARGE = {"glo_loss": "random-vgg16-quarter", "glo_optimiser": "persistent", "glo_normalisation": "batch"}
_LARGE |= {"glo_latent_dim": 64, "glo_latent_lr": 0.01, "glo_resnet_channels": 16, "glo_generator_lr_ratio": 0.6}
_LARGE |= {"glo_epochs": 40, "imle_noise_dim": 32}
_QUICK = {
    "digits": _CHEAPER | _SOONER | {"glo_optimiser": "persistent", "glo_epochs": 16} | _NARROW,
    "mnist": _CHEAPER | {"imle_hidden_dim": 256},
    "fashion": {"imle_moments": "matched", "glo_latent_init": "pca"},
    "cifar10": {"imle_moments": "matched", "glo_epochs": 100},
    "made-landscapes": {"data_train_images": 240, "data_test_images": 60, "glo_resnet_channels": 8}
    | {"glo_batch_size": 6, "glo_epochs": 8},
    # With squares in place of L1 the codes leave empty space at once: a quarter of the epochs is enough.
    "made-chairs": _SOONER | {"glo_loss": "l2", "glo_batch_size": 16, "glo_epochs": 12, "glo_voxel_channels": 64},
}


def _quick(dataset: str, image_size: int | None) -> Config:
    if is_large(dataset, image_size):
        return _quick_large(dataset, image_size)
    paper = _paper(dataset, image_size)
    at_64 = paper.data.image_size == 64  # a step costs eight times as much
    # BatchNorm and the larger step everywhere: few epochs are enough with them, faces stay blurred without.
    glo = dataclasses.replace(paper.glo, normalisation="batch", latent_lr=0.01, loss="random-vgg16", epochs=30)
    data = dataclasses.replace(paper.data, train_images=2000 if at_64 else 5000, test_images=1000)
    # T learns by steps, not epochs: few images give few steps an epoch, so they need more epochs than the paper's.
    imle = dataclasses.replace(paper.imle, epochs=400)
    parts = {"data": data, "glo": glo, "imle": imle, "refine": RefineConfig(epochs=4)}
    return Config("quick", **override("quick", parts, (_AT_64 if at_64 else {}) | _QUICK.get(dataset, {})))


def _quick_large(dataset: str, image_size: int | None) -> Config:
    paper = _paper_large(dataset, image_size or MANY_PIXELS)
    data = dataclasses.replace(paper.data, train_images=1000, test_images=200)
    glo = dataclasses.replace(paper.glo, resnet_start=32)
    parts = {"data": data, "glo": glo, "imle": paper.imle}
    return Config("quick", **override("quick", parts, _SOONER | _LARGE | _QUICK.get(dataset, {})))


def _paper_shapes(dataset: str, _: int | None) -> Config:
    # Sec. 4.4 names the generator (3D-GAN), Adam and L1; the epochs are those of Sec. 4.1.
    return Config("paper", ShapeConfig(dataset, size=64, poses=12), GLOConfig(loss="l1"), IMLEConfig())


def _quick_shapes(dataset: str, _: int | None) -> Config:
    paper = _paper_shapes(dataset, None)
    data = ShapeConfig(dataset, train_models=500 if dataset == "made-chairs" else None, test_models=200)
    # By L1 small steps hold empty space for a good answer until the latents have moved, and thin legs count for little.
    glo = dataclasses.replace(paper.glo, loss="iou", latent_lr=0.03, batch_size=32, voxel_channels=128, epochs=100)
    parts = {"data": data, "glo": glo, "imle": dataclasses.replace(paper.imle, epochs=2000)}
    return Config("quick", **override("quick", parts, _QUICK.get(dataset, {})))


# With all images, for about two hours on two cores by estimate, by the loss of VGG19 too. An epoch of them has so many
# steps that T and the third stage need fewer.
_MANY = {"imle_epochs": 100, "refine_epochs": 2}
_FULL = {
    "mnist": {"glo_epochs": 100, "glo_batch_size": 128} | _MANY,
    "fashion": {"glo_epochs": 80} | _MANY,
    "cifar10": {"glo_epochs": 60} | _MANY,
    "svhn": {"glo_epochs": 40} | _MANY,
    "celeba": {"data_train_images": 9000, "glo_epochs": 50},
}


def _full(dataset: str, image_size: int | None) -> Config:
    kind = kind_of(dataset)
    quick = _PROFILES["quick", kind](dataset, image_size)
    shapes, images = {"train_models": None, "test_models": None}, {"train_images": None, "test_images": MOST_TESTED}
    parts = {name: getattr(quick, name) for name in ("data", *STAGES)}
    parts["data"] = dataclasses.replace(quick.data, **(shapes if kind == "shapes" else images))
    return Config("full", **override("full", parts, _FULL.get(dataset, {"glo_epochs": 3 * quick.glo.epochs})))


_PROFILES = {("quick", "images"): _quick, ("full", "images"): _full, ("paper", "images"): _paper}
_PROFILES |= {("quick", "shapes"): _quick_shapes, ("full", "shapes"): _full, ("paper", "shapes"): _paper_shapes}
