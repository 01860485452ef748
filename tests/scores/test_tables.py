"""What stands in the cells of the score tables, in which order, and what is never written there."""

import numpy as np
import pytest

from glann_lib.records import runs
from glann_lib.records import tables as report_tables
from glann_lib.scores import measures
from glann_lib.scores import tables as score_tables

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def score(extractor, metric, value):
    return {"extractor": extractor, "metric": metric, "value": value, "standard_error": None}


def record(model, label, kind="adversarial", seed=0, budget="equal", scores=(), **fields):
    trained = {"generator_steps": 1170, "epochs": 15.0, "seconds": 80.25, "train_images": 5000}
    base = {"model": model, "label": label, "kind": kind, "seed": seed, "budget": budget}
    return base | trained | {"generated": 10000, "real": 10000, "scores": [score(*s) for s in scores]} | fields


def floor(model, label, *scores):
    nothing = {"generator_steps": None, "epochs": None, "seconds": None, "train_images": None}
    return record(model, label, "floor", budget="none", scores=scores, **nothing)


@pytest.fixture
def records():
    return [
        floor("real-training-images", "real training images", ("classifier", "frechet", 0.5)),
        record("glann", "GLANN", "non-adversarial", 1, scores=[("classifier", "frechet", 4.0)]),
        record("glann", "GLANN", "non-adversarial", 0, scores=[("classifier", "frechet", 3.0)], seconds=100.0),
        record("dragan", "DRAGAN", scores=[("classifier", "frechet", 12.25)]),
        record("ns-gan", "NS-GAN", budget="protocol", scores=[("classifier", "frechet", 6.5)], epochs=20.0),
        record("ns-gan", "NS-GAN", scores=[("classifier", "frechet", 300.04)], seconds=9.5),
        record("imle-pixel", "IMLE on pixels", "non-adversarial", scores=[("random-vgg16", "frechet", 0.0123)]),
        record("glann-refined-vgg19", "GLANN, stage 3, VGG19", "non-adversarial"),
        record("glann-refined", "GLANN, stage 3", "non-adversarial"),
        record("glann-vgg19", "GLANN, VGG19", "non-adversarial"),
        record("tomorrow", "a model of tomorrow", "non-adversarial"),
    ]


def row(table, label, budget="equal"):
    found = table[(table["model"] == label) & (table["budget"] == budget)]
    assert len(found) == 1
    return found.iloc[0]


def test_rows_stand_in_the_papers_order(records):
    table = score_tables.quality_table(records, "mnist")
    assert list(zip(table["model"], table["budget"], strict=True)) == [
        ("MM-GAN", DASH),
        ("NS-GAN", "equal"),
        ("NS-GAN", "protocol"),
        ("LSGAN", DASH),
        ("WGAN", DASH),
        ("DRAGAN", "equal"),
        ("BEGAN", DASH),
        ("VAE, Bernoulli", DASH),
        ("VAE, perceptual", DASH),
        ("IMLE on pixels", "equal"),
        ("GLO, perceptual", DASH),
        ("a model of tomorrow", "equal"),
        ("GLANN", "equal"),
        ("GLANN, VGG19", "equal"),
        ("GLANN, stage 3", "equal"),
        ("GLANN, stage 3, VGG19", "equal"),
        ("GLANN, Places365", DASH),
        ("real training images", DASH),
    ]


def test_reported_numbers_stand_in_the_quoted_column_only(records):
    table = score_tables.quality_table(records, "cifar10")
    assert list(table.columns) == [
        "model",
        "budget",
        "reported FID (quoted)",
        "FID",
        "difference",
        "Fréchet distance (classifier)",
        "Fréchet distance (random-VGG16)",
        "seeds",
        "epochs",
        "generator steps",
        "seconds",
    ]
    quoted = table.set_index("model")["reported FID (quoted)"]
    assert quoted["GLANN"] == "46.5 ± 0.2" and quoted["LSGAN"] == "87.1 ± 47.5" and quoted["DRAGAN"] == DASH
    assert quoted["VAE, perceptual"] == "86.0" and list(quoted["NS-GAN"]) == ["58.5 ± 1.9"] * 2
    assert (row(table, "WGAN", DASH).iloc[3:] == DASH).all()  # known from the paper alone


def test_without_inception_scores_nothing_is_called_fid(records):
    table = score_tables.quality_table(records, "mnist")
    assert (table["FID"] == DASH).all() and (table["difference"] == DASH).all()
    note = score_tables.quality_note(records, "mnist")
    assert "weights of the Inception network were not at hand" in note and "no FID" in note and "ddof=1" in note
    assert "† quoted from the paper, not measured here" in note and "500 epochs" in note and "after 20." in note


