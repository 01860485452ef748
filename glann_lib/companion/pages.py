"""What the pages for people share: templates, names in words, and the commands that write what is published."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from glann_lib.data import places
from glann_lib.files import released
from glann_lib.records import tables

TEMPLATES = Path(__file__).with_name("templates")
NAMES = tomllib.loads(Path(__file__).with_name("names.toml").read_text(encoding="utf-8"))
WRONG = 2  # exit code
WORD = r"\d*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+\d*"  # of Hebrew, Arabic and their like
RIGHT_TO_LEFT = re.compile(rf"{WORD}(?:[ _.-]+{WORD})*")


def render(template: str, folder: Path = TEMPLATES, /, **values: Any) -> str:
    """A template with its values filled in; in .html every value is escaped unless it is marked as safe.

    Text goes through `md` in Markdown, in HTML through `bdi`, which keeps words from right to left from turning the
    line around; `url` is for a file's place. What is no UTF-8 becomes the replacement character.
    Raises ValueError where the template is missing or wrong, or asks for what it is not given: names the file.
    """
    import jinja2
    from markupsafe import Markup, escape

    in_html = jinja2.select_autoescape(["html.j2"], default=False)
    loader = jinja2.FileSystemLoader(folder)
    options = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    environment = jinja2.Environment(loader=loader, autoescape=in_html, undefined=jinja2.StrictUndefined, **options)
    environment.filters |= {"md": tables.markdown_text, "url": lambda place: quote(os.fsencode(place))}
    environment.filters["bdi"] = lambda text: Markup(RIGHT_TO_LEFT.sub(r"<bdi>\g<0></bdi>", str(escape(text))))
    try:
        return tables.encodable(environment.get_template(template).render(**values))
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(f"templates/{error.name}, line {error.lineno}: {error.message}") from None
    except (jinja2.TemplateNotFound, jinja2.UndefinedError) as error:
        raise ValueError(f"templates/{template}: {error.message}") from None


def run_parser(command: str, description: str, name: str, dirty: str) -> argparse.ArgumentParser:
    """The command line of what publishes a run, with the help of its name and of --dirty."""
    parser = argparse.ArgumentParser(prog=f"python -m glann_lib.companion.{command}", description=description)
    parser.add_argument("run", type=places.locate, metavar="RUN_FOLDER", help="for example results/mnist-quick")
    parser.add_argument("name", metavar="NAME", help=name)
    parser.add_argument("--folder", type=Path, default=released.FOLDER, help="where to (results/published)")
    parser.add_argument("--dirty", action="store_true", help=dirty)
    return parser


def obey(parser: argparse.ArgumentParser, action: Callable[..., str], argv: Sequence[str] | None) -> int:
    """Print what an action says that takes the options; returns the exit code, and refuses in one line."""
    options = parser.parse_args(argv)
    try:
        print(action(**vars(options)))
    except (OSError, ValueError) as error:
        print(f"{parser.prog.rpartition('.')[2]}: {error}", file=sys.stderr)
        return WRONG
    return 0
