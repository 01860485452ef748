"""Every widget under one name: `widgets.DirectionsWidget(model)` in a notebook shows it. Each has a file of its own."""

from glann_lib.directions_widget import DirectionsWidget
from glann_lib.interpolation_widget import InterpolationWidget
from glann_lib.inversion_widget import InversionWidget
from glann_lib.map_widget import MapWidget
from glann_lib.shapes_widget import ShapesWidget

__all__ = ["DirectionsWidget", "InterpolationWidget", "InversionWidget", "MapWidget", "ShapesWidget"]
