"""Every contender on the same images: samples, steps as recorded, budgets, nothing trained twice."""

import dataclasses
import math

import pytest
import torch

from glann_lib import sampling
from glann_lib.beyond.refining import load_refinement
from glann_lib.config import LOSSES, make_config
from glann_lib.engine import devices, storage
from glann_lib.glo import GLO, load_embedding
from glann_lib.imle import IMLE, load_mapping
from glann_lib.rivals import contenders as rivals
from glann_lib.rivals import generator_stage
from glann_lib.rivals.config import GANConfig, VAEConfig, make_gan_config, make_vae_config, protocol_steps
from glann_lib.rivals.contenders import CONTENDERS, RIVALS, budgets, fit_glann, fit_rival, glo_steps, rival_settings
from glann_lib.rivals.gan import GAN
from glann_lib.rivals.vae import VAE

CPU = torch.device("cpu")
STAGES = (GAN, VAE, IMLE, GLO)
STEPS = 3


def pictures(count=20, size=28, channels=1):
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=random)


LOADED = (load_embedding, "glo"), (load_mapping, "imle"), (load_refinement, "refine")


def small_config(dataset="digits", profile="quick", **overrides):
    small = {"glo_batch_size": 8, "glo_epochs": 2, "imle_batch_size": 8, "imle_epochs": 2, "glo_latent_dim": 8}
    small |= {"imle_noise_dim": 4, "glo_loss": "random-vgg16", "glo_precision": "float32", "seed": 5}
    small |= {"refine_epochs": 0}
    return make_config(dataset, profile, **(small | overrides))


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Batches of 8, one step of the critic, few noises for BatchNorm's last averages, one thread."""
    update_bn = generator_stage.update_bn

    def few(batches, network):
        update_bn([batch[:16] for batch in batches[:1]], network)

    def small_gan(*args, **overrides):
        return make_gan_config(*args, **(overrides | {"batch_size": 8, "critic_steps": 1}))

    def small_vae(*args, **overrides):
        return make_vae_config(*args, **({"batch_size": 8} | overrides))

    with pytest.MonkeyPatch.context() as patch, devices.single_thread():
        patch.setenv("GLANN_PROGRESS", "lines")
        patch.setattr(generator_stage, "update_bn", few)
        patch.setattr(rivals, "make_gan_config", small_gan)
        patch.setattr(rivals, "make_vae_config", small_vae)
        yield


class Counter:
    """Counts steps of Adam on any stage, one a call of `step` (one of the generator in a GAN)."""

    def __init__(self):
        self.steps = 0

    def watch(self, patch):
        for stage in STAGES:
            patch.setattr(stage, "step", self._counted(stage.step))
        return self

    def _counted(self, real):
        def step(*args):
            self.steps += 1
            return real(*args)

        return step


@pytest.fixture(scope="module", params=RIVALS)
def trained(request, tmp_path_factory):
    """A rival after a few steps, the number of steps taken, and its folder."""
    folder = tmp_path_factory.mktemp("rivals")
    with pytest.MonkeyPatch.context() as patch:
        counter = Counter().watch(patch)
        rival = fit_rival(request.param, pictures(), small_config(), "equal", STEPS, CPU, folder)
    return rival, counter.steps, folder


def test_samples_are_images_that_depend_on_the_seed_alone(trained):
    rival, _, _ = trained
    many = rival.sample(10, 3)
    assert many.shape == (10, 1, 28, 28) and many.dtype == torch.uint8 and many.device.type == "cpu"
    assert torch.equal(rival.sample(10, 3), many)
    assert torch.equal(rival.sample(3, 3), many[:3])
    assert not torch.equal(rival.sample(10, 4), many)


def test_steps_and_epochs_are_recorded_as_taken(trained):
    rival, taken, _ = trained
    facts = rival.facts
    whole_epochs = rival.contender.key in ("imle-pixel", "glo-laplacian")
    assert taken == facts["generator_steps"] == (4 if whole_epochs else STEPS)  # 2 steps an epoch
    assert facts["epochs"] == facts["generator_steps"] * 8 / 20
    assert (facts["batch_size"], facts["train_images"], rival.budget) == (8, 20, "equal")
    assert facts["seconds"] > 0 and facts["config"]["seed"] == 5
    assert CONTENDERS[rival.contender.key] is rival.contender


def test_what_is_finished_is_not_trained_again(trained, monkeypatch):
    rival, _, folder = trained
    key = rival.contender.key
    assert [file.name for file in folder.glob("*.safetensors")] == [f"{key}-equal-seed5.safetensors"]
    for stage in STAGES:
        monkeypatch.setattr(stage, "run_epoch", lambda *args: pytest.fail("trained again"))
    again = fit_rival(key, pictures(), small_config(), "equal", STEPS, CPU, folder)
    assert torch.equal(again.sample(5, 0), rival.sample(5, 0)) and again.facts == rival.facts
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        fit_rival(key, pictures().flip(0), small_config(), "equal", STEPS, CPU, folder)


