"""Every data set -> `ImageData`; the same settings give the same images, bit for bit: see `ImageData.sha256`."""

from __future__ import annotations

import dataclasses
import gzip
import inspect
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from glann_lib.config import ARRAY, FOLDER, DataConfig
from glann_lib.data import cache, places
from glann_lib.data.files import Division, read_cached
from glann_lib.data.image_files import dimness, enlarged, read_images, resize
from glann_lib.data.listing import DataFiles, list_images, printable, reason
from glann_lib.data.record import SPLITS, VALIDATION, ImageData, check_split, random_order
from glann_lib.engine import storage

CELEBA_CROP = 160 / 178  # the centre 160 of 178 px of an aligned face (protocol of Lucic et al. 2018)
# Each data set's files in data/ or GLANN_DATA: errors name them.
LAYOUTS = {
    "mnist": "MNIST/raw/*-ubyte.gz (four files)",
    "fashion": "FashionMNIST/raw/*-ubyte.gz (four files)",
    "svhn": "svhn/train_32x32.mat and svhn/test_32x32.mat",
    "svhn-crops": "svhn_crops/images.zip",
    "cifar10": "cifar-10-batches-py/, or cifar10/train.zip and cifar10/test.zip",
    "celeba": "celeba/ (img_align_celeba/ and the .txt files), or celeba10k/images.zip",
    "celeba-hq": "celeba-hq/ (the images, or images.zip), or celebahq_256/images.zip",
}
LANDSCAPES = {"train": (0, 600), "test": (100_000, 100)}  # number of the first one, and how many


def load_images(settings: DataConfig, split: str, download: bool = True) -> ImageData:
    """One split of a data set at the size asked for; at most `train_images` or `test_images`, drawn with a fixed seed.

    A folder ("folder:PATH", PATH as in `places.locate`), CelebA-HQ and the 10,000 faces are split 9 to 1 with a fixed
    seed. With `held_out="validation"` the images to test are of the training split, those that are not trained on.
    ValueError for an unknown split, and for files that are damaged, too few, too small or not images;
    FileNotFoundError where there is no such folder; ConnectionError, with what to place where, for data that are
    missing and not downloaded; OSError where the disk is too full for what is decoded.
    """
    check_split(split)
    if (split, settings.held_out) == ("test", VALIDATION):
        return _validation(dataclasses.replace(settings, held_out="test"), download)
    load = _folder if settings.dataset.startswith(FOLDER) else LOADERS[settings.dataset]
    return load(settings, split, download)


def _validation(settings: DataConfig, download: bool) -> ImageData:
    """Images of the training split that are none of those trained on, a copy of one neither."""
    whole = load_images(dataclasses.replace(settings, train_images=None), "train", download)
    trained = load_images(settings, "train", download)
    seen = {image.tobytes() for image in trained.images.numpy()}
    rows = [row for row, image in enumerate(whole.images.numpy()) if image.tobytes() not in seen]
    if not rows:
        count = f"all {len(whole):,} training images of {whole.name} are trained on"
        raise ValueError(f"{count}: give fewer train_images, and the others are held out for validation")
    source = f"{whole.source}; of the training split, beside the {len(trained):,} trained on"
    data = dataclasses.replace(whole.part(rows), split=VALIDATION, source=source)
    return data if settings.test_images is None else data.take(settings.test_images)


def images_at_hand(settings: DataConfig, split: str, sha256: str | None = None) -> tuple[ImageData | None, str]:
    """One split and "", or None and the reason in a line; nothing is downloaded, `sha256` allows no other images."""
    if settings.dataset == ARRAY:
        return None, "the model was trained on images that were held in memory only"
    try:
        data = load_images(settings, split, download=False)
    except (OSError, ValueError) as error:
        return None, str(error)
    if sha256 is not None and data.sha256 != sha256:
        return None, f"the {split}ing images of {data.name} on this machine are others than the model's"
    return data, ""


def _digits(settings: DataConfig, split: str, download: bool) -> ImageData:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    indices = np.arange(len(bunch.target))
    parts = train_test_split(indices, test_size=297, random_state=0, stratify=bunch.target)
    chosen = np.sort(parts[SPLITS.index(split)])
    pixels = (bunch.images[chosen] * (255 / 16)).round().astype(np.uint8)  # 0 to 16 -> 0 to 255
    source = "scikit-learn's load_digits (UCI, 8 x 8 px, 1,797 images), bicubic; 1,500 to train, 297 to test"
    return _from_arrays(settings, split, pixels[:, None], bunch.target[chosen], source, "0123456789")


