"""Frozen extractors against VGG computed anew: torchvision's own modules, and plain float64 arithmetic for VGG19."""

import os
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from glann_lib import features
from glann_lib.features import VGG16_FILE, VGG19_FILE, make_extractor, pooled_features, weights_folder

ROOT = Path(__file__).resolve().parents[1]
REAL_WEIGHTS = Path(os.environ.get("GLANN_WEIGHTS", ROOT.parent / "shared" / "weights"))
WIDTHS = {28: [64, 128, 256], 32: [64, 128, 256], 64: [64, 128, 256, 512], 128: [64, 128, 256, 512, 512]}
# torchvision's numbers of vgg16.features: the ReLUs after conv1_2, conv2_2, conv3_2, and the deepest taps before theirs
TAPS = {28: (3, 8, 12), 32: (3, 8, 12), 64: (3, 8, 13, 21), 128: (3, 8, 13, 22, 30)}


def pictures(count, channels, size, seed=0):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def convolutions(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


def largest_difference(ours, expected):
    """In units of the expected features' largest value, for each tap."""
    assert [f.shape for f in ours] == [e.shape for e in expected]
    return max(
        ((a.double() - b.double()).abs().max() / b.abs().max()).item() for a, b in zip(ours, expected, strict=True)
    )


@torch.no_grad()
def torchvision_features(extractor, images):
    """The same by torchvision.models.vgg16 with the extractor's weights: 2x - 1 through the layers one by one."""
    with torch.device("meta"):  # its classifier would take half a GiB
        layers = torchvision.models.vgg16(weights=None).features
    layers = layers.to_empty(device="cpu")
    for theirs, ours in zip(convolutions(layers), convolutions(extractor), strict=False):
        theirs.load_state_dict(ours.state_dict())
    size = images.shape[-1]
    x = 2 * images - 1
    if size == 28:
        x = nn.functional.pad(x, (2, 2, 2, 2), value=-1.0)  # black
    x, found = x.expand(-1, 3, -1, -1), []
    for number, layer in enumerate(layers[: TAPS[size][-1] + 1]):
        x = layer(x.clone())
        if number in TAPS[size]:
            found.append(x)
    return found


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_taps_are_those_of_torchvisions_vgg16(size, channels):
    extractor = make_extractor("random-vgg16", size)
    images = pictures(2, channels, size)
    found = extractor(images)
    assert [f.shape[1] for f in found] == WIDTHS[size]
    assert largest_difference(found, torchvision_features(extractor, images)) < 1e-5
    assert all(f.min() >= 0 for f in found[:-1]) and found[-1].min() < 0  # only the deepest is before its ReLU


def test_from_128_px_on_the_last_pooling_is_a_fifth_tap():
    """VGG16's layer 30 is its last pooling: all five taps come after a ReLU."""
    extractor, images = make_extractor("random-vgg16", 128), pictures(1, 3, 128)
    found = extractor(images)
    assert [tuple(f.shape[1:]) for f in found] == [
        (64, 128, 128), (128, 64, 64), (256, 32, 32), (512, 16, 16), (512, 4, 4)
    ]  # fmt: skip
    assert min(f.min() for f in found) >= 0
    assert largest_difference(found, torchvision_features(extractor, images)) < 1e-5
    small = make_extractor("random-vgg16", 64)(images)  # 64 px have the four taps that they had
    assert len(small) == 4 and small[-1].min() < 0
    for a, b in zip(found[:3], small[:3], strict=True):
        assert torch.equal(a, b)
    assert (found[3] - small[3].relu()).abs().max() < 1e-5 * found[3].max()


def test_fewer_large_images_are_pooled_at_once():
    seen = []
    extractor = make_extractor("random-vgg16-quarter", 128)
    extractor.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    pooled = pooled_features(extractor, pictures(5, 1, 128), batch_size=8)
    assert seen == [2, 2, 1] and pooled.shape == (5, sum(WIDTHS[128]) // 4)


def test_grey_is_colour_with_equal_channels():
    extractor = make_extractor("random-vgg16", 28)
    grey = pictures(3, 1, 28)
    for one, three in zip(extractor(grey), extractor(grey.repeat(1, 3, 1, 1)), strict=True):
        assert (one - three).abs().max() < 1e-5


def test_images_of_28_px_have_a_black_margin():
    extractor = make_extractor("random-vgg16", 28)
    small = pictures(2, 1, 28)
    for a, b in zip(extractor(small), extractor(nn.functional.pad(small, (2, 2, 2, 2))), strict=True):
        assert torch.equal(a, b)


def test_random_weights_are_fixed_by_their_seed():
    torch.manual_seed(1)
    first = make_extractor("random-vgg16", 28)
    torch.manual_seed(2)
    again, other = make_extractor("random-vgg16", 28), make_extractor("random-vgg16", 28, seed=1)
    for a, b, c in zip(convolutions(first), convolutions(again), convolutions(other), strict=True):
        assert torch.equal(a.weight, b.weight) and not torch.equal(a.weight, c.weight)
        assert not a.bias.any()


@pytest.mark.parametrize(("name", "part"), [("random-vgg16-half", 2), ("random-vgg16-quarter", 4)])
@pytest.mark.parametrize("size", [28, 32, 64])
def test_a_narrowed_network_has_that_part_of_the_channels_at_the_same_taps(name, part, size):
    whole, narrow = (make_extractor(n, size)(pictures(2, 3, size)) for n in ("random-vgg16", name))
    assert [f.shape[1] for f in narrow] == [width // part for width in WIDTHS[size]]
    assert [f.shape[2:] for f in narrow] == [f.shape[2:] for f in whole]
    assert narrow[-1].min() < 0 <= min(f.min() for f in narrow[:-1])


def test_random_features_keep_their_size_from_tap_to_tap():
    spreads = [f.std().item() for f in make_extractor("random-vgg16", 64)(pictures(4, 3, 64))]
    assert max(spreads) / min(spreads) < 5, spreads


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extractors_are_frozen_and_channels_last(dtype):
    extractor = make_extractor("random-vgg16", 28, dtype)
    assert not extractor.training
    assert not any(p.requires_grad for p in extractor.parameters())
    assert all(layer.weight.is_contiguous(memory_format=torch.channels_last) for layer in convolutions(extractor))
    found = extractor(pictures(2, 1, 28).requires_grad_())
    assert all(f.dtype == dtype and f.requires_grad for f in found)  # gradients pass through to the image
    assert all(f.is_contiguous(memory_format=torch.channels_last) for f in found)
    before = [p.clone() for p in extractor.parameters()]
    sum(f.float().sum() for f in found).backward()
    assert all(p.grad is None and torch.equal(p, b) for p, b in zip(extractor.parameters(), before, strict=True))


def test_bfloat16_is_float32_to_its_precision():
    images = pictures(4, 3, 32)
    exact, rough = (make_extractor("random-vgg16", 32, dtype)(images) for dtype in (torch.float32, torch.bfloat16))
    assert 1e-6 < largest_difference(rough, exact) < 0.05


# VGG19 in plain numpy, from its definition: BGR, 0 to 255, mean subtracted, kernels HWIO

BLOCKS = [f"block{b}_conv{c}" for b, n in ((1, 2), (2, 2), (3, 4)) for c in range(1, n + 1)]
BGR_MEAN = np.array([103.939, 116.779, 123.68])


def convolve(x, kernel, bias):
    """3x3 convolution [N, H, W, I] x [3, 3, I, O] -> [N, H, W, O]."""
    _, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = (padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))
    return sum(parts) + bias


def naive_vgg19(images, arrays):
    """Before and after each ReLU, name -> [N, C, H, W] float64, for images [N, 3, H, W] in [0, 1], RGB."""
    x = 255 * images.double().numpy().transpose(0, 2, 3, 1)[..., ::-1] - BGR_MEAN
    found = {}
    for name in BLOCKS:
        if name in ("block2_conv1", "block3_conv1"):
            n, h, w, c = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
        before = convolve(x, *(arrays[f"{name}.{part}"].astype(np.float64) for part in ("kernel", "bias")))
        x = before.clip(min=0)
        found[name, "before"], found[name, "after"] = (torch.from_numpy(y.transpose(0, 3, 1, 2)) for y in (before, x))
    return found


def vgg19_arrays():
    random, arrays, width = np.random.default_rng(0), {}, 3
    for name, out in zip(BLOCKS, (64, 64, 128, 128, 256, 256, 256, 256), strict=True):
        kernel = random.normal(size=(3, 3, width, out)) * np.sqrt(2 / (9 * width))
        arrays |= {f"{name}.kernel": kernel.astype(np.float32)}
        arrays |= {f"{name}.bias": random.normal(scale=30, size=out).astype(np.float32)}
        width = out
    return arrays


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GLANN_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    return tmp_path


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)


def check_vgg19(size, arrays):
    images = pictures(1, 3, size)
    naive = naive_vgg19(images, arrays)
    deepest = [("block3_conv2", "before")] if size < 64 else [("block3_conv2", "after"), ("block3_conv4", "before")]
    taps = [("block1_conv2", "after"), ("block2_conv2", "after"), *deepest]
    found = make_extractor("vgg19", size)(images)
    # The library's input is 127.5 times smaller, so are its features.
    assert largest_difference(found, [naive[tap] / 127.5 for tap in taps]) < 1e-5


@pytest.mark.parametrize("size", [32, 64])
def test_vgg19_is_its_definition(folder, size):
    arrays = vgg19_arrays()
    np.savez(folder / VGG19_FILE, **arrays)
    check_vgg19(size, arrays)


@pytest.mark.skipif(not (REAL_WEIGHTS / VGG19_FILE).exists(), reason=f"{VGG19_FILE} is not in ../shared/weights")
def test_vgg19_with_its_real_weights(monkeypatch):
    monkeypatch.setenv("GLANN_WEIGHTS", str(REAL_WEIGHTS))
    with np.load(REAL_WEIGHTS / VGG19_FILE) as arrays:
        check_vgg19(32, arrays)


def test_vgg16_takes_torchvisions_file(folder, no_network):
    source = make_extractor("random-vgg16", 64, seed=3)
    names = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)
    state = {}
    for number, layer in zip(names, convolutions(source), strict=True):
        layer.bias.normal_(generator=torch.Generator().manual_seed(number))
        state |= {f"features.{number}.{key}": value for key, value in layer.state_dict().items()}
    for number in (24, 26, 28):
        state |= {f"features.{number}.weight": torch.zeros(512, 512, 3, 3), f"features.{number}.bias": torch.zeros(512)}
    state |= {"classifier.0.weight": torch.zeros(2, 3)}
    torch.save(state, folder / VGG16_FILE)
    images = pictures(1, 3, 64)
    for a, b in zip(make_extractor("vgg16", 64)(images), source(images), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("name", "file"), [("vgg16", VGG16_FILE), ("vgg19", VGG19_FILE)])
