"""The paper's claims as measurements: modes, meaning of distances, paths, stability, and the choices it leaves unsaid.

Enters: images, codes, labels, and models as functions. Leaves: plain numbers with their spread, and records of scores.
"""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    meaning="attributes probe triplets",
    modes="count_modes stack",
    paths="measure_paths",
    sizes="count_all",
    choices="CHOICES prices score_choices",
    stability="score_stability spread",
)
