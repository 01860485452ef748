"""The estimate of a run's time: steps are counted, timed for real, and unknown where data or settings are."""

import importlib.util
import math
import shutil
import sys
from pathlib import Path

import numpy
import pytest
import torch

from glann_lib.claims.choices import HIDDEN
from glann_lib.companion import arguments, catalogue, estimate, timing
from glann_lib.companion.estimate import START, Estimate
from glann_lib.companion.plans import Times
from glann_lib.config import CAR_FAMILIES, CARS3D, DATASETS, SHAPES, DataConfig, GLOConfig, IMLEConfig
from glann_lib.data.images import load_images
from glann_lib.data.record import SPLITS
from glann_lib.engine.targets import TargetCache
from glann_lib.losses import make_loss
from glann_lib.rivals.config import make_gan_config, make_vae_config
from glann_lib.rivals.pixel_imle import PixelIMLE
from glann_lib.scores.classifier_training import ClassifierConfig
from glann_lib.shapes import data as shapes
from glann_lib.translation.config import NAMConfig
from glann_lib.translation.domains import MADE_CARS

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
BOOKS = {book.number: book for book in catalogue.find_notebooks(ROOT / "notebooks")}


def make(number, dataset, **given):
    """The estimate for one of the notebooks."""
    defaults = {parameter.name: parameter.value for parameter in BOOKS[number].parameters}
    return Estimate(dataset, defaults | {"profile": "quick", "seed": 0} | given, CPU)


def seconds(number, dataset, **given):
    return make(number, dataset, **given).seconds(number)


@pytest.fixture
def unit(monkeypatch):
    """Steps and epochs of a second each, in place of a timing; a feature takes 1 ms, a set's scores half a second."""
    monkeypatch.setattr(timing, "step_seconds", lambda *_: 1.0)
    monkeypatch.setattr(timing, "epoch_seconds", lambda *_: 1.0)
    monkeypatch.setattr(timing, "inversion_step", lambda *_: 1.0)
    monkeypatch.setattr(timing, "nam_step", lambda *_: (1.0, 1e-6))
    for name, value in {"pair": 0.0, "feature": 1e-3, "drawing": 1e-4, "score": 0.5}.items():
        monkeypatch.setattr(timing, name, lambda *_, value=value: value)


@pytest.fixture
def photos(tmp_path):
    """A folder of 40 files that only look like images, and others that do not count."""
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for number in range(20):
        (folder / f"{number}.JPG").touch()
        (folder / "deeper" / f"{number}.png").touch()
    for name in ("notes.txt", ".hidden.png", "deeper/.hidden.png"):
        (folder / name).touch()
    return folder


TWO = 300 * 1500 / 1280  # epochs of stage 2 on the digits: they are timed with 20 batches of 64 codes
TRIALS = len(HIDDEN) + 8  # of GLANN in notebook 09, with one seed
THREE = 4 * 2 * 11  # steps of stage 3, timed as those of stage 1 on 128 images


