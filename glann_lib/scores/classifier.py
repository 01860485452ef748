"""A small convolutional classifier trained on the data set itself: its features compare sets of images by their class.

Inception has seen photographs only. On digits and clothes the last hidden layer of a network that knows these very
classes tells more. The same network judges translated images by the class it sees in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from glann_lib.engine import storage, training
from glann_lib.networks import load_weights
from glann_lib.scores.classifier_network import Classifier, in_blocks, predict, require_shape
from glann_lib.scores.classifier_training import ClassifierConfig, ClassifierEpoch, ClassifierTraining


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
        require_shape(images, self.image_shape)
        return predict(self.network, images)

    def probabilities(self, images: Tensor) -> Tensor:
        """float32 [N, classes], on the CPU, a row sums to 1, of images as for `predict`.

        Raises:
            ValueError: as `predict`.
        """
        require_shape(images, self.image_shape)
        return in_blocks(self.network, lambda block: self.network(block).softmax(1), images)

    def features(self, images: Tensor) -> Tensor:
        """float32 [N, 128], on the CPU, of images as for `predict`; see `Classifier.features`.

        Raises:
            ValueError: as `predict`.
        """
        require_shape(images, self.image_shape)
        return in_blocks(self.network, self.network.features, images)


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
