"""A person's own cars -> `ImageData` with azimuths: a directory or .zip of two sub-folders of images and azimuths.csv.

The first sub-folder in sorted order is the source domain, the second the target. azimuths.csv begins with the line
file,azimuth or file,azimuth,model; then comes a row an image: its name relative to the folder (sedans/0001.png), the
direction in degrees, and which car it shows. A .zip may hold all of it within one folder.
"""

from __future__ import annotations

import csv
import io
import math
import textwrap
from dataclasses import dataclass
from pathlib import Path

import torch

from glann_lib.config import CARS
from glann_lib.data import places
from glann_lib.data.files import DataFiles, list_files, remark_on_skipped
from glann_lib.data.image_files import SUFFIXES, list_images, read_images
from glann_lib.data.record import ImageData, check_split, random_order
from glann_lib.engine import storage

CACHE_FORMAT = 1  # raise it when the same files would be decoded to other pixels
TABLE = "azimuths.csv"
HEADER = "file,azimuth or file,azimuth,model"


@dataclass(frozen=True)
class _Folder:
    """All image files of a person's cars, and where among them the folder with azimuths.csv begins."""

    files: DataFiles
    root: str  # "", or the one folder that holds everything in a .zip, with its "/"

    @property
    def table(self) -> str:
        """azimuths.csv, for errors."""
        return f"{TABLE} in {self.files.path}"

    def names(self, domain: str | None = None) -> list[str]:
        """The images' names as azimuths.csv gives them: all, or those of one domain."""
        names = [name.removeprefix(self.root) for name in self.files.names]
        return names if domain is None else [name for name in names if name.startswith(f"{domain}/")]

    def domains(self) -> tuple[str, str]:
        """The two sub-folders that hold images, sorted."""
        found = sorted({name.partition("/")[0] for name in self.names() if "/" in name})
        if len(found) != 2:
            told = f" ({', '.join(found[:5])}{', ...' if len(found) > 5 else ''})" if found else ""
            raise ValueError(
                f"{self.files.path} has {len(found)} sub-folders with images{told}: put two there, the first in sorted "
                "order for the source, the second for the target"
            )
        return found[0], found[1]


@dataclass(frozen=True)
class _Row:
    """What azimuths.csv says of an image."""

    azimuth: float  # degrees, any finite number
    model: str  # the image's own name where none is given


def car_domains(path: Path) -> tuple[str, str]:
    """The names of the two domains, sorted: the source, then the target.

    Args:
        path: a directory or .zip; a relative one counts from the working folder or, where nothing lies there, from
            the repository.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: it is neither a directory nor a whole .zip, has no azimuths.csv, or not two sub-folders of images.
    """
    return _folder(path).domains()


def load_cars(path: Path, domain: str, split: str, size: int, limit: int | None = None) -> ImageData:
    """One split of the images of one domain, in random order, with the direction that each shows.

    A tenth is for testing, with a fixed seed; where azimuths.csv has a column `model`, it is a tenth of the domain's
    models, and none is in both splits. All of a domain is decoded at once and kept in data/cache, so that neither the
    split nor the limit decides on the channels: three if any image of the domain has colour.

    Args:
        path: as for `car_domains`.
        domain: one of the two that `car_domains` names.
        split: "train" or "test".
        size: S, height and width of the result in px.
        limit: at most so many images, 1 or more; None: all. A smaller limit gives the first few.

    Returns:
        Images uint8 [N, 1 or 3, S, S] and azimuths float32 [N], degrees in [0, 360).

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: as `car_domains`; an unknown domain or split; fewer than two images, or models, in the domain;
            azimuths.csv is damaged, has another header, lacks images of the domain, or holds what is no number.
    """
    check_split(split)
    folder = _folder(path)
    domains = folder.domains()
    if domain not in domains:
        raise ValueError(f"unknown domain {domain!r}: choose {' or '.join(domains)}")
    table = _read_table(folder)
    names = _checked_names(folder, domain, table)
    images, readable, skipped = _decoded(folder, names, size)
    rows = [table[name] for name, there in zip(names, readable.tolist(), strict=True) if there]
    test = _for_testing([row.model for row in rows], f"{domain} in {folder.files.path}")
    order = random_order(len(rows))
    index = order[test[order] == (split == "test")][:limit]
    name = folder.files.path.resolve().name
    source = f"{name}: {len(names):,} image files in {domain}, centre squares, azimuths from {TABLE}"
    remark = _remark_on_split(rows) + _remark_on_absent(folder, table) + skipped
    azimuths = _wrapped([row.azimuth for row in rows])[index]
    return ImageData(images[index], None, f"{CARS}{name}/{domain}", split, source + remark, azimuths=azimuths)


def _folder(path: Path) -> _Folder:
    files = list_images(places.locate(path))
    names = list_files(files.path, (*SUFFIXES, ".csv")).names
    tops = {name.partition("/")[0] for name in names}
    roots = ["", *(f"{top}/" for top in tops if len(tops) == 1)]
    for root in roots:
        if root + TABLE in names:
            return _Folder(files, root)
    raise ValueError(f"{files.path} has no {TABLE}: put {TABLE} beside the images' two folders: {HEADER}")


