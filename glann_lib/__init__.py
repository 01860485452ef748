"""GLANN: generative latent nearest neighbours (Hoshen, Li and Malik, CVPR 2019), to read, run and play with.

`from glann_lib import Glann` is all that most users need; the modules below hold one idea each. Nothing heavy is
imported until it is used.
"""

import os
from typing import Any

# Threads that wait for work soon sleep: those that spin take the processor from whatever else runs there, and two
# trainings at once take longer than one after the other. A short spin (some microseconds) bridges the gaps between
# small steps, where waking up would take longer than the work. Read by OpenMP once, when torch is imported; the
# notebooks that run_all.sh runs inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

__all__ = ["Glann"]


def __getattr__(name: str) -> Any:
    if name == "Glann":
        from glann_lib.model import Glann

        return Glann
    raise AttributeError(f"glann_lib has no {name!r}")
