"""Frozen feature extractors: VGG16 and VGG19 with ImageNet weights, and VGG16 with random weights.

The perceptual loss (Eq. 3) compares images by what these networks see; scores compare sets of images by the same means.
Details of the released code are kept: inputs are 2x - 1, grey counts as 3 equal channels, 28 px is padded to 32 px. The
networks are never trained: no gradient is kept for their weights, and they run channels-last in the fastest number
format.
"""

from __future__ import annotations

import itertools
import os
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torchvision.models import VGG16_Weights
from torchvision.models.vgg import cfgs, make_layers

from glann_lib.engine.devices import images_at_once, keep_freed_memory

VGG16_FILE = "vgg16-397923af.pth"  # torchvision's own name for its ImageNet weights
VGG19_FILE = "vgg19_imagenet_blocks123.npz"  # block1_conv1 ... block3_conv4, kernels HWIO, input BGR
NARROWED = {"random-vgg16": 1, "random-vgg16-half": 2, "random-vgg16-quarter": 4}  # channels are divided by this
EXTRACTORS = ("vgg16", "vgg19", *NARROWED)
RANDOM_SEED = 20190616  # the weights of "random-vgg16" are part of its definition
IMAGENET_MEAN = (123.68, 116.779, 103.939)  # RGB, 0 to 255 (Simonyan and Zisserman)
ROOT = Path(__file__).resolve().parents[1]
SMALLEST_COPY = 32  # px: VGG's third block needs no less


