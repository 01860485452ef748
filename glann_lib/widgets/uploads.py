"""What a person gives, a file or a drawing, as one image that a model takes, uint8 [1, C, S, S]."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from glann_lib.data import image_files

MOST_MIB = 30
MOST_PIXELS = 50_000_000
LIMIT = f"{MOST_PIXELS // 10**6} million pixels"
LEAST_SIDE = 8  # px
UNREADABLE = "this file is no image that can be read: choose a PNG, JPEG, WebP or BMP"
BLANK = "the drawing is empty: draw something first"
INK = 0.25  # of the brightest pixel; what is brighter belongs to the drawing
AGREED = 0.9  # of the examples have such a border
DARK, BRIGHT = 96, 160  # grey levels; a border between them is neither


def from_file(content: bytes, shape: tuple[int, int, int]) -> Tensor:
    """The centre square of an image file, decoded as training images are, at a shape (C, S, S): uint8 [1, C, S, S].

    The file is a PNG, JPEG, WebP, BMP, GIF or TIFF of any mode; of an animation the first frame counts. C 1 makes a
    coloured file grey (ITU-R 601 luma). A ValueError refuses a file that is empty, of more than 30 MiB or 50 million
    pixels, damaged or no image, and an image of less than 8 px a side.
    """
    _require_readable(content)
    with _decoding():
        pixels = image_files.decode(content, shape[-1])
    if len(pixels) == 3 and shape[0] == 1:
        pixels = np.asarray(Image.fromarray(pixels.transpose(1, 2, 0)).convert("L"))[None]
    return torch.tensor(pixels).expand(shape)[None].contiguous()


def looks_inverted(image: Tensor, examples: Tensor) -> bool:
    """Whether an image's border is bright where those of the model's samples are dark, or the other way about.

    So is a digit on white paper for a model of white on black; nothing is where samples disagree, as photographs do.
    """
    borders, own = _borders(examples), _borders(image).item()
    opposite = borders < DARK if own >= 128 else borders > BRIGHT
    return opposite.float().mean().item() >= AGREED


def from_drawing(strokes: bytes, examples: Tensor) -> Tensor:
    """A drawing as uint8 [1, C, S, S], placed as samples of the model are: it has no code for a small 7 in a corner.

    `strokes` are a PNG, bright on black or on nothing; else, and where nothing is drawn, a ValueError. The box around
    them gets the median larger side and middle of those in `examples`, its aspect kept. Thin strokes, which dim as they
    shrink, are lit up to the examples' brightness; for a model of bright borders the drawing is inverted.
    """
    drawing = _on_black(strokes)
    if drawing.max() < 16:
        raise ValueError(BLANK)
    usual = usual_place(examples)
    placed = _placed(drawing, usual.side, usual.middle, examples.shape[-1]).astype(np.float32)
    placed *= usual.brightness / max(placed.max(), 1)
    pixels = torch.from_numpy(placed.round().astype(np.uint8)).expand(examples.shape[1:])[None]
    return 255 - pixels if usual.inverted else pixels.contiguous()


@dataclass(frozen=True)
class Place:
    """Where a model's samples have what they show, and how: medians over some of them."""

    side: float  # px, the larger side of the box around the strokes
    middle: tuple[float, float]  # px, of that box, from the left and from the top
    brightness: float  # of the brightest pixel, 0 to 255
    inverted: bool  # dark strokes on a bright border; the numbers above are of the inverted images


def usual_place(examples: Tensor) -> Place:
    """Where the samples uint8 [N, C, S, S] of a model have their strokes; all of the image where all are black."""
    inverted = _borders(examples).median().item() >= 128
    drawn = [image for image in _grey(255 - examples if inverted else examples) if image.max() > 0]
    if not drawn:
        size = examples.shape[-1]
        return Place(size, (size / 2, size / 2), 255, inverted)
    boxes = np.array([_box(image) for image in drawn])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1)
    x, y = np.median((boxes[:, 2:] + boxes[:, :2]) / 2, axis=0)
    brightness = np.median([image.max() for image in drawn])
    return Place(float(np.median(sides)), (float(x), float(y)), float(brightness), inverted)


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """Whatever a file raises becomes a ValueError that says what to give."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata, and its limit, looser than the one here
            yield
    except Image.DecompressionBombError:
        raise ValueError(f"the image is too large: choose one of {LIMIT} or less") from None
    except Exception:  # a damaged file can raise nearly anything
        raise ValueError(UNREADABLE) from None


def _require_readable(content: bytes) -> None:
    """By the header alone, before anything is decoded."""
    if not content:
        raise ValueError("the file is empty: choose a PNG, JPEG, WebP or BMP")
    if len(content) > MOST_MIB * 2**20:
        raise ValueError(f"the file has {len(content) / 2**20:.0f} MiB: choose one of {MOST_MIB} MiB or less")
    with _decoding(), Image.open(io.BytesIO(content), formats=image_files.FORMATS) as image:
        width, height = image.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"the image has {width} x {height} px: choose one of {LIMIT} or less")
    if min(width, height) < LEAST_SIDE:
        raise ValueError(f"the image has {width} x {height} px: choose one of {LEAST_SIDE} px or more a side")


def _on_black(strokes: bytes) -> np.ndarray:
    """uint8 [H, W]; what is transparent is black."""
    _require_readable(strokes)
    with _decoding(), Image.open(io.BytesIO(strokes)) as image:
        picture = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture).convert("L"))


def _grey(images: Tensor) -> np.ndarray:
    """uint8 [N, C, S, S] -> float32 [N, S, S], brightness."""
    weights = torch.tensor([0.299, 0.587, 0.114] if images.shape[1] == 3 else [1.0])
    return torch.einsum("ncij,c->nij", images.cpu().float(), weights).numpy()


def _borders(images: Tensor) -> Tensor:
    """The median brightness [N] of each image's outermost pixels; strokes that touch the border do not count."""
    grey = torch.from_numpy(_grey(images))
    edges = [grey[:, 0], grey[:, -1], grey[:, 1:-1, 0], grey[:, 1:-1, -1]]
    return torch.cat(edges, dim=1).median(1).values


def _box(grey: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels [H, W] above a quarter of the brightest."""
    return Image.fromarray(grey > INK * grey.max()).getbbox()


def _placed(drawing: np.ndarray, side: float, middle: tuple[float, float], size: int) -> np.ndarray:
    """uint8 [size, size], the box's larger side `side` px long and its middle at `middle`."""
    strokes = Image.fromarray(drawing).crop(_box(drawing))
    scale = max(strokes.size) / side  # px of the drawing a px of the result
    factor = max(1, int(scale / 4))  # first in whole pixels: what is cut out below stays small, whatever is drawn
    scale /= factor
    x, y = (length / factor / 2 - scale * place for length, place in zip(strokes.size, middle, strict=True))
    margin = math.ceil(scale * size) + 1  # the square that is cut out reaches beyond the strokes
    square = (x + margin, y + margin, x + margin + scale * size, y + margin + scale * size)
    padded = ImageOps.expand(strokes.reduce(factor), margin)
    return np.asarray(padded.resize((size, size), Image.Resampling.BICUBIC, box=square))