def test_means_and_deviations_over_seeds(records):
    table = score_tables.quality_table(records, "mnist")
    distance = "Fréchet distance (classifier)"
    assert row(table, "GLANN")[distance] == f"3.50 ± {np.std([3, 4], ddof=1):.2f}" == "3.50 ± 0.71"
    assert (row(table, "GLANN")["seeds"], row(table, "DRAGAN")["seeds"]) == ("2", "1")
    assert row(table, "NS-GAN")[distance] == "300.04" and row(table, "NS-GAN", "protocol")[distance] == "6.50"
    assert row(table, "GLANN")["seconds"] == "90.1" and row(table, "NS-GAN")["seconds"] == "9.5"
    assert row(table, "IMLE on pixels")["Fréchet distance (random-VGG16)"] == "0.0123"
    assert (row(table, "NS-GAN", "protocol")["epochs"], row(table, "GLANN")["epochs"]) == ("20", "15")
    assert row(table, "GLANN")["generator steps"] == "1170"
    assert list(row(table, "real training images", DASH).iloc[-3:]) == [DASH] * 3


def test_inception_scores_give_fid_and_its_difference(records):
    records.append(
        record("vae", "VAE, Bernoulli", "non-adversarial", scores=[("inception", "frechet", 21.04)], real=1000)
    )
    for seed, value in ((2, 9.0), (3, 9.5)):
        scores = [("inception", "frechet", value), ("classifier", "frechet", 3.5)]
        records.append(record("glann", "GLANN", "non-adversarial", seed, scores=scores))
    records.append(record("wgan-gp", "WGAN-GP", scores=[("inception", "frechet", 7.0)]))
    table = score_tables.quality_table(records, "mnist")
    assert (row(table, "VAE, Bernoulli")["FID"], row(table, "VAE, Bernoulli")["difference"]) == ("21.0", f"{MINUS}2.8")
    assert (row(table, "GLANN")["FID"], row(table, "GLANN")["difference"]) == ("9.2 ± 0.4", "+0.7")
    assert (row(table, "WGAN-GP")["FID"], row(table, "WGAN-GP")["difference"]) == ("7.0", DASH)
    note = score_tables.quality_note(records, "mnist")
    assert "not at hand" not in note and "10,000 generated and 1,000 real images" in note


def test_a_data_set_without_reported_numbers(records):
    table = score_tables.quality_table(records, "digits")
    assert len(table) == 10
    assert not {"reported FID (quoted)", "FID", "difference"} & set(table), "there is nothing to stand there"
    assert not any("quoted" in head for head in score_tables.prd_table(records, "digits"))
    assert score_tables.quality_note(records, "digits").startswith("The paper has no numbers for this data set.")
    assert list(score_tables.quality_table([], "mnist")["budget"]) == [DASH] * 10
    assert score_tables.quality_table([], "digits").empty


def test_two_records_of_one_seed_are_refused(records):
    with pytest.raises(ValueError, match="two records of dragan, budget equal, have one seed"):
        score_tables.quality_table([*records, record("dragan", "DRAGAN")], "mnist")


@pytest.mark.parametrize(
    ("column", "spread", "shown"),
    [
        ([[46.52], [8.61], []], True, ["46.5", "8.6", DASH]),
        ([[300.2], [3.14]], False, ["300.2", "3.1"]),
        ([[0.97123], [0.5]], False, ["0.971", "0.500"]),
        ([[0.00312], [0.25]], False, ["0.0031", "0.2500"]),
        ([[1, 2], [4]], False, ["1.50", "4.00"]),
        ([[15.0], [20.0, 20.0]], False, ["15", "20"]),
        ([[8.0, 9.0], [8.0]], True, ["8.50 ± 0.71", "8.00"]),
        ([[100.0, 100.08]], True, ["100.04 ± 0.06"]),
        ([[2.0, 2.0]], True, ["2.00 ± 0.00"]),
        ([[-1.25], [0.0]], False, [f"{MINUS}1.25", "0.00"]),
        ([[0.0]], True, ["0"]),
        ([[1.0e-9], [1.5]], False, ["0.00000", "1.50000"]),
        ([[float("nan")], [1.5]], False, ["nan", "1.50"]),
        ([], False, []),
    ],
)
def test_numbers_of_a_column_have_the_same_decimals(column, spread, shown):
    assert score_tables.column_text(column, spread) == shown


def test_all_scores_of_one_extractor_with_arrows(records):
    scores = [("classifier", "frechet", 7.0), ("classifier", "f1_8", 0.9), ("inception", "support", 12.0)]
    records += [record("began", "BEGAN", seed=seed, scores=scores) for seed in (0, 1)]
    table = score_tables.all_scores_table(records, "classifier")
    assert list(table.columns) == ["model", "budget", "Fréchet distance ↓", "F1/8 (precision) ↑"]
    assert list(table["model"]) == ["NS-GAN", "NS-GAN", "DRAGAN", "BEGAN", "GLANN", "real training images"]
    assert row(table, "BEGAN")["F1/8 (precision) ↑"] == "0.900 ± 0.000" and row(table, "GLANN").iloc[3] == DASH
    assert "FID ↓" not in table and "support size ↑" not in table


