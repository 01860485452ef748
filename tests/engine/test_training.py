"""The training loop with a toy stage: records, checkpoints, resuming, damage, progress, an optimiser's state."""

import dataclasses
import errno
import os
import re
from dataclasses import dataclass

import pytest
import torch

from glann_lib.engine import storage, training
from glann_lib.engine.training import train


@dataclass(frozen=True)
class ToyEpoch:
    epoch: int
    loss: float
    seconds: float = 2.0


class Toy:
    """A stage whose weight after epoch n is 1 + ... + n, and which notes what it is asked to train."""

    name = "toy"
    record_type = ToyEpoch

    def __init__(self, fingerprint="0123456789abcdef", epochs=5, fail_at=None):
        self.fingerprint, self.epochs, self.fail_at = fingerprint, epochs, fail_at
        self.weight, self.momentum, self.trained = torch.zeros(3), torch.zeros(2), []

    def run_epoch(self, epoch):
        self.trained.append(epoch)
        self.weight += epoch
        self.momentum += 1
        if epoch == self.fail_at:
            training.check_finite(torch.tensor([1.0, float("nan")]), self.name, epoch, "try a smaller lr")
        return ToyEpoch(epoch, 1 / epoch)

    def state(self):
        return {"weight": self.weight, "resume.momentum": self.momentum}

    def restore(self, state, facts):
        assert facts["speed"] == 3
        self.weight.copy_(state["weight"])
        if "resume.momentum" in state:
            self.momentum.copy_(state["resume.momentum"])

    def facts(self):
        return {"speed": 3}


ALL = [ToyEpoch(epoch, 1 / epoch) for epoch in range(1, 6)]


@pytest.fixture(autouse=True)
def checkpoint_every_epoch(monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "toy.safetensors"


def visible(path):
    return sorted(file.name for file in path.parent.iterdir() if not file.name.startswith("."))


def stop_after(stage, path, epochs):
    """Train some epochs, then let the generator go, as an interrupted program does."""
    records = train(stage, path)
    found = [next(records) for _ in range(epochs)]
    records.close()
    return found


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage = Toy()
    assert list(train(stage)) == ALL
    assert stage.weight.tolist() == [15] * 3 and not list(tmp_path.iterdir())


def test_a_finished_training_leaves_one_file(path):
    assert list(train(Toy(), path)) == ALL
    tensors, record = storage.load_tensors(path)
    assert visible(path) == ["toy.safetensors"]
    assert tensors.keys() == {"weight"} and tensors["weight"].tolist() == [15] * 3  # nothing that only training needs
    assert (record["stage"], record["speed"], record["fingerprint"]) == ("toy", 3, Toy().fingerprint)
    assert record["history"] == [dataclasses.asdict(epoch) for epoch in ALL]


def test_epochs_are_yielded_as_they_are_done(path):
    stage = Toy()
    for count, record in enumerate(train(stage, path), 1):
        assert record.epoch == count and stage.trained == list(range(1, count + 1))


@pytest.mark.parametrize("done", [1, 3, 4])
def test_a_stopped_training_goes_on_where_it_was(path, done):
    assert stop_after(Toy(), path, done) == ALL[:done]
    assert not path.exists()
    stage = Toy()
    assert list(train(stage, path)) == ALL  # those done before included
    assert stage.trained == list(range(done + 1, 6))
    assert stage.weight.tolist() == [15] * 3 and stage.momentum.tolist() == [5] * 2
    assert visible(path) == ["toy.safetensors"]


def test_what_is_finished_is_not_trained_again(path):
    list(train(Toy(), path))
    written = path.stat().st_mtime_ns
    stage = Toy()
    assert list(train(stage, path)) == ALL
    assert stage.trained == [] and stage.weight.tolist() == [15] * 3
    assert path.stat().st_mtime_ns == written


def test_other_settings_are_trained_anew_and_the_old_file_stays_until_then(path):
    list(train(Toy(), path))
    old, stage = path.read_bytes(), Toy("fedcba9876543210", epochs=2)
    for record in train(stage, path):
        assert record.epoch == 2 or path.read_bytes() == old
    assert stage.trained == [1, 2]
    assert storage.load_tensors(path)[1]["fingerprint"] == "fedcba9876543210"


def test_other_settings_leave_each_others_checkpoints_alone(path):
    stop_after(Toy(), path, 3)
    list(train(Toy("fedcba9876543210", epochs=2), path))
    stage = Toy()
    assert list(train(stage, path)) == ALL and stage.trained == [4, 5]


def test_checkpoints_keep_their_distance_in_time(path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 3600.0)
    stop_after(Toy(), path, 4)
    assert visible(path) == []
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    stop_after(Toy(), path, 4)
    assert visible(path) == ["toy.partial-01234567.safetensors"]


def test_a_checkpoint_beside_the_finished_file_is_cleared_away(path):
    stop_after(Toy(), path, 3)
    partial = path.with_name("toy.partial-01234567.safetensors")
    content = partial.read_bytes()
    list(train(Toy(), path))
    partial.write_bytes(content)  # as if killed between writing the result and removing the checkpoint
    stage = Toy()
    assert list(train(stage, path)) == ALL and stage.trained == []
    assert visible(path) == ["toy.safetensors"]


def test_what_a_killed_write_left_is_cleared_away(path):
    path.parent.mkdir()
    for name in ("toy.partial-01234567.safetensors", "toy.safetensors"):
        (path.parent / f".{name}.k1ll3d_x").write_bytes(b"half a checkpoint")
    list(train(Toy(), path))
    assert not list(path.parent.glob("*.k1ll3d_x"))


@pytest.mark.parametrize("name", ["toy.partial-01234567.safetensors", "toy.safetensors"])
@pytest.mark.parametrize("part", [0, 20, 0.5, 0.99])
def test_damaged_checkpoints_are_one_line_errors_and_stay(path, name, part):
    stop_after(Toy(), path, 5 if name == "toy.safetensors" else 3)
    file = path.with_name(name)
    content = file.read_bytes()
    damaged = content[: part if isinstance(part, int) else int(part * len(content))]
    file.write_bytes(damaged)
    stage = Toy()
    with pytest.raises(ValueError, match=re.escape(name)) as error:
        list(train(stage, path))
    assert "\n" not in str(error.value) and stage.trained == []
    assert file.read_bytes() == damaged


def test_a_training_that_fails_keeps_its_last_checkpoint(path):
    with pytest.raises(FloatingPointError, match=r"toy.*epoch 4, batch 2 of 2.*smaller lr") as error:
        list(train(Toy(fail_at=4), path))
    assert "\n" not in str(error.value)
    assert visible(path) == ["toy.partial-01234567.safetensors"]
    stage = Toy()
    assert list(train(stage, path)) == ALL and stage.trained == [4, 5]


def test_a_full_disk_keeps_the_last_checkpoint(path, monkeypatch):
    stage = Toy()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left") as error:
        for record in train(stage, path):
            if record.epoch == 2:

                def full(*args):
                    raise OSError(errno.ENOSPC, "No space left on device")

                patch.setattr(os, "fsync", full)
    assert "\n" not in str(error.value) and stage.trained == [1, 2, 3]
    again = Toy()
    assert list(train(again, path)) == ALL and again.trained == [3, 4, 5]


def test_two_trainings_into_one_file_are_refused(path):
    first = train(Toy(), path)
    next(first)
    second = Toy()
    with pytest.raises(RuntimeError, match=rf"in use.*{os.getpid()}") as error:
        next(train(second, path))
    assert "\n" not in str(error.value) and second.trained == []
    list(train(Toy(), path.with_name("another.safetensors")))
    assert list(first) == ALL[1:]
    assert list(train(Toy(), path)) == ALL


def test_lines_are_logged_where_nobody_watches(monkeypatch, capsys, path):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    assert training.run(Toy(), path) == ALL
    out, err = capsys.readouterr()
    assert re.fullmatch(r"toy: epoch 5/5, loss 0\.2000, 0 s left\n", out) and err == ""


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_losses_that_are_not_finite_are_named(bad):
    training.check_finite(torch.ones(4), "glo", 1, "advice")
    with pytest.raises(FloatingPointError, match=r"glo.*epoch 7, batch 3 of 5: lower the step") as error:
        training.check_finite(torch.tensor([1, 1, bad, 1, bad]), "glo", 7, "lower the step")
    assert "\n" not in str(error.value)


def make_optimiser(seed):
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 3))
    extra = torch.randn(6, requires_grad=True)
    groups = [{"params": [extra], "lr": 0.1}, {"params": list(network.parameters())}]
    return [extra, *network.parameters()], torch.optim.Adam(groups, betas=(0.5, 0.999), fused=True)


