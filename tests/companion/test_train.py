"""`--gpus N`: both stages by several processes, found finished by what comes after; and what is said when they stop."""

import pytest

from glann_lib.companion import arguments, plans, preflight, train
from glann_lib.companion.plans import overrides
from glann_lib.glo import GLO, fit_glo
from glann_lib.imle import IMLE, fit_imle
from glann_lib.shapes.training_data import prepare

LITTLE = "--dataset digits --only 01 02 --gpus 2 --device cpu --set train_images=50 --set glo_batch_size=8"
LITTLE += " --set glo_epochs=1 --set glo_loss=l2 --set imle_epochs=2 --set imle_batch_size=10"


def plan_of(options, *more):
    return arguments.make_plan([*options.split(), *more])


def test_two_processes_train_what_is_then_found_finished(tmp_path, monkeypatch):
    plan, said = plan_of(LITTLE, "--results", str(tmp_path)), []
    assert train.launch(plan, tmp_path, said.append) == ""
    assert said[0] == "digits: 50 images, shared by 2 processes"
    assert [line.partition(":")[0] for line in said[1:]] == ["glo", "imle"]
    for stage in (GLO, IMLE):
        monkeypatch.setattr(stage, "run_epoch", lambda *args: pytest.fail("trained again"))
    data = prepare("digits", "quick", 0, overrides(plan.settings(plan.steps[0])))
    embedding = fit_glo(data.tensor, data.config.glo, path=tmp_path / "digits-quick" / "work" / "glo.safetensors")
    mapping = fit_imle(
        embedding.latents, data.config.imle, path=tmp_path / "digits-quick" / "work" / "imle.safetensors"
    )
    assert embedding.latents.shape == (50, 64) and len(mapping.history) == 2


def test_what_stops_every_process_is_said_once(tmp_path):
    plan = plan_of(LITTLE.replace("glo_batch_size=8", "glo_batch_size=9"), "--results", str(tmp_path))
    said = train.launch(plan, tmp_path, lambda line: None)
    assert said in [f"process {n}: 2 processes cannot share batches of 9 evenly: take batches of 8" for n in (0, 1)]


TORCHRUN = """
Root Cause (first observed failure):
[0]:
  time      : 2026-01-01_00:00:00
  rank      : 1 (local_rank: 1)
  exitcode  : {code} (pid: 23)
"""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (TORCHRUN.format(code=-9), "process 1 of 4 was killed (signal 9), the others were stopped: start again"),
        (f"run_all.sh: process 2: no space\n{TORCHRUN.format(code=1)}", "process 2: no space"),
        (f"run_all.sh: process 0: another one stopped or does not answer (x): y\n{TORCHRUN.format(code=-9)}", "killed"),
        ("run_all.sh: process 0: another one stopped or does not answer (x): y\n", "another one stopped"),
        ("Traceback\nModuleNotFoundError: No module named 'x'\n", "ModuleNotFoundError: No module named 'x'"),
        ("", "the 4 processes stopped: start again"),
    ],
)
def test_the_cause_is_told_in_a_line(said, told):
    assert told in train._fault(said, 4) and "\n" not in train._fault(said, 4)


def test_without_torchrun_a_process_says_how_it_is_started(capsys, monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert train.main(LITTLE.split()) == train.FAILED
    assert capsys.readouterr().err == (
        "run_all.sh: process 0: this is to be started by torchrun, once for each GPU: see glann_lib/README.md\n"
    )


def test_images_and_shapes_are_shared_translations_are_not():
    plan = plan_of("--gpus 2 --device cpu")
    assert list(train.shared(plan)) == ["digits", "made-chairs"] and plan.gpus == 2
    assert plan.options == ("--gpus", "2", "--device", "cpu") and plan_of("--device cpu") == plans.replace(
        plan, gpus=1, options=()
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--gpus 0", "'0' is not a whole number from 1 to 9999"),
        ("--gpus two", "'two' is not a whole number"),
        ("--gpus 2 --dataset embedded", "only notebooks 01, 02 and 06 train what several GPUs can share"),
        ("--gpus 2 --only 03", "only notebooks 01, 02 and 06"),
    ],
)
def test_bad_options_are_one_line_errors(options, words):
    with pytest.raises(arguments.UsageError, match=words) as error:
        plan_of(options)
    assert "\n" not in str(error.value)


def test_what_cannot_be_shared_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"--gpus: 3 cannot share batches of 64: add --set glo_batch_size=63"):
        preflight.check(plan_of("--dataset digits --only 01 02 --gpus 3 --device cpu"))
    with pytest.raises(ValueError, match=r"GPUs asked for"):
        preflight.check(plan_of("--dataset digits --only 01 02 --gpus 999"))
