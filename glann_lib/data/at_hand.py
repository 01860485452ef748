"""The images that a model was trained on or that were held out, where they lie on this machine; nothing is downloaded.

A released model can be explored without its data; what shows training images then shows their reconstructions.
"""

from __future__ import annotations

from glann_lib.config import ARRAY, DataConfig
from glann_lib.data.images import load_images
from glann_lib.data.record import ImageData


def images_at_hand(settings: DataConfig, split: str, sha256: str | None = None) -> tuple[ImageData | None, str]:
    """One split of a data set and "", or None and the reason in a line; with `sha256`, no images but those."""
    if settings.dataset == ARRAY:
        return None, "the model was trained on images that were held in memory only"
    try:
        data = load_images(settings, split, download=False)
    except (OSError, ValueError) as error:
        return None, str(error)
    if sha256 is not None and data.sha256 != sha256:
        return None, f"the {split}ing images of {data.name} on this machine are others than the model's"
    return data, ""
