"""Every data set as one record. Enters: a name, a folder, a .zip. Leaves: `ImageData`, uint8 [N, C, S, S]."""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    images="load_images images_at_hand",
    record="ImageData",
    places="locate",
)
