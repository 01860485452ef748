"""Reed et al.'s rendered cars (NIPS 2015), divided as DiscoGAN (Kim et al. 2017) and after it NAM divide them.

Cars are sorted by their numbers. The last 14 are for testing, in both domains; of the others the first half is one
domain, the second half the other. Each car stands in 24 azimuths, 15 degrees apart, at one elevation (the last of
four: 18 degrees). Two places are read: the original files, a MATLAB file a car, and one .npz that holds them prepared.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import loadmat

from glann_lib.data import cache, places
from glann_lib.data.listing import printable, reason
from glann_lib.data.record import ImageData, check_split, random_order
from glann_lib.engine import storage
from glann_lib.settings import CARS3D

PREPARED, ORIGINAL = PLACES = ("cars3d/elevation3_64.npz", "cars")
MESH = re.compile(r"car_(\d+)_mesh\.mat")
AZIMUTHS, ELEVATIONS, ELEVATION = 24, 4, 3
TESTS = 14  # cars
SIZES = (64, 32)  # px: the originals' 128 halved once, and twice
WANTED = f"uint8 [128, 128, 3, {AZIMUTHS}, {ELEVATIONS}]"
LUMA = (19595, 38470, 7471)  # of 2**16, Rec. 601: as Pillow makes colours grey, in whole numbers


def load_cars3d(
    domain: str, split: str, size: int = 64, limit: int | None = None, in_colour: bool = False
) -> ImageData:
    """One split of the images of one domain, a name in CARS3D, in random order, with the azimuth that each shows.

    Images are uint8 [N, 1 or 3, size, size] on white, azimuths float32 [N], degrees. Grey is DiscoGAN's default. A
    smaller limit, 1 or more, gives the first few. ConnectionError, with what to place where, without the files;
    ValueError for an unknown domain or split, another size than 32 or 64, and for files that are damaged or too few.
    """
    check_split(split)
    if domain not in CARS3D:
        raise ValueError(f"unknown domain {domain!r}: choose {' or '.join(CARS3D)}")
    if size not in SIZES:
        raise ValueError(f"image_size is {size}: cars3d has images of 64 px, and of 32 by halving them")
    cars, numbers, place = _cars()
    if len(numbers) < TESTS + 2:
        raise ValueError(f"{place} holds {len(numbers)} cars: {TESTS} for testing and two more at least are needed")
    half = (len(numbers) - TESTS) // 2
    parts = slice(half), slice(half, len(numbers) - TESTS)
    rows = slice(len(numbers) - TESTS, None) if split == "test" else parts[CARS3D.index(domain)]
    images = cars[rows].permute(0, 1, 4, 2, 3).flatten(0, 1)
    images = images if in_colour else _grey(images)
    images = images if size == SIZES[0] else halved(images)
    azimuths = (torch.arange(AZIMUTHS) * (360.0 / AZIMUTHS)).repeat(len(numbers[rows]))
    order = random_order(len(images), limit)
    own = f"cars {numbers[rows][0]} to {numbers[rows][-1]}"
    source = f"{place}: {len(numbers)} rendered cars (Reed et al. 2015), elevation index {ELEVATION}; {own}"
    source += f" ({len(numbers[rows])}), as DiscoGAN divides them"
    return ImageData(images[order].contiguous(), None, domain, split, source, azimuths=azimuths[order])


def _cars() -> tuple[torch.Tensor, np.ndarray, str]:
    """All cars, uint8 [N, 24, 64, 64, 3], by their numbers [N], and the place that they were read from."""
    prepared, original = map(places.find, PLACES)
    if original is not None:
        return *_from_meshes(original), f"{ORIGINAL}/car_NNN_mesh.mat"
    if prepared is None:
        raise ConnectionError(
            f"cars3d cannot be downloaded: place {ORIGINAL}/car_NNN_mesh.mat (the original files) or {PREPARED} in "
            "data/ or the folder that the environment variable GLANN_DATA names; data/README.md says how"
        )
    return *_from_prepared(prepared), PREPARED


def _from_prepared(path: Path) -> tuple[torch.Tensor, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            images, numbers, azimuths = (file[name] for name in ("images", "car", "azimuth"))
    except KeyError as error:
        raise ValueError(f"{path} lacks an array ({reason(error)}): images, car and azimuth are needed") from None
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ValueError(f"{path} is no .npz, or a damaged one ({reason(error)}): place it again") from None
    wanted = (len(images), AZIMUTHS, SIZES[0], SIZES[0], 3)
    if images.dtype != np.uint8 or images.shape != wanted or numbers.shape != images.shape[:1]:
        held = f"images {images.dtype} {list(images.shape)} and car {list(numbers.shape)}"
        raise ValueError(f"{path} holds {held}: uint8 [N, {AZIMUTHS}, 64, 64, 3] and [N] are needed")
    if not np.array_equal(azimuths, np.arange(AZIMUTHS) * (360 / AZIMUTHS)):
        raise ValueError(f"{path} holds other azimuths than 0, 15 to 345 degrees: place the right file")
    order = np.argsort(numbers)
    return torch.from_numpy(images[order]), numbers[order]


def _from_meshes(folder: Path) -> tuple[torch.Tensor, np.ndarray]:
    named = {int(found[1]): path for path in folder.iterdir() if (found := MESH.fullmatch(path.name))}
    if not named:
        raise ValueError(f"{folder} holds no car_NNN_mesh.mat: unpack Reed et al.'s cars there, or take it away")
    paths = [named[number] for number in sorted(named)]
    stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]

    def read() -> dict[str, Any]:
        return {"cars": torch.stack([read_mesh(path) for path in paths])}

    key = storage.digest("cars3d", str(folder.resolve()), stamps)
    return cache.kept(key, read)["cars"], np.array(sorted(named))


def read_mesh(path: Path) -> torch.Tensor:
    """One car in 24 azimuths at the elevation used, halved to 64 px, uint8 [24, 64, 64, 3]; what it is not, ValueError.

    The file is MATLAB 5's, its variable `im` uint8 [128, 128, 3, 24, 4].
    """
    name = printable(path.name)
    try:
        images = loadmat(path, variable_names=["im"])["im"]
    except NotImplementedError:
        raise ValueError(f"{name} is a MATLAB file of version 7.3: save it again with the option -v7") from None
    except KeyError:
        raise ValueError(f"{name} has no variable im: place Reed et al.'s original file") from None
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError(f"{name} is no MATLAB file, or a damaged one ({reason(error)}): place it again") from None
    if images.dtype != np.uint8 or images.shape != (128, 128, 3, AZIMUTHS, ELEVATIONS):
        raise ValueError(f"im in {name} is {images.dtype} {list(images.shape)}: {WANTED} is needed")
    chosen = torch.from_numpy(np.ascontiguousarray(images[..., ELEVATION])).permute(3, 2, 0, 1)
    return halved(chosen).permute(0, 2, 3, 1).contiguous()


def halved(images: torch.Tensor) -> torch.Tensor:
    """uint8 [N, C, S, S] -> [N, C, S/2, S/2]: the rounded mean of 2 x 2, as bilinear interpolation halves."""
    blocks = images.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).sum((3, 5), dtype=torch.int32)
    return ((blocks + 2) // 4).to(torch.uint8)


def _grey(images: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor(LUMA, dtype=torch.int32).view(1, 3, 1, 1)
    return ((images.int() * weights).sum(1, keepdim=True, dtype=torch.int32) + 2**15 >> 16).to(torch.uint8)
