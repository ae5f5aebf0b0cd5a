"""Bundles of every kind, judged one by one by exact linear programs, full and leave-one-out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxcpp.fleet.bundle_audit import audit_bundles
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.menu import lay, served, towards
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings
from jaxcpp.tables import read_fleet
from tests.coupled import Kind, random_coupled, tables_of
from tests.fleet.judged import Judged, complain, misjudged, reached_by_all, solve, without
from tests.fleets import INBOUND, read
from tests.oracles import best_jit_utility, retailer_utility
from tests.oracles.alternatives import Game, free_of_charge
from tests.oracles.coupled import (
    Coupled,
    all_retailer_utility,
    joint_utility,
    vendor_status_quo,
    vendor_utility,
)

pytestmark = pytest.mark.slow

TIES = {"ties": True, "zeros": True}
KINDS = {
    "shared-": Kind(),
    "tight-": Kind(tight=True, flags={"lost_sales": False, "leftovers": False}),
    "ties-": Kind(flags=TIES, products=4),
    "one-": Kind(products=1, vendors=2, every=True),
    "several-": Kind(products=2, vendors=2),
    "every-": Kind(products=2, vendors=3, every=True, flags={"lost_sales": True}),
    "own-": Kind(products=3, vendors=2, own=0.5),
    "idle-": Kind(products=2, vendors=2, every=True, idle=True, flags={"lost_sales": True}),
}


def problems() -> dict[str, Coupled]:
    return {
        f"{prefix}{seed}-": random_coupled(seed, kind) for prefix, kind in KINDS.items() for seed in range(4)
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("bundles") / "fleet"


@pytest.fixture(scope="module")
def judged(folder) -> list[Judged]:
    return solve(problems(), folder, Settings())


def test_there_is_a_bundle_of_every_kind(judged):
    assert len(judged) >= 24
    assert sum(len(one.coupled.vendors) > 1 for one in judged if len(one.rows) > 1) >= 10
    assert sum(len(one.rows) == 1 and len(one.coupled.products) > 1 for one in judged) >= 6
    statuses = {row["status"] for one in judged for row in one.rows.values()}
    assert "accepted" in statuses
    assert "not_converged" not in statuses


def test_every_bundle_is_certified_and_truly_within_its_gap(judged):
    wrong = []
    for one in judged:
        name = next(iter(one.rows))
        row = one.rows[name]
        if row["status"] == "infeasible" or without(one):
            continue
        best, _ = joint_utility(one.coupled)
        reached = all_retailer_utility(one.coupled, one.plan)
        reached += sum(vendor_utility(one.coupled, vendor, one.plan) for vendor in one.rows)
        gap = best - reached
        chain = sum(r["retailer_cost_plan"] + r["supplier_cost_plan"] for r in one.rows.values())
        if not -one.stake <= gap <= row["efficiency_gap"] + one.stake:
            wrong.append(f"{name}: {gap:g} > {row['efficiency_gap']:g}")
        if row["efficiency_gap"] > 1.01e-5 * chain + one.stake:
            wrong.append(f"{name}: gap {row['efficiency_gap']:g} of {chain:g}")
    complain(wrong)


def test_utilities_of_rows_add_up_to_the_truth(judged):
    wrong = []
    for one in judged:
        if any(row["status"] == "infeasible" for row in one.rows.values()):
            continue
        slack = one.stake + next(iter(one.rows.values()))["efficiency_gap"]
        told = sum(row["retailer_utility_plan"] for row in one.rows.values())
        if abs(told - all_retailer_utility(one.coupled, one.plan)) > slack:
            wrong.append(f"{list(one.rows)}: retailer {told:g}")
        for vendor, row in one.rows.items():
            true = vendor_utility(one.coupled, vendor, one.plan)
            if abs(row["supplier_utility_plan"] - true) > slack:
                wrong.append(f"{vendor}: {row['supplier_utility_plan']:g}, truly {true:g}")
    complain(wrong)


def test_just_in_time_is_the_retailers_best_and_the_vendors_best_reply(judged):
    wrong = []
    for one in judged:
        for vendor, row in one.rows.items():
            true, filled = vendor_status_quo(one.coupled, vendor, one.order)
            told, slack = row["supplier_utility_jit"], one.stake + 1e-4 * abs(true)
            if np.isfinite(told) and abs(told - true) > slack:
                wrong.append(f"{vendor}: {told:g}, truly {true:g}")
            if filled == ("confirm" in row["reason"]):
                wrong.append(f"{vendor}: filled {filled}, {row['reason']}")
        for name, problem in one.coupled.products.items():
            ordered = one.coupled.total(one.order, name)
            best = best_jit_utility(reached_by_all(one.coupled, name))
            if abs(best - retailer_utility(problem, ordered)) > one.stake + 1e-5 * abs(best):
                wrong.append(f"{name}: {retailer_utility(problem, ordered):g} of {best:g}")
    complain(wrong)


def test_transfers_are_those_of_exact_counterfactuals(judged):
    wrong, several = [], 0
    for one in judged:
        if any(row["status"] in ("infeasible", "no_gain") for row in one.rows.values()):
            continue
        if len(one.rows) > 1:
            several += len(one.rows)
            wrong += misjudged(one, Game(one.coupled, free_of_charge(one.order), {}, "jit", False))
            continue
        ((vendor, row),) = one.rows.items()
        alone = sum(best_jit_utility(reached_by_all(one.coupled, name)) for name in one.coupled.products)
        exact = alone - one.others(vendor, one.plan)
        if not abs(row["cbt"] - exact) <= row["price_error"] + one.stake:
            wrong.append(f"{vendor}: {row['cbt']:g}, exactly {exact:g}, error {row['price_error']:g}")
    assert several >= 10
    complain(wrong)


def test_who_takes_part_is_not_worse_off(judged):
    wrong = []
    for one in judged:
        for vendor, row in one.rows.items():
            if row["status"] == "accepted":
                slack = row["efficiency_gap"] + row["price_error"] + one.stake
                if row["supplier_surplus"] < -slack:
                    wrong.append(f"{vendor}: {row['supplier_surplus']:g}")
    complain(wrong)


def test_a_share_charged_afterwards_comes_on_top_of_the_exact_transfer(folder):
    share, wrong, ends = 1.5, [], []
    found = solve(problems(), folder.parent / "afterwards", Settings(fees=(FeeRule(roi_ex_post=share),)))
    for one in found:
        if any(row["status"] in ("infeasible", "no_gain") for row in one.rows.values()):
            continue
        out, slack = without(one), one.stake + max(row["efficiency_gap"] for row in one.rows.values())
        game = Game(one.coupled, free_of_charge(one.order), {}, "jit", False)
        worth = game.worth() if len(one.rows) > 1 else {}
        ends.append(out)
        for vendor, row in one.rows.items():
            if out not in (None, "") and row["status"] != "accepted":
                continue
            if len(one.rows) == 1:
                alone = (best_jit_utility(reached_by_all(one.coupled, name)) for name in one.coupled.products)
                cbt = sum(alone) - one.others(vendor, one.plan)
            else:
                cbt = game.price(vendor, one.plan, out or "", worth)
            exact = cbt + share * abs(cbt)
            if not abs(row["price"] - exact) <= row["price_error"] + one.stake:
                wrong.append(f"{vendor}: {row['price']:g}, exactly {exact:g}, error {row['price_error']:g}")
            if row["status"] == "accepted" and row["supplier_surplus"] < -(slack + row["price_error"]):
                wrong.append(f"{vendor} takes part and loses {-row['supplier_surplus']:g}")
        if out is None and not any(row["supplier_surplus"] <= slack for row in one.rows.values()):
            wrong.append(f"{list(one.rows)}: nobody would lose")
    assert {None, ""} <= set(ends)
    complain(wrong)


def test_a_vendor_that_nobody_can_do_without_has_a_price(judged):
    essential = 0
    for one in judged:
        for vendor, row in one.rows.items():
            kept = {key: units for key, units in one.order.items() if key[0] == vendor}
            others = joint_utility(one.coupled, kept, vendor)[0] if len(one.rows) > 1 else 0.0
            best = joint_utility(one.coupled)[0]
            if np.isfinite(best) and not np.isfinite(others):
                essential += 1
                assert row["status"] in ("accepted", "declined", "no_gain"), vendor
                assert np.isfinite(row["price"]), vendor
    assert essential >= 2


def test_no_vendor_gains_by_a_lie_of_its_own(judged, folder):
    fleet, _ = read_fleet(folder)
    rng = np.random.default_rng(2)
    vendors = sorted({vendor for one in judged for vendor in one.rows})
    fees = [FeeRule(vendor=vendor, additive=float(rng.choice([0.0, 5.0, 80.0, 1e4]))) for vendor in vendors]
    found = audit_bundles(fleet, bundles(fleet), Settings(fees=tuple(fees)), 2, seed=1)
    assert set(found["vendor_id"]) == set(vendors)
    assert found["tried"].sum() >= len(found["tried"])
    assert not found["gained"].any(), [
        f"{found['vendor_id'][at]}: {found['regret'][at]:g}" for at in np.flatnonzero(found["gained"])
    ]


def test_to_make_a_needed_vendor_seem_dispensable_gains_nothing(tmp_path):
    needed = Kind(products=2, vendors=2, flags={"lost_sales": False})
    fleet = read(tables_of({"needed-": random_coupled(3, needed)}).tables(), tmp_path / "fleet")
    found = audit_bundles(fleet, bundles(fleet), Settings(), 8, seed=0)
    assert found["tried"].max() == 8
    assert found["tried"].min() > 0
    assert not found["gained"].any(), found["regret"]


def test_a_menu_prices_plans_by_what_the_others_lose_around_them(judged, folder):
    fleet, _ = read_fleet(folder)
    one = next(one for one in judged if len(one.rows) > 1 and next(iter(one.rows)).startswith("every-"))
    key = next(key for key in one.order if one.order[key].sum() > 0.0)
    table = lay(fleet, *key)
    ids, plans = towards(table, table.inbound_ids[0])
    columns, _ = served(table, ids, plans)
    kept = {k: units for k, units in one.order.items() if k[0] == key[0]}
    base, _ = joint_utility(one.coupled, kept, key[0])
    nodes = [INBOUND.index(name) for name in table.inbound_ids]
    for at, plan in enumerate(plans, start=1):
        full = np.zeros_like(one.order[key])
        full[nodes] = plan
        others, _ = joint_utility(one.coupled, {**kept, key: full}, key[0])
        mine = vendor_utility(one.coupled, key[0], {**kept, key: full})
        if np.isfinite(others):
            off = columns["price_error"][at] + one.stake
            assert columns["price"][at] == pytest.approx(base - others, abs=off), ids[at - 1]
        else:
            assert columns["price"][at] == np.inf
        assert np.isfinite(mine) == np.isfinite(columns["supplier_utility"][at])
        if np.isfinite(mine):
            assert columns["supplier_utility"][at] == pytest.approx(mine, abs=1e-4 * abs(mine) + one.stake)
