"""The quoted numbers against the paper's own text, and against one another."""

import re
from pathlib import Path

import pytest

from glann_lib.scores import reported

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
PAPER, SPEC = SHARED / "paper" / "glann-cvpr2019.txt", SHARED / "SPEC.md"
needs_paper = pytest.mark.skipif(not PAPER.is_file(), reason="needs the paper's text in ../shared")
needs_spec = pytest.mark.skipif(not SPEC.is_file(), reason="needs SPEC.md in ../shared")


@pytest.fixture(scope="module")
def text():
    """The paper's text in one line, words divided at a line's end joined again."""
    return " ".join(re.sub(r"-\n", "", PAPER.read_text(encoding="utf-8")).split())


def values(model, metric):
    return [reported.reported(dataset, model, metric).value for dataset in reported.DATASETS]


def of_table_1():
    return [number for number in reported.NUMBERS if number.place.startswith("Table 1")]


def test_table_1_has_eight_models_on_four_data_sets():
    cells = of_table_1()
    assert len(cells) == 32 and all(number.metric == "fid" and number.spread > 0 for number in cells)
    assert len({number.model for number in cells}) == 8 and {number.dataset for number in cells} == {*reported.DATASETS}


def test_no_number_stands_twice():
    keys = [(number.dataset, number.model, number.metric) for number in reported.NUMBERS]
    assert len(keys) == len(set(keys)) == 32 + 8 + 16 + 3


def test_every_number_has_a_known_model_and_a_place():
    assert {number.model for number in reported.NUMBERS} == reported.LABELS.keys()
    assert all(number.place.startswith(("Table 1", "Sec. 4")) for number in reported.NUMBERS)
    assert set(reported.ADVERSARIAL) < reported.LABELS.keys()


def test_a_number_is_looked_up_with_its_spread():
    number = reported.reported("cifar10", "lsgan", "fid")
    assert (number.value, number.spread) == (87.1, 47.5) and "Lucic" in number.place
    assert reported.reported("celeba", "vae-perceptual", "fid").spread is None


@pytest.mark.parametrize("key", [("digits", "glann", "fid"), ("mnist", "wgan-gp", "fid"), ("mnist", "wgan", "f8")])
def test_what_the_paper_does_not_report_is_none(key):
    assert reported.reported(*key) is None


def test_the_orientation_is_that_of_the_papers_claims():
    for dataset in reported.DATASETS:
        fid = {model: reported.reported(dataset, model, "fid").value for model in reported.LABELS}
        assert fid["glann"] < min(fid["glo"], fid["vae"], fid["vae-perceptual"])  # "always outperforms VAE and GLO"
        for metric in ("f8", "f1_8"):
            glann, glo = (reported.reported(dataset, model, metric).value for model in ("glann", "glo"))
            assert 0 < glo < glann < 1  # "GLO ... much worse"
        if dataset in ("fashion", "cifar10"):
            assert fid["glann"] < min(fid[model] for model in reported.ADVERSARIAL)  # "outperforms all baselines"


def test_epochs_of_the_paper_and_of_the_protocol():
    assert [reported.reported_epochs(dataset, "ns-gan") for dataset in reported.DATASETS] == [20, 20, 100, 40]
    assert reported.reported_epochs("mnist", "vae") == 20
    assert {reported.reported_epochs(d, m) for d in reported.DATASETS for m in ("glo", "glann")} == {500}
    for dataset, model in (("digits", "glann"), ("mnist", "wgan-gp"), ("mnist", "vae-perceptual")):
        assert reported.reported_epochs(dataset, model) is None


@needs_paper
def test_table_1_is_that_of_the_paper(text):
    table = text[text.index("Table 1. Quality") : text.index("the similarity of the distributions of real")]
    pairs = [(float(value), float(spread)) for value, spread in re.findall(r"(\d+\.\d) ± (\d+\.\d)", table)]
    columns = ["mm-gan", "ns-gan", "lsgan", "wgan", "began", "vae", "glo", "glann"]
    heads = re.search(r"MM GAN.*?Ours", table).group()
    assert heads == "MM GAN NS GAN LSGAN WGAN BEGAN VAE GLO Ours" and len(pairs) == 32
    keys = [(dataset, model) for model in columns for dataset in reported.DATASETS]
    for (dataset, model), pair in zip(keys, pairs, strict=True):
        number = reported.reported(dataset, model, "fid")
        assert (number.value, number.spread) == pair, number


@needs_paper
@pytest.mark.parametrize(("start", "model"), [("We obtained:", "vae-perceptual"), ("scores were:", "glann-places365")])
def test_fids_in_the_text(text, start, model):
    found = re.search(rf"{start} MNIST (\S+) Fashion (\S+) Cifar10 (\S+) CelebA ([\d.]+\d)", text)
    assert [float(value) for value in found.groups()] == values(model, "fid")


@needs_paper
def test_precision_and_recall_in_the_text(text):
    part = text[text.index("Our numerical (F8") : text.index("From Fig. 2 we can observe")]
    pairs = [(float(a), float(b)) for a, b in re.findall(r"\((0\.\d{3}), (0\.\d{3})\)", part)]
    expected = [*zip(values("glann", "f8"), values("glann", "f1_8"), strict=True)]
    expected += zip(values("glo", "f8"), values("glo", "f1_8"), strict=True)
    assert pairs == expected
    assert ") are used for capturing (recall, precision)" in text  # so the first of a pair is the recall


@needs_paper
def test_epochs_and_translation_scores_in_the_text(text):
    assert f"{reported.GLO_EPOCHS} epochs were used for GLO training" in text
    assert f"{reported.IMLE_EPOCHS} epochs were used for mapping network training" in text
    found = re.search(r"achieved scores of ([\d.]+)%, ([\d.]+)% and ([\d.]+) on the three tasks", text)
    keys = [("mnist->svhn", "accuracy"), ("svhn->mnist", "accuracy"), ("car->car", "azimuth-error")]
    assert [float(v) for v in found.groups()] == [reported.reported(d, "glann", m).value for d, m in keys]


@needs_spec
def test_epochs_of_the_protocol_elsewhere():
    found = re.search(r"(\d+) epochs MNIST/Fashion, (\d+) CIFAR, (\d+) CelebA", SPEC.read_text(encoding="utf-8"))
    grey, cifar, faces = map(int, found.groups())
    assert {"mnist": grey, "fashion": grey, "cifar10": cifar, "celeba": faces} == reported.PROTOCOL_EPOCHS
