"""Translation of unseen images with a mapping T that NAM has learned: T frozen, a latent sought for each image.

    z = arg min loss(T(G(z)), y),  the translation of y is G(z)

Each image starts from several latents, all of them at once, and the best is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glann_lib import inversion, sampling
from glann_lib.translation.losses import UpToColour, make_translation_loss
from glann_lib.translation.nam import Translator
from glann_lib.translation.search import code_lr, first_codes, nearest_in_memory


@dataclass(frozen=True)
class Translation:
    """What source images became."""

    images: Tensor  # uint8 [N, C', S, S], G(z): the translations
    explained: Tensor  # uint8 [N, C, S, S], T(G(z)); with the loss up-to-colour in the colours nearest to the source's
    loss: Tensor  # float32 [N], between those and the source images
    codes: Tensor  # float32 [N, D], what was found: latents, or noises where that is searched


def translate(translator: Translator, images: Tensor) -> Translation:
    """Translate images of the source domain, uint8 [N, C, S, S], that T has not seen.

    Each image starts from the settings' `restarts` codes, random ones, and Adam goes `test_steps` steps from each; with
    0 the best start is taken as it is. With the search "memory" that is so at all times: the starts are the latents
    nearest by the loss. ValueError: images of another shape or type than those that T was learned from, or none.
    """
    config, target, network = translator.config, translator.target, translator.network
    known = translator.image_shape
    if images.dtype != torch.uint8 or images.dim() != 4 or tuple(images.shape[1:]) != known or not len(images):
        given, wanted = f"{images.dtype} {list(images.shape)}", ", ".join(map(str, known))
        raise ValueError(f"images are {given}: give uint8 [N, {wanted}], one or more, as T was learned from")
    device = next(network.parameters()).device
    loss = make_translation_loss(config.loss, images.shape[-1], getattr(torch, translator.precision)).to(device)
    if config.search == "memory":
        start, steps = target.latents[nearest_in_memory(network, loss, target.memory, images, config.restarts)], 0
    else:
        start = first_codes(len(images) * config.restarts, target, config.search, config.seed, "nam test codes")
        start, steps = start.unflatten(0, (len(images), config.restarts)), config.test_steps

    def render(codes: Tensor) -> Tensor:
        return network(target.draw(codes, config.search))

    lr = code_lr(config.test_lr, start, config.search)
    found = inversion.refine(render, start.to(device), images, loss, steps, lr)
    latents = sampling.run_blocks(target.mapper, found.codes) if config.search == "noise" else found.codes
    drawn = sampling.decode(target.generator, latents)
    explained = found.images
    if isinstance(loss, UpToColour):
        painted = loss.painted(explained.float() / 255, images.float() / 255)
        explained = painted.mul(255).round().to(torch.uint8)
    return Translation(drawn, explained, found.loss, found.codes)