@pytest.mark.parametrize(
    ("number", "dataset", "given", "steps"),
    [
        ("00", "digits", {}, 16 * 4 + 300),
        ("01", "digits", {}, 16 * 23),
        ("01", "fashion", {"train_images": 1300, "glo_epochs": 7}, 7 * 10),
        ("02", "digits", {}, TWO + THREE),
        ("02", "digits", {"refine_epochs": 0}, TWO),
        ("03", "digits", {}, 1e-3 * (4 * 1000 + 297) + 1e-4 * (3 * 1000 + 800)),
        ("04", "digits", {}, 2 * 150 + 1e-4 * (2 * 1024 + 30 * 11)),
        ("04", "digits", {"inverted": 17, "inversion_steps": 10, "steps": 2}, 2 * 2 * 10 + 1e-4 * (2 * 1024 + 60)),
        # 23 steps of ten rivals and of GLO, an epoch of pixel IMLE in batches, the classifier, 17 models' scores
        ("05", "digits", {}, 10 * 23 + 23 + 1500 / 64 + 200 + 17 * (0.3 + 2 * 0.5)),
        ("05", "digits", {"rival_names": "vae", "rival_steps": 9, "rival_seeds": 2}, 2 * 9 + 200 + 7 * 1.3),
        (
            "05",
            "digits",
            {"rival_names": "vae", "rival_steps": 9, "seeds": 3},
            2 * (368 + TWO + THREE) + 9 + 200 + 12 * 1.3,
        ),
        (
            "05",
            "digits",
            {"rival_names": "vae", "rival_steps": 9, "other_losses": "l1"},
            368 + TWO + THREE + 9 + 200 + 9 * 1.3,
        ),
        ("06", "made-chairs", {}, 12 * 31 + 600 + 280),
        ("06", "made-chairs", {"poses": 2, "seeds": 3, "rival_steps": 5}, 3 * (12 * 62 + 600 + 5)),
        # G, the judge, T, and the comparison of every source image with every one in memory
        ("07", "mnist-to-svhn", {}, 20 * 78 + 624 + 15 * 31 + 1e-6 * (15 * 2000 + 1000) * 5000),
        ("07", "mnist-to-svhn", {"searches": "sphere", "seeds": 2}, 20 * 78 + 624 + 2 * (465 + 1000 * 2 * 10 / 64)),
        # both losses at 128 px and both generators at 64 px, on 32 images in batches of 6, what is drawn and scored
        ("08", "made-landscapes", {}, 8 * 40 + 1334 + 2 * 30 + 2 * 100 + 0.25e-3 * 460 + 1e-4 * 660),
        # two kinds of IMLE, and what is scored; then GLANN with each choice, loss and factor, GANs with each factor
        ("09", "digits", {}, 2 * 60 * 1500 / 1280 + 12 * 0.3),
        (
            "09",
            "digits",
            {"trial_steps": 23, "trial_seeds": 1, "trial_rivals": "wgan"},
            2 * 60 * 1500 / 1280 + TRIALS * (368 + TWO) / 16 + 4 * 23 + (12 + TRIALS + 4) * 0.3,
        ),
        (
            "09",
            "digits",
            {"trial_steps": 23, "trial_seeds": 1, "trial_rivals": "wgan", "stacked_steps": 69},
            2 * 60 * 1500 / 1280 + (TRIALS + 2) * (368 + TWO) / 16 + (3 + 3) * 23 + (12 + TRIALS + 4) * 0.3,
        ),
        ("10", "digits", {}, 150),
        # of 256 px one image of two is looked for at a time
        (
            "04",
            "made-landscapes",
            {"image_size": 256, "inversion_steps": 10, "steps": 2},
            2 * 2 * 10 + 1e-4 * (2 * 64 + 60),
        ),
        (
            "04",
            "made-landscapes",
            {"image_size": 128, "steps": 2},
            2 * 2 * 40 + 1e-4 * (2 * 256 + 60),
        ),
    ],
)
def test_steps_are_counted(unit, number, dataset, given, steps):
    assert seconds(number, dataset, **given) == pytest.approx(START + steps)


def test_coarse_epochs_are_timed_by_their_own_steps(unit, monkeypatch):
    monkeypatch.setattr(timing, "step_seconds", lambda settings, *_: 1.0 if settings.coarse_epochs else 10.0)
    settings = timing.replace(GLOConfig(loss="l1", epochs=5, batch_size=8), coarse_epochs=3)
    assert timing.training_seconds(settings, (3, 64, 64), 40, CPU) == 5 * (3 * 1 + 2 * 10)
    assert timing.plain(settings).coarse_epochs >= timing.EPOCH


