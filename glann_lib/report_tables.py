"""A CSV file as an HTML table that reads well: numbers right-aligned, rounded alike within a column."""

from __future__ import annotations

import csv
import html
import io
import math

SIGNIFICANT = 4  # digits of a column's largest number; the others get as many decimals
MOST_DECIMALS = 4
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
EMPTY = ("", "nan", "NaN", "None")


def table_html(text: str) -> str:
    """Render a table.

    Args:
        text: CSV whose first row is the head; rows that are too short are filled up.

    Returns:
        A <table> element.

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
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>"


def round_alike(cells: list[str]) -> list[str] | None:
    """Numbers as text, rounded to the same decimals; None where a cell is no number.

    Whole numbers stay as they are. A number that would be rounded to nothing keeps three digits.
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
        decimals = min(max(SIGNIFICANT - digits, 0), MOST_DECIMALS)
    return [DASH if cell in EMPTY else _number(float(cell), decimals) for cell in cells]


def _number(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    if math.isfinite(number) and number != 0 and float(text) == 0:
        text = f"{number:.3g}"
    return text.replace("-", MINUS).replace("inf", "∞")


def _column(cells: tuple[str, ...]) -> list[str]:
    head, *body = cells
    rounded = round_alike(body)
    kind = "" if rounded is None else " class=n"
    shown = [html.escape(cell) for cell in body] if rounded is None else rounded
    return [f"<th{kind}>{html.escape(head)}</th>", *(f"<td{kind}>{cell}</td>" for cell in shown)]
