"""Judges of translations: scores that are known by hand, what they are trained on, and when there are none."""

import dataclasses
import math
from dataclasses import dataclass, field

import pytest
import torch

from glann_lib.data.record import ImageData, tensors_sha256
from glann_lib.engine import storage
from glann_lib.scores.classifier import ClassifierConfig
from glann_lib.translation import judges as translation_judges
from glann_lib.translation.azimuths import CHANCE, azimuth_error
from glann_lib.translation.judges import AzimuthJudge, ClassJudge, NoJudge, chance_accuracy, make_judge

TINY = ClassifierConfig(epochs=1, steps=6, batch_size=8)


def of_values(values):
    """Images whose value is the class, or the tenth part of the direction, that `Reader` sees in them."""
    return torch.as_tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 2, 2)


@dataclass
class Reader:
    """A network that reads class and direction from the first pixel."""

    train_sha256: str = "trained on these"
    config: ClassifierConfig = field(default_factory=ClassifierConfig)

    def predict(self, images):
        return images[:, 0, 0, 0].long()

    def azimuths(self, images):
        return 10.0 * self.predict(images)


def values(record):
    return {score["metric"]: score["value"] for score in record["scores"]}


def random_classes(count, classes, seed):
    return torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))


def random_directions(count, seed):
    return 360 * torch.rand(count, generator=torch.Generator().manual_seed(seed))


def pictures(labels, channels=1, size=16):
    """Noisy pictures as bright as their class says."""
    noise = torch.randint(0, 20, (len(labels), channels, size, size), generator=torch.Generator().manual_seed(3))
    return (noise + 40 * labels.view(-1, 1, 1, 1)).to(torch.uint8)


def labelled(name, count=32, classes=4, seed=0, names=("a", "b", "c", "d")):
    labels = random_classes(count, classes, seed)
    return ImageData(pictures(labels), labels, name, class_names=names)


def pointing(name, count=32, last=45, seed=0):
    """Pictures that point between 0 and `last` degrees."""
    azimuths = random_directions(count, seed) * (last / 360)
    return ImageData(pictures((azimuths / 15).long() % 6), None, name, azimuths=azimuths)


def unlabelled(name):
    return ImageData(pictures(torch.zeros(8, dtype=torch.long)), None, name)


# Classes


def test_a_perfect_translation_is_right_everywhere():
    wanted = random_classes(50, 10, seed=0)
    record = ClassJudge(Reader(), wanted, 0.1).score(of_values(wanted))
    (score,) = record["scores"]
    assert score == {
        "extractor": "classifier",
        "metric": "accuracy",
        "value": 1.0,
        "standard_error": 0.0,
        "chance": 0.1,
    }
    assert record["chance"] == 0.1 and record["translated"] == 50


def test_a_random_translation_is_at_chance():
    wanted, shown = (random_classes(4000, 10, seed) for seed in (0, 1))
    judge = ClassJudge(Reader(), wanted, chance_accuracy(wanted, shown))
    assert judge.chance == pytest.approx(0.1, abs=0.005)
    assert values(judge.score(of_values(shown)))["accuracy"] == pytest.approx(judge.chance, abs=0.02)


def test_a_constant_translation_is_right_where_the_source_shows_it():
    wanted, shown = torch.tensor([3, 1, 3, 0, 2]), of_values([3] * 5)
    judge = ClassJudge(Reader(), wanted, 0.2)
    each = [values(judge.score(shown[i : i + 1], wanted=wanted[i : i + 1]))["accuracy"] for i in range(5)]
    assert each == [1, 0, 1, 0, 0]
    (score,) = judge.score(shown)["scores"]
    assert score["value"] == pytest.approx(2 / 5) and score["standard_error"] == pytest.approx(math.sqrt(0.4 * 0.6 / 5))


@pytest.mark.parametrize("seed", range(4))
def test_chance_is_how_often_a_pair_drawn_at_random_agrees(seed):
    wanted, target = random_classes(17, 5, seed), random_classes(23, 3 + seed, 100 + seed)
    agreeing = sum(int(a == b) for a in wanted.tolist() for b in target.tolist())
    assert 0 < agreeing < 17 * 23
    assert chance_accuracy(wanted, target) == pytest.approx(agreeing / (17 * 23))


