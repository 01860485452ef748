"""Figures: what is drawn where, pixel for pixel, in one style that is left behind nowhere."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import unicodedata
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from glann_lib.records import plots, runs


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
    figure.draw_without_rendering()


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
    figure.draw_without_rendering()
    axis = figure.axes[0].yaxis
    assert not any(label.get_text() for label in axis.get_minorticklabels())
    boxes = sorted((label.get_window_extent() for label in axis.get_majorticklabels()), key=lambda box: box.y0)
    low, high = figure.axes[0].bbox.intervaly
    boxes = [box for box in boxes if low <= (box.y0 + box.y1) / 2 <= high]
    assert len(boxes) >= 2 and all(a.y1 < b.y0 for a, b in itertools.pairwise(boxes))


NAMES = ["$5 bill$_{", "$^$", "_x", "猫", "caf\udce9", "two\nlines", "\U0010fff0"]
SHOWN = ["$5 bill$_{", "$^$", "_x", "猫", r"caf\xe9", r"two\nlines", r"\U0010fff0"]  # the last is in no font


def as_shown(name):
    """A name of SHOWN on this system, which may have no font with Chinese letters."""
    return name if name != "猫" or plots._family("猫") else r"\u732b"


SHOWN = [as_shown(name) for name in SHOWN]


@contextlib.contextmanager
def nothing_said(caplog):
    """No warning, in whatever way: of missing letters, of missing fonts."""
    with warnings.catch_warnings(), caplog.at_level("WARNING"):
        warnings.simplefilter("error")
        yield
    assert caplog.records == []


DRAWN = {
    "a legend": lambda: plots.plot_curves({name: ([1, 2], [3, 4]) for name in NAMES}, "epoch", "loss"),
    "names of rows": lambda: plots.plot_strips({name: pictures(2, 1, 8, 8) for name in NAMES}),
    "names of bars": lambda: plots.plot_bars({name: 1.0 for name in NAMES}, "distance"),
    "titles": lambda: plots.plot_neighbours(pictures(1, 1, 8, 8), {name: pictures(1, 1, 1, 8, 8) for name in NAMES}),
}


@pytest.mark.parametrize("place", DRAWN)
def test_peoples_names_are_shown_as_they_are(place, caplog, tmp_path):
    with nothing_said(caplog):
        figure = DRAWN[place]()
        runs.save_figure(figure, tmp_path / "a", {})
        figure.draw_without_rendering()
    ax = figure.axes[-1]
    texts = {
        "a legend": lambda: ax.get_legend().get_texts(),
        "names of rows": ax.get_yticklabels,
        "names of bars": ax.get_yticklabels,
        "titles": lambda: [ax._left_title for ax in figure.axes[1:]],
    }[place]()
    assert [text.get_text() for text in texts] == SHOWN
    assert not any(text.get_parse_math() for text in texts)


@pytest.mark.parametrize("name", ["plot_images", "plot_strips", "plot_curves"])
def test_a_title_with_names_is_no_mathematics(name, caplog):
    with nothing_said(caplog):
        figure = CALLS[name](title=f"{NAMES[0]} of {NAMES[-2]}")
        figure.draw_without_rendering()
    assert figure.axes[0].get_title("left") == r"$5 bill$_{ of two\nlines"


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A system that has no fonts but matplotlib's own; the folder where its fonts lie."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    for folders in ("X11FontDirectories", "OSXFontDirectories"):
        monkeypatch.setattr(font_manager, folders, [str(folder)])
    monkeypatch.setattr(font_manager, "_get_fontconfig_fonts", list)
    known = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.ttflist[:] = [font for font in known if "mpl-data" in font.fname]
    caches = (plots._fonts, plots._family, font_manager.fontManager._findfont_cached)
    for cached in caches:
        cached.cache_clear()
    yield folder
    font_manager.fontManager.ttflist[:] = known
    for cached in caches:
        cached.cache_clear()


def write_font(path, family, letter):
    """A font that has one letter, a square."""
    builder, pen = FontBuilder(1000), TTGlyphPen(None)
    pen.moveTo((0, 0))
    for place in ((900, 0), (900, 900), (0, 900)):
        pen.lineTo(place)
    pen.closePath()
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(letter): "square"})
    builder.setupGlyf(dict.fromkeys([".notdef", "square"], pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", "square"], (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=0)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(path)


def test_a_font_that_has_the_letters_is_used_where_the_system_has_one(bare, caplog):
    write_font(bare / "new.ttf", "A Newcomer", "猫")  # since matplotlib has looked
    with nothing_said(caplog):
        figure = plots.plot_bars({"a 猫": 1.0, "a": 2.0}, "distance")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    new, plain = figure.axes[0].get_yticklabels()
    assert new.get_text() == "a 猫" and new.get_fontfamily() == [plots.FONT, "A Newcomer"]
    assert "A Newcomer" not in plain.get_fontfamily()
    pixels, box = np.asarray(canvas.buffer_rgba())[::-1], new.get_window_extent()
    part = pixels[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1), 0]
    assert ((part < 128).mean(axis=0) > 0.6).sum() > 5  # columns of the square


def test_without_a_font_that_has_the_letters_they_are_shown_as_escapes(bare, caplog):
    (bare / "damaged.ttf").write_bytes(b"no font")
    with nothing_said(caplog):
        figure = plots.plot_bars({"a 猫": 1.0}, "distance")
        figure.draw_without_rendering()
    assert figure.axes[0].get_yticklabels()[0].get_text() == r"a \u732b"


def test_korean_letters_in_parts_are_those_that_fonts_have():
    parts = unicodedata.normalize("NFD", "é")
    assert len(parts) == 2 and plots.literal(parts) == "é"


@pytest.mark.parametrize("letters", ["x" * 70, "ab" * 2000, "\n" * 60, "猫" * 70])
def test_a_long_name_loses_its_middle_and_not_the_layout(letters):
    name = f"first{letters}last"
    shown = plots.literal(name)
    assert shown.startswith("first") and shown.endswith("last") and "…" in shown and plots._width(shown) <= 41
    figure = plots.plot_bars({name: 1.0, "a": 2.0}, "distance")
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert ax.get_window_extent().width > 0.4 * figure.bbox.width and figure.get_figwidth() < 8
    assert min(label.get_window_extent().x0 for label in ax.get_yticklabels()) >= 0
    titled = plots.plot_images(pictures(4, 1, 8, 8), title=f"Images of {name * 9}, the first 4.")
    assert len(titled.axes[0].get_title("left")) <= plots.TITLE + 1


def test_a_name_of_40_letters_is_whole():
    assert plots.literal("x" * 40) == "x" * 40 and plots.literal("") == ""


SETTINGS = """
text.usetex: True
font.family: serif
font.size: 20
axes.facecolor: black
savefig.transparent: True
savefig.facecolor: red
savefig.format: svg
savefig.dpi: 300
pdf.fonttype: 3
path.sketch: 1, 100, 2
axes.formatter.use_mathtext: True
figure.autolayout: True
"""


@pytest.mark.parametrize("name", CALLS)
def test_a_figure_is_the_same_whatever_a_persons_own_settings(name, tmp_path):
    (tmp_path / "matplotlibrc").write_text(SETTINGS)
    runs.save_figure(CALLS[name](), tmp_path / "plain", {})
    with mpl.rc_context(fname=tmp_path / "matplotlibrc"):
        assert mpl.rcParams["text.usetex"]
        runs.save_figure(CALLS[name](), tmp_path / "own", {})
    for suffix in (".png", ".pdf"):
        assert (tmp_path / f"own{suffix}").read_bytes() == (tmp_path / f"plain{suffix}").read_bytes()


def test_the_same_holds_where_matplotlib_reads_the_settings_itself(tmp_path):
    (tmp_path / "matplotlibrc").write_text(SETTINGS)
    code = "import sys; from glann_lib.records import plots, runs; "
    code += (
        "figure = plots.plot_curves({'$a_': ([1, 2], [3, 4]), 'b': ([1, 2], [5, 40])}, 'x', 'y', 'A title', log=True); "
    )
    code += "runs.save_figure(figure, sys.argv[1], {})"
    for name, settings in (("plain", {}), ("own", {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")})):
        command = [sys.executable, "-P", "-c", code, str(tmp_path / name)]
        subprocess.run(command, check=True, cwd=runs.ROOT, env=os.environ | {"PYTHONPATH": str(runs.ROOT)} | settings)
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_a_caption_that_is_no_utf_8_is_written(tmp_path):
    figure = CALLS["plot_bars"]()
    path = runs.save_figure(figure, tmp_path / "a", {"caption": "Images of caf\udce9"})
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) == {"caption": "Images of caf\udce9"}
    _, words = figure._repr_mimebundle_()
    assert words["image/png"]["alt"] == "Images of caf\N{REPLACEMENT CHARACTER}"


def cells(figure):
    """Columns and rows of the pictures that a grid has room for, and the figure's size."""
    (ax,) = figure.axes
    height, width = ax.images[0].get_array().shape[:2]
    return width, height, *figure.get_size_inches()


