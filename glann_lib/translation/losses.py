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

FLAT = 1e-3  # added to a map's length: one that is flat explains nothing


class UpToColour(ReconstructionLoss):
    """loss(t, y) = min over colours a, b in R^3 of mean |a + b t - y|^2: what a map t leaves unexplained of an image y.

    For each channel the best a and b are those of a linear regression, so that the loss has a closed form. Light digits
    on dark ground and dark ones on light are the same to it. Maps are [N, 1, S, S], images [N, C, S, S], in [0, 1].
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
        drawn = (slope * direction).unflatten(2, images.shape[2:]) + images.mean((2, 3), keepdim=True)
        return drawn.clamp(0, 1)


def make_translation_loss(name: str, image_size: int, dtype: torch.dtype = torch.float32) -> ReconstructionLoss:
    """The loss called `name`, one of TRANSLATION_LOSSES, on the CPU; size in px, errors and `dtype` as `make_loss`."""
    return UpToColour() if name == UP_TO_COLOUR else make_loss(name, image_size, dtype)


def _centred(images: Tensor) -> Tensor:
    """Images without their mean colours, [N, C, S^2]."""
    return (images - images.mean((2, 3), keepdim=True)).flatten(2)


def _direction(maps: Tensor) -> Tensor:
    """Maps without their mean, at length 1, [N, S^2]."""
    centred = _centred(maps).squeeze(1)
    return centred / (centred.norm(dim=1, keepdim=True) + FLAT)
