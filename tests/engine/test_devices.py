"""Devices by name, measured precision, and random streams that depend on seed and purpose alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from glann_lib.engine import devices


@pytest.fixture
def only_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_takes_what_is_there(only_cpu):
    assert devices.select_device("auto") == devices.select_device() == torch.device("cpu")


@pytest.mark.parametrize(("cuda", "mps", "best"), [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps")])
def test_auto_prefers_cuda_then_mps(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert devices.select_device("auto").type == best
    assert devices.select_device("cpu").type == "cpu"


@pytest.mark.parametrize("name", ["cuda", "mps", "tpu", "CPU", "cuda:0"])
def test_devices_that_are_not_there_are_one_line_errors(only_cpu, name):
    with pytest.raises(ValueError, match=name) as error:
        devices.select_device(name)
    assert "\n" not in str(error.value)


def test_a_seed_and_purpose_give_the_same_stream_again():
    draws = [torch.randn(100, generator=devices.seeded(3, "noise")) for _ in range(2)]
    assert torch.equal(*draws)


def test_streams_of_other_seeds_or_purposes_are_unrelated():
    keys = [(seed, purpose) for seed in (0, 1, 2, 10**12, -1) for purpose in ("noise", "order 1", "order 11", "")]
    draws = torch.stack([torch.randn(2000, generator=devices.seeded(*key)) for key in keys])
    correlation = torch.corrcoef(draws) - torch.eye(len(keys))
    assert correlation.abs().max() < 0.12  # 5 standard deviations of 1 / sqrt(2000)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.randn(20)
    torch.manual_seed(5)
    devices.seeded(1, "noise")
    with devices.scoped_seed(1, "weights"):
        inside = torch.randn(20)
    with pytest.raises(ZeroDivisionError), devices.scoped_seed(2, "weights"):
        torch.randn(7)
        raise ZeroDivisionError
    assert torch.equal(torch.randn(20), expected)
    assert not torch.equal(inside, expected)


def test_a_scoped_seed_is_that_of_the_purpose():
    with devices.scoped_seed(1, "weights"):
        inside = torch.randn(20)
    assert torch.equal(inside, torch.randn(20, generator=devices.seeded(1, "weights")))


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_named_precisions(with_bfloat16, name, dtype):
    assert devices.resolve_precision(name, torch.device("cpu")) == dtype


NATIVE = ("avx512_bf16", "amx_tile")


@pytest.fixture
def processor(monkeypatch):
    """Plays a processor with some instructions: of those in NATIVE, and what torch was told to use."""

    def play(*instructions, capability="AVX512"):
        devices.has_bfloat16.cache_clear()
        devices._say_without_bfloat16.cache_clear()
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: "avx512_bf16" in instructions)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: "amx_tile" in instructions)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)

    yield play
    devices.has_bfloat16.cache_clear()
    devices._say_without_bfloat16.cache_clear()


@pytest.mark.parametrize("native", NATIVE)
def test_auto_is_bfloat16_where_the_processor_has_instructions_for_it(processor, native):
    processor(native)
    assert devices.resolve_precision("auto", torch.device("cpu")) == torch.bfloat16
    assert devices.resolve_precision("auto", torch.device("mps")) == torch.float32
    processor(native, capability="AVX2")  # as ATEN_CPU_CAPABILITY=avx2 makes it
    assert devices.resolve_precision("auto", torch.device("cpu")) == torch.float32


def test_auto_is_float32_on_other_processors(processor, monkeypatch):
    processor()
    assert devices.resolve_precision("auto", torch.device("cpu")) == torch.float32
    processor("avx512_bf16")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx512_core")
    assert devices.resolve_precision("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_asks_a_gpu_what_it_can_do(monkeypatch, native, dtype):
    devices.has_bfloat16.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert devices.resolve_precision("auto", torch.device("cuda")) == dtype
    devices.has_bfloat16.cache_clear()


def test_no_clock_decides_what_is_computed(monkeypatch):
    """Equal settings mean equal formats: a busy moment must not change them."""
    import time

    for clock in ("perf_counter", "monotonic", "time"):
        monkeypatch.setattr(time, clock, lambda clock=clock: pytest.fail(f"asked the clock: {clock}"))
    devices.has_bfloat16.cache_clear()
    assert devices.resolve_precision("auto", torch.device("cpu")) in (torch.float32, torch.bfloat16)


def test_deterministic_kernels_are_asked_for_inside_the_block_only(monkeypatch):
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "benchmark", True)
    with pytest.raises(ZeroDivisionError), devices.deterministic(torch.device("cuda")):
        assert cudnn.deterministic and not cudnn.benchmark
        raise ZeroDivisionError
    assert not cudnn.deterministic and cudnn.benchmark
    with devices.deterministic(torch.device("cpu")):
        assert not cudnn.deterministic and cudnn.benchmark


def test_images_are_placed_on_the_device():
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    assert devices.place(images, torch.device("cpu")) is images
    assert devices.place(images, torch.device("meta")).device.type == "meta"


def play_memory(monkeypatch, free, kept):
    """A GPU with so many free bytes; `kept` are those that torch holds of tensors that are gone."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 100 + kept)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)


