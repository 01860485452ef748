"""What training a GAN and a VAE share: codes from a prior, and a budget in steps of the generator."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from glann_lib.config import for_count
from glann_lib.engine import devices, storage, training
from glann_lib.engine.stages import SteppedStage, batches, make_adam
from glann_lib.networks import load_weights
from glann_lib.rivals.config import GANConfig, VAEConfig


class GeneratorStage(SteppedStage):
    """Half a stage: a subclass sets `generator` and `networks`, adds `_prior`, `_given`, `step` and `_resume`.

    `name` is that of files, messages and random streams. Fewer than 2 images are a ValueError.
    """

    generator: nn.Module
    networks: Sequence[nn.Module]  # all that are trained
    record_type: type  # epoch, the means of the terms that `step` gives, seconds

    def __init__(self, images: Tensor, config: GANConfig | VAEConfig, name: str, device: torch.device):
        config = for_count(config, len(images))
        self.config, self.name, self.device = config, name, device
        self.fingerprint = storage.digest(dataclasses.asdict(config), storage.tensor_digest(images))
        self.images = devices.place(images, device)
        self.dtype = devices.resolve_precision(config.precision, device)
        self.epoch_steps = len(images) // config.batch_size
        self.epochs = math.ceil(config.steps / self.epoch_steps)

    def inputs(self, epoch: int) -> Iterable[tuple[Tensor, ...]]:
        """Images in a new order, an incomplete batch left out, and noise; the budget may cut the last epoch short."""
        noise_seed = devices.seeded(self.config.seed, f"{self.name} noise {epoch}").initial_seed()
        self.random = torch.Generator(self.device).manual_seed(noise_seed)
        for network in self.networks:
            network.train()
        steps = min(self.epoch_steps, self.config.steps - (epoch - 1) * self.epoch_steps)
        order = self._batches(devices.seeded(self.config.seed, f"{self.name} epoch {epoch}"))
        return (self._given(batch) for batch in order[:steps])

    def _batches(self, random: torch.Generator) -> Sequence[Any]:
        """What each step of an epoch takes: row numbers of images."""
        return batches(len(self.images), self.config.batch_size, random, self.images.device)

    def _given(self, batch: Any) -> tuple[Tensor, ...]:
        """The inputs of one step, of what `_batches` says."""
        raise NotImplementedError

    def _adam(self, *networks: nn.Module) -> torch.optim.Adam:
        weights = [values for network in networks for values in network.parameters()]
        betas = self.config.beta1, self.config.beta2
        return make_adam([{"params": weights, "lr": self.config.lr}], self.device, betas=betas)

    def _descend(self, optimiser: torch.optim.Adam, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward(inputs=optimiser.param_groups[0]["params"])
        optimiser.step()

    def _prior(self, count: int) -> Tensor:
        """Codes [count, latent_dim] from the prior, by the epoch's stream `self.random`."""
        raise NotImplementedError

    def end(self, epoch: int, losses: Tensor, start: float) -> Any:
        """The means of losses [steps, terms]; at the very end the generator is made ready for samples."""
        if epoch == self.epochs:
            # Samples come from the prior, in eval mode: BatchNorm's averages must be the prior's, by the last weights.
            update_bn([self._prior(1024) for _ in range(2)], self.generator)
        return self.record_type(epoch, *losses.mean(0).tolist(), time.monotonic() - start)

    def trained(self) -> Iterable[Tensor]:
        """The generator's weights."""
        return self.generator.parameters()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def state(self) -> dict[str, Tensor]:
        """The generator's weights."""
        return training.with_prefix("generator.", self.generator.state_dict())

    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take back `state`, and the number format that the training began with."""
        self.dtype = getattr(torch, facts["precision"])
        load_weights(self.generator, state, "generator.")
        if any(name.startswith(training.RESUME) for name in state):  # else it is finished: G alone was kept
            self._resume(state)

    def _resume(self, state: dict[str, Tensor]) -> None:
        """Take back what only training needs."""
        raise NotImplementedError

    def fit(self, path: Path | None) -> tuple[nn.Module, list[Any]]:
        """Train to the end; the generator in eval mode, and a record an epoch."""
        history = training.run(self, path)
        return self.generator.eval(), history
