"""Moments: T with the codes' own mean and covariance (ours), and codes that start from the images' components.

Eq. 4 picks one of M noises for a code, so what T learns of a code is log2 M bits, 13 of 10,000 noises. They go to the
directions in which codes vary most; in the others T gives the mean, as any code of so few bits would (reverse water
filling). Where those directions hold what an eye sees, texture above all, samples come out smooth. So T(e), put on the
unit sphere, is mapped on linearly, as little as will do, until its mean and covariance are those of the codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glann_lib.config import IMLEConfig
from glann_lib.engine import ranks
from glann_lib.losses import smaller, unit
from glann_lib.networks import LatentMapper, unit_length

SMALLEST = 1e-10  # of the largest variance; directions with less have none
PCA_IMAGES, PCA_SIDE = 10_000, 64  # at most, images and px, from which the principal components are found


class MatchedMapper(nn.Module):
    """z = shift + T(e) / |T(e)| colour: noise [N, noise_dim] to latents [N, latent_dim].

    Args:
        mapper: T; until `match` the linear map leaves its unit vectors as they are.
    """

    def __init__(self, mapper: LatentMapper):
        super().__init__()
        self.mapper, self.noise_dim, self.latent_dim = mapper, mapper.noise_dim, mapper.latent_dim
        self.register_buffer("colour", torch.eye(mapper.latent_dim))
        self.register_buffer("shift", torch.zeros(mapper.latent_dim))

    def forward(self, e: Tensor) -> Tensor:
        """Latents [N, latent_dim] of noises [N, noise_dim] drawn from N(0, I)."""
        return torch.addmm(self.shift, unit_length(self.mapper(e)), self.colour)

    @torch.no_grad()
    def match(self, latents: Tensor, mapped: Tensor) -> None:
        """Take the linear map that moves T's unit vectors least on their way to the latents' mean and covariance.

        It is that of optimal transport between two Gaussians, A = S^-1/2 (S^1/2 C S^1/2)^1/2 S^-1/2 with the
        covariances S of T's unit vectors and C of the latents.

        Args:
            latents: [N, latent_dim], the codes; of several processes each one's share.
            mapped: [M, latent_dim], T of fresh noises, M at least 2.
        """
        (mean, covariance), (wanted_mean, wanted) = ranks.moments(unit_length(mapped)), ranks.moments(latents, True)
        root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
        colour = inverse @ _power(root @ wanted @ root, 0.5) @ inverse  # symmetric
        self.colour.copy_(colour)
        self.shift.copy_(wanted_mean - mean @ colour)


Mapper = LatentMapper | MatchedMapper


def make_mapper(config: IMLEConfig, latent_dim: int) -> Mapper:
    """The untrained mapping that samples of these settings are drawn from."""
    mapper = LatentMapper(config.noise_dim, latent_dim, config.hidden_dim)
    return MatchedMapper(mapper) if config.moments == "matched" else mapper


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric matrix that has no negative eigenvalue; those that are nearly 0 stay 0."""
    values, vectors = torch.linalg.eigh(matrix)
    powers = values.clamp(min=0).pow(exponent).where(values > SMALLEST * values[-1], 0.0)
    return (vectors * powers) @ vectors.T


def principal_codes(images: Tensor, noise: Tensor) -> Tensor:
    """Where latents may start: the images' principal components (original GLO), plus `noise` [N, D], at length 1.

    There are D components, or as many as the images have, found from at most PCA_IMAGES of them; of large images, from
    means of pixels, PCA_SIDE a side. The search begins at random, by torch's global generator.
    """
    values = smaller(images, PCA_SIDE).flatten(1)
    few = unit(values[torch.randperm(len(values))[:PCA_IMAGES]])
    mean, count = few.mean(0), min(noise.shape[1], *few.shape)
    wider = min(count + 16, *few.shape)  # the search is exact for all but the last of what it looks for
    directions = torch.pca_lowrank(few, wider, niter=4)[2][:, :count]
    parts = torch.cat([(unit(rows) - mean) @ directions for rows in values.split(1000)])
    codes = noise.clone()
    codes[:, :count] += parts / parts.square().sum(1).mean().sqrt().clamp(min=1e-6)
    return unit_length(codes)
