"""The Glann object: fit, sample, reconstruct, interpolate, invert, and files that give the same samples bit for bit."""

import hashlib

import numpy as np
import pytest
import torch

import glann_lib
from glann_lib import sampling
from glann_lib.beyond.refining import load_refinement
from glann_lib.config import GLOConfig, make_config
from glann_lib.data.images import ImageData, load_images
from glann_lib.engine import storage
from glann_lib.files import compact, released
from glann_lib.glo import load_embedding
from glann_lib.imle import load_mapping
from glann_lib.model import Glann
from glann_lib.scores.measures import METRICS

TINY = {
    "glo_epochs": 2,
    "glo_batch_size": 16,
    "glo_latent_dim": 16,
    "glo_loss": "l1",
    "imle_epochs": 3,
    "imle_batch_size": 16,
    "imle_noise_dim": 8,
    "imle_hidden_dim": 16,
    "refine_epochs": 1,
    "refine_batch_size": 16,
}


def blobs(count, channels=1, size=28, seed=0):
    """Bright spots at random places: uint8 [N, C, S, S]."""
    random = np.random.default_rng(seed)
    place = random.uniform(0, size, (2, count, 1, 1))
    ys, xs = np.mgrid[:size, :size]
    spots = np.exp(-((xs - place[0]) ** 2 + (ys - place[1]) ** 2) / 20)
    return (255 * spots[:, None] * random.uniform(0.5, 1, (count, channels, 1, 1))).round().astype(np.uint8)


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("GLANN_PROGRESS", "lines")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def model(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLANN_PROGRESS", "lines")
        return Glann.fit(blobs(48), device="cpu", folder=folder, seed=1, **TINY)


def test_the_package_offers_glann():
    assert glann_lib.Glann is Glann
    with pytest.raises(AttributeError, match="Gann"):
        _ = glann_lib.Gann


def test_fit_trains_all_stages_on_an_array(model, folder):
    assert model.latents.shape == (48, 16)
    assert (model.latents.norm(dim=1) - 1).abs().max() < 1e-6
    assert (model.generator.shape, model.mapper.noise_dim) == ((1, 28, 28), 8)
    assert not model.generator.training and not model.mapper.training
    assert model.device == torch.device("cpu")
    assert torch.equal(load_embedding(folder / "glo.safetensors").latents, model.latents)
    assert load_mapping(folder / "imle.safetensors").mapper.latent_dim == 16
    refined, first = load_refinement(folder / "refine.safetensors"), load_embedding(folder / "glo.safetensors")
    latents = model.latents[:5]
    assert torch.equal(refined.generator(latents), model.generator(latents)) and model.config.refine == refined.config
    assert not torch.equal(first.generator(latents), model.generator(latents))
    assert model.record["data"]["count"] == 48 and len(model.record["data"]["sha256"]) == 64


def test_the_models_settings_are_those_asked_for(model):
    config = model.config
    assert (config.profile, config.data.image_size, config.glo.seed, config.imle.seed) == ("quick", 28, 1, 1)
    assert (config.glo.epochs, config.imle.epochs, config.glo.loss) == (2, 3, "l1")
    changed = {name: value for name, value in TINY.items() if name.startswith("glo_")}
    assert config.glo == make_config("mnist", seed=1, **changed).glo  # grey images of 28 px are trained as MNIST is


def test_a_finished_fit_is_taken_up_again(model, folder, monkeypatch):
    monkeypatch.setattr("glann_lib.glo.GLO.step", lambda *args: pytest.fail("trained again"))
    monkeypatch.setattr("glann_lib.imle.IMLE.step", lambda *args: pytest.fail("trained again"))
    again = Glann.fit(blobs(48), device="cpu", folder=folder, seed=1, **TINY)
    assert torch.equal(again.sample(5), model.sample(5))


def test_images_of_any_layout_are_the_same_training():
    images = blobs(16, 3, 32)
    layouts = [
        images,
        images.transpose(0, 2, 3, 1),
        torch.from_numpy(images),
        ImageData.from_array(images),
        images / 255,
    ]
    settings = TINY | {"glo_epochs": 1, "imle_epochs": 1}
    samples = [Glann.fit(layout, device="cpu", **settings).sample(2) for layout in layouts]
    assert samples[0].shape == (2, 3, 32, 32)
    assert all(torch.equal(sample, samples[0]) for sample in samples)


def test_colour_and_grey_have_the_generators_of_the_paper():
    settings = TINY | {"glo_epochs": 1, "imle_epochs": 1}
    assert Glann.fit(blobs(16, 3, 32), "paper", device="cpu", **settings).config.glo.normalisation == "none"
    assert Glann.fit(blobs(16, 1, 28), "paper", device="cpu", **settings).config.glo.normalisation == "batch"
    assert Glann.fit(blobs(16, 3, 32), device="cpu", **settings).config.glo.normalisation == "batch"  # quick
    chosen = Glann.fit(blobs(16, 1, 28), device="cpu", **settings, glo_normalisation="lucic")
    assert chosen.config.glo.normalisation == "lucic"


@pytest.mark.parametrize("space", ["noise", "latent"])
def test_a_search_can_be_watched_and_ends_in_what_invert_finds(model, space):
    image, options = blobs(1, seed=5), {"restarts": 2, "steps": 6, "seed": 3}
    records = list(model.search(image, space, every=1, **options))
    assert len(records) == 7  # the start, and one a step
    assert torch.equal(records[-1].codes, model.invert(image, space, **options).codes)
    assert len({tuple(record.codes[0].tolist()) for record in records}) == 7
    assert len(list(model.search(image, space, every=4, **options))) == 3  # steps 0, 4 and 6


def test_labels_travel_with_the_model(tmp_path):
    data = ImageData.from_array(blobs(16), labels=np.arange(16) % 3, class_names=("small", "middle", "large"))
    model = Glann.fit(data, device="cpu", **TINY | {"glo_epochs": 1, "imle_epochs": 1})
    again = Glann.load(model.save(tmp_path / "model.safetensors"), "cpu")
    assert again.class_names == ("small", "middle", "large") and torch.equal(again.labels, data.labels)
    assert Glann.fit(blobs(16), device="cpu", **TINY | {"glo_epochs": 1, "imle_epochs": 1}).labels is None


def test_a_data_sets_name_is_enough(monkeypatch):
    asked = []

    def load_images(settings, split):
        asked.append((settings.dataset, split))
        return ImageData.from_array(blobs(16), name="digits")

    monkeypatch.setattr("glann_lib.shapes.training_data.load_images", load_images)
    model = Glann.fit("digits", device="cpu", **TINY)
    assert asked == [("digits", "train")] and model.config.data.dataset == "digits"
    assert model.record["data"]["name"] == "digits"


@pytest.mark.parametrize(
    ("images", "settings"),
    [
        (blobs(16, size=30), {}),
        (blobs(16)[:, :, :20], {}),
        (blobs(16)[:, :, :, :20], {}),
        (blobs(16), {"profile": "fast"}),
        (blobs(16), {"glo_epoch": 3}),
        (blobs(16), {"glo_loss": "ssim"}),
        (blobs(16), {"device": "tpu"}),
        (blobs(16), {"data_image_size": 32}),
        (blobs(1), {}),
        (blobs(16) * 1.0, {}),
        ("imagenet", {}),
    ],
    ids=["30 px", "low", "narrow", "profile", "setting", "loss", "device", "other size", "few", "range", "name"],
)
def test_what_cannot_be_trained_is_a_one_line_error(images, settings):
    with pytest.raises(ValueError) as error:
        Glann.fit(images, **{"device": "cpu", **TINY, **settings})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("count", [2, 9, 50])
def test_few_images_are_one_batch_and_large_sets_are_as_they_were(count):
    settings = TINY | {"glo_batch_size": 64, "imle_batch_size": 64}
    model = Glann.fit(blobs(count, channels=3, size=32), device="cpu", **settings)
    assert model.config.glo.batch_size == model.config.imle.batch_size == count
    assert model.sample(3).shape == (3, 3, 32, 32) and model.reconstruct().shape == (count, 3, 32, 32)
    assert model.invert(blobs(1, channels=3, size=32), steps=1).images.shape == (1, 3, 32, 32)


def test_few_images_are_scored_by_what_few_allow(model):
    values = model.score(blobs(2, seed=4))
    assert set(values) == {"frechet", "kernel", "support"} and np.isfinite(list(values.values())).all()
    assert set(model.score(blobs(10, seed=4))) == set(METRICS)
    for images, count in ((blobs(1), 5), (blobs(5), 1)):
        with pytest.raises(ValueError, match="one image has no spread: nothing can be measured; give 2 or more"):
            model.score(images, count=count)


def test_samples_depend_on_the_seed_alone(model):
    samples = model.sample(70, seed=3)
    assert samples.shape == (70, 1, 28, 28) and samples.dtype == torch.uint8
    assert torch.equal(model.sample(5, seed=3), samples[:5])
    assert not torch.equal(model.sample(70, seed=4), samples)
    with pytest.raises(ValueError, match="0 images"):
        model.sample(0)


def test_samples_of_a_class_by_its_name_or_number():
    model = Glann.load("digits", "cpu")
    threes = model.sample(20, seed=3, label="3")
    assert threes.shape == (20, 1, 28, 28) and model.classes[3] == "3"
    assert torch.equal(model.sample(5, seed=3, label=3), threes[:5])
    assert torch.equal(sampling.decode(model.generator, model.codes(20, 3, "3")), threes)
    assert not torch.equal(model.sample(20, seed=3, label="8"), threes)
    # A digit is what the training digits are that look most like it.
    digits = load_images(model.config.data, "train")
    near = torch.cdist(threes.flatten(1).float(), digits.images.flatten(1).float()).argmin(1)
    assert (digits.labels[near] == 3).double().mean() >= 0.9
    with pytest.raises(ValueError, match=r"^no class 'three': choose one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9$"):
        model.sample(2, label="three")


def test_without_labels_there_is_no_class(model):
    unlabelled = Glann(model.generator, model.mapper, model.latents, model.config, {})
    assert unlabelled.classes == {}
    with pytest.raises(ValueError, match=r"^no class 1: there are no labels$"):
        unlabelled.sample(2, label=1)


def test_gaussian_samples_are_those_of_the_latents(model):
    made = model.sample_gaussian(20, seed=3)
    assert made.shape == (20, 1, 28, 28) and made.dtype == torch.uint8
    latents = sampling.GaussianSampler(model.latents).sample(20, seed=3)
    assert torch.equal(made, sampling.decode(model.generator, latents))
    assert not torch.equal(made, model.sample(20, seed=3))


def test_reconstructions_are_of_the_training_images(model):
    everything = model.reconstruct()
    assert everything.shape == (48, 1, 28, 28) and everything.dtype == torch.uint8
    assert torch.equal(model.reconstruct([3, 40]), everything[[3, 40]])
    assert torch.equal(model.reconstruct(np.arange(5)), everything[:5])
    assert torch.equal(model.reconstruct(3), everything[3:4])
    with pytest.raises(IndexError):
        model.reconstruct([48])


@pytest.mark.parametrize("path", sampling.PATHS)
def test_paths_begin_and_end_at_the_samples_of_their_seeds(model, path):
    images = model.interpolate(5, 6, steps=6, path=path)
    assert images.shape == (6, 1, 28, 28) and images.dtype == torch.uint8
    for image, seed in ((images[0], 5), (images[-1], 6)):
        assert (image.int() - model.sample(1, seed)[0].int()).abs().max() <= 1
    noises = [sampling.draw_noise(1, 8, seed)[0] for seed in (5, 6)]
    assert torch.equal(model.interpolate(*noises, steps=6, path=path), images)


def test_paths_that_there_are_not_are_one_line_errors(model):
    for options, named in (({"path": "cubic"}, "cubic"), ({"steps": 1}, "1 steps")):
        with pytest.raises(ValueError, match=named) as error:
            model.interpolate(0, 1, **options)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("space", "width"), [("noise", 8), ("latent", 16)])
