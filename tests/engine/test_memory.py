"""Memory counted without doing the work: sums by hand, views, what is freed, networks without numbers."""

import functools

import pytest
import torch
from torch import nn

from glann_lib.engine import devices, memory
from glann_lib.engine.memory import HeldMemory, free_bytes, peak_bytes, unreal

CPU = torch.device("cpu")


def test_the_peak_is_the_sum_of_what_is_held_at_once():
    def step():
        a = torch.zeros(1000)  # 4,000 bytes
        b = a.view(10, 100)[2:]  # a view takes nothing
        c = b.double()  # 800 numbers of 8 bytes
        del a, b
        return c + torch.ones(800, dtype=torch.double).view(8, 100)  # without a: three times 6,400 bytes

    assert peak_bytes(lambda: step, CPU) == 3 * 6400


def test_what_was_made_before_the_steps_counts_in_them():
    def make():
        held = torch.zeros(500)
        return lambda: held + torch.ones(500)

    assert peak_bytes(make, CPU) == 3 * 2000
    assert peak_bytes(make, torch.device("meta")) == 0  # tensors elsewhere do not count


def test_nothing_is_computed():
    def make():
        wide = torch.zeros(2**20, 2**20, dtype=torch.uint8)  # a TiB
        return lambda: wide.float()

    assert peak_bytes(make, CPU) == 5 * 2**40


def test_real_tensors_are_counted_likewise():
    with HeldMemory(CPU) as counted:
        kept = torch.zeros(100)
        kept.add_(1)
        gone = kept + 1
        del gone
    assert (counted.held, counted.most) == (400, 800) and len(kept) == 100


def adam(network, inputs):
    network = unreal(network, CPU)
    optimiser = torch.optim.Adam(network.parameters(), foreach=False)

    def step():
        optimiser.zero_grad()
        network(torch.zeros(1, inputs)).sum().backward()
        optimiser.step()

    return step


def test_the_optimisers_moments_are_found_by_the_second_step():
    with torch.device("meta"):
        network = nn.Linear(1000, 1000, bias=False)
    found, weights = peak_bytes(functools.partial(adam, network, 1000), CPU), 4 * 1000**2
    # Weights, gradient, two moments, and what Adam divides by: one map, or two for a moment.
    assert 5 * weights <= found < 6.1 * weights


def test_a_network_without_numbers_is_like_the_network():
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4), nn.Linear(3, 3, dtype=torch.bfloat16))
        network[0].to(memory_format=torch.channels_last)
        network[2].requires_grad_(False).weight = network[2].weight
        network.append(network[2])
    copies = []

    def make():
        copies.append(unreal(network, CPU))
        return lambda: None

    values = {*network.parameters(), *network.buffers()}
    assert peak_bytes(make, CPU) == sum(value.numel() * value.element_size() for value in values)
    (copy,) = copies
    assert copy[3] is copy[2] and copy[0].weight.device.type == "cpu"
    for (name, value), (same, found) in zip(
        network.state_dict(keep_vars=True).items(), copy.state_dict(keep_vars=True).items(), strict=True
    ):
        assert name == same and isinstance(found, nn.Parameter) == isinstance(value, nn.Parameter)
        assert (found.shape, found.stride(), found.dtype) == (value.shape, value.stride(), value.dtype)
        assert found.requires_grad == value.requires_grad


def test_the_machines_free_memory_is_what_the_system_says(monkeypatch, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:  900 kB\nMemFree:  100 kB\nMemAvailable:     300 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    assert free_bytes(CPU) == free_bytes(torch.device("mps")) == 300 * 1024
    for text in ("MemFree: 100 kB\n", "nothing\n", "MemAvailable: many kB\n"):
        (tmp_path / "meminfo").write_text(text)
        monkeypatch.setattr(memory.os, "sysconf_names", {"SC_AVPHYS_PAGES": 1, "SC_PAGE_SIZE": 2})
        monkeypatch.setattr(memory.os, "sysconf", {"SC_AVPHYS_PAGES": 7, "SC_PAGE_SIZE": 4096}.get)
        assert free_bytes(CPU) == 7 * 4096
        monkeypatch.setattr(memory.os, "sysconf_names", {})  # macOS, Windows
        assert free_bytes(CPU) is None


def test_a_gpus_free_memory_is_its_own(monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda device: 77)
    assert free_bytes(torch.device("cuda")) == 77


@pytest.mark.skipif(not memory.MEMINFO.is_file(), reason="no /proc")
def test_less_is_free_than_there_is():
    total = int(memory.MEMINFO.read_text().split("MemTotal:")[1].split()[0]) * 1024
    assert 0 < free_bytes(CPU) < total
