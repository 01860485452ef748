"""How many images a data set gives: files that are counted, and facts held twice."""

import os
import zipfile
from pathlib import Path

import pytest

from glann_lib.data import image_files
from glann_lib.data import sizes as data_sizes
from glann_lib.shapes import data as shapes
from glann_lib.shapes import mesh_files
from glann_lib.translation import domains

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def photos(tmp_path):
    """A folder of 40 files that only look like images, and others."""
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for number in range(20):
        (folder / f"{number}.JPG").touch()
        (folder / "deeper" / f"{number}.png").touch()
    for name in ("notes.txt", ".hidden.png", "deeper/.hidden.png"):
        (folder / name).touch()
    return folder


def packed(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
        archive.writestr("__MACOSX/1.png", "")
    return path


def test_a_folder_and_a_zip_are_counted_as_they_are_read(photos, tmp_path):
    archive = packed(photos, tmp_path / "photos.zip")
    for path in (photos, archive):
        assert data_sizes.count_files(path, data_sizes.IMAGE_FILES) == len(image_files.list_images(path).names) == 40
    assert data_sizes.count_files(Path(os.path.relpath(photos, ROOT)), data_sizes.IMAGE_FILES) == 40  # from anywhere


@pytest.mark.parametrize(("count", "split"), [(2, (1, 1)), (9, (8, 1)), (40, (36, 4))])
def test_a_tenth_of_the_files_is_for_testing(monkeypatch, count, split):
    monkeypatch.setattr(data_sizes, "count_files", lambda path, suffixes: count)
    assert data_sizes.sizes("folder:photos") == data_sizes.sizes("meshes:chairs") == split


def test_a_lone_file_is_too_few(monkeypatch):
    monkeypatch.setattr(data_sizes, "count_files", lambda path, suffixes: 1)
    with pytest.raises(ValueError, match="too few"):
        data_sizes.sizes("folder:photos")


def test_domains_give_images_of_what_they_are_made_from(monkeypatch):
    monkeypatch.setattr(data_sizes, "count_files", lambda path, suffixes: 80)
    assert data_sizes.domain("cars:mine") == (36, 4) and data_sizes.domain("folder:mine") == (72, 8)
    assert data_sizes.domain("negative-vans") == data_sizes.domain("vans") == data_sizes.CARS
    assert data_sizes.domain("street-mnist") == data_sizes.domain("mnist") == data_sizes.SIZES["mnist"]
    assert data_sizes.domain("street-digits")[0] == 2 * data_sizes.domain("digits")[0]


def test_facts_of_other_modules_are_the_same_here():
    assert data_sizes.IMAGE_FILES == image_files.SUFFIXES and data_sizes.MESH_FILES == mesh_files.SUFFIXES
    assert tuple(count for _, count in domains.MADE_CARS.values()) == data_sizes.CARS
    assert tuple(count for _, count in shapes.MADE.values()) == data_sizes.SIZES["made-chairs"]
    assert domains.COPIES["digits"] == 2
