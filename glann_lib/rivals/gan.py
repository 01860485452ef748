"""Seven GANs under the protocol of Lucic et al. (2018), with one loop: a game is two losses and at most a penalty.

mm-gan   the minimax game of Goodfellow et al. 2014          wgan     Arjovsky et al. 2017, weights clipped
ns-gan   the same with the non-saturating generator loss     wgan-gp  Gulrajani et al. 2017, gradient penalty
lsgan    Mao et al. 2017, squares in place of logarithms     dragan   Kodali et al. 2017, penalty near real images
began    Berthelot et al. 2017, the critic is an autoencoder whose balance with the generator is regulated
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import softplus

from glann_lib.engine import devices, training
from glann_lib.networks import InfoGANGenerator, load_weights
from glann_lib.rivals.config import BEGANConfig, GANConfig
from glann_lib.rivals.generator_stage import GeneratorStage
from glann_lib.rivals.networks import AutoencodingCritic, Critic


@dataclass(frozen=True)
class Game:
    """What critic and generator minimise, from the critic's numbers [N] for real and generated images."""

    critic: Callable[[Tensor, Tensor, Tensor], Tensor]  # of (real, generated, balance); BEGAN alone uses the balance
    generator: Callable[[Tensor], Tensor]  # of (generated)
    # Of (critic, real images, generated images, random numbers in [0, 1]), added to the critic's loss.
    penalty: Callable[[Critic, Tensor, Tensor, Tensor], Tensor] | None = None
    penalty_draws: Callable[[Sequence[int]], Sequence[int]] | None = None  # their shape, by that of the real images


def gradient_penalty(critic: Critic, points: Tensor) -> Tensor:
    """Mean of (||gradient of D|| - 1)^2 at images [N, C, S, S]."""
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def between(critic: Critic, real: Tensor, generated: Tensor, t: Tensor) -> Tensor:
    """The penalty at points between real and generated images (WGAN-GP), t [N, 1, 1, 1] of the way to the real."""
    return gradient_penalty(critic, t * real + (1 - t) * generated)


def near_real(critic: Critic, real: Tensor, generated: Tensor, noise: Tensor) -> Tensor:
    """The penalty at real images disturbed by noise [N, C, S, S] (DRAGAN)."""
    return gradient_penalty(critic, real + 0.5 * real.std() * noise)


def _cross_entropy(real: Tensor, generated: Tensor, _: Tensor) -> Tensor:
    return (softplus(-real) + softplus(generated)).mean()


GAMES = {
    "mm-gan": Game(_cross_entropy, lambda generated: -softplus(generated).mean()),
    "ns-gan": Game(_cross_entropy, lambda generated: softplus(-generated).mean()),
    "lsgan": Game(
        lambda real, generated, _: ((real - 1).square() + generated.square()).mean(),
        lambda generated: (generated - 1).square().mean(),
    ),
    "wgan": Game(lambda real, generated, _: (generated - real).mean(), lambda generated: -generated.mean()),
    "wgan-gp": Game(
        lambda real, generated, _: (generated - real).mean(),
        lambda generated: -generated.mean(),
        between,
        lambda shape: (shape[0], 1, 1, 1),
    ),
    "dragan": Game(_cross_entropy, lambda generated: softplus(-generated).mean(), near_real, lambda shape: shape),
    "began": Game(
        lambda real, generated, balance: (real - balance * generated).mean(), lambda generated: generated.mean()
    ),
}


@dataclass(frozen=True)
class GANEpoch:
    """A pass of generator steps: number from 1, mean losses (the critic's last before each, no penalty), seconds."""

    epoch: int
    loss: float
    critic_loss: float
    seconds: float


