"""The linear map behind T: it gives T(e) the codes' mean and covariance, and changes as little as it can."""

import dataclasses

import pytest
import torch

from glann_lib.config import IMLEConfig, make_config
from glann_lib.imle import fit_imle, load_mapping
from glann_lib.moments import MatchedMapper, make_mapper
from glann_lib.networks import LatentMapper, unit_length
from glann_lib.scores.metrics import frechet_distance

SMALL = IMLEConfig(noise_dim=6, hidden_dim=32, epochs=4, batch_size=32, moments="matched")


def codes(count=400, dim=8, seed=0):
    """Unit vectors that vary far more in some directions than in others, around a mean that is not 0."""
    random = torch.Generator().manual_seed(seed)
    return unit_length(torch.randn(count, dim, generator=random) * torch.logspace(0, -1, dim) + 0.3)


def noise(count, seed=1):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def mapper():
    torch.manual_seed(0)
    return LatentMapper(6, 8, 32).eval()


@torch.no_grad()
def test_mean_and_covariance_become_those_of_the_codes(mapper):
    latents, matched = codes(), MatchedMapper(mapper)
    matched.match(latents, mapper(noise(3000)))
    drawn = matched(noise(3000))
    assert torch.allclose(drawn.mean(0), latents.mean(0), atol=1e-5)
    assert torch.allclose(torch.cov(drawn.T), torch.cov(latents.T), atol=1e-5)
    plain = unit_length(mapper(noise(3000)))
    assert (torch.cov(plain.T) - torch.cov(latents.T)).abs().max() > 0.01, "without the map they differ"


@torch.no_grad()
def test_the_map_is_the_one_of_least_way(mapper):
    latents, matched = codes(), MatchedMapper(mapper)
    mapped = mapper(noise(3000))
    matched.match(latents, mapped)
    unit = unit_length(mapped).double()
    way = (unit @ matched.colour.double() + matched.shift.double() - unit).square().sum(1).mean().item()
    # The Frechet distance is the least mean squared way between two Gaussians; a sample's covariance has n - 1.
    assert way == pytest.approx(frechet_distance(unit.numpy(), latents.double().numpy()), rel=1e-2)


@torch.no_grad()
def test_before_it_is_matched_it_gives_unit_vectors_of_t(mapper):
    assert torch.allclose(MatchedMapper(mapper)(noise(5)), unit_length(mapper(noise(5))), atol=1e-6)


@torch.no_grad()
def test_directions_that_t_does_not_reach_stay_empty():
    torch.manual_seed(0)
    narrow = LatentMapper(6, 8, 3).eval()  # three hidden units reach three directions
    latents, matched = codes(), MatchedMapper(narrow)
    matched.match(latents, narrow(noise(3000)))
    values = torch.linalg.eigvalsh(torch.cov(matched(noise(3000)).T))
    assert torch.isfinite(values).all() and (values > 1e-4).sum() == 3


def test_the_setting_decides():
    assert isinstance(make_mapper(SMALL, 8), MatchedMapper)
    learned = make_mapper(dataclasses.replace(SMALL, moments="learned"), 8)
    assert isinstance(learned, LatentMapper) and (learned.noise_dim, learned.latent_dim) == (6, 8)
    with pytest.raises(ValueError, match="moments"):
        dataclasses.replace(SMALL, moments="some")
    assert make_config("mnist", "paper").imle.moments == make_config("mnist").imle.moments == "learned"
    assert make_config("fashion").imle.moments == "matched"


def test_stage_two_matches_and_its_file_draws_the_same(tmp_path):
    latents, path = codes(), tmp_path / "imle.safetensors"
    matched = fit_imle(latents, SMALL, path=path)
    learned = fit_imle(latents, dataclasses.replace(SMALL, moments="learned")).mapper
    again = load_mapping(path)
    wanted = torch.cov(latents.T)
    with torch.no_grad():
        assert torch.equal(again.mapper(noise(9)), matched.mapper(noise(9)))
        assert torch.equal(fit_imle(latents, SMALL, path=path).mapper(noise(9)), matched.mapper(noise(9)))
        assert torch.equal(learned(noise(9)), matched.mapper.mapper(noise(9))), "T itself is trained alike"
        gaps = [torch.cov(unit_length(m(noise(4000))).T).sub(wanted).norm() for m in (matched.mapper, learned)]
    assert gaps[0] < gaps[1] / 3
    lengths = matched.snapshots[4].norm(dim=1)
    assert torch.equal(again.snapshots[4], matched.snapshots[4]) and (lengths - 1).abs().mean() < 0.5
