"""Without float64: nothing breaks, less is certified, and what is certified holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import oracles
from tests.mechanism.batches import stake
from tests.mechanism.float32 import TOLERANCE, problems
from tests.oracles import Problem

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SUMS = 64 * np.finfo(np.float32).eps
"""Of the money at stake: what a handful of float32 sums and products may be off by."""


@pytest.fixture(scope="module")
def single() -> dict[str, Any]:
    environment = {**os.environ, "JAX_ENABLE_X64": "0", "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.mechanism.float32"],
        capture_output=True, text=True, check=False, env=environment, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {name: np.asarray(value) for name, value in json.loads(done.stdout).items()}


def as_issued(problem: Problem, plan: np.ndarray) -> float:
    """The chain's exact utility at the nearest plan it can carry out: float32 misses by a few ulps."""
    exact = -np.inf
    program_slack = oracles.lp.SLACK
    try:
        oracles.lp.SLACK = 64 * float(np.finfo(np.float32).eps)
        exact = oracles.retailer_utility(problem, plan) + oracles.supplier_utility(problem, plan)
    finally:
        oracles.lp.SLACK = program_slack
    return exact


def test_it_ran_in_float32_and_nothing_is_nan(single):
    assert str(single["dtype"]) == "float32"
    for name, values in single.items():
        if values.dtype.kind == "f":
            assert np.isfinite(values).all(), name


def test_every_contract_is_certified_at_the_default_tolerance(single):
    assert np.isin(single["status"], ("accepted", "declined", "no_gain")).all(), single["status"]
    money = np.asarray([stake(problem) for problem in problems()])
    assert (single["efficiency_gap"] <= TOLERANCE * single["chain_cost"] + SUMS * money).all()


def test_the_true_gap_is_below_the_certified_one(single):
    """Both as stated and at the plan itself, by linear programs in float64."""
    for index, problem in enumerate(problems()):
        best = oracles.joint_optimum(problem)[0]
        gap = single["efficiency_gap"][index]
        assert best - single["utility"][index] <= gap, problem
        assert best - as_issued(problem, single["plan"][index]) <= gap + SUMS * stake(problem), problem


def test_certificates_are_wider_than_in_float64(single):
    """A bound below what float32 can tell apart would be a lie."""
    money = single["chain_cost"]
    assert (single["efficiency_gap"] >= np.finfo(np.float32).eps * money).all()
    assert (single["price_error"] >= np.finfo(np.float32).eps * money).all()


def test_the_papers_price_to_the_certificate(single):
    assert single["status"][0] == "accepted"
    assert abs(single["cbt"][0] - 30.0) <= single["price_error"][0]
    assert abs(single["price"][0] - 80.0) <= single["price_error"][0]
    assert abs(single["gain"][0] - 120.0) <= 2.0 * single["efficiency_gap"][0]
    assert single["price_error"][0] <= TOLERANCE * 710
