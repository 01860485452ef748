"""Inversion finds what a model drew, step by step as at once, and leaves nothing behind."""

import itertools
import math

import pytest
import torch

from glann_lib import inversion, sampling
from glann_lib.inversion import descend, invert, refine, search
from glann_lib.losses import make_loss
from glann_lib.networks import InfoGANGenerator, LatentMapper
from glann_lib.sampling import decode, draw_noise, run_blocks


@pytest.fixture(scope="module")
def networks():
    """Untrained networks whose BatchNorms have seen something and whose images differ well."""
    torch.manual_seed(0)
    generator, mapper = InfoGANGenerator(28, 1, 16, "batch"), LatentMapper(8, 16, 32)
    noise = torch.randn(200, 8)
    with torch.no_grad():
        generator.train()(mapper.train()(noise))
        generator.layers[-2].weight *= 60  # else all images are nearly grey
    return generator.eval(), mapper.eval()


def inverted(networks, images, **options):
    generator, mapper = networks
    candidates = options.pop("candidates", draw_noise(256, 8, seed=100))
    options = {"steps": 40, "restarts": 3, **options}
    return invert(lambda e: generator(mapper(e)), candidates, images, make_loss("l2", 28), **options)


def test_inversion_finds_images_that_the_model_made(networks):
    noise = draw_noise(6, 8, seed=1)
    wanted = sampling.sample(*networks, 6, seed=1)
    found = inverted(networks, wanted, steps=120)
    candidates = sampling.sample(*networks, 256, seed=100).float() / 255
    target = wanted.float() / 255
    best_start = torch.cdist(target.flatten(1), candidates.flatten(1)).square().amin(1) / 28**2
    assert found.codes.shape == (6, 8) and found.loss.shape == (6,)
    assert found.images.dtype == torch.uint8 and found.images.shape == wanted.shape
    assert (found.loss < 0.2 * best_start).all(), (found.loss, best_start)
    assert (found.codes - noise).norm(dim=1).median() < 0.5 * noise.norm(dim=1).median()
    # loss and images are those of the codes
    again = decode(networks[0], run_blocks(networks[1], found.codes))
    assert (again.int() - found.images.int()).abs().max() <= 1
    exact = (found.images.float() / 255 - target).square().mean((1, 2, 3))
    assert (exact - found.loss).abs().max() < 1e-3


def test_more_restarts_are_never_worse(networks):
    wanted = sampling.sample(*networks, 8, seed=2)
    one, four = (inverted(networks, wanted, restarts=restarts) for restarts in (1, 4))
    assert (four.loss <= 1.01 * one.loss + 1e-5).all()
    assert (four.loss < one.loss - 1e-5).any()


def test_inversion_of_many_is_that_of_each(networks):
    wanted = sampling.sample(*networks, 18, seed=3)  # more than are descended at once
    together, alone = inverted(networks, wanted, steps=10), inverted(networks, wanted[17:], steps=10)
    assert (together.codes[17:] - alone.codes).abs().max() < 1e-3
    assert (together.loss[17:] - alone.loss).abs().max() < 1e-5


def test_inversion_leaves_the_networks_as_they_were(networks):
    before = [p.clone() for network in networks for p in network.parameters()]
    inverted(networks, sampling.sample(*networks, 2, seed=1), steps=3)
    after = [p for network in networks for p in network.parameters()]
    assert all(torch.equal(a, b) and a.grad is None for a, b in zip(after, before, strict=True))


def test_more_restarts_than_candidates_are_a_one_line_error(networks):
    wanted = sampling.sample(*networks, 2, seed=1)
    with pytest.raises(ValueError, match="give 1 to 3, as many as there are candidates") as error:
        inverted(networks, wanted, candidates=draw_noise(3, 8, seed=0), restarts=4)
    assert "\n" not in str(error.value)


def watched(networks, image, **options):
    generator, mapper = networks
    candidates = options.pop("candidates", draw_noise(64, 8, seed=100))
    return search(lambda e: generator(mapper(e)), candidates, image, make_loss("l2", 28), **{"restarts": 3} | options)


@pytest.mark.parametrize(("steps", "every", "reports"), [(12, 5, 4), (10, 5, 3), (3, 1, 4), (4, 9, 2), (0, 5, 1)])
def test_a_search_begins_at_the_best_start_and_ends_at_the_inversion(networks, steps, every, reports):
    image, candidates = sampling.sample(*networks, 1, seed=6), draw_noise(64, 8, seed=100)
    found = list(watched(networks, image, steps=steps, every=every))
    first, last = (inverted(networks, image, steps=s, candidates=candidates) for s in (0, steps))
    assert len(found) == reports
    for given, expected in ((found[0], first), (found[-1], last)):
        assert torch.equal(given.codes, expected.codes) and torch.equal(given.images, expected.images)
        assert torch.equal(given.loss, expected.loss) and given.images.shape == (1, 1, 28, 28)
    assert steps == 0 or found[-1].loss < found[0].loss


def test_every_report_of_a_search_shows_its_code(networks):
    image = sampling.sample(*networks, 1, seed=6)
    for found in watched(networks, image, steps=20):
        drawn = decode(networks[0], run_blocks(networks[1], found.codes))
        assert (drawn.int() - found.images.int()).abs().max() <= 1
        exact = ((found.images.float() - image.float()) / 255).square().mean().item()
        assert exact == pytest.approx(found.loss.item(), abs=1e-3)


