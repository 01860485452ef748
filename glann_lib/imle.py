"""Stage 2, Implicit Maximum Likelihood Estimation in the latent space (Sec. 3.4.2): learn the mapping T.

    e_t = arg min over e_m of ||z_t - T(e_m)||^2     (Eq. 4)
    T   = arg min over T of sum_t ||z_t - T(e_t)||^2  (Eq. 5)

Each epoch draws new noises, finds for every latent the nearest mapped noise, and moves T so that it comes nearer. Every
latent pulls some noise towards itself: none can be left out, so no mode is dropped.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from glann_lib.config import IMLEConfig, for_count
from glann_lib.engine import devices, ranks, storage, training
from glann_lib.engine.stages import SteppedStage, batches, make_adam
from glann_lib.moments import Mapper, MatchedMapper, make_mapper
from glann_lib.neighbours import Neighbours, nearest_neighbours
from glann_lib.networks import load_weights

WATCHED = 500  # noises whose mapped latents are kept at epochs 1, 2, 4, 8, ...


@dataclass(frozen=True)
class IMLEEpoch:
    """One epoch of stage 2."""

    epoch: int  # from 1
    loss: float  # mean of (z_t - T(e_t))^2 over latents and dimensions, while T moves
    distance: float  # mean of ||z_t - T(e_t)|| right after the search, before T moves
    matched: float  # part of the drawn noises that some latent chose, 0 to 1 / noise_per_latent
    seconds: float


@dataclass(frozen=True)
class Mapping:
    """What stage 2 leaves."""

    mapper: Mapper  # T, in eval mode; with the codes' moments where the settings say so
    history: list[IMLEEpoch]
    snapshots: dict[int, Tensor]  # epoch -> T(e) [WATCHED, latent_dim] of noises that stay the same
    config: IMLEConfig


class IMLE(SteppedStage):
    """Stage 2 as a stage for `training.train`.

    Args:
        latents: [N, latent_dim], from stage 1; all of them in every process, each of which keeps its share.
        config: settings.
        device: where to train.

    Raises:
        ValueError: fewer than 2 latents.
    """

    name = "imle"
    prefix = "imle_"
    record_type = IMLEEpoch
    shared = True
    watched = WATCHED
    block: int | None = None  # noises that are mapped at once to be matched; None: all
    small = True  # whether a step is so little work that one thread does it fastest

    def __init__(self, latents: Tensor, config: IMLEConfig, device: torch.device):
        if not torch.isfinite(latents).all():
            raise ValueError("the latents hold values that are not finite: train stage 1 with a smaller latent_lr")
        config = for_count(config, len(latents))
        self.config, self.epochs, self.device = config, config.epochs, device
        digest = storage.tensor_digest(latents)
        ranks.part(config.batch_size)  # refuses batches that cannot be shared
        ranks.require_same(digest, "latents")
        self.fingerprint = storage.digest(dataclasses.asdict(config), digest)
        self.count, self.latents = len(latents), ranks.own(latents).to(device)
        with devices.scoped_seed(config.seed, "imle weights"):
            self.drawn_from = self._make_mapper().to(device)  # T, or T and what follows it
        self.mapper = self.drawn_from.mapper if isinstance(self.drawn_from, MatchedMapper) else self.drawn_from
        groups = [{"params": list(self.mapper.parameters()), "lr": config.lr}]
        own = {"betas": (config.beta1, 0.999), "weight_decay": config.weight_decay}
        self.optimiser = make_adam(groups, device, **own)
        self.snapshots: dict[int, Tensor] = {}

    def _make_mapper(self) -> nn.Module:
        return make_mapper(self.config, self.latents.shape[1])

    def inputs(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Draw noises and match every latent to its nearest (Eq. 4); each batch's noises and latents in a new order."""
        random = devices.seeded(self.config.seed, f"imle epoch {epoch}")
        noise = torch.randn(self.config.noise_per_latent * self.count, self.config.noise_dim, generator=random)
        self.noise = noise.to(self.device)
        try:
            self.matched = self.match(self.noise)
        except ValueError:  # T has grown so large that what it gives overflows
            where = f"T(e) not finite in epoch {epoch}, before batch 1"
            raise FloatingPointError(f"{self.name}: {where}: {self.advice}") from None
        # Of all latents, also those of other processes: which noises they chose may travel, they themselves do not.
        index = ranks.whole(self.matched.index[:, 0], self.count, everywhere=True).to(self.device)
        self.mapper.train()
        parts = batches(self.count, self.config.batch_size, random, self.device)
        return ((self.noise[index[batch]], self.latents[ranks.mine(batch)]) for batch in parts)

    def step(self, noise: Tensor, latents: Tensor) -> Tensor:
        """One step of Adam on T (Eq. 5), from matched noises [B, noise_dim] to latents [B, latent_dim]; the loss.

        Several processes map all of the batch's noises, each with its own latents to compare with: so BatchNorm sees
        the whole batch, and as gradients are linear in those of T(e), they only need to be added up.
        """
        mapped = self.mapper(noise).split(len(latents))[ranks.rank()]
        loss = torch.nn.functional.mse_loss(mapped, latents)
        self.optimiser.zero_grad(set_to_none=True)
        (loss / ranks.count()).backward()
        ranks.add_up(weights.grad for weights in self.mapper.parameters())
        self.optimiser.step()
        return loss.detach()

    def end(self, epoch: int, losses: Tensor, start: float) -> IMLEEpoch:
        """What the search found, and T made ready for use after epochs 1, 2, 4, 8, ..."""
        noise, match = self.noise, self.matched
        del self.noise, self.matched
        if epoch & (epoch - 1) == 0 or epoch == self.epochs:
            # From here T maps in eval mode: BatchNorm's averages must be those of noise as it is drawn, not as chosen.
            update_bn(self._blocks(noise), self.mapper)
            self._match_moments(noise)
            self.snapshots[epoch] = self._map_watched()
        chosen = torch.zeros(len(noise), dtype=torch.uint8, device=self.device).index_fill_(0, match.index[:, 0], 1)
        ranks.add_up([chosen], most=True)
        distance = match.distance.sum() / self.count
        ranks.add_up([distance])
        chosen = chosen.sum().item() / len(noise)
        return IMLEEpoch(epoch, losses.mean().item(), distance.item(), chosen, time.monotonic() - start)

    def trained(self) -> Iterator[Tensor]:
        """T's weights."""
        return self.mapper.parameters()

    @torch.no_grad()
    def match(self, noise: Tensor) -> Neighbours:
        """For every latent the noise whose image under T is nearest, exactly (Eq. 4).

        BatchNorm takes its statistics from all the drawn noises. (With running averages instead, which training fills
        from chosen noises only, a few noises get chosen more and more until T collapses.)
        """
        return nearest_neighbours(self.latents, self.mapped(noise))

    @torch.no_grad()
    def mapped(self, noise: Tensor) -> Tensor:
        """T of all noises, [M, latent_dim], as `match` sees it."""
        self.mapper.train()
        return torch.cat([self.mapper(block) for block in self._blocks(noise)])

    def _blocks(self, noise: Tensor) -> tuple[Tensor, ...]:
        """Parts of nearly equal size: BatchNorm takes its statistics from each of them."""
        return noise.chunk(math.ceil(len(noise) / self.block)) if self.block else (noise,)

    @torch.no_grad()
    def _match_moments(self, noise: Tensor) -> None:
        if isinstance(self.drawn_from, MatchedMapper):
            self.mapper.eval()
            self.drawn_from.match(self.latents, torch.cat([self.mapper(block) for block in self._blocks(noise)]))

    @torch.no_grad()
    def _map_watched(self) -> Tensor:
        random = devices.seeded(self.config.seed, "imle watched")
        noise = torch.randn(self.watched, self.config.noise_dim, generator=random)
        return self.drawn_from.eval()(noise.to(self.device)).cpu()

    def state(self) -> dict[str, Tensor]:
        """Weights, snapshots and the optimiser's state."""
        state = training.with_prefix("mapper.", self.drawn_from.state_dict())
        state |= {f"snapshots.{epoch}": latents for epoch, latents in self.snapshots.items()}
        return state | training.optimiser_state(self.optimiser)

    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take back `state`."""
        load_weights(self.drawn_from, state, "mapper.")
        self.snapshots = training.snapshots(state)
        training.restore_optimiser(self.optimiser, state)

    def facts(self) -> dict[str, Any]:
        """The settings."""
        return {"config": dataclasses.asdict(self.config), "latent_dim": self.latents.shape[1]}


def fit_imle(
    latents: Tensor, config: IMLEConfig, device: torch.device | str = "cpu", path: Path | None = None
) -> Mapping:
    """Learn T: noise -> latents (Eq. 4 and 5), with progress shown.

    Args:
        latents: [N, latent_dim], finite; from `glo.fit_glo`.
        config: settings.
        device: where to train.
        path: *.safetensors for checkpoints and the result; what is finished there is not trained again.

    Raises:
        ValueError: fewer than 2 latents; a latent that is not finite; a damaged checkpoint.
        FloatingPointError: a loss is not finite; names epoch and batch.
    """
    stage = IMLE(latents, config, torch.device(device))
    history = training.run(stage, path)
    return Mapping(stage.drawn_from.eval(), history, stage.snapshots, stage.config)


def load_mapping(path: Path, device: torch.device | str = "cpu") -> Mapping:
    """The finished stage 2 that `fit_imle` left at `path`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged or holds something else.
    """
    state, record = training.finished(path, IMLE.name, "an IMLE mapping")
    config = IMLEConfig(**record["config"])
    mapper = make_mapper(config, record["latent_dim"])
    load_weights(mapper, state, "mapper.")
    history = [IMLEEpoch(**row) for row in record["history"]]
    return Mapping(mapper.to(device).eval(), history, training.snapshots(state), config)
