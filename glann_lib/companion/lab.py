"""JupyterLab on one notebook: the command that starts it, reachable from this machine only and behind a token.

run_all.sh --lab becomes this command, and the browser tests start the same one. Only the standard library is needed,
as in `arguments`, which is asked before anything is installed.
"""

from __future__ import annotations

import os
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
    """The command, for some Python, that starts JupyterLab on a folder with a notebook in it open; needs ENVIRONMENT.

    It opens the person's browser where there is one, and takes `port` alone or, for None, 8888 or one after it. The
    token is left to Jupyter: a random one, which stands in the address that it prints, unless JUPYTER_TOKEN in the
    environment names one. It is no argument, since every user of a machine can read those. Ctrl-C ends the server and
    its kernels at once, without a question. ValueError where the notebook lies outside of the folder.
    """
    file, folder = Path(notebook).resolve(), Path(root).resolve()
    if not file.is_relative_to(folder):
        raise ValueError(f"{notebook} lies outside of {root}: name a notebook in it, or another root")
    options = [
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{quote(file.relative_to(folder).as_posix())}",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.answer_yes=True",
        f"--ServerApp.tornado_settings={{'websocket_max_message_size': {LARGEST_MESSAGE}}}",
    ]
    options += [] if browser else ["--no-browser"]
    options += [] if port is None else [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    options += ["--allow-root"] if os.geteuid() == 0 else []  # Jupyter refuses to start as root otherwise
    return [str(python), "-P", "-c", START, *options]
