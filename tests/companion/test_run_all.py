"""run_all.sh in a copy of the tree where python, venv and pip are played by a script: nothing is installed here."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from made_files import write_files, write_zip

from glann_lib.companion.arguments import UsageError, make_plan
from glann_lib.config import kind_of

ROOT = Path(__file__).resolve().parents[2]
PLAIN_PYTHON = getattr(sys, "_base_executable", sys.executable)  # the one that .venv was made from
TOOLS = ("bash", "cat", "cut", "dirname", "env", "flock", "grep", "mkdir", "rm", "tail")
TIMING = "reading the data and timing this machine, about 20 s\n"  # said where the plain Python happens to have torch
ACTOR = """\
#!/usr/bin/env bash
echo "$*" | head -n 1 >>"$CALLS"
case "$*" in
  *"import venv, ensurepip"*) [[ -z ${NO_VENV:-} ]] || exit 1 ;;
  "-m venv"*) mkdir -p "$4/bin"; echo "command = $4" >"$4/pyvenv.cfg"; cp "$0" "$4/bin/python"; exit ;;
  "-m pip --version") exit 0 ;;
  "-m pip install"*) echo "${PIP_SAYS:-fine}"; exit "${PIP_CODE:-0}" ;;
  "-P -m glann_lib.companion.pipeline"*) shift 3; echo "pipeline: $*"; exit 0 ;;
