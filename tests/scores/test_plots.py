"""Figures of scores: what is drawn where, one look a model, GLANN in front."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from glann_lib.records import plots
from glann_lib.scores import plots as score_plots

NAMES = ["MM-GAN", "NS-GAN", "LSGAN", "WGAN", "WGAN-GP", "DRAGAN", "BEGAN", "VAE", "VAE (perceptual loss)", "GLO"]
NAMES += ["IMLE", "GLANN", "reconstructions"]


def curves():
    angles = np.linspace(0, np.pi / 2, 30)
    return {name: (np.cos(angles) * 0.9**i, np.sin(angles) * 0.95**i) for i, name in enumerate(NAMES)}


def points():
    rng = np.random.default_rng(0)
    return {name: [tuple(pair) for pair in rng.uniform(0.9, 1, (3, 2))] for name in NAMES}


def pictures(count, channels=1, side=8):
    return np.random.default_rng(count).integers(0, 256, (count, channels, side, side), dtype=np.uint8)


def by_count():
    counts = np.array([100, 1000, 10000])
    return {name: (counts, (3.0 + i) * (1 + 600 / counts)) for i, name in enumerate(NAMES)}


CALLS = {
    "plot_prd_curves": lambda: score_plots.plot_prd_curves(curves()),
    "plot_recall_precision": lambda: score_plots.plot_recall_precision(points()),
    "plot_sample_rows": lambda: score_plots.plot_sample_rows({"GLANN": pictures(12)}),
    "plot_distance_by_count": lambda: score_plots.plot_distance_by_count(by_count(), "distance"),
    "plot_against": lambda: score_plots.plot_against({"GLO": (1.0, 9.0), "GLANN": (2.0, 4.0)}, "distance", "FID", 1.5),
    "plot_scores": lambda: score_plots.plot_scores({"GLO": [3.0, 4.0], "GLANN": [1.0]}, "FID"),
}


def lines_of(ax):
    return {line.get_label(): line for line in ax.lines}


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_every_plot_is_tested_here():
    made_here = {name for name in dir(score_plots) if name.startswith("plot_") and not hasattr(plots, name)}
    assert made_here == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_plot_gives_a_figure_and_leaves_nothing_behind(name):
    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    with plt.rc_context():
        figure = CALLS[name]()
        assert dict(mpl.rcParams) == settings
    assert isinstance(figure, Figure) and plt.get_fignums() == figures
    figure.draw_without_rendering()


def test_precision_is_drawn_against_recall():
    (ax,) = score_plots.plot_prd_curves(curves()).axes
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_box_aspect()) == ("recall", "precision", 1)
    assert legend_of(ax) == NAMES and ax.get_xlim() == ax.get_ylim()
    assert ax.get_xlim()[0] < 0 and 1 < ax.get_xlim()[1] < 1.05
    for name, (recall, precision) in curves().items():
        line = lines_of(ax)[name]
        assert np.array_equal(line.get_xdata(), recall) and np.array_equal(line.get_ydata(), precision)


@pytest.mark.parametrize("draw", [lambda: score_plots.plot_prd_curves(curves()), CALLS["plot_distance_by_count"]])
def test_the_highlighted_model_is_thick_and_in_front(draw):
    lines = lines_of(draw().axes[0])
    glann = lines.pop("GLANN")
    assert to_hex(glann.get_color()) == score_plots.HIGHLIGHT
    for line in lines.values():
        assert line.get_linewidth() < glann.get_linewidth() / 2 and line.get_zorder() < glann.get_zorder()
        assert to_hex(line.get_color()) != score_plots.HIGHLIGHT


def test_no_two_of_thirty_models_look_alike():
    looks = score_plots._looks([str(i) for i in range(30)] + ["GLANN"])
    for kind in ("linestyle", "marker"):
        assert len({(look["color"], look[kind]) for look in looks.values()}) == 31
    assert score_plots.GREY not in {look["color"] for look in looks.values()}
    without = score_plots._looks([str(i) for i in range(30)])
    assert all(without[name] == looks[name] for name in without)  # GLANN takes no rival's look


def test_every_trained_model_is_a_point():
    (ax,) = score_plots.plot_recall_precision(points()).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("recall $F_8$", "precision $F_{1/8}$")
    lines = lines_of(ax)
    for name, pairs in points().items():
        assert np.array_equal(lines[name].get_xydata(), pairs) and lines[name].get_linestyle() == "None"
    assert lines["GLANN"].get_marker() == "*" and {lines[name].get_marker() for name in NAMES[:5]} < set("os^DvPX")
    assert legend_of(ax) == NAMES


def test_a_model_without_points_is_no_error():
    (ax,) = score_plots.plot_recall_precision({"GLANN": [], "GLO": [(0.8, 0.6)]}).axes
    assert len(lines_of(ax)["GLANN"].get_xdata()) == 0


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 64)])
def test_sample_rows_have_their_names_and_the_first_images(channels, side):
    samples = {f"a model with a long name {i}": pictures(14 - i, channels, side) for i in range(4)}
    ax = score_plots.plot_sample_rows(samples).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(samples)
    picture = np.asarray(ax.images[0].get_array())
    step = side + plots.GAP
    assert picture.shape[:2] == (4 * step - plots.GAP, 12 * step - plots.GAP)
    last = samples["a model with a long name 0"][11]
    cell = picture[:side, 11 * step :]
    assert np.array_equal(cell, last[0] if channels == 1 else last.transpose(1, 2, 0))
    assert (picture[3 * step :, 11 * step :] == 255).all()  # eleven images: the last place stays white


def test_distances_by_count_are_drawn_on_logarithmic_axes():
    ax = score_plots.plot_distance_by_count(by_count(), "Fréchet distance").axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("number of samples", "Fréchet distance")
    for name, (counts, distances) in by_count().items():
        assert np.array_equal(lines_of(ax)[name].get_xydata(), np.stack([counts, distances], 1))
    ax.figure.draw_without_rendering()
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert {"100", "1,000", "10,000"} <= set(shown)


def test_a_point_stands_where_its_two_numbers_are():
    (ax,) = score_plots.plot_against({"GLO": (1.0, 9.0), "GLANN": (2.0, 4.0)}, "distance", "FID", 1.5).axes
    assert {name: tuple(lines_of(ax)[name].get_xydata()[0]) for name in ("GLO", "GLANN")} == {
        "GLO": (1, 9),
        "GLANN": (2, 4),
    }
    assert ax.lines[-1].get_xdata() == [1.5, 1.5]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("distance", "FID") and legend_of(ax) == ["GLO", "GLANN"]


def test_scores_have_a_dot_a_seed_and_their_mean():
    values = {"GLO": [30.0, 31.0, 35.6], "GLANN": [0.9712], "none yet": [], "BEGAN": [250.4]}
    (ax,) = score_plots.plot_scores(values, "FID (lower is better)", {"real images": 1.25}, log=True).axes
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "FID (lower is better)" and ax.yaxis_inverted()
    for row, (name, scores) in enumerate(values.items()):
        assert np.array_equal(lines_of(ax)[name].get_xdata(), scores)
        assert np.array_equal(lines_of(ax)[name].get_ydata(), [row] * len(scores))
    assert [text.get_text() for text in ax.texts] == ["32.2", "0.971", "\N{EN DASH}", "250"]
    names = {label.get_text(): label for label in ax.get_yticklabels()}
    assert list(names) == list(values)
    assert names["GLANN"].get_fontweight() == "bold" != names["GLO"].get_fontweight()
    assert to_hex(lines_of(ax)["GLANN"].get_color()) == score_plots.HIGHLIGHT != lines_of(ax)["GLO"].get_color()


def test_floors_are_vertical_lines_with_their_names():
    floors = {"real images": 1.25, "reconstructions": 1.3}
    (ax,) = score_plots.plot_scores({"GLANN": [4.0]}, "FID", floors).axes
    lines = [lines_of(ax)[name] for name in ("real images: 1.25", "reconstructions: 1.30")]
    assert [line.get_xdata()[0] for line in lines] == [1.25, 1.3] and legend_of(ax) == [x.get_label() for x in lines]
    assert lines[0].get_linestyle() != lines[1].get_linestyle()
    (bare,) = score_plots.plot_scores({"GLANN": [4.0]}, "FID").axes
    assert bare.get_legend() is None and bare.get_xscale() == "linear"


def test_a_narrow_logarithmic_axis_still_has_numbers():
    figure = score_plots.plot_scores({"GLANN": [3.1], "GLO": [3.9]}, "distance", log=True)
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    assert sum(low <= tick <= high for tick in figure.axes[0].get_xticks()) >= 3


@pytest.mark.parametrize("name", ["plot_prd_curves", "plot_recall_precision"])
def test_the_legend_stands_beside_the_panel_and_is_not_cut_off(name):
    figure = CALLS[name]()
    figure.draw_without_rendering()
    last = figure.axes[-1]
    legend, panel = last.get_legend().get_window_extent(), last.get_window_extent()
    assert panel.x1 <= legend.x0 and legend.x1 <= figure.bbox.x1 and legend.y0 >= 0


STRANGE = ["$5 bill$_{", "GLANN", "_x", "$^$", "two\nlines", "x" * 300]
SHOWN = ["$5 bill$_{", "GLANN", "_x", "$^$", r"two\nlines", "x" * 20 + "…" + "x" * 20]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: score_plots.plot_prd_curves({name: ([0, 1], [1, 0]) for name in STRANGE}),
        lambda: score_plots.plot_recall_precision({name: [(0.5, 0.5)] for name in STRANGE}),
        lambda: score_plots.plot_distance_by_count({name: ([1, 9], [9, 1]) for name in STRANGE}, "distance"),
        lambda: score_plots.plot_scores({name: [1.0] for name in STRANGE}, "distance"),
        lambda: score_plots.plot_sample_rows({name: pictures(12) for name in STRANGE}),
    ],
)
def test_names_of_models_are_shown_as_they_are(draw):
    figure = draw()
    figure.draw_without_rendering()
    (ax,) = figure.axes
    texts = ax.get_legend().get_texts() if ax.get_legend() else ax.get_yticklabels()
    assert [text.get_text() for text in texts] == SHOWN and not any(text.get_parse_math() for text in texts)
    assert ax.get_window_extent().width > 0.4 * figure.bbox.width
    labels = (ax.xaxis.label, ax.yaxis.label)
    assert all(label.get_parse_math() for label in labels if "$" in label.get_text())


def test_a_legends_names_stand_beside_their_own_lines():
    (ax,) = score_plots.plot_prd_curves({name: ([0, 1], [1, 0]) for name in STRANGE}).axes
    keys = dict(zip(SHOWN, ax.get_legend().legend_handles, strict=True))
    assert to_hex(keys["GLANN"].get_color()) == score_plots.HIGHLIGHT
    assert [key.get_color() for key in keys.values()] == [line.get_color() for line in ax.lines]
