"""Hidden choices priced: GLANN trained with one choice changed, all else as in the run's settings.

The paper leaves much unsaid that code must decide: how Adam is kept, where the loss taps its VGG, how many numbers a
code has. Each such choice costs or gains something; its price is the Frechet distance that it adds.
What settings can say is a change of settings. The rest is another way to make stage 1: see `Choice.stage`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from glann_lib.beyond.self_supervised import SelfSupervisedConfig, fit_self_supervised, self_supervised_loss
from glann_lib.claims.stability import or_diverged
from glann_lib.config import Config, GLOConfig
from glann_lib.engine import devices, training
from glann_lib.features import EXTRACTORS, VGGFeatures, missing_weights
from glann_lib.glo import GLO, Embedding
from glann_lib.losses import loss_of
from glann_lib.rivals import contenders as rivals
from glann_lib.rivals.contenders import Contender, Trained
from glann_lib.scores.comparison import Contest

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # RGB, 0 to 1 (torchvision's weights)
StageMaker = Callable[[Tensor, GLOConfig, torch.device], GLO]


@dataclass(frozen=True)
class Choice:
    """One way to decide what the paper leaves open."""

    key: str
    group: str  # what is decided; of each group the run has one choice
    label: str  # as printed
    changes: Mapping[str, Any] = field(default_factory=dict)  # "glo_X" or "imle_X" in place of field X of that stage
    stage: StageMaker = GLO  # of images, settings and device; makes stage 1 where settings cannot say how


class AlwaysOnSphere(GLO):
    """Stage 1 whose latents are put back on the sphere after every step; all of them, as momentum moves all."""

    def step(self, batch: Tensor, images: Tensor) -> Tensor:
        """As GLO's."""
        loss = super().step(batch, images)
        with torch.no_grad():
            self.latents /= self.latents.norm(dim=1, keepdim=True)
        return loss


def with_norms_gradient(images: Tensor, config: GLOConfig, device: torch.device) -> GLO:
    """Stage 1 whose gradient goes through the division by the latent's norm, too: it is tangent to the sphere."""
    stage = GLO(images, config, device)
    # G divides once more, by a norm that is 1 then.
    stage.generator.register_forward_pre_hook(lambda _, given: (normalize(given[0]),))
    return stage


def with_features(
    images: Tensor, config: GLOConfig, device: torch.device, change: Callable[[VGGFeatures, torch.dtype], VGGFeatures]
) -> GLO:
    """Stage 1 whose perceptual loss sees by a changed VGG; a loss that has none is a ValueError."""
    if config.loss not in EXTRACTORS:
        raise ValueError(f"the loss {config.loss} sees by no VGG: choose one of {', '.join(EXTRACTORS)}")
    dtype, loss = devices.resolve_precision(config.precision, device), loss_of(config, images.shape[-1])
    seen = (change(extractor, dtype) for extractor in loss.represent.extractors)
    loss.represent.extractors = nn.ModuleList(seen)
    return GLO(images, config, device, loss=loss)


def with_own_features(images: Tensor, config: GLOConfig, device: torch.device) -> GLO:
    """Stage 1 whose perceptual loss sees by a VGG that learned from these images alone, without labels (Sec. 5)."""
    network = fit_self_supervised(images, SelfSupervisedConfig(seed=config.seed, precision=config.precision), device)
    return GLO(images, config, device, loss=self_supervised_loss(network))


def moved_taps(extractor: VGGFeatures, dtype: torch.dtype, after: bool) -> VGGFeatures:
    """The same features of the same convolutions, all taken after their ReLU, or all before it.

    A tap after a pooling stays. `extractor` is in float32 and is taken apart; `dtype` is the result's number format.
    """
    layers, taps = _layers_and_taps(extractor)
    layers.append(nn.ReLU())  # of the deepest convolution: the extractor may have been cut before it
    # Before the ReLU lies its convolution, one layer less deep.
    firsts = [tap - 1 if isinstance(layers[tap], nn.ReLU) else tap for tap in taps]
    moved = [tap + after if isinstance(layers[tap], nn.Conv2d) else tap for tap in firsts]
    return VGGFeatures(nn.Sequential(*layers), tuple(moved), tuple(extractor.mean.flatten().tolist()), dtype)


def imagenet_input(extractor: VGGFeatures, dtype: torch.dtype) -> VGGFeatures:
    """The same network on (x - mean) / standard deviation of ImageNet's photographs; arguments as of `moved_taps`."""
    layers, taps = _layers_and_taps(extractor)
    # VGGFeatures divides 255 x - mean by 127.5; what is missing goes into the kernel.
    layers[0].weight *= 0.5 / torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    return VGGFeatures(nn.Sequential(*layers), tuple(taps), tuple(255 * mean for mean in IMAGENET_MEAN), dtype)


