"""What the widgets share: the newest request is drawn, a mistake is one line and loses nothing."""

import threading
from types import SimpleNamespace

import ipywidgets
import pytest

from glann_lib.widgets.explorer import Explorer, require_kind


class Doubler(Explorer):
    """Shows twice its number; refuses odd ones, waits to be let go."""

    def __init__(self):
        self.number, self.shown = ipywidgets.IntText(2, description="number"), ipywidgets.Label()
        self.drawn, self.go = [], threading.Event()
        self.go.set()
        super().__init__([self.number, self.shown])
        self.start(self.number)

    def request(self):
        return self.number.value

    def draw(self, request):
        assert self.go.wait(10)
        self.drawn.append(request)
        if request % 2:
            raise ValueError(f"{request} <is odd>: choose an even number")
        self.say("")
        self.shown.value = str(2 * request)


def test_the_first_picture_is_there_at_once():
    assert Doubler().shown.value == "4"


def test_a_saved_page_says_what_stands_here():
    bundle = Doubler()._repr_mimebundle_()
    assert bundle["text/plain"] == "Doubler: moves when this notebook is run in JupyterLab"


def test_a_change_is_drawn():
    doubler = Doubler()
    doubler.number.value = 6
    doubler.wait()
    assert doubler.shown.value == "12" and doubler.drawn == [2, 6]


def test_only_the_newest_of_many_changes_is_drawn():
    doubler = Doubler()
    doubler.go.clear()
    for number in range(10, 60, 2):
        doubler.number.value = number
    assert doubler.superseded or doubler._latest._busy
    doubler.go.set()
    doubler.wait()
    assert doubler.shown.value == "116" and len(doubler.drawn) <= 3


def test_a_mistake_is_one_line_and_the_last_picture_stays():
    doubler = Doubler()
    doubler.number.value = 3
    doubler.wait()
    assert (
        "3 &lt;is odd&gt;: choose an even number" in doubler.message.value and 'role="status"' in doubler.message.value
    )
    assert doubler.shown.value == "4"
    doubler.number.value = 8
    doubler.wait()
    assert (doubler.message.value, doubler.shown.value) == ("", "16")


def test_models_of_another_kind_are_refused():
    images, shapes = (SimpleNamespace(generator=SimpleNamespace(shape=shape)) for shape in ((3, 32, 32), (32, 32, 32)))
    require_kind(images)
    require_kind(shapes, "shapes")
    with pytest.raises(
        ValueError, match=r"this model draws shapes, this widget shows images: use widgets\.ShapesWidget"
    ):
        require_kind(shapes)
    with pytest.raises(ValueError, match=r"draws images, .* shows shapes: use widgets\.InterpolationWidget"):
        require_kind(images, "shapes")
