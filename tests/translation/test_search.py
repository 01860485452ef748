"""Where latents are looked for: the memory against brute force, random starts, the target domain."""

import copy
import dataclasses

import pytest
import torch

from glann_lib.networks import InfoGANGenerator, LatentMapper
from glann_lib.translation import search as translation_search
from glann_lib.translation.config import UP_TO_COLOUR
from glann_lib.translation.losses import make_translation_loss
from glann_lib.translation.network import TranslationNetwork
from glann_lib.translation.search import Target, code_lr, first_codes, nearest_in_memory


def pictures(count, channels=3, size=16, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=random)


def network(channels_out=3):
    torch.manual_seed(0)
    made = TranslationNetwork(16, 3, channels_out, width=2)
    made(pictures(16).float() / 255)  # averages of BatchNorm that are not 0 and 1
    return made


def make_target(size=28):
    torch.manual_seed(0)
    latents = torch.nn.functional.normalize(torch.randn(70, 5), dim=1)
    generator = InfoGANGenerator(size, 1, 5).eval()
    with torch.no_grad():
        generator.layers[-2].weight *= 50  # untrained, it draws hardly anything
    return Target(generator, latents, LatentMapper(4, 5, 8).eval())


@pytest.mark.parametrize("name", ["l1", "l2", "laplacian", UP_TO_COLOUR])
@pytest.mark.parametrize("k", [1, 3, 7, 23])
def test_the_nearest_are_those_of_brute_force(monkeypatch, name, k):
    monkeypatch.setattr(translation_search, "BLOCK", 5)  # 23 are 4 blocks and a part; 7 are more than a block
    made, loss = network(1 if name == UP_TO_COLOUR else 3), make_translation_loss(name, 16)
    memory, images = pictures(23), pictures(9, seed=1)
    rows = nearest_in_memory(made.train(), loss, memory, images, k)
    with torch.no_grad():
        drawn = made.eval()(memory.float() / 255)
        distance = torch.stack([loss(drawn, (image / 255).expand(23, -1, -1, -1)) for image in images.split(1)])
    assert rows.shape == (9, k) and rows.dtype == torch.long
    assert all(len(row.unique()) == k for row in rows)
    assert (distance.gather(1, rows) - distance.sort(dim=1).values[:, :k]).abs().max() < 1e-6  # nearest first
    assert distance.std(1).min() > 1e-5  # so that an order means something


def test_blocks_do_not_matter(monkeypatch):
    found = []
    for block in (1, 8, 23, 256):
        monkeypatch.setattr(translation_search, "BLOCK", block)
        found.append(
            nearest_in_memory(network(), make_translation_loss("l2", 16), pictures(23), pictures(9, seed=1), 4)
        )
    assert all(torch.equal(rows, found[0]) for rows in found[1:])


def test_an_image_of_the_memory_finds_itself():
    made, memory = network(), pictures(40)
    with torch.no_grad():
        drawn = made.eval()(memory.float() / 255).mul(255).round().to(torch.uint8)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    rows = nearest_in_memory(made, make_translation_loss("l2", 16), memory, drawn[order], 2)
    assert torch.equal(rows[:, 0], order)


def test_the_search_neither_trains_nor_moves_averages():
    made = network().train()
    before = copy.deepcopy(made.state_dict())
    rows = nearest_in_memory(made, make_translation_loss("l2", 16), pictures(23), pictures(9, seed=1), 1)
    assert not made.training and not rows.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert all(weights.grad is None for weights in made.parameters())


@pytest.mark.parametrize(("search", "width"), [("sphere", 5), ("noise", 4)])
def test_first_codes_are_seeded_and_of_the_right_kind(search, width):
    target = make_target()
    torch.manual_seed(1)  # of no consequence
    codes = first_codes(2000, target, search, seed=0)
    assert codes.shape == (2000, width)
    assert torch.equal(codes, first_codes(2000, target, search, seed=0))
    others = [first_codes(2000, target, search, seed=1), first_codes(2000, target, search, 0, "other")]
    assert all((codes - other).abs().amax(1).min() > 1e-4 for other in others)
    assert codes.mean(0).abs().max() < 0.1
    if search == "sphere":
        assert (codes.norm(dim=1) - 1).abs().max() < 1e-6
    else:
        assert (codes.std(0) - 1).abs().max() < 0.1


@pytest.mark.parametrize(("search", "factor"), [("sphere", 1.0), ("memory", 1.0), ("noise", 3.0)])
@pytest.mark.parametrize("shape", [(5, 9), (5, 2, 9)])
def test_steps_are_as_long_as_the_codes(search, factor, shape):
    assert abs(code_lr(0.02, torch.zeros(shape), search) - 0.02 * factor) < 1e-9


def test_noises_go_through_the_mapper_and_latents_do_not():
    target = make_target()
    latents, noise = target.latents[:6], first_codes(6, target, "noise", 0)
    with torch.no_grad():
        drawn, mapped = target.generator(latents), target.generator(target.mapper(noise))
        assert torch.equal(target.draw(latents, "sphere"), drawn)
        assert torch.equal(target.draw(latents, "memory"), drawn)
        assert torch.equal(target.draw(noise, "noise"), mapped)
    for codes, search in ((latents.clone(), "sphere"), (noise.clone(), "noise")):
        target.draw(codes.requires_grad_(), search).sum().backward(inputs=[codes])
        assert codes.grad.abs().max() > 0


def test_the_memory_holds_an_image_of_every_latent_in_order():
    target = make_target()
    memory = target.memory
    with torch.no_grad():
        drawn = target.generator(target.latents)
    assert memory.shape == (70, 1, 28, 28) and memory.dtype == torch.uint8
    assert (memory.float() / 255 - drawn).abs().max() < 0.5 / 255 + 1e-4
    assert drawn.std(0).max() > 0.01


def test_equal_digests_are_equal_targets():
    target = make_target()
    assert copy.deepcopy(target).digest() == target.digest() == make_target().digest()
    generator, mapper = copy.deepcopy(target.generator), copy.deepcopy(target.mapper)
    with torch.no_grad():
        generator.layers[0].weight[3, 2] += 1e-3
        mapper.layers[0].weight[3, 2] += 1e-3
    others = [
        dataclasses.replace(target, generator=generator),
        dataclasses.replace(target, mapper=mapper),
        dataclasses.replace(target, mapper=None),
        dataclasses.replace(target, latents=target.latents.flip(0)),
    ]
    assert len({target.digest(), *(other.digest() for other in others)}) == 5
