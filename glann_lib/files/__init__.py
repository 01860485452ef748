"""Models as files: safetensors with one JSON record, made small, and those that are released.

Enters: generator, mapping, latents, settings. Leaves: one file, from which the same images are drawn again.
"""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    model_files="read write",
    released="available locate",
)
