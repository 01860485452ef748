"""Settings: the paper's values in the profiles, overrides by name, one-line errors, no package needed."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from glann_lib.config import (
    DATASETS,
    DOMAINS,
    FEW_IMAGES,
    LEAST_IMAGES,
    PROFILES,
    SHAPES,
    SMALL,
    TRANSLATIONS,
    Config,
    DataConfig,
    GLOConfig,
    IMLEConfig,
    for_count,
    kind_of,
    make_config,
    split_pair,
)
from glann_lib.rivals.config import make_gan_config

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ("digits", "mnist")
GREY = ("digits", "mnist", "fashion")
FACES = ("celeba", "folder:my_photos")


@pytest.mark.parametrize("dataset", [*SMALL, "folder:my_photos"])
def test_the_paper_profile_has_the_papers_values(dataset):
    made = make_config(dataset, "paper")
    glo, imle = made.glo, made.imle
    assert (glo.epochs, glo.decay, glo.decay_every, glo.loss) == (500, 0.5, 50, "vgg16")
    assert glo.latent_lr == (0.003 if dataset in FACES else 0.01)
    assert (glo.generator_lr_ratio, glo.batch_size, glo.beta1, glo.latent_dim) == (0.1, 128, 0.5, 64)
    assert glo.latent_init_std == 0.01
    assert glo.normalisation == ("batch" if dataset in GREY else "none")
    assert (imle.noise_dim, imle.hidden_dim, imle.noise_per_latent, imle.epochs) == (32, 128, 2, 50)
    assert (imle.lr, imle.weight_decay, imle.beta1, imle.batch_size) == (1.0e-3, 1.0e-5, 0.5, 128)
    assert made.data == DataConfig(dataset, 28 if dataset in GREY else 64 if dataset in FACES else 32)
    assert made.data.train_images is None  # all of them


@pytest.mark.parametrize(
    ("dataset", "given", "size", "width"),
    [
        ("celeba-hq", None, 256, 64),
        ("celeba-hq", 1024, 1024, 16),
        ("made-landscapes", None, 128, 64),
        ("folder:my_photos", 512, 512, 32),
        ("celeba", 128, 128, 64),
    ],
)
def test_large_images_have_the_papers_values_for_them(dataset, given, size, width):
    """Sec. 4.3: 250 epochs, halved every 10; 100 dimensions of noise, 256 of z; no BatchNorm."""
    made = make_config(dataset, "paper", data_image_size=given)
    glo, imle = made.glo, made.imle
    assert (made.data.image_size, glo.generator, glo.resnet_channels, glo.batch_size) == (size, "resnet", width, 16)
    assert (glo.latent_dim, glo.epochs, glo.decay_every, glo.loss) == (256, 250, 10, "vgg16")
    assert (glo.latent_lr, glo.normalisation, glo.loss_copies, glo.subsampling) == (0.003, "none", None, "bilinear")
    assert (imle.noise_dim, imle.hidden_dim, imle.lr) == (100, 128, 0.003)
    quick = make_config(dataset, data_image_size=given)
    assert quick.glo.generator == "resnet" and quick.glo.epochs < 250
    assert quick.data.train_images == (240 if dataset == "made-landscapes" else 1000)
    assert (quick.glo.resnet_start, glo.resnet_start) == (32, 4)


def test_other_images_keep_their_generator():
    for dataset in (*SMALL, "folder:my_photos"):
        assert {make_config(dataset, profile).glo.generator for profile in PROFILES} == {"infogan"}
    assert make_config("made-landscapes", data_image_size=64).glo.generator == "infogan"


@pytest.mark.parametrize("dataset", SMALL)
def test_quick_trains_less(dataset):
    quick, paper = make_config(dataset), make_config(dataset, "paper")
    assert quick.profile == "quick"
    assert quick.glo.epochs < paper.glo.epochs
    assert (quick.data.train_images, quick.glo.batch_size) == (
        (2000, 64) if dataset in FACES else (5000, 64 if dataset in DIGITS else 128)
    )
    assert quick.glo.loss == f"random-vgg16{'-quarter' if dataset in DIGITS else ''}"  # needs no download
    small = dataset == "digits"  # half of the generator's width is enough there
    # Few epochs are enough with these.
    assert (quick.glo.normalisation, quick.glo.latent_lr) == ("batch", 0.03 if small else 0.01)
    assert (quick.glo.feature_channels, paper.glo.feature_channels) == (64 if small else 128, 128)
    for field in ("latent_dim", "beta1", "latent_init_std"):
        assert getattr(quick.glo, field) == getattr(paper.glo, field)
    # T learns in more and larger steps on the digits, and is wider on MNIST.
    own = {"batch_size": 128, "lr": 1.0e-3, "hidden_dim": 128} if dataset in DIGITS else {}
    assert dataclasses.replace(quick.imle, epochs=50, moments="learned", **own) == paper.imle


def test_overrides_replace_one_field_each():
    made = make_config("mnist", "paper", seed=7, glo_epochs=3, imle_lr=0.5, data_image_size=32)
    plain = make_config("mnist", "paper", seed=7)
    assert made.glo == dataclasses.replace(plain.glo, epochs=3)
    assert made.imle == dataclasses.replace(plain.imle, lr=0.5)
    assert made.data == dataclasses.replace(plain.data, image_size=32)
    assert plain.glo.seed == plain.imle.seed == 7
    assert make_config("mnist", seed=7, imle_seed=8).imle.seed == 8


@pytest.mark.parametrize(
    ("dataset", "settings", "named"),
    [
        ("mnist", {"glo_checkpointing": True}, "glo_checkpointing=True .* resnet .* infogan"),
        ("celeba", {"glo_resnet_channels": 32}, "glo_resnet_channels=32 .* resnet .* infogan"),
        ("made-landscapes", {"glo_feature_channels": 64}, "glo_feature_channels=64 .* infogan .* resnet"),
        ("made-chairs", {"glo_feature_channels": 64}, "glo_feature_channels=64 .* infogan .* voxel"),
        ("digits", {"glo_voxel_channels": 8}, "glo_voxel_channels=8 .* voxel .* infogan"),
    ],
)
def test_a_setting_of_another_generator_is_refused_for_it_would_change_nothing(dataset, settings, named):
    with pytest.raises(ValueError, match=f"{named} one: leave it out$"):
        make_config(dataset, **settings)


def test_a_setting_of_another_generator_as_it_is_anyway_passes():
    usual = make_config("mnist")
    assert make_config("mnist", glo_checkpointing=False, glo_resnet_channels=usual.glo.resnet_channels) == usual
    both = {"glo_generator": "resnet", "glo_checkpointing": True, "glo_resnet_channels": 32}
    assert make_config("celeba", **both).glo.checkpointing


def test_none_leaves_a_setting_as_it_is():
    assert make_config("mnist", glo_epochs=None, data_train_images=None) == make_config("mnist")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dataset": "imagenet"}, "imagenet"),
        ({"dataset": "folder:"}, "folder"),
        ({"profile": "fast"}, "fast"),
        ({"epochs": 3}, "epochs"),
        ({"glo_epoch": 3}, "glo_epoch"),
        ({"gan_epochs": 3}, "gan_epochs"),
        ({"glo_": 3}, "glo_"),
        ({"glo_loss": "vgg61"}, "vgg61"),
        ({"glo_normalisation": "layer"}, "layer"),
        ({"glo_optimiser": "sgd"}, "sgd"),
        ({"glo_precision": "float16"}, "float16"),
        ({"glo_generator": "unet"}, "unet"),
        ({"glo_subsampling": "bicubic"}, "bicubic"),
        ({"glo_checkpointing": "all"}, "all"),
        ({"data_enlarge": "twice"}, "twice"),
    ],
)
def test_unknown_names_are_one_line_errors(settings, named):
    with pytest.raises(ValueError, match=named) as error:
        make_config(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"data_image_size": 30},
        {"data_train_images": 0},
        {"data_test_images": -1},
        {"glo_epochs": 0},
        {"glo_epochs": 2.5},
        {"glo_epochs": "ten"},
        {"glo_batch_size": -128},
        {"glo_latent_dim": 0},
        {"glo_latent_lr": 0.0},
        {"glo_latent_lr": float("nan")},
        {"glo_generator_lr_ratio": -0.1},
        {"glo_decay": -0.5},
        {"glo_decay_every": 0},
        {"glo_beta1": 1.0},
        {"glo_latent_init_std": 0.0},
        {"glo_resnet_channels": 0},
        {"glo_loss_copies": -1},
        {"glo_loss_copies": 1.5},
        {"imle_epochs": 0},
        {"imle_noise_dim": 0},
        {"imle_noise_per_latent": 0},
        {"imle_lr": -1.0e-3},
        {"imle_weight_decay": -1.0},
        {"imle_beta1": -0.1},
    ],
    ids=lambda settings: "=".join(map(str, *settings.items())),
)
def test_values_out_of_range_are_one_line_errors(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=name.partition("_")[2]) as error:
        make_config("mnist", **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dataset", SMALL)
def test_full_trains_longer_on_all_images_by_quicks_other_settings(dataset):
    quick, full = make_config(dataset), make_config(dataset, "full")
    assert full.profile == "full" and full.data.test_images == 10_000
    assert full.data.train_images == (9000 if dataset == "celeba" else None)
    assert full.glo.epochs >= 40 and full.glo.decay_every == full.glo.epochs // 5
    assert min(full.imle.epochs, 100) == 100
    assert make_config(dataset, "full", glo_loss="vgg19").refine.epochs in (2, 4)
    own = {name: getattr(quick.glo, name) for name in ("epochs", "batch_size", "decay_every")}
    assert dataclasses.replace(full.glo, **own) == quick.glo
    assert dataclasses.replace(full.imle, epochs=quick.imle.epochs) == quick.imle


def test_full_takes_all_shapes():
    quick, full = make_config("made-chairs"), make_config("made-chairs", "full")
    assert (full.data.train_models, full.data.test_models, full.data.poses, full.data.size) == (None, None, 1, 32)
    assert (full.glo.epochs, full.glo.loss, full.imle) == (3 * quick.glo.epochs, quick.glo.loss, quick.imle)


@pytest.mark.parametrize("profile", ["quick", "full", "paper"])
def test_a_config_survives_json(profile):
    made = make_config("celeba", profile, seed=3, glo_loss="laplacian", data_train_images=100)
    assert Config.from_dict(json.loads(json.dumps(made.as_dict()))) == made


@pytest.mark.parametrize(
    "record", [DataConfig(), GLOConfig(), IMLEConfig(), make_config()], ids=lambda r: type(r).__name__
)
def test_configs_are_frozen(record):
    field = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, field, None)


def test_only_the_standard_library_is_needed():
    # -S leaves site-packages out: what is not in the standard library cannot be imported.
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from glann_lib.config import make_config; make_config('mnist')"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    code = code.replace("from glann_lib.config import make_config; make_config('mnist')", "import torch")
    assert subprocess.run([sys.executable, "-S", "-c", code], capture_output=True).returncode != 0


def test_more_epochs_in_quick_stretch_the_decay():
    assert make_config("mnist", glo_epochs=60).glo.decay_every == 12
    assert make_config("mnist", glo_epochs=60, glo_decay_every=7).glo.decay_every == 7
    assert make_config("mnist", "paper", glo_epochs=60).glo.decay_every == 50


def test_no_batch_is_larger_than_the_training_set_and_large_sets_change_nothing():
    config = make_config("mnist", glo_batch_size=64)
    assert config.for_images(1300) == config.for_images(5000) == config
    few = config.for_images(100)
    assert (few.glo.batch_size, few.imle.batch_size) == (64, 100) and few.for_images(100) == few
    paper = make_config("mnist", "paper", glo_batch_size=64)
    assert dataclasses.replace(paper.for_images(100), imle=paper.imle) == paper  # nothing else follows the data
    assert for_count(make_gan_config("wgan", 5), 9).batch_size == 9
    assert make_config("mnist").for_images(LEAST_IMAGES).imle.batch_size == LEAST_IMAGES == 2
    with pytest.raises(ValueError, match=r"^1 to train on: give 2 or more"):
        config.for_images(LEAST_IMAGES - 1)


def test_no_copies_are_a_number_of_copies():
    assert make_config("celeba-hq", glo_loss_copies=0).glo.loss_copies == 0


def test_every_size_is_named_where_another_is_asked_for():
    with pytest.raises(ValueError) as error:
        make_config("celeba", data_image_size=96)
    assert str(error.value) == "image_size is 96: choose 28, 32, 64, 128, 256, 512 or 1024 px"


@pytest.mark.parametrize("name", ["glo_batch_size", "imle_batch_size"])
def test_a_batch_of_one_image_is_refused_before_training(name):
    with pytest.raises(ValueError, match="batch_size is 1: give a whole number, 2 or more"):
        make_config("digits", **{name: 1})


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ((*DATASETS, "folder:photos", "folder:walk-to-me", "folder:cars:old", "array"), "images"),
        ((*SHAPES, "meshes:chairs.zip", "meshes:digits-to-mnist"), "shapes"),
        ((*TRANSLATIONS, "cars:my_cars", "digits-to-street-digits", "folder:a-to-folder:b"), "translations"),
        (("sedans-to-vans", "folder:walk-to-me-to-digits", "cars:digits-to-mnist"), "translations"),
    ],
)
def test_a_name_tells_what_it_stands_for(names, kind):
    assert {name: kind_of(name) for name in names} == dict.fromkeys(names, kind)


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("digits-to-street-digits", ("digits", "street-digits")),
        ("street-digits-to-digits", ("street-digits", "digits")),
        ("mnist-to-svhn", ("mnist", "svhn")),
        ("folder:a-to-folder:b", ("folder:a", "folder:b")),
        ("digits-to-folder:my_photos", ("digits", "folder:my_photos")),
        ("folder:walk-to-me-to-digits", ("folder:walk-to-me", "digits")),
        ("digits-to-folder:walk-to-me", ("digits", "folder:walk-to-me")),
        ("folder:walk-to-me-to-folder:b", ("folder:walk-to-me", "folder:b")),
    ],
)
def test_a_pair_is_two_domains_with_to_between_them(name, pair):
    assert split_pair(name) == pair


@pytest.mark.parametrize(
    "name",
    [
        "digits",
        "folder:walk-to-me",
        "digits-to-nothing",
        "nothing-to-digits",
        "digits-to-",
        "-to-digits",
        "-to-",
        "digits to mnist",
        "made-chairs-to-chairs",
        "digits-to-embedded",
        "meshes:digits-to-mnist",
        "cars:digits-to-mnist",
        "digits-to-mnist-to-svhn",
    ],
)
def test_other_names_are_no_pair(name):
    assert split_pair(name) is None


def test_every_two_domains_are_a_pair():
    for source in DOMAINS:
        for target in DOMAINS:
            assert split_pair(f"{source}-to-{target}") == (source, target)


def test_few_images_get_more_epochs_for_enough_steps_unless_epochs_were_given():
    config = make_config("folder:photos")
    few = config.for_images(45)
    assert (few.glo.epochs, few.imle.epochs) == (300, 4000) and few.for_images(45) == few
    some = config.for_images(500)  # 7 and 3 steps an epoch
    assert (some.glo.epochs, some.imle.epochs) == (43, 1334) and some.remark(500) == ""
    given = make_config("folder:photos", glo_epochs=20, imle_epochs=400).for_images(45)
    assert (given.glo.epochs, given.imle.epochs) == (20, 400)
    assert Config.from_dict(given.as_dict()).for_images(45) == given and "given" not in given.as_dict()
    for dataset, count in (("digits", 1500), ("mnist", 5000), ("celeba", 2000), ("made-chairs", 500)):
        assert make_config(dataset).for_images(count) == make_config(dataset)
    assert make_config("folder:photos", "paper").for_images(45).glo.epochs == 500


def test_what_few_images_or_steps_give_is_said_in_one_line():
    digits, few = make_config("digits"), make_config("digits", glo_epochs=32, imle_epochs=600).for_images(45)
    assert digits.remark(1500) == ""
    assert digits.remark(FEW_IMAGES - 1).startswith(f"{FEW_IMAGES - 1} training images are too few to learn what")
    assert "32 steps of glo are too few for good reconstructions (glo_epochs=300 makes 300)" in few.remark(45)
    assert "600 steps of imle are too few for good new ones (imle_epochs=4000 makes 4,000)" in few.remark(45)
    short = make_config("digits", glo_epochs=1, imle_epochs=1).remark(1500)
    assert "23 steps of glo" in short and "23 steps of imle" in short and "training images" not in short
    assert make_config("digits", glo_epochs=14).remark(1500) == "" and "\n" not in few.remark(45)
    assert "45 training shapes" in make_config("made-chairs").remark(45)


def test_a_shortened_stage_1_has_no_coarse_epochs_that_could_be_more_than_all():
    settings = GLOConfig(epochs=30, coarse_epochs=22, batch_size=8)
    short = settings.shortened(2, loss="laplacian")
    assert (short.epochs, short.coarse_epochs, short.loss, short.batch_size) == (2, 0, "laplacian", 8)
    assert settings.epochs == 30


def test_a_shortened_stage_1_halves_its_steps_as_often():
    settings = GLOConfig(epochs=100, decay_every=20)
    assert [settings.shortened(epochs).decay_every for epochs in (200, 50, 10, 2)] == [40, 10, 2, 1]


def test_codes_start_from_principal_components_where_that_was_measured_to_help():
    names = ("digits", "fashion", "celeba", "folder:photos", "mnist", "cifar10")
    assert [make_config(name).glo.latent_init for name in names] == ["pca"] * 4 + ["noise"] * 2
    for name in ("fashion", "celeba"):
        assert make_config(name, "full").glo.latent_init == "pca"
        assert make_config(name, "paper").glo.latent_init == "noise"


def test_faces_keep_adam_and_fall_along_a_cosine_but_by_the_papers_settings():
    for name in FACES:
        for profile, steps in (("quick", ("persistent", "cosine", 0.4)), ("paper", ("official", "halving", 0.1))):
            glo = make_config(name, profile).glo
            assert (glo.optimiser, glo.schedule, glo.generator_lr_ratio) == steps
    assert make_config("folder:photos", data_image_size=32).glo.optimiser == "official"


def test_the_third_stage_is_the_quick_profiles_of_digits_and_of_small_images_by_vgg19():
    small = ("fashion", "cifar10", "celeba", "folder:photos")
    for loss in ({"glo_loss": "vgg19"}, {"refine_loss": "vgg19"}):
        assert [make_config(dataset, **loss).refine.epochs for dataset in ("digits", "mnist", *small)] == [4] * 6
    assert [make_config(dataset).refine.epochs for dataset in ("digits", "mnist", *small)] == [4, 4, 0, 0, 0, 0]
    assert make_config("fashion", "full", glo_loss="vgg19").refine.epochs == 2
    assert make_config("fashion", refine_epochs=3).refine.epochs == 3  # asked for, by a random VGG16
    for dataset, profile in (("mnist", "paper"), ("made-landscapes", "quick"), ("made-chairs", "quick")):
        assert make_config(dataset, profile, glo_loss="vgg19").refine.epochs == 0
    changed = make_config("mnist", seed=3, refine_epochs=0, refine_lr=1.0e-3).refine
    assert (changed.epochs, changed.lr, changed.seed) == (0, 1.0e-3, 3)


def test_models_of_before_have_no_third_stage():
    values = make_config("mnist").as_dict()
    assert Config.from_dict(values).refine.epochs == 4
    del values["refine"]
    assert Config.from_dict(values).refine.epochs == 0
