"""Names, bounds and orientation of every score: what tables and axes say of it."""

import pytest

from glann_lib.scores.measures import METRICS, SHAPE_METRICS, TRANSLATION_METRICS, VOXELS, title
from glann_lib.translation.judges import CLASSES, DIRECTIONS


def test_only_inception_features_make_an_fid_or_a_kid():
    assert title("frechet", "inception") == "FID"
    assert title("kernel", "inception") == "KID"
    assert title("frechet", "classifier") == "Fréchet distance (classifier)"
    assert title("f1_8", "inception") == "F1/8 (inception)"


def test_shapes_are_compared_as_they_are():
    assert title("matching_chamfer", VOXELS) == "MMD (Chamfer)"


def test_titles_tell_scores_and_extractors_apart():
    titles = [title(metric, extractor) for metric in METRICS for extractor in ("inception", "classifier")]
    titles += [title(metric, VOXELS) for metric in SHAPE_METRICS]
    titles += [title(metric, CLASSES if metric == "accuracy" else DIRECTIONS) for metric in TRANSLATION_METRICS]
    assert len(set(titles)) == len(titles)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="unknown metric 'fid': choose one of frechet, kernel"):
        title("fid", "inception")


def test_every_score_says_which_way_is_better_and_between_which_bounds():
    assert {metric.better for metric in METRICS.values()} == {"lower", "higher"}
    assert {metric.better for metric in SHAPE_METRICS.values()} == {"lower", "higher", "0.5"}
    assert all(metric.low < metric.high for metric in (METRICS | SHAPE_METRICS | TRANSLATION_METRICS).values())


def test_scores_of_translations_are_named_without_their_judge():
    assert title("accuracy", CLASSES) == "Accuracy"
    assert title("azimuth_median", DIRECTIONS) == "Azimuth error, median"
    assert {name for name, metric in TRANSLATION_METRICS.items() if metric.better == "higher"} == {"accuracy"}
    degrees = {name: metric.high for name, metric in TRANSLATION_METRICS.items() if metric.unit == "degrees"}
    assert degrees == dict.fromkeys(("azimuth_median", "azimuth_mean", "aligned_median", "aligned_mean"), 180)
    assert all(metric.low == 0 and metric.protocol and metric.source for metric in TRANSLATION_METRICS.values())


def test_no_score_has_two_meanings():
    assert len(METRICS | SHAPE_METRICS | TRANSLATION_METRICS) == sum(
        map(len, (METRICS, SHAPE_METRICS, TRANSLATION_METRICS))
    )
