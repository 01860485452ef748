"""A run's model as a released one: made small, compared with the model as trained, written with its card.

    python -m glann_lib.companion.release results/mnist-quick mnist

How is told in `files.compact`. A model that has lost quality on the way is refused.
"""

from __future__ import annotations

import hashlib
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glann_lib import sampling
from glann_lib.companion.commands import made_by, without_folders
from glann_lib.companion.pages import obey, render, run_parser
from glann_lib.config import ARRAY, Config, kind_of
from glann_lib.data.images import load_images
from glann_lib.data.record import ImageData, random_order
from glann_lib.engine import storage
from glann_lib.files import compact, released
from glann_lib.files.released import CARD, LIMIT, MODEL, PAGE, UNKNOWN
from glann_lib.model import Glann
from glann_lib.networks import unit_length
from glann_lib.records import runs
from glann_lib.resnet import ResNetGenerator
from glann_lib.scores.evaluate import Reference
from glann_lib.scores.features import make_score_extractor
from glann_lib.scores.measures import METRICS, SHAPE_METRICS, VOXELS, title
from glann_lib.shapes.data import load_shapes
from glann_lib.shapes.scores import ShapeReference

MARGIN = 2**17  # bytes of LIMIT left to the file's names and record
KEPT = 5000  # latents of training images that a small file holds, the first of a random order: more would fill it
SEEN = 4000  # latents of either kind, of training images and T(e), for which a factorised weight is best
SEEN_SEED = 1  # of their noises: the comparison's samples are others
KERNELS = (nn.Conv2d, nn.ConvTranspose2d, nn.ConvTranspose3d)
COMPARED = {"images": 1000, "shapes": 100}  # samples of the model as trained and as released
SCORED = 1000  # held-out images or shapes, at most
EXTRACTOR = "random-vgg16"  # needs no download
TRIES = 8  # steps of the factors, each finer than the last ...
COARSE_TRIES = 3  # ... of which the first have convolutions in int8
WORST_RATIO, WORST_DIFFERENCE = 1.05, 2.0  # of the first score; grey levels of 255 on average
PURPOSE = "This model is for trying out sampling, reconstruction, interpolation and inversion without any training."
LIMITS = (
    "It learnt from {count:,} {kind} in {glo:,} epochs of stage 1 and {imle:,} of stage 2 (profile {profile}), so take "
    "its samples for a first look rather than for the best that the method can do, and its scores for no FID."
)