def steps(parameters, optimiser, seeds):
    for seed in seeds:
        random = torch.Generator().manual_seed(seed)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=random)
        optimiser.step()


def test_an_optimisers_state_is_restored_bit_for_bit(tmp_path):
    parameters, optimiser = make_optimiser(0)
    steps(parameters, optimiser, range(3))
    state = training.optimiser_state(optimiser)
    assert all(name.startswith(training.RESUME) for name in state) and len(state) == 3 * len(parameters)
    tensors, _ = storage.load_tensors(storage.save_tensors(tmp_path / "state.safetensors", state, {}))

    others, another = make_optimiser(1)
    with torch.no_grad():
        for other, parameter in zip(others, parameters, strict=True):
            other.copy_(parameter)
    training.restore_optimiser(another, {**tensors, "weight": torch.zeros(1)})
    again = training.optimiser_state(another)
    assert again.keys() == state.keys() and all(torch.equal(again[name], state[name]) for name in state)
    assert [group["lr"] for group in another.param_groups] == [0.1, 1.0e-3]
    steps(parameters, optimiser, range(3, 6))
    steps(others, another, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(parameters, others, strict=True))


def test_an_optimiser_that_has_not_stepped_has_no_state():
    parameters, optimiser = make_optimiser(0)
    assert training.optimiser_state(optimiser) == {}
    training.restore_optimiser(optimiser, {})
    steps(parameters, optimiser, [0])


def test_snapshots_come_in_the_order_of_epochs():
    state = {f"snapshots.{epoch}": torch.tensor(epoch) for epoch in (16, 2, 1, 100)} | {"latents": torch.zeros(1)}
    found = training.snapshots(state)
    assert list(found) == [1, 2, 16, 100] and all(int(value) == epoch for epoch, value in found.items())


def test_a_reset_optimiser_steps_as_a_new_one():
    weights = [torch.ones(5, requires_grad=True) for _ in range(2)]
    used, new = (torch.optim.Adam([w], lr=0.1, fused=True) for w in weights)
    weights[0].grad = torch.randn(5)
    for _ in range(3):
        used.step()
    training.reset_optimiser(used)
    with torch.no_grad():
        weights[0].fill_(1)
    for step in range(4):
        gradient = torch.randn(5, generator=torch.Generator().manual_seed(step))
        for weight, optimiser in zip(weights, (used, new), strict=True):
            weight.grad = gradient.clone()
            optimiser.step()
    assert torch.equal(*weights)
