"""A rolled fleet in figures: week by week, against the same weeks just in time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from jaxcpp import tables
from jaxcpp.report.certificates import WORST
from jaxcpp.report.load import UNREADABLE, Names, ReportError, load_facts
from jaxcpp.report.movement import week_label

WEEKLY: Final = (
    "contracts", "accepted", "certified", "cbt", "fee", "paid", "settled", "churn", "planned", "cancelled",
    "supplier_surplus", "retailer_gain", "gain",
    "cumulative_gain", "cumulative_supplier_surplus", "cumulative_retailer_gain",
    "asked_plan", "sold_plan", "sold_jit", "lost_plan", "lost_jit", "on_hand_plan", "on_hand_jit",
    "worst_efficiency_gap",
)  # fmt: skip
"""Of the columns of `summary`, those that the page shows."""


def rolled(folder: Path, names: Names) -> dict[str, Any]:
    """All figures of a rolled fleet's report [currency, units, seconds].

    Raises:
        ReportError: the roll is not finished, or cannot be read.
    """
    facts = load_facts(folder)
    first_week = str(facts.get("first_week") or "")
    try:
        weeks = [
            {
                "week": int(row["week"]),
                "label": week_label(first_week, int(row["week"])),
                **{name: row[name] for name in WEEKLY},
            }
            for row in facts["weeks"]
        ]
        rows = list(_contracts(folder, weeks))
    except (*UNREADABLE, KeyError) as error:
        raise ReportError(f"{folder} cannot be read: {' '.join(str(error).split())}; roll again") from None
    settings = facts["settings"]
    certified = [row for row in rows if row["status"] in ("accepted", "declined", "no_gain")]
    certified.sort(key=lambda row: -row["relative"])
    return {
        "kind": "roll",
        "fleet": str(facts.get("fleet") or ""),
        "first_week": first_week,
        "currency": str(facts.get("currency") or ""),
        "version": facts["version"],
        "fleet_fingerprint": facts["fleet_fingerprint"],
        "settings": settings,
        "contracts": facts["contracts"],
        "not_certified": facts["not_certified"],
        "weeks": weeks,
        "totals": {
            name: float(sum(week[name] for week in weeks))
            for name in ("cbt", "fee", "paid", "settled", "asked_plan", "sold_plan", "sold_jit",
                         "lost_plan", "lost_jit", "churn", "accepted")
        },
        "worst": [names.on(row) for row in certified[:WORST]],
        "attention": [names.on(row) for row in rows if row not in certified],
        "seconds": {"total": facts["seconds"]["total"]},
    }  # fmt: skip


def _contracts(folder: Path, weeks: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Every contract of every week that matters here: those without a certificate, and the worst."""
    for week in weeks:
        found = tables.read_week(folder, week["week"], "contracts")
        gap, cost = (np.asarray(found[name], dtype=float) for name in ("efficiency_gap", "chain_cost"))
        relative = np.nan_to_num(gap / np.maximum(cost, 1e-6))
        status = np.asarray(found["status"], dtype=str)
        worst = np.argsort(-relative, kind="stable")[:WORST]
        others = np.flatnonzero(~np.isin(status, ["accepted", "declined", "no_gain"]))
        for row in np.union1d(worst, others):
            yield {
                "week": week["week"],
                "label": week["label"],
                "contract_id": str(found["contract_id"][row]),
                "vendor_id": str(found["vendor_id"][row]),
                "product_ids": list(found["product_ids"][row]),
                "status": str(status[row]),
                "reason": str(found["reason"][row]),
                "relative": float(relative[row]),
                "efficiency_gap": float(gap[row]),
                "price_error": float(found["price_error"][row]),
                "rounds": int(found["rounds"][row]),
            }
