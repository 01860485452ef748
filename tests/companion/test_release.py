"""A run's model becomes a released one: small, as good as before, with a true card; what is not fit is refused."""

import copy
import dataclasses
import hashlib
import json
import re

import pytest
import torch
from made_cards import DIGITS

from glann_lib.companion import release
from glann_lib.config import DataConfig, make_config
from glann_lib.data.images import load_images
from glann_lib.engine import storage
from glann_lib.files import released
from glann_lib.glo import generator_of
from glann_lib.model import Glann
from glann_lib.networks import LatentMapper

ORIGIN = {
    "commit": "0123abc", "uncommitted_changes": False, "time": "2026-11-22T09:28:00+00:00", "precision": "float32",
    "device": "cpu (x86_64, 2 cores)", "python": "3.11.7", "versions": {"torch": "2.15.0"},
    "notebook": "02_imle_mapping",
}  # fmt: skip
TINY = {"glo_epochs": 1, "glo_loss": "l1", "imle_epochs": 1, "data_train_images": 256, "data_test_images": 40}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run on few digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits-quick"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLANN_PROGRESS", "lines")
        model = Glann.fit("digits", device="cpu", **TINY)
    model.record |= ORIGIN
    model.save(folder / released.MODEL)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("published")


@pytest.fixture(scope="module")
def card(run, models):
    return release.release(run, "tiny-digits", models)


def changed(run, folder, **record):
    """A copy of the run whose model's record differs; None removes a field."""
    model = Glann.load(run / released.MODEL, "cpu")
    model.record = {name: value for name, value in (model.record | record).items() if value is not None}
    model.save(folder / released.MODEL)
    return folder


def test_three_files_are_written_and_found(card, models):
    assert released.available(models) == ("tiny-digits",)
    folder = models / "tiny-digits"
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.md", "model.safetensors"]
    assert released.card("tiny-digits", models) == json.loads(json.dumps(card))
    content = released.find("tiny-digits", models).read_bytes()
    assert card["bytes"] == len(content) <= released.LIMIT
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    page = (folder / "model.md").read_text(encoding="utf-8")
    assert page == release.card_text(released.card("tiny-digits", models))


def test_the_released_model_draws_what_the_trained_one_does(card, run, models):
    trained = Glann.load(run / released.MODEL, "cpu")
    small = Glann.load(models / "tiny-digits" / released.MODEL, "cpu")
    distance = (small.sample(1000).float() - trained.sample(1000).float()).abs()
    assert card["difference"] == {"mean": distance.mean().item(), "largest": int(distance.max()), "samples": 1000}
    assert distance.mean() < 1 and card["format"].startswith(
        "float16, latents and convolutions int8, one weight as deflated int8"
    )
    assert (
        small.config == trained.config and small.record == trained.record and small.class_names == trained.class_names
    )
    assert torch.equal(small.labels, trained.labels)


def test_scores_are_those_of_both_models_on_held_out_images(card, run, models):
    config = Glann.load(run / released.MODEL, "cpu").config
    test, train = (load_images(config.data, split).images for split in ("test", "train"))
    assert card["scored"] == len(test) == 40
    for of, path in (("float32", run), ("released", models / "tiny-digits")):
        scores = Glann.load(path / released.MODEL, "cpu").score(test, release.EXTRACTOR)
        stored = {row["metric"]: row for row in card["scores"] if row["of"] == of}
        assert stored.keys() == scores.keys() == card["real"].keys()
        assert stored["frechet"]["value"] == pytest.approx(scores["frechet"], rel=1e-6)
        assert stored["coverage"]["value"] == scores["coverage"] and stored["coverage"]["better"] == "higher"
    assert card["real"]["frechet"] < stored["frechet"]["value"] and len(train) == 256


def test_the_card_says_where_the_model_comes_from(card):
    assert (card["commit"], card["time"], card["hardware"]) == ("0123abc", ORIGIN["time"], "cpu (x86_64, 2 cores)")
    assert card["versions"] == {"python": "3.11.7", "torch": "2.15.0"} and card["precision"] == "float32"
    assert card["training_images"] == 256 and card["licence"] == "CC BY 4.0" and card["data"]["name"] == "digits"
    assert card["settings"]["glo"]["epochs"] == 1 and card["image_shape"] == [1, 28, 28] and card["kind"] == "images"
    assert "256 images" in card["limits"] and card["made_by"].startswith("./run_all.sh --dataset digits --set ")


def test_the_page_shows_what_the_card_holds():
    text = release.card_text(DIGITS)
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
    text = release.card_text(card | {"uncommitted_changes": "unknown"})
    assert "- commit: unknown\n" in text and "- versions: unknown\n" in text and "    unknown\n" in text
    assert "- commit: 0123abc, with uncommitted changes\n" in release.card_text(DIGITS | {"uncommitted_changes": True})
    shapes = release.card_text(DIGITS | {"kind": "shapes", "image_shape": [32, 32, 32]})
    assert "fields = model.sample(16)  # uint8 [16, 32, 32, 32]" in shapes and "1,500 shapes of" in shapes


