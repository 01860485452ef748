"""The house's habits that a machine can hold: clean notebooks, small files, no path of one machine, exact versions."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COMMON_PARAMETERS = {"dataset", "profile", "seed", "device", "results_dir"}
LARGEST, MOST = 6 * 2**20, 40 * 2**20  # bytes of any kept file, and of all of them
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(work|root|home)/(?!me/)\w")  # /home/me/ is an example's
OUTSIDE = ".." + "/shared"


def kept_files():
    """What git keeps or would keep after `git add .`; in a tree without git, all but what tools leave behind."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this tree is not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def code_of(notebook):
    """The code cells' sources, without the lines that only Jupyter understands."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            yield "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def notebook_faults(notebook):
    """A line for every habit that a notebook breaks."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    nodes = [node for source in code_of(notebook) for node in ast.walk(ast.parse(source))]
    tagged = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
    names = {n.id for c in tagged[:1] for n in ast.walk(ast.parse("".join(c["source"]))) if isinstance(n, ast.Name)}
    faults = {
        "holds outputs: nbstripout notebooks/*.ipynb": any(cell["outputs"] for cell in code),
        "holds execution counts: nbstripout notebooks/*.ipynb": any(cell["execution_count"] for cell in code),
        "holds the state of widgets": "widgets" in notebook["metadata"],
        "has not one cell tagged parameters": len(tagged) != 1,
        f"lacks parameters: {', '.join(sorted(COMMON_PARAMETERS - names))}": not names >= COMMON_PARAMETERS,
        "defines a class": any(isinstance(node, ast.ClassDef) for node in nodes),
        "has more than one def": sum(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) for n in nodes) > 1,
    }
    return [fault for fault, there in faults.items() if there]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_clean(path):
    assert notebook_faults(json.loads(path.read_text())) == []


def test_notebooks_are_numbered_without_a_gap():
    numbers = [path.name[:2] for path in NOTEBOOKS]
    assert sorted(numbers) == [f"{number:02}" for number in range(len(numbers))]


def test_every_fault_of_a_notebook_is_found():
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "outputs": [], "execution_count": None}
    good = cell | {"source": ["dataset = profile = seed = device = results_dir = 1\n"]}
    magic = cell | {"metadata": {}, "source": ["%matplotlib inline\n", "def f(): pass"]}
    assert notebook_faults({"cells": [good, magic], "metadata": {}}) == []
    bad = cell | {"metadata": {}, "outputs": [1], "execution_count": 3}
    bad["source"] = ["class A: pass\n", "def f(): pass\n", "def g(): pass\n"]
    assert len(notebook_faults({"cells": [bad], "metadata": {"widgets": {}}})) == 7


def test_the_repository_is_light_enough_for_a_laptops_first_look():
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in kept_files()}
    heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:10]
    said = "the largest files, MiB: " + ", ".join(f"{name} {size / 2**20:.1f}" for name, size in heaviest)
    assert heaviest[0][1] <= LARGEST, said
    assert sum(sizes.values()) <= MOST, said


def test_no_kept_file_names_a_place_of_one_machine():
    found = []
    for path in kept_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT).as_posix()
        found += [f"{name}: {match.group()}" for match in MACHINE_PATH.finditer(text)]
        if OUTSIDE in text and not name.startswith("tests/"):  # tests say where they look for real data
            found.append(f"{name}: {OUTSIDE}")
    assert found == []


def test_machine_paths_are_recognised():
    for text in ("open('" + "/work" + "/main/x')", "=" + "/root" + "/a", '"' + "/home" + '/you"'):
        assert MACHINE_PATH.search(text)
    for text in ("my/work/x", "../home/x", "homework/", "~/work/x", "/home" + "/me/x"):
        assert not MACHINE_PATH.search(text)


def test_every_requirement_has_an_exact_version():
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    loose = [line for line in lines if line and not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][\w.]*", line)]
    assert loose == []
