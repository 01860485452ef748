"""The network of `classifier`: small, quick on a processor, and at home at any image size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEATURES = 128  # values an image


class Classifier(nn.Module):
    """Four 3x3 convolutions (32, 64, 128, 128 channels), the mean over space, a hidden layer of 128, the classes.

    Works at any size from 4 px; 258,538 parameters for grey images and ten classes.

    Args:
        channels: 1 (grey) or 3 (colour).
        classes: how many there are.
    """

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
        self.channels, self.classes = channels, classes
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W] in [0, 1]."""
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """The hidden layer [N, 128] of images [N, C, H, W] in [0, 1], after its BatchNorm and before its ReLU.

        There each value has about mean 0 and variance 1 over the training images (scaled and moved by what BatchNorm
        learns), and is nearer to a Gaussian, as the Frechet distance wants, than after the ReLU.
        """
        return self.body(2 * images - 1)


def _convolution(channels: int, width: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
