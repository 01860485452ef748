"""The notebooks on a user's own images, end to end: colour, 32 px, no labels, few images, short stages.

On the digits, as they are, pytest's nbval plugin runs them (./run_all.sh --test).
"""

import json

import numpy as np
import pytest
from PIL import Image

from glann_lib import pipeline

SETTINGS = {
    "image_size": 32,
    "tiny_epochs": 5,
    "glo_epochs": 10,
    "glo_batch_size": 16,
    "glo_loss": "laplacian",
    "imle_epochs": 5,
    "imle_batch_size": 16,
    "samples": 40,
    "inverted": 2,
    "inversion_steps": 10,
    "rival_names": "wgan,vae-perceptual,imle-pixel,glo-laplacian",
    "rival_steps": 5,
    "check_quality": False,
}


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """A folder of 100 discs in random colours on random grounds."""
    folder = tmp_path_factory.mktemp("discs")
    random = np.random.default_rng(0)
    y, x = np.mgrid[:40, :40]
    for number in range(100):
        ground, colour = random.integers(0, 256, (2, 3))
        centre, radius = random.uniform(14, 26, 2), random.uniform(6, 13)
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        pixels = np.where(inside[..., None], colour, ground).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def test_the_story_is_told_on_colour_images_without_labels(discs, tmp_path, capsys):
    options = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    arguments = ["--dataset", f"folder:{discs}", "--results", str(tmp_path)]
    assert pipeline.main([*arguments, *options]) == 0, capsys.readouterr()
    (run,) = tmp_path.iterdir()
    assert len(list((run / "notebooks").glob("*.ipynb"))) == 6
    assert not (run / "tables/01_label_agreement.csv").exists()  # there are no labels to agree
    table = (run / "tables/05_quality.csv").read_text()
    assert "random-VGG16" in table and "classifier" not in table  # for the same reason
    assert all(f"\n{name}," in table or f'\n"{name}"' in table for name in ("WGAN", "GLANN", "VAE, perceptual"))
    record = json.loads((run / "figures/03_glann_samples.json").read_text())
    assert record["data"]["count"] == 90 and record["data"]["channels"] == 3
    assert record["config"]["glo"]["epochs"] == 10 and record["precision"] in ("float32", "bfloat16")

    # What one seed left is not taken for another's.
    assert pipeline.main([*arguments, "--only", "02", "--seed", "1", "--set", "image_size=32"]) == 1
    assert "made with other seed: run notebook 01_glo_embedding" in capsys.readouterr().err
