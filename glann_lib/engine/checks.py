"""Checks of settings: each refuses a field of a dataclass by its name, in one line that says what to give."""

from __future__ import annotations

import math
from typing import Any


def require_count(config: Any, *names: str, least: int = 1, optional: bool = False) -> None:
    """Refuse fields that are not whole numbers from `least` on; with `optional`, None passes too.

    Raises:
        ValueError: names the field.
    """
    for name in names:
        value = getattr(config, name)
        if optional and value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} is {value!r}: give a whole number, {least} or more")


def require_positive(config: Any, *names: str) -> None:
    """Refuse fields that are not finite numbers above 0.

    Raises:
        ValueError: names the field.
    """
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"{name} is {value!r}: give a number above 0")


def require_part(config: Any, *names: str) -> None:
    """Refuse fields that are not numbers from 0 to below 1.

    Raises:
        ValueError: names the field.
    """
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise ValueError(f"{name} is {value!r}: give a number from 0 to below 1")


def require_choice(config: Any, name: str, choices: tuple[Any, ...]) -> None:
    """Refuse a field that is none of `choices`.

    Raises:
        ValueError: names the field and the choices.
    """
    value = getattr(config, name)
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(map(str, choices))}")
