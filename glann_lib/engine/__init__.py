"""How any training runs, whatever is trained: the loop, devices, files that are whole or not there.

Enters: a stage that knows one epoch. Leaves: its records, checkpoints, and the same weights after a stop as without.
"""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    training="Stage train run",
    devices="select_device resolve_precision seeded",
    storage="save_tensors load_tensors locked",
    graphs="Recording",
    stages="SteppedStage",
)