def test_inversion_gives_codes_images_and_losses(model, space, width):
    wanted = model.sample(3, seed=9)
    found = model.invert(wanted, space, restarts=2, steps=15)
    assert found.codes.shape == (3, width) and found.loss.shape == (3,)
    assert found.images.shape == (3, 1, 28, 28) and found.images.dtype == torch.uint8
    error = (found.images.float() - wanted.float()).abs().mean() / 255
    assert abs(error - found.loss.mean()) < 3e-3  # the loss is that of training: l1
    latents = sampling.run_blocks(model.mapper, found.codes) if space == "noise" else found.codes
    assert (sampling.decode(model.generator, latents).int() - found.images.int()).abs().max() <= 1
    again = model.invert(wanted, space, restarts=2, steps=15)
    assert torch.equal(again.codes, found.codes)


def test_inverted_images_may_be_arrays_of_floats(model):
    wanted = model.sample(2, seed=9)
    found = [model.invert(x, restarts=1, steps=2) for x in (wanted, wanted.numpy(), wanted[:, 0].float() / 255)]
    assert all(torch.equal(other.codes, found[0].codes) for other in found)


@pytest.mark.parametrize(
    ("images", "options", "named"),
    [
        (blobs(2, 1, 32), {}, r"\(1, 32, 32\).*\(1, 28, 28\)"),
        (blobs(2, 3, 28), {}, r"\(3, 28, 28\)"),
        (blobs(2), {"space": "pixels"}, "pixels"),
        (blobs(2) * 2.0, {}, "0, 1"),
        (blobs(2), {"restarts": 0}, "restarts|0"),
    ],
    ids=["size", "channels", "space", "range", "restarts"],
)
def test_what_cannot_be_inverted_is_a_one_line_error(model, images, options, named):
    with pytest.raises(ValueError, match=named) as error:
        model.invert(images, **options)
    assert "\n" not in str(error.value)


