"""Parameter counts by hand, shapes and ranges, the detached norm's gradient, BatchNorms where they belong."""

import itertools
import math

import pytest
import torch
from torch import nn

from glann_lib.networks import (
    Doubling,
    InfoGANGenerator,
    LastDoubling,
    LatentMapper,
    VoxelGenerator,
    count_parameters,
    load_weights,
    make_generator,
)

VARIANTS = ("batch", "none", "lucic")


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_doubling_is_a_transposed_convolution(dtype):
    torch.manual_seed(0)
    ours, plain = Doubling(6, 4).to(dtype), nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1).to(dtype)
    nn.init.normal_(ours.bias)
    plain.load_state_dict(ours.state_dict())
    x = draw(3, 6, 7, 7).to(dtype)
    made, expected = ours(x), plain(x)
    assert made.shape == (3, 4, 14, 14) and made.dtype == dtype
    tolerance = 1e-6 if dtype == torch.float32 else 2.0**-7
    assert (made - expected).abs().max() <= tolerance * expected.abs().max()
    upstream = draw(*made.shape, seed=1).to(dtype)
    made.backward(upstream)
    expected.backward(upstream)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        assert (a.grad - b.grad).abs().max() <= 4 * tolerance * b.grad.abs().max()


def make(*args):
    torch.manual_seed(0)
    return InfoGANGenerator(*args)


# Linear 64->1024, Linear 1024->128*(s/4)^2, ConvTranspose 128->64 and 64->c of 4x4 with biases, then BatchNorms
COUNTS = {
    (28, 1, "batch"): 64 * 1024 + 1024 * 128 * 49 + (128 * 64 * 16 + 64) + (64 * 16 + 1) + 2 * 128 * 49 + 2 * 64,
    (28, 1, "none"): 64 * 1024 + 1024 * 128 * 49 + (128 * 64 * 16 + 64) + (64 * 16 + 1),
    (28, 1, "lucic"): (65 * 1024 + 2048) + 1025 * 6272 + 2 * 6272 + (131072 + 64 + 128) + (1024 + 1),
    (32, 3, "none"): 64 * 1024 + 1024 * 128 * 64 + (128 * 64 * 16 + 64) + (64 * 3 * 16 + 3),
    (64, 3, "none"): 64 * 1024 + 1024 * 128 * 256 + (128 * 64 * 16 + 64) + (64 * 3 * 16 + 3),
}


@pytest.mark.parametrize(("size", "channels", "normalisation"), list(COUNTS))
def test_parameters_of_the_generator(size, channels, normalisation):
    generator = InfoGANGenerator(size, channels, 64, normalisation)
    assert count_parameters(generator) == COUNTS[size, channels, normalisation]
    millions = {28: 6.6, 32: 8.6, 64: 33.8}[size]  # SPEC.md, section 8
    assert round(count_parameters(generator) / 1e6, 1) == millions


def test_half_the_features_are_half_of_every_hidden_layer():
    half = InfoGANGenerator(28, 1, 64, "none", features=64)
    assert [tuple(weights.shape) for weights in half.parameters()] == [
        (512, 64), (64 * 49, 512), (64, 32, 4, 4), (32,), (32, 1, 4, 4), (1,)
    ]  # fmt: skip
    for normalisation in VARIANTS:
        assert InfoGANGenerator(28, 1, 64, normalisation, features=6)(draw(3, 64)).shape == (3, 1, 28, 28)
    with pytest.raises(ValueError, match="feature_channels 5 cannot be halved: give an even number"):
        InfoGANGenerator(28, 1, features=5)


def test_parameters_of_the_mapping():
    count = 32 * 128 + 2 * 128 + 128 * 128 + 2 * 128 + 128 * 64
    assert count_parameters(LatentMapper()) == count == 29_184
    assert count_parameters(LatentMapper(100, 256, 512)) == 100 * 512 + 1024 + 512 * 512 + 1024 + 512 * 256


