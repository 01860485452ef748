"""The record of shapes: its checks, what `take` draws, and the split by models."""

import json

import numpy as np
import pytest
import torch

from glann_lib.shapes.record import ShapeData, draw_models, for_testing, tenth

SOLID = np.random.default_rng(0).random((6, 4, 4, 4)) < 0.5


def posed(models=5, poses=3, size=4):
    """Shapes whose voxels spell their model and pose, in mixed order; the models' numbers have gaps."""
    numbers = torch.arange(models * poses)[torch.randperm(models * poses, generator=torch.Generator().manual_seed(1))]
    voxels = torch.zeros(len(numbers), size**3, dtype=torch.bool)
    voxels[torch.arange(len(numbers)), numbers] = True
    return ShapeData(voxels.reshape(-1, size, size, size), numbers // poses * 10 + 7, numbers % poses, "toy", "test")


def test_describe_counts_models_and_poses():
    record = posed()
    facts = json.loads(json.dumps(record.describe()))
    assert len(record) == 15 and facts.pop("sha256") == record.sha256
    assert facts == {
        "name": "toy",
        "split": "test",
        "count": 15,
        "models": 5,
        "poses": 3,
        "size": [4, 4, 4],
        "source": "an array",
    }


def test_sha256_depends_on_voxels_models_and_poses_only():
    record = ShapeData.from_array(SOLID)
    other = SOLID.copy()
    other[0, 0, 0, 0] ^= True
    same = ShapeData.from_array(SOLID.copy(), name="other", split="test", source="elsewhere")
    different = [
        ShapeData.from_array(other),
        ShapeData.from_array(SOLID, models=[0, 1, 2, 3, 4, 4]),
        ShapeData.from_array(SOLID, poses=[0, 0, 0, 0, 0, 1]),
    ]
    assert same.sha256 == record.sha256
    assert len({record.sha256, *(twin.sha256 for twin in different)}) == 4


def test_take_draws_whole_models_and_repeats():
    record = posed()
    few, more = record.take(2, seed=3), record.take(4, seed=3)
    assert len(few) == 6 and len(more) == 12 and len(record.take(9)) == 15
    assert torch.equal(few.models, more.models[:6]) and torch.equal(few.voxels, more.voxels[:6])
    assert few.models.tolist() == [few.models[0].item()] * 3 + [few.models[3].item()] * 3
    assert sorted(few.poses.tolist()) == [0, 0, 1, 1, 2, 2]
    spelled = few.voxels.flatten(1).int().argmax(1)
    assert torch.equal(spelled // 3 * 10 + 7, few.models) and torch.equal(spelled % 3, few.poses)
    drawn = {tuple(record.take(2, seed=seed).models.tolist()) for seed in range(20)}
    assert len(drawn) > 5


def test_a_models_poses_keep_their_order():
    record = posed()
    drawn = draw_models(record.models)
    assert sorted(drawn.tolist()) == list(range(15))
    for rows in drawn.reshape(5, 3):
        assert rows.tolist() == sorted(rows.tolist()) and len(record.models[rows].unique()) == 1


@pytest.mark.parametrize(("count", "expected"), [(10, 1), (889, 89), (2, 1), (7, 1), (25, 2), (26, 3)])
def test_split_is_by_model(count, expected):
    models = torch.arange(count).repeat_interleave(3) * 5
    test = for_testing(models)
    assert test.dtype == torch.bool and test.sum() == 3 * expected
    assert not set(models[~test].tolist()) & set(models[test].tolist())
    assert len(models[test].unique()) == expected == tenth(count)


def test_split_is_the_same_for_every_order_of_the_shapes():
    models = torch.arange(50).repeat_interleave(2)
    order = torch.randperm(100)
    assert torch.equal(for_testing(models[order]), for_testing(models)[order])
    with pytest.raises(ValueError, match="1 model cannot be divided: give at least two"):
        for_testing(torch.tensor([4, 4, 4]))


BOOL = torch.zeros(2, 4, 4, 4, dtype=torch.bool)
NUMBERS = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("voxels", "models", "poses", "split", "words"),
    [
        (BOOL.float(), NUMBERS, NUMBERS, "train", "voxels are float32 [2, 4, 4, 4]: give bool"),
        (BOOL[0], NUMBERS, NUMBERS, "train", "voxels are bool [4, 4, 4]: give bool [N, S, S, S]"),
        (BOOL[:, :3], NUMBERS, NUMBERS, "train", "voxels are bool [2, 3, 4, 4]"),
        (BOOL[:0], NUMBERS[:0], NUMBERS[:0], "train", "N at least 1"),
        (BOOL[:, :0, :0, :0], NUMBERS, NUMBERS, "train", "voxels are bool [2, 0, 0, 0]"),
        (BOOL, NUMBERS[:1], NUMBERS, "train", "models are int64 [1]: give int64 [2] from 0, one number a shape"),
        (BOOL, NUMBERS.int(), NUMBERS, "train", "models are int32 [2]"),
        (BOOL, NUMBERS, NUMBERS - 1, "train", "poses are int64 [2]: give int64 [2] from 0"),
        (BOOL, NUMBERS, NUMBERS.float(), "train", "poses are float32"),
        (BOOL, NUMBERS, NUMBERS, "valid", "unknown split 'valid'"),
    ],
)
def test_shape_data_refuses(voxels, models, poses, split, words):
    with pytest.raises(ValueError) as caught:
        ShapeData(voxels, models, poses, split=split)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "voxels",
    [
        SOLID,
        SOLID.astype(np.uint8),
        SOLID.astype(np.int64),
        SOLID.astype(">f4"),
        SOLID[::-1][::-1],
        np.asfortranarray(SOLID),
        torch.from_numpy(SOLID),
        torch.from_numpy(SOLID).to(torch.bfloat16),
        torch.from_numpy(SOLID).double().requires_grad_(),
    ],
)
def test_from_array_accepts(voxels):
    record = ShapeData.from_array(voxels, models=[3, 3, 4, 4, 5, 5], poses=np.array([0, 1] * 3), name="mine")
    assert record.voxels.is_contiguous() and np.array_equal(record.voxels.numpy(), SOLID)
    assert record.models.tolist() == [3, 3, 4, 4, 5, 5] and record.poses.tolist() == [0, 1] * 3
    assert record.name == "mine" and record.split == "train"


