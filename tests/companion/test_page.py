"""The page that plays: its layers are the model's networks, and what does not fit is refused in one line."""

import base64
import gzip
import json
import re

import pytest
import safetensors.torch
import torch
from made_models import small_model
from torch.nn.functional import conv_transpose2d, leaky_relu, normalize

from glann_lib.companion import page, release
from glann_lib.companion.pages import TEMPLATES
from glann_lib.engine import storage
from glann_lib.files import released
from glann_lib.model import Glann
from glann_lib.sampling import draw_noise

PUBLISHED = released.FOLDER / "playground" / "play.html"
ACTS = {"relu": torch.relu, "leaky": lambda x: leaky_relu(x, 0.2), "sigmoid": torch.sigmoid, "none": lambda x: x}
MODELS = {
    "grey": {},
    "colour": {"size": 32, "channels": 3, "normalisation": "none"},
    "biases": {"size": 32, "normalisation": "lucic", "with_labels": False},
    "matched": {"moments": "matched"},
}


def through(layers, x):
    """What layers make of x [n, in], as the page computes it."""
    for layer in layers:
        if layer is None:
            x = normalize(x)
            continue
        weight, outs = layer.weight.double(), len(layer.scale)
        if layer.side:
            inner = x.view(len(x), layer.side, layer.side, -1).permute(0, 3, 1, 2)
            taps = weight.view(4, 4, outs, -1).permute(3, 2, 0, 1)
            x = conv_transpose2d(inner, taps, stride=2, padding=1).permute(0, 2, 3, 1)
        else:
            x = x @ weight.T
        x = ACTS[layer.act](layer.scale * x + layer.shift).flatten(1)
    return x


def facts_of(text):
    return json.loads(re.search(r'id="facts">(.*?)</script>', text).group(1))


def tensors_of(text):
    content = re.search(r'id="model">(.*?)</script>', text).group(1)
    return safetensors.torch.load(gzip.decompress(base64.b64decode(content)))


@pytest.mark.parametrize("is_small", [False, True], ids=["float32", "made small"])
@pytest.mark.parametrize("kind", MODELS.values(), ids=MODELS)
def test_the_layers_are_the_networks(kind, is_small, tmp_path):
    model = small_model(**kind)
    path = model.save(tmp_path / released.MODEL)
    if is_small:
        path, _ = release.write_small(path, model, tmp_path / "small.safetensors")
        model = Glann.load(path, "cpu")
    tensors, _ = storage.load_sealed(path)
    assert is_small == any(name.endswith(".right_scale") for name in tensors)
    e = draw_noise(5, 8, seed=3)
    with torch.no_grad():
        z = model.mapper(e)
        images = model.generator(z).permute(0, 2, 3, 1).flatten(1)
    assert (through(page.mapper_layers(tensors), e.double()) - z).abs().max() < 1e-5
    layers = page.generator_layers(tensors, model.generator.shape[-1])
    assert (through(layers, z.double()) - images).abs().max() < 1e-5 and images.std() > 0.05


def test_a_page_holds_the_model_and_names_it(tmp_path):
    model = small_model()
    model.save(tmp_path / "run" / released.MODEL)
    path, difference = page.write(str(tmp_path / "run"), tmp_path / "play.html")
    text, tensors = path.read_text(encoding="utf-8"), tensors_of(path.read_text(encoding="utf-8"))
    facts = facts_of(text)
    assert difference == 0 and [facts[key] for key in ("side", "channels", "noise", "latent")] == [28, 1, 8, 16]
    assert facts["classes"] == [[0, "low"], [1, "middle"], [2, "high"]]
    assert len(tensors["directions"]) == page.PRINCIPAL + 3 and tensors["points"].shape == (60, 2)
    assert torch.equal(tensors["latents"], model.latents) and tensors["labels"].tolist() == model.labels.tolist()
    assert 'Glann.load("model.safetensors")' in text and "Handwritten digits" in text
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import|https?://""", text)  # nothing lies elsewhere


def test_without_labels_there_are_no_directions_towards_classes(tmp_path):
    model = small_model(with_labels=False)
    text = page.page(model, storage.load_sealed(model.save(tmp_path / "m.safetensors"))[0], "m")
    assert facts_of(text)["classes"] == [] and 'id="towards"' not in text and "labels" not in tensors_of(text)


def test_a_large_model_is_made_small(tmp_path, monkeypatch, capsys):
    path = small_model(size=32, features=32).save(tmp_path / "large" / released.MODEL)
    monkeypatch.setattr(page, "ROOM", 2**18)
    assert path.stat().st_size > page.ROOM
    assert page.main([str(path), "--to", str(tmp_path / "play.html")]) == 0
    said = re.search(r"play\.html: 0\.\d MiB, (\d\.\d+) grey levels from the model's images", capsys.readouterr().out)
    assert 0 < float(said.group(1)) < 5
    assert f"but for {said.group(1)} grey levels" in " ".join((tmp_path / "play.html").read_text().split())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("made-chairs", "made-chairs draws 32 x 32 x 32 by VoxelGenerator: a page takes images of 28 or 32 px by the"),
        ("faces-128", "faces-128 draws 3 x 128 x 128 by ResNetGenerator: a page takes images of 28 or 32 px"),
        ("cats", "no released model 'cats'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(name, message, tmp_path, capsys):
    assert page.main([name, "--to", str(tmp_path / "play.html")]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not list(tmp_path.iterdir())


def test_images_of_64_px_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1 x 64 x 64 by InfoGANGenerator: a page takes images of 28 or 32 px"):
        page.write(str(small_model(size=64).save(tmp_path / "m.safetensors")), tmp_path / "play.html")


def test_the_published_page_is_todays_and_small_enough():
    text = PUBLISHED.read_text(encoding="utf-8")
    for name in ("play.css", "play.js", "play_network.js"):
        assert (TEMPLATES / name).read_text(encoding="utf-8") in text, f"{name} changed: make the page again"
    assert PUBLISHED.stat().st_size <= 6 * 10**6
    tensors = storage.load_sealed(released.find("mnist"))[0]
    assert torch.equal(tensors_of(text)["latents"], tensors["latents.rows"])


def test_the_pages_code_stays_readable():
    lines = [line for path in TEMPLATES.glob("*.js") for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) < 600 and max(map(len, lines)) <= 120
