"""A run in figures: everything that the page says, as one tree of plain values, which is `report.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcpp.report.against import against
from jaxcpp.report.certificates import certificates, rounds
from jaxcpp.report.load import Floats, Loaded, Names
from jaxcpp.report.movement import movement

STATUSES = ("accepted", "no_gain", "declined", "not_converged", "infeasible")
PHASES = ("read", "compile", "solve", "write")


def document(run: Loaded, before: Loaded | None, names: Names) -> dict[str, Any]:
    """All figures of a report [currency, units, seconds]; `before` is an earlier run to compare with."""
    facts = run.facts
    first_week = str(facts.get("first_week") or "")
    return {
        "kind": "plan",
        "fleet": str(facts.get("fleet") or ""),
        "first_week": first_week,
        "currency": run.currency,
        "version": facts["version"],
        "device": facts["device"],
        "fleet_fingerprint": facts["fleet_fingerprint"],
        "settings": facts["settings"],
        "contracts": len(run),
        "status_counts": {name: int(run.status(name).sum()) for name in (*STATUSES, *_others(run))},
        "rejected_products": 0 if run.rejected is None else len(run.rejected["product_id"]),
        **gains(run),
        "budget": facts.get("budget"),
        "vendors": vendors(run, names),
        "movement": movement(run.plans, first_week),
        "certificates": certificates(run, names),
        "attention": attention(run, names),
        "seconds": _seconds(facts["seconds"]),
        "rounds": rounds(run),
        "warm_start": facts.get("warm_start"),
        "against": None if before is None else against(run, before),
    }


def _others(run: Loaded) -> list[str]:
    """Statuses in the run that are none of `STATUSES`."""
    return sorted(set(np.asarray(run.contracts["status"], dtype=str).tolist()) - set(STATUSES))


def _seconds(spent: Mapping[str, float]) -> dict[str, float]:
    """Seconds by phase in their order, what none of them accounts for, and the total."""
    known = {name: float(spent[name]) for name in PHASES if name in spent}
    other = float(spent["total"]) - sum(known.values())
    return {**known, "starting": max(other, 0.0), "total": float(spent["total"])}


def gains(run: Loaded) -> dict[str, Any]:
    """What the plans carried out save, what is paid, and what each side is left with [currency].

    Contracts without a just-in-time plan to compare with have no gain; they are counted apart.
    """
    costs = {
        party: (run.numbers(f"{party}_cost_jit"), run.carried_out(party, "cost"))
        for party in ("retailer", "supplier")
    }
    accepted = run.status("accepted")
    planned = np.isin(run.contracts["status"], [name for name in STATUSES if name != "infeasible"])
    compared = planned & np.all([np.isfinite(value) for both in costs.values() for value in both], axis=0)
    utility = {
        party: run.carried_out(party, "utility") - run.numbers(f"{party}_utility_jit") for party in costs
    }
    paid = run.numbers("paid")

    def total(values: Floats, rows: np.ndarray = compared) -> float:
        return float(np.sum(values[rows]))

    own = {party: total(change) for party, change in utility.items()}
    money = total(paid)
    before, after = ({party: total(both[at]) for party, both in costs.items()} for at in (0, 1))
    chain = sum(before.values())
    gain = own["retailer"] + own["supplier"]
    return {
        "compared": int(compared.sum()),
        "not_compared": int((planned & ~compared).sum()),
        "costs": {
            party: {"jit": before[party], "carried_out": after[party]} for party in ("retailer", "supplier")
        },
        "chain_cost_jit": chain,
        "chain_cost_carried_out": sum(after.values()),
        "gain": gain,
        "gain_share": gain / chain if chain > 0.0 else None,
        "parties": {
            "retailer": {"before_payments": own["retailer"], "payments": money,
                         "keeps": own["retailer"] + money},
            "supplier": {"before_payments": own["supplier"], "payments": -money,
                         "keeps": own["supplier"] - money},
        },
        "cbt": float(np.nansum(run.numbers("cbt")[accepted])),
        "fee": float(np.nansum(run.numbers("fee")[accepted])),
        "paid": float(np.nansum(paid[accepted])),
        "efficiency_lost": float(np.nansum(run.numbers("efficiency_lost")[run.planned])),
        "gain_declined": float(np.nansum(run.numbers("gain")[run.status("declined") & ~run.planned])),
    }  # fmt: skip


def vendors(run: Loaded, names: Names) -> list[dict[str, Any]]:
    """Every vendor's contracts and money, the one that keeps most first [currency]."""
    ids, vendor = np.unique(np.asarray(run.contracts["vendor_id"], dtype=str), return_inverse=True)
    accepted = run.status("accepted")
    own = run.carried_out("supplier", "utility") - run.numbers("supplier_utility_jit")
    columns = {
        "contracts": np.ones(len(run)),
        "accepted": accepted,
        "gain": np.where(run.planned, run.numbers("gain"), 0.0),
        "saves": own,
        "cbt": np.where(accepted, run.numbers("cbt"), 0.0),
        "fee": np.where(accepted, run.numbers("fee"), 0.0),
        "paid": run.numbers("paid"),
    }
    sums = {name: np.bincount(vendor, np.nan_to_num(column), len(ids)) for name, column in columns.items()}
    sums["keeps"] = sums["saves"] - sums["paid"]
    order = np.argsort(-sums["keeps"], kind="stable")
    return [
        {
            "vendor_id": str(ids[at]),
            "vendor": names.of_vendor(str(ids[at])),
            **{
                name: int(column[at]) if name in ("contracts", "accepted") else float(column[at])
                for name, column in sums.items()
            },
        }
        for at in order
    ]


def attention(run: Loaded, names: Names) -> dict[str, list[dict[str, Any]]]:
    """Contracts without a certified plan, offers declined, and products left out, with the reasons."""
    found: dict[str, list[dict[str, Any]]] = {
        status: [_row(run, names, row) for row in np.flatnonzero(run.status(status)).tolist()]
        for status in ("infeasible", "not_converged", "declined")
    }
    found["declined"].sort(key=lambda row: -np.nan_to_num(row["efficiency_lost"]))
    odd = ~np.isin(np.asarray(run.contracts["status"], dtype=str), STATUSES)
    found["otherwise"] = [_row(run, names, row) for row in np.flatnonzero(odd).tolist()]
    left_out = run.rejected or {"product_id": [], "reason": []}
    found["rejected"] = [
        {"product_id": str(product), "product": names.of_product(str(product)), "reason": str(reason)}
        for product, reason in zip(left_out["product_id"], left_out["reason"], strict=True)
    ]
    partly = np.asarray(
        ["can confirm" in reason for reason in run.contracts["reason"]], dtype=bool
    ) & ~run.status("infeasible")
    found["partly_filled"] = [_row(run, names, row) for row in np.flatnonzero(partly).tolist()]
    return found


def _row(run: Loaded, names: Names, row: int) -> dict[str, Any]:
    money = ("gain", "cbt", "fee", "price", "efficiency_gap", "efficiency_lost")
    amounts = {name: float(run.contracts[name][row]) for name in money}
    benefit = float(run.contracts["supplier_utility_plan"][row] - run.contracts["supplier_utility_jit"][row])
    found = {
        "contract_id": str(run.contracts["contract_id"][row]),
        "vendor_id": str(run.contracts["vendor_id"][row]),
        "product_ids": list(run.contracts["product_ids"][row]),
        "status": str(run.contracts["status"][row]),
        "reason": str(run.contracts["reason"][row]),
        "rounds": int(run.contracts["rounds"][row]),
        **amounts,
        "vendor_saves": benefit,
    }
    return names.on(found)