@pytest.mark.parametrize(
    ("side", "columns", "rows", "inches"), [(64, 20, 5, 0.55), (128, 10, 10, 1.1), (256, 6, 7, 1.65), (512, 6, 7, 1.65)]
)
def test_large_images_are_fewer_in_full_rows_and_larger(side, columns, rows, inches):
    figure = plots.plot_images(np.zeros((100, 1, side, side), np.uint8), columns=20)
    width, height, wide, high = cells(figure)
    assert (width + plots.GAP, height + plots.GAP) == (columns * (side + plots.GAP), rows * (side + plots.GAP))
    assert wide == pytest.approx(columns * inches) and high == pytest.approx(rows * inches)
    assert max(wide, high) <= plots.WIDEST


def test_a_size_that_is_asked_for_is_kept_and_all_images_are_drawn():
    figure = plots.plot_images(np.zeros((120, 1, 150, 150), np.uint8), columns=8, cell=1.0)
    _, height, wide, high = cells(figure)
    assert (wide, high) == (8, 15) and height + plots.GAP == 15 * (150 + plots.GAP)


@pytest.mark.parametrize(
    ("side", "columns", "inches"), [(128, 7, 1.1), (256, 7, 1.65), (256, 11, 13 / 11), (64, 30, 0.55)]
)
def test_strips_of_large_images_are_larger_as_far_as_the_page_holds_them(side, columns, inches):
    images = np.zeros((columns, 1, side, side), np.uint8)
    assert plots.cell_of(images, columns) == pytest.approx(inches)
    *_, wide, high = cells(plots.plot_strips({"a": images, "b": images}))
    assert high == pytest.approx(2 * inches) and wide == pytest.approx(columns * inches, abs=0.2)