def test_a_saved_model_gives_the_same_bits(model, tmp_path):
    path = model.save(tmp_path / "models" / "glann.safetensors")
    loaded = Glann.load(path, device="cpu")
    assert torch.equal(loaded.sample(70, seed=3), model.sample(70, seed=3))
    assert torch.equal(loaded.sample_gaussian(5), model.sample_gaussian(5))
    assert torch.equal(loaded.reconstruct(), model.reconstruct())
    assert torch.equal(loaded.interpolate(1, 2), model.interpolate(1, 2))
    wanted = model.sample(2, seed=9)
    assert torch.equal(loaded.invert(wanted, steps=3).codes, model.invert(wanted, steps=3).codes)
    assert loaded.config == model.config and loaded.record == model.record
    assert isinstance(loaded.config.glo, GLOConfig)
    again = loaded.save(tmp_path / "again.safetensors")
    assert again.read_bytes() == path.read_bytes()


def test_files_that_hold_no_model_are_one_line_errors(model, folder, tmp_path):
    path = model.save(tmp_path / "glann.safetensors")
    with pytest.raises(FileNotFoundError):
        Glann.load(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="is not a GLANN model"):
        Glann.load(folder / "glo.safetensors", device="cpu")
    tensors, record = storage.load_tensors(path)
    without = {name: value for name, value in tensors.items() if name != "latents"}
    other = record | {"image_shape": [1, 32, 32]}
    newer = record | {"config": {**record["config"], "glo": {**record["config"]["glo"], "future_setting": 1}}}
    nameless = {name: value for name, value in record.items() if name != "record"}
    for parts in ((without, record), (tensors, other), (tensors, newer), (tensors, nameless)):
        storage.save_sealed(path, *parts)
        with pytest.raises(ValueError) as error:
            Glann.load(path, device="cpu")
        assert "\n" not in str(error.value)
    storage.save_tensors(path, tensors, record)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged or cut short"):
        Glann.load(path, device="cpu")


