"""What steps take: closed forms, and facts held twice."""

import pytest
import torch

from glann_lib.companion import costs
from glann_lib.companion.costs import REFERENCE, Speed, Work
from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.losses import TargetCache, make_loss
from glann_lib.rivals import contenders as rivals
from glann_lib.scores.classifier import ClassifierConfig


def test_stage_1_grows_with_epochs_and_images():
    once = costs.glo_work(GLOConfig(epochs=10), 1280, 28)
    assert once.networks > 0 and once.rest == 0
    assert costs.glo_work(GLOConfig(epochs=20), 1280, 28) == once + once == once.times(2)
    assert costs.glo_work(GLOConfig(epochs=10), 2560, 28) == once.times(2)
    assert costs.glo_work(GLOConfig(epochs=10), 1280 + 127, 28) == once  # the last batch is left out
    assert costs.glo_work(GLOConfig(epochs=10, loss="laplacian"), 1280, 28).networks < once.networks / 2


def test_features_that_do_not_fit_are_made_again():
    few, many = (costs.glo_work(GLOConfig(epochs=1), count, 64).networks / count for count in (1280, 2560))
    assert many == pytest.approx(few * costs.UNCACHED)


def test_stage_2_searches_pairs_and_takes_steps():
    once, twice = (costs.imle_work(IMLEConfig(epochs=10), count) for count in (1280, 2560))
    assert twice.networks == pytest.approx(4 * once.networks) and twice.rest == pytest.approx(2 * once.rest)
    assert costs.imle_work(IMLEConfig(epochs=20), 1280).rest == pytest.approx(2 * once.rest)
    wide = costs.imle_work(IMLEConfig(epochs=10, hidden_dim=256), 1280)
    assert once.rest < wide.rest < 2 * once.rest and wide.networks == once.networks


def test_voxels_grow_with_width_and_with_the_cube_of_the_side():
    once = costs.voxel_work(GLOConfig(epochs=1, voxel_channels=64, batch_size=32), 320, 32)
    assert once.networks == pytest.approx(10 * 0.052, rel=0.2)
    assert costs.voxel_work(GLOConfig(epochs=1, voxel_channels=128, batch_size=32), 320, 64) == once.times(16)


def test_a_classifier_takes_epochs_and_never_too_few_steps():
    few, least, many = (costs.classifier_work(count, 200).networks for count in (10, 1600, 3200))
    assert few == least == many / 2


def test_rivals_add_up():
    one, two = costs.rival_work(["vae"], 10), costs.rival_work(["vae", "began"], 10)
    assert two.networks == pytest.approx((one + costs.rival_work(["began"], 10)).networks)
    assert costs.rival_work(["vae"], 20) == one.times(2)


def test_a_speed_stretches_each_part_by_its_own():
    work = Work(networks=10, rest=3)
    assert costs.seconds(work, REFERENCE) == 13
    assert costs.seconds(work, Speed(2, 1, "")) == 23 and costs.seconds(work, Speed(0.1, 4, "")) == 13


def test_facts_of_other_modules_are_the_same_here():
    assert set(costs.RIVALS) == set(rivals.RIVALS)
    classifier = ClassifierConfig()
    assert (classifier.epochs, classifier.batch_size) == (costs.CLASSIFIER_EPOCHS, costs.CLASSIFIER_BATCH)


@pytest.mark.parametrize("size", costs.FEATURES)
def test_the_size_of_the_cache_is_the_librarys(size):
    loss = make_loss("random-vgg16", size, torch.bfloat16)
    needed = TargetCache.size(loss, torch.zeros(1, 3, size, size, dtype=torch.uint8), torch.device("cpu"))
    assert needed / 1024 == pytest.approx(costs.FEATURES[size], rel=0.05)