def _layers_and_taps(extractor: VGGFeatures) -> tuple[list[nn.Module], list[int]]:
    ends = itertools.accumulate(len(stage) for stage in extractor.stages)
    return [layer for stage in extractor.stages for layer in stage], [end - 1 for end in ends]


def _of(group: str, setting: str, labels: Mapping[Any, str]) -> list[Choice]:
    name = setting.partition("_")[2].replace("_", "-")
    return [Choice(f"{name}-{value}", group, label, {setting: value}) for value, label in labels.items()]


def _features(change: Callable[..., VGGFeatures], **own: Any) -> StageMaker:
    return functools.partial(with_features, change=functools.partial(change, **own))


OWN = Choice("own", "all", "as in this run")
_ADAM = {"official": "Adam made anew every epoch", "persistent": "Adam kept from epoch to epoch"}
_NORMALISATION = {"batch": "two BatchNorms in G", "none": "no BatchNorm in G", "lucic": "three BatchNorms in G"}
_ALL = (
    *_of("optimiser", "glo_optimiser", _ADAM),
    *_of("normalisation", "glo_normalisation", _NORMALISATION),
    Choice("norm-constant", "norm of z", "no gradient through the norm"),
    Choice("norm-gradient", "norm of z", "gradient through the norm", stage=with_norms_gradient),
    Choice("taps-mixed", "taps", "taps after the ReLU, the deepest before it"),
    Choice("taps-after", "taps", "taps all after the ReLU", stage=_features(moved_taps, after=True)),
    Choice("taps-before", "taps", "taps all before the ReLU", stage=_features(moved_taps, after=False)),
    Choice("input-plain", "input of the loss", "the loss sees its usual input"),
    Choice("input-imagenet", "input of the loss", "the loss sees (x - mean) / std", stage=_features(imagenet_input)),
    *_of("size of z", "glo_latent_dim", {size: f"z has {size} numbers" for size in (16, 64, 256)}),
    *_of("size of e", "imle_noise_dim", {size: f"e has {size} numbers" for size in (8, 32, 64)}),
    *_of("noises", "imle_noise_per_latent", {1: "M = n", 2: "M = 2 n", 10: "M = 10 n"}),
    Choice("sphere-epoch", "sphere", "back on the sphere every epoch"),
    Choice("sphere-step", "sphere", "back on the sphere every step", stage=AlwaysOnSphere),
    *_of("start", "glo_latent_init", {"noise": "codes start from noise", "pca": "codes start from components"}),
    *_of("loss", "glo_loss", {name: f"loss: {label}" for name, label in rivals.LOSS_LABELS.items()}),
    Choice("loss-self-supervised", "loss", "loss: VGG16 of these images", stage=with_own_features),
    *_of("moments", "imle_moments", {"learned": "moments learned", "matched": "moments matched"}),
)
CHOICES = {choice.key: choice for choice in _ALL}
OF_THE_VGG = ("taps", "input of the loss")  # groups
LOSSES = tuple(choice.key for choice in _ALL if choice.group == "loss")  # what the loss sees by
HIDDEN = tuple(choice.key for choice in _ALL if choice.group != "loss")  # what the paper does not say


def with_choice(config: Config, choice: Choice) -> Config:
    """The settings that a choice leaves, of stages 1 and 2 alone: a third one is none of the paper's choices."""
    own: dict[str, dict[str, Any]] = {"glo": {}, "imle": {}, "refine": {"epochs": 0}}
    for name, value in choice.changes.items():
        stage, _, setting = name.partition("_")
        own[stage][setting] = value
    stages = {stage: dataclasses.replace(getattr(config, stage), **values) for stage, values in own.items()}
    return dataclasses.replace(config, **stages)


def is_own(choice: Choice, config: Config) -> bool:
    """Whether a run with these settings has made this choice."""
    return choice.stage is GLO and with_choice(config, choice) == with_choice(config, OWN)


