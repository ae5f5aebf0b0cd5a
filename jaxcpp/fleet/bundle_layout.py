"""From solved bundles to the columns of a run: a row a vendor, and its plans product by product."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcpp.fleet.bundle_pack import first_ids
from jaxcpp.fleet.bundle_shortage import bundle_shortage
from jaxcpp.fleet.bundle_solve import BundleSolved
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.layout import DUST, MONEY, OF_JIT, ROUNDING
from jaxcpp.fleet.results import Columns, Run, joined, taken, worst_gap
from jaxcpp.mechanism import status as codes

ANOTHER = (
    "another vendor of these products has no price, or none that it would pay: just-in-time stands for "
    "all of them"
)
WITHOUT = (
    "the plan is carried out without this vendor, which {has}: its part in it would be priced {regret:,.2f} "
    "above what it is worth to the vendor"
)
OUTSIDE = {"jit": "keeps its just-in-time order", "excluded": "delivers nothing"}
ESSENTIAL = (
    "without this vendor's taking part no plan serves all the demand that must be served, so there is no "
    "transfer to ask for; give the products a lost_sale_cost, or other vendors more capacity"
)


OF_PLAN = ("retailer_cost_plan", "retailer_utility_plan", "gain", "efficiency_lost", "lost_error")
"""Columns that speak of the retailer's life with the plan."""


def with_bundles(run: Run | None, fleet: Fleet, solved: list[BundleSolved]) -> Run:
    """A run's tables with the bundles' rows among them, in the order of contract ids."""
    if not solved:
        assert run is not None, "a fleet has contracts"
        return run
    contracts, plans = [], []
    for part in solved:
        for row in range(len(part.bucket.pieces)):
            ids, products = first_ids(fleet, part.bucket.pieces[row])
            contracts.append(_contracts(fleet, part, row, ids, products))
            plans.append(_plans(fleet, part, row, ids))
    if run is not None:
        contracts.append(run.contracts)
        plans.append(run.plans)
    rows, units = joined(contracts), joined(plans)
    rows = taken(rows, np.argsort(rows["contract_id"], kind="stable"))
    keys = ("week", "inbound_id", "product_id", "contract_id")
    units = taken(units, np.lexsort(tuple(units[key] for key in keys)))
    worst = _worst_gap(solved) if run is None else max(_worst_gap(solved), worst_gap(run.contracts))
    flows = [part.flows for part in solved if part.flows is not None]
    if run is not None:
        flows += [] if run.flows is None else [run.flows]
    return Run(
        contracts=rows,
        plans=units,
        flows=_shipments(flows) if flows else None,
        prices=None if run is None else run.prices,
        worst_gap=worst,
    )


def _shipments(parts: list[Columns]) -> Columns:
    """Flows of all parts, by product, party and nodes."""
    flows = joined(parts)
    whose = np.asarray([vendor or "" for vendor in flows["vendor_id"]])
    keys = *(flows[name] for name in ("week_to", "week_from", "to_id", "from_id")), whose
    return taken(flows, np.lexsort((*keys, flows["party"], flows["product_id"])))


def _worst_gap(solved: list[BundleSolved]) -> float:
    """The largest certified gap, as a fraction of its bundle's chain cost."""
    worst = 0.0
    for part in solved:
        settlement, here = part.settlement, part.bucket.lanes.here
        spent = np.where(here, settlement.retailer_cost_plan + settlement.supplier_cost_plan, 0.0).sum(axis=1)
        gap = settlement.efficiency_gap[:, 0]
        known = (gap > 0.0) & (settlement.code[:, 0] != codes.INFEASIBLE)
        with np.errstate(divide="ignore"):
            worst = max(worst, float(np.max(gap[known] / spent[known], initial=0.0)))
    return worst