def test_images_too_large_for_the_gpu_stay_where_they_are(monkeypatch):
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    play_memory(monkeypatch, free=images.nbytes * 4 - 2, kept=1)
    assert devices.place(images, torch.device("cuda")) is images


FAULTS = """
import resource, sys
import torch
from glann_lib.engine import devices
if sys.argv[1] == "kept":
    devices.keep_freed_memory()
    devices.keep_freed_memory()
for _ in range(20):
    torch.ones(16 * 2**20)  # 64 MiB, more than glibc keeps by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_kept():
    """Memory from the system comes as pages that are empty until they are touched, each a fault."""
    faults = {}
    for how in ("kept", "given back"):
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run([sys.executable, "-c", FAULTS, how], cwd=root, capture_output=True, text=True, check=True)
        faults[how] = int(done.stdout)
    pages = 64 * 2**20 // 4096
    assert faults["given back"] - faults["kept"] > 10 * pages


def test_threads_that_wait_sleep():
    code = "import os, glann_lib; print(os.environ['OMP_WAIT_POLICY'])"
    root = Path(__file__).resolve().parents[2]
    for given, expected in ((None, "passive"), ("active", "active")):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        environment |= {"OMP_WAIT_POLICY": given} if given else {}
        done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == expected


def test_a_processor_without_bfloat16_falls_back_and_says_so_once(processor, capsys):
    processor()
    cpu = torch.device("cpu")
    assert [devices.resolve_precision("bfloat16", cpu) for _ in range(3)] == [torch.float32] * 3
    assert capsys.readouterr().out == "this cpu has no bfloat16 of its own: training in float32 instead\n"
    assert devices.resolve_precision("float32", cpu) == devices.resolve_precision("auto", cpu) == torch.float32
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("mib", "free", "expected"), [(1, 8, 4), (6, 8, 6), (0, 8, 0)])
def test_a_gpus_cache_may_take_half_of_what_is_free(monkeypatch, mib, free, expected):
    play_memory(monkeypatch, free=free * 2**20 - 5, kept=5)
    assert devices.memory_budget(mib, torch.device("cuda")) == expected * 2**20
    assert devices.memory_budget(mib, torch.device("cpu")) == mib * 2**20


@pytest.mark.parametrize(
    ("rows", "side", "expected"),
    [(64, 28, 64), (64, 64, 64), (64, 128, 16), (64, 256, 4), (64, 1024, 1), (8, 1024, 1), (1, 64, 1), (100, 96, 44)],
)
def test_as_many_pixels_at_once_whatever_the_side(rows, side, expected):
    assert devices.images_at_once(rows, side) == expected
    assert expected == 1 or expected * side**2 <= rows * 64**2
