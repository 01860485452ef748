"""Untrained models of few maps, whose BatchNorms are away from where they start."""

import torch
from torch.nn.functional import normalize

from glann_lib.config import make_config
from glann_lib.engine.devices import scoped_seed
from glann_lib.glo import generator_of
from glann_lib.model import Glann
from glann_lib.moments import make_mapper

CLASSES = ("low", "middle", "high")


def small_model(size=28, channels=1, normalisation="batch", moments="learned", with_labels=True, features=8):
    """A model of `size` px with 60 codes, in three classes where it has labels."""
    settings = {"data_image_size": size, "glo_latent_dim": 16, "glo_feature_channels": features}
    settings |= {"glo_normalisation": normalisation, "imle_moments": moments, "imle_noise_dim": 8}
    config = make_config("digits", **settings, imle_hidden_dim=16)
    with scoped_seed(0, "small model"), torch.no_grad():
        generator = generator_of((channels, size, size), config.glo)
        mapper = make_mapper(config.imle, 16)
        latents = normalize(torch.randn(60, 16))
        for network in (generator, mapper):
            for name, tensor in network.state_dict().items():
                if tensor.dim() > 1 and normalisation == "lucic":  # whose weights begin small
                    tensor.mul_(4)
                elif tensor.dim() == 1:  # biases, and what a BatchNorm has
                    tensor.copy_(torch.rand(len(tensor)) + 0.5 if "var" in name else torch.randn(len(tensor)) / 2)
        generator.layers[10].weight.mul_(20)  # images of all grey levels
        if moments == "matched":
            mapper.match(latents, torch.randn(200, 16))
    labels = torch.arange(60) % 3 if with_labels else None
    return Glann(generator, mapper, latents, config, {}, labels, CLASSES if with_labels else ())