class VGGFeatures(nn.Module):
    """A frozen VGG cut into stages, each ending at a tap; all taps are after the ReLU but the deepest (released code).

    Args:
        layers: the convolutions, ReLUs and poolings of a VGG, without its classifier.
        taps: layer numbers after which features are taken, ascending.
        mean: by channel in RGB order; the input is (255 x - mean) / 127.5.
        dtype: number format of weights and features.
    """

    def __init__(self, layers: nn.Sequential, taps: tuple[int, ...], mean: tuple[float, ...], dtype: torch.dtype):
        super().__init__()
        for number, layer in enumerate(layers):
            if isinstance(layer, nn.ReLU):
                layer.inplace = number - 1 not in taps  # a tap before a ReLU must stay as it was
        starts = (0, *(tap + 1 for tap in taps))
        self.stages = nn.ModuleList(layers[start:end] for start, end in itertools.pairwise(starts))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)
        self.register_buffer("grey_kernel", self._fold_grey().to(dtype, memory_format=torch.channels_last))
        self.stages.to(dtype=dtype, memory_format=torch.channels_last)
        self.dtype = dtype

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features [N, C_l, H_l, W_l] at each tap of images [N, 1 or 3, H, W] in [0, 1]."""
        if images.shape[-1] == 28:
            images = nn.functional.pad(images, (2, 2, 2, 2))  # 32 px can be halved as often as VGG wants
        first, *rest = self.stages[0]
        if images.shape[1] == 1:
            x = (255 * images - self.mean.mean()) / 127.5
            x = torch.cat([x, torch.ones_like(x)], 1)
            kernel = self.grey_kernel
        else:
            x, kernel = (255 * images - self.mean) / 127.5, first.weight
        x = x.to(self.dtype, memory_format=torch.channels_last)
        x = nn.functional.conv2d(x, kernel, first.bias, padding=1)
        features = []
        for stage in (rest, *self.stages[1:]):
            for layer in stage:
                x = layer(x)
            features.append(x)
        return features

    def _fold_grey(self) -> Tensor:
        """The first convolution's kernel for grey images, [64, 2, 3, 3]: of the grey, and of a constant 1.

        Grey repeated to three channels of different mean is one channel, (255 x - average mean) / 127.5, and constants.
        """
        kernel, mean = self.stages[0][0].weight, self.mean
        return torch.cat([kernel.sum(1, keepdim=True), (kernel * (mean.mean() - mean) / 127.5).sum(1, keepdim=True)], 1)


def make_extractor(
    name: str, image_size: int, dtype: torch.dtype = torch.float32, seed: int = RANDOM_SEED
) -> VGGFeatures:
    """A frozen extractor with the released code's taps: conv1_2, conv2_2, conv3_2, from 64 px also conv4_3.

    From 128 px on the last of its poolings, after conv5_3, is a tap, too (released code).

    Args:
        name: "vgg16" (ImageNet, torchvision's weights), "vgg19" (ImageNet, original weights of the first three blocks:
            from 64 px on its fourth and last tap is conv3_4, the deepest there is), "random-vgg16" (fixed random
            weights), or that with "-half" or "-quarter" of the channels: a quarter or a sixteenth of the work.
        image_size: px; decides the taps.
        dtype: number format of weights and features.
        seed: of the random weights; scores use another than the loss does.

    Raises:
        ValueError: unknown name, or a weights file that is not what it should be.
        FileNotFoundError: a weights file is neither here nor to be downloaded; says where to put it.
    """
    if name not in EXTRACTORS:
        raise ValueError(f"unknown feature extractor {name!r}: choose one of {', '.join(EXTRACTORS)}")
    if name == "vgg19":
        layers = make_layers(cfgs["E"][:10])  # blocks 1 to 3
        _load_vgg19(layers, weights_folder() / VGG19_FILE)
        return VGGFeatures(layers, (3, 8, 13, 16) if image_size >= 64 else (3, 8, 12), IMAGENET_MEAN, dtype)
    layers = vgg16_layers(NARROWED.get(name, 1))
    if name == "vgg16":
        _load_vgg16(layers, weights_folder() / VGG16_FILE)
    else:
        _randomise(layers, seed)
    return vgg16_features(layers, image_size, dtype)


def vgg16_features(layers: nn.Sequential, image_size: int, dtype: torch.dtype = torch.float32) -> VGGFeatures:
    """Layers like those of `vgg16_layers`, without BatchNorm, as an extractor with the taps of `make_extractor`."""
    taps = (3, 8, 13, 22, 30) if image_size >= 128 else (3, 8, 13, 21) if image_size >= 64 else (3, 8, 12)
    # (255 x - 127.5) / 127.5 = 2 x - 1, the released code's input
    return VGGFeatures(layers, taps, (127.5, 127.5, 127.5), dtype)


def vgg16_layers(narrowed: int, batch_norm: bool = False) -> nn.Sequential:
    """VGG16's convolutions with so many times fewer channels."""
    return make_layers([width if width == "M" else width // narrowed for width in cfgs["D"]], batch_norm)


def weights_folder() -> Path:
    """Where weights files are looked for: the environment variable GLANN_WEIGHTS, else data/weights."""
    return Path(os.path.expanduser(os.environ.get("GLANN_WEIGHTS", ROOT / "data" / "weights")))


def missing_weights(name: str) -> str:
    """The file of weights that the extractor `name` lacks on this machine, "" where it lacks none."""
    file = {"vgg16": VGG16_FILE, "vgg19": VGG19_FILE}.get(name, "")
    downloads = Path(torch.hub.get_dir()) / "checkpoints"  # torchvision's, of VGG16
    here = (weights_folder() / file).is_file() or (name == "vgg16" and (downloads / file).is_file())
    return "" if not file or here else file


@torch.no_grad()
def pooled_features(extractor: VGGFeatures, images: Tensor, batch_size: int = 256) -> Tensor:
    """One vector an image for scores: the mean over space of every tap, joined.

    Args:
        extractor: from `make_extractor`.
        images: [N, C, H, W], uint8 or floats in [0, 1].
        batch_size: images at once, of 64 px; of larger ones so many fewer.

    Returns:
        float32 [N, sum of C_l], on the CPU.
    """
    keep_freed_memory()
    rows = []
    for batch in images.split(images_at_once(batch_size, images.shape[-1])):
        batch = batch.to(extractor.mean.device)
        batch = batch.float() / 255 if batch.dtype == torch.uint8 else batch
        rows.append(torch.cat([f.float().mean((2, 3)) for f in extractor(batch)], 1))
    return torch.cat(rows).cpu()  # at once: a copy waits until the device is done


def _randomise(layers: nn.Sequential, seed: int) -> None:
    """He-normal weights and zero biases: features keep about the same variance from layer to layer."""
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)


def _load_vgg16(layers: nn.Sequential, path: Path) -> None:
    """ImageNet weights in torchvision's format, from `path` or else by download."""
    here = path.is_file()
    try:
        if here:
            state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            state = VGG16_Weights.DEFAULT.get_state_dict(progress=False, check_hash=True)
        prefix = "features."
        layers.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    except (OSError, RuntimeError, pickle.UnpicklingError, AttributeError, EOFError) as error:
        if here or not isinstance(error, OSError):  # torch.load gives OSError, too, for a file cut short
            advice = "download the file again"
            raise ValueError(f"{path.name} does not hold torchvision's VGG16 weights: {advice}") from None
        raise FileNotFoundError(
            f"the ImageNet weights of VGG16 are not here and cannot be downloaded: put {VGG16_FILE} into data/weights "
            "or into the folder that GLANN_WEIGHTS names, or choose the loss random-vgg16, which needs no file"
        ) from None


def _load_vgg19(layers: nn.Sequential, path: Path) -> None:
    """ImageNet weights of Simonyan and Zisserman from the Keras layout: kernels HWIO, input BGR minus its mean."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{VGG19_FILE} is missing: put it into data/weights or into the folder that GLANN_WEIGHTS names, "
            "or choose the loss random-vgg16, which needs no file"
        )
    names = [f"block{b}_conv{c}" for b, convolutions in ((1, 2), (2, 2), (3, 4)) for c in range(1, convolutions + 1)]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    try:
        with np.load(path) as arrays, torch.no_grad():
            for name, layer in zip(names, convolutions, strict=True):
                kernel = torch.from_numpy(arrays[f"{name}.kernel"]).permute(3, 2, 0, 1)  # HWIO -> OIHW
                layer.weight.copy_(kernel.flip(1) if layer is convolutions[0] else kernel)  # BGR -> RGB
                # The input is 127.5 times smaller here than there. Biases as much smaller make every feature so.
                layer.bias.copy_(torch.from_numpy(arrays[f"{name}.bias"]) / 127.5)
    except (KeyError, ValueError, RuntimeError, OSError, zipfile.BadZipFile, EOFError):
        raise ValueError(
            f"{path.name} does not hold VGG19's blocks 1 to 3: see data/README.md for its format"
        ) from None


def bilinear_quarter(images: Tensor) -> Tensor:
    """[N, C, 4 H, 4 W] -> [N, C, H, W] by bilinear interpolation (paper): the mean of the 2 x 2 px amid each 4 x 4.

    torch's `interpolate` gives the same, but no gradient that is the same bits every time on CUDA.
    """
    return avg_pool2d(images[..., 1:-1, 1:-1], 2, stride=4)


SUBSAMPLINGS = {"bilinear": bilinear_quarter, "average": lambda images: avg_pool2d(images, 4)}


def copies_of(image_size: int, wanted: int | None = None) -> tuple[int, ...]:
    """Sides of the smaller copies that the loss sees, px: each a quarter of the one before, none for 64 px and less.

    128 px have one, of 32 px, 256 px one of 64 (paper), 512 and 1024 px two. ValueError: more are wanted than that.
    """
    sides = [side for times in range(1, 6) if (side := image_size // 4**times) >= SMALLEST_COPY]
    if wanted is not None and wanted > len(sides):
        raise ValueError(f"loss_copies is {wanted}: images of this size have {len(sides)} that are large enough")
    return tuple(sides[:wanted])


class PerceptualRepresentation(nn.Module):
    """Pixels, then the features of a frozen network, of images and of smaller copies: what Eq. 3 compares.

    Args:
        extractors: of the images, and of each copy that has 4 times fewer pixels a side than the one before.
        subsampling: a name in SUBSAMPLINGS.
    """

    def __init__(self, extractors: Sequence[nn.Module], subsampling: str = "bilinear"):
        super().__init__()
        self.extractors, self.subsampling = nn.ModuleList(extractors), SUBSAMPLINGS[subsampling]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps of images [N, C, H, W] in [0, 1]."""
        maps: list[Tensor] = []
        for number, extractor in enumerate(self.extractors):
            images = self.subsampling(images) if number else images
            maps += [images, *extractor(images)]
        return maps
