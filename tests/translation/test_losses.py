"""What T's images are compared by: the loss up to colour against least squares, all pairs against each pair."""

import numpy as np
import pytest
import torch

from glann_lib.engine.targets import TargetsByRow
from glann_lib.losses import ReconstructionLoss
from glann_lib.translation import losses as translation_losses
from glann_lib.translation.config import UP_TO_COLOUR
from glann_lib.translation.losses import UpToColour, make_translation_loss

CPU = torch.device("cpu")
PIXELS = ("l1", "l2", "laplacian")
ALL = (UP_TO_COLOUR, *PIXELS)


def pictures(count, channels=1, size=16, seed=0):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def as_bytes(images):
    return images.mul(255).round().to(torch.uint8)


def weights_of(size):
    """How much each pixel counts, [S, S]: the less, the farther it lies to the left or right."""
    across = torch.exp(-((torch.linspace(-1, 1, size) / 0.6) ** 4))
    return (across / across.mean()).expand(size, size)


def least_squares(maps, images):
    """Weighted mean square residual and fit of each channel on a + b t, in double precision."""
    residuals, fits = [], []
    weights = weights_of(maps.shape[-1]).double().numpy().ravel()
    roots = np.sqrt(weights)[:, None]
    for one, image in zip(maps.double().numpy(), images.double().numpy(), strict=True):
        design = np.stack([np.ones(one.size), one.ravel()], axis=1)
        wanted = image.reshape(len(image), -1).T
        fit = design @ np.linalg.lstsq(roots * design, roots * wanted, rcond=None)[0]
        residuals.append((weights[:, None] * np.square(fit - wanted)).mean())
        fits.append(fit.T.reshape(image.shape))
    return torch.tensor(np.array(residuals)), torch.tensor(np.array(fits))


@pytest.fixture
def no_flatness(monkeypatch):
    """Without what keeps flat maps from dividing by zero, the closed form is exact."""
    monkeypatch.setattr(translation_losses, "FLAT", 0.0)


def coloured(maps, seed=2):
    """a + b t with colours drawn for each image; b negative for some."""
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(len(maps), 3, 1, 1, generator=random) for _ in range(2))
    assert (b < 0).any() and (b > 0).any()
    return a + b * maps


def variance_of(images):
    """Weighted variance of the channels, their mean [N]: what a flat map leaves."""
    return least_squares(torch.zeros(len(images), 1, 16, 16), images)[0].float()


def test_a_colouring_of_the_map_is_explained_in_full():
    maps = pictures(12)
    images = coloured(maps)
    variance = variance_of(images)
    assert (UpToColour()(maps, images).abs() / variance).max() < 1e-3
    assert (UpToColour()(maps.roll(1, 0), images) / variance).min() > 0.9  # another's map explains next to nothing


@pytest.mark.parametrize("channels", [1, 3])
def test_the_loss_is_the_residual_of_least_squares(no_flatness, channels):
    maps = pictures(8)
    images = pictures(8, channels, seed=1) + 0.5 * maps
    expected, _ = least_squares(maps, images)
    values = UpToColour()(maps, images)
    assert values.shape == (8,) and values.dtype == torch.float32
    assert expected.min() > 0.01
    assert (values - expected).abs().max() < 1e-6


def test_the_guard_against_flat_maps_hardly_changes_the_loss():
    maps = pictures(8)
    images = pictures(8, 3, seed=1) + 0.5 * maps
    assert (UpToColour()(maps, images) - least_squares(maps, images)[0]).abs().max() < 1e-4


@pytest.mark.parametrize(("a", "b"), [(0.3, 1.0), (0.0, 0.4), (1.0, -1.0), (0.8, -0.3)])
def test_light_and_contrast_of_the_map_do_not_matter(no_flatness, a, b):
    maps, images = pictures(6), pictures(6, 3, seed=1) + pictures(6)
    loss = UpToColour()
    assert (loss(a + b * maps, images) - loss(maps, images)).abs().max() < 1e-6


