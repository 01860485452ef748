"""What a run leaves for people: figures, tables, and beside each the record of how it was made.

Enters: arrays and numbers. Leaves: PNG, PDF, GIF, CSV, Markdown, LaTeX and JSON under results/.
"""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    runs="provenance run_directory save_figure save_table save_animation",
    plots="plot_images plot_strips",
)
