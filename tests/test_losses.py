"""Losses against numpy and plain torch, the cache of targets against computing them, the pyramid put together again."""

import numpy as np
import pytest
import torch
from made_pictures import LOCAL, as_bytes, pictures
from torch import nn
from torch.nn.functional import interpolate
from torchvision.models.vgg import cfgs, make_layers

from glann_lib import features
from glann_lib.config import GLOConfig
from glann_lib.engine.targets import TargetCache
from glann_lib.features import PerceptualRepresentation, bilinear_quarter, copies_of
from glann_lib.losses import (
    LOSSES,
    MeanAbsoluteDifference,
    ReconstructionLoss,
    laplacian_pyramid,
    loss_of,
    make_loss,
)
from glann_lib.shapes.metrics import iou, iou_matrix

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_loss_is_one_number_an_image(name, channels):
    loss, x, y = make_loss(name, 28), pictures(5, channels), pictures(5, channels, seed=1)
    values = loss(x, y)
    assert values.shape == (5,) and values.dtype == torch.float32
    assert values.min() > 0
    assert torch.equal(loss(x, x), torch.zeros(5))
    for i in range(5):  # each image for itself
        assert abs(loss(x[i : i + 1], y[i : i + 1]) - values[i]) < 1e-5 * values[i]


@pytest.mark.parametrize("name", LOCAL)
def test_losses_are_symmetric_and_grow_with_the_difference(name):
    loss, x, y = make_loss(name, 28), pictures(4), pictures(4, seed=1)
    assert (loss(x, y) - loss(y, x)).abs().max() < 1e-6 * loss(x, y).max()
    nearer, near = loss(x + 0.1 * (y - x), x), loss(x + 0.2 * (y - x), x)
    assert (nearer < near).all() and (near < loss(y, x)).all()


def test_the_loss_of_overlap_is_one_minus_iou():
    x, y = (pictures(6, 32, 32, seed=seed) < share for seed, share in ((0, 0.3), (1, 0.1)))
    x[4], y[5] = False, False
    loss = make_loss("iou", 32)
    expected = 1 - iou(x, y)
    assert (loss(x.float(), y.float()) - expected).abs().max() < 1e-6 and expected[4] == expected[5] == 1
    assert loss(0.0 * x, 0.0 * y).tolist() == [0] * 6
    every = loss.distances(x.float(), loss.targets(y.float()))
    assert (every.diagonal() - expected).abs().max() < 1e-6
    assert (every - (1 - iou_matrix(y, x))).abs().max() < 1e-6


def test_the_gradient_of_overlap_is_that_of_its_formula():
    x, y = pictures(3, 8, 8).requires_grad_(), (pictures(3, 8, 8, seed=1) < 0.2).float()
    (found,) = torch.autograd.grad(make_loss("iou", 8)(x, y).sum(), x)
    written_out = (x - y).abs().sum((1, 2, 3)) / torch.maximum(x, y).sum((1, 2, 3))
    (expected,) = torch.autograd.grad(written_out.sum(), x)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("name", "power"), [("l1", 1), ("l2", 2)])
def test_pixel_losses_against_numpy(name, power):
    x, y = pictures(6, 3), pictures(6, 3, seed=1)
    expected = (np.abs(x.double().numpy() - y.double().numpy()) ** power).mean((1, 2, 3))
    assert np.abs(make_loss(name, 28)(x, y).numpy() - expected).max() < 1e-6


def test_the_perceptual_loss_is_eq_3():
    loss, x, y = make_loss("random-vgg16", 28), pictures(3), pictures(3, seed=1)
    (extractor,) = loss.represent.extractors
    pairs = [(x, y), *zip(extractor(x), extractor(y), strict=True)]
    expected = sum((a - b).double().abs().mean((1, 2, 3)) for a, b in pairs)
    assert len(pairs) == 4
    assert (loss(x, y) - expected).abs().max() < 1e-5 * expected.max()


def test_the_perceptual_loss_in_bfloat16_is_near_that_in_float32():
    x, y = pictures(4), pictures(4, seed=1)
    exact, rough = (make_loss("random-vgg16", 28, dtype)(x, y) for dtype in (torch.float32, torch.bfloat16))
    assert rough.dtype == torch.float32
    assert ((rough - exact).abs() / exact).max() < 0.02


def test_the_laplacian_loss_is_the_weighted_sum_of_bojanowski():
    x, y = pictures(3, 3, 32), pictures(3, 3, 32, seed=1)
    bands = zip(laplacian_pyramid(x), laplacian_pyramid(y), strict=True)
    pixels = 3 * 32 * 32
    expected = sum(4.0**j * (a - b).double().abs().sum((1, 2, 3)) for j, (a, b) in enumerate(bands)) / pixels
    assert (make_loss("laplacian", 32)(x, y) - expected).abs().max() < 1e-6 * expected.max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4, 9), (4, 5, 6), (4, 3, 8, 8), (1, 1, 1, 1)])
