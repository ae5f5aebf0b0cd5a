"""A vendor's own planner joins: the supplier of section 7 of arXiv:2605.16695, as anybody could write it."""
# ruff: noqa: T201 - printing is what this script is for

from __future__ import annotations

import sys

import jax
import numpy as np

import jaxcpp as cpp

jax.config.update("jax_enable_x64", True)


class Vendor:
    """Two plants that ship to two nodes. Nothing of jaxcpp is in here, and no number of here leaves."""

    cost = np.array([[10.0, 5.0], [1.0, 2.0]])  # plant x node, currency per unit
    capacity = np.array([100.0, 10.0])  # units by plant
    margin = 20.0  # currency per unit delivered

    def best_plan(self, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """At each contract's price (contracts, nodes): every plant ships all to its best node, or nothing."""
        plans, utilities = np.zeros(price.shape), np.zeros(len(price))
        for contract, asked in enumerate(price):
            profit = self.margin - self.cost  # plant x node
            node = np.argmax(profit - asked, axis=1)
            for plant, best in enumerate(node):
                if profit[plant, best] > asked[best]:
                    plans[contract, best] += self.capacity[plant]
                    utilities[contract] += self.capacity[plant] * profit[plant, best]
        return plans, utilities


retailer = cpp.Retailer(unit_cost=[[1, 5], [2, 3]], demand=[40, 60], margin=20)
contracts = cpp.coordinate_outside(retailer, Vendor(), cpp.AdditiveFee(50.0), deadline=10.0)

print(f"status    {contracts.status[0]}")
print(f"plan      {', '.join(f'{units:.2f}' for units in contracts.plan[0])} units at the inbound nodes")
print(f"price     {contracts.price[0]:.2f}, the fee of 50 included")
print(f"surplus   {contracts.supplier_surplus[0]:.2f}, as the vendor reports its utilities")
print(f"certain   the plan to {contracts.efficiency_gap[0]:.4f}, the price to {contracts.price_error[0]:.4f}")
print(f"asked     the vendor {contracts.calls['supplier']} times in {contracts.rounds[0]} rounds")
if len(sys.argv) > 1:
    contracts.log.write(sys.argv[1])
    print(f"log       {len(contracts.log.crossings)} arrays crossed the border: {sys.argv[1]}")
