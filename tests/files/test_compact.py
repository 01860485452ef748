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


ALIKE = torch.ones(40)  # every output counts the same


def products(weight, inputs, step, gain=None):
    return compact.multiply(compact.factorise(weight, inputs, torch.ones(len(weight)) if gain is None else gain, step))


def test_long_vectors_are_halved_too():
    halved = compact.halve({"long": normal(compact.LONG), "short": normal(compact.LONG - 1)})
    assert halved["long"].dtype == torch.float16 and halved["short"].dtype == torch.float32


def test_factors_have_the_forms_that_are_promised():
    factors = compact.factorise(normal(20, 12), uneven(100, 12), torch.ones(20), 0.05)
    rank = len(factors["right"])
    forms = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in factors.items()}
    assert 1 <= rank <= 12 and forms == {
        "left": (torch.int8, (20, rank)), "left_scale": (torch.float16, (20, 1)),
        "right": (torch.int8, (rank, 12)), "right_scale": (torch.float32, (rank, 1)),
    }  # fmt: skip


@pytest.mark.parametrize("step", [0.01, 0.03, 0.1])
def test_the_error_is_about_what_the_step_allows(step):
    """Rounding by a step is off by step^2 / 12, in both factors; what is left out adds less than a step's square."""
    weight, inputs = normal(40, 16), uneven(2000, 16)
    found = error(weight, products(weight, inputs, step), inputs)
    power = (inputs @ weight.T).var(0, correction=0).mean().item()
    assert found < 2 * step**2 * power


def test_a_finer_step_loses_less_and_keeps_more():
    weight, inputs = normal(40, 16), uneven(2000, 16)
    factors = [compact.factorise(weight, inputs, ALIKE, step) for step in (0.02, 0.2)]
    fine, coarse = (error(weight, compact.multiply(f), inputs) for f in factors)
    assert fine < 0.1 * coarse and len(factors[0]["right"]) > len(factors[1]["right"])


def test_a_weight_of_low_rank_is_found_again():
    weight = normal(40, 3) @ normal(3, 16, seed=1)
    factors = compact.factorise(weight, uneven(500, 16), ALIKE, 0.01)
    assert len(factors["right"]) == 3
    assert (compact.multiply(factors) - weight).abs().max() < 0.05 * weight.abs().max()


def test_outputs_that_count_more_are_kept_better():
    weight, inputs, gain = normal(40, 16), uneven(2000, 16), torch.ones(40)
    gain[:20] = 10
    difference = inputs @ (products(weight, inputs, 0.1, gain) - weight).T
    heavy, light = difference.var(0)[:20].mean(), difference.var(0)[20:].mean()
    assert heavy < 0.1 * light


def test_directions_that_no_input_has_do_no_harm():
    inputs = uneven(500, 16)
    inputs[:, 4:] = 0  # units that are never on
    weight = normal(40, 16)
    product = products(weight, inputs, 0.01)
    assert product.isfinite().all()
    assert error(weight, product, inputs) < 1e-3 * error(weight, torch.zeros_like(weight), inputs)


def test_a_row_of_zeros_stays_one_and_an_output_that_is_shut_off_does_no_harm():
    weight, gain = normal(8, 6), torch.ones(8)
    weight[3], gain[5] = 0, 0
    product = products(weight, uneven(50, 6), 0.01, gain)
    assert product[3].eq(0).all() and product.isfinite().all()


def test_deflated_factors_are_smaller_and_come_back_to_the_bit():
    factors = compact.factorise(normal(300, 40), uneven(500, 40), torch.ones(300), 0.05)
    packed = compact.deflate(factors)
    assert compact.size(packed) < compact.size(factors)
    found = compact.inflate(packed)
    assert all(torch.equal(found[name], tensor) for name, tensor in factors.items())
    assert compact.inflate(factors) is factors  # as older files hold them


@pytest.mark.parametrize("pack", [lambda factors: factors, compact.deflate], ids=["as older files", "deflated"])
def test_factors_in_a_file_become_the_weight_again(pack):
    factors = compact.factorise(normal(20, 12), uneven(100, 12), torch.ones(20), 0.05)
    stored = {f"layers.3.weight.{part}": tensor for part, tensor in pack(factors).items()} | {"bias": normal(3)}
    full = compact.expand(stored)
    assert full.keys() == {"layers.3.weight", "bias"}
    assert torch.equal(full["layers.3.weight"], compact.multiply(factors))
    del stored["layers.3.weight.right_scale"]
    with pytest.raises(KeyError, match="right_scale"):
        compact.expand(stored)


