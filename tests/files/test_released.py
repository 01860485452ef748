"""Released models: found by name, refused when they are not the files of their cards, and described by a page."""

import copy
import hashlib
from pathlib import Path

import pytest
import torch

from glann_lib.config import Config
from glann_lib.engine import storage
from glann_lib.files import released
from glann_lib.model import Glann

PUBLISHED = released.available()
DIGITS = {
    "name": "tiny", "file": "model.safetensors", "sha256": "ab" * 32, "bytes": 3 * 2**20, "format": "float16",
    "released_by": "python -m glann_lib.companion.release results/digits-quick tiny", "kind": "images",
    "image_shape": [1, 28, 28], "training_images": 1500, "licence": "CC BY 4.0", "profile": "quick", "seed": 3,
    "data": {"name": "digits", "source": "scikit-learn|UCI", "sha256": "cd" * 32}, "precision": "bfloat16",
    "settings": {"glo": {"epochs": 32, "loss": "random-vgg16"}, "imle": {"epochs": 600}}, "commit": "0123abc",
    "uncommitted_changes": False, "time": "2026-11-22T09:28:00+00:00", "hardware": "cpu (x86_64, 2 cores)",
    "versions": {"torch": "2.15.0", "python": "3.11.7"}, "made_by": "./run_all.sh --dataset digits --seed 3",
    "purpose": "For trying out.", "limits": "Few epochs.", "scored": 297, "real": {"frechet": 0.03, "support": 1e9},
    "difference": {"mean": 0.0075, "largest": 1, "samples": 1000},
    "scores": [
        {"of": of, "metric": metric, "name": name, "unit": unit, "better": better, "value": value}
        for of, values in (("float32", (0.25, 31219.0)), ("released", (0.26, float("inf"))))
        for (metric, name, unit, better), value in zip(
            (
                ("frechet", "Fréchet distance", "squared feature units", "lower"),
                ("support", "Support", "images", "higher"),
            ),
            values, strict=True,
        )
    ],
}  # fmt: skip


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


def test_the_page_shows_what_the_card_holds():
    text = released.card_text(DIGITS)
    lines = text.splitlines()
    assert lines[0] == "# tiny: a released GLANN model" and "For trying out. Few epochs." in lines
    assert 'model = Glann.load("tiny")' in lines
    assert "images = model.sample(16)  # uint8 [16, 1, 28, 28]" in lines
    for fact in ("1,500 images of digits", "3.0 MiB", "ab" * 32, "cd" * 32, "quick, 3", "CC BY 4.0", "0123abc"):
        assert fact in text
    assert "| Fréchet distance | squared feature units | lower | 0.25 | 0.26 | 0.03 |" in lines
    assert "| Support | images | higher | 31,219 | inf | 1,000,000,000 |" in lines
    assert "    ./run_all.sh --dataset digits --seed 3" in lines
    assert r"scikit-learn\|UCI" in text and "uncommitted" not in text


def test_the_page_says_honestly_what_is_unknown_or_uncommitted():
    card = copy.deepcopy(DIGITS) | {"commit": "unknown", "versions": "unknown", "made_by": "unknown"}
    text = released.card_text(card | {"uncommitted_changes": "unknown"})
    assert "- commit: unknown\n" in text and "- versions: unknown\n" in text and "    unknown\n" in text
    assert "- commit: 0123abc, with uncommitted changes\n" in released.card_text(DIGITS | {"uncommitted_changes": True})
    shapes = released.card_text(DIGITS | {"kind": "shapes", "image_shape": [32, 32, 32]})
    assert "fields = model.sample(16)  # uint8 [16, 32, 32, 32]" in shapes and "1,500 shapes of" in shapes


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_is_whole_small_and_described(name):
    card, path = released.card(name), released.find(name)
    assert card["name"] == name and card["bytes"] == path.stat().st_size <= released.LIMIT
    assert path.with_name(released.PAGE).read_text(encoding="utf-8") == released.card_text(card)
    model = Glann.load(name, "cpu")
    assert list(model.sample(2).shape[1:]) == card["image_shape"] and len(model.latents) == card["training_images"]
    assert model.config == Config.from_dict(card["settings"])


def test_a_model_of_ones_own_data_is_to_be_trained_first():
    with pytest.raises(FileNotFoundError, match=r"--dataset folder:a/b, then Glann\.load\('results/folder-a-b-quick/"):
        released.locate("folder:a/b")
