"""Plans: which notebooks run on which data with which parameters, and how --list and --dry-run show it."""

from pathlib import Path

import pytest
from made_files import write_files

from glann_lib.companion import arguments, plans
from glann_lib.companion.plans import Times

ROOT = Path(__file__).resolve().parents[2]
CHOOSE_SHAPES = "--dataset made-chairs, chairs or meshes:PATH"
CHOOSE_IMAGES = "--dataset digits, mnist, fashion, cifar10, svhn, svhn-crops, celeba or folder:PATH"
CHOOSE_PAIRS = (
    "--dataset embedded, mnist-street, mnist-svhn, mnist-svhn-crops, car-to-car, cars:PATH or SOURCE-to-TARGET"
)


@pytest.fixture(autouse=True)
def results_lie_in_their_usual_place(monkeypatch):
    monkeypatch.delenv("GLANN_RESULTS", raising=False)


def printed(argv, notebooks):
    """What a command line prints."""
    return arguments.make_plan(argv, notebooks).text


def names(plan):
    return [step.notebook.name for step in plan.steps]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], ["00_overview", "01_glo_embedding", "02_imle_mapping", "11_late"]),
        (["--only", "1"], ["01_glo_embedding"]),
        (["--only", "11", "00", "0"], ["00_overview", "11_late"]),
        (["--only", "imle_mapping", "notebooks/01_glo_embedding.ipynb"], ["01_glo_embedding", "02_imle_mapping"]),
        (["--from", "02"], ["02_imle_mapping", "11_late"]),
    ],
)
def test_selection(argv, expected, four):
    assert names(arguments.make_plan(argv, four)) == expected


def test_each_notebook_gets_the_parameters_that_it_declares(four):
    argv = ["--seed", "7", "--set", "count=5", "--set", "glo_epochs=1e-3", "--profile", "paper"]
    steps = {step.notebook.name: step.parameters for step in arguments.make_plan(argv, four).steps}
    common = {"dataset": "digits", "profile": "paper", "seed": 7, "device": "auto", "results_dir": "results"}
    assert steps["00_overview"] == common | {"count": 5}
    assert steps["01_glo_embedding"] == {"dataset": "digits", "glo_epochs": 1e-3}


def test_a_dry_run_names_the_folder_that_the_library_uses(four, tmp_path, monkeypatch):
    write_files(tmp_path / "Some Where", {f"{i}.png": b"" for i in range(3)})
    monkeypatch.chdir(tmp_path)
    argv = ["--dataset", "folder:Some Where", "--results", "out"]
    (folder,) = arguments.make_plan(argv, four).folders().values()
    assert printed([*argv, "--dry-run"], four).splitlines()[-1].endswith(f" out/{folder.name}")


@pytest.fixture(scope="module")
def three(write_notebook, on_shapes, tmp_path_factory):
    """A folder of notebooks on all three kinds of data that are only looked at."""
    folder = tmp_path_factory.mktemp("three")
    write_notebook(folder / "00_overview.ipynb")
    write_notebook(folder / "06_chairs_3d.ipynb", parameters=on_shapes)
    write_notebook(folder / "07_nam_translation.ipynb", parameters="dataset = 'embedded'\nseeds = 1")
    return folder


