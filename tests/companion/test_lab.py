"""The command of JupyterLab: what it opens, for whom, and how it ends. The server itself answers in test_browser.py."""

import os
import signal
import subprocess
import sys

import pytest

from glann_lib.companion import lab

HEEDED = signal.SIGINT, signal.SIG_DFL


def options(*arguments, **more):
    """The command's options as a dictionary; flags are True."""
    _, safe_path, _, start, *words = lab.command(*arguments, **more)
    assert safe_path == "-P" and start == lab.START
    pairs = [word.partition("=") for word in words]
    return {name: value if equals else True for name, equals, value in pairs}


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "my notebooks" / "10_a&b #1.ipynb"
    path.parent.mkdir()
    path.touch()
    return path


def test_the_notebook_opens_in_the_folder_that_is_shown(notebook, tmp_path):
    found = options("python", notebook, tmp_path)
    assert found["--ServerApp.root_dir"] == str(tmp_path)
    assert found["--LabApp.default_url"] == "/lab/tree/my%20notebooks/10_a%26b%20%231.ipynb"


def test_paths_may_be_relative(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(notebook.parent)
    assert options("python", notebook.name, "..") == options("python", notebook, tmp_path)


def test_a_notebook_outside_of_the_folder_is_refused(notebook, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"lies outside of .*other: name a notebook in it, or another root$"):
        lab.command("python", notebook, tmp_path / "other")


def test_only_this_machine_is_served_and_the_token_is_left_to_jupyter(notebook, tmp_path):
    found = options("python", notebook, tmp_path)
    assert found["--ServerApp.ip"] == "127.0.0.1"
    assert not any(word in name for name in found for word in ("token", "password", "disable", "origin"))


def test_a_browser_is_opened_and_a_port_found_unless_said_otherwise(notebook, tmp_path):
    usual, told = options("python", notebook, tmp_path), options("python", notebook, tmp_path, browser=False, port=9)
    assert told == usual | {"--no-browser": True, "--ServerApp.port": "9", "--ServerApp.port_retries": "0"}


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_root_is_allowed_only_where_it_is_root(user, allowed, notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(lab.os, "geteuid", lambda: user)
    assert ("--allow-root" in options("python", notebook, tmp_path)) == allowed


def test_ctrl_c_at_once_is_quiet(tmp_path):
    (tmp_path / "jupyterlab.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)")
    command = lab.command(sys.executable, tmp_path / "a.ipynb", tmp_path)
    environment, pipe = os.environ | {"PYTHONPATH": str(tmp_path)}, subprocess.PIPE
    # A test run in the background ignores Ctrl-C, and so would what it starts.
    with subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, preexec_fn=lambda: signal.signal(*HEEDED)
    ) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert said == "" and process.returncode == 130