esac
exec PLAIN "$@"
"""


class Tree:
    """A copy of the repository with its own PATH."""

    def __init__(self, folder, write_notebook):
        self.root, self.bin, self.calls = folder / "my tree", folder / "bin", folder / "calls"
        shutil.copytree(ROOT / "glann_lib", self.root / "glann_lib", ignore=shutil.ignore_patterns("__pycache__"))
        self.bin.mkdir()
        for name in ("run_all.sh", "requirements.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root / name)
        write_notebook(self.root / "notebooks" / "00_overview.ipynb", title="The whole story")
        write_notebook(self.root / "notebooks" / "06_chairs_3d.ipynb", parameters="dataset = 'made-chairs'")
        write_notebook(self.root / "notebooks" / "07_nam_translation.ipynb", parameters="dataset = 'embedded'")
        for tool in (*TOOLS, "head", "cp"):
            if place := shutil.which(tool):
                (self.bin / tool).symlink_to(place)

    def add_python(self, text=ACTOR, name="python3.11"):
        file = self.bin / name
        file.write_text(text.replace("PLAIN", f"'{PLAIN_PYTHON}'"))
        file.chmod(0o755)

    def run(self, *argv, cwd=None, **environment):
        environment = {"PATH": str(self.bin), "CALLS": str(self.calls), "HOME": str(self.root)} | environment
        command = [str(self.bin / "bash"), str(self.root / "run_all.sh"), *argv]
        return subprocess.run(command, cwd=cwd or self.root, env=environment, capture_output=True, text=True)

    def installations(self):
        return sum("pip install" in line for line in self.calls.read_text().splitlines())


@pytest.fixture
def tree(tmp_path, write_notebook):
    return Tree(tmp_path, write_notebook)


@pytest.fixture
def ready(tree):
    tree.add_python()
    return tree


def one_line(done):
    assert done.stderr.startswith("run_all.sh: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_both_scripts_are_bash_and_may_be_started():
    for script in (ROOT / "run_all.sh", ROOT / ".ci" / "run"):
        subprocess.run(["bash", "-n", script], check=True)
        assert script.stat().st_mode & stat.S_IXUSR, f"chmod +x {script}"
        assert "set -euo pipefail" in script.read_text()
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", ROOT / "run_all.sh", ROOT / ".ci" / "run"], check=True)


def test_the_command_line_needs_the_standard_library_only():
    modules = "glann_lib.companion.arguments, glann_lib.companion.pipeline"
    command = [PLAIN_PYTHON, "-S", "-P", "-c", f"import {modules}, sys; assert 'torch' not in sys.modules"]
    subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--help"], "examples:"),
        (["--list"], "00_overview: The whole story"),
        (["--dry-run", "--set", "count=4"], "count = 4"),
        (["--dry-run", "--dataset", "mnist"], "my tree/results/mnist-quick"),
        (["--list"], "06_chairs_3d: A title (works on shapes)"),
        (["--dry-run", "--dataset", "made-chairs"], "my tree/results/made-chairs-quick"),
        (["--list"], "07_nam_translation: A title (works on translations)"),
        (["--help"], "./run_all.sh --lab                             open JupyterLab on the playground"),
        (["--dry-run", "--dataset", "mnist-to-svhn"], "my tree/results/mnist-to-svhn-quick"),
    ],
)
def test_questions_are_answered_before_anything_is_installed(ready, argv, said, tmp_path):
    done = ready.run(*argv, cwd=tmp_path)
    assert done.returncode == 0 and said in done.stdout
    assert done.stderr in ("", TIMING)
    assert not (ready.root / ".venv").exists() and not (ready.root / "results").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--datset"], "did you mean --dataset?"),
        (["--dataset", "folder:nowhere"], "folder:nowhere does not exist"),
        (["--dataset", "folder:~nobody2/x"], "folder:~nobody2/x does not exist"),  # no such user
        (["--dataset", "meshes:nowhere"], "meshes:nowhere does not exist"),
        (["--dataset", "cars:nowhere"], "cars:nowhere does not exist"),
        (["--dataset", "digits-to-nothing"], "unknown data set 'digits-to-nothing'"),
        (["--only", "6", "--dataset", "mnist"], "06_chairs_3d works on shapes: --dataset made-chairs"),
        (["--only", "7", "--dataset", "mnist"], "07_nam_translation works on translations: --dataset embedded"),
        (["--only", "9"], "unknown notebook"),
        (["--lab", "--dataset", "mnist"], "--lab takes no other option"),
        (["--lab"], "--lab opens notebooks/10_playground.ipynb, which is not there"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_installed(ready, argv, said):
    done = ready.run(*argv)
    assert done.returncode == 2 and said in one_line(done) and done.stdout == ""
    assert not (ready.root / ".venv").exists()


@pytest.mark.parametrize(
    "dataset", ["embedded", "mnist-street", "mnist-svhn", "car-to-car", "mnist-svhn-crops", "digits-to-street-digits"]
)
def test_only_the_notebook_on_translations_runs_on_pairs(dataset):
    plan = make_plan(["--dataset", dataset, "--set", "nam_epochs=3"])
    (step,) = plan.steps
    assert step.notebook.name == "07_nam_translation" and step.notebook.kind == "translations"
    assert step.parameters == step.parameters | {"dataset": dataset, "nam_epochs": 3, "profile": "quick"}
    left_out = " ".join(plan.left_out)
    assert all(number in left_out for number in ("00", "01", "02", "03", "04", "05", "06")) and "07" not in left_out


def test_other_data_leave_the_notebook_on_translations_out():
    for dataset in ("digits", "made-chairs"):
        plan = make_plan(["--dataset", dataset])
        assert plan.steps and "07" not in {step.notebook.number for step in plan.steps}
        assert "07" in " ".join(plan.left_out)
    (last,) = (step for step in make_plan([]).steps if step.notebook.number == "07")
    assert last.dataset == "embedded"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A person's folder: they work in it, far from the repository."""
    images = {f"{i}.png": b"" for i in range(3)}
    for name in ("my cars", "photos", "walk-to-me"):
        write_files(tmp_path / name, images)
    for name in ("cars.ZIP", "photos.zip"):
        write_zip(tmp_path / name, images)
    write_files(tmp_path, {"cars.npz": b"", "cars.csv": b"", "chairs/0.png": b""})
    monkeypatch.chdir(tmp_path)
    return os.path.relpath(tmp_path, ROOT)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cars:my cars", "cars:{}/my cars"),
        ("cars:./photos/../cars.ZIP", "cars:{}/cars.ZIP"),
        ("digits-to-folder:photos", "digits-to-folder:{}/photos"),
        ("folder:photos.zip-to-street-mnist", "folder:{}/photos.zip-to-street-mnist"),
        ("folder:walk-to-me-to-folder:photos", "folder:{0}/walk-to-me-to-folder:{0}/photos"),
        ("sedans-to-vans", "sedans-to-vans"),
    ],
)
def test_paths_of_translations_count_from_the_repository(own, typed, meant):
    (step,) = make_plan(["--dataset", typed]).steps
    assert step.dataset == step.parameters["dataset"] == meant.format(own)
    assert kind_of(step.dataset) == "translations" and not re.search(r":/|-to-/", step.dataset)


