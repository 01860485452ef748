"""Stage 1: it learns, its latents stay on the sphere, its step is the released code's, and it stops on NaN."""

import dataclasses
import re

import pytest
import torch

from glann_lib import glo, moments
from glann_lib.config import GLOConfig
from glann_lib.engine import devices, storage, training
from glann_lib.engine.targets import TargetCache
from glann_lib.features import make_extractor
from glann_lib.glo import GLO, fit_glo, load_embedding, step_size
from glann_lib.imle import load_mapping
from glann_lib.losses import PerceptualRepresentation, ReconstructionLoss, make_loss
from glann_lib.resnet import ResNetGenerator
from glann_lib.sampling import decode

CPU = torch.device("cpu")
SMALL = GLOConfig(latent_dim=16, loss="l1", epochs=2, batch_size=8, precision="float32")


def blobs(count, channels=1, size=28, seed=0):
    """Bright spots of random place, width and colour: uint8 images that have something to learn."""
    random = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 2, 1, 1, generator=random) * size
    width = 2 + 4 * torch.rand(count, 1, 1, generator=random)
    ys, xs = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    spots = torch.exp(-((xs - place[:, 0]).square() + (ys - place[:, 1]).square()) / (2 * width.square()))
    colour = 0.5 + 0.5 * torch.rand(count, channels, 1, 1, generator=random)
    return (255 * spots[:, None] * colour).round().to(torch.uint8)


def stage_of(images=None, **settings):
    return GLO(blobs(24) if images is None else images, dataclasses.replace(SMALL, **settings), CPU)


def weights(stage):
    return [value for name, value in stage.state().items() if not name.startswith("snapshots")]


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


@pytest.mark.parametrize("optimiser", ["official", "persistent"])
def test_training_reconstructs_the_images(optimiser):
    images = blobs(64)
    config = dataclasses.replace(SMALL, epochs=25, batch_size=16, optimiser=optimiser, decay_every=8)
    embedding = fit_glo(images, config)
    losses = [record.loss for record in embedding.history]
    assert losses[-1] < 0.5 * losses[0]
    pixels, made = images.float(), decode(embedding.generator, embedding.latents).float()
    error = (made - pixels).square().mean()
    assert error < 0.4 * (pixels.mean(0) - pixels).square().mean()
    shuffled = (made.roll(1, 0) - pixels).square().mean()
    assert error < 0.4 * shuffled  # each latent has its own image


def test_training_lowers_the_perceptual_loss():
    embedding = fit_glo(
        blobs(16, 3, 32), dataclasses.replace(SMALL, loss="random-vgg16", normalisation="none", epochs=5)
    )
    losses = [record.loss for record in embedding.history]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("optimiser", ["official", "persistent"])
def test_latents_are_on_the_sphere_after_every_epoch(optimiser):
    stage = stage_of(optimiser=optimiser, epochs=3)
    assert (stage.latents.norm(dim=1) < 0.1).all()  # they start from N(0, 0.01^2)
    for _ in training.train(stage):
        assert (stage.latents.norm(dim=1) - 1).abs().max() < 1e-6
    assert stage.latents.shape == (24, 16)


def adam_path(gradient, place, count, lr, beta1=0.5, beta2=0.999, eps=1e-8):
    """How far Adam, made anew before `count` steps, moves a number whose one gradient comes at step `place`."""
    moved, m, v = torch.zeros_like(gradient), 0.0, 0.0
    for step in range(1, count + 1):
        g = gradient if step == place else torch.zeros_like(gradient)
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g.square()
        if step >= place:
            moved -= lr * (m / (1 - beta1**step)) / ((v / (1 - beta2**step)).sqrt() + eps)
    return moved


def test_a_row_moves_by_the_sign_of_its_gradient_times_2_to_19():
    """The facts of SPEC.md, section 1, for 469 batches (60,000 images): what the closed form below stands for."""
    g = torch.tensor([3.0, -0.002], dtype=torch.double)
    assert torch.allclose(adam_path(g, 1, 1, lr=0.01), -0.01 * g.sign(), rtol=1e-5)  # first step: factor 1
    first, last = adam_path(g, 1, 469, 1.0), adam_path(g, 460, 469, 1.0)
    assert torch.allclose(first, -2.0 * g.sign(), rtol=0.1)
    assert torch.allclose(last, -19.0 * g.sign(), rtol=0.05)