def test_samples_come_from_the_prior_that_was_trained_with(trained, monkeypatch):
    rival, asked, real = trained[0], [], sampling.draw_noise
    monkeypatch.setattr(sampling, "draw_noise", lambda *args: asked.append(args) or real(*args))
    rival.sample(2, 9)
    prior = ("uniform",) if rival.contender.kind == "adversarial" else ("normal",)
    width = 64 if rival.contender.key in (*rivals.GAMES, *rivals.LIKELIHOOD) else 8
    assert asked == [(2, width, 9) if rival.contender.key == "glo-laplacian" else (2, width, 9, *prior)]


@pytest.mark.parametrize("key", RIVALS)
def test_fewer_images_than_a_batch_are_one_batch(key, tmp_path):
    rival = fit_rival(key, pictures(2), small_config(), "equal", 1, CPU, tmp_path)
    assert rival.facts["batch_size"] == rival.facts["config"]["batch_size"] == 2
    assert (rival.facts["generator_steps"], rival.facts["epochs"]) == (1, 1.0)
    assert rival.sample(3, 0).shape == (3, *pictures(2).shape[1:])
    with pytest.raises(ValueError, match=r"^1 to train on: give 2 or more") as error:
        fit_rival(key, pictures(1), small_config(), "equal", STEPS, CPU, tmp_path)
    assert "\n" not in str(error.value)


def test_the_contenders_are_those_of_the_papers_tables_in_order():
    assert len(CONTENDERS) == 15 and set(RIVALS) == set(CONTENDERS) - {"glo", "glann", "glann-refined"}
    assert all(key == contender.key for key, contender in CONTENDERS.items())
    kinds = [contender.kind for contender in CONTENDERS.values()]
    assert kinds == ["adversarial"] * 7 + ["non-adversarial"] * 8
    assert list(CONTENDERS)[-3:] == ["glo", "glann", "glann-refined"]
    assert len({contender.label for contender in CONTENDERS.values()}) == 15


def test_an_unknown_rival_is_a_one_line_error(tmp_path):
    for call in (
        lambda: rival_settings("glann", small_config(), 10, 100),
        lambda: fit_rival("sngan", pictures(), small_config(), "equal", 10, CPU, tmp_path),
    ):
        with pytest.raises(ValueError, match=r"unknown rival '\w+': choose one of mm-gan, ns-gan") as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", RIVALS)
def test_settings_take_seed_and_number_format_from_glanns(key):
    settings = rival_settings(key, small_config(), 10, 80)
    assert settings.seed == 5
    if key != "imle-pixel":
        assert settings.precision == "float32"
    if isinstance(settings, GANConfig | VAEConfig):
        assert settings.steps == 10
    if isinstance(settings, VAEConfig):
        assert settings.likelihood == rivals.LIKELIHOOD[key] and settings.loss == "random-vgg16"


@pytest.mark.parametrize(("key", "sizes"), [("began", ("lr", "balance_lr")), ("imle-pixel", ("lr",)), ("vae", ("lr",))])
def test_a_factor_changes_all_step_sizes_and_nothing_else(key, sizes):
    own = rival_settings(key, small_config(), 10, 80)
    changed = {name: 3 * getattr(own, name) for name in sizes}
    assert rivals.scaled(own, 3) == dataclasses.replace(own, **changed) and rivals.scaled(own, 1) == own
    glo = small_config().glo
    assert rivals.scaled(glo, 0.5) == dataclasses.replace(glo, latent_lr=glo.latent_lr / 2)
    with pytest.raises(ValueError, match=r"^step sizes times -1 train nothing: give a factor above 0$"):
        rivals.scaled(own, -1)


def test_a_rival_is_trained_with_its_step_size_times_the_factor(tmp_path):
    own = rival_settings("ns-gan", small_config(), 1, 20)
    rival = fit_rival("ns-gan", pictures(), small_config(), "x3", 1, CPU, tmp_path, 3)
    assert rival.facts["config"] == dataclasses.asdict(own) | {"lr": 3 * own.lr}
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["ns-gan-x3-seed5.safetensors"]


