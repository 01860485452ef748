"""Scores of images, the records they are kept in, and when a model is not scored again."""

import dataclasses
import json

import pytest
import torch

from glann_lib.scores import evaluate, measures, metrics, precision_recall
from glann_lib.scores.evaluate import Reference, ScoreBook, caution, read_records, read_samples
from glann_lib.scores.features import ScoreExtractor


def pictures(count, seed, bright=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(bright, 200 + bright, (count, 1, 28, 28), generator=random, dtype=torch.uint8)


def columns(images):
    """Six features an image: the mean of each of six groups of columns."""
    return torch.stack([part.float().mean((1, 2, 3)) for part in images.tensor_split(6, dim=3)], 1)


@pytest.fixture(scope="module")
def extractors():
    double = ScoreExtractor("inception", "d", {}, lambda images: 2 * columns(images))
    return [ScoreExtractor("classifier", "c", {}, columns), double]


@pytest.fixture(scope="module")
def reference(extractors):
    return Reference.of(pictures(60, 0), extractors)


def test_every_metric_of_every_extractor_is_scored(reference):
    images = pictures(90, 1, bright=9)
    record = reference.score(images, seed=3)
    assert {(row["extractor"], row["metric"]) for row in record["scores"]} == {
        (name, metric) for name in ("classifier", "inception") for metric in measures.METRICS
    }
    value = {(row["extractor"], row["metric"]): row["value"] for row in record["scores"]}
    features, real = columns(images).numpy(), columns(pictures(60, 0)).numpy()
    assert value["classifier", "frechet"] == pytest.approx(metrics.frechet_distance(features, real))
    assert value["inception", "frechet"] == pytest.approx(4 * value["classifier", "frechet"], rel=1e-4)
    assert value["classifier", "coverage"] == precision_recall.density_coverage(features, real)["coverage"]
    kernel = next(row for row in record["scores"] if row["metric"] == "kernel")
    assert kernel["standard_error"] == pytest.approx(metrics.kernel_distance(features, real).standard_error)
    assert (record["generated"], record["real"], record["prd_images"]) == (90, 60, 60)
    json.dumps(record, allow_nan=False)


def test_generated_and_real_are_not_mixed_up(extractors):
    """Samples of one kind only: real-looking, but most of what is real is missing."""
    kinds = [pictures(40, kind, bright=12 * kind) for kind in range(5)]
    reference = Reference.of(torch.cat(kinds), extractors[:1])
    few = reference.score(torch.cat([pictures(100, 9, bright=24), pictures(100, 8, bright=24)]))["scores"]
    value = {row["metric"]: row["value"] for row in few}
    assert value["f8"] < value["f1_8"] and value["recall"] < value["precision"] and value["coverage"] < 0.7


def test_curves_are_kept_short_and_by_count(reference, monkeypatch):
    monkeypatch.setattr(evaluate, "COUNTS", (10, 30, 500))
    images = pictures(60, 1)
    record = reference.score(images)
    curve, by_count = record["prd"]["classifier"], record["by_count"]["classifier"]
    assert len(curve["precision"]) == len(curve["recall"]) == 101
    assert max(curve["precision"]) <= 1 and curve["precision"][0] < curve["precision"][-1]
    assert by_count["counts"] == [10, 30, 60]
    whole = next(row["value"] for row in record["scores"] if row["metric"] == "frechet")
    assert by_count["frechet"][-1] == pytest.approx(whole) and by_count["frechet"][0] > whole


def test_distances_by_count_do_not_depend_on_the_images_order(reference):
    images = pictures(60, 1)
    images = images[columns(images)[:, 0].argsort()]  # the first ones are the dark ones
    first = reference.score(images)["by_count"]["classifier"]["frechet"]
    sorted_first = metrics.frechet_distance(columns(images[:30]).numpy(), columns(pictures(60, 0)).numpy())
    assert first[0] < sorted_first


FACTS = {"model": "ns-gan", "label": "NS-GAN", "kind": "adversarial", "budget": "equal", "seed": 4}


def book_in(folder, reference):
    return ScoreBook(folder, reference, {"commit": "abc"})


def test_a_model_is_made_and_scored_once(tmp_path, reference):
    made = []

    def make():
        made.append(1)
        return pictures(120, 1), {"seconds": 1.5}

    record = book_in(tmp_path, reference).add(FACTS, {"lr": 1}, make)
    assert record["seconds"] == 1.5 and record["model"] == "ns-gan" and record["provenance"] == {"commit": "abc"}
    assert book_in(tmp_path, reference).add(FACTS, {"lr": 1}, make) == record and len(made) == 1
    assert read_records(tmp_path) == [record]
    assert torch.equal(read_samples(tmp_path, record), pictures(120, 1)[:100])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ns-gan-equal-seed4.json",
        "ns-gan-equal-seed4.safetensors",
    ]


