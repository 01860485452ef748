"""A person's own cars -> `ImageData` with azimuths: a directory or .zip of two sub-folders of images and azimuths.csv.

The first sub-folder in sorted order is the source domain, the second the target. azimuths.csv begins with the line
file,azimuth or file,azimuth,model; then comes a row an image: its name relative to the folder (sedans/0001.png), the
direction in degrees, and which car it shows. A .zip may hold all of it within one folder.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import math
import textwrap
from pathlib import Path

import numpy as np
import torch

from glann_lib.config import CARS
from glann_lib.data import places
from glann_lib.data.files import read_cached
from glann_lib.data.image_files import dimness, read_images
from glann_lib.data.listing import IMAGES, DataFiles, few, list_files, list_images, printable, reason
from glann_lib.data.record import ImageData, check_split, random_order
from glann_lib.shapes.record import for_testing

TABLE = "azimuths.csv"
HEADER = "file,azimuth or file,azimuth,model"


@dataclasses.dataclass(frozen=True)
class _Cars:
    """The image files of a person's cars, and where among them the folder with azimuths.csv begins."""

    files: DataFiles
    root: str  # "", or the one folder that holds everything in a .zip, with its "/"

    @property
    def table(self) -> str:
        """azimuths.csv, for errors."""
        return f"{TABLE} in {self.files.path}"

    @functools.cached_property
    def names(self) -> list[str]:
        """The images' names as azimuths.csv gives them."""
        return [name.removeprefix(self.root) for name in self.files.names]


def car_domains(path: Path) -> tuple[str, str]:
    """The names of the two domains, sorted: the source, then the target.

    FileNotFoundError where nothing is at the path; ValueError where it is neither a directory nor a whole .zip, has no
    azimuths.csv, or not two sub-folders of images.
    """
    return _domains(_find(path))


def load_cars(path: Path, domain: str, split: str, size: int, limit: int | None = None) -> ImageData:
    """One split of the images of one domain, in random order, with the direction that each shows.

    Images are uint8 [N, 1 or 3, size, size], azimuths float32 [N], degrees in [0, 360). A tenth is for testing, with a
    fixed seed; with a column `model`, a tenth of the domain's models, none in both splits. All of a domain is decoded
    at once: it has three channels if any of its images has colour. A smaller limit, 1 or more, gives the first few.

    Raises as `car_domains`, and ValueError for an unknown domain or split; fewer than two images, or models, in the
    domain; an azimuths.csv that is damaged, has another header, lacks images of the domain, or holds what is no number.
    """
    check_split(split)
    cars = _find(path)
    domains = _domains(cars)
    if domain not in domains:
        raise ValueError(f"unknown domain {domain!r}: choose {' or '.join(domains)}")
    table = _read_table(cars)
    numbers = _numbers(cars, domain, table)
    tensors, skipped = read_cached(cars.files, numbers, "image", read_images, size)
    names = [cars.names[number] for number in numbers[tensors["readable"]].tolist()]
    azimuths, models = zip(*map(table.get, names), strict=True)
    kinds, of_kind = np.unique(models, return_inverse=True)
    if len(kinds) < 2:
        raise ValueError(
            f"all images of {domain} in {cars.files.path} show one model ({models[0]}): give at least two, one to "
            f"train and one to test, or leave the column model out of {TABLE}"
        )
    test, order = for_testing(torch.from_numpy(of_kind)), random_order(len(names))
    index = order[test[order] == (split == "test")][:limit]
    # Modulo twice, as float32 rounds what is a little below 360 up to it.
    azimuths = torch.tensor(azimuths, dtype=torch.float64).remainder(360).float().remainder(360)
    name, absent = printable(cars.files.path.resolve().name), len(table.keys() - set(cars.names))
    source = f"{name}: {len(numbers):,} image files in {domain}, centre squares, azimuths from {TABLE}, a tenth"
    source += " for testing" if len(kinds) == len(models) else f" of {len(kinds):,} models for testing"
    source += f"; {absent} of {len(table)} rows of {TABLE} name no image" if absent else ""
    source += skipped + dimness(tensors)
    return ImageData(tensors["images"][index], None, f"{CARS}{name}/{domain}", split, source, azimuths=azimuths[index])


