"""A perceptual loss that learns from the training images alone: no label, no other image (paper, Sec. 5).

The paper supposes that features trained without labels serve its loss as well as ImageNet's. Here the network is that
of the loss "random-vgg16-quarter", VGG16 with fewer channels, with the same taps, form and speed: only its weights are
learned, from a task that the images set themselves, a question with one right answer among several:

    "contrast": which of 2 B views shows the same image as this one (SimCLR, Chen et al. 2020)
    "rotation": by how many quarter turns a view was turned (Gidaris et al. 2018)

Both are trained by the cross entropy; that of "contrast" is NT-Xent. The whole VGG16 is trained, with BatchNorm, which
goes into the convolutions at the end. Then every tap is brought to the scale that it has with random weights, see
`rescale`: else the loss, a sum of mean differences, would be that of one tap.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import fuse_conv_bn_eval
from torch.optim.swa_utils import update_bn
from torchvision.transforms.v2.functional import gaussian_blur

from glann_lib.config import LEAST_IMAGES, for_count
from glann_lib.engine import devices, storage, training
from glann_lib.engine.checks import require_choice, require_count, require_positive
from glann_lib.engine.stages import SteppedStage, batches, fall_to_zero, make_adam
from glann_lib.features import NARROWED, VGGFeatures, make_extractor, vgg16_features, vgg16_layers
from glann_lib.losses import PerceptualRepresentation, ReconstructionLoss, unit
from glann_lib.networks import load_weights

CODES = 64  # numbers by which views are compared
ANSWERS = {"contrast": CODES, "rotation": 4}  # numbers that the network gives for each task
MEASURED = 512  # training images of 64 px by which taps are rescaled; of larger ones fewer


@dataclass(frozen=True)
class SelfSupervisedConfig:
    """Which task trains the network of the loss, and how; a field out of its range is a ValueError."""

    task: str = "rotation"  # a name in ANSWERS; "contrast" takes twice the time
    network: str = "random-vgg16-quarter"  # whose form it has, a name in features.NARROWED
    epochs: int = 10  # passes over the images
    batch_size: int = 128  # images, of which "contrast" takes two views each
    lr: float = 2.0e-3  # Adam's first step, which falls to 0 by half a cosine
    temperature: float = 0.2  # of "contrast": differences of cosines that count (Chen et al.: 0.1 to 1)
    seed: int = 0
    precision: str = "auto"  # while training and afterwards: "auto", "float32" or "bfloat16", as in stage 1

    def __post_init__(self) -> None:
        require_choice(self, "task", tuple(ANSWERS))
        require_choice(self, "network", tuple(NARROWED))
        require_count(self, "epochs")
        require_count(self, "batch_size", least=LEAST_IMAGES)
        require_positive(self, "lr", "temperature")
        require_choice(self, "precision", ("auto", "float32", "bfloat16"))


@dataclass(frozen=True)
class SelfSupervisedEpoch:
    """One pass over the images: number from 1, mean cross entropy, part of right answers, seconds."""

    epoch: int
    loss: float
    right: float
    seconds: float


class SelfSupervised(SteppedStage):
    """The training of the loss's network as a stage for `training.train`.

    Args:
        images: uint8 [N, C, S, S], C 1 or 3.
        config: settings.
        device: where to train.

    Raises:
        ValueError: fewer than 2 images, or something else than images.
    """

    name = "self-supervised"
    record_type = SelfSupervisedEpoch

    def __init__(self, images: Tensor, config: SelfSupervisedConfig, device: torch.device):
        square = images.dim() == 4 and images.shape[1] in (1, 3) and images.shape[2] == images.shape[3]
        if images.dtype != torch.uint8 or not square:
            given = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            raise ValueError(f"images are {given}: give uint8 [N, 1 or 3, S, S], square")
        config = for_count(config, len(images))
        self.config, self.epochs, self.device = config, config.epochs, device
        self.fingerprint = storage.digest(dataclasses.asdict(config), storage.tensor_digest(images))
        self.images = devices.place(images, device)
        self.dtype = devices.resolve_precision(config.precision, device)
        with devices.scoped_seed(config.seed, "self-supervised weights"):
            layers = vgg16_layers(NARROWED[config.network], batch_norm=True)
            width = 512 // NARROWED[config.network]
            answers = nn.Linear(width, ANSWERS[config.task])
            head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, width), nn.ReLU(), answers)
        self.network = nn.Sequential(layers, head).to(device, memory_format=torch.channels_last)
        self.optimiser = make_adam([{"params": list(self.network.parameters()), "lr": config.lr}], device)

    def inputs(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Views of each batch's images as the network takes them, and the answers, int [views]."""
        random = devices.seeded(self.config.seed, f"self-supervised epoch {epoch}")
        parts = batches(len(self.images), self.config.batch_size, random, self.images.device)
        self.network.train()
        for number, batch in enumerate(parts):
            fall_to_zero(self.optimiser, self.config.lr, (epoch - 1 + number / len(parts)) / self.epochs)
            views, answers = question(unit(self.images[batch].to(self.device)), self.config.task, random)
            yield prepared(views), answers

    def step(self, views: Tensor, answers: Tensor) -> Tensor:
        """One step of Adam on the network; the mean cross entropy and the part of right answers."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            found = self.network(views)
        found = found.float()
        if self.config.task == "contrast":
            found = similarities(found, self.config.temperature)
        loss = functional.cross_entropy(found, answers)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return torch.stack([loss.detach(), (found.argmax(1) == answers).float().mean()])

    def end(self, epoch: int, losses: Tensor, start: float) -> SelfSupervisedEpoch:
        """The means; at the very end BatchNorm takes its averages from the images as they are, which the loss sees."""
        if epoch == self.epochs:
            parts = self.images.split(devices.images_at_once(256, self.images.shape[-1]))
            update_bn((prepared(unit(part.to(self.device))) for part in parts), self.network)
        loss, right = losses.mean(0).tolist()
        return SelfSupervisedEpoch(epoch, loss, right, time.monotonic() - start)

    def trained(self) -> Iterator[Tensor]:
        """The network's weights."""
        return self.network.parameters()

    def state(self) -> dict[str, Tensor]:
        """Weights and the optimiser's state."""
        state = training.with_prefix("network.", self.network.state_dict())
        return state | training.optimiser_state(self.optimiser)

    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take back `state`, and the number format that the training began with."""
        load_weights(self.network, state, "network.")
        self.dtype = getattr(torch, facts["precision"])
        training.restore_optimiser(self.optimiser, state)


def fit_self_supervised(
    images: Tensor, config: SelfSupervisedConfig, device: torch.device | str = "cpu", path: Path | None = None
) -> VGGFeatures:
    """A network for the perceptual loss, trained on the images themselves without labels, with progress shown.

    Args:
        images: uint8 [N, C, S, S], C 1 or 3: those that stage 1 embeds.
        config: settings.
        device: where to train.
        path: *.safetensors for checkpoints and the result; what is finished there is not trained again.

    Returns:
        The frozen extractor on `device`, for `self_supervised_loss`.

    Raises:
        ValueError: fewer than 2 images, or something else than images; a damaged checkpoint.
        FloatingPointError: a loss is not finite; names epoch and batch.
    """
    stage = SelfSupervised(images, config, torch.device(device))
    training.run(stage, path)
    layers, side = without_batch_norm(stage.network[0].eval()), images.shape[-1]
    some = unit(images[:: math.ceil(len(images) / devices.images_at_once(MEASURED, side))].to(stage.device))
    rescale(vgg16_features(layers, side), make_extractor(config.network, side).to(stage.device), some)
    return vgg16_features(layers, side, stage.dtype)


def self_supervised_loss(network: VGGFeatures) -> ReconstructionLoss:
    """The perceptual loss (Eq. 3) of pixels and a trained network's features; it sees no smaller copies (Sec. 5)."""
    return ReconstructionLoss(PerceptualRepresentation([network]))


