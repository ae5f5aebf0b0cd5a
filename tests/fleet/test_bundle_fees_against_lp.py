"""Fees on bundles against exact linear programs: the plan they lead to, each vendor's price, what is lost.

Every bundle has other fees by vendor, and charges on deviations by node, week and product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from jaxcpp.fleet.bundle_fees import check_bundle_fees
from jaxcpp.fleet.bundle_layout import ESSENTIAL
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import CoupledContractsError
from jaxcpp.fleet.menu import lay, served, towards
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Absent, JustInTime, Settings, Units
from jaxcpp.tables import read_fleet
from tests.coupled import Kind, in_whole_units, prefixed, random_coupled, tables_of
from tests.fleet.judged import Judged, complain, misjudged, reached_by_all, solve, without
from tests.fleet.test_flows import cost
from tests.fleets import INBOUND, REGIONS, SOURCES, read
from tests.oracles import best_jit_utility
from tests.oracles.alternatives import Game
from tests.oracles.coupled import (
    Counted,
    Coupled,
    Key,
    Plans,
    all_retailer_utility,
    joint_utility,
    vendor_best_part,
    vendor_utility,
)
from tests.oracles.problem import Floats

pytestmark = pytest.mark.slow

KINDS = {
    "shared-": Kind(),
    "tight-": Kind(tight=True, flags={"lost_sales": False, "leftovers": False}),
    "ties-": Kind(flags={"ties": True, "zeros": True}, products=4),
    "several-": Kind(products=2, vendors=2),
    "every-": Kind(products=2, vendors=3, every=True, flags={"lost_sales": True}),
    "own-": Kind(products=3, vendors=2, own=0.5),
}
NEVER = 2000.0
"""Currency a unit: dearer than any lane, so that plans stay where they are."""


@dataclass(frozen=True)
class Fees:
    """What a run charges, as its rules and as the oracles need it."""

    rules: tuple[FeeRule, ...]
    units: Units
    just_in_time: JustInTime = "obliged"

    def rule(self, vendor: str, product: str) -> FeeRule:
        fitting = [
            rule for rule in self.rules if rule.vendor in ("", vendor) and rule.product in ("", product)
        ]
        return max(fitting, key=lambda rule: (bool(rule.vendor), bool(rule.product)))

    def counted(self, one: Judged) -> Counted:
        over, under = ({key: self._table(one, key, side) for key in one.order} for side in ("over", "under"))
        weight = {vendor: 1.0 / (1.0 + self.share(vendor)) for vendor in one.rows}
        return Counted(weight, one.order, over, under)

    def game(self, one: Judged, how: Absent) -> Game:
        additive = {vendor: self.rule(vendor, "").additive for vendor in one.rows}
        return Game(one.coupled, self.counted(one), additive, how, self.just_in_time == "voluntary")

    def share(self, vendor: str) -> float:
        rule = self.rule(vendor, "")
        return rule.multiplicative + rule.roi

    def _table(self, one: Judged, key: tuple[str, str], side: str) -> np.ndarray:
        charge = getattr(self.rule(*key), side)
        table = np.zeros_like(one.order[key])
        for row in range(len(table)):
            node = INBOUND[row]
            table[row] = charge.get(node, charge.get("*", 0.0)) if isinstance(charge, dict) else charge
        return table


def fees(parts: dict[str, Coupled], weeks: int, units: Units, just_in_time: JustInTime) -> Fees:
    """Shares, sums and charges drawn by vendor; products of their own, and everyone."""
    rng = np.random.default_rng(5)
    rules = [FeeRule(additive=0.25, multiplicative=0.2, over=0.1, under=0.05)]
    for prefix, coupled in parts.items():
        named = prefixed(coupled, prefix)
        if prefix.endswith("0-"):
            rules += [FeeRule(vendor=vendor) for vendor in named.vendors]
            continue
        for vendor in named.vendors:
            kind = rng.integers(7)
            by_week = tuple(float(x) for x in rng.uniform(0.0, 2.0, weeks))
            rules += [[], [FeeRule(vendor=vendor, roi=float(rng.uniform(0, 2)))],
                      [FeeRule(vendor=vendor, over={INBOUND[0]: by_week, "*": 0.3}, under={"*": 0.1})],
                      [FeeRule(vendor=vendor, multiplicative=0.5, over=NEVER, under=NEVER)],
                      [FeeRule(vendor=vendor)],
                      [FeeRule(vendor=vendor, additive=float(rng.uniform(0.0, 60.0)))],
                      [FeeRule(vendor=vendor, additive=1e4, roi=0.3)]][kind]  # fmt: skip
        product = str(rng.choice(sorted(named.products)))
        rules.append(FeeRule(product=product, over=0.4, under=0.6))
    return Fees(tuple(rules), units, just_in_time)


RUNS: tuple[tuple[Absent, Units, JustInTime], ...] = (
    ("jit", "continuous", "voluntary"),
    ("excluded", "integer", "obliged"),
)


@pytest.fixture(scope="module", params=RUNS, ids="-".join)
def charged(request, tmp_path_factory) -> tuple[Absent, Fees, list[Judged]]:
    parts = {
        f"{prefix}{seed}-": random_coupled(seed, kind) for prefix, kind in KINDS.items() for seed in range(4)
    }
    how, units, just_in_time = request.param
    if units == "integer":
        parts = {prefix: in_whole_units(coupled) for prefix, coupled in parts.items()}
    asked = fees(parts, next(iter(KINDS.values())).weeks, units, just_in_time)
    folder = tmp_path_factory.mktemp("charged") / "fleet"
    settings = Settings(fees=asked.rules, absent=how, units=units, flows=True, just_in_time=just_in_time)
    return how, asked, solve(parts, folder, settings)


def priced(one: Judged) -> bool:
    return all(row["status"] not in ("infeasible", "no_gain") for row in one.rows.values())


def test_only_a_vendor_that_is_excluded_can_be_without_a_price(charged):
    how, _, judged = charged
    unpriced = [
        (one, v) for one in judged for v, row in one.rows.items() if row["reason"].startswith(ESSENTIAL)
    ]
    assert bool(unpriced) == (how == "excluded")
    for one, vendor in unpriced:
        nothing = {key: np.zeros_like(units) for key, units in one.order.items() if key[0] == vendor}
        assert not np.isfinite(joint_utility(one.coupled, nothing, vendor)[0])
        assert one.rows[vendor]["status"] == "infeasible"
        for key, units in one.issued.items():
            np.testing.assert_array_equal(units, one.jit[key])


def worth(one: Judged, counted: Counted, plan: Plans, without: str = "") -> float:
    """Exact utility of everybody but one with a plan, as the fees count it."""
    return all_retailer_utility(one.coupled, plan) + sum(
        counted.weight[vendor] * (vendor_utility(one.coupled, vendor, plan) - counted.deviation(vendor, plan))
        for vendor in one.rows
        if vendor != without
    )


def test_every_kind_of_offer_is_there(charged):
    _, asked, found = charged
    statuses = [row["status"] for one in found for row in one.rows.values()]
    assert "not_converged" not in statuses
    assert statuses.count("accepted") >= 5
    assert sum(len(one.rows) > 1 and priced(one) for one in found) >= 4
    moved = [one for one in found if any(row["efficiency_lost"] > 0.01 for row in one.rows.values())]
    assert any(row["status"] == "accepted" for one in moved for row in one.rows.values())
    assert any(asked.share(vendor) > 0.5 for one in found for vendor in one.rows)


def test_no_plan_is_better_as_the_fees_count_it_beyond_the_gap(charged):
    _, asked, found = charged
    wrong = []
    for one in found:
        if not priced(one) or without(one):
            continue  # of a plan without some vendor: below
        counted = asked.counted(one)
        best, _ = joint_utility(one.coupled, counted=counted)
        gap = best - worth(one, counted, one.plan)
        for vendor, row in one.rows.items():
            weight = counted.weight[vendor]
            if not -one.stake <= gap <= weight * row["efficiency_gap"] + one.stake:
                wrong.append(f"{vendor}: {gap:g}, at most {weight * row['efficiency_gap']:g}")
            spent = sum(
                r["retailer_cost_plan"] + counted.weight[v] * r["supplier_cost_plan"]
                for v, r in one.rows.items()
            )
            if weight * row["efficiency_gap"] > 1.01e-5 * spent + one.stake:
                wrong.append(f"{vendor}: gap {row['efficiency_gap']:g} of {spent:g}")
    complain(wrong)


def test_prices_are_those_of_exact_counterfactuals(charged):
    _, asked, found = charged
    wrong = []
    for one in found:
        if not priced(one) or len(one.rows) > 1:
            continue
        counted = asked.counted(one)
        ((vendor, row),) = one.rows.items()
        without = sum(best_jit_utility(reached_by_all(one.coupled, p)) for p in one.coupled.products)
        exact = (without - worth(one, counted, one.plan, vendor)) / counted.weight[vendor]
        exact += counted.deviation(vendor, one.plan) + asked.rule(vendor, "").additive
        if not abs(row["price"] - exact) <= row["price_error"] + one.stake / counted.weight[vendor]:
            wrong.append(f"{vendor}: {row['price']:g}, exactly {exact:g}, {row['price_error']:g}")
    complain(wrong)


def test_of_several_vendors_the_best_alternative_is_carried_out_at_exact_prices(charged):
    how, asked, found = charged
    wrong, ends = [], []
    for one in found:
        if priced(one) and len(one.rows) > 1:
            wrong += misjudged(one, asked.game(one, how))
            out = without(one)
            ends.append("none" if out is None else "some" if out else "all")
    assert set(ends) >= {"all", "some"}
    assert len(ends) >= 4
    complain(wrong)


def test_rows_add_up_to_a_price(charged):
    for one in charged[2]:
        for row in one.rows.values():
            if priced(one):
                assert row["cbt"] + row["fee"] == pytest.approx(row["price"], abs=one.stake)


def test_the_efficiency_lost_is_that_of_the_plan_carried_out(charged):
    wrong = []
    for one in charged[2]:
        issued, row = one.issued, next(iter(one.rows.values()))
        if not all(np.isfinite(r["efficiency_lost"]) for r in one.rows.values()):
            continue
        reached = all_retailer_utility(one.coupled, issued)
        if not np.isfinite(reached):
            continue  # what is confirmed just in time does not serve all that must be served
        reached += sum(vendor_utility(one.coupled, vendor, issued) for vendor in one.rows)
        lost = joint_utility(one.coupled)[0] - reached
        told = sum(r["efficiency_lost"] for r in one.rows.values())
        if not abs(told - lost) <= row["lost_error"] + one.stake:
            wrong.append(f"{list(one.rows)}: {told:g}, truly {lost:g}, error {row['lost_error']:g}")
    complain(wrong)


def test_a_prohibitive_charge_keeps_a_vendors_deliveries(charged):
    _, asked, found = charged
    held = 0
    for one in found:
        for vendor, row in one.rows.items():
            if asked.rule(vendor, "").over == NEVER and row["status"] in ("accepted", "no_gain"):
                held += 1
                for key in one.order:
                    if key[0] == vendor and asked.rule(*key).over == NEVER:
                        np.testing.assert_allclose(one.plan[key], one.order[key], atol=1e-6)
    assert held >= 1


def test_voluntary_orders_are_the_vendors_best_part_of_them(charged):
    _, asked, found = charged
    parts = 0
    for one in found:
        for vendor, row in one.rows.items():
            best = vendor_best_part(one.coupled, vendor, one.order)
            within = 2e-5 * (abs(best) + row["supplier_cost_jit"]) + one.stake
            if asked.units == "continuous" and np.isfinite(row["supplier_utility_jit"]):
                assert row["supplier_utility_jit"] == pytest.approx(best, abs=within), vendor
                assert vendor_utility(one.coupled, vendor, one.jit) == pytest.approx(best, abs=within), vendor
            mine = [key for key in one.order if key[0] == vendor]
            assert all((one.jit[key] <= one.order[key] + 1e-6).all() for key in mine)
            parts += sum(float(one.jit[key].sum()) < 0.9 * float(one.order[key].sum()) for key in mine)
    assert parts >= 3 or asked.units == "integer"


def test_whole_units_stay_whole_and_lose_nothing(charged):
    _, asked, found = charged
    for units in (
        units for one in found for plans in (one.order, one.jit, one.plan) for units in plans.values()
    ):
        if asked.units == "integer":
            np.testing.assert_allclose(units, np.rint(units), atol=1e-6)


def shipments(one: Judged, party: str) -> dict[Key, Floats]:
    """Units on each lane, (from, week, to, week), by vendor ("" = the retailer) and product."""
    found: dict[Key, Floats] = {}
    flows, problems = one.run.flows, one.coupled.products
    assert flows is not None
    for at in np.flatnonzero((flows["party"] == party) & np.isin(flows["product_id"], list(problems))):
        row = {name: values[at] for name, values in flows.items()}
        problem, kept = problems[row["product_id"]], row["vendor_id"] or ""
        sources, nodes = (SOURCES, INBOUND) if party == "supplier" else (INBOUND, REGIONS)
        shape = (len(sources), problem.weeks, len(nodes), problem.weeks)
        into = found.setdefault((kept, str(row["product_id"])), np.zeros(shape))
        place = sources.index(row["from_id"]), row["week_from"], nodes.index(row["to_id"]), row["week_to"]
        assert into[place] == 0.0, "two rows for one shipment"
        into[place] = row["units"]
    return found


def test_vendors_ship_the_plan_from_what_they_can_make_together(charged):
    for one in charged[2]:
        shipped = shipments(one, "supplier")
        off = 1e-7 * one.coupled.scale
        for vendor, row in one.rows.items():
            spent, made = 0.0, np.zeros(())
            for key in one.coupled.of(vendor):
                units, offer = (
                    shipped.get(key, np.zeros((len(SOURCES), 2, len(INBOUND), 2))),
                    one.coupled.offers[key],
                )
                arrived = units.sum(axis=(0, 1))[: len(one.issued[key])]
                np.testing.assert_allclose(arrived, one.issued[key], atol=off, err_msg=str(key))
                units = units[: len(offer.own), :, : len(arrived)]
                here = units.sum(axis=(2, 3))
                own = ~np.isnan(offer.own)
                assert (here[own] <= offer.own[own] + off).all(), key
                made = made + np.where(own, 0.0, here)
                spent += cost(units, offer.unit_cost, offer.holding, np.inf)
            assert (made <= np.nan_to_num(one.coupled.shared[vendor]) + off).all(), vendor
            told = row["supplier_cost_jit" if without(one) is None else "supplier_cost_plan"]
            if row["status"] != "infeasible":
                within = row["efficiency_gap"] + row["price_error"] + 1e-5 * told + one.stake
                assert spent == pytest.approx(told, abs=within), (vendor, row["status"])


def test_the_retailer_ships_what_arrives_and_stands_there(charged):
    for one in charged[2]:
        taken, told = shipments(one, "retailer"), 0.0
        accepted = without(one) is not None
        spent, off = 0.0, 1e-7 * one.coupled.scale
        for name, problem in one.coupled.products.items():
            arrived = one.coupled.total(one.issued, name)
            units = taken.get(("", name), np.zeros((len(INBOUND), 2, len(REGIONS), 2)))
            units = units[: problem.inbound, :, : problem.regions]
            assert (units.sum(axis=(0, 1)) <= problem.demand + off).all(), name
            there = arrived.copy()
            there[:, 0] += problem.inventory
            assert (units.sum(axis=(2, 3)) <= there + off).all(), name
            spent += cost(units, problem.unit_cost, problem.holding, problem.backlog)
            used = np.maximum(units.sum(axis=(2, 3)) - arrived, 0.0).sum()
            lost, left = problem.demand.sum() - units.sum(), arrived.sum() + used - units.sum()
            spent += (problem.lost_sale if np.isfinite(problem.lost_sale) else 0.0) * lost
            spent += (problem.leftover if np.isfinite(problem.leftover) else 0.0) * left
        rows = list(one.rows.values())
        told = sum(row["retailer_cost_plan" if accepted else "retailer_cost_jit"] for row in rows)
        if np.isfinite(told):
            within = sum(row["efficiency_gap"] + row["price_error"] for row in rows) + 1e-5 * told + one.stake
            assert spent == pytest.approx(told, abs=within), list(one.rows)


def test_shares_by_product_are_refused_where_a_transfer_is_for_several(tmp_path):
    fleet = read(tables_of({"s-": random_coupled(0, Kind())}).tables(), tmp_path / "fleet")
    product = str(fleet.product_ids[bundles(fleet).items[0].products[0]])
    with pytest.raises(CoupledContractsError, match="only deviation can be charged by product"):
        check_bundle_fees((FeeRule(product=product, roi=0.1),), fleet, bundles(fleet))
    check_bundle_fees((FeeRule(product=product, over=0.1),), fleet, bundles(fleet))


def test_a_menu_asks_for_what_the_others_so_counted_lose(tmp_path):
    most, least = FeeRule(additive=5.0, multiplicative=0.5, over=0.3, under=0.1), "every-1-vendor-1"
    asked = Fees((most, FeeRule(vendor=least, additive=3.0, multiplicative=0.1)), "continuous")
    (one,) = solve(
        {"every-1-": random_coupled(1, KINDS["every-"])}, tmp_path / "fleet", Settings(fees=asked.rules)
    )
    fleet, _ = read_fleet(tmp_path / "fleet")
    game, counted = asked.game(one, "jit"), asked.counted(one)
    worth, stay = game.worth(), game.outside()
    priced = 0
    for key in [key for key in one.order if one.order[key].sum() > 0.0][:2]:
        vendor, weight = key[0], counted.weight[key[0]]
        table = lay(fleet, *key, asked.rules)
        ids, plans = towards(table, table.inbound_ids[0])
        columns, _ = served(table, ids, plans)
        nodes = [INBOUND.index(name) for name in table.inbound_ids]
        owed = sum(counted.weight[v] * game.additive[v] for v in one.rows if v != vendor)
        best = max(worth[vendor], worth["jit"]) - weight * stay[vendor][0]
        for at, plan in enumerate(plans, start=1):
            full = {k: units.copy() for k, units in one.order.items() if k[0] == vendor}
            full[key][nodes] = plan
            others, _ = joint_utility(one.coupled, full, vendor, counted)
            if not np.isfinite(others):
                assert columns["price"][at] == np.inf
                continue
            exact = (best - others + owed) / weight + game.additive[vendor] + counted.deviation(vendor, full)
            off = columns["price_error"][at] + one.stake / weight
            assert columns["price"][at] == pytest.approx(exact, abs=off), (key, ids[at - 1])
            priced += 1
    assert priced >= 4
