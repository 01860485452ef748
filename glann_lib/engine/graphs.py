"""Training steps as CUDA graphs: the hundreds of launches of a step are recorded once, then started as one.

At 28 px a GPU works off a launch faster than Python makes the next. On other devices a step runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3  # steps before the recording: libraries choose their kernels and take their memory in them


class ReplayedStep:
    """`step`, replayed from a CUDA graph from its fourth call on.

    Every call trains: the first three run as they are, and the recording itself runs nothing, it is replayed at once.
    `step`, int [B] -> loss, is always the same work on the same tensors, changed in place, without a look at a value on
    the processor, and B the same at every call.
    """

    def __init__(self, step: Callable[[Tensor], Tensor], device: torch.device):
        self.step, self.records, self.calls = step, device.type == "cuda", 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Tensor) -> Tensor:
        """One step; the loss is a tensor of its own, which later calls leave alone."""
        if self.records and self.graph is None and self.calls >= WARM_UP:
            self._record(batch)
        if self.graph is None:
            self.calls += 1
            return _beside(self.step, batch) if self.records else self.step(batch)
        self.batch.copy_(batch)
        self.graph.replay()
        return self.loss.clone()

    def _record(self, batch: Tensor) -> None:
        """The graph; where the step cannot be recorded, it goes on as it is, and that is said."""
        self.batch, graph = batch.clone(), torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.loss = self.step(self.batch)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.records = False
            print(
                f"the step cannot be recorded as a CUDA graph and runs without: {str(error).splitlines()[0]}",
                flush=True,
            )
        else:
            self.graph = graph


def _beside(step: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """One step on a stream beside the current one, as a recording will be."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        loss = step(batch)
    torch.cuda.current_stream().wait_stream(stream)
    return loss
