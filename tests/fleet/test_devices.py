"""Lanes shared out over several devices: the same answers as on one, whatever the number of lanes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.transport import kernels
from tests.fleet.answers import files
from tests.fleets import random_sample, read

ROOT = Path(__file__).resolve().parents[2]
DEVICES = 8

ELSEWHERE = """
import sys
from pathlib import Path
import jax
jax.config.update("jax_enable_x64", True)
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.tables import read_fleet
from jaxcpp.transport import kernels
from tests.fleet.answers import files
assert len(jax.devices()) == int(sys.argv[3])
fleet, _ = read_fleet(Path(sys.argv[1]))
files(plan_fleet(fleet, Settings(batch=61)), Path(sys.argv[2]))
"""
"""A batch of 61 becomes one of 64, eight lanes a device."""


# Without the kernels, jaxlib's batched LAPACK calls on several virtual CPUs may wait for each other.
@pytest.mark.slow
@pytest.mark.skipif(bool(kernels.shut()), reason=kernels.shut() or "")
def test_many_devices_answer_as_one(tmp_path):
    sample = random_sample(9, 30)
    fleet = read(sample.tables(), tmp_path / "fleet")
    here = files(plan_fleet(fleet, Settings()), tmp_path / "here")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    arguments = [str(tmp_path / "fleet"), str(tmp_path / "there"), str(DEVICES)]
    subprocess.run([sys.executable, "-c", ELSEWHERE, *arguments], cwd=ROOT, env=environment, check=True)
    one, several = (
        {name: pq.read_table(tmp_path / where / name) for name in here} for where in ("here", "there")
    )
    contracts, others = one["contracts.parquet"], several["contracts.parquet"]
    assert contracts.schema == others.schema
    for column in ("contract_id", "status"):
        assert contracts[column] == others[column], column
    for name, columns in SAME.items():
        ours, theirs = (sum(table[column].to_numpy() for column in columns) for table in (contracts, others))
        np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-5, err_msg=name)
    # A program for several devices adds in another order. Where plans tie, it may find another of the best.
    plans, theirs = (units(tables["plans.parquet"]) for tables in (one, several))
    alike = []
    for contract in contracts["contract_id"].to_pylist():
        keys = {key for key in (*plans, *theirs) if key[0] == contract}
        both = np.array([[table.get(key, (0.0, 0.0)) for key in keys] for table in (plans, theirs)])
        if both.size:
            np.testing.assert_allclose(both[1, :, 0], both[0, :, 0], atol=1e-9, err_msg=contract)
            np.testing.assert_allclose(both[1].sum(axis=0), both[0].sum(axis=0), rtol=1e-9, err_msg=contract)
            alike.append(np.allclose(both[1, :, 1], both[0, :, 1], atol=1e-5))
    assert np.mean(alike) >= 0.8


SAME = {
    "chain cost, just-in-time": ("retailer_cost_jit", "supplier_cost_jit"),
    "chain cost, planned": ("retailer_cost_plan", "supplier_cost_plan"),
    "retailer, just-in-time": ("retailer_utility_jit",),
    "supplier, just-in-time": ("supplier_utility_jit",),
    "gain": ("gain",),
    "fee": ("fee",),
}
"""Sums of columns that do not depend on which of the best plans is found."""


def units(plans):
    """Just-in-time and planned units by contract, node and week."""
    return {
        (row["contract_id"], row["inbound_id"], row["week"]): (row["jit_units"], row["plan_units"])
        for row in plans.to_pylist()
    }
