"""The Inception network of FID (Heusel et al. 2017), as torch-fidelity carried it over from TensorFlow.

FID values of two papers can be compared only with this network: the graph of 2015-12-05, TensorFlow's resizing to 299
px, the 2,048 values after the last average pooling. Its weights file (95.7 MB) is unpickled, which could run any code:
its SHA-256 is checked first.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

WEIGHTS_FILE = "weights-inception-2015-12-05-6726825d.pth"  # torch-fidelity's own name
WEIGHTS_SHA256_PREFIX = "6726825d"  # torch.hub's convention: the name ends in the first digits of the file's SHA-256


class InceptionFeatures(nn.Module):
    """torch-fidelity's FeatureExtractorInceptionV3, feature "2048", channels-last and in exact float32.

    The file at `path` is unpickled unchecked (`make_inception` checks it); `sha256` is the file's.
    """

    def __init__(self, path: Path, sha256: str = ""):
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
        self.network = network.to(memory_format=torch.channels_last)
        self.sha256 = sha256
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Features float32 [N, 2048], 0 or more, of images uint8 [N, 1 or 3, H, W]; grey is repeated to 3 channels."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images are {images.dtype} {list(images.shape)}: give uint8 [N, C, H, W] with C = 1 or 3")
        with exact_convolutions():
            return self.network(images.expand(-1, 3, -1, -1))[0]


@contextlib.contextmanager
def exact_convolutions() -> Iterator[None]:
    """Full float32 in a CUDA device's convolutions inside the block: by default they round to TF32's 11 bits."""
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision = before


def make_inception(folder: Path, path: Path | None = None, sha256: str = WEIGHTS_SHA256_PREFIX) -> InceptionFeatures:
    """The network; weights are from `path` if given, else from `folder` or torch.hub's, or downloaded into the latter.

    A SHA-256 that does not begin with `sha256` is a ValueError before anything is loaded; a missing `path` and a failed
    download are a FileNotFoundError.
    """
    if path is not None and not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist: name a file {WEIGHTS_FILE}, or leave inception_weights out")
    file = find_weights(folder, path) or _download(sha256)
    with open(file, "rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if not found.startswith(sha256):
        raise ValueError(
            f"{file} is not {WEIGHTS_FILE}: its SHA-256 begins with {found[: len(sha256)]} instead of {sha256}; "
            "remove it and download it again"
        )
    return InceptionFeatures(file, found)


def find_weights(folder: Path, path: Path | None = None) -> Path | None:
    """The weights file on this machine, unchecked: `path` if given, else in `folder`, else in torch.hub's; or None."""
    places = [Path(path)] if path is not None else [Path(folder) / WEIGHTS_FILE, _hub_file()]
    return next((place for place in places if place.is_file()), None)


def _hub_file() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_FILE


def _download(sha256: str) -> Path:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    file = _hub_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(file), hash_prefix=sha256)
    except (OSError, RuntimeError, http.client.HTTPException):
        raise FileNotFoundError(
            f"the weights of Inception are not here and cannot be downloaded: put {WEIGHTS_FILE} into data/weights or "
            "into the folder that GLANN_WEIGHTS names, or choose the features random-vgg16, which need no file"
        ) from None
    return file
