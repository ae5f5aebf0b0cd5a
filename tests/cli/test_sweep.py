"""`jaxcpp sweep`: the paper's example under a grid of fees, a fleet beside single plans, bad grids."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer

from jaxcpp.cli.status import Status
from jaxcpp.cli.sweep import parse_grid
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import contracts
from jaxcpp.fleet.programs import PROGRAMS
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.fleet.sweep import Grid, sweep_fleet
from tests.coupled import Kind, random_coupled, tables_of
from tests.fleets import Size, random_sample, read


def test_the_paper_s_example_under_additive_fees(run, toy, tmp_path):
    """The transfer is 30, the gain 120: offers are accepted while the fee is below 120."""
    result = run("sweep", toy, tmp_path / "run", "--fee", "additive=0:150:4", "--no-plot")
    assert result.exit_code == 0, result.stderr
    rows = pq.read_table(tmp_path / "run" / "sweep.parquet").to_pylist()
    assert [row["fee_value"] for row in rows] == [0.0, 50.0, 100.0, 150.0]
    assert [row["accepted"] for row in rows] == [1, 1, 1, 0]
    assert [row["price"] for row in rows] == pytest.approx([30, 80, 130, 180], abs=1e-3)
    assert [row["paid"] for row in rows] == pytest.approx([30, 80, 130, 0], abs=1e-3)
    assert [row["fees_paid"] for row in rows] == pytest.approx([0, 50, 100, 0], abs=1e-3)
    assert [row["efficiency_lost"] for row in rows] == pytest.approx([0, 0, 0, 120], abs=1e-3)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["sweep"]["accepted"] == [1, 1, 1, 0]
    # A run may be written over a run.
    assert run("sweep", toy, tmp_path / "run", "--fee", "additive=0:1:2", "--no-plot").exit_code == 0


def test_the_picture_is_the_same_for_the_same_numbers(run, toy, tmp_path):
    pytest.importorskip("matplotlib")
    pictures = []
    for name in ("one", "two"):
        words = ("sweep", toy, tmp_path / name, "--fee", "additive=0:150:4")
        assert run(*words).exit_code == 0
        pictures.append((tmp_path / name / "sweep.svg").read_bytes())
    assert pictures[0] == pictures[1]
    assert b"contracts accepted" in pictures[0]


def some_of_each():
    """Products that stand alone, that share a vendor's capacity, and that have two vendors."""
    return tables_of(
        {
            "alone-": random_coupled(7, Kind(products=8, own=1.0)),
            "shared-": random_coupled(3, Kind()),
            "several-": random_coupled(
                4, Kind(products=2, vendors=2, every=True, flags={"lost_sales": True})
            ),
        }
    )


SAMPLES = {
    "of each": some_of_each,
    "alone": lambda: random_sample(7, 24, Size(3, 4, 2, 2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("sample", ["of each", pytest.param("alone", marks=pytest.mark.exhaustive)])
def test_every_value_is_a_plan_under_that_fee_and_compiles_nothing(tmp_path, sample):
    """A whole fleet under charges on deviations beside `plan_fleet`, value by value."""
    fleet = read(SAMPLES[sample]().tables(), tmp_path / "fleet")
    if sample == "of each":
        assert len(contracts(fleet))
        assert len(bundles(fleet)) >= 2
    settings = Settings(fees=(FeeRule(additive=1.0, under=0.1),))
    grid = Grid("over", (0.0, 0.5, 0.6, 2.0))
    columns = sweep_fleet(fleet, settings, grid)
    compiled = PROGRAMS.compiled
    again = sweep_fleet(fleet, settings, Grid("over", (0.25, 1.0, 1.5, 4.0)))
    assert PROGRAMS.compiled == compiled
    assert np.all(np.asarray(again["contracts"]) == np.asarray(columns["contracts"]))
    vendors, cold = len(fleet.vendor_ids), []
    for at, value in enumerate(grid.values):
        plan = plan_fleet(fleet, Settings(fees=grid.rules(settings.fees, value))).contracts
        status = np.asarray(plan["status"])
        # Choices found from other prices are worth as much to their vendors, but for the certificates.
        apart = 2.0 * settings.tolerance * (plan["retailer_cost_plan"] + plan["supplier_cost_plan"])
        cold.append(np.sum(plan["rounds"]))
        part = {
            name: np.asarray(column)[at * vendors : (at + 1) * vendors] for name, column in columns.items()
        }
        assert part["accepted"].sum() == np.sum(status == "accepted")
        assert part["contracts"].sum() == len(status)
        assert not part["not_certified"].any()
        for vendor in range(vendors):
            mine = np.asarray(plan["vendor_id"]) == part["vendor_id"][vendor]
            assert part["paid"][vendor] == pytest.approx(np.nansum(plan["paid"][mine]), rel=1e-3, abs=1e-3)
            surplus = np.sum(plan["supplier_surplus"][mine & (status == "accepted")])
            assert abs(part["supplier_surplus"][vendor] - surplus) <= np.nansum(apart[mine]) + 1e-9
    warm = np.asarray(columns["rounds"]).reshape(len(grid.values), -1).sum(axis=1)
    assert warm[0] == cold[0]
    assert warm[2] < cold[2]  # where the value before is near
    assert sum(warm) < sum(cold)


@pytest.mark.parametrize(
    ("texts", "name", "values", "others"),
    [
        (["deviation=over:0:1:3"], "over", (0.0, 0.5, 1.0), []),
        (["additive=50", "deviation=under:1:1:1"], "under", (1.0,), ["additive=50"]),
        (["roi-ex-post=0.1:0.2:2"], "roi_ex_post", (0.1, 0.2), []),
        (
            ["additive=0:100:2", "deviation=over:0.2,under:0.1"],
            "additive",
            (0.0, 100.0),
            ["deviation=over:0.2,under:0.1"],
        ),
    ],
)
def test_grids(texts, name, values, others):
    assert parse_grid(texts) == (name, values, others)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["additive=5"], "give one grid"),
        (["additive=0:1:2", "roi=0:1:2"], "give one grid"),
        (["flat=0:1:2"], "unknown grid 'flat=0:1:2'"),
        (["additive=0:x:2"], "is not LOW:HIGH:COUNT"),
        (["additive=2:1:2"], "0 <= LOW <= HIGH"),
        (["additive=0:1:0"], "COUNT from 1"),
        (["additive=0:inf:3"], "finite"),
    ],
)
def test_what_is_no_grid(texts, message):
    with pytest.raises(typer.BadParameter, match=message):
        parse_grid(texts)


def test_without_matplotlib_the_plot_is_refused_before_anything_is_solved(run, toy, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = run("sweep", toy, tmp_path / "run", "--fee", "additive=0:1:2")
    assert result.exit_code == Status.BAD_INPUT
    assert "pip install 'jaxcpp[plot]'" in result.stderr
    assert not (tmp_path / "run").exists()