def test_a_first_stage_that_is_at_hand_is_not_trained(tmp_path, monkeypatch):
    first = fit_glann(pictures(), small_config(), CPU, tmp_path / "a")["glann"]
    embedding = load_embedding(tmp_path / "a" / "glo.safetensors")
    monkeypatch.setattr(GLO, "run_epoch", lambda *args: pytest.fail("trained again"))
    again = fit_glann(pictures(), small_config(), CPU, tmp_path / "b", embedding)["glann"]
    assert torch.equal(again.sample(3, 0), first.sample(3, 0))
    assert [file.name for file in (tmp_path / "b").glob("*.safetensors")] == ["imle.safetensors"]


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (10, 1), (14, 1), (16, 2), (100, 10)])
def test_what_trains_by_whole_epochs_takes_the_nearest_number(steps, epochs):
    config = small_config(glo_epochs=20, glo_decay_every=4)
    pixel, glo = (rival_settings(key, config, steps, 80) for key in ("imle-pixel", "glo-laplacian"))
    assert pixel == dataclasses.replace(config.imle, epochs=epochs, noise_dim=8)
    decay = max(1, round(4 * epochs / 20))
    assert glo == dataclasses.replace(config.glo, loss="laplacian", epochs=epochs, decay_every=decay)


def test_glo_with_the_laplacian_falls_through_as_many_halvings():
    config = small_config(glo_epochs=500, glo_decay_every=50)
    half = rival_settings("glo-laplacian", config, 2500, 80)
    assert (half.epochs, half.decay_every) == (250, 25)


def test_budgets_of_the_quick_profile_are_glanns_steps_on_the_digits_fewer():
    digits, mnist = small_config(glo_epochs=32), small_config("mnist", glo_epochs=32)
    assert glo_steps(digits, 85) == 32 * 10
    assert budgets(digits, 85) == {"short": rivals.SHORT_STEPS["digits"]}
    assert budgets(mnist, 85) == {"equal": 320}
    assert budgets(small_config(glo_epochs=2), 85) == {"equal": 20}  # not more than there are
    full = make_config("digits", "full")
    assert budgets(full, 1500) == {"equal": rivals.glo_steps(full, 1500)}


@pytest.mark.parametrize("dataset", ["mnist", "cifar10", "digits"])
def test_budgets_of_the_paper_profile_are_two(dataset):
    config = small_config(dataset, "paper", glo_epochs=500)
    assert budgets(config, 6400) == {"equal": 500 * 800, "protocol": protocol_steps(dataset, 6400)}


@pytest.mark.parametrize("profile", ["quick", "paper"])
@pytest.mark.parametrize(("steps", "name"), [(320, "equal"), (319, "short"), (321, "long"), (1, "short")])
def test_steps_that_are_asked_for_replace_all_budgets(profile, steps, name):
    assert budgets(small_config(profile=profile, glo_epochs=32), 85, steps) == {name: steps}


def test_another_seed_is_that_of_both_stages():
    config = rivals.with_seed(small_config(), 9)
    assert (config.glo.seed, config.imle.seed) == (9, 9)
    assert rivals.with_seed(config, 5) == small_config()


def test_glann_and_glo_are_the_papers_stages(tmp_path, monkeypatch):
    images, config, counter = pictures(), small_config(), Counter()
    with monkeypatch.context() as patch:
        patch.setattr(GLO, "step", counter._counted(GLO.step))
        found = fit_glann(images, config, CPU, tmp_path)
    assert list(found) == ["glo", "glann"] and all(found[key].contender is CONTENDERS[key] for key in found)
    embedding, mapping = load_embedding(tmp_path / "glo.safetensors"), load_mapping(tmp_path / "imle.safetensors")
    expected = sampling.sample(embedding.generator, mapping.mapper, 10, 3)
    assert torch.equal(found["glann"].sample(10, 3), expected)
    assert torch.equal(found["glann"].sample(3, 3), expected[:3])
    gaussian = sampling.decode(embedding.generator, sampling.GaussianSampler(embedding.latents).sample(10, 3))
    assert torch.equal(found["glo"].sample(10, 3), gaussian)
    assert torch.equal(found["glo"].sample(3, 3), gaussian[:3])

    glo, glann = found["glo"].facts, found["glann"].facts
    assert counter.steps == glo["generator_steps"] == glann["generator_steps"] == glo_steps(config, 20) == 4
    first, second = (sum(epoch.seconds for epoch in stage.history) for stage in (embedding, mapping))
    assert math.isclose(glo["seconds"], first) and math.isclose(glann["seconds"], first + second)
    assert glo["config"] == dataclasses.asdict(config.glo)
    assert glann["config"] == {"glo": dataclasses.asdict(config.glo), "imle": dataclasses.asdict(config.imle)}
    assert found["glo"].budget == found["glann"].budget == "own"

    for stage in (GLO, IMLE):
        monkeypatch.setattr(stage, "run_epoch", lambda *args: pytest.fail("trained again"))
    again = fit_glann(images, config, CPU, tmp_path)
    assert torch.equal(again["glann"].sample(10, 3), expected)


