"""Every model of the paper's tables, in its order, trained on the same images and asked for samples in the same way."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glann_lib import sampling
from glann_lib.beyond.refining import fit_refinement
from glann_lib.config import STAGES, Config, GLOConfig, IMLEConfig, ShapeConfig, for_count
from glann_lib.glo import Embedding, fit_glo
from glann_lib.imle import Mapping, fit_imle
from glann_lib.rivals.config import (
    GAMES,
    VAE_ON_SHAPES,
    GANConfig,
    VAEConfig,
    make_gan_config,
    make_vae_config,
    protocol_steps,
)
from glann_lib.rivals.gan import fit_gan
from glann_lib.rivals.pixel_imle import fit_pixel_imle
from glann_lib.rivals.vae import fit_vae

Settings = GLOConfig | IMLEConfig | GANConfig | VAEConfig
# Generator steps of a rival under the quick profile on the data sets that need no download: minutes are short there.
SHORT_STEPS = {"digits": 23, "made-chairs": 280}
STEP_SIZES = ("lr", "latent_lr", "balance_lr")  # what they are called; G's in stage 1 is a part of the latents'


@dataclass(frozen=True)
class Contender:
    """A model of the tables."""

    key: str
    label: str  # as printed
    kind: str  # "adversarial" or "non-adversarial"


_GAMES = {"mm-gan": "MM-GAN", "ns-gan": "NS-GAN", "lsgan": "LSGAN", "wgan": "WGAN", "wgan-gp": "WGAN-GP"}
_GAMES |= {"dragan": "DRAGAN", "began": "BEGAN"}
_OTHERS = {"vae": "VAE, Bernoulli", "vae-l1": "VAE, L1", "vae-perceptual": "VAE, perceptual"}
_OTHERS |= {"imle-pixel": "IMLE on pixels", "glo-laplacian": "GLO, Laplacian", "glo": "GLO, perceptual"}
_OTHERS |= {"glann": "GLANN", "glann-refined": "GLANN, stage 3"}
CONTENDERS = {key: Contender(key, label, "adversarial") for key, label in _GAMES.items()}
CONTENDERS |= {key: Contender(key, label, "non-adversarial") for key, label in _OTHERS.items()}
LIKELIHOOD = {"vae": "bernoulli", "vae-l1": "l1", "vae-perceptual": "perceptual"}
# A VGG without "random" has the weights of ImageNet, as everywhere.
LOSS_LABELS = {"vgg16": "VGG16", "vgg19": "VGG19", "random-vgg16": "random VGG16", "laplacian": "Laplacian"}
LOSS_LABELS |= {"random-vgg16-half": "random VGG16, half", "random-vgg16-quarter": "random VGG16, quarter"}
LOSS_LABELS |= {"l1": "L1", "l2": "L2", "iou": "IoU"}
OURS = ("glo", "glann", "glann-refined")  # they share GLANN's first stage
RIVALS = tuple(key for key in CONTENDERS if key not in OURS)


@dataclass(frozen=True)
class Drawing:
    """How a model draws: noise, then an image of it. Called, it gives new images."""

    noise: Callable[[int, int], Tensor]  # (count, seed) -> [count, D]; row i does not depend on count
    render: Callable[[Tensor], Tensor]  # [count, D] -> uint8 [count, C, S, S]

    def __call__(self, count: int, seed: int) -> Tensor:
        """Images uint8 [count, C, S, S]; image i of a seed does not depend on count."""
        return self.render(self.noise(count, seed))


@dataclass(frozen=True)
class Trained:
    """A trained contender."""

    contender: Contender
    sample: Callable[[int, int], Tensor]  # a Drawing
    budget: str  # "own" (GLO and GLANN), or a name that `budgets` gives
    # generator_steps of Adam on G, batch_size, train_images, epochs (passes over the images that these steps make),
    # seconds of the whole training (the second stage included), and config, the settings.
    facts: dict[str, Any]


def contender(key: str, config: Config, loss: str | None = None) -> Contender:
    """A contender as printed; the label of GLO tells a loss that is not perceptual.

    `loss`, another than the run's own (else a ValueError), stands in key and label of OURS.
    """
    known = CONTENDERS[key]
    if loss is not None:
        if loss not in LOSS_LABELS:
            raise ValueError(f"unknown loss {loss!r}: choose one of {', '.join(LOSS_LABELS)}")
        if loss == config.glo.loss:
            raise ValueError(f"{loss} is this run's own loss, scored already: name another one")
        family = known.label.removesuffix(", perceptual")
        return Contender(f"{key}-{loss}", f"{family}, {LOSS_LABELS[loss]}", known.kind)
    plain = key == "glo" and config.glo.loss in ("l1", "l2", "laplacian", "iou")
    return dataclasses.replace(known, label=f"GLO, {LOSS_LABELS[config.glo.loss]}") if plain else known


def budgets(config: Config, images: int, steps: int | None = None) -> dict[str, int]:
    """The budgets that rivals are trained under, name -> generator steps.

    As many steps as GLANN's generator takes ("equal"); in the quick profile fewer on data sets that need no download
    ("short"), in the paper profile the protocol's epochs, too ("protocol"). `steps` replaces them all ("long" where
    that is more).
    """
    equal = glo_steps(config, images)
    if steps is not None:
        return {"equal" if steps == equal else "short" if steps < equal else "long": steps}
    if config.profile == "paper":
        return {"equal": equal, "protocol": protocol_steps(config.data.dataset, images)}
    short = SHORT_STEPS.get(config.data.dataset, equal) if config.profile == "quick" else equal
    return {"short": short} if short < equal else {"equal": equal}


def with_seed(config: Config, seed: int) -> Config:
    """The same settings with another seed in all stages."""
    stages = {name: dataclasses.replace(getattr(config, name), seed=seed) for name in STAGES}
    return dataclasses.replace(config, **stages)


def glo_steps(config: Config, images: int) -> int:
    """Generator steps of stage 1 on so many images."""
    return config.glo.epochs * (images // for_count(config.glo, images).batch_size)


def fit_glann(
    images: Tensor, config: Config, device: torch.device, folder: Path, embedding: Embedding | None = None
) -> dict[str, Trained]:
    """GLANN, GLO with the Gaussian on the same first stage, and GLANN after stage 3 where the settings have one.

    `folder` holds the stages or gets them; of stage 1 only where no `embedding`, trained by `config.glo`, is given.
    """
    embedding = embedding or fit_glo(images, config.glo, device, folder / "glo.safetensors")
    mapping = fit_imle(embedding.latents, config.imle, device, folder / "imle.safetensors")
    facts = _facts(embedding.config, glo_steps(config, len(images)), images, embedding.history)
    glo = Trained(CONTENDERS["glo"], _gaussian(embedding), "own", facts)
    facts = facts | {"seconds": facts["seconds"] + _seconds(mapping.history)}
    facts["config"] = {"glo": facts["config"], "imle": dataclasses.asdict(mapping.config)}
    glann = Trained(CONTENDERS["glann"], _mapped(embedding.generator, mapping), "own", facts)
    if not config.refine.epochs:
        return {"glo": glo, "glann": glann}
    refined = fit_refinement(images, embedding, mapping, config.refine, device, folder / "refine.safetensors")
    steps = refined.config.epochs * (len(images) // refined.config.batch_size)
    facts = facts | {"seconds": facts["seconds"] + _seconds(refined.history)}
    facts |= {"generator_steps": facts["generator_steps"] + steps, "epochs": facts["epochs"] + refined.config.epochs}
    facts["config"] = facts["config"] | {"refine": dataclasses.asdict(refined.config)}
    third = Trained(CONTENDERS["glann-refined"], _mapped(refined.generator, mapping), "own", facts)
    return {"glo": glo, "glann": glann, "glann-refined": third}


def decisive(key: str, settings: Settings, config: Config) -> dict[str, Any]:
    """All settings that decide what a rival learns: its own, and of IMLE on pixels the network, which is stage 1's."""
    pixels = {"normalisation": config.glo.normalisation, "feature_channels": config.glo.feature_channels}
    return dataclasses.asdict(settings) | (pixels if key == "imle-pixel" else {})


