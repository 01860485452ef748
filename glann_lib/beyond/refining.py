"""Stage 3 (ours): train G on where T maps to, so that it draws well between the codes, too.

Stages 1 and 2 leave a gap: G has only ever seen the codes, and T(e) lies between them. A truer density of the codes
does not close it (see `samplers`); a generator that is good there does. Each step gives G codes of training images,
which are held to their images by the loss of stage 1, and as many T(e) of fresh noise. These have no image of their
own: they are held to all images at once, by the energy distance (Szekely and Rizzo 2013) between what phi, the
representation of that loss, shows of new images, f, and of real ones, r:

    D(f, r) = 2 E|f - r| - E|f - f'|  (- E|r - r'|, which does not depend on G)

It is least where both are equally distributed. It is a plain loss: nobody plays against G. (Pairs of a T(e_t) and
the image that Eq. 4 matches with it, held to each other by the loss, added nothing on MNIST.)
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from glann_lib.config import GLOConfig, RefineConfig, for_count
from glann_lib.engine import devices, storage, training
from glann_lib.engine.stages import SteppedStage, batches, fall_to_zero, make_adam
from glann_lib.engine.targets import TargetsByRow
from glann_lib.glo import Embedding, Generator, generator_of
from glann_lib.imle import Mapping
from glann_lib.losses import ReconstructionLoss, loss_of
from glann_lib.networks import load_weights
from glann_lib.sampling import run_blocks

GRIDS = (4, 2, 1)  # cells a side over which maps are averaged
KEPT, COMPARED = 5000, 1024  # real images that are kept to be compared with, and of them in a step, at most
MAPPED = 4096  # noises that T maps at once


@dataclass(frozen=True)
class RefineEpoch:
    """One epoch of stage 3."""

    epoch: int  # from 1
    loss: float  # mean of stage 1's, of the training images
    distance: float  # mean energy distance of new images, without its constant term
    seconds: float


@dataclass(frozen=True)
class Refinement:
    """What stage 3 leaves."""

    generator: Generator  # G, in eval mode
    history: list[RefineEpoch]
    config: RefineConfig


class Pooled:
    """What phi shows of images as one vector each: its maps averaged over 16, 4 and 1 cells, standardised.

    Every channel of every map weighs the same, and in it every grid; the mean squared length of real ones is 1.

    Args:
        loss: whose phi, on the device where all this is.
        images: uint8 [N, C, S, S], by whose mean and spread everything is standardised.
        device: see `loss`.
    """

    def __init__(self, loss: ReconstructionLoss, images: Tensor, device: torch.device):
        parts = images.split(devices.images_at_once(128, images.shape[-1]))
        cells = [[_cells(level) for level in loss.targets_of(part.to(device))] for part in parts]
        weights = torch.cat([_weights(level) for level in cells[0]]).to(device)
        rows = torch.cat([_joined(levels) for levels in cells])
        self.mean, spread = rows.mean(0), rows.std(0)
        # Of what hardly ever varies, a margin that is black, a small change must not count as a large one.
        spread = spread.clamp(min=spread.median().clamp(min=1e-6) / 100)
        self.scale = weights / spread / weights.square().sum().sqrt()
        self.real = (rows - self.mean) * self.scale  # [N, D]

    def __call__(self, maps: Sequence[Tensor]) -> Tensor:
        """Vectors [B, D] of images by phi's maps of them."""
        return (_joined([_cells(level) for level in maps]) - self.mean) * self.scale


def energy_distance(new: Tensor, real: Tensor) -> Tensor:
    """2 E|f - r| - E|f - f'| of new vectors [B, D], B at least 2, and real ones [R, D]: one number, without bias."""
    pairs = len(new) * (len(new) - 1)
    return 2 * torch.cdist(new, real).mean() - torch.cdist(new, new).sum() / pairs


