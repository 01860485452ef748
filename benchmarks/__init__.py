"""What the library costs and gives, measured: `python -m benchmarks`, and the programs in each room."""

import glann_lib  # noqa: F401 (before torch: it settles how torch's threads wait)
