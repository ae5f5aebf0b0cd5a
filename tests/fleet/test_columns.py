"""What the columns of a run say of each other."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.fleet.results import Run
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.tables.schema import RUN
from tests.fleet.answers import answers, row_of

pytestmark = pytest.mark.slow

FEE = 40.0
SUM = 1e-9
"""What a sum of currency columns may miss by, as a fraction of the largest of them."""


@pytest.fixture(scope="module")
def with_fee(solved) -> Run:
    """The same fleet with an activity fee that some contracts bear and some do not."""
    return plan_fleet(solved.fleet, Settings(fees=(FeeRule(additive=FEE),)))


def money(run: Run, name: str) -> np.ndarray:
    return np.asarray(run.contracts[name], dtype=np.float64)


def utilities(run: Run) -> np.ndarray:
    return np.stack([np.abs(money(run, f"{party}_utility_plan")) for party in ("retailer", "supplier")]).sum(
        0
    )


def close(run: Run, left: np.ndarray, right: np.ndarray) -> None:
    worst = np.nan_to_num(np.abs(left - right) - SUM * (utilities(run) + np.abs(right) + FEE))
    assert (worst <= 0.0).all(), run.contracts["contract_id"][np.argmax(worst)]


def test_the_columns_are_those_of_the_file_contract(solved):
    for name in ("contracts", "plans", "flows"):
        columns = getattr(solved.run, name)
        assert set(columns) == set(RUN[name].by_name)
        assert len({len(column) for column in columns.values()}) == 1


def test_one_row_a_contract_in_the_order_of_ids(solved):
    ids = [str(id_) for id_ in solved.run.contracts["contract_id"]]
    assert ids == sorted(solved.sample.problems)
    for id_, vendor, products in zip(
        ids, solved.run.contracts["vendor_id"], solved.run.contracts["product_ids"], strict=True
    ):
        assert id_ == f"{vendor}:{products[0]}"
        assert len(products) == 1


@pytest.mark.parametrize("which", ["run", "with_fee"])
def test_sums_of_currency(solved, with_fee, which):
    run = with_fee if which == "with_fee" else solved.run
    close(run, money(run, "price"), money(run, "cbt") + money(run, "fee"))
    gained = money(run, "supplier_utility_plan") - money(run, "supplier_utility_jit")
    close(run, money(run, "supplier_surplus"), gained - money(run, "price"))
    lost = money(run, "retailer_utility_jit") - money(run, "retailer_utility_plan")
    close(run, money(run, "gain"), gained - lost)
    accepted = np.asarray(run.contracts["status"]) == "accepted"
    np.testing.assert_array_equal(money(run, "paid"), np.where(accepted, money(run, "price"), 0.0))


def test_the_retailer_and_the_principal_end_where_the_retailer_began(solved):
    """With the order filled, the transfer makes good exactly what the plan costs the retailer."""
    filled = np.asarray([answer.filled for answer in solved.answers])
    run = solved.run
    assert filled.sum() > len(filled) // 2
    lost = money(run, "retailer_utility_jit") - money(run, "retailer_utility_plan")
    close(run, np.where(filled, money(run, "cbt"), 0.0), np.where(filled, lost, 0.0))


def test_numbers_are_numbers(solved):
    """Only life with an order that leaves the retailer short of what must be served has none."""
    run = solved.run
    lived = np.asarray([np.isfinite(true.retailer_at_jit) for true in solved.truths])
    assert not lived.all()
    for name in RUN["contracts"].by_name:
        column = run.contracts[name]
        if not isinstance(column, np.ndarray) or column.dtype.kind != "f":
            continue
        expected = lived if name in ("retailer_cost_jit", "retailer_utility_jit", "gain") else True
        if name in ("efficiency_lost", "lost_error"):
            expected = lived | (run.contracts["status"] == "accepted")
        np.testing.assert_array_equal(np.isfinite(column), np.broadcast_to(expected, column.shape), name)
    for name in ("jit_units", "plan_units"):
        assert np.isfinite(run.plans[name]).all()
        assert (run.plans[name] >= 0.0).all()


def test_signs(solved):
    run = solved.run
    status = np.asarray(run.contracts["status"])
    assert (money(run, "efficiency_gap") >= 0.0).all()
    assert (money(run, "price_error") >= 0.0).all()
    # A plan can be no better for the retailer than its own: the transfer is never negative.
    assert (money(run, "cbt") >= -money(run, "price_error")).all()
    assert (money(run, "supplier_surplus")[status == "accepted"] > 0.0).all()
    assert (
        money(run, "supplier_surplus")[status == "declined"] <= SUM * utilities(run)[status == "declined"]
    ).all()
    for name in ("gain", "cbt", "fee", "price", "supplier_surplus"):
        assert not money(run, name)[status == "no_gain"].any(), name


def test_utility_is_profit_less_cost(solved):
    flows = solved.run.flows
    sold = dict.fromkeys(map(str, flows["product_id"]), 0.0)
    retailer = np.asarray(flows["party"]) == "retailer"
    for product, units in zip(
        np.asarray(flows["product_id"])[retailer], flows["units"][retailer], strict=True
    ):
        sold[str(product)] += units
    for answer in solved.answers:
        problem, row = answer.problem, answer.row
        slack = solved.settings.tolerance * answer.chain + answer.accuracy
        for when, plan in (("jit", answer.jit), ("plan", answer.plan)):
            if when == "plan" and row["status"] == "declined":
                continue  # the offered plan is not the one carried out
            profit = problem.supplier_margin * plan.sum()
            assert row[f"supplier_utility_{when}"] == pytest.approx(
                profit - row[f"supplier_cost_{when}"], abs=slack
            ), answer.id
            if when == "plan":
                profit = problem.margin * sold.get(row["product_ids"][0], 0.0)
                assert row["retailer_utility_plan"] == pytest.approx(
                    profit - row["retailer_cost_plan"], abs=slack
                ), answer.id


def test_a_fee_changes_the_decision_and_nothing_else(solved, with_fee):
    before, after = solved.run.contracts, with_fee.contracts
    changed = "status", "reason", "fee", "price", "paid", "supplier_surplus", "efficiency_lost", "lost_error"
    for name in RUN["contracts"].by_name:
        if name not in changed:
            np.testing.assert_array_equal(before[name], after[name], name)
    status, was = np.asarray(after["status"]), np.asarray(before["status"])
    stays = was == "no_gain"
    np.testing.assert_array_equal(stays, status == "no_gain")
    np.testing.assert_array_equal(money(with_fee, "fee"), np.where(stays, 0.0, FEE))
    surplus = money(solved.run, "supplier_surplus")
    clear = ~(np.abs(surplus - FEE) <= SUM * utilities(solved.run))  # else rounding decides
    np.testing.assert_array_equal((status == "accepted")[clear], (~stays & (surplus > FEE))[clear])
    refused = (status == "declined") & (was == "accepted")
    assert refused.any()
    assert (status == "accepted").any()
    lost = money(with_fee, "efficiency_lost")
    np.testing.assert_array_equal(lost[status == "accepted"], 0.0, "an additive fee moves no plan")
    declined = (status == "declined") & np.isfinite(money(with_fee, "gain"))
    np.testing.assert_allclose(lost[declined], np.maximum(money(with_fee, "gain"), 0.0)[declined], atol=1e-6)
    for row in np.flatnonzero(refused):
        assert "above the supplier's gain" in after["reason"][row]


def test_declined_contracts_carry_out_just_in_time(solved, with_fee):
    before = {answer.id: answer for answer in solved.answers}
    for answer in answers(with_fee, solved.sample):
        np.testing.assert_array_equal(answer.jit, before[answer.id].jit)
        if answer.row["status"] in ("declined", "no_gain"):
            np.testing.assert_array_equal(answer.plan, answer.jit)
        else:
            np.testing.assert_array_equal(answer.plan, before[answer.id].plan)


def test_plans_serve_all_that_must_be_served_and_deliver_no_more_than_there_is(solved):
    for answer in solved.answers:
        problem, plan = answer.problem, answer.plan
        slack = 1e-8 * max(problem.demand.sum(), 1.0)
        assert plan.sum() <= problem.capacity.sum() + slack, answer.id
        # What arrives by a week was made by then, whatever the lanes.
        made = np.cumsum(problem.capacity.sum(axis=0))
        assert (np.cumsum(plan.sum(axis=0)) <= made + slack).all(), answer.id
        if np.isinf(problem.lost_sale) and answer.row["status"] != "declined":
            assert plan.sum() + problem.inventory.sum() >= problem.demand.sum() - slack, answer.id
        if np.isinf(problem.leftover):
            assert plan.sum() <= problem.demand.sum() + slack, answer.id
        assert not plan[~problem.public].any(), answer.id


def test_a_part_confirmed_is_told_in_units(solved):
    for answer in solved.answers:
        if not answer.filled:
            words = answer.row["reason"]
            confirmed = float(words.split("can confirm ")[1].split()[0].replace(",", ""))
            ordered = float(words.split(" of the ")[1].split()[0].replace(",", ""))
            assert confirmed == pytest.approx(answer.jit.sum(), rel=1e-8), answer.id
            assert confirmed < ordered <= answer.problem.demand.sum() * (1 + 1e-9), answer.id
            left = "unserved" in words
            assert left == np.isnan(answer.row["gain"]), answer.id


def test_progress_is_told_to_the_end(solved):
    steps = solved.progress
    assert [step.total for step in steps] == [len(solved.answers)] * len(steps)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    last = steps[-1]
    assert last.done == last.certified == last.total
    assert 0.0 < last.worst_gap <= solved.settings.tolerance


def test_the_row_of_one_contract_is_the_paper_of_a_fleet(solved):
    row = row_of(solved.run, solved.answers[0].id)
    assert row["contract_id"] == solved.answers[0].id
    assert solved.run.device
    assert set(solved.run.seconds) == {"compile", "solve"}
    assert all(seconds >= 0.0 for seconds in solved.run.seconds.values())
