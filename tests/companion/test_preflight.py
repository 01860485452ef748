"""What a run would refuse is refused before it starts, and by a dry run: settings, data, weights, devices."""

import io
import pickle
import sys

import numpy as np
import pytest
from made_files import empty_place, write_files
from PIL import Image

from glann_lib.companion import arguments, estimate, pipeline, preflight


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.delenv("GLANN_RESULTS", raising=False)
    return empty_place(tmp_path, monkeypatch)


def png(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def told(*argv):
    """What is said of the data of a plan for a command line."""
    return preflight.check(arguments.make_plan([*argv, "--device", "cpu"]))


def folder(tmp_path, count, **more):
    return f"folder:{write_files(tmp_path / 'photos', {f'{i}.png': png(i) for i in range(count)} | more)}"


def test_it_is_said_what_is_learned_from(tmp_path):
    files = {f"{kind}/{i}.png": png(i) for kind in ("cat", "dog") for i in range(10)} | {"note.txt": b""}
    write_files(tmp_path / "pets", files)
    (line,) = told("--dataset", f"folder:{tmp_path / 'pets'}")
    assert line.startswith("18 to train on and 2 for testing from pets: 20 image files, centre squares, a tenth")
    assert line.endswith("; 2 classes, named by the folders cat, dog; left out: 1 .txt")


def test_what_is_checked_by_name_is_what_notebooks_declare():
    books = arguments.catalogue.find_notebooks(arguments.NOTEBOOKS)
    declared = {parameter.name for book in books for parameter in book.parameters}
    assert {*preflight.COUNTS, *preflight.NAMES} <= declared


def test_data_sets_of_this_companion_need_no_line():
    assert told() == told("--dataset", "made-chairs") == told("--dataset", "mnist-svhn") == []


@pytest.mark.parametrize("count", [3, 50])
def test_few_images_are_enough(tmp_path, count):
    (line,) = told("--dataset", folder(tmp_path, count))
    assert line.startswith(f"{count - max(1, count // 10)} to train on and ")


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ({}, "holds no images"),
        ({"0.png": png(0)}, "holds too few images (0.png): put at least 3 there"),
        ({"0.png": png(0), "1.png": png(1), "2.png": b"", "3.png": b""}, "1 to train on: give 2 or more"),
        ({f"{i}.png": b"no image" for i in range(5)}, "0 of 5 images in "),
        ({"0.png": png(0), **{f"{i}.heic": b"" for i in range(5)}}, "left out were 5 .heic"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*unreadable")
def test_what_is_too_little_is_refused_in_a_line(tmp_path, contents, words):
    place = write_files(tmp_path / "photos", contents)
    place.mkdir(exist_ok=True)
    with pytest.raises(ValueError) as caught:
        told("--dataset", f"folder:{place}")
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("glo_epochs=many", "epochs is 'many': give a whole number"),
        ("glo_loss=vgg", "loss"),
        ("image_size=31", "image_size"),
        ("image_size=\n", "image_size is '\\n': choose 28, 32, 64, 128, 256, 512 or 1024 px"),
        ("train_images=0", "train_images"),
        ("samples=0", "--set: samples is 0: give a whole number from 1"),
        ("inverted=1", "--set: inverted is 1: give a whole number from 2"),
        ("rival_steps=some", "--set: rival_steps is 'some': give a whole number from 1"),
        ("rival_names=vae,gan", "--set: rival_names has 'gan': choose from all, "),
        ("other_losses=l1, l2", "--set: other_losses has ' l2': choose from vgg16, "),
        ("extractors=vgg", "--set: extractors has 'vgg': choose from inception, imagenet, classifier, random-vgg16"),
        ("searches=far", "--set: searches has 'far': choose from memory, sphere, noise"),
        ("nam_width=0", "width"),
        ("poses=13", "poses"),
    ],
)
def test_settings_that_a_notebook_would_refuse_are_refused_at_once(setting, words):
    with pytest.raises(ValueError) as caught:
        told("--set", setting)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_weights_that_are_to_be_placed_by_hand_are_missed_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("GLANN_WEIGHTS", str(tmp_path))
    for setting in ("glo_loss=vgg19", "other_losses=l1,vgg19"):
        with pytest.raises(FileNotFoundError, match=r"vgg19_imagenet_blocks123\.npz"):
            told("--dataset", "digits", "--set", setting)


def test_meshes_and_domains_are_read_likewise(tmp_path):
    import trimesh

    boxes = {f"{i}.off": trimesh.creation.box((1, 2, 3 + i)).export(file_type="off").encode() for i in range(4)}
    write_files(tmp_path / "boxes", boxes | {"x.mtl": b""})
    (line,) = told("--dataset", f"meshes:{tmp_path / 'boxes'}")
    assert line.startswith("3 to train on and 1 for testing from boxes: 4 mesh files")
    lines = told("--dataset", f"digits-to-{folder(tmp_path, 12)}")
    assert [line[:47] for line in lines] == ["11 to train on and 1 for testing from photos: 1"]


