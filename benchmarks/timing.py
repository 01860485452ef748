"""Times of works that take turns, and what is said of two of them beside each other."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from glann_lib.engine.devices import keep_freed_memory

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat; the same work each time, or work that differs by a seed only."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Half of the repeats took less."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest less fastest repeat."""
        return max(self.seconds) - min(self.seconds)

    def part(self, count: int) -> Timing:
        """The seconds of one of `count` equal parts, for example of a step where an epoch was timed."""
        return Timing(tuple(seconds / count for seconds in self.seconds))

    def __str__(self) -> str:
        scale, unit = next((pair for pair in UNITS if self.median >= pair[0]), UNITS[-1])
        return f"{self.median / scale:.3g} {unit} (spread {self.spread / scale:.2g})"


@dataclass(frozen=True)
class Comparison:
    """One piece of work, here and by the book.

    Attributes:
        what: the work, with its size.
        here, textbook_time: repeat i of one was measured right beside repeat i of the other.
        textbook: what the plain form is.
        difference: the largest between the two results, in words.
        results: what both gave, where that is a few numbers.
        operations: number format -> how many the matrix products and convolutions of the work here take, an addition
            and a multiplication as two; None: not counted; empty: there are none.
    """

    what: str
    here: Timing
    textbook: str
    textbook_time: Timing
    difference: str
    results: dict[str, Any] = field(default_factory=dict)
    operations: dict[str, float] | None = None

    @property
    def ratio(self) -> float:
        """How many times the textbook's median is longer."""
        return self.textbook_time.median / self.here.median

    @property
    def ratio_range(self) -> tuple[float, float]:
        """Least and largest ratio of a repeat."""
        pairs = zip(self.textbook_time.seconds, self.here.seconds, strict=False)
        ratios = [book / here for book, here in pairs]
        return min(ratios), max(ratios)

    def fraction(self, ceilings: dict[str, float]) -> float | None:
        """The part of its time here that the operations would take at the ceiling.

        None where none were counted, or some in a format without a ceiling.

        Args:
            ceilings: operations a second, by number format.
        """
        if not self.operations or not self.operations.keys() <= ceilings.keys():
            return None
        return sum(count / ceilings[name] for name, count in self.operations.items()) / self.here.median


def as_record(comparison: Comparison, ceilings: dict[str, float]) -> dict[str, Any]:
    """A comparison as plain values, with what follows from its fields."""
    derived = {
        "ratio": comparison.ratio,
        "ratio_range": list(comparison.ratio_range),
        "fraction_of_ceiling": comparison.fraction(ceilings),
    }
    return dataclasses.asdict(comparison) | derived


def timed(
    works: Sequence[Callable[[int], Any]],
    repeats: int,
    warm_up: bool = False,
    device: torch.device | None = None,
) -> list[tuple[Timing, list[Any]]]:
    """Each work's seconds and results.

    They take turns, so that whatever else the machine does falls on all of them.

    Args:
        works: each takes the repeat's number, from 0. The first is ours; the others run with glibc's own habits of
            giving memory back, as a program does that does not change them.
        repeats: of each, 1 or more.
        warm_up: whether each is first done once without being timed, as repeat 0.
        device: whose queue must be empty before the clock is read; None: the CPU, which has none.
    """
    if warm_up:
        for place, work in enumerate(works):
            keep_freed_memory(place == 0)
            work(0)
    seconds, results = [[] for _ in works], [[] for _ in works]
    for number, (place, work) in itertools.product(range(repeats), enumerate(works)):
        keep_freed_memory(place == 0)
        taken, result = clocked(functools.partial(work, number), device)
        seconds[place].append(taken)
        results[place].append(result)
    return [(Timing(tuple(times)), found) for times, found in zip(seconds, results, strict=True)]


def clocked(work: Callable[[], Any], device: torch.device | None = None) -> tuple[float, Any]:
    """The seconds that a work takes, from an empty queue to an empty queue of the device, and its result."""
    synchronise(device)
    start = time.perf_counter()
    result = work()
    synchronise(device)
    return time.perf_counter() - start, result


def synchronise(device: torch.device | None) -> None:
    """Wait until a GPU has done all that it was told to do."""
    if device is not None and device.type != "cpu":
        getattr(torch, device.type).synchronize()


class OperationCounter(TorchDispatchMode):
    """While it is entered, `counts` grows: number format -> additions and multiplications in products."""

    def __init__(self):
        super().__init__()
        self.counts: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Do `func`, and count it where torch knows how many operations it takes."""
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            dtype = next(value.dtype for value in args if isinstance(value, Tensor))
            count = flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=result)
            self.counts[str(dtype).removeprefix("torch.")] += count
        return result


def count_operations(work: Callable[[], Any]) -> dict[str, float]:
    """What `Comparison.operations` holds, of `work`, which is done once."""
    with OperationCounter() as counter:
        work()
    return dict(counter.counts)
