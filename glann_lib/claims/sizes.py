"""Fewer parameters than a GAN (Sec. 4.1): what every model trains, and what it needs to draw, counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from glann_lib.config import Config
from glann_lib.glo import generator_of
from glann_lib.moments import make_mapper
from glann_lib.networks import count_parameters
from glann_lib.rivals import contenders as rivals
from glann_lib.rivals.config import GAMES
from glann_lib.rivals.gan import GAN
from glann_lib.rivals.vae import VAE


def count_all(keys: Sequence[str], config: Config, shape: Sequence[int], images: int) -> list[dict[str, Any]]:
    """A row a model for a table, {model, to draw, only to train, which are}: numbers that training changes.

    Args:
        keys: of GANs and VAEs in `rivals.contenders` (others are a ValueError); GLANN comes first.
        config: of the run.
        shape: of an image, (C, S, S).
        images: to train on; each has a code of its own in GLANN, which sampling does not need.
    """
    glo = config.glo
    drawing = count_parameters(generator_of(shape, glo)) + count_parameters(make_mapper(config.imle, glo.latent_dim))
    rows = [{"model": "GLANN", "to draw": drawing, "only to train": images * glo.latent_dim, "which are": "codes"}]
    for key in keys:
        if key not in (*GAMES, *rivals.LIKELIHOOD):
            known = ", ".join((*GAMES, *rivals.LIKELIHOOD))
            raise ValueError(f"{key!r} has no critic and no encoder: choose from {known}")
        none = torch.zeros(2, *shape, dtype=torch.uint8)
        kind, which = (GAN, "the critic") if key in GAMES else (VAE, "the encoder")
        stage = kind(none, rivals.rival_settings(key, config, 1, len(none)), torch.device("cpu"))
        drawing, other = map(count_parameters, stage.networks)
        label = rivals.CONTENDERS[key].label
        rows.append({"model": label, "to draw": drawing, "only to train": other, "which are": which})
    return rows
