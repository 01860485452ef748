"""Tables as text that reads well: CSV as HTML, data frames as Markdown and LaTeX.

Numbers are right-aligned; HTML rounds them alike within a column. A column whose head ends with "(quoted)" holds
numbers that others measured: everywhere its cells are in italics, with a dagger that a line below explains.
"""

from __future__ import annotations

import csv
import html
import io
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANT = 4  # digits of a column's largest number; the others get as many decimals
MOST_DECIMALS = 4
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
EMPTY = ("", "nan", "NaN", "None")
QUOTED, DAGGER = "(quoted)", "\N{DAGGER}"
QUOTED_NOTE = f"{DAGGER} quoted from the paper, not measured here"
NUMBER = re.compile(rf"[-+{MINUS}]?\d[\d.,e-]*( ± \d[\d.,e-]*)?|{DASH}")
LATEX_SIGNS = {
    "±": r"$\pm$",
    DASH: "--",
    MINUS: "$-$",
    DAGGER: r"\dag{}",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "∞": r"$\infty$",
    "<": "$<$",
    ">": "$>$",
}


def table_html(text: str) -> str:
    """Render a table.

    Args:
        text: CSV whose first row is the head; rows that are too short are filled up.

    Returns:
        A <table> element; a foot explains the dagger where a column is quoted.

    Raises:
        ValueError: there is no row in it.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise ValueError(f"this is no CSV: {error}") from None
    if not rows:
        raise ValueError("the table is empty")
    width = max(map(len, rows))
    columns = [_column(cells) for cells in zip(*(row + [""] * (width - len(row)) for row in rows), strict=True)]
    head, *body = ("".join(cells) for cells in zip(*columns, strict=True))
    lines = "\n".join(f"<tr>{row}</tr>" for row in body)
    note = f"<tfoot><tr><td colspan={width}>{QUOTED_NOTE}</td></tr></tfoot>\n" if any(map(is_quoted, rows[0])) else ""
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n{note}</table>"


def markdown(table: pd.DataFrame) -> str:
    """A data frame as a Markdown table; text stays as it is written, numbers get at most 6 digits."""
    marked = table.copy()
    for head in filter(is_quoted, table):
        marked[head] = [mark_quoted(cell, "*", f"*{DAGGER}") for cell in table[head]]
    text = [i for i, head in enumerate(marked) if marked[head].dtype.kind not in "iuf"]
    options = {}
    if len(table):  # of an empty table tabulate takes no columns' options
        align = ["right" if right else "left" for right in _right_aligned(table)]
        options["colalign"] = [way if i in text else "decimal" for i, way in enumerate(align)]
        options["disable_numparse"] = text
    marked.columns = [_one_cell(head) for head in marked]
    for i in text:
        marked.isetitem(i, [_one_cell(cell) for cell in marked.iloc[:, i]])
    lines = marked.to_markdown(index=False, **options)
    return lines + (f"\n\n{QUOTED_NOTE}\n" if any(map(is_quoted, table)) else "\n")


def _one_cell(value: Any) -> Any:
    """A bar would end the cell; escaped it is shown."""
    return value.replace("|", r"\|") if isinstance(value, str) else value


def latex(table: pd.DataFrame) -> str:
    """A data frame as a LaTeX tabular (booktabs, UTF-8); what LaTeX takes for a command is escaped."""
    marks = {head: lambda cell: mark_quoted(cell, r"\textit{", "}" + DAGGER) for head in filter(is_quoted, table)}
    align = "".join("r" if right else "l" for right in _right_aligned(table))
    text = table.to_latex(
        index=False, escape=True, formatters=marks, float_format="%.6g", na_rep="", column_format=align
    )
    if marks:
        text += rf"\par\smallskip{{\small {QUOTED_NOTE}}}" + "\n"
    return "% \\usepackage{booktabs}\n" + text.translate(str.maketrans(LATEX_SIGNS))


def is_quoted(head: Any) -> bool:
    """Whether a column with this head holds quoted numbers."""
    return str(head).endswith(QUOTED)


def mark_quoted(cell: Any, before: str, after: str) -> str:
    """A quoted cell between its marks; an empty one stays as it is."""
    text = f"{cell:.6g}" if isinstance(cell, float) else str(cell)
    return text if text in (*EMPTY, DASH) else f"{before}{text}{after}"


def round_alike(cells: list[str]) -> list[str] | None:
    """Numbers as text, rounded to the same decimals; None where a cell is no number.

    Whole numbers stay as they are, and no digits are added. A number that would be rounded to nothing keeps three.
    """
    try:
        numbers = [float(cell) for cell in cells if cell not in EMPTY]
    except ValueError:
        return None
    if not numbers:
        return None
    finite = [number for number in numbers if math.isfinite(number)]
    decimals = 0
    if any(number != int(number) for number in finite):
        digits = math.floor(math.log10(max(map(abs, finite)))) + 1
        decimals = min(max(SIGNIFICANT - digits, 0), MOST_DECIMALS, max(map(_decimals, cells)))
    return [DASH if cell in EMPTY else _number(float(cell), decimals) for cell in cells]


def _number(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    if math.isfinite(number) and number != 0 and float(text) == 0:
        text = f"{number:.3g}"
    return text.replace("-", MINUS).replace("inf", "∞")


def _decimals(cell: str) -> int:
    """How many decimals a number is written with."""
    digits, _, exponent = cell.lower().partition("e")
    return len(digits.partition(".")[2]) - int(exponent or 0)


def _column(cells: tuple[str, ...]) -> list[str]:
    head, *body = cells
    shown = round_alike(body) or [html.escape(cell) for cell in body]
    kinds = ["n"] * _are_numbers(body) + ["q"] * is_quoted(head)
    if is_quoted(head):
        shown = [mark_quoted(cell, "", DAGGER) for cell in shown]
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    return [f"<th{kind}>{html.escape(head)}</th>", *(f"<td{kind}>{cell}</td>" for cell in shown)]


def _are_numbers(cells: list[str]) -> bool:
    """Whether a column is numbers, as written by a machine or for a reader ("8.6 ± 0.1", "–")."""
    return round_alike(cells) is not None or (bool(cells) and all(map(NUMBER.fullmatch, cells)))


def _right_aligned(table: pd.DataFrame) -> list[bool]:
    return [_are_numbers([str(cell) for cell in table[head]]) for head in table]