def test_from_array_copies_and_numbers():
    array, models = SOLID.copy(), np.arange(6)
    record, plain = ShapeData.from_array(array, models), ShapeData.from_array(array)
    array[:], models[:] = False, 0
    assert np.array_equal(record.voxels.numpy(), SOLID) and record.models.tolist() == list(range(6))
    assert plain.models.tolist() == list(range(6)) and plain.poses.tolist() == [0] * 6


@pytest.mark.parametrize(
    ("voxels", "models", "words"),
    [
        ([[1]], None, "voxels are a list: give a numpy array"),
        (np.full((2, 4, 4, 4), 2), None, "voxels are int64 with other values than 0 and 1: compare with a threshold"),
        (np.full((2, 4, 4, 4), 0.5), None, "voxels are float64 with other values"),
        (np.full((2, 4, 4, 4), np.nan), None, "voxels are float64 with other values"),
        (np.full((2, 4, 4, 4), "a"), None, "voxels are <U1: give bool"),
        (np.array(1), None, "voxels are bool []: give bool [N, S, S, S]"),
        (SOLID[0], None, "voxels are bool [4, 4, 4]: give bool [N, S, S, S]"),
        (SOLID[:0], None, "N at least 1"),
        (SOLID, [0, 1], "models are int64 [2]: give int64 [6]"),
        (SOLID, [0.5] * 6, "models are float32 [6]: give integers"),
        (SOLID, [True] * 6, "models are bool [6]: give integers"),
    ],
)
def test_from_array_refuses(voxels, models, words):
    with pytest.raises(ValueError) as caught:
        ShapeData.from_array(voxels, models)
    assert words in str(caught.value) and "\n" not in str(caught.value)