def test_the_official_step_is_a_fresh_adams_in_closed_form():
    # G stands still and has no BatchNorm: the gradient of a row is known beforehand, whenever its turn comes.
    images = blobs(13)
    config = {
        "batch_size": 2,
        "optimiser": "official",
        "normalisation": "none",
        "generator_lr_ratio": 1e-30,
        "loss": "l2",
    }
    stage = stage_of(images, **config)
    for epoch in (1, 2):
        start = stage.latents.detach().double()
        loss = (stage.generator(stage.latents) - images.float() / 255).square().mean((1, 2, 3)).sum() / 2
        (gradient,) = torch.autograd.grad(loss, stage.latents)
        stage.run_epoch(epoch)
        order = torch.randperm(13, generator=devices.seeded(0, f"glo order {epoch}"))
        expected = start.clone()
        for place, row in enumerate(order[:12].tolist()):
            expected[row] += adam_path(gradient[row].double(), place // 2 + 1, 6, lr=0.01)
        expected /= expected.norm(dim=1, keepdim=True)
        assert (stage.latents - expected).abs().max() < 1e-4
        left_out = order[12]  # of the last, incomplete batch: only put on the sphere
        assert (stage.latents[left_out] - start[left_out] / start[left_out].norm()).abs().max() < 1e-6


def test_only_the_persistent_optimiser_is_kept():
    for optimiser, expected in (("official", 3), ("persistent", 6)):
        stage = stage_of(optimiser=optimiser)  # 3 batches an epoch
        list(training.train(stage))
        assert {int(state["step"]) for state in stage.optimiser.state.values()} == {expected}
        assert any(name.startswith(training.RESUME) for name in stage.state()) == (optimiser == "persistent")


def test_steps_are_halved_as_said():
    stage = stage_of(blobs(8), epochs=6, latent_lr=0.08, decay=0.5, decay_every=2, generator_lr_ratio=0.25)
    seen = []
    for record in training.train(stage):
        seen.append(record.latent_lr)
        assert [group["lr"] for group in stage.optimiser.param_groups] == [record.latent_lr, 0.25 * record.latent_lr]
    assert seen == [0.08, 0.08, 0.04, 0.04, 0.02, 0.02]


def test_a_cosine_rises_for_a_twentieth_and_falls_to_nothing():
    config = dataclasses.replace(SMALL, latent_lr=0.08, epochs=40, schedule="cosine")
    assert [step_size(config, passes) for passes in (0, 1, 20, 40)] == pytest.approx([0, 0.04, 0.04, 0])
    falling = [step_size(config, passes / 10) for passes in range(20, 401)]
    assert falling == sorted(falling, reverse=True) and falling[0] == pytest.approx(0.08, rel=0.01)


def test_a_cosine_changes_both_steps_within_an_epoch(monkeypatch):
    """24 images in batches of 8, 2 epochs: six steps, each by the schedule in its middle."""
    stage, seen = stage_of(latent_lr=0.08, schedule="cosine", generator_lr_ratio=0.25), []
    real = GLO.step
    monkeypatch.setattr(
        GLO, "step", lambda s, *given: seen.append([g["lr"] for g in s.optimiser.param_groups]) or real(s, *given)
    )
    records = list(training.train(stage))
    steps = [step_size(stage.config, (number + 0.5) / 3) for number in range(6)]
    assert len(set(steps)) == 6
    assert [lr for pair in seen for lr in pair] == pytest.approx([lr for step in steps for lr in (step, step / 4)])
    assert [record.latent_lr for record in records] == pytest.approx(steps[2::3])


def test_latents_may_start_from_the_images_principal_components():
    """Up to a rotation those of an exact decomposition, at length 1; the noise alone fills what is left."""
    images = blobs(40)
    values = images.flatten(1).double() / 255
    centred = values - values.mean(0)
    exact = centred @ torch.linalg.svd(centred, full_matrices=False)[2][:5].T
    exact /= exact.norm(dim=1, keepdim=True)
    codes = glo.principal_codes(images, torch.zeros(40, 5)).double()
    assert (codes @ codes.T - exact @ exact.T).abs().max() < 1e-3
    few = glo.principal_codes(images[:3], torch.full((3, 8), 0.01))
    assert few.shape == (3, 8) and torch.isfinite(few).all() and few[:, 3:].abs().max() < 0.02


def test_principal_components_of_large_images_are_found_in_means_of_pixels(monkeypatch):
    """128 px become 64 px; the codes stay near those that the full images give."""
    images = blobs(20, size=128)
    seen, real = [], torch.pca_lowrank
    monkeypatch.setattr(torch, "pca_lowrank", lambda few, *more, **named: seen.append(few) or real(few, *more, **named))
    codes = moments.principal_codes(images, torch.zeros(20, 5)).double()
    means = images.float().unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1)).round() / 255
    assert sorted(map(tuple, seen[0].tolist())) == sorted(map(tuple, means.flatten(1).tolist()))
    monkeypatch.setattr(moments, "PCA_SIDE", 128)
    whole = moments.principal_codes(images, torch.zeros(20, 5)).double()
    assert seen[1].shape == (20, 128**2)
    cosines, expected = codes @ codes.T, whole @ whole.T
    assert 0 < (cosines - expected).abs().max() < 0.1 and (cosines - expected.roll(1, 0)).abs().max() > 0.5


