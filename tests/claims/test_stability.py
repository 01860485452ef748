"""Stability: the same steps for all, every step size times the factor, what diverges is kept as a result."""

import dataclasses

import pytest
import torch

from glann_lib.claims.stability import fit_each, of_steps, or_diverged, score_stability, spread, with_steps
from glann_lib.config import make_config
from glann_lib.glo import GLO
from glann_lib.rivals import contenders as rivals
from glann_lib.rivals.contenders import CONTENDERS, Trained
from glann_lib.scores.comparison import Contest
from glann_lib.scores.evaluate import Reference, ScoreBook, read_records, read_samples
from glann_lib.scores.features import ScoreExtractor

CPU = torch.device("cpu")


def pictures(count=24, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 28, 28), generator=random, dtype=torch.uint8)


def config(**overrides):
    small = {"glo_batch_size": 8, "glo_epochs": 4, "imle_batch_size": 8, "imle_epochs": 2, "glo_latent_dim": 8}
    small |= {"refine_epochs": 0}
    small |= {"glo_feature_channels": 8, "imle_noise_dim": 4, "imle_hidden_dim": 16, "glo_loss": "l1"}
    return make_config("digits", seed=3, **(small | overrides))


def contest(folder):
    def compute(images):
        return torch.stack([part.float().mean((1, 2, 3)) for part in images.tensor_split(6, dim=3)], 1)

    reference = Reference.of(pictures(20, 1), [ScoreExtractor("classifier", "c", {}, compute)])
    book = ScoreBook(folder / "scores", reference, {"data": {"sha256": "s"}})
    return Contest(pictures(), config(), book, 20, CPU, folder)


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


@pytest.fixture
def trained(monkeypatch):
    """What was trained, in order: model, seed, step size, steps; the models draw noise, WGAN diverges."""
    calls = []

    def model(key, seed, *facts):
        calls.append((key, seed, *facts))
        if key == "wgan":
            raise FloatingPointError("wgan: not finite in epoch 1")
        return Trained(CONTENDERS[key], lambda count, seed: pictures(count, seed + 100), "", {"generator_steps": 7})

    def fit_rival(key, images, config, budget, steps, device, folder, factor):
        return model(key, config.glo.seed, factor, steps)

    def fit_glann(images, config, device, folder):
        factor = config.glo.latent_lr / 0.03
        assert config.imle.lr == pytest.approx(factor * 4e-3)
        return {"glann": model("glann", config.glo.seed, round(factor, 3), rivals.glo_steps(config, len(images)))}

    monkeypatch.setattr(rivals, "fit_rival", fit_rival)
    monkeypatch.setattr(rivals, "fit_glann", fit_glann)
    return calls


def test_every_model_factor_and_seed_is_trained_once_for_as_many_steps(tmp_path, trained, capsys):
    first = score_stability(contest(tmp_path), ["ns-gan", "wgan"], (0.5, 1, 3), (0, 1), 6)
    keys = ("glann", "ns-gan", "wgan")
    assert trained == [(key, seed, factor, 6) for factor in (0.5, 1, 3) for seed in (0, 1) for key in keys]
    assert {record["budget"] for record in first} == {"x0.5", "x1", "x3"}
    assert score_stability(contest(tmp_path), ["ns-gan", "wgan"], (0.5, 1, 3), (0, 1), 6) == first
    assert len(trained) == 18 and len(read_records(tmp_path / "scores")) == 18
    assert "WGAN, seed 0: not scored" in capsys.readouterr().out
    score_stability(contest(tmp_path), [], (1,), (0,), 12)
    assert trained[-1] == ("glann", 0, 1, 12), "other settings must be scored anew"


def test_models_that_were_scored_are_at_hand_without_training(tmp_path, monkeypatch):
    one = contest(tmp_path)
    records = score_stability(one, ["ns-gan"], (1,), (3,), 6)
    monkeypatch.setattr(GLO, "run_epoch", lambda *args: pytest.fail("trained again"))
    found = fit_each(one, ["ns-gan"], 6)
    assert list(found) == ["GLANN", "NS-GAN"]
    for record, (_, model) in zip(records, found.items(), strict=True):
        shown = read_samples(tmp_path / "scores", record)
        assert torch.equal(model.sample(20, 3), shown[:20])
        noise = model.sample.noise(20, 3)
        assert torch.equal(model.sample.render(noise), shown[:20])  # a model draws what it makes of its noise


