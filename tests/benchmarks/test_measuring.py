"""Times that take turns, operations that are counted, and the machine that they are of."""

import dataclasses
import time
from pathlib import Path

import pytest
import torch

from benchmarks import machine, material, timing
from benchmarks.material import QUICK
from benchmarks.timing import Comparison, Timing, count_operations, timed
from glann_lib.engine import devices

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]


def test_a_gpu_is_given_whole_data_sets():
    small, large = material.Sizes(), material.Sizes.for_device(torch.device("cuda"))
    assert material.Sizes.for_device(CPU) == small
    assert [small.of_glo(size) for size in (28, 32, 64)] == [(128, 512), (128, 512), (64, 256)]
    assert [large.of_glo(size) for size in (28, 32, 64)] == [(128, 60_000), (128, 60_000), (64, 9000)]
    assert dataclasses.replace(large, glo_latents=None, large_glo_latents=None) == small
    assert 60_000 // 128 == 468 and QUICK.of_glo(64) == (4, 8)


def test_clocks_are_read_when_the_queue_is_empty(monkeypatch):
    told = []
    monkeypatch.setattr(timing, "synchronise", lambda device: told.append("wait"))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: told.append("clock") or 0.0)
    timed([lambda _: told.append("work")], 1, warm_up=True, device=torch.device("cuda"))
    assert told == ["work", "wait", "clock", "work", "wait", "clock"]


def test_ratios_are_those_of_the_medians_and_spreads_reach_from_end_to_end():
    comparison = Comparison("a", Timing((1.0, 9.0, 2.0)), "b", Timing((10.0, 12.0, 11.0)), "none")
    assert comparison.ratio == 5.5 and comparison.here.spread == 8.0
    assert comparison.ratio_range == (12 / 9, 10.0)
    assert comparison.here.part(2).seconds == (0.5, 4.5, 1.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [((2.0, 3.0, 4.5), "3 s (spread 2.5)"), ((0.002,), "2 ms (spread 0)"), ((2e-7,), "0.2 µs (spread 0)")],
)
def test_times_are_written_in_a_unit_that_fits(seconds, words):
    assert str(Timing(seconds)) == words


def test_works_take_turns_after_a_warm_up_that_is_not_timed():
    calls = []

    def work(name, seconds):
        def run(number):
            calls.append((name, number))
            time.sleep(seconds)
            return number

        return run

    (slow, numbers), (fast, _) = timed([work("a", 0.02), work("b", 0.0)], 2, warm_up=True)
    assert calls == [("a", 0), ("b", 0), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert numbers == [0, 1] and slow.median >= 0.02 > fast.median


def test_operations_are_counted_by_number_format_and_set_against_the_ceiling():
    image, weight = torch.ones(1, 3, 8, 8), torch.ones(5, 3, 3, 3)

    def work():
        torch.ones(3, 4, dtype=torch.bfloat16) @ torch.ones(4, 5, dtype=torch.bfloat16)
        torch.nn.functional.conv2d(image, weight, padding=1)

    counts = count_operations(work)
    assert counts == {"bfloat16": 2 * 3 * 4 * 5, "float32": 2 * 8 * 8 * 5 * 27}
    second = Timing((1.0,))
    ceilings = {"bfloat16": 240.0, "float32": 2 * counts["float32"]}
    assert Comparison("a", second, "b", second, "", operations=counts).fraction(ceilings) == 1.0
    assert Comparison("a", second, "b", second, "").fraction(ceilings) is None
    assert Comparison("a", second, "b", second, "", operations={"float64": 1.0}).fraction(ceilings) is None


def test_the_machine_is_described_and_measured():
    description, rates = machine.describe(CPU), machine.ceilings(CPU, side=64, copied=2**16)
    assert description["cores"] >= 1 and description["gpu"] is None and set(machine.PACKAGES) <= set(description)
    formats = {"float32"} | ({"bfloat16"} if devices.has_bfloat16(CPU) else set())
    assert set(rates) == formats | {"copy"} and min(rates.values()) > 0
    assert "billion operations a second" in machine.words(description, rates)
    assert machine.peak_bytes(CPU) >= machine.used_bytes(CPU) > 0


@pytest.mark.parametrize(("kind", "side"), [("cpu", 2048), ("cuda", 8192)])
def test_the_ceiling_of_a_gpu_is_that_of_large_products(kind, side, monkeypatch):
    asked = []
    monkeypatch.setattr(machine, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(machine, "_product_seconds", lambda device, side, dtype: asked.append(side) or 1.0)
    monkeypatch.setattr(machine, "timed", lambda works, *_, **__: [(Timing((1.0,)), [])])
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: torch.empty(0))
    rates = machine.ceilings(torch.device(kind))
    assert asked == [side, side] and rates["bfloat16"] == 2 * side**3
