"""Stage 2: exact matches, a known linear map found again, every mode covered, BatchNorm's averages."""

import copy
import dataclasses

import pytest
import torch

from glann_lib.config import IMLEConfig
from glann_lib.engine import devices, storage, training
from glann_lib.glo import load_embedding
from glann_lib.imle import IMLE, WATCHED, fit_imle, load_mapping
from glann_lib.sampling import draw_noise, run_blocks

CPU = torch.device("cpu")
SMALL = IMLEConfig(noise_dim=4, hidden_dim=32, epochs=3, batch_size=16)


def draw(rows, width, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def on_sphere(latents):
    return latents / latents.norm(dim=1, keepdim=True)


def stage_of(latents=None, **settings):
    return IMLE(on_sphere(draw(64, 8)) if latents is None else latents, dataclasses.replace(SMALL, **settings), CPU)


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


def test_matches_are_those_of_brute_force():
    stage = stage_of()
    list(training.train(stage))
    noise = draw(300, 4, seed=5)
    mapper = copy.deepcopy(stage.mapper)
    match = stage.match(noise)
    with torch.no_grad():
        distances = torch.cdist(stage.latents.double(), mapper.train()(noise).double())
    assert match.index.shape == (64, 1)
    assert (distances.gather(1, match.index)[:, 0] - distances.min(1).values).abs().max() < 1e-6
    assert (match.distance[:, 0] - distances.min(1).values).abs().max() < 1e-6


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_a_known_linear_map_is_found_again(spread):
    """Latents are noises of 2 dimensions under a linear map to 8: T must come to give the same distribution."""
    matrix = draw(2, 8, seed=1)
    latents = draw(400, 2) @ matrix + spread * draw(400, 8, seed=2)
    config = dataclasses.replace(SMALL, noise_dim=2, hidden_dim=64, epochs=80, batch_size=50, lr=5.0e-3)
    mapping = fit_imle(latents, config)
    distances = [record.distance for record in mapping.history]
    assert distances[-1] < 0.15 * distances[0]
    made = run_blocks(mapping.mapper, draw_noise(5000, 2, seed=9))
    plane = torch.linalg.qr(matrix.T).Q
    off_plane = (made - made @ plane @ plane.T).norm(dim=1)
    assert off_plane.mean() < 0.05 * made.norm(dim=1).mean()
    covariance, known = torch.cov(made.T), torch.cov(latents.T)
    assert (covariance - known).abs().max() < 0.2 * known.abs().max()
    assert made.mean(0).norm() < 0.2 * known.trace().sqrt()


def test_every_mode_of_a_mixture_is_reached():
    centres = on_sphere(draw(8, 16, seed=3))
    sizes = torch.tensor([200, 100, 50, 50, 40, 30, 20, 10])  # the smallest is 2% of all
    owner = torch.arange(8).repeat_interleave(sizes)
    latents = on_sphere(centres[owner] + 0.05 * draw(500, 16, seed=4))
    mapping = fit_imle(
        latents, dataclasses.replace(SMALL, noise_dim=2, hidden_dim=64, epochs=200, batch_size=50, lr=5.0e-3)
    )
    made = on_sphere(run_blocks(mapping.mapper, draw_noise(4000, 2, seed=9)))
    distance, nearest = torch.cdist(made, centres).min(1)  # the centres themselves are about 1.4 apart
    reached = torch.bincount(nearest[distance < 0.5], minlength=8)
    assert reached.min() >= 4, reached
    assert (distance < 0.7).float().mean() > 0.85
    assert torch.cdist(latents, made).min(1).values.max() < 0.55  # no latent is left out


def test_records_tell_how_training_goes():
    latents = on_sphere(draw(100, 8))
    mapping = fit_imle(latents, dataclasses.replace(SMALL, epochs=40, lr=3.0e-3))
    first, last = mapping.history[0], mapping.history[-1]
    assert [record.epoch for record in mapping.history] == list(range(1, 41))
    assert last.loss < 0.7 * first.loss and last.distance < 0.8 * first.distance
    assert all(0 < record.matched <= 0.5 for record in mapping.history)  # at most n of the 2 n noises are chosen


def test_the_averages_of_batch_norm_are_those_of_noise_as_it_is_drawn():
    latents = on_sphere(draw(600, 8) * torch.tensor([3.0, 2, 1, 1, 0.5, 0.5, 0.1, 0.1]))
    mapper = fit_imle(latents, dataclasses.replace(SMALL, epochs=30, lr=3.0e-3, batch_size=50)).mapper
    noise = draw(20_000, 4, seed=7)
    with torch.no_grad():
        in_eval, in_train = mapper.eval()(noise), copy.deepcopy(mapper).train()(noise)
    assert (in_eval - in_train).square().mean() < 0.01 * in_train.var(0).sum()
    scatter = (in_eval - in_train).norm(dim=1).mean() / in_train.norm(dim=1).mean()
    assert scatter < 0.1


def test_averages_are_exactly_those_of_the_last_epochs_noise():
    stage = stage_of()
    list(training.train(stage))
    noise = torch.randn(2 * 64, 4, generator=devices.seeded(0, "imle epoch 3"))
    first, norm = stage.mapper.layers[0], stage.mapper.layers[1]
    with torch.no_grad():
        hidden = first(noise)
    assert (norm.running_mean - hidden.mean(0)).abs().max() < 1e-5
    assert (norm.running_var - hidden.var(0)).abs().max() < 1e-4


def test_the_same_seed_gives_the_same_bits():
    runs = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)  # of no consequence
        runs.append(fit_imle(on_sphere(draw(64, 8)), dataclasses.replace(SMALL, seed=seed)).mapper.state_dict())
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not torch.equal(runs[0]["layers.0.weight"], runs[2]["layers.0.weight"])


