"""The contest: which models are trained with what, where they go, and that nothing is trained twice."""

import dataclasses

import pytest
import torch

from glann_lib.config import make_config
from glann_lib.rivals import contenders as rivals
from glann_lib.rivals.contenders import CONTENDERS, Trained
from glann_lib.scores.comparison import Contest
from glann_lib.scores.evaluate import Reference, ScoreBook, read_records
from glann_lib.scores.features import ScoreExtractor

CPU = torch.device("cpu")


def pictures(count, seed):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 28, 28), generator=random, dtype=torch.uint8)


def columns(images):
    return torch.stack([part.float().mean((1, 2, 3)) for part in images.tensor_split(6, dim=3)], 1)


@pytest.fixture
def trained(monkeypatch):
    """What was trained, in order; the models draw noise."""
    calls = []

    def model(key, budget, seed):
        calls.append((key, budget, seed))
        facts = {"generator_steps": 7, "seconds": 1.0}
        return Trained(CONTENDERS[key], lambda count, seed: pictures(count, seed + 100), budget, facts)

    def fit_rival(key, images, config, budget, steps, device, folder):
        assert folder.name == "rivals" and steps == {"equal": 20, "protocol": 40}[budget]
        return model(key, budget, config.glo.seed)

    def fit_glann(images, config, device, folder):
        assert config.glo.seed == config.imle.seed
        model("glann", folder.name, config.glo.seed)
        keys = rivals.OURS if config.refine.epochs else rivals.OURS[:2]
        return {key: model(key, "own", config.glo.seed) for key in keys}

    monkeypatch.setattr(rivals, "fit_rival", fit_rival)
    monkeypatch.setattr(rivals, "fit_glann", fit_glann)
    return calls


def contest(folder, samples=60, images=None, refine=0):
    extractor = ScoreExtractor("classifier", "c", {}, columns)
    book = ScoreBook(folder / "scores", Reference.of(pictures(50, 0), [extractor]), {"data": {"sha256": "s"}})
    images = pictures(128, 1) if images is None else images
    return Contest(images, make_config("mnist", seed=3, refine_epochs=refine), book, samples, CPU, folder)


def test_rivals_are_trained_under_every_budget(tmp_path, trained, capsys):
    records = contest(tmp_path).score_rivals(["wgan", "vae"], {"equal": 20, "protocol": 40}, 5)
    expected = [(key, budget, 5) for budget in ("equal", "protocol") for key in ("wgan", "vae")]
    assert trained == expected
    assert [(r["model"], r["budget"], r["seed"]) for r in records] == expected
    assert records[0]["label"] == "WGAN" and records[0]["kind"] == "adversarial" and records[0]["generated"] == 60
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("WGAN, seed 5, 7 generator steps: Fréchet distance (classifier) ") and len(lines) == 4


def test_nothing_is_trained_twice(tmp_path, trained):
    first = contest(tmp_path).score_rivals(["wgan"], {"equal": 20}, 3)
    assert contest(tmp_path).score_rivals(["wgan"], {"equal": 20}, 3) == first and len(trained) == 1
    contest(tmp_path, samples=70).score_rivals(["wgan"], {"equal": 20}, 3)
    assert len(trained) == 2
    contest(tmp_path).score_rivals(["wgan"], {"equal": 20}, 4)
    assert len(trained) == 3 and len(read_records(tmp_path / "scores")) == 2


def test_other_seeds_of_glann_have_a_folder_of_their_own(tmp_path, trained):
    for seed in (3, 4):
        records = contest(tmp_path).score_glann(seed)
        assert [(r["model"], r["budget"], r["seed"]) for r in records] == [("glo", "own", seed), ("glann", "own", seed)]
    places = [budget for key, budget, _ in trained if key == "glann" and budget != "own"]
    assert places == [tmp_path.name, "seed4"]  # once for both; the run's own seed is where notebooks 01 and 02 left it
    assert len(contest(tmp_path).score_glann(4)) == 2 and len(trained) == 6


def test_the_third_stage_is_a_model_of_its_own(tmp_path, trained):
    records = contest(tmp_path, refine=4).score_glann(3)
    assert [record["model"] for record in records] == ["glo", "glann", "glann-refined"] and len(trained) == 4
    assert contest(tmp_path).score_glann(3) == records[:2] and len(trained) == 4  # its settings are its own
    assert contest(tmp_path, refine=5).score_glann(3)[:2] == records[:2] and len(trained) == 8


def test_another_loss_is_a_model_of_its_own(tmp_path, trained):
    own = contest(tmp_path).score_glann(3)
    other = contest(tmp_path).score_glann(3, "vgg19")
    assert [(r["model"], r["label"]) for r in other] == [("glo-vgg19", "GLO, VGG19"), ("glann-vgg19", "GLANN, VGG19")]
    assert contest(tmp_path).score_glann(3, "vgg19") == other and contest(tmp_path).score_glann(3) == own
    assert [budget for key, budget, _ in trained if key == "glann" and budget != "own"] == [tmp_path.name, "seed3"]
    assert len(read_records(tmp_path / "scores")) == 4
    with pytest.raises(ValueError, match="is this run's own loss"):
        contest(tmp_path).score_glann(3, make_config("mnist").glo.loss)


def test_glanns_settings_decide_whether_it_is_scored_again(tmp_path, trained):
    contest(tmp_path).score_glann(3)
    changed = contest(tmp_path)
    imle = dataclasses.replace(changed.config.imle, epochs=5)
    changed = dataclasses.replace(changed, config=dataclasses.replace(changed.config, imle=imle))
    changed.score_glann(3)
    assert len(trained) == 6


def test_floors_are_scored_like_samples(tmp_path, trained):
    record = contest(tmp_path).score_images("real-training-images", "real training images", pictures(80, 2))
    assert (record["kind"], record["budget"], record["generated"], record["real"]) == ("floor", "none", 80, 50)
    assert "generator_steps" not in record and not trained
    other = contest(tmp_path).score_images("real-training-images", "real training images", pictures(80, 4))
    assert other["scores"] != record["scores"], "other images must be scored anew"


def test_a_model_without_scores_is_kept_and_said_so(tmp_path, trained, capsys):
    record = contest(tmp_path).score_images("real-training-images", "real training images", pictures(1, 2))
    assert record["scores"] == [] and capsys.readouterr().out == "real training images, seed 3: not scored\n"


def test_unknown_rivals_are_refused_before_training(tmp_path, trained):
    with pytest.raises(ValueError, match="unknown rival 'gan': choose one of mm-gan"):
        contest(tmp_path).score_rivals(["vae", "gan"], {"equal": 20}, 0)
    assert not trained
