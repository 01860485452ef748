"""How the network of `classifier` is trained: AdamW on the cross entropy of images moved at random by a few pixels."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from glann_lib.config import for_count
from glann_lib.data.record import ImageData, tensors_sha256
from glann_lib.engine import devices, storage, training
from glann_lib.engine.stages import SteppedStage, batches, make_adam, set_step_size
from glann_lib.networks import load_weights
from glann_lib.scores.classifier import (
    Classifier,
    ClassifierConfig,
    ClassifierEpoch,
    TrainedClassifier,
    TrainedNetwork,
    in_blocks,
    require_shape,
)

Trained = TypeVar("Trained", bound=TrainedNetwork)
WARM_UP = 0.2  # part of the training in which the step grows; then it shrinks to 0


def fit_classifier(
    images: Tensor,
    labels: Tensor | None,
    test_images: Tensor,
    test_labels: Tensor | None,
    config: ClassifierConfig | None = None,
    device: torch.device | str = "cpu",
    path: Path | None = None,
) -> TrainedClassifier:
    """Train a classifier on images uint8 [N, C, S, S] and labels int64 [N]; judge it once on the test images.

    Checkpoints and the result go to `path`, *.safetensors; what is finished there is not trained again. Data that
    cannot be learned, as of one class, and a damaged checkpoint are a ValueError, a loss that is not finite a
    FloatingPointError.
    """
    config = config or ClassifierConfig()
    stage = ClassifierTraining(images, labels, test_images, test_labels, config, torch.device(device))
    return stage.trained_to_the_end(path, TrainedClassifier)


class ClassifierTraining(SteppedStage):
    """The training as a stage for `training.train`; arguments and errors as for `fit_classifier`."""

    name = "classifier"
    record_type = ClassifierEpoch

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None,
        test_images: Tensor,
        test_labels: Tensor | None,
        config: ClassifierConfig,
        device: torch.device,
    ):
        self.require(images, labels, test_images, test_labels)
        require_shape(test_images, images.shape[1:])
        config = for_count(config, len(images))
        self.config, self.device, self.image_shape = config, device, tuple(images.shape[1:])
        self.batches = len(images) // config.batch_size
        self.epochs = max(config.epochs, math.ceil(config.steps / self.batches))
        self.train_sha256, self.test_sha256 = tensors_sha256(images, labels), tensors_sha256(test_images, test_labels)
        self.fingerprint = storage.digest(self.name, dataclasses.asdict(config), self.train_sha256, self.test_sha256)
        self.images = devices.place(images, device)
        self.labels = labels.to(self.images.device)
        self.test_images, self.test_labels = test_images, test_labels
        self.tested: float | None = None  # the mean of `measure` over the test images, known after the last epoch

        with devices.scoped_seed(config.seed, f"{self.name} weights"):
            self.network = self.make_network(images, labels).to(device)
        groups = [{"params": list(self.network.parameters()), "lr": config.lr}]
        self.optimiser = make_adam(groups, device, torch.optim.AdamW, weight_decay=config.weight_decay)

    def trained_to_the_end(self, path: Path | None, kind: type[Trained]) -> Trained:
        """Train, or take what is finished at `path`, and hand the network over as one of its kind."""
        history, network = training.run(self, path), self.network.eval()
        origin = self.train_sha256, self.test_sha256
        return kind(network, self.tested, history, self.config, self.image_shape, *origin)

    @staticmethod
    def require(images: Tensor, labels: Tensor | None, test_images: Tensor, test_labels: Tensor | None) -> None:
        """Refuse what cannot be learned or tested, by a ValueError."""
        _require_labels(images, labels)
        _require_labels(test_images, test_labels)
        if len(labels.unique()) < 2:
            raise ValueError("all training images are of one class: choose the features random-vgg16 instead")

    @staticmethod
    def make_network(images: Tensor, labels: Tensor) -> nn.Module:
        """The network that is trained on such images and labels."""
        return Classifier(images.shape[1], int(labels.max()) + 1)

    @staticmethod
    def compare(outputs: Tensor, labels: Tensor) -> Tensor:
        """What training lessens: the mean cross entropy of logits [B, classes]."""
        return nn.functional.cross_entropy(outputs, labels)

    @staticmethod
    def measure(outputs: Tensor, labels: Tensor) -> Tensor:
        """How good the outputs for each image are, [B]: 1 where the class is right, else 0."""
        return (outputs.argmax(1) == labels).float()

    def inputs(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """Images and labels of each batch in a new order, a last, incomplete one left out, and how they are moved.

        Each batch sets the step of Adam on its way.
        """
        random = devices.seeded(self.config.seed, f"classifier epoch {epoch}")
        self.network.train()
        order = batches(len(self.images), self.config.batch_size, random, self.images.device)
        for number, batch in enumerate(order):
            self._set_learning_rate((epoch - 1) * self.batches + number)
            moves = torch.randint(2 * self.config.shift + 1, (2, len(batch)), generator=random)
            yield self.images[batch].to(self.device), self.labels[batch].to(self.device), moves.to(self.device)

    def step(self, images: Tensor, labels: Tensor, moves: Tensor) -> Tensor:
        """One step on images uint8 [B, C, S, S], moved as `shifted` says; mean loss and mean of `measure`."""
        outputs = self.network(shifted(images.float() / 255, self.config.shift, moves))
        loss = self.compare(outputs, labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return torch.stack([loss.detach(), self.measure(outputs.detach(), labels).mean()])

    def end(self, epoch: int, losses: Tensor, start: float) -> ClassifierEpoch:
        """Means over the steps; after the last epoch the test images are looked at, once."""
        if epoch == self.epochs:
            outputs = in_blocks(self.network.eval(), self.test_images, self.device)
            self.tested = self.measure(outputs, self.test_labels).double().mean().item()
        return self.record_type(epoch, *losses.mean(0).tolist(), time.monotonic() - start)

    def trained(self) -> Iterator[Tensor]:
        """The network's weights."""
        return self.network.parameters()

    def _set_learning_rate(self, step: int) -> None:
        """Grow to the largest step, then shrink to 0, both linearly; `step` counts from 0."""
        done = (step + 0.5) / (self.epochs * self.batches)
        part = min(done / WARM_UP, (1 - done) / (1 - WARM_UP))
        set_step_size(self.optimiser.param_groups[0], self.config.lr * part)

    def state(self) -> dict[str, Tensor]:
        """Weights and the optimiser's state."""
        weights = training.with_prefix("network.", self.network.state_dict())
        return weights | training.optimiser_state(self.optimiser)

    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take back `state`, and the test's result where the training was finished."""
        load_weights(self.network, state, "network.")
        training.restore_optimiser(self.optimiser, state)
        self.tested = facts["tested"]

    def facts(self) -> dict[str, Any]:
        """Settings, data, and the test's result."""
        names = ("train_sha256", "test_sha256", "tested")
        own = {"config": dataclasses.asdict(self.config), "image_shape": list(self.image_shape)}
        return own | {name: getattr(self, name) for name in names}


def shifted(images: Tensor, pixels: int, moves: Tensor) -> Tensor:
    """Each image [C, H, W] of a batch moved by its own -pixels to pixels in both directions; edges are repeated.

    `moves` [2, N], 0 to 2 pixels, are those of each image down and to the right, plus `pixels`.
    """
    count, channels, height, width = images.shape
    padded = nn.functional.pad(images, (pixels,) * 4, mode="replicate")
    down, right = moves.view(2, count, 1, 1, 1)
    image = torch.arange(count, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(-1, 1, 1)
    row = down + torch.arange(height, device=images.device).view(-1, 1)
    column = right + torch.arange(width, device=images.device)
    return padded[image, channel, row, column]


def _require_labels(images: Tensor, labels: Tensor | None) -> None:
    if labels is None:
        raise ValueError("a classifier needs labels, and these images have none: choose the features random-vgg16")
    ImageData(images, labels)  # refuses what are no images and labels of one set
    if labels.min() < 0:
        raise ValueError(f"the least label is {labels.min()}: give class indices, 0 or more")