def test_weights_that_are_not_here_are_named(folder, tmp_path, monkeypatch, name, file):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    assert features.missing_weights(name) == file and not features.missing_weights("random-vgg16")
    downloads = tmp_path / "hub" / "checkpoints"
    downloads.mkdir(parents=True)
    (downloads / file).touch()
    assert features.missing_weights(name) == ("" if name == "vgg16" else file)  # torchvision has no VGG19 of ours
    (folder / file).touch()
    assert not features.missing_weights(name)


@pytest.mark.parametrize(("name", "file"), [("vgg16", VGG16_FILE), ("vgg19", VGG19_FILE)])
def test_a_missing_file_without_network_says_what_to_do(folder, no_network, name, file):
    with pytest.raises(FileNotFoundError, match=file) as error:
        make_extractor(name, 28)
    message = str(error.value)
    assert "\n" not in message and "GLANN_WEIGHTS" in message and "random-vgg16" in message


def damaged_files(kind):
    if kind == "text":
        return b"<html>404 Not Found</html>\n" * 20
    if kind == "binary":
        return np.random.default_rng(0).bytes(5000)
    return b""


@pytest.mark.parametrize("kind", ["empty", "text", "binary", "cut zip", "other zip", "other arrays"])
@pytest.mark.parametrize(("name", "file"), [("vgg16", VGG16_FILE), ("vgg19", VGG19_FILE)])
def test_a_file_that_is_no_weights_is_a_one_line_error(folder, no_network, name, file, kind):
    path = folder / file
    if kind == "other zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "nothing here")
    elif kind in ("other arrays", "cut zip"):
        if name == "vgg16":
            torch.save({"features.0.weight": torch.zeros(300, 3, 3, 3)}, path)
        else:
            np.savez(path, **{name: value[..., :5] for name, value in vgg19_arrays().items()})
        if kind == "cut zip":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_bytes(damaged_files(kind))
    with pytest.raises(ValueError, match=file) as error:
        make_extractor(name, 28)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [[1, 2], 3, {0: torch.zeros(2)}], ids=["list", "number", "other keys"])
