"""`jaxcpp roll` from the command line: what is printed and written, refusals, and going on after a kill."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest

from jaxcpp.cli.status import Status
from jaxcpp.tables import write_fleet
from tests.fleets import from_problems
from tests.horizon.rolls import hand_problem

CENT = 0.005
WORDS = ("--weeks", "2", "--window", "2", "--tolerance", "1e-7")


@pytest.fixture
def fleet(tmp_path):
    folder = tmp_path / "fleet"
    write_fleet(folder, from_problems({"rum": hand_problem()}).tables(), {"name": "hand", "currency": "USD"})
    return folder


def contents(folder):
    """Every table's bytes by its place in the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def test_weeks_and_a_summary(run, fleet, tmp_path):
    result = run("roll", fleet, tmp_path / "run", *WORDS)
    assert result.exit_code == 0, result.stderr
    assert "130.00" in result.stdout
    assert result.stdout.rstrip().endswith(f"written to {tmp_path / 'run'}")
    rows = pq.read_table(tmp_path / "run" / "summary.parquet").to_pylist()
    assert [row["week"] for row in rows] == [0, 1]
    assert [row["cbt"] for row in rows] == pytest.approx([50.0, 40.0], abs=CENT)
    assert rows[-1]["cumulative_gain"] == pytest.approx(130.0, abs=CENT)
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["settings"]["window"] == 2
    assert document["not_certified"] == 0
    assert set(contents(tmp_path / "run")) == {
        "summary.parquet",
        *(
            f"weeks/week=0{week}/{name}.parquet"
            for week in (0, 1)
            for name in ("contracts", "plans", "state")
        ),
    }


def _cut(folder, point):
    """The folder as a kill leaves it at one point of a roll of two weeks."""
    weeks = folder / "weeks"
    (folder / "run.json").unlink()
    if point == "before run.json":
        return
    (folder / "summary.parquet").unlink()
    if point == "writing the summary":
        (folder / ".summary.parquet.tmp").write_bytes(b"half")
    elif point == "writing the second week":
        (weeks / "week=01").rename(weeks / ".week=01.tmp")
        (weeks / ".week=01.tmp" / "plans.parquet").write_bytes(b"half")
    elif point == "solving the second week":
        shutil.rmtree(weeks / "week=01")
    elif point == "solving the first week":
        shutil.rmtree(weeks)


POINTS = (
    "solving the first week",
    "solving the second week",
    "writing the second week",
    "before the summary",
    "writing the summary",
    "before run.json",
)


@pytest.mark.parametrize("asked", [("--commit", "1"), ("--commit", "6", "--fee", "multiplicative=0.5")])
@pytest.mark.slow
def test_a_roll_that_was_cut_off_anywhere_goes_on_to_the_same_bytes(run, fleet, tmp_path, asked):
    whole = tmp_path / "whole"
    words = (*WORDS, *asked)
    assert run("roll", fleet, whole, *words).exit_code == 0
    for point in POINTS:
        cut = tmp_path / point.replace(" ", "-")
        shutil.copytree(whole, cut)
        _cut(cut, point)
        result = run("roll", fleet, cut, *words, "--resume")
        assert result.exit_code == 0, result.stderr
        assert contents(cut) == contents(whole), point
        assert not list(cut.rglob("*.tmp")), point
        # Nothing left to do: the same again.
        assert run("roll", fleet, cut, *words, "--resume").exit_code == 0
        assert contents(cut) == contents(whole), point


def test_only_the_same_roll_is_resumed(run, fleet, tmp_path):
    assert run("roll", fleet, tmp_path / "run", *WORDS).exit_code == 0
    result = run("roll", fleet, tmp_path / "run", *WORDS, "--fee", "additive=5", "--resume")
    assert result.exit_code == Status.BAD_INPUT
    assert "another settings" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--weeks", "3"), "take --weeks 2"),
        (("--weeks", "1", "--forecast", "trailing=2"), "--start 1"),
        (("--weeks", "1", "--forecast", "oracle"), "trailing=WEEKS"),
        (("--weeks", "1", "--forecast", "table"), "no forecast table"),
        (("--weeks", "1", "--churn", "-1"), "at least 0"),
        (("--weeks", "1", "--churn", "nan"), "at least 0"),
        (("--weeks", "1", "--commit", "3"), "1 (this week's order) or 6"),
        (("--weeks", "1", "--churn", "1", "--fee", "multiplicative=0.1"), "additive fees only"),
    ],
)
def test_what_cannot_be_rolled_is_refused_before_any_solving(run, fleet, tmp_path, words, told):
    result = run("roll", fleet, tmp_path / "run", *words)
    assert result.exit_code == Status.BAD_INPUT
    assert told in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_folder_of_something_else_is_left_alone(run, fleet, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "letters.txt").write_text("mine")
    result = run("roll", fleet, other, *WORDS)
    assert result.exit_code == Status.BAD_INPUT
    assert "letters.txt" in result.stderr
    assert [path.name for path in other.iterdir()] == ["letters.txt"]
