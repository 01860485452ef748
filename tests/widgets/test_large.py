"""Widgets of large images: pictures of a sensible size on the page, small messages, and no long wait."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from glann_lib import Glann, widgets
from glann_lib.config import make_config
from glann_lib.glo import generator_of
from glann_lib.imle import make_mapper
from glann_lib.widgets.interpolation import FRAMES
from glann_lib.widgets.picture import FINE, Picture, png_bytes, shrunk, strip_of, widths_of

TINY = {"glo_resnet_channels": 1, "glo_latent_dim": 8, "imle_noise_dim": 4, "imle_hidden_dim": 8, "glo_loss": "l1"}
PAGE = 1000  # px that JupyterLab leaves for an output on a small screen


def untrained(side):
    config = make_config("made-landscapes", data_image_size=side, **TINY)
    torch.manual_seed(0)
    mapper = make_mapper(config.imle, 8)
    with torch.no_grad():
        mapper.train()(torch.randn(64, 4))
    latents = normalize(torch.randn(20, 8))
    return Glann(generator_of((3, side, side), config.glo), mapper, latents, config, {})


@pytest.fixture(scope="module", params=[128, 256, 512])
def model(request):
    return untrained(request.param)


def size_of(picture):
    return Image.open(io.BytesIO(picture.value)).size


def require_fitting(*pictures):
    for picture in pictures:
        assert 0 < size_of(picture)[0] <= FINE * picture.width <= FINE * PAGE


def test_a_path_has_fewer_images_where_each_takes_longer(model, tmp_path):
    side, widget = model.generator.shape[-1], widgets.InterpolationWidget(model, folder=tmp_path)
    assert widget.frames == {128: FRAMES, 256: 33, 512: 17}[side]
    assert widget.position.max == widget.play.max == widget.frames - 1
    assert widget.frames * widget.play.interval == pytest.approx(FRAMES * 60, rel=0.02)  # it plays as long
    require_fitting(widget.picture, widget.strip)
    assert widget.picture.width == widths_of(side)[0] and widget.strip.width // 9 >= 90
    widget.position.value = widget.frames - 1
    last = model.interpolate(0, 1, widget.frames)[-1]
    assert widget.picture.value == png_bytes(shrunk(last, FINE * widths_of(side)[0]))
    widget.save_gif.click()
    with Image.open(tmp_path / "seeds-0-1-noise-spherical.gif") as gif:
        assert gif.size == ({128: 256}.get(side, side),) * 2


def test_directions_map_and_inversion_fit_the_page(model):
    directions, chart = widgets.DirectionsWidget(model, count=2), widgets.MapWidget(model)
    require_fitting(directions.picture, directions.strip, chart.picture, chart.strip)
    assert chart.map.width + chart.strip.width < PAGE and directions.picture.width == chart.picture.width
    search = widgets.InversionWidget(model, steps=1, restarts=1)
    require_fitting(search.given, search.found, search.variation, search.strip)
    assert len(search._examples) == {128: 16}.get(model.generator.shape[-1], 8)


def test_starts_of_an_inversion_are_few_where_each_is_large(model):
    _, candidates, *_ = model._problem("noise", 0, torch.zeros(1, *model.generator.shape, dtype=torch.uint8))
    assert len(candidates) == {128: 256, 256: 64, 512: 32}[model.generator.shape[-1]]


def test_what_is_larger_than_the_page_shows_is_shrunk_before_it_travels():
    image = np.random.default_rng(0).integers(0, 256, (3, 40, 1200), dtype=np.uint8)
    assert shrunk(image, 1200) is image
    half = shrunk(image, 600)
    means = image.reshape(3, 20, 2, 600, 2).astype(float).mean((2, 4))
    assert half.shape == (3, 20, 600) and np.abs(half - means).max() <= 1
    picture = Picture(width=100)
    picture.show(image, "wide")
    assert size_of(picture) == (200, 7)


@pytest.mark.parametrize(("side", "width"), [(28, 224), (64, 224), (128, 256), (256, 256), (512, 384), (1024, 384)])
def test_no_picture_is_blown_up_or_fills_the_page(side, width):
    assert widths_of(side)[0] == width


def test_a_strip_of_large_images_travels_as_a_small_file():
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 512, 512), dtype=np.uint8)  # noise: the largest PNG
    picture = Picture(width=900)
    picture.show(strip_of(images), "noise")
    assert len(picture.value) < 1.2 * 3 * 1800 * 200 < len(png_bytes(strip_of(images))) / 5


def test_the_browser_smooths_only_what_it_shrinks():
    assert 'image.naturalWidth > model.get("width")' in str(Picture()._esm)