@pytest.fixture
def large():
    """Images of 64 px and settings of a tiny generator of residual blocks."""
    more = {"generator": "resnet", "resnet_channels": 2, "normalisation": "none", "optimiser": "persistent"}
    return blobs(24, 3, 64), dataclasses.replace(SMALL, **more)


def test_residual_blocks_learn_and_come_back_bit_for_bit(tmp_path, large):
    images, config = large
    path = tmp_path / "glo.safetensors"
    made = fit_glo(images, dataclasses.replace(config, epochs=12, latent_lr=0.03), path=path)
    losses = [record.loss for record in made.history]
    assert losses[-1] < 0.6 * losses[0]
    loaded = load_embedding(path)
    assert type(loaded.generator) is ResNetGenerator and torch.equal(loaded.latents, made.latents)
    assert torch.equal(decode(loaded.generator, loaded.latents), decode(made.generator, made.latents))
    tensors, record = storage.load_tensors(path)
    storage.save_tensors(path, tensors, record | {"config": record["config"] | {"resnet_channels": 3}})
    with pytest.raises(ValueError, match="another architecture"):
        load_embedding(path)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_training_of_residual_blocks_goes_on_bit_for_bit(tmp_path, monkeypatch, large, checkpointing):
    images, config = large
    whole = fit_glo(images, dataclasses.replace(config, epochs=3))
    config = dataclasses.replace(config, epochs=3, checkpointing=checkpointing)  # which changes no number
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1)
    stopped = training.train(GLO(images, config, CPU), tmp_path / "glo.safetensors")
    next(stopped)
    stopped.close()
    again = fit_glo(images, config, path=tmp_path / "glo.safetensors")
    assert torch.equal(whole.latents, again.latents)
    states = whole.generator.state_dict(), again.generator.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert [record.loss for record in whole.history] == [record.loss for record in again.history]


def test_images_that_are_all_alike_have_latents_all_the_same():
    same = torch.full((6, 1, 28, 28), 77, dtype=torch.uint8)
    codes = GLO(same, dataclasses.replace(SMALL, latent_init="pca"), CPU).latents.detach()
    assert (codes.norm(dim=1) - 1).abs().max() < 1e-6
    assert len(codes.unique(dim=0)) == 6  # the noise tells them apart


