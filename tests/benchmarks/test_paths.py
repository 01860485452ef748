"""Both sides of each hot path agree."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import material
from benchmarks.material import QUICK
from benchmarks.speed import paths, scores, textbook
from glann_lib import features, glo, losses
from glann_lib.config import GLOConfig

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small():
    return scores.features(count=300, width=24)


def test_features_are_seeded_and_fall_off_as_those_of_networks(small):
    again = scores.features(count=300, width=24)
    assert all(np.array_equal(a, b) and a.dtype == np.float32 for a, b in zip(small, again, strict=True))
    spectrum = np.linalg.eigvalsh(np.cov(small[1].T))
    assert spectrum[-1] > 20 * np.median(spectrum)


def test_both_sides_of_each_score_agree(small):
    frechet = scores.compare_frechet(*small, repeats=1)
    assert frechet.results["here"] == pytest.approx(frechet.results["textbook"], rel=1e-6)
    prd = scores.compare_prd(*small, repeats=2)
    assert np.abs(np.mean(prd.results["here"], 0) - np.mean(prd.results["textbook"], 0)).max() < 0.05


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 3)])
def test_the_plain_loss_is_ours(size, channels):
    network = textbook.PlainVGG(features.make_extractor("random-vgg16", size), size)
    assert all(parameter.requires_grad for parameter in network.parameters())
    first, second = (material.pictures(4, channels, size) / 255).split(2)
    expected = losses.make_loss("random-vgg16", size)(first, second)
    torch.testing.assert_close(textbook.perceptual_loss(network, first, second), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("latents", "words"), [(None, "batch 8"), (600, "batch 8, 600 latents")])
def test_a_row_names_the_latents_where_they_are_many(latents, words, monkeypatch):
    epochs = []
    monkeypatch.setattr(paths.textbook.PlainGLO, "epoch", lambda self, batch: epochs.append(len(self.images)))
    monkeypatch.setattr(glo.GLO, "run_epoch", lambda self, epoch: glo.GLOEpoch(epoch, 1.0, 0.01, 1.0))
    sizes = dataclasses.replace(QUICK, glo_latents=latents)
    (found,) = paths.compare_glo(sizes, CPU, 1, 28, 1)
    assert found.what == f"GLO step 28 px, grey, {words}" and epochs == [latents or 16] * 2


def test_operations_of_a_step_stand_under_the_devices_format_whatever_the_processor_has():
    images = material.pictures(4, 1, 28)
    config = GLOConfig(loss="random-vgg16-quarter", batch_size=4, epochs=9)
    counts = [
        paths.step_operations(images, dataclasses.replace(config, precision=name)) for name in ("float32", "bfloat16")
    ]
    assert list(counts[0]) == ["float32"] and counts[1] == {"bfloat16": counts[0]["float32"]}


# Runs where what is not needed to train and sample cannot be imported.
BARE = """
import sys
names = "pandas matplotlib ipywidgets anywidget trimesh sklearn scipy faiss IPython nbformat papermill jinja2"
sys.modules.update(dict.fromkeys(names.split()))
import torch
from benchmarks.speed import paths
from benchmarks.material import QUICK
for name in ("imle", "neighbours"):
    assert paths.PATHS[name](QUICK, torch.device("cpu"), 1)[0].ratio > 0
try:
    paths.PATHS["fid"](QUICK, torch.device("cpu"), 1)
except ImportError as error:
    print(error)
"""


def test_what_needs_more_than_torch_is_imported_when_it_is_asked_for():
    command = [sys.executable, "-P", "-c", BARE]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "scipy" in done.stdout.splitlines()[-1]


def test_steps_of_stage_1_have_the_same_losses_on_both_sides():
    config = GLOConfig(loss="random-vgg16", batch_size=8, precision="float32", epochs=9)
    network, images = textbook.PlainVGG(features.make_extractor("random-vgg16", 28), 28), material.pictures(8, 1, 28)
    stage = glo.GLO(images, config, CPU)
    plain = textbook.PlainGLO(images, stage.generator, stage.latents, network)
    assert paths.first_losses(images, config, CPU, network)[0] == pytest.approx(plain.epoch(8)[0], rel=1e-5)
    stage.run_epoch(1)
    assert stage.run_epoch(3).loss == pytest.approx(plain.epoch(8)[0], rel=1e-3)  # after a step of Adam on either side


def test_stage_2_matches_and_learns_alike_on_both_sides():
    (found,) = paths.compare_imle(QUICK, CPU, 1)
    assert found.results["other_matches"] == 0
    assert found.results["here"] == pytest.approx(found.results["textbook"], rel=1e-4)


def test_every_search_finds_the_same_neighbours():
    found = paths.compare_neighbours(QUICK, CPU, 1)
    assert len(found) == len(textbook.searches(CPU)) and not any(c.results["other_indices"] for c in found)


@pytest.mark.parametrize(
    ("name", "key", "most"),
    [
        ("sampling", "grey_levels", 1),
        ("move-28", "grey_levels", 1),
        ("move-64", "grey_levels", 1),
        ("features", "relative", 1e-5),
    ],
)
def test_samples_and_features_are_equal_on_both_sides(name, key, most):
    (found,) = paths.PATHS[name](QUICK, CPU, 1)
    assert found.results[key] <= most and found.operations["float32"] > 1e6


def test_inversion_ends_at_the_same_loss_on_both_sides():
    (found,) = paths.compare_inversion(QUICK, CPU, 1)
    assert found.results["here"] == pytest.approx(found.results["textbook"], rel=0.02)  # bfloat16 on some machines


def test_epochs_that_take_a_snapshot_are_not_timed():
    numbers = paths._epochs()
    assert [next(numbers) for _ in range(5)] == [3, 5, 6, 7, 9]