def test_classes_that_only_one_side_has_are_never_met_by_chance():
    assert chance_accuracy(torch.tensor([0, 1]), torch.tensor([7])) == 0
    assert chance_accuracy(torch.tensor([9, 1]), torch.tensor([1])) == 0.5


# Directions


def test_a_translation_that_points_the_same_way_has_no_error():
    wanted = torch.arange(24) * 10.0
    scores = values(AzimuthJudge(Reader(), wanted, CHANCE).score(of_values(range(24))))
    assert scores.keys() == {"azimuth_median", "azimuth_mean", "turned", "aligned_median", "aligned_mean"}
    assert all(value == pytest.approx(0, abs=1e-3) for value in scores.values())


def test_a_translation_that_points_anywhere_is_at_chance():
    judge = AzimuthJudge(Reader(), random_directions(4000, seed=0), CHANCE)
    record = judge.score(of_values(random_classes(4000, 36, seed=1)))
    scores = values(record)
    assert scores["azimuth_median"] == pytest.approx(90, abs=4) and scores["azimuth_mean"] == pytest.approx(90, abs=3)
    assert scores["turned"] == pytest.approx(0.5, abs=0.03)
    assert record["chance"] == 90 and record["translated"] == 4000
    assert {score["extractor"] for score in record["scores"]} == {"azimuth network"}
    chance = {score["metric"]: score["chance"] for score in record["scores"]}
    assert chance["azimuth_median"] == chance["azimuth_mean"] == 90 and chance["turned"] == 0.5
    for metric in ("aligned_median", "aligned_mean"):
        assert scores[metric] == pytest.approx(chance[metric], abs=3) and chance[metric] < 90


def test_a_translation_that_always_points_to_the_viewer():
    judge = AzimuthJudge(Reader(), torch.tensor([0.0, 30.0, 100.0, 200.0, 350.0]), CHANCE)
    found = values(judge.score(of_values([0] * 5)))
    expected = {"azimuth_median": 30, "azimuth_mean": 60, "turned": 2 / 5}
    assert {metric: found[metric] for metric in expected} == pytest.approx(expected, abs=1e-3)


def test_turned_and_mirrored_cars_are_wrong_until_they_are_aligned():
    wanted = torch.arange(36) * 10.0
    found = values(AzimuthJudge(Reader(), wanted, CHANCE).score(of_values((20 - torch.arange(36)) % 36)))
    assert found["azimuth_mean"] > 80 and found["turned"] > 0.4
    assert found["aligned_median"] == found["aligned_mean"] == pytest.approx(0, abs=1e-3)


# Both


@pytest.mark.parametrize(
    ("kind", "true"), [(ClassJudge, torch.tensor([1, 2, 0])), (AzimuthJudge, torch.tensor([10.0, 20.0, 0.0]))]
)
def test_real_images_are_judged_by_what_they_show_themselves(kind, true):
    judge = kind(Reader(), torch.tensor([5, 5]).to(true.dtype), 0.25)  # other and fewer source images
    record = judge.score(of_values([1, 2, 0]), wanted=true)
    assert record["scores"][0]["value"] == pytest.approx(1.0 if kind is ClassJudge else 0.0, abs=1e-3)
    assert record["chance"] == 0.25 and record["translated"] == 3
    assert len(judge.wanted) == 2


@pytest.mark.parametrize("kind", [ClassJudge, AzimuthJudge])
def test_the_digest_tells_labels_and_classifiers_apart(kind):
    labels = torch.tensor([0, 1, 2])
    digests = [
        kind(Reader(), labels, 0.1).digest,
        kind(Reader(), torch.tensor([0, 1, 1]), 0.1).digest,
        kind(Reader(train_sha256="others"), labels, 0.1).digest,
        kind(Reader(config=ClassifierConfig(seed=1)), labels, 0.1).digest,
    ]
    assert len(set(digests)) == 4
    assert kind(Reader(), labels.clone(), 0.1).digest == digests[0]