def datasets(plan):
    return {step.notebook.number: step.dataset for step in plan.steps}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {"00": "digits", "03": "digits", "06": "made-chairs"}),
        (["--only", "06"], {"06": "made-chairs"}),
        (["--only", "03", "06"], {"03": "digits", "06": "made-chairs"}),
        (["--from", "03"], {"03": "digits", "06": "made-chairs"}),
        (["--from", "06"], {"06": "made-chairs"}),
        (["--dataset", "mnist"], {"00": "mnist", "03": "mnist"}),
        (["--dataset", "chairs"], {"06": "chairs"}),
        (["--dataset", "made-chairs"], {"06": "made-chairs"}),
        (["--only", "03", "06", "--dataset", "chairs"], {"06": "chairs"}),
    ],
)
def test_each_notebook_runs_on_data_of_its_kind(argv, expected, both):
    plan = arguments.make_plan(argv, both)
    assert datasets(plan) == expected
    assert all(step.parameters["dataset"] == step.dataset for step in plan.steps)
    assert list(plan.folders()) == list(dict.fromkeys(expected.values()))
    for dataset, folder in plan.folders().items():
        assert folder == ROOT / "results" / f"{dataset}-quick"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], ()),
        (["--only", "03", "--dataset", "mnist"], ()),
        (["--dataset", "mnist"], (f"left out: 06_chairs_3d works on shapes ({CHOOSE_SHAPES})",)),
        (["--dataset", "chairs"], (f"left out: notebooks 00 and 03 work on images ({CHOOSE_IMAGES})",)),
        (["--from", "03", "--dataset", "chairs"], (f"left out: 03_sampling works on images ({CHOOSE_IMAGES})",)),
    ],
)
def test_what_is_left_out_is_said_in_one_line(argv, said, both):
    assert arguments.make_plan(argv, both).left_out == said


def test_settings_reach_the_notebooks_of_either_kind_that_declare_them(both):
    plan = arguments.make_plan(["--set", "poses=3", "--set", "samples=9", "--seed", "4", "--profile", "paper"], both)
    steps = {step.notebook.number: step.parameters for step in plan.steps}
    assert steps["03"] == {"dataset": "digits", "samples": 9}
    common = {"dataset": "made-chairs", "profile": "paper", "seed": 4, "results_dir": "results"}
    assert steps["06"] == common | {"poses": 3}


@pytest.fixture(scope="module")
def typed(write_notebook, tmp_path_factory):
    folder = tmp_path_factory.mktemp("typed")
    parameters = "dataset = 'digits'\ncheck = True\nsteps = 11\nrate = 0.5\nname = 'x'\nepochs = None"
    write_notebook(folder / "00_overview.ipynb", parameters=parameters)
    return folder


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *((f"check={word}", False) for word in ("false", "False", "no", "off", "0")),
        *((f"check={word}", True) for word in ("true", "yes", "ON", "1")),
        *(("steps=7", 7), ("steps=None", None), ("rate=2", 2.0), ("rate=1e-3", 0.001)),
        *(("name=7", "7"), ("name=faces", "faces"), ("epochs=3", 3), ("epochs=some", "some")),
    ],
)
def test_a_setting_is_of_its_defaults_type(setting, value, typed):
    (step,) = arguments.make_plan(["--set", setting], typed).steps
    given = step.parameters[setting.partition("=")[0]]
    assert given == value and type(given) is type(value)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("check=never", "check is 'never': give true or false"),
        ("check=2", "check is 2: give true or false"),
        ("steps=few", "steps is 'few': give a whole number"),
        ("steps=2.5", "steps is 2.5: give a whole number"),
        ("steps=True", "steps is True: give a whole number"),
        ("rate=fast", "rate is 'fast': give a number"),
        ("name=[1]", r"name is \[1\]: give a text"),
    ],
)
def test_a_setting_of_another_type_is_one_clear_line(setting, said, typed):
    with pytest.raises(arguments.UsageError, match=f"^--set: {said}$"):
        arguments.make_plan(["--set", setting], typed)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {"00": "digits", "06": "made-chairs", "07": "embedded"}),
        (["--only", "07"], {"07": "embedded"}),
        (["--from", "06"], {"06": "made-chairs", "07": "embedded"}),
        (["--dataset", "mnist"], {"00": "mnist"}),
        (["--dataset", "chairs"], {"06": "chairs"}),
        (["--dataset", "embedded"], {"07": "embedded"}),
        (["--dataset", "mnist-svhn"], {"07": "mnist-svhn"}),
        (["--dataset", "street-digits-to-digits"], {"07": "street-digits-to-digits"}),
        (["--only", "06", "07", "--dataset", "mnist-street"], {"07": "mnist-street"}),
    ],
)
def test_translations_are_a_third_kind_of_data(argv, expected, three):
    plan = arguments.make_plan(argv, three)
    assert datasets(plan) == expected
    assert all(step.parameters["dataset"] == step.dataset for step in plan.steps)
    assert plan.folders() == {name: ROOT / "results" / f"{name}-quick" for name in expected.values()}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], ()),
        (["--only", "07", "--dataset", "embedded"], ()),
        (
            ["--only", "06", "07", "--dataset", "chairs"],
            (f"left out: 07_nam_translation works on translations ({CHOOSE_PAIRS})",),
        ),
        (
            ["--only", "06", "07", "--dataset", "embedded"],
            (f"left out: 06_chairs_3d works on shapes ({CHOOSE_SHAPES})",),
        ),
        (
            ["--only", "00", "07", "--dataset", "embedded"],
            (f"left out: 00_overview works on images ({CHOOSE_IMAGES})",),
        ),
        (
            ["--dataset", "mnist"],  # a line for each kind
            (
                f"left out: 06_chairs_3d works on shapes ({CHOOSE_SHAPES})",
                f"left out: 07_nam_translation works on translations ({CHOOSE_PAIRS})",
            ),
        ),
    ],
)
def test_a_notebook_on_translations_is_left_out_like_any_other(argv, said, three):
    assert arguments.make_plan(argv, three).left_out == said


