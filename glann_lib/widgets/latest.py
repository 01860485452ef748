"""Work of which only the newest request counts: a dragged slider asks for more pictures than can be drawn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

NOTHING = object()


class Latest:
    """A thread that calls `work` with the newest value submitted, and `failed` with what it raises; one at a time."""

    def __init__(self, work: Callable[[Any], None], failed: Callable[[Exception], None]):
        self._work, self._failed = work, failed
        self._changed = threading.Condition()
        self._waiting: Any = NOTHING
        self._busy = False
        self._thread: threading.Thread | None = None

    @property
    def superseded(self) -> bool:
        """Whether a newer value waits: long work stops then."""
        return self._waiting is not NOTHING

    def submit(self, value: Any) -> None:
        """Ask for `value`, in place of one that waits; returns at once."""
        with self._changed:
            self._waiting = value
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="latest", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, timeout: float = 60) -> None:
        """Return once nothing is worked on or waits; TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy and not self.superseded, timeout):
                raise TimeoutError(f"still at work after {timeout:g} s")

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.superseded)
                value, self._waiting, self._busy = self._waiting, NOTHING, True
            try:
                self._work(value)
            except Exception as error:  # whatever it is, the next value deserves its turn
                self._failed(error)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
