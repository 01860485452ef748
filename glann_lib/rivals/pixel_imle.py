"""IMLE on pixels, without GLO (Li and Malik 2018; Sec. 3.2): stage 2's loop with the generator in place of T.

    e_i = arg min over e_m of ||G(e_m) - x_i||^2,   G = arg min over G of sum_i ||G(e_i) - x_i||^2

No mode is dropped, but squared distances of pixels blur, and an epoch generates twice as many images as there are:
hence the paper's IMLE on latents.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine import storage, training
from glann_lib.imle import IMLE, IMLEEpoch
from glann_lib.networks import InfoGANGenerator


class PixelIMLE(IMLE):
    """IMLE whose targets are images uint8 [N, C, S, S], and whose mapping is a generator as GLOConfig describes it."""

    name = "imle-pixel"
    watched = 10
    block = 1024
    small = shared = False

    def __init__(self, images: Tensor, config: IMLEConfig, generator: GLOConfig, device: torch.device):
        self.variant = {"normalisation": generator.normalisation, "features": generator.feature_channels}
        _, self.channels, self.size, _ = images.shape
        super().__init__(images.flatten(1).float() / 255, config, device)
        self.fingerprint = storage.digest(self.fingerprint, self.variant)

    def _make_mapper(self) -> nn.Module:
        own = self.variant | {"on_sphere": False}
        return nn.Sequential(InfoGANGenerator(self.size, self.channels, self.config.noise_dim, **own), nn.Flatten())


def fit_pixel_imle(
    images: Tensor,
    config: IMLEConfig,
    generator: GLOConfig,
    device: torch.device | str = "cpu",
    path: Path | None = None,
) -> tuple[InfoGANGenerator, list[IMLEEpoch]]:
    """Train a generator by IMLE on pixels, with `fit_imle`'s checkpoints and errors.

    As float32 the images uint8 [N, C, S, S] must fit into the device's memory, and those of their noises twice. Gives
    the generator, of the variant and width of `generator`, in eval mode, for noise from N(0, I), and a record an epoch.
    """
    stage = PixelIMLE(images, config, generator, torch.device(device))
    history = training.run(stage, path)
    return stage.mapper[0].eval(), history