def fit_choice(choice: Choice, images: Tensor, config: Config, device: torch.device, folder: Path) -> Trained:
    """GLANN trained with one choice changed; what is finished in `folder` is not trained again.

    Args:
        choice: one of CHOICES, or OWN.
        images: uint8 [N, C, S, S].
        config: of the run, its seed included.
        device: where to train.
        folder: of all choices; those that only concern stage 2 share the stage 1 of OWN there.

    Raises:
        ValueError: the choice concerns the loss's VGG, and the loss has none; else as `fit_glo`.
        FloatingPointError: as `fit_glo` and `fit_imle`.
    """
    changed = with_choice(config, choice)
    shared = choice.stage is GLO and changed.glo == config.glo
    places = [folder / key / f"seed{config.glo.seed}" for key in (OWN.key if shared else choice.key, choice.key)]
    stage = choice.stage(images, changed.glo, device)
    history = training.run(stage, places[0] / "glo.safetensors")
    known = history, stage.snapshots, stage.config, stage.images_sha256, stage.facts()["precision"]
    embedding = Embedding(stage.generator.eval(), stage.latents.detach(), *known)
    return rivals.fit_glann(images, changed, device, places[1], embedding)["glann"]


def missing(key: str, config: Config) -> str:
    """Why a run cannot train a choice, in a line: its loss wants a file, or has no VGG to change. "" where it can."""
    choice = CHOICES[key]
    if choice.group in OF_THE_VGG and config.glo.loss not in EXTRACTORS:
        return f"the loss {config.glo.loss} sees by no VGG"
    file = missing_weights(choice.changes.get("glo_loss", ""))
    return f"{file} is not here: see data/README.md" if file else ""


def score_choices(contest: Contest, keys: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train and score GLANN as in the run and with each choice, through the contest's book; the records.

    A choice that the run has made is trained once, as OWN. One that diverges has no score, see `stability`.

    Args:
        contest: with the run's settings; what is trained goes below its folder, to "choices".
        keys: in CHOICES (else a ValueError, before any training).
        seeds: of both stages; each is also that of the samples.
    """
    unknown = [key for key in keys if key not in CHOICES]
    if unknown:
        raise ValueError(f"unknown choice {unknown[0]!r}: choose from {', '.join(CHOICES)}")
    changed = [CHOICES[key] for key in keys if not is_own(CHOICES[key], contest.config)]
    return [_score(contest, choice, seed) for seed in seeds for choice in (OWN, *changed)]


def _score(contest: Contest, choice: Choice, seed: int) -> dict[str, Any]:
    config, folder = rivals.with_seed(contest.config, seed), contest.folder / "choices"
    left = with_choice(config, choice)
    settings = {"glo": dataclasses.asdict(left.glo), "imle": dataclasses.asdict(left.imle)}
    shown = Contender(_model(choice), f"GLANN, {choice.label}", "non-adversarial")
    fit = functools.partial(fit_choice, choice, contest.images, config, contest.device, folder)
    return contest.score(shown, seed, "own", settings, lambda: or_diverged(fit, shown, "own", contest.images))


def _model(choice: Choice) -> str:
    return f"glann-{choice.key}"


def prices(records: Iterable[Mapping[str, Any]], config: Config) -> list[dict[str, Any]]:
    """A row a choice for a table, of what `score_choices` gave: the run's own of each group that is there, and others.

    Rows are {group, choice, own, mean, standard deviation, price, its standard deviation, diverged}: of the main score
    over seeds (ddof=1), of what it is more than the run's own of the same seed, and the seeds that diverged; None where
    there is no number.
    """
    found: dict[str, dict[int, float]] = {}
    for record in records:
        value = np.nan if "diverged" in record else record["scores"][0]["value"]
        found.setdefault(record["model"], {})[record["seed"]] = value
    base, groups = found.get(_model(OWN), {}), {c.group for c in _ALL if _model(c) in found}
    made = [(choice, is_own(choice, config)) for choice in _ALL if choice.group in groups]
    rows = [(choice, own, base if own else found.get(_model(choice))) for choice, own in made]
    return [_row(choice, own, values, base) for choice, own, values in rows if values]


def _row(choice: Choice, own: bool, values: Mapping[int, float], base: Mapping[int, float]) -> dict[str, Any]:
    mean, spread = _mean_and_spread(values.values())
    price, its = _mean_and_spread(value - base.get(seed, np.nan) for seed, value in values.items())
    row = {"group": choice.group, "choice": choice.label, "own": own, "mean": mean, "standard deviation": spread}
    diverged = sum(not np.isfinite(value) for value in values.values())
    return row | {"price": price, "its standard deviation": its, "diverged": diverged}


def _mean_and_spread(values: Iterable[float]) -> tuple[float | None, float | None]:
    known = [value for value in values if np.isfinite(value)]
    mean = float(np.mean(known)) if known else None
    return mean, float(np.std(known, ddof=1)) if len(known) > 1 else None
