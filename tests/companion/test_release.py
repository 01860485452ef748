"""A run's model becomes a released one: small, as good as before, with a true card; what is not fit is refused."""

import hashlib
import json

import pytest
import torch

from glann_lib.companion import release
from glann_lib.config import DataConfig, make_config
from glann_lib.data.images import load_images
from glann_lib.engine import storage
from glann_lib.files import released
from glann_lib.model import Glann
from glann_lib.networks import InfoGANGenerator, LatentMapper

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
    assert page == released.card_text(released.card("tiny-digits", models))


def test_the_released_model_draws_what_the_trained_one_does(card, run, models):
    trained = Glann.load(run / released.MODEL, "cpu")
    small = Glann.load(models / "tiny-digits" / released.MODEL, "cpu")
    distance = (small.sample(1000).float() - trained.sample(1000).float()).abs()
    assert card["difference"] == {"mean": distance.mean().item(), "largest": int(distance.max()), "samples": 1000}
    assert distance.max() <= 1 and card["format"] == "float16"
    assert (
        small.config == trained.config and small.record == trained.record and small.class_names == trained.class_names
    )
    assert torch.equal(small.labels, trained.labels)


def test_scores_are_those_of_both_models_on_held_out_images(card, run, models):
    config = Glann.load(run / released.MODEL, "cpu").config
    test, train = (load_images(config.data, split).images for split in ("test", "train"))
    assert card["scored"] == len(test) == 40
    for of, path in (("float32", run), ("released", models / "tiny-digits")):
        scores = Glann.load(path / released.MODEL, "cpu").score(test)
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


def test_a_model_that_is_too_large_in_half_precision_is_factorised(run, tmp_path, monkeypatch):
    monkeypatch.setattr(release, "LIMIT", 5 * 2**20)
    source = run / released.MODEL
    trained = Glann.load(source, "cpu")
    path, form = release.write_small(source, trained, tmp_path / released.MODEL)
    stored, _ = storage.load_tensors(path)
    rank = stored["generator.layers.3.weight.left"].shape[1]
    assert form == f"float16, one weight as int8 factors of rank {rank}" and 400 < rank < 700
    assert 4.4 * 2**20 < path.stat().st_size <= 5 * 2**20
    distance = (Glann.load(path, "cpu").sample(200).float() - trained.sample(200).float()).abs()
    assert distance.mean() < release.WORST_DIFFERENCE


def test_a_generator_without_batch_norm_is_factorised_too(tmp_path, monkeypatch):
    config = make_config("digits", glo_normalisation="none")
    torch.manual_seed(0)
    latents = torch.nn.functional.normalize(torch.randn(300, 64), dim=1)
    generator = InfoGANGenerator(28, 1, normalisation="none")
    model = Glann(generator, LatentMapper(), latents, config, {"data": {"name": "digits"}})
    source = model.save(tmp_path / "full.safetensors")
    monkeypatch.setattr(release, "LIMIT", 5 * 2**20)
    path, _ = release.write_small(source, model, tmp_path / released.MODEL)
    assert (Glann.load(path, "cpu").sample(100).float() - model.sample(100).float()).abs().mean() < 1


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
    array.config = make_config("array")
    array.save(tmp_path / "array" / released.MODEL)
    assert "fitted to an array" in line_of(capsys, tmp_path / "array", "x", *folder)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limit", "ratio", "difference", "named"),
    [(2**20, 1.05, 2.0, "cannot be made to fit"), (2**24, 0.5, 2.0, "is worse"), (2**24, 1.05, -1.0, "other images")],
    ids=["too large", "worse", "different"],
)
def test_a_model_that_loses_quality_is_not_written(run, tmp_path, monkeypatch, capsys, limit, ratio, difference, named):
    monkeypatch.setattr(release, "LIMIT", limit)
    monkeypatch.setattr(release, "WORST_RATIO", ratio)
    monkeypatch.setattr(release, "WORST_DIFFERENCE", difference)
    assert named in line_of(capsys, run, "x", "--folder", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_releases_and_says_so(run, tmp_path, capsys):
    dirty = changed(run, tmp_path / "dirty", uncommitted_changes=True)
    arguments = [str(dirty), "x", "--folder", str(tmp_path / "out"), "--dirty"]
    assert release.main(arguments) == 0
    assert capsys.readouterr().out.startswith("x: 12.8 MiB, float16; 0.")
    assert released.card("x", tmp_path / "out")["uncommitted_changes"] is True
