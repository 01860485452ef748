"""What a loss sees of training images, kept: equal to what is computed anew, in as little memory as it says."""

import weakref

import pytest
import torch
from made_pictures import LOCAL, as_bytes, pictures

from glann_lib.engine.targets import TargetCache, TargetsByRow
from glann_lib.losses import ReconstructionLoss, make_loss

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_cached_targets_are_those_computed_anew(name, channels, size):
    loss, images = make_loss(name, size), as_bytes(pictures(150, channels, size))  # more than one batch of the cache
    cache, rows = TargetCache(loss.targets_of, images, CPU), torch.tensor([149, 3, 3, 0, 128])
    x = pictures(5, channels, size, seed=1)
    cached, fresh = x.clone().requires_grad_(), x.clone().requires_grad_()
    values, expected = loss.compare(cached, cache[rows]), loss(fresh, images[rows].float() / 255)
    assert (values - expected).abs().max() < 1e-6 * expected.max()
    values.sum().backward()
    expected.sum().backward()
    assert (cached.grad - fresh.grad).abs().max() < 1e-3 * fresh.grad.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", LOCAL)
def test_the_size_of_a_cache_is_known_beforehand(name, dtype):
    loss, images = make_loss(name, 28, dtype), as_bytes(pictures(9))
    cache = TargetCache(loss.targets_of, images, CPU)
    assert TargetCache.size(loss.targets_of, images, CPU) == sum(level.nbytes for level in cache.levels)
    assert TargetCache.size(loss.targets_of, images[:3], CPU) * 3 == TargetCache.size(loss.targets_of, images, CPU)


def test_a_cache_is_filled_in_place():
    """Parts that are kept until the end and then joined would take twice the memory that `size` says."""
    parts, most = [], 0

    def represent(images):
        nonlocal most
        most = max(most, sum(part() is not None for part in parts))
        level = images.flatten(1) + 0
        parts.append(weakref.ref(level))
        return [level]

    cache = TargetCache(ReconstructionLoss(represent).targets_of, as_bytes(pictures(1280, size=4)), CPU)
    assert len(cache.levels[0]) == 1280 and len(parts) == 10
    assert most <= 2


def test_a_cache_gives_maps_as_the_network_makes_them():
    loss, images = make_loss("random-vgg16", 28), as_bytes(pictures(4))
    rows = torch.tensor([2, 0])
    fresh = loss.targets(images[rows].float() / 255)
    for cached, target in zip(TargetCache(loss.targets_of, images, CPU)[rows], fresh, strict=True):
        assert cached.shape == target.shape and cached.dtype == target.dtype
        assert cached.is_contiguous(memory_format=torch.channels_last)


def test_a_cache_of_large_images_keeps_the_copies_too():
    loss, images = make_loss("random-vgg16-quarter", 128), as_bytes(pictures(3, 3, 128))
    cache, rows = TargetCache(loss.targets_of, images, CPU), torch.tensor([2, 0])
    fresh = loss.targets(images[rows].float() / 255)
    assert len(cache.levels) == 10
    for cached, target in zip(cache[rows], fresh, strict=True):
        assert (cached - target).abs().max() <= 1e-5 * target.abs().max()


def test_a_cache_looks_at_fewer_large_images_at_once():
    seen = []
    loss = ReconstructionLoss(lambda images: seen.append(len(images)) or [images.mean((1, 2, 3))])
    TargetCache(loss.targets_of, torch.zeros(40, 1, 256, 256, dtype=torch.uint8), CPU)
    assert seen == [8] * 5  # as many pixels as 128 images of 64 px have


@pytest.mark.parametrize("cache_mib", [64, 0])
def test_targets_by_row_are_those_of_the_images(cache_mib):
    loss, images = make_loss("random-vgg16", 28), as_bytes(pictures(9))
    targets, rows = TargetsByRow(loss.targets_of, images, CPU, cache_mib), torch.tensor([8, 2, 2])
    assert (targets.cache is not None) == (cache_mib > 0)
    for found, expected in zip(targets(rows, images[rows]), loss.targets(images[rows].float() / 255), strict=True):
        assert (found - expected).abs().max() < 1e-5


def test_a_cache_is_given_up_once_and_said(capsys):
    loss, images = make_loss("l1", 28), as_bytes(pictures(9))
    targets, rows = TargetsByRow(loss.targets_of, images, CPU, 64), torch.tensor([8, 2])
    before = targets(rows, images[rows])
    assert targets.give_up_cache() and not targets.give_up_cache()
    assert torch.equal(targets(rows, images[rows])[0], before[0])
    assert capsys.readouterr().out.count("memory is short on cpu") == 1


def test_a_cache_for_which_memory_does_not_suffice_is_not_made(monkeypatch, capsys):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(TargetCache, "__init__", full)
    loss, images = make_loss("l1", 28), as_bytes(pictures(9))
    targets = TargetsByRow(loss.targets_of, images, CPU, 64)
    assert targets.cache is None and len(targets(torch.arange(3), images[:3])[0]) == 3
    assert (
        "memory is short on cpu: features of the training images are computed at every step" in capsys.readouterr().out
    )
