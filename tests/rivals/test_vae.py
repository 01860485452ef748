"""The VAE: its two terms against torch's own and the definition, each likelihood, the prior's averages, resuming."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from glann_lib import networks
from glann_lib.engine import devices, storage, training
from glann_lib.losses import make_loss
from glann_lib.networks import InfoGANGenerator, load_weights
from glann_lib.rivals import generator_stage
from glann_lib.rivals import networks as rival_networks
from glann_lib.rivals.config import LIKELIHOODS, make_vae_config
from glann_lib.rivals.vae import VAE, fit_vae

CPU = torch.device("cpu")
CODE = 6  # dimensions


class NarrowGenerator(nn.Module):
    """Takes InfoGANGenerator's place where only the bound matters: the same arguments, 26 thousand weights."""

    def __init__(self, image_size, channels, latent_dim, normalisation, on_sphere, features):
        super().__init__()
        assert normalisation == "lucic" and not on_sphere
        shape, self.seen = (channels, image_size, image_size), []
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 32),
            nn.BatchNorm1d(32),
            nn.LeakyReLU(0.2),
            nn.Linear(32, math.prod(shape)),
            nn.Sigmoid(),
            nn.Unflatten(1, shape),
        )

    def forward(self, z):
        self.seen.append(z.detach())
        return self.layers(z)


class NarrowEncoder(nn.Module):
    def __init__(self, image_size, channels, outputs, batch_norm, features):
        super().__init__()
        assert batch_norm
        pixels = channels * image_size**2
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, 32), nn.BatchNorm1d(32), nn.LeakyReLU(0.2), nn.Linear(32, outputs)
        )

    def forward(self, images):
        return self.layers(images)


class KnownEncoder(nn.Module):
    """The same numbers whatever the images."""

    def __init__(self, numbers):
        super().__init__()
        self.numbers = nn.Parameter(numbers)

    def forward(self, images):
        return self.numbers[: len(images)]


@pytest.fixture(autouse=True)
def quiet_and_the_same_bits(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    with devices.single_thread():  # sums over several threads may be taken in another order
        yield


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(networks, "InfoGANGenerator", NarrowGenerator)
    monkeypatch.setattr(rival_networks, "InfoGANEncoder", NarrowEncoder)


def pictures(count=32, channels=1, seed=0):
    """Bars of random width."""
    widths = torch.randint(4, 24, (count, 1, 1, 1), generator=torch.Generator().manual_seed(seed))
    images = (torch.arange(28) < widths).to(torch.uint8) * 255
    return images.expand(count, channels, 28, 28).contiguous()


def settings(likelihood="bernoulli", steps=6, **overrides):
    return make_vae_config(
        likelihood,
        steps,
        **({"batch_size": 8, "latent_dim": CODE, "precision": "float32", "loss": "random-vgg16"} | overrides),
    )


def known(likelihood, noise=0.0, **overrides):
    """A stage whose encoder's numbers are known, and whose noise is `noise` everywhere."""
    stage = VAE(pictures(), settings(likelihood, **overrides), CPU)
    numbers = torch.randn(8, 2 * CODE, generator=torch.Generator().manual_seed(3))
    stage.encoder = KnownEncoder(numbers)
    stage._prior = lambda count: torch.full((count, CODE), noise)
    stage.given = stage._given(torch.arange(8))
    return stage, *numbers.chunk(2, dim=1)


def test_the_divergence_is_torchs_own(narrow):
    stage, mean, log_variance = known("l1")
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(torch.zeros(()), torch.ones(())))
    _, divergence = stage.step(*stage.given)
    assert abs(divergence - expected.sum(1).mean()) < 1e-4


def test_the_divergence_of_the_prior_itself_is_0(narrow):
    stage, _, _ = known("l1")
    stage.encoder = KnownEncoder(torch.zeros(8, 2 * CODE))
    assert stage.step(*stage.given)[1] == 0


@pytest.mark.parametrize("noise", [0.0, 1.0, -2.0])
def test_codes_are_the_mean_and_noise_times_the_deviation(narrow, noise):
    stage, mean, log_variance = known("l1", noise)
    stage.step(*stage.given)
    assert (stage.generator.seen[-1] - (mean + noise * log_variance.exp().sqrt())).abs().max() < 1e-5


def bernoulli(generated, images):
    likelihood = images * generated.log() + (1 - images) * (1 - generated).log()
    return -likelihood.flatten(1).sum(1)


def laplace(generated, images):
    return (generated - images).abs().flatten(1).sum(1)