# Training


def test_classes_are_judged_by_a_classifier_of_the_target(tmp_path):
    source, target, test = labelled("source", 12, seed=1), labelled("target"), labelled("test", 16, seed=2)
    judge = make_judge(source, target, test, TINY, path=tmp_path / "judge.safetensors")
    assert isinstance(judge, ClassJudge) and judge.wanted is source.labels
    assert judge.network.train_sha256 == tensors_sha256(target.images, target.labels)
    assert judge.network.test_sha256 == tensors_sha256(test.images, test.labels)
    assert judge.chance == chance_accuracy(source.labels, target.labels)
    seen = judge.network.predict(source.images)
    found = values(judge.score(source.images))["accuracy"]
    assert found == pytest.approx((seen == source.labels).double().mean().item())
    assert storage.load_tensors(tmp_path / "judge.safetensors")[1]["train_sha256"] == judge.network.train_sha256


def test_directions_are_judged_by_a_regressor_of_the_target(tmp_path):
    source, target, test = pointing("source", 12, 360, seed=1), pointing("target"), pointing("test", 16, seed=2)
    judge = make_judge(source, target, test, TINY, path=tmp_path / "judge.safetensors")
    assert isinstance(judge, AzimuthJudge) and judge.chance == 90 and judge.wanted is source.azimuths
    assert judge.network.train_sha256 == tensors_sha256(target.images, target.azimuths)
    assert judge.network.test_sha256 == tensors_sha256(test.images, test.azimuths)
    errors = azimuth_error(judge.azimuths(test.images), test.azimuths)
    assert judge.network.test_error == pytest.approx(errors.mean().item(), abs=1e-3)
    record = judge.score(test.images, wanted=test.azimuths)
    assert values(record)["azimuth_mean"] == pytest.approx(errors.mean().item(), abs=1e-3)


@pytest.mark.parametrize(("of", "channels", "steps"), [(labelled, 1, 120), (labelled, 3, 400)])
def test_classes_in_colour_are_learned_for_longest_where_nothing_is_said(monkeypatch, of, channels, steps):
    given, target = [], of("b")
    target = dataclasses.replace(target, images=target.images[:, :1].expand(-1, channels, -1, -1))

    def fit(images, labels, test_images, test_labels, config, device, path):
        given.append((config, device, path))
        assert labels.dtype == test_labels.dtype == torch.int64
        return Reader()

    monkeypatch.setattr(translation_judges, "fit_classifier", fit)
    make_judge(of("a"), target, of("c"))
    make_judge(of("a"), target, of("c"), TINY, "a device", "a path")
    assert [config.steps for config, _, _ in given] == [steps, TINY.steps]
    assert given[1] == (TINY, "a device", "a path")


@pytest.mark.parametrize(
    ("source", "target", "test", "said"),
    [
        (unlabelled("photos"), labelled("faces"), labelled("faces"), "photos has no class labels"),
        (labelled("photos"), unlabelled("faces"), labelled("faces"), "faces has no class labels"),
        (labelled("photos"), labelled("faces"), unlabelled("cats"), "cats has no class labels"),
        (unlabelled("photos"), unlabelled("faces"), unlabelled("faces"), "photos has no class labels, and not all"),
        (
            labelled("photos"),
            labelled("faces", names=("b", "a", "c", "d")),
            labelled("faces"),
            "the classes of photos and faces are not the same",
        ),
    ],
)
def test_without_labels_that_fit_there_are_no_scores_and_the_reason_is_said(monkeypatch, source, target, test, said):
    monkeypatch.setattr(translation_judges, "fit_classifier", None)  # nothing is trained
    judge = make_judge(source, target, test)
    assert isinstance(judge, NoJudge) and judge.reason.startswith("no scores: ") and said in judge.reason
    assert "\n" not in judge.reason and judge.digest == "none"
    record = judge.score(of_values([1, 2, 3]))
    assert record == {"scores": [], "chance": None, "translated": 3, "unscored": judge.reason}
    assert judge.score(of_values([1, 2, 3]), wanted=torch.tensor([1, 2, 3])) == record
