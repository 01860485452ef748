"""Designs of chairs: the same at every call, and every name is drawn."""

from glann_lib.shapes.chair_designs import CORNERS, FAMILIES, SHARES, draw_chair


def test_a_design_depends_on_its_number_only():
    assert draw_chair(10**9) == draw_chair(10**9)


def test_every_name_is_drawn():
    drawn = [draw_chair(number) for number in range(500)]
    for field in ("seat", "legs", "back", "arms", "stretchers"):
        plural = {"seat": "seats", "back": "backs"}.get(field, field)
        named = set().union(*(family[plural] for family in FAMILIES.values()))
        assert {getattr(chair, field) for chair in drawn} == named
    assert set(SHARES) == set(FAMILIES)
    assert {chair.seat for chair in drawn} == set(CORNERS)
