"""Image files as people keep them, of mixed formats, sizes, modes and quality -> uint8 arrays."""

from __future__ import annotations

import functools
import io
import warnings
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps

from glann_lib.data.cache import Rows
from glann_lib.data.listing import DataFiles, printable
from glann_lib.settings import SIZES

# JPEG's reader takes MPO, too, which many telephones write. Not every format of Pillow: some start other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
WHITE = {"F": (1, 255, 65535)} | dict.fromkeys(("I", "I;16", "I;16L", "I;16B", "I;16N"), (65535, 2**31 - 1))
GREY = ("1", "L", "LA", "La", *WHITE)
DIM = 64  # grey levels of 8 bits: a camera's 10, 12 or 14 bits in a file of 16 reach no further


def read_images(
    files: DataFiles, names: list[str], size: int, crop: float = 1.0, enlarge: bool = True
) -> dict[str, Any]:
    """Decode N files on all cores: "images", `Rows` [n, C, size, size], of those that are "readable", bool [N].

    C is 1 if every file is grey, else 3. "deep", int16 [N], is the brightest grey level of a file of 16 bits, -1 of
    others; "sides", int32 [N], of the square that `crop`, as in `decode`, leaves, in px. ValueError where fewer than
    two files (or the one asked for) can be read and, without `enlarge`, where any square is smaller than `size`.
    """
    deep, sides, small = np.full(len(names), -1, np.int16), np.zeros(len(names), np.int32), []

    def channels(index: int) -> int:
        try:
            with _opened(read(names[index])) as image:
                sides[index] = _side(image, crop)
                if sides[index] < size and not enlarge:
                    small.append(index)
                if small:
                    return 0  # all that is wanted now are the others' sides
                picture, is_deep = _decoded(image, size, crop)
        except MemoryError:
            raise
        except Exception:  # a damaged file can raise nearly anything
            return 0
        rows.put(index, picture)
        deep[index] = picture.max() if is_deep else -1
        return len(picture)

    with Rows(len(names), 3, size, size) as rows, files.opened() as read, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        found = np.array(rows.fill(channels, f"decoding {printable(files.path.name)}"))
        if small:
            raise ValueError(_smallness(files, names, sides, size))
        readable = found > 0
        if readable.sum() < min(2, len(names)):
            first = printable(names[int(np.argmin(readable))])
            raise ValueError(f"{readable.sum()} of {len(names)} images in {files.path} can be read ({first} cannot)")
        rows.trim(readable, int(found.max()))
    arrays = {"readable": readable, "deep": deep, "sides": sides}
    return {"images": rows} | {name: torch.from_numpy(array) for name, array in arrays.items()}


def _smallness(files: DataFiles, names: list[str], sides: np.ndarray, size: int) -> str:
    """The refusal of files some of whose squares, int32 [N] px or 0 where unknown, are smaller than a size."""
    known = np.where(sides, sides, sides.max())
    least, first = int(known.min()), printable(names[int(known.argmin())])
    reached = [f"image_size={size}" for size in SIZES if size <= least][-1:]
    told = (
        f"{(known < size).sum():,} of {len(names):,} images in {printable(files.path.name)} are smaller than {size} px"
    )
    return (
        f"{told} (the smallest {least} px, {first}): choose {', or '.join([*reached, 'enlarge=True'])} to enlarge them"
    )


def enlarged(tensors: dict[str, torch.Tensor], size: int) -> str:
    """Of what `read_images` found a remark, how many images were smaller than `size` px; else ""."""
    sides = tensors["sides"][tensors["readable"]]
    count = int((sides < size).sum())
    return f"; {count:,} of {len(sides):,} enlarged" if count else ""


def dimness(tensors: dict[str, torch.Tensor]) -> str:
    """Of what `read_images` found a remark, which is also a warning, where 16 bits hold no more than 14; else ""."""
    deep = tensors["deep"][tensors["deep"] >= 0]
    if not len(deep) or deep.max() >= DIM:
        return ""
    dark = f"{len(deep)} images of 16 bits use {100 * int(deep.max()) / 255:.0f} % of their range and come out dark"
    warnings.warn(f"{dark}: scale their numbers so that white is 65535", stacklevel=2)
    return f"; {dark}"


def decode(content: bytes, size: int, crop: float = 1.0) -> np.ndarray:
    """The upright centre square of an encoded image, uint8 [C, size, size]; C is 1 for grey modes, else 3.

    Its side is `crop`, in (0, 1], of the image's shorter one; transparency becomes white, and the colours are those of
    sRGB. Numbers of 16 bits or more count up to 65535, or up to 1, 255 or 65535 if they are floating point, whichever
    they keep within. Pillow's errors pass.
    """
    with _opened(content) as image:
        return _decoded(image, size, crop)[0]


def _opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=FORMATS)


def _side(image: Image.Image, crop: float) -> int:
    """Of the centre square, in px."""
    return max(1, round(min(image.size) * crop))


def _decoded(image: Image.Image, size: int, crop: float) -> tuple[np.ndarray, bool]:
    """The same, and whether the file has 16 bits or more."""
    is_deep = image.mode in WHITE or ";16" in str(image.tile)
    image.draft(None, (2 * size, 2 * size))  # decodes a 12 Mpx JPEG at an eighth: 6 times faster
    image = _plain(ImageOps.exif_transpose(image), image.info.get("icc_profile"))
    side = _side(image, crop)
    left, top = ((length - side) // 2 for length in image.size)
    square = image.crop((left, top, left + side, top + side))  # resize(box=...) would let the outside bleed in
    pixels = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), is_deep


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 [N, C, H, W] -> [N, C, size, size], antialiased in whole numbers: the same bits on every machine."""
    count, channels, height, width = images.shape
    planes = (Image.fromarray(plane) for plane in images.reshape(-1, height, width))
    pixels = [np.asarray(plane.resize((size, size), Image.Resampling.BICUBIC)) for plane in planes]
    return np.stack(pixels).reshape(count, channels, size, size)


def _plain(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Any mode to 8-bit "L" (grey) or "RGB" of sRGB's colours, transparent parts on white."""
    mode = "L" if image.mode in GREY else "RGB"
    if image.mode in WHITE:
        numbers = np.nan_to_num(np.asarray(image)).clip(0)
        white = next((white for white in WHITE[image.mode] if numbers.max() <= white), WHITE[image.mode][-1])
        return Image.fromarray((numbers.clip(0, white) * (255 / white)).round().astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    if image.mode != "CMYK":
        image = image.convert(mode)
    transform = _to_srgb(profile, image.mode) if profile else None
    return (ImageCms.applyTransform(image, transform) if transform else image).convert(mode)


@functools.lru_cache(maxsize=64)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a colour profile's own colours to sRGB's; None where they are these, or the profile cannot be used."""
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).lower():
            return None
        return ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
