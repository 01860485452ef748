"""What quality costs: GLANN trained in many ways on the same images, the seconds of each and how good its images are.

The first way is the released recipe, by which the quick profile trains images of 32 px; digits, MNIST, Fashion-MNIST
and images of 64 px have another of these ways. Scores are Frechet distances to the training images, by features that no
loss here uses; and the mean error of the reconstructions.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torchvision.utils import save_image

from glann_lib import features, glo, losses, sampling
from glann_lib.companion import timing
from glann_lib.config import Config, make_config
from glann_lib.data import load_images
from glann_lib.data.record import ImageData
from glann_lib.engine import progress, training
from glann_lib.engine.targets import TargetsByRow
from glann_lib.imle import fit_imle
from glann_lib.scores import imagenet
from glann_lib.scores.features import RANDOM_SEED, make_score_extractor
from glann_lib.scores.metrics import frechet_distance

SAMPLES, JUDGED = 2000, 5000  # new images, and training images at most, that are scored
SHOWN = 32  # new images in the picture of a way
RELEASED: dict[str, Any] = {
    "glo_loss": "random-vgg16",
    "glo_optimiser": "official",
    "glo_schedule": "halving",
    "glo_latent_init": "noise",
    "glo_batch_size": 128,
    "glo_latent_lr": 0.01,
    "glo_generator_lr_ratio": 0.1,
    "glo_feature_channels": 128,
    "imle_hidden_dim": 128,
    "imle_batch_size": 128,
    "imle_lr": 1.0e-3,
}
RELEASED_EPOCHS = {"digits": 32, "cifar10": 100, "celeba": 20}  # of the quick profile by that recipe; 30 elsewhere
CHEAPER = RELEASED | {  # half the epochs
    "glo_loss": "random-vgg16-quarter",
    "glo_optimiser": "persistent",
    "glo_schedule": "cosine",
    "glo_latent_init": "pca",
    "glo_batch_size": 64,
    "glo_generator_lr_ratio": 0.4,
    "imle_batch_size": 64,
    "imle_lr": 2.0e-3,
}
NARROWER = CHEAPER | {  # half of G's width, half of T's epochs; on the digits it is the quick profile
    "glo_feature_channels": 64,
    "glo_latent_lr": 0.03,
    "imle_epochs": 300,
    "imle_lr": 4.0e-3,
}
RESNET = CHEAPER | {  # as in the quick profile for large images, but for codes of 100 numbers and a start of 16 px
    "glo_generator": "resnet",
    "glo_resnet_channels": 16,
    "glo_resnet_start": 16,
    "glo_batch_size": 16,
    "glo_generator_lr_ratio": 0.6,
}

LESS: dict[str, dict[str, Any]] = {  # in the released recipe
    "half of VGG16's channels": {"glo_loss": "random-vgg16-half"},
    "a quarter of VGG16's channels": {"glo_loss": "random-vgg16-quarter"},
    "a quarter in batches of 64": {"glo_loss": "random-vgg16-quarter", "glo_batch_size": 64},
    "a quarter in batches of 64, T 256 wide": {
        "glo_loss": "random-vgg16-quarter",
        "glo_batch_size": 64,
        "imle_hidden_dim": 256,
    },
}
COSINE = {"glo_schedule": "cosine", "glo_optimiser": "persistent"}
SOONER = COSINE | {"glo_latent_init": "pca", "glo_generator_lr_ratio": 0.4}  # as the cheaper recipe starts and steps
ONE_CHANGE: dict[str, dict[str, Any]] = {  # in the released recipe by VGG19
    "the generator twice as wide": {"glo_feature_channels": 256},
    "codes of 128 numbers": {"glo_latent_dim": 128},
    "no BatchNorm": {"glo_normalisation": "none"},
    "no BatchNorm, codes of 128 numbers": {"glo_normalisation": "none", "glo_latent_dim": 128},
    "no BatchNorm, the generator twice as wide": {"glo_normalisation": "none", "glo_feature_channels": 256},
    "no BatchNorm, a cosine, Adam kept, G faster": COSINE
    | {"glo_normalisation": "none", "glo_generator_lr_ratio": 0.4},
    "no BatchNorm, components, a cosine, Adam kept, G faster": SOONER | {"glo_normalisation": "none"},
    "latents from principal components": {"glo_latent_init": "pca"},
    "components, codes of 128 numbers": {"glo_latent_init": "pca", "glo_latent_dim": 128},
    "steps along a cosine, Adam kept": COSINE,
    "components, a cosine, Adam kept": COSINE | {"glo_latent_init": "pca"},
    "T 512 wide": {"imle_hidden_dim": 512},
}
ON_FACES: dict[str, dict[str, Any]] = {
    "latents from principal components": {"glo_latent_init": "pca"},
    "sooner": SOONER,
    "sooner, no BatchNorm": SOONER | {"glo_normalisation": "none"},
}


@dataclass(frozen=True)
class Way:
    """One way to train: what `make_config` is told, all else as in the quick profile."""

    name: str
    settings: dict[str, Any]
    stage: Callable[..., glo.GLO] = glo.GLO


class Redrawn(glo.GLO):
    """Stage 1 by a loss network whose random weights are others in every epoch."""

    def run_epoch(self, epoch: int) -> glo.GLOEpoch:
        """An epoch with weights of its own; what they see of the images is kept for so long."""
        network = features.make_extractor(self.config.loss, self.images.shape[-1], self.dtype, seed=1000 + epoch)
        self.loss = losses.ReconstructionLoss(losses.PerceptualRepresentation([network])).to(self.device)
        self.targets = TargetsByRow(self.loss.targets_of, self.images, self.device, self.config.cache_mib)
        self.graphs = "off"  # a recorded step would keep the network that it was recorded with
        return super().run_epoch(epoch)


def ways(dataset: str) -> list[Way]:
    """The released recipe and what it gives with less; a cheaper one, and with one thing changed; a narrower one.

    Where the loss of quality was looked for, the released recipe by VGG19 and with one thing changed, too.
    """
    epochs = RELEASED_EPOCHS.get(dataset, 30)
    second: dict[str, Any] = {"imle_epochs": 600 if dataset == "digits" else 400}
    second |= {"imle_moments": "learned"} if dataset == "celeba" else {}  # as when faces were measured first
    released = RELEASED | second | {"glo_epochs": epochs, "glo_decay_every": epochs // 5}
    cheaper = CHEAPER | second | {"glo_epochs": epochs // 2}
    return [
        Way("released recipe", released),
        *_changed("released", released, LESS),
        Way("cheaper recipe", cheaper),
        *_changed("cheaper", cheaper, _changes(epochs)),
        Way("cheaper, new random weights in every epoch", cheaper, Redrawn),
        Way("narrower recipe", second | NARROWER | {"glo_epochs": epochs // 2}),
        *(_on_faces(released, cheaper) if dataset == "celeba" else ()),
        *(_by_photographs(released, dataset) if dataset in ("mnist", "fashion", "cifar10") else ()),
    ]


def _changed(name: str, recipe: dict[str, Any], changes: dict[str, dict[str, Any]]) -> list[Way]:
    return [Way(f"{name}, {change}", recipe | own) for change, own in changes.items()]


def _changes(epochs: int) -> dict[str, dict[str, Any]]:
    """What may be changed in the cheaper recipe; `epochs` are the released one's."""
    return {
        "half its epochs": {"glo_epochs": epochs // 4},
        "twice its epochs": {"glo_epochs": epochs},
        "half of VGG16's channels": {"glo_loss": "random-vgg16-half"},
        "all of VGG16's channels": {"glo_loss": "random-vgg16"},
        "latents from noise": {"glo_latent_init": "noise"},
        "Adam made anew in every epoch": {"glo_optimiser": "official"},
        "steps halved five times": {"glo_schedule": "halving", "glo_decay_every": max(1, epochs // 10)},
        "latents' step three times as large": {"glo_latent_lr": 0.03, "glo_generator_lr_ratio": 0.4 / 3},
        "both steps three times as large": {"glo_latent_lr": 0.03},
        "generator's step a quarter": {"glo_generator_lr_ratio": 0.1},
        "T in batches of 128, by half the step": {"imle_batch_size": 128, "imle_lr": 1.0e-3},
        "batches of 128": {"glo_batch_size": 128},
        "batches of 32": {"glo_batch_size": 32},
    }


def _on_faces(released: dict[str, Any], cheaper: dict[str, Any]) -> list[Way]:
    in_64 = released | {"glo_batch_size": 64}
    by_epochs = {name: value for name, value in released.items() if name != "glo_decay_every"}  # --epochs decides it
    by_vgg19 = by_epochs | {"glo_batch_size": 32, "glo_loss": "vgg19", "imle_moments": "matched"}
    resnet = RESNET | {name: cheaper[name] for name in ("imle_epochs", "imle_moments", "glo_epochs")}
    same = {name: cheaper[name] for name in ("glo_batch_size", "glo_generator_lr_ratio")}
    return [
        Way("cheaper, half of the generator's width", cheaper | {"glo_feature_channels": 64}),
        Way("ResNet generator", resnet),
        Way("ResNet generator, batches and steps of the cheaper recipe", resnet | same),
        Way("cheaper recipe by VGG19", cheaper | {"glo_loss": "vgg19"}),
        Way("ResNet generator by VGG19", resnet | {"glo_loss": "vgg19"}),
        Way("released in batches of 64", in_64),
        *_changed("released in batches of 64", in_64, ON_FACES),
        Way("released in batches of 64, sooner, moments matched", in_64 | SOONER | {"imle_moments": "matched"}),
        Way("by VGG19 in batches of 32", by_vgg19),
        *_changed("by VGG19 in batches of 32", by_vgg19, ON_FACES),
    ]


def _by_photographs(released: dict[str, Any], dataset: str) -> list[Way]:
    """Where the loss of quality lies: in G, the codes or T."""
    by_vgg19 = released | {"glo_loss": "vgg19"}
    # MNIST's recipe learns the codes' moments anyway.
    learned = {"the codes' moments learned": {"imle_moments": "learned"}} if dataset != "mnist" else {}
    return [
        Way("released, no BatchNorm", released | {"glo_normalisation": "none"}),
        Way("released, latents from principal components", released | {"glo_latent_init": "pca"}),
        Way("released by VGG19", by_vgg19),
        *_changed("released by VGG19", by_vgg19, ONE_CHANGE | learned),
    ]


@dataclass(frozen=True)
class Judge:
    """Training images as several networks see them."""

    images: Tensor  # uint8 [N, C, S, S]
    extractors: dict[str, Callable[[Tensor], Tensor]]  # to features [N, D]
    wanted: dict[str, Tensor]  # features of the first JUDGED `images`, [N, D]

    @classmethod
    def of(cls, images: Tensor) -> Judge:
        """By a random VGG16, and by VGG19 and EfficientNet-Lite0 with ImageNet's weights where they are at hand."""
        size = images.shape[-1]
        networks = {"random VGG16": features.make_extractor("random-vgg16", size, seed=RANDOM_SEED)}
        if not features.missing_weights("vgg19"):
            networks["VGG19"] = features.make_extractor("vgg19", size)
        found = {name: functools.partial(features.pooled_features, own) for name, own in networks.items()}
        if imagenet.find_weights():
            data = ImageData(images)
            found["EfficientNet"] = make_score_extractor("imagenet", data, data).features_on_device
        judged = images[:JUDGED]
        return cls(images, found, {name: own(judged) for name, own in found.items()})

    def distances(self, images: Tensor, what: str) -> dict[str, float]:
        """Frechet distances of images to the training images, by "<what>, <extractor>"."""
        return {
            f"{what}, {name}": frechet_distance(extractor(images), self.wanted[name])
            for name, extractor in self.extractors.items()
        }


def measure(way: Way, config: Config, judge: Judge, device: torch.device, folder: Path | None = None) -> dict[str, Any]:
    """Train GLANN in one way, both stages, and score it; seconds are those of stage 1, its loss network's included.

    The first SHOWN samples are drawn into `folder`, as "<way>-<seed>.jpg".
    """
    stage = way.stage(judge.images, config.glo, device)
    began = time.monotonic()
    list(progress.epochs(training.train(stage), stage.epochs, way.name))
    seconds = time.monotonic() - began
    generator, latents = stage.generator.eval(), stage.latents.detach()
    mapping = fit_imle(latents, config.imle, device)
    drawn = sampling.decode(generator, latents)
    new = sampling.sample(generator, mapping.mapper, SAMPLES, config.glo.seed)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{way.name}-{config.glo.seed}.jpg".replace(" ", "-").replace(",", "").replace("'", "")
        save_image(losses.unit(new[:SHOWN]), folder / name, nrow=SHOWN // 2, padding=1, pad_value=1.0)
    error = (losses.unit(drawn) - losses.unit(judge.images)).abs().mean().item()
    return {
        "steps": stage.epochs * (len(latents) // stage.config.batch_size),
        "batch": stage.config.batch_size,
        "seconds": seconds,
        "error": error,
        **judge.distances(drawn[:JUDGED], "reconstructions"),
        **judge.distances(new, "samples"),
    }


def in_minutes(config: Config, images: Tensor, minutes: float, device: torch.device) -> Config:
    """The settings with as many epochs of stage 1 as fit into so many minutes, by steps timed now."""
    one = dataclasses.replace(config.glo, epochs=1)
    seconds = timing.training_seconds(one, tuple(images.shape[1:]), len(images), device)
    epochs = max(1, round(60 * minutes / seconds))
    return dataclasses.replace(config, glo=dataclasses.replace(one, epochs=epochs, decay_every=max(1, epochs // 5)))


def measure_all(
    dataset: str,
    names: Iterable[str] | None,
    seeds: int,
    device: torch.device,
    minutes: float | None = None,
    folder: Path | None = None,
    **less: Any,
) -> Iterator[dict[str, Any]]:
    """A row for each way and seed, as soon as it is there; `less` overrides settings of the profile.

    `names` are those of some ways (else a ValueError); None: all. With `minutes` stage 1 takes about as long in each;
    with `folder` a picture of each one's samples lies there.
    """
    known = {way.name: way for way in ways(dataset)}
    if unknown := [name for name in names or () if name not in known]:
        raise ValueError(f"unknown way {unknown[0]!r}: choose from {', '.join(known)}")
    judge = Judge.of(load_images(make_config(dataset, **less).data, "train").images)
    for way in [known[name] for name in names or known]:
        for seed in range(seeds):
            config = make_config(dataset, "quick", seed, **way.settings | less).for_images(len(judge.images))
            config = in_minutes(config, judge.images, minutes, device) if minutes else config
            settings = way.settings | less | {"glo_epochs": config.glo.epochs}
            yield {"way": way.name, "seed": seed, "settings": settings} | measure(way, config, judge, device, folder)


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """One line a way: means over its seeds, with their standard deviation where there are several."""
    lines = []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        numbers = {key: [row[key] for row in own] for key, value in own[0].items() if isinstance(value, float)}
        steps = f"{own[0]['steps']} of {own[0]['batch']}"
        lines.append({"way": way, "seeds": len(own), "steps": steps} | {k: _mean(v) for k, v in numbers.items()})
    return pd.DataFrame(lines)


def _mean(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3g}{spread}"
