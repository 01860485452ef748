"""A translation task end to end on a few digits: what is trained, kept and scored, and what is not done twice."""

import dataclasses
import functools
import shutil

import pytest
import torch

from glann_lib.data.record import ImageData
from glann_lib.engine import storage
from glann_lib.scores.classifier import ClassifierConfig
from glann_lib.scores.evaluate import ScoreBook, read_records, read_samples
from glann_lib.translation import task as translation_task
from glann_lib.translation.config import make_translation_config
from glann_lib.translation.judges import ClassJudge, NoJudge, make_judge
from glann_lib.translation.task import TranslationTask
from glann_lib.translation.translations import translate

CPU = torch.device("cpu")
SMALL = {
    "data_source_images": 24,
    "data_target_images": 32,
    "data_test_images": 12,
    "glo_epochs": 1,
    "glo_batch_size": 8,
    "glo_loss": "l2",
    "imle_epochs": 1,
    "imle_batch_size": 8,
    "nam_epochs": 1,
    "nam_batch_size": 8,
    "nam_width": 2,
    "nam_restarts": 2,
    "nam_test_steps": 1,
}
SEARCHES = ("memory", "sphere", "noise")


@pytest.fixture(scope="module", autouse=True)
def quick_judges():
    """Judges are trained for three steps."""
    with pytest.MonkeyPatch.context() as patch:
        config = ClassifierConfig(epochs=1, steps=3, batch_size=16)
        patch.setattr(translation_task, "make_judge", functools.partial(make_judge, config=config))
        yield


def load(folder, source="digits", target="street-digits", **changed):
    return TranslationTask.load(make_translation_config(source, target, seed=0, **(SMALL | changed)), folder, CPU)


def a_book(task):
    return ScoreBook(task.folder / "scores", task.judge, {"made": "here"})


