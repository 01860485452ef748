"""The classifier's training: its epochs and steps, the shifted images, and the data and settings that it refuses."""

import dataclasses
import itertools

import pytest
import torch

from glann_lib.engine import training
from glann_lib.scores.classifier import ClassifierConfig
from glann_lib.scores.classifier_training import ClassifierTraining, shifted

TINY = ClassifierConfig(epochs=2, steps=12, batch_size=16)
CPU = torch.device("cpu")


def noise(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 16, 16), generator=random, dtype=torch.uint8)
    return images, torch.arange(count) % 3


SETS = (*noise(64), *noise(40, seed=1))


def test_small_sets_take_more_epochs_and_large_ones_no_fewer_than_asked():
    def epochs(count, **fields):
        images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
        sets = images, torch.arange(count) % 2, images, torch.arange(count) % 2
        return ClassifierTraining(*sets, dataclasses.replace(TINY, **fields), CPU).epochs

    assert epochs(10) == 12  # one batch an epoch, of 10 images
    assert epochs(40) == 6  # two whole batches of 16
    assert epochs(160) == 2
    assert epochs(160, epochs=5) == 5
    stage = ClassifierTraining(*noise(2), *noise(1), dataclasses.replace(TINY, steps=2), CPU)
    assert stage.facts()["config"]["batch_size"] == 2 and stage.run_epoch(1).loss > 0


def test_the_step_grows_then_shrinks_to_nothing():
    stage = ClassifierTraining(*SETS, dataclasses.replace(TINY, epochs=25), CPU)
    steps = []
    for step in range(100):
        stage._set_learning_rate(step)
        steps.append(stage.optimiser.param_groups[0]["lr"])
    top = steps.index(max(steps))
    assert top in (19, 20) and 0.95 * TINY.lr < steps[top] <= TINY.lr
    assert steps == sorted(steps[:top]) + sorted(steps[top:], reverse=True)
    assert 0 < steps[-1] < 0.01 * TINY.lr


def moves(count):
    return torch.randint(5, (2, count), generator=torch.Generator().manual_seed(0))


def test_every_image_is_shifted_by_its_own_way():
    images = torch.zeros(200, 2, 9, 9)
    images[:, :, 4, 4] = torch.arange(1.0, 201).view(-1, 1)
    found = shifted(images, 2, moves(200))
    assert torch.equal(found.sum((2, 3)), images.sum((2, 3)))  # none leaves the picture
    places = found.flatten(2).argmax(2)
    assert torch.equal(places[:, 0], places[:, 1])  # channels stay together
    assert {divmod(int(place), 9) for place in places[:, 0]} == set(itertools.product(range(2, 7), repeat=2))
    assert torch.equal(shifted(images, 0, torch.zeros(2, 200, dtype=torch.long)), images)


def test_the_edge_is_repeated_where_an_image_was_shifted_from():
    images = torch.arange(6.0).view(1, 1, 1, 6).repeat(50, 1, 6, 1)
    rows = shifted(images, 2, moves(50))[:, 0, 0]
    expected = [(torch.arange(6.0) + move).clamp(0, 5) for move in range(-2, 3)]
    assert all(any(torch.equal(row, one) for one in expected) for row in rows)


def bad_sets():
    images, labels, test_images, test_labels = SETS
    yield "no labels", (images, None, test_images, test_labels), "random-vgg16"
    yield "no test labels", (images, labels, test_images, None), "random-vgg16"
    yield "one class", (images, torch.ones_like(labels), test_images, test_labels), r"one class.*random-vgg16"
    yield "other size", (images, labels, test_images[:, :, 1:, 1:], test_labels), "1 x 16 x 16"
    yield "other channels", (images, labels, test_images.repeat(1, 3, 1, 1), test_labels), "1 x 16 x 16"
    yield "floats", (images.float(), labels, test_images, test_labels), "give uint8"
    yield "too few labels", (images, labels[1:], test_images, test_labels), r"give int64 \[64\]"
    yield "negative", (images, labels - 1, test_images, test_labels), "0 or more"
    yield "no images", (images[:0], labels[:0], test_images, test_labels), "N at least 1"


@pytest.mark.parametrize(("sets", "words"), [case[1:] for case in bad_sets()], ids=[case[0] for case in bad_sets()])
def test_data_that_cannot_be_learned_is_a_one_line_error(sets, words):
    with pytest.raises(ValueError, match=words) as error:
        ClassifierTraining(*sets, TINY, CPU)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("fields", [{"epochs": 0}, {"steps": 1.5}, {"batch_size": 1}, {"shift": -1}, {"lr": 0}])
def test_settings_out_of_range_are_one_line_errors(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        ClassifierConfig(**fields)


def test_a_step_that_is_too_large_says_what_to_try():
    stage = ClassifierTraining(*SETS, dataclasses.replace(TINY, lr=1e38), CPU)
    with pytest.raises(FloatingPointError, match=r"classifier: .*epoch.*try a smaller lr") as error:
        training.run(stage)
    assert "\n" not in str(error.value)
