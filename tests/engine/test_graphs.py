"""Recorded steps: the same training as without a graph, on a GPU; elsewhere the step itself, and a graph that plays."""

import contextlib
import dataclasses
import gc
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine import training
from glann_lib.engine.graphs import WARM_UP, Recording
from glann_lib.glo import GLO
from glann_lib.imle import IMLE
from glann_lib.networks import InfoGANGenerator, LatentMapper
from glann_lib.rivals.config import BEGANConfig, GANConfig, VAEConfig
from glann_lib.rivals.gan import GAN
from glann_lib.rivals.pixel_imle import PixelIMLE
from glann_lib.rivals.vae import VAE
from glann_lib.scores.classifier import ClassifierConfig
from glann_lib.scores.classifier_training import ClassifierTraining
from glann_lib.translation.config import NAMConfig
from glann_lib.translation.nam import NAM
from glann_lib.translation.search import Target

CPU = torch.device("cpu")
SMALL = GLOConfig(16, loss="random-vgg16-quarter", epochs=3, batch_size=8, decay_every=1, feature_channels=16)
STEPS = {"latent_dim": 8, "steps": 12, "batch_size": 8, "feature_channels": 16}
GAMES = {game: GANConfig(game, **STEPS) for game in ("mm-gan", "ns-gan", "lsgan", "dragan")}
GAMES |= {game: GANConfig(game, critic_steps=2, **STEPS) for game in ("wgan", "wgan-gp")}
GAMES |= {"began": BEGANConfig("began", **STEPS)}


def pictures(count=48):
    return torch.randint(0, 256, (count, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def target(device):
    torch.manual_seed(0)
    latents = torch.nn.functional.normalize(torch.randn(30, 16), dim=1).to(device)
    mapper = LatentMapper(8, 16, 32).to(device).eval()
    return Target(InfoGANGenerator(28, 1, 16, features=16).to(device).eval(), latents, mapper)


def classifier(device, precision):
    labels = torch.arange(48) % 5
    config = ClassifierConfig(epochs=2, steps=8, batch_size=8)
    return ClassifierTraining(pictures(), labels, pictures(), labels, config, device)


STAGES = {
    "glo": lambda device, precision: GLO(pictures(), dataclasses.replace(SMALL, precision=precision), device),
    "glo, persistent, pixels": lambda device, precision: GLO(
        pictures(), dataclasses.replace(SMALL, optimiser="persistent", loss="l1", precision=precision), device
    ),
    "imle": lambda device, precision: IMLE(
        torch.randn(48, 16, generator=torch.Generator().manual_seed(0)), IMLEConfig(epochs=3, batch_size=8), device
    ),
    **{
        game: lambda device, precision, config=config: GAN(
            pictures(), dataclasses.replace(config, precision=precision), device
        )
        for game, config in GAMES.items()
    },
    **{
        f"vae-{likelihood}": lambda device, precision, likelihood=likelihood: VAE(
            pictures(), VAEConfig(likelihood, precision=precision, loss="random-vgg16-quarter", **STEPS), device
        )
        for likelihood in ("bernoulli", "perceptual")
    },
    "pixel imle": lambda device, precision: PixelIMLE(pictures(), IMLEConfig(8, epochs=3, batch_size=8), SMALL, device),
    **{
        f"nam, {search}": lambda device, precision, search=search: NAM(
            pictures(), target(device), NAMConfig(search, width=4, epochs=3, batch_size=8, loss="l2"), device
        )
        for search in ("memory", "sphere", "noise")
    },
    "classifier": classifier,
}


def test_without_a_gpu_a_step_runs_as_it_is():
    seen, recording = [], Recording(CPU)
    batches = [torch.tensor([i, i + 1]) for i in range(6)]
    results = [recording.run(lambda batch: seen.append(batch) or batch.sum(), (batch,)) for batch in batches]
    assert [int(result) for result in results] == [1, 3, 5, 7, 9, 11]
    assert all(a is b for a, b in zip(seen, batches, strict=True)) and recording.graph is None


class Watch(TorchDispatchMode):
    """Refuses what a recording could not hold: a look at a value, a random number, a copy from another device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique2"), name
        assert torch.Tag.nondeterministic_seeded not in func.tags, name
        assert torch.Tag.data_dependent_output not in func.tags, name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", STAGES)
def test_a_step_looks_at_no_value_and_draws_no_number(name, monkeypatch):
    stage, seen = STAGES[name](CPU, "float32"), []
    plain = Recording.run

    def watched(self, step, inputs):
        assert all(isinstance(value, torch.Tensor) for value in inputs)
        seen.append([(value.shape, value.dtype) for value in inputs])
        if len(seen) > 2:  # the first ones make the optimiser's state
            with Watch():
                return step(*inputs)
        return plain(self, step, inputs)

    monkeypatch.setattr(Recording, "run", watched)
    list(training.train(stage))
    assert len(seen) >= 8 and all(shapes == seen[0] for shapes in seen)


@pytest.mark.parametrize("name", STAGES)
def test_weights_are_changed_where_they_are(name):
    """A graph goes on writing where the tensors were when it was recorded."""
    stage = STAGES[name](CPU, "float32")
    stage.run_epoch(1)
    before = {key: value.data_ptr() for key, value in stage.state().items() if not key.startswith("snapshots")}
    stage.run_epoch(2)
    after = {key: stage.state()[key].data_ptr() for key in before}
    chosen_anew = {"codes"} if name == "nam, memory" else set()  # no weight of the step: its pictures are an input
    assert {key for key in before if before[key] != after[key]} == chosen_anew


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_is_let_go_is_freed_at_once(name):
    """It holds gigabytes on a GPU, and freed by the collector it could break another stage's recording."""
    gc.collect()
    gc.disable()
    try:
        stage = STAGES[name](CPU, "float32")
        list(training.train(stage))
        gone = weakref.ref(stage)
        del stage
        assert gone() is None
    finally:
        gc.enable()


@pytest.fixture
def taken_for_a_gpu(monkeypatch):
    """A Recording takes the processor for a GPU; what it records is in `plays`, graph by graph, and is done by them."""
    plays = []

    class Player:
        def replay(self):
            plays[-1]()

    @contextlib.contextmanager
    def graph(player, stream):
        assert not gc.isenabled()
        yield

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: "a stream")
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Player)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(Recording, "_beside", lambda self, step, inputs: step(*inputs))
    return plays