def test_the_paper_profile_has_both_budgets_and_three_seeds(unit):
    given = {"profile": "paper", "rival_names": "vae", "train_images": 1280, "test_images": 100}
    scores = (2 + 6 + 2) * 1.3
    assert seconds("05", "mnist", **given) == pytest.approx(START + 2 * (5000 + 50) + 5000 + 20 * 20 + 200 + scores)


def test_all_time_of_an_epoch_grows_with_its_latents_but_the_pairs(unit, monkeypatch):
    monkeypatch.setattr(timing, "pair", lambda *_: 1e-6)
    settings = IMLEConfig(epochs=2)
    assert timing.imle_seconds(settings, 2560, CPU) == 2
    assert timing.imle_seconds(settings, 25_600, CPU) == pytest.approx(2 * (10 + 2 * 25_600 * 23_040 * 1e-6))


@pytest.mark.parametrize(
    ("number", "dataset", "more"),
    [
        ("00", "digits", {"tiny_epochs": 4000}),
        ("01", "mnist", {"train_images": 6000}),
        ("02", "digits", {"imle_epochs": 1200}),
        ("03", "digits", {"samples": 1500}),
        ("07", "embedded", {"seeds": 2}),
        ("07", "embedded", {"nam_epochs": 30}),
        ("07", "embedded", {"searches": "memory,sphere,noise"}),
        *((number, "digits", {"profile": "paper"}) for number in ("01", "05")),
        ("06", "made-chairs", {"profile": "paper"}),
        ("07", "embedded", {"profile": "paper"}),
    ],
)
def test_what_is_more_takes_longer(unit, number, dataset, more):
    assert seconds(number, dataset, **more) > seconds(number, dataset)


@pytest.mark.parametrize(
    ("number", "dataset", "given"),
    [
        ("01", "folder:nowhere", {}),
        ("06", "meshes:nowhere.zip", {}),
        ("06", "meshes:nowhere.npz", {}),
        ("07", "cars:nowhere", {}),
        ("07", "digits-to-folder:nowhere", {}),
        ("01", "celeba", {"profile": "paper"}),
        ("01", "digits", {"glo_epochs": 1e-3}),
        ("01", "digits", {"glo_epochs": "many"}),
        ("05", "digits", {"rival_names": "vae,nobody"}),
        ("05", "digits", {"seeds": [1, 2]}),
        ("01", "digits", {"profile": "slow"}),
    ],
)
def test_what_cannot_be_known_is_none(unit, number, dataset, given):
    assert seconds(number, dataset, **given) is None


def test_another_number_is_unknown_and_so_is_a_notebook_without_its_parameters(unit):
    assert make("01", "digits").seconds("11") is None
    assert Estimate("digits", {"profile": "quick", "seed": 0}, CPU).seconds("00") is None


def test_every_notebook_is_known_on_its_own_data(unit):
    assert list(BOOKS) == list(estimate.NOTEBOOKS)
    for number, book in BOOKS.items():
        (dataset,) = (parameter.value for parameter in book.parameters if parameter.name == "dataset")
        assert seconds(number, dataset) > START


