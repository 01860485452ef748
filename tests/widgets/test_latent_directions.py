"""Directions of known clouds, moves that stay on the sphere."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from glann_lib.widgets.latent_directions import Direction, attribute_directions, move, principal_directions


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def cloud(count=4000):
    """Rows whose axes are known: an orthonormal basis, and a spread for each of its directions."""
    basis = torch.linalg.qr(torch.randn(5, 5, generator=seeded())).Q
    spreads = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.1])
    return (torch.randn(count, 5, generator=seeded(1)) * spreads) @ basis.T + 7, basis, spreads


def classes(count=600, width=8):
    """Latents on the sphere around one centre a class, and their labels."""
    centres = torch.eye(width)[:3]
    labels = torch.arange(count) % 3
    return normalize(centres[labels] + 0.3 * torch.randn(count, width, generator=seeded(2))), labels


def test_principal_directions_of_a_known_cloud():
    rows, basis, spreads = cloud()
    found = principal_directions(rows, count=5)
    assert [direction.name for direction in found] == [f"principal direction {number}" for number in range(1, 6)]
    for direction, axis, spread in zip(found, basis.T, spreads, strict=True):
        assert direction.vector.dtype == torch.float32 and direction.vector.norm().item() == pytest.approx(1, abs=1e-6)
        assert abs(direction.vector @ axis) > 0.995
        assert direction.spread == pytest.approx(spread.item(), rel=0.05)
        assert direction.spread == pytest.approx((rows @ direction.vector).std().item(), rel=1e-3)


def test_the_sign_does_not_depend_on_the_latents_sign_or_order():
    rows, _, _ = cloud()
    first, mirrored, turned = (principal_directions(x, 3) for x in (rows, -rows, rows.flip(0)))
    for a, b, c in zip(first, mirrored, turned, strict=True):
        assert a.vector[a.vector.abs().argmax()] > 0
        assert (a.vector - b.vector).abs().max() < 1e-4 and (a.vector - c.vector).abs().max() < 1e-4


@pytest.mark.parametrize(("shape", "count"), [((9, 4), 0), ((9, 4), 5), ((1, 4), 1), ((9,), 1)])
def test_directions_that_there_are_not_are_one_line_errors(shape, count):
    with pytest.raises(ValueError, match="directions") as error:
        principal_directions(torch.ones(shape), count)
    assert "\n" not in str(error.value)


def test_latents_that_are_all_equal_give_finite_directions_without_spread():
    found = principal_directions(torch.ones(5, 3), 3)
    assert all(direction.spread == 0 and torch.isfinite(direction.vector).all() for direction in found)


def test_attribute_directions_point_at_their_class():
    latents, labels = classes()
    found = attribute_directions(latents, labels)
    assert [direction.name for direction in found] == ["more like 0", "more like 1", "more like 2"]
    for label, direction in enumerate(found):
        along = latents @ direction.vector
        inside = labels == label
        assert direction.vector.norm().item() == pytest.approx(1, abs=1e-6)
        assert direction.spread == pytest.approx(along.std().item(), rel=1e-2)
        # a plane across the direction tells the class from the rest
        assert ((along > (along[inside].mean() + along[~inside].mean()) / 2) == inside).float().mean() > 0.95


def test_a_direction_leads_from_the_rest_to_the_class():
    latents, labels = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)), np.arange(60) % 3
    for label, direction in enumerate(attribute_directions(latents, labels)):
        way = latents[labels == label].mean(0) - latents[labels != label].mean(0)
        assert torch.allclose(direction.vector, way / way.norm(), atol=1e-6)


def test_a_rare_class_has_a_direction_and_classes_that_do_not_occur_have_none():
    latents, labels = classes()
    few = torch.cat([torch.nonzero(labels == 0)[:5, 0], torch.nonzero(labels == 2)[:, 0]])
    found = attribute_directions(latents[few], labels[few], ["cat", "dog"])
    assert [direction.name for direction in found] == ["more like cat", "more like 2"]
    assert found[0].vector[0] > 0.5 and found[0].vector[2] < -0.5


def test_the_same_labels_give_the_same_directions():
    latents, labels = classes()
    first, second = attribute_directions(latents, labels), attribute_directions(latents, labels.tolist())
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "no labels: attribute directions are learned from labels, and this model's training images have none"),
        (torch.zeros(600, dtype=torch.long), "2 classes or more"),
        (torch.arange(599), "one label a latent"),
        (np.zeros((600, 2), int), "one label a latent"),
    ],
)
def test_labels_of_no_use_are_one_line_errors(labels, words):
    with pytest.raises(ValueError, match=words) as error:
        attribute_directions(classes()[0], labels)
    assert "\n" not in str(error.value)


def test_moves_are_what_they_say():
    latents = 3 * torch.randn(7, 4, generator=seeded())
    first = Direction("a", torch.tensor([1.0, 0, 0, 0]), 0.5)
    second = Direction("b", torch.tensor([0, 0.6, 0.8, 0]), 2.0)
    moved = move(latents, [first, second], [2.0, -0.5])
    expected = latents / latents.norm(dim=1, keepdim=True) + torch.tensor([1.0, -0.6, -0.8, 0])
    assert (moved - expected / expected.norm(dim=1, keepdim=True)).abs().max() < 1e-6
    assert (moved.norm(dim=1) - 1).abs().max() < 1e-6


def test_no_amount_and_no_direction_leave_a_latent_where_it_is():
    latents = torch.randn(7, 4, generator=seeded())
    directions = principal_directions(latents, 3)
    own = latents / latents.norm(dim=1, keepdim=True)
    assert (move(latents, directions, [0, 0, 0]) - own).abs().max() < 1e-6
    assert (move(latents, [], []) - own).abs().max() < 1e-6


def test_a_move_towards_a_class_comes_nearer_to_it():
    latents, labels = classes()
    towards = attribute_directions(latents, labels)[1]
    near = [(move(latents[labels == 0], [towards], [amount]) @ torch.eye(8)[1]).mean() for amount in (-2, 0, 2, 4)]
    assert near == sorted(near) and near[3] > 0.5


def test_amounts_that_are_missing_are_a_one_line_error():
    latents = torch.eye(3)
    with pytest.raises(ValueError, match="1 amounts for 2 directions") as error:
        move(latents, principal_directions(latents, 2), [1.0])
    assert "\n" not in str(error.value)


def test_a_direction_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        principal_directions(torch.eye(3), 1)[0].spread = 2.0
