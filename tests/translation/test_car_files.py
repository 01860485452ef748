"""A person's own cars: images and azimuths find one another, the splits, and every error in one line."""

import io
import warnings
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from glann_lib.data import places
from glann_lib.translation import car_files
from glann_lib.translation.car_files import car_domains, load_cars
from glann_lib.translation.judges import azimuth_error

COUNT = 20  # images in each domain


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "DATA", tmp_path / "repository_data")
    return tmp_path / "repository_data" / "cache"


def picture(value, mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, (12, 10), value if mode == "L" else (value, 0, 0)).save(buffer, "png")
    return buffer.getvalue()


def a_table(rows, header="file,azimuth"):
    return "\n".join([header, *rows, ""]).encode()


ROWS = [f"{domain}/{i:02}.png,{i * 10}" for domain in ("sedans", "vans") for i in range(COUNT)]


def contents(mode="RGB"):
    """Twenty images in each domain; an image's (red) value is its azimuth in degrees, from 0 to 190."""
    images = {f"{domain}/{i:02}.png": picture(i * 10, mode) for domain in ("sedans", "vans") for i in range(COUNT)}
    return {**images, "azimuths.csv": a_table(ROWS)}


def write_folder(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_zip(path, files, within=""):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(within + name, content)
    return path


def both_splits(path, domain="sedans", **options):
    return (load_cars(path, domain, split, 8, **options) for split in ("train", "test"))


def refused(path, words, domain="sedans"):
    with pytest.raises(ValueError) as caught:
        load_cars(path, domain, "train", 8)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def cars(tmp_path):
    return write_folder(tmp_path / "cars", contents())


@pytest.fixture(params=["directory", "zip", "zip of a folder"])
def place(request, tmp_path):
    if request.param == "directory":
        return write_folder(tmp_path / "cars", contents())
    return write_zip(tmp_path / "cars.zip", contents(), "cars/" if "of" in request.param else "")


# What is read


def test_images_come_with_their_own_azimuths(place):
    assert car_domains(place) == ("sedans", "vans")
    for domain in ("sedans", "vans"):
        train, test = both_splits(place, domain)
        assert train.images.shape == (18, 3, 8, 8) and test.images.shape == (2, 3, 8, 8)
        for record in (train, test):
            assert torch.equal(record.images[:, 0, 4, 4].float(), record.azimuths) and record.labels is None
        assert sorted(torch.cat([train.azimuths, test.azimuths]).tolist()) == [i * 10.0 for i in range(COUNT)]
        assert (train.split, test.split) == ("train", "test")
        assert train.name == f"cars:{place.name}/{domain}"
        assert "20 image files" in train.source and train.source.endswith(", a tenth for testing")


def test_the_same_files_give_the_same_data_and_are_decoded_once(cars, cache, monkeypatch):
    once = load_cars(cars, "vans", "train", 8)
    monkeypatch.setattr(car_files, "read_images", None)  # only the cache is left
    again, test = both_splits(cars, "vans")
    assert again.sha256 == once.sha256 != test.sha256
    assert len(list(cache.iterdir())) == 1


def test_a_limit_gives_the_first_few(cars):
    few, more = load_cars(cars, "vans", "train", 8, limit=5), load_cars(cars, "vans", "train", 8)
    assert torch.equal(few.azimuths, more.azimuths[:5]) and torch.equal(few.images, more.images[:5])
    assert len(load_cars(cars, "vans", "test", 8, limit=100)) == 2
    assert not torch.equal(few.azimuths, few.azimuths.sort().values)  # not merely the first by name


def test_azimuths_are_taken_modulo_360(tmp_path):
    given = [-30, 390, 720, -1e-12, 359.99999999, 1e6]
    files = {f"{domain}/{i}.png": picture(i) for domain in "ab" for i in range(len(given))}
    rows = [f"{domain}/{i}.png,{azimuth}" for domain in "ab" for i, azimuth in enumerate(given)]
    path = write_folder(tmp_path / "cars", {**files, "azimuths.csv": a_table(rows)})
    for record in both_splits(path, "a"):
        true = torch.tensor([330, 30, 0, 0, 0, 280.0])[record.images[:, 0, 4, 4].long()]
        assert azimuth_error(record.azimuths, true).max() < 1e-4
        assert (record.azimuths < 360).all()


def test_a_byte_order_mark_other_columns_and_line_ends_do_no_harm(cars):
    plain = load_cars(cars, "vans", "train", 8)
    rows = [f"{row.split(',')[1]}, {row.split(',')[0]},red" for row in ROWS]
    text = "\r\n".join(["azimuth, file,colour", *rows, "", ""])
    (cars / "azimuths.csv").write_bytes(text.encode("utf-8-sig"))
    assert load_cars(cars, "vans", "train", 8).sha256 == plain.sha256


def test_no_model_is_in_both_splits(cars):
    rows = [f"{row},car {int(row.split(',')[1]) // 30}" for row in ROWS]  # three images a model, the last has two
    (cars / "azimuths.csv").write_bytes(a_table(rows, "file,azimuth,model"))
    train, test = both_splits(cars)
    models = [set((record.azimuths // 30).int().tolist()) for record in (train, test)]
    assert models[0] | models[1] == set(range(7)) and not models[0] & models[1] and len(models[1]) == 1
    assert len(train) + len(test) == COUNT
    assert "a tenth of 7 models for testing" in train.source


def test_images_without_a_model_are_models_of_their_own(cars):
    rows = [f"{row},{'one' if i % COUNT < 5 else ''}" for i, row in enumerate(ROWS)]
    (cars / "azimuths.csv").write_bytes(a_table(rows, "file,azimuth,model"))
    assert "a tenth of 16 models" in load_cars(cars, "sedans", "train", 8).source


@pytest.mark.parametrize("coloured", range(0, COUNT, 3))
def test_one_image_in_colour_gives_every_split_and_limit_three_channels(tmp_path, coloured):
    files = contents("L") | {f"sedans/{coloured:02}.png": picture(coloured * 10)}
    path = write_folder(tmp_path / "cars", files)
    records = [*both_splits(path), *both_splits(path, limit=1)]
    assert [record.images.shape[1] for record in records] == [3] * 4
    assert load_cars(path, "vans", "train", 8).images.shape[1] == 1


def test_unreadable_files_are_skipped_with_a_word_and_the_rest_keep_their_azimuths(cars):
    for i in (0, 3, 4):
        (cars / f"sedans/{i:02}.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match="3 unreadable of 20 image files skipped"):
        train, test = both_splits(cars)
    assert len(train) == 15 and len(test) == 2
    assert torch.equal(train.images[:, 0, 4, 4].float(), train.azimuths)
    assert "3 unreadable of 20 image files skipped (sedans/00.png, sedans/03.png, sedans/04.png)" in train.source


def test_no_file_that_is_unreadable_leaves_a_split_empty(cars):
    for i in range(2, COUNT):
        (cars / f"sedans/{i:02}.png").write_bytes(b"no image")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train, test = both_splits(cars)
    assert len(train) == len(test) == 1 and {train.azimuths.item(), test.azimuths.item()} == {0, 10}


def test_rows_without_a_file_are_counted(cars):
    rows = [*ROWS, "vans/77.png,3", "boats/01.png,4"]
    (cars / "azimuths.csv").write_bytes(a_table(rows))
    assert load_cars(cars, "vans", "train", 8).source.endswith("; 2 of 42 rows of azimuths.csv name no image")


# What is refused


def test_a_path_that_is_missing(tmp_path):
    for call in (car_domains, lambda path: load_cars(path, "vans", "train", 8)):
        with pytest.raises(FileNotFoundError, match=r"none does not exist: name a directory or a .zip") as caught:
            call(tmp_path / "none")
        assert "\n" not in str(caught.value)


def test_neither_a_directory_nor_a_zip(tmp_path):
    (tmp_path / "cars.tar").write_bytes(b"something else")
    refused(tmp_path / "cars.tar", "cars.tar is no .zip, or a damaged one")


def test_no_table(cars):
    (cars / "azimuths.csv").rename(cars / "sedans" / "azimuths.csv")
    words = "cars has no azimuths.csv: put azimuths.csv beside the images' two folders: file,azimuth"
    refused(cars, words)
    with pytest.raises(ValueError, match=words):
        car_domains(cars)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name,angle\nsedans/00.png,1\n", "begins with name,angle: begin it with the line file,azimuth"),
        (b"file;azimuth\nsedans/00.png;1\n", "begins with file;azimuth: begin"),
        (b"sedans/00.png,1\n", "begins with sedans/00.png,1: begin"),
        (b"", "begins with nothing: begin"),
        (b"file,azimuth\nsedans/\xe4.png,1\n", "is no CSV in UTF-8, or a damaged one ("),
        (b'file,azimuth\n"sedans/00.png,1\n', "is no CSV in UTF-8, or a damaged one ("),
        (b"file,azimuth\nsedans/00.png,1\n\nsedans/01.png,left\n", "line 4 of azimuths.csv in "),
        (b"file,azimuth\nsedans/00.png,left\n", "gives 'left' as azimuth: give a finite number of degrees"),
        (b"file,azimuth\nsedans/00.png\n", "gives '' as azimuth"),
        (b"file,azimuth\nsedans/00.png,nan\n", "gives 'nan' as azimuth"),
        (b"file,azimuth\nsedans/00.png,-inf\n", "gives '-inf' as azimuth"),
        (b"file,azimuth\nsedans/00.png,7,5\n", "more cells than the header: write 7.5, not 7,5"),
        (b"file,azimuth\nsedans/00.png,1\nsedans/00.png,2\n", "names sedans/00.png once more"),
        (a_table(f"my/{row}" for row in ROWS), "names an image: give them as in sedans/00.png"),
        (b"file,azimuth\n", "no row of azimuths.csv"),
        (a_table(ROWS[5:]), "5 of 20 images in sedans have no azimuth in azimuths.csv in "),
        (a_table(ROWS[5:]), "(sedans/00.png, sedans/01.png, sedans/02.png and 2 more): add a row for each, or"),
        (a_table(ROWS[1:]), "1 of 20 images in sedans have no azimuth"),
        (a_table([f"{row},x" for row in ROWS], "file,azimuth,model"), "show one model (x): give at least two"),
    ],
)
def test_a_table_that_does_not_fit(cars, content, words):
    (cars / "azimuths.csv").write_bytes(content)
    refused(cars, words)


def test_the_other_domain_may_lack_azimuths(cars):
    (cars / "azimuths.csv").write_bytes(a_table(ROWS[:COUNT]))
    assert len(load_cars(cars, "sedans", "train", 8)) == 18
    refused(cars, "20 of 20 images in vans have no azimuth", domain="vans")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["sedans"], "has 1 sub-folders with images (sedans): put two there"),
        (["boats", "sedans", "vans"], "has 3 sub-folders with images (boats, sedans, vans): put two there"),
        (list("abcdef"), "has 6 sub-folders with images (a, b, c, d, e, ...)"),
        ([""], "has 0 sub-folders with images: put two there"),
    ],
)
def test_other_than_two_domains(tmp_path, names, words):
    files = {f"{name}/{i}.png".lstrip("/"): picture(i) for name in names for i in range(3)}
    path = write_folder(tmp_path / "cars", {**files, "azimuths.csv": a_table([])})
    refused(path, words)
    with pytest.raises(ValueError, match="sub-folders with images"):
        car_domains(path)


