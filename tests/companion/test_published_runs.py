"""RUNS.md: its commands are ones that run_all.sh takes, what is done lies there, what is not has a cost."""

import json
import re
import shlex
from pathlib import Path

import pytest

from glann_lib.companion import arguments

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"
TEXT = (PUBLISHED / "RUNS.md").read_text(encoding="utf-8")


def rows(part):
    """The cells of a part's table, below its head."""
    lines = TEXT.split(f"## {part}")[1].split("## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


DONE = [(re.search(r"\((.+)\)", row[0])[1], row[1].strip("`"), row[5].split(", ")) for row in rows("Done")]
OUTSTANDING = [(row[1].strip("`"), row[3]) for row in rows("Outstanding, in order of worth")]


def commits(folder):
    """The commits that the records in a published folder name, shortened."""
    found = set()
    for path in folder.rglob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        found.add(record.get("provenance", record)["commit"][:7])
    return found


def plan(command):
    program, *words = shlex.split(command)
    assert program == "./run_all.sh"
    return arguments.make_plan(words)


@pytest.mark.parametrize("command", [command for _, command, _ in DONE] + [command for command, _ in OUTSTANDING])
def test_every_command_is_one_that_run_all_takes(command):
    assert plan(command).steps


@pytest.mark.parametrize("folder", sorted({folder for folder, _, _ in DONE}))
def test_what_is_done_lies_there_by_the_commits_that_are_named(folder):
    named = {commit for other, _, group in DONE if other == folder for commit in group}
    assert commits(PUBLISHED / folder) == named


def test_every_published_model_and_score_has_its_run():
    published = {path.relative_to(PUBLISHED).parts[0] for path in PUBLISHED.rglob("*.safetensors")}
    published |= {path.relative_to(PUBLISHED).parts[0] for path in PUBLISHED.glob("**/scores/*.json")}
    assert published <= {folder for folder, _, _ in DONE}


def test_outstanding_runs_are_in_order():
    numbers = [row[0] for row in rows("Outstanding, in order of worth")]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)] and len({c for c, _ in OUTSTANDING}) > 0


@pytest.mark.parametrize(("command", "cost"), OUTSTANDING)
def test_outstanding_runs_have_a_cost(command, cost):
    assert re.fullmatch(r"\d+ (min|h|days)( \d+ min)?", cost), command
