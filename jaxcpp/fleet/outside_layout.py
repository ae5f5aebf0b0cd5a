"""From what outside vendors answered to the columns of a run, and among the rest of the fleet's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcpp.fleet.contracts import Contracts
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.layout import DUST, MONEY, OF_ISSUED, OF_JIT, ROUNDING, confirmed_in_part
from jaxcpp.fleet.results import Columns, Run, joined, taken
from jaxcpp.mechanism.outside import OutsideContracts

SOLVER = "agent"
"""What `contracts.solver` says of contracts whose vendor was asked."""


@dataclass(frozen=True)
class Accounts:
    """The retailer's account of just-in-time and plan, (contract,) [currency; units]."""

    retailer_cost_jit: Floats
    retailer_cost_plan: Floats
    retailer_utility_jit: Floats
    retailer_utility_plan: Floats
    unmet: Floats  # units that must be served, and just in time are not


@dataclass(frozen=True)
class Asked:
    """One vendor's contracts and how they ended: `made`, or a `fault` and its reason for all of them."""

    found: Contracts
    node: np.ndarray  # (contract, width) position among the fleet's inbound nodes, or -1
    made: OutsideContracts | None
    accounts: Accounts | None
    fault: tuple[str, str] | None


def columns_of(fleet: Fleet, asked: Asked) -> Run:
    """One vendor's rows of `contracts` and `plans`; the vendor's own money is not known."""
    found, made = asked.found, asked.made
    count = len(found)
    columns: Columns = {
        "contract_id": found.ids,
        "vendor_id": fleet.vendor_ids[found.vendor],
        "product_ids": [[product] for product in fleet.product_ids[found.product].tolist()],
    }
    money = {name: np.full(count, np.nan) for name in MONEY} | {"paid": np.zeros(count)}
    if made is None or asked.accounts is None:
        fault, why = asked.fault or ("failed", "")
        return Run(
            contracts=columns
            | {"status": np.full(count, fault), "reason": [why] * count}
            | money
            | {"rounds": np.zeros(count, np.int32), "solver": [SOLVER] * count},
            plans=_plans(fleet, asked, np.zeros((count, 1, 1)), np.zeros((count, 1, 1))),
            flows=None,
        )
    status = made.status.astype(object)
    ended = np.isin(made.status, ("accepted", "declined", "no_gain"))
    for name in ("gain", "cbt", "fee", "price", "paid", "supplier_surplus", "efficiency_gap", "price_error"):
        money[name] = np.asarray(getattr(made, name))
    for name in ("retailer_cost_jit", "retailer_cost_plan", "retailer_utility_jit", "retailer_utility_plan"):
        money[name] = np.where(ended, getattr(asked.accounts, name), np.nan)
    # Additive fees move no plan: what is lost is the gain of an offer that was declined.
    money["efficiency_lost"] = np.where(ended, np.where(made.status == "declined", made.gain, 0.0), np.nan)
    money["lost_error"] = np.where(ended, made.efficiency_gap, np.nan)
    reason = list(made.reason)
    ordered, confirmed = made.order.sum(axis=1), made.jit.sum(axis=1)
    unserved = asked.accounts.unmet > ROUNDING * ordered
    for row in np.flatnonzero(confirmed < ordered * (1.0 - ROUNDING)):
        part = confirmed_in_part(
            confirmed[row], ordered[row], asked.accounts.unmet[row] if unserved[row] else 0.0
        )
        reason[row] = f"{reason[row]}; {part}" if reason[row] else part
    for name in MONEY:
        # Demand left unserved at infinite cost is worth no number.
        gone = unserved & ((name in OF_JIT) | ((name in OF_ISSUED) & (made.status != "accepted")))
        money[name] = np.where(gone, np.nan, money[name])
    volume = np.maximum(made.order.sum(axis=1), made.plan.sum(axis=1))[:, None, None]
    shape = (count, asked.node.shape[1], fleet.weeks)
    jit, plan = (
        np.where(units.reshape(shape) > DUST * volume, units.reshape(shape), 0.0)
        for units in (made.jit, made.issued)
    )
    return Run(
        contracts=columns
        | {"status": status.astype(str), "reason": reason}
        | money
        | {"rounds": made.rounds.astype(np.int32), "solver": [SOLVER] * count},
        plans=_plans(fleet, asked, jit, plan),
        flows=None,
    )


def _plans(fleet: Fleet, asked: Asked, jit: Any, plan: Any) -> Columns:
    """A row a contract, inbound node and week with any units."""
    lane, node, week = np.nonzero((jit > 0.0) | (plan > 0.0))
    found = asked.found
    return {
        "contract_id": found.ids[lane],
        "vendor_id": fleet.vendor_ids[found.vendor[lane]],
        "product_id": fleet.product_ids[found.product[lane]],
        "inbound_id": fleet.inbound_ids[asked.node[lane, node]],
        "week": week.astype(np.int32),
        "jit_units": jit[lane, node, week],
        "plan_units": plan[lane, node, week],
    }


def merged(run: Run | None, others: Sequence[Run]) -> Run:
    """All rows in the order of contract ids; seconds and worst gap are the fleet's own."""
    every = [one for one in (run, *others) if one is not None]
    rows, units = (joined([getattr(one, name) for one in every]) for name in ("contracts", "plans"))
    rows = taken(rows, np.argsort(rows["contract_id"], kind="stable"))
    keys = ("week", "inbound_id", "product_id", "contract_id")
    units = taken(units, np.lexsort(tuple(units[key] for key in keys)))
    own = run if run is not None else every[0]
    return Run(rows, units, None, own.prices, seconds=own.seconds, worst_gap=own.worst_gap)