@pytest.mark.parametrize("name", released.available())
def test_the_page_of_each_released_model_is_that_of_its_card(name):
    page = (released.FOLDER / name / released.PAGE).read_text(encoding="utf-8")
    assert page == release.card_text(released.card(name))


def test_what_the_record_does_not_tell_is_unknown(run, tmp_path):
    missing = dict.fromkeys(("data", *ORIGIN))
    origin = release.origin(Glann.load(changed(run, tmp_path, **missing) / released.MODEL, "cpu"))
    for field in ("commit", "uncommitted_changes", "time", "precision", "hardware", "versions", "made_by"):
        assert origin[field] == "unknown"
    assert set(origin["data"].values()) == {"unknown"} and origin["licence"] == "the owner's"
    assert origin["training_images"] == 256


@pytest.mark.parametrize(
    ("config", "command"),
    [
        (make_config("mnist"), "./run_all.sh --dataset mnist"),
        (make_config("celeba", "paper", 3), "./run_all.sh --dataset celeba --profile paper --seed 3"),
        (make_config("mnist", glo_epochs=60), "./run_all.sh --dataset mnist --set glo_epochs=60"),
        (make_config("chairs", data_poses=12), "./run_all.sh --dataset chairs --set poses=12"),
        (make_config("folder:/a/b/my.zip"), "./run_all.sh --dataset folder:my.zip"),
    ],
)
def test_the_command_gives_the_settings_again(config, command):
    assert release.made_by(config) == command


def test_less_room_makes_a_smaller_file_of_the_same_model(run, tmp_path, monkeypatch):
    source = run / released.MODEL
    trained, sizes = Glann.load(source, "cpu"), [release.LIMIT]
    for _ in range(2):
        limit = sizes[-1]  # the second time that of the file just made, which has to become smaller by the margin
        monkeypatch.setattr(release, "LIMIT", limit)
        path, form = release.write_small(source, trained, tmp_path / released.MODEL)
        rank = len(storage.load_tensors(path)[0]["generator.layers.3.weight.right_scale"])
        assert form == f"float16, latents and convolutions int8, one weight as deflated int8 factors of rank {rank}"
        sizes.append(path.stat().st_size)
        distance = (Glann.load(path, "cpu").sample(200).float() - trained.sample(200).float()).abs()
        assert sizes[-1] < limit and distance.mean() < release.WORST_DIFFERENCE


def test_a_model_of_many_images_keeps_the_codes_of_the_first_ones(run, card, tmp_path, monkeypatch):
    monkeypatch.setattr(release, "KEPT", 100)
    few = release.release(run, "few-codes", tmp_path)
    trained, small = Glann.load(run / released.MODEL, "cpu"), Glann.load(tmp_path / "few-codes" / released.MODEL, "cpu")
    assert len(small.latents) == len(small.labels) == 100 < len(trained.latents) == few["training_images"]
    assert few["format"].startswith("float16, latents of the first 100 and convolutions int8")
    assert "of the first" not in card["format"] and few["bytes"] < card["bytes"]
    assert (small.labels == trained.labels[:100]).all()
    for few_codes, all_codes in (
        (small.reconstruct(range(100)), trained.reconstruct(range(100))),
        (small.sample(50), trained.sample(50)),
    ):
        assert (few_codes.float() - all_codes.float()).abs().mean() < release.WORST_DIFFERENCE


def test_a_generator_without_batch_norm_is_factorised_too(tmp_path):
    config = make_config("digits", glo_normalisation="none")
    torch.manual_seed(0)
    latents = torch.nn.functional.normalize(torch.randn(300, 64), dim=1)
    generator = generator_of((1, 28, 28), config.glo)
    model = Glann(generator, LatentMapper(), latents, config, {"data": {"name": "digits"}})
    source = model.save(tmp_path / "full.safetensors")
    path, _ = release.write_small(source, model, tmp_path / released.MODEL)
    assert (Glann.load(path, "cpu").sample(100).float() - model.sample(100).float()).abs().mean() < 1


@pytest.fixture(scope="module")
def large():
    """An untrained model for images of 128 px."""
    config = make_config("made-landscapes", glo_resnet_channels=4)
    torch.manual_seed(0)
    latents = torch.nn.functional.normalize(torch.randn(300, 64), dim=1)
    return Glann(generator_of((3, 128, 128), config.glo), LatentMapper(), latents, config, {"data": {"name": "made"}})


def test_a_generator_of_large_images_has_int8_convolutions_where_nothing_is_lost(large, tmp_path):
    source = large.save(tmp_path / "full.safetensors")
    sizes = {}
    for coarse in (True, False):
        path, form = release.write_small(source, large, tmp_path / released.MODEL, coarse=coarse)
        tensors, _ = storage.load_tensors(path)
        sizes[coarse] = path.stat().st_size
        assert form.startswith(
            "float16, latents and convolutions int8, one" if coarse else "float16, latents int8, one"
        )
        assert tensors["generator.first.weight.right_scale"].shape[1] == 1
        kernels = [name for name, tensor in tensors.items() if tensor.dim() == 4 and tensor.dtype == torch.int8]
        assert bool(kernels) == coarse and all(name.endswith(".weight.rows") for name in kernels)
        small = Glann.load(path, "cpu")
        assert (small.sample(4).float() - large.sample(4).float()).abs().mean() < 1
    assert sizes[True] < sizes[False] < source.stat().st_size / 2


