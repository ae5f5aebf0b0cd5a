"""A run in figures, added up contract by contract or part by part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from jaxcpp.fleet.results import Columns, budget, worst_gap

SUMMED: Final = (
    "retailer_cost_jit", "supplier_cost_jit", "retailer_cost_plan", "supplier_cost_plan",
    "gain", "cbt", "fee", "paid",
)  # fmt: skip
"""Columns of contracts whose sums a summary tells."""

KEPT: Final = 10
"""Contracts of a status that are kept by name; the others are counted."""

UNCERTIFIED: Final = ("not_converged", "uncertified", "undecided")
"""Statuses of contracts that nothing is proven about."""

NEEDED: Final = (
    *("contract_id", "status", "reason", "rounds", "efficiency_gap"),
    *("supplier_utility_jit", "supplier_utility_plan", "supplier_surplus", *SUMMED),
)
"""The columns of contracts that totals are made of."""


@dataclass
class Totals:
    """Counts and sums over contracts; money in currency, contracts without a plan left out of sums."""

    status: Counter[str] = field(default_factory=Counter)
    rounds: Counter[int] = field(default_factory=Counter)
    money: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMMED, 0.0))
    budget: float = 0.0  # see results.budget
    worst_gap: float = 0.0  # the largest certified one, relative to chain cost
    largest_gap: float | None = None  # the same in currency
    private: int = 0  # contracts whose vendor keeps its costs to itself
    named: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # first contracts of a status: why

    def add(self, contracts: Columns, worst: float | None = None) -> None:
        """Count some more contracts in; `worst` is their relative gap where that is known already."""
        status = np.asarray(contracts["status"], dtype=str)
        self.status.update(status.tolist())
        self.rounds.update(np.asarray(contracts["rounds"]).tolist())
        for name in SUMMED:
            self.money[name] += float(np.nansum(np.asarray(contracts[name], dtype=float)))
        ours, theirs = (
            np.isnan(np.asarray(contracts[f"{party}_cost_plan"], float)) for party in ("retailer", "supplier")
        )
        self.private += int(np.sum(theirs & ~ours))
        self.budget += budget(contracts)
        self.worst_gap = max(self.worst_gap, worst_gap(contracts) if worst is None else worst)
        gaps = np.asarray(contracts["efficiency_gap"], dtype=float)
        gaps = gaps[np.isfinite(gaps)]
        if gaps.size:
            most = float(gaps.max())
            self.largest_gap = most if self.largest_gap is None else max(self.largest_gap, most)
        for name in np.unique(status).tolist():
            known = self.named.setdefault(name, [])
            for row in np.flatnonzero(status == name)[: KEPT - len(known)].tolist():
                known.append((str(contracts["contract_id"][row]), str(contracts["reason"][row])))

    def status_counts(self) -> dict[str, int]:
        """Contracts by status, in the order of their names."""
        return dict(sorted(self.status.items()))

    def rounds_facts(self) -> dict[str, Any]:
        """Median, 99 % quantile and most rounds; None where there is no contract."""
        values = np.asarray(sorted(self.rounds), dtype=float)
        if not len(values):
            return dict.fromkeys(("median", "p99", "max"))
        ends = np.cumsum([self.rounds[int(value)] for value in values])
        count = int(ends[-1])

        def at(place: int) -> float:
            return float(values[np.searchsorted(ends, place, side="right")])

        median = (at((count - 1) // 2) + at(count // 2)) / 2.0
        return {"median": median, "p99": at(int(np.ceil(0.99 * (count - 1)))), "max": float(values[-1])}


def totals_of(contracts: Columns, worst: float | None = None) -> Totals:
    """The totals of some contracts."""
    totals = Totals()
    totals.add(contracts, worst)
    return totals
