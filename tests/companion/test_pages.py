"""Templates: what they are given is escaped in HTML, and what is wrong with one names its file."""

import pytest

from glann_lib.companion.pages import render


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "page.html.j2": "<p>{{ words }}</p>\n",
        "page.md.j2": "{{ words }}\n",
        "filters.md.j2": "{{ words | md }}\n",
        "filters.html.j2": "<a href='{{ words | url }}'>{{ words | bdi }}</a>\n",
        "wrong.md.j2": "one\n{% if %}\n",
        "part.md.j2": "{% include 'none.md.j2' %}\n",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_values_are_escaped_in_html_alone(folder):
    assert render("page.html.j2", folder, words="a < b & c") == "<p>a &lt; b &amp; c</p>\n"
    assert render("page.md.j2", folder, words="a < b & c") == "a < b & c\n"


@pytest.mark.parametrize(
    ("words", "markdown", "html"),
    [
        ("a_b", r"a\_b", "<a href='a_b'>a_b</a>"),
        ("# *x* `y` |z| [u] ~v~ $w$", r"\# \*x\* \`y\` \|z\| \[u\] \~v\~ \$w\$", None),
        ("<b> &lt; \\", r"\<b> \&lt; \\", "<a href='%3Cb%3E%20%26lt%3B%20%5C'>&lt;b&gt; &amp;lt; \\</a>"),
        ("two\n\n# lines", r"two \# lines", None),
        ("שלום 2, 5", "שלום 2, 5", "<a href='%D7%A9%D7%9C%D7%95%D7%9D%202%2C%205'><bdi>שלום</bdi> 2, 5</a>"),
        ("caf\udce9", "caf\N{REPLACEMENT CHARACTER}", "<a href='caf%E9'>caf\N{REPLACEMENT CHARACTER}</a>"),
    ],
)
def test_text_is_literal_by_the_filters(folder, words, markdown, html):
    assert render("filters.md.j2", folder, words=words) == f"{markdown}\n"
    if html:
        assert render("filters.html.j2", folder, words=words) == f"{html}\n"


def test_what_is_no_utf_8_can_be_written(folder):
    for template in ("page.html.j2", "page.md.j2"):
        assert "caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}!" in render(
            template, folder, words="caf\udce9 \ud800!"
        )


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
