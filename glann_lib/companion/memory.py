"""What stage 1 takes of a machine's memory, known before it starts: a step of it, its images, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from glann_lib.companion import timing
from glann_lib.companion.timing import Shape
from glann_lib.config import LEAST_IMAGES, GLOConfig, for_count
from glann_lib.engine import devices, memory
from glann_lib.engine.stages import make_adam
from glann_lib.engine.targets import TargetCache
from glann_lib.glo import GLO, generator_of
from glann_lib.losses import ReconstructionLoss, loss_of

GIB = 2**30
BESIDE = 3 * GIB // 4  # bytes for the program itself and for what kernels ask for beside tensors


def step_bytes(
    shape: Shape, config: GLOConfig, dtype: torch.dtype, device: torch.device = timing.CPU, images: int | None = None
) -> int:
    """The most bytes that stage 1 takes on a device: G, the loss, Adam, the images and their latents, and a step.

    Args:
        shape: of an image.
        config: settings; ImageNet weights count as much as random ones, so none are read.
        dtype: number format of the networks.
        device: where to train.
        images: to train on; None: one batch. What the loss sees of them is counted where `config` has it kept.
    """
    config = timing.plain(for_count(config, images or config.batch_size))
    with torch.device("meta"):
        networks = generator_of(shape, config), loss_of(config, shape[-1], dtype)

    def make() -> Callable[[], Any]:
        count = images or config.batch_size
        stage = _stage(networks, count, config, dtype, device)
        stage.images = devices.place(torch.empty(count, *shape, dtype=torch.uint8), device)
        stage.cache = _cache(stage.loss, stage.images, config, device)
        rows = torch.arange(config.batch_size, device=device)
        return lambda: GLO.step(stage, rows, stage.images[rows.to(stage.images.device)].to(device))

    return memory.peak_bytes(make, device)


def _stage(networks: Any, count: int, config: GLOConfig, dtype: torch.dtype, device: torch.device) -> Any:
    """All that a step of `GLO` asks its stage for, without a number in it."""
    generator, loss = (memory.unreal(network, device) for network in networks)
    latents = torch.empty(count, config.latent_dim, device=device).requires_grad_()
    latents.grad = torch.zeros_like(latents)
    groups = [{"params": values, "lr": 1e-3} for values in ([latents], list(generator.parameters()))]
    optimiser = make_adam(groups, device, betas=(config.beta1, 0.999))

    def targets(rows: Tensor, images: Tensor) -> list[Tensor]:
        return loss.targets_of(images)

    stage = {"generator": generator, "loss": loss, "latents": latents, "optimiser": optimiser, "targets": targets}
    return SimpleNamespace(**stage, device=device, dtype=dtype)


def _cache(loss: ReconstructionLoss, images: Tensor, config: GLOConfig, device: torch.device) -> Tensor | None:
    size = TargetCache.size(loss.targets_of, images, device)
    kept = size <= devices.memory_budget(config.cache_mib, device)
    return torch.empty(size, dtype=torch.uint8, device=device) if kept else None


def check(shape: Shape, config: GLOConfig, images: int, device: torch.device, processes: int = 1) -> None:
    """Refuse, by a ValueError of one line, what would not fit into the memory that is free on the device.

    Args:
        shape: of an image.
        config: settings.
        images: to train on.
        device: where to train; nothing is refused where the system does not tell how much is free.
        processes: that share batches and images; each has a device of its own, or on processors all have the same.
    """
    free = memory.free_bytes(device)
    if free is None:
        return
    dtype = devices.resolve_precision(config.precision, device)
    where = device if device.type == "cuda" else timing.CPU
    config = for_count(config, images)
    own = replace(config, batch_size=max(LEAST_IMAGES, -(-config.batch_size // processes)))
    needed = step_bytes(shape, own, dtype, where, max(LEAST_IMAGES, -(-images // processes))) + BESIDE
    needed *= 1 if where.type == "cuda" else processes
    if needed > free:
        words = f"{shape[-1]} px: a step of stage 1 takes {needed / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free"
        raise ValueError(f"{words} on {device.type}: set {_ways_out(config)}")


def _ways_out(config: GLOConfig) -> str:
    """What to set for less memory, with the values that come next."""
    ways = [f"glo_batch_size={config.batch_size // 2}"] if config.batch_size >= 4 else []
    if config.generator == "resnet":
        ways += [] if config.checkpointing else ["glo_checkpointing=True"]
        ways += [f"glo_resnet_channels={config.resnet_channels // 2}"] if config.resnet_channels > 1 else []
    return f"{', '.join(ways)}, or a smaller image_size" if ways else "a smaller image_size"
