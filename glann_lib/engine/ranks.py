"""Several processes that train one model, each on a GPU of its own: torch.distributed, as little of it as will do.

Of N rows (images, their latents) process r of n holds r, r + n, r + 2 n, ...: its share. While training, rows never
travel; what is added up over all processes are gradients, BatchNorm's sums and losses. A program without `joined` is
one process, and everything here then gives back what it is given.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, distributed, nn

from glann_lib.engine.checks import first_line

TOGETHER = 2**16  # numbers of a tensor, up to which it is sent with others: each message takes its time
PATIENCE = 50  # seconds that a process waits for the others; GLANN_PATIENCE is another number
_in_step = False  # whether BatchNorm's statistics are those of all processes


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if _several() else 0


def count() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if _several() else 1


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


@contextlib.contextmanager
def joined(device: str) -> Iterator[None]:
    """Be one of the processes that torchrun started, inside the block; "cuda" is then a GPU of this process's own.

    Args:
        device: "cuda" or "cpu".

    Raises:
        ValueError: torchrun did not start this; fewer GPUs than processes; a torch without NCCL.
    """
    if "LOCAL_RANK" not in os.environ:
        raise ValueError("this is to be started by torchrun, once for each GPU: see glann_lib/README.md")
    require_devices(int(os.environ["LOCAL_WORLD_SIZE"]), device)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    timeout = datetime.timedelta(seconds=float(os.environ.get("GLANN_PATIENCE", PATIENCE)))
    with _with_others():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=timeout)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def first_alone() -> Iterator[None]:
    """Process 0 does what is in the block before the others do, however long it takes: a download, for example."""
    if count() == 1:
        yield
        return
    group = distributed.new_group(timeout=datetime.timedelta(days=1), backend="gloo")
    if rank():
        distributed.barrier(group)
    yield
    if not rank():
        distributed.barrier(group)


def require_devices(wanted: int, device: str) -> None:
    """Refuse, by a ValueError, so many processes on one machine where it cannot have them."""
    if not distributed.is_available():
        raise ValueError("this torch has no torch.distributed: install another one, or take one GPU")
    if device == "cpu":
        return
    here = torch.cuda.device_count() if device == "cuda" else 0
    if not here:
        raise ValueError(f"{wanted} GPUs asked for, and torch finds none here: add --device cpu to try it without")
    if here < wanted:
        raise ValueError(f"{wanted} GPUs asked for, this machine has {here}: ask for {here} or fewer")
    if not distributed.is_nccl_available():
        raise ValueError("this torch was built without NCCL, which several GPUs need: install torch from PyPI")


def require_same(digest: str, what: str) -> None:
    """Refuse, by a ValueError in every process, to train one model on what is not the same everywhere."""
    if count() == 1:
        return
    found: list[str] = [""] * count()
    with _with_others():
        distributed.all_gather_object(found, digest)
    if len(set(found)) > 1:
        told = ", ".join(f"process {number} has {value[:8]}" for number, value in enumerate(found))
        raise ValueError(f"the processes see different {what} ({told}): give all of them the same files")


def first(value: bool) -> bool:
    """What process 0 says."""
    if count() == 1:
        return value
    said = torch.tensor(value)
    with _with_others():
        distributed.broadcast(said, src=0)
    return bool(said)


def part(size: int) -> int:
    """One process's part of a batch; a ValueError where it cannot be shared evenly."""
    if size % count():
        near = max(1, round(size / count())) * count()
        raise ValueError(f"{count()} processes cannot share batches of {size} evenly: take batches of {near}")
    return size // count()


def shares(rows: int) -> list[int]:
    """How many of so many rows each process holds."""
    return [len(range(number, rows, count())) for number in range(count())]


def own(rows: Tensor) -> Tensor:
    """This process's share of rows [N, ...]: a copy, so that the rest can be freed; with one process all, as it is."""
    return rows if count() == 1 else rows[rank() :: count()].clone()


def mine(batch: Tensor) -> Tensor:
    """Of a batch's row numbers, see `stages.batches`, those of this process, counted in its own share."""
    return batch if count() == 1 else batch.split(part(len(batch)))[rank()] // count()


def whole(rows: Tensor, total: int, everywhere: bool = False) -> Tensor:
    """All `total` rows, on the CPU, of each process's share [n, ...]; only process 0 gets them unless `everywhere`."""
    rows = rows.detach()
    if count() == 1:
        return rows
    filled = rows.new_zeros(shares(total)[0], *rows.shape[1:], device="cpu")  # the first share is the largest
    filled[: len(rows)] = rows
    parts = [torch.empty_like(filled) for _ in range(count())] if everywhere or not rank() else None
    with _with_others():
        distributed.all_gather(parts, filled) if everywhere else distributed.gather(filled, parts)
    return torch.stack(parts, 1).flatten(0, 1)[:total] if parts else filled[:0]


