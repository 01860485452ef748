"""Figures of translations: which cases are shown, pixel for pixel, and that nothing is left behind."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from glann_lib.records.plots import GAP
from glann_lib.translation.plots import plot_rows, plot_translations

SIZE = 8
CELL = SIZE + GAP


def of_values(values, channels=1):
    """Images of one value each."""
    return np.tile(np.array(values, np.uint8)[:, None, None, None], (1, channels, SIZE, SIZE))


def shown(ax, columns):
    """The colours [rows, columns, 3] of the images in a picture; each image must be of one colour."""
    (image,) = ax.images
    picture = np.asarray(image.get_array())
    assert picture.shape[1:] == (columns * CELL - GAP, 3) and (picture.shape[0] + GAP) % CELL == 0
    rows = (picture.shape[0] + GAP) // CELL
    cells = [
        [picture[r * CELL : r * CELL + SIZE, c * CELL : c * CELL + SIZE] for c in range(columns)] for r in range(rows)
    ]
    assert all((cell == cell[0, 0]).all() for row in cells for cell in row)
    return np.array([[cell[0, 0] for cell in row] for row in cells])


def values(ax, columns):
    """As `shown`, where every image is grey."""
    colours = shown(ax, columns)
    assert (colours == colours[..., :1]).all()
    return colours[..., 0].tolist()


def translations(images, channels=(1, 1), **options):
    """Image n is n, explained as 60 + n, translated to 120 + n; the losses are those of a seeded permutation."""
    parts = [of_values(np.arange(images) + start, c) for start, c in ((0, channels[0]), (60, channels[0]))]
    loss = np.random.default_rng(0).permutation(images) / 10
    return loss, plot_translations(*parts, of_values(np.arange(images) + 120, channels[1]), loss, **options)


@pytest.mark.parametrize("channels", [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_the_best_median_and_worst_cases_are_shown_by_loss(channels):
    loss, figure = translations(21, channels, count=5)
    order = np.argsort(loss)
    best, median, worst = figure.axes
    for ax, cases in ((best, order[:5]), (median, order[8:13]), (worst, order[16:])):
        assert values(ax, 5) == [cases.tolist(), (cases + 60).tolist(), (cases + 120).tolist()]
    assert loss[order[8:13]].tolist().index(np.median(loss)) == 2  # in the middle


def test_the_figure_says_what_each_row_and_panel_shows():
    _, figure = translations(21, count=5, title="A claim in words")
    figure.draw_without_rendering()
    for ax in figure.axes:
        assert [label.get_text() for label in ax.get_yticklabels()] == ["source", "T(G(z))", "translation"]
    assert [ax.get_title("left") for ax in figure.axes] == [
        "the best 5 of 21: loss 0 to 0.4",
        "the median 5 of 21: loss 0.8 to 1.2",
        "the worst 5 of 21: loss 1.6 to 2",
    ]
    assert figure.get_suptitle() == "A claim in words"


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_images_than_asked_for_are_all_shown(count):
    loss, figure = translations(count, count=12)
    order = np.argsort(loss)
    for ax in figure.axes:
        assert values(ax, count)[0] == order.tolist()
        assert f" {count} of {count}: " in ax.get_title("left")


def test_twelve_cases_are_shown_where_nothing_is_said():
    _, figure = translations(30)
    assert [len(values(ax, 12)[0]) for ax in figure.axes] == [12] * 3


def test_equal_losses_keep_the_order_of_the_images():
    images = of_values(range(6))
    figure = plot_translations(images, images, images, np.zeros(6), count=2)
    assert [values(ax, 2)[0] for ax in figure.axes] == [[0, 1], [2, 3], [4, 5]]


def test_rows_of_grey_and_colour_stand_in_one_picture():
    colour = of_values([10, 20, 30], 3)
    colour[:, 1] = 250
    figure = plot_rows({"digits": of_values([1, 2, 3]), "street": colour}, "Rows")
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert shown(ax, 3).tolist() == [[[n] * 3 for n in (1, 2, 3)], [[n, 250, n] for n in (10, 20, 30)]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["digits", "street"]
    assert ax.get_title("left") == "Rows"


@pytest.mark.parametrize(
    "draw",
    [lambda: translations(9, (1, 3), count=4)[1], lambda: plot_rows({"a": of_values([1]), "b": of_values([2], 3)})],
)
def test_a_plot_gives_a_figure_and_leaves_nothing_behind(draw):
    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    with plt.rc_context():
        figure = draw()
        assert dict(mpl.rcParams) == settings
    assert isinstance(figure, Figure) and figure.axes
    assert plt.get_fignums() == figures
    figure.draw_without_rendering()


def test_names_of_domains_are_shown_as_they_are():
    rows = plot_rows({"a": of_values([1])}, "$5 bill$_{ → _x\n")
    _, figure = translations(9, count=4, title="$^$ → $" + "x" * 300)
    for drawn in (rows, figure):
        drawn.draw_without_rendering()
    assert rows.axes[0].get_title("left") == r"$5 bill$_{ → _x\n"
    assert figure.get_suptitle() == "$^$ → $" + "x" * 38 + "…" + "x" * 45
    assert not any(text.get_parse_math() for text in figure.findobj(Text))