def test_the_mean_difference_is_that_of_plain_torch(shape, dtype):
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=random).to(dtype) for _ in range(2))
    a[0] = b[0]  # no difference: no gradient
    weights = torch.randn(shape[0], generator=random)
    plain, ours = (a.clone().requires_grad_() for _ in range(2))
    expected = (plain - b).abs().float().flatten(1).mean(1)
    value = MeanAbsoluteDifference.apply(ours, b)
    assert value.dtype == torch.float32 and (value - expected).abs().max() < 1e-6
    (expected * weights).sum().backward()
    (value * weights).sum().backward()
    assert ours.grad.dtype == dtype and not ours.grad[0].any()
    tolerance = 1e-7 if dtype == torch.float32 else 2.0**-8
    assert (ours.grad.float() - plain.grad.float()).abs().max() <= tolerance * weights.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_the_perceptual_gradient_is_that_of_the_plain_form(channels, size, dtype):
    """Frozen, channels-last, ReLUs in place, grey folded into the first layer: against VGG layer by layer."""
    loss = make_loss("random-vgg16", size, dtype)
    layers = make_layers(cfgs["D"][:8])  # to conv3_2
    plain_network = features.make_extractor("random-vgg16", size)
    theirs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    ours = [layer for layer in plain_network.modules() if isinstance(layer, nn.Conv2d)]
    for a, b in zip(theirs, ours, strict=True):
        a.load_state_dict(b.state_dict())

    def maps(images):
        x = torch.nn.functional.pad(images, (2, 2, 2, 2)) if size == 28 else images
        x, found = (2 * x - 1).repeat(1, 3 // channels, 1, 1), [images]
        for number, layer in enumerate(layers[:13]):
            x = layer(x.clone())
            found += [x] if number in (3, 8, 12) else []
        return found

    x, y = pictures(6, channels, size), pictures(6, channels, size, seed=1)
    fast, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = sum((a - b).abs().flatten(1).mean(1) for a, b in zip(maps(plain), maps(y), strict=True))
    values = loss(fast, y)
    values.sum().backward()
    expected.sum().backward()
    exact = dtype == torch.float32
    assert ((values - expected).abs() / expected).max() < (1e-5 if exact else 0.02)
    gap = (fast.grad - plain.grad).norm() / plain.grad.norm()
    assert gap < (0.01 if exact else 0.15)  # where a ReLU or a maximum is near a tie it may fall to the other side


@pytest.mark.parametrize("name", LOCAL)
def test_gradients_flow_to_the_generated_image_only(name):
    loss = make_loss(name, 28)
    x, y = pictures(2).requires_grad_(), pictures(2, seed=1).requires_grad_()
    loss(x, y).sum().backward()
    assert x.grad.abs().max() > 0
    assert y.grad is None
    assert not any(target.requires_grad for target in loss.targets(y))


def test_representations_of_any_rank_are_compared():
    loss = ReconstructionLoss(lambda images: [images, images.mean((2, 3)), images.flatten(1)])
    x, images = pictures(4, 3), as_bytes(pictures(4, 3, seed=1))
    rows = torch.arange(4)
    expected = loss(x, images.float() / 255)
    assert (loss.compare(x, TargetCache(loss.targets_of, images, CPU)[rows]) - expected).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("size", "sides"), [(28, [28, 14, 7, 4]), (32, [32, 16, 8, 4]), (64, [64, 32, 16, 8, 4]), (4, [4])]
)
def test_the_pyramid_collapses_to_the_image(size, sides):
    images = pictures(3, 3, size)
    levels = laplacian_pyramid(images)
    assert [level.shape[-2:] for level in levels] == [(side, side) for side in sides]
    collapsed = levels[-1]
    for level in reversed(levels[:-1]):
        collapsed = level + interpolate(collapsed, level.shape[-2:], mode="bilinear", align_corners=False)
    assert (collapsed - images).abs().max() < 1e-6


def test_the_pyramid_of_an_even_image_is_its_last_level():
    levels = laplacian_pyramid(torch.full((1, 1, 32, 32), 0.3))
    assert max(level.abs().max() for level in levels[:-1]) < 1e-6
    assert (levels[-1] - 0.3).abs().max() < 1e-6


def test_the_released_codes_pixels_come_first():
    images = pictures(2)
    represent = PerceptualRepresentation([Times(2, 3)])
    assert [torch.equal(m, images * f) for m, f in zip(represent(images), (1, 2, 3), strict=True)] == [True] * 3


class Times(nn.Module):
    """Images times some numbers, in place of a network's maps."""

    def __init__(self, *factors):
        super().__init__()
        self.factors = factors

    def forward(self, images):
        return [images * factor for factor in self.factors]


