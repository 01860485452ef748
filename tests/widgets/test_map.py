"""A shell over `at` and `nearest_training`; the picture's edges are the map's, so that a point in it is a place."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from glann_lib.config import make_config
from glann_lib.model import Glann
from glann_lib.networks import LatentMapper, make_generator
from glann_lib.records.latent_plots import TEN_COLOURS
from glann_lib.sampling import decode
from glann_lib.widgets.latent_map import LatentMap
from glann_lib.widgets.map import MapWidget, at, draw_map, nearest_training, place
from glann_lib.widgets.picture import png_bytes, strip_of


@pytest.fixture(scope="module")
def data(bars):
    return bars


@pytest.fixture(scope="module")
def model(bars_model):
    return bars_model


@pytest.fixture(scope="module")
def unlabelled(model):
    return Glann(model.generator, model.mapper, model.latents, model.config, {})


@pytest.fixture(scope="module")
def plane(model):
    return LatentMap.of(model.latents)


def clouds(count=40, seed=0):
    """Latents in two clouds far apart, and which."""
    kinds = torch.arange(count) % 2
    rows = 0.1 * torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    rows[:, 0] += 1
    rows[:, 1] += 2.0 * kinds - 1
    return normalize(rows), kinds


def test_the_corners_of_the_picture_are_those_of_the_map(plane):
    left, right, bottom, top = plane.extent()
    corners = [place(plane, corner) for corner in ((0, 0), (1, 0), (0, 1), (1, 1))]
    assert np.allclose(corners, [(left, top), (right, top), (left, bottom), (right, bottom)])
    assert np.allclose(place(plane, (0.5, 0.25)), ((left + right) / 2, top - 0.25 * (top - bottom)))


def test_a_latent_is_drawn_where_its_place_is():
    """The one latent far from the others is the one spot of ink far from theirs."""
    latents, _ = clouds()
    plane = LatentMap.of(torch.cat([latents[::2], latents[1:2]]))
    picture = draw_map(plane, width=200)
    x, y = plane.points[-1].tolist()
    side = np.sign(plane.points[-1, 0].item())
    ink = np.argwhere(picture.min(0) < 200)
    far = ink[(ink[:, 1] - 100) * side > 30]
    row, column = (far + 0.5).mean(0) / 200
    assert picture.shape == (3, 200, 200) and len(far)
    assert np.abs(np.subtract(place(plane, (column, row)), (x, y))).max() < 0.01 * (plane.extent()[1] * 2)


def test_each_class_has_its_colour_at_its_place():
    latents, kinds = clouds()
    plane = LatentMap.of(latents)
    picture = draw_map(plane, kinds, ("a", "b")).transpose(1, 2, 0).astype(int)
    for kind in (0, 1):
        colour = 0.75 * np.multiply(TEN_COLOURS(kind)[:3], 255) + 0.25 * 255  # on white
        near = np.argwhere(np.abs(picture - colour).max(2) < 4)
        found = [place(plane, ((column + 0.5) / 720, (row + 0.5) / 720)) for row, column in near]
        assert len(found) > 20
        assert np.sign(np.mean(found, 0)[0]) == np.sign(plane.points[kinds == kind, 0].mean().item())


def test_names_stand_at_the_means_and_the_colours_need_ten_classes_at_most():
    latents, kinds = clouds()
    plane = LatentMap.of(latents)
    assert (draw_map(plane, kinds) != draw_map(plane, kinds, ("a", "b"))).any()
    assert (draw_map(plane, torch.arange(40)) == draw_map(plane)).all()
    assert (draw_map(plane, torch.zeros(40, dtype=torch.long)) == draw_map(plane)).all()


def test_names_are_letters_and_no_formulas_and_a_persons_matplotlibrc_is_nothing_to_them():
    latents, kinds = clouds()
    plane = LatentMap.of(latents)
    drawn = draw_map(plane, kinds, ("$^$", "$5 bill$_{"))
    with plt.rc_context({"font.size": 30, "text.parse_math": True, "axes.facecolor": "red", "font.family": "serif"}):
        assert (draw_map(plane, kinds, ("$^$", "$5 bill$_{")) == drawn).all()
    assert (drawn != draw_map(plane, kinds, ("a", "b"))).any()


def test_names_of_classes_with_means_close_together_are_told_apart():
    """Two classes all over one another: the colours that only the names' rims have lie at two places."""
    latents, _ = clouds()
    kinds = torch.arange(40) // 2 % 2
    plane = LatentMap.of(latents)
    picture = draw_map(plane, kinds).transpose(1, 2, 0).astype(int)
    rims = [np.abs(picture - np.multiply(TEN_COLOURS(kind)[:3], 255)).max(2) < 2 for kind in (0, 1)]
    places = [np.argwhere(rim).mean(0) for rim in rims]
    means = [plane.points[kinds == kind].mean(0) for kind in (0, 1)]
    assert (means[0] - means[1]).norm() < 0.03 * 2 * plane.extent()[1]
    assert np.linalg.norm(places[0] - places[1]) > 0.04 * 720


