"""The loop that every training stage runs in: epochs, checkpoints, resuming, progress.

A stage knows how to run one epoch and how to give and take its state as tensors. This module does the rest: it yields
a record an epoch, writes checkpoints that are whole or not there, goes on from the last one after a crash, and trains
nothing that is finished. A stage draws the randomness of an epoch from its seed and the epoch's number, so that a
resumed training takes the same steps as one that was never stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from glann_lib.engine import devices, progress, ranks, storage

CHECKPOINT_SECONDS = 20.0  # at least so long between two checkpoints: a kill loses that and an epoch
RESUME = "resume."  # tensors of this prefix are needed to go on training, not afterwards


class Stage(Protocol):
    """What `train` asks of a training stage."""

    name: str  # of files and messages, for example "glo"
    epochs: int
    fingerprint: str  # equal for equal settings and data
    record_type: type  # dataclass of an epoch's record, with the fields epoch, loss and seconds

    def run_epoch(self, epoch: int) -> Any:
        """Train epoch number `epoch`, from 1, and return its record."""

    def state(self) -> dict[str, Tensor]:
        """All tensors that decide how training goes on."""

    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take back what `state` and `facts` gave."""

    def facts(self) -> dict[str, Any]:
        """Plain values that go into the checkpoint's record."""


def train(stage: Stage, path: Path | None = None) -> Iterator[Any]:
    """Train a stage, which then holds its result; yields each epoch's record, those done before included.

    The finished stage goes to `path`, *.safetensors; None: nothing is written. Until then checkpoints lie beside it,
    named by the stage's fingerprint, so that other settings neither take them up nor destroy them. Raises ValueError
    where a checkpoint is damaged, OSError where one cannot be written (the last one stays), RuntimeError where another
    process trains into the same file, and the stage's FloatingPointError for a loss or latent that is not finite.
    """
    devices.keep_freed_memory()
    if path is None:
        yield from (stage.run_epoch(epoch) for epoch in range(1, stage.epochs + 1))
        return
    partial = path.with_name(f"{path.stem}.partial-{stage.fingerprint[:8]}.safetensors")
    with _alone_in(path):
        history = _restore(stage, path) or _restore(stage, partial) or []
        ranks.require_same(str(len(history)), "checkpoints")
        yield from history
        saved = time.monotonic()
        for epoch in range(len(history) + 1, stage.epochs + 1):
            history.append(stage.run_epoch(epoch))
            if epoch == stage.epochs:
                _save(stage, path, history)
            elif ranks.first(time.monotonic() - saved > CHECKPOINT_SECONDS):
                _save(stage, partial, history)
                saved = time.monotonic()
            yield history[-1]
        if not ranks.rank():
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone_in(path: Path) -> Iterator[None]:
    """Hold the lock of a stage's file, which process 0 alone writes, and clear away what killed writes left there."""
    with storage.locked(path.with_name(f".{path.stem}.lock")) if not ranks.rank() else contextlib.nullcontext():
        for stray in path.parent.glob(f".{path.stem}.*safetensors.*") if not ranks.rank() else ():
            stray.unlink(missing_ok=True)
        ranks.first(True)  # the others wait until that is done
        yield


def _save(stage: Stage, path: Path, history: list[Any]) -> None:
    """A checkpoint, or at the end what is needed afterwards; of several processes the first one writes it."""
    state = stage.state()
    if len(history) == stage.epochs:
        state = {name: values for name, values in state.items() if not name.startswith(RESUME)}
    if not ranks.rank():
        storage.save_tensors(path, state, _record(stage, history))
    ranks.first(True)  # the file is there for all


def run(stage: Stage, path: Path | None = None, seen: Callable[[Any], None] | None = None, short: int = 0) -> list[Any]:
    """`train` to the end, with `progress.epochs`; `seen` gets each epoch's record, which all come back at the end."""
    history = []
    for record in progress.epochs(train(stage, path), stage.epochs, stage.name, short):
        if seen:
            seen(record)
        history.append(record)
    return history


def check_finite(values: Tensor, stage: str, epoch: int, advice: str) -> None:
    """Stop a training whose losses [batches] are not all finite: a FloatingPointError names epoch and batch."""
    bad = (~torch.isfinite(values)).nonzero()
    if len(bad):
        batch = int(bad[0, 0]) + 1
        raise FloatingPointError(f"{stage}: not finite in epoch {epoch}, batch {batch} of {len(values)}: {advice}")


def check_weights(weights: Iterable[Tensor], stage: str, epoch: int, advice: str) -> None:
    """The same for weights that an epoch's last step left: no loss has shown them yet."""
    if not all(bool(torch.isfinite(values).all()) for values in weights):
        raise FloatingPointError(f"{stage}: weights not finite after epoch {epoch}, last batch: {advice}")


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as tensors named "resume.optimiser.<parameter>.<name>"."""
    state = optimiser.state_dict()["state"]
    return {f"{RESUME}optimiser.{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def reset_optimiser(optimiser: torch.optim.Optimizer) -> None:
    """Make an optimiser as good as new, in the memory that it has: every number of its state is zero."""
    for values in optimiser.state.values():
        for value in values.values():
            value.zero_()


def restore_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Tensor]) -> None:
    """Give an optimiser the state that `optimiser_state` took from one like it.

    Files hold no memory layout, and a fused step goes wrong unless its moments have that of the weights.
    """
    values: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith(f"{RESUME}optimiser."):
            index, name = key.removeprefix(f"{RESUME}optimiser.").split(".")
            values.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": values, "param_groups": optimiser.state_dict()["param_groups"]})
    for weights, moments in optimiser.state.items():
        for name, value in moments.items():
            if value.shape == weights.shape:
                moments[name] = torch.empty_like(weights).copy_(value)


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, each name behind a prefix."""
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def snapshots(state: dict[str, Tensor]) -> dict[int, Tensor]:
    """The tensors "snapshots.<epoch>" of a state, by epoch, in order."""
    epochs = sorted(int(name.removeprefix("snapshots.")) for name in state if name.startswith("snapshots."))
    return {epoch: state[f"snapshots.{epoch}"] for epoch in epochs}


def finished(path: Path, stage: str, what: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and record of a stage that `train` finished at `path`; a ValueError where it does not hold `what`."""
    state, record = storage.load_tensors(path)
    if record.get("stage") != stage:
        raise ValueError(f"{path} does not hold {what}: name the file that fit_{stage} wrote")
    return state, record


def _record(stage: Stage, history: list[Any]) -> dict[str, Any]:
    rows = [dataclasses.asdict(record) for record in history]
    return {"stage": stage.name, "fingerprint": stage.fingerprint, "history": rows, **stage.facts()}


def _restore(stage: Stage, path: Path) -> list[Any] | None:
    """Put the stage where the file left it and return its history; None where there is no such file."""
    if not path.is_file():
        return None
    state, record = storage.load_tensors(path)
    if record.get("fingerprint") != stage.fingerprint:
        return None
    stage.restore(state, record)
    return [stage.record_type(**row) for row in record["history"]]
