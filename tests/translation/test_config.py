"""Settings of translation: the profiles' numbers, overrides, refusals."""

import dataclasses
import json

import pytest

from glann_lib.config import CARS3D, GLOConfig, make_config
from glann_lib.translation.config import SEARCHES, UP_TO_COLOUR, NAMConfig, PairConfig, make_translation_config

PAIRS = [("digits", "street-digits"), ("street-digits", "digits"), ("svhn", "mnist"), ("sedans", "vans")]


@pytest.mark.parametrize(
    ("source", "target", "loss"),
    [
        ("mnist", "svhn", "l2"),
        ("digits", "street-digits", "l2"),
        ("svhn", "mnist", "vgg16"),
        ("street-digits", "digits", "vgg16"),
        ("sedans", "vans", "vgg16"),
        ("folder:mine", "mnist", "vgg16"),
    ],
)
def test_the_paper_profile_has_the_numbers_of_nam(source, target, loss):
    config = make_translation_config(source, target, "paper", seed=3)
    nam = config.nam
    assert (nam.width, nam.epochs, nam.batch_size, nam.search) == (32, 51, 128, "sphere")
    assert nam.latent_lr == 0.03 and abs(nam.mapping_lr - 0.03 * nam.latent_lr) < 1e-12
    assert nam.loss == loss
    assert config.data.source_images == 2000
    assert config.data.target_images is None and config.data.test_images is None
    assert (config.profile, config.data.source, config.data.target) == ("paper", source, target)


@pytest.mark.parametrize(("target", "dataset"), [("digits", "mnist"), ("mnist", "mnist"), ("vans", "svhn")])
def test_the_paper_profiles_generator_is_glanns(target, dataset):
    config, generator = make_translation_config("svhn", target, "paper", 5), make_config(dataset, "paper", 5)
    assert config.glo == generator.glo and config.imle == generator.imle


@pytest.mark.parametrize(
    ("source", "target", "start"),
    [
        (*CARS3D, "identity"),
        ("svhn-crops", "mnist", "identity"),
        ("mnist", "svhn-crops", "random"),
        ("sedans", "vans", "random"),
        ("street-digits", "digits", "identity"),
    ],
)
def test_t_begins_as_the_identity_where_domains_look_alike(source, target, start):
    assert make_translation_config(source, target).nam.start == start
    assert make_translation_config(source, target, "paper").nam.start == "random"  # as NAM's


def test_all_rendered_cars_are_taken_grey_unless_colour_is_asked_for():
    data = make_translation_config(*CARS3D).data
    assert (data.source_images, data.target_images, data.test_images, data.colour) == (None, None, None, False)
    assert make_translation_config(*CARS3D, data_colour=True).data.colour


@pytest.mark.parametrize("profile", ["quick", "paper"])
@pytest.mark.parametrize(
    ("source", "target", "size"),
    [
        ("digits", "street-digits", 28),
        ("street-mnist", "mnist", 28),
        ("mnist", "svhn", 32),
        ("svhn", "mnist", 32),
        ("sedans", "vans", 32),
        ("folder:a", "folder:b", 32),
        (*CARS3D, 64),
    ],
)
def test_handwriting_stays_at_28_px(profile, source, target, size):
    assert make_translation_config(source, target, profile).data.image_size == size


@pytest.mark.parametrize(
    ("source", "target", "loss"),
    [
        ("street-digits", "digits", UP_TO_COLOUR),
        ("svhn", "mnist", UP_TO_COLOUR),
        ("sedans", "digits", UP_TO_COLOUR),
        ("digits", "street-digits", "l2"),
        ("mnist", "svhn", "l2"),
        ("digits", "mnist", "l2"),
        ("sedans", "vans", "l2"),
    ],
)
def test_the_quick_profile_is_up_to_colour_where_only_the_source_has_colours(source, target, loss):
    config = make_translation_config(source, target)
    assert config.profile == "quick" and config.nam.loss == loss
    assert config.nam.search == "memory" and config.glo.loss == "laplacian"


def test_the_quick_profile_is_smaller_than_the_papers():
    for source, target in PAIRS:
        quick, paper = (make_translation_config(source, target, profile) for profile in ("quick", "paper"))
        assert quick.nam.epochs < paper.nam.epochs and quick.nam.width < paper.nam.width
        assert quick.glo.epochs < paper.glo.epochs
        assert quick.data.source_images <= paper.data.source_images
        assert None not in (quick.data.target_images, quick.data.test_images)


def test_the_full_profile_takes_all_images_by_quicks_settings():
    quick, full = (make_translation_config("mnist", "street-mnist", profile) for profile in ("quick", "full"))
    assert (full.data.source_images, full.data.target_images, full.data.test_images) == (None, None, 10_000)
    assert (full.glo, full.imle, full.nam) == (quick.glo, quick.imle, quick.nam)


