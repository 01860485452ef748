"""How many images, or shapes, a data set or domain gives, as far as that is known without reading any of them.

Only the standard library is needed, as in `estimates`.
"""

from __future__ import annotations

import functools
import zipfile
from pathlib import Path

from glann_lib import config
from glann_lib.config import Config

ROOT = Path(__file__).resolve().parents[2]
# Facts of modules that need torch; tests compare them.
SIZES = {"digits": (1500, 297), "mnist": (60_000, 10_000), "fashion": (60_000, 10_000), "cifar10": (50_000, 10_000)}
SIZES |= {"svhn": (73_257, 26_032), "celeba": (162_770, 19_962)}  # images to train on, to test with
SIZES |= {"made-chairs": (1000, 200), "chairs": (889, 100)}  # models
CARS = (5000, 1000)
IMAGE_FILES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MESH_FILES = (".off", ".obj", ".stl", ".ply")


def counts(settings: Config) -> tuple[int, int]:
    """Images, or shapes, to train on and to test with."""
    train, test = sizes(settings.data.dataset)
    if isinstance(settings.data, config.ShapeConfig):
        limits = (settings.data.train_models, settings.data.test_models)
        train, test = (limited(*pair) * settings.data.poses for pair in zip((train, test), limits, strict=True))
        return train, test
    return limited(train, settings.data.train_images), limited(test, settings.data.test_images)


def sizes(name: str) -> tuple[int, int]:
    """Images, or models, of a whole data set: to train on, to test with."""
    for prefix, suffixes in ((config.FOLDER, IMAGE_FILES), (config.MESHES, MESH_FILES)):
        if name.startswith(prefix):
            return _divided(count_files(Path(name.removeprefix(prefix)).expanduser(), suffixes))
    return SIZES[name]


def domain(name: str) -> tuple[int, int]:
    """Images of a domain, as `domains` makes them."""
    if name.removeprefix("negative-") in config.CAR_FAMILIES:
        return CARS
    if name.startswith(config.CARS):  # two domains in one place; a tenth of each for testing
        return _divided(count_files(Path(name.removeprefix(config.CARS)).expanduser(), IMAGE_FILES) // 2)
    train, test = sizes(name.removeprefix("street-"))
    return (2 * train, 2 * test) if name == "street-digits" else (train, test)


@functools.lru_cache(maxsize=16)  # every notebook of a plan asks
def count_files(path: Path, suffixes: tuple[str, ...]) -> int:
    """How many files of some kinds lie in a directory (at any depth) or .zip; hidden ones do not count.

    Raises:
        OSError: it is not there.
        zipfile.BadZipFile: it is no whole .zip.
    """
    path = path if path.exists() else ROOT / path
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
    else:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    seen = [name for name in names if not name.startswith((".", "__MACOSX/"))]
    return sum(name.lower().endswith(suffixes) and "/." not in name and "/__MACOSX/" not in name for name in seen)


def limited(count: int, limit: int | None) -> int:
    """At most so many; None is no limit."""
    return count if limit is None else min(count, limit)


def is_grey(dataset: str) -> bool:
    """Whether the images of a data set have one channel."""
    return dataset in ("digits", "mnist", "fashion")


def _divided(count: int) -> tuple[int, int]:
    """A tenth is for testing.

    Raises:
        ValueError: there is nothing that could be counted.
    """
    if count < 2:
        raise ValueError(f"{count} files are too few")
    test = max(1, count // 10)
    return count - test, test
