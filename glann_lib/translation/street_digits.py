"""Street digits: handwritten digits as they might stand on a house, in random colours on random grounds, among others.

The look is that of SVHN (coloured digits, light on dark or dark on light, parts of their neighbours at the edges), the
digits are real handwriting. They are no photographs, and are never called SVHN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from glann_lib.engine.devices import seeded

CONTRAST = 0.3  # least difference in luma, of 1, between ink and ground: every digit can be read
LUMA = (0.299, 0.587, 0.114)  # Rec. 601
NEIGHBOUR = 0.7  # chance that there is a digit on either side


def make_street_digits(digits: Tensor, seed: int) -> Tensor:
    """Paint each digit once, uint8 [N, 3, S, S]; the same digits and seed give the same pictures.

    Digits are uint8 [N, 1, S, S], light on black, else a ValueError; the neighbours are drawn from them, too.
    """
    square = digits.dim() == 4 and digits.shape[2] == digits.shape[3]
    if digits.dtype != torch.uint8 or not square or digits.shape[1] != 1 or 0 in digits.shape:
        raise ValueError(f"digits are {digits.dtype} {list(digits.shape)}: give uint8 [N, 1, S, S]")
    random, size = seeded(seed, "street digits"), digits.shape[-1]
    mask = _write(digits.float() / 255, random)
    ground, ink = _colours(len(digits), random)
    shade = 0.3 * _clouds(len(digits), 1, 4, size, random)
    tint = 0.16 * _clouds(len(digits), 3, 3, size, random)
    light = 0.2 * _clouds(len(digits), 1, 2, size, random)
    grain = 0.03 * torch.randn(len(digits), 1, size, size, generator=random)
    picture = torch.lerp(ground + shade + tint, ink + 0.3 * shade, mask) + light + grain
    return picture.clamp(0, 1).mul(255).round().to(torch.uint8)


def _write(digits: Tensor, random: torch.Generator) -> Tensor:
    """Where there is ink, 0 to 1 [N, 1, S, S]: each digit moved and scaled, with others beside some of them."""
    count = len(digits)
    scale = 0.85 + 0.3 * _uniform(count, random)
    x, y = 0.08 * (2 * _uniform(count, random) - 1), 0.1 * (2 * _uniform(count, random) - 1)
    ink = _moved(digits, x, y, scale)
    for side in (-1, 1):
        others = digits[torch.randperm(count, generator=random)]
        there = (_uniform(count, random) < NEIGHBOUR).float().view(-1, 1, 1, 1)
        distance = (1.25 + 0.25 * _uniform(count, random)) * scale  # half widths: parts of it are cut off
        up = 0.06 * (2 * _uniform(count, random) - 1)
        ink = torch.maximum(ink, there * _moved(others, x + side * distance, y + up, scale))
    return ink


def _moved(images: Tensor, x: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """Images [N, 1, S, S] scaled about their centres, then moved by x and y [N], in half widths."""
    grow = torch.zeros(len(images), 2, 3)
    grow[:, 0, 0] = grow[:, 1, 1] = 1 / scale
    grow[:, 0, 2], grow[:, 1, 2] = -x / scale, -y / scale
    return grid_sample(images, affine_grid(grow, images.shape, align_corners=False), align_corners=False)


def _colours(count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ground and ink, each [N, 3, 1, 1]: drawn again where their lumas are too near."""
    pairs = torch.rand(count, 2, 3, generator=random)
    while True:
        luma = pairs @ torch.tensor(LUMA)
        near = (luma[:, 0] - luma[:, 1]).abs() < CONTRAST
        if not near.any():
            return tuple(pairs[..., None, None].unbind(1))
        pairs[near] = torch.rand(int(near.sum()), 2, 3, generator=random)


def _clouds(count: int, channels: int, coarse: int, size: int, random: torch.Generator) -> Tensor:
    """Smooth noise around 0, [N, channels, size, size], from a grid of `coarse` values a side in [-1/2, 1/2]."""
    grid = torch.rand(count, channels, coarse, coarse, generator=random) - 0.5
    return interpolate(grid, (size, size), mode="bicubic", align_corners=True)


def _uniform(count: int, random: torch.Generator) -> Tensor:
    return torch.rand(count, generator=random)
