"""IMLE on pixels: exact matches, blocks of noise, a falling loss, its own generator, resuming."""

import dataclasses

import pytest
import torch
from torch import nn

from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine import devices, storage, training
from glann_lib.imle import IMLE
from glann_lib.networks import InfoGANGenerator
from glann_lib.rivals import pixel_imle
from glann_lib.rivals.pixel_imle import PixelIMLE, fit_pixel_imle

CPU = torch.device("cpu")
LUCIC = GLOConfig(normalisation="lucic")
SMALL = IMLEConfig(noise_dim=4, epochs=3, batch_size=8, lr=1.0e-3)


class NarrowGenerator(nn.Module):
    """Takes InfoGANGenerator's place where only the matching and the loop matter: the same arguments."""

    def __init__(self, image_size, channels, latent_dim, normalisation, on_sphere, features):
        super().__init__()
        assert normalisation in ("batch", "none", "lucic") and not on_sphere
        shape = (channels, image_size, image_size)
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 32, bias=normalisation == "lucic"),
            nn.Identity() if normalisation == "none" else nn.BatchNorm1d(32),
            nn.LeakyReLU(0.2),
            nn.Linear(32, shape[0] * shape[1] * shape[2]),
            nn.Sigmoid(),
            nn.Unflatten(1, shape),
        )

    def forward(self, z):
        return self.layers(z)


