"""The rivals' second networks: parameter counts by hand, shapes, BatchNorms, and BEGAN's error of redrawing."""

import itertools

import pytest
import torch
from torch import nn

from glann_lib.networks import InfoGANGenerator, VoxelGenerator, count_parameters
from glann_lib.rivals.networks import AutoencodingCritic, Critic, InfoGANEncoder, VoxelEncoder, make_encoder

SIZES = list(itertools.product((28, 32, 64), (1, 3)))


def pictures(count, size=28, channels=1, seed=0):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def make(network, *args):
    torch.manual_seed(0)
    return network(*args)


@pytest.mark.parametrize(("size", "channels"), SIZES)
def test_a_critic_gives_one_number_an_image(size, channels):
    scores = make(Critic, size, channels, True)(pictures(3, size, channels))
    assert scores.shape == (3,) and scores.dtype == torch.float32


@pytest.mark.parametrize(("size", "channels"), SIZES)
def test_an_encoder_gives_as_many_numbers_as_asked_for(size, channels):
    assert make(InfoGANEncoder, size, channels, 10, False)(pictures(2, size, channels)).shape == (2, 10)


@pytest.mark.parametrize(("size", "channels"), SIZES)
def test_an_autoencoding_critic_gives_one_error_an_image(size, channels):
    errors = make(AutoencodingCritic, size, channels)(pictures(2, size, channels))
    assert errors.shape == (2,) and errors.min() > 0 and errors.max() < 1


# Convolutions of 4x4 with biases, Linear 128*(s/4)^2->1024 and 1024->1, then BatchNorms of 128 and 1024
@pytest.mark.parametrize(("batch_norm", "more"), [(True, 2 * 128 + 2 * 1024), (False, 0)])
def test_parameters_of_the_critic(batch_norm, more):
    count = (16 * 64 + 64) + (64 * 16 * 128 + 128) + (128 * 49 * 1024 + 1024) + (1024 + 1) + more
    critic = Critic(28, 1, batch_norm)
    assert count_parameters(critic) == count
    assert round(count_parameters(critic) / 1e6, 1) == 6.6  # SPEC.md, section 8


def test_half_the_features_are_half_of_the_critics_layers():
    count = (16 * 32 + 32) + (32 * 16 * 64 + 64) + (64 * 49 * 512 + 512) + (512 + 1)
    assert count_parameters(Critic(28, 1, False, features=64)) == count
    decoder = InfoGANGenerator(28, 1, 64, "none", features=64)
    assert count_parameters(AutoencodingCritic(28, 1, 64)) == count + 63 * 513 + count_parameters(decoder)
    assert AutoencodingCritic(28, 1, 64)(pictures(3)).shape == (3,)
    assert make_encoder((1, 28, 28), 8, feature_channels=16)(pictures(3)).shape == (3, 8)


def test_the_weights_are_drawn_as_the_protocol_says():
    layers = [layer for layer in make(Critic, 28, 1, True).modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert len(layers) == 4
    for layer in layers:
        assert abs(layer.weight.std() - 0.02) < 0.002 and layer.weight.mean().abs() < 0.002
        assert layer.bias.eq(0).all()


def test_with_batch_norm_an_images_score_depends_on_its_batch_and_without_it_does_not():
    a, b = pictures(8, seed=1), pictures(8, seed=2)
    for batch_norm in (True, False):
        critic = make(Critic, 28, 1, batch_norm).train()
        together, alone = critic(torch.cat([a, b]))[:8], critic(a)
        # Scores are small before training: what counts is the difference against their own spread.
        assert ((together - alone).abs().max() > 1e-2 * alone.std()) == batch_norm


def test_a_critic_sees_grey_as_nothing():
    """Images are moved from [0, 1] to [-1, 1]: biases are zero at first, so middle grey scores 0."""
    assert make(Critic, 28, 1, False)(torch.full((2, 1, 28, 28), 0.5)).abs().max() == 0


def test_the_autoencoding_critics_number_is_the_mean_absolute_error():
    critic, images = make(AutoencodingCritic, 28, 3, 16), pictures(4, 28, 3)
    with torch.no_grad():
        redrawn = critic.decoder(critic.encoder(images))
        errors = critic(images)
    assert redrawn.shape == images.shape
    naive = [sum(abs(a - b) for a, b in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)) / (3 * 28 * 28)
             for x, y in zip(redrawn, images, strict=True)]  # fmt: skip
    assert (errors - torch.tensor(naive)).abs().max() < 1e-5


def test_the_autoencoding_critic_has_a_small_code_no_batch_norm_and_the_generators_layers():
    critic = make(AutoencodingCritic, 28, 1)
    assert isinstance(critic.decoder, InfoGANGenerator) and not critic.decoder.on_sphere
    assert critic.encoder(pictures(2)).shape == (2, 64) and critic.decoder.latent_dim == 64
    assert not any(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in critic.modules())
    errors = critic(pictures(6))
    assert (critic(pictures(6)[:2]) - errors[:2]).abs().max() < 1e-6  # each image for itself


@pytest.mark.parametrize(("size", "channels", "named"), [(30, 1, "30 px"), (16, 3, "16 px"), (28, 2, "2 channels")])
def test_sizes_without_generator_are_one_line_errors(size, channels, named):
    with pytest.raises(ValueError, match=named) as error:
        AutoencodingCritic(size, channels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [32, 64])
def test_a_voxel_encoder_is_the_generators_mirror(size):
    encoder, generator = VoxelEncoder(size, 10, channels=16), VoxelGenerator(size, 10, channels=16)
    assert encoder(torch.rand(3, size, size, size)).shape == (3, 10)
    down = [layer.weight.shape for layer in encoder.layers if isinstance(layer, nn.Conv3d)]
    up = [layer.weight.shape for layer in generator.layers if isinstance(layer, nn.ConvTranspose3d)]
    assert down == up[:0:-1]  # the first layer's counterpart is the linear one


def test_the_data_choose_their_encoder():
    assert type(make_encoder((1, 28, 28), 8)) is InfoGANEncoder
    assert type(make_encoder((32, 32, 32), 8, voxel_channels=16)) is VoxelEncoder
