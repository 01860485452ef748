"""How far samples are from real images (Sec. 4.1, 4.2), and the paper's tables of it.

Enters: images, real ones and samples. Leaves: features, numbers, stored scores, tables, figures.
"""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    metrics="frechet_distance",
    precision_recall="precision_recall",
    evaluate="Reference ScoreBook",
    comparison="Contest",
    features="make_score_extractor",
    measures="METRICS",
)
