"""Where the work runs and how: device, number format while training, and seeded randomness.

The library never seeds globally and never asks for a device by itself: both are arguments, made here.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
from collections.abc import Iterator

import torch

DEVICES = ("auto", "cuda", "mps", "cpu")
OLDER_INSTRUCTIONS = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


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
    """The number format of networks in training: "float32", "bfloat16", or "auto", by what the device can do.

    "auto" is bfloat16 where the device computes in it at more than float32's speed: NVIDIA's GPUs from Ampere on, and
    processors with AVX-512 BF16 or AMX. No clock is asked: equal settings mean equal formats on equal machines.
    """
    if name == "auto":
        return torch.bfloat16 if device.type != "mps" and has_bfloat16(device) else torch.float32
    if name == "bfloat16" and not has_bfloat16(device):
        _say_without_bfloat16(device)
        return torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


@functools.lru_cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself; where not, that format can take a hundred times longer."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return True  # though bfloat16 convolutions are not in every macOS release
    # With AVX-512 alone oneDNN takes bfloat16, too, by way of float32. ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA hide
    # instructions from torch and from oneDNN.
    own = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    hidden = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in OLDER_INSTRUCTIONS
    return own and not hidden and "AVX512" in torch.backends.cpu.get_cpu_capability()


@functools.lru_cache  # says so once
def _say_without_bfloat16(device: torch.device) -> None:
    print(f"this {device.type} has no bfloat16 of its own: training in float32 instead", flush=True)


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Only kernels of cuDNN that give the same bits every time, inside the block; on processors all do."""
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def place(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`images` on the device if they take at most a quarter of its free memory, else where they are."""
    if device.type == "cuda" and 4 * images.nbytes > free_memory(device):
        return images
    return images.to(device)


def images_at_once(rows: int, side: int) -> int:
    """How many images of `side` px fit where `rows` of 64 px do; of smaller ones no more, and one at least."""
    return max(1, rows * 64**2 // max(64, side) ** 2)


def memory_budget(mib: int, device: torch.device) -> float:
    """Bytes that a cache may take: so many MiB, on a GPU half of what is free if that is more; 0 stays 0."""
    free = free_memory(device) if device.type == "cuda" else 0
    return max(mib * 2**20, free / 2) if mib else 0


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU that are free; what torch keeps for its next tensors, of those that were freed, is among them."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


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
