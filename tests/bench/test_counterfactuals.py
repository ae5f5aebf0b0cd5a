"""The benchmark of counterfactuals: its contracts are what it says, and brackets that miss stop it."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bench import counterfactuals
from bench.cases import CASES, Case, generate
from bench.stored import RESULTS

SMALL = Case(inbound=3, regions=4, sources=4)


def test_every_unit_of_demand_is_ordered_from_vendors_that_can_deliver_it():
    instances = generate(replace(SMALL, weeks=2), 3)
    ordered = counterfactuals.orders(instances, 2).reshape(3, 2, 3, 2)
    np.testing.assert_allclose(ordered.sum(axis=(1, 2)), instances.demand.sum(axis=1))
    _, vendors = counterfactuals.parties(instances, 2)
    for vendor in range(2):
        has = np.asarray(vendors.capacity)[:, np.asarray(vendors.owner)[0] == vendor].sum(axis=1)
        assert np.all(ordered[:, vendor].sum(axis=1) <= has)


def test_brackets_of_one_number_overlap():
    def found(cost, bound):
        return SimpleNamespace(cost=np.array([cost]), bound=np.array([bound]))

    cold = found(2.0, 1.9)
    assert not counterfactuals.disagreements({"warm": found(1.95, 1.8), "cold": cold})
    assert counterfactuals.disagreements({"warm": found(1.85, 1.8), "cold": cold})


@pytest.mark.slow
@pytest.mark.parametrize("absent", ["jit", pytest.param("excluded", marks=pytest.mark.exhaustive)])
def test_a_small_comparison_is_checked_timed_and_stored(absent, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(CASES, "S", SMALL)
    command = ["--size", "S", "--batch", "2", "--vendors", "2", "--repeats", "1", "--absent", absent]
    assert counterfactuals.main([*command, "--results", str(tmp_path)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["runs"] for row in rows] == ["full", "warm", "cold"]
    assert all(row["certified"] == 1.0 for row in rows)
    (stored,) = tmp_path.iterdir()
    assert json.loads(stored.read_text())["rows"] == rows


def test_stored_results_are_certified():
    stored = list(RESULTS.glob("counterfactuals-*.json"))
    assert stored
    for path in stored:
        assert all(row["certified"] == 1.0 for row in json.loads(path.read_text())["rows"]), path.name
