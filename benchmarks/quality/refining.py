"""`python -m benchmarks.quality.refining`: what the third stage makes of released models of two.

Frechet distances to held-out images by eyes that know photographs and by a random VGG16, before and after.
Reconstructions are what G makes of codes that it knows, training images the floor. The median distance in pixels to the
nearest training image tells of copies: new images should be as far as real ones that were not trained on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks import machine
from benchmarks.quality.eyes import sets_of
from glann_lib import Glann
from glann_lib.beyond.refining import fit_refinement
from glann_lib.config import LOSSES, RefineConfig, kind_of
from glann_lib.data.images import load_images
from glann_lib.data.record import random_order
from glann_lib.engine import storage
from glann_lib.glo import Embedding
from glann_lib.imle import Mapping
from glann_lib.neighbours import nearest_neighbours
from glann_lib.sampling import sample
from glann_lib.scores.features import make_score_extractor
from glann_lib.scores.metrics import frechet_distance

CPU = torch.device("cpu")
LOOKED_FOR = 500  # images whose nearest training image is looked for


def measure(names: Sequence[str], count: int, epochs: int, loss: str | None) -> Iterator[dict[str, Any]]:
    """A row for each released model of images that has had two stages.

    Unknown models and missing data are the errors of `Glann.load` and `load_images`.
    """
    for name in names:
        model = Glann.load(name, "cpu")
        if kind_of(model.config.data.dataset) != "images" or model.config.refine.epochs:
            continue
        train, test = (load_images(model.config.data, split) for split in ("train", "test"))
        real = test.images[random_order(len(test), min(count, len(test)))]
        sets = sets_of(model, train.images, len(real))
        start = time.monotonic()
        usual = RefineConfig(epochs=epochs, loss=loss)
        usual = replace(usual, batch_size=min(usual.batch_size, model.config.glo.batch_size))  # of large images fewer
        refined = _refined(model, train.images, usual)
        seconds = time.monotonic() - start
        sets["stage 3"] = sample(refined, model.mapper, len(sets["GLANN"]), 0)
        found = {}
        for eyes, ending in {"imagenet": "", "random-vgg16": ", random-vgg16"}.items():
            extractor = make_score_extractor(eyes, train, test)
            wanted = extractor.features_on_device(real)
            for of, images in sets.items():
                found[of + ending] = frechet_distance(extractor.features_on_device(images), wanted)
        sets["unseen"] = test.images
        near = {f"{of}, nearest": _nearest(sets[of], train.images) for of in ("GLANN", "stage 3", "unseen")}
        yield {
            "model": name,
            "images": len(real),
            "epochs": epochs,
            "loss": loss or model.config.glo.loss,
            "seconds": seconds,
            **found,
            **near,
        }


def _refined(model: Glann, images: Tensor, config: RefineConfig) -> torch.nn.Module:
    origin = storage.tensor_digest(images), model.record["precision"]
    embedding = Embedding(model.generator, model.latents, [], {}, model.config.glo, *origin)
    mapping = Mapping(model.mapper, [], {}, model.config.imle)
    return fit_refinement(images, embedding, mapping, config).generator


def _nearest(images: Tensor, train: Tensor) -> float:
    pixels, few = (rows.flatten(1).float() / 255 for rows in (train, images[:LOOKED_FOR]))
    return nearest_neighbours(few, pixels).distance.median().item()


def main() -> None:
    """Read the options, measure, print, and write refining.json where it is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.refining", description=__doc__)
    parser.add_argument("models", nargs="*", default=Glann.available(), help="released ones (default: all of images)")
    parser.add_argument("--images", type=int, default=2000, help="of each set at most (default: 2,000)")
    parser.add_argument("--epochs", type=int, default=10, help="of the third stage (default: 10)")
    parser.add_argument("--loss", choices=LOSSES, help="of the third stage (default: that of stage 1)")
    parser.add_argument("--folder", type=Path, help="write refining.json there")
    given = parser.parse_args()
    rows = []
    try:
        for row in measure(given.models, given.images, given.epochs, given.loss):
            rows.append(row)
            print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".4g"), flush=True)
    except (FileNotFoundError, ConnectionError, ValueError) as error:
        parser.error(str(error))
    if given.folder:
        storage.write_json(given.folder / "refining.json", {"machine": machine.describe(CPU), "rows": rows})


if __name__ == "__main__":
    main()