def test_a_notebook_on_translations_alone_is_refused_for_other_data(three):
    with pytest.raises(arguments.UsageError, match="07_nam_translation works on translations: --dataset embedded"):
        arguments.make_plan(["--only", "07", "--dataset", "mnist"], three)


def test_list_shows_what_works_on_translations(three, monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = printed(["--list"], three).splitlines()
    assert "07_nam_translation: A title (works on translations)" in lines
    folders = "results/digits-quick, results/made-chairs-quick and results/embedded-quick"
    assert lines[-1] == f"results would go to {folders}"


def test_the_help_names_every_kind_of_data_with_its_default(three):
    text = "".join(printed(["--help"], three).split())  # lines also break behind a hyphen
    for kind, names in plans.DATASETS.items():
        assert f"{kind}: {plans.joined(names, 'or')} (default {names[0]})".replace(" ", "") in text


def test_list_shows_what_each_notebook_works_on_and_the_folders(both, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = printed(["--list"], both)
    assert "03_sampling: A title (works on images)" in text and "06_chairs_3d: A title (works on shapes)" in text
    assert text.splitlines()[-1] == "results would go to results/digits-quick and results/made-chairs-quick"
    lines = printed(["--list", "--dataset", "mnist"], both).splitlines()
    assert not any(line.startswith("06_chairs_3d") for line in lines)
    assert lines[-2].startswith("left out: 06_chairs_3d") and lines[-1] == "results would go to results/mnist-quick"


def test_dry_run_shows_both_data_sets_and_what_is_left_out(both, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = printed(["--dry-run"], both)
    assert text.index("dataset = 'digits'") < text.index("06_chairs_3d") < text.index("dataset = 'made-chairs'")
    assert text.splitlines()[-1] == "results would go to results/digits-quick and results/made-chairs-quick"
    lines = printed(["--dry-run", "--dataset", "chairs"], both).splitlines()
    assert (
        lines[-2].startswith("left out: notebooks 00 and 03")
        and lines[-1] == "results would go to results/chairs-quick"
    )


def dry_run(argv, notebooks, *times):
    """The lines of a dry run whose steps take so long."""
    return arguments.make_plan(["--dry-run", *argv], notebooks, lambda plan: Times(*times)).text.splitlines()


def test_a_dry_run_says_how_long_each_notebook_takes_and_all_together(both):
    lines = dry_run(["--dataset", "digits"], both, (20.0, 200.0), "by hand", 1109.0)
    assert "  00_overview: about 20 s" in lines and "  03_sampling: about 3 min" in lines
    assert "in all about 4 min (by hand); what is already there is not made again" in lines
    assert "stage 1 keeps about 1.1 GiB of features in memory" in lines


def test_a_dry_run_says_where_two_run_at_a_time(both):
    lines = dry_run([], both, (20.0, 200.0, 100.0), "by hand", 0.0, (), 220.0)
    assert "in all about 4 min, two at a time (by hand); what is already there is not made again" in lines


def test_what_is_not_known_is_said_to_be_unknown(both):
    lines = dry_run(["--dataset", "digits"], both, (20.0, None), "by hand")
    assert "  03_sampling: time unknown" in lines
    assert "in all about 20 s, and what is unknown (by hand); what is already there is not made again" in lines
    lines = dry_run(["--dataset", "digits"], both, (None, None), "by hand")
    assert "  00_overview: time unknown" in lines and not any("in all" in line or "GiB" in line for line in lines)


def test_a_dry_run_without_times_says_why_in_a_line(both):
    lines = dry_run(["--dataset", "digits"], both, (), "not known")
    assert "  00_overview" in lines and "      samples = 5" not in lines
    assert lines.index("not known") > lines.index("  03_sampling")


def test_a_setting_of_one_notebook_counts_in_those_that_use_what_it_trained():
    plan = arguments.make_plan(["--only", "01", "04", "06", "--set", "glo_epochs=7"])
    first, second, shapes = map(plan.settings, plan.steps)
    assert first["glo_epochs"] == second["glo_epochs"] == shapes["glo_epochs"] == 7
    assert second["steps"] == 11 and second["profile"] == "quick" and "poses" not in second


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "10 s"),
        (44, "40 s"),
        (89.9, "90 s"),
        (91, "2 min"),
        (3569, "59 min"),
        (3571, "1 h"),
        (4200, "1 h 10 min"),
        (35_900, "10 h"),
        (36_000, "10 h"),
        (171_000, "48 h"),
        (260_000, "3 days"),
    ],
)
def test_a_duration_is_said_as_roughly_as_it_is_known(seconds, words):
    assert plans.about(seconds) == f"about {words}"


