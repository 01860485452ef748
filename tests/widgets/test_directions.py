"""A shell over `moved` and `along`: what the sliders say is shown, and the last move has the last word."""

import threading

import pytest
import torch
from torch.nn.functional import normalize

from glann_lib import sampling
from glann_lib.config import make_config
from glann_lib.model import Glann
from glann_lib.networks import LatentMapper, make_generator
from glann_lib.sampling import LIVE, decode, draw_noise, run_blocks
from glann_lib.widgets import directions as directions_widget
from glann_lib.widgets.directions import DirectionsWidget, along, moved
from glann_lib.widgets.latent_directions import Direction, attribute_directions, principal_directions
from glann_lib.widgets.picture import png_bytes, strip_of


@pytest.fixture(scope="module")
def model(bars_model):
    return bars_model


@pytest.fixture(scope="module")
def unlabelled(model):
    return Glann(model.generator, model.mapper, model.latents, model.config, {})


@pytest.fixture
def widget(model):
    return DirectionsWidget(model, seed=4, count=2)


def latent_of(model, seed):
    return run_blocks(model.mapper, draw_noise(1, 8, seed))[0]


def strip(model, *args):
    """The images along a direction."""
    return decode(model.generator, along(*args), block=LIVE)


def test_an_image_moved_is_the_image_of_the_moved_latent(model):
    random = torch.Generator().manual_seed(0)
    first, second = normalize(torch.randn(2, 16, generator=random))
    latent = torch.randn(16, generator=random)
    directions = [Direction("first", first, 0.5), Direction("second", second, 0.25)]
    wanted = normalize(latent, dim=0) + 2 * 0.5 * first - 3 * 0.25 * second
    image = decode(model.generator, wanted[None])[0]
    assert (moved(model, latent, directions, (2, -3)).int() - image.int()).abs().max() <= 1
    still = decode(model.generator, latent[None])[0]
    assert (moved(model, latent, directions, (0, 0)).int() - still.int()).abs().max() <= 1
    assert not torch.equal(image, still)


def test_a_strip_goes_from_end_to_end_and_leaves_the_other_amounts(model):
    latent, directions = latent_of(model, 0), principal_directions(model.latents, 3)
    images = strip(model, latent, directions, (1.0, 0.5, -2.0), 1, 2.0)
    for place, amount in ((0, -2.0), (2, -1.0), (4, 0.0), (8, 2.0)):
        assert torch.equal(images[place], moved(model, latent, directions, (1.0, amount, -2.0)))
    assert len(images) == 9 and not torch.equal(images[0], images[8])


def test_a_strip_does_not_depend_on_the_amount_of_the_direction_that_moves(model):
    latent, directions = latent_of(model, 0), principal_directions(model.latents, 2)
    assert torch.equal(along(latent, directions, (3, 1), 0), along(latent, directions, (-1, 1), 0))
    assert not torch.equal(along(latent, directions, (3, 1), 0), along(latent, directions, (3, 2), 0))


def test_amounts_that_are_missing_are_told(model):
    with pytest.raises(ValueError, match="1 amounts for 2 directions"):
        moved(model, model.latents[0], principal_directions(model.latents, 2), (1.0,))


def test_at_first_the_seeds_own_image_is_shown(model, widget):
    directions = principal_directions(model.latents, 2)
    assert widget.picture.value == png_bytes(moved(model, latent_of(model, 4), directions, (0, 0)))
    assert widget.picture.caption == "seed 4" and widget.picture.alt == "image of seed 4"
    shown = moved(model, latent_of(model, 4), directions, (0, 0)).int()
    assert (shown - model.sample(1, 4)[0].int()).abs().max() <= 1


def test_a_slider_moves_the_image_and_has_a_strip(model, widget):
    widget.sliders[1].value = 1.5
    widget.wait()
    latent, directions = latent_of(model, 4), principal_directions(model.latents, 2)
    assert widget.picture.value == png_bytes(moved(model, latent, directions, (0, 1.5)))
    assert widget.picture.caption == "seed 4, principal direction 2 at +1.5"
    assert widget.strip.value == png_bytes(strip_of(strip(model, latent, directions, (0, 1.5), 1)))
    assert widget.strip.caption == "principal direction 2 from -3 to +3, the rest as above: seed 4"
    assert widget.strip.alt.startswith("9 images: principal direction 2")


def test_a_seed_is_moved_as_the_one_before_was(model, widget):
    widget.sliders[0].value, widget.seed.value = -2.0, 9
    widget.wait()
    directions = principal_directions(model.latents, 2)
    assert widget.picture.value == png_bytes(moved(model, latent_of(model, 9), directions, (-2, 0)))
    assert widget.picture.caption == "seed 9, principal direction 1 at -2"


