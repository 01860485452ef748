"""Features for scores: each extractor's values, and that the folder gives back the right ones and no others."""

import dataclasses
import json
import os

import numpy as np
import pytest
import torch
from torch import nn

from glann_lib import features
from glann_lib.data.record import ImageData
from glann_lib.engine import progress, storage
from glann_lib.scores import features as score_features
from glann_lib.scores import imagenet, inception
from glann_lib.scores.classifier import ClassifierConfig
from glann_lib.scores.classifier_training import fit_classifier
from glann_lib.scores.features import EXTRACTORS, ScoreExtractor, available_extractors, make_score_extractor

TINY = ClassifierConfig(epochs=1, steps=4, batch_size=16)


def picture_set(count, seed=0, labels=True, split="train", size=28):
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, size, size), generator=random, dtype=torch.uint8)
    return ImageData(images, torch.arange(count) % 2 if labels else None, split=split)


with_package = pytest.mark.skipif(
    imagenet.find_weights() is None, reason="the package of ImageNet's weights is missing"
)
TRAIN, TEST = picture_set(32), picture_set(10, seed=1, split="test")
IMAGES = picture_set(7, seed=2).images


class Pixels(nn.Module):
    """Stands for Inception: the first four pixels."""

    sha256 = "0" * 64

    def forward(self, images):
        self.seen = [*getattr(self, "seen", []), len(images)]
        return images.flatten(1)[:, :4].float()


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("GLANN_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))


@pytest.fixture
def pixels(monkeypatch):
    network = Pixels()
    monkeypatch.setattr(inception, "make_inception", lambda folder, path: network)
    return network


def counting(folder, digest="a digest", factor=1.0):
    """An extractor that notes each computation: the mean of every image's columns."""
    calls = []

    def compute(images):
        calls.append(len(images))
        return factor * images.float().mean((1, 2))

    return ScoreExtractor("random-vgg16", digest, {"name": "toy"}, compute, folder), calls


def files(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_what_was_computed_once_is_read_from_the_folder(tmp_path):
    extractor, calls = counting(tmp_path / "scores")
    first = extractor.features(IMAGES)
    again, anew = extractor.features(IMAGES.clone()), counting(tmp_path / "scores")
    assert calls == [7] and isinstance(first, np.ndarray) and first.dtype == np.float32
    assert np.array_equal(first, IMAGES.float().mean((1, 2)).numpy())
    assert np.array_equal(again, first) and np.array_equal(anew[0].features(IMAGES), first) and anew[1] == []


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    extractor, calls = counting(None)
    assert np.array_equal(extractor.features(IMAGES), extractor.features(IMAGES))
    assert calls == [7, 7] and not list(tmp_path.iterdir())


def test_other_images_or_another_extractor_have_files_of_their_own(tmp_path):
    extractor, calls = counting(tmp_path)
    changed = IMAGES.clone()
    changed[3, 0, 5, 5] += 1
    sets = IMAGES, changed, IMAGES.flip(0), IMAGES[:6], IMAGES.mT
    found = [extractor.features(images) for images in sets]
    other, other_calls = counting(tmp_path, "another digest", factor=2.0)
    assert np.array_equal(other.features(IMAGES), 2 * found[0])
    assert calls == [7, 7, 7, 6, 7] and other_calls == [7]
    assert len(files(tmp_path)) == 6
    assert all(np.array_equal(extractor.features(i), f) for i, f in zip(sets, found, strict=True)) and len(calls) == 5


@pytest.mark.parametrize("kind", ["empty", "cut", "text", "flipped bit", "other tensors"])
def test_a_damaged_feature_file_is_made_again_in_silence(tmp_path, capsys, kind):
    extractor, calls = counting(tmp_path)
    first = extractor.features(IMAGES)
    path = tmp_path / files(tmp_path)[0]
    content = path.read_bytes()
    if kind == "other tensors":
        storage.save_tensors(path, {"latents": torch.zeros(3)}, {})
    elif kind == "flipped bit":
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 64]) + content[-2:])
    else:
        path.write_bytes({"empty": b"", "cut": content[:-10], "text": b"<html>\n" * 100}[kind])
    assert np.array_equal(extractor.features(IMAGES), first) and calls == [7, 7]
    assert path.read_bytes() == content  # whole again
    assert capsys.readouterr() == ("", "")


