"""Hundreds of contracts, every option on, judged one by one by exact linear programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from tests.fleet.answers import Answer, Truth
from tests.fleet.conftest import CONTRACTS

pytestmark = pytest.mark.slow

ISSUED = ("accepted", "no_gain")


def judged(solved) -> Iterator[tuple[Answer, Truth]]:
    return zip(solved.answers, solved.truths, strict=True)


def complain(found: Iterable[str]) -> None:
    found = list(found)
    assert not found, f"{len(found)} contracts: " + "; ".join(found[:5])


def test_the_fleet_has_every_option_and_every_status(solved):
    """Otherwise the tests below would prove less than they say."""
    problems = [answer.problem for answer in solved.answers]
    assert len(problems) == CONTRACTS
    counts = {
        "stock": sum(p.inventory.any() for p in problems),
        "lost sales": sum(np.isfinite(p.lost_sale) for p in problems),
        "backlog": sum(np.isfinite(p.backlog) for p in problems),
        "leftovers": sum(np.isfinite(p.leftover) for p in problems),
        "closed node": sum(not p.public.all() for p in problems),
        "holes": sum(not np.isfinite(p.unit_cost).all() for p in problems),
    }
    assert all(count > CONTRACTS // 10 for count in counts.values()), counts
    assert sum(not p.demand.any() for p in problems) >= 5
    tight = sum(p.capacity.sum() + p.inventory.sum() == p.demand.sum() > 0 for p in problems)
    assert tight >= 10
    sizes = [p.demand.sum() for p in problems if p.demand.any()]
    assert max(sizes) / min(sizes) > 1e4
    status = Counter(answer.row["status"] for answer in solved.answers)
    assert set(status) == {"accepted", "no_gain", "declined"}
    assert sum(not answer.filled for answer in solved.answers) > CONTRACTS // 10


def test_every_contract_is_certified_within_the_tolerance(solved):
    complain(
        f"{a.id}: gap {a.row['efficiency_gap']:g} of {a.chain:g}"
        for a in solved.answers
        # Where nothing ships nothing is spent, and rounding error is left.
        if not 0.0
        <= a.row["efficiency_gap"]
        <= (solved.settings.tolerance * a.chain * (1 + 1e-9) if a.chain > 0.0 else a.accuracy)
    )


def test_the_true_gap_is_within_the_certified_one(solved):
    found = []
    for answer, true in judged(solved):
        offered = answer.row["retailer_utility_plan"] + answer.row["supplier_utility_plan"]
        if answer.row["status"] in ISSUED:
            offered = true.retailer_at_plan + true.supplier_at_plan
        gap = true.best - offered
        if not -answer.accuracy <= gap <= answer.row["efficiency_gap"] + answer.accuracy:
            found.append(f"{answer.id} {answer.row['status']}: {gap:g} > {answer.row['efficiency_gap']:g}")
    complain(found)


def test_the_true_price_error_is_within_the_certified_one(solved):
    found = []
    for answer, true in judged(solved):
        if answer.row["status"] != "accepted":
            continue
        error = abs(answer.row["cbt"] - (true.jit - true.retailer_at_plan))
        if not error <= answer.row["price_error"] + answer.accuracy:
            found.append(f"{answer.id}: {error:g} > {answer.row['price_error']:g}")
    complain(found)


def test_price_errors_are_small(solved):
    complain(
        f"{a.id}: {a.row['price_error']:g} of {a.chain:g}"
        for a in solved.answers
        if a.row["price_error"] > solved.settings.tolerance * a.chain + a.accuracy
    )


@pytest.mark.parametrize("party", ["retailer", "supplier"])
def test_reported_utilities_are_reached(solved, party):
    """A reported utility comes from flows that exist: never above the truth, hardly below it."""
    found = []
    for answer, true in judged(solved):
        if answer.row["status"] not in ISSUED:
            continue
        short = getattr(true, f"{party}_at_plan") - answer.row[f"{party}_utility_plan"]
        if not -answer.accuracy <= short <= answer.row["efficiency_gap"] + answer.accuracy:
            found.append(f"{answer.id}: {short:g}")
    complain(found)


def test_just_in_time_is_the_retailers_best_order(solved):
    """Where the vendor fills it; ties between orders are the retailer's to break."""
    found = []
    for answer, true in judged(solved):
        slack = solved.settings.tolerance * answer.chain + answer.accuracy
        if answer.filled and not -answer.accuracy <= true.jit - true.retailer_at_jit <= slack:
            found.append(f"{answer.id}: {true.retailer_at_jit:g} of {true.jit:g}")
    complain(found)


def test_just_in_time_costs_are_those_of_its_plan(solved):
    found = []
    for answer, true in judged(solved):
        slack = solved.settings.tolerance * answer.chain + answer.accuracy
        for party in ("retailer", "supplier"):
            exact, told = getattr(true, f"{party}_at_jit"), answer.row[f"{party}_utility_jit"]
            if np.isfinite(exact):
                if not abs(exact - told) <= slack:
                    found.append(f"{answer.id}: {party} {told:g}, truly {exact:g}")
            elif party == "supplier" or not np.isnan(told) or answer.filled:
                found.append(f"{answer.id}: {party} {told:g} for a plan it cannot live with")
    complain(found)


def test_no_gain_means_that_nothing_can_be_gained(solved):
    found = []
    for answer, true in judged(solved):
        gain = true.best - true.retailer_at_jit - true.supplier_at_jit
        if answer.row["status"] == "no_gain" and gain > answer.row["efficiency_gap"] + answer.accuracy:
            found.append(f"{answer.id}: {gain:g}")
    complain(found)


def test_with_its_order_filled_a_vendor_loses_nothing_by_the_offer(solved):
    """Without a fee the whole gain is the supplier's, to within the certificate."""
    complain(
        f"{a.id}: {a.row['supplier_surplus']:g}"
        for a in solved.answers
        if a.filled and a.row["supplier_surplus"] < -a.row["efficiency_gap"] - a.accuracy
    )
