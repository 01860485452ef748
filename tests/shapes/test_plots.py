"""Pictures of shapes: what is solid is drawn where it stands, from the side asked for, and nothing else."""

import base64

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from glann_lib.shapes import plots as shape_plots
from glann_lib.shapes.plots import AZIMUTH, PIXELS, plot_shape_strips, plot_shapes, plot_views, render, turntable, view

SIZE = 16


def cuboid(low, high):
    field = np.zeros((SIZE,) * 3, bool)
    field[tuple(map(slice, low, high))] = True
    return field


CUBE = cuboid((5, 5, 5), (11, 11, 11))
TOWER = cuboid((7, 7, 2), (9, 9, 14))


def inked(picture):
    """bool [H, W], where a picture [3, H, W] is not white."""
    return (picture < 250).any(0)


def test_pictures_have_the_size_asked_for_and_a_white_ground():
    pictures = render(np.stack([CUBE, TOWER]), pixels=40)
    assert pictures.shape == (2, 3, 40, 40) and pictures.dtype == np.uint8
    assert (pictures[:, :, [0, -1]] == 255).all() and (pictures[..., [0, -1]] == 255).all()
    assert all(0.02 < inked(picture).mean() < 0.5 for picture in pictures)


def test_bool_bytes_and_parts_of_1_are_the_same_shape():
    tensor = torch.from_numpy(CUBE)
    pictures = [render(fields[None], pixels=40) for fields in (CUBE, tensor.to(torch.uint8) * 255, CUBE.astype(float))]
    assert (pictures[0] == pictures[1]).all() and (pictures[0] == pictures[2]).all()


def test_a_tower_is_higher_than_wide_and_a_higher_block_is_drawn_higher():
    rows, columns = np.nonzero(inked(render(TOWER[None])[0]))
    assert np.ptp(rows) > 3 * np.ptp(columns)
    upper, lower = render(np.stack([cuboid((6, 6, 10), (10, 10, 13)), cuboid((6, 6, 3), (10, 10, 6))]))
    assert np.nonzero(inked(upper))[0].mean() < np.nonzero(inked(lower))[0].mean() - 20  # row 0 is the top


def test_what_stands_before_hides_what_stands_behind():
    front, back = cuboid((2, 5, 4), (4, 11, 12)), cuboid((12, 5, 4), (14, 11, 12))
    seen = [inked(picture) for picture in render(np.stack([front, front | back]), azimuth=180, elevation=0)]
    assert seen[1].sum() < 1.1 * seen[0].sum()


def test_the_view_turns_with_the_azimuth():
    long = cuboid((2, 7, 6), (14, 9, 10))
    along, across = (np.ptp(np.nonzero(inked(render(long[None], azimuth, 0)[0]))[1]) for azimuth in (0, 90))
    assert across > 3 * along


def test_upper_faces_are_brighter():
    picture = render(CUBE[None], elevation=45)[0].mean(0)
    rows, columns = np.nonzero(inked(render(CUBE[None], elevation=45)[0]))
    middle = int(np.median(columns))
    assert picture[rows.min() + 15, middle] > picture[rows.max() - 15, middle] + 20


def test_an_empty_shape_is_an_empty_picture():
    assert (render(np.zeros((1, SIZE, SIZE, SIZE), bool)) == 255).all()


def test_what_is_no_shape_is_an_error_not_an_empty_picture():
    with pytest.raises(ValueError, match="give bool, uint8, or floating point"):
        render(np.full((1, SIZE, SIZE, SIZE), 7.0))


def test_a_turntable_begins_at_the_fixed_view_and_keeps_the_light_with_the_viewer():
    frames = turntable(CUBE, frames=4, pixels=PIXELS)
    assert frames.shape == (4, 3, PIXELS, PIXELS)
    assert (frames[0] == render(CUBE[None])[0]).all()
    assert np.abs(frames[0].astype(int) - frames[1]).mean() < 1  # a cube looks the same from each of its sides
    assert (turntable(TOWER | cuboid((2, 7, 2), (9, 9, 4)), 2, pixels=40).std(0) > 0).any()


def test_figures_hold_every_shape():
    fields = np.stack([CUBE, TOWER, CUBE])
    tall, wide = plot_shapes(fields, columns=2), plot_shapes(fields, columns=3)
    assert tall.get_size_inches()[1] > wide.get_size_inches()[1]
    strips = plot_shape_strips({"one": fields, "two": fields[:1]}, title="rows")
    assert [text.get_text() for text in strips.axes[0].get_yticklabels()] == ["one", "two"]
    views = plot_views(fields[:2], (0, 90, 180))
    assert views.axes[0].images[0].get_array().shape[:2] == (2 * PIXELS + 2, 3 * PIXELS + 4)


def test_views_are_a_row_a_shape_and_a_column_a_side():
    picture = plot_views(np.stack([CUBE, TOWER]), (0, 90)).axes[0].images[0].get_array()
    expected = render(TOWER[None], AZIMUTH + 90)[0].transpose(1, 2, 0)
    assert (picture[-PIXELS:, -PIXELS:] == expected).all()


def test_the_view_to_turn_needs_no_network():
    page = view(TOWER).data
    assert page.count("<iframe") == 1 and "base64" in page
    assert not any(f"{mark}http" in page for mark in ('src="', "src='", "src=&quot;", "import &quot;"))
    with pytest.raises(ValueError, match="empty"):
        view(np.zeros((SIZE,) * 3, bool))


def test_the_view_to_turn_begins_as_the_pictures_are_seen():
    rotation = shape_plots._towards_viewer(30, 20)
    assert np.allclose(rotation @ rotation.T, np.eye(3)) and np.isclose(np.linalg.det(rotation), 1)
    assert np.allclose(shape_plots._towards_viewer(0, 0), [[0, 1, 0], [0, 0, 1], [1, 0, 0]])  # from +x: y is right
    assert rotation[1, 2] > 0.9 and rotation[0, 2] == 0  # z is up on the screen


def test_an_animation_is_shown_as_it_was_saved(tmp_path):
    path = tmp_path / "turn.gif"
    path.write_bytes(b"GIF89a...")
    page = shape_plots.animated(path, 'a "chair"').data
    assert base64.b64encode(b"GIF89a...").decode() in page and 'alt="a &quot;chair&quot;"' in page


def test_pictures_are_the_same_whatever_a_persons_own_settings():
    with plt.rc_context({"axes.facecolor": "red", "path.sketch": (1, 100, 2), "text.usetex": True}):
        own = render(CUBE[None], pixels=40)
    assert (own == render(CUBE[None], pixels=40)).all()


def test_what_an_animation_shows_is_said_in_letters_that_can_be_written(tmp_path):
    (tmp_path / "turn.gif").write_bytes(b"GIF89a...")
    page = shape_plots.animated(tmp_path / "turn.gif", "<caf\udce9>").data
    assert page.encode() and 'alt="&lt;caf\N{REPLACEMENT CHARACTER}&gt;"' in page