def test_a_search_that_is_stopped_leaves_nothing_behind(networks):
    calls = []
    generator, mapper = networks
    before = [p.clone() for network in networks for p in network.parameters()]

    def render(codes):
        calls.append(len(codes))
        return generator(mapper(codes))

    image = sampling.sample(*networks, 1, seed=6)
    reports = search(render, draw_noise(64, 8, seed=100), image, make_loss("l2", 28), restarts=3, steps=50, every=1)
    state = torch.get_rng_state()
    for _ in itertools.islice(reports, 4):
        assert torch.is_grad_enabled()  # what runs between two reports is the listener's own
    reports.close()
    assert calls == [64, *[3, 1] * 4] and list(reports) == []
    assert torch.is_grad_enabled() and torch.equal(torch.get_rng_state(), state)
    after = [p for network in networks for p in network.parameters()]
    assert all(torch.equal(a, b) and a.grad is None for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(("count", "options"), [(2, {}), (0, {}), (1, {"every": 0}), (1, {"restarts": 65})])
def test_searches_that_there_are_not_are_one_line_errors_at_once(networks, count, options):
    images = torch.zeros(count, 1, 28, 28, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"give one image|give 1 to 64") as error:
        watched(networks, images, **options)
    assert "\n" not in str(error.value)


def test_a_descent_is_adam_with_a_step_size_that_falls_to_zero():
    """On loss(c) = mean (c - y)^2, of which the gradient is known, against Adam written out."""
    wanted = torch.randn(3, 1, 1, 4, generator=torch.Generator().manual_seed(0))
    start, steps, lr = torch.zeros(3, 4), 9, 0.1
    stands = list(descend(lambda codes: codes[:, None, None], start, wanted, make_loss("l2", 28), steps, lr))
    codes, first, second = start.double(), 0, 0
    for step, stand in enumerate(stands):
        assert stand.step == step and (stand.codes - codes).abs().max() < 1e-5
        assert (stand.loss - (codes - wanted[:, 0, 0]).square().mean(1)).abs().max() < 1e-5
        gradient = (codes - wanted[:, 0, 0]) / 2
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        size = lr * (1 + math.cos(math.pi * step / steps)) / 2
        unbiased = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        codes = codes - size * unbiased[0] / (unbiased[1].sqrt() + 1e-8)
    assert len(stands) == steps + 1 and torch.equal(start, torch.zeros(3, 4))


def test_a_start_that_ends_nowhere_is_never_the_best():
    start = torch.tensor([[[torch.nan], [2.0], [1.0]]])
    wanted = torch.zeros(1, 1, 1, 1, dtype=torch.uint8)
    found = refine(lambda codes: codes[:, :, None, None], start, wanted, make_loss("l2", 28), steps=0)
    assert found.codes.tolist() == [[1.0]] and found.loss.tolist() == [1.0]


def test_images_are_inverted_some_at_a_time(networks, monkeypatch):
    generator, mapper = networks
    images, seen, found = sampling.sample(generator, mapper, 5, seed=6), [], {}
    start = draw_noise(10, 8, seed=100).view(5, 2, 8)

    def render(codes):
        seen.append(len(codes))
        return generator(mapper(codes))

    for at_once in (2, 16):
        monkeypatch.setattr(inversion, "IMAGES", at_once)
        seen.clear()
        found[at_once] = refine(render, start, images, make_loss("l2", 28), steps=2)
        assert max(seen[:-1]) == 2 * min(at_once, 5)  # at last all of the best are drawn
    assert (found[2].codes - found[16].codes).abs().max() < 1e-4  # each image for itself


@pytest.mark.parametrize(("side", "nearest"), [(64, 1), (128, 0), (256, 0)])
def test_starts_of_large_images_are_compared_by_means_of_pixels(side, nearest):
    fine = (torch.arange(side)[:, None] + torch.arange(side)) % 2.0
    drawn = torch.stack([1 - fine, 0.9 * fine])[:, None]  # the same means, and nearly the same pixels
    image = fine.mul(255).to(torch.uint8)[None, None]
    starts = inversion._nearest_candidates(lambda rows: drawn[rows[:, 0].long()], torch.arange(2.0)[:, None], image, 1)
    assert starts.tolist() == [[[float(nearest)]]]


@pytest.mark.parametrize(
    ("side", "budget"), [(28, (6, 150)), (64, (6, 150)), (128, (6, 40)), (256, (2, 40)), (1024, (2, 40))]
)
def test_of_large_images_a_notebook_looks_for_fewer(side, budget):
    assert inversion.found_in_minutes(side) == budget


@pytest.mark.parametrize(
    ("side", "restarts", "most"), [(64, 4, (64, 64, 50)), (128, 2, (16, 8, 16)), (256, 2, (4, 2, 4))]
)
def test_no_more_large_images_are_drawn_at_once_than_memory_is_bounded_for(side, restarts, most):
    seen = []

    def render(codes):
        seen.append(len(codes))
        return codes[:, :1, None, None].expand(-1, 1, side, side)

    assert inversion.restarts_of(side) == restarts
    images = torch.zeros(50, 1, side, side, dtype=torch.uint8)
    invert(render, torch.rand(64, 1), images, make_loss("l1", side), restarts, steps=0)
    split = -(-64 // most[0])
    best = -(-50 // most[2])
    assert max(seen[:split]) == most[0] and max(seen[split:-best]) == most[1] and max(seen[-best:]) == most[2]
