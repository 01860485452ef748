"""Where the work runs and how: device, number format while training, and seeded randomness.

The library never seeds globally and never asks for a device by itself: both are arguments, made here.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import time
from collections.abc import Iterator

import torch
from torch import nn

DEVICES = ("auto", "cuda", "mps", "cpu")


def select_device(name: str = "auto") -> torch.device:
    """The device to work on; "auto" takes cuda, then mps, then cpu. A ValueError names what this machine lacks."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, here in present.items() if here))
    if name not in present:
        raise ValueError(f"unknown device {name!r}: choose one of {', '.join(DEVICES)}")
    if not present[name]:
        raise ValueError(f"this machine has no {name} device that torch can use: choose --device auto or cpu")
    return torch.device(name)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The number format of networks in training: "float32", "bfloat16", or "auto", which times both on `device`."""
    if name == "auto":
        return _faster_precision(device)
    if name == "bfloat16" and not has_bfloat16(device):
        _say_without_bfloat16(device)
        return torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


@functools.lru_cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself; where not, that format can take a hundred times longer."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


@functools.lru_cache  # says so once
def _say_without_bfloat16(device: torch.device) -> None:
    print(f"this {device.type} has no bfloat16 of its own: training in float32 instead", flush=True)


@functools.lru_cache
def _faster_precision(device: torch.device) -> torch.dtype:
    """Which of float32 and bfloat16 runs a VGG-like convolution, forward and backward, in less time (about 0.1 s)."""
    if device.type == "mps" or not has_bfloat16(device):
        return torch.float32  # bfloat16 convolutions are not in every macOS release
    exact = _convolution_seconds(device, torch.float32)
    # One image first: where it alone takes longer than all, the rest need not be waited for.
    if _convolution_seconds(device, torch.bfloat16, count=1) > exact:
        return torch.float32
    return torch.bfloat16 if _convolution_seconds(device, torch.bfloat16) < exact else torch.float32


def _convolution_seconds(device: torch.device, dtype: torch.dtype, count: int = 32) -> float:
    layer = nn.Conv2d(64, 64, 3, padding=1).requires_grad_(False)
    layer = layer.to(device, dtype, memory_format=torch.channels_last)
    images = torch.full((count, 64, 32, 32), 0.5, device=device, dtype=dtype, requires_grad=True)
    images = images.contiguous(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(4):  # the first run also sets up the kernels: the minimum leaves it out
        start = time.perf_counter()
        torch.autograd.grad(layer(images).sum(), images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best


def place(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`images` on the device if they take at most a quarter of its free memory, else where they are."""
    if device.type == "cuda" and 4 * images.nbytes > torch.cuda.mem_get_info(device)[0]:
        return images
    return images.to(device)


def memory_budget(mib: int, device: torch.device) -> float:
    """Bytes that a cache may take: so many MiB, on a GPU half of what is free if that is more; 0 stays 0."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
    return max(mib * 2**20, free / 2) if mib else 0


def keep_freed_memory(keep: bool = True) -> None:
    """Tell glibc to hand memory that was freed to what asks next, not back to the system; elsewhere nothing happens.

    A training step frees hundreds of MiB and takes them again at once. From the system they come as empty pages, one
    fault each, which can take longer than the arithmetic. `keep=False` is glibc's own way, for comparison.
    """
    trim_threshold, mmap_threshold, mmap_max = -1, -3, -4  # mallopt's names for them in malloc.h
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no glibc: macOS, musl, Windows
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 32 * 2**20)  # the most that it takes
        libc.mallopt(trim_threshold, 2**31 - 1 if keep else 64 * 2**20)
        libc.mallopt(mmap_max, 0 if keep else 65536)


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """One processor thread inside the block: for matrices so small that sharing them out takes longer than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def scoped_seed(seed: int, purpose: str) -> Iterator[None]:
    """Seed torch's global generator inside the block only, for what draws from no other (weights of new layers)."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(seeded(seed, purpose).get_state())
        yield


def seeded(seed: int, purpose: str) -> torch.Generator:
    """A random generator on the CPU for one purpose: the same seed gives unrelated streams to unrelated purposes.

    The noise is drawn on the CPU whatever the device, so that a seed means the same images everywhere.
    """
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