def test_frozen_parameters_are_not_counted():
    network = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2).requires_grad_(False))
    assert count_parameters(network) == 20


@pytest.mark.parametrize(("size", "channels"), list(itertools.product((28, 32, 64), (1, 3))))
def test_images_have_the_size_asked_for_and_lie_in_0_to_1(size, channels):
    images = make(size, channels, 16, "none")(100 * draw(3, 16))
    assert images.shape == (3, channels, size, size)
    assert images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1
    assert images.std() > 1e-3  # not all grey


def test_128_px_are_the_largest_of_this_generator():
    generator = InfoGANGenerator(128, 3, 16, "none", features=4)
    assert generator(draw(2, 16)).shape == (2, 3, 128, 128)
    assert max(weights.numel() for weights in generator.parameters()) == 8 * 4 * 4 * 32**2


@pytest.mark.parametrize("normalisation", VARIANTS)
def test_the_latents_length_does_not_matter(normalisation):
    generator = make(28, 1, 16, normalisation).eval()
    z = draw(5, 16)
    with torch.no_grad():
        images = generator(z)
        scaled = generator(z * torch.tensor([1e-3, 0.5, 2, 8, 1e3])[:, None])
    assert (images - scaled).abs().max() < 1e-3 * (images[0] - images[1]).abs().max()


def test_the_gradient_is_divided_by_the_length_and_not_projected():
    generator, z = make(28, 1, 16, "none"), 3 * draw(4, 16)
    weights = draw(4, 1, 28, 28, seed=1)
    norm = z.norm(dim=1, keepdim=True)
    direction = (z / norm).requires_grad_()
    (expected,) = torch.autograd.grad((generator.layers(direction) * weights).sum(), direction)
    z.requires_grad_()
    (gradient,) = torch.autograd.grad((generator(z) * weights).sum(), z)
    assert (gradient - expected / norm).abs().max() < 1e-6 * expected.abs().max()
    # A norm that is differentiated would make the gradient orthogonal to z.
    cosine = torch.cosine_similarity(gradient, z.detach(), dim=1)
    assert cosine.abs().max() > 0.05


@pytest.mark.parametrize(
    ("normalisation", "norms", "biases"),
    [
        ("batch", [None, nn.BatchNorm1d, nn.BatchNorm2d, None], [False, False, True, True]),
        ("none", [None, None, None, None], [False, False, True, True]),
        ("lucic", [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, None], [True, True, True, True]),
    ],
)
def test_batch_norms_stand_where_the_papers_code_has_them(normalisation, norms, biases):
    layers = [layer for layer in make(28, 1, 64, normalisation).layers if not isinstance(layer, nn.Identity)]
    starts = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Linear | nn.ConvTranspose2d)]
    kinds = [type(layers[i]) for i in starts]
    assert kinds == [nn.Linear, nn.Linear, Doubling, Doubling]
    assert [layers[i].bias is not None for i in starts] == biases
    for i, norm in zip(starts, norms, strict=True):
        assert norm is None or isinstance(layers[i + 1], norm)
        between = [type(layer) for layer in layers[i + 1 : i + 3]]
        assert any(issubclass(kind, nn.BatchNorm1d | nn.BatchNorm2d) for kind in between) == (norm is not None)
    slopes = [layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.2] * 3
    assert isinstance(layers[-1], nn.Sigmoid)


@pytest.mark.parametrize("normalisation", VARIANTS)
def test_weights_start_as_the_papers_code_has_them(normalisation):
    layers = [x for x in make(28, 1, 64, normalisation).layers if isinstance(x, nn.Linear | nn.ConvTranspose2d)]
    fans = [64 + 1024, 1024 + 6272, (128 + 64) * 16, (64 + 1) * 16]
    for layer, fan in zip(layers, fans, strict=True):
        std = 0.02 if normalisation == "lucic" else math.sqrt(2) * math.sqrt(2 / fan)
        count = layer.weight.numel()
        assert abs(layer.weight.mean()) < 5 * std / math.sqrt(count)
        assert abs(layer.weight.std() / std - 1) < 5 / math.sqrt(2 * count)
        assert layer.bias is None or not layer.bias.any()


