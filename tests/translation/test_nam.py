"""NAM: a known map of colours found again, its three searches, resuming, what it leaves alone, what it refuses."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from glann_lib.engine import devices, storage, training
from glann_lib.losses import ReconstructionLoss, unit
from glann_lib.networks import InfoGANGenerator, LatentMapper, unit_length
from glann_lib.sampling import decode
from glann_lib.translation.config import SEARCHES, UP_TO_COLOUR, NAMConfig
from glann_lib.translation.nam import NAM, fit_nam
from glann_lib.translation.search import Target
from glann_lib.translation.translations import translate

CPU = torch.device("cpu")
SMALL = NAMConfig(search="memory", loss="l2", width=2, epochs=4, batch_size=8, restarts=2, test_steps=0)
KNOWN = dataclasses.replace(SMALL, width=8, epochs=20, batch_size=16, mapping_lr=0.003)


class Discs(nn.Module):
    """A target domain that is known: soft orange discs on blue, z gives their place, and the lower the larger."""

    def __init__(self, channels=3, size=16):
        super().__init__()
        self.shape, self.latent_dim = (channels, size, size), 3
        self.colours = nn.Parameter(torch.tensor([[0.1, 0.2, 0.5], [0.9, 0.6, 0.1]]))

    def forward(self, z):
        x, y, _ = (0.5 + 0.4 * unit_length(z)).unbind(1)
        line = torch.linspace(0, 1, self.shape[-1], device=z.device)
        away = (line - x[:, None])[:, None, :].square() + (line - y[:, None])[:, :, None].square()
        disc = torch.exp(-away / (2 * (0.08 + 0.2 * y)[:, None, None].square()))[:, None]
        images = torch.lerp(*self.colours[..., None, None], disc)
        return images if self.shape[0] == 3 else images.mean(1, keepdim=True)


def latents(count, seed=0):
    return unit_length(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)))


def make_target(channels=3, count=30, size=16):
    torch.manual_seed(0)
    return Target(Discs(channels, size).eval(), latents(count, 1), LatentMapper(4, 3, 8).eval())


def recoloured(images):
    """The known map: channels exchanged, then the negative."""
    return 255 - images[:, [2, 0, 1]]


def sources(count=28, seed=2, channels=3):
    images = recoloured(decode(Discs(), latents(count, seed)))
    return images if channels == 3 else images.float().mean(1, keepdim=True).round().to(torch.uint8)


def tensors(translator):
    return translator.network.state_dict() | {"codes": translator.codes}


def told(history):
    return [dataclasses.replace(record, seconds=0.0) for record in history]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")
    with devices.single_thread():  # sums over several threads may be taken in another order
        yield


@pytest.fixture(scope="module", params=[0, 1])
def learned(request):
    """A translator for the known map, learned from images that the memory does not hold."""
    with devices.single_thread():
        config = dataclasses.replace(KNOWN, seed=request.param)
        return fit_nam(sources(160), make_target(count=300), config)


def test_a_known_map_of_colours_is_found_again(learned):
    images = decode(Discs(), latents(60, seed=3))
    with torch.no_grad():
        error = (learned.network(unit(images)) - unit(recoloured(images))).abs()
    assert error.max() < 0.35 and error.mean((1, 2, 3)).max() < 0.06
    untouched = (unit(images) - unit(recoloured(images))).abs()
    assert untouched.max() > 0.65 and untouched.mean() > 0.35  # what a T that does nothing would miss it by


def distance(a, b):
    return (unit(a) - unit(b)).square().mean((1, 2, 3)).sqrt()


@pytest.mark.parametrize(("search", "settings"), [("memory", {}), ("sphere", {"restarts": 8, "test_steps": 30})])
def test_unseen_images_are_translated_into_those_they_were_made_of(learned, search, settings):
    wanted = decode(Discs(), latents(40, seed=4))
    translator = dataclasses.replace(learned, config=dataclasses.replace(learned.config, search=search, **settings))
    found = translate(translator, recoloured(wanted)).images
    error, others = distance(found, wanted), torch.stack([distance(found, wanted.roll(i, 0)) for i in range(1, 40)])
    assert others.mean() > 0.15
    assert error.mean() < 0.06 and error.max() < 0.14


def test_the_codes_of_the_source_images_are_those_they_were_made_of(learned):
    made = decode(Discs(), latents(160, seed=2))
    error = distance(decode(learned.target.generator, learned.codes), made)
    assert error.mean() < 0.06 and distance(made.roll(1, 0), made).mean() > 0.15


@pytest.mark.parametrize("search", SEARCHES)
def test_there_is_a_record_an_epoch(search):
    config = dataclasses.replace(SMALL, search=search, epochs=12, mapping_lr=0.01)
    translator = fit_nam(sources(), make_target(), config)
    assert [record.epoch for record in translator.history] == list(range(1, 13))
    assert translator.history[-1].loss < 0.6 * translator.history[0].loss
    assert all(record.seconds > 0 for record in translator.history)
    used = [record.latents_used for record in translator.history]
    assert all(1 <= count <= 28 for count in used) if search == "memory" else used == [28] * 12
    assert not translator.network.training and translator.config == config
    assert translator.codes.shape == (28, 4 if search == "noise" else 3) and not translator.codes.requires_grad


def test_codes_are_of_their_kind_after_every_epoch():
    target, rows = make_target(), make_target().latents.tolist()
    for search in SEARCHES:
        stage = NAM(sources(), target, dataclasses.replace(SMALL, search=search), CPU)
        start = stage.codes.detach().clone()
        for record in training.train(stage):
            length = stage.codes.detach().norm(dim=1)
            if search == "memory":
                assert all(code in rows for code in stage.codes.tolist())
                assert record.latents_used == len({tuple(code) for code in stage.codes.tolist()})
            elif search == "sphere":
                assert (length - 1).abs().max() < 1e-6
            else:
                assert (length - 1).abs().max() > 0.5
        moved = (stage.codes.detach() - start).abs().amax(1)
        assert search == "memory" or (moved > 1e-3).float().mean() > 0.9


def test_an_epoch_sees_every_image_once_in_a_new_order(monkeypatch):
    seen, real = [], NAM.step
    monkeypatch.setattr(NAM, "step", lambda self, batch, *more: seen.append(batch) or real(self, batch, *more))
    fit_nam(sources(20), make_target(), dataclasses.replace(SMALL, epochs=2))  # 2 batches of 8, 4 images left out
    first, second = torch.cat(seen[:2]), torch.cat(seen[2:])
    assert [len(batch) for batch in seen] == [8] * 4
    assert len(first.unique()) == len(second.unique()) == 16
    assert not torch.equal(first, second)


@pytest.mark.parametrize("search", SEARCHES)
def test_the_same_seed_gives_the_same_bits(search):
    runs = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        images, target = sources(), make_target()
        torch.manual_seed(noise)  # of no consequence
        config = dataclasses.replace(SMALL, search=search, seed=seed, epochs=2)
        runs.append(tensors(fit_nam(images, target, config)))
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())
    assert not torch.equal(runs[0]["last.weight"], runs[2]["last.weight"])


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("loss", ["l2", UP_TO_COLOUR])
def test_a_stopped_training_ends_with_the_same_bits(tmp_path, monkeypatch, search, loss):
    images, target = sources(), make_target()
    config = dataclasses.replace(SMALL, search=search, loss=loss)
    whole = fit_nam(images, target, config, path=tmp_path / "whole" / "nam.safetensors")
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    path = tmp_path / "nam.safetensors"
    stopped = training.train(NAM(images, target, config, CPU), path)
    next(stopped), next(stopped)
    stopped.close()
    assert not path.exists()
    epochs, real = [], NAM.run_epoch
    monkeypatch.setattr(NAM, "run_epoch", lambda self, epoch: epochs.append(epoch) or real(self, epoch))
    resumed = fit_nam(images, target, config, path=path)
    assert epochs == [3, 4]
    assert all(torch.equal(value, tensors(whole)[name]) for name, value in tensors(resumed).items())
    assert told(resumed.history) == told(whole.history)
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["nam.safetensors"]


def test_the_number_format_is_recorded_and_kept_when_going_on(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    path, config = tmp_path / "nam.safetensors", dataclasses.replace(SMALL, loss="random-vgg16-quarter", epochs=2)
    monkeypatch.setattr(devices, "resolve_precision", lambda name, device: torch.bfloat16)
    started = training.train(NAM(sources(8), make_target(), config, CPU), path)
    next(started)
    started.close()
    monkeypatch.setattr(devices, "resolve_precision", lambda name, device: torch.float32)  # as another machine has it
    translator = fit_nam(sources(8), make_target(), config, path=path)
    assert translator.precision == "bfloat16" == storage.load_tensors(path)[1]["precision"]


@pytest.mark.parametrize("search", SEARCHES)
def test_what_is_finished_is_not_trained_again(tmp_path, monkeypatch, search):
    path, config = tmp_path / "nam.safetensors", dataclasses.replace(SMALL, search=search, epochs=2)
    first = fit_nam(sources(), make_target(), config, path=path)
    kept, record = storage.load_tensors(path)
    assert not any(name.startswith(training.RESUME) for name in kept)
    assert NAMConfig(**record["config"]) == config and record["image_shape"] == [3, 16, 16]
    assert record["images_sha256"] == storage.tensor_digest(sources())
    monkeypatch.setattr(NAM, "step", lambda *args: pytest.fail("trained again"))
    again = fit_nam(sources(), make_target(), config, path=path)
    assert all(torch.equal(value, tensors(first)[name]) for name, value in tensors(again).items())
    assert again.history == first.history and not again.network.training
    others = [
        (sources(), make_target(), dataclasses.replace(config, seed=1)),
        (sources().flip(0), make_target(), config),
        (sources(), make_target(count=31), config),
    ]
    for images, target, settings in others:
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            fit_nam(images, target, settings, path=path)


@pytest.mark.parametrize("search", SEARCHES)
def test_the_target_is_left_as_it_was(search):
    torch.manual_seed(0)
    target = Target(InfoGANGenerator(28, 1, 3).eval(), latents(30, 1), LatentMapper(4, 3, 8).eval())
    networks = (target.generator, target.mapper)
    before, kept = [copy.deepcopy(network.state_dict()) for network in networks], target.latents.clone()
    images = sources(channels=1).repeat_interleave(2, 2).repeat_interleave(2, 3)[..., 2:30, 2:30]
    translator = fit_nam(images, target, dataclasses.replace(SMALL, search=search, epochs=2, test_steps=2))
    translate(translator, images[:3])
    for network, state in zip(networks, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
        assert all(weights.requires_grad and weights.grad is None for weights in network.parameters())
        assert not network.training
    assert torch.equal(target.latents, kept) and target.latents.grad is None and not target.latents.requires_grad


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    ("source", "target", "loss", "drawn"),
    [(1, 3, "l2", 1), (3, 1, "l2", 3), (1, 1, "l1", 1), (3, 1, UP_TO_COLOUR, 1), (1, 3, UP_TO_COLOUR, 1)],
)
def test_grey_and_colour_go_together(search, source, target, loss, drawn):
    config = dataclasses.replace(SMALL, search=search, loss=loss, epochs=1)
    translator = fit_nam(sources(channels=source), make_target(target), config)
    assert translator.network.scales[0][0].in_channels == target
    assert translator.network.last.out_channels == drawn
    found = translate(translator, sources(5, seed=3, channels=source))
    assert found.images.shape == (5, target, 16, 16) and found.explained.shape == (5, source, 16, 16)


def spoil(monkeypatch, call, value):
    """Make the loss of one batch, by number from 0, something else."""
    calls, real = [], ReconstructionLoss.compare

    def compare(self, generated, targets):
        calls.append(None)
        return real(self, generated, targets) * (value if len(calls) == call + 1 else 1)

    monkeypatch.setattr(ReconstructionLoss, "compare", compare)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_epoch_and_batch(tmp_path, monkeypatch, search, value):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    spoil(monkeypatch, call=3 + 1, value=value)
    with pytest.raises(FloatingPointError, match=r"nam.*epoch 2, batch 2 of 3: try a smaller nam_latent_lr") as error:
        config = dataclasses.replace(SMALL, search=search)
        fit_nam(sources(), make_target(), config, path=tmp_path / "nam.safetensors")
    assert "\n" not in str(error.value)
    (kept,) = tmp_path.glob("*.safetensors")
    state, record = storage.load_tensors(kept)
    assert "partial" in kept.name and len(record["history"]) == 1
    assert all(torch.isfinite(value.float()).all() for value in state.values())


@pytest.mark.parametrize("what", ["codes", "weights"])
def test_what_the_last_step_of_an_epoch_spoils_is_noticed(what):
    stage = NAM(sources(8), make_target(), dataclasses.replace(SMALL, search="sphere"), CPU)
    real = stage.step

    def step(*inputs):
        loss = real(*inputs)
        with torch.no_grad():
            (stage.codes if what == "codes" else stage.network.last.bias)[-1] = float("nan")
        return loss

    stage.step = step
    with pytest.raises(FloatingPointError, match=r"nam.*epoch 1"):
        list(training.train(stage))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(28, 3, 32, 32, dtype=torch.uint8), "32 px, the target's generator draws 16 px.*image_size"),
        (torch.zeros(28, 3, 16, 16), r"torch.float32 \[28, 3, 16, 16\].*give uint8"),
        (torch.zeros(28, 2, 16, 16, dtype=torch.uint8), r"\[28, 2, 16, 16\].*C 1 or 3"),
        (torch.zeros(28, 16, 16, dtype=torch.uint8), r"\[28, 16, 16\].*give uint8"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "1 to train on: give 2 or more"),
    ],
    ids=["size", "floats", "channels", "no channels", "few"],
)
def test_images_that_do_not_fit_are_one_line_errors(images, message):
    with pytest.raises(ValueError, match=message) as error:
        fit_nam(images, make_target(), SMALL)
    assert "\n" not in str(error.value)


def test_fewer_images_than_a_batch_are_one_batch():
    translator = fit_nam(sources()[:3], make_target(), SMALL)
    assert translator.config.batch_size == 3 and all(epoch.loss > 0 for epoch in translator.history)


def test_the_search_noise_needs_a_mapper():
    target = dataclasses.replace(make_target(), mapper=None)
    with pytest.raises(ValueError, match="search noise needs IMLE's mapping") as error:
        fit_nam(sources(), target, dataclasses.replace(SMALL, search="noise"))
    assert "\n" not in str(error.value)
    assert len(fit_nam(sources(8), target, dataclasses.replace(SMALL, search="sphere", epochs=1)).history) == 1


def test_domains_too_small_for_the_network_are_one_line_errors():
    with pytest.raises(ValueError, match="images are 12 px: 16 px or more") as error:
        fit_nam(torch.zeros(28, 3, 12, 12, dtype=torch.uint8), make_target(size=12), SMALL)
    assert "\n" not in str(error.value)
