"""Released models: found by name, refused when they are not the files of their cards, and described by a page."""

import hashlib
from pathlib import Path

import pytest
import torch
from made_cards import DIGITS

from glann_lib.companion import release
from glann_lib.config import Config
from glann_lib.engine import storage
from glann_lib.files import released
from glann_lib.model import Glann

PUBLISHED = released.available()


@pytest.fixture
def folder(tmp_path):
    """Two released models, and three folders that are none."""
    for name in ("spots", "mnist"):
        put(tmp_path, name)
    (tmp_path / "figures").mkdir()
    (tmp_path / "half" / released.CARD).parent.mkdir()
    (tmp_path / "half" / released.CARD).write_text("{}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / released.MODEL).write_bytes(b"")
    return tmp_path


def put(folder, name):
    content = {"x": torch.arange(300.0)}
    path = storage.save_sealed(folder / name / released.MODEL, content, {"format": name})
    card = DIGITS | {"name": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    storage.write_json(path.with_name(released.CARD), card)
    return path


def refused(action, kind):
    with pytest.raises(kind) as error:
        action()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_released_are_folders_with_a_model_and_a_card(folder):
    assert released.available(folder) == ("mnist", "spots")
    assert released.available(folder / "nowhere") == ()
    assert released.card("spots", folder)["name"] == "spots"


def test_a_name_gives_the_file(folder):
    assert released.find("spots", folder) == folder / "spots" / "model.safetensors"
    assert released.locate("spots", folder) == folder / "spots" / "model.safetensors"


@pytest.mark.parametrize("path", ["a/model.safetensors", "model.safetensors", "spots/", "../spots", Path("spots")])
def test_a_path_stays_a_path(folder, path):
    assert released.locate(path, folder) == Path(path)


def test_a_file_of_a_name_that_is_not_released_is_a_path(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "mine").write_bytes(b"x")
    (folder / "spots.bak").mkdir()
    assert released.locate("mine", folder) == Path("mine")
    assert released.locate("spots", folder) == folder / "spots" / "model.safetensors"  # a name comes first


def test_a_folder_stands_for_the_model_in_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "my-run").mkdir()
    for name in ("my-run", "my-run/", str(folder / "my-run"), Path("my-run")):
        assert released.locate(name, folder) == Path(name) / "model.safetensors"


def test_a_wrong_name_says_which_there_are_and_what_to_do(folder, tmp_path):
    line = refused(lambda: released.locate("fashion", folder), FileNotFoundError)
    assert line == (
        "no released model 'fashion': released are mnist, spots; train your own: ./run_all.sh --dataset fashion, "
        "then Glann.load('results/fashion-quick/model.safetensors')"
    )
    line = refused(lambda: released.locate("faces", folder), FileNotFoundError)
    assert line == "no released model 'faces': released are mnist, spots; name a file that Glann.save wrote"
    assert "released are none" in refused(lambda: released.find("x", tmp_path / "empty"), FileNotFoundError)


def test_every_damage_is_found(folder):
    path = folder / "spots" / "model.safetensors"
    whole = path.read_bytes()
    flips = [whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :] for i in range(0, len(whole), 97)]
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 14048356\n"
    foreign = (put(folder, "mnist")).read_bytes()
    for content in (*flips, whole[:-1], whole[: len(whole) // 2], b"", pointer, foreign):
        path.write_bytes(content)
        line = refused(lambda: released.find("spots", folder), ValueError)
        assert "is not the file of its card" in line and line.endswith(f"git checkout -- {path}")
    path.write_bytes(whole)
    assert released.find("spots", folder) == path


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"sha256"}'])
def test_a_damaged_card_is_a_one_line_error(folder, text):
    (folder / "spots" / released.CARD).write_text(text)
    assert "model.json is damaged: restore it" in refused(lambda: released.find("spots", folder), ValueError)


def test_licences_are_those_of_the_data_page():
    page = (Path(released.__file__).parents[2] / "data" / "README.md").read_text(encoding="utf-8")
    tables = page.partition("## Checksums")[0]
    terms = {line.split("|")[1].strip(" `"): line.split("|")[-2].strip() for line in tables.splitlines() if "|" in line}
    for dataset, text in released.LICENCES.items():
        assert terms[dataset] == text == released.licence(dataset)
    assert released.licence("folder:my.zip") == released.licence("unknown") == "the owner's"


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_is_whole_small_and_described(name):
    card, path = released.card(name), released.find(name)
    assert card["name"] == name and card["bytes"] == path.stat().st_size <= released.LIMIT
    model = Glann.load(name, "cpu")
    assert list(model.sample(2).shape[1:]) == card["image_shape"]
    assert len(model.latents) == min(card["training_images"], release.KEPT)  # the codes of the first
    assert model.config == Config.from_dict(card["settings"])


def test_a_model_of_ones_own_data_is_to_be_trained_first():
    own = r"--dataset folder:a/b, then Glann\.load\('results/folder-a-b-[0-9a-f]{6}-quick/"
    with pytest.raises(FileNotFoundError, match=own):
        released.locate("folder:a/b")