def _idx(settings: DataConfig, split: str, download: bool) -> ImageData:
    kind = {"mnist": "MNIST", "fashion": "FashionMNIST"}[settings.dataset]
    _unpack(f"{kind}/raw")
    data = _torchvision(settings.dataset, kind, download, train=split == "train")
    names = "0123456789" if kind == "MNIST" else data.classes
    return _from_arrays(settings, split, data.data[:, None], data.targets, f"torchvision.datasets.{kind}", names)


def _svhn(settings: DataConfig, split: str, download: bool) -> ImageData:
    data = _torchvision("svhn", "SVHN", download, "svhn", split=split)
    return _from_arrays(settings, split, data.data, data.labels, "torchvision.datasets.SVHN", "0123456789")


def _cifar10(settings: DataConfig, split: str, download: bool) -> ImageData:
    archive = places.find(f"cifar10/{split}.zip")
    if archive is not None and places.find("cifar-10-batches-py") is None:
        source, lossy = f"cifar10/{split}.zip, lossless WebP by class", archive.with_name("lossy.txt")
        if lossy.is_file():
            source += f"; {len(lossy.read_text().split())} of the 60,000 images come from JPEG (lossy.txt)"
        return _from_files(settings, split, list_images(archive), source, enlarge=True)
    data = _torchvision("cifar10", "CIFAR10", download, train=split == "train")
    pixels = data.data.transpose(0, 3, 1, 2)
    return _from_arrays(settings, split, pixels, data.targets, "torchvision.datasets.CIFAR10", data.classes)


def _celeba(settings: DataConfig, split: str, download: bool) -> ImageData:
    crop = "centre square of 160/178 of the width (Lucic et al.)"
    archive = places.find("celeba10k/images.zip")
    if archive is not None and places.find("celeba/img_align_celeba") is None:
        source = f"celeba10k/images.zip: first 10,000 aligned CelebA faces, half size JPEG; {crop}, a tenth for testing"
        return _from_files(settings, split, list_images(archive), source, CELEBA_CROP, divide=True)
    data = _torchvision("celeba", "CelebA", download, split=split, target_type=[])
    folder = Path(data.root) / data.base_folder / "img_align_celeba"
    files = DataFiles(folder, tuple(data.filename), (folder.stat().st_mtime_ns,))
    return _from_files(settings, split, files, f"torchvision.datasets.CelebA; {crop}", CELEBA_CROP)


def _folder(settings: DataConfig, split: str, download: bool) -> ImageData:
    files = list_images(places.locate(settings.dataset.removeprefix(FOLDER)))
    source = f"{_own_name(files)}: {len(files.names):,} image files, centre squares, a tenth for testing"
    return _from_files(settings, split, files, source, divide=True)


def _celeba_hq(settings: DataConfig, split: str, download: bool) -> ImageData:
    name, files = _placed(settings.dataset, "celeba-hq/images.zip", "celeba-hq", "celebahq_256/images.zip")
    source = f"{name}: {len(files.names):,} CelebA-HQ faces (Karras et al. 2018), a tenth for testing"
    return _from_files(settings, split, files, source, divide=True)


def _svhn_crops(settings: DataConfig, split: str, download: bool) -> ImageData:
    name, files = _placed(settings.dataset, "svhn_crops/images.zip")
    files = dataclasses.replace(files, names=tuple(file for file in files.names if file.startswith(f"{split}/")))
    found = sorted({file.split("/")[1] for file in files.names if file.count("/") == 2})
    if found != list("0123456789") or not all(file.count("/") == 2 for file in files.names):
        told = f"{split}/ in it has the folders {', '.join(found) or 'none'}"
        raise ValueError(f"{files.path} is not laid out as {split}/CLASS/*.png, CLASS 0 to 9: {told}; place it again")
    source = f"{name}: {len(files.names):,} digits cut from SVHN's photographs by its own boxes, not its official crops"
    return _from_files(settings, split, files, source, enlarge=True)


def _placed(dataset: str, *names: str) -> tuple[str, DataFiles]:
    """The first of the places that is there, and its image files; ConnectionError where none is."""
    name = next((name for name in names if places.find(name)), None)
    if name is None:
        raise ConnectionError(
            f"{dataset} cannot be downloaded: place {LAYOUTS[dataset]} in data/ or the folder that the environment "
            "variable GLANN_DATA names; data/README.md says how"
        )
    return name, list_images(places.find(name))


def _made_landscapes(settings: DataConfig, split: str, download: bool) -> ImageData:
    from glann_lib.data import made_landscapes

    (first, count), size = LANDSCAPES[split], settings.image_size
    count = min(count, _limits(settings)[split] or count)

    def make() -> dict[str, Any]:
        with cache.Rows(count, 3, size, size) as rows:
            draw = made_landscapes.make_landscapes
            rows.fill(lambda index: rows.put(index, draw(size, [first + index])[0]), "making landscapes")
        return {"images": rows}

    key = storage.digest(inspect.getsource(made_landscapes), split, count, size)  # another rule, other landscapes
    numbers = f"numbers {first:,} to {first + count - 1:,}"
    source = f"landscapes made by rule (glann_lib.data.made_landscapes), {numbers}"
    return ImageData(cache.kept(key, make)["images"], None, settings.dataset, split, source)


