"""A model's tensors in few bytes: float16, int8 by rows, and one large weight as a product of two thin ones.

A weight W [out, in] becomes L R. With S the covariance of what the layer sees and D what an error of an output weighs,
the singular vectors of D W S^(1/2) are the components that matter, and by how much. All of them are rounded by one
step: those of little power get few levels, those far below the step are left out, and deflate stores each in as few
bits as it has levels (transform coding). `expand` turns every form back into float32, by names and types alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

PARTS = ("left", "left_scale", "right", "right_scale")  # a factorised weight's tensors, behind its name and a point
DEFLATED = ".deflated"  # behind the name of a factor that is stored as deflate's bytes
ROWS, STEPS = ".rows", ".steps"  # behind the name of a tensor whose rows are int8, and of the rows' steps
LEVELS = 127  # of int8, either side of zero
LONG = 1024  # numbers from which on a vector is halved, too
LEAST_VARIANCE = 1e-6  # of the largest: directions in which no input lies would make S^(-1/2) infinite
LEAST_GAIN = 1e-3  # of the mean: of outputs that the layer behind shuts off
KEPT = 0.1  # of a squared step, the power per output from which on a component is kept
FINEST, COARSER, COARSEST = 0.014, 2**0.25, 0.1  # steps, as parts of the outputs' standard deviation
EPSILON = 1e-5  # of BatchNorm


def halve(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and long vectors of floats as float16; what else there is stays, and is not copied.

    Raises ValueError where a number is not finite, or too large for float16: names the tensor.
    """
    small = {}
    for name, tensor in tensors.items():
        wide = tensor.is_floating_point() and (tensor.dim() >= 2 or tensor.numel() >= LONG)
        small[name] = tensor.to(torch.float16) if wide else tensor
        if wide and not small[name].isfinite().all():
            largest = tensor.abs().max().item()
            raise ValueError(f"{name} does not fit into float16 (largest {largest:.3g}): save it in float32")
    return small


def factorise(weight: Tensor, inputs: Tensor, gain: Tensor, step: float) -> dict[str, Tensor]:
    """A linear layer's weight [out, in] as two int8 factors, for inputs [n, in] like those given.

    `gain` [out], not negative, is what an error of each output weighs; `step` is a part of the outputs' standard
    deviation, so weighed. The outputs' error about its mean is small; the mean itself, (multiply(...) - weight)
    mean(inputs), is the caller's to make up for. Raises ValueError where the inputs do not fit the weight.

    Returns "left" int8 [out, rank], "left_scale" [out, 1], "right" int8 [rank, in], "right_scale" [rank, 1].
    """
    if len(inputs) < 2 or inputs.shape[1:] != weight.shape[1:]:
        raise ValueError(f"inputs are {list(inputs.shape)}: give [n, {weight.shape[1]}], n 2 or more")
    scale = (1 / (gain / gain.mean()).clamp(min=LEAST_GAIN)).to(torch.float16)[:, None]
    covariance, root, inverse = _roots(torch.cov(inputs.double().T))
    weighed = weight.double() / scale.double()
    seen = weighed @ root
    powers, axes = torch.linalg.eigh(seen.T @ seen)  # in rising order of power
    step *= (powers.sum() / len(weight)).sqrt().item()
    rank = max(1, int((powers > KEPT * step**2 * len(weight)).sum()))
    powers, axes = powers[-rank:].flip(0), axes[:, -rank:].flip(1)
    # An error of L counts once, one of R by its component's power and the inputs' variance: both are to cost the same.
    steps = step / (powers * covariance.trace() / weight.shape[1]).sqrt()
    right, right_steps = _rounded(axes.T @ inverse, steps[:, None])
    basis = right * right_steps
    power = basis @ covariance @ basis.T + LEAST_VARIANCE**2 * torch.eye(rank)  # a row may have become zero
    left, left_steps = _rounded(torch.linalg.solve(power, basis @ covariance @ weighed.T), steps.new_tensor(step))
    factors = (left.T.contiguous(), scale, right, (left_steps * right_steps).float())
    return dict(zip(PARTS, factors, strict=True))


def multiply(factors: dict[str, Tensor]) -> Tensor:
    """The weight, float32 [out, in], that the factors of `factorise` stand for."""
    left, left_scale, right, right_scale = (factors[part].float() for part in PARTS)
    return (left * left_scale) @ (right * right_scale)


