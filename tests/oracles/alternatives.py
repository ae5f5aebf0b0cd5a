"""Exact worth of every alternative of several vendors, and what each vendor then has to pay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tests.oracles.coupled import (
    Counted,
    Coupled,
    Plans,
    all_retailer_utility,
    joint_utility,
    vendor_best_part,
    vendor_status_quo,
    vendor_utility,
)


@dataclass(frozen=True)
class Game:
    """A bundle of several vendors, the fees that each is charged, and what stays where one stays out."""

    coupled: Coupled
    counted: Counted
    additive: Mapping[str, float]  # by vendor [currency]
    absent: str  # "jit" or "excluded"
    voluntary: bool

    def outside(self) -> dict[str, tuple[float, bool]]:
        """What each vendor has just in time, and whether it fills its whole order."""
        found = {}
        for vendor in self.counted.weight:
            utility, full = vendor_status_quo(self.coupled, vendor, self.counted.order)
            if self.voluntary:
                best = vendor_best_part(self.coupled, vendor, self.counted.order)
                utility, full = best, full and utility >= best - 1e-9 * abs(best)
            found[vendor] = utility, full
        return found

    def worth(self) -> dict[str, float]:
        """What each alternative is worth less its fees: all take part, "", all but one, or none, "jit"."""
        stay, counts, free = self.outside(), self.counted, sum(self._owed(v) for v in self.counted.weight)
        found = {"": joint_utility(self.coupled, counted=counts)[0] - free}
        for vendor in counts.weight:
            kept = {k: plan * (self.absent == "jit") for k, plan in counts.order.items() if k[0] == vendor}
            others, _ = joint_utility(self.coupled, kept, vendor, counts)
            has = counts.weight[vendor] * stay[vendor][0] if self.absent == "jit" else 0.0
            found[vendor] = others + has - (free - self._owed(vendor))
        must = any(np.isinf(problem.lost_sale) for problem in self.coupled.products.values())
        if self.absent == "jit" and (not self.voluntary or free > 0.0 or must):
            sure = {k: plan * (self.voluntary or stay[k[0]][1]) for k, plan in counts.order.items()}
            lives = all_retailer_utility(self.coupled, sure)
            lives = lives if np.isfinite(lives) else all_retailer_utility(self.coupled, counts.order)
            found["jit"] = lives + sum(counts.weight[v] * utility for v, (utility, _) in stay.items())
        return found

    def price(self, vendor: str, plan: Plans, without: str, worth: Mapping[str, float]) -> float:
        """What a vendor that takes part in a plan is asked for, all or all but `without` taking part."""
        stay, counts = self.outside(), self.counted
        has = {
            v: counts.weight[v] * stay[v][0] * (self.absent == "jit")
            if v == without
            else counts.weight[v] * (vendor_utility(self.coupled, v, plan) - counts.deviation(v, plan))
            - self._owed(v)
            for v in counts.weight
            if v != vendor
        }
        # Priced as if the whole share of who stays out arrived.
        full = {k: counts.order[k] if k[0] == without and self.absent == "jit" else plan[k] for k in plan}
        others = all_retailer_utility(self.coupled, full) + sum(has.values())
        mine = counts.weight[vendor] * stay[vendor][0] * (self.absent == "jit")
        best = max(worth[vendor], worth.get("jit", -np.inf)) - mine
        return (best - others + self._owed(vendor)) / counts.weight[vendor] + counts.deviation(vendor, plan)

    def _owed(self, vendor: str) -> float:
        return self.counted.weight[vendor] * self.additive.get(vendor, 0.0)


def free_of_charge(order: Plans) -> Counted:
    """No fees."""
    nothing = {key: np.zeros_like(units) for key, units in order.items()}
    return Counted({key[0]: 1.0 for key in order}, order, nothing, nothing)