def test_the_feature_file_tells_where_it_comes_from(tmp_path):
    extractor, _ = counting(tmp_path)
    extractor.features(IMAGES)
    _, record = storage.load_tensors(tmp_path / files(tmp_path)[0])
    assert record["extractor"] == {"name": "toy"}


@pytest.mark.parametrize("images", [IMAGES.float(), IMAGES[:0], IMAGES[0], IMAGES.repeat(1, 2, 1, 1)])
def test_images_of_another_kind_are_one_line_errors(images):
    with pytest.raises(ValueError, match="give uint8") as error:
        counting(None)[0].features(images)
    assert "\n" not in str(error.value)


def test_random_vgg16_has_other_weights_than_the_loss():
    extractor = make_score_extractor("random-vgg16", TRAIN, TEST)
    found = extractor.features(IMAGES)
    score, loss = (features.make_extractor("random-vgg16", 28, **seed) for seed in ({"seed": 1}, {}))
    assert found.shape == (7, 448) and found.dtype == np.float32
    assert np.array_equal(found, features.pooled_features(score, IMAGES).numpy())
    assert not np.allclose(found, features.pooled_features(loss, IMAGES).numpy(), rtol=0.1)


def test_classifier_features_are_those_of_the_trained_network(tmp_path):
    folder = tmp_path / "scores"
    extractor = make_score_extractor("classifier", TRAIN, TEST, folder=folder, config=TINY)
    trained = fit_classifier(TRAIN.images, TRAIN.labels, TEST.images, TEST.labels, TINY)
    assert np.array_equal(extractor.features(IMAGES), trained.features(IMAGES).numpy())
    assert extractor.record["test_accuracy"] == trained.test_accuracy
    assert extractor.record["train_sha256"] == TRAIN.sha256 and extractor.record["test_sha256"] == TEST.sha256
    assert extractor.record["config"] == dataclasses.asdict(TINY)
    assert "classifier.safetensors" in files(folder) and len(files(folder)) == 2


def test_a_finished_classifier_is_taken_from_the_folder(tmp_path, monkeypatch):
    first = make_score_extractor("classifier", TRAIN, TEST, folder=tmp_path, config=TINY)
    found = first.features(IMAGES)
    monkeypatch.setattr("glann_lib.scores.classifier_training.ClassifierTraining.run_epoch", None)
    monkeypatch.setattr("glann_lib.scores.classifier.Classifier.features", None)
    again = make_score_extractor("classifier", TRAIN, TEST, folder=tmp_path, config=TINY)
    assert again.digest == first.digest and again.record == first.record
    assert np.array_equal(again.features(IMAGES), found)


def test_inception_sees_all_images_in_blocks(pixels, monkeypatch, capsys):
    monkeypatch.setattr(score_features, "BLOCK", 3)
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    extractor = make_score_extractor("inception", TRAIN, TEST)
    assert np.array_equal(extractor.features(IMAGES), IMAGES.flatten(1)[:, :4].float().numpy())
    assert pixels.seen == [3, 3, 1] and extractor.record["weights_sha256"] == "0" * 64
    assert capsys.readouterr() == ("", "")  # a short computation says nothing


def test_a_long_computation_prints_lines_where_nobody_watches(pixels, monkeypatch, capsys):
    monkeypatch.setattr(score_features, "BLOCK", 3)
    monkeypatch.setattr(progress.time, "monotonic", iter(range(0, 1000, 4)).__next__)
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    make_score_extractor("inception", TRAIN, TEST).features(IMAGES)
    assert capsys.readouterr().err == "inception, 3 images each: 2 of 3\n"


def test_digests_tell_extractors_apart(pixels):
    large = picture_set(4, size=64)
    made = [
        make_score_extractor("inception", TRAIN, TEST),
        make_score_extractor("random-vgg16", TRAIN, TEST),
        make_score_extractor("random-vgg16", large, large),
        make_score_extractor("classifier", TRAIN, TEST, config=TINY),
        make_score_extractor("classifier", TRAIN, TEST, config=dataclasses.replace(TINY, seed=1)),
        make_score_extractor("classifier", picture_set(32, seed=5), TEST, config=TINY),
    ]
    pixels.sha256 = "1" * 64
    made.append(make_score_extractor("inception", TRAIN, TEST))
    assert len({extractor.digest for extractor in made}) == len(made)
    again = (
        make_score_extractor("random-vgg16", TEST, TRAIN),
        make_score_extractor("classifier", TRAIN, TEST, config=TINY),
    )
    assert [extractor.digest for extractor in again] == [made[1].digest, made[3].digest]


