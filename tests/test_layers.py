"""The rooms of glann_lib: a room imports only from rooms below it, no module in a circle, and the root is the paper."""

import ast
import graphlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "glann_lib"
METHOD = {
    "settings",
    "config",
    "networks",
    "resnet",
    "losses",
    "features",
    "neighbours",
    "moments",
    "sampling",
    "glo",
    "imle",
    "inversion",
}
WHOLE = {"model"}  # G, T and both stages as one object, which knows images, shapes and scores
# From the ground up; "method" and "whole" are the files of glann_lib itself, every other name is a folder.
ROOMS = ("engine", "method", "beyond", "data", "records", "files", "rivals", "scores", "claims", "shapes")
ROOMS += ("translation", "whole", "widgets", "companion")
MOST_FILES, MOST_ROOT_LINES, MOST_LINES_OF_A_FILE = 14, 2957, 300
MOST_LINES = 20_525


def modules_of(package):
    """Every module of a package by its dotted name: the file."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        names[".".join(parts).removesuffix(".__init__")] = path
    return names


def imported(source, name, is_package, modules):
    """The modules that a source imports, in whatever form and wherever; type-checking imports count too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                kept = name.split(".")[: len(name.split(".")) - node.level + is_package]
                base = ".".join([*kept, *filter(None, [node.module])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        names = [other.replace(".Glann", ".model") for other in names]  # the root hands it on
        found |= {other for other in names if other in modules}
    return found - {name, name.partition(".")[0]}


def room_of(name):
    """The room of a module: its folder, or for a file of the root which half of it."""
    _, _, place = name.partition(".")
    room, inside, _ = place.partition(".")
    if inside or room in ROOMS:
        return room
    return "method" if room in METHOD else "whole" if room in WHOLE else None


def faults(package, rooms=ROOMS):
    """A line for every module without a room, every import from a room above, and every circle."""
    modules = modules_of(package)
    modules.pop(package.name, None)
    lines, graph = [], {}
    for name, path in modules.items():
        room = room_of(name)
        if room not in rooms:
            lines.append(f"{name} has no room: see ROOMS in tests/test_layers.py")
            continue
        graph[name] = imported(path.read_text(), name, path.stem == "__init__", modules)
        for other in sorted(graph[name]):
            if room_of(other) in rooms and rooms.index(room_of(other)) > rooms.index(room):
                lines.append(f"{name} ({room}) imports {other} ({room_of(other)})")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        lines.append(f"imports in a circle: {' -> '.join(error.args[1])}")
    return lines


def test_the_library_keeps_its_rooms():
    assert faults(PACKAGE) == []


def test_every_room_says_what_it_is_for():
    for room in ROOMS:
        if room not in ("method", "whole"):
            doc = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
            assert "Enters: " in doc and "Leaves: " in doc, room


def test_the_tests_have_the_same_rooms():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    tests = {path.parent.name for path in Path(__file__).parent.glob("*/test_*.py")}
    assert tests == rooms | {"benchmarks"}


def test_the_root_is_the_paper_and_the_library_is_thin():
    lines = {path: path.read_text().count("\n") for path in PACKAGE.rglob("*.py")}
    root = [path for path in lines if path.parent == PACKAGE]
    assert len(root) <= MOST_FILES and sum(map(lines.get, root)) <= MOST_ROOT_LINES
    assert sum(lines.values()) <= MOST_LINES
    assert [path.name for path, count in lines.items() if count > MOST_LINES_OF_A_FILE] == []


@pytest.mark.parametrize(
    "line",
    [
        "import glann.data.images",
        "import glann.data.images as u",
        "import os, glann.data.images",
        "from glann.data import images",
        "from glann.data import images as u",
        "from glann.data.images import thing",
        "from ..data import images",
        "from ..data.images import thing",
        "if TYPE_CHECKING:\n    from glann.data.images import Thing",
        "def f():\n    from glann.data import images",
    ],
)
def test_imports_from_a_room_above_are_found(tmp_path, line):
    for name in ("engine/middle", "data/images"):
        (tmp_path / "glann" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "glann" / f"{name}.py").write_text("")
    (tmp_path / "glann/engine/middle.py").write_text(line)
    (found,) = faults(tmp_path / "glann")
    assert found == "glann.engine.middle (engine) imports glann.data.images (data)"


def test_imports_from_below_and_beside_are_allowed(tmp_path):
    for name, text in {
        "engine/one": "import os\nfrom data.images import x",
        "engine/two": "from glann.engine import one",
        "glo": "from glann.engine.two import x",
        "data/images": "from glann import glo\nfrom glann.engine import one",
    }.items():
        (tmp_path / "glann" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "glann" / f"{name}.py").write_text(text)
    assert faults(tmp_path / "glann") == []


def test_circles_and_modules_without_a_room_are_found(tmp_path):
    folder = tmp_path / "glann" / "engine"
    folder.mkdir(parents=True)
    (folder / "one.py").write_text("from glann.engine import two")
    (folder / "two.py").write_text("def f():\n    from . import one")
    (tmp_path / "glann" / "new.py").write_text("")
    found = faults(tmp_path / "glann")
    assert len(found) == 2 and "glann.new has no room" in found[0] and "circle" in found[1]
