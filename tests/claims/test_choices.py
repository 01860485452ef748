"""Hidden choices: each changes what it says and nothing else, is trained once, and is priced against the run's own."""

import dataclasses

import pytest
import torch
from torch import nn

from glann_lib.claims import choices
from glann_lib.claims.choices import (
    CHOICES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    OWN,
    AlwaysOnSphere,
    fit_choice,
    imagenet_input,
    is_own,
    moved_taps,
    prices,
    score_choices,
    with_choice,
    with_features,
    with_norms_gradient,
)
from glann_lib.config import make_config
from glann_lib.features import make_extractor
from glann_lib.glo import GLO
from glann_lib.imle import IMLE
from glann_lib.losses import make_loss
from glann_lib.scores.comparison import Contest
from glann_lib.scores.evaluate import Reference, ScoreBook
from glann_lib.scores.features import ScoreExtractor

CPU = torch.device("cpu")
VGG = "random-vgg16-quarter"


def pictures(count=24, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 28, 28), generator=random, dtype=torch.uint8)


def config(**overrides):
    small = {"glo_batch_size": 8, "glo_epochs": 2, "imle_batch_size": 8, "imle_epochs": 2, "glo_latent_dim": 8}
    small |= {"glo_feature_channels": 8, "imle_noise_dim": 4, "imle_hidden_dim": 16, "glo_precision": "float32"}
    small |= {"refine_epochs": 0}
    return make_config("digits", seed=3, **(small | {"glo_loss": "l1"} | overrides))


def contest(folder, **overrides):
    def compute(images):
        return torch.stack([part.float().mean((1, 2, 3)) for part in images.tensor_split(6, dim=3)], 1)

    reference = Reference.of(pictures(20, 1), [ScoreExtractor("classifier", "c", {}, compute)])
    book = ScoreBook(folder / "scores", reference, {"data": {"sha256": "s"}})
    return Contest(pictures(), config(**overrides), book, 20, CPU, folder)


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


@pytest.mark.parametrize("size", [28, 64, 128])
def test_taps_move_to_both_sides_of_their_relu(size):
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    mixed = make_extractor(VGG, size)(x)
    before, after = (moved_taps(make_extractor(VGG, size), torch.float32, side)(x) for side in (False, True))
    assert len(before) == len(after) == len(mixed)
    for number, (a, b, c) in enumerate(zip(before, after, mixed, strict=True)):
        pooled = number == 4
        assert torch.equal(a if pooled else a.relu(), b) and ((a < 0).any() or pooled)
        assert torch.equal(c, a if size < 128 and number == len(mixed) - 1 else b)


@pytest.mark.parametrize("channels", [1, 3])
def test_imagenets_normalisation_is_that_of_brute_force(channels):
    x = torch.rand(2, channels, 32, 32, generator=torch.Generator().manual_seed(0))
    first = make_extractor(VGG, 32).stages[0]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    expected = first((x.expand(-1, 3, -1, -1) - mean) / std)
    found = imagenet_input(make_extractor(VGG, 32), torch.float32)(x)
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-4)
    assert [level.shape[1] for level in found] == [level.shape[1] for level in make_extractor(VGG, 32)(x)]
    assert not torch.allclose(found[0], make_extractor(VGG, 32)(x)[0], atol=0.1)


@pytest.mark.parametrize("key", ["taps-after", "taps-before", "input-imagenet"])
def test_the_loss_is_the_runs_own_but_for_what_the_vgg_sees(monkeypatch, key):
    given = []
    monkeypatch.setattr(choices, "GLO", lambda *args, loss: given.append(loss))
    CHOICES[key].stage(pictures(), config(glo_loss=VGG).glo, CPU)
    a, b = pictures(2, 5) / 255, pictures(2, 6) / 255
    own, (changed,) = make_loss(VGG, 28), given
    assert torch.equal(changed.represent(a)[0], a) and changed.power == own.power
    assert not torch.allclose(changed(a, b), own(a, b), rtol=1e-3)