def test_the_quick_profile_takes_few_large_steps_that_fall_once():
    for source, target in PAIRS:
        quick = make_translation_config(source, target)
        assert (quick.glo.schedule, quick.glo.latent_init, quick.glo.optimiser) == ("cosine", "pca", "persistent")
        assert quick.glo.latent_lr > GLOConfig().latent_lr and quick.nam.mapping_lr > NAMConfig().mapping_lr


def test_one_seed_is_every_stages():
    for profile in ("quick", "paper"):
        config = make_translation_config("svhn", "mnist", profile, seed=7)
        assert (config.glo.seed, config.imle.seed, config.nam.seed) == (7, 7, 7)


def test_overrides_replace_fields_and_none_leaves_them():
    plain = make_translation_config("digits", "street-digits")
    changed = make_translation_config(
        "digits",
        "street-digits",
        nam_search="sphere",
        nam_epochs=None,
        glo_latent_dim=16,
        imle_epochs=2,
        imle_lr=None,
        data_source_images=77,
        data_image_size=32,
    )
    assert changed.nam == dataclasses.replace(plain.nam, search="sphere")
    assert changed.glo == dataclasses.replace(plain.glo, latent_dim=16)
    assert changed.imle == dataclasses.replace(plain.imle, epochs=2)
    assert changed.data == dataclasses.replace(plain.data, source_images=77, image_size=32)


@pytest.mark.parametrize(("epochs", "every"), [(100, 20), (3, 1)])
def test_the_quick_generators_steps_fall_with_its_epochs(epochs, every):
    config = make_translation_config("digits", "street-digits", glo_epochs=epochs)
    assert (config.glo.epochs, config.glo.decay_every) == (epochs, every)
    own = make_translation_config("digits", "street-digits", glo_epochs=epochs, glo_decay_every=9)
    assert own.glo.decay_every == 9
    paper = make_translation_config("digits", "street-digits", "paper")
    changed = make_translation_config("digits", "street-digits", "paper", glo_epochs=epochs)
    assert changed.glo.decay_every == paper.glo.decay_every


@pytest.mark.parametrize(
    "name", ["nam_speed", "nam", "width", "glo_width", "network_width", "data_dataset", "profile_name", "nam_", "_nam"]
)
@pytest.mark.parametrize("value", [1, None])
def test_unknown_settings_are_one_line_errors(name, value):
    with pytest.raises(ValueError, match=f"unknown setting '{name}'") as error:
        make_translation_config("digits", "street-digits", **{name: value})
    assert "\n" not in str(error.value)


def test_an_unknown_profile_is_a_one_line_error():
    with pytest.raises(ValueError, match="unknown profile 'fast': choose one of quick, full, paper") as error:
        make_translation_config("digits", "street-digits", "fast")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search": "grid"}, "unknown search 'grid'.*memory"),
        ({"loss": "ssim"}, "unknown loss 'ssim'.*up-to-colour"),
        ({"width": 0}, "width is 0"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"batch_size": 1}, "batch_size is 1.*2 or more"),
        ({"restarts": 0}, "restarts is 0"),
        ({"test_steps": -1}, "test_steps is -1"),
        ({"latent_lr": 0.0}, "latent_lr is 0.0"),
        ({"mapping_lr": float("inf")}, "mapping_lr is inf"),
        ({"test_lr": -0.1}, "test_lr is -0.1"),
        ({"beta1": 1.0}, "beta1 is 1.0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_fields_of_nam_out_of_range_are_one_line_errors(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        NAMConfig(**settings)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=message):
        make_translation_config(
            "digits", "street-digits", "paper", **{f"nam_{name}": value for name, value in settings.items()}
        )


@pytest.mark.parametrize("loss", ["vgg16", "vgg19", "random-vgg16"])
def test_the_memory_is_not_searched_by_a_network(loss):
    with pytest.raises(ValueError, match=f"memory.*{loss}.*sphere or noise") as error:
        NAMConfig(search="memory", loss=loss)
    assert "\n" not in str(error.value)
    for search in SEARCHES[1:]:
        assert NAMConfig(search=search, loss=loss).loss == loss
    for pixels in ("l1", "l2", "laplacian", UP_TO_COLOUR):
        assert NAMConfig(search="memory", loss=pixels).search == "memory"


@pytest.mark.parametrize(
    "settings", [{"image_size": 30}, {"source_images": 0}, {"target_images": -1}, {"test_images": 2.5}], ids=str
)
def test_fields_of_a_pair_out_of_range_are_one_line_errors(settings):
    with pytest.raises(ValueError, match=next(iter(settings))) as error:
        PairConfig("digits", "street-digits", **settings)
    assert "\n" not in str(error.value)


def test_settings_are_plain_values():
    for source, target in PAIRS:
        for profile in ("quick", "paper"):
            config = make_translation_config(source, target, profile)
            values = json.loads(json.dumps(config.as_dict()))
            assert values == config.as_dict()
            assert NAMConfig(**values["nam"]) == config.nam and PairConfig(**values["data"]) == config.data