def test_the_mapping_has_two_hidden_layers_and_a_free_output():
    torch.manual_seed(0)
    mapper = LatentMapper(8, 16, 32)
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert all(isinstance(layer, kind) for layer, kind in zip(mapper.layers, kinds, strict=True))
    assert all(layer.bias is None for layer in mapper.layers if isinstance(layer, nn.Linear))
    z = mapper(draw(50, 8))
    assert z.shape == (50, 16) and z.norm(dim=1).std() > 0.1  # not put on the sphere


@pytest.mark.parametrize("normalisation", VARIANTS)
def test_off_the_sphere_latents_are_taken_as_they_are(normalisation):
    torch.manual_seed(0)
    free = InfoGANGenerator(28, 1, 16, normalisation, on_sphere=False).eval()
    bound = InfoGANGenerator(28, 1, 16, normalisation).eval()
    assert bound.on_sphere and not free.on_sphere
    bound.load_state_dict(free.state_dict())  # the same layers
    z = draw(5, 16)
    with torch.no_grad():
        images = free(z)
        assert torch.equal(images, free.layers(z))
        assert torch.equal(bound(z), free(z / z.norm(dim=1, keepdim=True)))
        assert (free(2 * z) - images).abs().max() > 0.1 * (images[0] - images[1]).abs().max()


def test_off_the_sphere_the_latents_length_has_a_gradient():
    """On the sphere it counts as a constant, which shortens the gradient by the norm; here it is the layers' own."""
    generator = InfoGANGenerator(28, 1, 16, "none", on_sphere=False)
    z = draw(5, 16).requires_grad_()
    weights = draw(5, 1, 28, 28, seed=1)
    (gradient,) = torch.autograd.grad((weights * generator(z)).sum(), z)
    (own,) = torch.autograd.grad((weights * generator.layers(z)).sum(), z)
    assert torch.equal(gradient, own)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((30, 1), "30"),
        ((256, 3), "no generator for 256 px: resize the images to 28, 32, 64 or 128 px, or choose generator=resnet"),
        ((28, 2), "2 channels"),
        ((28, 4), "4 channels"),
        ((28, 1, 64, "group"), "group"),
    ],
)
def test_networks_that_there_are_not_are_one_line_errors(arguments, named):
    with pytest.raises(ValueError, match=named) as error:
        InfoGANGenerator(*arguments)
    assert "\n" not in str(error.value)


def state_of(network, prefix):
    return {f"{prefix}{name}": value.clone() for name, value in network.state_dict().items()}


def test_weights_are_taken_by_their_prefix():
    torch.manual_seed(0)
    old, other, new = LatentMapper(4, 6, 8), LatentMapper(4, 6, 8), LatentMapper(4, 6, 8)
    old(draw(20, 4))  # moves BatchNorm's averages
    load_weights(new, state_of(old, "mapper.") | state_of(other, "other_mapper.") | {"latents": draw(2, 2)}, "mapper.")
    for name, value in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], value), name


@pytest.mark.parametrize("change", ["width", "depth", "missing", "more", "none"])
def test_weights_of_another_architecture_are_refused_and_change_nothing(change):
    torch.manual_seed(0)
    network = LatentMapper(4, 6, 8)
    before = state_of(network, "")
    state = state_of(LatentMapper(4, 6, 9 if change == "width" else 8), "mapper.")
    if change == "depth":
        state = state_of(InfoGANGenerator(28, 1, 4), "mapper.")
    elif change == "missing":
        del state["mapper.layers.0.weight"]
    elif change == "more":
        state["mapper.layers.7.weight"] = draw(6, 6)
    elif change == "none":
        state = {}
    with pytest.raises(ValueError, match="mapper is of another architecture") as error:
        load_weights(network, state, "mapper.")
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_latent_of_zero_gives_an_image_not_nan():
    generator = InfoGANGenerator(28, 1).eval()
    assert torch.isfinite(generator(torch.zeros(2, 64))).all()


