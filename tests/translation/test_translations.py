"""Translation of unseen images with T at hand: which start is kept, what descent gains, what is handed back."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from glann_lib.losses import unit
from glann_lib.networks import LatentMapper, unit_length
from glann_lib.sampling import decode
from glann_lib.translation.config import SEARCHES, UP_TO_COLOUR, NAMConfig
from glann_lib.translation.losses import make_translation_loss
from glann_lib.translation.nam import Translator
from glann_lib.translation.network import TranslationNetwork
from glann_lib.translation.search import Target, first_codes
from glann_lib.translation.translations import translate


class Waves(nn.Module):
    """A generator that is smooth in z: waves across the image. With `broken`, half of the sphere draws NaN."""

    def __init__(self, channels, broken=False):
        super().__init__()
        self.shape, self.latent_dim, self.broken = (channels, 16, 16), 4, broken
        random = torch.Generator().manual_seed(0)
        self.waves = nn.Parameter(torch.randn(4, channels, 1, 1, generator=random))

    def forward(self, z):
        z = unit_length(z)
        line = torch.linspace(0, 3, 16)
        across = line[None, :] * (1 + z[:, 0])[:, None]
        down = line[None, :] * (1 + z[:, 1])[:, None]
        both = torch.sin(across)[:, None, None, :] + torch.cos(down)[:, None, :, None]
        images = torch.sigmoid(2 * both + 2 * torch.einsum("nd,dchw->nchw", z, self.waves))
        return torch.where((z[:, 0] > 0).view(-1, 1, 1, 1), torch.nan, images) if self.broken else images


def make_translator(search="sphere", source=3, target=3, loss="l2", broken=False, **settings):
    config = NAMConfig(search=search, loss=loss, width=2, batch_size=8, restarts=3, test_steps=0, test_lr=0.05)
    torch.manual_seed(0)
    network = TranslationNetwork(16, target, 1 if loss == UP_TO_COLOUR else source, width=2)
    latents = unit_length(torch.randn(50, 4))
    domain = Target(Waves(target, broken).eval(), latents, LatentMapper(6, 4, 8).eval())
    with torch.no_grad():
        network.last.weight *= 8  # images that differ
        network(Waves(target)(latents))  # averages of BatchNorm
    config = dataclasses.replace(config, **settings)
    return Translator(network.eval(), domain, latents[:0], [], config, (source, 16, 16), "float32")


def pictures(count=20, channels=3, seed=5):
    random = torch.Generator().manual_seed(seed)
    base = torch.rand(count, channels, 4, 4, generator=random).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return base.mul(255).to(torch.uint8)


def losses_of(translator, codes, images):
    """The loss of every code [N, R, D] for its image, one at a time: [N, R]."""
    loss = make_translation_loss(translator.config.loss, 16)
    with torch.no_grad():
        rows = []
        for of_image, image in zip(codes, unit(images), strict=True):
            drawn = translator.network(translator.target.draw(of_image, translator.config.search))
            rows.append(loss(drawn, image.expand(len(of_image), -1, -1, -1)))
    return torch.stack(rows)


@pytest.mark.parametrize("search", ["sphere", "noise"])
@pytest.mark.parametrize("loss", ["l2", "laplacian", UP_TO_COLOUR])
def test_without_steps_the_best_start_is_taken(search, loss):
    translator, images = make_translator(search, loss=loss, restarts=5), pictures()
    found = translate(translator, images)
    starts = first_codes(20 * 5, translator.target, search, 0, "nam test codes").unflatten(0, (20, 5))
    values = losses_of(translator, starts, images)
    best = values.argmin(1)
    assert torch.equal(found.codes, starts[torch.arange(20), best])
    assert (found.loss - values.min(1).values).abs().max() < 1e-5
    assert len(best.unique()) > 2 and (values.max(1).values - values.min(1).values).min() > 1e-4


def test_without_steps_the_memory_gives_its_nearest():
    translator, images = make_translator("memory", restarts=1, test_steps=3), pictures()
    found = translate(translator, images)  # the memory's stay as they are, however many steps there might be
    values = losses_of(translator, translator.target.latents.expand(20, -1, -1), images)
    assert (found.loss - values.min(1).values).abs().max() < 1e-3  # the memory holds bytes
    assert all(code in translator.target.latents.tolist() for code in found.codes.tolist())
    assert len(found.codes.unique(dim=0)) > 2
    more = translate(make_translator("memory", restarts=6), images)
    assert torch.equal(more.codes, translate(make_translator("memory", restarts=6, test_steps=3), images).codes)
    assert (more.loss <= found.loss + 1e-6).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_images_are_those_of_the_codes(search):
    translator = make_translator(search, test_steps=3)
    found = translate(translator, pictures())
    codes = found.codes
    with torch.no_grad():
        latents = translator.target.mapper(codes) if search == "noise" else codes
    assert found.images.dtype == torch.uint8 and found.images.shape == (20, 3, 16, 16)
    assert (found.images.int() - decode(translator.target.generator, latents).int()).abs().max() <= 1
    assert found.images.float().std(0).max() > 5
    assert found.loss.dtype == found.codes.dtype == torch.float32
    assert found.loss.shape == (20,) and not found.codes.requires_grad
    assert (found.loss - losses_of(translator, codes[:, None], pictures())[:, 0]).abs().max() < 1e-5


@pytest.mark.parametrize("search", ["sphere", "noise"])
@pytest.mark.parametrize("loss", ["l2", UP_TO_COLOUR])
def test_steps_make_the_loss_smaller(search, loss):
    translators = [make_translator(search, loss=loss, test_steps=steps) for steps in (0, 5, 40)]
    none, some, many = (translate(translator, pictures()).loss for translator in translators)
    assert many.mean() < some.mean() < none.mean()
    assert many.mean() < none.mean() - 1e-4


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    ("source", "target", "loss"),
    [(3, 1, UP_TO_COLOUR), (3, 3, UP_TO_COLOUR), (1, 3, UP_TO_COLOUR), (1, 3, "l2"), (3, 1, "l2")],
)
def test_what_t_sees_is_shown_in_the_sources_channels(search, source, target, loss):
    translator, images = make_translator(search, source, target, loss), pictures(channels=source)
    found = translate(translator, images)
    assert found.images.shape == (20, target, 16, 16) and found.images.dtype == torch.uint8
    assert found.explained.shape == images.shape and found.explained.dtype == torch.uint8
    across = torch.exp(-((torch.linspace(-1, 1, 16) / 0.6) ** 4)) if loss == UP_TO_COLOUR else torch.ones(16)
    error = (across / across.mean() * (unit(found.explained) - unit(images)).square()).mean((1, 2, 3))
    assert (error - found.loss).abs().max() < 2e-3 and found.loss.mean() > 0.01


@pytest.mark.parametrize("loss", ["l2", "l1", UP_TO_COLOUR])
def test_an_image_is_translated_alike_in_any_company(loss):
    translator, images = make_translator("memory", loss=loss), pictures(40)
    together = translate(translator, images)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:19]
    apart = translate(translator, images[order])
    alone = translate(translator, images[7:8])
    for few, rows in ((apart, order), (alone, torch.tensor([7]))):
        assert torch.equal(few.codes, together.codes[rows])
        assert (few.loss - together.loss[rows]).abs().max() < 1e-6
        assert (few.images.int() - together.images[rows].int()).abs().max() <= 1
        assert (few.explained.int() - together.explained[rows].int()).abs().max() <= 1


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("steps", [0, 2])
def test_a_restart_that_gives_nan_does_not_win(search, steps):
    translator, images = make_translator(search, broken=True, restarts=40, test_steps=steps), pictures()
    found = translate(translator, images)
    if search != "memory":
        starts = first_codes(20 * 40, translator.target, search, 0, "nam test codes").unflatten(0, (20, 40))
        broken = losses_of(translator, starts, images).isnan()
        assert broken.any(1).all() and not broken.all(1).any()
    assert torch.isfinite(found.loss).all() and torch.isfinite(found.codes).all()


@pytest.mark.parametrize("search", ["sphere", "noise"])
def test_restarts_and_steps_are_those_of_the_settings(search):
    found = {
        (restarts, steps): translate(make_translator(search, restarts=restarts, test_steps=steps), pictures())
        for restarts, steps in ((4, 3), (4, 0), (1, 3))
    }
    assert not torch.equal(found[4, 3].codes, found[4, 0].codes)
    assert found[1, 3].loss.mean() > found[4, 3].loss.mean()


def test_the_same_seed_gives_the_same_translation():
    images = pictures()
    first, again, other = (translate(make_translator(seed=seed, test_steps=4), images).codes for seed in (0, 0, 1))
    assert (first - again).abs().max() < 1e-6
    assert (first - other).abs().max() > 0.1


@pytest.mark.parametrize("search", SEARCHES)
def test_nothing_is_trained(search):
    translator = make_translator(search, test_steps=3)
    networks = (translator.network, translator.target.generator, translator.target.mapper)
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    latents = translator.target.latents.clone()
    translate(translator, pictures())
    for network, state in zip(networks, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
        assert all(weights.grad is None for weights in network.parameters()) and not network.training
    assert torch.equal(translator.target.latents, latents)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(5, 3, 32, 32, dtype=torch.uint8), r"\[5, 3, 32, 32\]: give uint8 \[N, 3, 16, 16\]"),
        (torch.zeros(5, 3, 16, 16), r"torch.float32 \[5, 3, 16, 16\].*give uint8"),
        (torch.zeros(5, 1, 16, 16, dtype=torch.uint8), r"\[5, 1, 16, 16\]: give uint8 \[N, 3, 16, 16\]"),
        (torch.zeros(5, 3, 16, 12, dtype=torch.uint8), r"\[5, 3, 16, 12\]"),
        (torch.zeros(0, 3, 16, 16, dtype=torch.uint8), r"\[0, 3, 16, 16\].*one or more"),
    ],
    ids=["size", "floats", "channels", "oblong", "none"],
)
def test_images_of_another_kind_are_one_line_errors(images, message):
    with pytest.raises(ValueError, match=message) as error:
        translate(make_translator(), images)
    assert "\n" not in str(error.value)


def test_fewer_images_than_a_batch_are_translated_too():
    assert translate(make_translator(), pictures(1)).images.shape == (1, 3, 16, 16)
