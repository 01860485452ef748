"""The classifier on small pictures with a known class: what it learns, reports, repeats, resumes and refuses."""

import dataclasses
import itertools
import os
from pathlib import Path

import pytest
import torch

from glann_lib.config import DataConfig
from glann_lib.data.images import load_images
from glann_lib.data.record import tensors_sha256
from glann_lib.engine import training
from glann_lib.networks import count_parameters
from glann_lib.scores.classifier import Classifier, ClassifierConfig
from glann_lib.scores.classifier_training import ClassifierTraining, fit_classifier

ROOT = Path(__file__).resolve().parents[2]
REAL_DATA = Path(os.environ.get("GLANN_DATA", ROOT.parent / "shared" / "data"))
TINY = ClassifierConfig(epochs=2, steps=12, batch_size=16)
CPU = torch.device("cpu")


def stripes(count, channels=1, size=16, seed=0):
    """Noisy pictures of a lying stripe (class 0), a standing stripe (1) or none (2)."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 60, (count, channels, size, size), generator=random)
    labels = torch.randint(0, 3, (count,), generator=random)
    places = torch.randint(2, size - 4, (count,), generator=random)
    for image, label, place in zip(images, labels, places, strict=True):
        if label < 2:
            (image if label == 0 else image.mT)[:, place : place + 2] = 220
    return images.to(torch.uint8), labels


SETS = (*stripes(64), *stripes(40, seed=1))


@pytest.fixture(scope="module")
def trained():
    return fit_classifier(*SETS, ClassifierConfig(epochs=2, steps=100, batch_size=16))


def same(first, second):
    states = first.network.state_dict(), second.network.state_dict()
    return all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))


def test_it_learns_what_is_to_be_seen(trained):
    assert trained.test_accuracy >= 0.95
    assert trained.history[-1].loss < 0.3 * trained.history[0].loss
    assert all(0 <= record.accuracy <= 1 and record.seconds > 0 for record in trained.history)


def test_the_reported_accuracy_is_that_of_its_predictions():
    weak = fit_classifier(*SETS, dataclasses.replace(TINY, steps=2, lr=1e-3))
    right = sum(int(a) == int(b) for a, b in zip(weak.predict(SETS[2]), SETS[3], strict=True))
    assert weak.test_accuracy == right / 40
    assert 0 < right < 40  # so that the test tells right from wrong


def test_predictions_are_the_largest_logits_whatever_the_block(trained, monkeypatch):
    images = SETS[2]
    with torch.no_grad():
        logits = trained.network(images.float() / 255)
    assert logits.shape == (40, 3)
    found = trained.predict(images)
    assert torch.equal(found, logits.argmax(1)) and found.dtype == torch.int64
    features = trained.features(images)
    monkeypatch.setattr("glann_lib.scores.classifier.BLOCK", 7)
    assert torch.equal(trained.predict(images), found)
    assert torch.allclose(trained.features(images), features, atol=1e-5)
    assert torch.allclose(trained.features(images.float() / 255), features, atol=1e-5)


def test_features_are_the_hidden_layer_before_its_relu(trained):
    images, network = SETS[2], trained.network
    found = trained.features(images)
    assert found.shape == (40, 128) and found.dtype == torch.float32 and not found.requires_grad
    with torch.no_grad():
        logits = found.relu() @ network.head[1].weight.T + network.head[1].bias
        assert torch.allclose(logits, network(images.float() / 255), atol=1e-4)
    assert found.min() < 0 < found.max()


def test_features_have_about_the_same_scale_in_every_dimension(trained):
    spread = trained.features(SETS[0]).std(0)
    assert spread.min() > 0.2 and spread.max() < 5


def test_the_seed_decides_everything_and_the_global_generator_nothing():
    first = fit_classifier(*SETS, TINY)
    torch.manual_seed(123)
    state = torch.get_rng_state()
    again, other = fit_classifier(*SETS, TINY), fit_classifier(*SETS, dataclasses.replace(TINY, seed=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert same(first, again) and not same(first, other)


@pytest.mark.parametrize("done", [1, 2])
def test_an_interrupted_training_goes_on_as_if_never_stopped(tmp_path, monkeypatch, done):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    path = tmp_path / "classifier.safetensors"
    whole = fit_classifier(*SETS, TINY)
    records = training.train(ClassifierTraining(*SETS, TINY, CPU), path)
    list(itertools.islice(records, done))
    records.close()
    resumed = fit_classifier(*SETS, TINY, path=path)
    assert same(whole, resumed) and resumed.test_accuracy == whole.test_accuracy
    assert [record.loss for record in resumed.history] == [record.loss for record in whole.history]


def test_what_is_finished_is_taken_from_its_file(tmp_path, monkeypatch):
    path = tmp_path / "classifier.safetensors"
    first = fit_classifier(*SETS, TINY, path=path)
    with monkeypatch.context() as patch:
        patch.setattr(ClassifierTraining, "run_epoch", None)
        again = fit_classifier(*SETS, TINY, path=path)
    assert same(first, again) and not again.network.training
    assert torch.equal(again.features(SETS[2]), first.features(SETS[2]))
    for field in dataclasses.fields(first):
        assert field.name == "network" or getattr(again, field.name) == getattr(first, field.name)


def test_other_data_or_settings_are_trained_anew(tmp_path):
    path = tmp_path / "classifier.safetensors"
    first = fit_classifier(*SETS, TINY, path=path)
    images, labels, *test = SETS
    relabelled = fit_classifier(images, (labels + 1) % 3, *test, TINY, path=path)
    assert relabelled.train_sha256 != first.train_sha256 and relabelled.test_sha256 == first.test_sha256
    assert not same(first, relabelled)
    assert not same(relabelled, fit_classifier(*SETS, dataclasses.replace(TINY, shift=0), path=path))


def test_the_record_names_its_data(trained):
    assert trained.train_sha256 == tensors_sha256(*SETS[:2]) and trained.test_sha256 == tensors_sha256(*SETS[2:])
    assert trained.image_shape == (1, 16, 16)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64)])
def test_the_network_takes_every_size_of_the_library(channels, size):
    network = Classifier(channels, 10).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, channels, size, size)).shape == (2, 10)
        assert network.features(torch.zeros(2, channels, size, size)).shape == (2, 128)
    assert count_parameters(network) == 258_538 + (channels - 1) * 9 * 32


def test_a_last_class_that_only_the_test_images_have_counts_as_wrong():
    images, labels, test_images, test_labels = SETS
    seen = labels < 2
    found = fit_classifier(images[seen], labels[seen], test_images, test_labels, TINY)
    assert found.network.classes == 2
    assert found.test_accuracy <= (test_labels < 2).float().mean()


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (2, 1, 28, 28), (1, 16, 16)])
def test_images_of_another_shape_are_refused(trained, shape):
    for function in (trained.predict, trained.features):
        with pytest.raises(ValueError, match="1 x 16 x 16"):
            function(torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.skipif(not (REAL_DATA / "MNIST").exists(), reason="MNIST is neither in GLANN_DATA nor in ../shared/data")
def test_it_reads_handwritten_digits(monkeypatch):
    monkeypatch.setenv("GLANN_DATA", str(REAL_DATA))
    train, test = (load_images(DataConfig("mnist", 28, 2000, 500), split) for split in ("train", "test"))
    found = fit_classifier(train.images, train.labels, test.images, test.labels, ClassifierConfig(epochs=3))
    assert found.test_accuracy > 0.95
