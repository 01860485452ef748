"""Figures and tables, and how each was made. Enters: arrays and numbers. Leaves: files under results/, for people."""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    runs="provenance run_directory save_figure save_table save_animation",
    plots="plot_images plot_strips",
)
