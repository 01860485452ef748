"""How fast this machine is, next to the one that `costs` counts in: a few real steps of both stages, some seconds.

What a GPU speeds up is timed on it. The start of a kernel, imports and plots stay on the processor, so the small steps
count half as timed on the device and half as timed on the processor.
"""

from __future__ import annotations

from typing import Any

import torch

from glann_lib.companion import costs
from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine import devices
from glann_lib.glo import GLO
from glann_lib.imle import IMLE

IMAGES, PIXELS = 256, 28  # of stage 1
LATENTS = 2560  # of stage 2
UNTIMED, TIMED = 1, (3, 5)  # epochs: the first also sets up the kernels; at powers of two a stage keeps snapshots
EPOCHS = 7


def measure(device: str = "auto") -> costs.Speed:
    """Time this machine, silently.

    Args:
        device: "auto", "cuda", "mps" or "cpu", where the notebooks would run.

    Raises:
        ValueError: this machine lacks the device.
    """
    chosen, processor = devices.select_device(device), torch.device("cpu")
    networks = glo_seconds(chosen) / costs.seconds(_reference_glo(), costs.REFERENCE)
    small = costs.seconds(_reference_imle(), costs.REFERENCE)
    rest = imle_seconds(chosen) / small
    if chosen != processor:
        rest = (rest + imle_seconds(processor) / small) / 2
    return costs.Speed(networks, rest, f"by steps timed just now on this machine, {chosen.type}")


def glo_seconds(device: torch.device) -> float:
    """Seconds of an epoch of a small stage 1 with a perceptual loss."""
    random = devices.seeded(0, "speed images")
    images = torch.randint(0, 256, (IMAGES, 1, PIXELS, PIXELS), generator=random, dtype=torch.uint8)
    return _epoch_seconds(GLO(images, _glo_config(), device))


def imle_seconds(device: torch.device) -> float:
    """Seconds of an epoch of a small stage 2."""
    latents = torch.randn(LATENTS, GLOConfig().latent_dim, generator=devices.seeded(0, "speed latents"))
    return _epoch_seconds(IMLE(latents / latents.norm(dim=1, keepdim=True), IMLEConfig(epochs=EPOCHS), device))


def _epoch_seconds(stage: Any) -> float:
    """The fewest seconds of the timed epochs: whatever else the machine does meanwhile only adds to them."""
    stage.run_epoch(UNTIMED)
    return min(stage.run_epoch(epoch).seconds for epoch in TIMED)


def _glo_config() -> GLOConfig:
    return GLOConfig(loss="random-vgg16", epochs=EPOCHS, batch_size=128)


def _reference_glo() -> costs.Work:
    settings = GLOConfig(loss="random-vgg16", epochs=1, batch_size=128)
    return costs.glo_work(settings, IMAGES, PIXELS, grey=True)


def _reference_imle() -> costs.Work:
    return costs.imle_work(IMLEConfig(epochs=1), LATENTS)
