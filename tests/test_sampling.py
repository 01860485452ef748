"""Samples that depend on their seed alone, paths between codes, and the Gaussian of the original GLO."""

import pytest
import torch
from torch import nn

from glann_lib import sampling
from glann_lib.networks import InfoGANGenerator, LatentMapper
from glann_lib.resnet import ResNetGenerator
from glann_lib.sampling import GaussianSampler, decode, draw_noise, interpolate, interpolate_images, run_blocks


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


@pytest.mark.parametrize("noise_dim", [1, 5, 32, 100])
def test_noises_of_a_seed_do_not_depend_on_how_many_are_drawn(noise_dim):
    many = draw_noise(1000, noise_dim, seed=4)
    assert many.shape == (1000, noise_dim) and many.dtype == torch.float32
    for count in (1, 2, 3, 15, 16, 17, 63, 64, 65, 333, 999):
        assert torch.equal(draw_noise(count, noise_dim, seed=4), many[:count]), count


def test_noises_are_standard_normal_and_differ_by_seed():
    noise = draw_noise(20_000, 4, seed=0)
    assert noise.mean(0).abs().max() < 0.04
    assert (torch.cov(noise.T) - torch.eye(4)).abs().max() < 0.05
    assert not torch.equal(noise, draw_noise(20_000, 4, seed=1))
    assert len(noise.unique(dim=0)) == 20_000


@pytest.mark.parametrize("noise_dim", [1, 5, 32, 100])
def test_uniform_noises_of_a_seed_do_not_depend_on_how_many_are_drawn(noise_dim):
    many = draw_noise(1000, noise_dim, seed=4, prior="uniform")
    assert many.shape == (1000, noise_dim) and many.dtype == torch.float32
    for count in (1, 2, 3, 15, 16, 17, 63, 64, 65, 333, 999):
        assert torch.equal(draw_noise(count, noise_dim, seed=4, prior="uniform"), many[:count]), count


def test_uniform_noises_fill_minus_1_to_1_evenly_and_differ_by_seed():
    noise = draw_noise(20_000, 4, seed=0, prior="uniform")
    assert noise.min() >= -1 and noise.max() <= 1
    shares = torch.histc(noise, bins=10, min=-1, max=1) / noise.numel()
    assert (shares - 0.1).abs().max() < 0.005
    assert (torch.cov(noise.T) - torch.eye(4) / 3).abs().max() < 0.02
    assert not torch.equal(noise, draw_noise(20_000, 4, seed=1, prior="uniform"))


def test_the_normal_prior_is_the_one_without_being_asked():
    assert sampling.PRIORS == ("normal", "uniform")
    assert torch.equal(draw_noise(9, 5, seed=2), draw_noise(9, 5, seed=2, prior="normal"))
    assert not torch.equal(draw_noise(9, 5, seed=2), draw_noise(9, 5, seed=2, prior="uniform"))


def test_an_unknown_prior_is_a_one_line_error():
    with pytest.raises(ValueError, match="unknown prior 'gauss': choose one of normal, uniform") as error:
        draw_noise(3, 4, seed=0, prior="gauss")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("prior", sampling.PRIORS)
def test_no_noises_are_a_one_line_error_under_any_prior(prior):
    with pytest.raises(ValueError, match="0 images"):
        draw_noise(0, 4, seed=0, prior=prior)


@pytest.mark.parametrize("count", [0, -3])
def test_no_images_are_a_one_line_error(networks, count):
    with pytest.raises(ValueError, match=f"{count} images") as error:
        sampling.sample(*networks, count, seed=0)
    assert "\n" not in str(error.value)


def test_samples_of_a_seed_are_the_same_bits_however_many(networks):
    many = sampling.sample(*networks, 150, seed=3)
    assert many.shape == (150, 1, 28, 28) and many.dtype == torch.uint8 and many.device.type == "cpu"
    assert len(many.flatten(1).unique(dim=0)) == 150
    for count in (1, 2, 7, 63, 64, 65, 129):
        assert torch.equal(sampling.sample(*networks, count, seed=3), many[:count]), count
    assert not torch.equal(sampling.sample(*networks, 150, seed=4), many)


def test_decoding_in_pieces_is_decoding_at_once(networks):
    latents = torch.randn(1100, 16, generator=torch.Generator().manual_seed(0))
    whole = decode(networks[0], latents)
    pieces = torch.cat([decode(networks[0], rows) for rows in latents.split([1, 2, 61, 700, 336])])
    assert torch.equal(whole, pieces)
    order = torch.randperm(1100, generator=torch.Generator().manual_seed(1))
    assert torch.equal(decode(networks[0], latents[order[:100]]), whole[order[:100]])


