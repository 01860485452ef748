"""Names of a room at the room's own door, each imported when it is first asked for.

`from glann_lib.scores import frechet_distance` then needs what `glann_lib.scores.metrics` needs and no more: the method
runs without pandas, matplotlib or trimesh, and the command line with the standard library alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def hand_on(room: str, **names: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` for the `__init__` of the package `room`.

    `names` are the public names of each of its modules, with spaces between them.
    """
    places = {name: f"{room}.{module}" for module, words in names.items() for name in words.split()}

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"{room} has no {name!r}")
        return getattr(importlib.import_module(places[name]), name)

    return get, lambda: sorted(places), sorted(places)