class Refining(SteppedStage):
    """Stage 3 as a stage for `training.train`.

    Args:
        images: uint8 [N, C, S, S], those of stage 1 (else a ValueError).
        embedding: what stage 1 left: its G is copied, and goes on by its loss, or by that of the settings.
        mapping: what stage 2 left; T stays as it is.
        config: settings, with epochs.
        device: where to train.
    """

    name = "refine"
    prefix = "refine_"
    record_type = RefineEpoch

    def __init__(
        self, images: Tensor, embedding: Embedding, mapping: Mapping, config: RefineConfig, device: torch.device
    ):
        if images.dtype != torch.uint8:
            raise ValueError("a third stage is for images: give refine_epochs=0 with shapes")
        if storage.tensor_digest(images) != embedding.images_sha256:
            raise ValueError("stage 1 was trained on other images: give the same to stage 3")
        config = for_count(config, len(images))
        self.config, self.epochs, self.device = config, config.epochs, device
        self.glo = dataclasses.replace(embedding.config, loss=config.loss or embedding.config.loss)
        self.images, self.latents = devices.place(images, device), embedding.latents.to(device)
        self.generator = copy.deepcopy(embedding.generator).to(device)
        self.mapper = mapping.mapper.to(device)
        weights = [*self.generator.state_dict().values(), *self.mapper.state_dict().values(), self.latents]
        digests = [storage.tensor_digest(values) for values in weights]
        self.fingerprint = storage.digest(dataclasses.asdict(config), self.glo.decisive(), digests)
        self.dtype = devices.resolve_precision(self.glo.precision, device)
        self.loss: ReconstructionLoss | None = None  # made when an epoch needs it: a finished training does not
        groups = [{"params": list(self.generator.parameters()), "lr": config.lr}]
        self.optimiser = make_adam(groups, device, betas=(config.beta1, 0.999))

    def inputs(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Each batch's codes [2 B, D], row numbers [B], images, and real images' vectors to compare new ones with.

        The first half of the codes are the images' own, the others T(e) of fresh noise.
        """
        if self.loss is None:
            self._make_loss()
        random = devices.seeded(self.config.seed, f"refine epoch {epoch}")
        noise = torch.randn(len(self.images), self.mapper.noise_dim, generator=random)
        new = run_blocks(self.mapper, noise, MAPPED).to(self.device).split(self.config.batch_size)
        parts = batches(len(self.images), self.config.batch_size, random, self.device)
        self.generator.train()
        for number, batch in enumerate(parts):
            fall_to_zero(self.optimiser, self.config.lr, (epoch - 1 + (number + 0.5) / len(parts)) / self.epochs)
            compared = torch.randperm(len(self.pooled.real), generator=random)[:COMPARED].to(self.device)
            codes = torch.cat([self.latents[batch], new[number]])
            yield codes, batch, self.images[batch.to(self.images.device)].to(self.device), self.pooled.real[compared]

    def step(self, codes: Tensor, batch: Tensor, images: Tensor, real: Tensor) -> Tensor:
        """One step of Adam on G; the loss of the images and the weighted energy distance of the new ones."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            generated = self.generator(codes)
        maps = self.loss.represent(generated.float())
        known = [level[: len(batch)] for level in maps]
        loss = self.loss.compare_maps(known, self.targets(batch, images)).mean()
        distance = energy_distance(self.pooled([level[len(batch) :] for level in maps]), real)
        self.optimiser.zero_grad(set_to_none=True)
        (loss + self.config.weight * distance).backward()
        self.optimiser.step()
        return torch.stack([loss, distance]).detach()

    def end(self, epoch: int, losses: Tensor, start: float) -> RefineEpoch:
        """The means of both terms."""
        loss, distance = losses.mean(0).tolist()
        return RefineEpoch(epoch, loss, distance, time.monotonic() - start)

    def trained(self) -> Iterator[Tensor]:
        """G's weights."""
        return self.generator.parameters()

    def give_up_cache(self) -> bool:
        """Free what the loss network sees of all images; it is computed anew for each batch then."""
        return self.targets.give_up_cache()

    def _make_loss(self) -> None:
        """The loss of stage 1, what it sees of all images, and of real ones to compare with."""
        self.loss = loss_of(self.glo, self.images.shape[-1], self.dtype).to(self.device)
        self.targets = TargetsByRow(self.loss.targets_of, self.images, self.device, self.glo.cache_mib)
        random = devices.seeded(self.config.seed, "refine compared")
        kept = torch.randperm(len(self.images), generator=random)[:KEPT]
        self.pooled = Pooled(self.loss, self.images[kept.to(self.images.device)], self.device)

    def state(self) -> dict[str, Tensor]:
        """Weights and the optimiser's state."""
        state = training.with_prefix("generator.", self.generator.state_dict())
        return state | training.optimiser_state(self.optimiser)

    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take back `state`, and the number format that the training began with."""
        load_weights(self.generator, state, "generator.")
        self.dtype = getattr(torch, facts["precision"])
        training.restore_optimiser(self.optimiser, state)

    def facts(self) -> dict[str, Any]:
        """Settings, images' shape and number format."""
        own = {"glo": dataclasses.asdict(self.glo), "image_shape": list(self.images.shape[1:])}
        return super().facts() | own


def fit_refinement(
    images: Tensor,
    embedding: Embedding,
    mapping: Mapping,
    config: RefineConfig,
    device: torch.device | str = "cpu",
    path: Path | None = None,
) -> Refinement:
    """Train a copy of stage 1's G on where T maps to, with progress shown; without epochs it stays as it is.

    Args:
        images: uint8 [N, C, S, S], those that stage 1 was trained on.
        embedding: of stage 1.
        mapping: of stage 2, on its codes.
        config: settings.
        device: where to train.
        path: *.safetensors for checkpoints and the result; what is finished there is not trained again.

    Raises:
        ValueError: other images; a damaged checkpoint.
        FloatingPointError: a loss is not finite; names epoch and batch.
    """
    if not config.epochs:
        return Refinement(embedding.generator, [], config)
    stage = Refining(images, embedding, mapping, config, torch.device(device))
    history = training.run(stage, path)
    return Refinement(stage.generator.eval(), history, stage.config)


def load_refinement(path: Path, device: torch.device | str = "cpu") -> Refinement:
    """The finished stage 3 that `fit_refinement` left at `path`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged or holds something else.
    """
    state, record = training.finished(path, Refining.name, "a third stage")
    generator = generator_of(record["image_shape"], GLOConfig(**record["glo"]))
    load_weights(generator, state, "generator.")
    history = [RefineEpoch(**row) for row in record["history"]]
    return Refinement(generator.to(device).eval(), history, RefineConfig(**record["config"]))


def _cells(level: Tensor) -> Tensor:
    """A map [B, C, H, W] averaged over cells, [B, C, 21]: those of each of GRIDS where its side can be so divided."""
    cell, rest = divmod(level.shape[-1], GRIDS[0])
    if rest:
        return level.float().mean((2, 3)).unsqueeze(2)
    means = avg_pool2d(level.float(), cell)
    return torch.cat([avg_pool2d(means, GRIDS[0] // side).flatten(2) for side in GRIDS], 2)


def _weights(cells: Tensor) -> Tensor:
    """What each number of a map's cells [B, C, K] counts, [C K]: every grid as much as any other."""
    sides = GRIDS if cells.shape[2] > 1 else (1,)
    return torch.cat([torch.full((side**2,), 1 / side) for side in sides]).repeat(cells.shape[1])


def _joined(levels: Sequence[Tensor]) -> Tensor:
    return torch.cat([level.flatten(1) for level in levels], 1)
