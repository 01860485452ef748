"""Image files as people keep them, of mixed formats, sizes, modes and quality -> uint8 arrays."""

from __future__ import annotations

import functools
import io
import warnings
from multiprocessing.pool import ThreadPool

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps

from glann_lib.data.listing import DataFiles, printable

# JPEG's reader takes MPO, too, which many telephones write. Not every format of Pillow: some start other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
WHITE = {"F": (1, 255, 65535)} | dict.fromkeys(("I", "I;16", "I;16L", "I;16B", "I;16N"), (65535, 2**31 - 1))
GREY = ("1", "L", "LA", "La", *WHITE)
DIM = 64  # grey levels of 8 bits: a camera's 10, 12 or 14 bits in a file of 16 reach no further


def read_images(files: DataFiles, names: list[str], size: int, crop: float = 1.0) -> dict[str, torch.Tensor]:
    """Decode N files on all cores: "images", uint8 [n, C, size, size], of those that are "readable", bool [N].

    C is 1 if every file is grey, else 3. "deep", int16 [N], is the brightest grey level of a file of 16 bits, -1 of
    others. `crop` is as in `decode`. ValueError where fewer than two files (or the one asked for) can be read.
    """
    pixels = np.empty((len(names), 3, size, size), np.uint8)
    deep = np.full(len(names), -1, np.int16)

    def channels(index: int) -> int:
        try:
            picture, is_deep = _decoded(read(names[index]), size, crop)
        except MemoryError:
            raise
        except Exception:  # a damaged file can raise nearly anything
            return 0
        pixels[index] = picture  # one channel fills all three
        deep[index] = picture.max() if is_deep else -1
        return len(picture)

    with files.opened() as read, warnings.catch_warnings(), ThreadPool() as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        found = np.array(pool.map(channels, range(len(names)), chunksize=32))
    readable = found > 0
    if readable.sum() < min(2, len(names)):
        first = printable(names[int(np.argmin(readable))])
        raise ValueError(f"{readable.sum()} of {len(names)} images in {files.path} can be read ({first} cannot)")
    images = pixels if readable.all() else pixels[readable]
    images = images if found.max() == 3 else images[:, :1].copy()
    return {name: torch.from_numpy(a) for name, a in {"images": images, "readable": readable, "deep": deep}.items()}


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
    return _decoded(content, size, crop)[0]


def _decoded(content: bytes, size: int, crop: float) -> tuple[np.ndarray, bool]:
    """The same, and whether the file has 16 bits or more."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        is_deep = image.mode in WHITE or ";16" in str(image.tile)
        image.draft(None, (2 * size, 2 * size))  # decodes a 12 Mpx JPEG at an eighth: 6 times faster
        image = _plain(ImageOps.exif_transpose(image), image.info.get("icc_profile"))
    side = max(1, round(min(image.size) * crop))
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
