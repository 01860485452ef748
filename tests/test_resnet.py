"""The generator for large images: shapes and widths at every size, no BatchNorm unless asked for, equal gradients."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu

from glann_lib.config import GLOConfig
from glann_lib.glo import generator_of
from glann_lib.networks import count_parameters
from glann_lib.resnet import ResidualBlock, ResNetGenerator

LARGE = (64, 128, 256, 512, 1024)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(size=64, channels=3, latent_dim=16, features=2, **more):
    torch.manual_seed(0)
    return ResNetGenerator(size, channels, latent_dim, features, **more)


@pytest.mark.parametrize(("size", "channels", "features"), [(64, 1, 4), (128, 3, 2), (256, 1, 1), (512, 3, 1)])
def test_images_have_the_size_asked_for_and_lie_in_0_to_1(size, channels, features):
    generator = make(size, channels, features=features)
    with torch.no_grad():
        generator.last.weight.mul_(1000)  # else all are nearly grey
        images = generator(100 * draw(2, 16))
    assert images.shape == (2, *generator.shape) == (2, channels, size, size)
    assert images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 1e-2


@pytest.mark.parametrize("size", LARGE)
def test_widths_double_towards_4_px_to_at_most_512(size):
    with torch.device("meta"):  # nothing is computed
        generator = ResNetGenerator(size, 3, 256, features=16)
        images = generator(torch.randn(2, 256))
    assert images.shape == (2, 3, size, size)
    full = [16, 32, 64, 128, 256, 512, 512, 512, 512]  # at the full size, at half of it ...
    widths = full[: size.bit_length() - 2][::-1]  # from 4 px on
    pairs = [[layer for layer in block.convolutions if isinstance(layer, nn.Conv2d)] for block in generator.blocks]
    assert generator.first.out_features == widths[0] * 4 * 4
    assert [(first.in_channels, second.out_channels) for first, second in pairs] == [
        *itertools.pairwise(widths),
        (16, 16),
    ]


def test_parameters_of_the_papers_generator_are_those_of_a_sum_by_hand():
    """256 px, 64 maps: 512 from 4 to 32 px, then 256, 128 and 64; 3 x 3 kernels with biases, shortcuts of 1 x 1."""
    widths = [512, 512, 512, 512, 256, 128, 64, 64]
    blocks = sum(
        9 * wide * narrow + narrow + 9 * narrow**2 + narrow + (wide * narrow if wide != narrow else 0)
        for wide, narrow in itertools.pairwise(widths)
    )
    with torch.device("meta"):
        assert count_parameters(ResNetGenerator(256, 3)) == 257 * 8192 + blocks + (9 * 64 * 3 + 3)


def test_a_block_is_its_formula():
    torch.manual_seed(0)
    block, x = ResidualBlock(6, 4), draw(2, 6, 5, 5)
    first, second = (layer for layer in block.convolutions if isinstance(layer, nn.Conv2d))
    inner = conv2d(leaky_relu(x, 0.2), first.weight, first.bias, padding=1)
    inner = conv2d(leaky_relu(inner, 0.2), second.weight, second.bias, padding=1)
    expected = torch.einsum("oi,nihw->nohw", block.shortcut.weight[:, :, 0, 0], x) + 0.1 * inner
    assert (block(x) - expected).abs().max() < 1e-5
    same = ResidualBlock(6, 6)
    nn.init.zeros_(same.convolutions[-1].weight)
    nn.init.zeros_(same.convolutions[-1].bias)
    assert torch.equal(same(x), x)  # where widths are equal the shortcut is the input itself


def test_each_block_but_the_first_sees_every_pixel_twice_in_each_direction():
    generator, seen = make(64), []
    for block in generator.blocks:
        block.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    generator(draw(1, 16))
    assert seen[0][0].shape[-1] == 4
    for (_, before), (after, _) in itertools.pairwise(seen):
        assert torch.equal(after, before.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_no_batch_norm_and_no_transposed_convolution_is_in_the_papers_form():
    generator = make(128)
    kinds = {type(layer) for layer in generator.modules()}
    assert not any(issubclass(kind, nn.modules.batchnorm._NormBase | nn.ConvTranspose2d) for kind in kinds)
    z = draw(4, 16)
    with torch.no_grad():  # an image does not depend on the rest of its batch
        assert (generator.train()(z)[:2] - generator(z[:2])).abs().max() < 1e-6
    normalised = [layer for layer in make(normalisation="batch").modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [layer.num_features for layer in normalised][-3:] == [2, 2, 2] and len(normalised) == 2 * 5 + 1


def test_the_latents_length_matters_off_the_sphere_only():
    z, lengths = draw(3, 16), torch.tensor([1e-3, 2, 1e3])[:, None]
    bound, free = make(), make(on_sphere=False)
    free.load_state_dict(bound.state_dict())
    with torch.no_grad():
        images = bound(z)
        assert (bound(z * lengths) - images).abs().max() < 1e-3 * (images[0] - images[1]).abs().max()
        assert torch.equal(free(4 * (z / z.norm(dim=1, keepdim=True))), images)  # 16 numbers of variance 1
        assert (free(z * 8) - images).abs().max() > 0.1 * (images[0] - images[1]).abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_checkpointing_gives_the_same_bits(dtype):
    found = []
    for checkpointing in (False, True):
        generator, z = make(64, features=4, checkpointing=checkpointing), draw(2, 16).requires_grad_()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            images = generator(z)
        (images.float() * draw(2, 3, 64, 64, seed=1)).sum().backward()
        found.append([images, z.grad, *(weights.grad for weights in generator.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_checkpointing_moves_a_batch_norms_averages_once():
    states = []
    for checkpointing in (False, True):
        generator = make(64, features=4, normalisation="batch", checkpointing=checkpointing).train()
        generator(draw(4, 16).requires_grad_()).sum().backward()
        states.append(generator.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def kept_numbers(checkpointing):
    """How many numbers the way forward keeps for the way back."""
    sizes, generator = [], make(64, features=4, checkpointing=checkpointing)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        generator(draw(2, 16).requires_grad_())
    return sum(sizes)


def test_checkpointing_keeps_less():
    assert kept_numbers(True) < 0.5 * kept_numbers(False)


@pytest.mark.parametrize(
    ("size", "channels", "words"),
    [
        (32, 3, "no resnet generator for 32 px: choose 64, 128, 256, 512, 1024 px"),
        (96, 3, "no resnet generator for 96 px"),
        (2048, 3, "no resnet generator for 2048 px"),
        (64, 4, "images have 4 channels"),
    ],
)
def test_generators_that_there_are_not_are_one_line_errors(size, channels, words):
    with pytest.raises(ValueError, match=words) as error:
        ResNetGenerator(size, channels)
    assert "\n" not in str(error.value)


def test_the_settings_choose_it():
    config = GLOConfig(generator="resnet", latent_dim=8, resnet_channels=2, checkpointing=True, normalisation="none")
    generator = generator_of((1, 64, 64), config)
    assert type(generator) is ResNetGenerator and generator.shape == (1, 64, 64) and generator.latent_dim == 8
    assert generator.last.in_channels == 2 and generator.checkpointing
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in generator.modules())


def test_a_latent_of_zero_gives_an_image_not_nan():
    assert torch.isfinite(make()(torch.zeros(2, 16))).all()


@pytest.mark.parametrize("start", [4, 8, 16, 32, 64])
def test_the_linear_layer_may_give_more_of_the_image(start):
    network = ResNetGenerator(64, 3, 16, features=2, start=start)
    assert network.first.out_features == start**2 * 2 * (64 // start)  # maps are halved as often as sides are doubled
    assert len(network.blocks) == (64 // start).bit_length()
    with torch.no_grad():
        assert network(draw(2, 16)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("start", [2, 6, 128])
def test_other_starts_are_refused(start):
    with pytest.raises(ValueError, match=f"resnet_start is {start}: choose a power of two from 4 to 256 px"):
        ResNetGenerator(64, 3, 16, features=2, start=start)
