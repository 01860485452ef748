"""Where results lie, what is recorded beside them, and figures and tables that can be read back."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from PIL import Image, ImageSequence

from glann_lib import config
from glann_lib.records import runs


@pytest.fixture(autouse=True)
def default_results(monkeypatch):
    monkeypatch.delenv("GLANN_RESULTS", raising=False)


def without_digits(name):
    """Without those that tell one path from another."""
    return re.sub("-[0-9a-f]{6}(?=-quick|-paper|-to-|$)", "", name)


@pytest.mark.parametrize("dataset", (*config.DATASETS, *config.SHAPES, *config.TRANSLATIONS))
def test_a_run_is_named_by_data_set_and_profile(dataset):
    assert runs.run_name(dataset, "quick") == f"{dataset}-quick"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/celeba10k/images.zip", "folder-celeba10k-images-quick"),
        ("/home/me/My Photos (2019)/", "folder-me-my-photos-2019-quick"),
        ("photos", "folder-photos-quick"),
        ("../shared/faces.zip", "folder-shared-faces-quick"),
        ("/a", "folder-a-quick"),
    ],
)
def test_a_folders_run_is_named_by_its_path(path, name):
    assert without_digits(runs.run_name(f"folder:{path}", "quick")) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("my_chairs", "meshes-my-chairs-quick"),
        ("../shared/My Chairs.zip", "meshes-shared-my-chairs-quick"),
        ("/data/chairs/voxels.npz", "meshes-chairs-voxels-quick"),
    ],
)
def test_a_run_on_meshes_is_named_by_their_path(path, name):
    assert without_digits(runs.run_name(f"meshes:{path}", "quick")) == name


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("digits-to-street-digits", "digits-to-street-digits"),
        ("mnist-to-svhn", "mnist-to-svhn"),
        ("digits-to-folder:../shared/My Photos", "digits-to-folder-shared-my-photos"),
        ("folder:walk-to-me-to-folder:b.zip", "folder-walk-to-me-to-folder-b"),
        ("folder:/data/celeba10k/images.zip-to-svhn", "folder-celeba10k-images-to-svhn"),
        ("cars:my_cars", "cars-my-cars"),
        ("cars:../shared/cars.zip", "cars-shared-cars"),
    ],
)
def test_a_run_of_translations_is_named_by_both_domains_or_by_the_path_of_the_cars(dataset, name):
    assert without_digits(runs.run_name(dataset, "paper")) == f"{name}-paper"


@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ("mnist", "street-mnist", "mnist-to-street-mnist"),
        ("street-mnist", "mnist", "street-mnist-to-mnist"),
        ("folder:/a/b/Photos", "digits", "folder-b-photos-to-digits"),
        ("cars:my_cars/sedans", "cars:my_cars/vans", "cars-my-cars-sedans-to-cars-my-cars-vans"),
        ("cars:../x/cars.zip/a", "cars:../x/cars.zip/b", "cars-cars-zip-a-to-cars-cars-zip-b"),
    ],
)
def test_a_task_is_a_folder_named_by_its_domains(source, target, name):
    assert without_digits(runs.task_name(source, target)) == name and "/" not in name


def test_other_folders_have_other_names():
    paths = [
        "/a/in/fifty",
        "/b/in/fifty",
        "/a/in/fifty.zip",
        "/a-in/fifty",
        "/a/in-fifty",
        "/a/cats",
        "/a/dogs",
        "/b/cats",
        "/a/cats.v1",
        "/a/cats.v2",
        "/фото/море",
        "/фото/горы",
        "/写真/海",
    ]
    names = {runs.run_name(f"folder:{path}", "quick") for path in paths}
    assert len(names) == len(paths), names
    assert not any("/" in name or name.startswith(".") for name in names)


def test_a_folders_name_does_not_depend_on_the_working_folder(tmp_path, monkeypatch):
    names = set()
    for place in (runs.ROOT, runs.ROOT / "notebooks", tmp_path):
        monkeypatch.chdir(place)
        names.add(runs.run_name("folder:tests", "quick"))
    assert len(names) == 1, names


def test_a_folder_has_one_name_however_its_path_is_written(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    relative = os.path.relpath(tmp_path / "in", runs.ROOT)
    digits = {
        runs.run_name(f"folder:{path}", "quick")[-12:] for path in (tmp_path / "in", "in", "~/in", relative, "alias")
    }
    assert len(digits) == 1, digits


@pytest.mark.parametrize("letter", ["a", "ü", "猫", "\U0001d49c"])
def test_long_names_fit_into_a_files_name(tmp_path, letter):
    long = letter * (255 // len(letter.encode()))
    names = {
        runs.run_name(f"folder:{long}/{long}{to}", "paper")
        for to in ("", "/x", f"-to-folder:/{long}/{long}", "-to-svhn")
    }
    assert len(names) == 4
    for name in names:
        (tmp_path / name / "work").mkdir(parents=True)


def test_a_name_that_is_no_utf8_has_a_folder():
    assert without_digits(runs.run_name("folder:/a/caf\udce9", "quick")) == "folder-a-caf-quick"


def test_results_may_lie_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert runs.run_directory("mnist", "quick", "~/runs") == tmp_path / "me" / "runs" / "mnist-quick"


def test_results_count_from_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert runs.run_directory("mnist", "paper") == runs.ROOT / "results" / "mnist-paper"
    assert runs.run_directory("mnist", "paper", "elsewhere/runs") == runs.ROOT / "elsewhere/runs/mnist-paper"
    assert runs.run_directory("mnist", "paper", tmp_path) == tmp_path / "mnist-paper"
    assert (runs.ROOT / "glann_lib" / "config.py").is_file()


def test_the_environment_moves_the_default_only(tmp_path, monkeypatch):
    monkeypatch.setenv("GLANN_RESULTS", str(tmp_path / "moved"))
    for default in ((), ("results",)):
        assert runs.run_directory("mnist", "quick", *default) == tmp_path / "moved" / "mnist-quick"
    assert runs.run_directory("mnist", "quick", "mine") == runs.ROOT / "mine" / "mnist-quick"


def test_shown_paths_are_never_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(runs.ROOT / "tests")
    assert runs.shown(runs.ROOT / "results" / "a.csv") == "results/a.csv"
    assert runs.shown(Path("test_runs.py")) == "tests/test_runs.py"
    assert runs.shown(tmp_path / "a.csv") == "a.csv"
    assert runs.shown(runs.ROOT / ".." / "elsewhere" / "a.csv") == "a.csv"


def test_what_is_missing_names_the_notebook_to_run(tmp_path):
    path = runs.ROOT / "results" / "none-quick" / "glo.safetensors"
    with pytest.raises(FileNotFoundError, match=r"results/none-quick/glo\.safetensors.*01_glo_embedding") as error:
        runs.require(path, "01_glo_embedding")
    assert str(runs.ROOT) not in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError):
        runs.require(tmp_path, "01_glo_embedding")  # a folder is no result
    (tmp_path / "glo.safetensors").write_bytes(b"")
    assert runs.require(tmp_path / "glo.safetensors", "01_glo_embedding") == tmp_path / "glo.safetensors"


def test_provenance_says_what_made_a_result():
    record = runs.provenance("cpu", seed=3, config=config.make_config("mnist").as_dict())
    assert {"commit", "uncommitted_changes", "time", "device", "python", "versions", "seed", "config"} == record.keys()
    assert record["seed"] == 3 and record["config"]["data"]["dataset"] == "mnist"
    assert torch.__version__.startswith(record["versions"]["torch"])
    assert record["versions"]["numpy"] == np.__version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["time"])
    assert record["device"].startswith("cpu") and str(os.cpu_count()) in record["device"]
    assert record["commit"] is None or re.fullmatch("[0-9a-f]{40}", record["commit"])


def test_provenance_holds_nothing_of_this_machine_but_its_processor():
    text = json.dumps(runs.provenance(torch.device("cpu")))
    assert str(runs.ROOT) not in text and str(Path.home()) not in text and socket.gethostname() not in text
    assert not re.search(r'"/', text)


def test_a_record_is_described_in_one_line():
    made = config.make_config("mnist").as_dict()
    record = runs.provenance(
        "cpu", seed=3, config=made, data={"name": "mnist", "count": 5000, "channels": 1, "size": [28, 28]}
    )
    line = runs.describe(record | {"commit": "0123456789abcdef", "uncommitted_changes": True})
    assert "\n" not in line
    for part in ("mnist", "5,000", "1x28x28", "quick", "seed 3", "cpu", record["versions"]["torch"], "0123456+changes"):
        assert part in line, part
    assert "+changes" not in runs.describe(record | {"commit": None, "uncommitted_changes": False})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"count": 400, "models": 400, "poses": 1, "size": [32, 32, 32]}, "made-chairs: 400 shapes 32x32x32 · profile"),
        (
            {"count": 4800, "models": 400, "poses": 12, "size": [64, 64, 64]},
            "made-chairs: 4,800 shapes 64x64x64 of 400 models in 12 poses · profile",
        ),
    ],
)
def test_a_record_of_shapes_is_described_by_voxels_and_poses(data, said):
    made = config.make_config("made-chairs").as_dict()
    record = runs.provenance("cpu", seed=3, config=made, data={"name": "made-chairs", "split": "train"} | data)
    assert runs.describe(record).startswith(said)


def test_provenance_without_git(monkeypatch):
    def missing(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert runs.provenance("cpu")["commit"] is None


def drawn():
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, 1], [0, 1])
    plt.close(figure)
    return figure


@pytest.mark.parametrize("name", ["curve", "loss_at_0.5"])
def test_a_figure_is_saved_as_png_and_pdf_with_its_record(tmp_path, name):
    record = {"seed": 1, "versions": {"torch": "2"}}
    path = runs.save_figure(drawn(), tmp_path / "figures" / name, record)
    assert path == tmp_path / "figures" / f"{name}.png"
    assert sorted(os.listdir(path.parent)) == [f"{name}.json", f"{name}.pdf", f"{name}.png"]
    with Image.open(path) as image:
        assert image.width > 200
    assert (tmp_path / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads((tmp_path / "figures" / f"{name}.json").read_text()) == record


def test_the_caption_is_the_alternative_text_in_a_notebook(tmp_path):
    figure = drawn()
    runs.save_figure(figure, tmp_path / "a", {"caption": "Three points."})
    display = DisplayFormatter()
    display.formatters["image/png"].for_type(Figure, lambda _: b"png")
    content, metadata = display.format(figure, include={"image/png"})
    assert content == {"image/png": b"png"} and metadata["image/png"]["alt"] == "Three points."


def test_the_same_figure_is_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        runs.save_figure(drawn(), tmp_path / name, {})
    for suffix in (".png", ".pdf"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def moving(channels):
    """Six frames [6, C, 20, 30] of a square that moves over a ground with a gradient."""
    frames = np.full((6, channels, 20, 30), 255, np.uint8)
    frames[:, :, 15:] = np.arange(30) * 4
    for number, frame in enumerate(frames):
        frame[:, 4:10, 4 * number : 4 * number + 6] = np.arange(30, 30 + 60 * channels, 60)[:, None, None]
    return frames


def shown_frames(path):
    """What a viewer draws: uint8 [N, 3, H, W], and for how many milliseconds each."""
    with Image.open(path) as image:
        pairs = [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
        assert image.info["loop"] == 0  # without end
    return np.stack([pixels for pixels, _ in pairs]).transpose(0, 3, 1, 2), [duration for _, duration in pairs]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_animation_is_saved_as_gif_with_its_record(tmp_path, channels):
    frames = moving(channels)
    path = runs.save_animation(torch.from_numpy(frames), tmp_path / "figures" / "turn_0.5", {"seed": 1})
    assert path == tmp_path / "figures" / "turn_0.5.gif"
    assert sorted(os.listdir(path.parent)) == ["turn_0.5.gif", "turn_0.5.json"]
    assert json.loads((path.parent / "turn_0.5.json").read_text()) == {"seed": 1}
    pixels, durations = shown_frames(path)
    assert durations == [60] * 6 and (pixels == frames).all()  # few colours: none is changed
    again = runs.save_animation(frames, tmp_path / "again", {})
    assert again.read_bytes() == path.read_bytes()


def test_many_colours_become_near_ones_without_noise(tmp_path):
    y, x = np.mgrid[:40, :60]
    ground = np.stack([4 * x, 6 * y, 2 * x + 3 * y]).astype(np.uint8)  # 2,400 colours
    frames = np.stack([ground] * 3)
    frames[1, :, :8, :8] = frames[2, :, -8:, -8:] = 0
    pixels, durations = shown_frames(runs.save_animation(frames, tmp_path / "a", {}))
    assert durations == [60] * 3
    assert np.abs(pixels.astype(int) - frames).mean() < 6
    unchanged = (frames == frames[0]).all(axis=(0, 1))
    assert (pixels == pixels[0])[:, :, unchanged].all()  # one palette, no dithering: what stays does not flicker
    assert len(np.unique(pixels.transpose(0, 2, 3, 1).reshape(-1, 3), axis=0)) <= 256


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 3, 8, 8)), np.zeros((2, 8, 8), np.uint8), np.zeros((0, 1, 8, 8), "u1")]
)
def test_frames_of_another_kind_are_refused(tmp_path, frames):
    with pytest.raises(ValueError, match=r"frames are torch.* \[.*give uint8 \[N, 1, H, W\]"):
        runs.save_animation(frames, tmp_path / "a", {})
    assert list(tmp_path.iterdir()) == []


def test_a_table_comes_back_from_csv_and_markdown(tmp_path):
    values = np.random.default_rng(0).normal(size=3)
    table = pd.DataFrame({"sampler": ["GLANN", "Gaussian, full", "größer"], "distance": values, "n": [1, 2, 3]})
    path = runs.save_table(table, tmp_path / "tables" / "scores", {"seed": 1})
    assert path == tmp_path / "tables" / "scores.csv"
    assert sorted(os.listdir(path.parent)) == ["scores.csv", "scores.json", "scores.md", "scores.tex"]
    pd.testing.assert_frame_equal(pd.read_csv(path), table, rtol=1e-15)
    lines = path.with_suffix(".md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0] == list(table.columns) and len(cells) == 2 + len(table)
    assert [row[0] for row in cells[2:]] == list(table.sampler)
    assert [float(row[1]) for row in cells[2:]] == pytest.approx(values, rel=1e-4)


def test_a_table_is_saved_as_latex_with_its_quoted_cells_apart(tmp_path):
    table = pd.DataFrame({"model_key": ["a & b"], "FID (quoted)": ["8.6 ± 0.1"]})
    path = runs.save_table(table, tmp_path / "scores", {})
    latex, markdown = (path.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".tex", ".md"))
    assert r"a \& b & \textit{8.6 $\pm$ 0.1}\dag{} \\" in latex and r"model\_key" in latex
    assert "*8.6 ± 0.1*†" in markdown and "not measured here" in latex and "not measured here" in markdown
    assert pd.read_csv(path).equals(table)  # the CSV holds the cells alone
    again = runs.save_table(table, tmp_path / "again", {})
    assert again.with_suffix(".tex").read_bytes() == path.with_suffix(".tex").read_bytes()


def test_results_of_other_settings_are_refused_by_name():
    runs.require_same({"images": "a", "seed": 0}, {"images": "a", "seed": 0}, "01_glo_embedding")
    with pytest.raises(ValueError, match="other images and seed: run notebook 01_glo_embedding"):
        runs.require_same({"images": "a", "seed": 0}, {"images": "b", "seed": 1}, "01_glo_embedding")


def test_what_nobody_need_look_at_has_a_place_of_its_own(tmp_path):
    assert runs.work_directory(tmp_path / "new") == tmp_path / "new" / "work"
    assert not (tmp_path / "new").exists()  # asking makes nothing


def test_a_run_goes_on_from_what_an_earlier_version_left_beside_the_report(tmp_path):
    old = [
        "glo.safetensors",
        "glo.partial-0123abcd.safetensors",
        "scores/glann-own-seed0.json",
        "rivals/vae.safetensors",
    ]
    old += ["random-vgg16-0a1b.safetensors", "mnist-to-svhn/scores/real.json", "classifier.safetensors"]
    stays = ["model.safetensors", "report.html", "figures/01_loss.png", "my.safetensors", "imle.safetensors"]
    for name in [*old, *stays]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/imle.safetensors").write_text("new")  # is not replaced
    for _ in range(2):
        work = runs.work_directory(tmp_path)
        assert all((work / name).read_text() == "old" and not (tmp_path / name).exists() for name in old)
        assert all((tmp_path / name).read_text() == "old" for name in stays)
        assert (work / "imle.safetensors").read_text() == "new"
