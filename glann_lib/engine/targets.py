"""What a loss sees of the training images, kept: they never change, so neither do its maps of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from glann_lib.engine import devices

Maps = Callable[[Tensor], list[Tensor]]  # of images uint8 [N, C, H, W] or voxels bool [N, S, S, S], a row an image each


class TargetCache:
    """The maps of a whole data set, computed once.

    Args:
        targets_of: makes them of some images, for example ReconstructionLoss.targets_of.
        images: uint8 [N, C, H, W], or voxels bool [N, S, S, S].
        device: where the maps are made and kept.
    """

    def __init__(self, targets_of: Maps, images: Tensor, device: torch.device):
        self.levels: list[Tensor] = []
        at_once = devices.images_at_once(128, images.shape[-1])
        for start in range(0, len(images), at_once):
            batch = images[start : start + at_once].to(device)
            parts = [_channels_last(level) for level in targets_of(batch)]
            # Filled in place: joining the parts at the end would take twice the memory.
            self.levels = self.levels or [part.new_empty(len(images), *part.shape[1:]) for part in parts]
            for level, part in zip(self.levels, parts, strict=True):
                level[start : start + at_once] = part

    def __getitem__(self, rows: Tensor) -> list[Tensor]:
        """The targets of images by number, for `ReconstructionLoss.compare`."""
        return [level[rows].movedim(-1, 1) if level.dim() == 4 else level[rows] for level in self.levels]

    @staticmethod
    def size(targets_of: Maps, images: Tensor, device: torch.device) -> int:
        """Bytes that a cache of these images would take."""
        one = targets_of(images[:1].to(device))
        return len(images) * sum(level.nbytes for level in one)


class TargetsByRow:
    """The maps of training images by number: kept in memory where that fits, else computed anew.

    Args:
        targets_of: makes them of some images, on `device`.
        images: uint8 [N, C, H, W], or voxels bool [N, S, S, S], wherever they are.
        device: of the targets.
        cache_mib: the maps of all images are kept where they take no more than so many MiB, on a GPU also where they
            take no more than half of what is free; 0: never.
    """

    def __init__(self, targets_of: Maps, images: Tensor, device: torch.device, cache_mib: int):
        self.targets_of, self.device = targets_of, device
        self.cache: TargetCache | None = None
        if TargetCache.size(targets_of, images, device) <= devices.memory_budget(cache_mib, device):
            try:
                self.cache = TargetCache(targets_of, images, device)
            except torch.OutOfMemoryError:
                self._say_given_up()

    def __call__(self, rows: Tensor, images: Tensor) -> list[Tensor]:
        """The targets of images, uint8 or bool [B, ...] of numbers int [B], for `ReconstructionLoss.compare`."""
        return self.targets_of(images) if self.cache is None else self.cache[rows]

    def give_up_cache(self) -> bool:
        """Free the memory that the maps take, and say so; False where there are none to free."""
        held, self.cache = self.cache is not None, None
        if held:
            self._say_given_up()
        return held

    def _say_given_up(self) -> None:
        what = "features of the training images are computed at every step"
        print(f"memory is short on {self.device}: {what}", flush=True)


def _channels_last(level: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H, W, C] in memory, so that picked rows are channels-last, as the network's own maps are."""
    return level.movedim(1, -1).contiguous() if level.dim() == 4 else level
