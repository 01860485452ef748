"""Street digits: seeded, of the right shape, readable, light on dark and dark on light."""

import pytest
import torch

from glann_lib.engine import devices
from glann_lib.translation import street_digits
from glann_lib.translation.street_digits import CONTRAST, LUMA, make_street_digits


def blocks(count=40, size=28, half=4):
    """Light squares in the middle of black images, each with a grain of its own."""
    digits = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    middle = slice(size // 2 - half, size // 2 + half)
    random = torch.Generator().manual_seed(0)
    digits[:, :, middle, middle] = torch.randint(200, 256, (count, 1, 2 * half, 2 * half), generator=random).byte()
    return digits


def luma(colours, dim):
    return (colours.movedim(dim, -1).float() * torch.tensor(LUMA)).sum(-1)


def test_the_same_digits_and_seed_give_the_same_pictures():
    torch.manual_seed(1)  # of no consequence
    first = make_street_digits(blocks(), 3)
    torch.manual_seed(2)
    assert torch.equal(make_street_digits(blocks(), 3), first)
    other = make_street_digits(blocks(), 4)
    assert ((other.int() - first.int()).abs().amax((1, 2, 3)) > 20).all()


def test_pictures_do_not_change_the_digits():
    digits = blocks()
    make_street_digits(digits, 0)
    assert torch.equal(digits, blocks())


@pytest.mark.parametrize("size", [28, 32])
def test_pictures_are_colour_bytes_of_the_digits_size(size):
    pictures = make_street_digits(blocks(30, size), 0)
    assert pictures.shape == (30, 3, size, size) and pictures.dtype == torch.uint8
    assert (pictures.float().std((2, 3)).amax(1) > 5).all()  # none is flat
    assert ((pictures[:, 0].int() - pictures[:, 1].int()).abs().amax((1, 2)) > 5).float().mean() > 0.9  # nor grey


def test_one_digit_is_enough():
    assert make_street_digits(blocks(1), 0).shape == (1, 3, 28, 28)


def test_ink_and_ground_differ_in_luma_both_ways():
    ground, ink = street_digits._colours(500, devices.seeded(0, "test"))
    assert ground.shape == ink.shape == (500, 3, 1, 1)
    assert min(ground.min(), ink.min()) >= 0 and max(ground.max(), ink.max()) <= 1
    difference = (luma(ink, 1) - luma(ground, 1)).flatten()
    assert difference.abs().min() >= CONTRAST - 1e-6
    assert 0.4 < (difference > 0).float().mean() < 0.6


def test_digits_can_be_told_from_their_ground_in_the_picture(monkeypatch):
    monkeypatch.setattr(street_digits, "NEIGHBOUR", 0.0)
    pictures = luma(make_street_digits(blocks(300), 0), 1) / 255
    around = [
        pictures[:, rows, columns] for rows in (slice(4), slice(-4, None)) for columns in (slice(4), slice(-4, None))
    ]
    difference = pictures[:, 12:16, 12:16].mean((1, 2)) - torch.stack(around).mean((0, 2, 3))
    assert (difference.abs() > 0.12).float().mean() > 0.97 and difference.abs().mean() > 0.3
    assert 0.4 < (difference > 0).float().mean() < 0.6  # light on dark, dark on light


def test_there_are_neighbours_at_the_edges_only_as_often_as_said(monkeypatch):
    digits = blocks(400, half=10)
    for chance in (0.0, 0.5, 1.0):
        monkeypatch.setattr(street_digits, "NEIGHBOUR", chance)
        mask = street_digits._write(digits / 255, devices.seeded(0, "test"))
        assert mask.shape == (400, 1, 28, 28)
        for edge in (mask[..., 0], mask[..., -1]):
            assert abs((edge.amax((1, 2)) > 0.3).float().mean() - chance) < 0.1
        assert (mask[..., 14, 14] > 0.7).all()  # the digit itself is always there


def test_digits_are_moved_and_scaled(monkeypatch):
    monkeypatch.setattr(street_digits, "NEIGHBOUR", 0.0)
    mask = street_digits._write(blocks(300) / 255, devices.seeded(0, "test"))[:, 0]
    weight = mask.sum((1, 2))
    line = torch.arange(28.0)
    x, y = (mask.sum(1) @ line) / weight, (mask.sum(2) @ line) / weight
    assert (x - 13.5).abs().max() < 0.08 * 14 + 0.3 and (y - 13.5).abs().max() < 0.1 * 14 + 0.3
    assert x.std() > 0.5 and y.std() > 0.5
    assert weight.max() > 1.5 * weight.min()  # areas go from 0.85^2 to 1.15^2


@pytest.mark.parametrize(
    "digits",
    [
        blocks().float(),
        blocks()[:, 0],
        blocks().expand(-1, 3, -1, -1),
        blocks()[:0],
    ],
    ids=["floats", "no channels", "colour", "none"],
)
def test_other_images_are_one_line_errors(digits):
    with pytest.raises(ValueError, match=r"digits are .*give uint8 \[N, 1, S, S\]") as error:
        make_street_digits(digits, 0)
    assert "\n" not in str(error.value)
