"""The floors of glann_lib: a module imports only from lower floors, and siblings never import one another."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "glann_lib"
FLOORS = (
    {"checks", "coarse_search", "devices", "storage", "latest", "picture", "sketch", "lab"},
    {"config", "networks", "features", "neighbours", "metrics", "plots", "data_files", "image_data", "training"}
    | {"report_style", "report_tables", "reported", "inception", "classifier_network"}
    | {"measures", "shape_metrics", "solids", "chair_designs", "azimuths", "car_designs", "street_digits"}
    | {"translation_network", "graphs", "explorer", "compact"},
    {"runs", "costs", "data_sizes", "losses", "precision_recall", "score_plots", "latent_plots", "classifier_training"}
    | {"rival_networks", "rival_config", "score_rows", "places", "catalogue", "directions", "execution", "moments"}
    | {"image_files", "mesh_files", "meshes", "chair_parts", "car_parts", "translation_config", "translation_plots"},
    {"data", "shape_data", "sampling", "glo", "imle", "generator_stage", "classifier", "report", "commands"}
    | {"estimates", "shape_plots", "made_chairs", "made_cars", "car_files", "translation_losses"}
    | {"latent_map", "uploads", "released"},
    {"shapes", "gan", "vae", "pixel_imle", "score_features", "shape_scores", "plans", "speed", "inversion", "at_hand"}
    | {"domains", "translation_search", "translation_judges", "published_page", "readme_sources"},
    {"rivals", "evaluate", "score_tables", "training_data", "arguments", "nam", "model_files"},
    {"comparison", "model", "translate", "translation_tables", "pipeline"}
    | {"readme_models", "readme_scores", "readme_times"},
    {"translation_task", "release", "publish", "readme_tables"}
    | {"interpolation_widget", "directions_widget", "map_widget", "inversion_widget", "shapes_widget"},
    {"widgets"},
)


def imported_modules(source, modules):
    """The modules of the package that a source imports, in whatever form; type-checking imports count too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [PACKAGE if node.level else "", node.module]))
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        parts = [name.split(".") for name in names]
        found |= {part[1] for part in parts if part[0] == PACKAGE and len(part) > 1}
    return found & modules


def violations(folder, floors):
    """A line for every module without a floor, and for every import that does not go down."""
    floor_of = {name: floor for floor, names in enumerate(floors) for name in names}
    sources = {path.stem: path.read_text() for path in sorted(folder.glob("*.py")) if path.stem != "__init__"}
    lines = [f"{name}.py has no floor: add it to FLOORS in tests/test_layers.py" for name in sources.keys() - floor_of]
    for name in sorted(sources.keys() & floor_of):
        for other in sorted(imported_modules(sources[name], sources.keys() & floor_of)):
            if floor_of[other] >= floor_of[name]:
                lines.append(f"{name} (floor {floor_of[name]}) imports {other} (floor {floor_of[other]})")
    return lines


def test_the_library_keeps_its_floors():
    assert violations(ROOT / PACKAGE, FLOORS) == []


def test_no_module_stands_on_two_floors():
    assert sum(map(len, FLOORS)) == len(set().union(*FLOORS))


def test_the_package_itself_imports_nothing_at_once():
    tree = ast.parse((ROOT / PACKAGE / "__init__.py").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert names <= {"typing", "__future__", "os"}


@pytest.mark.parametrize(
    "line",
    [
        "import glann_lib.upper",
        "import glann_lib.upper as u",
        "import os, glann_lib.upper",
        "from glann_lib import lower, upper",
        "from glann_lib import upper as u",
        "from glann_lib.upper import thing",
        "from . import upper",
        "from .upper import thing",
        "if TYPE_CHECKING:\n    from glann_lib.upper import Thing",
        "def f():\n    from glann_lib import upper",
        "from glann_lib import sibling",
    ],
)
def test_imports_that_do_not_go_down_are_found(tmp_path, line):
    for name in ("lower", "sibling", "upper"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "middle.py").write_text(line)
    floors = ({"lower"}, {"middle", "sibling"}, {"upper"})
    (found,) = violations(tmp_path, floors)
    assert found.startswith("middle (floor 1) imports ")


def test_imports_that_go_down_are_allowed(tmp_path):
    (tmp_path / "lower.py").write_text("import os\nfrom upper import x\nfrom other.middle import y\n")
    (tmp_path / "middle.py").write_text("from glann_lib import lower\nfrom glann_lib.lower import upper\n")
    (tmp_path / "upper.py").write_text("import glann_lib.lower, glann_lib.middle\nfrom . import middle\n")
    assert violations(tmp_path, ({"lower"}, {"middle"}, {"upper"})) == []


def test_a_module_without_a_floor_is_found(tmp_path):
    (tmp_path / "new.py").write_text("")
    assert violations(tmp_path, ({"lower"},)) == ["new.py has no floor: add it to FLOORS in tests/test_layers.py"]