def _find(path: Path) -> _Cars:
    files = list_images(places.locate(path))
    listed = list_files(files.path, (*IMAGES, ".csv"))
    files, names = dataclasses.replace(files, remark=listed.remark), listed.names
    tops = {name.partition("/")[0] for name in names}
    for root in ("", *(f"{top}/" for top in tops if len(tops) == 1)):
        if root + TABLE in names:
            return _Cars(files, root)
    raise ValueError(f"{files.path} has no {TABLE}: put {TABLE} beside the images' two folders: {HEADER}")


def _domains(cars: _Cars) -> tuple[str, str]:
    """The two sub-folders that hold images, sorted."""
    found = sorted({name.partition("/")[0] for name in cars.names if "/" in name})
    if len(found) != 2:
        told = f" ({', '.join(found[:5])}{', ...' if len(found) > 5 else ''})" if found else ""
        raise ValueError(
            f"{cars.files.path} has {len(found)} sub-folders with images{told}: put two there, the first in sorted "
            "order for the source, the second for the target"
        )
    return found[0], found[1]


def _read_table(cars: _Cars) -> dict[str, tuple[float, str]]:
    """Azimuth and model by the files' names, which need not be there; without a model an image is one of its own."""
    table = {}
    for line, cells in _lines(cars):
        name, text, place = cells["file"], cells["azimuth"], f"line {line} of {cars.table}"
        if None in cells:
            raise ValueError(f"{place} has more cells than the header: write 7.5, not 7,5, and quote names with commas")
        if name in table:
            raise ValueError(f"{place} names {name} once more: keep one row an image")
        try:
            azimuth = float(text)
        except ValueError:
            azimuth = math.nan
        if not math.isfinite(azimuth):
            raise ValueError(f"{place} gives {text!r} as azimuth: give a finite number of degrees")
        table[name] = azimuth, cells.get("model") or name
    return table


def _lines(cars: _Cars) -> list[tuple[int, dict[str | None, str]]]:
    """The rows of azimuths.csv by the header's names, each with its line number; cells beyond the header under None."""
    try:
        with cars.files.opened() as read:
            text = read(cars.root + TABLE).decode("utf-8-sig")  # spreadsheets put a byte order mark first
        rows = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True, skipinitialspace=True)
        header = rows.fieldnames or []
        lines = [(rows.line_num, cells) for cells in rows]
    except MemoryError:
        raise
    except Exception as error:  # a damaged archive can raise nearly anything
        said = f"is no CSV in UTF-8, or a damaged one ({reason(error)})"
        raise ValueError(f"{cars.table} {said}: save it again") from None
    if not {"file", "azimuth"} <= set(header):
        begin = textwrap.shorten(",".join(header), 80) or "nothing"
        raise ValueError(f"{cars.table} begins with {begin}: begin it with the line {HEADER}")
    return lines


def _numbers(cars: _Cars, domain: str, table: dict[str, tuple[float, str]]) -> torch.Tensor:
    """Which of the files are a domain's images, int64 [N]: at least two, each with an azimuth."""
    numbers = [number for number, name in enumerate(cars.names) if name.startswith(f"{domain}/")]
    names = [cars.names[number] for number in numbers]
    if len(names) < 2:
        held = f"{domain} in {cars.files.path} holds one image only ({names[0]})"
        raise ValueError(f"{held}: put at least two there, better some hundreds")
    if table.keys().isdisjoint(cars.names):
        raise ValueError(f"no row of {cars.table} names an image: give them as in {names[0]}")
    missing = [name for name in names if name not in table]
    if missing:
        held = f"{len(missing)} of {len(names)} images in {domain} have no azimuth in {cars.table} ({few(missing)})"
        raise ValueError(f"{held}: add a row for each, or remove them")
    return torch.tensor(numbers)
