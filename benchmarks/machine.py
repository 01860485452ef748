"""What the numbers were measured on: its description, and how fast it multiplies matrices and copies memory."""

from __future__ import annotations

import os
import platform
from importlib import import_module, metadata, util
from pathlib import Path

import torch

from benchmarks.timing import timed
from glann_lib.engine.devices import has_bfloat16
from glann_lib.records.runs import provenance

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision")
CPU_INFO = Path("/proc/cpuinfo")
LIMITS = (
    "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
)  # variables that hide a processor's newer instructions from torch
TRIALS = 12  # the fastest is the ceiling: whatever else the machine does only takes from it
SMALL = (256, 2**22)  # side of the matrices and bytes of the copy, where nothing is to be learned from them
STATUS = Path("/proc/self/status")


def describe(device: torch.device) -> dict[str, object]:
    """Processor, GPU, versions of the code and of packages, and how busy the machine is."""
    record = provenance(device)
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": (models or [platform.processor()])[0],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "limits": {name: os.environ[name] for name in LIMITS if name in os.environ},
        "device": device.type,
        "commit": record["commit"],
        "uncommitted_changes": record["uncommitted_changes"],
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "busy_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # processes, mean of a minute
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "faiss": import_module("faiss").__version__ if util.find_spec("faiss") else None,
    }


def ceilings(device: torch.device, side: int | None = None, copied: int = 2**28) -> dict[str, float]:
    """The fastest of a few tries of two works that leave nothing to gain.

    Args:
        device: where to measure.
        side: of the square matrices that are multiplied, a multiple of 16; None: 2048, on a GPU 8192, as a product
            of the smaller ones is over there nearly as soon as it is launched.
        copied: bytes of the copy.

    Returns:
        "float32", and "bfloat16" where the device computes in it: operations a second of a matrix product, an addition
        and a multiplication as two;
        "copy": bytes a second, read plus written. Convolutions of 3x3 may exceed the product's rate: there are ways to
        do them with fewer operations, and in float32 on a GPU with shorter numbers.
    """
    formats = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if has_bfloat16(device) else {})
    side = side or (2048 if device.type == "cpu" else 8192)
    rates = {name: 2 * side**3 / _product_seconds(device, side, dtype) for name, dtype in formats.items()}
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    ((copying, _),) = timed([lambda _: target.copy_(source)], TRIALS, device=device)
    return rates | {"copy": 2 * copied / min(copying.seconds)}


def _product_seconds(device: torch.device, side: int, dtype: torch.dtype) -> float:
    """Of the faster way: torch's product, or a 1x1 convolution, whose library is another one on processors."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
    images, kernel = b.view(16, side // 16, 1, side).movedim(-1, 1), a[:, :, None, None]  # one thread wants a batch
    works = [lambda _: a @ b, lambda _: torch.nn.functional.conv2d(images, kernel)]
    return min(second for product, _ in timed(works, TRIALS, device=device) for second in product.seconds)


def peak_bytes(device: torch.device) -> int:
    """The highest memory so far: of the GPU's tensors, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if STATUS.exists():  # getrusage would show the parent's peak where that was higher
        return _status("VmHWM")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def used_bytes(device: torch.device) -> int:
    """The memory in use: of the GPU's tensors, else of the process; 0 where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _status("VmRSS") if STATUS.exists() else 0


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def title(description: dict[str, object]) -> str:
    """GPU or processor with its threads, and what it was limited to, in some words."""
    limits = "".join(f", {name}={value}" for name, value in description["limits"].items())
    return f"{description['gpu'] or description['processor']}, threads: {description['threads']}{limits}"


def words(description: dict[str, object], rates: dict[str, float]) -> str:
    """Description and ceilings as two lines for people."""
    busy = description["busy_before"]
    name = title(description)
    product = ", ".join(f"{rates[kind] / 1e9:,.0f} in {kind}" for kind in rates if kind != "copy")
    return (
        f"{name}, torch {description['torch']}, Python {description['python']}, "
        f"load before {'unknown' if busy is None else f'{busy:.2f}'}\n"
        f"ceiling: matrix product, billion operations a second: {product}; copy: {rates['copy'] / 1e9:.1f} GB/s"
    )
