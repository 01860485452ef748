"""Parts of chairs: thick enough to be voxels."""

from glann_lib.shapes.chair_designs import draw_chair
from glann_lib.shapes.chair_parts import chair_parts


def test_no_part_is_thinner_than_two_voxels():
    for number in range(300):
        for part in chair_parts(draw_chair(number)):
            for half in (part.half, part.half_top or part.half):
                assert 2 * min(half) >= 2 / 32
            assert part.high - part.low >= 2 / 32 - 1e-9
            assert part.wall == 0 or part.wall >= 2 / 32
