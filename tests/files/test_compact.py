"""Small forms of tensors: half precision, and factors that are best for the inputs that a layer sees."""

import pytest
import torch

from glann_lib.engine.devices import seeded
from glann_lib.files import compact


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed, "test compact"))


def uneven(count, width, seed=0):
    """Inputs about a mean of their own, whose variance falls by a factor of 100 from first to last direction."""
    spread = torch.logspace(0, -1, width)
    axes = torch.linalg.qr(normal(width, width, seed=seed + 1)).Q
    return 3 + (normal(count, width, seed=seed) * spread) @ axes.T


def error(weight, other, inputs):
    """The mean square of the outputs' error about its mean."""
    difference = inputs.double() @ (other.double() - weight.double()).T
    return (difference - difference.mean(0)).square().mean().item()


def test_matrices_are_halved_and_all_else_stays():
    tensors = {"w": normal(3, 4), "k": normal(2, 3, 4, 4), "bias": normal(5), "labels": torch.arange(6).view(2, 3)}
    halved = compact.halve(tensors)
    assert {name: tensor.dtype for name, tensor in halved.items()} == {
        "w": torch.float16, "k": torch.float16, "bias": torch.float32, "labels": torch.int64,
    }  # fmt: skip
    assert halved["bias"] is tensors["bias"]
    full = compact.expand(halved)
    assert full["w"].dtype == torch.float32 and torch.equal(full["labels"], tensors["labels"])
    for name in ("w", "k"):  # float16 has 11 binary digits
        assert ((full[name] - tensors[name]).abs() <= tensors[name].abs() * 2**-11 + 2**-25).all()


@pytest.mark.parametrize("value", [7e4, float("inf"), float("nan")])
def test_what_float16_cannot_hold_is_refused(value):
    with pytest.raises(ValueError, match="some weight does not fit into float16"):
        compact.halve({"some weight": torch.tensor([[1.0, value]])})


def test_factors_have_the_forms_that_are_promised():
    factors = compact.factorise(normal(20, 12), uneven(100, 12), 5)
    forms = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in factors.items()}
    assert forms == {
        "left": (torch.int8, (20, 5)), "left_scale": (torch.float32, (20, 1)),
        "right": (torch.int8, (5, 12)), "right_scale": (torch.float32, (5, 1)),
    }  # fmt: skip
    assert factors["left"].abs().amax(1).eq(127).all() and factors["right"].abs().amax(1).eq(127).all()


def test_full_rank_loses_the_rounding_only():
    weight, inputs = normal(40, 16), uneven(500, 16)
    product = compact.multiply(compact.factorise(weight, inputs, 16))
    assert product.shape == weight.shape and product.dtype == torch.float32
    assert (product - weight).abs().max() < 0.05 * weight.abs().max()


def test_a_weight_of_low_rank_is_found_again():
    weight = normal(40, 3) @ normal(3, 16, seed=1)
    product = compact.multiply(compact.factorise(weight, uneven(500, 16), 3))
    assert (product - weight).abs().max() < 0.05 * weight.abs().max()


def test_the_error_is_that_of_the_best_rank_and_below_plain_svd():
    weight, inputs, rank = normal(40, 16), uneven(2000, 16), 6
    found = error(weight, compact.multiply(compact.factorise(weight, inputs, rank)), inputs)
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    plain = error(weight, (left[:, :rank] * values[:rank]) @ right[:rank], inputs)
    centred = inputs.double() - inputs.double().mean(0)
    beyond = torch.linalg.svdvals(centred @ weight.double().T)[rank:]  # Eckart and Young: no rank 6 does better
    least = (beyond.square().sum() / (len(inputs) * len(weight))).item()
    assert least <= found < 1.02 * least
    assert found < 0.8 * plain


def test_directions_that_no_input_has_do_no_harm():
    inputs = uneven(500, 16)
    inputs[:, 4:] = 0  # units that are never on
    weight = normal(40, 16)
    product = compact.multiply(compact.factorise(weight, inputs, 4))
    assert product.isfinite().all()
    assert error(weight, product, inputs) < 1e-3 * error(weight, torch.zeros_like(weight), inputs)


def test_a_row_of_zeros_stays_one():
    weight = normal(8, 6)
    weight[3] = 0
    product = compact.multiply(compact.factorise(weight, uneven(50, 6), 6))
    assert product[3].eq(0).all() and product.isfinite().all()