def test_parameters_of_the_voxel_generator_are_3d_gans():
    # Wu et al. 2016: 200 -> 512 -> 256 -> 128 -> 64 -> 1, kernels of 4^3, a bias where no BatchNorm follows
    weights = 64 * (200 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64) + 1
    assert count_parameters(VoxelGenerator(64, 200)) == weights + 2 * (512 + 256 + 128 + 64)
    weights = 64 * (16 * 32 + 32 * 16 + 16 * 8 + 8) + 1
    assert count_parameters(VoxelGenerator(32, 16, channels=32)) == weights + 2 * (32 + 16 + 8)


@pytest.mark.parametrize("size", [32, 64])
def test_shapes_have_the_size_asked_for_and_lie_in_0_to_1(size):
    torch.manual_seed(0)
    generator = VoxelGenerator(size, 16, channels=16)
    shapes = generator(draw(3, 16))
    assert shapes.shape == (3, *generator.shape) == (3, size, size, size)
    assert shapes.min() >= 0 and shapes.max() <= 1 and shapes.std() > 1e-3


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_the_last_doubling_is_a_transposed_convolution(layout):
    torch.manual_seed(0)
    layer, plain = LastDoubling(6), nn.ConvTranspose3d(6, 1, kernel_size=4, stride=2, padding=1)
    plain.load_state_dict(layer.state_dict())
    x, weight = torch.randn(2, 6, 5, 5, 5).to(memory_format=layout), torch.randn(2, 1, 10, 10, 10)
    made = []
    for network in (layer, plain):
        inputs = x.clone().requires_grad_()
        voxels = network.to(memory_format=layout)(inputs)
        made.append((voxels, *torch.autograd.grad((voxels * weight).sum(), (inputs, *network.parameters()))))
    for ours, theirs in zip(*made, strict=True):
        assert (ours - theirs).abs().max() < 1e-4


def test_shapes_follow_the_direction_of_a_latent_alone():
    generator, z = VoxelGenerator(32, 16, channels=16).eval(), draw(3, 16)
    with torch.no_grad():
        assert torch.allclose(generator(5 * z), generator(z), atol=1e-6)
        assert not torch.allclose(generator(z.roll(1, 0)), generator(z), atol=1e-3)
        generator.on_sphere = False
        assert not torch.allclose(generator(5 * z), generator(z), atol=1e-3)


def test_the_data_choose_their_generator():
    assert type(make_generator((3, 32, 32), 16, "none")) is InfoGANGenerator
    shapes = make_generator((32, 32, 32), 16, voxel_channels=16, on_sphere=False)
    assert type(shapes) is VoxelGenerator and not shapes.on_sphere and shapes.latent_dim == 16
    assert make_generator((1, 28, 28), 8).shape == (1, 28, 28)


@pytest.mark.parametrize(
    ("size", "channels", "named"), [(30, 512, "30 voxels"), (32, 6, "6 cannot"), (64, 12, "12 cannot")]
)
def test_voxel_generators_that_there_are_not_are_one_line_errors(size, channels, named):
    with pytest.raises(ValueError, match=named) as error:
        VoxelGenerator(size, 16, channels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [lambda: InfoGANGenerator(28, 1, 8), lambda: VoxelGenerator(32, 8, 16)])
def test_a_pixel_that_is_too_bright_has_a_gradient_in_half_the_bits_too(make):
    *_, last = make().layers
    logits = torch.full((3,), 7.0, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = last(logits.bfloat16())
    found.sum().backward()
    assert found.dtype == torch.float32 and found.max() < 1 and logits.grad.min() > 5e-4
