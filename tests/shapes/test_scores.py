"""Held-out shapes as a ScoreBook's judge: the scores of shape_metrics, whatever form the samples have."""

import pytest
import torch

from glann_lib.scores.evaluate import ScoreBook, read_records, read_samples
from glann_lib.scores.measures import SHAPE_METRICS, VOXELS
from glann_lib.scores.tables import all_scores_table
from glann_lib.shapes.metrics import score_shapes
from glann_lib.shapes.scores import ShapeReference, to_draw


def blocks(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    voxels = torch.zeros(count, 16, 16, 16, dtype=torch.bool)
    for shape, (x, y, z) in zip(voxels, torch.randint(4, 14, (count, 3), generator=random).tolist(), strict=True):
        shape[2:x, 2:y, 2:z] = True
    return voxels


def test_scores_are_those_of_the_voxels():
    generated, real = blocks(6, 1), blocks(8)
    record = ShapeReference.of(real).score(generated)
    assert (record["generated"], record["real"]) == (6, 8)
    assert {row["metric"]: row["value"] for row in record["scores"]} == score_shapes(generated, real)
    assert {row["extractor"] for row in record["scores"]} == {VOXELS}
    assert [row["metric"] for row in record["scores"]] == list(SHAPE_METRICS)


def test_more_shapes_than_are_held_out_are_scored_in_sets_of_as_many():
    generated, real = blocks(20, 1), blocks(8)
    record = ShapeReference.of(real).score(generated)
    assert (record["generated"], record["real"], record["sets"]) == (16, 8, 2)
    first, second = (score_shapes(part, real) for part in generated[:16].split(8))
    for row in record["scores"]:
        a, b = first[row["metric"]], second[row["metric"]]
        assert abs(row["value"] - (a + b) / 2) < 1e-12 and abs(row["standard_error"] - abs(a - b) / 2) < 1e-12
    assert ShapeReference.of(real).score(generated[:8])["scores"][0]["standard_error"] is None


@pytest.mark.parametrize(("held_out", "count"), [(1, 450), (88, 440), (100, 400), (200, 400), (1000, 1000)])
def test_few_held_out_shapes_are_compared_with_several_sets(held_out, count):
    assert to_draw(held_out) == count


def test_fields_are_solid_from_one_half_on():
    generated, judge = blocks(6, 1), ShapeReference.of(blocks(8))
    fields = generated.to(torch.uint8) * 128 + ~generated * 127
    assert judge.score(fields) == judge.score(generated)


def test_equal_shapes_have_equal_digests():
    assert ShapeReference.of(blocks(8)).digest == ShapeReference.of(blocks(8)).digest
    assert ShapeReference.of(blocks(8)).digest != ShapeReference.of(blocks(8, 1)).digest


def test_a_score_book_keeps_shapes_and_tables_read_them(tmp_path):
    judge = ShapeReference.of(blocks(8))
    book = ScoreBook(tmp_path, judge, {"data": "made"})
    for seed in (0, 1):
        facts = {"model": "glann", "label": "GLANN", "kind": "non-adversarial", "budget": "own", "seed": seed}
        book.add(facts, {}, lambda seed=seed: (blocks(6, seed + 1).to(torch.uint8) * 255, {}))
    first, second = read_records(tmp_path, judge.digest)
    assert read_samples(tmp_path, second).shape == (6, 16, 16, 16)
    table = all_scores_table([first, second], VOXELS)
    heads = [
        f"{metric.name} {'→ 0.5' if metric.better == '0.5' else '↓↑'[metric.better == 'higher']}"
        for metric in SHAPE_METRICS.values()
    ]
    assert list(table)[2:] == heads and "±" in table.loc[0, "MMD (Chamfer) ↓"]
