"""The models that the paper compares with, trained on the same images under a budget of generator steps.

Enters: images and GLANN's settings. Leaves: `Trained`, a function that draws samples, and what the training took.
"""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    contenders="CONTENDERS RIVALS Trained fit_glann fit_rival",
    gan="fit_gan",
    vae="fit_vae",
    pixel_imle="fit_pixel_imle",
    config="make_gan_config make_vae_config",
)
