"""Training steps as CUDA graphs: the hundreds of launches of a step are recorded once, then started as one.

At 28 px a GPU works off a launch faster than Python makes the next. On other devices a step runs as it is.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from glann_lib.engine.checks import first_line

WARM_UP = 3  # steps before the recording: libraries choose their kernels and take their memory in them


class Recording:
    """What was recorded of a step. From the fourth call of `run` on, it is replayed.

    Every call trains: the first three run as they are, and the recording itself runs nothing, it is replayed at once.
    It does not keep the step, which mostly belongs to what owns the recording: they would hold each other, and a graph
    keeps gigabytes.

    Args:
        device: of the step's tensors; only steps on CUDA are recorded.
        graphs: "auto" or "off"; with the environment variable GLANN_GRAPHS=off no step is recorded.
    """

    def __init__(self, device: torch.device, graphs: str = "auto"):
        self.records = device.type == "cuda" and "off" not in (graphs, os.environ.get("GLANN_GRAPHS"))
        self.calls, self.graph = 0, None
        # The first steps and the recording use one stream: each stream has a workspace of its own in cuBLAS.
        self.stream = torch.cuda.Stream(device) if self.records else None

    def run(self, step: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
        """`step(*inputs)`, or the same by the graph; the result is a tensor of its own, which later calls leave alone.

        Args:
            step: always the same work on the same tensors, changed in place, without a look at a value on the processor
                and without random numbers: those are inputs.
            inputs: on the device, of the same shapes and types at every call.

        Raises:
            RuntimeError: the step cannot be recorded; says how to start again.
        """
        if self.records and self.graph is None and self.calls >= WARM_UP:
            self._record(step, inputs)
        if self.graph is None:
            self.calls += 1
            return self._beside(step, inputs) if self.records else step(*inputs)
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.graph.replay()
        return self.result.clone()

    def drop(self) -> None:
        """Free the graph and its memory; a later call records anew."""
        self.graph = self.inputs = self.result = None
        self.calls = 0

    def _record(self, step: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        self.inputs, graph = tuple(value.clone() for value in inputs), torch.cuda.CUDAGraph()
        try:
            with _without_collector(), torch.cuda.graph(graph, stream=self.stream):
                self.result = step(*self.inputs)
        except RuntimeError as error:
            # Not tried without: after a recording that failed, torch 2.11 can abort when it frees memory.
            less = "a lower glo_cache_mib, or with " if isinstance(error, torch.OutOfMemoryError) else ""
            advice = f"start again with {less}the environment variable GLANN_GRAPHS=off"
            raise RuntimeError(f"the step cannot be recorded as a CUDA graph ({first_line(error)}): {advice}") from None
        self.graph = graph

    def _beside(self, step: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
        """One step on a stream beside the current one, as the recording will be."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = step(*inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return result


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Python's collector, run once, then off inside the block: a dead graph that it frees would break the recording."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