LOADERS = {"digits": _digits, "mnist": _idx, "fashion": _idx, "svhn": _svhn, "cifar10": _cifar10, "celeba": _celeba}
LOADERS |= {"celeba-hq": _celeba_hq, "svhn-crops": _svhn_crops, "made-landscapes": _made_landscapes}


def _from_arrays(
    settings: DataConfig, split: str, images: Any, labels: Any, source: str, class_names: Any
) -> ImageData:
    images, labels = torch.as_tensor(images), torch.as_tensor(labels)
    data = ImageData(images, labels, settings.dataset, split, source, tuple(class_names))
    limit = _limits(settings)[split]
    data = data if limit is None or limit >= len(data) else data.take(limit)
    return dataclasses.replace(data, images=_resized(data.images, settings.image_size))


def _from_files(
    settings: DataConfig,
    split: str,
    files: DataFiles,
    source: str,
    crop: float = 1.0,
    divide: bool = False,
    enlarge: bool = False,
) -> ImageData:
    """In random order (archives are sorted by class); with `divide`, a tenth of the files is for testing.

    Both parts are then decoded together: they have the same channels, and unreadable files leave neither empty.
    """
    size, own = settings.image_size, settings.dataset.startswith(FOLDER)
    count, division = len(files.names), None
    if divide:
        division = Division.draw(count, max(1, count // 10), _limits(settings))
    numbers = division.numbers if division else random_order(count, _limits(settings)[split])
    tensors, remark = read_cached(files, numbers, "image", read_images, size, crop, enlarge or settings.enlarge)
    remark += dimness(tensors) + (enlarged(tensors, size) if settings.enlarge else "")
    readable = tensors["readable"]
    part = division.part(split, readable) if division else slice(None)
    labels, class_names, classes = files.classes() if own or not divide else (None, (), "")
    labels = None if labels is None else labels[numbers[readable]][part]
    name, source = (FOLDER + _own_name(files), source + classes) if own else (settings.dataset, source)
    return ImageData(tensors["images"][part], labels, name, split, source + remark, class_names)


def _own_name(files: DataFiles) -> str:
    return printable(files.path.resolve().name)


def _torchvision(dataset: str, kind: str, download: bool, folder: str = "", **options: Any) -> Any:
    """The data set `kind` from the first place that holds it, else downloaded where that is allowed."""
    from torchvision import datasets

    load, place = getattr(datasets, kind), places.data_place()
    for root in dict.fromkeys((place, places.DATA)):
        try:
            return load(root=str(root / folder), download=False, **options)
        except ImportError:
            raise
        except Exception as error:
            if "not found" not in str(error):
                files = f"{dataset} in {root}, {LAYOUTS[dataset]}"
                raise ValueError(f"{files}, is damaged ({reason(error)}): remove it and run again") from None
    if not download:
        raise ConnectionError(
            f"{dataset} is not on this machine: place {LAYOUTS[dataset]} in data/; see data/README.md"
        )
    try:
        return load(root=str((place if places.writable(place) else places.DATA) / folder), download=True, **options)
    except Exception as error:
        raise ConnectionError(
            f"cannot download {dataset} ({reason(error)}): connect to the network, or place {LAYOUTS[dataset]} in "
            "data/ or the folder that the environment variable GLANN_DATA names; data/README.md says how"
        ) from None


def _unpack(folder: str) -> None:
    """Gzipped IDX files, once, beside them or else into the same folder of data/."""
    for root in dict.fromkeys((places.data_place(), places.DATA)):
        for archive in sorted((root / folder).glob("*-ubyte.gz")):
            target = (root if places.writable(root / folder) else places.DATA) / folder / archive.stem
            if target.exists() or archive.with_suffix("").exists():
                continue
            try:
                content = gzip.decompress(archive.read_bytes())
            except (OSError, EOFError, zlib.error) as error:
                raise ValueError(f"{archive} is damaged ({reason(error)}): remove it and run again") from None
            storage.write_bytes(target, content)


def _limits(settings: DataConfig) -> dict[str, int | None]:
    return {"train": settings.train_images, "test": settings.test_images}


def _resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """28 px get a black margin to 32, as is usual for MNIST."""
    height = images.shape[-1]
    if height == size:
        return images.contiguous()
    if (height, size) == (28, 32):
        return functional.pad(images, (2, 2, 2, 2))
    return torch.from_numpy(resize(images.numpy(), size))
