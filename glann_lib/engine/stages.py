"""A training stage whose epoch is many steps that do the same work: what a stage of this library has to say.

A step is a function of tensors alone. So the loop here can record it on a GPU, try it again with less memory, and share
it among several processes; a stage only names what each step takes.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from glann_lib.engine import devices, ranks, training
from glann_lib.engine.graphs import Recording


class SteppedStage:
    """A stage for `training.train` by its steps: a subclass gives `inputs`, `step`, `end` and what `train` asks for.

    Deterministic kernels run on CUDA while it trains: the same steps give the same bits, and a resumed training those
    of one that was never stopped. Bilinear interpolation (the Laplacian loss) and adaptive pooling of odd sizes
    (`translation.network`) have no such kernel for their gradients: there nothing is promised on CUDA.
    """

    name: str  # of files and messages
    epochs: int
    config: Any  # a dataclass with the field batch_size
    device: torch.device
    dtype: torch.dtype  # of training, where its settings leave a choice
    graphs = "auto"  # or "off": no step is recorded
    prefix = ""  # of its settings' names in a notebook: "glo_", for example
    shared = False  # whether several processes may train it together, see `ranks`
    small = False  # whether a step is so little work that one thread does it fastest
    recording: Recording | None = None  # made by the first epoch

    def inputs(self, epoch: int) -> Iterable[tuple[Tensor, ...]]:
        """What each step of an epoch takes: tensors on the device, of the same shapes at every step.

        They are asked for one by one, each when its step's turn comes: a random number that a step needs is drawn here.
        """
        raise NotImplementedError

    def step(self, *inputs: Tensor) -> Tensor:
        """Train on one batch; its loss, or its terms, the loss first. It may look at no value on the processor."""
        raise NotImplementedError

    def end(self, epoch: int, losses: Tensor, start: float) -> Any:
        """What comes after the last step; the epoch's record, of losses [steps] or [steps, terms], begun at `start`."""
        raise NotImplementedError

    def trained(self) -> Iterable[Tensor]:
        """What must be finite after an epoch: no loss has shown yet what its last step left."""
        raise NotImplementedError

    @property
    def advice(self) -> str:
        """What to change where a number is not finite."""
        return f"try a smaller {self.prefix}lr (now {self.config.lr:g})"

    @property
    def memory_advice(self) -> str:
        """What to change where a step does not fit into memory."""
        return f"lower {self.prefix}batch_size (now {self.config.batch_size})"

    def give_up_cache(self) -> bool:
        """Free what is kept only for speed; False: there is nothing."""
        return False

    def facts(self) -> dict[str, Any]:
        """Settings and number format, for the checkpoint's record."""
        return {"config": asdict(self.config), "precision": str(self.dtype).removeprefix("torch.")}

    def run_epoch(self, epoch: int) -> Any:
        """Train epoch number `epoch`, from 1, and return its record."""
        start = time.monotonic()
        if ranks.count() > 1 and not self.shared:
            raise ValueError(f"{self.name} is trained by one process: start this without torchrun")
        if self.recording is None:
            # Sums over several processes were never recorded: they run as they are.
            self.recording = Recording(self.device, self.graphs if ranks.count() == 1 else "off")
        with devices.deterministic(self.device):
            inputs = self.inputs(epoch)
            alone = self.small and self.device.type == "cpu"
            with devices.single_thread() if alone else contextlib.nullcontext():
                losses = ranks.mean(torch.stack([self._take(given) for given in inputs]))
            terms = losses.flatten(1).sum(1) if losses.dim() > 1 else losses
            training.check_finite(terms, self.name, epoch, self.advice)
            training.check_weights(self.trained(), self.name, epoch, self.advice)
            record = self.end(epoch, losses, start)
        if epoch == self.epochs:
            self.recording.drop()
        return record

    def _take(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """One step; where a GPU's memory does not suffice, the cache goes first, and the step is tried again.

        Where there is a cache, a step that did not fit has changed no weight yet: they move last.
        """
        try:
            return self.recording.run(self.step, inputs)
        except torch.OutOfMemoryError:
            if not self.give_up_cache():
                words = f"out of memory in a step of {len(inputs[0])} images"
                raise MemoryError(f"{words}: {self.memory_advice}") from None
        self.recording.drop()
        torch.cuda.empty_cache()
        return self._take(inputs)


def batches(count: int, size: int, random: torch.Generator, device: torch.device) -> Sequence[Tensor]:
    """Row numbers [size] of each batch, on the device: all rows in a new order; a last, incomplete batch is left out.

    With several processes each has as many rows in every batch, the first process first: `ranks.mine` are one's own.

    Args:
        count: rows, of all processes together.
        size: of a batch, likewise.
        random: on the CPU, in the same state everywhere.
        device: of the result.
    """
    orders = [torch.randperm(rows, generator=random) for rows in ranks.shares(count)]
    part = ranks.part(size)
    steps = min(len(order) for order in orders) // part
    parts = [order[: steps * part].view(steps, part) * len(orders) + number for number, order in enumerate(orders)]
    return torch.cat(parts, 1).to(device).unbind()


def make_adam(
    groups: Sequence[Any], device: torch.device, kind: type[torch.optim.Optimizer] = torch.optim.Adam, **own: Any
) -> torch.optim.Optimizer:
    """Adam, or what is like it, in the form that is fastest on the device and that a graph can hold.

    Args:
        groups: parameter groups with their step size "lr".
        device: of the parameters.
        kind: torch.optim.Adam or AdamW.
        **own: the optimiser's other settings.
    """
    on_cuda = device.type == "cuda"
    if on_cuda:  # a recorded step reads the step size from the device, from a tensor that no other group shares
        groups = [group | {"lr": torch.tensor(float(group["lr"]), device=device)} for group in groups]
    return kind(groups, fused=device.type != "mps", capturable=on_cuda, **own)


def fall_to_zero(optimiser: torch.optim.Optimizer, first: float, done: float) -> None:
    """Give `make_adam`'s first group its step size after a part of the training, 0 to 1: half a cosine from `first`."""
    set_step_size(optimiser.param_groups[0], first * (1 + math.cos(math.pi * done)) / 2)


def set_step_size(group: dict[str, Any], value: float) -> None:
    """Give a parameter group of `make_adam` its next step size."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(value)
    else:
        group["lr"] = value
