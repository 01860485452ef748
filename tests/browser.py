"""A real browser on a real JupyterLab, for the tests of what a person sees; nothing else is reached.

`Lab` is the server, by the command of run_all.sh --lab, in a temporary folder with copies of the notebooks, and beside
it chromium; `Page` is one notebook in it, or any other page. Pictures for people to look at go to the folder that
`artefacts` names.
"""

import contextlib
import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from glann_lib.companion import lab

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no chromium here: apt install chromium, then ./run_all.sh --test again"
# WebGL by the processor; nothing is fetched from elsewhere. The sandbox needs rights that a container does not give.
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run")
FLAGS += ("--disable-background-networking", "--disable-component-update", "--disable-sync")
SETTINGS = {
    # All cells are in the page, also those that would have to be scrolled to.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
HARMLESS: tuple[str, ...] = ()  # parts of console errors that do not count, each with its reason
STATUS = ".jp-Notebook-ExecutionIndicator"
# JupyterLab shows the traceback of a cell that failed as it shows words on stderr.
COMPLAINTS = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
# The prompts of all code cells that hold code: "[3]:" has run, "[*]:" waits or runs, "[ ]:" has not run.
PROMPTS = """() => [...document.querySelectorAll(".jp-Notebook .jp-CodeCell")]
    .filter(cell => cell.querySelector(".cm-content").textContent.trim())
    .map(cell => cell.querySelector(".jp-InputPrompt").textContent.trim())"""


def find_chromium():
    """The path of chromium; without one the test is skipped, or fails where GLANN_REQUIRE_BROWSER is 1."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("GLANN_REQUIRE_BROWSER") == "1":
        pytest.fail(MISSING, pytrace=False)
    pytest.skip(MISSING)


def artefacts():
    """The folder of the pictures, made if needed: GLANN_ARTEFACTS, else results/browser."""
    folder = Path(os.environ.get("GLANN_ARTEFACTS") or ROOT / "results" / "browser")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def wait_until(condition, timeout, what):
    """Seconds until the condition holds, asked again and again."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout:
            raise AssertionError(f"{what() if callable(what) else what}: not within {timeout} s")
        time.sleep(0.02)
    return time.monotonic() - started


@contextlib.contextmanager
def chromium():
    """The browser while the block runs; where there is none, as `find_chromium`."""
    path = find_chromium()
    with sync_playwright() as player:
        found = player.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield found
        finally:
            found.close()


class Lab:
    """JupyterLab and chromium while the block runs.

    Args:
        notebooks: paths; they are copied, so that autosave changes nothing.
        environment: more variables for the server and its kernels, such as GLANN_RESULTS.
    """

    def __init__(self, *notebooks, environment=None):
        self.notebooks, self.environment, self.token = notebooks, environment or {}, secrets.token_hex(16)
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            find_chromium()  # before the server starts
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="glann_lab_")))
            self.root, self.log = self.folder / "notebooks", self.folder / "server.log"
            self.root.mkdir()
            copies = [shutil.copy(notebook, self.root) for notebook in self.notebooks]
            self._start(stack, copies[0])
            self.chromium = stack.enter_context(chromium())
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    @contextlib.contextmanager
    def open(self, name=None):
        """A page with the notebook of that file name, the first by default; at the end its kernel is shut down."""
        name = name or Path(self.notebooks[0]).name
        with self.chromium.new_context(viewport={"width": 1280, "height": 1400}) as context:
            page = Page(context.new_page())
            page.page.goto(f"{self.url}/lab/tree/{quote(name)}?token={self.token}&reset")
            # The page says "idle" before it has a kernel, and then runs nothing.
            wait_until(lambda: any(map(_is_ready, self._sessions(name))), 60, f"a kernel for {name}")
            yield page
        for session in self._sessions(name):
            self.ask(f"sessions/{session['id']}", "DELETE")

    def ask(self, path, method="GET"):
        """The answer of the server's interface, from JSON."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")

    def _sessions(self, name):
        return [session for session in self.ask("sessions") if session["path"] == name]

    def _start(self, stack, notebook):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = lab.command(sys.executable, notebook, self.root, browser=False, port=port)
        log = stack.enter_context(self.log.open("w"))
        self.server = subprocess.Popen(command, cwd=self.root, env=self._environment(), stdout=log, stderr=log)
        stack.callback(self._stop)
        wait_until(self._answers, 60, lambda: f"JupyterLab starts; it said:\n{self.log.read_text()}")

    def _environment(self):
        """Nothing of the person's own settings, and nothing left in their folders."""
        for plugin, values in SETTINGS.items():
            file = self.folder / "settings" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        own = {name: str(self.folder / name.lower()) for name in (*names, "JUPYTERLAB_WORKSPACES_DIR")}
        own |= {"JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"), "JUPYTER_TOKEN": self.token}
        return os.environ | lab.ENVIRONMENT | own | self.environment

    def _answers(self):
        assert self.server.poll() is None, f"JupyterLab ended; it said:\n{self.log.read_text()}"
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return bool(self.ask("status"))
        return False

    def _stop(self):
        self.server.terminate()
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()