def deflate(factors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Both int8 factors as bytes of deflate, component after component: the numbers of one are alike."""
    levels = {"left": factors["left"].T.contiguous(), "right": factors["right"]}
    packed = {part + DEFLATED: _coded(matrix) for part, matrix in levels.items()}
    return packed | {part: tensor for part, tensor in factors.items() if part not in levels}


def _coded(levels: Tensor) -> Tensor:
    # Nothing repeats in noise: Huffman's code alone takes a hundredth of the time of a search, and 7 % fewer bytes.
    coder = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)
    return torch.frombuffer(bytearray(coder.compress(levels.numpy()) + coder.flush()), dtype=torch.uint8)


def inflate(factors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `deflate` made small; factors that are not deflated, as in older files, stay as they are."""
    if "left" + DEFLATED not in factors:
        return factors
    texts = (bytearray(zlib.decompress(factors[part + DEFLATED].numpy())) for part in ("left", "right"))
    left, right = (torch.frombuffer(text, dtype=torch.int8).view(len(factors["right_scale"]), -1) for text in texts)
    return factors | {"left": left.T, "right": right}


def factors_of(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The factors that `multiply` takes of the weight `name`, where it is stored so; else nothing."""
    return inflate({part: tensors[place] for part, place in _places(name).items() if place in tensors})


def expand(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as networks take them: factors multiplied, int8 rows and float16 as float32, all others as they are.

    A weight "a.weight" in factors is "a.weight.left_scale" and so on. Raises KeyError where one lacks the others.
    """
    full = {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in tensors.items()}
    for name in _before("." + PARTS[1], tensors):
        full[name] = multiply(factors_of(tensors, name))
        full = {other: tensor for other, tensor in full.items() if other not in _places(name).values()}
    for name in _before(ROWS, tensors):
        full[name] = full.pop(name + ROWS).float() * full.pop(name + STEPS)
    return full


@dataclass(frozen=True)
class Layer:
    """A linear layer whose weight may be factorised."""

    weight: str  # its name among the tensors
    norm: str | None  # name of the BatchNorm behind it, which takes up the mean error; None: there is none
    inputs: Callable[[], Tensor]  # gives what the layer sees, [n, in]


def shrink(
    tensors: dict[str, Tensor], room: int, layer: Layer | None, finest: float = FINEST, coarse: Iterable[str] = ()
) -> tuple[dict[str, Tensor], int | None]:
    """Tensors in few bytes, as `expand` takes them: "latents" and what `coarse` names in int8, the layer's weight in
    factors, the rest halved.

    The factors' step is `finest`, or the least with which all tensors fit into `room` bytes; ValueError where none is.
    Also returns the factors' rank, None where no layer is given.
    """
    small = halve({name: tensor for name, tensor in tensors.items() if layer is None or name != layer.weight})
    for name in ("latents", *coarse):
        rows, steps = _rounded(tensors[name].flatten(1), torch.zeros(1))
        beside = [1] * (small.pop(name).dim() - 1)
        small[name + ROWS], small[name + STEPS] = rows.view_as(tensors[name]), steps.view(-1, *beside)
    left = room - size(small)
    if layer is None and left >= 0:
        return small, None
    for factors, means in _ever_coarser(tensors, layer, finest) if layer and left > 0 else ():
        packed = {f"{layer.weight}.{part}": tensor for part, tensor in deflate(factors).items()}
        if size(packed) <= left:
            return small | packed | halve(means), len(factors["right"])
    raise ValueError(
        f"{size(tensors) / 2**20:.1f} MiB cannot be made to fit {room / 2**20:.1f} MiB: "
        "train a smaller generator, or on fewer images"
    )


def size(tensors: dict[str, Tensor]) -> int:
    """Bytes of the tensors' numbers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _ever_coarser(
    tensors: dict[str, Tensor], layer: Layer, step: float
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """A layer's weight in factors, by ever larger steps; and the BatchNorm's mean that takes up their mean error."""
    weight, seen = tensors[layer.weight], layer.inputs()
    if layer.norm is None:  # then the mean error counts, too: of inputs and their mirror images, covariance is power
        inputs, gain = torch.cat([seen, -seen]), torch.ones(len(weight))
    else:
        norm = {part: tensors[f"{layer.norm}.{part}"] for part in ("weight", "running_mean", "running_var")}
        inputs, gain = seen, norm["weight"].abs() * (norm["running_var"] + EPSILON).rsqrt()
    while step <= COARSEST:
        factors = factorise(weight, inputs, gain, step)
        means = {}
        if layer.norm is not None:
            means[f"{layer.norm}.running_mean"] = norm["running_mean"] + (multiply(factors) - weight) @ seen.mean(0)
        yield factors, means
        step *= COARSER


def _places(name: str) -> dict[str, str]:
    """By what a part of a factorised weight is called, its name among the tensors."""
    return {part: f"{name}.{part}" for part in (*PARTS, "left" + DEFLATED, "right" + DEFLATED)}


def _before(ending: str, names: Iterable[str]) -> list[str]:
    return [name.removesuffix(ending) for name in names if name.endswith(ending)]


def _roots(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """S, S^(1/2) and S^(-1/2), float64, of a covariance whose small variances are raised to LEAST_VARIANCE."""
    variances, axes = torch.linalg.eigh(covariance)
    variances = variances.clamp(min=LEAST_VARIANCE * variances.max().item())
    return (axes * variances) @ axes.T, (axes * variances.sqrt()) @ axes.T, (axes * variances.rsqrt()) @ axes.T


def _rounded(rows: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Rows as int8, and each row's step [rows, 1]: the one given, or a larger one by which int8 holds the row."""
    steps = torch.maximum(rows.abs().amax(1, keepdim=True) / LEVELS, steps)
    steps = steps.masked_fill(steps == 0, 1.0)  # a row of zeros
    return (rows / steps).round().to(torch.int8), steps
