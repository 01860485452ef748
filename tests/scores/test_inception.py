"""Inception's features against torch-fidelity's own network, with random weights in the real format; wrong files."""

import hashlib
import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torch_fidelity import feature_extractor_inceptionv3 as original

from glann_lib.scores import inception
from glann_lib.scores.inception import WEIGHTS_FILE, InceptionFeatures, find_weights, make_inception


@pytest.fixture(scope="module")
def theirs():
    """torch-fidelity's network with random weights that keep the features' size from layer to layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(original, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(original.FeatureExtractorInceptionV3, "load_state_dict", lambda *args: None)
        network = original.FeatureExtractorInceptionV3("inception", ["2048"])
    random = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=random)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1, generator=random)
            layer.running_var.uniform_(0.5, 1.5, generator=random)
    return network


@pytest.fixture(scope="module")
def weights(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / WEIGHTS_FILE
    torch.save(theirs.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def prefix(weights):
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:8]


@pytest.fixture(scope="module")
def ours(weights, prefix):
    return make_inception(weights.parent, sha256=prefix)


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty place for torch.hub, and no network."""

    def refuse(*args, **kwargs):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path / "torch_home" / "hub" / "checkpoints"


def pictures(count, channels, size, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), generator=random, dtype=torch.uint8)


def test_features_are_torch_fidelitys_own(ours, theirs):
    images = pictures(3, 3, 32)
    found, (expected,) = ours(images), theirs(images)
    assert found.shape == (3, 2048) and found.dtype == torch.float32 and not found.requires_grad
    assert expected.std() > 0.01 and expected.std(0).max() > 1e-3  # the weights do not make all images equal
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_grey_is_colour_with_equal_channels(ours):
    grey = pictures(2, 1, 28)
    assert torch.equal(ours(grey), ours(grey.repeat(1, 3, 1, 1)))


def test_the_network_is_frozen_and_knows_its_file(ours, prefix):
    assert not ours.training and not any(p.requires_grad for p in ours.parameters())
    assert len(ours.sha256) == 64 and ours.sha256.startswith(prefix)


def test_convolutions_are_exact_inside_the_block_only():
    cudnn = torch.backends.cudnn
    before, cudnn.deterministic = cudnn.conv.fp32_precision, True
    try:
        with pytest.raises(ZeroDivisionError), inception.exact_convolutions():
            assert cudnn.conv.fp32_precision == "ieee" and cudnn.deterministic  # whatever else is set stays so
            raise ZeroDivisionError
        assert cudnn.conv.fp32_precision == before
    finally:
        cudnn.deterministic = False


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 3, 8, 8), torch.zeros(2, 2, 8, 8).byte(), torch.zeros(3, 8, 8).byte()]
)
def test_images_of_another_kind_are_one_line_errors(ours, images):
    with pytest.raises(ValueError, match="give uint8") as error:
        ours(images)
    assert "\n" not in str(error.value)


def test_files_are_looked_for_as_given_then_in_the_folder_then_in_torch_hub(tmp_path, hub):
    folder, given = tmp_path / "folder", tmp_path / "mine.pth"
    assert find_weights(folder) is None and find_weights(folder, given) is None
    for path in (hub / WEIGHTS_FILE, folder / WEIGHTS_FILE):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"weights")
        assert find_weights(folder) == path and find_weights(folder, given) is None
    given.write_bytes(b"weights")
    assert find_weights(folder, given) == given and find_weights(folder, str(given)) == given


def test_a_missing_file_without_network_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=WEIGHTS_FILE) as error:
        make_inception(tmp_path)
    message = str(error.value)
    assert "\n" not in message and "GLANN_WEIGHTS" in message and "random-vgg16" in message


def test_a_missing_file_that_was_named_is_not_replaced_by_another(weights, tmp_path, prefix):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth does not exist") as error:
        make_inception(weights.parent, tmp_path / "nowhere.pth", prefix)
    assert "\n" not in str(error.value)


def test_a_download_comes_from_torch_fidelitys_place_and_is_checked(weights, prefix, tmp_path, hub, monkeypatch):
    asked = []

    def download(url, file, hash_prefix=None, progress=True):
        asked.append((url, hash_prefix))
        Path(file).symlink_to(weights)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    network = make_inception(tmp_path, sha256=prefix)
    assert isinstance(network, InceptionFeatures)
    assert asked == [(original.URL_INCEPTION_V3, prefix)] and (hub / WEIGHTS_FILE).exists()
    assert original.URL_INCEPTION_V3.endswith("/" + WEIGHTS_FILE)


def test_a_file_cut_short_is_not_loaded(weights, prefix, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", None)
    cut = tmp_path / WEIGHTS_FILE
    cut.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=WEIGHTS_FILE) as error:
        make_inception(tmp_path, sha256=prefix)
    found = hashlib.sha256(cut.read_bytes()).hexdigest()[:8]
    message = str(error.value)
    assert "\n" not in message and str(cut) in message and f"{found} instead of {prefix}" in message


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("named", [True, False])
def test_what_a_wrong_file_holds_is_never_run(tmp_path, named):
    file, sprung = tmp_path / WEIGHTS_FILE, tmp_path / "sprung"
    file.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(ValueError, match="instead of 6726825d"):
        make_inception(tmp_path, file if named else None)
    assert not sprung.exists()
    pickle.loads(file.read_bytes())
    assert sprung.exists()  # the trap works