def test_factors_in_a_file_become_the_weight_again():
    factors = compact.factorise(normal(20, 12), uneven(100, 12), 5)
    stored = {f"layers.3.weight.{part}": tensor for part, tensor in factors.items()} | {"bias": normal(3)}
    full = compact.expand(stored)
    assert full.keys() == {"layers.3.weight", "bias"}
    assert torch.equal(full["layers.3.weight"], compact.multiply(factors))
    del stored["layers.3.weight.right_scale"]
    with pytest.raises(KeyError, match="right_scale"):
        compact.expand(stored)


@pytest.mark.parametrize(
    ("count", "width", "rank", "named"),
    [(50, 12, 0, "rank is 0: choose 1 to 12"), (50, 12, 13, "rank is 13"), (1, 12, 3, "2 or more"), (9, 5, 3, "12")],
)
def test_what_cannot_be_factorised_is_a_one_line_error(count, width, rank, named):
    with pytest.raises(ValueError, match=named) as caught:
        compact.factorise(normal(20, 12), uneven(count, width), rank)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("room", [0, 79, 80, 116, 2 * (20 + 12 + 4) + 80, 250, 10**6])
def test_the_largest_rank_fits_and_the_next_does_not(room):
    rank = compact.largest_rank(torch.Size([20, 12]), room)
    weight, inputs = normal(20, 12), uneven(50, 12)
    sizes = [compact.size(compact.factorise(weight, inputs, r)) for r in range(1, 13)]
    assert rank == sum(size <= room for size in sizes)


def layered(mean):
    """Tensors of a linear layer whose inputs have a mean, and what `shrink` wants to know of it."""
    tensors = {"w": normal(60, 24), "other": normal(3, 3), "mean": normal(60, seed=2)}
    return tensors, compact.Layer("w", mean, lambda: uneven(400, 24))


def test_what_fits_in_half_precision_is_not_factorised():
    tensors, layer = layered("mean")
    forbidden = compact.Layer(layer.weight, layer.mean, lambda: pytest.fail("inputs were asked for"))
    small, rank = compact.shrink(tensors, compact.size(compact.halve(tensors)), forbidden)
    assert rank is None and small.keys() == tensors.keys() and small["w"].dtype == torch.float16


@pytest.mark.parametrize("mean", ["mean", None])
def test_what_does_not_fit_is_factorised_at_the_largest_rank(mean):
    tensors, layer = layered(mean)
    room = compact.size(compact.halve(tensors)) - 1500
    small, rank = compact.shrink(tensors, room, layer)
    step = 60 + 24 + 4  # bytes of one more rank
    assert room - step < compact.size(small) <= room
    assert small["w.left"].shape == (60, rank) and "w" not in small
    full = compact.expand(small)
    assert full.keys() == tensors.keys() and torch.equal(full["other"], tensors["other"].half().float())


def test_the_running_mean_takes_up_the_mean_error():
    tensors, layer = layered("mean")
    full = compact.expand(compact.shrink(tensors, 1800, layer)[0])
    inputs = layer.inputs()
    before = inputs @ tensors["w"].T - tensors["mean"]  # as BatchNorm centres it
    after = inputs @ full["w"].T - full["mean"]
    assert ((inputs @ (full["w"] - tensors["w"]).T).mean(0)).abs().max() > 0.1
    assert (after - before).mean(0).abs().max() < 1e-4


def test_without_a_batch_norm_the_mean_error_is_kept_small():
    tensors, layer = layered(None)
    inputs = layer.inputs()
    with_mean, _ = compact.shrink(tensors, 1800, layer)
    without, _ = compact.shrink(tensors, 1800, compact.Layer("w", "mean", layer.inputs))
    assert torch.equal(with_mean["mean"], tensors["mean"])
    squares = [(inputs @ (compact.expand(s)["w"] - tensors["w"]).T).square().mean() for s in (with_mean, without)]
    assert squares[0] < squares[1]


@pytest.mark.parametrize("room", [0, 300])
def test_what_cannot_be_made_to_fit_is_a_one_line_error(room):
    tensors, layer = layered("mean")
    for known in (layer, None):
        with pytest.raises(ValueError, match="cannot be made to fit") as caught:
            compact.shrink(tensors, room, known)
        assert "\n" not in str(caught.value)
