"""From solved buckets to the columns of a run, in the order of contract ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcpp.fleet.batch import Solved, rows
from jaxcpp.fleet.contracts import Contracts
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.flows import flow_columns
from jaxcpp.fleet.infeasible import shortage
from jaxcpp.fleet.pack import Packer
from jaxcpp.fleet.results import Columns, Run
from jaxcpp.fleet.settings import Settings
from jaxcpp.mechanism import status as codes

DUST = 1e-9
"""Of a contract's volume: units below this are rounding, and written as none."""

ROUNDING = 1e-6
"""Of a contract's volume: less than this unserved just in time comes of rounding the part confirmed."""

MONEY = (
    "retailer_cost_jit", "retailer_cost_plan", "supplier_cost_jit", "supplier_cost_plan",
    "retailer_utility_jit", "retailer_utility_plan", "supplier_utility_jit", "supplier_utility_plan",
    "gain", "cbt", "fee", "price", "paid", "supplier_surplus", "efficiency_lost",
    "efficiency_gap", "price_error", "lost_error",
)  # fmt: skip
"""Columns of contracts that hold money, in their order."""

OF_JIT = ("retailer_cost_jit", "retailer_utility_jit", "gain")
"""Columns that speak of the retailer's life with the just-in-time plan."""

OF_ISSUED = ("efficiency_lost", "lost_error")
"""Columns that speak of both parties' life with the plan carried out."""


def lay_out(fleet: Fleet, found: Contracts, packer: Packer, solved: list[Solved], settings: Settings) -> Run:
    """All contracts and plans as columns; flows too if they were asked for."""
    order = np.argsort(np.concatenate([part.bucket.contract for part in solved]), kind="stable")
    contract = _joined([_flat(part) for part in solved], order)
    plans = [_plan_rows(fleet, part) for part in solved]
    return Run(
        contracts=_contract_columns(fleet, found, packer, contract, settings),
        plans=_by_contract(fleet, found, plans),
        flows=flow_columns(fleet, found, solved, settings) if settings.flows else None,
        prices=_prices(fleet, found, solved),
    )


def _flat(part: Solved) -> dict[str, np.ndarray]:
    """The columns of a bucket's contracts that have one number a lane."""
    contract = part.contract
    columns = {
        f"{party}_{name}": getattr(getattr(contract, party), name)
        for party in ("retailer", "supplier")
        for name in ("cost_jit", "cost_plan", "utility_jit", "utility_plan")
    }
    for name in (
        "gain",
        "cbt",
        "fee",
        "price",
        "paid",
        "supplier_surplus",
        "efficiency_lost",
        "accepted",
        "code",
        "rounds",
        "filled",
        "unmet",
    ):
        columns[name] = getattr(contract, name)
    columns["efficiency_gap"] = contract.certificate.efficiency_gap
    columns["price_error"] = contract.certificate.price_error
    columns["lost_error"] = contract.certificate.lost_error
    columns["jit_total"], columns["order_total"] = contract.jit.sum(axis=-1), contract.ordered
    left, lost_sale_cost = part.unmet, part.bucket.lanes.retailer[:, 3]
    unserved = np.isinf(lost_sale_cost) & (left > ROUNDING)
    columns["jit_unmet"] = np.where(unserved, left * part.volume, 0.0)
    return {name: np.asarray(values) for name, values in columns.items()}


def _joined(parts: list[dict[str, np.ndarray]], order: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}


