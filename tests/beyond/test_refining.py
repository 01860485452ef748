"""Stage 3: the energy distance by brute force, pooled maps, a generator that learns what lies between the codes."""

import dataclasses

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from glann_lib.beyond import refining
from glann_lib.beyond.refining import Pooled, Refining, energy_distance, fit_refinement, load_refinement
from glann_lib.config import GLOConfig, IMLEConfig, RefineConfig
from glann_lib.engine import training
from glann_lib.glo import fit_glo
from glann_lib.imle import fit_imle
from glann_lib.losses import ReconstructionLoss, laplacian_pyramid, make_loss, unit
from glann_lib.sampling import sample

CPU = torch.device("cpu")
SMALL = GLOConfig(loss="l1", epochs=10, batch_size=16, latent_dim=8, feature_channels=16, optimiser="persistent")
THIRD = RefineConfig(epochs=3, batch_size=16)


def stripes(count, seed=0):
    """A bright bar at a random place: uint8 [N, 1, 28, 28]."""
    place = torch.randint(4, 24, (count, 1, 1, 1), generator=torch.Generator().manual_seed(seed))
    return ((torch.arange(28) - place).abs() < 3).expand(count, 1, 28, 28).to(torch.uint8) * 255


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


@pytest.fixture(scope="module")
def stages():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLANN_PROGRESS", "lines")
        images = stripes(96)
        embedding = fit_glo(images, SMALL)
        settings = IMLEConfig(noise_dim=4, hidden_dim=32, epochs=20, batch_size=16)
        return images, embedding, fit_imle(embedding.latents, settings)


def weights(network):
    return [values.clone() for values in network.state_dict().values()]


