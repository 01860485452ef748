"""A small classifier of the data set's own classes: its features compare images, its classes judge translated ones.

Inception has seen photographs only; on digits and clothes these features tell more. `classifier_training` trains it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glann_lib.engine.checks import require_count, require_part, require_positive

FEATURES = 128  # values an image
BLOCK = 512  # images at once when nothing is trained


class Classifier(nn.Module):
    """Four 3x3 convolutions, the mean over space, a hidden layer of 128, the classes; 1 or 3 channels, from 4 px on."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(channels, 32),
            nn.MaxPool2d(2),
            *_convolution(32, 64),
            nn.MaxPool2d(2),
            *_convolution(64, 128),
            *_convolution(128, 128),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(128, FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, classes))
        self.classes = classes
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W] in [0, 1]."""
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """The hidden layer [N, 128] before its ReLU, so nearer to a Gaussian, of images [N, C, H, W] in [0, 1]."""
        return self.body(2 * images - 1)


def _convolution(channels: int, width: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


@dataclass(frozen=True)
class ClassifierConfig:
    """Settings of the classifier; the paper states none. A field out of its range is a ValueError."""

    epochs: int = 8  # passes over the images, at least
    steps: int = 200  # Adam steps, at least: small sets take more epochs
    batch_size: int = 64  # images
    lr: float = 5.0e-3  # Adam's largest step
    weight_decay: float = 0.01  # AdamW's
    shift: int = 2  # px; training images are moved by up to so much, up or down and left or right
    seed: int = 0

    def __post_init__(self) -> None:
        require_count(self, "epochs", "steps")
        require_count(self, "batch_size", least=2)
        require_count(self, "shift", least=0)
        require_positive(self, "lr")
        require_part(self, "weight_decay")


@dataclass(frozen=True)
class ClassifierEpoch:
    """One epoch: number from 1, mean cross entropy in nats, part of the shifted training images right, seconds."""

    epoch: int
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that sees something in images [N, C, S, S], uint8 or floats in [0, 1]; it answers on the CPU.

    Images of another size or number of channels than in training are a ValueError.
    """

    network: nn.Module  # in eval mode
    tested: float  # what the training's `measure` gives of the test images, on average
    history: list[Any]  # of the training's records, one an epoch
    config: ClassifierConfig
    image_shape: tuple[int, int, int]  # (C, S, S) of the images that it knows
    train_sha256: str  # of the training images and labels, as ImageData.sha256
    test_sha256: str

    def answer(self, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """`function` of the images as floats in [0, 1], some at a time, [N, ...]."""
        require_shape(images, self.image_shape)
        return in_blocks(function, images, next(self.network.parameters()).device)


class TrainedClassifier(TrainedNetwork):
    """A classifier; its network is a `Classifier`."""

    @property
    def test_accuracy(self) -> float:
        """Part of the test images whose class it names, 0 to 1."""
        return self.tested

    def predict(self, images: Tensor) -> Tensor:
        """Class indices int64 [N]: where the logits are largest."""
        return self.answer(lambda block: self.network(block).argmax(1), images)

    def features(self, images: Tensor) -> Tensor:
        """float32 [N, 128]; see `Classifier.features`."""
        return self.answer(self.network.features, images)


@torch.no_grad()
def in_blocks(function: Callable[[Tensor], Tensor], images: Tensor, device: torch.device) -> Tensor:
    """`function` of images, uint8 or floats in [0, 1], some at a time on the device; joined on the CPU."""
    blocks = (block.to(device) for block in images.split(BLOCK))
    return torch.cat([function(b.float() / 255 if b.dtype == torch.uint8 else b).cpu() for b in blocks])


def require_shape(images: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse images [N, C, S, S] whose (C, S, S) is not that of the training images, by a ValueError."""
    if images.ndim != 4 or images.shape[1:] != shape:
        known = " x ".join(map(str, shape))
        raise ValueError(f"images are {list(images.shape)}: give [N, C, S, S] with C x S x S = {known}, as in training")
