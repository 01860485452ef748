"""Recorded steps: the same training as without a graph, on a GPU; elsewhere the step itself."""

import dataclasses

import pytest
import torch

from glann_lib.config import GLOConfig
from glann_lib.engine import training
from glann_lib.engine.graphs import ReplayedStep
from glann_lib.glo import GLO

SMALL = GLOConfig(latent_dim=16, loss="random-vgg16", epochs=3, batch_size=8, precision="float32", decay_every=1)


def test_without_a_gpu_a_step_runs_as_it_is():
    seen = []
    replayed = ReplayedStep(lambda batch: seen.append(batch) or batch.sum(), torch.device("cpu"))
    batches = [torch.tensor([i, i + 1]) for i in range(6)]
    assert [int(replayed(batch)) for batch in batches] == [1, 3, 5, 7, 9, 11]
    assert seen == batches and replayed.graph is None


def test_glo_runs_through_its_replayed_step():
    images = torch.randint(0, 256, (24, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    stage = GLO(images, dataclasses.replace(SMALL, loss="l1"), torch.device("cpu"))
    list(training.train(stage))
    assert stage.replayed_step.calls == 9  # 3 batches in each of 3 epochs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("optimiser", ["official", "persistent"])
@pytest.mark.parametrize("loss", ["l1", "random-vgg16"])
def test_a_recorded_training_is_the_plain_one(monkeypatch, optimiser, loss):
    images = torch.randint(0, 256, (48, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    config = dataclasses.replace(SMALL, optimiser=optimiser, loss=loss)
    recorded, plain = (GLO(images, config, torch.device("cuda")) for _ in range(2))
    list(training.train(recorded))
    assert recorded.replayed_step.graph is not None
    monkeypatch.setattr(ReplayedStep, "__call__", lambda self, batch: self.step(batch))
    list(training.train(plain))
    for a, b in zip(recorded.state().values(), plain.state().values(), strict=True):
        assert (a.float() - b.float()).abs().max() <= 1e-3 * b.float().abs().max().clamp(min=1)
