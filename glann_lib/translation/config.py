"""Settings of image translation by NAM (Sec. 4.5): which pair of domains, the target's generator, the mapping.

"NAM" in a comment is Hoshen and Wolf, "NAM: Non-Adversarial Unsupervised Domain Mapping" (ECCV 2018), whose method and
numbers of images, epochs and steps the paper uses. As in `config`, `make_translation_config` is the only place that
knows a profile's values.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from glann_lib.config import CARS3D, LOSSES, MOST_TESTED, PROFILES, GLOConfig, IMLEConfig, make_config, override
from glann_lib.engine.checks import require_choice, require_count, require_part, require_positive

SEARCHES = ("memory", "sphere", "noise")
UP_TO_COLOUR = "up-to-colour"
TRANSLATION_LOSSES = (UP_TO_COLOUR, *LOSSES)
HANDWRITTEN = ("digits", "street-digits", "mnist", "street-mnist")  # drawn at 28 px; all others at 32
GREY = ("digits", "mnist")


@dataclass(frozen=True)
class PairConfig:
    """Which images to translate, and into what; a field out of its range is a ValueError."""

    source: str  # a name in domains.DOMAINS, "folder:PATH", or "cars:PATH/DOMAIN"
    target: str
    image_size: int = 32  # px, height and width in both domains
    source_images: int | None = 2000  # at most this many to learn T from (NAM); None: all
    target_images: int | None = None  # likewise, for the target's generator
    test_images: int | None = None  # likewise, unseen ones to translate, and real ones to judge the judge by
    colour: bool = False  # of rendered cars; False: grey, DiscoGAN's default

    def __post_init__(self) -> None:
        require_choice(self, "image_size", (28, 32, 64))
        require_choice(self, "colour", (False, True))
        require_count(self, "source_images", "target_images", "test_images", optional=True)


@dataclass(frozen=True)
class NAMConfig:
    """How T and the latents of the source images are found; a field out of its range is a ValueError."""

    search: str = "sphere"  # z of an image: "sphere", free (NAM); "noise", T(e) of IMLE; "memory", a training latent
    loss: str = "l2"  # between T(G(z)) and the source image: a name in TRANSLATION_LOSSES
    width: int = 32  # channels of T's finest scale (NAM)
    start: str = "random"  # T before it is trained: "random" (NAM), or "identity", for domains that look alike
    epochs: int = 51  # passes over the source images (NAM)
    batch_size: int = 128  # images (NAM)
    latent_lr: float = 0.03  # Adam step of z, of length 1 (NAM); of e, sqrt(d) long, sqrt(d) times that
    mapping_lr: float = 0.0009  # Adam step of T: 0.03 of the latents' (NAM)
    beta1: float = 0.5  # Adam's first moment
    restarts: int = 4  # starts from which an unseen image is translated; the best is kept (NAM: "several")
    test_steps: int = 100  # of Adam, for an unseen image; "memory" takes the best start as it is
    test_lr: float = 0.03  # Adam's first step then
    seed: int = 0

    def __post_init__(self) -> None:
        require_choice(self, "search", SEARCHES)
        require_choice(self, "loss", TRANSLATION_LOSSES)
        require_choice(self, "start", ("random", "identity"))
        require_count(self, "width", "epochs", "restarts")
        require_count(self, "batch_size", least=2)
        require_count(self, "test_steps", least=0)
        require_positive(self, "latent_lr", "mapping_lr", "test_lr")
        require_part(self, "beta1")
        if self.search == "memory" and self.loss.rpartition("-")[2].startswith("vgg"):
            raise ValueError(
                f"the search memory compares every image with every latent, too many for the loss {self.loss}: "
                "choose l1, l2, laplacian or up-to-colour, or the search sphere or noise"
            )


@dataclass(frozen=True)
class TranslationConfig:
    """Everything that decides one translation task."""

    profile: str
    data: PairConfig
    glo: GLOConfig  # of the target's generator
    imle: IMLEConfig  # of the search "noise"
    nam: NAMConfig

    def as_dict(self) -> dict[str, Any]:
        """The settings as nested plain values, ready for JSON."""
        return dataclasses.asdict(self)


def make_translation_config(
    source: str, target: str, profile: str = "quick", seed: int = 0, **overrides: Any
) -> TranslationConfig:
    """The settings of one task under one profile, with one seed for every stage.

    The profile is "quick" (a minute or two), "full" (the same settings on all images) or "paper" (NAM's numbers, and
    GLANN's paper profile for the generator).
    An override "data_X", "glo_X", "imle_X" or "nam_X" replaces field X of that part; None leaves it as it is.
    ValueError: unknown profile or override, or a field out of its range.
    """
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}: choose one of {', '.join(PROFILES)}")
    parts = _PROFILES[profile](source, target, seed)
    return TranslationConfig(profile, **override(profile, parts, overrides))


def _paper(source: str, target: str, seed: int) -> dict[str, Any]:
    size = 28 if {source, target} <= set(HANDWRITTEN) else 64 if {source, target} <= set(CARS3D) else 32
    generator = make_config("mnist" if target in GREY else "svhn", "paper", seed, data_image_size=size)
    return {
        "data": PairConfig(source, target, size),
        "glo": generator.glo,
        "imle": generator.imle,
        "nam": NAMConfig(loss="l2" if source in GREY else "vgg16", seed=seed),
    }


def _quick(source: str, target: str, seed: int) -> dict[str, Any]:
    parts = _paper(source, target, seed)
    small = "mnist" not in source + target and "svhn" not in source + target
    cars = {source, target} <= set(CARS3D)
    learned, drawn, unseen = (None,) * 3 if cars else (750, 1000, 200) if small else (2000, 5000, 1000)
    loss = UP_TO_COLOUR if target in GREY and source not in GREY else "l2"
    # Where an image of the target domain may pass for one of the source, T learns what to change: from nothing it
    # takes all white ground for a good answer, and never sees which way a car points.
    start = "identity" if cars or loss == UP_TO_COLOUR else "random"
    epochs = 60 if cars else 16 if small else 20
    changes = {
        "data": dict(source_images=learned, target_images=drawn, test_images=unseen),
        # The Laplacian loss reconstructs as well in a third of the time, and translation needs no more than that. From
        # principal components, and with steps that grow and fall once, half of the epochs is enough.
        "glo": dict(
            loss="laplacian", normalisation="batch", optimiser="persistent", schedule="cosine", latent_init="pca",
            latent_lr=0.03, generator_lr_ratio=0.2, batch_size=64, epochs=epochs,
            feature_channels=64 if small else 128,
        ),
        "imle": dict(epochs=200),
        # Width 8 is faster than NAM's 32, and no worse on the digits; so are few and larger steps.
        "nam": dict(
            search="memory", loss=loss, start=start, width=8, epochs=15, batch_size=64, latent_lr=0.06,
            mapping_lr=0.004, restarts=2, test_steps=10, test_lr=0.08,
        ),
    }  # fmt: skip
    return {part: dataclasses.replace(settings, **changes[part]) for part, settings in parts.items()}


def _full(source: str, target: str, seed: int) -> dict[str, Any]:
    parts = _quick(source, target, seed)
    everything = dict(source_images=None, target_images=None, test_images=MOST_TESTED)
    return parts | {"data": dataclasses.replace(parts["data"], **everything)}


_PROFILES = {"quick": _quick, "full": _full, "paper": _paper}
