"""What a person sees in JupyterLab, in a real browser; first that these tests would see it if something were wrong."""

import io
import sys
import time

import browser
import pytest
from PIL import Image

SLIDER = """\
import io, time
import ipywidgets
from PIL import Image

slider = ipywidgets.IntSlider(value=0, min=0, max=50, description="grey")
image = ipywidgets.Image(format="png")


def show(change):
    time.sleep(0.05)
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 5 * change["new"]).save(buffer, "PNG")
    image.value = buffer.getvalue()


slider.observe(show, names="value")
show({"new": 0})
ipywidgets.VBox([slider, image])
"""
WEBGL = """\
from IPython.display import HTML

HTML('<canvas id="drawn" width="40" height="40"></canvas><script>'
     'const gl = document.getElementById("drawn").getContext("webgl2", {preserveDrawingBuffer: true});'
     'gl.clearColor(1, 0, 0, 1); gl.clear(gl.COLOR_BUFFER_BIT);</script>')
"""
KERNEL = "import sys\nprint('kernel of', sys.prefix)"
WARNS = "import sys\nprint('careful', file=sys.stderr)"
HANDLE, PICTURE = ".noUi-handle", ".jp-OutputArea img"
SOON = 30  # s


@pytest.fixture(scope="module")
def lab(write_notebook, tmp_path_factory):
    """JupyterLab on small notebooks."""
    folder = tmp_path_factory.mktemp("small")
    sources = {
        "slider": (SLIDER, KERNEL, WEBGL),
        "raises": (WARNS, "raise ValueError('too many cats')", "2 + 2", ""),
        "endless": ("import time\ntime.sleep(60)",),
    }
    paths = [write_notebook(folder / f"{name}.ipynb", *cells, parameters=None) for name, cells in sources.items()]
    with browser.Lab(*paths, environment={"GLANN_RESULTS": str(folder)}) as lab:
        yield lab


@pytest.fixture(scope="module")
def ran(lab):
    """The page with the slider, all cells run."""
    with lab.open("slider.ipynb") as page:
        page.run_all()
        yield page


@pytest.fixture
def slider(ran):
    """The same page; the slider is at 0 and so is its picture."""
    ran.press(ran.page.locator(HANDLE), "Home")
    browser.wait_until(lambda: grey(ran) == 0, 10, "the picture of the first value")
    return ran


def pixel(page, locator):
    """The colour in the middle of an element."""
    picture = Image.open(io.BytesIO(page.picture(locator))).convert("RGB")
    return picture.getpixel((picture.width // 2, picture.height // 2))


def grey(page):
    """The value of the slider that the picture shows."""
    return round(pixel(page, page.page.locator(PICTURE))[0] / 5)


def test_a_page_is_there_soon(write_notebook, tmp_path):
    path = write_notebook(tmp_path / "my notes #1.ipynb", KERNEL, parameters=None)
    before, started = path.read_bytes(), time.monotonic()
    with browser.Lab(path) as lab, lab.open() as page:
        assert time.monotonic() - started < SOON
        page.run_all()
        page.page.keyboard.press("Control+s")
        copy = lab.root / path.name
        browser.wait_until(lambda: b"kernel of" in copy.read_bytes().split(b'"outputs": [', 1)[1], 10, "it is saved")
    assert path.read_bytes() == before and not lab.root.exists()


def test_a_notebook_runs_without_a_fault_in_the_kernel_of_this_python(ran):
    assert ran.errors() == []
    assert ran.page.get_by_text(f"kernel of {sys.prefix}").count() == 1


def test_webgl_draws(ran):
    assert pixel(ran, ran.page.locator("#drawn")) == (255, 0, 0)


def test_a_key_on_the_slider_changes_the_picture(slider):
    image = slider.page.locator(PICTURE)
    before = slider.picture(image)
    assert slider.picture(image) == before
    slider.press(slider.page.locator(HANDLE), "ArrowRight")
    assert 0 < slider.wait_until_changed(image, before) < 5
    assert grey(slider) == 1


def test_a_fast_drag_ends_with_the_picture_of_the_last_value(slider):
    slider.press(slider.page.locator(HANDLE), "ArrowRight", 40)
    browser.wait_until(lambda: grey(slider) == 40, 15, "the picture of the last value")
    time.sleep(0.5)  # no older picture comes late
    assert grey(slider) == 40 and slider.errors() == []


def test_a_picture_that_stays_is_seen(slider):
    image = slider.page.locator(PICTURE)
    with pytest.raises(AssertionError, match="the picture changes: not within 1 s"):
        slider.wait_until_changed(image, slider.picture(image), timeout=1)


def test_pictures_for_people_are_kept(slider, tmp_path, monkeypatch):
    monkeypatch.setenv("GLANN_ARTEFACTS", str(tmp_path / "kept"))
    assert Image.open(slider.screenshot("page")).size == (1280, 1400)
    handle, image = slider.page.locator(HANDLE), slider.page.locator(PICTURE)
    path = slider.record_gif("drag", image, lambda _: slider.press(handle, "ArrowRight", 10), frames=4)
    assert path == tmp_path / "kept" / "drag.gif"
    with Image.open(path) as drag:
        assert drag.n_frames == 4
        shown = [drag.convert("L").getpixel((32, 32)) for number in range(4) if not drag.seek(number)]
    assert shown[0] < 10 and shown == sorted(set(shown))


def test_a_cell_that_raises_and_words_on_stderr_are_seen(lab):
    with lab.open("raises.ipynb") as page:
        page.run_all()
        said, raised, never = page.errors()
    assert said == "error or stderr: careful" and never == "code cell 3 has not run"
    assert raised.startswith("error or stderr: ") and raised.endswith("ValueError: too many cats")


def test_a_run_that_does_not_end_is_seen(lab):
    with (
        lab.open("endless.ipynb") as page,
        pytest.raises(AssertionError, match=r"cell 1 has not run.*not within 2 s"),
    ):
        page.run_all(timeout=2)


def test_errors_of_the_page_and_its_console_are_seen(ran):
    ran.page.evaluate("console.error('a broken view')")
    ran.page.evaluate("setTimeout(() => { throw new Error('a broken script') })")
    expected = ("console: a broken view", "page error: a broken script")

    def are_heard():  # asking the page anything lets its events in
        return ran.page.evaluate("1") and all(any(part in text for text in ran.complaints) for part in expected)

    browser.wait_until(are_heard, SOON, lambda: f"both are heard, not only {ran.complaints}")
    assert all(part in " ".join(ran.errors()) for part in expected)
    ran.complaints.clear()


def test_a_server_that_does_not_start_says_why(write_notebook, tmp_path):
    path = write_notebook(tmp_path / "a.ipynb", parameters=None)
    (tmp_path / "jupyterlab.py").write_text("raise SystemExit('no lab today')")
    said = "JupyterLab ended; it said:\nno lab today"
    with pytest.raises(AssertionError, match=said), browser.Lab(path, environment={"PYTHONPATH": str(tmp_path)}):
        pass


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_without_chromium_a_test_is_skipped_or_fails_where_it_is_required(required, outcome, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GLANN_REQUIRE_BROWSER", required)
    with pytest.raises(outcome, match=r"no chromium here: apt install chromium, then \./run_all.sh --test again"):
        browser.find_chromium()