def test_convolutions_lose_their_int8_where_it_shows(large, tmp_path, monkeypatch):
    large.save(tmp_path / "run" / released.MODEL)
    row = {"metric": "frechet", "name": "x", "unit": "", "better": "lower"}

    class Comparison:
        def __init__(self, model):
            self.asked = 0

        def with_small(self, small):
            self.asked += 1
            scores = [row | {"of": "float32", "value": 1.0}, row | {"of": "released", "value": 9.0 / self.asked**2}]
            return {"scores": scores, "real": {}, "difference": {"mean": 0.0, "largest": 0, "samples": 1}, "scored": 1}

    monkeypatch.setattr(release, "Comparison", Comparison)
    monkeypatch.setattr(release, "card_text", lambda card: "")
    card = release.release(tmp_path / "run", "large", tmp_path / "out")
    assert card["format"].startswith("float16, latents and convolutions int8")  # the third try: 9 / 3^2 = 1
    monkeypatch.setattr(release, "WORST_RATIO", 0.9)
    assert release.release(tmp_path / "run", "large", tmp_path / "out")["format"].startswith("float16, latents int8")


def test_folders_of_the_owner_do_not_travel_along(run, tmp_path):
    tensors, record = storage.load_tensors(run / released.MODEL)
    for settings in (record["config"], record["record"].setdefault("config", {"data": {}})):
        settings["data"]["dataset"] = "folder:/private/place/my.zip"
    source = storage.save_sealed(tmp_path / "full.safetensors", tensors, record)
    model = Glann.load(source, "cpu")
    path, _ = release.write_small(source, model, tmp_path / released.MODEL)
    assert b"private" not in path.read_bytes() and "private" not in json.dumps(release.origin(model))
    assert Glann.load(path, "cpu").config.data == DataConfig("folder:my.zip", 28, 256, 40)


def line_of(capsys, *arguments):
    """The one line with which the command refuses."""
    assert release.main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_is_not_fit_is_refused_in_a_line(run, tmp_path, capsys):
    folder = ("--folder", tmp_path / "out")
    assert "has no model.safetensors" in line_of(capsys, tmp_path, "x", *folder)
    assert "is no name for a model" in line_of(capsys, run, "a/b", *folder)
    dirty = changed(run, tmp_path / "dirty", uncommitted_changes=True)
    assert "uncommitted changes: train it again, or add --dirty" in line_of(capsys, dirty, "x", *folder)
    array = Glann.load(run / released.MODEL, "cpu")
    array.config = dataclasses.replace(array.config, data=DataConfig("array"))
    array.save(tmp_path / "array" / released.MODEL)
    assert "fitted to an array" in line_of(capsys, tmp_path / "array", "x", *folder)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limit", "ratio", "difference", "named"),
    [(2**18, 1.05, 2.0, "cannot be made to fit"), (2**24, 0.5, 2.0, "is worse"), (2**24, 1.05, -1.0, "other images")],
    ids=["too large", "worse", "different"],
)
def test_a_model_that_loses_quality_is_not_written(run, tmp_path, monkeypatch, capsys, limit, ratio, difference, named):
    monkeypatch.setattr(release, "LIMIT", limit)
    monkeypatch.setattr(release, "WORST_RATIO", ratio)
    monkeypatch.setattr(release, "WORST_DIFFERENCE", difference)
    monkeypatch.setattr(release, "TRIES", 2)
    assert named in line_of(capsys, run, "x", "--folder", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_finer_file_is_written_where_the_coarse_one_is_not_as_good(card, run, tmp_path, monkeypatch):
    monkeypatch.setattr(release, "WORST_DIFFERENCE", 0.99 * card["difference"]["mean"])
    finer = release.release(run, "x", tmp_path)
    assert finer["difference"]["mean"] < release.WORST_DIFFERENCE and finer["bytes"] > card["bytes"]


@pytest.mark.parametrize("name", released.available())
def test_no_released_model_has_lost_quality(name):
    assert release.what_is_lost(released.card(name)) == ""


def test_the_command_releases_and_says_so(run, tmp_path, capsys):
    dirty = changed(run, tmp_path / "dirty", uncommitted_changes=True)
    arguments = [str(dirty), "x", "--folder", str(tmp_path / "out"), "--dirty"]
    assert release.main(arguments) == 0
    said = capsys.readouterr().out
    form = "float16, latents and convolutions int8, .*"
    assert re.match(rf"x: \d\.\d MiB, {form} of rank \d+; \d\.\d+ grey levels from", said), said
    assert released.card("x", tmp_path / "out")["uncommitted_changes"] is True
