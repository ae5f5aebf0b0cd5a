"""The main job on the bundled fleet of real orders, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import jaxcpp
from jaxcpp.tables import read_fleet

ROOT = Path(__file__).resolve().parents[2]
FLEET = ROOT / "examples" / "iowa"
TOLERANCE = 1e-5


@pytest.mark.slow
def test_every_contract_of_the_bundled_fleet_is_certified(tmp_path):
    environment = {"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"), **os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "jaxcpp", "plan", FLEET, tmp_path / "run"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    fleet, rejected = read_fleet(FLEET)
    assert not rejected
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert set(document) == {
        "version", "settings", "device", "fleet_fingerprint", "status_counts", "seconds",
        "worst_efficiency_gap", "rounds", "budget", "budget_in_words", "fleet", "currency", "first_week",
        "warm_start",
    }  # fmt: skip
    assert document["version"] == jaxcpp.__version__
    assert document["fleet_fingerprint"] == fleet.fingerprint
    assert document["settings"]["tolerance"] == TOLERANCE
    assert sum(document["status_counts"].values()) == len(fleet.offers.product) == 3291
    assert set(document["status_counts"]) <= {"accepted", "no_gain"}
    assert 0.0 < document["worst_efficiency_gap"] <= TOLERANCE
    assert set(document["rounds"]) == {"median", "p99", "max"}
    assert set(document["seconds"]) == {"read", "compile", "solve", "write", "total"}

    table = pq.read_table(tmp_path / "run" / "contracts.parquet")
    columns = {name: table[name].to_numpy() for name in table.column_names}
    chain = columns["retailer_cost_plan"] + columns["supplier_cost_plan"]
    assert (columns["efficiency_gap"] <= TOLERANCE * chain * (1 + 1e-9)).all()
    assert (columns["price_error"] <= TOLERANCE * chain * (1 + 1e-9)).all()
    assert (columns["gain"] >= -columns["efficiency_gap"]).all()
    np.testing.assert_array_equal(
        columns["paid"], np.where(columns["status"] == "accepted", columns["price"], 0.0)
    )
    plans = pq.read_table(tmp_path / "run" / "plans.parquet")
    # Capacity is ample and every unit must be served: both plans bring what is asked for.
    asked = fleet.demand.units.sum()
    for name in ("jit_units", "plan_units"):
        assert plans[name].to_numpy().sum() == pytest.approx(asked, rel=1e-9)
