"""Tables: numbers are rounded alike and stand to the right, quoted ones look different, no sign ends a cell."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from glann_lib.records import runs
from glann_lib.records import tables as report_tables


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (["1", "20", "3000"], ["1", "20", "3000"]),
        (["1.0", "2.0"], ["1", "2"]),
        (["0.41", "0.8812345"], ["0.4100", "0.8812"]),
        (["333.4214", "-19.00", ""], ["333.4", "\N{MINUS SIGN}19.0", "\N{EN DASH}"]),
        (["123456.7", "2.4"], ["123457", "2"]),
        (["0.5", "0.0000012"], ["0.5000", "1.2e\N{MINUS SIGN}06"]),
        (["inf", "1.5"], ["\N{INFINITY}", "1.5"]),
        (["0.0", "0.5"], ["0.0", "0.5"]),
        (["8.61", "46.5"], ["8.61", "46.50"]),
        (["1.5e1", "1.25e-1"], ["15.00", "0.12"]),
        (["a", "1"], None),
        (["", "nan"], None),
    ],
)
def test_numbers_of_a_column_are_rounded_alike(cells, shown):
    assert report_tables.round_alike(cells) == shown


@pytest.mark.parametrize("text", ["", "\n", 'a,b\n1,2,3\n"'])
def test_what_is_no_table_is_refused(text):
    with pytest.raises(ValueError):
        report_tables.read_columns(text)


def test_short_rows_are_filled_and_quoted_line_ends_are_kept():
    first, second = report_tables.read_columns('a,b\n"one\ntwo"\n')
    assert (first.head, first.cells, second.cells) == ("a", ["one\ntwo"], [""])


def test_numbers_written_for_readers_stand_to_the_right_as_they_are():
    text = "a,b,c\n8.60,8.6 ± 0.1,8.6 or so\n\N{EN DASH},\N{MINUS SIGN}1.2,9\n"
    columns = report_tables.read_columns(text)
    assert [column.is_number for column in columns] == [True, True, False]
    assert [column.cells for column in columns] == [
        ["8.60", "\N{EN DASH}"],
        ["8.6 ± 0.1", "\N{MINUS SIGN}1.2"],
        ["8.6 or so", "9"],
    ]


def test_cells_of_quoted_columns_have_their_dagger():
    dash = "\N{EN DASH}"
    _, quoted, own = report_tables.read_columns(f"model,FID (quoted),FID\nGLANN,8.6 ± 0.1,8.9\nfloor,{dash},1.2\n")
    assert (quoted.is_quoted, quoted.is_number, quoted.cells) == (True, True, ["8.6 ± 0.1†", dash])
    assert (own.is_quoted, own.cells) == (False, ["8.9", "1.2"])


def frame():
    return pd.DataFrame(
        {
            "model_a & b": ["GLANN 50%", "größer <x> #1"],
            "FID (quoted)": ["8.6 ± 0.1", "\N{EN DASH}"],
            "error (quoted)": [1.23456789, np.nan],
            "Fréchet ↓": ["8.60", "9.10"],
            "difference": ["+1.2", "\N{MINUS SIGN}3.0"],
            "n": [1, 20],
        }
    )


def test_markdown_sets_quoted_cells_apart():
    lines = report_tables.markdown(frame()).splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:4]]
    assert rows[2] == ["GLANN 50%", "*8.6 ± 0.1*†", "*1.23457*†", "8.60", "+1.2", "1"]
    assert rows[3][1:4] == ["\N{EN DASH}", "nan", "9.10"]
    assert [cell.endswith(":") for cell in rows[1]] == [False, True, True, True, True, True]
    assert lines[4:] == ["", report_tables.QUOTED_NOTE]


def test_latex_has_no_sign_that_it_takes_for_a_command():
    text = report_tables.latex(frame())
    assert r"model\_a \& b & FID (quoted) & error (quoted) & Fréchet $\downarrow$ & difference & n \\" in text
    assert r"GLANN 50\% & \textit{8.6 $\pm$ 0.1}\dag{} & \textit{1.23457}\dag{} & 8.60 & +1.2 & 1 \\" in text
    assert r"größer $<$x$>$ \#1 & -- &  & 9.10 & $-$3.0 & 20 \\" in text
    assert r"\begin{tabular}{lrrrrr}" in text and r"\dag{} quoted from the paper, not measured here" in text
    assert {sign for sign in text if not sign.isascii()} == set("éöß")  # letters: UTF-8 input has them
    assert text == report_tables.latex(frame())


def test_tables_without_quoted_columns_or_rows_have_no_note():
    plain = frame().drop(columns=["FID (quoted)", "error (quoted)"])
    for text in (report_tables.markdown(plain), report_tables.latex(plain)):
        assert "quoted" not in text and "dag" not in text
    assert report_tables.markdown(plain.iloc[:0]).count("\n") == 2
    assert r"\begin{tabular}" in report_tables.latex(plain.iloc[:0])


def test_a_bar_in_markdown_ends_no_cell():
    table = pd.DataFrame({"mean |error|": [0.5], "of": ["a|b"]})
    head, _, row = report_tables.markdown(table).splitlines()
    assert r"mean \|error\|" in head and r"a\|b" in row
    assert list(table) == ["mean |error|", "of"], "the table itself stays as it was"


NAMES = ["$5 bill$_{", "a|b*c_d`e[f]<g>~h#i\\j&lt;", "[x]", "*y", "a--b^%}", "caf\udce9", "two\nlines", "猫"]


def strange():
    return pd.DataFrame({"model_|$": NAMES, "FID (quoted)": ["8.6"] * 8, "n": range(8)})


def test_text_in_markdown_is_literal():
    lines = report_tables.markdown(strange()).splitlines()
    assert len(lines) == 2 + 8 + 2 and lines[0].startswith(r"| model\_\|\$ ")
    cells = [re.split(r"(?<!\\)\|", line)[1].strip() for line in lines[2:10]]
    assert cells == [
        r"\$5 bill\$\_{",
        r"a\|b\*c\_d\`e\[f\]\<g>\~h\#i\\j\&lt;",
        r"\[x\]",
        r"\*y",
        "a--b^%}",
        "caf\N{REPLACEMENT CHARACTER}",
        "two lines",
        "猫",
    ]


def test_text_in_latex_is_literal():
    lines = report_tables.latex(strange()).splitlines()
    assert lines[3] == r"model\_$|$\$ & FID (quoted) & n \\"
    assert [line.partition(" & ")[0] for line in lines[5:13]] == [
        r"\$5 bill\$\_\{",
        r"a$|$b{*}c\_d`e{[}f]$<$g$>$\textasciitilde h\#i\textbackslash j\&lt;",
        "{[}x]",  # a bracket or a star after a row's end would be part of it
        "{*}y",
        r"a-{}-b\textasciicircum \%\}",
        r"caf\textbackslash xe9",
        r"two\textbackslash nlines",
        "猫",
    ]


def test_tables_with_any_names_are_written(tmp_path):
    path = runs.save_table(strange(), tmp_path / "scores", {"caption": "caf\udce9"})
    read = pd.read_csv(path)
    assert list(read) == ["model_|$", "FID (quoted)", "n"] and list(read["n"]) == list(range(8))
    assert list(read["model_|$"]) == [*NAMES[:5], r"caf\xe9", r"two\nlines", "猫"]
    for suffix in (".md", ".tex"):
        assert "猫" in path.with_suffix(suffix).read_text(encoding="utf-8")
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) == {"caption": "caf\udce9"}


def test_tables_without_such_names_are_as_they_were():
    table = pd.DataFrame({"a": ["x", None], "b": [1, 2], "c": [0.5, np.nan], "d": [True, False]})
    pd.testing.assert_frame_equal(report_tables.flat(table), table)


@pytest.mark.parametrize(("text", "written"), [("caf\udce9 \ud83d", "caf� �"), ("猫🐱\n", "猫🐱\n"), (3, "3")])
def test_text_that_cannot_be_written_becomes_text_that_can(text, written):
    assert report_tables.encodable(text) == written


def test_quantiles_are_named_and_lie_between():
    found = report_tables.quantiles(torch.arange(101.0).reshape(1, 101))
    assert found == {"5% quantile": 5.0, "median": 50.0, "95% quantile": 95.0}
