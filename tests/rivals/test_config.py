"""Settings of the rivals: each game's own, the protocol's budget, and one-line errors."""

import dataclasses
import math

import pytest

from glann_lib.rivals import gan
from glann_lib.rivals.config import (
    GAMES,
    LIKELIHOODS,
    PROTOCOL_BATCH,
    BEGANConfig,
    GANConfig,
    VAEConfig,
    make_gan_config,
    make_vae_config,
    protocol_steps,
)


def test_every_game_that_has_settings_can_be_played():
    assert set(GAMES) == set(gan.GAMES) and len(GAMES) == 7


@pytest.mark.parametrize("game", GAMES)
def test_what_the_protocol_fixes_is_the_same_for_every_game(game):
    config = make_gan_config(game, 10, seed=3)
    assert (config.game, config.steps, config.seed) == (game, 10, 3)
    assert (config.batch_size, config.latent_dim) == (PROTOCOL_BATCH, 64) == (64, 64)


def test_each_game_has_its_own_settings():
    configs = {game: make_gan_config(game, 10) for game in GAMES}
    assert {game: config.penalty for game, config in configs.items() if config.penalty} == {
        "wgan-gp": 10,
        "dragan": 10,
    }
    assert {game: config.clip for game, config in configs.items() if config.clip < math.inf} == {"wgan": 0.01}
    # A penalty on each image's gradient means nothing where BatchNorm mixes the images of a batch.
    assert all(not config.batch_norm for config in configs.values() if config.penalty)
    assert (configs["ns-gan"].lr, configs["ns-gan"].beta1, configs["wgan-gp"].beta2) == (1.0e-3, 0.5, 0.9)


def test_overrides_replace_a_games_own_settings():
    assert make_gan_config("wgan", 10, clip=0.1, critic_steps=1).clip == 0.1
    config = make_gan_config("wgan-gp", 10, precision="float32")
    assert dataclasses.replace(config, precision="auto") == make_gan_config("wgan-gp", 10)


def test_a_vae_has_the_protocols_settings():
    config = make_vae_config("bernoulli", 10, seed=3)
    assert (config.likelihood, config.steps, config.seed, config.kl_weight) == ("bernoulli", 10, 3, 1)
    assert (config.batch_size, config.latent_dim) == (64, 64)
    assert make_vae_config("perceptual", 10, loss="random-vgg16").loss == "random-vgg16"
    assert LIKELIHOODS == ("bernoulli", "l1", "perceptual")


@pytest.mark.parametrize(
    ("dataset", "images", "steps"),
    [
        ("mnist", 60_000, 20 * 937),
        ("fashion", 60_000, 20 * 937),
        ("cifar10", 50_000, 100 * 781),
        ("celeba", 162_770, 40 * 2543),
        ("digits", 1400, 20 * 21),
        ("folder:photos", 640, 20 * 10),
        ("mnist", 10, 20),
    ],
)
def test_the_protocols_budget_in_steps(dataset, images, steps):
    assert protocol_steps(dataset, images) == steps


@pytest.mark.parametrize("make", [make_gan_config, GANConfig])
def test_an_unknown_game_is_a_one_line_error(make):
    with pytest.raises(ValueError, match="unknown game 'sngan': choose one of mm-gan, ns-gan") as error:
        make("sngan", 10)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("kind", "game"), [(GANConfig, "began"), (BEGANConfig, "wgan")])
def test_only_began_has_a_regulated_balance(kind, game):
    with pytest.raises(ValueError, match=r"^began has a BEGANConfig, every other game a GANConfig: make_gan_config"):
        kind(game, 10)
    assert type(make_gan_config("began", 10)) is BEGANConfig


@pytest.mark.parametrize("field", ["gamma", "balance_lr"])
def test_a_balance_of_began_that_cannot_move_is_refused(field):
    with pytest.raises(ValueError, match=f"^{field} is 0"):
        make_gan_config("began", 10, **{field: 0})


@pytest.mark.parametrize("make", [make_vae_config, VAEConfig])
def test_an_unknown_likelihood_is_a_one_line_error(make):
    with pytest.raises(ValueError, match="unknown likelihood 'gauss': choose one of bernoulli, l1") as error:
        make("gauss", 10)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [0, -1, 2.0, "3"])
@pytest.mark.parametrize(
    ("make", "name", "field"),
    [(make_gan_config, "ns-gan", field) for field in ("steps", "critic_steps", "batch_size", "latent_dim")]
    + [(make_vae_config, "l1", field) for field in ("steps", "batch_size", "latent_dim")],
)
def test_counts_below_1_or_not_whole_are_one_line_errors(make, name, field, value):
    with pytest.raises(ValueError, match=rf"^{field} is {value!r}: give a whole number, 1 or more$"):
        make(name, **{"steps": 10, field: value})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr": 0}, "lr is 0: give a number above 0"),
        ({"beta1": 1.5}, "beta1 is 1.5: give a number from 0 to below 1"),
        ({"precision": "half"}, "unknown precision 'half': choose one of auto, float32, bfloat16"),
    ],
)
@pytest.mark.parametrize(("make", "name"), [(make_gan_config, "wgan"), (make_vae_config, "bernoulli")])
def test_numbers_out_of_range_are_one_line_errors(make, name, change, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        make(name, 10, **change)