def _contract_columns(
    fleet: Fleet, found: Contracts, packer: Packer, lane: dict[str, np.ndarray], settings: Settings
) -> Columns:
    code = lane["code"]
    words = np.asarray(codes.REASONS, object)[code]
    for row in np.flatnonzero(~lane["filled"]):
        part = confirmed_in_part(lane["jit_total"][row], lane["order_total"][row], lane["jit_unmet"][row])
        words[row] = f"{words[row]}; {part}" if words[row] else part
    for row in np.flatnonzero(code == codes.INFEASIBLE):
        # The search's own verdict rests on a price ceiling: only an exact shortage is called infeasible.
        short = shortage(fleet, found, packer, int(row))
        words[row] = short.reason or codes.REASONS[codes.NOT_CONVERGED]
        code[row] = codes.INFEASIBLE if short.reason else codes.NOT_CONVERGED
    # A plan that cannot be carried out, or leaves demand unserved at infinite cost, is worth no number.
    infeasible, no_jit = code == codes.INFEASIBLE, lane["jit_unmet"] > 0.0
    columns: Columns = {
        "contract_id": found.ids,
        "vendor_id": fleet.vendor_ids[found.vendor],
        "product_ids": [[product] for product in fleet.product_ids[found.product].tolist()],
        "status": np.asarray(codes.NAMES)[code],
        "reason": words.tolist(),
    }
    for name in MONEY:
        without = infeasible & (name != "paid") | no_jit & (name in OF_JIT)
        without |= no_jit & ~lane["accepted"] & (name in OF_ISSUED)
        columns[name] = np.where(without, np.nan, lane[name])
    columns["rounds"] = lane["rounds"].astype(np.int32)
    columns["solver"] = [settings.method] * len(found)
    return columns


def confirmed_in_part(confirmed: float, ordered: float, unserved: float) -> str:
    """What a vendor confirms of its order, where it is a part, and what that leaves unserved [units]."""
    words = f"the vendor can confirm {confirmed:,.10g} of the {ordered:,.10g} units ordered just in time"
    return (
        f"{words}, which leaves {unserved:,.10g} units unserved that must be served"
        if unserved > 0.0
        else words
    )


def _plan_rows(fleet: Fleet, part: Solved) -> dict[str, Any]:
    """A bucket's plan, one row a contract, inbound node and week with any units."""
    shape = (len(part.bucket.contract), part.bucket.shape.inbound, fleet.weeks)
    least = DUST * part.volume[:, None, None]
    units = [np.asarray(plan).reshape(shape) for plan in (part.contract.jit, part.contract.issued)]
    jit, plan = (np.where(amount > least, amount, 0.0) for amount in units)
    lane, node, week = np.nonzero((jit > 0.0) | (plan > 0.0))
    return {
        "contract": part.bucket.contract[lane],
        "inbound": part.bucket.nodes[lane, node],
        "week": week.astype(np.int32),
        "jit_units": jit[lane, node, week],
        "plan_units": plan[lane, node, week],
    }


def _prices(fleet: Fleet, found: Contracts, solved: list[Solved]) -> Columns:
    """The consensus price of every contract, inbound node and week: where another night may begin."""
    parts = []
    for part in solved:
        lane, node, week = np.nonzero(np.repeat(part.bucket.nodes[:, :, None] >= 0, fleet.weeks, axis=2))
        price = part.price.reshape(len(part.bucket.contract), -1, fleet.weeks)[lane, node, week]
        inbound = part.bucket.nodes[lane, node]
        columns = part.bucket.contract[lane], inbound, week.astype(np.int32), price
        parts.append(dict(zip(("contract", "inbound", "week", "price"), columns, strict=True)))
    merged = _in_order(parts)
    ids = {"contract_id": found.ids[merged["contract"]], "inbound_id": fleet.inbound_ids[merged["inbound"]]}
    return {**ids, "week": merged["week"], "price": merged["price"]}


def _in_order(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of all buckets, by contract, inbound node and week."""
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((merged["week"], merged["inbound"], merged["contract"]))
    ordered: dict[str, Any] = rows(merged, order)
    return ordered


def _by_contract(fleet: Fleet, found: Contracts, parts: list[dict[str, Any]]) -> Columns:
    merged = _in_order(parts)
    contract = merged["contract"]
    return {
        "contract_id": found.ids[contract],
        "vendor_id": fleet.vendor_ids[found.vendor[contract]],
        "product_id": fleet.product_ids[found.product[contract]],
        "inbound_id": fleet.inbound_ids[merged["inbound"]],
        "week": merged["week"],
        "jit_units": merged["jit_units"],
        "plan_units": merged["plan_units"],
    }
