"""The map of the paper: verdicts follow from what is stored, and every line leads to a cell that is there."""

import dataclasses
import json

import pytest

from glann_lib.companion import paper_map
from glann_lib.companion.traced import Published
from glann_lib.files import released
from glann_lib.records import runs

FACTS = {"commit": "1234567", "device": "cpu", "data": {"sha256": "0" * 64}}
EMPTY = paper_map.Entry("Sec. 1", "it is so", "05", "Table 1", "", "", "", "", "")
ENTRIES = paper_map.read(released.FOLDER)


@pytest.fixture
def published(tmp_path):
    """Two seeds of GLANN, two GANs and a VAE, and one table."""
    scores = tmp_path / "mnist" / "scores"
    scores.mkdir(parents=True)
    models = [("glann", 0, "non-adversarial", 2.0), ("glann", 1, "non-adversarial", 4.0)]
    models += [("wgan", 0, "adversarial", 5.0), ("began", 0, "adversarial", 1.0), ("vae", 0, "non-adversarial", 9.0)]
    for model, seed, kind, value in models:
        record = {"model": model, "label": model.upper(), "kind": kind, "budget": "own", "seed": seed, "reference": "r"}
        record["scores"] = [{"extractor": "classifier", "metric": "frechet", "value": value}]
        (scores / f"{model}-{seed}.json").write_text(json.dumps(record | {"provenance": FACTS}))
    tables = tmp_path / "mnist" / "tables"
    tables.mkdir()
    (tables / "01_labels.csv").write_text("by,same\ncodes,0.8\npixels,0.9\n")
    (tables / "01_labels.json").write_text(json.dumps(FACTS))
    return Published(tmp_path)


def entry(*comparisons, **fields):
    return dataclasses.replace(EMPTY, comparisons="; ".join(comparisons), **fields)


@pytest.mark.parametrize(
    ("comparisons", "verdict", "numbers"),
    [
        (["mnist: glann < vae by classifier frechet"], "holds", ["GLANN 3 ± 1 < VAE 9"]),
        (["mnist: glann < gans by classifier frechet"], "differs", ["GLANN 3 ± 1 ≥ BEGAN 1"]),
        (["mnist: glann > gans by classifier frechet"], "differs", ["GLANN 3 ± 1 ≤ WGAN 5"]),
        (["mnist: codes > pixels in 01_labels, same"], "differs", ["codes 0.8 ≤ pixels 0.9"]),
        (
            ["mnist: codes < pixels in 01_labels, same", "mnist: vae < glann by classifier frechet"],
            "holds in 1 of 2",
            ["codes 0.8 < pixels 0.9", "VAE 9 ≥ GLANN 3 ± 1"],
        ),
    ],
)
def test_a_verdict_follows_from_stored_numbers(published, comparisons, verdict, numbers):
    judged = paper_map.judge(published, entry(*comparisons))
    assert judged.verdict == verdict
    assert [line.partition(": ")[2] for line in judged.ours.split("<br>")] == numbers


def test_without_a_comparison_the_reason_stands_in_the_numbers_place(published):
    judged = paper_map.judge(published, entry(verdict="not measured", why="no data"))
    assert judged == paper_map.Judged("not measured", "no data")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (entry(), "needs comparisons, or one of built and not measured and why"),
        (entry(verdict="holds", why="I think so"), "needs comparisons"),
        (entry(verdict="not measured"), "and why"),
        (entry("mnist: glann < vae by classifier frechet", verdict="built", why="both"), "needs comparisons"),
        (entry("mnist: glann is better than vae"), "cannot be read"),
        (entry("mnist: glann < flow by classifier frechet"), "names flow, of which nothing is stored"),
        (entry("mnist: glann < vae by inception frechet"), "names glann, of which nothing is stored"),
        (entry("mnist: codes < noise in 01_labels, same"), "has no row 'noise'"),
    ],
)
def test_a_line_that_says_nothing_or_too_much_is_refused(published, line, words):
    with pytest.raises(ValueError, match=words) as error:
        paper_map.judge(published, line)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cells", ["Sec. 1,it is, so,05,Table 1,,,,,", "Sec. 1,it is,05,Table 1"])
def test_a_row_with_too_many_or_too_few_cells_is_refused_in_one_line(tmp_path, cells):
    head = (released.FOLDER / paper_map.FILE).read_text().splitlines()[0]
    (tmp_path / paper_map.FILE).write_text(f"{head}\n{cells}\n")
    with pytest.raises(ValueError, match="says 'it is' has too many or too few cells") as error:
        paper_map.read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line", ENTRIES, ids=lambda line: line.says[:40])
def test_every_line_leads_to_a_heading_and_is_judged_by_what_is_published(line):
    (notebook,) = (runs.ROOT / "notebooks").glob(f"{line.notebook}_*.ipynb")
    cells = json.loads(notebook.read_text())["cells"]
    assert f"## {line.heading}" in "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    judged = paper_map.judge(Published(released.FOLDER), line)
    assert judged.ours and (judged.verdict in paper_map.GIVEN) == (not line.comparisons)


def test_every_equation_figure_and_table_of_the_paper_is_in_the_map():
    places = " ".join(line.place for line in ENTRIES)
    wanted = ["Eq. 1", "Eq. 2 and 3", "Eq. 4 and 5", "Eq. 6", "Eq. 7", "Eq. 8 and 9", "Table 1"]
    assert all(place in places for place in wanted + [f"Fig. {number}" for number in range(1, 7)])
    assert len({line.says for line in ENTRIES}) == len(ENTRIES)


def test_the_table_shows_every_line_and_the_papers_own_number_in_italics():
    table = paper_map.drawn(Published(released.FOLDER))
    assert len(table.splitlines()) == len(ENTRIES) + 2
    assert "*13.0, best GAN 21.5*†" in table and "](../../notebooks/05_fid_prd_tables.ipynb)" in table
