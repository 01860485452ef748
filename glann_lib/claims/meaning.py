"""Distances between codes mean something, and attributes are linear in them (Sec. 1, 3.1 and 3.4.1).

What is compared: the codes z, pixels, as many principal components of pixels as a code has numbers, a VAE's codes. All
are vectors [N, D] of the training images, so a probe is judged on images that it was not fitted to.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from glann_lib.engine import devices, training
from glann_lib.losses import unit
from glann_lib.rivals.config import VAEConfig
from glann_lib.rivals.vae import VAE

FOLDS = 5
PENALTIES = tuple(10.0**power for power in range(-2, 5))  # of the ridge, among which the fitted images choose


@dataclass(frozen=True)
class Measured:
    """A mean and its standard error."""

    value: float
    error: float


def triplets(vectors: Tensor, labels: Tensor, count: int = 20_000, seed: int = 0) -> Measured:
    """How often an image is nearer, by Euclidean distance, to one of its own class than to one of another.

    Args:
        vectors: [N, D].
        labels: int64 [N], of 2 classes or more, at least one of them with two images (else a ValueError).
        count: triplets, at most; many small classes give fewer.
        seed: of the draw.

    Returns:
        A part from 0 to 1; half is chance. Its error takes the triplets for independent: of few images it is too small.
    """
    sizes = labels.bincount()
    if (sizes > 0).sum() < 2 or sizes.max() < 2:
        raise ValueError("triplets need two classes, and two images of one: give images with such labels")
    random = devices.seeded(seed, "triplets")
    anchor, same, other = torch.randint(len(labels), (3, 40 * count), generator=random)
    fits = (labels[anchor] == labels[same]) & (anchor != same) & (labels[anchor] != labels[other])
    anchor, same, other = (rows[fits][:count] for rows in (anchor, same, other))
    nearer = [
        (vectors[a] - vectors[s]).norm(dim=1) < (vectors[a] - vectors[o]).norm(dim=1)
        for a, s, o in zip(anchor.split(1000), same.split(1000), other.split(1000), strict=True)
    ]
    part = torch.cat(nearer).double()
    return Measured(part.mean().item(), part.std().item() / len(part) ** 0.5)


def probe(vectors: Tensor, labels: Tensor, seed: int = 0) -> Measured:
    """Accuracy of a linear classifier of vectors [N, D], labels int64 [N], on images that it was not fitted to.

    Logistic regression in five stratified folds. A class with fewer than five images is a ValueError.
    """
    rarest = labels.bincount()[labels.unique()].min().item()
    if rarest < FOLDS:
        raise ValueError(f"a class has {rarest} images: a probe needs {FOLDS} or more of each")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, tol=1e-3))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return _measured(cross_val_score(model, vectors.numpy(), labels.numpy(), cv=folds))


def probe_number(vectors: Tensor, values: Tensor, seed: int = 0) -> Measured:
    """R^2 of a linear fit of values [N] by vectors [N, D], on images that it was not fitted to: 1 is all, 0 nothing.

    Ridge regression in five folds; those that are fitted choose its penalty.
    """
    model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    return _measured(cross_val_score(model, vectors.numpy(), values.numpy(), cv=folds))


def attributes(images: Tensor) -> dict[str, Tensor]:
    """What can be measured of any image, float64 [N] each, of uint8 [N, C, S, S]; what does not vary is left out.

    With the brightness b of each pixel, the mean of its channels from 0 to 1, and means weighted by it:

        brightness  mean of b                        slant   covariance of x and y over the variance of y
        width       standard deviation of x, px      height  standard deviation of y, px
        colour      mean distance of a pixel's channels from their mean
    """
    values = images.double() / 255
    b = values.mean(1)
    weight = b / b.sum((1, 2), keepdim=True).clamp(min=1e-9)
    y, x = torch.meshgrid(*[torch.arange(side, dtype=torch.float64) for side in b.shape[1:]], indexing="ij")
    dx, dy = (axis - (weight * axis).sum((1, 2), keepdim=True) for axis in (x, y))
    xx, yy, xy = ((weight * product).sum((1, 2)) for product in (dx * dx, dy * dy, dx * dy))
    found = {"brightness": b.mean((1, 2)), "width": xx.sqrt(), "height": yy.sqrt(), "slant": xy / yy.clamp(min=1e-9)}
    found["colour"] = (values - b.unsqueeze(1)).norm(dim=1).mean((1, 2))
    return {name: numbers for name, numbers in found.items() if numbers.std() > 1e-6}


def principal_components(images: Tensor, count: int) -> Tensor:
    """The first `count` principal components of pixels, or as many as there are, float32 [N, count]."""
    pixels = unit(images).flatten(1).numpy()
    return torch.from_numpy(PCA(min(count, *pixels.shape), random_state=0).fit_transform(pixels))


def vae_codes(images: Tensor, config: VAEConfig, device: torch.device) -> Tensor:
    """The means that a VAE's encoder gives of the images it was trained on, float32 [N, latent_dim], trained now.

    `rivals.vae.fit_vae` gives the generator of the same training; errors are its own.
    """
    stage = VAE(images, config, device)
    training.run(stage)
    stage.encoder.eval()
    with torch.no_grad():
        means = [stage.encoder(unit(part.to(device))).float().chunk(2, 1)[0].cpu() for part in images.split(256)]
    return torch.cat(means)


def _measured(scores: np.ndarray) -> Measured:
    return Measured(float(scores.mean()), statistics.stdev(scores) / len(scores) ** 0.5)