def release(run: Path, name: str, folder: Path | None = None, dirty: bool = False) -> dict[str, Any]:
    """Write the model in a run's folder, its card and its page to folder/name; returns the card.

    The name is of letters, digits and dashes; no folder: results/published; `dirty`: also a model that code with
    uncommitted changes trained. Raises FileNotFoundError where the run has no model, ValueError where the name or the
    model is not fit for release, and ConnectionError where the held-out data are not there.
    """
    source = run / MODEL
    if not source.is_file():
        raise FileNotFoundError(f"{runs.shown(run)} has no {MODEL}: name the folder of a finished run")
    model = Glann.load(source, "cpu")
    require_fit(model, name, dirty)
    comparison = Comparison(model)
    with tempfile.TemporaryDirectory() as place:
        for number in range(TRIES):  # ever finer: the smallest file that is as good
            finest = compact.FINEST / compact.COARSER**number
            path, form = write_small(source, model, Path(place) / MODEL, finest, number < COARSE_TRIES)
            measured = comparison.with_small(Glann.load(path, "cpu"))
            if not (lost := what_is_lost(measured)):
                break
        else:
            raise ValueError(f"made small, the model {lost}: fit a smaller one")
        content = path.read_bytes()
    facts = {"name": name, "file": MODEL, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    facts |= {"format": form, "released_by": f"python -m glann_lib.companion.release {runs.shown(run)} {name}"}
    card = {**facts, **origin(model), **measured}
    target = (folder or released.FOLDER) / name
    storage.write_bytes(target / MODEL, content)
    storage.write_text(target / PAGE, card_text(card))
    storage.write_json(target / CARD, card)
    return card


def card_text(card: dict[str, Any]) -> str:
    """The page for people, Markdown, of a card; nothing else goes into it."""
    return render("card.md.j2", **card, number=_number, cell=lambda text: str(text).replace("|", r"\|"))


def _number(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def require_fit(model: Glann, name: str, dirty: bool) -> None:
    """Refuse, by a ValueError and before anything is computed, what must not be released."""
    if not released.NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a model: use letters, digits and dashes")
    if model.config.data.dataset == ARRAY:
        raise ValueError("the model was fitted to an array, so held-out data are not known: fit it to a data set")
    if model.record.get("uncommitted_changes") and not dirty:
        raise ValueError("the model was trained by code with uncommitted changes: train it again, or add --dirty")


def write_small(
    source: Path,
    model: Glann,
    path: Path,
    finest: float = compact.FINEST,
    coarse: bool = True,
    room: int | None = None,
) -> tuple[Path, str]:
    """The model of the file `source` in few bytes: the path, and in words how its numbers are stored.

    `finest` and `room` (None: of a released file) are those of `compact.shrink`; `coarse`: convolutions are int8.
    Raises ValueError where it cannot be made small enough.
    """
    tensors, record = storage.load_tensors(source)
    modules = model.generator.named_modules() if coarse else ()
    kernels = [f"generator.{name}.weight" for name, module in modules if isinstance(module, KERNELS)]
    room = room or LIMIT - MARGIN
    full = compact.expand(tensors)
    full |= {name: full[name][:KEPT].clone() for name in ("latents", "labels") if name in full}
    small, rank = compact.shrink(full, room, _largest_linear(model), finest, kernels)
    # Where a person's own files lie is nobody else's business.
    for settings in (record["config"], record["record"].get("config", {"data": {"dataset": ""}})):
        settings["data"]["dataset"] = without_folders(settings["data"]["dataset"])
    kept = f" of the first {KEPT:,}" * (len(model.latents) > KEPT)
    form = f"float16, latents{kept}{' and convolutions' * bool(kernels)} int8"
    form += f", one weight as deflated int8 factors of rank {rank}" * (rank is not None)
    return storage.save_sealed(path, small, record), form


def _largest_linear(model: Glann) -> compact.Layer | None:
    """The generator's largest linear layer; None where it has none, as that for shapes."""
    if isinstance(model.generator, ResNetGenerator):
        return compact.Layer("generator.first.weight", None, lambda: math.sqrt(model.latents.shape[1]) * _codes(model))
    layers = model.generator.layers
    linear = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
    if not linear:
        return None
    place = max(linear, key=lambda place: layers[place].weight.numel())

    def inputs() -> Tensor:
        return sampling.run_blocks(layers[:place], _codes(model))

    norm = f"generator.layers.{place + 1}" if isinstance(layers[place + 1], nn.BatchNorm1d) else None
    return compact.Layer(f"generator.layers.{place}.weight", norm, inputs)


def _codes(model: Glann) -> Tensor:
    """Of training images and of T(e), on the unit sphere, for which a factorised weight is best."""
    noise = sampling.draw_noise(SEEN, model.mapper.noise_dim, SEEN_SEED)
    return unit_length(torch.cat([model.latents[:SEEN], sampling.run_blocks(model.mapper, noise)]))


class Comparison:
    """What a card says of quality: a model as trained and made small, scored on the same held-out data."""

    def __init__(self, model: Glann):
        self.kind = kind_of(model.config.data.dataset)
        real, train = (_held(model.config, split) for split in ("test", "train"))
        (self.judge, self.extractor), self.count = _judge(real), len(real)
        self.trained = model.sample(max(COMPARED[self.kind], self.count))
        self.before = self._rows("float32", self.trained)
        self.floor = {row["metric"]: row["value"] for row in self.judge.score(train[: self.count])["scores"]}

    def with_small(self, small: Glann) -> dict[str, Any]:
        """How far the small model's samples are from the trained one's, both sets' scores, and those of real data."""
        samples, compared = small.sample(len(self.trained)), COMPARED[self.kind]
        distance = (self.trained[:compared].float() - samples[:compared].float()).abs()
        difference = {"mean": distance.mean().item(), "largest": int(distance.max()), "samples": compared}
        scores = self.before + self._rows("released", samples)
        return {"scores": scores, "real": self.floor, "difference": difference, "scored": self.count}

    def _rows(self, of: str, samples: Tensor) -> list[dict[str, Any]]:
        rows = []
        for row in self.judge.score(samples[: self.count])["scores"]:
            facts, name = (METRICS | SHAPE_METRICS)[row["metric"]], title(row["metric"], self.extractor)
            told = {"metric": row["metric"], "name": name, "unit": facts.unit, "better": facts.better}
            rows.append({"of": of, **told, "value": row["value"]})
        return rows


def what_is_lost(measured: dict[str, Any]) -> str:
    """Why a model was better before it was made small, in words; "" where it was not."""
    name = measured["scores"][0]["metric"]  # the main one; lower is better, of images and of shapes
    before, after = (row["value"] for row in measured["scores"] if row["metric"] == name)
    mean = measured["difference"]["mean"]
    if after > WORST_RATIO * before:
        return f"is worse ({name} {after:.4g}, {before:.4g} in float32)"
    return f"draws other images ({mean:.2g} grey levels on average)" if mean > WORST_DIFFERENCE else ""


def origin(model: Glann) -> dict[str, Any]:
    """What a card says of where the model comes from; what its record does not tell is unknown."""
    record, config, kind = model.record, model.config, kind_of(model.config.data.dataset)
    data = {field: record.get("data", {}).get(field, UNKNOWN) for field in ("name", "source", "sha256")}
    known = {field: record.get(field, UNKNOWN) for field in ("commit", "uncommitted_changes", "time", "precision")}
    settings = config.as_dict()
    settings["data"]["dataset"] = without_folders(settings["data"]["dataset"])
    versions = {"python": record["python"], **record["versions"]} if "versions" in record else UNKNOWN
    epochs = {"glo": config.glo.epochs, "imle": config.imle.epochs, "profile": config.profile}
    return {
        "kind": kind, "image_shape": list(model.generator.shape), "training_images": len(model.latents), "data": data,
        "licence": released.licence(data["name"]), "profile": config.profile, "seed": config.glo.seed,
        "settings": settings, "hardware": record.get("device", UNKNOWN), "versions": versions,
        "made_by": made_by(config) if "notebook" in record else UNKNOWN, "purpose": PURPOSE,
        "limits": LIMITS.format(count=len(model.latents), kind=kind, **epochs), **known,
    }  # fmt: skip


def _held(config: Config, split: str) -> Tensor:
    """At most SCORED images or shapes of a split, drawn with a fixed seed."""
    load = load_shapes if kind_of(config.data.dataset) == "shapes" else load_images
    data = load(config.data, split)
    tensor = data.images if isinstance(data, ImageData) else data.voxels
    return tensor[random_order(len(tensor), SCORED)]


def _judge(real: Tensor) -> tuple[Reference | ShapeReference, str]:
    if real.dtype == torch.bool:
        return ShapeReference.of(real), VOXELS
    data = ImageData.from_array(real)
    extractor = make_score_extractor(EXTRACTOR, data, data, torch.device("cpu"), None)
    return Reference.of(real, [extractor]), EXTRACTOR


def main(argv: Sequence[str] | None = None) -> int:
    """Release one model; returns the exit code."""
    described = "Release a run's model.", "what Glann.load will find it by"
    parser = run_parser("release", *described, dirty="also if trained by code with uncommitted changes")
    return obey(parser, _release_and_say, argv)


def _release_and_say(name: str, **options: Any) -> str:
    card = release(name=name, **options)
    size, difference = card["bytes"] / 2**20, card["difference"]["mean"]
    return f"{name}: {size:.1f} MiB, {card['format']}; {difference:.2g} grey levels from the trained model's"


if __name__ == "__main__":
    sys.exit(main())
