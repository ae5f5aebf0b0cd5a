"""Bundles of every kind, judged one by one by exact linear programs, full and leave-one-out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from jaxcpp.fleet.bundle_layout import with_bundles
from jaxcpp.fleet.bundle_solve import BundleSolved, solve_bundles
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.results import Run
from jaxcpp.fleet.settings import Absent, Settings
from tests.coupled import Kind, prefixed, random_coupled, tables_of
from tests.fleets import INBOUND, read
from tests.oracles import best_jit_utility, retailer_utility
from tests.oracles.coupled import (
    Coupled,
    Key,
    all_retailer_utility,
    joint_utility,
    vendor_status_quo,
    vendor_utility,
)
from tests.oracles.problem import Floats

LP = 1e-8
"""What an answer of the LP solver may be off by, as a fraction of the money at stake."""

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


@dataclass(frozen=True)
class Judged:
    """One bundle: its numbers, and the problem behind them."""

    coupled: Coupled
    solved: BundleSolved
    at: int  # lane
    rows: dict[str, dict[str, Any]]  # by vendor
    order: dict[Key, Floats]
    jit: dict[Key, Floats]
    plan: dict[Key, Floats]  # offered

    @property
    def stake(self) -> float:
        """What an oracle's utility may be off by [currency]."""
        units = self.coupled.scale + sum(float(np.nansum(units)) for units in self.coupled.shared.values())
        return LP * units * 40.0

    def others(self, vendor: str, plan: dict[Key, Floats]) -> float:
        """Exact utility of everybody else with a plan."""
        rest = (name for name in self.coupled.vendors if name != vendor)
        return all_retailer_utility(self.coupled, plan) + sum(
            vendor_utility(self.coupled, v, plan) for v in rest
        )


def plans(coupled: Coupled, fleet: Fleet, solved: BundleSolved, at: int, units: Floats) -> dict[Key, Floats]:
    piece = solved.bucket.pieces[at]
    found = {
        key: np.zeros((p.inbound, p.weeks)) for key in coupled.offers for p in [coupled.products[key[1]]]
    }
    nodes = [INBOUND.index(str(fleet.inbound_ids[node])) for node in piece.nodes]
    for p, offers in enumerate(piece.slots):
        for slot, offer in enumerate(offers):
            key = (
                str(fleet.vendor_ids[fleet.offers.vendor[offer]]),
                str(fleet.product_ids[fleet.offers.product[offer]]),
            )
            found[key][nodes] = units[p, slot, : len(nodes)]
    return found


def judge(whole: Coupled, fleet: Fleet, run: Run, solved: list[BundleSolved]) -> Iterator[Judged]:
    rows = {
        (str(vendor), name): {column: values[at] for column, values in run.contracts.items()}
        for at, vendor in enumerate(run.contracts["vendor_id"])
        for name in run.contracts["product_ids"][at]
    }
    for part in solved:
        for at, piece in enumerate(part.bucket.pieces):
            names = {str(fleet.product_ids[product]) for product in piece.bundle.products}
            offers = {key: offer for key, offer in whole.offers.items() if key[1] in names}
            coupled = Coupled({name: whole.products[name] for name in names}, offers, whole.shared)
            volume = float(part.agreed.known.terms.volume[at])
            offered = np.asarray(part.agreed.outcome.plan[at]).reshape(part.plan[at].shape) * volume
            offered = part.jit[at] if part.settlement.stays[at] else offered
            units = (plans(coupled, fleet, part, at, u) for u in (part.order[at], part.jit[at], offered))
            yield Judged(coupled, part, at, {key[0]: rows[key] for key in offers}, *units)


def solve(parts: dict[str, Coupled], folder, settings: Settings) -> list[Judged]:
    fleet = read(tables_of(parts).tables(), folder)
    solved = solve_bundles(fleet, bundles(fleet), settings, lambda *_: None)
    named = [prefixed(coupled, prefix) for prefix, coupled in parts.items()]
    whole = Coupled(
        {name: problem for one in named for name, problem in one.products.items()},
        {key: offer for one in named for key, offer in one.offers.items()},
        {vendor: units for one in named for vendor, units in one.shared.items()},
    )
    return list(judge(whole, fleet, with_bundles(None, fleet, solved), solved))