def test_a_loss_without_vgg_has_no_taps():
    with pytest.raises(ValueError, match=r"^the loss l1 sees by no VGG: choose one of vgg16") as error:
        with_features(pictures(), config().glo, CPU, imagenet_input)
    assert "\n" not in str(error.value)


def test_through_the_norm_the_gradient_is_tangent_to_the_sphere():
    def radial(make):
        stage = make(pictures(), config().glo, CPU)
        z = (stage.latents.detach() * 5).requires_grad_()
        images = stage.generator.eval()(z)
        images.square().sum().backward()
        return images.detach(), (z.detach() * z.grad).sum(1).abs() / (z.detach().norm(dim=1) * z.grad.norm(dim=1))

    (plain, along), (changed, tangent) = radial(GLO), radial(with_norms_gradient)
    torch.testing.assert_close(plain, changed)
    assert tangent.max() < 1e-4 < along.max()


@pytest.mark.parametrize(("make", "always"), [(GLO, False), (AlwaysOnSphere, True)])
def test_latents_are_on_the_sphere_after_every_step_where_it_says_so(make, always):
    stage = make(pictures(), config().glo, CPU)
    for inputs in stage.inputs(1):
        stage.step(*inputs)
        norms = stage.latents.detach().norm(dim=1)
        assert torch.allclose(norms, torch.ones(24), atol=1e-5) == always


@pytest.mark.parametrize("dataset", ["digits", "fashion", "cifar10"])
def test_a_run_has_made_one_choice_of_every_group(dataset):
    settings = make_config(dataset, refine_epochs=2)
    own = [choice.group for choice in CHOICES.values() if is_own(choice, settings)]
    assert sorted(own) == sorted({choice.group for choice in CHOICES.values()})
    assert is_own(OWN, settings) and with_choice(settings, OWN).refine.epochs == 0


def test_a_choice_changes_what_it_says_and_nothing_else():
    left, own = with_choice(config(), CHOICES["noise-dim-64"]), config()
    assert left == dataclasses.replace(own, imle=dataclasses.replace(own.imle, noise_dim=64))
    assert with_choice(own, CHOICES["sphere-step"]) == own


def test_labels_and_groups_are_told_apart():
    assert len({choice.label for choice in CHOICES.values()}) == len(CHOICES)
    assert all(key == choice.key for key, choice in CHOICES.items())


def test_stage_1_is_shared_and_nothing_is_trained_twice(tmp_path, monkeypatch):
    epochs = []
    for stage in (GLO, IMLE):
        real = stage.run_epoch
        monkeypatch.setattr(stage, "run_epoch", lambda self, n, real=real: epochs.append(self.name) or real(self, n))
    keys = ["noise-dim-8", "sphere-step", "moments-learned", "norm-gradient"]
    first = score_choices(contest(tmp_path), keys, [3])
    models = [record["model"] for record in first]
    assert models == ["glann-own", "glann-noise-dim-8", "glann-sphere-step", "glann-norm-gradient"]
    assert epochs.count("glo") == 3 * 2 and epochs.count("imle") == 4 * 2
    assert first[1]["label"] == "GLANN, e has 8 numbers" and first[1]["config"]["imle"]["noise_dim"] == 8
    values = [record["scores"][0]["value"] for record in first]
    assert len(set(values)) == len(values)
    assert score_choices(contest(tmp_path), keys, [3]) == first and len(epochs) == 14
    score_choices(contest(tmp_path, imle_epochs=3), ["noise-dim-8"], [3])
    assert epochs.count("glo") == 3 * 2 and epochs.count("imle") == 14, "other settings must be scored anew"


def test_the_seed_decides_what_a_choice_leaves(tmp_path):
    def drawn(place, seed):
        settings = config()
        seeded = dataclasses.replace(settings, glo=dataclasses.replace(settings.glo, seed=seed))
        return fit_choice(CHOICES["sphere-step"], pictures(), seeded, CPU, tmp_path / place).sample(3, 0)

    assert torch.equal(drawn("a", 3), drawn("b", 3)) and not torch.equal(drawn("a", 3), drawn("a", 4))


