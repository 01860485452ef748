"""A model's tensors in few bytes: half precision, and one large weight as a product of two thin ones in int8.

A weight W [out, in] is replaced by L R of rank r, chosen so that the error on what the layer really sees is least:
with S the covariance of its inputs, L R S^(1/2) is the best approximation of W S^(1/2) of that rank. `expand` turns
either form back into float32, by the tensors' names and types alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

PARTS = ("left", "left_scale", "right", "right_scale")  # a factorised weight's tensors, behind its name and a point
LEAST_VARIANCE = 1e-6  # of the largest: directions in which no input lies would make S^(-1/2) infinite
LEVELS = 127  # of int8, either side of zero


def halve(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floats of two dimensions and more as float16; biases, BatchNorm's statistics and integers as they are.

    Args:
        tensors: by name.

    Returns:
        New names to tensors; what is kept is not copied.

    Raises:
        ValueError: a number is not finite, or too large for float16; names the tensor.
    """
    small = {}
    for name, tensor in tensors.items():
        wide = tensor.is_floating_point() and tensor.dim() >= 2
        small[name] = tensor.to(torch.float16) if wide else tensor
        if wide and not small[name].isfinite().all():
            largest = tensor.abs().max().item()
            raise ValueError(f"{name} does not fit into float16 (largest {largest:.3g}): save it in float32")
    return small


def factorise(weight: Tensor, inputs: Tensor, rank: int) -> dict[str, Tensor]:
    """A linear layer's weight as two int8 factors, for inputs like those given.

    The outputs' error about its mean is least; the mean itself, (multiply(...) - weight) mean(inputs), is the
    caller's to make up for.

    Args:
        weight: [out, in].
        inputs: [n, in], what the layer sees; n at least 2.
        rank: of the product, 1 to the smaller side of `weight`.

    Returns:
        "left" int8 [out, rank], "left_scale" float32 [out, 1], "right" int8 [rank, in], "right_scale" [rank, 1].

    Raises:
        ValueError: the rank or the inputs do not fit the weight.
    """
    if not 1 <= rank <= min(weight.shape):
        raise ValueError(f"rank is {rank}: choose 1 to {min(weight.shape)} for a weight {list(weight.shape)}")
    if len(inputs) < 2 or inputs.shape[1:] != weight.shape[1:]:
        raise ValueError(f"inputs are {list(inputs.shape)}: give [n, {weight.shape[1]}], n 2 or more")
    root, inverse = _roots(torch.cov(inputs.double().T))
    seen = weight.double() @ root
    directions = torch.linalg.eigh(seen.T @ seen).eigenvectors[:, -rank:]  # in rising order of what they carry
    factors = (*_quantised(seen @ directions), *_quantised(directions.T @ inverse))
    return dict(zip(PARTS, factors, strict=True))


def multiply(factors: dict[str, Tensor]) -> Tensor:
    """The weight, float32 [out, in], that the factors of `factorise` stand for."""
    left, left_scale, right, right_scale = (factors[part].float() for part in PARTS)
    return (left * left_scale) @ (right * right_scale)


def expand(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as networks take them: factors multiplied, float16 as float32, all others as they are.

    Args:
        tensors: by name; a weight "a.weight" in factors is "a.weight.left", "a.weight.left_scale" and so on.

    Raises:
        KeyError: a factor lacks the others.
    """
    factorised = [name.removesuffix(".left") for name in tensors if name.endswith(".left")]
    parts = {f"{name}.{part}" for name in factorised for part in PARTS}
    full = {name: tensor for name, tensor in tensors.items() if name not in parts}
    full = {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in full.items()}
    products = {name: multiply({part: tensors[f"{name}.{part}"] for part in PARTS}) for name in factorised}
    return full | products


@dataclass(frozen=True)
class Layer:
    """A linear layer whose weight may be factorised."""

    weight: str  # its name among the tensors
    mean: str | None  # name of the running mean of the BatchNorm behind it, which takes up the mean error; None: none
    inputs: Callable[[], Tensor]  # gives what the layer sees, [n, in]


def shrink(tensors: dict[str, Tensor], room: int, layer: Layer | None) -> tuple[dict[str, Tensor], int | None]:
    """Tensors in half precision, and where they take more than `room` bytes, one weight in factors of the largest rank.

    Args:
        tensors: by name.
        room: bytes.
        layer: the one that may be factorised, None: there is none; its inputs are asked for only where it has to be.

    Returns:
        The tensors, as `expand` takes them, and the rank, None where nothing was factorised.

    Raises:
        ValueError: they do not fit.
    """
    small = halve(tensors)
    if size(small) <= room:
        return small, None
    rest = {name: tensor for name, tensor in small.items() if layer and name != layer.weight}
    rank = largest_rank(tensors[layer.weight].shape, room - size(rest)) if layer else 0
    if not layer or not rank:
        taken, left = size(small) / 2**20, room / 2**20
        raise ValueError(
            f"{taken:.1f} MiB in float16 cannot be made to fit {left:.1f} MiB: "
            "train a smaller generator, or on fewer images"
        )
    weight, mean, seen = tensors[layer.weight], layer.mean, layer.inputs()
    # Without a BatchNorm the mean error counts, too: of inputs and their mirror images, covariance is second moment.
    factors = factorise(weight, torch.cat([seen, -seen]) if mean is None else seen, rank)
    if mean is not None:
        rest[mean] = rest[mean] + (multiply(factors) - weight) @ seen.mean(0)
    return rest | {f"{layer.weight}.{part}": tensor for part, tensor in factors.items()}, rank


def size(tensors: dict[str, Tensor]) -> int:
    """Bytes of the tensors' numbers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def largest_rank(shape: torch.Size, room: int) -> int:
    """The largest rank whose factors of a weight [out, in] take no more than `room` bytes; 0 where none does."""
    outputs, inputs = shape
    rank = (room - 4 * outputs) // (outputs + inputs + 4)  # a byte a number, four a row's scale
    return max(0, min(rank, outputs, inputs))


def _roots(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """S^(1/2) and S^(-1/2), float64, of a covariance whose small variances are raised to LEAST_VARIANCE."""
    variances, axes = torch.linalg.eigh(covariance)
    variances = variances.clamp(min=LEAST_VARIANCE * variances.max().item())
    return (axes * variances.sqrt()) @ axes.T, (axes * variances.rsqrt()) @ axes.T


def _quantised(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Rows as int8, and each row's step, float32 [rows, 1]; a row of zeros has any step."""
    scale = (matrix.abs().amax(1, keepdim=True) / LEVELS).float()
    scale = scale.masked_fill(scale == 0, 1.0)
    return (matrix / scale).round().clamp(-LEVELS, LEVELS).to(torch.int8), scale