def test_the_third_stage_goes_on_from_the_other_two(tmp_path):
    config = small_config(refine_epochs=2, refine_batch_size=8)
    found = fit_glann(pictures(), config, CPU, tmp_path)
    assert list(found) == ["glo", "glann", "glann-refined"]
    glann, refined = found["glann"], found["glann-refined"]
    stages = [load(tmp_path / f"{name}.safetensors") for load, name in LOADED]
    assert torch.equal(glann.sample(5, 3), sampling.sample(stages[0].generator, stages[1].mapper, 5, 3))
    assert torch.equal(refined.sample(5, 3), sampling.sample(stages[2].generator, stages[1].mapper, 5, 3))
    assert not torch.equal(refined.sample(5, 3), glann.sample(5, 3))
    assert refined.facts["generator_steps"] == glann.facts["generator_steps"] + 2 * 2
    assert refined.facts["epochs"] == glann.facts["epochs"] + 2
    assert refined.facts["config"] == glann.facts["config"] | {"refine": dataclasses.asdict(config.refine)}
    third = sum(epoch.seconds for epoch in stages[2].history)
    assert math.isclose(refined.facts["seconds"], glann.facts["seconds"] + third)


def test_glann_on_fewer_images_than_a_batch_says_what_its_batch_was(tmp_path):
    facts = fit_glann(pictures(7), small_config(), CPU, tmp_path)["glann"].facts
    assert facts["batch_size"] == facts["config"]["glo"]["batch_size"] == facts["config"]["imle"]["batch_size"] == 7
    assert facts["generator_steps"] == rivals.glo_steps(small_config(), 7) == small_config().glo.epochs


@pytest.mark.parametrize(
    ("key", "loss", "name"),
    [
        ("glo", "random-vgg16", "GLO, perceptual"),
        ("glo", "l1", "GLO, L1"),
        ("glann", "l1", "GLANN"),
        ("vae", "l2", "VAE, Bernoulli"),
    ],
)
def test_glo_is_named_by_its_loss(key, loss, name):
    shown = rivals.contender(key, make_config("digits", glo_loss=loss))
    assert (shown.key, shown.label) == (key, name)


def test_glann_with_another_loss_has_a_name_of_its_own():
    config = make_config("mnist")
    assert rivals.contender("glann", config, "vgg19") == rivals.Contender(
        "glann-vgg19", "GLANN, VGG19", "non-adversarial"
    )
    assert rivals.contender("glann-refined", config, "l1").label == "GLANN, stage 3, L1"
    assert rivals.contender("glo", config, "l1") == rivals.Contender("glo-l1", "GLO, L1", "non-adversarial")
    with pytest.raises(ValueError, match="unknown loss 'vgg': choose one of vgg16, vgg19"):
        rivals.contender("glann", config, "vgg")


def test_every_loss_has_a_label():
    assert set(rivals.LOSS_LABELS) == set(LOSSES)


@pytest.mark.parametrize("key", sorted(set(rivals.RIVALS) - {"imle-pixel"}))
def test_rivals_have_the_width_of_glanns_generator(key):
    config = make_config("digits", glo_feature_channels=10)
    assert rivals.rival_settings(key, config, 5, 1500).feature_channels == 10


def test_imle_on_pixels_has_the_generator_of_glann(tmp_path):
    config = make_config("digits", glo_feature_channels=4, imle_batch_size=8)
    found = rivals.fit_rival("imle-pixel", pictures(16), config, "short", 2, CPU, tmp_path)
    narrow = storage.load_tensors(tmp_path / "imle-pixel-short-seed0.safetensors")[0]
    assert found.sample(2, 0).shape == (2, 1, 28, 28)
    assert narrow["mapper.0.layers.0.weight"].shape == (32, 64)


def test_the_vae_of_shapes_has_their_width_and_batch():
    config = make_config("chairs", glo_voxel_channels=24, glo_batch_size=7)
    settings = rivals.rival_settings("vae", config, 5, 100)
    assert (settings.voxel_channels, settings.batch_size, settings.steps) == (24, 7, 5)
    assert rivals.rival_settings("vae", make_config("made-chairs", glo_batch_size=7), 5, 100).batch_size == 32
    rates = [rivals.rival_settings("vae", make_config(name), 5, 100).lr for name in ("made-chairs", "chairs", "digits")]
    assert rates == [5.0e-3, 1.0e-3, 1.0e-3]
    assert budgets(make_config("made-chairs"), 500) == {"short": rivals.SHORT_STEPS["made-chairs"]}
    assert budgets(make_config("chairs"), 800) == {"equal": 2500}


def test_what_decides_a_rival_is_told_whole():
    """IMLE on pixels has stage 1's network, though its settings are stage 2's."""
    narrow, wide = (make_config("mnist", glo_feature_channels=width) for width in (64, 128))
    for key in ("imle-pixel", "wgan", "vae"):
        one, other = (rivals.decisive(key, rival_settings(key, own, 10, 5000), own) for own in (narrow, wide))
        assert one != other and one == rivals.decisive(key, rival_settings(key, narrow, 10, 5000), narrow)