def _contracts(
    fleet: Fleet, part: BundleSolved, row: int, ids: list[str], products: list[list[int]]
) -> Columns:
    """One bundle's rows of `contracts`."""
    piece, made = part.bucket.pieces[row], part.settlement
    count = len(ids)
    code = np.array(made.code[row, :count])
    words = np.asarray(codes.REASONS, object)[code]
    unserved = float(part.standing.unmet[row]) if _must_serve(fleet, part, row) else 0.0
    unserved = unserved * float(part.agreed.known.terms.volume[row]) if unserved > ROUNDING else 0.0
    carried = bool(made.accepted[row].any())
    for at in np.flatnonzero(code == codes.DECLINED).tolist():
        regret = float(made.regret[row, at])
        if carried:
            words[at] = WITHOUT.format(has=OUTSIDE[part.absent], regret=max(regret, 0.0))
        elif regret <= 0.0:
            words[at] = ANOTHER
    words[made.unpriced[row, :count] & (code == codes.INFEASIBLE)] = ESSENTIAL
    whole = (code == codes.INFEASIBLE) & ~made.unpriced[row, :count]
    if whole.any():
        # The search's own verdict rests on a price ceiling: only an exact shortage is called infeasible.
        short = bundle_shortage(fleet, piece, part.bucket.lanes, row)
        code[whole] = codes.INFEASIBLE if short else codes.NOT_CONVERGED
        words[whole] = short or codes.REASONS[codes.NOT_CONVERGED]
    for at, text in enumerate(_confirmed(part, row, count)):
        if text:
            text += f", which leaves {unserved:,.10g} units unserved that must be served" if unserved else ""
            words[at] = f"{words[at]}; {text}" if words[at] else text
    lost = _lost(fleet, part, row)
    if lost:
        out = (code == codes.DECLINED).nonzero()[0]
        words[out] = words[out] + f"; the plan leaves {lost:,.10g} units unserved that must be served"
    columns: Columns = {
        "contract_id": np.asarray(ids),
        "vendor_id": fleet.vendor_ids[piece.bundle.vendors],
        "product_ids": [fleet.product_ids[piece.bundle.products[mine]].tolist() for mine in products],
        "status": np.asarray(codes.NAMES)[code],
        "reason": words.tolist(),
    }
    infeasible = code == codes.INFEASIBLE
    for name in MONEY:
        gone = infeasible & (name != "paid") | (unserved > 0.0 and name in OF_JIT)
        gone = gone | (lost > 0.0 and name in OF_PLAN)
        columns[name] = np.where(gone, np.nan, getattr(made, name)[row, :count])
    columns["rounds"] = made.rounds[row, :count].astype(np.int32)
    columns["solver"] = ["newton"] * count
    return columns


def _lost(fleet: Fleet, part: BundleSolved, row: int) -> float:
    """Units that had to be served and that a plan carried out without a vendor leaves unserved, or none."""
    units = float(part.unmet[row]) if _must_serve(fleet, part, row) else 0.0
    return units if units > ROUNDING * float(part.agreed.known.terms.volume[row]) else 0.0


def _must_serve(fleet: Fleet, part: BundleSolved, row: int) -> bool:
    return bool(np.isinf(fleet.products.lost_sale_cost[part.bucket.pieces[row].bundle.products]).any())


def _confirmed(part: BundleSolved, row: int, count: int) -> list[str]:
    """What each vendor confirms of its order, where it is not all of it."""
    slot = np.broadcast_to(part.bucket.lanes.slot[row][:, :, None, None], part.order[row].shape)
    words = []
    for vendor in range(count):
        mine = slot == vendor
        asked, given = float(part.order[row][mine].sum()), float(part.jit[row][mine].sum())
        cut = part.standing.vendors.unfilled[row, vendor] > 1e-9
        words.append(
            f"the vendor can confirm {given:,.10g} of the {asked:,.10g} units ordered just in time"
            if cut
            else ""
        )
    return words


def _plans(fleet: Fleet, part: BundleSolved, row: int, ids: list[str]) -> Columns:
    """One bundle's rows of `plans`: a product, a vendor, an inbound node and a week with any units."""
    piece = part.bucket.pieces[row]
    bundle, volume = piece.bundle, float(part.agreed.known.terms.volume[row])
    jit, plan = (
        np.where(units > DUST * volume * _part(part, row, units), units, 0.0)
        for units in (part.jit[row], part.plan[row])
    )
    product, slot, node, week = np.nonzero((jit > 0.0) | (plan > 0.0))
    vendor = part.bucket.lanes.slot[row][product, slot]
    return {
        "contract_id": np.asarray(ids)[vendor],
        "vendor_id": fleet.vendor_ids[bundle.vendors[vendor]],
        "product_id": fleet.product_ids[bundle.products[product]],
        "inbound_id": fleet.inbound_ids[piece.nodes[node]],
        "week": week.astype(np.int32),
        "jit_units": jit[product, slot, node, week],
        "plan_units": plan[product, slot, node, week],
    }


def _part(part: BundleSolved, row: int, units: Any) -> Any:
    """Each product's part of a bundle's demand: its dust is smaller where it is."""
    lanes = part.bucket.lanes
    demand = np.zeros(lanes.slot.shape[1])
    np.add.at(demand, lanes.product[row], lanes.demand[row].sum(axis=1))
    return np.broadcast_to((demand / max(demand.sum(), 1e-300))[:, None, None, None], units.shape)
