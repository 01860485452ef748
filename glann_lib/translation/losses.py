"""What T(G(z)) is compared with a source image by: the losses of stage 1, and one that does not see colours.

A source domain may vary in what the target domain does not know: a street digit has colours, a handwritten one has
none, so no mapping from G's images can tell which colours to draw. NAM leaves that to T and the loss. `UpToColour`
takes it out: T draws one grey map, and each source image may choose the two colours that suit it best.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glann_lib.losses import ReconstructionLoss, make_loss
from glann_lib.translation.config import UP_TO_COLOUR

SEEN = 0.6  # of half the width: beyond it an image hardly counts, as its neighbours stand there
FLAT = 1e-3  # added to a map's length: one that is flat explains nothing


class UpToColour(ReconstructionLoss):
    """loss(t, y) = min over colours a, b in R^3 of mean w |a + b t - y|^2: what a map t does not explain of an image y.

    The weights w = exp(-(x / 0.6)^4), of mean 1, x from -1 at the left edge to 1 at the right, let the middle count: a
    number on a house stands between others, of which a mapping cannot know. For each channel the best a and b are those
    of a weighted linear regression, so that the loss has a closed form. Light digits on dark ground and dark ones on
    light are the same to it. Maps are [N, 1, S, S], images [N, C, S, S], in [0, 1].
    """

    def __init__(self):
        super().__init__(lambda images: [_centred(images)], power=2)

    def compare(self, generated: Tensor, targets: list[Tensor]) -> Tensor:
        """The loss of each pair of a map and an image, float32 [N]."""
        (wanted,) = targets
        explained = (wanted * _direction(generated)[:, None]).sum(2).square().sum(1)
        return (wanted.square().sum((1, 2)) - explained) / wanted[0].numel()

    @torch.no_grad()
    def distances(self, generated: Tensor, targets: list[Tensor]) -> Tensor:
        """The loss of every pair, [N targets, M generated]."""
        (wanted,) = targets
        explained = (wanted.flatten(0, 1) @ _direction(generated).T).square()
        explained = explained.unflatten(0, wanted.shape[:2]).sum(1)
        return (wanted.square().sum((1, 2))[:, None] - explained) / wanted[0].numel()

    @torch.no_grad()
    def painted(self, generated: Tensor, images: Tensor) -> Tensor:
        """Maps in the colours that bring them nearest to the images; in [0, 1]."""
        direction, wanted = _direction(generated)[:, None], _centred(images)
        slope = (wanted * direction).sum(2, keepdim=True)
        weights = _weights(images)
        drawn = slope * direction / weights.sqrt() + (images.flatten(2) * weights).mean(2, keepdim=True)
        return drawn.unflatten(2, images.shape[2:]).clamp(0, 1)


def make_translation_loss(name: str, image_size: int, dtype: torch.dtype = torch.float32) -> ReconstructionLoss:
    """The loss called `name`, one of TRANSLATION_LOSSES, on the CPU; size in px, errors and `dtype` as `make_loss`."""
    return UpToColour() if name == UP_TO_COLOUR else make_loss(name, image_size, dtype)


def _centred(images: Tensor) -> Tensor:
    """Images without their mean colours, times the roots of the weights, [N, C, S^2]."""
    flat, weights = images.flatten(2), _weights(images)
    return (flat - (flat * weights).mean(2, keepdim=True)) * weights.sqrt()


def _weights(images: Tensor) -> Tensor:
    """How much each pixel counts, [S^2], of mean 1."""
    across = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    weights = torch.exp(-((across / SEEN) ** 4))
    return (weights / weights.mean()).repeat(images.shape[-2])


def _direction(maps: Tensor) -> Tensor:
    """Maps likewise, at length 1, [N, S^2]."""
    centred = _centred(maps).squeeze(1)
    return centred / (centred.norm(dim=1, keepdim=True) + FLAT)