def by_interpolation(images):
    sides = [side // 4 for side in images.shape[-2:]]
    return interpolate(images, sides, mode="bilinear", align_corners=False, antialias=False)


def by_pooling(images):
    return torch.nn.functional.avg_pool2d(images, 4, stride=4)


COPIES = {"bilinear": by_interpolation, "average": by_pooling}


@pytest.mark.parametrize("subsampling", COPIES)
def test_every_copy_has_a_quarter_of_the_sides_of_the_one_before(subsampling):
    images = pictures(2, 3, 64)
    maps = PerceptualRepresentation([Times(2), Times(3), Times(5)], subsampling)(images)
    smaller = COPIES[subsampling](images)
    smallest = COPIES[subsampling](smaller)
    expected = [images, 2 * images, smaller, 3 * smaller, smallest, 5 * smallest]
    assert [m.shape for m in maps] == [e.shape for e in expected]
    assert max((m - e).abs().max() for m, e in zip(maps, expected, strict=True)) < 1e-6


def test_bilinear_copies_are_the_four_pixels_amid_sixteen():
    images = pictures(2, 3, 32).requires_grad_()
    blocks = images.unfold(2, 4, 4).unfold(3, 4, 4)  # [2, 3, 8, 8, 4, 4]
    found = bilinear_quarter(images)
    assert (found - blocks[..., 1:3, 1:3].mean((-2, -1))).abs().max() < 1e-6
    weights = pictures(2, 3, 8, seed=1)
    (gradient,) = torch.autograd.grad((found * weights).sum(), images)
    (expected,) = torch.autograd.grad((by_interpolation(images) * weights).sum(), images)
    assert (gradient - expected).abs().max() < 1e-6 and (gradient == 0).float().mean() == 0.75


@pytest.mark.parametrize("subsampling", COPIES)
def test_the_loss_of_large_images_is_that_of_the_image_and_its_copies(subsampling):
    """Written out: Eq. 3 of the image, and once more of the copy, whose network has the taps of its own size."""
    config = GLOConfig(loss="random-vgg16-quarter", subsampling=subsampling)
    loss, x, y = loss_of(config, 128), pictures(2, 3, 128), pictures(2, 3, 128, seed=1)
    expected = torch.zeros(2)
    for size in (128, 32):
        extractor = features.make_extractor("random-vgg16-quarter", size)
        pairs = [(x, y), *zip(extractor(x), extractor(y), strict=True)]
        expected += sum((a - b).abs().mean((1, 2, 3)) for a, b in pairs)
        x, y = COPIES[subsampling](x), COPIES[subsampling](y)
    found = loss(pictures(2, 3, 128), pictures(2, 3, 128, seed=1))
    assert (found - expected).abs().max() < 1e-5 * expected.max()
    alone = make_loss("random-vgg16-quarter", 128, copies=0)(pictures(2, 3, 128), pictures(2, 3, 128, seed=1))
    assert (alone < 0.9 * found).all()


@pytest.mark.parametrize(
    ("size", "sides", "maps"),
    [
        (28, (), 4),  # pixels and three taps
        (32, (), 4),
        (64, (), 5),
        (128, (32,), 6 + 4),
        (256, (64,), 6 + 5),
        (512, (128, 32), 6 + 6 + 4),
        (1024, (256, 64), 6 + 6 + 5),
    ],
)
def test_every_size_has_its_copies_and_so_many_maps(size, sides, maps):
    assert copies_of(size) == sides
    assert [copies_of(size, wanted) for wanted in range(len(sides) + 1)] == [sides[:n] for n in range(len(sides) + 1)]
    with pytest.raises(
        ValueError, match=f"loss_copies is {len(sides) + 1}: images of this size have {len(sides)}"
    ) as e:
        copies_of(size, len(sides) + 1)
    assert "\n" not in str(e.value)
    with torch.device("meta"):  # nothing is computed
        loss = make_loss("random-vgg16", size)
        assert len(loss.represent(torch.empty(1, 3, size, size))) == maps


@pytest.mark.parametrize("size", [64, 128])
def test_no_copies_leave_the_loss_of_the_image_itself(size):
    x, y = pictures(2, 3, size), pictures(2, 3, size, seed=1)
    loss = loss_of(GLOConfig(loss="random-vgg16-quarter", loss_copies=0), size)
    extractor = features.make_extractor("random-vgg16-quarter", size)
    plain = ReconstructionLoss(lambda images: [images, *extractor(images)])
    assert torch.equal(loss(x, y), plain(x, y))
    by_default = make_loss("random-vgg16-quarter", size)(x, y)
    assert torch.equal(by_default, plain(x, y)) == (size == 64)  # at 64 px there are none by default either


def test_more_copies_than_there_are_are_refused_by_the_settings_name():
    with pytest.raises(ValueError, match=r"^loss_copies is 2: images of this size have 1"):
        loss_of(GLOConfig(loss="random-vgg16-quarter", loss_copies=2), 256)


def test_unknown_losses_are_one_line_errors():
    with pytest.raises(ValueError, match="unknown loss 'ssim'") as error:
        make_loss("ssim", 28)
    assert "\n" not in str(error.value)
    assert all(name in str(error.value) for name in LOSSES)