@pytest.mark.parametrize("images", [blobs(24), blobs(24, channels=3, size=32), blobs(24)[:, 0, :, :, None] > 9])
def test_principal_components_are_those_of_the_seed(images):
    images = images.expand(-1, -1, -1, 28).contiguous() if images.dim() == 4 and images.dtype == torch.bool else images
    same = [glo_start(images, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(same[0], same[1]) and not torch.equal(same[0], same[2])


def glo_start(images, seed):
    with devices.scoped_seed(seed, "test"):
        return glo.principal_codes(images, 0.01 * torch.randn(len(images), 16))


def test_a_training_from_principal_components_by_a_cosine_goes_on_bit_for_bit(tmp_path, monkeypatch):
    config = dataclasses.replace(SMALL, epochs=4, latent_init="pca", schedule="cosine", optimiser="persistent")
    whole = fit_glo(blobs(24), config)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1)
    stopped = training.train(GLO(blobs(24), config, CPU), tmp_path / "glo.safetensors")
    next(stopped), next(stopped)
    stopped.close()
    again = fit_glo(blobs(24), config, path=tmp_path / "glo.safetensors")
    assert torch.equal(whole.latents, again.latents)
    assert [record.loss for record in whole.history] == [record.loss for record in again.history]


def test_an_epoch_sees_every_image_once_in_a_new_order(monkeypatch):
    seen, real = [], GLO.step
    monkeypatch.setattr(GLO, "step", lambda self, batch, images: seen.append(batch) or real(self, batch, images))
    list(training.train(stage_of(blobs(20))))  # 2 batches of 8, 4 images left out
    first, second = torch.cat(seen[:2]), torch.cat(seen[2:])
    assert [len(batch) for batch in seen] == [8] * 4
    assert len(first.unique()) == len(second.unique()) == 16
    assert not torch.equal(first, second)


def test_the_same_seed_gives_the_same_bits():
    runs = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)  # of no consequence
        stage = stage_of(seed=seed)
        list(training.train(stage))
        runs.append(weights(stage))
    assert all(torch.equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not any(
        torch.equal(a, b) for a, b in zip(runs[0], runs[2], strict=True) if a.is_floating_point() and a.dim() > 1
    )


@pytest.mark.parametrize("loss", ["l1", "laplacian"])
def test_targets_are_the_same_from_the_cache_or_anew(monkeypatch, loss):
    calls, real = [], TargetCache.__getitem__
    monkeypatch.setattr(TargetCache, "__getitem__", lambda self, rows: calls.append(rows) or real(self, rows))
    cached, fresh = stage_of(loss=loss), stage_of(loss=loss, cache_mib=0)
    list(training.train(cached))
    assert len(calls) == 6  # 3 batches in each of 2 epochs
    list(training.train(fresh))
    assert len(calls) == 6
    assert max((a - b).abs().max() for a, b in zip(weights(cached), weights(fresh), strict=True)) < 1e-4


def test_snapshots_show_the_first_images():
    embedding = fit_glo(blobs(24), dataclasses.replace(SMALL, epochs=5))
    assert list(embedding.snapshots) == [1, 2, 4, 5]
    assert all(s.shape == (10, 1, 28, 28) and s.dtype == torch.uint8 for s in embedding.snapshots.values())
    final = decode(embedding.generator, embedding.latents[:10])
    assert (final.int() - embedding.snapshots[5].int()).abs().max() <= 1
    assert [record.epoch for record in embedding.history] == [1, 2, 3, 4, 5]


def test_a_training_is_shown_at_even_intervals_and_what_is_restored_is_not(tmp_path, monkeypatch):
    seen, config = [], dataclasses.replace(SMALL, epochs=26)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def show(epoch, redrawn, new):
        seen.append(epoch)
        assert redrawn.shape == new.shape == (8, 1, 28, 28) and redrawn.dtype == new.dtype == torch.uint8
        if len(seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_glo(blobs(24), config, path=tmp_path / "glo.safetensors", show=show)
    assert seen == [2, 4, 6, 8, 10]
    shown = fit_glo(blobs(24), config, path=tmp_path / "glo.safetensors", show=show)
    assert seen[5:] == list(range(12, 27, 2))
    fit_glo(blobs(24), config, path=tmp_path / "glo.safetensors", show=show)  # finished: nothing is drawn
    assert len(seen) == 13
    plain = fit_glo(blobs(24), config)
    assert torch.equal(shown.latents, plain.latents)  # who looks on changes nothing


def test_settings_and_images_make_the_fingerprint():
    images = blobs(24)
    other = images.clone()
    other[3, 0, 5, 5] += 1
    prints = {stage_of(images).fingerprint, stage_of(images.clone()).fingerprint}
    assert len(prints) == 1
    changed = [stage_of(other), stage_of(images, seed=1), stage_of(images, epochs=3), stage_of(images, loss="l2")]
    assert len(prints | {stage.fingerprint for stage in changed}) == 5


def test_an_embedding_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "glo.safetensors"
    config = dataclasses.replace(SMALL, normalisation="lucic", optimiser="persistent")
    made = fit_glo(blobs(24, 3), config, path=path)
    loaded = load_embedding(path)
    assert torch.equal(loaded.latents, made.latents) and not loaded.latents.requires_grad
    assert loaded.history == made.history
    assert loaded.snapshots.keys() == made.snapshots.keys()
    assert all(torch.equal(loaded.snapshots[epoch], made.snapshots[epoch]) for epoch in made.snapshots)
    assert not loaded.generator.training and not made.generator.training
    assert torch.equal(decode(loaded.generator, loaded.latents), decode(made.generator, made.latents))
    tensors, record = storage.load_tensors(path)
    assert not any(name.startswith(training.RESUME) for name in tensors)
    assert GLOConfig(**record["config"]) == config and record["image_shape"] == [3, 28, 28]


def test_a_finished_stage_is_not_trained_again(tmp_path, monkeypatch):
    path = tmp_path / "glo.safetensors"
    first = fit_glo(blobs(24), SMALL, path=path)
    monkeypatch.setattr(GLO, "step", lambda *args: pytest.fail("trained again"))
    again = fit_glo(blobs(24), SMALL, path=path)
    assert torch.equal(first.latents, again.latents) and first.history == again.history
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        fit_glo(blobs(24), dataclasses.replace(SMALL, seed=1), path=path)
    assert torch.equal(load_embedding(path).latents, first.latents)  # not lost


def test_the_number_format_is_recorded_and_kept_when_going_on(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    path, config = (
        tmp_path / "glo.safetensors",
        dataclasses.replace(SMALL, precision="auto", loss="random-vgg16", epochs=3),
    )
    monkeypatch.setattr(devices, "resolve_precision", lambda name, device: torch.bfloat16)
    started = training.train(GLO(blobs(8), config, CPU), path)
    next(started)
    started.close()
    monkeypatch.setattr(devices, "resolve_precision", lambda name, device: torch.float32)  # as measured on another day
    stage = GLO(blobs(8), config, CPU)
    assert stage.facts()["precision"] == "float32"
    list(training.train(stage, path))
    assert storage.load_tensors(path)[1]["precision"] == "bfloat16"
    assert [extractor.dtype for extractor in stage.loss.represent.extractors] == [torch.bfloat16]


def test_fewer_images_than_a_batch_are_one_batch():
    few, whole = stage_of(batch_size=128), stage_of(batch_size=24)
    assert few.run_epoch(1).loss == whole.run_epoch(1).loss and few.fingerprint == whole.fingerprint
    assert few.facts()["config"]["batch_size"] == 24
    settings = dataclasses.replace(whole.config, batch_size=8)  # a set that is large enough is trained as it is told
    nothing = {"graphs", "cache_mib", "checkpointing"}  # of speed and memory alone
    deciding = {name: value for name, value in dataclasses.asdict(settings).items() if name not in nothing}
    assert stage_of(batch_size=8).fingerprint == storage.digest(deciding, whole.images_sha256)
    with pytest.raises(ValueError, match=r"^1 to train on: give 2 or more") as error:
        GLO(blobs(1), SMALL, CPU)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("count", [2, 3, 9])
@pytest.mark.parametrize("normalisation", ["batch", "none", "lucic"])
def test_two_images_are_enough_for_every_generator(normalisation, count):
    embedding = fit_glo(blobs(count), dataclasses.replace(SMALL, normalisation=normalisation))
    assert embedding.config.batch_size == min(8, count) and torch.isfinite(embedding.latents).all()


@pytest.mark.parametrize(
    ("images", "settings"),
    [
        (torch.zeros(24, 1, 30, 30, dtype=torch.uint8), {}),
        (torch.zeros(24, 2, 28, 28, dtype=torch.uint8), {}),
        (torch.zeros(24, 1, 32, 28, dtype=torch.uint8), {}),
        (torch.zeros(24, 1, 1, 28, dtype=torch.uint8), {}),
        (torch.zeros(24, 28, 28, dtype=torch.uint8), {}),
        (torch.zeros(24, 1, 28, 28), {}),
        (torch.zeros(24, 1, 28, 28, dtype=torch.uint8), {"loss": "ssim"}),
    ],
    ids=["30 px", "2 channels", "not square", "one row", "no channels", "floats", "loss"],
)
def test_images_and_losses_that_do_not_fit_are_one_line_errors(images, settings):
    with pytest.raises(ValueError) as error:
        stage_of(images, **settings).run_epoch(1)
    assert "\n" not in str(error.value)


def spoil(monkeypatch, call, value=float("nan")):
    """Make the loss of one batch, by number from 0, something else."""
    calls, real = [], ReconstructionLoss.compare

    def compare(self, generated, targets):
        calls.append(None)
        return real(self, generated, targets) * (value if len(calls) == call + 1 else 1)

    monkeypatch.setattr(ReconstructionLoss, "compare", compare)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_epoch_and_batch(tmp_path, monkeypatch, value):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    spoil(monkeypatch, call=3 + 1, value=value)
    with pytest.raises(FloatingPointError, match=r"glo.*epoch 2, batch 2 of 3: try a smaller \w*latent_lr") as error:
        fit_glo(blobs(24), SMALL, path=tmp_path / "glo.safetensors")
    assert "\n" not in str(error.value)
    (kept,) = tmp_path.glob("*.safetensors")
    tensors, record = storage.load_tensors(kept)
    assert "partial" in kept.name and len(record["history"]) == 1
    assert all(torch.isfinite(value.float()).all() for value in tensors.values())


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("latent_lr", [1e30, 1e38])
def test_steps_that_are_far_too_large_are_errors_and_leave_no_result(tmp_path, epochs, latent_lr):
    path = tmp_path / "glo.safetensors"
    with pytest.raises(FloatingPointError, match=r"epoch 1.*smaller \w*latent_lr"):
        fit_glo(blobs(24), dataclasses.replace(SMALL, epochs=epochs, latent_lr=latent_lr), path=path)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("what", ["latents", "weights"])
def test_what_the_last_step_of_an_epoch_spoils_is_noticed(what):
    stage = stage_of(epochs=1)
    real, count = stage.step, []

    def step(*inputs):
        loss = real(*inputs)
        count.append(None)
        if len(count) == 3:
            with torch.no_grad():
                (stage.latents if what == "latents" else stage.generator.layers[0].weight)[5, 3] = float("nan")
        return loss

    stage.step = step
    with pytest.raises(FloatingPointError, match="epoch 1") as error:
        list(training.train(stage))
    batches = re.search(r"batch \d+ of (\d+)", str(error.value))
    assert batches is None or batches[1] == "3", "a row's number is called a batch"


def test_files_that_hold_no_embedding_are_one_line_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_embedding(tmp_path / "glo.safetensors")
    path = tmp_path / "glo.safetensors"
    fit_glo(blobs(8), dataclasses.replace(SMALL, epochs=1), path=path)
    with pytest.raises(ValueError, match="does not hold an IMLE mapping"):
        load_mapping(path)
    tensors, record = storage.load_tensors(path)
    storage.save_tensors(path, tensors, record | {"image_shape": [3, 32, 32]})
    with pytest.raises(ValueError, match="another architecture") as error:
        load_embedding(path)
    assert "\n" not in str(error.value)
    storage.save_tensors(path, tensors, {"stage": "imle"})
    with pytest.raises(ValueError, match="does not hold a GLO embedding"):
        load_embedding(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged"):
        load_embedding(path)


def test_few_images_are_watched_too():
    embedding = fit_glo(blobs(4), dataclasses.replace(SMALL, batch_size=4, epochs=1))
    assert embedding.snapshots[1].shape == (4, 1, 28, 28) and glo.WATCHED == 10


def test_only_the_batchs_rows_of_the_latents_have_a_gradient():
    """The same latents as with the gradient through a dense gather, bit for bit."""
    images = blobs(24)
    fast, plain = stage_of(images), stage_of(images)
    for stage in (fast, plain):
        stage._make_loss(1)
        stage._set_learning_rate(1)
        stage.generator.train()
    for batch in torch.arange(24).split(8):
        assert not fast.latents.grad.any()
        fast.step(batch, images[batch])
        targets = plain.targets(batch, images[batch])
        loss = plain.loss.compare(plain.generator(plain.latents[batch]), targets).mean()
        plain.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        plain.optimiser.step()
        assert torch.equal(fast.latents, plain.latents)
    assert all(torch.equal(a, b) for a, b in zip(weights(fast), weights(plain), strict=True))


def test_coarse_epochs_compare_means_of_four_pixels_and_later_ones_all():
    images, coarse = blobs(24), {"coarse_epochs": 2, "epochs": 4}
    stage = stage_of(images, **coarse)
    for epoch in (1, 2):
        stage.run_epoch(epoch)
    assert stage.loss is None
    stage = stage_of(images, **coarse)
    stage._make_loss(2)
    shown = torch.rand(24, 1, 28, 28)
    halves = [values.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1)) for values in (shown, images / 255)]
    found = stage.loss.compare(shown, stage.targets(torch.arange(24), images))
    torch.testing.assert_close(found, (halves[0] - halves[1]).abs().flatten(1).mean(1))
    stage._make_loss(3)
    found = stage.loss.compare(shown, stage.targets(torch.arange(24), images))
    torch.testing.assert_close(found, (shown - images / 255).abs().flatten(1).mean(1))


@pytest.mark.parametrize("stopped", [1, 2, 3])
def test_coarse_epochs_go_on_where_a_training_was_stopped(tmp_path, stopped):
    images = blobs(24, 3, 64)
    settings = {"loss": "random-vgg16-quarter", "coarse_epochs": 2, "epochs": 4, "optimiser": "persistent"}
    whole, stage = stage_of(images, **settings), stage_of(images, **settings)
    for epoch in range(1, 5):
        whole.run_epoch(epoch)
        if epoch <= stopped:
            stage.run_epoch(epoch)
    again = stage_of(images, **settings)
    again.restore(stage.state(), stage.facts())
    for epoch in range(stopped + 1, 5):
        again.run_epoch(epoch)
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(again), strict=True))


