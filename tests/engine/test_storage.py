"""Files that are whole or not there, tensors bit for bit, errors for damage, and a lock that dies with its owner."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from glann_lib.engine import storage

ROOT = Path(__file__).resolve().parents[2]


def some_tensors():
    random = torch.Generator().manual_seed(0)
    draw = torch.randn(5, 7, generator=random)
    return {
        "float32": draw,
        "float64": draw.double(),
        "float16": draw.half(),
        "bfloat16": draw.bfloat16(),
        "int64": torch.arange(-3, 3),
        "uint8": torch.arange(256, dtype=torch.uint8).view(2, 2, 64),
        "bool": draw > 0,
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "not_contiguous": draw.T,
        "special": torch.tensor([float("nan"), float("inf"), -0.0]),
        "with_gradient": draw.clone().requires_grad_(),
    }


def same_bits(a, b):
    as_bytes = [t.detach().contiguous().flatten().view(torch.uint8) for t in (a, b)]
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*as_bytes)


@pytest.fixture
def saved(tmp_path):
    return storage.save_tensors(tmp_path / "model.safetensors", some_tensors(), {"epoch": 3})


def test_write_makes_folders_and_replaces_the_old_file(tmp_path):
    path = tmp_path / "a" / "b" / "notes.txt"
    assert storage.write_text(path, "old") == path
    storage.write_text(path, "größer")
    assert path.read_bytes() == "größer".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == ["notes.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_write_that_fails_midway_leaves_the_old_file(tmp_path, monkeypatch, call, old):
    path = tmp_path / "model.bin"
    if old is not None:
        path.write_bytes(old)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match=r"model\.bin.*No space left") as error:
        storage.write_bytes(path, b"new" * 1000)
    assert error.value.errno == errno.ENOSPC
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ([] if old is None else ["model.bin"])
    assert old is None or path.read_bytes() == old


def test_a_folder_that_cannot_be_made_is_a_one_line_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write") as error:
        storage.write_text(tmp_path / "file" / "notes.txt", "text")
    assert "\n" not in str(error.value)


def test_json_does_not_depend_on_order(tmp_path):
    storage.write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
    storage.write_json(tmp_path / "b.json", {"a": [1.5, None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1, "a": [1.5, None]}


def test_tensors_come_back_bit_for_bit(saved):
    tensors, record = storage.load_tensors(saved)
    assert record == {"epoch": 3}
    assert tensors.keys() == some_tensors().keys()
    for name, value in some_tensors().items():
        assert same_bits(tensors[name], value), name
        assert not tensors[name].requires_grad


def test_equal_contents_are_equal_bytes(tmp_path, saved):
    backwards = dict(reversed(some_tensors().items()))
    again = storage.save_tensors(tmp_path / "again.safetensors", backwards, {"epoch": 3})
    assert again.read_bytes() == saved.read_bytes()
    records = ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})
    files = [storage.save_tensors(tmp_path / f"{i}.safetensors", {}, record) for i, record in enumerate(records)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_loaded_tensors_outlive_the_file(saved):
    tensors, _ = storage.load_tensors(saved)
    storage.write_bytes(saved, b"something else")
    assert same_bits(tensors["float32"], some_tensors()["float32"])


@pytest.mark.parametrize("part", [0, 1, 7, 8, 9, 0.05, 0.5, 0.9, -1])
def test_a_file_cut_short_is_a_one_line_error(saved, part):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: part if isinstance(part, int) else int(len(whole) * part)])
    with pytest.raises(ValueError, match=r"model\.safetensors.*remove it") as error:
        storage.load_tensors(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("start", [0, 8, 20, 40])
def test_a_damaged_header_is_a_one_line_error(saved, start):
    whole = saved.read_bytes()
    saved.write_bytes(whole[:start] + b"\xff" * 16 + whole[start + 16 :])
    with pytest.raises(ValueError, match=r"model\.safetensors") as error:
        storage.load_tensors(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"record": "no JSON {"}])
def test_files_of_others_are_refused(tmp_path, metadata):
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match=r"foreign\.safetensors") as error:
        storage.load_tensors(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        storage.load_tensors(tmp_path / "none.safetensors")


def test_digest_is_of_the_values():
    assert storage.digest({"a": 1, "b": [2.0, None]}) == storage.digest({"b": [2.0, None], "a": 1})
    assert len({storage.digest(*parts) for parts in [("a", "b"), ("b", "a"), ("ab",), (["a", "b"],), ()]}) == 5
    assert storage.digest({"lr": 0.1}) != storage.digest({"lr": 0.1000001})
    assert len(storage.digest(1)) == 64


def test_tensor_digest_sees_shape_type_and_values():
    zeros = torch.zeros(4, 6)
    others = [zeros.T, zeros.view(2, 12), zeros.double(), zeros.int(), zeros.index_fill(0, torch.tensor(1), 1e-30)]
    assert len({storage.tensor_digest(tensor) for tensor in [zeros, *others]}) == 6
    draw = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    assert storage.tensor_digest(draw.T) == storage.tensor_digest(draw.T.contiguous())
    assert storage.tensor_digest(draw.requires_grad_()) == storage.tensor_digest(draw.detach().clone())


def test_a_lock_is_held_once_and_freed_at_the_end(tmp_path):
    path = tmp_path / "run" / ".lock"
    with storage.locked(path):
        with pytest.raises(RuntimeError, match=f"in use.*{os.getpid()}") as error, storage.locked(path):
            pytest.fail("held twice")
        assert "\n" not in str(error.value)
        with storage.locked(tmp_path / "another" / ".lock"):
            pass
    with pytest.raises(ZeroDivisionError), storage.locked(path):
        raise ZeroDivisionError
    with storage.locked(path):
        pass


def test_a_lock_in_a_place_that_cannot_be_written_is_a_one_line_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write") as error, storage.locked(tmp_path / "file" / ".lock"):
        pass
    assert "\n" not in str(error.value)


def test_a_file_system_without_locks_is_named_and_used_where_the_person_asks_for_it(tmp_path, monkeypatch):
    def flock(file, flags):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(storage.fcntl, "flock", flock)
    said = rf"the file system of {tmp_path} has no locks \(No locks available\): choose another"
    with pytest.raises(OSError, match=said), storage.locked(tmp_path / ".lock"):
        pytest.fail("held without a lock")
    monkeypatch.setenv("GLANN_LOCK", "none")
    with storage.locked(tmp_path / ".lock"):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_lock_keeps_others_out_until_its_owner_is_killed(tmp_path):
    path = tmp_path / ".lock"
    code = "import sys, time\nfrom pathlib import Path\nfrom glann_lib.engine.storage import locked\n"
    code += "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True, cwd=ROOT) as owner:
        try:
            assert owner.stdout.readline() == "held\n"
            for _ in range(2):  # a refused one leaves the owner's number where it is
                with pytest.raises(RuntimeError, match=rf"process {owner.pid}\b"), storage.locked(path):
                    pytest.fail("held by two processes")
        finally:
            os.kill(owner.pid, signal.SIGKILL)
        assert owner.wait(60) == -signal.SIGKILL
    with storage.locked(path):
        assert path.read_text() == str(os.getpid())
