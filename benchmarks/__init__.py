"""How fast the library's costly parts are against their textbook forms: `python -m benchmarks`."""
