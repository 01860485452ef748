"""Where this companion goes on from the paper: a third stage, other samplers, a loss that learns from the images alone.

Enters: images, codes, and what stages 1 and 2 left. Leaves: a generator, samplers of codes, losses, in their forms.
"""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    refining="Refinement fit_refinement load_refinement",
    samplers="SAMPLERS Sampler fit_sampler",
    self_supervised="fit_self_supervised self_supervised_loss",
)
