"""What is moved by hand. Enters: a trained model. Leaves: pictures that follow sliders, clicks and drawings."""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    interpolation="InterpolationWidget",
    directions="DirectionsWidget",
    map="MapWidget",
    inversion="InversionWidget",
    shapes="ShapesWidget",
    latent_map="LatentMap",
    latent_directions="move principal_directions attribute_directions",
)
