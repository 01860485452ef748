"""Figures: what is drawn where, pixel for pixel, in one style that is left behind nowhere."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from glann_lib.records import plots


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


CALLS = {
    "plot_images": lambda **options: plots.plot_images(pictures(7, 1, 8, 8), columns=3, **options),
    "plot_strips": lambda **options: plots.plot_strips(
        {"real": pictures(4, 3, 8, 8), "made": pictures(4, 3, 8, 8)}, **options
    ),
    "plot_curves": lambda **options: plots.plot_curves({"a": ([1, 2], [3, 4])}, "epoch", "loss", **options),
    "plot_bars": lambda: plots.plot_bars({"GLANN": 1.0, "Gaussian": 3.0}, "distance"),
    "plot_neighbours": lambda: plots.plot_neighbours(
        pictures(2, 1, 8, 8), {"latent": pictures(2, 3, 1, 8, 8), "pixels": pictures(2, 5, 1, 8, 8)}
    ),
}


def test_every_plot_is_tested_here():
    assert {name for name in dir(plots) if name.startswith("plot_")} == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_plot_gives_a_figure_and_leaves_nothing_behind(name):
    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    with plt.rc_context():
        figure = CALLS[name]()
        assert dict(mpl.rcParams) == settings
    assert isinstance(figure, Figure) and figure.axes
    assert plt.get_fignums() == figures  # closed: a notebook does not show it twice
    figure.canvas.draw()


@pytest.mark.parametrize("name", ["plot_images", "plot_strips", "plot_curves"])
def test_titles_stand_above(name):
    (ax,) = CALLS[name](title="A claim in words").axes
    assert ax.get_title("left") == "A claim in words"


def test_strips_are_drawn_into_given_axes():
    figure, (left, right) = plt.subplots(1, 2)
    assert CALLS["plot_strips"](ax=right) is figure
    assert right.has_data() and not left.has_data()
    plt.close(figure)


def test_the_style_is_the_houses():
    ax = plots.plot_curves({"a": ([1, 2], [3, 4])}, "epoch", "loss").axes[0]
    assert not ax.spines["top"].get_visible() and not ax.spines["right"].get_visible()
    assert ax.lines[0].get_color() == plots.COLOURS[0]


@pytest.mark.parametrize("last", [2, 3, 20, 30, 400])
def test_epochs_are_marked_by_whole_numbers(last):
    epochs = range(1, last + 1)
    ax = plots.plot_curves({"a": (epochs, list(epochs))}, "epoch", "loss").axes[0]
    ticks = ax.get_xticks()
    assert len(ticks) > 1 and all(tick == round(tick) for tick in ticks)


def test_parts_of_a_whole_keep_their_ticks():
    ax = plots.plot_curves({"a": ([0.0, 0.5, 1.0], [1, 2, 3])}, "recall", "precision").axes[0]
    assert any(tick != round(tick) for tick in ax.get_xticks())


def test_an_error_leaves_the_settings_alone():
    settings = dict(mpl.rcParams)
    with pytest.raises(Exception):  # noqa: B017 (whichever: there is nothing to draw)
        plots.plot_images(None)
    assert dict(mpl.rcParams) == settings
    plt.close("all")


def shown_pixels(ax):
    (image,) = ax.images
    assert image.get_interpolation() == "nearest"
    return np.asarray(image.get_array()), image


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_shown_as_they_are(channels):
    images = pictures(7, channels, 8, 8)
    ax = plots.plot_images(images, columns=3).axes[0]
    picture, image = shown_pixels(ax)
    side = 8 + plots.GAP
    assert picture.shape[:2] == (3 * side - plots.GAP, 3 * side - plots.GAP)
    for i, expected in enumerate(images):
        top, left = i // 3 * side, i % 3 * side
        cell = picture[top : top + 8, left : left + 8]
        assert np.array_equal(
            cell if channels == 1 else cell.transpose(2, 0, 1), expected[0] if channels == 1 else expected
        )
    assert (picture[:, 8:side] == 255).all() and (picture[2 * side :, side:] == 255).all()  # gaps and free places
    if channels == 1:
        assert image.get_clim() == (0, 255) and image.get_cmap().name == "gray"  # not stretched


def test_strips_have_their_names_in_order():
    strips = {"originals": pictures(4, 1, 8, 8), "epoch 1": pictures(4, 1, 8, 8, seed=1), "few": pictures(2, 1, 8, 8)}
    ax = plots.plot_strips(strips).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(strips)
    picture, _ = shown_pixels(ax)
    side = 8 + plots.GAP
    assert picture.shape == (3 * side - plots.GAP, 4 * side - plots.GAP)
    for r, (tick, images) in enumerate(zip(ax.get_yticks(), strips.values(), strict=True)):
        assert r * side < tick < r * side + 8
        assert np.array_equal(picture[r * side : r * side + 8, :8], images[0, 0])


def test_curves_hold_their_values_and_labels():
    curves = {"GLO": ([1, 2, 3], [9.0, 4.0, 1.0]), "IMLE": (range(1, 31), np.arange(30) + 1.0)}
    ax = plots.plot_curves(curves, "epoch", "loss", log=True).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("epoch", "loss", "log")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(curves)
    for line, (x, y) in zip(ax.lines, curves.values(), strict=True):
        assert np.array_equal(line.get_xdata(), list(x)) and np.array_equal(line.get_ydata(), y)
    single = plots.plot_curves({"GLO": curves["GLO"]}, "epoch", "loss").axes[0]
    assert single.get_legend() is None and single.get_yscale() == "linear"


def test_bars_run_from_top_to_bottom_with_their_values():
    values = {"GLANN": 12.3456, "Gaussian": 333.0, "reconstructions": 0.00123}
    ax = plots.plot_bars(values, "Frechet distance (lower is better)").axes[0]
    assert [bar.get_width() for bar in ax.patches] == list(values.values())
    assert [label.get_text() for label in ax.get_yticklabels()] == list(values)
    assert [text.get_text() for text in ax.texts] == ["12.3", "333", "0.00123"]
    assert ax.yaxis_inverted() and ax.get_xlabel() == "Frechet distance (lower is better)"


def test_neighbours_stand_beside_their_query():
    queries, near = pictures(2, 3, 8, 8), pictures(2, 4, 3, 8, 8, seed=1)
    figure = plots.plot_neighbours(queries, {"latent": near, "pixels": near[:, :1]})
    assert [ax.get_title("left") or ax.get_title() for ax in figure.axes] == ["image", "latent", "pixels"]
    side = 8 + plots.GAP
    for r in range(2):
        rows = slice(r * side, r * side + 8)
        pictures_shown = [shown_pixels(ax)[0][rows] for ax in figure.axes]
        assert np.array_equal(pictures_shown[0][:, :8].transpose(2, 0, 1), queries[r])
        for c in range(4):
            assert np.array_equal(pictures_shown[1][:, c * side : c * side + 8].transpose(2, 0, 1), near[r, c])


@pytest.mark.parametrize("decades", [0.5, 1, 2.4, 4])
def test_numbers_on_a_logarithmic_axis_do_not_overlap(decades):
    figure = plots.plot_curves({"a": (range(20), np.logspace(-4, -4 + decades, 20))}, "x", "y", log=True)
    figure.canvas.draw()
    axis = figure.axes[0].yaxis
    assert not any(label.get_text() for label in axis.get_minorticklabels())
    boxes = sorted((label.get_window_extent() for label in axis.get_majorticklabels()), key=lambda box: box.y0)
    low, high = figure.axes[0].bbox.intervaly
    boxes = [box for box in boxes if low <= (box.y0 + box.y1) / 2 <= high]
    assert len(boxes) >= 2 and all(a.y1 < b.y0 for a, b in itertools.pairwise(boxes))
