"""`python -m benchmarks.quality.eyes`: how near released models are to real images, by several eyes.

Frechet distances to held-out images of as many training images, their reconstructions, GLANN's samples and those of a
Gaussian fitted to the codes. Where two kinds of eyes rank these otherwise, no model should be judged by one of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks import machine
from glann_lib import Glann
from glann_lib.config import kind_of
from glann_lib.data.images import load_images
from glann_lib.data.record import random_order
from glann_lib.engine import storage
from glann_lib.scores.features import make_score_extractor
from glann_lib.scores.metrics import frechet_distance

EYES = ("imagenet", "random-vgg16")


def sets_of(model: Glann, train: Tensor, count: int) -> dict[str, Tensor]:
    """What is compared with real images, at most `count` each: uint8 [N, C, S, S] by a name."""
    known = len(model.latents)  # a released model may have the codes of the first training images alone
    chosen = random_order(known, min(count, known))
    return {
        "real training images": train[chosen],
        "reconstructions": model.reconstruct(chosen),
        "GLANN": model.sample(len(chosen)),
        "Gaussian": model.sample_gaussian(len(chosen)),
    }


def measure(names: Sequence[str], count: int) -> Iterator[dict[str, Any]]:
    """A row for each released model of images and each kind of eyes: "model", "images", "eyes", and a distance a set.

    Unknown models and missing data are the errors of `Glann.load` and `load_images`.
    """
    for name in names:
        model = Glann.load(name, "cpu")
        if kind_of(model.config.data.dataset) != "images":
            continue
        train, test = (load_images(model.config.data, split) for split in ("train", "test"))
        real = test.images[random_order(len(test), min(count, len(test)))]
        shown = sets_of(model, train.images, len(real))
        for own in EYES:
            extractor = make_score_extractor(own, train, test)
            wanted = extractor.features_on_device(real)
            found = {of: frechet_distance(extractor.features_on_device(images), wanted) for of, images in shown.items()}
            yield {"model": name, "images": len(real), "eyes": own, **found}


def main() -> None:
    """Read the options, measure, print, and write eyes.json where it is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.eyes", description=__doc__)
    parser.add_argument("models", nargs="*", default=Glann.available(), help="released ones (default: all of images)")
    parser.add_argument("--images", type=int, default=2000, help="of each set at most (default: 2,000)")
    parser.add_argument("--folder", type=Path, help="write eyes.json there")
    given = parser.parse_args()
    try:
        rows = list(measure(given.models, given.images))
    except (FileNotFoundError, ConnectionError, ValueError) as error:
        parser.error(str(error))
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".4g"))
    if given.folder:
        described = machine.describe(torch.device("cpu"))
        storage.write_json(given.folder / "eyes.json", {"machine": described, "rows": rows})


if __name__ == "__main__":
    main()
