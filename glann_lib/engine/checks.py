"""Checks of settings: each refuses a field of a dataclass by its name, a ValueError that says what to give.

And what an error says, in a line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any


def require_count(config: Any, *names: str, least: int = 1, optional: bool = False) -> None:
    """Refuse fields that are not whole numbers from `least` on; with `optional`, None passes too."""
    for name in names:
        value = getattr(config, name)
        if optional and value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} is {value!r}: give a whole number, {least} or more")


def require_positive(config: Any, *names: str) -> None:
    """Refuse fields that are not finite numbers above 0."""
    _require(config, names, lambda value: 0 < value < math.inf, "a number above 0")


def require_part(config: Any, *names: str) -> None:
    """Refuse fields that are not numbers from 0 to below 1."""
    _require(config, names, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def _require(config: Any, names: tuple[str, ...], fits: Callable[[float], bool], wanted: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int | float) or not fits(value):
            raise ValueError(f"{name} is {value!r}: give {wanted}")


def require_choice(config: Any, name: str, choices: tuple[Any, ...]) -> None:
    """Refuse a field that is none of `choices`."""
    value = getattr(config, name)
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(map(str, choices))}")


def require_read(config: Any, usual: Any, prefix: str, readers: Mapping[str, str], kind: str) -> None:
    """Refuse fields that are not as in `usual` where only another kind reads them, by `readers`, field -> kind."""
    for name, reader in readers.items():
        value = getattr(config, name)
        if reader != kind and value != getattr(usual, name):
            words = f"only the {reader} generator reads it, and this run has the {kind} one: leave it out"
            raise ValueError(f"{prefix}{name}={value} would change nothing: {words}")


def first_line(error: BaseException) -> str:
    """What an error says, its first line; the kind of one that says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