def _read_table(folder: _Folder) -> dict[str, _Row]:
    """azimuths.csv by the files' names, which need not be there."""
    table: dict[str, _Row] = {}
    for line, cells in _lines(folder):
        name, text = cells["file"], cells["azimuth"]
        place = f"line {line} of {folder.table}"
        if None in cells:
            raise ValueError(f"{place} has more cells than the header: write 7.5, not 7,5, and quote names with commas")
        if name in table:
            raise ValueError(f"{place} names {name} once more: keep one row an image")
        if not math.isfinite(azimuth := _number(text)):
            raise ValueError(f"{place} gives {text!r} as azimuth: give a finite number of degrees")
        table[name] = _Row(azimuth, cells.get("model") or name)
    return table


def _lines(folder: _Folder) -> list[tuple[int, dict[str | None, str]]]:
    """The rows of azimuths.csv by the header's names, each with its line number; cells beyond the header under None."""
    try:
        with folder.files.opened() as read:
            text = read(folder.root + TABLE).decode("utf-8-sig")  # spreadsheets put a byte order mark first
        rows = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True, skipinitialspace=True)
        header = rows.fieldnames or []
        lines = [(rows.line_num, cells) for cells in rows]
    except MemoryError:
        raise
    except Exception as error:  # a damaged archive can raise nearly anything
        reason = textwrap.shorten(str(error) or type(error).__name__, 200)
        raise ValueError(f"{folder.table} is no CSV in UTF-8, or a damaged one ({reason}): save it again") from None
    if not {"file", "azimuth"} <= set(header):
        begin = textwrap.shorten(",".join(header), 80) or "nothing"
        raise ValueError(f"{folder.table} begins with {begin}: begin it with the line {HEADER}")
    return lines


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _checked_names(folder: _Folder, domain: str, table: dict[str, _Row]) -> list[str]:
    """The names of a domain's images: at least two, each with an azimuth."""
    names = folder.names(domain)
    if len(names) < 2:
        held = f"{domain} in {folder.files.path} holds one image only ({names[0]})"
        raise ValueError(f"{held}: put at least two there, better some hundreds")
    if table.keys().isdisjoint(folder.names()):
        raise ValueError(f"no row of {folder.table} names an image: give them as in {names[0]}")
    missing = [name for name in names if name not in table]
    if missing:
        first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        held = f"{len(missing)} of {len(names)} images in {domain} have no azimuth in {folder.table} ({first})"
        raise ValueError(f"{held}: add a row for each, or remove them")
    return names


def _decoded(folder: _Folder, names: list[str], size: int) -> tuple[torch.Tensor, torch.Tensor, str]:
    """The files of some names [N], from the cache where it holds them; a warning names those skipped.

    Returns:
        uint8 images [n, C, size, size], bool [N] (which files those are), and a remark on skipped files or "".
    """
    files = folder.files
    stored = [folder.root + name for name in names]
    key = storage.digest(CACHE_FORMAT, CARS, str(files.path.resolve()), files.stamp, stored, size)
    tensors = places.cached(key, lambda: _read(files, stored, size))
    remark = remark_on_skipped(files, names, tensors["readable"].tolist(), "image")
    return tensors["images"], tensors["readable"], remark


def _read(files: DataFiles, names: list[str], size: int) -> dict[str, torch.Tensor]:
    pictures = read_images(files, names, size)
    return {"images": torch.from_numpy(pictures.images), "readable": torch.from_numpy(pictures.readable)}


def _for_testing(models: list[str], place: str) -> torch.Tensor:
    """bool [N], which of the images of these models are for testing: a tenth of the models, and at least one."""
    numbers = {model: number for number, model in enumerate(sorted(set(models)))}
    if len(numbers) < 2:
        raise ValueError(
            f"all images of {place} show one model ({models[0]}): give at least two, one to train and one to test, or "
            f"leave the column model out of {TABLE}"
        )
    count = max(1, round(len(numbers) / 10))
    return torch.isin(torch.tensor([numbers[model] for model in models]), random_order(len(numbers), count))


def _remark_on_split(rows: list[_Row]) -> str:
    models = len({row.model for row in rows})
    return ", a tenth for testing" if models == len(rows) else f", a tenth of {models:,} models for testing"


def _remark_on_absent(folder: _Folder, table: dict[str, _Row]) -> str:
    absent = len(table.keys() - set(folder.names()))
    return f"; {absent} of {len(table)} rows of {TABLE} name no image" if absent else ""


def _wrapped(azimuths: list[float]) -> torch.Tensor:
    """Degrees -> float32 in [0, 360); taken modulo twice, as float32 rounds what is a little below 360 up to it."""
    return torch.tensor(azimuths, dtype=torch.float64).remainder(360).float().remainder(360)