def test_a_changed_number_is_found(model, tmp_path):
    path = model.save(tmp_path / "glann.safetensors")
    whole = path.read_bytes()
    for place in (len(whole) // 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="is damaged: its numbers are not those that were saved") as error:
            Glann.load(path, "cpu")
        assert "\n" not in str(error.value)


def test_files_from_before_the_digest_are_taken(model, tmp_path):
    path = model.save(tmp_path / "glann.safetensors")
    tensors, record = storage.load_tensors(path)
    del record["weights_sha256"]
    storage.save_tensors(path, tensors, record)
    assert torch.equal(Glann.load(path, "cpu").sample(3), model.sample(3))


def test_half_precision_keeps_samples_within_a_grey_level(model, tmp_path):
    path = model.save(tmp_path / "glann.safetensors")
    size = path.stat().st_size
    tensors, record = storage.load_tensors(path)
    storage.save_sealed(path, compact.halve(tensors), record)
    assert path.stat().st_size < 0.55 * size
    small = Glann.load(path, "cpu")
    assert (small.sample(200).int() - model.sample(200).int()).abs().max() <= 1
    assert {parameter.dtype for parameter in small.generator.parameters()} == {torch.float32}
    again = Glann.load(small.save(tmp_path / "full.safetensors"), "cpu")
    assert torch.equal(again.sample(5), small.sample(5))


def test_released_models_are_found_by_name(model, tmp_path, monkeypatch):
    monkeypatch.setattr(released, "FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert Glann.available() == ()
    path = model.save(tmp_path / "spots" / released.MODEL)
    storage.write_json(path.with_name(released.CARD), {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    assert Glann.available() == ("spots",)
    assert torch.equal(Glann.load("spots", "cpu").sample(3), model.sample(3))
    with pytest.raises(FileNotFoundError, match="no released model 'spot': released are spots"):
        Glann.load("spot")


def test_samples_are_scored_against_real_images(model):
    scores = model.score(blobs(40, seed=5), count=50, seed=2)
    assert scores.keys() == METRICS.keys()
    assert scores == model.score(blobs(40, seed=5), count=50, seed=2) != model.score(blobs(40, seed=5), count=50)
    real = model.score(model.sample(40, seed=9).numpy(), seed=2)  # more of the same
    assert real["frechet"] < scores["frechet"] and real["coverage"] > 0.5


def test_scores_refuse_what_does_not_fit(model):
    with pytest.raises(ValueError, match=r"images are \(3, 28, 28\), the model's are \(1, 28, 28\)"):
        model.score(blobs(10, channels=3))
    with pytest.raises(ValueError, match="vgg99"):
        model.score(blobs(10), extractor="vgg99")


@pytest.fixture(scope="module")
def large():
    """A model of images of 128 px that hardly learned anything."""
    few = {"glo_resnet_channels": 1, "glo_latent_dim": 8, "glo_loss": "random-vgg16-quarter", "glo_batch_size": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLANN_PROGRESS", "lines")
        return Glann.fit(blobs(8, 3, 128), device="cpu", **TINY | few | {"glo_epochs": 1, "imle_epochs": 1})


def test_large_images_are_sampled_redrawn_and_walked_between(large):
    assert large.config.glo.generator == "resnet" and large.generator.shape == (3, 128, 128)
    samples = large.sample(20, seed=1)
    assert samples.shape == (20, 3, 128, 128) and torch.equal(large.sample(17, seed=1), samples[:17])
    assert torch.equal(large.reconstruct([2, 5]), large.reconstruct()[[2, 5]])
    walk = large.interpolate(0, 1, 5)
    assert (walk[0].int() - large.sample(1, 0)[0].int()).abs().max() <= 1 and len(walk) == 5


@pytest.mark.parametrize("space", ["noise", "latent"])
def test_large_images_are_inverted_from_fewer_starts(large, space, monkeypatch):
    seen, image = [], large.sample(1, seed=9)
    with monkeypatch.context() as patch:
        patch.setattr("glann_lib.inversion.refine", lambda render, start, *_: seen.append(tuple(start.shape[:2])))
        large.invert(image, space)
        large.invert(image, space, restarts=3)
    assert seen == [(1, 2), (1, 3)]
    start, found = (large.invert(image, space, steps=steps) for steps in (0, 12))
    assert found.images.shape == image.shape and found.loss < start.loss


def test_large_images_are_scored_and_their_model_is_kept(large, tmp_path):
    scores = large.score(blobs(12, 3, 128, seed=3))
    assert scores["frechet"] > 0 and scores.keys() <= METRICS.keys()
    again = Glann.load(large.save(tmp_path / "large.safetensors"), "cpu")
    assert torch.equal(again.sample(3), large.sample(3)) and again.config == large.config
