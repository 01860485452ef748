"""Stages by their steps: what the loop does around a step, and what stops a training."""

import dataclasses
import math
from dataclasses import dataclass

import pytest
import torch

from glann_lib.engine import devices, stages
from glann_lib.engine.stages import SteppedStage, batches, make_adam, set_step_size

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings:
    batch_size: int = 3
    lr: float = 0.5


class Adding(SteppedStage):
    """Adds up what its steps are given."""

    name, prefix, config, device, epochs = "adding-up", "adding_", Settings(), CPU, 2
    cache, enough, spoiled = True, True, ()

    def __init__(self):
        self.sums, self.threads, self.asked = [], [], []
        self.weight = torch.zeros(1)

    def inputs(self, epoch):
        for number in range(4):
            self.asked.append(len(self.sums))
            yield torch.full((3,), float(number)), torch.tensor(float(epoch))

    def step(self, values, epoch):
        self.threads.append(torch.get_num_threads())
        if self.cache or not self.enough:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        self.sums.append(values.sum().item() + epoch.item())
        return torch.tensor(math.nan) if len(self.sums) in self.spoiled else values.sum() + epoch

    def give_up_cache(self):
        held, self.cache = self.cache, False
        return held

    def trained(self):
        return [self.weight]

    def end(self, epoch, losses, start):
        return epoch, losses.tolist()


def test_every_step_gets_its_inputs_when_its_turn_comes():
    stage = Adding()
    stage.cache = False
    assert [stage.run_epoch(epoch) for epoch in (1, 2)] == [(1, [1, 4, 7, 10]), (2, [2, 5, 8, 11])]
    assert stage.asked == list(range(8))


def test_small_steps_run_in_one_thread():
    stage = Adding()
    stage.cache, stage.small = False, True
    with devices.single_thread():
        torch.set_num_threads(2)
        stage.run_epoch(1)
        assert torch.get_num_threads() == 2
    assert set(stage.threads) == {1}


def test_out_of_memory_the_cache_goes_first_and_no_step_is_lost():
    stage = Adding()
    assert stage.run_epoch(1) == (1, [1, 4, 7, 10])
    assert stage.sums == [1, 4, 7, 10] and not stage.cache


def test_out_of_memory_without_a_cache_says_what_to_lower():
    stage = Adding()
    stage.enough = False
    with pytest.raises(MemoryError) as error:
        stage.run_epoch(1)
    assert str(error.value) == "out of memory in a step of 3 images: lower adding_batch_size (now 3)"
    assert not stage.cache


def test_other_errors_of_a_step_pass_through():
    stage = Adding()
    stage.step = lambda *inputs: torch.zeros(2) + torch.zeros(3)
    with pytest.raises(RuntimeError, match="must match the size"):
        stage.run_epoch(1)


def test_what_is_not_finite_is_named():
    stage = Adding()
    stage.cache, stage.spoiled = False, (3,)
    with pytest.raises(FloatingPointError, match=r"adding-up: not finite in epoch 1, batch 3 of 4: .* adding_lr"):
        stage.run_epoch(1)
    stage.spoiled, stage.weight = (), torch.tensor([math.inf])
    with pytest.raises(FloatingPointError, match=r"adding-up: weights not finite after epoch 2, last batch"):
        stage.run_epoch(2)


@pytest.mark.parametrize(("count", "size", "steps"), [(10, 3, 3), (9, 3, 3), (5, 5, 1), (7, 2, 3)])
def test_batches_are_all_rows_once_in_a_new_order(count, size, steps):
    orders = [batches(count, size, torch.Generator().manual_seed(seed), CPU) for seed in (0, 0, 1)]
    rows = [torch.cat(order).tolist() for order in orders]
    assert all(len(order) == steps and all(len(batch) == size for batch in order) for order in orders)
    assert all(len(set(order)) == steps * size and set(order) <= set(range(count)) for order in rows)
    assert rows[0] == rows[1] and (count < 7 or rows[0] != rows[2])
    there = batches(count, size, torch.Generator().manual_seed(0), torch.device("meta"))
    assert {batch.device.type for batch in there} == {"meta"}  # all rows of an epoch at once, not step by step
    expected = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat(orders[0]), expected[: steps * size])


def test_adam_takes_the_form_that_its_device_wants(monkeypatch):
    made = []
    kind = lambda groups, **own: made.append((groups, own))  # noqa: E731
    groups = [{"params": [torch.zeros(1)], "lr": 0.25}, {"params": [torch.zeros(1)], "lr": 0.25}]
    real = torch.tensor
    monkeypatch.setattr(stages.torch, "tensor", lambda value, device=None: real(value))
    for name in ("cuda", "mps", "cpu"):
        make_adam(groups, torch.device(name), kind, betas=(0.5, 0.9))
    assert [own for _, own in made] == [
        {"betas": (0.5, 0.9), "fused": fused, "capturable": capturable}
        for fused, capturable in ((True, True), (False, False), (True, False))
    ]
    sizes = [[group["lr"] for group in groups] for groups, _ in made]
    assert sizes[1] == sizes[2] == [0.25, 0.25] and all(isinstance(size, torch.Tensor) for size in sizes[0])
    assert sizes[0][0] is not sizes[0][1]
    for group in made[0][0]:
        set_step_size(group, 0.125)
    assert [float(size) for size in sizes[0]] == [0.125, 0.125]  # in place: a graph reads them where they are


def test_settings_name_what_to_lower():
    stage = Adding()
    stage.config = dataclasses.replace(stage.config, lr=0.25)
    assert stage.advice == "try a smaller adding_lr (now 0.25)"
