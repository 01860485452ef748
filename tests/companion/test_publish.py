"""A finished run's figures, tables, scores and notebooks are published whole, with a true page; or nothing is."""

import base64
import io
import json
import os
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from made_runs import write_figure, write_score, write_table
from PIL import Image

from glann_lib.companion import pictures, publish
from glann_lib.engine import storage

OLDER = "From an earlier run, whose command and executed notebook are not kept here."


@pytest.fixture
def run(finished):
    return finished


@pytest.fixture
def out(tmp_path):
    return tmp_path / "published"


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def places(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def line_of(capsys, *arguments):
    """The one line with which the command refuses."""
    assert publish.main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def page_of(run, out, name="fashion"):
    publish.publish(run, name, out)
    return (out / name / "README.md").read_text(encoding="utf-8")


def test_what_a_run_shows_is_copied_and_nothing_else(run, out, capsys):
    assert publish.main([str(run), "fashion", "--folder", str(out)]) == 0
    assert capsys.readouterr().out == "fashion: 14 files written, 0 stale ones removed\n"
    assert places(out / "fashion") == [
        "README.md",
        *("figures/03_a.json", "figures/03_a.webp", "figures/03_b.json", "figures/03_b.webp"),
        *("figures/05_turn.json", "figures/05_turn.webp"),
        *("notebooks/03_sampling.ipynb", "notebooks/05_fid_prd_tables.ipynb", "scores/glann-own-seed0.json"),
        *("tables/05_quality.csv", "tables/05_quality.json", "tables/05_quality.md", "tables/05_quality.tex"),
    ]
    for place in places(out / "fashion")[1:]:
        source = run / place
        if place.endswith(".webp"):  # the same picture in fewer bytes
            made_as = source.with_suffix(".gif" if "turn" in place else ".png")
            shown, made = (Image.open(path).convert("RGB") for path in (out / "fashion" / place, made_as))
            assert shown.tobytes() == made.tobytes()
        elif place.startswith("scores/"):  # the same record in one line
            shown, made = ((path / place).read_text() for path in (out / "fashion", run / "work"))
            assert json.loads(shown) == json.loads(made) and "\n" not in shown
        else:
            assert (out / "fashion" / place).read_bytes() == source.read_bytes()


def test_scores_of_translations_and_meshes_are_copied(tmp_path, execute, out):
    run = tmp_path / "embedded-quick"
    execute(run, "06_chairs_3d")
    execute(run, "07_nam_translation")
    write_figure(run, "07_domains")
    write_score(run / "work/a-to-b", "nam", "07_nam_translation")
    storage.write_text(run / "meshes" / "06_sample_0.stl", "solid")
    page = page_of(run, out)
    assert (out / "fashion/a-to-b/scores/nam.json").is_file() and (out / "fashion/meshes/06_sample_0.stl").is_file()
    assert "Meshes: [06_sample_0.stl](meshes/06_sample_0.stl)" in page
    assert "Every score with its origin: [a-to-b/scores](a-to-b/scores)" in page


def test_what_is_stale_goes_and_what_is_not_the_runs_own_stays(run, out, capsys):
    target = out / "fashion"
    write_figure(target, "03_stale")
    write_figure(target, "01_loss")
    write_table(target, "05_stale")
    write_score(target, "stale")
    write_score(target / "a-to-b", "other", "07_nam_translation")
    write_score(target / "b-to-a", "stale")
    (target / "b-to-a" / "scores" / "stale.safetensors").unlink()
    for name in ("model.md", "model.json", "model.safetensors", "optimisers.md"):
        storage.write_text(target / name, name)
    kept = [place for place in places(target) if "stale" not in place and "b-to-a" not in place]
    before = {place: (target / place).read_bytes() for place in kept}
    assert publish.main([str(run), "fashion", "--folder", str(out)]) == 0
    # two files of the figure, four of the table, two scores
    assert capsys.readouterr().out == "fashion: 14 files written, 8 stale ones removed\n"
    assert all((target / place).read_bytes() == content for place, content in before.items())
    assert not [place for place in places(target) if "stale" in place and not place.endswith(".safetensors")]
    assert not (target / "b-to-a" / "scores").exists()
    page = (target / "README.md").read_text(encoding="utf-8")
    assert f"## 01 · Stage 1: GLO embeds the images\n\n{OLDER}\n\n![" in page and "stale" not in page
    assert "(figures/01_loss.png)" in page and page.count(OLDER) == 1
    assert '`Glann.load("fashion")`: [model.md](model.md)' in page


def test_a_second_time_gives_the_same_files(run, out):
    first = page_of(run, out), places(out)
    assert (page_of(run, out), places(out)) == first


def test_a_large_photograph_is_shown_as_webp_and_takes_the_place_of_a_png(run, out):
    write_figure(out / "fashion", "03_a")
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    storage.write_bytes(run / "figures" / "03_a.png", png(noise))
    assert "](figures/03_a.webp)<br>" in page_of(run, out)
    assert {"figures/03_a.webp", "figures/03_a.json"} <= set(places(out / "fashion"))
    assert "figures/03_a.png" not in places(out / "fashion")


def test_what_has_no_executed_notebook_is_left_out_and_its_published_files_stay(run, out, capsys):
    (run / "notebooks" / "05_fid_prd_tables.ipynb").unlink()
    write_figure(out / "fashion", "05_old")
    write_score(out / "fashion", "old")
    assert publish.main([str(run), "fashion", "--folder", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "left out, for their notebooks are not there: figures/05_turn.gif, figures/05_turn.json, scores/" in printed
    assert {"figures/05_old.png", "scores/old.json"} <= set(places(out / "fashion"))
    assert "figures/05_turn.webp" not in places(out / "fashion")


def edited(path, **changes):
    """A notebook with other metadata of papermill, or other values in its last code cell with a source."""
    copy = json.loads(path.read_text())
    copy["metadata"]["papermill"] |= changes.pop("papermill", {})
    [cell for cell in copy["cells"] if cell["cell_type"] == "code" and cell["source"]][-1].update(changes)
    path.write_text(json.dumps(copy, ensure_ascii=False))


def printing(text):
    return [{"output_type": "stream", "name": "stderr", "text": text}]


ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}
HOME = "/somewhere/me"
FAULTS = {
    "empty": ("has no executed notebook", lambda run, book: [path.unlink() for path in book.parent.iterdir()]),
    "failed": ("03_sampling.ipynb failed", lambda run, book: edited(book, papermill={"exception": True})),
    "an error": ("03_sampling.ipynb failed", lambda run, book: edited(book, outputs=[ERROR])),
    "failed later": (
        "03_sampling.failed.ipynb failed",
        lambda run, book: storage.write_bytes(book.with_suffix(".failed.ipynb"), book.read_bytes()),
    ),
    "not to its end": ("not executed to its end", lambda run, book: edited(book, execution_count=None)),
    "no end": ("not executed to its end", lambda run, book: edited(book, papermill={"end_time": None})),
    "running": (
        ".04_x.running.ipynb is of a notebook that still runs",
        lambda run, book: storage.write_text(book.with_name(".04_x.running.ipynb"), "{}"),
    ),
    "no notebook": ("03_sampling.ipynb is not a readable notebook", lambda run, book: book.write_text("{}")),
    "changed code": (
        "figures/03_a.json was made by code with uncommitted changes: run again, or add --dirty",
        lambda run, book: write_figure(run, "03_a", uncommitted_changes=True),
    ),
    "changed code, a table": (
        "tables/05_quality.json was made by code with",
        lambda run, book: write_table(run, "05_quality", uncommitted_changes=True),
    ),
    "changed code, scores": (
        "scores/a.json and 1 more were made by code with",
        lambda run, book: [write_score(run / "work", name, uncommitted_changes=True) for name in "ab"],
    ),
    "no record": ("03_a.png has no .json beside it", lambda run, book: (run / "figures/03_a.json").unlink()),
    "no Markdown": ("05_quality.csv has no .md beside it", lambda run, book: (run / "tables/05_quality.md").unlink()),
    "damaged": ("03_a.json is damaged", lambda run, book: (run / "figures/03_a.json").write_text("{")),
    "damaged score": ("scores/x.json is damaged", lambda run, book: (run / "work/scores/x.json").write_text("{")),
    "large": (
        "tables/05_quality.tex has 5.1 MiB, more than 5",
        lambda run, book: (run / "tables/05_quality.tex").write_text("x" * 5_350_000),
    ),
    "large notebook": (
        "notebooks/03_sampling.ipynb has 5.1 MiB, more than 5",
        lambda run, book: edited(book, outputs=printing("letters, " * 595_000)),
    ),
    "home": (f"03_sampling.ipynb names {HOME}", lambda run, book: edited(book, outputs=printing(f"in {HOME}/x:"))),
    "home in a line": (
        f"03_sampling.ipynb names {HOME}",
        lambda run, book: edited(book, outputs=printing(f"words\n{HOME}/x:")),
    ),
    "repository": (
        f"figures/03_a.json names {publish.runs.ROOT}",
        lambda run, book: write_figure(run, "03_a", caption=f"see {publish.runs.ROOT}/data"),
    ),
    "temporary": (
        "03_sampling.ipynb names /somewhere/tmp",
        lambda run, book: edited(book, outputs=printing("/somewhere/tmp/ipykernel_1/2.py:3: UserWarning")),
    ),
    "outside": (
        "03_sampling.ipynb names ../mine/photos.zip",
        lambda run, book: edited(book, papermill={"parameters": {"dataset": "folder:../mine/photos.zip"}}),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_fit_is_refused_in_a_line_and_nothing_is_written(run, out, monkeypatch, capsys, fault):
    named, spoil = FAULTS[fault]
    write_figure(out / "fashion", "03_a", caption="as it was")
    before = {place: (out / place).read_bytes() for place in places(out)}
    monkeypatch.setenv("HOME", HOME)
    monkeypatch.setattr(tempfile, "tempdir", "/somewhere/tmp")
    spoil(run, run / "notebooks" / "03_sampling.ipynb")
    assert named in line_of(capsys, run, "fashion", "--folder", out)
    assert {place: (out / place).read_bytes() for place in places(out)} == before


def test_a_place_is_found_behind_a_link(run, out, tmp_path, monkeypatch, capsys):
    home = tmp_path / "real-home"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    monkeypatch.setattr(tempfile, "tempdir", "/somewhere/tmp")
    edited(run / "notebooks" / "03_sampling.ipynb", outputs=printing(f"in {home}/x"))
    assert f"03_sampling.ipynb names {home}, a place of this machine" in line_of(capsys, run, "x", "--folder", out)


def test_names_folders_and_other_data_sets_are_refused(run, out, tmp_path, capsys):
    assert "is no name for a folder" in line_of(capsys, run, "a/b", "--folder", out)
    assert "nothing-here has no executed notebook" in line_of(capsys, tmp_path / "nothing-here", "a", "--folder", out)
    assert not out.exists()
    write_figure(out / "mnist", "01_loss", config={"data": {"dataset": "mnist"}})
    assert "mnist is shown there, and the run is of fashion" in line_of(capsys, run, "mnist", "--folder", out)
    assert places(out) == ["mnist/figures/01_loss.json", "mnist/figures/01_loss.png"]


def test_images_held_in_memory_are_no_other_data_set(run, out):
    write_figure(out / "fashion", "01_loss")
    write_figure(run, "03_tiny", config={"data": {"dataset": "array"}})
    assert "figures/01_loss.png" in page_of(run, out) and "figures/03_tiny.webp" in page_of(run, out)


def test_changed_code_is_published_where_it_is_asked_for(run, out):
    write_figure(run, "03_a", uncommitted_changes=True)
    assert publish.main([str(run), "fashion", "--folder", str(out), "--dirty"]) == 0
    assert "- commit: 0123456789 with uncommitted changes\n" in (out / "fashion/README.md").read_text(encoding="utf-8")


def test_words_like_places_and_letters_of_pictures_are_let_through(run, out, monkeypatch):
    monkeypatch.setenv("HOME", "/me")
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    letters = "+/tmp/" + "A" * 300  # as in a picture
    text = printing("~/me/x my/tmp/x /tmpfile /menu results/tmp")
    data = {"output_type": "display_data", "data": {"application/x": letters}, "metadata": {}}
    edited(run / "notebooks" / "03_sampling.ipynb", outputs=[*text, data])
    publish.publish(run, "fashion", out)
    assert letters in (out / "fashion/notebooks/03_sampling.ipynb").read_text()


def test_notebooks_lose_live_views_and_get_small_pictures(run, out):
    path = run / "notebooks" / "03_sampling.ipynb"
    view = {"text/html": ["<div><iframe srcdoc='", "x y "], "text/plain": ["<HTML>"]}
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    shown = {"image/png": base64.b64encode(png(noise)).decode(), "text/plain": ["<Figure>"]}
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}} for data in (shown, view)]
    edited(path, outputs=outputs)
    copy = json.loads(path.read_text())
    copy["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    path.write_text(json.dumps(copy))
    assert publish.main([str(run), "fashion", "--folder", str(out)]) == 0
    kept = nbformat.read(out / "fashion/notebooks/03_sampling.ipynb", as_version=4)
    nbformat.validate(kept)
    assert "widgets" not in kept.metadata and kept.metadata.papermill == copy["metadata"]["papermill"]
    picture, words = [output.data for cell in kept.cells for output in cell.get("outputs", [])]
    assert words == {"text/plain": pictures.LEFT_OUT} and picture["text/plain"] == "<Figure>"
    assert Image.open(io.BytesIO(base64.b64decode(picture["image/jpeg"]))).size == (640, 480)
    assert (out / "fashion/notebooks/03_sampling.ipynb").stat().st_size <= pictures.LARGE


def test_a_damaged_picture_is_named(run, out, capsys):
    (run / "figures" / "03_a.png").write_bytes(b"no picture")
    assert "figures/03_a.png: a picture in it is none" in line_of(capsys, run, "fashion", "--folder", out)


def test_links_of_a_notebook_lead_from_where_it_is_published():
    text = b"[a](../README.md#x) [b](01_a.ipynb) [c](02_b.ipynb#y) [d](https://e.org/../f) [g](#h)"
    found = b"[a](../../../../README.md#x) [b](01_a.ipynb) [c](../../../../notebooks/02_b.ipynb#y)"
    assert publish.relinked(text, {"01_a.ipynb"}) == found + b" [d](https://e.org/../f) [g](#h)"


def test_one_mesh_in_one_format_is_published(run, out):
    for name in ("03_shape_0.stl", "03_shape_0.obj", "03_shape_1.stl"):
        storage.write_text(run / "meshes" / name, "solid")
    publish.publish(run, "fashion", out)
    assert [path.name for path in (out / "fashion" / "meshes").iterdir()] == ["03_shape_0.stl"]


def test_a_failure_in_the_middle_loses_nothing(run, out, monkeypatch, capsys):
    write_figure(out / "fashion", "03_stale")
    write = storage.write_bytes

    def fail(path, content):
        if Path(path).name == "05_quality.md":
            raise OSError(28, "cannot write 05_quality.md: No space left on device")
        return write(path, content)

    monkeypatch.setattr(storage, "write_bytes", fail)
    assert "No space left on device" in line_of(capsys, run, "fashion", "--folder", out)
    assert (out / "fashion/figures/03_stale.png").is_file() and not (out / "fashion/README.md").exists()
    monkeypatch.undo()
    publish.publish(run, "fashion", out)
    assert not (out / "fashion/figures/03_stale.png").exists() and os.listdir(out) == ["fashion"]


def test_the_playground_is_not_published(finished, execute, tmp_path):
    execute(finished, "10_playground")
    write_figure(finished, "10_shapes", caption="Another model's shapes.")
    done = publish.publish(finished, "fashion", tmp_path / "published")
    assert not any("10_" in place for place in (*done.written, *done.left_out)) and len(done.written) > 5
