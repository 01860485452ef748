"""Figures of networks and latents: what is drawn where, in the house's style, which is left behind nowhere."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from glann_lib.records import latent_plots


def picture(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


CALLS = {
    "plot_architecture": lambda: latent_plots.plot_architecture(np.arange(8.0), np.arange(16.0), picture(1, 8, 8)),
    "plot_projection": lambda **options: latent_plots.plot_projection(np.eye(5)[:, :2], [0, 1, 2, 0, 1], **options),
    "plot_covering": lambda: latent_plots.plot_covering(np.eye(4)[:, :2], {1: np.ones((3, 2)), 8: np.zeros((3, 2))}),
}


def test_every_plot_is_tested_here():
    assert {name for name in dir(latent_plots) if name.startswith("plot_")} == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_plot_gives_a_figure_and_leaves_nothing_behind(name):
    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    with plt.rc_context():
        figure = CALLS[name]()
        assert dict(mpl.rcParams) == settings
    assert isinstance(figure, Figure) and figure.axes
    assert plt.get_fignums() == figures  # closed: a notebook does not show it twice
    figure.draw_without_rendering()


def test_titles_stand_above():
    figure = CALLS["plot_projection"](title="A claim in words")
    assert figure.axes[0].get_title("left") == "A claim in words"


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_of_the_architecture_is_shown_as_it_is(channels):
    image = picture(channels, 8, 8)
    (shown,) = latent_plots.plot_architecture(np.arange(8.0), np.arange(16.0), image).axes[4].images
    assert shown.get_interpolation() == "nearest"
    assert np.array_equal(shown.get_array(), image[0] if channels == 1 else image.transpose(1, 2, 0))
    if channels == 1:
        assert shown.get_clim() == (0, 255) and shown.get_cmap().name == "gray"  # not stretched


def test_the_architecture_names_symbols_and_shapes():
    figure = latent_plots.plot_architecture(np.arange(32.0), np.arange(64.0), picture(3, 8, 8))
    words = " ".join(
        text for ax in figure.axes for text in [ax.get_title(), ax.get_title("left"), *(t.get_text() for t in ax.texts)]
    )
    for part in ("$e$", "[32]", "z = T(e)", "[64]", "$T$", "$G$", "G(z)", "[3, 8, 8]"):
        assert part in words, part


def test_a_projection_is_coloured_by_label():
    points = np.random.default_rng(0).normal(size=(30, 2))
    labels = np.arange(30) % 3
    ax = latent_plots.plot_projection(points, labels, class_names=("cat", "dog", "owl")).axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cat", "dog", "owl"]
    assert len(ax.collections) == 3
    for label, dots in enumerate(ax.collections):
        assert np.array_equal(dots.get_offsets(), points[labels == label])
    assert len({tuple(dots.get_facecolor()[0]) for dots in ax.collections}) == 3
    assert ax.get_aspect() == 1


@pytest.mark.parametrize("labels", [None, np.zeros(30, int), np.arange(30)], ids=["none", "one", "thirty"])
def test_a_projection_without_telling_labels_has_one_colour(labels):
    points = np.random.default_rng(0).normal(size=(30, 2))
    ax = latent_plots.plot_projection(points, labels).axes[0]
    assert len(ax.collections) == 1 and ax.get_legend() is None


def test_covering_has_a_panel_an_epoch():
    targets, mapped = np.random.default_rng(0).normal(size=(2, 20, 2))
    snapshots = {1: mapped, 16: mapped / 2, 200: targets}
    figure = latent_plots.plot_covering(targets, snapshots)
    assert [ax.get_title("left") or ax.get_title() for ax in figure.axes] == ["epoch 1", "epoch 16", "epoch 200"]
    for ax, cloud in zip(figure.axes, snapshots.values(), strict=True):
        grey, colour = ax.collections
        assert np.array_equal(grey.get_offsets(), targets) and np.array_equal(colour.get_offsets(), cloud)
    assert len({ax.get_xlim() for ax in figure.axes}) == 1  # comparable
    assert len(latent_plots.plot_covering(targets, {1: mapped}).axes) == 1


def test_names_of_classes_are_shown_as_they_are_and_our_formulas_as_such():
    names = ["$5 bill$_{", "_x", "two\nlines", "x" * 300]
    figure = latent_plots.plot_projection(np.eye(8)[:, :2], np.arange(8) % 4, names, title="$^$")
    figure.draw_without_rendering()
    (ax,) = figure.axes
    texts = ax.get_legend().get_texts()
    assert [text.get_text() for text in texts[:3]] == ["$5 bill$_{", "_x", r"two\nlines"]
    assert texts[3].get_text() == "x" * 20 + "…" + "x" * 20 and not any(text.get_parse_math() for text in texts)
    assert ax.get_title("left") == "$^$" and ax.get_window_extent().width > 0.4 * figure.bbox.width
    assert 5.6 < figure.get_figwidth() < 8  # wider, for the long one
    assert [dots.get_facecolor()[0].tolist() for dots in ax.collections] == [
        handle.get_facecolor()[0].tolist() for handle in ax.get_legend().legend_handles
    ]
    formulas = latent_plots.plot_architecture(np.arange(8.0), np.arange(16.0), picture(1, 8, 8)).findobj(Text)
    assert all(text.get_parse_math() for text in formulas if "$" in text.get_text())