def test_a_dry_run_tells_it_and_refuses_likewise(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("glann_lib.companion.estimate.times", lambda plan: arguments.Times((), "not timed"))
    monkeypatch.setattr(sys, "argv", ["run_all.sh", "--dry-run", "--dataset", folder(tmp_path, 5)])
    assert arguments.main() == 0
    assert "\n4 to train on and 1 for testing from photos: 5 image files" in capsys.readouterr().out
    sys.argv += ["--set", "glo_epochs=0"]
    assert arguments.main() == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[1:] == ["run_all.sh: epochs is 0: give a whole number, 1 or more"]


LARGE = ("--dataset", "made-landscapes", "--only", "01", "02", "--results", "fresh", "--device", "cpu")


def timed(monkeypatch, seconds):
    """Every notebook takes as long as is told of its number; returns the numbers that were asked for."""
    asked = []
    monkeypatch.setattr(estimate.Estimate, "seconds", lambda self, number: asked.append(number) or seconds[number])
    monkeypatch.setattr(estimate.Estimate, "cache_mib", lambda self: 0.0)
    return asked


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (
            {"01": 6000.0, "02": 600.0},
            "about 1 h 50 min on this machine, by steps timed just now: fewer epochs with --",
        ),
        ({"01": 600.0, "02": 6000.0}, "about 1 h 50 min on this machine, by steps timed just now"),
        ({"01": 6000.0, "02": None}, "about 1 h 40 min or more on this machine, by steps timed just now: fewer epochs"),
        ({"01": None, "02": None}, ""),
    ],
)
def test_large_images_are_told_how_long_they_take(monkeypatch, seconds, line):
    timed(monkeypatch, seconds)
    said = preflight.expected(arguments.make_plan([*LARGE]))
    assert [text[: len(line)] for text in said] == [line] * bool(line)
    assert all(text.endswith("--set glo_epochs=N") == (seconds["01"] > 3000) for text in said)


def test_among_other_notebooks_those_of_large_images_are_named(monkeypatch, tmp_path):
    asked = timed(monkeypatch, {"08": 900.0})
    (line,) = preflight.expected(
        arguments.make_plan(["--only", "01", "08", "--device", "cpu", "--results", str(tmp_path)])
    )
    assert asked == ["08"] and line == "notebook 08: about 15 min on this machine, by steps timed just now"


def test_what_is_small_trained_already_or_shared_is_not_timed(monkeypatch, tmp_path):
    asked = timed(monkeypatch, {"01": 60.0, "02": 60.0})
    assert preflight.expected(arguments.make_plan(["--device", "cpu", "--dataset", "mnist"])) == []
    assert preflight.expected(arguments.make_plan([*LARGE, "--gpus", "2"])) == []
    plan = arguments.make_plan([*LARGE[:-3], str(tmp_path), *LARGE[-2:]])
    assert len(preflight.expected(plan)) == 1 and asked == ["01", "02"]
    (folder,) = plan.folders().values()
    write_files(folder / "work", {"glo.safetensors": b""})
    assert preflight.expected(plan) == [] and asked == ["01", "02"]


def test_a_timing_takes_no_longer_than_somebody_waits_and_refuses_nothing(monkeypatch):
    asked, now = timed(monkeypatch, {"01": 600.0, "02": 60.0}), iter([0.0, 1.0, 1.0 + preflight.PATIENCE])
    monkeypatch.setattr(estimate.time, "monotonic", lambda: next(now))
    (line,) = preflight.expected(arguments.make_plan([*LARGE]))
    assert asked == ["01"] and line.startswith("about 10 min or more on this machine")
    monkeypatch.setattr(estimate, "times", lambda *_: 1 / 0)
    assert preflight.expected(arguments.make_plan([*LARGE])) == []


def test_a_run_asks_the_same_in_a_process_of_its_own(tmp_path):
    plan = arguments.make_plan(["--dataset", folder(tmp_path, 5), "--device", "cpu"])
    device, line = pipeline._preflight(plan)
    assert device.startswith("cpu (") and line.startswith("4 to train on and 1 for testing from photos: 5 image files")
    for argv, words in (
        (["--set", "seeds=0"], "seeds is 0"),
        (["--dataset", folder(tmp_path / "x", 3)], "0 of 3 images"),
    ):
        plan = arguments.make_plan([*argv, "--device", "cpu"])
        for file in (tmp_path / "x").rglob("*.png"):
            file.write_bytes(b"")
        with pytest.raises(arguments.UsageError, match=words):
            pipeline._preflight(pickle.loads(pickle.dumps(plan)))