def test_folders_without_images_and_images_beside_them_are_no_domains(cars):
    write_folder(cars, {"notes/read.txt": b"words", "preview.png": picture(1), "__MACOSX/x/1.png": b"junk"})
    assert car_domains(cars) == ("sedans", "vans")
    assert len(load_cars(cars, "sedans", "train", 8)) == 18


def test_an_unknown_domain_or_split(cars):
    refused(cars, "unknown domain 'boats': choose sedans or vans", domain="boats")
    with pytest.raises(ValueError, match="unknown split 'valid': choose train or test"):
        load_cars(cars, "vans", "valid", 8)


def test_a_domain_of_one_image(tmp_path):
    files = {"a/0.png": picture(0), "b/0.png": picture(0), "b/1.png": picture(1)}
    path = write_folder(tmp_path / "cars", {**files, "azimuths.csv": a_table([f"{name},1" for name in files])})
    refused(path, "holds one image only (a/0.png): put at least two there", domain="a")
    assert [len(record) for record in both_splits(path, "b")] == [1, 1]


def test_a_table_that_is_damaged_in_its_archive(tmp_path):
    path = write_zip(tmp_path / "cars.zip", contents())
    content = path.read_bytes()
    place = content.index(b"file,azimuth")
    path.write_bytes(content[:place] + b"F" + content[place + 1 :])
    refused(path, "is no CSV in UTF-8, or a damaged one (Bad CRC-32")


def test_a_path_counts_from_the_repository_where_nothing_lies_in_the_working_folder(cars, monkeypatch):
    monkeypatch.setattr(places, "ROOT", cars.parent)
    assert car_domains("cars") == ("sedans", "vans")


def test_images_are_centre_squares_of_the_size_asked_for(cars):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    for i in range(COUNT):
        Image.fromarray(wide).save(cars / f"vans/{i:02}.png")
    assert load_cars(cars, "vans", "train", 5).images.float().mean() == 200
