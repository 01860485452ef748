"""Reconstruction losses between images: perceptual (Eq. 3), Laplacian pyramid (original GLO), L1, L2 and overlap.

Every loss compares two images by what a representation phi shows of them, a list of maps:

    loss(x, y) = sum over maps l of mean |phi_l(x) - phi_l(y)|^p

Pixels alone give L1 and L2, a Laplacian pyramid the loss of Bojanowski et al., pixels and VGG features the paper's
perceptual loss. So all share one signature, and a new loss is a new phi. The overlap of shapes is one of ours.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from glann_lib import features
from glann_lib.config import LOSSES, GLOConfig
from glann_lib.features import PerceptualRepresentation, copies_of

NUMBERS_AT_ONCE = 2**21  # that a processor subtracts and sums up at a time: they stay in its cache meanwhile


class ReconstructionLoss(nn.Module):
    """loss(x, y) = sum_l mean |phi_l(x) - phi_l(y)|^p, one number an image.

    Args:
        represent: phi, from images [N, C, H, W] in [0, 1] to a list of maps [N, ...].
        power: p, 1 or 2.
    """

    def __init__(self, represent: Callable[[Tensor], list[Tensor]], power: int = 1):
        super().__init__()
        self.represent, self.power = represent, power

    def forward(self, generated: Tensor, target: Tensor) -> Tensor:
        """The loss of each image.

        Args:
            generated: [N, C, H, W] in [0, 1]; gradients flow here.
            target: as `generated`; no gradient flows here, so none of its graph is built.

        Returns:
            float32 [N].
        """
        return self.compare(generated, self.targets(target))

    @torch.no_grad()
    def targets(self, images: Tensor) -> list[Tensor]:
        """phi of images to be matched; computed once, it serves every later `compare`."""
        return self.represent(images.detach())  # phi may hand the images on as they are

    def targets_of(self, images: Tensor) -> list[Tensor]:
        """`targets` of images uint8 [N, C, H, W], 0 to 255, or of voxels bool [N, S, S, S]."""
        return self.targets(unit(images))

    def compare(self, generated: Tensor, targets: list[Tensor]) -> Tensor:
        """`forward` with the targets' phi at hand, from `targets` or an `engine.targets.TargetCache`."""
        return self.compare_maps(self.represent(generated), targets)

    def compare_maps(self, maps: list[Tensor], targets: list[Tensor]) -> Tensor:
        """The same with both images' phi at hand."""
        pairs = zip(maps, targets, strict=True)
        if self.power == 1:
            return sum(MeanAbsoluteDifference.apply(a, b) for a, b in pairs)
        return sum((a - b).square().flatten(1).mean(1, dtype=torch.float32) for a, b in pairs)

    @torch.no_grad()
    def distances(self, generated: Tensor, targets: list[Tensor]) -> Tensor:
        """The loss of every pair, float32 [N targets, M generated]: for small maps, as it compares them all."""
        pairs = zip(targets, self.represent(generated), strict=True)
        rows = ((a.flatten(1).float(), b.flatten(1).float()) for a, b in pairs)
        return sum(torch.cdist(a, b, p=self.power).pow(self.power) / a.shape[1] for a, b in rows)


class OverlapLoss(ReconstructionLoss):
    """sum |phi(x) - phi(y)| / sum max(phi(x), phi(y)): of voxels that are 0 or 1 it is 1 - IoU (ours, beside L1).

    L1 divides by the whole cube, so the fewer voxels a shape has, the less each counts. Here the union of the two does.
    """

    def compare_maps(self, maps: list[Tensor], targets: list[Tensor]) -> Tensor:
        """The same with both images' phi at hand."""
        pairs = zip(maps, targets, strict=True)
        return sum(_of_union(MeanAbsoluteDifference.apply(a, b), _mean(a), _mean(b)) for a, b in pairs)

    @torch.no_grad()
    def distances(self, generated: Tensor, targets: list[Tensor]) -> Tensor:
        """The loss of every pair, float32 [N targets, M generated]."""
        pairs = zip(targets, self.represent(generated), strict=True)
        rows = ((a.flatten(1).float(), b.flatten(1).float()) for a, b in pairs)
        return sum(_of_union(torch.cdist(a, b, p=1) / a.shape[1], _mean(a)[:, None], _mean(b)) for a, b in rows)