def test_the_nearest_training_images_are_those_of_the_least_angle(plane):
    point = place(plane, (0.4, 0.7))
    cosines = plane.lift(torch.tensor([point])) @ plane.latents.T
    assert nearest_training(plane, point, 5) == cosines[0].argsort(descending=True)[:5].tolist()
    with pytest.raises(ValueError, match="49 neighbours"):
        nearest_training(plane, point, 49)


def test_the_image_at_a_point_is_that_of_its_code(model, plane):
    point = (0.1, -0.2)
    image = decode(model.generator, plane.lift(torch.tensor([point])))[0]
    assert (at(model, plane, point).int() - image.int()).abs().max() <= 1


def test_a_chosen_point_is_drawn_with_the_real_images_near_it(model, plane, data):
    widget = MapWidget(model, data.images)
    widget.map.point = (0.3, 0.6)
    widget.wait()
    point = place(plane, (0.3, 0.6))
    rows = nearest_training(plane, point)
    assert widget.picture.value == png_bytes(at(model, plane, point))
    assert widget.picture.caption == f"drawn at ({point[0]:.2f}, {point[1]:.2f}) of the map"
    assert widget.picture.alt == f"image {widget.picture.caption}"
    assert widget.strip.value == png_bytes(strip_of(data.images[rows]))
    classes = ", ".join(data.class_names[label] for label in data.labels[rows])
    assert widget.strip.caption == widget.strip.alt == f"nearest training images: {classes}"


def test_without_images_their_reconstructions_are_shown_and_said_to_be(unlabelled, plane):
    widget = MapWidget(unlabelled)
    rows = nearest_training(plane, place(plane, (0.5, 0.5)))
    assert widget.strip.value == png_bytes(strip_of(decode(unlabelled.generator, plane.latents[rows], block=1)))
    numbers = ", ".join(map(str, rows))
    assert widget.strip.caption == f"nearest training images, as the generator gives them back: numbers {numbers}"


def test_of_a_fast_drag_the_last_point_is_shown(model, plane):
    widget = MapWidget(model)
    for part in (0.2, 0.4, 0.8, 0.9):
        widget.map.point = (part, 0.5)
    widget.wait()
    assert widget.picture.value == png_bytes(at(model, plane, place(plane, (0.9, 0.5))))
    assert not widget.message.value


def test_the_map_asks_and_has_words(model, unlabelled, plane):
    words = MapWidget(model).map.alt
    part = f"map of 48 latents in two dimensions, which hold {plane.explained:.0%} of their variance; "
    assert words == part + "a colour for each class, its name at the mean: low, middle, high"
    assert MapWidget(unlabelled).map.alt == part + "all in one colour"
    widget = MapWidget(model, names=("x", "y", "z"))
    assert widget.map.asks and widget.map.caption and widget.map.alt.endswith("x, y, z")
    assert widget.map.value == png_bytes(draw_map(plane, model.labels, ("x", "y", "z")))


def test_images_of_another_number_size_or_type_are_refused(model, data):
    for images in (data.images[:5], data.images[..., :20], data.images.float()):
        with pytest.raises(ValueError, match=r"give the training images in their order, uint8 \[48, 1, 28, 28\]"):
            MapWidget(model, images)


def test_a_model_of_shapes_is_refused():
    generator, mapper = make_generator((32, 32, 32), 16, "batch", voxel_channels=8), LatentMapper(8, 16, 16)
    shapes = Glann(generator, mapper, normalize(torch.ones(4, 16)), make_config("made-chairs"), {})
    with pytest.raises(ValueError, match="this model draws shapes"):
        MapWidget(shapes)
