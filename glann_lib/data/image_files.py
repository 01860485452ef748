"""Image files as people keep them, of mixed formats, sizes, modes and quality -> uint8 arrays."""

from __future__ import annotations

import io
import warnings
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from glann_lib.data.files import DataFiles, list_files

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
GREY_16_BIT = ("I", "I;16", "I;16L", "I;16B")
GREY = ("1", "L", "LA", "La", *GREY_16_BIT)


def list_images(path: Path) -> DataFiles:
    """Image files as in `list_files`; FileNotFoundError where nothing is there, ValueError for one image or none."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name a directory or a .zip of images")
    files = list_files(path, SUFFIXES)
    if len(files.names) < 2:
        known = ", ".join(suffix[1:] for suffix in SUFFIXES)
        held = f"one image only ({files.names[0]})" if files.names else f"no images ({known})"
        raise ValueError(f"{path} holds {held}: put at least two there, better some hundreds")
    return files


def read_images(files: DataFiles, names: list[str], size: int, crop: float = 1.0) -> dict[str, torch.Tensor]:
    """Decode N files on all cores: "images", uint8 [n, C, size, size], of those that are "readable", bool [N].

    C is 1 if every file is grey, else 3. `crop` is as in `decode`. ValueError where fewer than two files (or the one
    asked for) can be read.
    """
    pixels = np.empty((len(names), 3, size, size), np.uint8)

    def channels(index: int) -> int:
        try:
            picture = decode(read(names[index]), size, crop)
        except MemoryError:
            raise
        except Exception:  # a damaged file can raise nearly anything
            return 0
        pixels[index] = picture  # one channel fills all three
        return len(picture)

    with files.opened() as read, warnings.catch_warnings(), ThreadPool() as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        found = np.array(pool.map(channels, range(len(names)), chunksize=32))
    readable = found > 0
    if readable.sum() < min(2, len(names)):
        first = names[int(np.argmin(readable))]
        raise ValueError(f"{readable.sum()} of {len(names)} images in {files.path} can be read ({first} cannot)")
    images = pixels if readable.all() else pixels[readable]
    images = images if found.max() == 3 else images[:, :1].copy()
    return {"images": torch.from_numpy(images), "readable": torch.from_numpy(readable)}


def decode(content: bytes, size: int, crop: float = 1.0) -> np.ndarray:
    """The upright centre square of an encoded image, uint8 [C, size, size]; C is 1 for grey modes, else 3.

    Its side is `crop`, in (0, 1], of the image's shorter one; transparency becomes white. Pillow's errors pass.
    """
    with Image.open(io.BytesIO(content)) as image:
        image.draft(None, (2 * size, 2 * size))  # decodes a 12 Mpx JPEG at an eighth: 6 times faster
        image = _plain(ImageOps.exif_transpose(image))
    side = max(1, round(min(image.size) * crop))
    left, top = ((length - side) // 2 for length in image.size)
    square = image.crop((left, top, left + side, top + side))  # resize(box=...) would let the outside bleed in
    pixels = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 [N, C, H, W] -> [N, C, size, size], antialiased in whole numbers: the same bits on every machine."""
    count, channels, height, width = images.shape
    planes = (Image.fromarray(plane) for plane in images.reshape(-1, height, width))
    pixels = [np.asarray(plane.resize((size, size), Image.Resampling.BICUBIC)) for plane in planes]
    return np.stack(pixels).reshape(count, channels, size, size)


def _plain(image: Image.Image) -> Image.Image:
    """Any mode to 8-bit "L" (grey) or "RGB", transparent parts on white."""
    mode = "L" if image.mode in GREY else "RGB"
    if image.mode in GREY_16_BIT:
        return Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)