def test_a_wrong_name_or_factor_costs_no_training(tmp_path, trained):
    with pytest.raises(ValueError, match="unknown rival 'gan'"):
        score_stability(contest(tmp_path), ["gan"], (1,), (0,), 6)
    with pytest.raises(ValueError, match=r"^step sizes times 0 train nothing: give a factor above 0$"):
        score_stability(contest(tmp_path), ["ns-gan"], (1, 0), (0,), 6)
    assert not trained


def test_a_training_that_diverges_is_a_result(tmp_path):
    (record,) = score_stability(contest(tmp_path), [], (1e30,), (3,), 6)
    assert record["scores"] == [] and record["diverged"].startswith("glo: ") and "\n" not in record["diverged"]
    assert (record["model"], record["budget"], record["factor"]) == ("glann", "x1e+30", 1e30)
    (row,) = spread([record])
    assert (row["mean"], row["standard deviation"], row["worst"], row["diverged"]) == (None, None, None, 1)


def test_glann_and_a_gan_take_the_same_steps_of_the_factors_size(tmp_path):
    glann, gan = score_stability(contest(tmp_path), ["ns-gan"], (3,), (3,), 1)
    # One epoch: GLANN's of 3 batches of 8; the GAN's batches of 64 have 24 images here.
    assert glann["generator_steps"] == gan["generator_steps"] == 3
    assert glann["config"]["glo"]["latent_lr"] == pytest.approx(0.09)
    assert gan["config"]["lr"] == pytest.approx(3e-3) and gan["scores"]


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (6, 2), (7, 2), (12, 4), (24, 8)])
def test_steps_are_whole_epochs_of_stage_1(steps, epochs):
    found = of_steps(config(glo_decay_every=2, refine_epochs=1), steps, 24)
    assert (found.glo.epochs, found.glo.decay_every) == (epochs, max(1, round(epochs / 2)))
    assert found.imle.epochs == max(1, round(epochs / 2))  # it has 2 for 4
    assert found.refine.epochs == 0 and rivals.glo_steps(found, 24) == 3 * epochs


def test_the_runs_own_steps_leave_it_as_it_is():
    assert of_steps(config(), 12, 24) == with_steps(config(), 1) == config()


def test_what_fits_is_handed_on():
    model = Trained(CONTENDERS["wgan"], lambda count, seed: pictures(count), "x1", {})
    assert or_diverged(lambda: model, CONTENDERS["wgan"], "x1", pictures()) is model


def test_the_spread_is_over_seeds_in_the_papers_order():
    def record(model, factor, seed, value):
        facts = {"model": model, "label": CONTENDERS[model].label, "kind": CONTENDERS[model].kind, "seed": seed}
        told = {"scores": [], "diverged": "wgan: not finite"} if value is None else {"scores": [{"value": value}]}
        return facts | {"budget": f"x{factor:g}", "factor": factor} | told

    values = {("glann", 10): (1.0, 3.0), ("glann", 3): (2.0, 2.0), ("wgan", 3): (5.0, None)}
    records = [record(*place, seed, value) for place, pair in values.items() for seed, value in enumerate(pair)]
    plain = {name: value for name, value in records[0].items() if name != "factor"}
    names = "model", "factor", "mean", "standard deviation", "worst", "diverged"
    assert spread([*records, plain]) == [
        dict(zip(names, row, strict=True))
        for row in (("WGAN", 3, 5.0, None, 5.0, 1), ("GLANN", 3, 2.0, 0.0, 2.0, 0), ("GLANN", 10, 2.0, 2**0.5, 3.0, 0))
    ]


def test_all_seeds_of_a_stage_are_the_given_one(tmp_path, trained, monkeypatch):
    seen = []
    monkeypatch.setattr(rivals, "fit_glann", lambda images, config, *args: seen.append(config) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        score_stability(contest(tmp_path), [], (1,), (8,), 6)
    own = dataclasses.asdict(seen[0])
    assert [own[stage]["seed"] for stage in ("glo", "imle")] == [8, 8]
