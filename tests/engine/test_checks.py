"""Checks of settings: what passes, what is refused by its name in one line."""

from types import SimpleNamespace

import pytest

from glann_lib.engine.checks import first_line, require_choice, require_count, require_part, require_positive


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (require_count, (1, 7), (0, -1, 2.0, True, "3", None)),
        (lambda c, n: require_count(c, n, least=0), (0, 1), (-1, None)),
        (lambda c, n: require_count(c, n, least=2, optional=True), (2, None), (1, 0, 2.5)),
        (require_positive, (1, 1e-9), (0, -1.0, float("inf"), float("nan"), "1", None)),
        (require_part, (0, 0.0, 0.999), (1, -0.1, float("nan"), "0", None)),
        (lambda c, n: require_choice(c, n, ("left", 2)), ("left", 2), ("right", None)),
    ],
    ids=["count", "count from 0", "optional count from 2", "positive", "part", "choice"],
)
def test_a_field_passes_or_is_refused_by_its_name(check, good, bad):
    for value in good:
        check(SimpleNamespace(field=value), "field")
    for value in bad:
        with pytest.raises(ValueError, match="field") as error:
            check(SimpleNamespace(field=value), "field")
        assert "\n" not in str(error.value)


def test_several_fields_are_checked_at_once():
    fields = SimpleNamespace(first=1, second=0)
    for check in (require_count, require_positive):
        with pytest.raises(ValueError, match="second"):
            check(fields, "first", "second")
    with pytest.raises(ValueError, match=r"unknown side 'up': choose one of left, 2"):
        require_choice(SimpleNamespace(side="up"), "side", ("left", 2))


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("\nno disk\nat all"), "no disk"), (KeyError(), "KeyError"), (RuntimeError(" \n"), "RuntimeError")],
)
def test_an_error_is_told_in_a_line(error, line):
    assert first_line(error) == line
