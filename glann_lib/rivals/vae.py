"""The variational autoencoder, the non-adversarial rival of Lucic et al. (2018), with three likelihoods.

    min over encoder and G of  sum_i  E_{z ~ q(z|x_i)} [ -log p(x_i | G(z)) ] + KL(q(z|x_i) || N(0, I))

-log p, summed over pixels, is the Bernoulli's cross entropy (the protocol; the paper's VAE column), |G(z) - x| (what
the paper says that column used), or the perceptual loss, a mean, times the number of pixels (Sec. 4.1).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from glann_lib.engine import devices, training
from glann_lib.losses import make_loss, unit
from glann_lib.networks import InfoGANGenerator, VoxelGenerator, load_weights, make_generator
from glann_lib.rivals.config import VAEConfig
from glann_lib.rivals.generator_stage import GeneratorStage
from glann_lib.rivals.networks import make_encoder


@dataclass(frozen=True)
class VAEEpoch:
    """One pass over the images: number from 1, mean bound and its part KL, in nats an image, and seconds."""

    epoch: int
    loss: float
    divergence: float
    seconds: float


class VAE(GeneratorStage):
    """A VAE as a stage for `training.train`, on images uint8 [N, C, S, S] or voxels bool [N, S, S, S]."""

    record_type = VAEEpoch

    def __init__(self, images: Tensor, config: VAEConfig, device: torch.device):
        super().__init__(images, config, f"vae-{config.likelihood}", device)
        shape = images.shape[1:]
        widths = {"feature_channels": config.feature_channels, "voxel_channels": config.voxel_channels}
        with devices.scoped_seed(config.seed, f"{self.name} weights"):
            self.generator = make_generator(shape, config.latent_dim, "lucic", **widths, on_sphere=False).to(device)
            self.encoder = make_encoder(shape, 2 * config.latent_dim, **widths).to(device)
        self.networks = self.generator, self.encoder
        self.optimiser = self._adam(*self.networks)

    @functools.cached_property  # made when an epoch needs it
    def misfit(self) -> Callable[[Tensor, Tensor], Tensor]:
        """-log p(x | G(z)) up to a constant, [N] nats, from generated and real images."""
        if self.config.likelihood == "bernoulli":
            return bernoulli_misfit
        name = "l1" if self.config.likelihood == "l1" else self.config.loss
        loss = make_loss(name, self.images.shape[-1], self.dtype).to(self.device)
        return lambda generated, images: loss(generated, images) * images[0].numel()

    def _given(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Images, and the noise of their codes."""
        return unit(self.images[batch].to(self.device)), self._prior(len(batch))

    def step(self, images: Tensor, noise: Tensor) -> Tensor:
        """One step on images [B, ...] in [0, 1] with noise [B, latent_dim]; the bound and its part KL."""
        with self._autocast():
            mean, log_variance = self.encoder(images).float().chunk(2, dim=1)
            codes = mean + (0.5 * log_variance).exp() * noise
            generated = self.generator(codes)
        misfit = self.misfit(generated.float(), images).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        loss = misfit + self.config.kl_weight * divergence
        self._descend(self.optimiser, loss)
        return torch.stack([loss.detach(), divergence.detach()])

    def _prior(self, count: int) -> Tensor:
        return torch.randn(count, self.config.latent_dim, generator=self.random, device=self.device)

    def state(self) -> dict[str, Tensor]:
        """The generator's weights; to go on, the encoder's and the optimiser's state."""
        encoder = training.with_prefix(f"{training.RESUME}encoder.", self.encoder.state_dict())
        return super().state() | encoder | training.optimiser_state(self.optimiser)

    def _resume(self, state: dict[str, Tensor]) -> None:
        load_weights(self.encoder, state, f"{training.RESUME}encoder.")
        training.restore_optimiser(self.optimiser, state)


def bernoulli_misfit(generated: Tensor, images: Tensor) -> Tensor:
    """Cross entropy, [N] nats, of images or shapes [N, ...] in [0, 1]; unlike torch's own, NaN passes."""
    tiny = torch.finfo(torch.float32).tiny
    white, black = generated.clamp(min=tiny).log(), (1 - generated).clamp(min=tiny).log()
    return -(images * white + (1 - images) * black).flatten(1).sum(1)


def fit_vae(
    images: Tensor, config: VAEConfig, device: torch.device | str = "cpu", path: Path | None = None
) -> tuple[InfoGANGenerator | VoxelGenerator, list[VAEEpoch]]:
    """Train a VAE as `fit_glo` does GLO; gives G in eval mode, for codes from N(0, I), and a record an epoch."""
    return VAE(images, config, torch.device(device)).fit(path)
