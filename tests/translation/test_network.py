"""T between domains: NAM's scales and widths, what each pixel sees, sizes and channels."""

import pytest
import torch

from glann_lib.networks import count_parameters
from glann_lib.translation.network import TranslationNetwork


def pictures(count, channels, size, seed=0):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def network(size=16, channels_in=3, channels_out=3, width=2):
    torch.manual_seed(0)
    return TranslationNetwork(size, channels_in, channels_out, width)


@pytest.mark.parametrize("size", [16, 17, 28, 32, 64])
@pytest.mark.parametrize(("channels_in", "channels_out"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_images_keep_their_size_and_get_the_other_domains_channels(size, channels_in, channels_out):
    drawn = network(size, channels_in, channels_out)(pictures(2, channels_in, size))
    assert drawn.shape == (2, channels_out, size, size) and drawn.dtype == torch.float32
    assert drawn.min() > 0 and drawn.max() < 1 and drawn.std() > 1e-3


@pytest.mark.parametrize(
    ("size", "sizes"), [(16, [2, 4, 8, 16]), (28, [4, 7, 14, 28]), (32, [4, 8, 16, 32]), (64, [8, 16, 32, 64])]
)
def test_each_scale_is_twice_as_fine_as_the_one_before(size, sizes):
    made, seen = network(size), []
    for scale in made.scales:
        scale.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[-2:]))
    made(pictures(2, 3, size))
    assert seen == [(side, side) for side in sizes]


@pytest.mark.parametrize("channels", [1, 3])
def test_as_the_identity_it_changes_nothing_at_first_and_learns_to(channels):
    torch.manual_seed(0)
    made, images = TranslationNetwork(16, channels, channels, 2, identity=True), pictures(8, channels, 16)
    inner = images.clamp(0.02, 0.98)
    assert (made(images) - inner).abs().max() < 1e-5
    optimiser = torch.optim.Adam(made.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = (made(images) - (1 - images)).square().mean()  # negatives are far from the identity
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.5 * losses[0]


def test_as_the_identity_both_domains_have_equal_channels():
    with pytest.raises(ValueError, match=r"T leads from 3 channels to 1: .* choose nam_start=random") as caught:
        TranslationNetwork(16, 3, 1, identity=True)
    assert "\n" not in str(caught.value)


def test_widths_are_those_of_nam():
    made = network(32, 1, 3, width=32)
    shapes = [tuple(scale[0].weight.shape) for scale in made.scales]
    assert shapes == [(128, 1, 3, 3), (96, 129, 3, 3), (64, 97, 3, 3), (32, 65, 3, 3)]
    assert tuple(made.last.weight.shape) == (3, 32, 3, 3)
    convolutions = 9 * (128 + 96 * 129 + 64 * 97 + 32 * 65 + 3 * 32)
    assert count_parameters(made) == convolutions + 3 * (128 + 96 + 64 + 32) + 3  # bias, and two of each BatchNorm


def test_a_pixel_sees_the_whole_image_and_most_of_what_is_near():
    made, images = network(32, width=8).eval(), pictures(1, 3, 32).requires_grad_()
    made(images)[0, :, 16, 16].sum().backward()
    seen = images.grad[0].abs().sum(0)
    assert seen.min() > 0
    assert seen[14:19, 14:19].mean() > 5 * seen[:5, :5].mean()


def test_each_image_is_translated_for_itself_once_trained():
    made, images = network().train(), pictures(8, 3, 16)
    made(images)  # moves the averages of BatchNorm
    made.eval()
    with torch.no_grad():
        alone = torch.cat([made(image) for image in images.split(1)])
        together = made(images)
    assert (alone - together).abs().max() < 1e-6
    assert together.std(0).max() > 1e-3  # and they are not one image


@pytest.mark.parametrize("size", [4, 15])
def test_images_too_small_for_four_scales_are_one_line_errors(size):
    with pytest.raises(ValueError, match=rf"images are {size} px: 16 px or more") as error:
        network(size)
    assert "\n" not in str(error.value)