def test_a_choice_that_diverges_is_a_row_without_a_price(tmp_path, monkeypatch):
    real = choices.fit_choice

    def fit(choice, *args):
        if choice.key == "sphere-step":
            raise FloatingPointError("glo: not finite in epoch 1, batch 2 of 3")
        return real(choice, *args)

    monkeypatch.setattr(choices, "fit_choice", fit)
    records = score_choices(contest(tmp_path), ["sphere-step"], [3])
    assert records[1]["diverged"].startswith("glo: not finite") and records[1]["scores"] == []
    own, other = prices(records, config())
    assert (own["choice"], own["own"], own["price"]) == ("back on the sphere every epoch", True, 0.0)
    assert (other["mean"], other["price"], other["diverged"]) == (None, None, 1)


def test_prices_are_differences_of_the_same_seeds():
    def record(model, seed, value):
        return {"model": model, "seed": seed, "scores": [{"value": value}]}

    records = [record("glann-own", 0, 10.0), record("glann-own", 1, 20.0)]
    records += [record("glann-optimiser-official", 0, 13.0), record("glann-optimiser-official", 1, 19.0)]
    rows = prices(records, make_config("digits"))
    assert [(row["choice"], row["own"]) for row in rows] == [
        ("Adam made anew every epoch", False),
        ("Adam kept from epoch to epoch", True),
    ]
    assert (rows[0]["mean"], rows[0]["price"], rows[0]["diverged"]) == (16.0, 1.0, 0)
    assert [row["standard deviation"] for row in rows] == pytest.approx([18**0.5, 50**0.5])
    assert rows[0]["its standard deviation"] == pytest.approx(8**0.5)
    assert (rows[1]["mean"], rows[1]["price"], rows[1]["its standard deviation"]) == (15.0, 0.0, 0.0)


def test_an_unknown_choice_costs_no_training(tmp_path, monkeypatch):
    monkeypatch.setattr(choices, "fit_choice", lambda *args: pytest.fail("trained"))
    with pytest.raises(ValueError, match=r"^unknown choice 'adam': choose from optimiser-official") as error:
        score_choices(contest(tmp_path), ["taps-after", "adam"], [3])
    assert "\n" not in str(error.value)


def test_losses_are_told_from_hidden_choices_and_say_what_they_miss(tmp_path, monkeypatch):
    assert set(choices.LOSSES) | set(choices.HIDDEN) == set(CHOICES) and not set(choices.LOSSES) & set(choices.HIDDEN)
    monkeypatch.setenv("GLANN_WEIGHTS", str(tmp_path))
    assert choices.missing("loss-vgg19", config()) == "vgg19_imagenet_blocks123.npz is not here: see data/README.md"
    assert {choices.missing(key, config()) for key in ("loss-l2", "loss-self-supervised", "sphere-step")} == {""}
    assert choices.missing("taps-after", config()) == "the loss l1 sees by no VGG"
    assert choices.missing("taps-after", config(glo_loss=VGG)) == ""
    (tmp_path / "vgg19_imagenet_blocks123.npz").touch()
    assert choices.missing("loss-vgg19", config()) == ""


def test_the_self_supervised_loss_learns_from_the_training_images(monkeypatch):
    seen = []

    def fit(images, settings, device):
        seen.append((images, settings.seed, settings.precision))
        return make_extractor(VGG, 28)

    monkeypatch.setattr(choices, "fit_self_supervised", fit)
    stage = CHOICES["loss-self-supervised"].stage(pictures(), config().glo, CPU)
    assert torch.equal(seen[0][0], pictures()) and seen[0][1:] == (3, "float32")
    assert stage.fingerprint != GLO(pictures(), config().glo, CPU).fingerprint


def test_every_stage_of_a_choice_is_stage_1():
    assert all(choice.stage is GLO or not choice.changes for choice in CHOICES.values())
    assert isinstance(CHOICES["norm-gradient"].stage(pictures(), config().glo, CPU).generator, nn.Module)
