"""What a run gives back: columns for the run's tables, no files, no JAX."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

Columns = dict[str, Any]
"""Column name to a numpy array (or a list, for lists of ids and worded reasons) of equal lengths."""


@dataclass(frozen=True)
class Rejected:
    """A product or contract left out of the solve by `--skip-bad`, and why."""

    product_id: str
    reason: str


@dataclass
class Run:
    """A solved fleet, in the units of its input, rows in the order of `contract_id`.

    `contracts`, `plans`, `flows` and `prices` hold exactly the columns that the file contract names;
    `flows` is None unless it was asked for, and `prices`, a start for another night, where none are known.
    """

    contracts: Columns
    plans: Columns
    flows: Columns | None
    prices: Columns | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    device: str = ""
    worst_gap: float | None = None  # relative; None: to be read off the contracts

    def status_counts(self) -> dict[str, int]:
        """Contracts by status."""
        names, counts = np.unique(np.asarray(self.contracts["status"], dtype=str), return_counts=True)
        return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def joined(parts: list[Columns]) -> Columns:
    """The same columns of several parts, one after the other."""
    return {
        name: list(chain.from_iterable(part[name] for part in parts))
        if isinstance(parts[0][name], list)
        else np.concatenate([np.asarray(part[name]) for part in parts])
        for name in parts[0]
    }


def taken(columns: Columns, order: Any) -> Columns:
    """Columns with their rows in another order."""
    return {
        name: [column[at] for at in order] if isinstance(column, list) else column[order]
        for name, column in columns.items()
    }


def worst_gap(contracts: Columns) -> float:
    """The largest certified gap as a fraction of its contract's chain cost; contracts without one count 0.

    The chain cost of a vendor that keeps its costs to itself is not known: its contracts are left out.
    """
    gap = np.asarray(contracts["efficiency_gap"], dtype=float)
    cost = np.add(*(np.asarray(contracts[f"{party}_cost_plan"], dtype=float) for party in PARTIES))
    positive = (gap > 0) & ~np.isnan(cost)
    with np.errstate(divide="ignore"):
        return float(np.max(gap[positive] / cost[positive], initial=0.0))


def budget(contracts: Columns) -> float:
    """What a principal who made every party's VCG transfer would be left with, before fees [currency].

    Negative = a deficit: the retailer is paid for what its being there is worth to the vendors
    (arXiv:2605.16695 section 3.2).
    """
    names = ("cbt", "fee", "supplier_surplus", *_SUPPLIER)
    cbt, fee, surplus, before, after = (np.asarray(contracts[name], dtype=float) for name in names)
    # A vendor that keeps its utilities to itself has still said what it gains.
    gained = np.where(np.isnan(after - before), surplus + cbt + fee, after - before)
    return float(np.nansum(cbt - gained))


def in_words(budget: float, currency: str = "") -> str:
    """A budget as a person says it: a surplus, a deficit, or balanced."""
    if budget == 0.0:
        return "balanced"
    return f"a {'surplus' if budget > 0.0 else 'deficit'} of {abs(budget):,.2f} {currency}".rstrip()


PARTIES = ("retailer", "supplier")
_SUPPLIER = ("supplier_utility_jit", "supplier_utility_plan")
