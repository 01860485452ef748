"""The adversarial rivals: losses against their definitions, penalties of a known gradient, steps counted, resuming."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from glann_lib.engine import devices, storage, training
from glann_lib.networks import InfoGANGenerator, load_weights
from glann_lib.rivals import gan, generator_stage
from glann_lib.rivals.config import make_gan_config
from glann_lib.rivals.gan import GAMES, GAN, between, fit_gan, gradient_penalty, near_real

CPU = torch.device("cpu")
REAL, GENERATED = [1.5, -0.3, 0.0, 4.0], [-2.0, 0.7, 0.1, 3.0]


class NarrowGenerator(nn.Module):
    """Takes InfoGANGenerator's place where only the game matters: the same arguments, 26 thousand weights."""

    def __init__(self, image_size, channels, latent_dim, normalisation, on_sphere, features):
        super().__init__()
        assert normalisation == "lucic" and not on_sphere
        shape = (channels, image_size, image_size)
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 32),
            nn.BatchNorm1d(32),
            nn.LeakyReLU(0.2),
            nn.Linear(32, math.prod(shape)),
            nn.Sigmoid(),
            nn.Unflatten(1, shape),
        )

    def forward(self, z):
        return self.layers(z)


class NarrowCritic(nn.Module):
    def __init__(self, image_size, channels, batch_norm, features):
        super().__init__()
        norm = nn.BatchNorm1d(32) if batch_norm else nn.Identity()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, 32), norm, nn.LeakyReLU(0.2), nn.Linear(32, 1)
        )

    def forward(self, images):
        return self.layers(images).squeeze(1)


class NarrowAutoencoder(nn.Module):
    def __init__(self, image_size, channels, features):
        super().__init__()
        pixels = channels * image_size**2
        self.layers = nn.Sequential(nn.Linear(pixels, 8), nn.LeakyReLU(0.2), nn.Linear(8, pixels), nn.Sigmoid())

    def forward(self, images):
        return (self.layers(images.flatten(1)) - images.flatten(1)).abs().mean(1)


class LinearCritic(nn.Module):
    """D(x) = <w, x>: its gradient is w everywhere. Notes where it is asked."""

    def __init__(self, shape, norm):
        super().__init__()
        weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        self.weight, self.seen = nn.Parameter(norm * weight / weight.norm()), []

    def forward(self, images):
        self.seen.append(images.detach().clone())
        return (self.weight * images).flatten(1).sum(1)