def test_decoding_rounds_to_the_nearest_grey(networks):
    latents = torch.randn(10, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = 255 * networks[0](latents)
    assert (decode(networks[0], latents) - exact).abs().max() < 0.5 + 1e-3


def test_networks_run_in_eval_mode_and_keep_their_averages(networks):
    generator, mapper = networks
    before = {name: value.clone() for name, value in mapper.state_dict().items()}
    rows = draw_noise(70, 8, seed=0)
    expected = run_blocks(mapper, rows)
    assert torch.equal(run_blocks(mapper.train(), rows), expected)
    assert all(torch.equal(value, before[name]) for name, value in mapper.state_dict().items())
    generator.train()
    first = sampling.sample(generator, mapper, 3, seed=0)
    assert torch.equal(first, sampling.sample(generator.eval(), mapper.eval(), 3, seed=0))
    assert not expected.requires_grad


def test_blocks_bound_what_a_network_sees():
    seen = []

    class Watched(nn.Linear):
        def forward(self, rows):
            seen.append(len(rows))
            return super().forward(rows)

    network = Watched(3, 2)
    rows = torch.randn(150, 3, generator=torch.Generator().manual_seed(0))
    result = run_blocks(network, rows)
    assert seen == [sampling.BLOCK] * 3
    assert (result - network(rows)).abs().max() < 1e-6


@pytest.mark.parametrize("block", [1, 2, 7])
def test_small_blocks_are_what_a_network_sees_and_give_the_same(networks, block):
    seen = []
    handle = networks[0].register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    latents = torch.randn(10, 16, generator=torch.Generator().manual_seed(2))
    small, usual = run_blocks(networks[0], latents, block), run_blocks(networks[0], latents)
    images = decode(networks[0], latents, block)
    handle.remove()
    assert seen == [block] * -(-10 // block) + [sampling.BLOCK] + [block] * -(-10 // block)
    assert (small - usual).abs().max() < 1e-5
    assert (images.int() - decode(networks[0], latents).int()).abs().max() <= 1


class Counting(nn.Module):
    """Every image of a side shows its latent's number, and what was seen at once is noted."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.seen, self.held = shape, [], nn.Parameter(torch.zeros(1))

    def forward(self, z):
        self.seen.append(len(z))
        return (z[:, :1, None, None] / 255).expand(-1, *self.shape) + self.held


@pytest.mark.parametrize(
    ("side", "block", "at_once"), [(28, 64, 1024), (64, 64, 1024), (128, 16, 256), (256, 4, 64), (1024, 1, 4)]
)
def test_large_images_are_decoded_in_smaller_blocks(monkeypatch, side, block, at_once):
    """Neither the network's maps nor the float images that are held at once take more than those of 64 px."""
    count, pieces, real = 5 if side == 1024 else 2 * at_once if side > 64 else 70, [], sampling.run_blocks
    monkeypatch.setattr(sampling, "run_blocks", lambda g, rows, b: pieces.append(len(rows)) or real(g, rows, b))
    generator = Counting((1, side, side))
    latents = (torch.arange(count) % 256).float()[:, None]
    images = decode(generator, latents)
    assert set(generator.seen) == {block} and max(pieces) == min(count, at_once)
    assert images.shape == (count, 1, side, side) and torch.equal(images[:, 0, -1, -1], latents[:, 0].byte())
    assert max(pieces) * side**2 <= 1024 * 64**2 and (block == 1 or block * side**2 <= 64 * 64**2)


def test_a_generator_of_large_images_decodes_alike_in_any_blocks():
    torch.manual_seed(0)
    generator, seen = ResNetGenerator(128, 3, 16, features=2), []
    generator.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    latents = draw_noise(18, 16, seed=0)
    images = decode(generator, latents)
    assert seen == [16, 16] and images.shape == (18, 3, 128, 128)
    assert (images[:4].int() - decode(generator, latents[:4], block=4).int()).abs().max() <= 1
    assert seen[2:] == [1] * 4


def test_a_straight_path_is_straight():
    start, end = draw_noise(2, 32, seed=0)
    path = interpolate(start, end, 5)
    assert path.shape == (5, 32)
    assert torch.equal(path[0], start) and torch.equal(path[-1], end)
    assert (path.diff(dim=0) - (end - start) / 4).abs().max() < 1e-6


def test_a_spherical_path_keeps_length_and_turns_evenly():
    start, end = draw_noise(2, 32, seed=0)
    path = interpolate(start, 2 * end, 9, spherical=True)
    assert (path[0] - start).abs().max() < 1e-6 and (path[-1] - 2 * end).abs().max() < 1e-5
    lengths = torch.linspace(start.norm(), 2 * end.norm(), 9)
    assert (path.norm(dim=1) - lengths).abs().max() < 1e-5
    angles = torch.acos(torch.cosine_similarity(path[1:], path[:-1], dim=1))
    assert (angles - torch.acos(torch.cosine_similarity(start, end, dim=0)) / 8).abs().max() < 1e-4
    basis = torch.linalg.qr(torch.stack([start, end], 1)).Q  # the path stays in the ends' plane
    assert (path - path @ basis @ basis.T).abs().max() < 1e-5
    straight = interpolate(start, 2 * end, 9)
    assert straight[4].norm() < 0.9 * lengths[4]


def test_a_spherical_path_between_equal_or_parallel_ends_is_finite():
    start = draw_noise(1, 32, seed=0)[0]
    same = interpolate(start, start, 4, spherical=True)
    assert (same - start).abs().max() < 1e-2
    assert (interpolate(start, 3 * start, 3, spherical=True)[1] - 2 * start).abs().max() < 1e-2
    assert torch.isfinite(interpolate(start, -start, 5, spherical=True)).all()


def test_a_path_to_the_noise_zero_which_has_no_direction_is_straight():
    found = interpolate(torch.zeros(4), torch.ones(4), 3, spherical=True)
    assert torch.equal(found, torch.tensor([[0.0], [0.5], [1.0]]).expand(3, 4))


@pytest.mark.parametrize(
    ("shapes", "steps"), [(((4,), (4,)), 1), (((4,), (4,)), 0), (((4,), (5,)), 3), (((1, 4), (1, 4)), 3)]
)
def test_paths_that_there_are_not_are_one_line_errors(shapes, steps):
    with pytest.raises(ValueError, match="2 steps or more") as error:
        interpolate(*map(torch.ones, shapes), steps)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", sampling.PATHS)
def test_image_paths_begin_and_end_at_the_samples(networks, path):
    start, end = draw_noise(2, 8, seed=5)
    images = interpolate_images(*networks, start, end, 7, path)
    assert images.shape == (7, 1, 28, 28) and images.dtype == torch.uint8
    ends = sampling.sample(*networks, 2, seed=5)
    assert (images[[0, -1]].int() - ends.int()).abs().max() <= 1
    assert len(images.flatten(1).unique(dim=0)) == 7


def test_paths_differ_between_their_ends(networks):
    start, end = draw_noise(2, 8, seed=5)
    middles = [interpolate_images(*networks, start, end, 3, path)[1].float() for path in sampling.PATHS]
    assert all((a - b).abs().max() > 2 for a, b in [(middles[0], middles[1]), (middles[0], middles[2])])
    latents = run_blocks(networks[1], torch.stack([start, end]))
    between = decode(networks[0], latents.mean(0, keepdim=True))
    assert (middles[2] - between[0]).abs().max() <= 1


def test_unknown_paths_are_one_line_errors(networks):
    with pytest.raises(ValueError, match="unknown path 'cubic': choose one of noise-linear") as error:
        interpolate_images(*networks, *draw_noise(2, 8, seed=0), path="cubic")
    assert "\n" not in str(error.value)


def latent_cloud(count=400, width=6):
    random = torch.Generator().manual_seed(0)
    cloud = torch.randn(count, width, generator=random) @ torch.randn(width, width, generator=random)
    return cloud + torch.tensor([3.0, *[0.0] * (width - 1)])


def test_gaussian_latents_lie_on_the_sphere_and_depend_on_the_seed_alone():
    sampler = GaussianSampler(latent_cloud())
    latents = sampler.sample(101, seed=2)
    assert latents.shape == (101, 6) and latents.dtype == torch.float32
    assert (latents.norm(dim=1) - 1).abs().max() < 1e-6
    assert torch.equal(sampler.sample(7, seed=2), latents[:7])
    assert not torch.equal(sampler.sample(101, seed=3), latents)


def test_the_gaussian_has_the_latents_mean_and_covariance():
    cloud = latent_cloud()
    sampler = GaussianSampler(cloud)
    assert (sampler.mean - cloud.double().mean(0)).abs().max() < 1e-12
    assert (sampler.root @ sampler.root.T - torch.cov(cloud.double().T)).abs().max() < 1e-10
    # A sample is mean + root e, put on the sphere.
    raw = sampler.mean + draw_noise(50, 6, seed=1).double() @ sampler.root.T
    assert (sampler.sample(50, seed=1) - raw / raw.norm(dim=1, keepdim=True)).abs().max() < 1e-6


def test_gaussian_directions_are_those_of_the_latents():
    cloud = latent_cloud(5000)
    made, own = GaussianSampler(cloud).sample(20_000, seed=0), cloud / cloud.norm(dim=1, keepdim=True)
    assert (made.mean(0) - own.mean(0)).abs().max() < 0.03
    assert (torch.cov(made.T) - torch.cov(own.T)).abs().max() < 0.03


def test_a_singular_covariance_is_no_trouble():
    few = latent_cloud(3)  # 3 points span a plane in 6 dimensions
    made = GaussianSampler(few).sample(200, seed=0)
    assert torch.isfinite(made).all()
    basis = torch.linalg.qr(few.T).Q
    assert (made - made @ basis @ basis.T).abs().max() < 1e-5
    same = GaussianSampler(few[:1].repeat(5, 1)).sample(10, seed=0)
    assert (same - few[0] / few[0].norm()).abs().max() < 1e-5


def test_a_gaussian_needs_two_latents():
    with pytest.raises(ValueError, match="2 latents or more"):
        GaussianSampler(latent_cloud(1))


def test_what_was_computed_is_copied_once(monkeypatch):
    """Each copy to the processor waits until a GPU has done all before it."""
    mapper, copies, real = LatentMapper(8, 16, 32), [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: copies.append(len(self)) or real(self))
    assert len(run_blocks(mapper, draw_noise(200, 8, 0))) == 200
    assert copies == [200]


class Straight(nn.Module):
    """T that leaves the noise as it is."""

    noise_dim = 2

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, noise):
        return noise * self.one


@pytest.fixture
def sides():
    """Codes left and right of a line, and which of them are right."""
    x = torch.cat([torch.linspace(-2, -0.5, 40), torch.linspace(0.5, 2, 40)])
    return torch.stack([x, torch.zeros(80)], 1), x > 0


def test_codes_of_a_class_are_those_whose_neighbours_all_are(sides):
    latents, right = sides
    every = sampling.draw_noise(sampling.DRAWN, 2, seed=5)
    near = (every[:, None] - latents).norm(dim=2).argsort(1)[:, : sampling.VOTES]
    wanted = every[right[near].all(1)]
    found = sampling.class_codes(Straight(), latents, right, len(wanted), seed=5)
    assert torch.equal(found, wanted) and 100 < len(wanted) < len(every) and (found[:, 0] > 0).all()


def test_a_class_without_a_place_of_its_own_is_content_with_fewer_votes():
    x = torch.linspace(-3, 3, 300)
    latents, most = torch.stack([x, torch.zeros(300)], 1), torch.arange(300) % 3 < 2  # two of three everywhere
    found = sampling.class_codes(Straight(), latents, most, 200, seed=0)
    near = (found[:, None] - latents).norm(dim=2).argsort(1)[:, : sampling.VOTES]
    assert most[near].sum(1).unique().tolist() == [7]
    with pytest.raises(ValueError, match="0 are of that class"):  # one of three: never half
        sampling.class_codes(Straight(), latents, ~most, 1, seed=0)


def test_codes_of_a_class_do_not_depend_on_how_many_are_drawn(sides):
    many = sampling.class_codes(Straight(), *sides, 3000, seed=0)
    assert many.shape == (3000, 2)
    assert torch.equal(sampling.class_codes(Straight(), *sides, 7, seed=0), many[:7])
    assert not torch.equal(sampling.class_codes(Straight(), *sides, 7, seed=1), many[:7])


def test_a_class_that_is_hardly_ever_drawn_is_told(sides, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_DRAWN", 4096)
    latents, right = sides
    with pytest.raises(ValueError, match=r"of 4,096 codes 0 are of that class: ask for fewer than 3"):
        sampling.class_codes(Straight(), latents + 100 * ~right[:, None], torch.zeros(80, dtype=torch.bool), 3, seed=0)
    with pytest.raises(ValueError, match="0 images asked for"):
        sampling.class_codes(Straight(), latents, right, 0, seed=0)


def test_few_training_codes_vote_all_together():
    latents, first = torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([True, True])
    assert sampling.class_codes(Straight(), latents, first, 3, seed=0).shape == (3, 2)
