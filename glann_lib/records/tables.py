"""Tables as text that reads well: CSV as columns for a page, data frames as Markdown and LaTeX; text stays literal.

Under a head that ends with "(quoted)" others' numbers are in italics, with a dagger that a line below explains.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from glann_lib.data.listing import printable

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

SIGNIFICANT = 4  # digits of a column's largest number; the others get as many decimals
MOST_DECIMALS = 4
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
EMPTY = ("", "nan", "NaN", "None")
QUOTED, DAGGER = "(quoted)", "\N{DAGGER}"
QUOTED_NOTE = f"{DAGGER} quoted from the paper, not measured here"
NUMBER = re.compile(rf"[-+{MINUS}]?\d[\d.,e-]*( ± \d[\d.,e-]*)?|{DASH}")
LATEX_SIGNS = {"±": r"$\pm$", DASH: "--", MINUS: "$-$", DAGGER: r"\dag{}", "<": "$<$", ">": "$>$", "∞": r"$\infty$"}
LATEX_SIGNS |= {"|": "$|$", "[": "{[}", "*": "{*}"}  # after a row's end brackets and stars are commands
LATEX_SIGNS |= {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\rightarrow$", "\N{MULTIPLICATION SIGN}": r"$\times$"}
QUANTILES = {"5% quantile": 0.05, "median": 0.5, "95% quantile": 0.95}


@dataclass(frozen=True)
class Column:
    """A column as a page shows it."""

    head: str
    cells: list[str]
    is_number: bool  # to stand on the right
    is_quoted: bool  # to look different; its cells have their dagger


def quantiles(values: Tensor) -> dict[str, float]:
    """Numbers of any shape, float, by the names of QUANTILES: the ends of a row of a table."""
    found = values.flatten().quantile(values.new_tensor(list(QUANTILES.values())))
    return dict(zip(QUANTILES, found.tolist(), strict=True))


def read_columns(text: str) -> list[Column]:
    """The columns of CSV whose first row is the head; short rows are filled up. ValueError for no CSV or no row."""
    import pandas as pd

    rows = pd.read_csv(io.StringIO(text), header=None, dtype=str, keep_default_na=False).fillna("")
    return [_column(head, cells) for head, *cells in rows.T.to_numpy().tolist()]


def _column(head: str, cells: list[str]) -> Column:
    shown = round_alike(cells) or cells
    if is_quoted(head):
        shown = [mark_quoted(cell, "", DAGGER) for cell in shown]
    return Column(head, shown, _are_numbers(cells), is_quoted(head))


def markdown(table: pd.DataFrame) -> str:
    """A data frame as a Markdown table; text is shown as written, numbers get at most 6 digits."""
    table = flat(table, markdown_text)
    marked = table.copy()
    for head in filter(is_quoted, table):
        marked[head] = [mark_quoted(cell, "*", f"*{DAGGER}") for cell in table[head]]
    text = [i for i, head in enumerate(marked) if marked[head].dtype.kind not in "iuf"]
    options = {}
    if len(table):  # of an empty table tabulate takes no columns' options
        align = ["right" if right else "left" for right in _right_aligned(table)]
        options["colalign"] = [way if i in text else "decimal" for i, way in enumerate(align)]
        options["disable_numparse"] = text
    lines = marked.to_markdown(index=False, **options)
    return lines + (f"\n\n{QUOTED_NOTE}\n" if any(map(is_quoted, table)) else "\n")


def latex(table: pd.DataFrame) -> str:
    """A data frame as a LaTeX tabular (booktabs, UTF-8), escaped."""
    table = flat(table)
    marks = {head: lambda cell: mark_quoted(cell, r"\textit{", "}" + DAGGER) for head in filter(is_quoted, table)}
    align = "".join("r" if right else "l" for right in _right_aligned(table))
    text = table.to_latex(
        index=False, escape=True, formatters=marks, float_format="%.6g", na_rep="", column_format=align
    )
    if marks:
        text += rf"\par\smallskip{{\small {QUOTED_NOTE}}}" + "\n"
    return "% \\usepackage{booktabs}\n" + re.sub("-(?=-)", "-{}", text).translate(str.maketrans(LATEX_SIGNS))


def markdown_text(text: str) -> str:
    """Text in one line, in which Markdown sees no marks."""
    return re.sub(r"([\\`*_\[\]<|$~#&])", r"\\\1", " ".join(encodable(text).split()))


def encodable(text: str) -> str:
    """Text with the replacement character for what cannot be written as UTF-8."""
    return str(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def flat(table: pd.DataFrame, change: Callable[[str], str] = printable) -> pd.DataFrame:
    """A data frame with its texts changed, for one, to be in one line and writable anywhere."""
    changed = table.map(lambda cell: change(cell) if isinstance(cell, str) else cell)
    return changed.rename(columns=lambda head: change(str(head)))


def is_quoted(head: Any) -> bool:
    """Whether a column with this head holds quoted numbers."""
    return str(head).endswith(QUOTED)


def mark_quoted(cell: Any, before: str, after: str) -> str:
    """A quoted cell between its marks; an empty one stays as it is."""
    text = f"{cell:.6g}" if isinstance(cell, float) else str(cell)
    return text if text in (*EMPTY, DASH) else f"{before}{text}{after}"


def round_alike(cells: list[str]) -> list[str] | None:
    """Numbers as text, rounded to the same decimals; None where a cell is no number, or all are empty.

    No digits are added, and a number that would be rounded to nothing keeps three.
    """
    try:
        numbers = [Decimal(cell) for cell in cells if cell not in EMPTY]
    except InvalidOperation:
        return None
    if not numbers:
        return None
    finite = [number for number in numbers if number.is_finite()]
    decimals = 0
    if any(number != int(number) for number in finite):
        digits = max(map(abs, finite)).adjusted() + 1  # before the point
        written = max(-number.as_tuple().exponent for number in finite)
        decimals = min(max(SIGNIFICANT - digits, 0), MOST_DECIMALS, written)
    return [DASH if cell in EMPTY else _number(float(cell), decimals) for cell in cells]


def _number(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    if math.isfinite(number) and number != 0 and float(text) == 0:
        text = f"{number:.3g}"
    return text.replace("-", MINUS).replace("inf", "∞")


def _are_numbers(cells: list[str]) -> bool:
    """As written by a machine or for a reader ("8.6 ± 0.1", "–")."""
    return round_alike(cells) is not None or (bool(cells) and all(map(NUMBER.fullmatch, cells)))


def _right_aligned(table: pd.DataFrame) -> list[bool]:
    return [_are_numbers([str(cell) for cell in table[head]]) for head in table]