def test_not_all_epochs_are_coarse():
    with pytest.raises(ValueError, match="coarse_epochs is 2: give fewer than all 2 epochs"):
        stage_of(coarse_epochs=2)


def test_a_loss_of_the_callers_own_is_what_trains():
    """The same loss by its name and as a module: the same bits, whatever the settings' own loss."""
    images, named = blobs(24), dataclasses.replace(SMALL, loss="random-vgg16-quarter")
    own = fit_glo(images, SMALL, loss=make_loss("random-vgg16-quarter", 28))
    assert torch.equal(own.latents, fit_glo(images, named).latents)
    assert not torch.equal(own.latents, fit_glo(images, SMALL).latents)


def test_a_checkpoint_of_another_loss_is_not_taken_up(tmp_path, monkeypatch):
    images, path = blobs(24), tmp_path / "glo.safetensors"
    networks = [make_extractor("random-vgg16-quarter", 28, seed=seed) for seed in (0, 1)]
    losses = [ReconstructionLoss(PerceptualRepresentation([network])) for network in networks]
    plain = [make_loss(name, 28) for name in ("l1", "l2")]
    prints = [GLO(images, SMALL, CPU, loss).fingerprint for loss in (None, *losses, *plain)]
    assert len(set(prints)) == 5 and prints[0] == stage_of(images).fingerprint
    first = fit_glo(images, SMALL, path=path, loss=losses[0])
    monkeypatch.setattr(GLO, "step", lambda *args: pytest.fail("trained again"))
    assert torch.equal(fit_glo(images, SMALL, path=path, loss=losses[0]).latents, first.latents)
    for other in (losses[1], None):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            fit_glo(images, SMALL, path=path, loss=other)


