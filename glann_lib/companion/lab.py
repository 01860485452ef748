"""JupyterLab on one notebook: the command that starts it, reachable from this machine only and behind a token.

run_all.sh --lab becomes this command, and the browser tests start the same one. Only the standard library is needed,
as in `arguments`, which is asked before anything is installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

PLAYGROUND = "10_playground.ipynb"  # in the folder of the notebooks
ENVIRONMENT = {"JUPYTER_PREFER_ENV_PATH": "1"}  # the kernel of .venv, not one of the same name in the person's home
# Bytes of what the page may send, an uploaded image. Above Jupyter's own 10 MiB it would drop the connection, and the
# person would see nothing; so a file that is too large is refused by the widget, in words.
LARGEST_MESSAGE = 256 * 2**20

# As `python -m jupyterlab`, but Ctrl-C while it still imports ends it without a traceback.
START = """
import sys
try:
    from jupyterlab import labapp
    labapp.main()
except KeyboardInterrupt:
    sys.exit(130)
"""


def command(
    python: str | Path, notebook: str | Path, root: str | Path, *, browser: bool = True, port: int | None = None
) -> list[str]:
    """The command that starts JupyterLab with a notebook open; to be run with ENVIRONMENT.

    The token is left to Jupyter: a random one, which stands in the address that it prints, unless JUPYTER_TOKEN in
    the environment names one. It is no argument, since every user of a machine can read those. Ctrl-C ends the server
    and its kernels at once, without a question.

    Args:
        python: the Python that JupyterLab is installed for.
        notebook: opened at the start; lies in `root`.
        root: the folder that JupyterLab shows.
        browser: open the person's browser where there is one.
        port: this one and no other; None: 8888 or, where that is taken, one after it.

    Raises:
        ValueError: the notebook lies outside of the root.
    """
    return [str(python), "-P", "-c", START, *_options(Path(notebook), Path(root), browser, port)]


def _options(notebook: Path, root: Path, browser: bool, port: int | None) -> Iterator[str]:
    yield f"--ServerApp.root_dir={root.resolve()}"
    yield f"--LabApp.default_url=/lab/tree/{quote(_inside(notebook, root).as_posix())}"
    yield "--ServerApp.ip=127.0.0.1"
    yield "--ServerApp.answer_yes=True"
    yield f"--ServerApp.tornado_settings={{'websocket_max_message_size': {LARGEST_MESSAGE}}}"
    if not browser:
        yield "--no-browser"
    if port is not None:
        yield from (f"--ServerApp.port={port}", "--ServerApp.port_retries=0")
    if os.geteuid() == 0:  # Jupyter refuses to start as root otherwise
        yield "--allow-root"


def _inside(notebook: Path, root: Path) -> Path:
    """The notebook's place below the root, from which its address is made."""
    if not notebook.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{notebook} lies outside of {root}: name a notebook in it, or another root")
    return notebook.resolve().relative_to(root.resolve())
