"""Runs made by hand, written as `jaxcpp plan` writes them: every ending, and odd names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jaxcpp.fleet.results import Rejected, Run
from jaxcpp.fleet.settings import Settings
from jaxcpp.tables import write_run

NAN = float("nan")
MONEY = (
    "retailer_cost_jit", "retailer_cost_plan", "supplier_cost_jit", "supplier_cost_plan",
    "retailer_utility_jit", "retailer_utility_plan", "supplier_utility_jit", "supplier_utility_plan",
    "gain", "cbt", "fee", "price", "paid", "supplier_surplus", "efficiency_lost",
    "efficiency_gap", "price_error", "lost_error",
)  # fmt: skip
INFO: dict[str, Any] = {
    "version": "1.2.3",
    "settings": Settings(),
    "fleet_fingerprint": "f" * 64,
    "fleet": "hand",
    "currency": "USD",
    "first_week": "2024-02-26",
}
SECONDS = {"read": 0.5, "compile": 2.0, "solve": 1.0, "write": 0.25, "total": 4.0}
DECLINES = "every plan's price is above the supplier's gain: just-in-time stands and nothing is paid"
SHORT = "3 of 9 units cannot be served, first in region 'north' week 0: raise capacity"
UNSURE = "no certificate within the tolerance: just-in-time stands; allow more rounds or a wider tolerance"


def contract(name: str, status: str, **changed: Any) -> dict[str, Any]:
    """A row of contracts: the paper's example with a fee of 50, with what is changed."""
    vendor, _, product = name.partition(":")
    row: dict[str, Any] = {
        "contract_id": name, "vendor_id": vendor, "product_ids": [product], "status": status, "reason": "",
        "retailer_cost_jit": 220.0, "retailer_cost_plan": 250.0,
        "supplier_cost_jit": 610.0, "supplier_cost_plan": 460.0,
        "retailer_utility_jit": 1780.0, "retailer_utility_plan": 1750.0,
        "supplier_utility_jit": 1390.0, "supplier_utility_plan": 1540.0,
        "gain": 120.0, "cbt": 30.0, "fee": 50.0, "price": 80.0, "paid": 80.0, "supplier_surplus": 70.0,
        "efficiency_lost": 0.0, "efficiency_gap": 0.0071, "price_error": 0.004, "lost_error": 0.0071,
        "rounds": 20, "solver": "newton",
    }  # fmt: skip
    if status != "accepted":
        row |= {"paid": 0.0, "supplier_surplus": 0.0}
    if status == "infeasible":
        row |= {column: NAN for column in MONEY if column != "paid"} | {"reason": SHORT, "rounds": 0}
    return row | changed


def arrivals(name: str, product: str, *cells: tuple[str, int, float, float]) -> list[dict[str, Any]]:
    """Rows of plans: node, week, units just in time and as carried out."""
    vendor = name.partition(":")[0]
    return [
        {
            "contract_id": name, "vendor_id": vendor, "product_id": product, "inbound_id": node,
            "week": week, "jit_units": jit, "plan_units": plan,
        }
        for node, week, jit, plan in cells
    ]  # fmt: skip


def columns(rows: list[dict[str, Any]], like: dict[str, Any]) -> dict[str, Any]:
    """Rows as the columns of a run."""
    found: dict[str, Any] = {name: [row[name] for row in rows] for name in like}
    for name in ("week", "rounds"):
        if name in found:
            found[name] = np.asarray(found[name], dtype=np.int32)
    return found


def write(
    folder: Path,
    contracts: list[dict[str, Any]],
    plans: list[dict[str, Any]],
    rejected: tuple[Rejected, ...] = (),
    **info: Any,
) -> Path:
    """A run's folder."""
    made = Run(
        contracts=columns(contracts, contract("a:b", "accepted")),
        plans=columns(plans, arrivals("a:b", "b", ("n", 0, 1.0, 1.0))[0]),
        flows=None,
        seconds=dict(SECONDS),
        device="cpu",
    )
    write_run(made, rejected, folder, info={**INFO, **info})
    return folder


EVERY = [
    contract("acme:bolt", "accepted"),
    contract("acme:nut", "no_gain", gain=0.0, cbt=0.0, fee=0.0, price=0.0, retailer_cost_plan=220.0,
             supplier_cost_plan=610.0, retailer_utility_plan=1780.0, supplier_utility_plan=1390.0,
             reason="just-in-time is already the best plan, to within the certificate"),
    contract("best:cog", "declined", fee=500.0, price=530.0, efficiency_lost=120.0, reason=DECLINES),
    contract("best:gear", "infeasible"),
    contract("core:<b>&\"wheel$", "not_converged", efficiency_gap=2.5, rounds=400, reason=UNSURE),
]  # fmt: skip
"""One contract of every ending, one of them with a name that is hard on a page."""

EVERY_PLAN = [
    *arrivals("acme:bolt", "bolt", ("east", 0, 40.0, 10.0), ("west", 0, 60.0, 90.0)),
    *arrivals("acme:nut", "nut", ("east", 0, 5.0, 5.0), ("west", 1, 7.5, 7.5)),
    *arrivals("best:cog", "cog", ("east", 1, 40.0, 40.0), ("west", 1, 60.0, 60.0)),
    *arrivals("core:<b>&\"wheel$", "<b>&\"wheel$", ("a<script>", 1, 3.0, 3.0)),
]  # fmt: skip


def every(folder: Path, **info: Any) -> Path:
    """A run with every ending, and a product that was left out."""
    return write(folder, EVERY, EVERY_PLAN, (Rejected("axle", "margin is missing; add it"),), **info)
