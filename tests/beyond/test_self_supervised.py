"""A loss that learns without labels: its tasks, what is folded and rescaled, and the same bits by seed."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from glann_lib.beyond import self_supervised
from glann_lib.beyond.self_supervised import (
    SelfSupervised,
    SelfSupervisedConfig,
    fit_self_supervised,
    prepared,
    question,
    rescale,
    self_supervised_loss,
    similarities,
    view,
    without_batch_norm,
)
from glann_lib.engine import devices, training
from glann_lib.features import VGGFeatures, make_extractor, vgg16_features, vgg16_layers
from glann_lib.losses import make_loss

CPU = torch.device("cpu")
SMALL = SelfSupervisedConfig(epochs=2, batch_size=8, precision="float32")
TASKS = tuple(self_supervised.ANSWERS)


def bars(count, channels=1, size=28):
    """Images of one bright bar each, of many places and widths: uint8."""
    random = torch.Generator().manual_seed(0)
    start = torch.randint(2, size // 2, (count, 1), generator=random)
    width = torch.randint(2, size // 3, (count, 1), generator=random)
    steps = torch.arange(size)
    column = (steps >= start) & (steps < start + width)
    row = steps < size // 2
    return (220 * (column[:, None, None, :] & row[:, None])).to(torch.uint8).expand(count, channels, size, size)


def floats(count, channels=1, size=28):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(3))


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


@pytest.fixture
def unchanged_views(monkeypatch):
    monkeypatch.setattr(self_supervised, "view", lambda images, random: images)


def features_of(network):
    return [values for name, values in network.state_dict().items() if "weight" in name or "bias" in name]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_gives_a_frozen_network_of_the_same_form(task):
    images = bars(20)
    network = fit_self_supervised(images, dataclasses.replace(SMALL, task=task))
    like = make_extractor("random-vgg16-quarter", 28)
    assert isinstance(network, VGGFeatures) and not network.training
    assert {name: values.shape for name, values in network.state_dict().items()} == {
        name: values.shape for name, values in like.state_dict().items()
    }
    assert not any(values.requires_grad for values in network.parameters())
    own, other = network(floats(3)), like(floats(3))
    assert [level.shape for level in own] == [level.shape for level in other]
    assert all(torch.isfinite(level).all() for level in own)


def test_a_task_is_learned():
    config = dataclasses.replace(SMALL, task="rotation", epochs=12, batch_size=32)
    history = list(training.train(SelfSupervised(bars(128), config, CPU)))
    assert history[-1].loss < 0.8 * history[0].loss and history[-1].right > 0.5  # by chance 0.25


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    first, again = (fit_self_supervised(bars(16), SMALL) for _ in range(2))
    other = fit_self_supervised(bars(16), dataclasses.replace(SMALL, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(features_of(first), features_of(again), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(features_of(first), features_of(other), strict=True))


def test_a_stopped_training_goes_on_and_a_finished_one_is_taken_up(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    path, config = tmp_path / "loss.safetensors", dataclasses.replace(SMALL, epochs=3)
    started = training.train(SelfSupervised(bars(16), config, CPU), path)
    next(started)
    started.close()
    resumed, whole = fit_self_supervised(bars(16), config, path=path), fit_self_supervised(bars(16), config)
    monkeypatch.setattr(SelfSupervised, "step", lambda *args: pytest.fail("trained again"))
    kept = fit_self_supervised(bars(16), config, path=path)
    for network in (resumed, kept):
        assert all(torch.equal(a, b) for a, b in zip(features_of(network), features_of(whole), strict=True))
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        fit_self_supervised(bars(17), config, path=path)


@pytest.mark.usefixtures("unchanged_views")
def test_turned_views_are_turned_as_often_as_the_answer_says():
    images = floats(12)
    shown, answers = question(images, "rotation", torch.Generator().manual_seed(0))
    assert sorted(answers.unique().tolist()) == [0, 1, 2, 3]
    for image, found, turns in zip(images, shown, answers, strict=True):
        assert torch.equal(found.rot90(-int(turns), (1, 2)), image)


@pytest.mark.usefixtures("unchanged_views")
def test_the_answer_of_a_view_is_the_other_view_of_its_image():
    images = floats(5)
    shown, answers = question(images, "contrast", torch.Generator())
    assert all(torch.equal(shown[answers[i]], shown[i]) and answers[i] != i for i in range(10))


def test_the_contrasts_loss_is_nt_xent():
    codes, temperature = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), 0.3
    found = nn.functional.cross_entropy(similarities(codes, temperature), torch.arange(6).roll(3))
    lengths, terms = codes.norm(dim=1), []
    for i in range(6):
        cosines = [float(codes[i] @ codes[k] / lengths[i] / lengths[k]) / temperature for k in range(6)]
        terms.append(math.log(sum(math.exp(c) for k, c in enumerate(cosines) if k != i)) - cosines[(i + 3) % 6])
    assert found.item() == pytest.approx(sum(terms) / 6, rel=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_images_near_their_own(channels):
    images = bars(64, channels) / 255
    views, again = (view(images, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(views, again) and views.shape == images.shape
    assert views.min() >= 0 and views.max() <= 1
    assert (views - images).abs().flatten(1).mean(1).min() > 0.01  # each is changed
    own = (views - images).square().mean()
    assert own < 0.8 * (views - images.roll(1, 0)).square().mean()
    assert not torch.equal(views, view(images, torch.Generator().manual_seed(6)))


def test_batch_norm_goes_into_the_convolutions():
    torch.manual_seed(0)
    layers = vgg16_layers(16, batch_norm=True)
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            for values, low in ((layer.weight, 0.5), (layer.bias, -0.5), (layer.running_mean, -0.5)):
                nn.init.uniform_(values, low, low + 1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    images = floats(4, 3, 32)
    with torch.no_grad():
        expected = layers.eval()(images)
        folded = without_batch_norm(layers)
        torch.testing.assert_close(folded(images), expected, atol=1e-5, rtol=1e-4)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded)


@pytest.mark.parametrize("size", [28, 64])
def test_taps_are_rescaled_each_by_one_factor_to_the_spread_of_random_weights(size):
    layers, images = vgg16_layers(8), floats(6, 1, size)
    with devices.scoped_seed(0, "test"):
        for number, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.3 / (1 + number % 3))
                nn.init.uniform_(layer.bias, -0.1, 0.1)
    network, like = vgg16_features(layers, size), make_extractor("random-vgg16-half", size)
    before = network(images)
    rescale(network, like, images)
    after = vgg16_features(layers, size)(images)
    for old, new, random in zip(before, after, like(images), strict=True):
        spreads = [(level - level.roll(3, 0)).abs().mean() for level in (new, random)]
        torch.testing.assert_close(spreads[0], spreads[1], rtol=1e-4, atol=0)
        torch.testing.assert_close(new, old * (new.norm() / old.norm()), rtol=1e-3, atol=1e-4 * new.max().item())


def test_images_that_are_all_alike_keep_finite_features():
    network = fit_self_supervised(torch.zeros(8, 1, 28, 28, dtype=torch.uint8), SMALL)
    assert all(torch.isfinite(level).all() for level in network(floats(2)))


def test_the_network_is_trained_on_what_the_loss_shows_it():
    images, like = floats(2), make_extractor("random-vgg16-quarter", 28)
    first = like.stages[0][0]
    shown = nn.functional.conv2d(prepared(images), first.weight, first.bias, padding=1)
    seen = []
    like.stages[0][1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    like(images)
    torch.testing.assert_close(seen[0], shown, atol=1e-5, rtol=1e-5)


def test_the_loss_has_the_form_of_make_loss():
    network, a, b = make_extractor("random-vgg16-quarter", 28), floats(3), floats(3).flip(0)
    expected = make_loss("random-vgg16-quarter", 28)(a, b)
    assert torch.equal(self_supervised_loss(network)(a, b), expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", "labels"),
        ("network", "vgg16"),
        ("epochs", 0),
        ("batch_size", 1),
        ("lr", 0.0),
        ("temperature", -1.0),
        ("precision", "int8"),
    ],
)
def test_settings_refuse_what_they_cannot_be(field, value):
    with pytest.raises(ValueError, match=field) as error:
        SelfSupervisedConfig(**{field: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(8, 1, 28, 28),
        torch.zeros(8, 28, 28, dtype=torch.uint8),
        torch.zeros(8, 1, 28, 32, dtype=torch.uint8),
        torch.zeros(8, 2, 28, 28, dtype=torch.uint8),
        torch.zeros(1, 1, 28, 28, dtype=torch.uint8),
    ],
    ids=["floats", "no channels", "not square", "2 channels", "one"],
)
def test_what_is_no_set_of_images_is_a_one_line_error(images):
    with pytest.raises(ValueError, match=r"give (uint8|2 or more)") as error:
        fit_self_supervised(images, SMALL)
    assert "\n" not in str(error.value)