def add_up(tensors: Iterable[Tensor], most: bool = False) -> None:
    """Put in each tensor's place its sum over all processes, or with `most` the largest; all are of one type."""
    if count() == 1:
        return
    operation = distributed.ReduceOp.MAX if most else distributed.ReduceOp.SUM
    tensors = list(tensors)
    small = [values for values in tensors if values.numel() <= TOGETHER]
    joint = torch.cat([values.flatten() for values in small]) if len(small) > 1 else None
    sent = tensors if joint is None else [joint, *(values for values in tensors if values.numel() > TOGETHER)]
    with _with_others():
        for work in [distributed.all_reduce(values, operation, async_op=True) for values in sent]:
            work.wait()
    if joint is not None:
        for values, found in zip(small, joint.split([values.numel() for values in small]), strict=True):
            values.copy_(found.view_as(values))


def mean(values: Tensor) -> Tensor:
    """The mean of one tensor over all processes."""
    if count() == 1:
        return values
    values = values.clone()
    add_up([values])
    return values / count()


def moments(rows: Tensor, shared: bool = False) -> tuple[Tensor, Tensor]:
    """Mean [D] and covariance [D, D] in float64 on the CPU, of rows [n, D]; `shared` ones are of all processes."""
    rows = rows.cpu().double()
    total, amount = rows.sum(0), torch.tensor(float(len(rows)), dtype=rows.dtype)
    if shared:
        add_up([total, amount])
    centre = total / amount
    squares = (rows - centre).T @ (rows - centre)
    if shared:
        add_up([squares])
    return centre, squares / (amount - 1)


@contextlib.contextmanager
def step() -> Iterator[None]:
    """A step on a batch that the processes share: inside the block BatchNorm's statistics are those of all parts."""
    global _in_step
    _in_step = count() > 1
    try:
        yield
    finally:
        _in_step = False


class _Normalised(torch.autograd.Function):
    """BatchNorm of one part of a batch whose statistics are those of all parts; each part has as many rows."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """The normalised part, and mean and variance [C] of all parts."""
        ctx.dims, ctx.shape = [0, *range(2, x.dim())], (1, -1, *(1,) * (x.dim() - 2))
        variance, centre = (values.double() for values in torch.var_mean(x, ctx.dims, correction=0))
        sums = torch.stack([centre, variance + centre.square()])  # in float64 the difference below loses nothing
        add_up([sums])
        centre, squares = sums / count()
        variance = (squares - centre.square()).clamp(min=0)
        scale, centre, variance = (variance + eps).rsqrt().float(), centre.float(), variance.float()
        normalised = (x - centre.view(ctx.shape)) * scale.view(ctx.shape)
        ctx.save_for_backward(normalised, weight, scale)
        ctx.mark_non_differentiable(centre, variance)
        return normalised * weight.view(ctx.shape) + bias.view(ctx.shape), centre, variance

    @staticmethod
    def backward(ctx, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Of weight and bias, the parts that come by this process's rows."""
        normalised, weight, scale = ctx.saved_tensors
        of_bias, of_weight = gradient.sum(ctx.dims), (gradient * normalised).sum(ctx.dims)
        means = torch.stack([of_bias, of_weight])
        add_up([means])
        means = means / (gradient.numel() // gradient.shape[1] * count())
        by_bias, by_weight = (values.view(ctx.shape) for values in means)
        of_x = (gradient - by_bias - normalised * by_weight) * (weight * scale).view(ctx.shape)
        return of_x, of_weight, of_bias, None


class _OfAllParts:
    """BatchNorm whose statistics, inside `step`, are those of all processes' parts of a batch.

    torch's own SyncBatchNorm does not run on processors.
    """

    def forward(self, x: Tensor) -> Tensor:
        """As nn.BatchNorm, of x [N, C, ...]."""
        if not (self.training and _in_step):
            return super().forward(x)
        found, centre, variance = _Normalised.apply(x.float(), self.weight, self.bias, self.eps)
        rows = x.numel() // x.shape[1] * count()
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(centre, self.momentum)
            self.running_var.lerp_(variance * (rows / (rows - 1)), self.momentum)
        return found.to(x.dtype)


class BatchNorm1d(_OfAllParts, nn.BatchNorm1d):
    """nn.BatchNorm1d, also of a batch that several processes share."""


class BatchNorm2d(_OfAllParts, nn.BatchNorm2d):
    """nn.BatchNorm2d, likewise."""


class BatchNorm3d(_OfAllParts, nn.BatchNorm3d):
    """nn.BatchNorm3d, likewise."""


@contextlib.contextmanager
def _with_others() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch has no class for connections that are lost and for others that do not answer
        advice = "start again, it goes on from the last checkpoint"
        told = f"process {rank()}: another one stopped or does not answer ({first_line(error)})"
        raise ConnectionError(f"{told}: {advice}") from None