def test_a_saved_object_that_is_no_state_is_a_one_line_error(folder, no_network, content):
    torch.save(content, folder / VGG16_FILE)
    with pytest.raises(ValueError, match=VGG16_FILE):
        make_extractor("vgg16", 28)


def test_damaged_compressed_arrays_are_a_one_line_error(folder):
    path = folder / VGG19_FILE
    np.savez_compressed(path, **vgg19_arrays())
    content = bytearray(path.read_bytes())
    content[2000:4000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=VGG19_FILE):
        make_extractor("vgg19", 28)


def test_unknown_extractors_are_one_line_errors():
    with pytest.raises(ValueError, match=r"unknown feature extractor 'vgg11': choose one of vgg16") as error:
        make_extractor("vgg11", 28)
    assert "\n" not in str(error.value)


def test_weights_lie_in_data_or_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("GLANN_WEIGHTS", str(tmp_path))
    assert weights_folder() == tmp_path
    monkeypatch.delenv("GLANN_WEIGHTS")
    assert weights_folder() == features.ROOT / "data" / "weights" == ROOT / "data" / "weights"


def test_pooled_features_are_means_over_space():
    extractor = make_extractor("random-vgg16", 32)
    images = pictures(7, 3, 32).mul(255).round().to(torch.uint8)
    pooled = pooled_features(extractor, images, batch_size=3)
    assert pooled.shape == (7, sum(WIDTHS[32])) and pooled.dtype == torch.float32
    expected = torch.cat([f.mean((2, 3)) for f in extractor(images.float() / 255)], 1)
    assert (pooled - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (pooled_features(extractor, images.float() / 255) - pooled).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_pooled_features_do_not_depend_on_the_batch(batch_size):
    extractor = make_extractor("random-vgg16", 28)
    images = pictures(5, 1, 28)
    reference = pooled_features(extractor, images, batch_size=5)
    difference = pooled_features(extractor, images, batch_size=batch_size) - reference
    assert difference.abs().max() < 1e-5 * reference.abs().max()