class GAN(GeneratorStage):
    """A GAN as a stage for `training.train`, on images uint8 [N, C, S, S]."""

    record_type = GANEpoch

    def __init__(self, images: Tensor, config: GANConfig, device: torch.device):
        super().__init__(images, config, config.game, device)
        size, channels = images.shape[-1], images.shape[1]
        with devices.scoped_seed(config.seed, f"{self.name} weights"):
            own = {"on_sphere": False, "features": config.feature_channels}
            self.generator = InfoGANGenerator(size, channels, config.latent_dim, "lucic", **own).to(device)
            self.critic = _critic(size, channels, config).to(device)
        self.networks = self.generator, self.critic
        self.optimisers = {"generator": self._adam(self.generator), "critic": self._adam(self.critic)}
        self.game, self.balance = GAMES[config.game], torch.zeros((), device=device)

    def _batches(self, random: torch.Generator) -> list[tuple[Tensor, ...]]:
        """For every generator step the row numbers of its critic steps' real images, each in an order of its own."""
        batches = super()._batches
        return list(zip(*[batches(random) for _ in range(self.config.critic_steps)], strict=True))

    def _given(self, batch: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """For each of the critic's steps real images, codes and what its penalty draws; codes for the generator."""
        given = []
        for rows in batch:
            real = self.images[rows].to(self.device).float() / 255
            given += [real, self._prior(len(real))]
            if self.game.penalty:
                draws = self.game.penalty_draws(real.shape)
                given.append(torch.rand(draws, generator=self.random, device=self.device))
        return *given, self._prior(self.config.batch_size)

    def step(self, *given: Tensor) -> Tensor:
        """The critic's steps, then the generator's; losses [generator, critic]."""
        each = 3 if self.game.penalty else 2
        for start in range(0, len(given) - 1, each):
            critic_loss = self._critic_step(*given[start : start + each])
        with self._autocast():
            scores = self.critic(self.generator(given[-1]))
        loss = self.game.generator(scores.float())
        self._descend(self.optimisers["generator"], loss)
        return torch.stack([loss.detach(), critic_loss])

    def _critic_step(self, real: Tensor, codes: Tensor, drawn: Tensor | None = None) -> Tensor:
        with torch.no_grad(), self._autocast():
            generated = self.generator(codes).float()
        with self._autocast():
            scores = self.critic(real).float(), self.critic(generated).float()
        loss = self.game.critic(*scores, self.balance)
        penalty = self.game.penalty
        total = loss + self.config.penalty * penalty(self.critic, real, generated, drawn) if penalty else loss
        self._descend(self.optimisers["critic"], total)
        with torch.no_grad():
            for weights in self.critic.parameters() if self.config.clip < math.inf else ():
                weights.clamp_(-self.config.clip, self.config.clip)
            if isinstance(self.config, BEGANConfig):
                error = self.config.gamma * scores[0].mean() - scores[1].mean()
                self.balance.add_(self.config.balance_lr * error).clamp_(0, 1)
        return loss.detach()

    def _prior(self, count: int) -> Tensor:
        shape = (count, self.config.latent_dim)
        return 2 * torch.rand(shape, generator=self.random, device=self.device) - 1

    def state(self) -> dict[str, Tensor]:
        """The generator's weights; to go on, the critic's, both optimisers' states and BEGAN's balance."""
        resume = training.with_prefix("critic.", self.critic.state_dict()) | {"balance": self.balance}
        for which, optimiser in self.optimisers.items():
            resume |= training.with_prefix(f"adam.{which}.", training.optimiser_state(optimiser))
        return super().state() | training.with_prefix(training.RESUME, resume)

    def _resume(self, state: dict[str, Tensor]) -> None:
        load_weights(self.critic, state, f"{training.RESUME}critic.")
        self.balance = state[f"{training.RESUME}balance"].to(self.device)
        for which, optimiser in self.optimisers.items():
            prefix = f"{training.RESUME}adam.{which}."
            own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            training.restore_optimiser(optimiser, own)


def _critic(size: int, channels: int, config: GANConfig) -> Critic | AutoencodingCritic:
    if isinstance(config, BEGANConfig):
        return AutoencodingCritic(size, channels, config.feature_channels)
    return Critic(size, channels, config.batch_norm, config.feature_channels)


def fit_gan(
    images: Tensor, config: GANConfig, device: torch.device | str = "cpu", path: Path | None = None
) -> tuple[InfoGANGenerator, list[GANEpoch]]:
    """Train a GAN as `fit_glo` does GLO; gives G in eval mode, for noise uniform in [-1, 1], and a record an epoch."""
    return GAN(images, config, torch.device(device)).fit(path)