@pytest.mark.parametrize(("likelihood", "naive"), [("bernoulli", bernoulli), ("l1", laplace)])
@pytest.mark.parametrize("kl_weight", [1.0, 0.25])
def test_the_bound_is_the_misfit_and_the_divergence(narrow, likelihood, naive, kl_weight):
    stage, mean, _ = known(likelihood, kl_weight=kl_weight)
    with torch.no_grad():
        generated = stage.generator.train()(mean).double()  # the noise is 0
    images = stage.images[:8].double() / 255
    bound, divergence = stage.step(*stage.given)
    expected = naive(generated, images).mean() + kl_weight * divergence
    assert abs(bound - expected) < 1e-5 * expected


def test_greys_between_black_and_white_have_a_bernoulli_likelihood_too(narrow):
    misfit = known("bernoulli")[0].misfit
    random = torch.Generator().manual_seed(0)
    generated, images = (torch.rand(4, 1, 28, 28, generator=random).clamp(0.01, 0.99) for _ in range(2))
    assert (misfit(generated, images) - bernoulli(generated.double(), images.double())).abs().max() < 1e-2
    impossible = misfit(torch.zeros(1, 1, 28, 28), torch.ones(1, 1, 28, 28))  # a logarithm of 0
    assert torch.isfinite(impossible).all()


def test_the_perceptual_misfit_is_the_papers_loss_for_all_pixels(narrow):
    stage = known("perceptual")[0]
    random = torch.Generator().manual_seed(0)
    generated, images = (torch.rand(2, 1, 28, 28, generator=random) for _ in range(2))
    expected = make_loss("random-vgg16", 28)(generated, images) * 28 * 28
    assert (stage.misfit(generated, images) - expected).abs().max() < 1e-4 * expected.max()


