"""A page that plays: a model's G and T in one HTML file that needs neither network nor server nor Python.

    python -m glann_lib.companion.page mnist

Its own parts are templates/play.html.j2, play.css, play.js and, for the worker that draws, play_network.js. Weights go
along as they are stored, a factorised one as its two factors, so that page and library draw the same images. BatchNorm
and biases become one product and one sum an output.

The networks are plain JavaScript. In chromium, on two busy cores, one image of MNIST's G takes it 7.7 ms (median of
100), TensorFlow.js 4.22 by WebAssembly 7.8 ms and onnxruntime-web 1.30 1.2 ms. But the last would make the page 6.9 MB
(its 1.17.3 5.9 MB), and it gives no gradients, which the search for a drawing needs.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import gzip
import io
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from glann_lib.companion import release, report
from glann_lib.companion.pages import obey, render
from glann_lib.engine import storage
from glann_lib.files import compact, released
from glann_lib.model import Glann
from glann_lib.networks import InfoGANGenerator
from glann_lib.records import runs
from glann_lib.records.latent_plots import TEN_COLOURS
from glann_lib.widgets import latent_directions
from glann_lib.widgets.latent_map import LatentMap
from glann_lib.widgets.uploads import usual_place

SIDES = (28, 32)  # px that a browser draws fast enough
ROOM = 4 * 2**20  # bytes of the model; what is larger is made smaller
PRINCIPAL, EXAMPLES, STILL, COMPARED = 4, 64, 24, 64
FITS = "a page takes images of 28 or 32 px by the InfoGAN generator, such as mnist or --set image_size=32 of your own"


@dataclass(frozen=True)
class Layer:
    """y = act(scale * (W x) + shift), or what a doubling makes of 16 such products."""

    weight: Tensor  # W [out, in]; of a doubling [16 out, in], tap after tap; int8, float16 or float32
    scale: Tensor  # [out], float64
    shift: Tensor  # [out], float64
    act: str  # "relu", "leaky", "sigmoid" or "none"
    side: int = 0  # px of what a doubling takes; 0: a linear layer


def write(name: str, to: Path | None = None) -> tuple[Path, float]:
    """Write the page of a model, and say by how many grey levels its images are off on average.

    Args:
        name: of a released model, or a file's or a run folder's path.
        to: the page's file; None: results/play-NAME.html.

    Raises:
        ValueError: a model that does not fit a page; says what fits.
        FileNotFoundError: there is no such model.
    """
    path = released.locate(name)
    model = Glann.load(name, "cpu")
    if not isinstance(model.generator, InfoGANGenerator) or model.generator.shape[-1] not in SIDES:
        shape = " x ".join(map(str, model.generator.shape))
        raise ValueError(f"{name} draws {shape} by {type(model.generator).__name__}: {FITS}")
    small, path_of_small = model, path
    with tempfile.TemporaryDirectory() as folder:
        if path.stat().st_size > ROOM:
            path_of_small, _ = release.write_small(path, model, Path(folder) / path.name, room=ROOM)
            small = Glann.load(path_of_small, "cpu")
        tensors, _ = storage.load_sealed(path_of_small)
    difference = (model.sample(COMPARED).float() - small.sample(COMPARED).float()).abs().mean().item()
    known = name if name in released.available() else path.parent.name
    text = page(small, tensors, known if known == name else runs.shown(path), difference)
    return storage.write_text(to or runs.ROOT / "results" / f"play-{known}.html", text), difference


def page(model: Glann, tensors: dict[str, Tensor], name: str, difference: float = 0.0) -> str:
    """The page of a model, HTML.

    Args:
        model: of images, 28 or 32 px.
        tensors: those of its file, as they are stored.
        name: what `Glann.load` finds it by.
        difference: grey levels of 255, on average, from the images of the model that it was made from.
    """
    layers = {"T": mapper_layers(tensors), "G": generator_layers(tensors, model.generator.shape[-1])}
    facts, packed = _codes(model, tensors)
    for network, parts in layers.items():
        facts[network] = []
        for number, layer in enumerate(parts):
            key = f"{network}{number}"
            facts[network].append({"name": key, "act": layer.act, "side": layer.side} if layer else {})
            packed |= {f"{key}.{part}": value for part, value in _parts(layer).items()} if layer else {}
    dataset = model.config.data.dataset
    licence = released.licence(dataset) if name in released.available() else ""
    shown = {"facts": facts, "title": report.data_title(dataset), "name": name, "licence": licence}
    shown |= {"difference": difference, "still": _still(model), "count": len(model.latents), "steps": PRINCIPAL}
    content = gzip.compress(safetensors.torch.save(packed), mtime=0)
    return render("play.html.j2", **shown, model=base64.b64encode(content).decode())


def mapper_layers(tensors: dict[str, Tensor]) -> list[Layer | None]:
    """T, layer by layer; None: what there is, divided by its length."""
    matched = "mapper.colour" in tensors
    name, full = "mapper.mapper.layers." if matched else "mapper.layers.", compact.expand(tensors)
    layers: list[Layer | None] = []
    for place, act in ((0, "relu"), (3, "relu"), (6, "none")):
        layers += _linear(tensors, full, f"{name}{place}", f"{name}{place + 1}", act)
    if matched:
        colour = tensors["mapper.colour"].T
        layers += [None, Layer(colour, torch.ones(len(colour)).double(), full["mapper.shift"].double(), "none")]
    return layers


def generator_layers(tensors: dict[str, Tensor], side: int) -> list[Layer | None]:
    """G for images of `side` px, layer by layer, first None as in `mapper_layers`; pixels come before channels."""
    name, full = "generator.layers.", compact.expand(tensors)
    layers = _linear(tensors, full, f"{name}0", f"{name}1", "leaky")
    layers += _linear(tensors, full, f"{name}3", f"{name}4", "leaky")
    layers[-1] = _channels_last(layers[-1], (side // 4) ** 2)
    for place, act, half in ((7, "leaky", side // 4), (10, "sigmoid", side // 2)):
        [(weight, step)] = _stored(tensors, f"{name}{place}.weight")
        channels, outs = weight.shape[:2]
        if step is not None:  # of each channel that comes in: LeakyReLU lets a positive factor through
            before, factor = layers[-1], step.flatten().double().repeat(len(layers[-1].scale) // channels)
            layers[-1] = dataclasses.replace(before, scale=before.scale * factor, shift=before.shift * factor)
        taps = weight.permute(2, 3, 1, 0).reshape(16 * outs, channels)
        layers.append(Layer(taps, *_affine(full, f"{name}{place}", f"{name}{place + 1}", outs), act, half))
    return [None, *layers]


def _linear(tensors: dict[str, Tensor], full: dict[str, Tensor], name: str, norm: str, act: str) -> list[Layer]:
    """One layer, or two where its weight is stored as two factors."""
    *first, (weight, step) = _stored(tensors, f"{name}.weight")
    scale, shift = _affine(full, name, norm, len(weight))
    layers = [Layer(own, steps.flatten().double(), torch.zeros(len(own)).double(), "none") for own, steps in first]
    return [*layers, Layer(weight, scale if step is None else scale * step.flatten(), shift, act)]


def _stored(tensors: dict[str, Tensor], name: str) -> list[tuple[Tensor, Tensor | None]]:
    """The matrices whose product a weight is, the one that is applied first coming first, and their rows' steps."""
    if factors := compact.factors_of(tensors, name):
        return [(factors[part], factors[f"{part}_scale"]) for part in ("right", "left")]
    if name in tensors:
        return [(tensors[name], None)]
    return [(tensors[name + compact.ROWS], tensors[name + compact.STEPS])]