def question(images: Tensor, task: str, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Views of images [B, C, S, S] in [0, 1] as a task shows them, and the answers: for "contrast" 2 B, else B."""
    count = len(images)
    views = view(images, random)
    if task == "contrast":
        answers = torch.arange(2 * count).roll(count)  # the other view's number
        return torch.cat([views, view(images, random)]), answers.to(images.device)
    answers = torch.randint(4, (count,), generator=random).to(images.device)
    turned = torch.stack([views.rot90(turns, (2, 3)) for turns in range(4)])
    return turned[answers, torch.arange(count)], answers


def view(images: Tensor, random: torch.Generator) -> Tensor:
    """Images [B, C, S, S] in [0, 1], each changed at random in ways that leave what it shows.

    Turned by at most 20 degrees, scaled, moved, blurred or sharpened, of other contrast, brightness and colour, noisy,
    and with a grey square of a quarter of the side. None is mirrored: a digit would be another.
    """
    count, channels, side, _ = images.shape

    def drawn(low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(count, *shape, generator=random)).to(images.device)

    angle, scale, move = drawn(-0.35, 0.35), drawn(0.7, 1.1), drawn(-0.15, 0.15, 2)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([cos, -sin, move[:, 0], sin, cos, move[:, 1]], 1).view(count, 2, 3)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    views = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    views = views.lerp(gaussian_blur(views, 5, 1.0), drawn(-0.5, 1, 1, 1, 1))
    views = drawn(0.6, 1.4, 1, 1, 1) * drawn(0.8, 1.2, channels, 1, 1) * views + drawn(-0.1, 0.1, channels, 1, 1)
    noise = torch.randn(images.shape, generator=random).to(images.device)
    views = views + drawn(0, 0.1, 1, 1, 1) * noise
    place, steps = drawn(0, 0.75, 2, 1), torch.arange(side, device=images.device) / side
    inside = (steps >= place) & (steps < place + 0.25)  # [B, 2, S]
    hidden = inside[:, 0, None, :, None] & inside[:, 1, None, None, :]
    return views.masked_fill(hidden, 0.5).clamp(0, 1)


def prepared(images: Tensor) -> Tensor:
    """Images [B, 1 or 3, S, S] in [0, 1] as VGG's first convolution takes them: see `features.VGGFeatures`."""
    images = functional.pad(images, (2, 2, 2, 2)) if images.shape[-1] == 28 else images
    return (2 * images - 1).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def similarities(codes: Tensor, temperature: float) -> Tensor:
    """The cosine of every pair of codes [B, D] over the temperature, -inf for a code and itself: NT-Xent's logits."""
    codes = functional.normalize(codes, dim=1)
    itself = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    return (codes @ codes.T / temperature).masked_fill(itself, -math.inf)


def without_batch_norm(layers: nn.Sequential) -> nn.Sequential:
    """A copy of layers in eval mode, each BatchNorm folded into the convolution before it: the same function."""
    kept: list[nn.Module] = []
    for layer in copy.deepcopy(layers):
        if isinstance(layer, nn.BatchNorm2d):
            kept[-1] = fuse_conv_bn_eval(kept[-1], layer)
        else:
            kept.append(layer)
    return nn.Sequential(*kept)


@torch.no_grad()
def rescale(network: VGGFeatures, like: VGGFeatures, images: Tensor) -> None:
    """Scale each tap of a network so that two images differ there, on average, as much as in `like`.

    The loss is a sum of mean differences, of pixels and at every tap: what a tap weighs in it is how large its
    differences are, which training a task leaves to chance. Now they are those of the network with random weights, and
    both losses differ in what the features say alone. As ReLU and pooling keep every factor above 0, a tap's goes into
    the convolution that it follows, and its inverse into the next one: deeper taps do not notice.

    Args:
        network: whose weights are changed; it serves no more, as it keeps a copy of some of the old ones.
        like: with as many taps.
        images: [N, C, S, S] in [0, 1], N at least 2, of which each is compared with one other.
    """
    factors = torch.nan_to_num(_differences(like, images) / _differences(network, images), 1.0, 1.0)
    for stage, factor, before in zip(network.stages, factors, [1.0, *factors[:-1]], strict=True):
        first, *_, last = [layer for layer in stage if isinstance(layer, nn.Conv2d)]
        first.weight /= before
        last.weight *= factor
        last.bias *= factor


def _differences(network: VGGFeatures, images: Tensor) -> Tensor:
    """Mean |phi_l(x) - phi_l(y)| of pairs of images at each tap l, [taps]."""
    return torch.stack([(level - level.roll(len(images) // 2, 0)).abs().mean() for level in network(images)])