@pytest.fixture(autouse=True)
def quiet_and_the_same_bits(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    with devices.single_thread():  # sums over several threads may be taken in another order
        yield


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(pixel_imle, "InfoGANGenerator", NarrowGenerator)


def pictures(count=32, channels=1, seed=0):
    """Bars of random width."""
    widths = torch.randint(4, 24, (count, 1, 1, 1), generator=torch.Generator().manual_seed(seed))
    images = (torch.arange(28) < widths).to(torch.uint8) * 255
    return images.expand(count, channels, 28, 28).contiguous()


def draw(rows, width, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def stage_of(images=None, normalisation="lucic", **settings):
    images = pictures() if images is None else images
    return PixelIMLE(images, dataclasses.replace(SMALL, **settings), GLOConfig(normalisation=normalisation), CPU)


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.parametrize("channels", [1, 3])
def test_matches_are_those_of_brute_force(narrow, channels):
    images = pictures(channels=channels)
    stage = stage_of(images, lr=0.01)
    list(training.train(stage))
    noise = draw(90, 4, seed=5)
    match = stage.match(noise)
    with torch.no_grad():
        generated = stage.mapper.train()[0](noise)
    naive = torch.stack([(generated.double() - image.double() / 255).square().sum((1, 2, 3)) for image in images])
    assert match.index.shape == (32, 1) and len(match.index.unique()) > 1
    assert (naive.gather(1, match.index)[:, 0] - naive.min(1).values).abs().max() < 1e-3
    assert (match.distance[:, 0] - naive.min(1).values.sqrt()).abs().max() < 1e-3


def test_noises_are_matched_in_blocks_of_bounded_size(narrow, monkeypatch):
    monkeypatch.setattr(PixelIMLE, "block", 20)
    stage, seen = stage_of(normalisation="none"), []
    stage.mapper[0].register_forward_hook(lambda network, rows, images: seen.append(len(rows[0])))
    noise = draw(64, 4)
    match = stage.match(noise)
    assert seen == [16, 16, 16, 16]
    monkeypatch.setattr(PixelIMLE, "block", None)
    whole = stage.match(noise)  # without BatchNorm the blocks make no difference
    assert torch.equal(whole.index, match.index)


def test_targets_are_the_images_between_0_and_1(narrow):
    stage = stage_of()
    assert stage.latents.shape == (32, 784) and stage.latents.dtype == torch.float32
    assert (255 * stage.latents.view(32, 1, 28, 28) - pictures()).abs().max() < 1e-4


def test_the_loss_falls(narrow):
    _, history = fit_pixel_imle(pictures(), dataclasses.replace(SMALL, epochs=25, lr=5.0e-3), LUCIC)
    first, last = history[0], history[-1]
    assert [record.epoch for record in history] == list(range(1, 26))
    assert last.loss < 0.3 * first.loss and last.distance < 0.7 * first.distance
    assert all(0 < record.matched <= 0.5 for record in history)


@pytest.mark.parametrize("normalisation", ["lucic", "batch", "none"])
def test_the_generator_is_glanns_and_takes_the_noise_as_it_is(normalisation):
    config = dataclasses.replace(SMALL, epochs=1, batch_size=4)
    generator, history = fit_pixel_imle(pictures(4), config, GLOConfig(normalisation=normalisation))
    assert type(generator) is InfoGANGenerator and generator.latent_dim == 4 and not generator.training
    assert not generator.on_sphere and len(history) == 1
    e = draw(5, 4)
    with torch.no_grad():
        images = generator(e)
        assert (generator(3 * e) - images).abs().max() > 1e-4  # its length counts
        assert images.shape == (5, 1, 28, 28)
        assert torch.equal(images, generator.layers(e))


def test_averages_are_those_of_the_last_epochs_noise(narrow):
    stage = stage_of()
    list(training.train(stage))
    noise = torch.randn(2 * 32, 4, generator=devices.seeded(0, "imle epoch 3"))
    linear, norm = stage.mapper[0].layers[:2]
    with torch.no_grad():
        hidden = linear(noise)
    assert (norm.running_mean - hidden.mean(0)).abs().max() < 1e-5


@pytest.mark.parametrize("done", [1, 2])
def test_a_stopped_training_ends_with_the_same_bits(narrow, tmp_path, monkeypatch, done):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    path = tmp_path / "imle-pixel.safetensors"
    whole = stage_of()
    history = list(training.train(whole))
    records = training.train(stage_of(), path)
    for _ in range(done):
        next(records)
    records.close()  # as an interrupted program does
    stage, begun = stage_of(), []
    run_epoch = stage.run_epoch
    stage.run_epoch = lambda epoch: begun.append(epoch) or run_epoch(epoch)
    resumed = list(training.train(stage, path))
    assert begun == list(range(done + 1, 4))
    assert same(weights(stage.mapper), weights(whole.mapper))
    assert [(r.loss, r.distance, r.matched) for r in resumed] == [(r.loss, r.distance, r.matched) for r in history]


def test_what_is_finished_loads_again_and_other_settings_train_anew(narrow, tmp_path, monkeypatch):
    path, images = tmp_path / "imle-pixel.safetensors", pictures()
    generator, history = fit_pixel_imle(images, SMALL, LUCIC, path=path)
    tensors, record = storage.load_tensors(path)
    assert record["stage"] == "imle-pixel" and record["config"] == dataclasses.asdict(SMALL)
    assert not any(name.startswith(training.RESUME) for name in tensors)
    monkeypatch.setattr(IMLE, "run_epoch", lambda *args: pytest.fail("trained again"))
    again, records = fit_pixel_imle(images, SMALL, LUCIC, path=path)
    assert same(weights(again), weights(generator)) and records == history
    for config, normalisation, others in (
        (dataclasses.replace(SMALL, seed=1), "lucic", images),
        (SMALL, "batch", images),
        (SMALL, "lucic", images.flip(0)),
    ):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            fit_pixel_imle(others, config, GLOConfig(normalisation=normalisation), path=path)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(narrow):
    made = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)  # of no consequence
        made.append(weights(fit_pixel_imle(pictures(), dataclasses.replace(SMALL, seed=seed), LUCIC)[0]))
    assert same(made[0], made[1])
    assert not torch.equal(made[0]["layers.0.weight"], made[2]["layers.0.weight"])


def test_steps_that_are_far_too_large_name_stage_epoch_and_batch(narrow, tmp_path):
    path = tmp_path / "imle-pixel.safetensors"
    with pytest.raises(FloatingPointError, match=r"^imle-pixel: .*epoch \d, .*batch.*smaller \w*lr") as error:
        fit_pixel_imle(pictures(), dataclasses.replace(SMALL, lr=1.0e38), GLOConfig(normalisation="none"), path=path)
    assert "\n" not in str(error.value) and not path.exists()


def test_a_size_without_generator_is_a_one_line_error():
    with pytest.raises(ValueError, match="no generator for 30 px"):
        fit_pixel_imle(torch.zeros(8, 1, 30, 30, dtype=torch.uint8), SMALL, LUCIC)