@with_package
def test_records_are_plain_and_name_no_place(pixels, tmp_path):
    for name in EXTRACTORS:
        record = make_score_extractor(name, TRAIN, TEST, folder=tmp_path, config=TINY).record
        assert json.loads(json.dumps(record)) == record and record["name"] == name
        assert str(tmp_path) not in json.dumps(record) and os.sep not in json.dumps(record)


@with_package
def test_what_can_be_used_here():
    assert available_extractors(TRAIN) == ("imagenet", "classifier")
    assert available_extractors(picture_set(4, labels=False)) == ("imagenet",)
    one_class = dataclasses.replace(TRAIN, labels=torch.zeros(32, dtype=torch.int64))
    assert available_extractors(one_class) == ("imagenet",)


def test_the_random_network_stands_in_where_the_package_of_weights_is_missing(monkeypatch):
    monkeypatch.setattr(imagenet, "PACKAGE", "no_such_package")
    assert available_extractors(TRAIN) == ("classifier", "random-vgg16")


@with_package
def test_inception_can_be_used_where_its_file_is(tmp_path):
    mine = tmp_path / "mine.pth"
    assert available_extractors(TRAIN, mine) == ("imagenet", "classifier")
    mine.write_bytes(b"weights")
    assert available_extractors(TRAIN, mine) == ("inception", "imagenet", "classifier")
    file = features.weights_folder() / inception.WEIGHTS_FILE
    file.parent.mkdir()
    file.write_bytes(b"weights")
    assert available_extractors(TRAIN) == ("inception", "imagenet", "classifier")


def test_inceptions_file_is_checked(tmp_path):
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"weights")
    with pytest.raises(ValueError, match=r"wrong\.pth is not weights-inception"):
        make_score_extractor("inception", TRAIN, TEST, inception_weights=wrong)


def test_unknown_names_are_one_line_errors():
    with pytest.raises(ValueError, match=r"unknown features 'vgg16': choose one of inception, imagenet, c") as error:
        make_score_extractor("vgg16", TRAIN, TEST)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("sets", [(picture_set(8, labels=False), TEST), (TRAIN, picture_set(8, labels=False))])
def test_a_classifier_without_labels_says_what_to_choose(sets, tmp_path):
    with pytest.raises(ValueError, match=r"needs labels.*choose the features random-vgg16") as error:
        make_score_extractor("classifier", *sets, folder=tmp_path)
    assert "\n" not in str(error.value)


def test_features_come_on_the_extractors_device_and_are_kept_from_the_processor(tmp_path):
    extractor, calls = counting(tmp_path)
    elsewhere = dataclasses.replace(extractor, device=torch.device("meta"))  # a device without numbers
    assert [elsewhere.features_on_device(IMAGES).device.type for _ in range(2)] == ["meta"] * 2 and calls == [7]
    found = extractor.features_on_device(IMAGES)
    assert isinstance(found, torch.Tensor) and found.device.type == "cpu" and calls == [7]
    assert np.array_equal(found.numpy(), IMAGES.float().mean((1, 2)).numpy())
    assert dataclasses.replace(elsewhere, folder=None).features_on_device(IMAGES).device.type == "meta"


def test_extractors_know_their_device(pixels, monkeypatch):
    monkeypatch.setattr(Pixels, "to", lambda self, device: self)
    monkeypatch.setattr(features.VGGFeatures, "to", lambda self, device: self)
    for name in ("inception", "random-vgg16"):
        assert make_score_extractor(name, TRAIN, TEST).device == torch.device("cpu")
        assert make_score_extractor(name, TRAIN, TEST, "cuda").device == torch.device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("name", ["inception", "random-vgg16"])
def test_a_gpus_features_stay_there_and_are_the_processors(pixels, tmp_path, name):
    extractor = make_score_extractor(name, TRAIN, TEST, "cuda", tmp_path)
    found = [extractor.features_on_device(IMAGES) for _ in range(2)]  # computed, and read
    expected = make_score_extractor(name, TRAIN, TEST).features(IMAGES)
    assert all(rows.is_cuda and np.allclose(rows.cpu().numpy(), expected, rtol=1e-3, atol=1e-4) for rows in found)
    assert isinstance(extractor.features(IMAGES), np.ndarray)