def test_other_settings_and_other_references_are_scored_anew(tmp_path, reference, extractors):
    made = []

    def make():
        made.append(1)
        return pictures(60, len(made)), {}

    book_in(tmp_path, reference).add(FACTS, {"lr": 1}, make)
    book_in(tmp_path, reference).add(FACTS, {"lr": 2}, make)
    for other in (Reference.of(pictures(60, 5), extractors), Reference.of(pictures(60, 0), extractors[:1])):
        assert read_records(tmp_path, other.digest) == []
        book_in(tmp_path, other).add(FACTS, {"lr": 2}, make)
        assert len(read_records(tmp_path, other.digest)) == 1
    assert len(made) == 4 and len(read_records(tmp_path)) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe"])
def test_a_damaged_record_is_made_again(tmp_path, reference, damage):
    book = book_in(tmp_path, reference)
    record = book.add(FACTS, {}, lambda: (pictures(60, 1), {}))
    (tmp_path / "ns-gan-equal-seed4.json").write_bytes(damage)
    assert read_records(tmp_path) == []
    assert book.add(FACTS, {}, lambda: (pictures(60, 1), {})) == record


def test_a_model_that_fails_leaves_nothing_behind(tmp_path, reference):
    with pytest.raises(FloatingPointError):
        book_in(tmp_path, reference).add(FACTS, {}, fail)
    assert not list(tmp_path.iterdir())


def fail():
    raise FloatingPointError("ns-gan: not finite in epoch 1")


@pytest.mark.parametrize(
    ("count", "measured"), [(1, set()), (2, {"frechet", "kernel", "support"}), (9, {"frechet", "kernel", "support"})]
)
@pytest.mark.parametrize("side", ["held out", "generated"])
def test_few_images_leave_out_what_they_cannot_measure(extractors, count, measured, side):
    counts = (count, 60) if side == "held out" else (60, count)
    record = Reference.of(pictures(counts[0], 0), extractors).score(pictures(counts[1], 1))
    assert {row["metric"] for row in record["scores"]} == measured and record["prd"] == {}
    assert (record["real"], record["generated"], record["prd_images"]) == (*counts, count)
    json.dumps(record, allow_nan=False)  # a number where there is one
    assert "nothing can be measured" in caution(count) if count < 2 else "PRD" in caution(count)


def test_ten_images_are_enough_for_every_measure(extractors):
    record = Reference.of(pictures(10, 0), extractors).score(pictures(10, 1))
    assert {row["metric"] for row in record["scores"]} == set(measures.METRICS)
    assert "few" in caution(99) and "PRD" not in caution(10) and caution(100) == ""


def test_metrics_get_features_on_the_extractors_device(extractors, monkeypatch):
    reference, seen = Reference.of(pictures(60, 0), extractors[:1]), []
    for name in ("frechet_distance", "kernel_distance", "prd_curve", "density_coverage", "improved_precision_recall"):
        function = getattr(evaluate, name)
        watched = lambda a, b, *rest, f=function, **more: seen.append((a, b)) or f(a, b, *rest, **more)  # noqa: E731
        monkeypatch.setattr(evaluate, name, watched)
    reference.score(pictures(60, 1))
    assert len(seen) == 5 and all(isinstance(rows, torch.Tensor) for pair in seen for rows in pair)


def test_a_reference_may_hold_arrays(extractors, reference):
    arrays = tuple(rows.numpy() for rows in reference.features)
    images = pictures(60, 1)
    assert Reference(tuple(extractors), arrays, "").score(images) == reference.score(images)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_scores_on_a_gpu_are_the_processors(extractors):
    on_gpu = [dataclasses.replace(extractor, device=torch.device("cuda")) for extractor in extractors]
    records = []
    for some in (extractors, on_gpu):
        reference = Reference.of(pictures(300, 0), some)
        assert all(rows.device.type == some[0].device.type for rows in reference.features)
        records.append(reference.score(pictures(400, 1, bright=9), seed=3))
    for expected, found in zip(*(record["scores"] for record in records), strict=True):
        near = {"abs": 0.1} if expected["metric"] in ("f8", "f1_8") else {"rel": 1e-6}  # PRD has clusters of its own
        assert found["value"] == pytest.approx(expected["value"], **near), expected["metric"]
    json.dumps(records[1], allow_nan=False)
