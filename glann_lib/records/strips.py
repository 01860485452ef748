"""A training to be watched: now and then a strip of what it draws, as a file and in the notebook that runs it."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from glann_lib.engine import storage
from glann_lib.losses import smaller

MOST = 256  # px of an image in a strip; larger ones are shrunk
NARROW, WIDE = 640, 1000  # px of a strip on the page, at least and at most


class Strips:
    """Originals above, redrawn beneath, and new ones: a PNG every time that it is called, and in a notebook the last.

    Args:
        folder: for `epoch_0010.png` and so on.
        originals: uint8 [N, C, S, S], the first training images.
    """

    def __init__(self, folder: Path, originals: Tensor):
        self.folder, self.originals, self.display = folder, originals, None

    def __call__(self, epoch: int, redrawn: Tensor, new: Tensor) -> None:
        """Show an epoch's images, uint8 [n, C, S, S] both; shapes, which have no pixels, are left out."""
        if redrawn.dim() != 4 or redrawn.shape[1] not in (1, 3):
            return
        rows = smaller(torch.cat([self.originals[: len(redrawn)], redrawn, new]), MOST)
        picture = make_grid(rows, nrow=len(redrawn), pad_value=255).permute(1, 2, 0).contiguous()
        content = io.BytesIO()
        Image.fromarray(picture.numpy()).save(content, "PNG")
        storage.write_bytes(self.folder / f"epoch_{epoch:04}.png", content.getvalue())
        self._show(content.getvalue(), min(WIDE, max(NARROW, picture.shape[1])))

    def _show(self, content: bytes, width: int) -> None:
        try:
            from IPython import display, get_ipython
        except ImportError:  # not in a notebook
            return
        if get_ipython() is None:
            return
        image = display.Image(content, width=width)
        if self.display is None:
            self.display = display.display(image, display_id=True)
        else:
            self.display.update(image)
