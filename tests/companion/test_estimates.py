"""The estimate of a run's time: whole runs that were timed, what makes it longer, and facts held twice."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glann_lib.companion import catalogue, costs, estimates
from glann_lib.companion.costs import Speed
from glann_lib.companion.estimates import estimate
from glann_lib.config import FOLDER
from glann_lib.data import sizes as data_sizes
from glann_lib.rivals import contenders as rivals
from glann_lib.scores.classifier import ClassifierConfig
from glann_lib.translation import domains

ROOT = Path(__file__).resolve().parents[2]
# Seconds of whole notebooks on the reference machine, under the quick profile.
DIGITS = {"00": 31, "01": 87, "02": 32, "03": 17, "04": 32, "05": 146}
MNIST = {"00": 16, "01": 233, "02": 74, "03": 22, "04": 23}
FACES = {"00": 68, "01": 677, "02": 30, "03": 73, "04": 139}  # a folder of 10,000
OTHERS = [("06", "made-chairs", 100), ("06", "chairs", 1000), ("07", "embedded", 120), ("07", "mnist-street", 430)]
MEASURED = [(number, "digits", time) for number, time in DIGITS.items()]
MEASURED += [(number, "mnist", time) for number, time in MNIST.items()] + OTHERS


@pytest.fixture
def photos(tmp_path):
    """A folder of 40 files that only look like images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.png").touch()
    return folder


@pytest.mark.parametrize(("number", "dataset", "seconds"), MEASURED)
def test_whole_notebooks_are_met_within_a_third(number, dataset, seconds):
    assert estimate(number, dataset, {}) == pytest.approx(seconds, rel=0.35)


@pytest.mark.parametrize("number", FACES)
def test_faces_of_a_folder_are_met_within_a_third(number, monkeypatch):
    monkeypatch.setattr(data_sizes, "count_files", lambda path, suffixes: 10_000)
    assert estimate(number, "folder:faces", {"image_size": 64}) == pytest.approx(FACES[number], rel=0.35)


def test_the_cache_is_known_before_it_is_filled():
    assert estimates.cache_mib("mnist", {}) == pytest.approx(5000 * costs.FEATURES[28] / 1024)
    assert estimates.cache_mib("mnist", {"profile": "paper"}) == estimates.cache_mib("mnist", {"glo_loss": "l1"}) == 0
    assert estimates.cache_mib("made-chairs", {}) == estimates.cache_mib("folder:nowhere", {}) == 0


def test_a_speed_stretches_a_notebook():
    same, fast = (estimate("01", "digits", {}, Speed(networks, 1, "")) for networks in (1, 0.01))
    assert same == estimate("01", "digits", {}) and estimates.KERNEL < fast < same / 3


@pytest.mark.parametrize(
    ("number", "dataset", "more"),
    [
        ("00", "digits", {"tiny_epochs": 4000}),
        ("01", "digits", {"glo_epochs": 64}),
        ("01", "mnist", {"train_images": 6000}),
        ("01", "digits", {"image_size": 64}),
        ("02", "digits", {"imle_epochs": 1200}),
        ("03", "digits", {"samples": 1500}),
        ("04", "digits", {"inverted": 12}),
        ("04", "digits", {"inversion_steps": 300}),
        ("05", "digits", {"rival_steps": 90}),
        ("05", "digits", {"seeds": 2}),
        ("05", "digits", {"rival_seeds": 2}),
        ("05", "digits", {"other_losses": "vgg19"}),
        ("06", "made-chairs", {"seeds": 2}),
        ("06", "made-chairs", {"poses": 2}),
        ("06", "made-chairs", {"size": 64}),
        ("07", "embedded", {"seeds": 2}),
        ("07", "embedded", {"nam_epochs": 30}),
        ("07", "embedded", {"searches": "memory,sphere,noise"}),
        ("07", "embedded", {"nam_loss": "random-vgg16", "searches": "sphere"}),
        *((number, "digits", {"profile": "paper"}) for number in ("01", "05")),
        ("06", "made-chairs", {"profile": "paper"}),
        ("07", "embedded", {"profile": "paper"}),
    ],
)
def test_what_is_more_takes_longer(number, dataset, more):
    assert estimate(number, dataset, more) > estimate(number, dataset, {})


@pytest.mark.parametrize("less", [{"rival_names": "vae"}, {"rival_steps": 5}, {"test_images": 10}])
def test_fewer_rivals_take_less(less):
    assert estimate("05", "digits", less) < estimate("05", "digits", {})


@pytest.mark.parametrize(
    ("number", "dataset", "parameters"),
    [
        ("11", "digits", {}),
        ("01", "folder:nowhere", {}),
        ("06", "meshes:nowhere.zip", {}),
        ("07", "cars:nowhere", {}),
        ("07", "digits-to-folder:nowhere", {}),
        ("01", "digits", {"glo_epochs": 1e-3}),
        ("01", "digits", {"glo_epochs": "many"}),
        ("05", "digits", {"rival_names": "vae,nobody"}),
        ("05", "digits", {"seeds": [1, 2]}),
        ("01", "digits", {"profile": "slow"}),
    ],
)
def test_what_cannot_be_known_is_none(number, dataset, parameters):
    assert estimate(number, dataset, parameters) is None


def test_a_folder_and_a_zip_of_it_take_as_long(photos, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", photos)
    small = {"glo_batch_size": 6, "imle_batch_size": 6}
    times = {estimate("01", f"{FOLDER}{path}", small) for path in (photos, archive)}
    assert len(times) == 1 and times.pop() > estimates.KERNEL + estimates.FIXED["01"]


def test_cars_and_pairs_with_a_folder_are_counted(photos, tmp_path):
    assert estimate("07", f"cars:{photos}", {}) > estimates.KERNEL
    assert estimate("07", f"folder:{photos}-to-digits", {}) > estimate("07", f"cars:{photos}", {})
    archive = shutil.make_archive(str(tmp_path / "voxels"), "zip", photos)
    voxels = Path(archive).rename(tmp_path / "voxels.npz")
    assert estimate("06", f"meshes:{voxels}", {}) is None


def test_facts_of_other_modules_are_the_same_here():
    assert estimates.PAIRS == domains.PAIRS and estimates.SHORT_STEPS == rivals.SHORT_STEPS
    assert ClassifierConfig().steps == estimates.CLASSIFIER_STEPS


def test_every_notebook_has_a_model_and_the_defaults_are_its_own():
    books = catalogue.find_notebooks(ROOT / "notebooks")
    assert [book.number for book in books] == list(estimates.NOTEBOOKS) == list(estimates.FIXED)
    declared = {}
    for book in books:
        for parameter in book.parameters:
            value = ast.literal_eval(parameter.default)
            if value is not None:
                declared[parameter.name] = value
    assert {name: declared[name] for name in estimates.DEFAULTS} == estimates.DEFAULTS


def test_it_needs_the_standard_library_only():
    python = getattr(sys, "_base_executable", sys.executable)
    code = "from glann_lib.companion.estimates import estimate; print(estimate('05', 'mnist', {}) > 60)"
    command = [python, "-S", "-P", "-c", code]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
