"""The README's tables, drawn from what is published; no number in them is typed by hand.

    python -m glann_lib.companion.readme_tables

A drawn table stands in README.md between two comments, which GitHub does not show:

    <!-- table: NAME (made by .venv/bin/python -m glann_lib.companion.readme_tables) -->
    <!-- end of table -->

What stands between them is written anew. --check changes nothing and fails where something else would be written.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from glann_lib.companion import readme_models, readme_scores, readme_times
from glann_lib.companion.catalogue import suggestion
from glann_lib.companion.readme_sources import Published
from glann_lib.engine import storage
from glann_lib.files import released
from glann_lib.records import runs

README = runs.ROOT / "README.md"
COMMAND = ".venv/bin/python -m glann_lib.companion.readme_tables"
START, CLOSE = "<!-- table:", "<!-- end of table -->"
BLOCK = re.compile(rf"^{START} (\S+) \(made by [^\n]+\) -->\n.*?^{CLOSE}\n", re.MULTILINE | re.DOTALL)
WRONG = 2  # exit code

TABLES: dict[str, Callable[[Published], str]] = {
    "released": readme_models.released_models,
    "frechet": readme_models.frechet,
    "moments": readme_models.moments,
    "table1": readme_scores.table1,
    "table1-classifier": readme_scores.table1_classifier,
    "chairs": readme_scores.chairs,
    "translation": readme_scores.translation,
    "speed": readme_times.speed,
    "estimates": readme_times.estimated,
}


def draw(name: str, published: Published) -> str:
    """One table as Markdown; `published` has noted afterwards which files its numbers are from.

    Raises:
        FileNotFoundError: nothing of what the table shows is published.
        ValueError: unknown name, or a record that is damaged or has no provenance; names the file.
    """
    if name not in TABLES:
        raise ValueError(f"unknown table {name!r}: {suggestion(name, TABLES)}")
    return TABLES[name](published)


def block(name: str, table: str) -> str:
    """A table between its two comments; the empty lines let every reader of Markdown see where it ends."""
    return f"{START} {name} (made by {COMMAND}) -->\n\n{table}\n\n{CLOSE}\n"


def redraw(text: str, folder: Path) -> tuple[str, list[str]]:
    """A page with all its tables drawn anew.

    Args:
        text: Markdown with blocks.
        folder: of what is published.

    Returns:
        The text, and the names of the tables that were others before.

    Raises:
        FileNotFoundError, ValueError: as `draw`; or a comment opens or closes no table.
    """
    changed = []

    def drawn(found: re.Match[str]) -> str:
        new = block(found[1], draw(found[1], Published(folder)))
        changed.extend([found[1]] * (new != found[0]))
        return new

    if len(re.findall(f"{START}|{CLOSE}", text)) != 2 * len(BLOCK.findall(text)):
        pair = f"{START} NAME (made by {COMMAND}) --> before it and {CLOSE} behind it"
        raise ValueError(f"a table stands not between two comments: write {pair}")
    return BLOCK.sub(drawn, text), changed


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the tables of a page anew, or check them; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m glann_lib.companion.readme_tables",
        description="Draw the README's tables from what is published.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 2 where a table differs")
    parser.add_argument("--readme", type=Path, default=README, help="the page (README.md)")
    parser.add_argument("--folder", type=Path, default=released.FOLDER, help="what is published (results/published)")
    options = parser.parse_args(argv)
    try:
        new, changed = redraw(options.readme.read_text(encoding="utf-8"), options.folder)
        names = ", ".join(dict.fromkeys(changed))
        if changed and options.check:
            raise ValueError(f"{options.readme.name} differs from what is published in: {names}; run {COMMAND}")
        if changed:
            storage.write_text(options.readme, new)
    except (OSError, ValueError) as error:
        print(f"readme_tables: {error}", file=sys.stderr)
        return WRONG
    print(f"{options.readme.name}: {f'drawn anew: {names}' if changed else 'every table is as published'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
