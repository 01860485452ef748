"""What a fit is given: names load, arrays are kept, and each becomes one tensor with its settings."""

import numpy as np
import pytest
import torch

from glann_lib.config import DataConfig, ShapeConfig, make_config
from glann_lib.data.record import ImageData
from glann_lib.shapes.record import ShapeData
from glann_lib.shapes.training_data import from_array, prepare

GREY = np.zeros((40, 28, 28), np.uint8)
COLOUR = np.zeros((40, 32, 32, 3))
CUBES = np.zeros((40, 32, 32, 32), bool)


@pytest.mark.parametrize(
    ("given", "kind", "shape"),
    [
        (GREY, ImageData, (40, 1, 28, 28)),
        (COLOUR, ImageData, (40, 3, 32, 32)),
        (CUBES, ShapeData, (40, 32, 32, 32)),
        (torch.from_numpy(CUBES), ShapeData, (40, 32, 32, 32)),
    ],
    ids=["grey", "colour", "bool array", "bool tensor"],
)
def test_arrays_are_images_or_shapes_by_their_type(given, kind, shape):
    found = from_array(given)
    assert isinstance(found, kind) and from_array(found) is found
    assert (found.voxels if kind is ShapeData else found.images).shape == shape


def test_a_name_loads_its_data_with_its_settings():
    for name, dtype in (("digits", torch.uint8), ("made-chairs", torch.bool)):
        limit = {"data_train_models" if name == "made-chairs" else "data_train_images": 20}
        data = prepare(name, "quick", 3, limit)
        assert data.config == make_config(name, "quick", 3, **limit).for_images(20)
        assert len(data.tensor) == data.data.describe()["count"] == 20 and data.tensor.dtype == dtype


def test_images_in_memory_keep_their_size_and_have_the_papers_generator():
    data = prepare(COLOUR, "paper", 0, {})
    assert data.config.data == DataConfig("array", 32, train_images=40)
    assert (data.config.glo.normalisation, data.config.glo.epochs) == ("none", 500)
    assert prepare(GREY, "paper", 0, {}).config.glo.normalisation == "batch"


def test_shapes_in_memory_have_the_settings_of_real_ones():
    models = torch.arange(20).repeat_interleave(2)
    data = prepare(ShapeData.from_array(CUBES, models, torch.arange(2).repeat(20)), "quick", 0, {"glo_epochs": 7})
    assert data.config.data == ShapeConfig("array", 32, poses=2, train_models=20, test_models=200)
    wanted = make_config("chairs", glo_epochs=7).for_images(40)
    assert (data.config.glo, data.config.imle) == (wanted.glo, wanted.imle)


@pytest.mark.parametrize(
    ("given", "limit", "count"),
    [
        (GREY, {"data_train_images": 15}, 15),
        (CUBES, {"data_train_models": 15}, 15),
        (GREY, {"data_train_images": 99}, 40),
    ],
)
def test_limits_hold_in_memory_too(given, limit, count):
    assert len(prepare(given, "quick", 0, limit).tensor) == count


@pytest.mark.parametrize(("given", "size"), [(GREY, {"data_image_size": 32}), (CUBES, {"data_size": 64})])
def test_another_size_than_the_datas_is_a_one_line_error(given, size):
    with pytest.raises(
        ValueError, match=f"{next(iter(size))} is {next(iter(size.values()))}: resize them first"
    ) as error:
        prepare(given, "quick", 0, size)
    assert "\n" not in str(error.value)
