"""Images of one domain as those of another, without pairs, by NAM on GLANN's generator (Sec. 4.5).

Enters: two domains. Leaves: a mapping T, translations, and how a judge of the target domain sees them.
"""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    nam="fit_nam",
    translations="translate",
    config="NAMConfig make_translation_config",
    search="Target",
    task="TranslationTask",
    domains="pairs_of",
)
