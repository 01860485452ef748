"""Stage 1, Generative Latent Optimisation (Sec. 3.4.1, Eq. 3): embed the images, train the generator.

    min over G and all z_i of  sum_i  loss(G(z_i), x_i)   such that ||z_i|| = 1

There is no encoder: every training image owns a latent, and Adam moves latents and generator together. Latents are put
back on the sphere at the end of each epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glann_lib.config import GLOConfig, for_count
from glann_lib.engine import devices, ranks, storage, training
from glann_lib.engine.stages import SteppedStage, batches, make_adam, set_step_size
from glann_lib.engine.targets import TargetsByRow
from glann_lib.losses import ReconstructionLoss, loss_of
from glann_lib.moments import principal_codes
from glann_lib.networks import InfoGANGenerator, VoxelGenerator, load_weights, make_generator
from glann_lib.resnet import ResNetGenerator
from glann_lib.sampling import GaussianSampler, decode

WATCHED = 10  # images whose reconstructions are kept at epochs 1, 2, 4, 8, ...
SHOWN, SEEN = 12, 8  # times that a training is shown to who watches it, and images of each kind then
WARM_UP = 0.05  # part of the training in which the cosine schedule's steps grow
OF_LATENTS = tuple(f"{training.RESUME}optimiser.0.exp_avg{ending}" for ending in ("", "_sq"))  # Adam's moments
Generator = InfoGANGenerator | ResNetGenerator | VoxelGenerator


@dataclass(frozen=True)
class GLOEpoch:
    """One epoch of stage 1: number from 1, mean loss, the latents' step size in its last step, seconds."""

    epoch: int
    loss: float
    latent_lr: float
    seconds: float


@dataclass(frozen=True)
class Embedding:
    """What stage 1 leaves."""

    generator: Generator  # G, in eval mode
    latents: Tensor  # [N, latent_dim] on the unit sphere, one row a training image
    history: list[GLOEpoch]
    snapshots: dict[int, Tensor]  # epoch -> uint8 [WATCHED, *shape], G(z) of the first training images (or shapes)
    config: GLOConfig
    images_sha256: str  # of the images that it was trained on, by storage.tensor_digest
    precision: str  # number format of the training, "float32" or "bfloat16"


