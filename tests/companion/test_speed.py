"""The timing of this machine, on stages so small that it says nothing, and what a dry run makes of it."""

import importlib.util
import math
import sys

import pytest

from glann_lib.companion import arguments, costs, estimates, speed
from glann_lib.config import GLOConfig


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(speed, "IMAGES", 16)
    monkeypatch.setattr(speed, "LATENTS", 256)
    monkeypatch.setattr(speed, "_glo_config", lambda: GLOConfig(loss="l1", epochs=7, batch_size=8, precision="float32"))


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_machine_has_a_finite_speed_and_nothing_is_printed(small, device, capsys, monkeypatch):
    work = costs.Work(0.01, 0.01)
    monkeypatch.setattr(speed, "_reference_glo", lambda: work)
    found = speed.measure(device)
    for factor in (found.networks, found.rest):
        assert math.isfinite(factor) and factor > 0
    assert "timed just now on this machine" in found.measured
    assert capsys.readouterr() == ("", "")


def test_the_reference_counts_what_is_timed():
    assert speed._reference_glo().networks == pytest.approx(2 * 128 * costs.PERCEPTUAL[28])
    assert speed._glo_config().loss == "random-vgg16" and speed._glo_config().batch_size == 128
    assert speed._reference_imle() == costs.imle_work(speed.IMLEConfig(epochs=1), speed.LATENTS)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="unknown device"):
        speed.measure("abacus")


def dry_run(monkeypatch, *argv):
    monkeypatch.setattr(sys, "argv", ["run_all.sh", "--dry-run", *argv])
    return arguments.main()


def test_a_dry_run_times_the_machine_and_says_so(monkeypatch, capsys):
    asked = []
    found = costs.Speed(2.0, 1.0, "timed here")
    monkeypatch.setattr(speed, "measure", lambda device: asked.append(device) or found)
    assert dry_run(monkeypatch, "--only", "01", "--device", "cpu") == 0
    out, err = capsys.readouterr()
    assert asked == ["cpu"] and err == "timing this machine for the estimate, 5 s\n"
    wanted = estimates.estimate("01", "digits", {}, found)
    assert f"in all about {round(wanted / 60)} min (timed here); " in out


@pytest.mark.parametrize("error", [RuntimeError("no kernel"), ImportError("half installed"), FloatingPointError()])
def test_a_timing_that_fails_falls_back_to_the_reference(monkeypatch, capsys, error):
    def fail(device):
        raise error

    monkeypatch.setattr(speed, "measure", fail)
    assert dry_run(monkeypatch, "--only", "01") == 0
    said = f"({costs.REFERENCE.measured}: timing it failed, {type(error).__name__})"
    assert said in capsys.readouterr().out


def test_an_interrupted_timing_is_one_line(monkeypatch, capsys):
    def interrupt(device):
        raise KeyboardInterrupt

    monkeypatch.setattr(speed, "measure", interrupt)
    assert dry_run(monkeypatch, "--only", "01") == 130
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[1:] == ["run_all.sh: interrupted"]


def test_without_torch_the_reference_is_taken_in_silence(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert dry_run(monkeypatch, "--only", "01") == 0
    out, err = capsys.readouterr()
    assert f"({costs.REFERENCE.measured})" in out and err == ""


@pytest.mark.parametrize("argv", [["--nonsense"], ["--dataset", "nothing"], ["--set", "nobody=1"]])
def test_a_wrong_argument_is_refused_before_anything_is_timed(monkeypatch, capsys, argv):
    monkeypatch.setattr(speed, "measure", lambda device: pytest.fail("timed"))
    assert dry_run(monkeypatch, *argv) == 2
    assert "timing" not in capsys.readouterr().err


def test_other_questions_are_not_timed(monkeypatch, capsys):
    monkeypatch.setattr(speed, "measure", lambda device: pytest.fail("timed"))
    for argv in (["--help"], ["--list"]):
        monkeypatch.setattr(sys, "argv", ["run_all.sh", *argv])
        assert arguments.main() == 0
    assert capsys.readouterr().err == ""
