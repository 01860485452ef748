"""GLANN's costly parts as a textbook would write them: float32, channels first, torch's defaults, nothing kept.

The loss network is used as the authors' released code used it: its weights take gradients that nobody uses, and a graph
is built for the target, too. Batches are cut from uint8 on the host and divided by 255 at each step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib import util

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from glann_lib.features import VGGFeatures

BLOCK = 1000  # queries whose distances to all points are held at once


class PlainVGG(nn.Module):
    """VGG16's convolutions with the weights of one of ours.

    Args:
        extractor: "random-vgg16" or "vgg16" in float32.
        image_size: px; decides the taps: conv1_2, conv2_2, conv3_2, at 64 px also conv4_3.
    """

    def __init__(self, extractor: VGGFeatures, image_size: int):
        super().__init__()
        self.taps = (3, 8, 13, 21) if image_size >= 64 else (3, 8, 12)
        self.layers = make_layers(cfgs["D"])[: self.taps[-1] + 1]
        own, theirs = ([m for m in network.modules() if isinstance(m, nn.Conv2d)] for network in (self, extractor))
        for layer, source in zip(own, theirs, strict=True):
            layer.load_state_dict(source.state_dict())

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features at each tap of images [N, 1 or 3, S, S] in [0, 1]."""
        if images.shape[1] == 1:
            images = images.repeat(1, 3, 1, 1)
        if images.shape[-1] == 28:
            images = nn.functional.pad(images, (2, 2, 2, 2), value=0.0)
        x, features = 2 * images - 1, []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in self.taps:
                features.append(x)
        return features


def perceptual_loss(network: PlainVGG, generated: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of pixels and features, summed over maps [N]."""
    pairs = zip([generated, *network(generated)], [target, *network(target)], strict=True)
    return sum((a - b).abs().mean(dim=(1, 2, 3)) for a, b in pairs)


class PlainGLO:
    """Stage 1: an embedding of all images and the generator under one dense Adam.

    Args:
        images: uint8 [N, C, S, S], on the host.
        generator: whose architecture and first weights are taken.
        latents: the first ones, [N, D].
        network: of the loss, on the device to train on.
    """

    def __init__(self, images: Tensor, generator: nn.Module, latents: Tensor, network: PlainVGG):
        self.images, self.network, self.device = images, network, latents.device
        self.generator = copy.deepcopy(generator).train()
        self.embedding = nn.Embedding(*latents.shape, _weight=latents.detach().clone())
        groups = [{"params": self.embedding.parameters(), "lr": 0.01}, {"params": self.generator.parameters()}]
        self.optimiser = torch.optim.Adam(groups, lr=0.001, betas=(0.5, 0.999))

    def epoch(self, batch_size: int) -> list[float]:
        """The loss of each step of one pass in a new order."""
        order = torch.randperm(len(self.images))
        losses = [self.step(rows) for rows in order.split(batch_size) if len(rows) == batch_size]
        with torch.no_grad():
            self.embedding.weight /= self.embedding.weight.norm(dim=1, keepdim=True)
        return losses

    def step(self, rows: Tensor) -> float:
        """One step of Adam on the images `rows` [B]; the mean loss before it."""
        target = (self.images[rows].float() / 255).to(self.device)
        generated = self.generator(self.embedding(rows.to(self.device)))
        loss = perceptual_loss(self.network, generated, target).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


class PlainIMLE:
    """Stage 2: search, then a plain loop over batches.

    Args:
        latents: [N, D].
        mapper: whose architecture and first weights are taken.
        noise_per_latent, batch_size: as in `IMLEConfig`.
    """

    def __init__(self, latents: Tensor, mapper: nn.Module, noise_per_latent: int, batch_size: int):
        self.latents, self.noises, self.batch_size = latents, noise_per_latent * len(latents), batch_size
        self.mapper = copy.deepcopy(mapper).train()
        self.search = next(iter(searches(latents.device).values()))
        self.optimiser = torch.optim.Adam(self.mapper.parameters(), lr=1e-3, betas=(0.5, 0.999), weight_decay=1e-5)

    def epoch(self, random: torch.Generator | None = None) -> float:
        """The mean loss of one pass over new noises, drawn from `random` or else from torch's own generator."""
        noise = torch.randn(self.noises, self.mapper.noise_dim, generator=random).to(self.latents.device)
        chosen, losses = noise[self.match(noise)], []
        order = torch.randperm(len(self.latents), generator=random)
        for rows in order[: len(order) // self.batch_size * self.batch_size].split(self.batch_size):
            loss = nn.functional.mse_loss(self.mapper(chosen[rows]), self.latents[rows])
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    def match(self, noise: Tensor) -> Tensor:
        """The number of the noise that each latent's search finds, [N]."""
        with torch.no_grad():
            mapped = self.mapper(noise)
        return self.search(self.latents, mapped)


def searches(device: torch.device) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Name -> search for the nearest point of each query, (queries [N, D], points [M, D]) -> [N]; best known first."""
    known = {"torch.cdist, argmin, in blocks": _cdist_search}
    if device.type == "cpu" and util.find_spec("faiss"):
        return {"faiss.IndexFlatL2": _faiss_search} | known
    return known


def _faiss_search(queries: Tensor, points: Tensor) -> Tensor:
    import faiss

    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points.numpy())
    return torch.from_numpy(index.search(queries.numpy(), 1)[1][:, 0])


def _cdist_search(queries: Tensor, points: Tensor) -> Tensor:
    return torch.cat([torch.cdist(block, points).argmin(1) for block in queries.split(BLOCK)])


@torch.no_grad()
def sample(generator: nn.Module, mapper: nn.Module, noise: Tensor, batch_size: int = 128) -> Tensor:
    """Images G(T(e)), uint8 [N, C, S, S], of noises [N, D]."""
    generator.eval(), mapper.eval()
    device = next(mapper.parameters()).device
    batches = [generator(mapper(e.to(device))).cpu() for e in noise.split(batch_size)]
    return (torch.cat(batches) * 255).round().to(torch.uint8)


def invert(
    render: Callable[[Tensor], Tensor],
    candidates: Tensor,
    images: Tensor,
    network: PlainVGG,
    restarts: int,
    steps: int,
    lr: float = 0.05,
) -> Tensor:
    """The best loss of each of `images`, uint8 [N, C, S, S], searched for one after the other.

    Args:
        render, candidates, restarts, steps, lr: as for `glann_lib.inversion.invert`.
        network: of the loss.
    """
    with torch.no_grad():
        rendered = render(candidates).flatten(1)
    best = []
    for image in images:
        target = (image[None].float() / 255).to(candidates.device)
        nearest = torch.cdist(target.flatten(1), rendered)[0].topk(restarts, largest=False).indices
        codes = candidates[nearest].clone().requires_grad_()
        optimiser = torch.optim.Adam([codes], lr=lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            optimiser.zero_grad()
            perceptual_loss(network, render(codes), target).sum().backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            best.append(perceptual_loss(network, render(codes), target).min())
    return torch.stack(best).cpu()


@torch.no_grad()
def pooled_features(network: PlainVGG, images: Tensor, batch_size: int = 128) -> Tensor:
    """The mean over space of each tap, joined, [N, sum of C_l], of images uint8 [N, C, S, S]."""
    device = next(network.parameters()).device
    batches = ((batch.float() / 255).to(device) for batch in images.split(batch_size))
    return torch.cat([torch.cat([f.mean(dim=(2, 3)) for f in network(batch)], dim=1).cpu() for batch in batches])