def rival_settings(key: str, config: Config, steps: int, images: int) -> Settings:
    """The settings of one of RIVALS (else a ValueError), with seed, loss and variant of GLANN's where they apply.

    Rivals that train by whole epochs take the number of them nearest to `steps`.
    """
    if key not in RIVALS:
        raise ValueError(f"unknown rival {key!r}: choose one of {', '.join(RIVALS)}")
    config = config.for_images(images)
    glo, seed = config.glo, config.glo.seed
    own = {"precision": glo.precision, "feature_channels": glo.feature_channels}
    if key in GAMES:
        return for_count(make_gan_config(key, steps, seed, **own), images)
    if key in LIKELIHOOD:
        own |= {"loss": glo.loss}
        if isinstance(config.data, ShapeConfig):
            own |= {"voxel_channels": glo.voxel_channels, "batch_size": glo.batch_size}
            own |= VAE_ON_SHAPES.get(config.data.dataset, {})
        return for_count(make_vae_config(LIKELIHOOD[key], steps, seed, **own), images)
    if key == "imle-pixel":
        epochs = max(1, round(steps / (images // config.imle.batch_size)))
        return dataclasses.replace(config.imle, epochs=epochs, noise_dim=glo.latent_dim, moments="learned")
    epochs = max(1, round(steps / (images // glo.batch_size)))
    return glo.shortened(epochs, loss="laplacian")


def scaled(settings: Settings, factor: float) -> Settings:
    """The same settings with every step size times `factor`, which is more than 0 (else a ValueError)."""
    if factor <= 0:
        raise ValueError(f"step sizes times {factor:g} train nothing: give a factor above 0")
    own = {name: factor * getattr(settings, name) for name in STEP_SIZES if hasattr(settings, name)}
    return dataclasses.replace(settings, **own)


def fit_rival(
    key: str,
    images: Tensor,
    config: Config,
    budget: str,
    steps: int,
    device: torch.device,
    folder: Path,
    factor: float = 1.0,
) -> Trained:
    """Train one rival on GLANN's own training images, uint8 [N, C, S, S], by `rival_settings`; errors are `fit_glo`'s.

    `budget` is the steps' name in `budgets`. Results go to `folder`; what is finished there is not trained again. The
    step sizes are multiplied by `factor`: each needs a budget's name of its own.
    """
    settings = scaled(rival_settings(key, config, steps, len(images)), factor)
    path = folder / f"{key}-{budget}-seed{config.glo.seed}.safetensors"
    if isinstance(settings, GLOConfig):
        embedding = fit_glo(images, settings, device, path)
        sample, history = _gaussian(embedding), embedding.history
    elif isinstance(settings, GANConfig):
        generator, history = fit_gan(images, settings, device, path)
        sample = _from_prior(generator, "uniform")
    elif isinstance(settings, VAEConfig):
        generator, history = fit_vae(images, settings, device, path)
        sample = _from_prior(generator, "normal")
    else:
        generator, history = fit_pixel_imle(images, settings, config.glo, device, path)
        sample = _from_prior(generator, "normal")
    if isinstance(settings, GLOConfig | IMLEConfig):  # they train by whole epochs
        steps = settings.epochs * (len(images) // settings.batch_size)
    return Trained(CONTENDERS[key], sample, budget, _facts(settings, steps, images, history))


def _from_prior(generator: nn.Module, prior: str) -> Drawing:
    return Drawing(
        lambda count, seed: sampling.draw_noise(count, generator.latent_dim, seed, prior),
        functools.partial(sampling.decode, generator),
    )


def _mapped(generator: nn.Module, mapping: Mapping) -> Drawing:
    mapper = mapping.mapper
    return Drawing(
        lambda count, seed: sampling.draw_noise(count, mapper.noise_dim, seed),
        lambda noise: sampling.decode(generator, sampling.run_blocks(mapper, noise)),
    )


def _gaussian(embedding: Embedding) -> Drawing:
    sampler = sampling.GaussianSampler(embedding.latents)
    return Drawing(sampler.sample, functools.partial(sampling.decode, embedding.generator))


def _facts(settings: Settings, steps: int, images: Tensor, history: Sequence[Any]) -> dict[str, Any]:
    return {
        "generator_steps": steps,
        "batch_size": settings.batch_size,
        "train_images": len(images),
        "epochs": steps * settings.batch_size / len(images),
        "seconds": _seconds(history),
        "config": dataclasses.asdict(settings),
    }


def _seconds(history: Sequence[Any]) -> float:
    return sum(epoch.seconds for epoch in history)
