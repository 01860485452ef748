"""What GANs and VAEs share: epochs and steps of a budget, streams of their own, and averages taken at the very end."""

import pytest
import torch
from torch import nn

from glann_lib.rivals import generator_stage
from glann_lib.rivals.config import make_gan_config
from glann_lib.rivals.generator_stage import GeneratorStage

CPU = torch.device("cpu")


class Plain(GeneratorStage):
    """A generator of one layer whose codes are numbered, and steps that do nothing."""

    record_type = staticmethod(lambda *values: values)

    def __init__(self, steps, images=20, seed=0):
        pictures = torch.zeros(images, 1, 28, 28, dtype=torch.uint8)
        super().__init__(
            pictures, make_gan_config("wgan", steps, seed, batch_size=8, precision="float32"), "plain", CPU
        )
        self.generator, self.networks = nn.BatchNorm1d(2), ()

    def _prior(self, count):
        return torch.rand(count, 2, generator=self.random)

    def _given(self, batch):
        return batch, self._prior(1)

    def step(self, batch, codes):
        return torch.zeros(2)


@pytest.mark.parametrize(("steps", "counts"), [(1, [1]), (2, [2]), (3, [2, 1]), (6, [2, 2, 2])])
def test_a_budget_of_steps_is_spent_in_epochs(steps, counts):
    stage = Plain(steps)  # 20 images are 2 batches of 8
    assert stage.epochs == len(counts)
    assert [len(list(stage.inputs(epoch))) for epoch in range(1, stage.epochs + 1)] == counts


def test_every_epoch_and_seed_has_streams_of_its_own():
    def drawn(epoch, seed):
        rows, codes = zip(*Plain(6, seed=seed).inputs(epoch), strict=True)
        return torch.cat(rows).tolist(), torch.cat(codes).flatten().tolist()

    assert drawn(2, 0) == drawn(2, 0)
    orders, codes = zip(drawn(1, 0), drawn(2, 0), drawn(1, 1), strict=True)
    assert len(set(map(tuple, orders))) == 3 and all(len(set(order)) == 16 for order in orders)
    assert len({code for epoch in codes for code in epoch}) == 3 * 4


def test_averages_are_the_priors_and_taken_once_at_the_end(monkeypatch):
    stage, calls, real = Plain(4), [], generator_stage.update_bn
    monkeypatch.setattr(generator_stage, "update_bn", lambda *given: calls.append(given) or real(*given))
    for epoch in (1, 2):
        assert stage.run_epoch(epoch)[:3] == (epoch, 0.0, 0.0)
        assert len(calls) == epoch - 1
    assert torch.allclose(stage.generator.running_mean, torch.full((2,), 0.5), atol=0.03)


def test_what_is_not_finite_is_named():
    stage, second = Plain(4), iter([0.0, torch.nan])
    stage.step = lambda batch, codes: torch.tensor([0.0, next(second)])
    with pytest.raises(FloatingPointError, match=r"plain: not finite in epoch 1, batch 2 of 2: try a smaller lr"):
        stage.run_epoch(1)
    with torch.no_grad():
        stage.generator.weight[0] = torch.inf
    stage.step = lambda batch, codes: torch.zeros(2)
    with pytest.raises(FloatingPointError, match="plain: weights not finite after epoch 1"):
        stage.run_epoch(1)


def test_settings_and_images_make_the_fingerprint():
    prints = {Plain(4).fingerprint, Plain(5).fingerprint, Plain(4, seed=1).fingerprint, Plain(4, images=21).fingerprint}
    assert len(prints) == 4 and Plain(4).fingerprint in prints
    assert Plain(4).facts()["precision"] == "float32" and Plain(4).facts()["config"]["steps"] == 4


def test_fewer_images_than_a_batch_are_one_batch():
    stage = Plain(4, images=7)
    assert (stage.epochs, stage.facts()["config"]["batch_size"]) == (4, 7)
    with pytest.raises(ValueError, match=r"^1 to train on: give 2 or more") as error:
        Plain(4, images=1)
    assert "\n" not in str(error.value)