def test_the_image_moves_towards_a_class(model, widget):
    widget.kind.value, widget.likeness.value, widget.sliders[0].value = 2, 2.0, 1.0
    widget.wait()
    latent = latent_of(model, 4)
    towards = attribute_directions(model.latents, model.labels, model.class_names)[2]
    directions = [*principal_directions(model.latents, 2), towards]
    assert widget.picture.value == png_bytes(moved(model, latent, directions, (1, 0, 2)))
    assert widget.picture.caption == "seed 4, principal direction 1 at +1, more like high at +2"
    assert widget.strip.caption.endswith("the rest as above: seed 4, more like high at +2")
    widget.likeness.value = -1.0
    widget.wait()
    assert widget.strip.value == png_bytes(strip_of(strip(model, latent, directions, (1, 0, -1), 2, 6.0)))
    assert widget.strip.caption.startswith("more like high from -6 to +6")
    assert widget.message.value == ""


def test_another_class_is_another_direction(widget):
    widget.likeness.value = 3.0
    widget.wait()
    before = widget.picture.value
    widget.kind.value = 1
    widget.wait()
    assert widget.picture.value != before and widget.picture.caption == "seed 4, more like middle at +3"


def test_the_image_is_one_of_a_class(widget, monkeypatch):
    drawn = []
    monkeypatch.setattr(Glann, "codes", lambda self, *given: drawn.append(given) or self.latents[:1])
    widget.of.value = 2
    widget.wait()
    assert drawn == [(1, 4, 2)] and widget.picture.caption == "seed 4 of class high"
    assert widget.of.options == (("any", None), ("low", 0), ("middle", 1), ("high", 2))


def test_a_class_that_is_never_drawn_is_said(widget, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_DRAWN", 64)
    monkeypatch.setattr(sampling, "VOTES", 48)  # all codes of the fixture, of all classes
    widget.of.value = 0
    widget.wait()
    assert "are of that class" in widget.message.value


def test_classes_without_names_have_their_numbers(model):
    widget = DirectionsWidget(Glann(model.generator, model.mapper, model.latents, model.config, {}, model.labels))
    assert widget.kind.options == (("0", 0), ("1", 1), ("2", 2))


def test_the_button_puts_everything_to_zero(widget):
    before, strip_before = widget.picture.value, widget.strip.value
    widget.likeness.value, widget.sliders[0].value = 2.0, 1.0
    widget.wait()
    widget.zero.click()
    widget.wait()
    assert [slider.value for slider in (*widget.sliders, widget.likeness)] == [0, 0, 0]
    assert (widget.picture.value, widget.strip.value) == (before, strip_before)
    assert widget.strip.caption.startswith("principal direction 1 from")


def test_of_quick_moves_the_last_one_is_shown(model, widget):
    for amount in (0.5, 1.0, -0.5, 2.5):
        widget.sliders[0].value = amount
    widget.wait()
    latent, directions = latent_of(model, 4), principal_directions(model.latents, 2)
    assert widget.picture.value == png_bytes(moved(model, latent, directions, (2.5, 0)))
    assert widget.strip.value == png_bytes(strip_of(strip(model, latent, directions, (2.5, 0), 0)))


def test_a_strip_is_given_up_when_something_newer_is_asked_for(widget, monkeypatch):
    """The second move comes while the first strip is drawn: of that, one image is."""
    drawn, begun, asked = [], threading.Event(), threading.Event()

    def watched(generator, latents, block):
        drawn.append(len(latents))
        if len(drawn) == 2:  # the picture was first
            begun.set()
            asked.wait(10)
        return decode(generator, latents, block=block)

    monkeypatch.setattr(directions_widget, "decode", watched)
    widget.sliders[0].value = 1.0
    assert begun.wait(10)
    widget.sliders[1].value = 2.0
    asked.set()
    widget.wait()
    assert drawn == [1] * (1 + 1 + 1 + 9)
    assert widget.strip.caption.startswith("principal direction 2")


def test_without_labels_the_controls_are_off_and_say_why(unlabelled):
    widget = DirectionsWidget(unlabelled)
    reason = "attribute directions are learned from labels, and this model's training images have none"
    assert widget.kind.disabled and widget.likeness.disabled and widget.kind.tooltip == reason
    lines = [control.value for control in widget.children[0].children[1].children if hasattr(control, "value")]
    assert any(reason in str(line) for line in lines)
    widget.sliders[2].value = 1.0
    widget.wait()
    assert widget.picture.caption == "seed 0, principal direction 3 at +1"


def test_labels_of_one_class_are_none_to_learn_from(model):
    labels = torch.zeros(48, dtype=torch.int64)
    widget = DirectionsWidget(Glann(model.generator, model.mapper, model.latents, model.config, {}, labels))
    assert widget.likeness.disabled and "of one class" in widget.likeness.tooltip


def test_every_control_has_a_label_that_is_not_cut_off_and_a_tooltip(widget):
    for control in (widget.seed, widget.of, *widget.sliders, widget.kind, widget.likeness):
        assert control.description and control.tooltip and control.style.description_width == "10.5em"


def test_a_model_of_shapes_is_refused():
    generator, mapper = make_generator((32, 32, 32), 16, "batch", voxel_channels=8), LatentMapper(8, 16, 16)
    shapes = Glann(generator, mapper, normalize(torch.ones(4, 16)), make_config("made-chairs"), {})
    with pytest.raises(ValueError, match="this model draws shapes"):
        DirectionsWidget(shapes)