class GLO(SteppedStage):
    """Stage 1 as a stage for `training.train`.

    Args:
        images: uint8 [N, C, S, S], or voxels bool [N, S, S, S].
        config: settings.
        device: where to train.
        loss: in place of `config.loss`; its weights decide whether a checkpoint is taken up.

    Raises:
        ValueError: fewer than 2 images, a size without generator, or coarse epochs with a loss that is given.
    """

    name = "glo"
    prefix = "glo_"
    record_type = GLOEpoch
    shared = True

    def __init__(self, images: Tensor, config: GLOConfig, device: torch.device, loss: ReconstructionLoss | None = None):
        require_kind(images)
        if config.coarse_epochs and (loss is not None or images.dtype == torch.bool):
            raise ValueError(f"coarse_epochs is {config.coarse_epochs}: give 0 with shapes, or with a loss of your own")
        config = for_count(config, len(images))
        self.config, self.epochs, self.device, self.graphs = config, config.epochs, device, config.graphs
        self.count, self.image_shape = len(images), list(images.shape[1:])
        ranks.part(config.batch_size)  # refuses batches that cannot be shared
        self.images_sha256 = storage.tensor_digest(images)
        ranks.require_same(self.images_sha256, "images")
        own = [[loss.power, *(storage.tensor_digest(v.float()) for v in loss.state_dict().values())]] if loss else []
        self.fingerprint = storage.digest(config.decisive(), self.images_sha256, *own)
        self.dtype = devices.resolve_precision(config.precision, device)
        self.given = loss
        self.loss: ReconstructionLoss | None = None  # made when an epoch needs it: a finished training does not
        with devices.scoped_seed(config.seed, "glo weights"):
            self.generator = generator_of(images.shape[1:], config).to(device)
            start = torch.randn(len(images), config.latent_dim) * config.latent_init_std
            if config.latent_init == "pca":
                start = principal_codes(images, start)
        self.images = devices.place(ranks.own(images), device)
        self.latents = ranks.own(start).to(device).requires_grad_()
        self.latents.grad = torch.zeros_like(self.latents)
        # Adam over all latents and G: rows that are not in the batch go on by their momentum (released code).
        groups = [{"params": values, "lr": 0.0} for values in ([self.latents], list(self.generator.parameters()))]
        self.optimiser = make_adam(groups, device, betas=(config.beta1, 0.999))
        self.snapshots: dict[int, Tensor] = {}
        self.epoch = 0  # the last that was trained here, not restored

    def inputs(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Row numbers [B] and images of each batch in a new order; a last, incomplete one is left out (released code).

        Each batch sets the steps of Adam on its way.
        """
        if self.loss is None:
            self._make_loss(epoch)
        if self.config.optimiser == "official":
            training.reset_optimiser(self.optimiser)
        self.generator.train()
        random = devices.seeded(self.config.seed, f"glo order {epoch}")
        parts = batches(self.count, self.config.batch_size, random, self.device)
        for number, batch in enumerate(parts):
            self.latent_lr = self._set_learning_rate(epoch - 1 + (number + 0.5) / len(parts))
            own = ranks.mine(batch)
            yield own, self.images[own.to(self.images.device)].to(self.device)

    def step(self, batch: Tensor, images: Tensor) -> Tensor:
        """One step of Adam on G and on all latents, with the gradients of `batch`, row numbers [B]; the mean loss."""
        latents = self.latents.detach()[batch].requires_grad_()
        with ranks.step():
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                generated = self.generator(latents)
            loss = self.loss.compare(generated.float(), self.targets(batch, images)).mean()
            self.generator.zero_grad(set_to_none=True)
            (loss / ranks.count()).backward()
        ranks.add_up(weights.grad for weights in self.generator.parameters())
        # The rest of the latents' gradient is zero and stays so: only the batch's rows are written, and cleared again.
        self.latents.grad.index_copy_(0, batch, latents.grad)
        self.optimiser.step()
        self.latents.grad.index_fill_(0, batch, 0)
        return loss.detach()

    @torch.no_grad()
    def end(self, epoch: int, losses: Tensor, start: float) -> GLOEpoch:
        """Latents back on the sphere; the first images' reconstructions after epochs 1, 2, 4, 8, ..."""
        self.epoch = epoch
        self.latents /= self.latents.norm(dim=1, keepdim=True)
        if epoch == self.config.coarse_epochs:  # the next epoch makes its own
            self.loss = self.targets = None
            self.recording.drop()
        if epoch & (epoch - 1) == 0 or epoch == self.epochs:
            self.snapshots[epoch] = self._reconstruct_watched()
        return GLOEpoch(epoch, losses.mean().item(), self.latent_lr, time.monotonic() - start)

    def trained(self) -> list[Tensor]:
        """The latents' lengths, whose logarithm shows those of 0, too, and those that overflowed, and G's weights."""
        return [self.latents.detach().norm(dim=1).log(), *self.generator.parameters()]

    @property
    def advice(self) -> str:
        """What to change where a number is not finite."""
        return f"try a smaller glo_latent_lr (now {self.config.latent_lr:g}), or glo_precision=float32"

    @property
    def memory_advice(self) -> str:
        """What to change where a step does not fit into memory."""
        return f"{super().memory_advice} or glo_cache_mib (now {self.config.cache_mib})"

    def give_up_cache(self) -> bool:
        """Free what the loss network sees of all images; it is computed anew for each batch then."""
        return self.targets.give_up_cache()

    def _make_loss(self, epoch: int) -> None:
        """The loss network, and what it sees of all images where that fits into the memory set aside for it."""
        coarse = epoch <= self.config.coarse_epochs
        self.loss = (self.given or loss_of(self.config, self.images.shape[-1], self.dtype, coarse)).to(self.device)
        self.targets = TargetsByRow(self.loss.targets_of, self.images, self.device, self.config.cache_mib)

    def _set_learning_rate(self, passes: float) -> float:
        """Give the optimiser its steps after so many passes over the images; returns that of the latents."""
        latent_lr = step_size(self.config, passes)
        for group, ratio in zip(self.optimiser.param_groups, (1.0, self.config.generator_lr_ratio), strict=True):
            set_step_size(group, latent_lr * ratio)
        return latent_lr

    def draw(self) -> tuple[Tensor, Tensor]:
        """The first images redrawn, and as many new ones, of codes from a Gaussian fitted to the codes (Sec. 3.3)."""
        latents = ranks.whole(self.latents.detach(), self.count, everywhere=True)
        known, new = latents[:SEEN], GaussianSampler(latents).sample(SEEN, self.config.seed)
        return decode(self.generator, known), decode(self.generator, new)

    @torch.no_grad()
    def _reconstruct_watched(self) -> Tensor:
        watched = min(WATCHED, self.count)
        latents = ranks.whole(self.latents[: ranks.shares(watched)[ranks.rank()]], watched, everywhere=True)
        return (self.generator.eval()(latents.to(self.device)) * 255).round().to(torch.uint8).cpu()

    def state(self) -> dict[str, Tensor]:
        """Weights, latents, snapshots, and the optimiser's state where it is kept from epoch to epoch."""
        state = training.with_prefix("generator.", self.generator.state_dict())
        state["latents"] = ranks.whole(self.latents, self.count)
        state |= {f"snapshots.{epoch}": images for epoch, images in self.snapshots.items()}
        if self.config.optimiser == "persistent":
            moments = training.optimiser_state(self.optimiser)
            state |= moments | {name: ranks.whole(moments[name], self.count) for name in OF_LATENTS if name in moments}
        return state

    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take back `state`, and the number format that the training began with."""
        load_weights(self.generator, state, "generator.")
        with torch.no_grad():
            self.latents.copy_(ranks.own(state["latents"]))
        self.snapshots = training.snapshots(state)
        self.dtype = getattr(torch, facts["precision"])
        if self.config.optimiser == "persistent":
            own = {name: ranks.own(state[name]) for name in OF_LATENTS if name in state}
            training.restore_optimiser(self.optimiser, state | own)

    def facts(self) -> dict[str, Any]:
        """Settings, images and number format."""
        return super().facts() | {"image_shape": self.image_shape, "images_sha256": self.images_sha256}


def step_size(config: GLOConfig, passes: float) -> float:
    """Adam's step of the latents after so many passes over the images, 0 to `config.epochs`."""
    if config.schedule == "halving":
        return config.latent_lr * config.decay ** (passes // config.decay_every)
    done = passes / config.epochs
    return config.latent_lr * min(done / WARM_UP, (1 + math.cos(math.pi * done)) / 2)


def require_kind(images: Tensor) -> None:
    """Refuse, by a ValueError, what is neither images nor voxels as this library trains on."""
    wanted = {torch.uint8: "uint8 [N, C, S, S], square", torch.bool: "bool [N, S, S, S]"}
    square = images.dim() == 4 and images.shape[2] == images.shape[3]
    if images.dtype not in wanted or not square or (images.dtype == torch.bool) != (images.shape[1] == images.shape[2]):
        given = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        raise ValueError(f"images are {given}: give {wanted[torch.uint8]}, or voxels, {wanted[torch.bool]}")


def fit_glo(
    images: Tensor,
    config: GLOConfig,
    device: torch.device | str = "cpu",
    path: Path | None = None,
    show: Callable[[int, Tensor, Tensor], None] | None = None,
    loss: ReconstructionLoss | None = None,
) -> Embedding:
    """Embed `images` and train the generator (Eq. 3), with progress shown.

    Args:
        images: uint8 [N, C, S, S], S one of settings.SIZES; or voxels bool [N, S, S, S], S 32 or 64.
        config: settings.
        device: where to train; within `ranks.joined` with others, all of which call this and get all that it gives.
        path: *.safetensors for checkpoints and the result; what is finished there is not trained again.
        show: is given, SHOWN times at least, an epoch's number, the first images as they are redrawn then, and
            as many that a Gaussian fitted to the codes draws, uint8 [SEEN, *shape] each.
        loss: of the caller's own, known by its weights, in place of `config.loss`; without coarse epochs.

    Raises:
        ValueError: fewer than 2 images; a size without generator; unknown loss; a damaged checkpoint.
        FloatingPointError: a loss or latent is not finite; names epoch and batch.
    """
    stage = GLO(images, config, torch.device(device), loss)

    def seen(record: GLOEpoch) -> None:
        every = max(1, stage.epochs // SHOWN)
        if show and record.epoch == stage.epoch and (record.epoch % every == 0 or record.epoch == stage.epochs):
            show(record.epoch, *stage.draw())

    history = training.run(stage, path, seen, config.coarse_epochs)
    latents = ranks.whole(stage.latents, len(images), everywhere=True).to(stage.device)
    origin = stage.images_sha256, stage.facts()["precision"]
    return Embedding(stage.generator.eval(), latents, history, stage.snapshots, stage.config, *origin)


def load_embedding(path: Path, device: torch.device | str = "cpu") -> Embedding:
    """The finished stage 1 that `fit_glo` left at `path`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged or holds something else.
    """
    state, record = training.finished(path, GLO.name, "a GLO embedding")
    config = GLOConfig(**record["config"])
    generator = generator_of(record["image_shape"], config)
    load_weights(generator, state, "generator.")
    history = [GLOEpoch(**row) for row in record["history"]]
    generator, latents = generator.to(device).eval(), state["latents"].to(device)
    origin = record["images_sha256"], record["precision"]
    return Embedding(generator, latents, history, training.snapshots(state), config, *origin)


def generator_of(shape: Sequence[int], config: GLOConfig) -> Generator:
    """The untrained G of some settings, for images [C, S, S] or shapes [S, S, S]; errors are the generators' own."""
    if config.generator == "resnet" and len(set(shape)) > 1:
        own = {"features": config.resnet_channels, "start": config.resnet_start, "checkpointing": config.checkpointing}
        return ResNetGenerator(shape[1], shape[0], config.latent_dim, normalisation=config.normalisation, **own)
    widths = {name: getattr(config, name) for name in ("feature_channels", "voxel_channels")}
    return make_generator(shape, config.latent_dim, config.normalisation, **widths)
