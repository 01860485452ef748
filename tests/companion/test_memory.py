"""What stage 1 takes of memory: counted as it is taken, whatever the generator, and refused where it is not there."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from made_files import empty_place, write_files
from PIL import Image

from benchmarks.speed import resolutions
from glann_lib.companion import arguments, memory, preflight
from glann_lib.companion.memory import GIB, step_bytes
from glann_lib.config import GLOConfig
from glann_lib.engine.targets import TargetCache
from glann_lib.losses import loss_of

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
SMALL = GLOConfig(generator="resnet", resnet_channels=4, latent_dim=16, normalisation="none", batch_size=4)
SMALL = dataclasses.replace(SMALL, loss="random-vgg16-quarter", cache_mib=0, precision="float32")


def counted(size=64, dtype=torch.float32, images=None, **changes):
    return step_bytes((3, size, size), dataclasses.replace(SMALL, **changes), dtype, images=images)


# Trains with settings that take more and more memory; the most that the process ever held grows as they say.
TAKEN = """
import json, pathlib, sys
import torch
from glann_lib.config import GLOConfig
from glann_lib.glo import GLO

def train(size, settings):
    images = torch.randint(0, 256, (settings["batch_size"], 3, size, size), dtype=torch.uint8)
    stage = GLO(images, GLOConfig(**settings), torch.device("cpu"))
    stage.run_epoch(1), stage.run_epoch(3)

def most():  # getrusage would begin with what the process held that started this one
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024

pairs = json.loads(sys.argv[1])
train(64, pairs[0][1] | {"batch_size": 2, "resnet_channels": 1})  # loads what is loaded once
start, found = most(), []
for size, settings in pairs:
    train(size, settings)
    found.append(most() - start)
print(json.dumps(found))
"""
CHANGES = ((64, {"batch_size": 8, "resnet_channels": 16, "normalisation": "batch"}),)
CHANGES += tuple((128, {"batch_size": 4, "resnet_channels": 8, "checkpointing": again}) for again in (True, False))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator, and /proc")
def test_training_takes_as_much_as_was_counted():
    pairs = [(size, dataclasses.asdict(dataclasses.replace(SMALL, **changes))) for size, changes in CHANGES]
    # What is freed goes back to the system at once: the process holds what its tensors hold.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", TAKEN, json.dumps(pairs)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    expected = [counted(size, **changes) for size, changes in CHANGES]
    assert expected == sorted(expected)
    ratios = [taken / said for taken, said in zip(json.loads(done.stdout), expected, strict=True)]
    assert all(0.8 < ratio < 1.25 for ratio in ratios), ratios


def test_a_batch_grows_evenly_and_checkpoints_and_bfloat16_make_it_smaller():
    four, eight, twelve = (counted(batch_size=size) for size in (4, 8, 12))
    assert abs((twelve - eight) / (eight - four) - 1) < 0.02
    assert counted(batch_size=12, resnet_channels=16, checkpointing=True) < 0.9 * counted(
        batch_size=12, resnet_channels=16
    )
    assert counted(batch_size=12, dtype=torch.bfloat16) < 0.8 * twelve


def test_images_and_what_is_kept_of_them_are_counted():
    """An image more is its bytes, and its latent with gradient and Adam's two moments."""
    one = 3 * 64**2 + 4 * 4 * SMALL.latent_dim
    few, many = counted(images=100), counted(images=300)
    assert 0 <= many - few - 200 * one < 8 * 300 * SMALL.latent_dim  # and what Adam divides by
    images = torch.zeros(300, 3, 64, 64, dtype=torch.uint8)
    cache = TargetCache.size(loss_of(SMALL, 64).targets_of, images, CPU)
    assert counted(images=300, cache_mib=cache // 2**20 + 1) - many == cache
    assert counted(images=300, cache_mib=cache // 2**20) == many  # it does not fit, and is not made
    assert counted(images=3, batch_size=9) == counted(images=3, batch_size=3)


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        ((1, 28, 28), {"generator": "infogan", "loss": "laplacian"}),
        ((3, 32, 32), {"generator": "infogan", "normalisation": "batch", "loss": "l2"}),
        ((3, 64, 64), {"normalisation": "batch", "loss": "vgg16"}),
        ((32, 32, 32), {"loss": "l1", "voxel_channels": 16}),
    ],
)
def test_every_generator_and_loss_is_counted(shape, changes):
    """No weights file is read: there is none where these are looked for."""
    config = dataclasses.replace(SMALL, feature_channels=8, **changes)
    found = {n: step_bytes(shape, dataclasses.replace(config, batch_size=n), torch.bfloat16) for n in (8, 16)}
    pixels = torch.Size(shape).numel()
    assert found[16] - found[8] > 8 * 3 * 4 * pixels  # images, their targets and their gradient at the least


