"""Settings of every stage as frozen dataclasses, and the named profiles built from them.

Each field's comment gives its unit and where the value comes from: "paper" is Hoshen, Li and Malik (CVPR 2019),
"official" the authors' released code. `make_config` joins a data set and a profile into one `Config`; nothing else in
the library holds a default of its own. This module needs the standard library only, so that the command line can
check its arguments before anything is installed.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from glann_lib.engine.checks import require_choice, require_count, require_part, require_positive

DATASETS = ("digits", "mnist", "fashion", "cifar10", "svhn", "celeba")  # images
SHAPES = ("made-chairs", "chairs")  # voxels
CAR_FAMILIES = ("sedans", "vans", "hatchbacks")  # made by rule
DOMAINS = (*DATASETS, "street-digits", "street-mnist")  # of translation, see domains ...
DOMAINS += (*CAR_FAMILIES, *(f"negative-{family}" for family in CAR_FAMILIES))  # ... and made_cars
TRANSLATIONS = ("embedded", "mnist-street", "mnist-svhn")  # some pairs of domains each, see domains.PAIRS
PROFILES = ("quick", "paper")
LOSSES = ("vgg16", "vgg19", "random-vgg16", "random-vgg16-half", "random-vgg16-quarter", "laplacian", "l1", "l2")
FOLDER = "folder:"  # before the path of a person's own images
MESHES = "meshes:"  # before the path of a person's own meshes
CARS = "cars:"  # before the path of a person's own cars in two domains
ARRAY = "array"  # images or voxels that the caller holds in memory
LEAST_IMAGES = 2  # images or shapes to train on: T's BatchNorm, and most generators', needs two different rows
# With fewer the notebooks say what to expect, and hold no result to their claims. On 500 and 1,000 digits GLANN drew
# better than the Gaussian from 4,000 steps of stage 2 on, after 2,000 worse.
FEW_IMAGES, FEW_STEPS = 500, {"glo": 300, "imle": 4000}


@dataclass(frozen=True)
class DataConfig:
    """Which images to train on; an unknown data set and a size that no generator has are a ValueError."""

    dataset: str = "digits"  # a name in DATASETS, "folder:PATH" (a directory or a .zip), or "array" (held in memory)
    image_size: int = 28  # px, height and width: 28, 32 or 64
    train_images: int | None = None  # at most this many, drawn with a fixed seed; None: all
    test_images: int | None = None  # likewise, for the held-out images

    def __post_init__(self) -> None:
        if self.dataset not in (*DATASETS, ARRAY) and not self.dataset.startswith(FOLDER):
            raise ValueError(f"unknown data set {self.dataset!r}: choose one of {', '.join(DATASETS)}, or folder:PATH")
        if self.dataset == FOLDER:
            raise ValueError("folder: needs a path after the colon, for example folder:my_photos or folder:faces.zip")
        if self.image_size not in (28, 32, 64):
            raise ValueError(f"image_size is {self.image_size!r}: choose 28, 32 or 64 px")
        require_count(self, "train_images", "test_images", optional=True)


@dataclass(frozen=True)
class ShapeConfig:
    """Which shapes to train on, as voxels; an unknown data set and a size that no generator has are a ValueError."""

    dataset: str = "made-chairs"  # a name in SHAPES, "meshes:PATH" (a directory, a .zip or an .npz), or "array"
    size: int = 32  # voxels, each side: 32 or 64
    poses: int = 1  # turns of each model about its upright axis, 30 degrees apart, 1 to 12
    train_models: int | None = None  # at most this many, drawn with a fixed seed; None: all
    test_models: int | None = None  # likewise, for the held-out models; no model is in both

    def __post_init__(self) -> None:
        if self.dataset not in (*SHAPES, ARRAY) and not self.dataset.startswith(MESHES):
            raise ValueError(f"unknown shapes {self.dataset!r}: choose one of {', '.join(SHAPES)}, or meshes:PATH")
        if self.dataset == MESHES:
            raise ValueError("meshes: needs a path after the colon, for example meshes:my_chairs or meshes:chairs.zip")
        require_choice(self, "size", (32, 64))
        require_choice(self, "poses", tuple(range(1, 13)))
        require_count(self, "train_models", "test_models", optional=True)


@dataclass(frozen=True)
class GLOConfig:
    """Stage 1, Sec. 3.4.1, Eq. 2 and 3: embed the images, train G; a field out of its range is a ValueError."""

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
    schedule: str = "halving"  # of both steps: "halving" (paper), or "cosine": up for a twentieth, then down to 0
    latent_init: str = "noise"  # latents start from N(0, std^2) ("noise", official), or by "pca" (original GLO)
    latent_init_std: float = 0.01  # that std (official); beside the principal components, too
    seed: int = 0
    precision: str = "auto"  # while training: "auto" (by what the device can do), "float32" or "bfloat16"
    graphs: str = "auto"  # "auto": a GPU's steps are recorded and replayed; "off": they are not; same weights
    cache_mib: int = 1536  # MiB; what the loss network sees of all images is kept in memory where it takes no more
    feature_channels: int = 128  # of InfoGANGenerator's feature maps (InfoGAN); shapes have another generator
    voxel_channels: int = 512  # of the first of VoxelGenerator's layers (3D-GAN)

    def __post_init__(self) -> None:
        require_count(self, "latent_dim", "epochs", "decay_every", "feature_channels", "voxel_channels")
        require_count(self, "batch_size", least=LEAST_IMAGES)
        require_positive(self, "latent_lr", "generator_lr_ratio", "decay", "latent_init_std")
        require_part(self, "beta1")
        require_choice(self, "loss", LOSSES)
        require_choice(self, "normalisation", ("batch", "none", "lucic"))
        require_choice(self, "optimiser", ("official", "persistent"))
        require_choice(self, "schedule", ("halving", "cosine"))
        require_choice(self, "latent_init", ("noise", "pca"))
        require_choice(self, "precision", ("auto", "float32", "bfloat16"))
        require_choice(self, "graphs", ("auto", "off"))


@dataclass(frozen=True)
class IMLEConfig:
    """Stage 2, Sec. 3.4.2, Eq. 4 and 5: learn T from noise to latents; a field out of its range is a ValueError."""

    noise_dim: int = 32  # dimensions of e (official)
    hidden_dim: int = 128  # width of T's two hidden layers (paper, Sec. 4.1)
    epochs: int = 50  # passes over the latents (paper, Sec. 4.1)
    batch_size: int = 128  # latents (official)
    noise_per_latent: int = 2  # M = 2 n candidate noises an epoch (official)
    lr: float = 1.0e-3  # Adam step (paper)
    weight_decay: float = 1.0e-5  # (official)
    beta1: float = 0.5  # Adam's first moment (official)
    moments: str = "learned"  # mean and covariance of T(e): "learned" (paper), or "matched" to the codes', see moments
    seed: int = 0

    def __post_init__(self) -> None:
        require_count(self, "noise_dim", "hidden_dim", "epochs", "noise_per_latent")
        require_count(self, "batch_size", least=LEAST_IMAGES)
        require_positive(self, "lr")
        require_part(self, "beta1", "weight_decay")
        require_choice(self, "moments", ("learned", "matched"))


@dataclass(frozen=True)
class Config:
    """Everything that decides a run: the same Config and images give the same weights, on one machine with as many
    threads and in one number format, which the result records; for exceptions on GPUs see `engine.stages`."""

    profile: str
    data: DataConfig | ShapeConfig
    glo: GLOConfig
    imle: IMLEConfig
    given: tuple[str, ...] = field(default=("glo_epochs", "imle_epochs"), compare=False)  # settings to be left alone

    def for_images(self, count: int) -> Config:
        """The same for so many training images or shapes: see `for_count`.

        In the quick profile few images, which make few steps an epoch, get more epochs, where none were given.
        """
        stages = {name: for_count(getattr(self, name), count) for name in FEW_STEPS}
        for name, stage in stages.items() if self.profile == "quick" else ():
            epochs = -(-FEW_STEPS[name] // (count // stage.batch_size))
            if f"{name}_epochs" not in self.given and epochs > stage.epochs:
                stages[name] = dataclasses.replace(stage, epochs=epochs)
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
        return cls(values["profile"], data, GLOConfig(**values["glo"]), IMLEConfig(**values["imle"]))


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


def split_pair(dataset: str) -> tuple[str, str] | None:
    """Source and target of a translation's name, "digits-to-folder:my_photos"; None where it is no such name."""
    places = (found.start() for found in re.finditer("-to-", dataset))
    pairs = ((dataset[:place], dataset[place + len("-to-") :]) for place in places)
    return next((pair for pair in pairs if all(d in DOMAINS or d.startswith(FOLDER) for d in pair)), None)


