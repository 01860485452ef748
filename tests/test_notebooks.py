"""The notebooks on a user's own data, end to end, in short stages: colour images without labels, meshes, cars.

On the digits, made chairs and made domains, as they are, pytest's nbval plugin runs them (./run_all.sh --test).
"""

import dataclasses
import json
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from glann_lib import Glann, glo
from glann_lib.companion import pipeline
from glann_lib.scores import frechet_distance
from glann_lib.translation.made_cars import make_cars

ON_TOP = {"report.html", "model.safetensors", "figures", "tables", "notebooks", "meshes", "training", "work"}


def run(dataset, results, settings):
    """All notebooks that suit the data set, as run_all.sh runs them; the run's folder, with nothing else on top."""
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    assert pipeline.main(["--dataset", dataset, "--results", str(results), *options]) == 0
    (folder,) = results.iterdir()
    assert {path.name for path in folder.iterdir()} <= ON_TOP
    return folder


def names_no_place(copy, place):
    """Whether an executed notebook holds only relative paths to `place`."""
    return str(place) not in copy.read_text().replace(os.path.relpath(place, pipeline.ROOT), "")


IMAGES = {
    "image_size": 32,
    "tiny_epochs": 2,
    "glo_epochs": 4,
    "glo_batch_size": 16,
    "glo_loss": "laplacian",
    "imle_epochs": 3,
    "imle_batch_size": 16,
    "samples": 40,
    "inverted": 2,
    "inversion_steps": 4,
    "rival_names": "wgan,vae-perceptual",
    "rival_steps": 2,
    "trial_steps": 6,
    "trial_seeds": 1,
    "trial_rivals": "wgan",
    "refine_epochs": 1,
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


def test_the_story_is_told_on_colour_images_without_labels(discs, tmp_path, capsys, monkeypatch):
    folder = run(f"folder:{discs}", tmp_path, IMAGES)
    assert len(list((folder / "notebooks").glob("*.ipynb"))) == 8  # 00 to 05, 09, and the playground on their model
    assert not (folder / "tables/01_label_agreement.csv").exists()  # there are no labels to agree
    table = (folder / "tables/05_quality.csv").read_text()
    assert "imagenet" in table and "classifier" not in table  # for the same reason
    assert all(f"\n{name}," in table or f'\n"{name}"' in table for name in ("WGAN", "GLANN", "VAE, perceptual"))
    record = json.loads((folder / "figures/03_glann_samples.json").read_text())
    assert record["data"]["count"] == 90 and record["data"]["channels"] == 3
    assert record["config"]["glo"]["epochs"] == 4 and record["precision"] in ("float32", "bfloat16")
    said = capsys.readouterr().out
    assert "left out: 06_chairs_3d works on shapes" in said and "left out: 07_nam_translation works on" in said

    # What one seed left is not taken for another's.
    cells = json.loads((pipeline.ROOT / "notebooks/02_imle_mapping.ipynb").read_text())["cells"]
    imports, parameters, start = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"][:3]
    given = f"dataset, image_size, seed, results_dir = 'folder:{discs}', 32, 1, '{tmp_path}'"
    with pytest.raises(ValueError, match="made with other seed: run notebook 01_glo_embedding"):
        exec("\n".join([imports, parameters, given, start]), {})

    # Whether there is a third stage depends on the loss that notebook 01 took.
    given, seen = given.replace("32, 1,", "32, 0,"), {}
    left = glo.load_embedding(folder / "work/glo.safetensors", "cpu")
    for loss in ("laplacian", "vgg19"):
        by_loss = dataclasses.replace(left, config=dataclasses.replace(left.config, loss=loss))
        monkeypatch.setattr(glo, "load_embedding", lambda *_, found=by_loss: found)
        exec("\n".join([imports, parameters, given, start]), namespace := {})
        seen[loss] = namespace["config"].refine.epochs
    assert seen == {"laplacian": 0, "vgg19": 4}


def test_every_claim_is_measured_on_labelled_grey_images(tmp_path):
    """On the digits, whose own run trains nothing in notebook 09; all that trains there takes a few steps."""
    short = {name: IMAGES[name] for name in ("glo_epochs", "imle_epochs", "trial_seeds", "check_quality")}
    short |= {"train_images": 200, "samples": 60, "trial_steps": 6, "trial_rivals": "ns-gan", "refine_epochs": 1}
    short |= {"stacked_steps": 12}
    options = [word for name, value in short.items() for word in ("--set", f"{name}={value}")]
    done = pipeline.main(["--dataset", "digits", "--only", "01", "02", "09", "--results", str(tmp_path), *options])
    assert done == 0
    folder = tmp_path / "digits-quick"
    claims = (folder / "tables/09_claims.csv").read_text()
    assert len(claims.splitlines()) == 13 and "not measured" not in claims
    assert "hit, 12 generator steps." in (folder / "tables/09_stacked.json").read_text()
    choices = (folder / "tables/09_hidden_choices.csv").read_text()
    assert "(this run's)" in choices and "no BatchNorm in G" in choices
    losses = (folder / "tables/09_losses.csv").read_text()
    assert "VGG16 of these images" in losses and "VGG19" in losses  # measured, or why not


SCORED = {"GLANN, G(T(e))": 2.0, "GLO, Gaussian": 1.0}  # by random weights: the Gaussian is nearer
NEARER = SCORED | {"GLANN, G(T(e))": 0.5}


@pytest.mark.parametrize(
    ("scores", "known", "far", "copied", "refused"),
    [
        (NEARER, False, None, False, None),
        (NEARER, True, "GLANN, G(T(e))", False, None),  # whose photographs are not looked at
        (SCORED, False, None, False, "the mapping must beat the Gaussian: try more glo_epochs, imle_moments=matched"),
        (SCORED, True, "GLANN, G(T(e))", False, "the mapping must beat the Gaussian"),
        (SCORED, True, "GLO, Gaussian", False, None),
        (NEARER, False, None, True, "no sample may be a training image"),
    ],
)
def test_notebook_03_refuses_a_model_that_neither_eyes_find_better_than_the_gaussian(
    scores, known, far, copied, refused, capsys
):
    cells = json.loads((pipeline.ROOT / "notebooks/03_sampling.ipynb").read_text())["cells"]
    check = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"][-1]
    # Sets of images stand for their own features here; those of `far` lie apart from the real ones.
    drawn = torch.randn(3, 50, 4, generator=torch.Generator().manual_seed(0))
    sets = {name: images + 9 * (name == far) for name, images in zip(SCORED, drawn[:2], strict=True)}
    config = SimpleNamespace(remark=lambda count: "", imle=SimpleNamespace(moments="learned"))
    asked = []
    names = {
        "check_quality": True,
        "doubt": "",
        "model": SimpleNamespace(config=config, device="cpu"),
        "train": range(500),
        "test": SimpleNamespace(images=drawn[2]),
        "scores": scores,
        "sets": sets,
        "rows": [{}, {"5% quantile": 0.0 if copied else 1.2}],
        "available_extractors": lambda train: ("random-vgg16", "imagenet") if known else ("random-vgg16",),
        "make_score_extractor": lambda name, *_: asked.append(name) or SimpleNamespace(features_on_device=lambda x: x),
        "frechet_distance": frechet_distance,
    }
    if refused:
        with pytest.raises(AssertionError, match=refused):
            exec(check, names)
    else:
        exec(check, names)
    asks = scores is SCORED and known
    assert asked == ["imagenet"] * asks and ("by ImageNet's features: GLANN" in capsys.readouterr().out) == asks


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A folder of 40 tables, a slab on a block, as .off files; one file is damaged."""
    folder = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(0)
    for number in range(40):
        slab, block = random.uniform((1, 1, 0.1), (2, 2, 0.4)), random.uniform((0.3, 0.3, 1), (0.6, 0.6, 2))
        top = trimesh.creation.box(slab).apply_translation((0, 0, block[2] / 2))
        (top + trimesh.creation.box(block)).export(folder / f"{number:02}.off")
    (folder / "damaged.off").write_text("OFF 8 12 0\n1 2 3\n")
    return folder


def test_the_story_is_told_on_a_users_own_meshes(tables, tmp_path):
    settings = {"glo_epochs": 2, "glo_batch_size": 8, "glo_voxel_channels": 16, "imle_epochs": 3, "imle_batch_size": 8}
    folder = run(f"meshes:{tables}", tmp_path, settings | {"rival_steps": 2, "check_quality": False})
    assert [path.name for path in (folder / "notebooks").iterdir()] == ["06_chairs_3d.ipynb"]
    record = json.loads((folder / "figures/06_glann_samples.json").read_text())
    assert record["data"]["count"] + record["test_data"]["count"] == 40 and "damaged.off" in record["data"]["source"]
    table = (folder / "tables/06_scores.csv").read_text()
    assert all(f"\n{name}," in table or f'\n"{name}"' in table for name in ("GLANN", "GLO, IoU", "VAE, Bernoulli"))
    assert Glann.load(folder / "model.safetensors").sample(2).shape == (2, 32, 32, 32)
    assert names_no_place(folder / "notebooks/06_chairs_3d.ipynb", tables)


TRANSLATION = {
    "image_size": 28,
    "source_images": 32,
    "target_images": 32,
    "test_images": 8,
    "glo_epochs": 1,
    "glo_batch_size": 8,
    "imle_epochs": 1,
    "imle_batch_size": 8,
    "nam_epochs": 1,
    "nam_batch_size": 8,
    "nam_width": 2,
    "nam_restarts": 1,
    "nam_test_steps": 1,
    "check_quality": False,
}


def test_a_users_own_cars_are_translated_and_scored_by_their_azimuth(tmp_path):
    rows = ["file,azimuth"]
    for family in ("hatchbacks", "vans"):
        (tmp_path / "cars" / family).mkdir(parents=True)
        for number, (image, azimuth) in enumerate(zip(*make_cars(family, 0, 40, 32), strict=True)):
            Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / f"cars/{family}/{number:02}.png")
            rows.append(f"{family}/{number:02}.png,{azimuth}")
    (tmp_path / "cars/azimuths.csv").write_text("\n".join(rows))
    folder = run(f"cars:{tmp_path / 'cars'}", tmp_path / "results", TRANSLATION | {"searches": "memory,noise"})
    table = (folder / "tables/07_translation.csv").read_text()
    assert "azimuth error, median, degrees" in table and "\nreal images," in table and '\n"NAM, latents T(e)"' in table
    assert names_no_place(folder / "notebooks/07_nam_translation.ipynb", tmp_path)


def test_images_without_labels_are_translated_and_the_page_says_why_there_are_no_scores(discs, tmp_path):
    folder = run(f"folder:{discs}-to-digits", tmp_path, TRANSLATION | {"searches": "memory"})
    copy = (folder / "notebooks/07_nam_translation.ipynb").read_text()
    assert "no scores: folder:" in copy and "has no class labels" in copy
    assert len(list((folder / "figures").glob("07_*_translations.png"))) == 1


def test_three_images_and_one_epoch_go_to_the_end_and_the_pages_say_what_they_give(discs, tmp_path):
    (tmp_path / "few").mkdir()
    for picture in sorted(discs.iterdir())[:3]:
        (tmp_path / "few" / picture.name).write_bytes(picture.read_bytes())
    short = {"glo_epochs": 1, "rival_names": "wgan", "rival_steps": 1, "inverted": 6}
    settings = {name: value for name, value in (IMAGES | short).items() if "batch" not in name}
    folder = run(f"folder:{tmp_path / 'few'}", tmp_path / "results", settings | {"check_quality": True})
    pages = {path.name[:2]: path.read_text() for path in (folder / "notebooks").glob("*.ipynb")}
    assert len(pages) == 8
    assert not [path for path in (folder / "tables").glob("*.md") if re.search(r"\bnan\b", path.read_text(), re.I)]
    assert "2 training images are too few to learn what they share" in pages["01"]
    assert "1 steps of glo are too few for good reconstructions (glo_epochs=300 makes 300)" in pages["01"]
    assert all("one image has no spread: nothing can be measured" in pages[number] for number in ("03", "05"))
    assert "left out: a path needs two test images, here is one" in pages["04"]
    assert "not measured: this page wants 20 images to train on, and 10 held out" in pages["09"]
    assert "Fréchet" not in (folder / "tables/05_quality.csv").read_text()  # no column of it
    record = json.loads((folder / "figures/03_glann_samples.json").read_text())
    assert record["config"]["glo"]["batch_size"] == record["config"]["imle"]["batch_size"] == 2


def test_large_images_of_ones_own_have_notebooks_strips_and_a_word_on_copies(discs, tmp_path, capsys):
    (tmp_path / "few").mkdir()
    for picture in sorted(discs.iterdir())[:20]:
        (tmp_path / "few" / picture.name).write_bytes(picture.read_bytes())
    short = {"image_size": 128, "enlarge": True, "glo_epochs": 2, "glo_batch_size": 8, "samples": 8}
    short |= {"compared_images": 8, "compared_epochs": 1, "grid_epochs": 1}
    unused = ("tiny_epochs", "rival_names", "rival_steps", "trial_steps", "trial_seeds", "trial_rivals")
    settings = {name: value for name, value in IMAGES.items() if name not in unused} | short
    folder = run(f"folder:{tmp_path / 'few'}", tmp_path / "results", settings)
    assert {path.name[:2] for path in (folder / "notebooks").glob("*.ipynb")} == {"01", "02", "03", "04", "08", "10"}
    assert [path.name for path in sorted((folder / "training").iterdir())] == ["epoch_0001.png", "epoch_0002.png"]
    page = (folder / "notebooks/08_high_resolution.ipynb").read_text()
    assert "to the nearest training image: a copy " in page and "the loss sees images of 128 px and" in page
    for name in ("frechet", "nearest_training", "levels", "grid", "memory", "time"):
        assert (folder / f"tables/08_{name}.csv").is_file()
    record = json.loads((folder / "figures/08_samples.json").read_text())
    assert record["data"]["count"] == 18 and record["config"]["glo"]["loss"] == "laplacian"  # those of notebook 01
    assert "left out: notebooks 00, 05 and 09 work on images of at most 64 px" in capsys.readouterr().out