def test_only_inception_scores_are_called_fid_and_kid():
    scores = [("inception", "kernel", 0.002), ("inception", "frechet", 8.0)]
    table = score_tables.all_scores_table([record("began", "BEGAN", scores=scores)], "inception")
    assert list(table.columns) == ["model", "budget", "FID ↓", "KID ↓"]
    assert score_tables.all_scores_table([], "inception").empty


def test_every_metric_has_a_head_with_an_arrow():
    scores = [(extractor, key, 0.5) for extractor in ("inception", "classifier") for key in measures.METRICS]
    for extractor in ("inception", "classifier"):
        table = score_tables.all_scores_table([record("began", "BEGAN", scores=scores)], extractor)
        for head, metric in zip(table.columns[2:], measures.METRICS.values(), strict=True):
            assert head.endswith("↓" if metric.better == "lower" else "↑") and extractor not in head


def test_precision_and_recall_beside_the_reported_pairs(records):
    records.append(
        record(
            "glo", "GLO, perceptual", "non-adversarial", scores=[("inception", "f8", 0.84), ("inception", "f1_8", 0.6)]
        )
    )
    records.append(record("wgan", "WGAN", scores=[("classifier", "f8", 0.951), ("classifier", "f1_8", 0.9)]))
    table = score_tables.prd_table(records, "fashion")
    assert list(table.columns[2:]) == [
        "reported F8 (quoted)",
        "reported F1/8 (quoted)",
        "F8 (Inception)",
        "F1/8 (Inception)",
        "F8 (classifier)",
        "F1/8 (classifier)",
    ]
    assert list(row(table, "GLO, perceptual").iloc[2:]) == ["0.888", "0.594", "0.840", "0.600", DASH, DASH]
    assert list(row(table, "GLANN").iloc[2:4]) == ["0.985", "0.963"]
    assert list(row(table, "WGAN").iloc[2:]) == [DASH, DASH, DASH, DASH, "0.951", "0.900"]
    assert len(table[table["model"] == "LSGAN"]) == 0  # the paper gives no pair for it
    alone = score_tables.prd_table([], "celeba")
    assert list(alone["model"]) == ["GLO, perceptual", "GLANN"] and list(alone["reported F8 (quoted)"]) == [
        "0.509",
        "0.574",
    ]


def test_what_each_model_got(records):
    records[3]["batch_size"] = 64
    table = score_tables.budgets_table(records, "mnist")
    assert "real training images" not in set(table["model"])
    assert list(row(table, "DRAGAN")) == ["DRAGAN", "equal", "5000", "15", DASH, "64", "1170", "80.2"]
    assert row(table, "GLANN")["epochs in the paper (quoted)"] == "500"
    assert row(table, "NS-GAN", "protocol")["epochs in the paper (quoted)"] == "20"
    assert not any(map(report_tables.is_quoted, score_tables.budgets_table(records)))


def test_quoted_columns_look_different_in_a_notebook(records):
    records[3]["label"] = "<b>DRAGAN"
    table = score_tables.quality_table(records, "mnist")
    page = score_tables.styled(table).to_html()
    assert 'class="tex2jax_ignore"' in page  # a page sets no name as a formula
    assert "8.6 ± 0.1†" in page and page.count("font-style: italic") == 1 and "color: #777777" in page
    assert f"<caption>{report_tables.QUOTED_NOTE}</caption>" in page and "&lt;b&gt;DRAGAN" in page
    assert page.count("†") == 12  # eleven quoted numbers (NS-GAN's twice) and the line that explains them
    assert "†" not in score_tables.styled(table[["model", "FID"]]).to_html()


def test_saved_tables_set_quoted_cells_apart(records, tmp_path):
    path = runs.save_table(score_tables.quality_table(records, "mnist"), tmp_path / "05_quality", {})
    latex, markdown = (path.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".tex", ".md"))
    assert "*8.6 ± 0.1*†" in markdown and " 3.50 ± 0.71 |" in markdown and "*3.50" not in markdown
    assert r"\textit{8.6 $\pm$ 0.1}\dag{} & -- & -- & 3.50 $\pm$ 0.71 & -- & 2 & 15 & 1170" in latex
    assert "Fréchet distance (random-VGG16)" in latex and {sign for sign in latex if not sign.isascii()} == {"é"}


def test_short_budgets_are_told(records):
    assert "Budget short" not in score_tables.quality_note(records, "digits")
    records.append(record("lsgan", "LSGAN", budget="short"))
    assert "Budget short: fewer generator steps than GLANN's" in score_tables.quality_note(records, "digits")


def test_a_support_size_that_is_only_bounded_says_so(records):
    records[3]["scores"] += [score("classifier", "support", 166_500.4) | {"lower_bound": True}]
    records[1]["scores"] += [score("classifier", "support", 10_000.0) | {"lower_bound": False}]
    records[2]["scores"] += [score("classifier", "support", 11_000.0) | {"lower_bound": False}]
    table = score_tables.all_scores_table(records, "classifier")
    sizes = table.set_index("model")["Support size ↑"]
    assert (sizes["DRAGAN"], sizes["GLANN"], sizes["NS-GAN"].tolist()) == ("> 166,500", "10,500", [DASH, DASH])
