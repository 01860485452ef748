"""A slider's move in the playground: from new amounts along directions to the picture's bytes for the browser."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.material import Sizes, make_generator, make_latents
from benchmarks.timing import Comparison, count_operations, timed
from glann_lib.sampling import LIVE, decode
from glann_lib.widgets.latent_directions import move, principal_directions
from glann_lib.widgets.picture import png_bytes

MOVES = 10  # timed together: one alone is over too soon


def compare_move(sizes: Sizes, device: torch.device, repeats: int, size: int, channels: int) -> list[Comparison]:
    """One picture of G(z), z moved along five principal directions, against matplotlib drawing the same image anew."""
    generator, latents = make_generator(size, channels, device).eval(), make_latents(sizes.steps * sizes.batch)
    directions = principal_directions(latents, 5)
    amounts = torch.linspace(-3, 3, MOVES)

    def codes(number: int) -> Tensor:
        return move(latents[:1], directions, [amounts[number].item()] * len(directions))

    def here(_: int) -> list[bytes]:
        return [png_bytes(decode(generator, codes(number), block=LIVE)[0]) for number in range(MOVES)]

    works = [here, lambda _: [redraw(generator, codes(number).to(device)) for number in range(MOVES)]]
    operations = count_operations(lambda: here(0))
    (ours, sent), (book, _) = timed(works, repeats, True, device)
    shown = np.stack([np.atleast_3d(Image.open(io.BytesIO(picture))) for picture in sent[0]])
    with torch.no_grad():
        plain = np.stack([_pixels(generator(codes(number).to(device))) for number in range(MOVES)])
    gap = int(np.abs(shown.astype(int) - plain).max())
    return [
        Comparison(
            f"a slider's move, {size} px, {'grey' if channels == 1 else 'colour'}", ours.part(MOVES),
            "matplotlib draws the image as a new figure", book.part(MOVES), f"{gap} of 255 grey levels",
            {"grey_levels": gap}, {name: count / MOVES for name, count in operations.items()},
        )
    ]  # fmt: skip


@torch.no_grad()
def redraw(generator: torch.nn.Module, code: Tensor) -> bytes:
    """G(z) of a latent [1, D] as `ipywidgets.interact` shows it: a figure is made, drawn and sent as PNG."""
    figure, ax = plt.subplots(figsize=(3, 3))
    ax.imshow(_pixels(generator(code)), cmap="gray", vmin=0, vmax=255)
    ax.axis("off")
    buffer = io.BytesIO()
    figure.savefig(buffer)
    plt.close(figure)
    return buffer.getvalue()


def _pixels(images: Tensor) -> np.ndarray:
    """The first of images [N, C, S, S] in [0, 1] as uint8 [S, S, C]."""
    return images[0].mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
