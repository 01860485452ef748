"""The pages of numbers, drawn from what is published: results/published and its benchmarks, one table in README.md.

    python -m glann_lib.companion.numbers

The prose with its caveats stands in templates/numbers.md.j2 and templates/benchmarks.md.j2, the tables are drawn by
`number_runs` and `number_scores`. README.md is written by hand, but for the table between two comments, which GitHub
does not show. --check changes nothing and fails where something else would be written.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from glann_lib.companion import number_runs, number_scores, pages, paper_map
from glann_lib.companion.traced import Published
from glann_lib.engine import storage
from glann_lib.files import released
from glann_lib.records import runs

COMMAND = ".venv/bin/python -m glann_lib.companion.numbers"
PAGES = {"README.md": "numbers.md.j2", "benchmarks/README.md": "benchmarks.md.j2"}  # below results/published
START, CLOSE = f"<!-- scores: drawn by {COMMAND} -->", "<!-- end of scores -->"
BLOCK = re.compile(f"^{START}\n.*?^{CLOSE}\n", re.MULTILINE | re.DOTALL)


def draw(folder: Path, readme: Path, published: Published | None = None) -> dict[Path, str]:
    """Every page as it should be, by its place; `published` notes which files the numbers are from.

    Raises ValueError or FileNotFoundError where a score, a record or a template is missing or wrong: names the file.
    """
    published = published or Published(folder)
    values = {"runs": number_runs, "scores": number_scores, "paper": paper_map}
    values |= {"published": published, "command": COMMAND}
    drawn = {folder / place: pages.render(template, **values) for place, template in PAGES.items()}
    text = readme.read_text(encoding="utf-8")
    if len(BLOCK.findall(text)) != 1:
        raise ValueError(f"{readme.name} has no place for its table: write {START} before it and {CLOSE} behind it")
    block = f"{START}\n\n{number_scores.overview(published)}\n\n{CLOSE}\n"
    return drawn | {readme: BLOCK.sub(lambda _: block, text)}


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the pages anew, or check them; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m glann_lib.companion.numbers", description="Draw the pages of numbers from what is published."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 2 where a page differs")
    parser.add_argument("--readme", type=Path, default=runs.ROOT / "README.md", help="with the short table (README.md)")
    parser.add_argument("--folder", type=Path, default=released.FOLDER, help="what is published (results/published)")
    return pages.obey(parser, _draw_anew, argv)


def _draw_anew(folder: Path, readme: Path, check: bool) -> str:
    drawn = draw(folder, readme)
    old = {path: path.read_text(encoding="utf-8") if path.is_file() else "" for path in drawn}
    changed = {path: text for path, text in drawn.items() if text != old[path]}
    names = ", ".join(runs.shown(path) for path in changed)
    if changed and check:
        raise ValueError(f"not as published: {names}; run {COMMAND}")
    for path, text in changed.items():
        storage.write_text(path, text)
    return f"drawn anew: {names}" if changed else "every page is as published"


if __name__ == "__main__":
    sys.exit(main())