def make_config(dataset: str = "digits", profile: str = "quick", seed: int = 0, **overrides: Any) -> Config:
    """The settings of one data set under one profile.

    Args:
        dataset: a name in DATASETS or SHAPES, "folder:PATH" or "meshes:PATH".
        profile: "quick" (minutes on a laptop) or "paper" (the paper's epochs and loss, all images).
        seed: seed of both stages.
        **overrides: "data_X", "glo_X" or "imle_X" replaces field X of that stage; None leaves it as it is.

    Raises:
        ValueError: unknown data set, profile or override.
    """
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}: choose one of {', '.join(PROFILES)}")
    base = _PROFILES[profile, kind_of(dataset)](dataset, overrides.get("data_image_size"))
    stages = {stage: dataclasses.replace(getattr(base, stage), seed=seed) for stage in ("glo", "imle")}
    given = tuple(name for name, value in overrides.items() if value is not None)
    return Config(profile, **override(profile, {"data": base.data, **stages}, overrides), given=given)


def override(profile: str, parts: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Settings by the names of their parts, with the override "PART_X" in place of field X; None leaves it as it is.

    Where the quick profile's steps in stage 1 are halved, they are five times, unless an override says when.
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
    if profile == "quick" and "decay_every" not in changes["glo"]:
        found["glo"] = dataclasses.replace(found["glo"], decay_every=max(1, found["glo"].epochs // 5))
    return found


def _paper(dataset: str, image_size: int | None) -> Config:
    grey = dataset in ("digits", "mnist", "fashion")
    own_size = 28 if grey else 64 if dataset == "celeba" or dataset.startswith(FOLDER) else 32
    size = image_size or own_size
    glo = GLOConfig(normalisation="batch" if grey else "none", latent_lr=0.003 if size == 64 else 0.01)
    return Config("paper", DataConfig(dataset, size), glo, IMLEConfig())


# What suits one data set in the quick profile: see "What quality costs" in results/published/benchmarks. Where texture
# tells, the directions in which codes vary least matter ("matched"); in digits and the faces they hold noise.
_CHEAPER = {"glo_loss": "random-vgg16-quarter", "glo_batch_size": 64}
_SOONER = {"glo_schedule": "cosine", "glo_latent_init": "pca", "glo_generator_lr_ratio": 0.4}
_SOONER |= {"imle_epochs": 600, "imle_batch_size": 64, "imle_lr": 2.0e-3}
_NARROW = {"glo_feature_channels": 64, "glo_latent_lr": 0.03, "imle_epochs": 300, "imle_lr": 4.0e-3}
_QUICK = {
    "digits": _CHEAPER | _SOONER | {"glo_optimiser": "persistent", "glo_epochs": 16} | _NARROW,
    "mnist": _CHEAPER | {"imle_hidden_dim": 256},
    **{dataset: {"imle_moments": "matched"} for dataset in ("fashion", "cifar10")},
    # With squares in place of L1 the codes leave empty space at once: a quarter of the epochs is enough.
    "made-chairs": _SOONER | {"glo_loss": "l2", "glo_batch_size": 16, "glo_epochs": 12, "glo_voxel_channels": 64},
}


def _quick(dataset: str, image_size: int | None) -> Config:
    paper = _paper(dataset, image_size)
    large = paper.data.image_size == 64  # a step costs eight times as much
    steps = {"epochs": 20, "batch_size": 64} if large else {"epochs": 100 if dataset == "cifar10" else 30}
    # BatchNorm and the larger step everywhere: few epochs are enough with them, faces stay blurred without.
    glo = dataclasses.replace(paper.glo, normalisation="batch", latent_lr=0.01, loss="random-vgg16", **steps)
    data = dataclasses.replace(paper.data, train_images=2000 if large else 5000, test_images=1000)
    # T learns by steps, not epochs: few images give few steps an epoch, so they need more epochs than the paper's.
    parts = {"data": data, "glo": glo, "imle": dataclasses.replace(paper.imle, epochs=400)}
    return Config("quick", **override("quick", parts, _QUICK.get(dataset, {})))


def _paper_shapes(dataset: str, _: int | None) -> Config:
    # Sec. 4.4 names the generator (3D-GAN), Adam and L1; the epochs are those of Sec. 4.1.
    return Config("paper", ShapeConfig(dataset, size=64, poses=12), GLOConfig(loss="l1"), IMLEConfig())


def _quick_shapes(dataset: str, _: int | None) -> Config:
    paper = _paper_shapes(dataset, None)
    data = ShapeConfig(dataset, train_models=500 if dataset == "made-chairs" else None, test_models=200)
    # Small steps hold empty space for a good answer until the latents have moved.
    glo = dataclasses.replace(paper.glo, latent_lr=0.03, batch_size=32, voxel_channels=128, epochs=100)
    parts = {"data": data, "glo": glo, "imle": dataclasses.replace(paper.imle, epochs=2000)}
    return Config("quick", **override("quick", parts, _QUICK.get(dataset, {})))


_PROFILES = {("quick", "images"): _quick, ("paper", "images"): _paper}
_PROFILES |= {("quick", "shapes"): _quick_shapes, ("paper", "shapes"): _paper_shapes}
