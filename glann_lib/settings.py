"""The settings of data and stages, as frozen dataclasses that refuse what they cannot be.

Each field's comment gives its unit and where the value comes from: "paper" is Hoshen, Li and Malik (CVPR 2019),
"official" the authors' released code. `config` joins them into one `Config`. This module needs the standard library
only, so that the command line can check its arguments before anything is installed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from glann_lib.engine.checks import require_choice, require_count, require_part, require_positive

# Images of at most 64 px, as they are published.
SMALL = ("digits", "mnist", "fashion", "cifar10", "svhn", "svhn-crops", "celeba")
LARGE = ("made-landscapes", "celeba-hq")  # images of 128 px and more
DATASETS = (*SMALL, *LARGE)
SIZES = (28, 32, 64, 128, 256, 512, 1024)  # px, height and width
MANY_PIXELS = 128  # px, from which on images are large: another generator, another loss, other settings
SHAPES = ("made-chairs", "chairs")  # voxels
CAR_FAMILIES = ("sedans", "vans", "hatchbacks")  # made by rule
CARS3D = ("cars3d-first", "cars3d-second")  # rendered, see translation.cars3d
DOMAINS = (*SMALL, "street-digits", "street-mnist", *CARS3D)  # of translation, see domains ...
DOMAINS += (*CAR_FAMILIES, *(f"negative-{family}" for family in CAR_FAMILIES))  # ... and made_cars
# Some pairs of domains each, see domains.PAIRS.
TRANSLATIONS = ("embedded", "mnist-street", "mnist-svhn", "mnist-svhn-crops", "car-to-car")
PROFILES = ("quick", "full", "paper")
LOSSES = ("vgg16", "vgg19", "random-vgg16", "random-vgg16-half", "random-vgg16-quarter", "laplacian", "l1", "l2")
LOSSES += ("iou",)  # of shapes
FOLDER, MESHES, CARS = "folder:", "meshes:", "cars:"  # before the path of a person's own images, meshes, two domains
ARRAY = "array"  # images or voxels that the caller holds in memory
LEAST_IMAGES = 2  # images or shapes to train on: T's BatchNorm, and most generators', needs two different rows
PRECISIONS = ("auto", "float32", "bfloat16")  # of numbers in training


@dataclass(frozen=True)
class DataConfig:
    """Which images to train on; an unknown data set and a size that no generator has are a ValueError."""

    dataset: str = "digits"  # a name in DATASETS, "folder:PATH" (a directory or a .zip), or "array" (held in memory)
    image_size: int = 28  # px, height and width, one of SIZES
    train_images: int | None = None  # at most this many, drawn with a fixed seed; None: all
    test_images: int | None = None  # likewise, for the held-out images
    enlarge: bool = False  # a person's own images that are smaller are enlarged; else they are refused
    held_out: str = "test"  # or "validation": of the training split, none trained on; to choose settings by

    def __post_init__(self) -> None:
        if self.dataset not in (*DATASETS, ARRAY) and not self.dataset.startswith(FOLDER):
            raise ValueError(f"unknown data set {self.dataset!r}: choose one of {', '.join(DATASETS)}, or folder:PATH")
        if self.dataset == FOLDER:
            raise ValueError("folder: needs a path after the colon, for example folder:my_photos or folder:faces.zip")
        if self.image_size not in SIZES:
            known = f"{', '.join(map(str, SIZES[:-1]))} or {SIZES[-1]} px"
            raise ValueError(f"image_size is {self.image_size!r}: choose {known}")
        require_choice(self, "enlarge", (False, True))
        require_choice(self, "held_out", ("test", "validation"))
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
    generator: str = "infogan"  # of images: this (paper, Sec. 4.1), up to 64 px, or "resnet" (Sec. 4.3), from 64 px on
    feature_channels: int = 128  # of InfoGANGenerator's feature maps (InfoGAN)
    resnet_channels: int = 64  # of ResNetGenerator's at the full size (paper); doubled at every halving, at most 512
    resnet_start: int = 4  # px a side that its linear layer gives, a power of two (paper: 4)
    loss_copies: int | None = None  # smaller copies of an image that the loss sees, too; None: as many as its size asks
    coarse_epochs: int = 0  # the first, in which the loss sees images at half their side: shorter steps for large ones
    subsampling: str = "bilinear"  # that makes them: "bilinear" (paper) or "average" of 4 x 4 px (official)
    checkpointing: bool = False  # activations are computed again on the way back: less memory, a third more time
    voxel_channels: int = 512  # of the first of VoxelGenerator's layers (3D-GAN)

    def __post_init__(self) -> None:
        require_count(self, "latent_dim", "epochs", "decay_every", "resnet_start")
        require_count(self, "feature_channels", "resnet_channels", "voxel_channels")
        require_count(self, "loss_copies", optional=True, least=0)
        require_count(self, "coarse_epochs", least=0)
        if self.coarse_epochs >= self.epochs:
            raise ValueError(f"coarse_epochs is {self.coarse_epochs}: give fewer than all {self.epochs} epochs")
        require_count(self, "batch_size", least=LEAST_IMAGES)
        require_positive(self, "latent_lr", "generator_lr_ratio", "decay", "latent_init_std")
        require_part(self, "beta1")
        require_choice(self, "loss", LOSSES)
        require_choice(self, "normalisation", ("batch", "none", "lucic"))
        require_choice(self, "optimiser", ("official", "persistent"))
        require_choice(self, "schedule", ("halving", "cosine"))
        require_choice(self, "latent_init", ("noise", "pca"))
        require_choice(self, "precision", PRECISIONS)
        require_choice(self, "graphs", ("auto", "off"))
        require_choice(self, "generator", ("infogan", "resnet"))
        require_choice(self, "subsampling", ("bilinear", "average"))
        require_choice(self, "checkpointing", (False, True))

    def decisive(self) -> dict[str, Any]:
        """The fields that decide the weights: all but those of speed and memory."""
        changing_nothing = "graphs", "cache_mib", "checkpointing"
        return {name: value for name, value in asdict(self).items() if name not in changing_nothing}

    def shortened(self, epochs: int, **changes: Any) -> GLOConfig:
        """The same for a shorter training: no coarse epochs, as many halvings; `changes` replace other fields."""
        every = max(1, round(self.decay_every * epochs / self.epochs))
        return replace(self, epochs=epochs, coarse_epochs=0, decay_every=every, **changes)


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
class RefineConfig:
    """Stage 3 (ours, see beyond.refining): train G on where T maps to; a field out of its range is a ValueError."""

    epochs: int = 0  # passes over the images; 0: there is no third stage, as in the paper
    batch_size: int = 64  # images, and as many new ones
    lr: float = 5.0e-4  # Adam's first step, which falls to 0 by half a cosine
    weight: float = 10.0  # of the energy distance beside the loss of stage 1
    beta1: float = 0.5  # Adam's first moment, as in stage 1
    loss: str | None = None  # whose eyes compare images, a name in LOSSES; None: stage 1's
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss is not None:
            require_choice(self, "loss", LOSSES)
        require_count(self, "epochs", least=0)
        require_count(self, "batch_size", least=LEAST_IMAGES)
        require_positive(self, "lr", "weight")
        require_part(self, "beta1")
