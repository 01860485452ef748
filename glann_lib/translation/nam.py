"""NAM: how images of a source domain look in the target domain, without an adversary or pairs (Sec. 4.5).

    min over T and all z_i of  sum_i  loss(T(G(z_i)), y_i)

G draws the target domain and is frozen, y_i is a source image, and the mapping T leads back from target to source. The
translation of y_i is G(z_i). A latent is found in one of three ways: free on the sphere (NAM); as T_IMLE(e) of a noise
e, so that G sees only latents as GLANN samples them; or among the latents of the target's own training images, the
memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glann_lib.config import for_count
from glann_lib.engine import devices, storage, training
from glann_lib.engine.stages import SteppedStage, batches, make_adam
from glann_lib.engine.targets import TargetsByRow
from glann_lib.losses import ReconstructionLoss, unit
from glann_lib.networks import load_weights
from glann_lib.translation.config import UP_TO_COLOUR, NAMConfig
from glann_lib.translation.losses import make_translation_loss
from glann_lib.translation.network import TranslationNetwork
from glann_lib.translation.search import Target, code_lr, first_codes, nearest_in_memory

CACHE_MIB = 1536  # what the loss network sees of the source images is kept in memory where it takes no more


@dataclass(frozen=True)
class NAMEpoch:
    """One pass over the source images: number from 1, mean loss, how many latents they share, seconds."""

    epoch: int
    loss: float
    latents_used: int
    seconds: float


@dataclass(frozen=True)
class Translator:
    """What the training leaves."""

    network: TranslationNetwork  # T, in eval mode
    target: Target
    codes: Tensor  # of the source images that it was trained on: z or e, float [N, D]
    history: list[NAMEpoch]
    config: NAMConfig
    image_shape: tuple[int, int, int]  # (C, S, S) of the source images
    precision: str  # number format of the loss network, "float32" or "bfloat16"


class NAM(SteppedStage):
    """The training of T as a stage for `training.train`; arguments and errors are those of `fit_nam`."""

    name = "nam"
    prefix = "nam_"
    record_type = NAMEpoch

    def __init__(self, images: Tensor, target: Target, config: NAMConfig, device: torch.device):
        _require_pair(images, target, config)
        config = for_count(config, len(images))
        self.config, self.epochs, self.device, self.target = config, config.epochs, device, target
        self.images_sha256 = storage.tensor_digest(images)
        self.fingerprint = storage.digest(vars(config), self.images_sha256, target.digest())
        self.images = devices.place(images, device)
        self.dtype = devices.resolve_precision("auto", device)  # of the loss network
        self.loss: ReconstructionLoss | None = None  # made when an epoch needs it
        channels = 1 if config.loss == UP_TO_COLOUR else images.shape[1]
        with devices.scoped_seed(config.seed, "nam weights"):
            identity = config.start == "identity"
            network = TranslationNetwork(images.shape[-1], target.generator.shape[0], channels, config.width, identity)
        self.network = network.to(device)
        groups = [{"params": list(self.network.parameters()), "lr": config.mapping_lr}]
        if config.search == "memory":  # every epoch chooses them anew
            self.codes = target.latents[:1].repeat(len(images), 1)
        else:
            self.codes = first_codes(len(images), target, config.search, config.seed).to(device).requires_grad_()
            groups.append({"params": [self.codes], "lr": code_lr(config.latent_lr, self.codes, config.search)})
        self.optimiser = make_adam(groups, device, betas=(config.beta1, 0.999))

    def inputs(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """Row numbers and images of each batch in a new order, a last, incomplete one left out; see `_pictures`."""
        if self.loss is None:
            self._make_loss()
        self.used = self._match() if self.config.search == "memory" else len(self.images)
        self.network.train()
        random = devices.seeded(self.config.seed, f"nam order {epoch}")
        for batch in batches(len(self.images), self.config.batch_size, random, self.device):
            yield batch, self.images[batch.to(self.images.device)].to(self.device), *self._pictures(batch)

    def step(self, batch: Tensor, images: Tensor, *drawn: Tensor) -> Tensor:
        """One step of Adam on T, and on the batch's codes where they are free; returns the mean loss."""
        pictures = unit(*drawn) if drawn else self.target.draw(self.codes[batch], self.config.search)
        loss = self.loss.compare(self.network(pictures), self.targets(batch, images)).mean()
        trained = [values for group in self.optimiser.param_groups for values in group["params"]]
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward(inputs=trained)
        self.optimiser.step()
        return loss.detach()

    @torch.no_grad()
    def end(self, epoch: int, losses: Tensor, start: float) -> NAMEpoch:
        """Codes on the sphere are put back there."""
        if self.config.search == "sphere":
            self.codes /= self.codes.norm(dim=1, keepdim=True)
        return NAMEpoch(epoch, losses.mean().item(), self.used, time.monotonic() - start)

    def trained(self) -> list[Tensor]:
        """The codes and T's weights."""
        return [self.codes, *self.network.parameters()]

    @property
    def advice(self) -> str:
        """What to change where a number is not finite."""
        return f"try a smaller nam_latent_lr (now {self.config.latent_lr:g}) or nam_mapping_lr"

    def give_up_cache(self) -> bool:
        """Free what the loss network sees of all source images; it is computed anew for each batch then."""
        return self.targets.give_up_cache()

    def _make_loss(self) -> None:
        self.loss = make_translation_loss(self.config.loss, self.images.shape[-1], self.dtype).to(self.device)
        self.targets = TargetsByRow(self.loss.targets_of, self.images, self.device, CACHE_MIB)
        if self.config.search == "memory":
            self.memory = devices.place(self.target.memory, self.device)

    def _match(self) -> int:
        """Give each source image the latent of the memory whose T(G(z)) is nearest; returns how many were chosen."""
        self.rows = nearest_in_memory(self.network, self.loss, self.memory, self.images, k=1)[:, 0]
        self.codes = self.target.latents[self.rows]
        return len(self.rows.unique())

    def _pictures(self, batch: Tensor) -> tuple[Tensor, ...]:
        """G(z) of the batch's codes, uint8, where the memory holds them: they are not drawn again."""
        if self.config.search != "memory":
            return ()
        return (self.memory[self.rows[batch].to(self.memory.device)].to(self.device),)

    def state(self) -> dict[str, Tensor]:
        """T's weights and the codes; to go on, the optimiser's state."""
        state = training.with_prefix("network.", self.network.state_dict())
        return state | {"codes": self.codes.detach()} | training.optimiser_state(self.optimiser)

    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take back `state`, and the number format that the training began with."""
        self.dtype = getattr(torch, facts.get("precision", "float32"))  # earlier versions did not record it
        load_weights(self.network, state, "network.")
        with torch.no_grad():
            self.codes.copy_(state["codes"])
        if any(name.startswith(training.RESUME) for name in state):
            training.restore_optimiser(self.optimiser, state)

    def facts(self) -> dict[str, Any]:
        """Settings, images and number format."""
        own = {"image_shape": list(self.images.shape[1:]), "images_sha256": self.images_sha256}
        return super().facts() | own


def fit_nam(
    images: Tensor, target: Target, config: NAMConfig, device: torch.device | str = "cpu", path: Path | None = None
) -> Translator:
    """Learn T and the codes of the source images, uint8 [N, C, S, S], with progress shown.

    The target is on `device`, at the same size; its channels may be others. Checkpoints and the result go to `path`,
    *.safetensors; what is finished there is not trained again. ValueError: fewer than 2 images, domains of
    different size, a search without its mapper, or a damaged checkpoint. FloatingPointError: a loss or weight is not
    finite; names epoch and batch.
    """
    stage = NAM(images, target, config, torch.device(device))
    history = training.run(stage, path)
    codes, shape = stage.codes.detach(), tuple(images.shape[1:])
    return Translator(stage.network.eval(), target, codes, history, stage.config, shape, stage.facts()["precision"])


def _require_pair(images: Tensor, target: Target, config: NAMConfig) -> None:
    """A ValueError says what does not go together of a source domain's images and a target's generator."""
    size, (channels, drawn, _) = images.shape[-1], target.generator.shape
    square = images.dim() == 4 and images.shape[2] == images.shape[3]
    if images.dtype != torch.uint8 or not square or images.shape[1] not in (1, 3):
        raise ValueError(f"source images are {images.dtype} {list(images.shape)}: give uint8 [N, C, S, S], C 1 or 3")
    if size != drawn:
        raise ValueError(
            f"source images are {size} px, the target's generator draws {drawn} px ({channels} channels): "
            "load both domains at one size (image_size)"
        )
    if config.search == "noise" and target.mapper is None:
        raise ValueError("the search noise needs IMLE's mapping: give Target its mapper, or search memory or sphere")
