"""The features that scores compare sets of images by, kept on disk under the SHA-256 of images and extractor.

"inception" is the network of the published FID values and needs a weights file, "imagenet" is another that has seen
photographs (see `imagenet`), "classifier" is trained on the labels, "random-vgg16" has seen nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glann_lib import features
from glann_lib.data.record import ImageData, tensors_sha256
from glann_lib.engine import progress, storage
from glann_lib.engine.devices import place
from glann_lib.scores import imagenet, inception
from glann_lib.scores.classifier import ClassifierConfig
from glann_lib.scores.classifier_training import fit_classifier

EXTRACTORS = ("inception", "imagenet", "classifier", "random-vgg16")
CPU = torch.device("cpu")
RANDOM_SEED = 1  # the loss's random weights have another: it must not judge itself
BLOCK = 16  # images at once through Inception and EfficientNet, which see them at 128 to 299 px


@dataclass(frozen=True)
class ScoreExtractor:
    """A frozen network that turns images into vectors for scores."""

    name: str  # a name in EXTRACTORS
    digest: str  # SHA-256 over everything that decides the features, in hexadecimal
    record: dict[str, Any]  # plain values for provenance; no path of this machine stands in it
    compute: Callable[[Tensor], Tensor]  # uint8 [N, C, S, S] to float32 [N, D] on any device, without any cache
    folder: Path | None = None  # where features are kept; None: nowhere
    device: torch.device = CPU  # where `compute` works, and what works with the features should

    def features(self, images: Tensor) -> np.ndarray:
        """Features float32 [N, D] of images uint8 [N, C, S, S] (else a ValueError), from the folder if there."""
        return self.features_on_device(images).cpu().numpy()

    def features_on_device(self, images: Tensor) -> Tensor:
        """The same on `device`, where the metrics then work."""
        ImageData(images)  # refuses what is no such set of images
        if self.folder is None:
            return self._compute(images).to(self.device)
        path = self.folder / f"{self.name}-{storage.digest(tensors_sha256(images), self.digest)}.safetensors"
        found = _load(path)
        if found is None:
            found = self._compute(images)
            kept = found.cpu()
            storage.save_tensors(path, {"features": kept}, {"sha256": tensors_sha256(kept), "extractor": self.record})
        return found.to(self.device)

    def _compute(self, images: Tensor) -> Tensor:
        with torch.no_grad(), inception.exact_convolutions():
            return self.compute(images)


def make_score_extractor(
    name: str,
    train: ImageData,
    test: ImageData,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
    inception_weights: Path | None = None,
    config: ClassifierConfig | None = None,
) -> ScoreExtractor:
    """The extractor of a name in EXTRACTORS for a data set's images; "classifier" is trained first, with `config`.

    The folder keeps features and classifier for later calls. `inception_weights` names a file outside the usual places.
    An unknown name, a classifier without labels of two classes and a wrong weights file are a ValueError; weights that
    are neither here nor to be downloaded are a FileNotFoundError.
    """
    device, folder = torch.device(device), None if folder is None else Path(folder)
    if name == "inception":
        extractor = _inception(inception_weights, device)
    elif name == "imagenet":
        extractor = _imagenet(train.images.shape[-1], device)
    elif name == "classifier":
        extractor = _classifier(train, test, device, folder, config)
    elif name == "random-vgg16":
        extractor = _random_vgg16(train.images.shape[-1], device)
    else:
        raise ValueError(f"unknown features {name!r}: choose one of {', '.join(EXTRACTORS)}")
    return dataclasses.replace(extractor, folder=folder, device=device)


def available_extractors(train: ImageData, inception_weights: Path | None = None) -> tuple[str, ...]:
    """The names in EXTRACTORS that images and machine allow without a download; weights files are not checked.

    The random VGG16 stands in where there are no eyes that have seen photographs.
    """
    photographs = imagenet.find_weights() is not None
    usable = {
        "inception": inception.find_weights(features.weights_folder(), inception_weights) is not None,
        "imagenet": photographs,
        "classifier": train.labels is not None and len(train.labels.unique()) >= 2,
        "random-vgg16": not photographs,
    }
    return tuple(name for name in EXTRACTORS if usable[name])


def _inception(weights: Path | None, device: torch.device) -> ScoreExtractor:
    network = inception.make_inception(features.weights_folder(), weights).to(device)
    record = {"name": "inception", "weights_file": inception.WEIGHTS_FILE, "weights_sha256": network.sha256}
    return ScoreExtractor("inception", storage.digest(record), record, _in_blocks(network, "inception", device))


def _imagenet(side: int, device: torch.device) -> ScoreExtractor:
    network = imagenet.make_imagenet().to(device)
    record = {"name": "imagenet", "weights_file": Path(imagenet.WEIGHTS_FILE).name, "size": imagenet.size_of(side)}
    record["weights_sha256"] = imagenet.WEIGHTS_SHA256
    return ScoreExtractor("imagenet", storage.digest(record), record, _in_blocks(network, "imagenet", device))


def _in_blocks(network: torch.nn.Module, name: str, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A network of uint8 images, BLOCK of them at once, with progress told."""

    def compute(images: Tensor) -> Tensor:
        # What is already on a GPU, images and features, makes no block wait for the one before.
        blocks = place(images, device).split(BLOCK)
        seen = progress.items(blocks, len(blocks), f"{name}, {BLOCK} images each")
        return torch.cat([network(block.to(device)) for block in seen])

    return compute


def _classifier(
    train: ImageData, test: ImageData, device: torch.device, folder: Path | None, config: ClassifierConfig | None
) -> ScoreExtractor:
    path = None if folder is None else folder / "classifier.safetensors"
    trained = fit_classifier(train.images, train.labels, test.images, test.labels, config, device, path)
    weights = _weights_sha256(trained.network)
    record = {"name": "classifier", "weights_sha256": weights, "config": dataclasses.asdict(trained.config)}
    record |= {name: getattr(trained, name) for name in ("test_accuracy", "train_sha256", "test_sha256")}
    return ScoreExtractor("classifier", storage.digest("classifier", weights), record, trained.features)


def _random_vgg16(size: int, device: torch.device) -> ScoreExtractor:
    network = features.make_extractor("random-vgg16", size, seed=RANDOM_SEED).to(device)
    record = {"name": "random-vgg16", "seed": RANDOM_SEED, "size": size, "weights_sha256": _weights_sha256(network)}
    compute = functools.partial(features.pooled_features, network)
    return ScoreExtractor("random-vgg16", storage.digest(record), record, compute)


def _weights_sha256(network: torch.nn.Module) -> str:
    return tensors_sha256(*network.state_dict().values())


def _load(path: Path) -> Tensor | None:
    """None where there is no file or it does not hold what was written: it is then made again."""
    try:
        tensors, record = storage.load_tensors(path)
    except (FileNotFoundError, ValueError):
        return None
    found = tensors.get("features")
    return found if found is not None and record.get("sha256") == tensors_sha256(found) else None