def test_a_network_in_bfloat16_makes_a_fingerprint_too():
    loss = make_loss("random-vgg16-quarter", 28, torch.bfloat16)
    assert GLO(blobs(24), SMALL, CPU, loss).fingerprint != stage_of().fingerprint


def test_a_loss_of_the_callers_own_and_shapes_have_no_coarse_epochs():
    coarse, shapes = dataclasses.replace(SMALL, coarse_epochs=1), torch.zeros(8, 32, 32, 32, dtype=torch.bool)
    for given in ((blobs(24), coarse, CPU, make_loss("l1", 28)), (shapes, coarse, CPU)):
        with pytest.raises(ValueError, match=r"^coarse_epochs is 1: give 0 with shapes, or with a loss of your own$"):
            GLO(*given)


def test_a_training_out_of_memory_gives_up_the_cache_then_names_its_settings(monkeypatch, capsys):
    stage, taken = stage_of(loss="laplacian"), []

    def step(self, batch, images):
        taken.append(len(batch))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(GLO, "step", step)
    with pytest.raises(MemoryError, match=r"glo_batch_size \(now 8\) or glo_cache_mib \(now 1536\)") as error:
        stage.run_epoch(1)
    assert "\n" not in str(error.value) and taken == [8, 8]
    assert "memory is short" in capsys.readouterr().out


def test_step_sizes_that_are_tensors_are_each_groups_own(monkeypatch):
    """On a GPU they are, and are changed in place: shared, the latents would move by the generator's step."""
    stage = stage_of(latent_lr=0.08, generator_lr_ratio=0.25)
    for group in stage.optimiser.param_groups:
        group["lr"] = torch.tensor(0.0)
    assert stage._set_learning_rate(1) == 0.08
    assert [group["lr"].item() for group in stage.optimiser.param_groups] == pytest.approx([0.08, 0.02])