def scored(task, searches=SEARCHES):
    """All records of a task, by model."""
    book = a_book(task)
    records = [task.score_nam(book, search, 0) for search in searches]
    records += [*task.score_baselines(book), *task.score_floors(book)]
    return {record["model"]: record for record in records}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A task with its records: from grey digits to painted ones."""
    task = load(tmp_path_factory.mktemp("task"))
    return task, scored(task)


def copied(done, folder):
    """All that a task has left, in a folder where other settings may replace it."""
    return shutil.copytree(done[0].folder, folder / "copy")


@pytest.fixture(scope="module")
def back(tmp_path_factory):
    """The same from painted digits to grey ones, up to colour."""
    task = load(tmp_path_factory.mktemp("back"), "street-digits", "digits")
    return task, scored(task, ("memory",))


@pytest.fixture
def untrained(monkeypatch):
    """Nothing may be trained or translated."""

    def refuse(*args, **options):
        raise AssertionError("trained or translated once more")

    for name in ("fit_nam", "translate"):
        monkeypatch.setattr(translation_task, name, refuse)


def counted(monkeypatch, name):
    """The calls of a function of the module, while it works as ever."""
    calls, real = [], getattr(translation_task, name)
    monkeypatch.setattr(
        translation_task, name, lambda *args, **options: (calls.append(args), real(*args, **options))[1]
    )
    return calls


# Scores


def test_every_way_of_searching_the_baseline_and_both_floors_fill_the_book(done):
    task, records = done
    kinds = {model: (record["kind"], record["label"]) for model, record in records.items()}
    assert kinds == {
        "nam-memory": ("non-adversarial", "NAM, latents from memory"),
        "nam-sphere": ("non-adversarial", "NAM, latents free"),
        "nam-noise": ("non-adversarial", "NAM, latents T(e)"),
        "nearest": ("baseline", "nearest training image, pixels"),
        "real": ("floor", "real images"),
        "reconstructions": ("floor", "reconstructions G(z)"),
    }
    stored = {record["model"]: record for record in read_records(task.folder / "scores", task.judge.digest)}
    assert stored == records
    for model, record in records.items():
        (score,) = record["scores"]
        assert score["metric"] == "accuracy" and 0 <= score["value"] <= 1 and record["provenance"] == {"made": "here"}
        assert record["chance"] == task.judge.chance
        assert record["translated"] == {"reconstructions": 32}.get(model, 12)


def test_the_score_is_the_judges_of_the_translations(done):
    task, records = done
    for search in SEARCHES:
        found = task.translations(search, 0)
        assert found.images.shape == (12, 3, 28, 28) and found.explained.shape == (12, 1, 28, 28)
        record = records[f"nam-{search}"]
        assert record["scores"] == task.judge.score(found.images)["scores"]
        assert torch.equal(read_samples(task.folder / "scores", record), found.images)
        history = task.learn(search, 0).history
        assert record["epochs"] == 1 and record["seconds"] == pytest.approx(sum(epoch.seconds for epoch in history))


def test_floors_are_judged_by_the_labels_of_the_images_themselves(done):
    task, records = done
    predicted = task.judge.network.predict
    for model, images, data in (
        ("real", task.target_test.images, task.target_test),
        ("reconstructions", task.domain.memory, task.target),
    ):
        right = (predicted(images) == data.labels).double().mean().item()
        assert records[model]["scores"][0]["value"] == pytest.approx(right)
    assert records["real"]["scores"][0]["value"] == pytest.approx(task.judge.network.test_accuracy)


def test_the_judge_is_trained_on_the_target_and_asked_for_the_sources_classes(done):
    task, _ = done
    assert isinstance(task.judge, ClassJudge) and task.judge.wanted is task.source_test.labels
    assert task.judge.network.train_sha256 == task.target.sha256
    assert (task.folder / "judge.safetensors").is_file()


# Nothing twice


def test_what_is_scored_is_neither_trained_nor_translated_again(done, untrained):
    task, records = done
    assert scored(task) == records
    assert scored(load(task.folder)) == records  # nor after a new start


def test_what_is_trained_is_taken_from_the_folder(done, monkeypatch):
    task, _ = done
    for stage in ("glo.GLO", "imle.IMLE", "translation.nam.NAM"):
        monkeypatch.setattr(f"glann_lib.{stage}.run_epoch", None)
    again = load(task.folder)
    assert again.sampled_domain.digest() == task.sampled_domain.digest()
    assert again.domain.mapper is None and again.sampled_domain.mapper is not None
    for search in SEARCHES:
        assert torch.equal(again.learn(search, 0).codes, task.learn(search, 0).codes)


@pytest.mark.parametrize("search", SEARCHES)
def test_stored_translations_equal_fresh_ones(done, search, monkeypatch):
    task, _ = done
    calls = counted(monkeypatch, "translate")
    stored, fresh = task.translations(search, 0), translate(task.learn(search, 0), task.source_test.images)
    assert calls == []
    for field in dataclasses.fields(stored):
        assert torch.equal(getattr(stored, field.name), getattr(fresh, field.name)), field.name


@pytest.mark.parametrize("changed", [{"nam_epochs": 2}, {"nam_width": 3}, {"glo_epochs": 2}, {"data_test_images": 9}])
def test_changed_settings_are_trained_and_scored_anew(done, tmp_path, changed, monkeypatch):
    folder = copied(done, tmp_path)
    first = load(folder)
    record = first.score_nam(a_book(first), "sphere", 0)
    assert record["fingerprint"] == done[1]["nam-sphere"]["fingerprint"]  # the folder is no part of it
    trained, translated = counted(monkeypatch, "fit_nam"), counted(monkeypatch, "translate")
    other = load(folder, **changed)
    again = other.score_nam(a_book(other), "sphere", 0)
    assert trained and len(translated) == 1
    assert again["fingerprint"] != record["fingerprint"]
    assert again["epochs"] == changed.get("nam_epochs", 1) and again["translated"] == changed.get(
        "data_test_images", 12
    )


@pytest.mark.parametrize("changed", [{"imle_epochs": 2}, {"data_source_images": 16}])
def test_what_the_search_noise_rests_on_decides_its_scores(done, tmp_path, changed):
    folder = copied(done, tmp_path)
    first, other = load(folder), load(folder, **changed)
    fingerprints = [task.score_nam(a_book(task), "noise", 0)["fingerprint"] for task in (first, other)]
    assert fingerprints[0] == done[1]["nam-noise"]["fingerprint"] != fingerprints[1]


def test_other_unseen_images_are_translated_but_not_learned_from(done, monkeypatch):
    task, _ = done
    translated = counted(monkeypatch, "translate")
    turned = dataclasses.replace(task.source_test, images=task.source_test.images.flip(0).contiguous())
    other = dataclasses.replace(task, source_test=turned)
    before = (task.folder / "nam-sphere-seed0.safetensors").read_bytes()
    images = other.translations("sphere", 0).images
    assert len(translated) == 1 and (task.folder / "nam-sphere-seed0.safetensors").read_bytes() == before
    assert torch.equal(
        task.translations("sphere", 0).images, translate(task.learn("sphere", 0), task.source_test.images).images
    )
    assert len(translated) == 2 and images.shape == (12, 3, 28, 28)


def test_each_seed_is_a_training_of_its_own(done):
    task, records = done
    book = a_book(task)
    record = task.score_nam(book, "memory", 1)
    assert (record["seed"], record["model"]) == (1, "nam-memory")
    assert record["fingerprint"] != records["nam-memory"]["fingerprint"]
    assert (task.folder / "nam-memory-seed1.safetensors").is_file()
    weights = [task.learn("memory", seed).network.state_dict() for seed in (0, 1)]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


# Baselines


def brightness(images):
    return images.double().mean(1) / 255


def test_the_nearest_training_image_is_that_of_a_search_through_all(done, back):
    for task, records in (done, back):
        source, target = brightness(task.source_test.images), brightness(task.target.images)
        nearest = [min(range(32), key=lambda row: (target[row] - image).square().sum().item()) for image in source]
        samples = read_samples(task.folder / "scores", records["nearest"])
        assert torch.equal(samples, task.target.images[nearest]) and len(set(nearest)) > 1


def test_images_of_equal_channels_are_compared_in_colour(done, tmp_path):
    task, _ = done
    colours = torch.zeros(2, 3, 28, 28, dtype=torch.uint8)
    colours[0, 0] = colours[1, 2] = 200  # as bright as one another
    target = ImageData(colours, torch.tensor([0, 1]), "two", class_names=("0", "1"))
    source = ImageData(colours.flip(0).contiguous(), torch.tensor([1, 0]), "two", class_names=("0", "1"))
    judge = NoJudge("no scores")
    own = dataclasses.replace(task, source_test=source, target=target, folder=tmp_path)
    (record,) = own.score_baselines(ScoreBook(tmp_path, judge, {}))
    assert torch.equal(read_samples(tmp_path, record), source.images)


def test_the_baseline_up_to_colour_is_there_for_that_loss_only(done, back):
    assert done[0].config.nam.loss == "l2" and "nearest-up-to-colour" not in done[1]
    task, records = back
    assert task.config.nam.loss == "up-to-colour"
    assert records["nearest-up-to-colour"]["label"] == "nearest training image, up to colour"
    across = torch.exp(-((torch.linspace(-1, 1, 28).double() / 0.6) ** 4)).repeat(28)[:, None]  # counts the middle
    images = task.source_test.images.flatten(2).double().mT / 255  # [12, 784, 3]
    grounds = [torch.stack([torch.ones(784), row.flatten() / 255], 1).double() for row in task.target.images]
    nearest = []
    for image in images:
        fits = [torch.linalg.lstsq(across.sqrt() * ground, across.sqrt() * image).solution for ground in grounds]
        left = [(across * (at @ fit - image).square()).sum() for at, fit in zip(grounds, fits, strict=True)]
        nearest.append(int(torch.stack(left).argmin()))
    assert len(set(nearest)) > 1
    samples = read_samples(task.folder / "scores", records["nearest-up-to-colour"])
    assert torch.equal(samples, task.target.images[nearest])
    assert not torch.equal(samples, read_samples(task.folder / "scores", records["nearest"]))


def test_painted_digits_become_grey_ones(back):
    found = back[0].translations("memory", 0)
    assert found.images.shape == (12, 1, 28, 28) and found.explained.shape == (12, 3, 28, 28)


# Without labels


def test_without_labels_all_works_but_the_scores(done, tmp_path):
    task, _ = done
    bare = {
        name: dataclasses.replace(getattr(task, name), labels=None, class_names=(), name="folder:photos")
        for name in ("source", "source_test")
    }
    own = dataclasses.replace(task, folder=tmp_path, **bare)
    assert own.name == "folder:photos->street-digits" and isinstance(own.judge, NoJudge)
    records = scored(own, ("memory", "sphere"))
    assert records.keys() == {"nam-memory", "nam-sphere", "nearest", "real", "reconstructions"}
    for record in records.values():
        assert record["scores"] == [] and record["chance"] is None and "folder:photos has no" in record["unscored"]
    assert torch.equal(own.translations("memory", 0).images, task.translations("memory", 0).images)


# What is recorded


def test_a_task_is_named_as_in_the_paper_and_describes_its_data(done):
    task, _ = done
    assert task.name == "digits->street-digits"
    told = task.describe()
    assert told["config"] == task.config.as_dict()
    counts = {name: (told[name]["count"], told[name]["split"]) for name in told if name != "config"}
    splits = {
        "source": (24, "train"),
        "source_test": (12, "test"),
        "target": (32, "train"),
        "target_test": (12, "test"),
    }
    assert counts == splits
    storage.write_json(task.folder / "told.json", told)  # plain values


def test_the_search_and_the_seed_reach_nams_settings(done):
    task, _ = done
    found = task.settings("noise", 5)
    assert found == dataclasses.replace(task.config.nam, search="noise", seed=5)
    assert task.learn("noise", 0).target.mapper is not None and task.learn("sphere", 0).target.mapper is None
