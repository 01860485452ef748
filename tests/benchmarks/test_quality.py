"""What each way to train gives, by which eyes, and what a third stage adds."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.material import pictures
from benchmarks.quality import eyes, refining, ways
from glann_lib import losses
from glann_lib.config import GLOConfig, make_config
from glann_lib.scores.features import make_score_extractor

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]


WAYS = ["released recipe", "cheaper recipe", "cheaper, new random weights in every epoch"]


def test_what_quality_costs_is_told_way_by_way(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(ways, "SAMPLES", 64)
    run("--quality", "digits", "--quick", "--repeats", 2, "--folder", tmp_path, "--ways", *WAYS)
    record = json.loads((tmp_path / "quality.json").read_text())
    rows = record["rows"]
    assert [(row["way"], row["seed"]) for row in rows] == [(way, seed) for way in WAYS for seed in (0, 1)]
    assert (rows[0]["settings"]["glo_optimiser"], rows[2]["settings"]["glo_optimiser"]) == ("official", "persistent")
    assert [row["steps"] for row in rows[:3:2]] == [2, 6]  # 200 images in batches of 128 and of 64, two epochs
    for row in rows:
        assert min(row["seconds"], row["error"], row["samples, random VGG16"]) > 0
    assert rows[0]["samples, random VGG16"] != rows[1]["samples, random VGG16"]
    told = capsys.readouterr().out
    assert all(told.count(f"| {way}") == 1 for way in WAYS) and "±" in told


def test_ways_have_as_many_epochs_as_fit_into_the_minutes(run, monkeypatch, tmp_path):
    monkeypatch.setattr(ways, "SAMPLES", 64)
    monkeypatch.setattr(ways.timing, "step_seconds", lambda settings, *_: 0.1 if settings.batch_size == 128 else 0.3)
    options = ["--minutes", 0.03, "--images", 150, "--repeats", 1, "--folder", tmp_path, "--ways", *WAYS[:2]]
    run("--quality", "digits", "--quick", *options)
    rows = json.loads((tmp_path / "quality.json").read_text())["rows"]
    assert [row["settings"]["glo_epochs"] for row in rows] == [18, 3]  # 1.8 s by steps of 0.1 s, two of 0.3 s an epoch
    assert [row["steps"] for row in rows] == [18, 6] and rows[0]["settings"]["data_train_images"] == 150


def test_a_loss_redrawn_in_every_epoch_has_other_weights_in_each():
    images = pictures(16, 1, 28)
    config = GLOConfig(loss="random-vgg16-quarter", epochs=2, batch_size=8, latent_dim=8, precision="float32")
    stage = ways.Redrawn(images, config, CPU)
    seen = []
    for epoch in (1, 2):
        stage.run_epoch(epoch)
        seen.append(next(stage.loss.represent.extractors[0].stages.parameters()).clone())
        assert all(
            torch.equal(a, b)
            for a, b in zip(
                stage.targets(torch.arange(3), None), stage.loss.targets(losses.unit(images[:3])), strict=True
            )
        )
    assert not torch.equal(*seen)


# The ways that are the quick profile's.
USED = {
    "digits": "narrower recipe",
    "mnist": "released, a quarter in batches of 64, T 256 wide",
    "fashion": "released, latents from principal components",
    "celeba": "released in batches of 64, sooner, moments matched",
}


def test_every_way_is_another_setting():
    for dataset in ("digits", "mnist", "fashion", "cifar10", "celeba"):
        every, quick = ways.ways(dataset), make_config(dataset)
        assert every[0].name == "released recipe"
        found = [make_config(dataset, **way.settings) for way in every]
        different = {(config.glo, config.imle, way.stage) for config, way in zip(found, every, strict=True)}
        assert len(different) == len({way.name for way in every}) == len(every)
        used = found[[way.name for way in every].index(USED.get(dataset, "released recipe"))]
        assert (dataclasses.replace(used.glo, decay_every=quick.glo.decay_every), used.imle) == (quick.glo, quick.imle)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["letters"], "unknown data set 'letters'"),
        (["digits", "--ways", "best"], "unknown way 'best'"),
        (["digits", "--minutes", "0"], "--minutes is 0.0: give more than 0"),
    ],
)
def test_an_unknown_data_set_or_way_of_quality_is_one_line(run, capsys, given, said):
    with pytest.raises(SystemExit):
        run("--quality", *given)
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_eyes_rank_real_images_before_all_others(monkeypatch, tmp_path, capsys):
    options = ["digits", "--images", "20", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.quality.eyes", *options])
    monkeypatch.setattr(eyes, "EYES", ("random-vgg16",))
    eyes.main()
    (row,) = json.loads((tmp_path / "eyes.json").read_text())["rows"]
    assert (row["model"], row["images"], row["eyes"]) == ("digits", 20, "random-vgg16")
    assert 0 < row["real training images"] < row["GLANN"] < row["Gaussian"]


def test_reconstructions_are_compared_with_images_whose_codes_a_model_kept():
    model, train = eyes.Glann.load("digits", "cpu"), torch.randint(256, (1500, 1, 28, 28), dtype=torch.uint8)
    model.latents = model.latents[:30].clone()  # of a whole data set a released model keeps the first codes alone
    sets = eyes.sets_of(model, train, 40)
    assert {len(images) for images in sets.values()} == {30}
    shown = {image.numpy().tobytes() for image in sets["real training images"]}
    assert shown == {image.numpy().tobytes() for image in train[:30]}


def test_the_third_stage_of_a_released_model_is_scored(monkeypatch, tmp_path, capsys):
    options = ["digits", "--images", "20", "--epochs", "1", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.quality.refining", *options])
    model = refining.Glann.load("digits", "cpu")
    model.config = dataclasses.replace(model.config, refine=refining.RefineConfig())  # as if it had had two stages
    monkeypatch.setattr(refining.Glann, "load", lambda *_: model)
    monkeypatch.setattr(refining, "make_score_extractor", lambda _, *own: make_score_extractor("random-vgg16", *own))
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    refining.main()
    (row,) = json.loads((tmp_path / "refining.json").read_text())["rows"]
    assert (row["model"], row["images"], row["epochs"]) == ("digits", 20, 1) and row["seconds"] > 0
    assert row["stage 3"] != row["GLANN"] and 0 < row["real training images"] < row["stage 3"]
    assert row["stage 3, random-vgg16"] == row["stage 3"]  # the same eyes here
    assert all(row[f"{of}, nearest"] > 0 for of in ("GLANN", "stage 3", "unseen"))


def test_eyes_on_an_unknown_model_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks.quality.eyes", "unicorns"])
    with pytest.raises(SystemExit):
        eyes.main()
    assert "unicorns" in capsys.readouterr().err.splitlines()[-1]