def test_a_folder_with_to_in_its_name_stays_a_folder_of_images(own):
    plan = make_plan(["--dataset", "folder:walk-to-me"])
    assert {step.notebook.kind for step in plan.steps} == {"images"}
    assert {step.dataset for step in plan.steps} == {f"folder:{own}/walk-to-me"}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("cars:", "cars: does not exist: name a folder of two sub-folders of cars with azimuths.csv, or its .zip"),
        ("cars:no\nwhere", "cars:no\\nwhere does not exist: name a folder of two sub-folders"),
        ("cars:nowhere", "cars:nowhere does not exist: name a folder of two sub-folders"),
        ("cars:cars.csv", "cars:cars.csv is neither a folder nor a .zip"),
        ("cars:cars.npz", "cars:cars.npz is neither a folder nor a .zip"),
        ("digits-to-folder:nowhere", "folder:nowhere does not exist: name a folder of images or a .zip of them"),
        ("folder:-to-digits", "folder: does not exist"),
        ("folder:cars.csv-to-digits", "folder:cars.csv is neither a folder nor a .zip"),
        ("digits-to-nothing", "unknown data set 'digits-to-nothing': choose one of digits, "),
        ("hatchbacks", "unknown data set 'hatchbacks': choose one of digits, "),
        ("embeded", "unknown data set 'embeded': did you mean embedded?"),
        ("mnist-shvn", "unknown data set 'mnist-shvn': did you mean mnist-svhn?"),
    ],
)
def test_wrong_names_of_translations_are_one_clear_line(own, typed, said):
    with pytest.raises(UsageError) as caught:
        make_plan(["--dataset", typed])
    assert str(caught.value).startswith(f"--dataset: {said}") and "\n" not in str(caught.value)


