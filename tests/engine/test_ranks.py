"""Several processes that train one model: the weights of one process, half of the rows each, and what stops them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from glann_lib.engine import ranks, storage

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests" / "ranked_training.py"
KINDS = ("glo", "glo persistent", "glo none", "imle", "imle matched")
# BatchNorm takes this bias out again: its gradient is rounding alone, and the mean goes with it.
UNHEARD = ("generator.layers.7.bias", "generator.layers.8.running_mean")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def start(processes, *arguments):
    """The program in one process, or in several that torchrun starts."""
    run = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *run, str(PROGRAM), *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(processes, *arguments):
    process = start(processes, *arguments)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of the same trainings by two processes, and by one on the same global batches."""
    together, alone = tmp_path_factory.mktemp("together"), tmp_path_factory.mktemp("alone")
    finish(2, together, ",".join(KINDS))
    finish(1, alone, ",".join(KINDS), 2)
    return together, alone


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_give_the_weights_of_one(trained, kind):
    (state, told), (expected, told_alone) = (storage.load_tensors(f / f"{kind} 0.safetensors") for f in trained)
    assert state.keys() == expected.keys()
    for name, values in expected.items():
        if name.startswith("snapshots") and kind.startswith("glo"):
            assert (state[name].int() - values.int()).abs().max() <= 1  # grey levels
        elif name not in UNHEARD or "none" in kind:
            assert (state[name] - values).abs().max() <= 3e-4 * values.abs().max().clamp(min=1e-3), name
    for found, wanted in zip(told["epochs"], told_alone["epochs"], strict=True):
        assert {n: v for n, v in found.items() if n != "seconds"} == pytest.approx(
            {n: v for n, v in wanted.items() if n != "seconds"}, rel=1e-4
        )


@pytest.mark.parametrize("kind", KINDS)
def test_each_process_holds_its_share_and_the_same_networks(trained, kind):
    (first, told), (second, told_too) = (
        storage.load_tensors(trained[0] / f"{kind} {number}.safetensors") for number in (0, 1)
    )
    assert [told["held"], told_too["held"]] == [[22, 16], [21, 16]]  # of 43 rows
    of_rows = {name for name in first if first[name].shape[:1] == (43,)}
    assert ("latents" in of_rows) == kind.startswith("glo")
    for name in first.keys() - of_rows:
        assert torch.equal(first[name], second[name])
    strip = [[{n: v for n, v in e.items() if n != "seconds"} for e in t["epochs"]] for t in (told, told_too)]
    assert strip[0] == strip[1]


def test_processes_that_do_not_go_together_say_so_alike(tmp_path):
    finish(2, tmp_path, "refuse")
    said = [json.loads((tmp_path / f"said {number}.json").read_text()) for number in (0, 1)]
    assert said[0] == said[1] and not any("\n" in line for line in said[0])
    data, batch, rival, checkpoints = said[0]
    assert data.startswith("the processes see different images (process 0 has ")
    assert batch == "2 processes cannot share batches of 9 evenly: take batches of 8"
    assert rival == "vae-l1 is trained by one process: start this without torchrun"
    assert "different checkpoints (process 0 has 0, process 1 has 1)" in checkpoints


@pytest.mark.parametrize("processes", [2, 1])
def test_a_killed_process_stops_the_others_and_the_run_goes_on_with_as_many_or_one(tmp_path, processes):
    run = start(2, tmp_path, "glo", "killed")
    try:
        deadline = time.monotonic() + 200
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        killed = time.monotonic()
        _, errors = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode != 0 and time.monotonic() - killed < 60
    assert "another one stopped or does not answer" in errors or "Signal 9" in errors
    (partial,) = tmp_path.glob("stage.partial-*.safetensors")
    _, record = storage.load_tensors(partial)
    assert len(record["history"]) == 2
    finish(processes, tmp_path, "glo", "kept")
    _, told = storage.load_tensors(tmp_path / "glo 0.safetensors")
    assert [epoch["epoch"] for epoch in told["epochs"]] == [1, 2, 3]
    assert told["epochs"][:2] == record["history"] and told["held"] == [43 if processes == 1 else 22, 16]
    assert storage.load_tensors(tmp_path / "stage.safetensors")[0]["latents"].shape == (43, 16)


def test_one_process_is_given_back_what_it_gives():
    rows = torch.arange(12.0).view(6, 2)
    assert (ranks.rank(), ranks.count(), ranks.part(7), ranks.shares(5)) == (0, 1, 7, [5])
    assert ranks.own(rows) is rows and ranks.mean(rows) is rows and ranks.first(False) is False
    assert torch.equal(ranks.whole(rows, 6, everywhere=True), rows)
    ranks.add_up([rows]), ranks.require_same("a", "images")
    assert torch.equal(rows, torch.arange(12.0).view(6, 2))


def test_moments_are_those_of_the_rows():
    rows = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centre, covariance = ranks.moments(rows, shared=True)
    assert torch.allclose(centre, rows.mean(0), rtol=1e-12) and torch.allclose(covariance, torch.cov(rows.T), rtol=1e-9)


@pytest.mark.parametrize("kind", ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"])
def test_batch_norm_of_one_part_is_torchs_own(kind, monkeypatch):
    """The formula for several parts, with all of the batch in one of them."""
    shape = (6, 4, 3, 3, 3)[: {"BatchNorm1d": 2, "BatchNorm2d": 4, "BatchNorm3d": 5}[kind]]
    ours, torchs = (getattr(module, kind)(4) for module in (ranks, torch.nn))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    given = [x.clone().requires_grad_() for _ in range(2)]
    monkeypatch.setattr(ranks, "_in_step", True)
    results = [layer(values) for layer, values in zip((ours, torchs), given, strict=True)]
    for result in results:
        (result * torch.arange(result.numel()).view(result.shape).cos()).sum().backward()
    assert (results[0] - results[1]).abs().max() < 1e-5
    assert (given[0].grad - given[1].grad).abs().max() < 1e-5
    for (name, a), b in zip(ours.state_dict().items(), torchs.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6), name
    assert ours.state_dict().keys() == torchs.state_dict().keys()


def test_what_a_machine_cannot_do_is_said_in_a_line(monkeypatch):
    ranks.require_devices(5, "cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match="4 GPUs asked for, and torch finds none here: add --device cpu"):
        ranks.require_devices(4, "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(ValueError, match="4 GPUs asked for, this machine has 3: ask for 3 or fewer"):
        ranks.require_devices(4, "cuda")
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: False)
    with pytest.raises(ValueError, match="built without NCCL"):
        ranks.require_devices(2, "cuda")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(ValueError, match="to be started by torchrun"), ranks.joined("cpu"):
        pass