@pytest.mark.parametrize(("count", "width", "named"), [(1, 12, "2 or more"), (9, 5, "12")])
def test_inputs_that_do_not_fit_are_a_one_line_error(count, width, named):
    with pytest.raises(ValueError, match=named) as caught:
        compact.factorise(normal(20, 12), uneven(count, width), torch.ones(20), 0.05)
    assert "\n" not in str(caught.value)


def layered(norm):
    """Tensors of a linear layer whose inputs have a mean, a BatchNorm behind it, and what `shrink` wants to know."""
    tensors = {"w": normal(60, 24), "other": normal(3, 3), "latents": normal(9, 7)}
    tensors |= {"norm.weight": normal(60, seed=3), "norm.running_mean": normal(60, seed=2)}
    tensors |= {"norm.running_var": normal(60, seed=4).square() + 0.1}
    return tensors, compact.Layer("w", norm, lambda: uneven(400, 24))


@pytest.mark.parametrize("norm", ["norm", None])
def test_what_is_shrunk_comes_back_near_what_it_was(norm):
    tensors, layer = layered(norm)
    small, rank = compact.shrink(tensors, 10**6, layer)
    assert small["w.right_scale"].shape == (rank, 1) and "w" not in small and "latents" not in small
    full = compact.expand(small)
    assert full.keys() == tensors.keys() and torch.equal(full["other"], tensors["other"].half().float())
    step = tensors["latents"].abs().amax(1, keepdim=True) / compact.LEVELS
    assert ((full["latents"] - tensors["latents"]).abs() <= 0.501 * step).all()


def test_without_a_layer_all_is_halved():
    tensors, _ = layered(None)
    small, rank = compact.shrink(tensors, 10**6, None)
    assert rank is None and small["w"].dtype == torch.float16


def test_less_room_takes_coarser_steps():
    tensors, layer = layered("norm")
    sizes = []
    for room in (10**6, 2500):
        small, _ = compact.shrink(tensors, room, layer)
        sizes.append(compact.size(small))
        assert sizes[-1] <= room
    assert sizes[1] < sizes[0]


def test_the_running_mean_takes_up_the_mean_error():
    tensors, layer = layered("norm")
    full = compact.expand(compact.shrink(tensors, 2500, layer)[0])
    inputs = layer.inputs()
    before = inputs @ tensors["w"].T - tensors["norm.running_mean"]  # as BatchNorm centres it
    after = inputs @ full["w"].T - full["norm.running_mean"]
    assert ((inputs @ (full["w"] - tensors["w"]).T).mean(0)).abs().max() > 0.1
    assert (after - before).mean(0).abs().max() < 1e-4


def test_without_a_batch_norm_the_mean_error_is_kept_small():
    tensors, layer = layered(None)
    inputs = layer.inputs()
    with_mean, _ = compact.shrink(tensors, 2500, layer)
    without, _ = compact.shrink(tensors, 2500, compact.Layer("w", "norm", layer.inputs))
    assert torch.equal(with_mean["norm.running_mean"], tensors["norm.running_mean"])
    squares = [(inputs @ (compact.expand(s)["w"] - tensors["w"]).T).square().mean() for s in (with_mean, without)]
    assert squares[0] < squares[1]


@pytest.mark.parametrize("room", [0, 1200])
def test_what_cannot_be_made_to_fit_is_a_one_line_error(room):
    tensors, layer = layered("norm")
    for known in (layer, None):
        with pytest.raises(ValueError, match="cannot be made to fit") as caught:
            compact.shrink(tensors, room, known)
        assert "\n" not in str(caught.value)


def test_convolutions_can_be_int8_with_a_step_for_each_map():
    kernel = normal(6, 4, 3, 3) * torch.logspace(0, -4, 6)[:, None, None, None]  # a common step would lose the last
    tensors = {"conv": kernel, "other": normal(6, 4, 3, 3, seed=1), "latents": normal(9, 7)}
    small, _ = compact.shrink(tensors, 10**6, None, coarse=["conv"])
    assert small["conv.rows"].dtype == torch.int8 and small["conv.rows"].shape == kernel.shape
    assert small["conv.steps"].shape == (6, 1, 1, 1) and small["other"].dtype == torch.float16
    full = compact.expand(small)
    assert full.keys() == tensors.keys()
    error = (full["conv"] - kernel).abs().amax((1, 2, 3))
    assert (error <= 0.501 / compact.LEVELS * kernel.abs().amax((1, 2, 3))).all()
    halved, _ = compact.shrink(tensors, 10**6, None)
    assert compact.size(small) == compact.size(halved) - kernel.numel() + 6 * 4  # steps are float32