def _affine(full: dict[str, Tensor], name: str, norm: str, outs: int) -> tuple[Tensor, Tensor]:
    """The factor and the sum [outs] that a layer's bias and the BatchNorm behind it come to, float64."""
    bias = full.get(f"{name}.bias", torch.zeros(outs)).double()
    if f"{norm}.running_var" not in full:
        return torch.ones(outs).double(), bias
    weight, shift, mean, variance = (
        full[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / (variance + compact.EPSILON).sqrt()
    return scale, shift + (bias - mean) * scale


def _channels_last(layer: Layer, pixels: int) -> Layer:
    order = torch.arange(len(layer.weight)).view(-1, pixels).T.flatten()
    return Layer(layer.weight[order], layer.scale[order], layer.shift[order], layer.act)


def _parts(layer: Layer) -> dict[str, Tensor]:
    return {
        "weight": layer.weight.contiguous(),
        "scale": layer.scale.float().contiguous(),
        "shift": layer.shift.float().contiguous(),
    }


def _codes(model: Glann, tensors: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the page knows of the training images' codes: facts, and tensors; and of its images' size."""
    plane, classes = LatentMap.of(model.latents), model.classes if len(model.classes) > 1 else {}
    directions = latent_directions.principal_directions(model.latents, PRINCIPAL)
    if classes:
        directions += latent_directions.attribute_directions(model.latents, model.labels, model.class_names)
    channels, side, _ = model.generator.shape
    facts = {"side": side, "channels": channels, "noise": model.mapper.noise_dim, "latent": model.mapper.latent_dim}
    facts |= {"principal": PRINCIPAL, "classes": list(classes.items()), "colours": list(TEN_COLOURS.colors)}
    facts |= {"extent": plane.extent(), "names": _names(plane, model.labels, classes)}
    facts |= {"place": dataclasses.asdict(usual_place(model.sample(EXAMPLES)))}
    packed = {"points": plane.points, "directions": torch.stack([way.vector * way.spread for way in directions])}
    # Only their directions count, so the steps of int8 rows are left out.
    packed["latents"] = tensors.get("latents" + compact.ROWS, model.latents)
    if classes:
        packed["labels"] = model.labels.float()
    return facts, {name: tensor.contiguous() for name, tensor in packed.items()}


def _names(plane: LatentMap, labels: Tensor | None, classes: dict[int, str]) -> list[list[float]]:
    """Label, x and y of each class's name on the map; none where there are more classes than colours."""
    if not classes or len(classes) > len(TEN_COLOURS.colors):
        return []
    return [[label, *spot] for label, spot in zip(classes, plane.name_places(labels, classes).tolist(), strict=True)]


def _still(model: Glann) -> str:
    """A PNG of samples for a browser in which nothing moves, as a URL."""
    buffer = io.BytesIO()
    to_pil_image(make_grid(model.sample(STILL), nrow=8, padding=1, pad_value=128)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def main(argv: Sequence[str] | None = None) -> int:
    """Write one page; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m glann_lib.companion.page", description="One HTML page that draws with a model, without Python."
    )
    parser.add_argument("name", metavar="MODEL", help="a released model's name, a model's file, or a run's folder")
    parser.add_argument("--to", type=Path, metavar="FILE", help="the page (results/play-NAME.html)")
    return obey(parser, _write_and_say, argv)


def _write_and_say(name: str, to: Path | None) -> str:
    path, difference = write(name, to)
    size = f"{path.stat().st_size / 2**20:.1f} MiB"
    return f"{runs.shown(path)}: {size}, {difference:.2g} grey levels from the model's images; open it in a browser"


if __name__ == "__main__":
    sys.exit(main())
