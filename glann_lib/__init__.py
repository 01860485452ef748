"""GLANN: generative latent nearest neighbours (Hoshen, Li and Malik, CVPR 2019), to read, run and play with.

`from glann_lib import Glann` is all that most users need; the modules below hold one idea each. Nothing heavy is
imported until it is used.
"""

from typing import Any

__all__ = ["Glann"]


def __getattr__(name: str) -> Any:
    if name == "Glann":
        from glann_lib.model import Glann

        return Glann
    raise AttributeError(f"glann_lib has no {name!r}")