def test_a_step_is_recorded_once_and_replayed_on_new_inputs(taken_for_a_gpu):
    recording, calls = Recording(torch.device("cuda")), []

    def step(a, b):
        calls.append((a, b))
        return a * 10 + b

    taken_for_a_gpu.append(lambda: recording.result.copy_(step(*recording.inputs)))
    inputs = [(torch.tensor(float(i)), torch.tensor(float(i + 1))) for i in range(WARM_UP + 4)]
    results = [recording.run(step, given) for given in inputs]
    assert [result.item() for result in results] == [10 * a.item() + b.item() for a, b in inputs]
    assert len(calls) == WARM_UP + 1 + 4 and gc.isenabled()  # the recording itself does no work on a GPU
    assert all(a is recording.inputs[0] for a, _ in calls[WARM_UP:])  # not the caller's own tensors
    recording.drop()
    assert recording.graph is recording.inputs is recording.result is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError("operation not permitted\nmore"),
            r"\(operation not permitted\): start again with the environment variable GLANN_GRAPHS=off",
        ),
        (RuntimeError(""), r"\(RuntimeError\): start again with the environment variable GLANN_GRAPHS=off"),
        (
            torch.OutOfMemoryError("CUDA out of memory."),
            r"start again with a lower glo_cache_mib, or with the environment variable GLANN_GRAPHS=off",
        ),
    ],
)
def test_a_step_that_cannot_be_recorded_says_how_to_start_again(taken_for_a_gpu, error, told):
    recording, calls = Recording(torch.device("cuda")), []

    def step(batch):
        calls.append(batch)
        if len(calls) > WARM_UP:
            raise error
        return batch

    for _ in range(WARM_UP):
        recording.run(step, (torch.zeros(2),))
    with pytest.raises(RuntimeError, match=told) as raised:
        recording.run(step, (torch.zeros(2),))
    assert "\n" not in str(raised.value) and gc.isenabled()


def test_graphs_can_be_switched_off(taken_for_a_gpu, monkeypatch):
    assert Recording(torch.device("cuda")).records and not Recording(torch.device("cuda"), "off").records
    monkeypatch.setenv("GLANN_GRAPHS", "off")
    assert not Recording(torch.device("cuda")).records


def test_what_concerns_speed_changes_no_fingerprint():
    changes = {}, {"graphs": "off"}, {"cache_mib": 7}
    prints = {GLO(pictures(), dataclasses.replace(SMALL, **change), CPU).fingerprint for change in changes}
    assert len(prints) == 1
    with pytest.raises(ValueError, match="unknown graphs 'on': choose one of auto, off"):
        dataclasses.replace(SMALL, graphs="on")


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", STAGES)
def test_a_recorded_training_is_the_plain_one(name, precision, monkeypatch):
    device, records = torch.device("cuda"), []
    real = Recording._record
    monkeypatch.setattr(Recording, "_record", lambda self, *args: records.append(self) or real(self, *args))
    recorded = STAGES[name](device, precision)
    list(training.train(recorded))
    assert len(records) == 1
    monkeypatch.setenv("GLANN_GRAPHS", "off")
    plain = STAGES[name](device, precision)
    list(training.train(plain))
    assert len(records) == 1
    for a, b in zip(recorded.state().values(), plain.state().values(), strict=True):
        assert torch.equal(a, b)


@needs_cuda
@pytest.mark.parametrize("name", STAGES)
def test_a_recorded_training_that_stopped_goes_on_with_the_same_bits(name, tmp_path, monkeypatch):
    if name.startswith("nam"):
        pytest.skip("bilinear interpolation's gradient has no deterministic kernel on CUDA")
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    device, path = torch.device("cuda"), tmp_path / "stage.safetensors"
    whole = STAGES[name](device, "auto")
    list(training.train(whole))
    started = training.train(STAGES[name](device, "auto"), path)
    next(started)
    started.close()
    resumed = STAGES[name](device, "auto")
    list(training.train(resumed, path))
    for a, b in zip(whole.state().values(), resumed.state().values(), strict=True):
        assert torch.equal(a, b)


@needs_cuda
def test_three_trainings_in_one_process_leave_no_memory_behind():
    held = []
    for _ in range(3):
        stage = STAGES["glo"](torch.device("cuda"), "auto")
        list(training.train(stage))
        del stage
        held.append(torch.cuda.memory_allocated())
    assert held[1] == held[2]
