"""Shared by all tests: quiet threads, files shared out among processes, tiny notebooks, and a word at the end."""

import collections
import os

# Before torch is imported anywhere: the same threads on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest

REAL_DATA_WORDS = ("GLANN_DATA", "shared")  # stand in the reasons for which tests on real data are skipped
REAL_DATA = "real data"  # marks reports of these tests, also those that come from another process
NO_BROWSER = "no chromium here"  # stands in the reason for which tests in a browser are skipped
PARAMETERS = """\
dataset = "digits"  # a name, or folder:PATH
profile = "quick"
seed = 0
device = "auto"
results_dir = "results"
count = 2  # of lines to print
"""
STORY = ("00", "01", "02", "03", "04", "05", "10")  # notebooks that build on each other's results


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each file goes to the process that is free next; the story's notebooks count as one file, in their order."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return "story" if file.removeprefix("notebooks/")[:2] in STORY else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "notebook" not in item.path.parent.name + item.path.name)  # the longest come first
    for item in items:
        reasons = [str(mark.kwargs.get("reason", "")) for mark in item.iter_markers("skipif")]
        if any(word in reason for reason in reasons for word in REAL_DATA_WORDS):
            item.user_properties.append((REAL_DATA, True))


def pytest_terminal_summary(terminalreporter):
    stats = terminalreporter.stats
    ran = {report.nodeid: report for kind in ("passed", "failed", "error") for report in stats.get(kind, [])}
    # A file that cannot be imported leaves a report that has no properties.
    real = [report for report in ran.values() if dict(getattr(report, "user_properties", ())).get(REAL_DATA)]
    reasons = collections.Counter(_reason(report) for report in stats.get("skipped", []))
    without = {reason: count for reason, count in reasons.items() if any(word in reason for word in REAL_DATA_WORDS)}
    if real or without:
        terminalreporter.section("tests on real data")
        terminalreporter.line(f"{len(real)} ran, {sum(without.values())} were skipped")
        for reason, count in without.items():
            terminalreporter.line(f"  {count} skipped: {reason}")
    browser = [nodeid for nodeid in ran if "/test_browser" in nodeid]
    if any(NO_BROWSER in reason for reason in reasons):
        terminalreporter.line("browser tests: skipped, no chromium here (apt install chromium)")
    elif browser:
        terminalreporter.line(f"browser tests: {len(browser)} ran")


def _reason(report):
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def write_notebook():
    """A function that writes a notebook: title, `parameters` cell (None: without one), then a cell a text."""
    import nbformat
    from nbformat import v4

    def write(path, *sources, title="A title", parameters=PARAMETERS):
        cells = [v4.new_markdown_cell(f"# {title}\n\nSome words.")]
        if parameters is not None:
            cells.append(v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        cells += [v4.new_code_cell(source) for source in sources]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
        return path

    return write


@pytest.fixture
def execute(write_notebook):
    """A function that writes a notebook into a run's folder as papermill leaves it, with the parameters given."""
    import nbformat

    titles = {"03_sampling": "New images", "05_fid_prd_tables": "The paper's tables"}
    common = "dataset = 'digits'\nprofile = 'quick'\nseed = 0\ndevice = 'auto'\nresults_dir = 'results'\n"

    def write(run, name, own="samples = 1000\n", **given):
        path = run / "notebooks" / f"{name}.ipynb"
        title = f"{name[:2]} · {titles.get(name, name)}"
        write_notebook(path, f"save('figures/{name[:2]}_b')", "", title=title, parameters=common + own)
        copy = nbformat.read(path, as_version=4)
        for count, cell in enumerate([cell for cell in copy.cells if cell.cell_type == "code" and cell.source], 1):
            cell.execution_count = count
        given = {"dataset": "fashion", "profile": "quick", "seed": 0, "device": "auto", "results_dir": "x"} | given
        copy.metadata.papermill = {
            "exception": None,
            "end_time": "2026-01-02T03:04:05+00:00",
            "duration": 65.4,
            "parameters": given,
        }
        nbformat.write(copy, path)
        return path

    return write


@pytest.fixture
def finished(tmp_path, execute):
    """A finished run of notebooks 03 and 05, with figures, a table and a score."""
    from made_runs import write_figure, write_score, write_table

    from glann_lib.engine import storage

    folder = tmp_path / "fashion-quick"
    execute(folder, "03_sampling")
    execute(folder, "05_fid_prd_tables", "samples = None\nseeds = None\n", seeds=3)
    for name in ("03_a", "03_b"):
        write_figure(folder, name, caption=f"Figure {name}.")
    write_figure(folder, "05_turn", ".gif")
    storage.write_bytes(folder / "figures" / "03_a.pdf", b"%PDF")
    write_table(folder, "05_quality")
    write_score(folder / "work", "glann-own-seed0")
    storage.write_bytes(folder / "model.safetensors", b"weights")
    storage.write_text(folder / "report.html", "<html>")
    return folder


@pytest.fixture
def with_bfloat16(monkeypatch):
    """Plays a machine that computes in bfloat16 itself; on any other torch computes in it too, only slowly."""
    from glann_lib.engine import devices

    monkeypatch.setattr(devices, "has_bfloat16", lambda device: True)


@pytest.fixture(scope="session")
def on_shapes():
    """The `parameters` cell of a notebook on shapes."""
    return "dataset = 'made-chairs'\nprofile = 'quick'\nseed = 0\nresults_dir = 'results'\nposes = 1"


@pytest.fixture(scope="session")
def four(write_notebook, tmp_path_factory):
    """A folder of four notebooks that are only looked at."""
    folder = tmp_path_factory.mktemp("four")
    write_notebook(folder / "00_overview.ipynb", title="00 · The whole story")
    write_notebook(folder / "01_glo_embedding.ipynb", parameters="dataset = 'digits'\nglo_epochs = None  # passes")
    write_notebook(folder / "02_imle_mapping.ipynb")
    write_notebook(folder / "11_late.ipynb")
    return folder


@pytest.fixture(scope="session")
def both(write_notebook, on_shapes, tmp_path_factory):
    """A folder of notebooks on images and on shapes that are only looked at."""
    folder = tmp_path_factory.mktemp("both")
    write_notebook(folder / "00_overview.ipynb")
    write_notebook(folder / "03_sampling.ipynb", parameters="dataset = 'digits'\nsamples = 5")
    write_notebook(folder / "06_chairs_3d.ipynb", parameters=on_shapes)
    return folder


@pytest.fixture(scope="session")
def bars():
    """48 labelled images of a bright bar in one of three places, for the widgets' tests."""
    import numpy as np

    from glann_lib.data.record import ImageData

    random, kinds = np.random.default_rng(0), np.arange(48) % 3
    images = random.integers(0, 60, (48, 1, 28, 28), dtype=np.uint8)
    for image, kind in zip(images, kinds, strict=True):
        image[0, 4 + 8 * kind : 8 + 8 * kind] += 180
    return ImageData.from_array(images, labels=kinds, class_names=("low", "middle", "high"))


@pytest.fixture(scope="session")
def bars_model(bars):
    """A model of these images that hardly learned anything."""
    from glann_lib import Glann

    settings = {"glo_epochs": 1, "glo_batch_size": 16, "glo_latent_dim": 16, "glo_loss": "l1"}
    settings |= {"imle_epochs": 1, "imle_batch_size": 16, "imle_noise_dim": 8, "imle_hidden_dim": 16}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLANN_PROGRESS", "lines")
        return Glann.fit(bars, device="cpu", seed=1, **settings)
