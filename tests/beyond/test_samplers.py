"""Samplers on known codes: where they draw, what IMLE's variants match, and one seed one code."""

import dataclasses

import pytest
import torch

from glann_lib.beyond import samplers
from glann_lib.beyond.samplers import SAMPLERS, AdaptiveIMLE, DeepIMLE, RejectingIMLE, distance_to_codes, fit_sampler
from glann_lib.config import IMLEConfig
from glann_lib.engine import training
from glann_lib.networks import count_parameters

CPU = torch.device("cpu")
SMALL = IMLEConfig(noise_dim=4, hidden_dim=16, epochs=4, batch_size=20)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    monkeypatch.setattr(samplers, "FlowConfig", lambda steps, seed: dataclasses.replace(FLOW, seed=seed))


FLOW = samplers.FlowConfig(steps=20, batch_size=20, hidden_dim=16, blocks=1, path_steps=4)


def codes(count=80, dim=6, seed=0):
    latents = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
    return latents / latents.norm(dim=1, keepdim=True)


def trained(kind, **own):
    stage = kind(codes(), dataclasses.replace(SMALL, **own), CPU)
    training.run(stage)
    return stage


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_draws_codes_by_their_seed(name):
    sampler = fit_sampler(name, codes(), SMALL)
    drawn = sampler.draw(70, 3)
    assert drawn.shape == (70, 6) and drawn.dtype == torch.float32
    assert (drawn.norm(dim=1) - 1).abs().max() < 1e-5
    assert (sampler.draw(5, 3) - drawn[:5]).abs().max() < 1e-5
    assert (sampler.draw(70, 4) - drawn).abs().max() > 0.1
    assert (fit_sampler(name, codes(), SMALL).draw(70, 3) - drawn).abs().max() < 1e-5
    assert (sampler.name, sampler.label) == (name, SAMPLERS[name][0]) and sampler.seconds >= 0


def test_a_kernel_stays_near_the_codes_and_a_gaussian_does_not():
    latents = codes(400, 32)
    away = {
        name: distance_to_codes(fit_sampler(name, latents, SMALL).draw(300, 0), latents).mean()
        for name in ("kernel", "gaussian")
    }
    between = torch.cdist(latents, latents).fill_diagonal_(9).min(1).values.mean()
    assert 0.25 * between < away["kernel"] < 0.45 * between and away["gaussian"] > 0.8 * between


def test_a_mixture_finds_its_components():
    centres = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).repeat(100, 1)
    latents = centres + 0.05 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    drawn = fit_sampler("mixture", latents, SMALL).draw(1000, 0)
    near = torch.cdist(drawn, centres[:2]).min(1).values
    assert near.max() < 0.4 and 0.4 < (drawn[:, 0] > drawn[:, 1]).double().mean() < 0.6
    assert distance_to_codes(drawn, latents).mean() < 0.05


def test_rejecting_imle_never_matches_a_noise_that_it_rejects():
    stage = trained(RejectingIMLE)
    noise = torch.randn(200, 4, generator=torch.Generator().manual_seed(7))
    found = stage.match(noise)
    with torch.no_grad():
        distances = torch.cdist(stage.latents, stage.mapper.train()(noise))
    away = distances.min(0).values
    left = away.argsort(descending=True)[:150]  # a quarter is rejected
    assert set(found.index[:, 0].tolist()) <= set(left.tolist())
    best = distances[:, left].min(1).values
    assert (distances.gather(1, found.index)[:, 0] - best).abs().max() < 1e-5
    assert (found.distance[:, 0] - best).abs().max() < 1e-5


def test_adaptive_imle_renews_a_noise_only_where_its_threshold_is_reached():
    stage = trained(AdaptiveIMLE, epochs=10, lr=1e-2)
    before, threshold = stage.kept.clone(), stage.threshold.clone()
    with torch.no_grad():
        reached = (stage.mapper.train()(before) - stage.latents).norm(dim=1) <= threshold
    stage.mapper.train()
    given = list(stage.inputs(11))
    changed = (stage.kept != before).any(1)
    assert 0 < reached.sum() < 80
    assert torch.equal(stage.threshold != threshold, reached) and not changed[~reached].any()
    nearest = stage.matched.distance[:, 0]
    assert torch.allclose(stage.threshold[reached], (1 - samplers.TIGHTENED) * nearest[reached])
    assert len(given) == 4 and sorted(torch.cat([noise for noise, _ in given]).sum(1).tolist()) == pytest.approx(
        sorted(stage.kept.sum(1).tolist())
    )


def test_a_deep_mapping_has_five_hidden_layers():
    stage = DeepIMLE(codes(), SMALL, CPU)
    layers = [module for module in stage.mapper.modules() if isinstance(module, torch.nn.Linear)]
    assert len(layers) == 6 and layers[-1].out_features == 6
    assert count_parameters(stage.mapper) > 16 * (4 + 4 * 16 + 6)


def test_an_unknown_sampler_is_a_line():
    with pytest.raises(
        ValueError, match=r"^unknown sampler 'vae': choose one of gaussian, mixture, kernel, flow, imle"
    ):
        fit_sampler("vae", codes(), SMALL)
