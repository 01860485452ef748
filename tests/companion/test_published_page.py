"""The page of a published folder tells the truth on its run, and leads to every figure and table of it."""

import json
import re

import pytest
from made_runs import DATA, TABLE, write_figure

from glann_lib.companion.publish import files_of
from glann_lib.companion.published_page import page
from glann_lib.config import make_config
from glann_lib.records import runs


def page_of(run):
    return page("fashion", files_of(run), False)


def test_the_page_tells_command_machine_and_data(finished):
    page = page_of(finished)
    assert page.startswith("# Fashion-MNIST\n")
    assert "\n    ./run_all.sh --dataset fashion --set seeds=3\n" in page
    assert "- machine: cpu (x86\\_64, 2 cores)\n- commit: 0123456789\n" in page
    assert "- time: 2 min 11 s (03: 1 min 5 s, 05: 1 min 5 s);" in page
    assert "| fashion | 5,000 | `01ab3b5401ab` | a\\_b \\| c | MIT |" in page
    assert "model.md" not in page


def test_where_no_notebook_that_trains_lies_there_the_records_tell_its_command(finished, execute):
    command = "./run_all.sh --dataset fashion --set train_images=100 --set glo_loss=vgg19 --set glo_epochs=7"
    assert "The model was trained by" not in page_of(finished)
    trained = make_config("fashion", data_train_images=100, glo_loss="vgg19", glo_epochs=7).as_dict()
    write_figure(finished, "03_a", config=trained)
    assert f"\n\nThe model was trained by\n\n    {command}\n\n" in page_of(finished)
    execute(finished, "01_glo_embedding", dataset="fashion")
    assert "The model was trained by" not in page_of(finished)


def test_the_time_tells_of_training_that_was_there_before(finished):
    path = finished / "notebooks/03_sampling.ipynb"
    content = json.loads(path.read_text())
    told = {"output_type": "stream", "name": "stdout", "text": ["trained in 600 s\n"]}
    content["cells"][-2]["outputs"] = [told]
    path.write_text(json.dumps(content))
    assert "- time: 12 min 11 s (03: 1 min 5 s + 10 min of training before it, 05: " in page_of(finished)


def test_the_page_shows_every_notebook_with_its_figures_and_tables(finished):
    page = page_of(finished)
    order = [
        "## [03 · New images](notebooks/03_sampling.ipynb)\n",
        "![Figure 03\\_b.](figures/03_b.png)<br>\n*Figure 03\\_b.*\n",  # first, as the notebook's code names it
        "![Figure 03\\_a.](figures/03_a.png)<br>\n*Figure 03\\_a.*\n",
        "## [05 · The paper's tables](notebooks/05_fid_prd_tables.ipynb)\n",
        "![Samples \\[G(T(e))\\] of \\*fashion\\*](figures/05_turn.gif)",
        f"*Scores of 05\\_quality* ([CSV](tables/05_quality.csv))\n\n{TABLE}",
        "[scores](scores)",
    ]
    found = [page.find(text) for text in order]
    assert -1 not in found and found == sorted(found)
    links = re.findall(r"\]\(([^)]+)\)", page.replace("(G(T(e))", ""))
    assert len(links) == 8
    places = (finished, finished / runs.WORK)
    assert not [link for link in links if link[:3] != "../" and not any((place / link).exists() for place in places)]


def test_the_training_data_are_the_largest_part_and_domains_have_the_terms_of_their_origin(tmp_path, execute):
    run = tmp_path / "embedded-quick"
    execute(run, "07_nam_translation", dataset="embedded")
    roles = {"source": DATA | {"name": "street-digits"}, "target": DATA | {"name": "negative-vans", "count": 7}}
    for name, data in (("07_a", roles), ("07_b", {"source": roles["source"] | {"count": 1}, "data": None})):
        write_figure(run, name, **({"data": DATA | {"split": "test"}} | data))
    page = page_of(run)
    assert "# Translation of made domains\n" in page and "| fashion |" not in page  # those are no training data
    assert re.findall(r"\| (\S+ \(\w+\)) \| ([\d,]+) \|.* \| ([^|]+) \|\n", page) == [
        ("street-digits (source)", "5,000", "CC BY 4.0"),
        ("negative-vans (target)", "7", "no outside source"),
    ]


@pytest.mark.parametrize(
    ("dataset", "title"),
    [("folder:data/my/faces.zip", "faces.zip"), ("folder:a/b-to-folder:c/d\\_e", "b-to-d\\_e"), ("svhn", "SVHN")],
)
def test_the_page_is_headed_by_the_data_set(tmp_path, execute, dataset, title):
    execute(tmp_path, "03_sampling", dataset=dataset.replace("\\", ""))
    assert page_of(tmp_path).startswith(f"# {title}\n")


def test_names_are_literal(finished):
    name = "<b> &lt; #1 a|b*c_d`e[f]~ $5 bill$_{ caf\udce9\n# two"
    shown = r"\<b> \&lt; \#1 a\|b\*c\_d\`e\[f\]\~ \$5 bill\$\_{ caf" + "\N{REPLACEMENT CHARACTER} \\# two"
    write_figure(finished, "03_a", caption=f"Images of {name}.", data=DATA | {"name": name, "source": name})
    page = page_of(finished)
    assert f"![Images of {shown}.](figures/03_a.png)<br>\n*Images of {shown}.*\n" in page
    assert f"| {shown} | 5,000 | `01ab3b5401ab` | {shown} | " in page
    assert page.encode() and not re.search("^# two", page, re.MULTILINE)