@pytest.fixture(scope="module", params=["jit", "excluded"])
def judged(request, tmp_path_factory) -> tuple[Absent, list[Judged]]:
    parts = {
        f"{prefix}{seed}-": random_coupled(seed, kind) for prefix, kind in KINDS.items() for seed in range(4)
    }
    folder = tmp_path_factory.mktemp("bundles") / "fleet"
    return request.param, solve(parts, folder, Settings(absent=request.param))


def complain(found: list[str]) -> None:
    assert not found, f"{len(found)} bundles: " + "; ".join(found[:6])


def test_there_is_a_bundle_of_every_kind(judged):
    _, found = judged
    assert len(found) >= 24
    assert sum(len(one.coupled.vendors) > 1 for one in found if len(one.rows) > 1) >= 10
    assert sum(len(one.rows) == 1 and len(one.coupled.products) > 1 for one in found) >= 6
    statuses = {row["status"] for one in found for row in one.rows.values()}
    assert "accepted" in statuses
    assert "not_converged" not in statuses


def test_every_bundle_is_certified_and_truly_within_its_gap(judged):
    wrong = []
    for one in judged[1]:
        name = next(iter(one.rows))
        row = one.rows[name]
        if row["status"] == "infeasible":
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
    for one in judged[1]:
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
    for one in judged[1]:
        for vendor, row in one.rows.items():
            true, filled = vendor_status_quo(one.coupled, vendor, one.order)
            told, slack = row["supplier_utility_jit"], one.stake + 1e-4 * abs(true)
            if np.isfinite(told) and abs(told - true) > slack:
                wrong.append(f"{vendor}: {told:g}, truly {true:g}")
            if filled == ("confirm" in row["reason"]):
                wrong.append(f"{vendor}: filled {filled}, {row['reason']}")
        for name, problem in one.coupled.products.items():
            ordered = one.coupled.total(one.order, name)
            best = best_jit_utility(_reached(one.coupled, name))
            if abs(best - retailer_utility(problem, ordered)) > one.stake + 1e-5 * abs(best):
                wrong.append(f"{name}: {retailer_utility(problem, ordered):g} of {best:g}")
    complain(wrong)


def _reached(coupled: Coupled, name: str):
    """A product with the lanes of all its vendors."""
    from dataclasses import replace

    lanes = [offer.unit_cost for key, offer in coupled.offers.items() if key[1] == name]
    return replace(coupled.products[name], supplier_unit_cost=np.concatenate(lanes))


def test_transfers_are_those_of_exact_counterfactuals(judged):
    how, found = judged
    wrong, several = [], 0
    for one in found:
        for vendor, row in one.rows.items():
            if row["status"] in ("infeasible", "no_gain"):
                continue
            mine = [key for key in one.order if key[0] == vendor]
            if len(one.rows) == 1:
                without = sum(best_jit_utility(_reached(one.coupled, name)) for name in one.coupled.products)
            else:
                several += 1
                kept = {key: one.order[key] if how == "jit" else 0.0 * one.order[key] for key in mine}
                without, _ = joint_utility(one.coupled, kept, vendor)
            exact = without - one.others(vendor, one.plan)
            if not abs(row["cbt"] - exact) <= row["price_error"] + one.stake:
                wrong.append(
                    f"{vendor} {how}: {row['cbt']:g}, exactly {exact:g}, error {row['price_error']:g}"
                )
    assert several >= 10
    complain(wrong)


def test_who_takes_part_is_not_worse_off(judged):
    wrong = []
    for one in judged[1]:
        for vendor, row in one.rows.items():
            if row["status"] == "accepted":
                slack = row["efficiency_gap"] + row["price_error"] + one.stake
                if row["supplier_surplus"] < -slack:
                    wrong.append(f"{vendor}: {row['supplier_surplus']:g}")
    complain(wrong)