def test_files_are_counted_in_a_folder_and_in_a_zip_and_a_tenth_is_for_testing(photos, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", photos)
    for path in (photos, archive):
        assert [estimate.count(f"folder:{path}", split, 30) for split in ("train", "test")] == [30, 4]
    assert estimate.count(f"folder:{photos}", "train") == 36


def test_domains_give_what_they_are_made_from(photos):
    count = estimate.count
    for name in ("a", "b"):
        (photos / name).mkdir()
    assert count(f"folder:{photos}", "train") == 36 and count(f"cars:{photos}/a", "train") == 18
    assert count("negative-vans", "train", 10_000) == count("vans", "train") == 5000
    assert count("digits", "train", part=2) == 750 and count("street-digits", "test", 200) == 200


def test_the_numbers_of_what_is_made_or_comes_with_a_library_are_right():
    for name in ("digits", *CAR_FAMILIES):
        parts = [load_images(DataConfig(name), split) for split in SPLITS] if name == "digits" else ()
        wanted = [len(part) for part in parts] or [MADE_CARS[split][1] for split in SPLITS]
        assert estimate.SIZES[name] == tuple(wanted)
    assert estimate.SIZES["made-chairs"] == tuple(shapes.MADE[split][1] for split in SPLITS)
    assert set(estimate.SIZES) == {*DATASETS, *SHAPES, *CAR_FAMILIES, *CARS3D}


def test_shapes_are_models_times_poses(photos, tmp_path):
    def count(dataset, split="train", **given):
        return make("06", dataset, **given)._count(split)

    assert count("made-chairs", poses=3, train_models=10) == 30
    assert count("made-chairs", "test", profile="paper", poses=12) == 2400
    for number in range(10):
        (photos / f"{number}.off").touch()
    assert count(f"meshes:{photos}", poses=2) == 18
    numpy.savez(tmp_path / "own.npz", voxels=numpy.ones((20, 64, 64, 64), bool))
    assert count(f"meshes:{tmp_path}/own.npz", size=64) == 18


def test_grey_images_have_one_channel():
    grey = {name for name in DATASETS if estimate.image_shape(name, 28)[0] == 1}
    assert grey == {"digits", "mnist", "fashion"} and estimate.image_shape("folder:x", 64) == (3, 64, 64)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_cache_is_known_before_it_is_filled(dtype, monkeypatch):
    monkeypatch.setattr(estimate.devices, "resolve_precision", lambda name, device: dtype)
    seen, images = make_loss("random-vgg16", 28, dtype).targets_of, torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    levels = TargetCache(seen, images, CPU).levels
    wanted = 5000 * sum(level.nbytes for level in levels) / 3 / 2**20
    assert (wanted > 1536) == (dtype == torch.float32)  # what does not fit is not kept
    assert make("01", "fashion").cache_mib() == pytest.approx(wanted if wanted <= 1536 else 0)
    assert make("01", "fashion", glo_cache_mib=4000).cache_mib() == pytest.approx(wanted)
    narrow = make("01", "fashion", glo_loss="random-vgg16-quarter").cache_mib()
    assert wanted / 4 < narrow < wanted / 3.8  # a quarter of the channels, and the pixels
    for dataset, given in (("fashion", {"glo_loss": "l1"}), ("fashion", {"glo_cache_mib": 9}), ("folder:nowhere", {})):
        assert make("01", dataset, **given).cache_mib() == 0
    assert make("06", "made-chairs").cache_mib() == 0


SMALL = GLOConfig(loss="l1", epochs=4, batch_size=8, precision="float32")
GREY = (1, 28, 28)


@pytest.mark.parametrize(
    "time",
    [
        lambda: timing.training_seconds(SMALL, GREY, 40, CPU),
        lambda: timing.training_seconds(timing.replace(SMALL, loss="vgg16"), GREY, 40, CPU),
        lambda: timing.training_seconds(timing.replace(SMALL, voxel_channels=16), (32, 32, 32), 40, CPU),
        lambda: timing.imle_seconds(IMLEConfig(epochs=2, batch_size=8), 400, CPU),
        lambda: timing.imle_seconds(IMLEConfig(epochs=2, batch_size=8), 40, CPU, PixelIMLE, GREY, SMALL),
        lambda: timing.training_seconds(make_gan_config("began", 5, batch_size=4), GREY, 40, CPU),
        lambda: timing.training_seconds(make_vae_config("bernoulli", 5, batch_size=4), GREY, 40, CPU),
        lambda: timing.training_seconds(ClassifierConfig(), GREY, 100, CPU),
        lambda: timing.feature(GREY, CPU),
        lambda: timing.drawing(SMALL, GREY, CPU),
        lambda: timing.score(30),
        lambda: timing.score(31, CPU),
        lambda: timing.inversion_step(SMALL, IMLEConfig(), GREY, 1, CPU),
        lambda: sum(timing.nam_step(NAMConfig("memory", width=4), SMALL, IMLEConfig(), (3, 28, 28), GREY, CPU)),
        lambda: timing.nam_step(NAMConfig("noise", width=4), SMALL, IMLEConfig(), GREY, GREY, CPU)[0],
    ],
)
def test_real_steps_take_some_time_and_say_nothing(time, capsys):
    assert 0 < time() < math.inf
    assert capsys.readouterr() == ("", "")


def test_on_cuda_epochs_are_long_enough_for_what_is_not_recorded_not_to_count(monkeypatch):
    asked, cuda = [], torch.device("cuda")
    monkeypatch.setattr(timing, "epoch_seconds", lambda kind, settings, *more: asked.append((settings, *more)) or 1.0)
    monkeypatch.setattr(timing, "pair", lambda *_: 0.0)
    gan = make_gan_config("began", 5, batch_size=16)
    for settings in (SMALL, ClassifierConfig(), gan):
        assert timing.step_seconds(settings, GREY, cuda) == 1 / timing.CUDA_STEPS
    assert [given[1] for given in asked] == [50 * 8, 50 * ClassifierConfig().batch_size, 50 * 16]
    assert asked[-1][0].steps == 9 * 50  # the third epoch is a whole one
    timing.training_seconds(SMALL, GREY, 4000, cuda)
    assert asked[-1][0].cache_mib == SMALL.cache_mib / 10
    assert timing.imle_seconds(IMLEConfig(epochs=2), 12_800, cuda) == 2 * 12_800 / (50 * 128)
    assert timing.timed_steps(timing.GLO, CPU) == 2 and timing.timed_steps(timing.NAM, CPU) == 1


def test_a_large_batch_is_timed_by_a_part_of_it(monkeypatch):
    asked = []
    monkeypatch.setattr(timing, "epoch_seconds", lambda kind, settings, *_: asked.append(settings.batch_size) or 1.0)
    assert timing.step_seconds(make_vae_config("l1", 5, batch_size=64), (64, 64, 64), CPU) == 32
    assert timing.step_seconds(make_vae_config("l1", 5), GREY, CPU) == 1 and asked == [2, 64]


def test_a_long_first_run_does_not_count_on_cuda(monkeypatch):
    runs, now = iter([5.0, 1.0, 0.5]), [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    assert timing.clocked(lambda: now.append(now.pop() + next(runs)), torch.device("cuda")) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("runs", "fewest"), [([0.01, 1.0, 0.1], 1.0), ([1.0] + [0.01] * 5 + [0.001] * 10, 0.001), ([5.0], 5.0)]
)
def test_the_fewest_seconds_count_after_a_first_run_that_was_not_long(runs, fewest, monkeypatch):
    runs, now = iter(runs), [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    assert timing.clocked(lambda: now.append(now.pop() + next(runs))) == pytest.approx(fewest)


def test_the_steps_of_a_plan_are_timed_on_its_device(unit, monkeypatch):
    plan = arguments.make_plan(["--only", "01", "02", "--device", "cpu", "--set", "glo_epochs=2"])
    found = estimate.times(plan)
    assert (
        found.seconds == (START + 46, START + TWO + THREE) and found.cache_mib > 0 and found.whole == sum(found.seconds)
    )
    assert found.how == "by steps timed just now on this machine, cpu"
    asked = []
    monkeypatch.setattr(estimate.devices, "select_device", lambda name: asked.append(name) or CPU)
    estimate.times(arguments.make_plan(["--only", "02", "--device", "mps"]))
    assert asked == ["mps"]


def test_a_training_counts_once(unit):
    options = ["--dataset", "made-landscapes", "--device", "cpu", "--only"]
    alone = estimate.times(arguments.make_plan([*options, "08"])).whole
    first, second, after = estimate.times(arguments.make_plan([*options, "01", "02", "08"])).seconds
    assert alone - after == pytest.approx(first + second - 2 * START) and after > START


def test_what_is_not_wanted_or_comes_too_late_is_unknown(unit, monkeypatch):
    plan = arguments.make_plan(["--only", "01", "02", "03", "--device", "cpu"])
    found = estimate.times(plan, lambda step: step.notebook.number != "02")
    assert found.seconds[1] is None and found.whole == found.seconds[0] + found.seconds[2]
    now = iter([0.0, 1.0, 9.0, 9.0])
    monkeypatch.setattr(estimate.time, "monotonic", lambda: next(now))
    assert [time is None for time in estimate.times(plan, patience=5.0).seconds] == [False, True, True]


def test_notebooks_at_the_same_time_have_a_part_of_the_threads_each_and_the_last_to_end_counts(unit, monkeypatch):
    monkeypatch.setattr(estimate.os, "cpu_count", lambda: 4)
    asked = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    found = estimate.times(arguments.make_plan(["--only", "01", "06", "10", "--device", "cpu"]))
    first, shapes, last = found.seconds
    assert found.whole == max(first + last, shapes) < sum(found.seconds) and asked == [2]
    assert estimate.times(arguments.make_plan(["--only", "10", "--device", "cpu"])).whole == last and asked == [2]


def dry_run(monkeypatch, *argv):
    monkeypatch.setattr(sys, "argv", ["run_all.sh", "--dry-run", *argv])
    return arguments.main()


def test_a_dry_run_times_the_machine_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(estimate, "times", lambda plan: Times((100.0,), "timed here"))
    assert dry_run(monkeypatch, "--only", "01", "--device", "cpu") == 0
    out, err = capsys.readouterr()
    assert err == "reading the data and timing this machine, about 20 s\n"
    assert "  01_glo_embedding: about 2 min\n" in out and "in all about 2 min (timed here); " in out


@pytest.mark.parametrize("error", [RuntimeError("no\nkernel"), ImportError("half installed"), FloatingPointError()])
def test_a_timing_that_fails_refuses_nothing(monkeypatch, capsys, error):
    def fail(plan):
        raise error

    monkeypatch.setattr(estimate, "times", fail)
    assert dry_run(monkeypatch, "--only", "01") == 0
    said = f"how long it takes is not known: timing this machine failed, {type(error).__name__}: "
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("how long"))
    assert line.startswith(said)


def test_an_interrupted_timing_is_one_line(monkeypatch, capsys):
    def interrupt(plan):
        raise KeyboardInterrupt

    monkeypatch.setattr(estimate, "times", interrupt)
    assert dry_run(monkeypatch, "--only", "01") == 130
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[1:] == ["run_all.sh: interrupted"]


def test_before_the_installation_the_time_is_not_known_yet(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert dry_run(monkeypatch, "--only", "01") == 0
    out, err = capsys.readouterr()
    assert "  01_glo_embedding\n" in out and "    dataset = 'digits'\n" in out and err == ""
    assert "not known before the installation, nor are settings and images checked: do this again then\n" in out


@pytest.mark.parametrize("argv", [["--nonsense"], ["--dataset", "nothing"], ["--set", "nobody=1"]])
def test_a_wrong_argument_is_refused_before_anything_is_timed(monkeypatch, capsys, argv):
    monkeypatch.setattr(estimate, "times", lambda plan: pytest.fail("timed"))
    assert dry_run(monkeypatch, *argv) == 2
    assert "timing" not in capsys.readouterr().err


def test_other_questions_are_not_timed(monkeypatch, capsys):
    monkeypatch.setattr(estimate, "times", lambda plan: pytest.fail("timed"))
    for argv in (["--help"], ["--list"]):
        monkeypatch.setattr(sys, "argv", ["run_all.sh", *argv])
        assert arguments.main() == 0
    assert capsys.readouterr().err == ""
