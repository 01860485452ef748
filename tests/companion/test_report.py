"""report.html holds everything in itself, escapes what it shows, and survives damaged records."""

import base64
import html.parser
import io
import json
import os
import urllib.parse

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from glann_lib.companion import pages, report
from glann_lib.engine import storage
from glann_lib.records import runs

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
RECORD = {
    "caption": "Samples of G(T(e)) & <b>their</b> neighbours",
    "notebook": "03_sampling",
    "dataset": "fashion",
    "profile": "paper",
    "commit": "0123456789abcdef",
    "uncommitted_changes": True,
    "time": "2026-01-02T03:04:05+00:00",
    "device": "cpu (x86_64, 2 cores)",
    "python": "3.11.7",
    "versions": {"torch": "2.15.0", "numpy": "2.4.6"},
    "config": {"glo": {"seed": 7, "note": "</pre><script>alert(1)</script>"}},
}


class Page(html.parser.HTMLParser):
    """The elements and the texts of a page, with a check that what is opened is closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.open = [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def run_dir(tmp_path, write_notebook):
    folder = tmp_path / "fashion-paper"
    storage.write_bytes(folder / "figures" / "03_samples.png", PIXEL)
    storage.write_bytes(folder / "figures" / "03_samples.pdf", b"%PDF")
    storage.write_json(folder / "figures" / "03_samples.json", RECORD)
    storage.write_text(folder / "tables" / "05_scores.csv", 'sampler,"FID, 10k"\nGLANN <ours>,20.12345\nGaussian,333.3')
    storage.write_text(folder / "tables" / "05_scores.tex", "\\begin{tabular}{ll}")
    storage.write_json(folder / "tables" / "05_scores.json", RECORD | {"caption": "Scores", "commit": "feed" * 10})
    write_notebook(folder / "notebooks" / "03_sampling.ipynb", title="3. Sampling & looking")
    return folder


def read(run_dir):
    path = report.write_report(run_dir)
    assert path == run_dir / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_is_self_contained(run_dir):
    page = read(run_dir)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name) or ""
            assert "//" not in value and not value.startswith("/"), f"{tag} {name} leads outside: {value[:80]}"
        assert tag not in ("script", "link", "iframe", "object")
    text = (run_dir / "report.html").read_text()
    assert "@import" not in text and "url(" not in text


def test_images_are_embedded_with_their_caption_as_alternative(run_dir):
    (image,) = read(run_dir).all("img")
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == PIXEL
    assert image["alt"] == RECORD["caption"]


def test_large_photographs_are_embedded_as_jpeg_that_hardly_differ(run_dir):
    soft = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    photo = Image.fromarray(soft).resize((900, 900), Image.Resampling.BICUBIC)
    photo.save(run_dir / "figures" / "08_photo.png")
    whole = (run_dir / "figures" / "08_photo.png").read_bytes()
    head, _, code = read(run_dir).all("img")[1]["src"].partition(",")
    content = base64.b64decode(code)
    assert len(whole) > report.HEAVY > 2 * len(content) and head == "data:image/jpeg;base64"
    shown = np.asarray(Image.open(io.BytesIO(content)), int)
    assert shown.shape == (900, 900, 3) and np.abs(shown - np.asarray(photo)).mean() < 4
    damaged = whole[:100] + bytes(len(whole))  # costs itself alone
    (run_dir / "figures" / "08_photo.png").write_bytes(damaged)
    assert base64.b64decode(read(run_dir).all("img")[1]["src"].removeprefix("data:image/png;base64,")) == damaged


def test_animations_are_embedded_as_pictures_are(run_dir):
    storage.write_bytes(run_dir / "figures" / "06_turning.gif", b"GIF89a")
    storage.write_json(run_dir / "figures" / "06_turning.json", RECORD | {"caption": "A chair turns"})
    page = read(run_dir)
    assert [image["src"].partition(",")[0] for image in page.all("img")] == [
        "data:image/png;base64",
        "data:image/gif;base64",
    ]
    assert base64.b64decode(page.all("img")[1]["src"].partition(",")[2]) == b"GIF89a"
    assert page.all("img")[1]["alt"] == "A chair turns"
    assert "figures/06_turning.gif" in [attributes["href"] for attributes in page.all("a")]
    assert "PNG · PDF" in page.text and "GIF" in page.text


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("made-chairs", "Made chairs"),
        ("chairs", "ModelNet chairs"),
        ("meshes:../mine/my_chairs", "my_chairs"),
        ("folder:../mine/photos", "photos"),
        ("meshes:chairs.npz", "chairs.npz"),
    ],
)
def test_the_page_is_headed_by_the_data_sets_name(run_dir, dataset, name):
    for path in (run_dir / "figures" / "03_samples.json", run_dir / "tables" / "05_scores.json"):
        storage.write_json(path, RECORD | {"dataset": dataset})
    assert f"{name}, paper: GLANN" in read(run_dir).text


def test_the_data_set_is_the_runs_and_not_the_array_of_a_tiny_model(tmp_path, execute):
    folder = tmp_path / "elsewhere"
    tiny = {"config": {"data": {"dataset": "array"}, "profile": "paper"}, "data": {"name": "array"}}
    storage.write_bytes(folder / "figures" / "00_architecture.png", PIXEL)
    storage.write_json(folder / "figures" / "00_architecture.json", tiny)
    assert "elsewhere, paper: GLANN" in read(folder).text  # nothing but the folder names it
    storage.write_bytes(folder / "figures" / "01_loss.png", PIXEL)
    storage.write_json(folder / "figures" / "01_loss.json", tiny | {"config": {"data": {"dataset": "mnist"}}})
    assert "MNIST, paper: GLANN" in read(folder).text
    execute(folder, "00_overview", dataset="digits")
    assert "Handwritten digits, quick: GLANN" in read(folder).text  # as the notebooks were told


def test_captions_and_records_are_escaped(run_dir):
    page = read(run_dir)
    assert RECORD["caption"] in page.text and "</pre><script>" in page.text
    assert page.all("b") == [] and page.all("script") == []


def test_facts_title_and_links(run_dir):
    page = read(run_dir)
    for fact in ("Fashion-MNIST", "paper profile", "0123456789 with uncommitted changes", "feedfeedfe", "torch 2.15.0"):
        assert fact in page.text
    assert "2026-01-02, 03:04 UTC" in page.text and "cpu (x86_64, 2 cores)" in page.text
    links = [attributes["href"] for attributes in page.all("a")]
    assert {
        "notebooks/03_sampling.ipynb",
        "figures/03_samples.pdf",
        "tables/05_scores.csv",
        "tables/05_scores.tex",
        "#s03",
    } <= set(links)
    for link in links:
        assert link.startswith("#") or (run_dir / link).is_file()


def test_sections_stand_by_number_under_the_notebooks_title(run_dir):
    storage.write_bytes(run_dir / "figures" / "logo.png", PIXEL)
    text = read(run_dir).text
    assert text.index("03Sampling & looking") < text.index("05Notebook 05") < text.index("Other results")


def test_a_section_follows_the_order_of_the_notebook(run_dir, write_notebook):
    for name in ("03_early", "03_samples_more"):
        storage.write_bytes(run_dir / "figures" / f"{name}.png", PIXEL)
    storage.write_text(run_dir / "tables" / "03_table.csv", "a\n1")
    told = ["save('figures/03_samples_more')", "save('tables/03_table')", "save('figures/03_samples')"]
    write_notebook(run_dir / "notebooks" / "03_sampling.ipynb", *told)
    text = read(run_dir).text
    assert text.index("Samples more") < text.index("Table") < text.index(RECORD["caption"]) < text.index("Early")


def test_tables_show_rounded_numbers_to_the_right(run_dir):
    read(run_dir)
    text = (run_dir / "report.html").read_text()
    assert '<th class="n">FID, 10k</th>' in text
    assert '<td class="n">20.1</td>' in text and '<td class="n">333.3</td>' in text
    assert "<td>GLANN &lt;ours&gt;</td>" in text


def test_quoted_columns_look_different_and_say_so(run_dir):
    assert "†" not in read(run_dir).text
    text = "model,FID (quoted),FID\nGLANN,8.6 ± 0.1,8.9\nfloor,\N{EN DASH},1.2\n"
    storage.write_text(run_dir / "tables" / "05_scores.csv", text)
    assert read(run_dir).all("tfoot")
    text = (run_dir / "report.html").read_text()
    assert '<th class="n q">FID (quoted)</th>' in text and '<td class="n q">8.6 ± 0.1†</td>' in text
    assert '<td class="n q">\N{EN DASH}</td>' in text and '<td class="n">8.9</td>' in text
    assert '<tfoot><tr><td colspan="3">† quoted from the paper, not measured here</td></tr></tfoot>' in text
    assert ".q, tfoot td {" in (pages.TEMPLATES / "report.css").read_text()


@pytest.mark.parametrize("record", [None, "{cut", "[1]", "{}"])
def test_a_missing_or_damaged_record_is_said_and_costs_nothing_else(run_dir, record):
    path = run_dir / "figures" / "03_samples.json"
    path.unlink()
    if record is not None:
        path.write_text(record)
    page = read(run_dir)
    assert "Its record, 03_samples.json, is missing or damaged." in page.text
    assert page.all("img")[0]["alt"] == "Samples" and "333.3" in page.text


def test_records_of_odd_types_do_no_harm(run_dir):
    odd = {"caption": 3, "versions": ["x"], "time": None, "commit": 5, "dataset": 4, "seed": {"a": 1}}
    odd["device"] = "\ud800"
    storage.write_json(run_dir / "figures" / "03_samples.json", odd)
    assert read(run_dir).all("img")[0]["alt"] == "3"


def test_damaged_tables_and_notebooks_are_said(run_dir):
    (run_dir / "tables" / "05_scores.csv").write_bytes(b"")
    (run_dir / "notebooks" / "03_sampling.ipynb").write_text("{")
    (run_dir / "notebooks" / "03_sampling.failed.ipynb").write_text(json.dumps({"cells": None, "metadata": 3}))
    text = read(run_dir).text
    assert "The table cannot be read." in text and "03Sampling" in text
    assert "This notebook failed in its last run" in text


@pytest.mark.parametrize("damage", [{"metadata": 3}, {"metadata": {"papermill": []}}, {"cells": [{}]}, {"cells": [7]}])
def test_a_damaged_notebook_costs_its_title_alone(run_dir, damage):
    path = run_dir / "notebooks" / "03_sampling.ipynb"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    text = read(run_dir).text
    assert "03Sampling" in text and RECORD["caption"] in text and "Fashion-MNIST, paper: GLANN" in text


def test_an_empty_run_is_a_page_too(tmp_path):
    assert "has left nothing to show yet" in read(tmp_path / "digits-quick").text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>&amp;\"'", "<b>&amp;\"'"),
        ("$5 bill$_{ |*`[#", "$5 bill$_{ |*`[#"),
        ("猫", "猫"),
        ("caf\udce9", "caf\N{REPLACEMENT CHARACTER}"),
        ("two\nlines", "two\nlines"),
        ("__import__('os') {{ 7 * 7 }}", "__import__('os') {{ 7 * 7 }}"),
    ],
)
def test_names_in_captions_tables_and_records_are_literal(run_dir, name, shown):
    record = RECORD | {"caption": f"Images of {name}.", "dataset": f"folder:{name}", "device": name}
    storage.write_json(run_dir / "figures" / "03_samples.json", record)
    runs.save_table(pd.DataFrame({name: [name]}), run_dir / "tables" / "05_scores", record)
    page = read(run_dir)
    assert page.all("img")[0]["alt"] == f"Images of {shown}." and page.text.count(f"Images of {shown}.") >= 2
    assert f"{shown}, paper: GLANN" in page.text and page.all("b") == []
    in_table = {"caf\udce9": r"caf\xe9", "two\nlines": r"two\nlines"}.get(name, shown)
    assert page.text.count(in_table) >= 2


def test_right_to_left_names_do_not_turn_the_line_around(run_dir):
    record = RECORD | {"caption": "Images of שלום עולם_2, 5 of 40, <قطة>.", "dataset": "folder:שלום"}
    storage.write_json(run_dir / "figures" / "03_samples.json", record)
    storage.write_text(run_dir / "tables" / "05_scores.csv", "model,n\nשלום,5\n")  # noqa: RUF001
    page = read(run_dir)
    assert page.all("img")[0]["alt"] == record["caption"] and record["caption"] in page.text
    text = (run_dir / "report.html").read_text(encoding="utf-8")
    assert "<figcaption>Images of <bdi>שלום עולם</bdi>_2, 5 of 40, &lt;<bdi>قطة</bdi>&gt;." in text
    assert "<td><bdi>שלום</bdi></td>" in text and "<h1><bdi>שלום</bdi> <small>" in text
    assert "<title>שלום, paper: GLANN</title>" in text


def test_links_lead_to_files_of_any_name(run_dir):
    names = ["03_50% #1?.png", os.fsdecode(b"03_caf\xe9.png"), "03_猫.png"]
    for name in names:
        storage.write_bytes(run_dir / "figures" / name, PIXEL)
    page = read(run_dir)
    links = [attributes["href"] for attributes in page.all("a")]
    places = {os.fsdecode(urllib.parse.unquote_to_bytes(link)) for link in links}
    assert {f"figures/{name}" for name in names} <= places
    assert "figures/03_50%25%20%231%3F.png" in links
