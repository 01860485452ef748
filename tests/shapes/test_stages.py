"""Both stages, the VAE and the whole model on voxels: the same code as for images, from training to file."""

import dataclasses

import numpy as np
import pytest
import torch

from glann_lib import Glann, sampling
from glann_lib.config import GLOConfig, IMLEConfig, ShapeConfig, make_config
from glann_lib.engine import training
from glann_lib.glo import GLO, fit_glo, load_embedding
from glann_lib.rivals.config import make_vae_config
from glann_lib.rivals.vae import VAE, fit_vae
from glann_lib.scores.measures import SHAPE_METRICS
from glann_lib.shapes.metrics import iou

CPU = torch.device("cpu")
SMALL = GLOConfig(
    latent_dim=8, loss="l1", epochs=2, batch_size=8, latent_lr=0.03, voxel_channels=16, precision="float32"
)
SMALL_VAE = {"latent_dim": 4, "voxel_channels": 16, "precision": "float32"}
FIT = {"glo_epochs": 2, "glo_batch_size": 8, "glo_latent_dim": 8, "glo_voxel_channels": 16}
FIT |= {"imle_epochs": 2, "imle_batch_size": 8, "glo_precision": "float32"}


def blocks(count, seed=0):
    """One solid block of random extent in each cube: bool [count, 32, 32, 32]."""
    random = np.random.default_rng(seed)
    voxels = np.zeros((count, 32, 32, 32), bool)
    for shape, low, high in zip(
        voxels, random.integers(2, 12, (count, 3)), random.integers(18, 30, (count, 3)), strict=True
    ):
        shape[tuple(map(slice, low, high))] = True
    return torch.from_numpy(voxels)


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLANN_PROGRESS", "lines")
        return Glann.fit(blocks(24), **FIT)


def test_stage_1_reconstructs_voxels():
    voxels = blocks(32)
    config = dataclasses.replace(SMALL, latent_dim=16, voxel_channels=32, epochs=40, decay_every=15)
    embedding = fit_glo(voxels, config)
    made = sampling.solid(sampling.decode(embedding.generator, embedding.latents))
    own, other = iou(made, voxels).mean(), iou(made.roll(1, 0), voxels).mean()
    assert own > 0.65 and own > other + 0.3  # each latent has its own shape
    assert embedding.snapshots[1].shape == (10, 32, 32, 32)


def test_an_embedding_of_shapes_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "glo.safetensors"
    made = fit_glo(blocks(16), SMALL, path=path)
    found = load_embedding(path)
    assert torch.equal(found.latents, made.latents) and found.generator.shape == (32, 32, 32)
    assert torch.equal(sampling.decode(found.generator, found.latents), sampling.decode(made.generator, made.latents))


@pytest.fixture
def few_codes(monkeypatch):
    """A VAE ends with batch norm's statistics over 64 codes at a time; over 1,024 shapes they take seconds."""
    prior = VAE._prior
    monkeypatch.setattr(VAE, "_prior", lambda self, count: prior(self, min(count, 64)))


@pytest.mark.parametrize("stage", ["glo", "vae"])
def test_a_stopped_training_ends_with_the_same_bits(tmp_path, monkeypatch, few_codes, stage):
    # Files hold no memory layout, networks do: with Adam's moments laid out otherwise the fused step would be wrong.
    def make():
        if stage == "glo":
            return GLO(blocks(16), dataclasses.replace(SMALL, epochs=4, optimiser="persistent"), CPU)
        return VAE(blocks(16), make_vae_config("bernoulli", 8, batch_size=8, **SMALL_VAE), CPU)

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    whole = make()
    list(training.train(whole))
    path, stopped, resumed = tmp_path / "stage.safetensors", make(), make()
    for record in training.train(stopped, path):
        if record.epoch == 2:
            break
    list(training.train(resumed, path))
    for name, value in whole.generator.state_dict().items():
        assert torch.equal(value, resumed.generator.state_dict()[name]), name


def test_a_vae_learns_shapes(few_codes):
    generator, history = fit_vae(blocks(32), make_vae_config("bernoulli", 60, lr=1e-2, batch_size=16, **SMALL_VAE))
    assert history[-1].loss < 0.5 * history[0].loss
    fields = sampling.decode(generator, sampling.draw_noise(8, 4, 0))
    assert fields[:, 12:18, 12:18, 12:18].float().mean() > 5 * fields[:, 0].float().mean()  # blocks fill the middle


def test_the_model_trains_on_bool_arrays_and_draws_fields(model):
    assert model.config.data == ShapeConfig("array", 32, poses=1, train_models=24, test_models=200)
    fields = model.sample(5, seed=3)
    assert fields.dtype == torch.uint8 and fields.shape == (5, 32, 32, 32)
    assert torch.equal(model.sample(2, seed=3), fields[:2])
    assert model.sample_gaussian(3).shape == model.interpolate(0, 1, steps=3).shape == (3, 32, 32, 32)
    assert model.reconstruct([0, 23]).shape == (2, 32, 32, 32)


def test_a_saved_model_of_shapes_gives_the_same_bits(model, tmp_path):
    again = Glann.load(model.save(tmp_path / "model.safetensors"))
    assert again.config == model.config and torch.equal(again.sample(4), model.sample(4))


@pytest.mark.parametrize(("space", "width"), [("noise", 32), ("latent", 8)])
def test_shapes_are_inverted(model, space, width):
    found = model.invert(blocks(2), space, restarts=2, steps=3)
    assert found.codes.shape == (2, width) and found.images.shape == (2, 32, 32, 32)


def test_shapes_are_scored(model):
    assert model.score(blocks(12, seed=1)).keys() == SHAPE_METRICS.keys()


def test_a_data_sets_name_is_enough():
    model = Glann.fit("made-chairs", data_train_models=16, **FIT)
    assert model.config == make_config("made-chairs", data_train_models=16, **FIT)
    assert (model.record["data"]["name"], model.record["data"]["count"]) == ("made-chairs", 16)


@pytest.mark.parametrize(
    ("given", "settings", "named"),
    [
        (blocks(24)[:, :30], {}, "32"),
        (blocks(24), {"data_size": 64}, "data_size is 64"),
        (torch.zeros(24, 30, 30, 30, dtype=torch.bool), {}, "30"),
        (blocks(1), {}, "1 to train on: give 2 or more"),
    ],
    ids=["no cube", "another size", "no generator", "too few"],
)
def test_shapes_that_cannot_be_trained_are_one_line_errors(given, settings, named):
    with pytest.raises(ValueError, match=named) as error:
        Glann.fit(given, **FIT | settings)
    assert "\n" not in str(error.value)


def test_images_are_no_shapes(model):
    with pytest.raises(ValueError, match=r"images are \(1, 32, 32\), the model's are \(32, 32, 32\)"):
        model.invert(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"uint8 \[16, 32, 32, 32\]: give uint8 \[N, C, S, S\].*or voxels, bool"):
        fit_glo(blocks(16).to(torch.uint8), SMALL)


def test_stage_2_needs_no_other_settings_for_shapes():
    assert dataclasses.replace(make_config("chairs").imle, epochs=50) == IMLEConfig()
    assert [make_config(name).glo.loss for name in ("chairs", "meshes:x", "made-chairs")] == ["iou", "iou", "l2"]
    paper = make_config("chairs", "paper")
    assert (paper.glo.loss, paper.glo.voxel_channels, paper.data) == ("l1", 512, ShapeConfig("chairs", 64, 12))
