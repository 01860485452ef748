"""A density of the codes by flow matching (Lipman et al. 2023), to be held against IMLE's means of codes.

    x_t = (1 - t) e + t z,   v = arg min over v of E ||v(x_t, t) - (z - e)||^2,   dx/dt = v(x, t) from e to a new code

with noise e ~ N(0, I) of a code's own dimensions and t uniform in [0, 1]. Codes are scaled to N(0, I)'s mean length.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from glann_lib.config import for_count
from glann_lib.engine import devices
from glann_lib.engine.checks import require_count, require_positive
from glann_lib.engine.stages import SteppedStage, batches, fall_to_zero, make_adam
from glann_lib.networks import unit_length
from glann_lib.sampling import run_blocks

TURNS = 16  # frequencies by which the network is told t
AVERAGED = 0.995  # of the averaged weights that stay at a step


@dataclass(frozen=True)
class FlowConfig:
    """Settings of the flow; a field out of its range is a ValueError."""

    steps: int = 2000  # of Adam, to the next whole epoch
    batch_size: int = 256  # codes
    lr: float = 1.0e-3  # Adam's first step, which falls to 0 by half a cosine
    hidden_dim: int = 256  # width of the network
    blocks: int = 3  # residual ones
    path_steps: int = 20  # of Heun's method from noise to code
    seed: int = 0

    def __post_init__(self) -> None:
        require_count(self, "steps", "batch_size", "hidden_dim", "blocks", "path_steps")
        require_positive(self, "lr")


@dataclass(frozen=True)
class FlowEpoch:
    """One pass over the codes: number from 1, mean squared error of the velocity, seconds."""

    epoch: int
    loss: float
    seconds: float


class Velocity(nn.Module):
    """v: points [N, D] and times [N] to velocities [N, D], by residual blocks that are told the time."""

    def __init__(self, dim: int, config: FlowConfig):
        super().__init__()
        width = config.hidden_dim
        self.enter, self.leave = nn.Linear(dim, width), nn.Linear(width, dim)
        self.time = nn.Sequential(nn.Linear(2 * TURNS, width), nn.SiLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(config.blocks)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Velocities [N, D]."""
        angles = t.unsqueeze(1) * (math.pi / 2 * torch.arange(1, TURNS + 1, device=t.device))
        told, hidden = self.time(torch.cat([angles.sin(), angles.cos()], 1)), self.enter(x)
        for block in self.blocks:
            hidden = hidden + block(hidden + told)
        return self.leave(hidden)


class Flow(SteppedStage):
    """The flow as a stage for `training.train`, on codes [N, D], N at least 2."""

    name = "flow"
    record_type = FlowEpoch
    small = True

    def __init__(self, latents: Tensor, config: FlowConfig, device: torch.device):
        config = for_count(config, len(latents))
        self.config, self.device = config, device
        self.epochs = math.ceil(config.steps / (len(latents) // config.batch_size))
        self.codes = latents.float().to(device) * latents.shape[1] ** 0.5
        with devices.scoped_seed(config.seed, "flow weights"):
            self.network = Velocity(latents.shape[1], config).to(device)
        # Not torch's AveragedModel: its step count lies on the CPU, which no recorded step may look at.
        self.averaged, self.average = copy.deepcopy(self.network), get_ema_multi_avg_fn(AVERAGED)
        self.optimiser = make_adam([{"params": list(self.network.parameters()), "lr": config.lr}], device)

    def inputs(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Codes, noise and times of each batch."""
        random = devices.seeded(self.config.seed, f"flow epoch {epoch}")
        fall_to_zero(self.optimiser, self.config.lr, (epoch - 1) / self.epochs)
        for batch in batches(len(self.codes), self.config.batch_size, random, self.device):
            codes = self.codes[batch]
            noise, t = torch.randn(codes.shape, generator=random), torch.rand(len(codes), generator=random)
            yield codes, noise.to(self.device), t.to(self.device)

    def step(self, codes: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """One step of Adam on v; the mean squared error."""
        found = self.network(torch.lerp(noise, codes, t.unsqueeze(1)), t)
        loss = nn.functional.mse_loss(found, codes - noise)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.average(list(self.averaged.parameters()), list(self.network.parameters()), None)
        return loss.detach()

    def end(self, epoch: int, losses: Tensor, start: float) -> FlowEpoch:
        """The mean error."""
        return FlowEpoch(epoch, losses.mean().item(), time.monotonic() - start)

    def trained(self) -> Iterator[Tensor]:
        """The network's weights."""
        return self.network.parameters()


class Path(nn.Module):
    """The way from noise to code along a velocity, by Heun's method in equal steps."""

    def __init__(self, velocity: Velocity, steps: int):
        super().__init__()
        self.velocity, self.times = velocity, torch.linspace(0, 1, steps + 1).tolist()

    def forward(self, x: Tensor) -> Tensor:
        """Codes [N, D] on the unit sphere of noises [N, D]."""
        for now, then in itertools.pairwise(self.times):
            first = self.velocity(x, x.new_full((len(x),), now))
            second = self.velocity(x + (then - now) * first, x.new_full((len(x),), then))
            x = x + (then - now) * (first + second) / 2
        return unit_length(x)


def follow(flow: Flow, noise: Tensor) -> Tensor:
    """New codes on the unit sphere, float32 [N, D] on the CPU, from noises [N, D] drawn from N(0, I)."""
    return run_blocks(Path(flow.averaged, flow.config.path_steps), noise)
