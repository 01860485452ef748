"""What tests of the benchmarks share."""

import pytest

from benchmarks import __main__ as program


@pytest.fixture
def run(monkeypatch):
    """`python -m benchmarks` with these options, in this process."""

    def main(*options):
        monkeypatch.setattr("sys.argv", ["benchmarks", *map(str, options)])
        program.main()

    return main
