"""Pictures in few bytes: what looks the same, in few colours; what is large, smaller; what moves, moving."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from glann_lib.companion import pictures

RANDOM = np.random.default_rng(0)


def saved(pixels, kind="PNG", **options):
    file = io.BytesIO()
    first, *others = [Image.fromarray(frame) for frame in pixels] if kind == "GIF" else [Image.fromarray(pixels)]
    first.save(file, kind, **options, **({"save_all": True, "append_images": others} if others else {}))
    return file.getvalue()


def opened(content):
    return Image.open(io.BytesIO(content))


def off(content, other):
    """Root mean square of the difference of two pictures, in grey levels."""
    pair = (np.asarray(opened(c).convert("RGB"), dtype=float) for c in (content, other))
    return np.sqrt(np.square(next(pair) - next(pair)).mean())


@pytest.fixture(scope="module")
def chart():
    """Few colours, as a figure has."""
    pixels = np.full((200, 300, 3), 255, dtype=np.uint8)
    pixels[20:60, 20:200], pixels[80:90] = (31, 119, 180), (255, 127, 14)
    return saved(pixels)


@pytest.fixture(scope="module")
def photograph():
    """Many colours, that change smoothly."""
    y, x = np.mgrid[:240, :320] / 320
    waves = [np.sin(9 * x + 3 * phase) * np.cos(7 * y - phase) for phase in (0, 1, 2)]
    return saved((127 + 120 * np.stack(waves, axis=2) + RANDOM.normal(0, 3, (240, 320, 3))).astype(np.uint8))


def test_a_drawing_gets_a_small_palette_and_looks_the_same(chart):
    small = pictures.light(chart)
    assert opened(small).format == "WEBP" and len(small) < len(chart) and off(chart, small) == 0


def test_a_photograph_loses_little_and_keeps_its_size(photograph):
    small = pictures.light(photograph)
    assert opened(small).format == "WEBP" and opened(small).size == (320, 240)
    assert len(small) < len(photograph) / 2 and off(photograph, small) < 5


def test_what_is_light_is_left_alone(chart, photograph):
    for picture in (chart, photograph):
        small = pictures.light(picture)
        assert pictures.light(small) == small


def test_transparency_becomes_white():
    pixels = np.zeros((40, 40, 4), dtype=np.uint8)
    pixels[:20] = (200, 30, 30, 255)
    found = np.asarray(opened(pictures.light(saved(pixels))).convert("RGB"))
    assert (found[30, 30] == 255).all() and np.abs(found[5, 5].astype(int) - (200, 30, 30)).max() <= 1


def test_a_large_picture_becomes_smaller(monkeypatch, photograph):
    monkeypatch.setattr(pictures, "LARGEST", len(pictures.light(photograph)) - 1)
    small = pictures.light(photograph)
    assert len(small) <= pictures.LARGEST and opened(small).size == (288, 216)


def test_what_moves_goes_on_moving(monkeypatch):
    frames = RANDOM.integers(0, 256, (5, 40, 60, 3), dtype=np.uint8)
    content = saved(frames, "GIF", duration=70, loop=0)
    small = pictures.light(content)
    assert opened(small).format == "WEBP" and len(small) < len(content)
    moving = opened(small)
    moving.load()  # in which Pillow learns the duration
    assert moving.n_frames == 5 and moving.info["duration"] == 70 and moving.info["loop"] == 0
    monkeypatch.setattr(pictures, "LARGEST", len(small) - 1)
    assert pictures.light(small) == small  # however large: made light once more it would stand still


def notebook(*outputs):
    cells = [{"cell_type": "code", "outputs": [{"data": data} for data in outputs]}]
    return json.dumps({"cells": cells, "metadata": {"widgets": {"state": {}}, "kernelspec": {}}}).encode()


def outputs_of(text):
    return [output["data"] for output in json.loads(text)["cells"][0]["outputs"]]


def test_a_notebook_shows_its_figures_at_the_screens_resolution():
    wide = saved(RANDOM.integers(0, 256, (400, 1500, 3), dtype=np.uint8))
    letters = base64.b64encode(wide).decode()
    text = notebook({"image/png": letters}, {"text/html": [f'<img src="data:image/png;base64,{letters}">']})
    shown, page = outputs_of(pictures.light_notebook(text))
    assert opened(base64.b64decode(shown["image/jpeg"])).size == (640, 171)
    assert page["text/html"].startswith('<img src="data:image/jpeg;base64,') and len(page["text/html"]) < len(letters)


def test_a_notebook_stays_below_the_limit(monkeypatch):
    monkeypatch.setattr(pictures, "LARGE", 60 * 2**10)
    noise = base64.b64encode(saved(RANDOM.integers(0, 256, (600, 800, 3), dtype=np.uint8))).decode()
    assert len(pictures.light_notebook(notebook({"image/png": noise}))) <= pictures.LARGE


def test_live_views_go_and_words_stay():
    view, words = outputs_of(pictures.light_notebook(notebook({"text/html": "<iframe>"}, {"text/plain": ["a"]})))
    assert view == {"text/plain": [pictures.LEFT_OUT]} and words == {"text/plain": ["a"]}
    assert json.loads(pictures.light_notebook(notebook()))["metadata"] == {"kernelspec": {}}


@pytest.mark.parametrize("content", [b"", b"words", b"\x89PNG\r\n\x1a\n cut"])
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(ValueError, match="is none"):
        pictures.light(content)
    with pytest.raises(ValueError, match="is none"):
        pictures.light_notebook(notebook({"image/png": base64.b64encode(content).decode()}))
