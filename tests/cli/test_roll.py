"""`jaxcpp roll` from the command line: what is printed and written, refusals, and going on after a kill."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxcpp.cli.status import Status
from jaxcpp.tables import ResumeError, begin_roll, write_fleet
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
        (
            ("--weeks", "1", "--churn", "1", "--fee", "deviation=over:0.1"),
            "not go with charges on deviations",
        ),
        (("--weeks", "1", "--fee", "FILE"), "no vendor 'nobody'"),
    ],
)
def test_what_cannot_be_rolled_is_refused_before_any_solving(run, fleet, tmp_path, words, told):
    """An earlier roll in the folder stays as it is."""
    (tmp_path / "fees.toml").write_text("[vendor.nobody]\nadditive = 1\n")
    before = _begun(tmp_path / "run")
    result = run(
        "roll", fleet, tmp_path / "run", *(str(tmp_path / "fees.toml") if w == "FILE" else w for w in words)
    )
    assert result.exit_code == Status.BAD_INPUT
    assert told in result.stderr
    assert contents(tmp_path / "run") == before


def _begun(folder):
    """A folder with a week of an earlier roll; its tables' bytes."""
    begin_roll(folder, {"version": "0", "settings": {"start": 0}, "fleet_fingerprint": ""}, resume=False)
    (folder / "weeks" / "week=00").mkdir()
    (folder / "weeks" / "week=00" / "plans.parquet").write_bytes(b"mine")
    return contents(folder)


def test_contracts_that_are_tied_are_refused_in_words(run, tmp_path):
    tables = from_problems({"rum": hand_problem(), "gin": hand_problem()}).tables()
    sources = tables["sources"].to_pylist()[:1]
    shared = [{**row, "product_id": None} for row in sources]
    tables["sources"] = pa.Table.from_pylist(shared, schema=tables["sources"].schema)
    first = tables["offers"]["vendor_id"][0]
    for name in ("offers", "inbound_lanes"):
        at = tables[name].schema.get_field_index("vendor_id")
        everyone = pa.array([first.as_py()] * len(tables[name]), tables[name].schema.field(at).type)
        tables[name] = tables[name].set_column(at, tables[name].schema.field(at), everyone)
    write_fleet(tmp_path / "fleet", tables, {"name": "tied", "currency": "USD"})
    result = run("roll", tmp_path / "fleet", tmp_path / "run", *WORDS)
    assert result.exit_code == Status.BAD_INPUT
    assert "share a source's capacity or have several vendors, as 'gin', 'rum'" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("point", ["before the weeks go", "before the settings", "before the folder"])
def test_a_roll_that_was_cut_off_as_it_began_over_another_can_begin_again(tmp_path, monkeypatch, point):
    """Half of an earlier roll's weeks are never taken for a whole one's."""
    folder, info = tmp_path / "run", {"version": "1", "settings": {"start": 0}, "fleet_fingerprint": "b"}
    before = _begun(folder)

    class KilledError(Exception):
        pass

    def killed(*_, **__):
        raise KilledError

    where = {
        "before the weeks go": ("pathlib.Path.replace",),
        "before the settings": ("jaxcpp.tables.rolls.write_text",),
        "before the folder": ("pathlib.Path.mkdir",),
    }[point]
    with monkeypatch.context() as patched:
        patched.setattr(*where, killed)
        with pytest.raises(KilledError):
            begin_roll(folder, info, resume=False)
    held = contents(folder / "weeks") if (folder / "weeks").exists() else {}
    assert held in ({}, {name.removeprefix("weeks/"): found for name, found in before.items()})
    assert begin_roll(folder, info, resume=not held) is None
    assert not contents(folder)
    assert not list(folder.rglob("*.tmp"))


def test_weeks_with_one_missing_between_are_not_gone_on_from(tmp_path):
    info = {"version": "0", "settings": {"start": 0}, "fleet_fingerprint": ""}
    _begun(tmp_path)
    (tmp_path / "weeks" / "week=02").mkdir()
    with pytest.raises(ResumeError, match="has week 2 and not week 1"):
        begin_roll(tmp_path, info, resume=True)


@pytest.mark.slow
def test_capacity_that_falls_unforeseen_is_settled_in_words_and_currency(run, tmp_path):
    """Expected to stay at 20, it is 5 in week 1: 15 of the 20 on record are lost, at 20 + 1 - 3 each.

    Where that demand must be served there is no price on failing: the margin is lost, and the freight saved.
    """
    for lost, owed in ((1.0, 270.0), (np.inf, 255.0)):
        problem = replace(hand_problem(), capacity=np.array([[20.0, 5.0]]), lost_sale=lost)
        folder = tmp_path / f"fleet-{lost}"
        write_fleet(folder, from_problems({"rum": problem}).tables(), {"name": "hand", "currency": "USD"})
        result = run("roll", folder, tmp_path / "run", *WORDS, "--commit", "6", "--capacity", "current")
        assert result.exit_code == (0 if np.isfinite(lost) else Status.NOT_CERTIFIED), result.stderr
        week = pq.read_table(tmp_path / "run" / "weeks" / "week=01" / "contracts.parquet").to_pylist()[0]
        assert week["settled"] == pytest.approx(owed, abs=CENT)
        assert f"the vendor pays {owed:.2f} USD, what it costs the retailer" in week["reason"]
        last = pq.read_table(tmp_path / "run" / "summary.parquet").to_pylist()[-1]
        assert abs(last["cumulative_gain"]) < 500.0


def test_a_folder_of_something_else_is_left_alone(run, fleet, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "letters.txt").write_text("mine")
    result = run("roll", fleet, other, *WORDS)
    assert result.exit_code == Status.BAD_INPUT
    assert "letters.txt" in result.stderr
    assert [path.name for path in other.iterdir()] == ["letters.txt"]