@pytest.fixture(autouse=True)
def quiet_and_the_same_bits(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    with devices.single_thread():  # sums over several threads may be taken in another order
        yield


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(gan, "InfoGANGenerator", NarrowGenerator)
    monkeypatch.setattr(gan, "Critic", NarrowCritic)
    monkeypatch.setattr(gan, "AutoencodingCritic", NarrowAutoencoder)


def pictures(count=32, channels=1, seed=0):
    """Bars of random width: far from what an untrained generator gives."""
    random = torch.Generator().manual_seed(seed)
    widths = torch.randint(4, 24, (count, 1, 1, 1), generator=random)
    images = (torch.arange(28) < widths).to(torch.uint8) * 255
    return images.expand(count, channels, 28, 28).contiguous()


def settings(game="ns-gan", steps=6, **overrides):
    return make_gan_config(game, steps, **({"batch_size": 8, "latent_dim": 8, "precision": "float32"} | overrides))


def stage_of(game="ns-gan", images=None, **overrides):
    return GAN(pictures() if images is None else images, settings(game, **overrides), CPU)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def cross_entropy(real, generated, _):
    return -mean(math.log(sigmoid(r)) for r in real) - mean(math.log(1 - sigmoid(g)) for g in generated)


def non_saturating(generated):
    return -mean(math.log(sigmoid(g)) for g in generated)


def wasserstein(real, generated, _):
    return mean(generated) - mean(real)


DEFINITIONS = {
    "mm-gan": (cross_entropy, lambda generated: mean(math.log(1 - sigmoid(g)) for g in generated)),
    "ns-gan": (cross_entropy, non_saturating),
    "dragan": (cross_entropy, non_saturating),
    "lsgan": (
        lambda real, generated, _: mean((r - 1) ** 2 for r in real) + mean(g**2 for g in generated),
        lambda generated: mean((g - 1) ** 2 for g in generated),
    ),
    "wgan": (wasserstein, lambda generated: -mean(generated)),
    "wgan-gp": (wasserstein, lambda generated: -mean(generated)),
    "began": (lambda real, generated, balance: mean(real) - balance * mean(generated), mean),
}


@pytest.mark.parametrize("balance", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("game", GAMES)
def test_losses_are_those_of_the_definition(game, balance):
    critic, generator = DEFINITIONS[game]
    real, generated = torch.tensor(REAL), torch.tensor(GENERATED)
    assert abs(GAMES[game].critic(real, generated, torch.tensor(balance)) - critic(REAL, GENERATED, balance)) < 1e-5
    assert abs(GAMES[game].generator(generated) - generator(GENERATED)) < 1e-5


@pytest.mark.parametrize("game", GAMES)
def test_losses_of_far_too_certain_critics_are_finite(game):
    sure = torch.tensor([200.0, -200.0], requires_grad=True)
    loss = GAMES[game].critic(sure, sure.flip(0), torch.tensor(0.5)) + GAMES[game].generator(sure)
    (gradient,) = torch.autograd.grad(loss, sure)
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()


def test_the_saturating_game_stands_still_where_the_other_does_not():
    """What the two forms of Goodfellow et al. differ in: the pull on images that the critic refuses for sure."""
    pulls = {}
    for game in ("mm-gan", "ns-gan"):
        refused = torch.tensor([-20.0], requires_grad=True)
        GAMES[game].generator(refused).backward()
        pulls[game] = -refused.grad.item()
    assert 0 < pulls["mm-gan"] < 1e-6 and abs(pulls["ns-gan"] - 1) < 1e-6


def test_only_two_games_have_a_penalty():
    assert {game: rule.penalty for game, rule in GAMES.items() if rule.penalty} == {
        "wgan-gp": between,
        "dragan": near_real,
    }


@pytest.mark.parametrize("norm", [0.25, 1.0, 3.0])
def test_the_penalty_of_a_linear_critic_is_known(norm):
    real, generated = pictures(6).float() / 255, torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    critic, random = LinearCritic((1, 28, 28), norm), torch.Generator().manual_seed(0)
    for penalty in (
        gradient_penalty(critic, real),
        between(critic, real, generated, torch.rand(6, 1, 1, 1, generator=random)),
        near_real(critic, real, generated, torch.rand(real.shape, generator=random)),
    ):
        assert abs(penalty.item() - (norm - 1) ** 2) < 1e-5
        (gradient,) = torch.autograd.grad(penalty, critic.weight)  # of (||w|| - 1)^2: 2 (||w|| - 1) w / ||w||
        assert (gradient - 2 * (norm - 1) * critic.weight / norm).abs().max() < 1e-5


def test_the_penalty_is_an_average_over_images_each_for_itself():
    class Square(nn.Module):
        def forward(self, images):
            return images.flatten(1).square().sum(1) / 2  # its gradient at x is x

    points = torch.tensor([[3.0, 4.0], [0.6, 0.8], [0.0, 2.0]]).view(3, 1, 1, 2)  # of length 5, 1 and 2
    assert abs(gradient_penalty(Square(), points).item() - (16 + 0 + 1) / 3) < 1e-5
    assert not points.requires_grad


def test_the_penalties_points_lie_where_their_papers_say():
    real, generated = pictures(50).float() / 255, torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    critic, random = LinearCritic((1, 28, 28), 1.0), torch.Generator().manual_seed(0)
    between(critic, real, generated, torch.rand(GAMES["wgan-gp"].penalty_draws(real.shape), generator=random))
    way = (critic.seen[-1] - generated).flatten(1)
    whole = (real - generated).flatten(1)
    t = (way * whole).sum(1) / whole.square().sum(1)  # one number an image
    assert (way - t[:, None] * whole).abs().max() < 1e-5
    assert t.min() >= 0 and t.max() <= 1 and t.std() > 0.2 and abs(t.mean() - 0.5) < 0.15
    near_real(critic, real, generated, torch.rand(GAMES["dragan"].penalty_draws(real.shape), generator=random))
    noise = (critic.seen[-1] - real) / (0.5 * real.std())
    assert noise.min() >= -1e-5 and noise.max() <= 1 + 1e-5 and abs(noise.mean() - 0.5) < 0.01


def prepared(game, **overrides):
    """A stage after a few steps (WGAN's weights are clipped by then), whose noise is the same from now on."""
    stage = stage_of(game, steps=100, **overrides)
    stage.run_epoch(1)
    stage.generator.train(), stage.critic.train()
    noise = stage._prior(8)
    stage._prior = lambda count: noise
    if game == "began":
        stage.balance.fill_(0.5)
    return stage, stage.images[:8].float() / 255


def critic_step(stage, real):
    drawn = torch.rand(stage.game.penalty_draws(real.shape), generator=stage.random) if stage.game.penalty else None
    return stage._critic_step(real, stage._prior(len(real)), drawn)


@pytest.mark.parametrize("game", GAMES)
def test_a_step_of_the_critic_lowers_its_loss(narrow, game):
    stage, real = prepared(game)
    balance = stage.balance.clone()

    def loss():
        with torch.no_grad():
            generated = stage.generator(stage._prior(8))
        random, penalty = torch.Generator().manual_seed(7), 0
        if stage.game.penalty:
            drawn = torch.rand(stage.game.penalty_draws(real.shape), generator=random)
            penalty = stage.game.penalty(stage.critic, real, generated, drawn)
        return (
            stage.game.critic(stage.critic(real), stage.critic(generated), balance) + stage.config.penalty * penalty
        ).item()

    before = loss()
    weights = [p.detach().clone() for p in stage.generator.parameters()]
    for _ in range(3):
        critic_step(stage, real)
    assert loss() < before
    assert all(torch.equal(a, b) for a, b in zip(weights, stage.generator.parameters(), strict=True))


@pytest.mark.parametrize("game", GAMES)
def test_a_step_of_the_generator_pleases_the_critic(narrow, game):
    """Its images score higher than before; BEGAN's number is an error, so there lower."""
    stage, _ = prepared(game)
    stage._critic_step = lambda *given: torch.zeros(())

    def score():
        with torch.no_grad():
            return stage.critic(stage.generator(stage._prior(8))).mean().item()

    before, weights = score(), [p.detach().clone() for p in stage.critic.parameters()]
    for _ in range(3):
        stage.step(*stage._given([torch.arange(8)]))
    assert score() < before if game == "began" else score() > before
    assert all(torch.equal(a, b) for a, b in zip(weights, stage.critic.parameters(), strict=True))


def test_the_penalty_counts_as_much_as_said(narrow):
    moved = []
    for penalty in (0.0, 10.0, 10.0):
        stage, real = prepared("wgan-gp", penalty=10.0)
        stage.config = dataclasses.replace(stage.config, penalty=penalty)
        stage.random.manual_seed(1)
        loss = critic_step(stage, real)
        moved.append((loss, stage.critic.layers[1].weight.detach().clone()))
    assert torch.equal(moved[1][1], moved[2][1]) and not torch.equal(moved[0][1], moved[1][1])
    assert moved[0][0] == moved[1][0]  # the recorded loss is the game's alone


@pytest.mark.parametrize("clip", [0.01, 0.002])
def test_the_weights_of_wgan_stay_clipped(narrow, clip):
    stage = stage_of("wgan", clip=clip)
    for epoch in (1, 2):
        stage.run_epoch(epoch)
        largest = [weights.abs().max().item() for weights in stage.critic.parameters()]
        assert max(largest) <= clip * (1 + 1e-6)
    assert max(p.abs().max() for p in stage.generator.parameters()) > clip  # the generator's are not


def test_no_other_game_clips(narrow):
    stage = stage_of("wgan-gp")
    stage.run_epoch(1)
    assert max(p.abs().max() for p in stage.critic.parameters()) > 0.03


@pytest.mark.parametrize(
    ("game", "critic_steps", "steps", "images", "epochs"),
    [("ns-gan", 1, 6, 32, 2), ("ns-gan", 3, 4, 32, 1), ("wgan", 5, 7, 27, 3), ("began", 1, 1, 8, 1)],
)
def test_as_many_steps_are_taken_as_said(narrow, game, critic_steps, steps, images, epochs):
    stage = stage_of(game, pictures(images), steps=steps, critic_steps=critic_steps)
    taken = []
    for name, optimiser in stage.optimisers.items():
        real = optimiser.step
        optimiser.step = lambda real=real, name=name: taken.append(name) or real()
    history = list(training.train(stage))
    assert taken == (["critic"] * critic_steps + ["generator"]) * steps
    assert [record.epoch for record in history] == list(range(1, epochs + 1)) and stage.epochs == epochs


def test_an_epoch_shows_every_image_once_to_each_of_the_critics_steps(narrow):
    images = torch.arange(30, dtype=torch.uint8)[:, None, None, None].expand(30, 1, 28, 28).contiguous()
    stage, seen = stage_of("wgan", images, steps=6, critic_steps=2), []
    real = stage._critic_step
    stage._critic_step = lambda images, *more: (
        seen.append((255 * images[:, 0, 0, 0]).round().int().tolist()) or real(images, *more)
    )
    list(training.train(stage))
    assert len(seen) == 12 and all(len(batch) == 8 for batch in seen)  # 3 steps an epoch: 6 images are left out
    orders = [[row for batch in seen[first : first + 6 : 2] for row in batch] for first in (0, 1, 6, 7)]
    assert all(len(set(order)) == 24 for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_the_noise_is_uniform_from_minus_1_to_1(narrow):
    stage = stage_of()
    stage.run_epoch(1)
    noise = stage._prior(5000)
    assert noise.shape == (5000, 8) and noise.min() >= -1 and noise.max() <= 1
    assert noise.mean().abs() < 0.01 and abs(noise.var() - 1 / 3) < 0.01


class Brightness(nn.Module):
    """A critic whose number is an image's mean: known errors for BEGAN's balance."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images):
        return images.flatten(1).mean(1) + 0 * self.weight


@pytest.mark.parametrize(
    ("real", "generated", "start", "end"),
    [
        (0.8, 0.2, 0.5, 0.5 + 0.2 * (0.7 * 0.8 - 0.2)),
        (0.2, 0.8, 0.5, 0.5 + 0.2 * (0.7 * 0.2 - 0.8)),
        (0.5, 0.35, 0.3, 0.3),
        (0.2, 0.8, 0.0, 0.0),
        (0.8, 0.2, 1.0, 1.0),
    ],
)
def test_the_balance_of_began_follows_the_errors_and_stays_between_0_and_1(narrow, real, generated, start, end):
    stage = stage_of("began", gamma=0.7, balance_lr=0.2)
    stage.random = torch.Generator().manual_seed(0)
    stage.critic, stage.balance = Brightness(), torch.tensor(start)
    stage.optimisers["critic"] = stage._adam(stage.critic)
    stage.generator = lambda noise: torch.full((len(noise), 1, 28, 28), generated)
    loss = critic_step(stage, torch.full((8, 1, 28, 28), real))
    assert abs(stage.balance.item() - end) < 1e-6
    assert abs(loss.item() - (real - start * generated)) < 1e-6  # with the balance as it was


def test_only_began_has_a_balance(narrow):
    for game in GAMES:
        stage = stage_of(game, steps=4)
        stage.run_epoch(1)
        assert (stage.balance > 0) == (game == "began")


def test_the_averages_of_batch_norm_are_those_of_the_prior_at_the_end(narrow):
    stage = stage_of(steps=10, lr=0.01)
    list(training.train(stage))
    noise = 2 * torch.rand(50_000, 8, generator=torch.Generator().manual_seed(1)) - 1
    with torch.no_grad():
        hidden = stage.generator.layers[0](noise)
    norm = stage.generator.layers[1]
    assert (norm.running_mean - hidden.mean(0)).abs().max() < 0.08 * hidden.std()
    assert (norm.running_var / hidden.var(0) - 1).abs().max() < 0.15


@pytest.mark.parametrize("game", GAMES)
def test_records_tell_how_the_game_goes(narrow, game):
    history = list(training.train(stage_of(game)))
    assert [record.epoch for record in history] == [1, 2]
    assert all(math.isfinite(record.loss) and math.isfinite(record.critic_loss) for record in history)
    assert all(record.seconds > 0 for record in history)


@pytest.mark.parametrize("game", GAMES)
def test_half_the_bits_are_no_trouble(narrow, with_bfloat16, game):
    stage, whole = stage_of(game, precision="bfloat16"), stage_of(game)
    history, expected = list(training.train(stage)), list(training.train(whole))
    assert stage.dtype == torch.bfloat16 and all(p.dtype == torch.float32 for p in stage.generator.parameters())
    assert abs(history[0].critic_loss - expected[0].critic_loss) < 0.1 * abs(expected[0].critic_loss) + 0.02


def test_a_game_comes_near_the_images(narrow):
    """NS-GAN on one picture: its images become that picture. (BatchNorm in the critic sees nothing in equal images.)"""
    images = pictures(1).expand(32, 1, 28, 28).contiguous()
    generator, _ = fit_gan(images, settings(steps=150, lr=2.0e-3, batch_norm=False))
    noise = 2 * torch.rand(64, 8, generator=torch.Generator().manual_seed(1)) - 1
    with torch.no_grad():
        made, untrained = generator(noise), stage_of(images=images).generator.eval()(noise)
    target = images[:1].float() / 255
    assert (made - target).abs().mean() < 0.3 * (untrained - target).abs().mean()


def few_for_the_averages(monkeypatch):
    """BatchNorm's last averages from 16 noises in place of thousands: seconds, with the real generator."""
    real = generator_stage.update_bn
    monkeypatch.setattr(generator_stage, "update_bn", lambda batches, network: real([batches[0][:16]], network))


@pytest.mark.parametrize("game", ["ns-gan", "began", "wgan-gp"])
def test_the_real_networks_play(game, monkeypatch):
    few_for_the_averages(monkeypatch)
    stage = stage_of(game, pictures(8), steps=1, critic_steps=1)
    first = {name: value.clone() for name, value in stage.generator.state_dict().items()}
    list(training.train(stage))
    generator = stage.generator
    assert type(generator) is InfoGANGenerator and not generator.on_sphere
    assert all(not torch.equal(value, first[name]) for name, value in generator.state_dict().items())
    with torch.no_grad():
        assert generator.eval()(stage._prior(3)).shape == (3, 1, 28, 28)


@pytest.fixture
def checkpoint_every_epoch(monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)


def weights(generator):
    return {name: value.clone() for name, value in generator.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.parametrize("game", ["ns-gan", "began", "wgan-gp"])
def test_a_stopped_training_ends_with_the_same_bits(narrow, checkpoint_every_epoch, tmp_path, game):
    path = tmp_path / f"{game}.safetensors"
    config = settings(game, steps=11)
    whole, history = fit_gan(pictures(), config)
    for done in (1, 2):
        records = training.train(GAN(pictures(), config, CPU), path)
        for _ in range(done):
            next(records)
        records.close()  # as an interrupted program does
    stage, begun = GAN(pictures(), config, CPU), []
    run_epoch = stage.run_epoch
    stage.run_epoch = lambda epoch: begun.append(epoch) or run_epoch(epoch)
    resumed = list(training.train(stage, path))
    assert begun == [3]
    assert same(weights(stage.generator), weights(whole))
    losses = [(record.loss, record.critic_loss) for record in history]
    assert [(record.loss, record.critic_loss) for record in resumed] == losses
    uninterrupted = GAN(pictures(), config, CPU)
    list(training.train(uninterrupted))
    assert same(weights(stage.critic), weights(uninterrupted.critic))
    assert torch.equal(stage.balance, uninterrupted.balance) and (stage.balance > 0) == (game == "began")


def test_the_number_format_of_a_stopped_training_is_kept(narrow, checkpoint_every_epoch, tmp_path, monkeypatch):
    """ "auto" measures: another measurement, after a crash, must not change the rest of the training."""
    path = tmp_path / "ns-gan.safetensors"
    for format, epochs in ((torch.float32, 1), (torch.bfloat16, 0)):
        monkeypatch.setattr(devices, "resolve_precision", lambda name, device, format=format: format)
        stage = GAN(pictures(), settings(steps=8, precision="auto"), CPU)
        records = training.train(stage, path)
        next(records)
        if epochs:
            records.close()
    assert stage.dtype == torch.float32
    list(records)
    assert storage.load_tensors(path)[1]["precision"] == "float32"


def test_the_finished_file_keeps_the_generator_only_and_loads_again(narrow, tmp_path, monkeypatch):
    path, images = tmp_path / "ns-gan.safetensors", pictures()
    generator, history = fit_gan(images, settings(), path=path)
    tensors, record = storage.load_tensors(path)
    assert tensors.keys() == {f"generator.{name}" for name in generator.state_dict()}
    assert record["config"] == dataclasses.asdict(settings()) and record["stage"] == "ns-gan"
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".")] == ["ns-gan.safetensors"]
    loaded = NarrowGenerator(28, 1, 8, "lucic", False, 128)
    load_weights(loaded, tensors, "generator.")
    assert same(weights(loaded), weights(generator)) and not generator.training
    monkeypatch.setattr(GAN, "run_epoch", lambda *args: pytest.fail("trained again"))
    again, records = fit_gan(images, settings(), path=path)
    assert same(weights(again), weights(generator)) and records == history
    for other in (settings(seed=1), settings(lr=2.0e-3), settings("mm-gan")):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            fit_gan(images, other, path=path)
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        fit_gan(images.flip(0), settings(), path=path)


@pytest.mark.parametrize("game", ["ns-gan", "dragan"])
def test_the_same_seed_gives_the_same_bits_and_another_does_not(narrow, game):
    made = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)  # of no consequence
        made.append(weights(fit_gan(pictures(), settings(game, seed=seed))[0]))
    assert same(made[0], made[1])
    assert not torch.equal(made[0]["layers.0.weight"], made[2]["layers.0.weight"])


@pytest.mark.parametrize("game", ["mm-gan", "ns-gan", "lsgan", "wgan-gp", "dragan"])
def test_steps_that_are_far_too_large_name_stage_epoch_and_batch(narrow, tmp_path, game):
    path = tmp_path / "gan.safetensors"
    with pytest.raises(FloatingPointError, match=rf"^{game}: .*epoch 1, .*batch.*smaller lr \(now 1e\+30\)$") as error:
        fit_gan(pictures(), settings(game, lr=1.0e30), path=path)
    assert "\n" not in str(error.value) and not path.exists()


def test_a_loss_that_is_not_finite_names_its_batch(narrow):
    stage, calls = stage_of(), []
    real = stage._critic_step
    stage._critic_step = lambda *given: calls.append(1) or real(*given) * (math.nan if len(calls) == 6 else 1)
    with pytest.raises(FloatingPointError, match="ns-gan: not finite in epoch 2, batch 2 of 2"):
        list(training.train(stage))


@pytest.mark.parametrize("game", ["ns-gan", "began"])
def test_a_size_without_generator_is_a_one_line_error(game):
    with pytest.raises(ValueError, match="no generator for 30 px") as error:
        fit_gan(torch.zeros(8, 1, 30, 30, dtype=torch.uint8), settings(game))
    assert "\n" not in str(error.value)


def test_colour_is_no_trouble(narrow):
    generator, _ = fit_gan(pictures(16, channels=3), settings(steps=2))
    assert generator(torch.zeros(2, 8)).shape == (2, 3, 28, 28)