@pytest.mark.parametrize("noise_per_latent", [1, 2, 5])
def test_as_many_noises_are_drawn_as_said(monkeypatch, noise_per_latent):
    drawn, real = [], IMLE.match
    monkeypatch.setattr(IMLE, "match", lambda self, noise: drawn.append(noise) or real(self, noise))
    list(training.train(stage_of(noise_per_latent=noise_per_latent)))
    assert [noise.shape for noise in drawn] == [(noise_per_latent * 64, 4)] * 3
    assert not torch.equal(drawn[0], drawn[1])


def test_the_mapping_may_be_wider_and_the_images_fewer():
    mapping = fit_imle(draw(16, 8), dataclasses.replace(SMALL, noise_dim=10, hidden_dim=20, epochs=1))
    assert mapping.mapper(draw(5, 10)).shape == (5, 8)


def test_snapshots_are_of_the_same_noises():
    mapping = fit_imle(on_sphere(draw(64, 8)), dataclasses.replace(SMALL, epochs=6))
    assert list(mapping.snapshots) == [1, 2, 4, 6]
    noise = torch.randn(WATCHED, 4, generator=devices.seeded(0, "imle watched"))
    assert (mapping.snapshots[6] - mapping.mapper(noise)).abs().max() < 1e-5
    assert (mapping.snapshots[6] - mapping.snapshots[1]).abs().max() > 0.01


def test_a_mapping_comes_back_bit_for_bit(tmp_path, monkeypatch):
    path = tmp_path / "imle.safetensors"
    latents = on_sphere(draw(64, 8))
    made = fit_imle(latents, SMALL, path=path)
    loaded = load_mapping(path)
    state = made.mapper.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.mapper.state_dict().items())
    assert loaded.history == made.history and not loaded.mapper.training and not made.mapper.training
    assert all(torch.equal(loaded.snapshots[epoch], made.snapshots[epoch]) for epoch in made.snapshots)
    assert not any(name.startswith(training.RESUME) for name in storage.load_tensors(path)[0])
    monkeypatch.setattr(IMLE, "step", lambda *args: pytest.fail("trained again"))
    assert fit_imle(latents, SMALL, path=path).history == made.history
    for other in (dict(seed=1), dict(lr=2.0e-3)):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            fit_imle(latents, dataclasses.replace(SMALL, **other), path=path)
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        fit_imle(latents.flip(0), SMALL, path=path)


def test_fewer_latents_than_a_batch_are_one_batch():
    few, whole = stage_of(batch_size=65), stage_of(batch_size=64)
    assert few.run_epoch(1).loss == whole.run_epoch(1).loss and few.fingerprint == whole.fingerprint
    mapping = fit_imle(on_sphere(draw(2, 8)), dataclasses.replace(SMALL, moments="matched"))
    assert mapping.config.batch_size == 2 and torch.isfinite(mapping.mapper(torch.randn(5, 4))).all()
    with pytest.raises(ValueError, match=r"^1 to train on: give 2 or more") as error:
        fit_imle(on_sphere(draw(1, 8)), SMALL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_latents_that_are_not_finite_are_refused(bad):
    latents = on_sphere(draw(64, 8))
    latents[40, 3] = bad
    with pytest.raises(ValueError, match="not finite") as error:
        fit_imle(latents, SMALL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("lr", [1e30, 1e38])
@pytest.mark.parametrize("batch_size", [16, 64], ids=["many batches", "one batch"])
def test_steps_that_are_far_too_large_name_epoch_and_what_to_try(tmp_path, lr, batch_size):
    path = tmp_path / "imle.safetensors"
    with pytest.raises(FloatingPointError, match=r"imle.*epoch \d.*smaller \w*lr") as error:
        fit_imle(on_sphere(draw(64, 8)), dataclasses.replace(SMALL, lr=lr, batch_size=batch_size), path=path)
    assert "\n" not in str(error.value) and not path.exists()


@pytest.mark.parametrize("epochs", [1, 3])
def test_what_the_last_step_spoils_is_noticed(epochs):
    stage = stage_of(epochs=epochs, batch_size=64)
    real = stage.step

    def step(noise, latents):
        loss = real(noise, latents)
        with torch.no_grad():
            stage.mapper.layers[-1].weight[2, 3] = float("nan")
        return loss

    stage.step = step
    with pytest.raises(FloatingPointError, match=r"imle.*epoch 1"):
        list(training.train(stage))


def test_files_that_hold_no_mapping_are_one_line_errors(tmp_path):
    path = tmp_path / "imle.safetensors"
    with pytest.raises(FileNotFoundError):
        load_mapping(path)
    fit_imle(draw(16, 8), dataclasses.replace(SMALL, epochs=1), path=path)
    with pytest.raises(ValueError, match="does not hold a GLO embedding") as error:
        load_embedding(path)
    assert "\n" not in str(error.value)
    tensors, record = storage.load_tensors(path)
    storage.save_tensors(path, tensors, record | {"latent_dim": 9})
    with pytest.raises(ValueError, match="another architecture"):
        load_mapping(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="damaged"):
        load_mapping(path)
