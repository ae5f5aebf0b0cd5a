"""Every week of a roll against exact linear programs, from the state that the week before wrote."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.fleet.roll_layout import states_of
from tests import oracles
from tests.fleets import INBOUND, REGIONS, SOURCES
from tests.horizon.rolls import random_fleet, random_problems, rolled
from tests.oracles.weeks import at_week, continuation_cost

pytestmark = pytest.mark.slow

WEEKS, WINDOW = 4, 3
NEAR = 1e-5
"""Of the retailer's cost, or of the vendor's profit."""


@pytest.fixture(scope="module", params=[1, WINDOW], ids=["one", "all"])
def found(tmp_path_factory, request):
    fleet = random_fleet(tmp_path_factory.mktemp("weeks") / "fleet", weeks=WEEKS)
    return rolled(fleet, weeks=WEEKS, window=WINDOW, commit=request.param)


def test_a_week_begins_at_the_prices_at_which_the_last_one_ended(found):
    (run,), binds = found.roll.runs, found.roll.settings.commit > 1
    state = states_of(found.roll, found.weeks[0]["state"])[0]["plan"]
    assert np.all(np.isfinite(state.price))
    opened = run.plan(state, 1, binds, binds).opened.prepared
    np.testing.assert_allclose(opened.state.price * opened.terms.money[:, None], state.price, rtol=1e-12)


def opening(found, week, contract, problem):
    """The problem that a contract stands before, as the tables tell it."""
    kept, backlog = np.zeros((problem.regions, WINDOW)), np.zeros(problem.regions)
    stock, record = np.zeros(problem.sources), np.zeros((problem.inbound, WINDOW))
    if week:
        state = found.weeks[week - 1]["state"]
        rows = zip(
            *(
                state[name]
                for name in ("contract_id", "arm", "what", "node_id", "region_id", "week", "value")
            ),
            strict=True,
        )
        for owner, arm, what, node, region, at, value in rows:
            if owner != contract or arm != "plan":
                continue
            if what == "kept":
                kept[REGIONS.index(region), at] += value
            elif what == "backlog":
                backlog[REGIONS.index(region)] += value
            elif what == "stock":
                stock[SOURCES.index(node)] += value
            elif what == "record":
                record[INBOUND.index(node), at] += value
    backlog[backlog < 1e-6] = 0.0
    return at_week(problem, week, kept, backlog, stock, WINDOW), record


def plan_of(found, week, contract, column, problem):
    units = np.zeros((problem.inbound, problem.weeks))
    plans = found.weeks[week]["plans"]
    for owner, node, at, value in zip(
        plans["contract_id"], plans["inbound_id"], plans["week"], plans[column], strict=True
    ):
        if owner == contract and at - week < problem.weeks:
            units[INBOUND.index(node), at - week] = value
    return units


def test_every_week_is_what_the_programs_say(found):
    looked = 0
    problems = random_problems(weeks=WEEKS)
    binding = found.roll.settings.commit
    for week, row in np.ndindex(WEEKS, len(problems)):
        contracts = found.weeks[week]["contracts"]
        name, product = contracts["contract_id"][row], contracts["product_ids"][row][0]
        problem, record = opening(found, week, name, problems[product])
        profit, order = oracles.best_jit(problem)
        assert order is not None
        standing = problem.margin * problem.demand.sum() - profit
        scale = NEAR * max(standing, 1.0)
        status, reason = contracts["status"][row], contracts["reason"][row]
        if "confirm" in reason or status == "declined":
            continue
        looked += 1
        plan = plan_of(found, week, name, "plan_units", problem)
        baseline = plan_of(found, week, name, "baseline_units", problem)
        recorded = binding > 1 and week > 0
        if recorded:  # eq. 9: what is on record stands, and one more week is the retailer's own
            known = record[:, : problem.weeks]
            exact = continuation_cost(problem, known, min(binding - 1, problem.weeks))
            np.testing.assert_allclose(baseline[:, : binding - 1], known[:, : binding - 1], atol=1e-5)
        else:
            exact = standing
        own = continuation_cost(problem, baseline, problem.weeks)
        assert own == pytest.approx(exact, abs=scale), (week, name)
        weeks = min(binding, problem.weeks)
        transfer = 0.0 if status == "no_gain" else continuation_cost(problem, plan, weeks) - exact
        assert contracts["cbt"][row] == pytest.approx(transfer, abs=2 * scale), (week, name)
        best, _ = oracles.joint_optimum(problem)
        vendor, _ = oracles.supplier_status_quo(problem, baseline)
        gain = best - (problem.margin * problem.demand.sum() - exact) - vendor
        assert contracts["gain"][row] == pytest.approx(gain, abs=2 * NEAR * (abs(vendor) + standing)), (
            week,
            name,
        )
    assert looked >= 2 * WEEKS