def test_the_energy_distance_is_that_of_brute_force():
    new, real = torch.randn(7, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    across = sum((f - r).norm() for f in new for r in real) / 35
    within = sum((new[i] - new[j]).norm() for i in range(7) for j in range(7) if i != j) / 42
    assert abs(energy_distance(new, real) - (2 * across - within)) < 1e-12


def test_the_energy_distance_is_least_for_the_same_distribution():
    random = torch.Generator().manual_seed(0)
    real, same = torch.randn(2, 1000, 4, generator=random)
    for worse in (same + 0.5, 0.5 * same, 2 * same, same[:1].expand_as(same)):
        assert energy_distance(worse, real) > energy_distance(same, real) + 0.02


def test_pooled_maps_are_means_of_cells_in_the_training_images_units():
    images, loss = stripes(50), make_loss("random-vgg16-quarter", 28)
    pooled = Pooled(loss, images, CPU)
    assert pooled.real.mean(0).abs().max() < 1e-5
    varied = pooled.real.square().sum(1).mean()
    assert 0.3 < varied <= 1.001  # below 1 by what hardly varies: bars are the same in every row
    maps = loss.targets(unit(images[:6]))
    assert (pooled(maps) - pooled.real[:6]).abs().max() < 1e-5
    fine = adaptive_avg_pool2d(maps[1].float(), 4).flatten(2)
    coarse = adaptive_avg_pool2d(maps[1].float(), 2).flatten(2)
    assert (refining._cells(maps[1])[:, :, :16] - fine).abs().max() < 1e-5
    assert (refining._cells(maps[1])[:, :, 16:20] - coarse).abs().max() < 1e-5
    assert (refining._cells(maps[1])[:, :, 20] - maps[1].float().mean((2, 3))).abs().max() < 1e-5


def test_maps_that_cannot_be_divided_are_averaged_whole():
    maps = laplacian_pyramid(unit(stripes(5)))
    assert [refining._cells(level).shape[2] for level in maps] == [21, 1, 1, 21]  # 28, 14, 7 and 4 px
    assert Pooled(ReconstructionLoss(laplacian_pyramid), stripes(30), CPU)(maps).shape == (5, 2 * 21 + 2)


def test_new_images_come_nearer_to_real_ones_and_nothing_else_changes(stages):
    images, embedding, mapping = stages
    before, mapper = weights(embedding.generator), weights(mapping.mapper)
    config = dataclasses.replace(THIRD, epochs=12, lr=2.0e-3)
    refined = fit_refinement(images, embedding, mapping, config)
    assert all(map(torch.equal, before, weights(embedding.generator)))
    assert all(map(torch.equal, mapper, weights(mapping.mapper)))
    assert not refined.generator.training and [epoch.epoch for epoch in refined.history] == list(range(1, 13))
    assert refined.history[-1].distance < refined.history[0].distance
    real = unit(stripes(300, seed=5)).flatten(1)

    def distance(generator):
        return energy_distance(unit(sample(generator, mapping.mapper, 300, 7)).flatten(1), real)

    assert distance(refined.generator) < distance(embedding.generator) - 0.05


def test_without_epochs_there_is_no_third_stage(stages):
    found = fit_refinement(*stages, RefineConfig())
    assert found.generator is stages[1].generator and found.history == []


def test_a_stopped_training_goes_on_to_the_same_bits_and_is_read_again(stages, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    path = tmp_path / "refine.safetensors"
    whole = fit_refinement(*stages, THIRD)
    stopped = training.train(Refining(*stages, THIRD, CPU), path)
    next(stopped), next(stopped)
    stopped.close()
    again = fit_refinement(*stages, THIRD, path=path)
    assert all(map(torch.equal, weights(whole.generator), weights(again.generator)))
    monkeypatch.setattr(Refining, "run_epoch", lambda *args: pytest.fail("trained again"))
    assert fit_refinement(*stages, THIRD, path=path).history == again.history
    loaded = load_refinement(path)
    assert all(map(torch.equal, weights(again.generator), weights(loaded.generator)))
    assert (loaded.history, loaded.config) == (again.history, THIRD)


def test_another_first_stage_is_another_training(stages):
    images, embedding, mapping = stages
    other = dataclasses.replace(embedding, latents=embedding.latents.flip(0))
    prints = {Refining(images, first, mapping, THIRD, CPU).fingerprint for first in (embedding, other)}
    for changed in ({"weight": 1.0}, {"loss": "l2"}):
        prints.add(Refining(images, embedding, mapping, dataclasses.replace(THIRD, **changed), CPU).fingerprint)
    assert len(prints) == 4


def test_another_loss_can_be_the_third_stages(stages, tmp_path):
    config = dataclasses.replace(THIRD, epochs=1, loss="l2")
    stage = Refining(*stages, config, CPU)
    stage._make_loss()
    assert (stage.loss.power, stage.pooled.real.shape) == (2, (96, 21))
    refined = fit_refinement(*stages, config, path=tmp_path / "refine.safetensors")
    own = fit_refinement(*stages, dataclasses.replace(config, loss=None))
    assert not all(map(torch.equal, weights(refined.generator), weights(own.generator)))
    assert load_refinement(tmp_path / "refine.safetensors").config.loss == "l2"


def test_bad_input_is_told_in_a_line(stages, tmp_path):
    images, embedding, mapping = stages
    with pytest.raises(ValueError, match=r"^stage 1 was trained on other images: give the same to stage 3$"):
        fit_refinement(stripes(96, seed=1), embedding, mapping, THIRD)
    with pytest.raises(FileNotFoundError):
        load_refinement(tmp_path / "none.safetensors")
    fit_imle(embedding.latents, IMLEConfig(epochs=1, batch_size=16), path=tmp_path / "imle.safetensors")
    with pytest.raises(ValueError, match="does not hold a third stage"):
        load_refinement(tmp_path / "imle.safetensors")
    with pytest.raises(FloatingPointError, match=r"try a smaller refine_lr \(now 1e\+30\)"):
        fit_refinement(images, embedding, mapping, dataclasses.replace(THIRD, lr=1.0e30))
    for field, value in (("epochs", -1), ("lr", 0.0), ("weight", -1.0), ("batch_size", 1), ("loss", "vgg")):
        with pytest.raises(ValueError, match=field):
            RefineConfig(**{field: value})


def test_shapes_have_no_third_stage(stages):
    images, embedding, mapping = stages
    with pytest.raises(ValueError, match=r"^a third stage is for images: give refine_epochs=0 with shapes$"):
        fit_refinement(images.bool(), embedding, mapping, THIRD)


def test_what_concerns_speed_changes_no_fingerprint(stages):
    images, embedding, mapping = stages
    slow = dataclasses.replace(embedding, config=dataclasses.replace(embedding.config, graphs="off", cache_mib=3))
    one, other = (Refining(images, own, mapping, THIRD, torch.device("cpu")) for own in (embedding, slow))
    assert one.fingerprint == other.fingerprint