def test_a_flat_map_explains_nothing_and_has_finite_gradients():
    maps, images = torch.full((4, 1, 16, 16), 0.4), pictures(4, 3, seed=1)
    variance = variance_of(images)
    nearly = maps + 1e-6 * pictures(4)
    for given in (maps, nearly):
        given = given.clone().requires_grad_()
        values = UpToColour()(given, images)
        assert (values - variance).abs().max() < 1e-5
        values.sum().backward()
        assert torch.isfinite(given.grad).all()


def test_descent_leads_a_map_to_the_image_up_to_colour():
    images = coloured(pictures(3, seed=4))
    maps = pictures(3).requires_grad_()
    loss, optimiser = UpToColour(), torch.optim.Adam([maps], lr=0.05)
    first = loss(maps, images).detach()
    for _ in range(60):
        optimiser.zero_grad()
        loss(maps, images).sum().backward()
        optimiser.step()
    assert (loss(maps, images) < 0.1 * first).all()


def test_no_gradient_flows_to_the_image():
    maps, images = pictures(3).requires_grad_(), pictures(3, 3, seed=1).requires_grad_()
    UpToColour()(maps, images).sum().backward()
    assert maps.grad.abs().max() > 0 and images.grad is None


@pytest.mark.parametrize("channels", [1, 3])
def test_painted_is_the_nearest_colouring(no_flatness, channels):
    maps = pictures(6)
    images = (0.25 + 0.5 * pictures(6, channels, seed=1)) * (0.5 + 0.5 * maps)
    painted = UpToColour().painted(maps, images)
    expected = least_squares(maps, images)[1]
    assert painted.shape == images.shape
    assert (painted - expected.clamp(0, 1)).abs().max() < 1e-5
    assert (
        (weights_of(16) * (painted - images).square()).mean((1, 2, 3)) - UpToColour()(maps, images)
    ).abs().max() < 1e-5


def test_painted_colours_can_be_shown():
    maps = pictures(4)
    painted = UpToColour().painted(maps, 3 * maps - 1)
    assert painted.min() == 0 and painted.max() == 1


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [(5, 7), (40, 33)], ids=["few", "many"])
def test_all_pairs_are_compared_as_each_pair_is(name, channels, count):
    rows, columns = count
    loss = make_translation_loss(name, 16)
    images = pictures(rows, channels, seed=1)
    generated = pictures(columns, 1 if name == UP_TO_COLOUR else channels)
    if name != UP_TO_COLOUR:
        generated[0] = images[0]  # no difference
    found = loss.distances(generated, loss.targets(images))
    pairs = [loss(generated, image.expand(columns, -1, -1, -1)) for image in images.split(1)]
    assert found.shape == (rows, columns)
    assert (found - torch.stack(pairs)).abs().max() < 1e-5
    assert found.std() > 1e-4


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("channels", [1, 3])
def test_targets_by_row_are_the_same_from_the_cache_or_anew(name, channels):
    loss, images = make_translation_loss(name, 16), as_bytes(pictures(130, channels))
    calls, real = [], loss.targets
    loss.targets = lambda given: calls.append(len(given)) or real(given)
    cached, fresh = (TargetsByRow(loss.targets_of, images, CPU, mib) for mib in (64, 0))
    calls.clear()
    rows = torch.tensor([129, 4, 4, 0])
    kept = cached(rows, images[rows])
    assert calls == []  # nothing is computed again
    anew = fresh(rows, images[rows])
    assert calls == [4]
    expected = real(images[rows].float() / 255)
    for a, b, c in zip(kept, anew, expected, strict=True):
        assert a.shape == b.shape == c.shape
        assert (a - c).abs().max() < 1e-6 and (b - c).abs().max() < 1e-6


def test_names_lead_to_their_losses():
    assert isinstance(make_translation_loss(UP_TO_COLOUR, 16), UpToColour)
    for name in PIXELS:
        assert isinstance(make_translation_loss(name, 16), ReconstructionLoss)
    with pytest.raises(ValueError, match="unknown loss 'colour'") as error:
        make_translation_loss("colour", 16)
    assert "\n" not in str(error.value)
