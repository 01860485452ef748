"""What a folder of numbered notebooks holds: their titles and the parameters that each declares.

A notebook file is JSON, and a cell tagged `parameters` is plain assignments with a comment behind each. Both are read
here with the standard library only, so that the command line can list notebooks, and refuse a wrong name, before
anything is installed.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glann_lib import config


@dataclass(frozen=True)
class Parameter:
    """One assignment of a `parameters` cell, as it is written there."""

    name: str
    default: str  # Python source
    comment: str  # "" where there is none

    @property
    def value(self) -> Any:
        """What the default stands for; its source where that is no literal."""
        try:
            return ast.literal_eval(self.default)
        except (ValueError, TypeError, SyntaxError):
            return self.default


@dataclass(frozen=True)
class Notebook:
    """One numbered notebook and what it declares."""

    path: Path
    title: str  # first Markdown heading, else the file's name
    parameters: tuple[Parameter, ...] | None  # None: it has no cell tagged `parameters`

    @property
    def name(self) -> str:
        """The file's name without its suffix, "03_sampling"."""
        return self.path.stem

    @property
    def number(self) -> str:
        """The two digits in front, "03"."""
        return self.path.stem[:2]

    @property
    def kind(self) -> str:
        """What it works on, as `config.kind_of` says of its own data set, or "large images"; images where none."""
        own = [str(parameter.value) for parameter in self.parameters or () if parameter.name == "dataset"]
        kind = config.kind_of(own[0]) if own else "images"
        return "large images" if own and own[0] in config.LARGE else kind


def find_notebooks(folder: Path) -> list[Notebook]:
    """The numbered notebooks of `folder`, in running order; ValueError where one is bad, or none there."""
    paths = sorted(Path(folder).glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise ValueError(f"there is no numbered notebook in {folder}")
    return [read_notebook(path) for path in paths]


def read_notebook(path: Path) -> Notebook:
    """One notebook; ValueError where the file is none, or its `parameters` cell is not Python."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
        parameters = _parameters("".join(tagged[0]["source"])) if tagged else None
        return Notebook(path, title_of(cells, path.stem[:2]) or path.stem, parameters)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError, tokenize.TokenError) as error:
        raise ValueError(f"{path.name} is not a readable notebook ({type(error).__name__}: {error})") from None


def choose(notebooks: list[Notebook], words: Iterable[str]) -> list[Notebook]:
    """The notebooks that `words` name by number or name, in running order; ValueError where one names none of them."""
    chosen = {_find(notebooks, word).path for word in words}
    return [notebook for notebook in notebooks if notebook.path in chosen]


def describe(notebook: Notebook) -> str:
    """A notebook's name, title and kind, and its parameters with their defaults and comments, as lines of text."""
    assignments = [(f"{p.name} = {p.default}", p.comment) for p in notebook.parameters or ()]
    width = max((len(text) for text, _ in assignments), default=0)
    lines = [f"    {text:<{width}}  # {comment}" if comment else f"    {text}" for text, comment in assignments]
    heading = f"{notebook.name}: {notebook.title} (works on {notebook.kind})"
    return "\n".join([heading, *(lines or ["    (no parameters)"])])


def suggestion(word: str, known: Iterable[str]) -> str:
    """A piece of an error line: "did you mean X?" where one is near, else all that there are to choose from."""
    known = list(known)
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known) or 'none'}"


def title_of(cells: list[dict[str, Any]], number: str) -> str | None:
    """The first Markdown heading of a notebook's cells, without its marks and the notebook's number ("03 · ")."""
    texts = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    headings = (line for text in texts for line in text.splitlines() if line.startswith("#"))
    title = next(headings, None)
    return None if title is None else re.sub(rf"^0?{int(number)}\s*[.:·-]?\s+", "", title.lstrip("#").strip())


def _find(notebooks: list[Notebook], word: str) -> Notebook:
    wanted = Path(word).name.removesuffix(".ipynb").lower()
    for notebook in notebooks:
        name = notebook.name.lower()
        if wanted in (name, name[3:]) or wanted.zfill(2) == notebook.number:
            return notebook
    raise ValueError(f"unknown notebook {word!r}: {suggestion(wanted, [book.name for book in notebooks])}")


def _parameters(source: str) -> tuple[Parameter, ...]:
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and node.value is not None:
            default = ast.get_source_segment(source, node.value) or ""
            found.append(Parameter(target.id, default, comments.get(node.end_lineno, "")))
    return tuple(found)
