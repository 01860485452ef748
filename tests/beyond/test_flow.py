"""The flow finds a known density again, averages its weights, and is the same by its seed."""

import pytest
import torch

from glann_lib.beyond.flow import AVERAGED, Flow, FlowConfig, follow
from glann_lib.engine import training

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


def two_arcs(count, seed=0):
    """Codes on a circle, in two arcs: [count, 2]."""
    random = torch.Generator().manual_seed(seed)
    angle = 0.2 * torch.randn(count, generator=random) + torch.pi * (torch.arange(count) % 2)
    return torch.stack([angle.cos(), angle.sin()], 1)


def trained(seed=0, steps=400):
    flow = Flow(two_arcs(600), FlowConfig(steps=steps, batch_size=100, hidden_dim=64, blocks=2, seed=seed), CPU)
    return flow, training.run(flow)


def test_a_known_density_is_found_again():
    flow, history = trained()
    assert len(history) == flow.epochs == 67 and history[-1].loss < history[0].loss
    made = follow(flow, torch.randn(1000, 2, generator=torch.Generator().manual_seed(1)))
    assert made.shape == (1000, 2) and (made.norm(dim=1) - 1).abs().max() < 1e-5
    assert 0.4 < (made[:, 0] > 0).double().mean() < 0.6  # both arcs, evenly
    assert (made[:, 0].abs() > 0.8).double().mean() > 0.9  # and little between them: of the codes 99.9%
    assert abs(made[made[:, 0] > 0, 1].std() - 0.2) < 0.1


def test_the_seed_decides():
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    one, same, other = (follow(trained(seed, steps=20)[0], noise) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_row_does_not_depend_on_how_many_are_drawn():
    flow, noise = trained(steps=20)[0], torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(follow(flow, noise)[:7], follow(flow, noise[:7]))


def test_the_averaged_weights_are_those_of_the_formula():
    flow = Flow(two_arcs(200), FlowConfig(batch_size=50, hidden_dim=8, blocks=1), CPU)
    expected = flow.network.enter.weight.detach().clone()
    for given in flow.inputs(1):
        flow.step(*given)
        expected = AVERAGED * expected + (1 - AVERAGED) * flow.network.enter.weight.detach()
    assert (flow.averaged.enter.weight - expected).abs().max() < 1e-6
    assert (flow.averaged.enter.weight - flow.network.enter.weight).abs().max() > 1e-4


def test_bad_settings_are_refused():
    for field, value in (("steps", 0), ("lr", 0.0), ("blocks", 0), ("path_steps", 0), ("hidden_dim", 0)):
        with pytest.raises(ValueError, match=field):
            FlowConfig(**{field: value})
    with pytest.raises(ValueError, match="1 to train on: give 2 or more"):
        Flow(two_arcs(1), FlowConfig(), CPU)
