"""kill -9 at many moments: a training that is started again ends with the bits of one that was never stopped.

Each training runs in a process of its own, forked from a server that has imported torch and computed nothing. All use
one thread: sums over several threads may be taken in another order.
"""

import multiprocessing
import os
import random
import signal
import time

import pytest
import torch
from dying_training import BATCHES, EPOCHS, make_stage, train_in_process

from glann_lib.engine import storage, training

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["glann_lib.glo", "glann_lib.imle"])


def start(kind, folder, kill=None, checkpoint_seconds=-1.0):
    process = PROCESSES.Process(target=train_in_process, args=(kind, folder, kill, checkpoint_seconds))
    process.start()
    return process


def begun(folder):
    """The epochs begun so far, in order."""
    log = folder / "log"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def result(folder):
    tensors, record = storage.load_tensors(folder / "stage.safetensors")
    losses = [{name: value for name, value in row.items() if name != "seconds"} for row in record["history"]]
    return tensors, losses


def assert_same_bits(folder, whole):
    (tensors, losses), (expected, expected_losses) = result(folder), result(whole)
    assert losses == expected_losses and len(losses) == EPOCHS
    assert tensors.keys() == expected.keys() and len(tensors) > 5
    for name, value in expected.items():
        assert torch.equal(tensors[name], value), name


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """kind -> the folder of a training that nobody stops and that writes no checkpoint."""
    folders = {}

    def whole(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(f"{kind}-whole")
            process = start(kind, folders[kind], checkpoint_seconds=1e9)
            process.join(120)
            assert process.exitcode == 0 and begun(folders[kind]) == list(range(1, EPOCHS + 1))
        return folders[kind]

    return whole


KILLS = [
    # moment: (place, number of the call), epochs begun by the process that dies there
    (("batch", 2), [1]),  # nothing is saved yet
    (("checkpoint", 1), [1]),  # while the first checkpoint is written
    (("batch", BATCHES + 2), [1, 2]),
    (("rename", 2), [2, 3]),  # while a checkpoint replaces another
    (("batch", 1), [3]),
    (("result", 1), [3, 4, 5, 6]),  # while the result is written
    (("last checkpoint", 1), [6]),
]


@pytest.mark.parametrize("kind", ["official", "persistent", "imle"])
def test_a_training_killed_again_and_again_ends_with_the_same_bits(kind, uninterrupted, tmp_path):
    for moment, epochs in KILLS:
        before = len(begun(tmp_path))
        process = start(kind, tmp_path, moment)
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, moment
        assert begun(tmp_path)[before:] == epochs, moment  # it goes on from where it was
        assert (tmp_path / "stage.safetensors").exists() == (moment[0] == "last checkpoint")
    before = len(begun(tmp_path))
    last = start(kind, tmp_path)
    last.join(120)
    assert last.exitcode == 0 and len(begun(tmp_path)) == before  # finished: nothing is trained again
    assert_same_bits(tmp_path, uninterrupted(kind))
    assert sorted(file.name for file in tmp_path.iterdir() if ".safetensors" in file.name) == ["stage.safetensors"]


@pytest.mark.parametrize("kind", ["official"])
def test_a_training_killed_at_random_ends_with_the_same_bits(kind, uninterrupted, tmp_path):
    moments, killed = random.Random(0), 0
    while killed < 4:
        before, process = len(begun(tmp_path)), start(kind, tmp_path)
        deadline = time.monotonic() + 120
        while len(begun(tmp_path)) == before and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.4))
        process.kill()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
    last = start(kind, tmp_path)
    last.join(120)
    assert killed and last.exitcode == 0
    assert_same_bits(tmp_path, uninterrupted(kind))


@pytest.mark.parametrize("kind", ["official", "persistent", "imle"])
def test_training_moves_every_weight(kind, uninterrupted):
    """So that equal bits mean something."""
    first = make_stage(kind).state()
    tensors, losses = result(uninterrupted(kind))
    changed = [name for name, value in first.items() if name in tensors and not torch.equal(value, tensors[name])]
    assert len(changed) == sum(not name.startswith("resume.") for name in first)
    assert losses[-1]["loss"] < losses[0]["loss"]


def test_a_running_training_keeps_its_folder_and_a_killed_one_frees_it(tmp_path):
    process = start("imle", tmp_path)
    try:
        deadline = time.monotonic() + 120
        while not begun(tmp_path) and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGSTOP)  # it stands still, and is alive
        with pytest.raises(RuntimeError, match=rf"in use.*{process.pid}") as error:
            next(training.train(make_stage("imle"), tmp_path / "stage.safetensors"))
        assert "\n" not in str(error.value)
    finally:
        process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    records = training.train(make_stage("imle"), tmp_path / "stage.safetensors")
    assert next(records).epoch == 1
    records.close()