@pytest.mark.parametrize(("size", "least", "limit"), [(256, 2, 16), (1024, 16, 80)])
def test_the_papers_batches_fit_into_usual_gpus(size, least, limit):
    assert least < resolutions.gibibytes(size, 16, False) < limit


def test_a_row_says_what_fits(monkeypatch):
    """A step of 1 GiB and a quarter of a GiB an image, half of that with checkpointing."""
    monkeypatch.setattr(resolutions, "gibibytes", lambda size, n, checkpointing: 1 + n / (8 if checkpointing else 4))
    (row,) = resolutions.counted([256])
    assert row["px"] == 256 and row["G's parameters, millions"] == 18.8
    assert (row["GiB at batch 16"], row["images in 16 GiB"], row["images in 80 GiB"]) == (5, 60, 316)
    again = " with checkpointing"
    assert (row[f"GiB at batch 16{again}"], row[f"images in 16 GiB{again}"]) == (3, 120)


def test_a_step_is_timed():
    (row,) = resolutions.timed([64], CPU, batch_size=2)
    assert row["px"] == 64 and row["s an image"] > 0 and row["number format"] in ("float32", "bfloat16")


@pytest.fixture
def free(monkeypatch):
    """A machine with so many free bytes."""

    def play(value):
        monkeypatch.setattr(memory.memory, "free_bytes", lambda device: value)

    return play


def test_what_does_not_fit_is_refused_in_a_line_that_says_what_to_set(free):
    free(2**20)
    with pytest.raises(ValueError) as error:
        memory.check((3, 128, 128), SMALL, 20, CPU)
    needed = (counted(128, images=20) + memory.BESIDE) / GIB
    assert str(error.value) == (
        f"128 px: a step of stage 1 takes {needed:.1f} GiB, and 0.0 GiB are free on cpu: set glo_batch_size=2, "
        "glo_checkpointing=True, glo_resnet_channels=2, or a smaller image_size"
    )
    least = dataclasses.replace(SMALL, batch_size=2, checkpointing=True, resnet_channels=1)
    with pytest.raises(ValueError, match=r"are free on cpu: set a smaller image_size$"):
        memory.check((3, 128, 128), least, 20, CPU)


def test_what_just_fits_is_not_refused(free, monkeypatch):
    needed = counted(128, images=20) + memory.BESIDE
    free(needed)
    memory.check((3, 128, 128), SMALL, 20, CPU)
    monkeypatch.setattr(memory, "step_bytes", lambda *_: needed - memory.BESIDE + 1)
    with pytest.raises(ValueError, match="128 px"):
        memory.check((3, 128, 128), SMALL, 20, CPU)
    free(None)  # the system does not say
    memory.check((3, 128, 128), SMALL, 20, CPU)


def test_processes_share_batch_and_images_but_not_a_processors_memory(free, monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "step_bytes", lambda *given: asked.append((given[1].batch_size, given[4])) or GIB)
    free(3 * GIB)
    memory.check((3, 128, 128), dataclasses.replace(SMALL, batch_size=16), 100, torch.device("cuda"), 4)
    assert asked == [(4, 25)]
    with pytest.raises(ValueError, match=r"takes 7\.0 GiB, and 3\.0 GiB"):
        memory.check((3, 128, 128), dataclasses.replace(SMALL, batch_size=16), 100, CPU, 4)


def test_a_plan_is_refused_for_large_images_only(tmp_path, monkeypatch, free):
    monkeypatch.setenv("GLANN_RESULTS", str(tmp_path / "results"))
    empty_place(tmp_path, monkeypatch)
    folder = write_files(tmp_path / "photos", {})
    folder.mkdir(exist_ok=True)
    for number in range(5):
        Image.new("RGB", (128, 128), (number, 9, 9)).save(folder / f"{number}.png")
    options = ["--dataset", f"folder:{folder}", "--device", "cpu", "--set", "glo_loss=random-vgg16-quarter"]
    large = arguments.make_plan([*options, "--set", "image_size=128"])
    free(2**20)
    with pytest.raises(ValueError, match=r"^128 px: a step of stage 1 takes .* 0\.0 GiB are free on cpu: set glo_"):
        preflight.check(large)
    assert len(preflight.check(arguments.make_plan(options))) == 1  # of 64 px
    free(2**50)
    assert len(preflight.check(large)) == 1
    free(2**20)  # what is trained already is only looked at
    (run,) = large.folders().values()
    write_files(run, {"work/glo.safetensors": b"weights"})
    assert len(preflight.check(large)) == 1