def test_the_bound_falls(narrow):
    generator, history = fit_vae(pictures(), settings(steps=160, lr=3.0e-3))
    assert [record.epoch for record in history] == list(range(1, 41))
    assert history[-1].loss < 0.5 * history[0].loss
    assert all(record.divergence > 0 and record.seconds > 0 for record in history)
    # Samples from the prior have the images' brightness, column by column.
    noise = torch.randn(500, CODE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        columns = generator(noise).mean((0, 1, 2))
    assert (columns - pictures().float().mean((0, 1, 2)) / 255).abs().max() < 0.2
    assert not generator.training


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_each_likelihood_trains_the_real_networks(likelihood, monkeypatch):
    real = generator_stage.update_bn  # thousands of noises take seconds
    monkeypatch.setattr(generator_stage, "update_bn", lambda batches, network: real([batches[0][:16]], network))
    stage = VAE(pictures(8), settings(likelihood, steps=2), CPU)
    before = [p.detach().clone() for network in (stage.generator, stage.encoder) for p in network.parameters()]
    history = list(training.train(stage))
    after = [p for network in (stage.generator, stage.encoder) for p in network.parameters()]
    assert len(history) == 2 and all(math.isfinite(record.loss) for record in history)
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert type(stage.generator) is InfoGANGenerator and not stage.generator.on_sphere
    assert stage.name == f"vae-{likelihood}"


@pytest.mark.parametrize("likelihood", ["bernoulli", "l1"])
def test_half_the_bits_are_no_trouble(narrow, with_bfloat16, likelihood):
    stage, whole = (VAE(pictures(), settings(likelihood, precision=name), CPU) for name in ("bfloat16", "float32"))
    history, expected = list(training.train(stage)), list(training.train(whole))
    assert stage.dtype == torch.bfloat16 and all(p.dtype == torch.float32 for p in stage.generator.parameters())
    assert abs(history[-1].loss - expected[-1].loss) < 0.02 * expected[-1].loss


@pytest.mark.parametrize(("steps", "images", "epochs"), [(6, 32, 2), (7, 27, 3), (1, 8, 1)])
def test_as_many_steps_are_taken_as_said(narrow, steps, images, epochs):
    stage, taken = VAE(pictures(images), settings(steps=steps), CPU), []
    real = stage.optimiser.step
    stage.optimiser.step = lambda: taken.append(1) or real()
    assert len(list(training.train(stage))) == epochs == stage.epochs
    assert len(taken) == steps


def test_the_averages_of_batch_norm_are_those_of_the_prior_at_the_end(narrow):
    """Not those of the encoder's codes, which lie elsewhere as long as the divergence costs little."""
    stage = VAE(pictures(), settings("l1", steps=80, lr=5.0e-3, kl_weight=0.0), CPU)
    list(training.train(stage))
    noise = torch.randn(50_000, CODE, generator=torch.Generator().manual_seed(1))
    linear, norm = stage.generator.layers[:2]
    with torch.no_grad():
        hidden, codes = linear(noise), linear(stage.generator.seen[-3])  # 2 blocks of noise came after it
    assert len(codes) == 8
    assert (norm.running_mean - hidden.mean(0)).abs().max() < 0.08 * hidden.std()
    assert (norm.running_var / hidden.var(0) - 1).abs().max() < 0.15
    assert (codes.var(0) / hidden.var(0) - 1).abs().max() > 0.5


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.parametrize("likelihood", ["bernoulli", "perceptual"])
def test_a_stopped_training_ends_with_the_same_bits(narrow, tmp_path, monkeypatch, likelihood):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    path, images, config = tmp_path / "vae.safetensors", pictures(16), settings(likelihood)
    whole = VAE(images, config, CPU)
    history = list(training.train(whole))
    for done in (1, 2):
        records = training.train(VAE(images, config, CPU), path)
        for _ in range(done):
            next(records)
        records.close()  # as an interrupted program does
    stage, begun = VAE(images, config, CPU), []
    run_epoch = stage.run_epoch
    stage.run_epoch = lambda epoch: begun.append(epoch) or run_epoch(epoch)
    resumed = list(training.train(stage, path))
    assert begun == [3]
    assert same(weights(stage.generator), weights(whole.generator))
    assert same(weights(stage.encoder), weights(whole.encoder))
    assert [(r.loss, r.divergence) for r in resumed] == [(r.loss, r.divergence) for r in history]


def test_the_number_format_of_a_stopped_training_is_kept(narrow, tmp_path, monkeypatch):
    """ "auto" measures: another measurement, after a crash, must not change the rest of the training."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    path = tmp_path / "vae.safetensors"
    monkeypatch.setattr(devices, "resolve_precision", lambda name, device: torch.float32)
    records = training.train(VAE(pictures(), settings(steps=8), CPU), path)
    next(records)
    records.close()
    monkeypatch.setattr(devices, "resolve_precision", lambda name, device: torch.bfloat16)
    stage = VAE(pictures(), settings(steps=8), CPU)
    list(training.train(stage, path))
    assert stage.dtype == torch.float32
    assert storage.load_tensors(path)[1]["precision"] == "float32"


def test_the_finished_file_keeps_the_generator_only_and_loads_again(narrow, tmp_path, monkeypatch):
    path, images = tmp_path / "vae.safetensors", pictures()
    generator, history = fit_vae(images, settings(), path=path)
    tensors, record = storage.load_tensors(path)
    assert tensors.keys() == {f"generator.{name}" for name in generator.state_dict()}
    assert record["config"] == dataclasses.asdict(settings()) and record["stage"] == "vae-bernoulli"
    loaded = NarrowGenerator(28, 1, CODE, "lucic", False, 128)
    load_weights(loaded, tensors, "generator.")
    assert same(weights(loaded), weights(generator))
    monkeypatch.setattr(VAE, "run_epoch", lambda *args: pytest.fail("trained again"))
    again, records = fit_vae(images, settings(), path=path)
    assert same(weights(again), weights(generator)) and records == history
    for other in (settings(seed=1), settings(kl_weight=0.5), settings("l1")):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            fit_vae(images, other, path=path)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(narrow):
    made = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)  # of no consequence
        made.append(weights(fit_vae(pictures(), settings(seed=seed))[0]))
    assert same(made[0], made[1])
    assert not torch.equal(made[0]["layers.0.weight"], made[2]["layers.0.weight"])


@pytest.mark.parametrize("likelihood", ["bernoulli", "l1"])
def test_steps_that_are_far_too_large_name_stage_epoch_and_batch(narrow, tmp_path, likelihood):
    path = tmp_path / "vae.safetensors"
    with pytest.raises(FloatingPointError, match=rf"^vae-{likelihood}: .*epoch 1, batch.*smaller lr") as error:
        fit_vae(pictures(), settings(likelihood, lr=1.0e30), path=path)
    assert "\n" not in str(error.value) and not path.exists()


def test_a_size_without_generator_is_a_one_line_error():
    with pytest.raises(ValueError, match="no generator for 30 px"):
        fit_vae(torch.zeros(8, 1, 30, 30, dtype=torch.uint8), settings())


def test_colour_is_no_trouble(narrow):
    generator, _ = fit_vae(pictures(16, channels=3), settings(steps=2))
    assert generator(torch.zeros(2, CODE)).shape == (2, 3, 28, 28)
