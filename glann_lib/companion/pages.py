"""Text for people from the templates beside this file: reports, cards, pages of what is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, folder: Path = TEMPLATES, /, **values: Any) -> str:
    """A template with its values filled in; in .html every value is escaped unless it is marked as safe.

    Raises ValueError where the template is missing or wrong, or asks for what it is not given: names the file.
    """
    import jinja2

    escape = jinja2.select_autoescape(["html.j2"], default=False)
    loader = jinja2.FileSystemLoader(folder)
    options = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    environment = jinja2.Environment(loader=loader, autoescape=escape, undefined=jinja2.StrictUndefined, **options)
    try:
        return environment.get_template(template).render(**values)
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(f"templates/{error.name}, line {error.lineno}: {error.message}") from None
    except (jinja2.TemplateNotFound, jinja2.UndefinedError) as error:
        raise ValueError(f"templates/{template}: {error.message}") from None
