"""The latest value wins: of what is asked for during work only the newest is worked on."""

import threading
import time

import pytest

from glann_lib.widgets.latest import Latest


class Slow:
    """Work that waits until it is let go; keeps what it was given."""

    def __init__(self):
        self.seen, self.errors = [], []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.latest = Latest(self, self.errors.append)

    def __call__(self, value):
        self.seen.append(value)
        self.begun.release()
        assert self.go.acquire(timeout=10)
        if value == "bad":
            raise ValueError("a bad value")


@pytest.fixture
def slow():
    return Slow()


def test_what_waits_is_replaced_by_what_comes_after(slow):
    slow.latest.submit(0)
    assert slow.begun.acquire(timeout=10)
    for value in range(1, 100):
        slow.latest.submit(value)
    slow.go.release(2)
    slow.latest.wait(10)
    assert slow.seen == [0, 99]


def test_submitting_does_not_wait_for_the_work(slow):
    start = time.monotonic()
    for value in range(100):
        slow.latest.submit(value)
    assert time.monotonic() - start < 1 and slow.latest._busy | slow.latest.superseded
    slow.go.release(2)
    slow.latest.wait(10)


def test_long_work_sees_that_it_is_superseded(slow):
    slow.latest.submit(0)
    assert slow.begun.acquire(timeout=10) and not slow.latest.superseded
    slow.latest.submit(1)
    assert slow.latest.superseded
    slow.go.release(2)
    slow.latest.wait(10)
    assert not slow.latest.superseded


def test_an_error_is_handed_on_and_the_next_value_is_worked_on(slow):
    slow.go.release(2)
    slow.latest.submit("bad")
    slow.latest.wait(10)
    slow.latest.submit("good")
    slow.latest.wait(10)
    assert slow.seen == ["bad", "good"] and [str(error) for error in slow.errors] == ["a bad value"]


def test_waiting_gives_up_in_the_end(slow):
    slow.latest.wait(0)  # nothing was asked for
    slow.latest.submit(0)
    with pytest.raises(TimeoutError, match=r"still at work after 0\.05 s"):
        slow.latest.wait(0.05)
    slow.go.release()
    slow.latest.wait(10)


def test_none_is_a_value_like_any_other():
    seen = []
    latest = Latest(seen.append, seen.append)
    latest.submit(None)
    latest.wait(10)
    assert seen == [None]
