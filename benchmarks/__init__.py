"""How fast the library's costly parts are against their textbook forms: `python -m benchmarks`."""

import glann_lib  # noqa: F401 (before torch: it settles how torch's threads wait)
