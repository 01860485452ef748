"""A small convolutional classifier trained on the data set itself: its features compare sets of images by their class.

Inception has seen photographs only. On digits and clothes the last hidden layer of a network that knows these very
classes tells more. The same network judges translated images by the class it sees in them.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glann_lib import devices, storage, training
from glann_lib.checks import require_count, require_part, require_positive
from glann_lib.classifier_network import Classifier
from glann_lib.image_data import tensors_sha256
from glann_lib.networks import load_weights

BLOCK = 512  # images at once when nothing is trained
WARM_UP = 0.2  # part of the training in which the step grows; then it shrinks to 0


@dataclass(frozen=True)
class ClassifierConfig:
    """Settings of the classifier; the paper states none.

    Raises:
        ValueError: a field out of its range.
    """

    epochs: int = 8  # passes over the images, at least
    steps: int = 200  # Adam steps, at least: small sets take more epochs
    batch_size: int = 64  # images; fewer where there are fewer
    lr: float = 5.0e-3  # Adam's largest step
    weight_decay: float = 0.01  # AdamW's
    shift: int = 2  # px; training images are moved by up to so much, up or down and left or right
    seed: int = 0

    def __post_init__(self) -> None:
        require_count(self, "epochs", "steps")
        require_count(self, "batch_size", least=2)
        require_count(self, "shift", least=0)
        require_positive(self, "lr")
        require_part(self, "weight_decay")


@dataclass(frozen=True)
class ClassifierEpoch:
    """One epoch: number from 1, mean cross entropy in nats, part of the shifted training images right, seconds."""

    epoch: int
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainedClassifier:
    """What the training leaves.

    Attributes:
        network: in eval mode.
        test_accuracy: part of the test images whose class it names, 0 to 1.
        history: a record an epoch.
        config: the settings.
        image_shape: (C, S, S) of the images that it knows.
        train_sha256: of the training images and labels, as ImageData.sha256.
        test_sha256: of the test images and labels, likewise.
    """

    network: Classifier
    test_accuracy: float
    history: list[ClassifierEpoch]
    config: ClassifierConfig
    image_shape: tuple[int, int, int]
    train_sha256: str
    test_sha256: str

    def predict(self, images: Tensor) -> Tensor:
        """Class indices int64 [N], on the CPU, of images [N, C, S, S], uint8 or floats in [0, 1].

        Raises:
            ValueError: images of another size or number of channels than it was trained on.
        """
        _require_shape(images, self.image_shape)
        return _predict(self.network, images)

    def features(self, images: Tensor) -> Tensor:
        """float32 [N, 128], on the CPU, of images as for `predict`; see `Classifier.features`.

        Raises:
            ValueError: as `predict`.
        """
        _require_shape(images, self.image_shape)
        return _in_blocks(self.network, self.network.features, images)


class ClassifierTraining:
    """The training as a stage for `training.train`: AdamW on the cross entropy, randomly shifted images.

    Args:
        images: uint8 [N, C, S, S], with `labels` int64 [N].
        labels: class indices, 0 or more.
        test_images: uint8 [M, C, S, S], judged once, after the last epoch.
        test_labels: int64 [M].
        config: settings.
        device: where to train.

    Raises:
        ValueError: no labels, one class only, or images and labels that do not go together.
    """

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
        _require_labels(images, labels)
        _require_labels(test_images, test_labels)
        if len(labels.unique()) < 2:
            raise ValueError("all training images are of one class: choose the features random-vgg16 instead")
        _require_shape(test_images, images.shape[1:])
        self.config, self.device, self.image_shape = config, device, tuple(images.shape[1:])
        self.batch_size = min(config.batch_size, len(images))
        self.batches = len(images) // self.batch_size
        self.epochs = max(config.epochs, math.ceil(config.steps / self.batches))
        self.train_sha256, self.test_sha256 = tensors_sha256(images, labels), tensors_sha256(test_images, test_labels)
        self.fingerprint = storage.digest(dataclasses.asdict(config), self.train_sha256, self.test_sha256)
        self.images, self.labels = devices.place(images, device), labels
        self.test_images, self.test_labels = test_images, test_labels
        self.test_accuracy: float | None = None  # known after the last epoch

        with devices.scoped_seed(config.seed, "classifier weights"):
            self.network = Classifier(images.shape[1], int(labels.max()) + 1).to(device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=device.type != "mps"
        )

    def run_epoch(self, epoch: int) -> ClassifierEpoch:
        """One pass over the images in a new order; the last, incomplete batch is left out."""
        start = time.monotonic()
        random = devices.seeded(self.config.seed, f"classifier epoch {epoch}")
        order = torch.randperm(len(self.images), generator=random)[: self.batches * self.batch_size]
        self.network.train()
        results = []
        for number, batch in enumerate(order.split(self.batch_size)):
            self._set_learning_rate((epoch - 1) * self.batches + number)
            results.append(self._step(batch, random))
        losses, right = torch.stack(results).unbind(1)
        advice = f"try a smaller lr (now {self.config.lr:g})"
        training.check_finite(losses, self.name, epoch, advice)
        training.check_weights(self.network.parameters(), self.name, epoch, advice)
        if epoch == self.epochs:
            found = _predict(self.network.eval(), self.test_images)
            self.test_accuracy = (found == self.test_labels).double().mean().item()
        return ClassifierEpoch(epoch, losses.mean().item(), right.mean().item(), time.monotonic() - start)

    def _step(self, batch: Tensor, random: torch.Generator) -> Tensor:
        """One step on the images `batch`, row numbers [B]; returns the mean loss and the part that was right, [2]."""
        images = self.images[batch.to(self.images.device)].to(self.device).float() / 255
        labels = self.labels[batch].to(self.device)
        logits = self.network(random_shift(images, self.config.shift, random))
        loss = nn.functional.cross_entropy(logits, labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return torch.stack([loss.detach(), (logits.detach().argmax(1) == labels).float().mean()])

    def _set_learning_rate(self, step: int) -> None:
        """Grow to the largest step, then shrink to 0, both linearly; `step` counts from 0."""
        done = (step + 0.5) / (self.epochs * self.batches)
        part = min(done / WARM_UP, (1 - done) / (1 - WARM_UP))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.lr * part

    def state(self) -> dict[str, Tensor]:
        """Weights and the optimiser's state."""
        state = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        return state | training.optimiser_state(self.optimiser)

    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take back `state`, and the accuracy where the training was finished."""
        load_weights(self.network, state, "network.")
        training.restore_optimiser(self.optimiser, state)
        self.test_accuracy = facts["test_accuracy"]

    def facts(self) -> dict[str, Any]:
        """Settings, data, and how many test images were right."""
        return {
            "config": dataclasses.asdict(self.config),
            "image_shape": list(self.image_shape),
            "classes": self.network.classes,
            "train_sha256": self.train_sha256,
            "test_sha256": self.test_sha256,
            "test_accuracy": self.test_accuracy,
        }


def fit_classifier(
    images: Tensor,
    labels: Tensor | None,
    test_images: Tensor,
    test_labels: Tensor | None,
    config: ClassifierConfig | None = None,
    device: torch.device | str = "cpu",
    path: Path | None = None,
) -> TrainedClassifier:
    """Train a classifier, with progress shown, and judge it once on the test images.

    Args:
        images: uint8 [N, C, S, S].
        labels: int64 [N], class indices; at least two classes.
        test_images: uint8 [M, C, S, S].
        test_labels: int64 [M].
        config: settings; None: the usual ones.
        device: where to train.
        path: *.safetensors for checkpoints and the result; what is finished there is not trained again.

    Raises:
        ValueError: no labels, one class only, images and labels that do not go together, or a damaged checkpoint.
        FloatingPointError: a loss is not finite; names epoch and batch.
    """
    config = config or ClassifierConfig()
    stage = ClassifierTraining(images, labels, test_images, test_labels, config, torch.device(device))
    history = training.run(stage, path)
    origin = stage.image_shape, stage.train_sha256, stage.test_sha256
    return TrainedClassifier(stage.network.eval(), stage.test_accuracy, history, config, *origin)


def load_classifier(path: Path, device: torch.device | str = "cpu") -> TrainedClassifier:
    """The finished classifier that `fit_classifier` left at `path`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged or holds something else.
    """
    state, record = storage.load_tensors(path)
    if record.get("stage") != ClassifierTraining.name:
        raise ValueError(f"{path} does not hold a classifier: name the file that fit_classifier wrote")
    shape = tuple(record["image_shape"])
    network = Classifier(shape[0], record["classes"])
    load_weights(network, state, "network.")
    history = [ClassifierEpoch(**row) for row in record["history"]]
    config, origin = ClassifierConfig(**record["config"]), (shape, record["train_sha256"], record["test_sha256"])
    return TrainedClassifier(network.to(device).eval(), record["test_accuracy"], history, config, *origin)


def random_shift(images: Tensor, pixels: int, random: torch.Generator) -> Tensor:
    """Each image [C, H, W] of a batch moved by its own -pixels to pixels in both directions; edges are repeated."""
    count, channels, height, width = images.shape
    padded = nn.functional.pad(images, (pixels,) * 4, mode="replicate")
    down, right = torch.randint(2 * pixels + 1, (2, count, 1, 1, 1), generator=random).to(images.device)
    image = torch.arange(count, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(-1, 1, 1)
    row = down + torch.arange(height, device=images.device).view(-1, 1)
    column = right + torch.arange(width, device=images.device)
    return padded[image, channel, row, column]


def _predict(network: Classifier, images: Tensor) -> Tensor:
    return _in_blocks(network, lambda block: network(block).argmax(1), images)


@torch.no_grad()
def _in_blocks(network: Classifier, function: Any, images: Tensor) -> Tensor:
    """`function` of images, uint8 or floats in [0, 1], some at a time on the network's device; joined on the CPU."""
    device, rows = next(network.parameters()).device, []
    for block in images.split(BLOCK):
        block = block.to(device)
        rows.append(function(block.float() / 255 if block.dtype == torch.uint8 else block).cpu())
    return torch.cat(rows)


def _require_labels(images: Tensor, labels: Tensor | None) -> None:
    if labels is None:
        raise ValueError("a classifier needs labels, and these images have none: choose the features random-vgg16")
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images are {images.dtype} {list(images.shape)}: give uint8 [N, C, S, S] with C = 1 or 3")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1] or len(labels) == 0 or labels.min() < 0:
        raise ValueError(f"labels are {labels.dtype} {list(labels.shape)}: give int64 [{len(images)}], 0 or more")


def _require_shape(images: Tensor, shape: tuple[int, ...]) -> None:
    if images.ndim != 4 or images.shape[1:] != shape:
        known = " x ".join(map(str, shape))
        raise ValueError(f"images are {list(images.shape)}: give [N, C, S, S] with C x S x S = {known}, as in training")
