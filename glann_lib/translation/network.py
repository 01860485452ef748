"""The mapping T between image domains, NAM's cascade of scales (Hoshen and Wolf, ECCV 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

SCALES = 4  # each twice as fine as the one before; the last is the image's own
EDGE = 0.02  # black and white count as so much from their ends, where the sigmoid would have no gradient
WIDTHS = (4, 3, 2, 1)  # of the scales, in multiples of the finest one's: 128, 96, 64 and 32 channels


class TranslationNetwork(nn.Module):
    """T: images of the target domain to what they look like in the source domain.

    At each scale one convolution sees the image, pooled to that scale, and what the scale below made of it. At 32 px
    the scales are 4, 8, 16 and 32 px. Size is height and width of both domains, a ValueError below 16 px; channels come
    in from the target domain and leave for the source domain; width is the channels of the finest scale, 32 in NAM.
    With `identity` T changes nothing before it is trained, and learns what to add; the channels must then be equal.
    """

    def __init__(self, size: int, channels_in: int, channels_out: int, width: int = 32, identity: bool = False):
        super().__init__()
        if identity and channels_in != channels_out:
            raise ValueError(
                f"T leads from {channels_in} channels to {channels_out}: to begin as the identity both domains must be "
                "grey or both in colour; choose nam_start=random"
            )
        if size < 2**SCALES:
            raise ValueError(f"images are {size} px: {2**SCALES} px or more are needed for {SCALES} scales")
        self.sizes = [-(-size // 2**level) for level in reversed(range(SCALES))]
        widths = [width * multiple for multiple in WIDTHS]
        self.scales = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels_in + below, own, kernel_size=3, padding=1), nn.BatchNorm2d(own), nn.LeakyReLU(0.2)
            )
            for below, own in zip([0, *widths], widths, strict=False)
        )
        self.last = nn.Conv2d(widths[-1], channels_out, kernel_size=3, padding=1)
        self.identity = identity
        if identity:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)
        self.to(memory_format=torch.channels_last)  # few channels: a third of the time on processors

    def forward(self, images: Tensor) -> Tensor:
        """[N, channels_out, S, S] in [0, 1], of images [N, channels_in, S, S] in [0, 1]."""
        images, maps = images.contiguous(memory_format=torch.channels_last), None
        for size, scale in zip(self.sizes, self.scales, strict=True):
            seen = adaptive_avg_pool2d(images, size)
            if maps is not None:
                maps = interpolate(maps, (size, size), mode="bilinear", align_corners=False)
                seen = torch.cat([seen, maps.to(seen.dtype)], dim=1)
            maps = scale(seen)
        change = self.last(maps)
        return torch.sigmoid(change + images.logit(eps=EDGE) if self.identity else change)
