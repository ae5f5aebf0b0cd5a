"""How far from the best the plans of a run may be, and how far their prices from the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcpp.report.load import Floats, Loaded, Names, bundle_of

WORST = 10


def certificates(run: Loaded, names: Names) -> dict[str, Any]:
    """Quantiles, counts by tenths of the tolerance, and the worst of the certified gaps [of chain cost].

    Contracts planned together have one gap, counted once; contracts without a plan have none.
    """
    gap, price = run.numbers("efficiency_gap"), run.numbers("price_error")
    bundle = bundle_of(run.contracts["product_ids"])
    cost = np.nan_to_num(run.numbers("retailer_cost_plan") + run.numbers("supplier_cost_plan"))
    spent = np.bincount(bundle, cost, len(run)) if len(run) else cost
    known = np.isfinite(gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(gap > 0.0, gap / spent[bundle], 0.0)
    # One row stands for all that were planned together.
    rows = np.flatnonzero(known)
    rows = rows[np.sort(np.unique(bundle[rows], return_index=True)[1])]
    ranked = rows[np.argsort(-relative[rows], kind="stable")][:WORST]
    together = np.bincount(bundle, minlength=len(run) + 1)
    return {
        "tolerance": run.facts["settings"]["tolerance"],
        "count": len(rows),
        "certified": int(known.sum() - (known & run.status("not_converged")).sum()),
        "relative": _quantiles(relative[rows]),
        "currency": _quantiles(gap[rows]),
        "price_error": _quantiles(price[np.isfinite(price)]),
        "total_gap": float(gap[rows].sum()),
        "classes": _classes(relative[rows], run.facts["settings"]["tolerance"]),
        "worst": [
            names.on(
                {
                    "contract_id": str(run.contracts["contract_id"][row]),
                    "vendor_id": str(run.contracts["vendor_id"][row]),
                    "product_ids": list(run.contracts["product_ids"][row]),
                    "planned_together": int(together[bundle[row]]),
                    "relative": float(relative[row]),
                    "efficiency_gap": float(gap[row]),
                    "price_error": float(price[row]),
                    "rounds": int(run.contracts["rounds"][row]),
                    "status": str(run.contracts["status"][row]),
                    "reason": str(run.contracts["reason"][row]),
                }
            )
            for row in ranked
        ],
    }


def _quantiles(values: Floats) -> dict[str, float] | None:
    if not len(values):
        return None
    found = np.quantile(values, [0.5, 0.9, 0.99, 1.0], method="higher")
    return dict(zip(("median", "p90", "p99", "worst"), found.tolist(), strict=True))


def _classes(relative: Floats, tolerance: float) -> list[dict[str, Any]]:
    """Counts by tenths of the tolerance; the last class is what is beyond it."""
    part = np.minimum(np.ceil(relative / tolerance * 10.0 - 1e-9), 11).astype(int)
    counts = np.bincount(np.maximum(part, 1), minlength=12)[1:]
    return [{"up_to": at / 10.0, "count": int(number)} for at, number in enumerate(counts[:-1], 1)] + [
        {"up_to": None, "count": int(counts[-1])}
    ]


def rounds(run: Loaded) -> dict[str, Any]:
    """Rounds of the search: the figures of run.json, and counts by equal classes."""
    found = np.asarray(run.contracts["rounds"], dtype=np.int64)
    found = found[found > 0]
    most = int(found.max(initial=0))
    width = max(1, -(-most // 20))
    edges = range(0, most + 1, width)
    return {
        **run.facts["rounds"],
        "width": width,
        "classes": [
            {"from": low, "count": int(((found >= low) & (found < low + width)).sum())} for low in edges
        ],
    }
