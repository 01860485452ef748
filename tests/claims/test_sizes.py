"""Parameters are those of the real networks."""

import pytest
import torch

from glann_lib.claims.sizes import count_all
from glann_lib.config import make_config
from glann_lib.model import Glann
from glann_lib.networks import count_parameters
from glann_lib.rivals import contenders as rivals
from glann_lib.rivals.vae import VAE


def test_glann_needs_its_generator_and_mapping_alone():
    model = Glann.load("digits", "cpu")
    glann, *gans = count_all(["ns-gan", "wgan-gp"], model.config, (1, 28, 28), 1500)
    assert glann["to draw"] == count_parameters(model.generator) + count_parameters(model.mapper)
    assert glann["only to train"] == model.latents.numel()
    assert [row["model"] for row in gans] == ["NS-GAN", "WGAN-GP"]
    wide = torch.nn.Conv2d(1, 1, 4)  # a critic's convolutions and its linear layers are far more than that
    assert all(row["only to train"] > 1000 * count_parameters(wide) and row["to draw"] > 0 for row in gans)


def test_a_vae_throws_its_encoder_away():
    config = make_config("digits")
    _, vae, perceptual = count_all(["vae", "vae-perceptual"], config, (1, 28, 28), 100)
    stage = VAE(torch.zeros(2, 1, 28, 28), rivals.rival_settings("vae", config, 1, 100), torch.device("cpu"))
    assert vae["to draw"] == count_parameters(stage.generator) == perceptual["to draw"]
    assert vae["only to train"] == count_parameters(stage.encoder) and vae["which are"] == "the encoder"


def test_what_has_neither_critic_nor_encoder_is_refused():
    with pytest.raises(ValueError, match=r"^'glo' has no critic and no encoder: choose from mm-gan, ns-gan.* vae,"):
        count_all(["glo"], make_config("digits"), (1, 28, 28), 100)