@pytest.mark.parametrize(
    ("words", "sentence"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c", "d"], "a, b, c and d")]
)
def test_words_are_joined_as_in_a_sentence(words, sentence):
    assert plans.joined(words, "and") == sentence


def test_a_path_is_shown_whole_only_outside_the_persons_folder(tmp_path):
    assert plans.shown(tmp_path / "b" / ".." / "out", tmp_path) == "out"
    assert plans.shown(tmp_path / "out", tmp_path / "elsewhere") == str(tmp_path / "out")


@pytest.fixture
def large(write_notebook, tmp_path):
    """Notebooks on images, one of them on images of at most 64 px, and one on large images."""
    folder = tmp_path / "large"
    folder.mkdir()
    datasets = {"00_overview": "digits", "01_first": "digits", "05_rivals": "digits", "08_large": "made-landscapes"}
    for name, dataset in datasets.items():
        parameters = f"dataset = {dataset!r}\nimage_size = None"
        write_notebook(folder / f"{name}.ipynb", parameters=parameters)
    return folder


@pytest.mark.parametrize(
    ("argv", "numbers"),
    [
        ([], ["00", "01", "05", "08"]),
        (["--dataset", "mnist"], ["00", "01", "05"]),
        (["--dataset", "made-landscapes"], ["01", "08"]),
        (["--dataset", "celeba-hq", "--set", "image_size=64"], ["00", "01", "05"]),
        (["--dataset", "celeba", "--set", "image_size=128"], ["01", "08"]),
    ],
)
def test_large_images_have_notebooks_of_their_own(argv, numbers, large):
    plan = arguments.make_plan(argv, large)
    assert [step.notebook.number for step in plan.steps] == numbers
    if numbers == ["01", "08"]:
        who = "left out: notebooks 00 and 05 work on images of at most 64 px"
        assert plan.left_out[0] == f"{who} (--set image_size=64)"


def test_a_notebook_without_a_size_of_its_own_has_that_of_the_training(write_notebook, tmp_path):
    for name, parameters in {"01_first": "image_size = None", "10_last": "steps = 3"}.items():
        write_notebook(tmp_path / f"{name}.ipynb", parameters=f"dataset = 'celeba'\n{parameters}")
    for size, large in ((128, True), (64, False)):
        plan = arguments.make_plan(["--dataset", "celeba", "--set", f"image_size={size}"], tmp_path)
        assert [plan.settings(step)["image_size"] for step in plan.steps] == [size, size]
        assert [plan.is_large(step) for step in plan.steps] == [large, large]
