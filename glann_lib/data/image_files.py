"""Image files as people keep them -> uint8 arrays: a directory or a .zip of mixed formats, sizes, modes and quality.

Every image becomes an upright square: EXIF rotation applied, transparency laid on white, the centre cut out, resized
with antialiasing. Files that cannot be read are left out and reported, never guessed at.
"""

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
    """The image files in a directory (at any depth) or .zip; hidden ones and __MACOSX are left out.

    FileNotFoundError where nothing is there; ValueError where it is neither a directory nor a whole .zip, or holds
    fewer than two images.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name a directory or a .zip of images")
    files = list_files(path, SUFFIXES)
    if len(files.names) < 2:
        known = ", ".join(suffix[1:] for suffix in SUFFIXES)
        held = f"one image only ({files.names[0]})" if files.names else f"no images ({known})"
        raise ValueError(f"{path} holds {held}: put at least two there, better some hundreds")
    return files


def read_images(files: DataFiles, names: list[str], size: int, crop: float = 1.0) -> dict[str, torch.Tensor]:
    """Decode N of the files, on all cores.

    `crop` is the side of the centre square that is kept, as a part of each image's shorter side, in (0, 1]. Returns
    "images", uint8 [n, C, size, size] with C = 1 if every file is grey, else 3, and "readable", bool [N]: which files
    those n are. ValueError where fewer than two of them can be read (if at least two are asked for).
    """
    pixels = np.empty((len(names), 3, size, size), np.uint8)

    def channels(index: int) -> int:
        try:
            picture = decode(read(names[index]), size, crop)
        except MemoryError:
            raise
        except Exception:  # a damaged file can raise nearly anything; it is reported by its name
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
    """One encoded image -> its centre square, uint8 [C, size, size]; C is 1 for grey modes, else 3.

    What Pillow raises for a file that it cannot read to its end is not caught.
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
    """uint8 [N, C, H, W] -> [N, C, size, size] with antialiasing, in whole numbers: the same bits on every machine."""
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