def test_the_first_start_installs_and_the_second_does_not(ready, tmp_path):
    done = ready.run("--only", "overview", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first.startswith("installing into ") and "3.2 GB are fetched and 6.4 GB kept" in first
    assert last == "pipeline: --only overview"
    assert ready.run().stdout == "pipeline: \n"
    assert ready.installations() == 1


FETCHED = """Collecting torch==2.15.0
  Downloading https://index/packages/torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl (1.2 GB)
  Downloading https://index/packages/tqdm-4.70.1-py3-none-any.whl (78.3 kB)
  Downloading https://index/packages/scipy-1.17.1-cp311-cp311-manylinux_2_27_x86_64.whl (35.0 MB)
"""


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "1:05  asking the package index"),
        (FETCHED, "1:05  fetching scipy (35.0 MB), 1200 MB so far"),
        (FETCHED + "Installing collected packages: torch, tqdm, scipy\n", "1:05  unpacking 2 of 3 packages"),
    ],
)
def test_the_installation_says_how_far_it_is_by_pips_log(tmp_path, log, said):
    (tmp_path / "install.log").write_text(log)
    script = (ROOT / "run_all.sh").read_text()
    function = script[script.index("how_far() {") : script.index("# watch_pip")]
    command = ["bash", "-euo", "pipefail", "-c", f"log=install.log\n{function}\nhow_far 65 2"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == said


def test_jupyterlab_starts_after_the_same_installation(ready, write_notebook):
    write_notebook(ready.root / "notebooks" / "10_playground.ipynb")
    done = ready.run("--lab")
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first.startswith("installing into ") and last == "pipeline: --lab"


def test_changed_requirements_are_installed_again(ready):
    ready.run()
    with (ready.root / "requirements.txt").open("a") as file:
        file.write("another==1.0\n")
    assert ready.run().stdout.startswith("installing into ")
    assert ready.run().stdout == "pipeline: \n" and ready.installations() == 2


def test_a_broken_off_installation_goes_on_without_its_halves(ready):
    assert ready.run(PIP_CODE="1").returncode == 1
    packages = ready.root / ".venv" / "lib" / "python3.11" / "site-packages"
    (packages / "half-1.0.dist-info").mkdir(parents=True)
    (packages / "whole-1.0.dist-info").mkdir()
    (packages / "whole-1.0.dist-info" / "RECORD").touch()
    assert ready.run().returncode == 0 and ready.installations() == 2
    assert [path.name for path in packages.iterdir()] == ["whole-1.0.dist-info"]
    assert sum(line.startswith("-m venv") for line in ready.calls.read_text().splitlines()) == 1


def test_a_moved_tree_gets_a_new_venv(ready, tmp_path):
    ready.run()
    ready.root = ready.root.rename(tmp_path / "moved")
    assert ready.run().stdout.startswith("installing into ")
    assert (ready.root / ".venv" / "pyvenv.cfg").read_text() == f"command = {ready.root}/.venv\n"


@pytest.mark.parametrize(
    ("pip_says", "said"),
    [
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError('<x>: Failed to establish a new "
            "connection: [Errno -3] Temporary failure in name resolution')': /simple/torch/\n"
            "ERROR: No matching distribution found for torch==2.15.0\n",
            "no network: pip cannot reach the package index; it said: ERROR: No matching distribution found for torch",
        ),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n", "no space left"),
        ("Collecting x\nERROR: x has no wheel for this machine\n", "it said: ERROR: x has no wheel for this machine"),
        ("first\n  something else", "it said: something else (/"),
        ("error: an inner one\n  ERROR: the outer\nnote: not pip's fault", "it said: ERROR: the outer (/"),
        ("\n", "it said:  (/"),
    ],
)
def test_a_failing_pip_is_one_clear_line(ready, pip_says, said):
    done = ready.run(PIP_CODE="1", PIP_SAYS=pip_says)
    assert done.returncode == 1 and said in one_line(done)
    assert re.search(r"\(.*/\.venv/install\.log\)$", done.stderr.strip())
    assert "pipeline" not in done.stdout and not (ready.root / ".venv" / "installed").exists()


def test_no_python_is_one_clear_line(tree):
    done = tree.run("--help")
    assert done.returncode == 1 and "Python 3.11 or newer is needed" in one_line(done)


def test_an_old_python_is_passed_over(tree):
    old = ACTOR.replace("case", "[[ $* != *version_info* ]] || exit 1\ncase", 1)
    tree.add_python(old, "python3")
    assert "Python 3.11 or newer is needed" in one_line(tree.run("--list"))
    tree.add_python(name="python")
    assert tree.run("--list").returncode == 0


def test_python_may_be_named(tree):
    tree.add_python(name="my python")
    done = tree.run("--list", PYTHON=str(tree.bin / "my python"))
    assert done.returncode == 0, done.stderr
    assert "Python 3.11 or newer is needed" in one_line(tree.run("--list", PYTHON="/no/python"))


def test_a_missing_venv_module_is_one_clear_line(ready):
    done = ready.run(NO_VENV="1")
    assert done.returncode == 1 and "apt install python3-venv" in one_line(done)


def test_a_tree_that_cannot_be_written_is_one_clear_line(ready):
    (ready.root / ".venv").write_text("in the way")
    done = ready.run()
    assert done.returncode == 1 and "cannot write to" in one_line(done)


@pytest.mark.parametrize("how", ["CDPATH", "link", "link to a link", "sh"])
def test_however_it_is_started_it_finds_its_own_folder(ready, how, tmp_path):
    script, shell = ready.root / "run_all.sh", str(ready.bin / "bash")
    (ready.bin / "readlink").symlink_to(shutil.which("readlink"))
    if how.startswith("link"):
        first, script = tmp_path / "first.sh", tmp_path / "links" / "second.sh"
        script.parent.mkdir()
        first.symlink_to(Path("my tree/run_all.sh"))
        script.symlink_to("../first.sh" if how == "link to a link" else ready.root / "run_all.sh")
    if how == "sh":
        script, shell = script.relative_to(ready.root), shutil.which("sh")
    environment = {"PATH": str(ready.bin), "CALLS": str(ready.calls), "HOME": str(ready.root), "CDPATH": ".:.."}
    done = subprocess.run([shell, script, "--list"], cwd=ready.root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("00_overview: The whole story")


def test_a_folder_that_was_deleted_is_one_clear_line(ready, tmp_path):
    (tmp_path / "gone").mkdir()
    code = f"cd '{tmp_path / 'gone'}' && rmdir ../gone && exec bash '{ready.root / 'run_all.sh'}' --list"
    environment = {"PATH": f"{ready.bin}:{os.environ['PATH']}", "CALLS": str(ready.calls), "HOME": str(ready.root)}
    done = subprocess.run(["bash", "-c", code], env=environment, capture_output=True, text=True)
    own = [line for line in done.stderr.splitlines() if not line.startswith("shell-init: ")]  # which bash itself says
    assert done.returncode == 1 and own == ["run_all.sh: the folder you are in was deleted: cd to one that is there"]


def test_the_exit_code_is_the_pipelines(ready):
    ready.add_python(ACTOR.replace('echo "pipeline: $*"; exit 0', "exit 7"))
    assert ready.run().returncode == 7


class Integration:
    """.ci/run in a tree where apt-get, sudo and run_all.sh are played by scripts."""

    def __init__(self, folder):
        self.root, self.bin, self.calls = folder / "my tree", folder / "bin", folder / "calls"
        (self.root / ".ci").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / ".ci" / "run", self.root / ".ci" / "run")
        for tool in ("bash", "cut", "dirname", "env", "tail", "touch", "chmod"):
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.add(self.root / "run_all.sh", 'echo "run_all.sh $* ${GLANN_REQUIRE_BROWSER:-}"; echo "1 passed"; exit 3')
        self.add(self.bin / "sudo", '[[ $1 == -n ]] && shift && exec "$@"')

    @staticmethod
    def add(file, text):
        file.write_text(f"#!/usr/bin/env bash\n{text}\n")
        file.chmod(0o755)

    def run(self, cwd="/"):
        command = [str(self.bin / "bash"), str(self.root / ".ci" / "run")]
        return subprocess.run(command, cwd=cwd, env={"PATH": str(self.bin)}, capture_output=True, text=True)


@pytest.fixture
def integration(tmp_path):
    return Integration(tmp_path)


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_continuous_integration_calls_the_test_command(name, integration):
    integration.add(integration.bin / name, "")
    done = integration.run()  # there is no apt-get: it is not needed
    assert (done.stdout, done.stderr, done.returncode) == ("run_all.sh --test 1\n1 passed\n", "", 3)


def test_continuous_integration_installs_a_browser_that_is_missing(integration):
    install = f'echo "noise"; echo "$*" >>"{integration.calls}"\n'
    install += (
        f'[[ $1 != install ]] || {{ touch "{integration.bin}/chromium"; chmod +x "{integration.bin}/chromium"; }}'
    )
    integration.add(integration.bin / "apt-get", install)
    done = integration.run()
    assert done.stdout == "run_all.sh --test 1\n1 passed\n" and done.stderr == ""
    update, installed = integration.calls.read_text().splitlines()
    assert update == "update -qq" and installed == "install -y -qq --no-install-recommends chromium"


@pytest.mark.parametrize(
    ("apt", "said"),
    [
        ("echo first; echo 'E: no network' >&2; exit 100", "it said: E: no network"),
        ("echo 'all is well'", "it said: all is well"),
        (None, "command not found"),
    ],
)
def test_continuous_integration_without_a_browser_is_one_clear_line(apt, said, integration):
    if apt is not None:
        integration.add(integration.bin / "apt-get", apt)
    done = integration.run()
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(".ci/run: no chromium here, and apt-get cannot install it: install it, then start")
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_continuous_integration_may_be_started():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# What a person's own surroundings say is not for the runs


FOREIGN = {
    "PYTHONHOME": "/nowhere",
    "PYTHONOPTIMIZE": "2",
    "PYTHONIOENCODING": "ascii",
    "PYTHONUTF8": "0",
    "PYTHONWARNINGS": "error",
    "LC_ALL": "C",
    "MPLBACKEND": "TkAgg",
}
SURROUNDINGS = """\
import locale, sys
import matplotlib
import matplotlib.pyplot as plt
print("kernel", sys.executable, sys.flags.optimize, matplotlib.rcParams["text.usetex"])
print("words", "caf\u00e9", "\u732b", "math" in sys.modules and not hasattr(sys.modules["math"], "broken"))
figure = plt.figure()
figure"""


@pytest.fixture
def foreign(tmp_path):
    """Settings of a person that would break a run: a path with broken modules, a kernel of the same name, usetex."""
    write_files(tmp_path / "theirs", {"torch.py": b"raise SystemExit('theirs')", "sitecustomize.py": b"import torch"})
    kernel = b'{"argv": ["false"], "display_name": "theirs", "language": "python"}'
    write_files(tmp_path / "jupyter" / "kernels" / "python3", {"kernel.json": kernel})
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    places = {"PYTHONPATH": "theirs", "JUPYTER_PATH": "jupyter", "MATPLOTLIBRC": "matplotlibrc"}
    return FOREIGN | {name: str(tmp_path / place) for name, place in places.items()}


def test_what_is_set_for_a_persons_own_python_does_not_reach_the_runs(tree, foreign):
    tree.add_python(ACTOR.replace('echo "pipeline: $*"', "env"))
    kept = {"PYTHONDONTWRITEBYTECODE": "1", "PIP_INDEX_URL": "https://mirror"}
    done = tree.run("--only", "00", **foreign, **kept, PIP_USER="1", PIP_TARGET="/x")
    assert done.returncode == 0, done.stderr
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert kept.items() <= found.items() and found["PYTHONUTF8"] == "1"
    assert not found.keys() & {*foreign, "PIP_USER", "PIP_TARGET"} - {"PYTHONUTF8", "LC_ALL"}


def test_a_run_goes_through_under_any_surroundings(tree, foreign, write_notebook):
    write_notebook(tree.root / "notebooks" / "00_overview.ipynb", SURROUNDINGS)
    run = f"cd '{tree.root}'; shift 3; exec '{sys.executable}' -P -c \"$START\" \"$@\""
    tree.add_python(ACTOR.replace('shift 3; echo "pipeline: $*"; exit 0', run))
    start = f"import sys; sys.path.insert(0, {str(tree.root)!r}); from glann_lib.companion import pipeline; "
    start += "import os; os.environ['PYTHONPATH'] = sys.path[0]; sys.exit(pipeline.main())"
    done = tree.run("--only", "00", "--dataset", "digits", START=start, **foreign)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"kernel {sys.executable} 0 False" in done.stdout and "words café 猫 True" in done.stdout


def test_the_estimate_and_the_refusals_do_not_depend_on_the_surroundings_either(ready, foreign):
    assert ready.run("--list", **foreign).returncode == 0
    assert "did you mean mnist?" in one_line(ready.run("--dataset", "mnits", **foreign))


@pytest.mark.parametrize("option", ["--dataset", "--results"])
def test_paths_that_are_no_utf8_are_one_line(own, option):
    write_files(Path("caf\udce9"), {f"{i}.png": b"" for i in range(3)})
    with pytest.raises(UsageError, match=r"caf\\xe9.* letters in its path that are no UTF-8 text: rename it first"):
        make_plan([option, "folder:caf\udce9" if option == "--dataset" else "caf\udce9/results"])


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({}, "holds no images"),
        (
            {"0.png": b"", "1.png": b""},
            "holds too few images (0.png, 1.png): put at least 3 there, better some hundreds",
        ),
        ({"0.png": b"", "1.heic": b"", "2.heic": b""}, "left out were 2 .heic"),
    ],
)
def test_places_without_enough_images_are_refused_before_anything_is_installed(ready, contents, said, tmp_path):
    write_files(tmp_path / "few", contents)
    (tmp_path / "few").mkdir(exist_ok=True)
    for argv in (["--dry-run"], ["--list"], []):
        done = ready.run("--dataset", f"folder:{tmp_path / 'few'}", *argv)
        assert done.returncode == 2 and said in one_line(done)
    assert not (ready.root / ".venv").exists()
