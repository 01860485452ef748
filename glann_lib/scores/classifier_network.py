"""The network of `classifier`, small, quick on a processor and at home at any image size; many images go in blocks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

FEATURES = 128  # values an image
BLOCK = 512  # images at once when nothing is trained


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


def predict(network: Classifier, images: Tensor) -> Tensor:
    """Class indices int64 [N], on the CPU, of images as for `in_blocks`: where the logits are largest."""
    return in_blocks(network, lambda block: network(block).argmax(1), images)


@torch.no_grad()
def in_blocks(network: Classifier, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`function` of images, uint8 or floats in [0, 1], some at a time on the network's device; joined on the CPU."""
    device, rows = next(network.parameters()).device, []
    for block in images.split(BLOCK):
        block = block.to(device)
        rows.append(function(block.float() / 255 if block.dtype == torch.uint8 else block).cpu())
    return torch.cat(rows)


def require_shape(images: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse images [N, C, S, S] whose (C, S, S) is not `shape`, that of the training images.

    Raises:
        ValueError: it is another, or there are not four dimensions.
    """
    if images.ndim != 4 or images.shape[1:] != shape:
        known = " x ".join(map(str, shape))
        raise ValueError(f"images are {list(images.shape)}: give [N, C, S, S] with C x S x S = {known}, as in training")


def _convolution(channels: int, width: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
