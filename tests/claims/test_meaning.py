"""Distances and probes: triplets by brute force, probes on vectors that hold all or nothing, attributes of bars."""

import itertools

import pytest
import torch

from glann_lib.claims import meaning
from glann_lib.claims.meaning import attributes, principal_components, probe, probe_number, triplets, vae_codes
from glann_lib.rivals.config import make_vae_config


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


LABELS = torch.arange(200) % 4
APART = torch.eye(4)[LABELS] * 3 + 0.1 * random(200, 4)


def test_triplets_are_those_of_brute_force():
    vectors, labels = random(9, 2), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    wins = [
        (vectors[a] - vectors[s]).norm() < (vectors[a] - vectors[o]).norm()
        for a, s, o in itertools.permutations(range(9), 3)
        if labels[a] == labels[s] != labels[o]
    ]
    expected = sum(map(bool, wins)) / len(wins)
    found = triplets(vectors, labels, count=40_000)
    assert abs(found.value - expected) < 4 * found.error + 1e-3 and 0.001 < found.error < 0.003


def test_triplets_know_classes_that_lie_apart_and_guess_at_noise():
    assert triplets(APART, LABELS).value > 0.999
    assert abs(triplets(random(2000, 3), torch.arange(2000) % 5).value - 0.5) < 0.02
    assert triplets(APART, LABELS, seed=1) == triplets(APART, LABELS, seed=1)


def test_a_probe_finds_what_is_there_and_no_more():
    assert probe(APART, LABELS).value == 1
    assert probe(random(200, 4), LABELS).value < 0.45  # a quarter is chance
    assert probe_number(APART, APART @ torch.tensor([1.0, -2.0, 0.5, 3.0])).value > 0.999
    assert probe_number(random(200, 4), random(200, seed=1)).value < 0.1


def test_labels_that_cannot_be_probed_are_a_line():
    with pytest.raises(ValueError, match="a class has 1 images: a probe needs 5 or more of each"):
        probe(random(20, 2), torch.tensor([0] * 19 + [1]))
    for labels in (torch.zeros(9, dtype=torch.int64), torch.arange(9)):
        with pytest.raises(ValueError, match="two classes, and two images of one"):
            triplets(random(9, 2), labels)


def test_attributes_are_those_of_a_known_bar():
    images = torch.zeros(3, 1, 9, 9, dtype=torch.uint8)
    images[0, 0, 4, 2:7] = 255  # flat: 5 px wide, one high
    images[1, 0, 2:7, 4] = 255  # upright
    images[2, 0, range(2, 7), range(2, 7)] = 255  # slanted by one px a px
    found = attributes(images)
    assert set(found) == {"width", "height", "slant"}  # all are as bright, and grey
    spread = torch.tensor(2.0).sqrt().item()
    assert found["width"].tolist() == pytest.approx([spread, 0, spread])
    assert found["height"].tolist() == pytest.approx([0, spread, spread])
    assert found["slant"].tolist() == pytest.approx([0, 0, 1])
    colours = attributes(
        torch.cat([images.expand(3, 3, 9, 9), torch.tensor([255, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 9, 9)]).to(
            torch.uint8
        )
    )
    assert colours["colour"][:3].abs().max() == 0 and colours["colour"][3] > 0.5
    assert colours["brightness"][3] == pytest.approx(1 / 3)


def test_principal_components_keep_most_of_the_pixels():
    images = (128 + 40 * random(60, 3) @ random(3, 49, seed=1)).clamp(0, 255).to(torch.uint8).view(60, 1, 7, 7)
    found = principal_components(images, 4)
    pixels = images.flatten(1).float() / 255
    assert found.shape == (60, 4) and found.square().sum() > 0.95 * (pixels - pixels.mean(0)).square().sum()
    assert torch.equal(found, principal_components(images, 4)) and principal_components(images, 99).shape == (60, 49)


def test_the_codes_of_a_vae_are_its_encoders(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    images = (torch.arange(48).view(48, 1, 1, 1) * 5).expand(48, 1, 28, 28).to(torch.uint8)
    config = make_vae_config("bernoulli", 12, feature_channels=16, batch_size=16)
    codes = vae_codes(images, config, torch.device("cpu"))
    assert codes.shape == (48, config.latent_dim) and torch.isfinite(codes).all()
    assert torch.equal(codes, vae_codes(images, config, torch.device("cpu")))
    assert meaning.probe_number(codes, images[:, 0, 0, 0].float()).value > 0.5  # how bright an image is, it tells
