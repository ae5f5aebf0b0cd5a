"""A run beside an earlier one: what came, what went, and what moved."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from jaxcpp.report.load import Floats, Loaded, ReportError

MOST = 10
_PLACE = ("contract_id", "product_id", "inbound_id")


def against(run: Loaded, before: Loaded) -> dict[str, Any]:
    """Statuses then and now, the contracts that changed most, and by how many units plans moved.

    Contracts are the same where their ids and products are. Weeks are matched by date where both runs
    have one, else by number.

    Raises:
        ReportError: the runs are in different currencies.
    """
    if run.currency and before.currency and run.currency != before.currency:
        raise ReportError(
            f"the runs are in {run.currency} and {before.currency}: money cannot be compared; "
            f"name a run in {run.currency}"
        )
    keys, old_keys = _keys(run), _keys(before)
    same, now, then = np.intersect1d(keys, old_keys, return_indices=True)
    return {
        "version": before.facts["version"],
        "first_week": str(before.facts.get("first_week") or ""),
        "same_fleet": run.facts["fleet_fingerprint"] == before.facts["fleet_fingerprint"],
        "same_settings": run.facts["settings"] == before.facts["settings"],
        "in_both": len(same),
        "only_now": len(keys) - len(same),
        "only_then": len(old_keys) - len(same),
        "totals": _totals(run, before),
        "statuses": _statuses(run, before, now, then),
        "changed_most": _changed_most(run, before, now, then),
        "plans": _plans(run, before, np.asarray(run.contracts["contract_id"], dtype=str)[now]),
    }


def _keys(run: Loaded) -> np.ndarray:
    """Contract ids with their products: what has other products is another contract."""
    pairs = zip(run.contracts["contract_id"], run.contracts["product_ids"], strict=True)
    return np.asarray(["\0".join((contract, *products)) for contract, products in pairs], dtype=str)


def _gain(run: Loaded) -> Floats:
    return np.where(run.planned, np.nan_to_num(run.numbers("gain")), 0.0)


def _totals(run: Loaded, before: Loaded) -> dict[str, dict[str, float]]:
    """Sums of each run."""

    def of(one: Loaded) -> dict[str, float]:
        cost = one.numbers("retailer_cost_jit") + one.numbers("supplier_cost_jit")
        return {
            "contracts": float(len(one)),
            "accepted": float(one.status("accepted").sum()),
            "chain_cost_jit": float(np.nansum(cost)),
            "gain": float(_gain(one).sum()),
            "paid": float(np.nansum(one.numbers("paid"))),
            "worst_efficiency_gap": float(one.facts["worst_efficiency_gap"] or 0.0),
            "median_rounds": float(one.facts["rounds"]["median"] or 0.0),
            "seconds": float(one.facts["seconds"]["total"]),
        }

    return {"then": of(before), "now": of(run)}


def _statuses(run: Loaded, before: Loaded, now: np.ndarray, then: np.ndarray) -> list[dict[str, Any]]:
    """Counts of contracts in both runs by status then and now; those that changed status only."""
    pairs = zip(before.contracts["status"][then], run.contracts["status"][now], strict=True)
    found, counts = np.unique(np.asarray([f"{a} {b}" for a, b in pairs], dtype=str), return_counts=True)
    rows = [
        {"then": a, "now": b, "count": int(number)}
        for (a, b), number in zip((str(pair).split(" ") for pair in found), counts, strict=True)
        if a != b
    ]
    return sorted(rows, key=lambda row: -int(str(row["count"])))


def _changed_most(run: Loaded, before: Loaded, now: np.ndarray, then: np.ndarray) -> list[dict[str, Any]]:
    """The contracts whose gain carried out changed most."""
    gains = _gain(before)[then], _gain(run)[now]
    paid = before.numbers("paid")[then], run.numbers("paid")[now]
    moved = np.abs(gains[1] - gains[0])
    order = np.argsort(-moved, kind="stable")[:MOST]
    return [
        {
            "contract_id": str(run.contracts["contract_id"][now[at]]),
            "status_then": str(before.contracts["status"][then[at]]),
            "status_now": str(run.contracts["status"][now[at]]),
            "gain_then": float(gains[0][at]),
            "gain_now": float(gains[1][at]),
            "paid_then": float(paid[0][at]),
            "paid_now": float(paid[1][at]),
        }
        for at in order
        if moved[at] >= 0.005
    ]


def _plans(run: Loaded, before: Loaded, same: np.ndarray) -> dict[str, float]:
    """Units of plans carried out by contracts and weeks in both runs, and by how many they differ."""
    later = _weeks_later(run, before)
    sides = []
    for one, shift in ((before, later), (run, 0)):
        week = np.asarray(one.plans["week"], dtype=np.int64) - shift
        sides.append((one.plans, week, np.isin(np.asarray(one.plans["contract_id"], dtype=str), same)))
    last = min(int(week.max(initial=-1)) for _, week, _ in sides)
    keys: list[np.ndarray] = []
    units: list[Floats] = []
    for plans, week, known in sides:
        kept = known & (week >= 0) & (week <= last)
        ids = [np.asarray(plans[name], dtype=str)[kept] for name in _PLACE]
        keys.append(np.asarray(["\0".join(map(str, row)) for row in zip(*ids, week[kept], strict=True)], str))
        units.append(np.asarray(plans["plan_units"], dtype=np.float64)[kept])
    place = np.unique(np.concatenate(keys), return_inverse=True)[1]
    size = int(place.max(initial=-1)) + 1
    both = [
        np.bincount(at, amount, size) if size else np.zeros(0)
        for at, amount in zip(np.split(place, [len(keys[0])]), units, strict=True)
    ]
    return {
        "weeks_later": float(later),
        "units_then": float(units[0].sum()),
        "units_now": float(units[1].sum()),
        "units_changed": float(np.abs(both[1] - both[0]).sum()),
    }


def _weeks_later(run: Loaded, before: Loaded) -> int:
    """By how many whole weeks this run starts after the other; 0 where dates do not say."""
    dates = [str(one.facts.get("first_week") or "") for one in (run, before)]
    if not all(dates):
        return 0
    days = (dt.date.fromisoformat(dates[0]) - dt.date.fromisoformat(dates[1])).days
    return days // 7 if days % 7 == 0 else 0
