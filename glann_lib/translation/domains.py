"""The image domains that pictures are translated between (Sec. 4.5), and the pairs that one name stands for.

MNIST and SVHN are read as every data set is. Where SVHN is not at hand, handwritten digits are painted as on a street
(`street_digits`), and cars are made by rule (`made_cars`): these are named as what they are. No digit stands in both
domains of a pair: the source's are every second one of the training split, the target's the others. Cars as
photographic negatives keep a translation from being a search for the nearest pixels.
"""

from __future__ import annotations

import dataclasses

import torch

from glann_lib.config import CARS, CARS3D, DOMAINS, FOLDER, DataConfig, split_pair
from glann_lib.data import places
from glann_lib.data.image_files import resize
from glann_lib.data.images import load_images
from glann_lib.data.record import SPLITS, ImageData, check_split
from glann_lib.translation.car_files import car_domains, load_cars
from glann_lib.translation.cars3d import load_cars3d
from glann_lib.translation.config import PairConfig
from glann_lib.translation.made_cars import FAMILIES, make_cars
from glann_lib.translation.street_digits import make_street_digits

PAIRS = {
    "embedded": (("digits", "street-digits"), ("street-digits", "digits"), ("hatchbacks", "negative-vans")),
    "mnist-street": (("mnist", "street-mnist"), ("street-mnist", "mnist")),
    "mnist-svhn": (("mnist", "svhn"), ("svhn", "mnist")),
    "mnist-svhn-crops": (("mnist", "svhn-crops"), ("svhn-crops", "mnist")),
    "car-to-car": (CARS3D,),
}
STREET, NEGATIVE = "street-", "negative-"
COPIES = {"digits": 2, "mnist": 1}  # how often a handwritten digit is painted: there are few in the first
# Of MNIST's 28 px, which hold a digit in the middle 20: as little as house numbers have. Chosen by svhn-crops' training
# labels: the nearest of 20,000 digits up to colour is right in 41% of them, with the margin that 32 px have elsewhere
# in 31%.
MARGIN = 2
MADE_CARS = {"train": (0, 5000), "test": (1_000_000, 1000)}  # number of the first car, and how many


def pairs_of(dataset: str) -> tuple[tuple[str, str], ...]:
    """Source and target of each task that a name in PAIRS, "SOURCE-to-TARGET", or "cars:PATH" stands for.

    ValueError: the name is none of these. For cars also what `car_files.car_domains` raises.
    """
    if dataset.startswith(CARS):
        return (tuple(f"{dataset}/{domain}" for domain in car_domains(places.locate(dataset.removeprefix(CARS)))),)
    if dataset in PAIRS:
        return PAIRS[dataset]
    pair = split_pair(dataset)
    if pair is None:
        known = f"{', '.join(PAIRS)}, cars:PATH, or SOURCE-to-TARGET with two of {', '.join(DOMAINS)}, folder:PATH"
        raise ValueError(f"unknown translation {dataset!r}: choose one of {known}")
    return (pair,)


def load_pair(settings: PairConfig, split: str) -> tuple[ImageData, ImageData]:
    """Images of the source and of the target, at one size; nothing in one says which belongs to what in the other.

    ValueError: unknown domain or split ("train", "test"). Other errors are those of `load_images` and `load_cars`.
    """
    check_split(split)
    train, names = split == "train", (settings.source, settings.target)
    limits = (settings.source_images, settings.target_images) if train else (settings.test_images,) * 2
    shared = train and len({name.removeprefix(STREET) for name in names}) == 1
    return tuple(
        load_domain(name, split, settings.image_size, limit, part if shared else None, settings.colour)
        for part, (name, limit) in enumerate(zip(names, limits, strict=True))
    )


def load_domain(
    name: str, split: str, size: int, limit: int | None = None, part: int | None = None, colour: bool = False
) -> ImageData:
    """One domain at a size, at most `limit` images; raises as `load_pair`.

    `part` is 0 or 1 where it shares its digits with the other: the rows from there on, two apart. `colour` is that of
    rendered cars, which are grey without it.
    """
    if name in CARS3D:
        return load_cars3d(name, split, size, limit, colour)
    if name.startswith(CARS):
        path, _, domain = name.removeprefix(CARS).rpartition("/")
        return load_cars(places.locate(path), domain, split, size, limit)
    if name.removeprefix(NEGATIVE) in FAMILIES:
        return _made_cars(name, split, size, limit)
    if name.removeprefix(STREET) in COPIES:
        return _handwritten(name, split, size, limit, part)
    if name in DOMAINS or name.startswith(FOLDER):
        return load_images(DataConfig(name, size, train_images=limit, test_images=limit, enlarge=True), split)
    raise ValueError(f"unknown domain {name!r}: choose one of {', '.join(DOMAINS)}, folder:PATH or cars:PATH/DOMAIN")


def _handwritten(name: str, split: str, size: int, limit: int | None, part: int | None) -> ImageData:
    """Digits as they are, or as they might stand on a street."""
    base, street = name.removeprefix(STREET), name.startswith(STREET)
    if base == "mnist" and size == 32:
        data = load_images(DataConfig(base), split)
        middle = resize(data.images[..., MARGIN:-MARGIN, MARGIN:-MARGIN].numpy(), size)
        source = f"{data.source}, the middle {28 - 2 * MARGIN} px enlarged"
        data = dataclasses.replace(data, images=torch.from_numpy(middle), source=source)
    else:
        data = load_images(DataConfig(base, size), split)
    if part is not None:
        rows, source = slice(part, None, 2), f"{data.source}; every second image, from the {('1st', '2nd')[part]}"
        data = dataclasses.replace(data, images=data.images[rows], labels=data.labels[rows], source=source)
    copies = COPIES[base] if street else 1
    wanted = len(data) * copies if limit is None else limit
    data = data.take(-(-wanted // copies)) if wanted < len(data) * copies else data
    if not street:
        return data
    images = make_street_digits(data.images.repeat(copies, 1, 1, 1), SPLITS.index(split))[:wanted]
    how = f"painted as on a street by rule (glann_lib.translation.street_digits){', each twice' * (copies > 1)}"
    source = f"{data.source}; {how}"
    return ImageData(images, data.labels.repeat(copies)[:wanted], name, split, source, data.class_names)


def _made_cars(name: str, split: str, size: int, limit: int | None) -> ImageData:
    first, count = MADE_CARS[split]
    count = min(count, limit or count)
    family = name.removeprefix(NEGATIVE)
    images, azimuths = map(torch.from_numpy, make_cars(family, first, count, size))
    source = f"{family} made by rule (glann_lib.translation.made_cars), numbers {first:,} to {first + count - 1:,}"
    if name != family:
        images, source = 255 - images, f"{source}, as photographic negatives"
    return ImageData(images, None, name, split, source, azimuths=azimuths)
