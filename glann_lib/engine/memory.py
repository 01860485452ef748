"""How many bytes a piece of work takes at its peak, counted without doing it: torch's fake tensors hold no numbers.

What is counted are tensors. What kernels ask for besides, and what the program itself takes, comes on top.
"""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from glann_lib.engine import devices

MEMINFO = Path("/proc/meminfo")


class HeldMemory(TorchDispatchMode):
    """While entered, counts what is made on a device: `held` are the bytes of what is still there, `most` the peak."""

    def __init__(self, device: torch.device):
        super().__init__()
        self.device, self.held, self.most = device, 0, 0
        self.known: set[int] = set()  # storages: views share one

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Do `func`, and count what it makes until that is freed."""
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor) and value.device.type == self.device.type:
                self._count(value.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self.known:
            self.known.add(storage._cdata)
            self.held += storage.nbytes()
            self.most = max(self.most, self.held)
            weakref.finalize(storage, self._drop, storage._cdata, storage.nbytes())

    def _drop(self, key: int, size: int) -> None:
        self.known.remove(key)
        self.held -= size


def peak_bytes(make: Callable[[], Callable[[], Any]], device: torch.device) -> int:
    """The most bytes that tensors take on a device while `make()` and, twice, what it returns are done.

    A second step finds what the first left, an optimiser's moments for example. Networks come from `unreal`; what a
    tensor holds may not be looked at.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode  # takes a second, and few ask

    with FakeTensorMode(), HeldMemory(device) as memory:
        step = make()
        for _ in range(2):
            step()
    return memory.most


def unreal(network: nn.Module, device: torch.device) -> Any:
    """Inside `peak_bytes`: a copy of a network, made under `torch.device("meta")`, on the device, all of it fake."""
    memo: dict[int, Any] = {}
    for value in (*network.parameters(), *network.buffers()):
        fake = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)
        memo[id(value)] = nn.Parameter(fake, value.requires_grad) if isinstance(value, nn.Parameter) else fake
    return copy.deepcopy(network, memo)


def free_bytes(device: torch.device) -> int | None:
    """Memory for new tensors on a device: a GPU's, else the machine's; None where the system does not say."""
    if device.type == "cuda":
        return devices.free_memory(device)
    try:  # with what the system would give up of its copies of files
        lines = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 2**10
    except (OSError, KeyError, ValueError):
        names = getattr(os, "sysconf_names", {})
        known = {"SC_AVPHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys()
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else None