def _of_union(difference: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Mean |a - b| as a part of mean max(a, b) = (a + b + |a - b|) / 2, from means; of two empty maps 0."""
    return 2 * difference / (a + b + difference).clamp(min=1e-12)


def _mean(maps: Tensor) -> Tensor:
    return maps.flatten(1).mean(1, dtype=torch.float32)


class MeanAbsoluteDifference(torch.autograd.Function):
    """mean |a - b| of each row [N], in float32; the gradient goes to `a` alone.

    The maps are large: time is memory traffic, and torch's own abs and mean keep and read more maps than this does.
    """

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor) -> Tensor:
        """mean |a - b| over all but the first dimension."""
        difference, ctx.size = torch.empty_like(a), a[0].numel()
        rows = max(1, NUMBERS_AT_ONCE // ctx.size) if a.device.type == "cpu" else len(a)
        parts = zip(*(values.split(rows) for values in (a, b, difference)), strict=True)
        sums = [_sum_of_sizes(torch.sub(left, right, out=out)) for left, right, out in parts]
        ctx.save_for_backward(difference)
        return torch.cat(sums) / ctx.size

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        """sign(a - b) / size, times the incoming gradient [N]."""
        (difference,) = ctx.saved_tensors
        scale = (gradient / ctx.size).to(difference.dtype).view(-1, *(1,) * (difference.dim() - 1))
        return difference.sign().mul_(scale), None


def _sum_of_sizes(values: Tensor) -> Tensor:
    """sum |values| of each row [N], in float32."""
    sizes = values.abs()
    # Read in the order in which channels-last maps lie: one sum over one dimension is the fastest.
    rows = sizes.movedim(1, -1).flatten(1) if sizes.dim() == 4 else sizes.flatten(1)
    return rows.sum(1, dtype=torch.float32)


def unit(values: Tensor) -> Tensor:
    """Images uint8, 0 to 255, or voxels bool -> float32 in [0, 1], of the same shape."""
    return values.float() if values.dtype == torch.bool else values.float() / 255


def smaller(images: Tensor, side: int) -> Tensor:
    """Images [N, C, S, S] of at most `side` px by means of pixels, uint8 or float as before; small ones as they are."""
    part = images.shape[-1] // side
    if part < 2:
        return images
    if images.is_floating_point():
        return avg_pool2d(images, part)
    return torch.cat([avg_pool2d(rows.float(), part).round().to(images.dtype) for rows in images.split(64)])


class Halved(nn.Module):
    """`represent` of images [N, C, S, S] at half their side."""

    def __init__(self, represent: Callable[[Tensor], list[Tensor]]):
        super().__init__()
        self.represent = represent

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps of images [N, C, S, S] in [0, 1]."""
        return self.represent(avg_pool2d(images, 2))


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """Band-pass maps, finest first, and the last low-pass map, of images [N, C, H, W] (Bojanowski et al., Sec. 3.2).

    Level j has 4^j times fewer pixels and weighs 2^(2j) in their sum, so that its mean weighs as much as any other's.
    """
    maps = []
    while min(images.shape[-2:]) > 4:
        smaller = avg_pool2d(images, 2, ceil_mode=True)
        maps.append(images - interpolate(smaller, images.shape[-2:], mode="bilinear", align_corners=False))
        images = smaller
    return [*maps, images]


def make_loss(
    name: str,
    image_size: int,
    dtype: torch.dtype = torch.float32,
    copies: int | None = None,
    subsampling: str = "bilinear",
) -> ReconstructionLoss:
    """The loss called `name`, on the CPU; move it with `.to(device)`.

    Args:
        name: in LOSSES; those of a VGG are perceptual, see features.make_extractor.
        image_size: px.
        dtype: number format of the frozen network.
        copies: smaller copies of an image that a perceptual loss sees, too (Sec. 5); None: as many as the size asks.
        subsampling: how they are made, a name in features.SUBSAMPLINGS.

    Raises:
        ValueError: unknown name; more copies than the size has.
        FileNotFoundError: a weights file is missing; says where to put it.
    """
    if name not in LOSSES:
        raise ValueError(f"unknown loss {name!r}: choose one of {', '.join(LOSSES)}")
    if name in features.EXTRACTORS:
        sides = image_size, *copies_of(image_size, copies)
        extractors = [features.make_extractor(name, side, dtype) for side in sides]
        return ReconstructionLoss(PerceptualRepresentation(extractors, subsampling))
    if name == "laplacian":
        return ReconstructionLoss(laplacian_pyramid)
    if name == "iou":
        return OverlapLoss(lambda images: [images])
    return ReconstructionLoss(lambda images: [images], power=2 if name == "l2" else 1)


def loss_of(
    config: GLOConfig, image_size: int, dtype: torch.dtype = torch.float32, coarse: bool = False
) -> ReconstructionLoss:
    """The loss of some settings of stage 1, `coarse`: in its first epochs; errors are `make_loss`'s."""
    if coarse:
        half = make_loss(config.loss, image_size // 2, dtype, subsampling=config.subsampling)
        return type(half)(Halved(half.represent), half.power)
    return make_loss(config.loss, image_size, dtype, config.loss_copies, config.subsampling)
