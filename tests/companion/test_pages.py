"""Templates: what they are given is escaped in HTML, and what is wrong with one names its file."""

import pytest

from glann_lib.companion.pages import render


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "page.html.j2": "<p>{{ words }}</p>\n",
        "page.md.j2": "{{ words }}\n",
        "wrong.md.j2": "one\n{% if %}\n",
        "part.md.j2": "{% include 'none.md.j2' %}\n",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_values_are_escaped_in_html_alone(folder):
    assert render("page.html.j2", folder, words="a < b & c") == "<p>a &lt; b &amp; c</p>\n"
    assert render("page.md.j2", folder, words="a < b & c") == "a < b & c\n"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("none.md.j2", "templates/none.md.j2: "),
        ("page.md.j2", "templates/page.md.j2: 'words' is undefined"),
        ("wrong.md.j2", "templates/wrong.md.j2, line 2: "),
        ("part.md.j2", "templates/part.md.j2: "),
    ],
)
def test_a_wrong_or_missing_template_is_named(folder, template, message):
    with pytest.raises(ValueError, match=message):
        render(template, folder)