class Page:
    """One notebook in the browser; `page` is Playwright's own, for everything that has no helper here."""

    def __init__(self, page):
        self.page, self.complaints = page, []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def run_all(self, timeout=60):
        """Run > Run All Cells; seconds until every cell ran, or one failed and the kernel is idle again."""
        started = time.monotonic()
        self.page.locator(f'{STATUS}[data-status="idle"]').wait_for()
        self.page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
        wait_until(self._finished, timeout, lambda: f"all cells run; {self.errors()}")
        return time.monotonic() - started

    def errors(self):
        """A line for everything that a person should not see: empty after a run without a fault."""
        lines = [f"error or stderr: {text.strip()}" for text in self.page.locator(COMPLAINTS).all_inner_texts()]
        prompts = self.page.evaluate(PROMPTS)
        lines += [f"code cell {n} has not run" for n, text in enumerate(prompts, 1) if not _is_count(text)]
        return lines + self.complaints

    def press(self, locator, key, times=1):
        """Press a key on an element, as fast as the browser takes it."""
        locator.focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def picture(self, locator):
        """What an element looks like, as PNG: equal bytes for equal looks."""
        return locator.screenshot(animations="disabled")

    def wait_until_changed(self, locator, before, timeout=10):
        """Seconds until an element looks other than `before`."""
        return wait_until(lambda: self.picture(locator) != before, timeout, "the picture changes")

    def screenshot(self, name, locator=None):
        """The page, or one element, as `name`.png among the artefacts."""
        path = artefacts() / f"{name}.png"
        (locator or self.page).screenshot(path=path)
        return path

    def record_gif(self, name, locator, action, frames, milliseconds=150):
        """An element before and after each of the actions, as `name`.gif among the artefacts.

        Args:
            name: of the file, without its ending.
            locator: the element.
            action: number of the frame from 1 on -> None; moves something.
            frames: how many, the first without an action.
            milliseconds: how long each is shown.
        """
        pictures = [self.picture(locator)]
        for number in range(1, frames):
            action(number)
            with contextlib.suppress(AssertionError):  # an action may well change nothing
                self.wait_until_changed(locator, pictures[-1], timeout=2)
            pictures.append(self.picture(locator))
        path = artefacts() / f"{name}.gif"
        _save_gif(path, pictures, milliseconds)
        return path

    def _finished(self):
        if self.page.locator(STATUS).first.get_attribute("data-status") != "idle":
            return False
        prompts = self.page.evaluate(PROMPTS)
        failed = self.page.locator(COMPLAINTS).count() > 0
        return "[*]:" not in prompts and (failed or all(map(_is_count, prompts)))

    def _hear(self, message):
        text = f"console: {message.text} ({message.location.get('url', '')})"
        if message.type == "error" and not any(part in text for part in HARMLESS):
            self.complaints.append(text)


def _is_ready(session):
    return session["kernel"]["connections"] > 0 and session["kernel"]["execution_state"] == "idle"


def _is_count(prompt):
    return prompt.strip("[]:").isdigit()


def _save_gif(path, pictures, milliseconds):
    """Frames of equal size with one palette, which keeps the file small and colours from flickering."""
    frames = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    width, height = frames[0].size
    tall = Image.new("RGB", (width, height * len(frames)))
    for number, frame in enumerate(frames):
        tall.paste(frame, (0, number * height))
    palette = tall.quantize(128)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, optimize=True)
