"""One retailer, one supplier, one payment: section 7 of arXiv:2605.16695 in a few lines."""
# ruff: noqa: T201 - printing is what this script is for

from __future__ import annotations

import jax

import jaxcpp as cpp

jax.config.update("jax_enable_x64", True)  # in float32 the bounds are as honest, and wider

# Two inbound nodes. The retailer serves two regions from them (inbound x region, currency per
# unit); the supplier fills them from two plants (plant x inbound).
retailer = cpp.Retailer(unit_cost=[[1, 5], [2, 3]], demand=[40, 60], margin=20)
supplier = cpp.Supplier(unit_cost=[[10, 5], [1, 2]], capacity=[100, 10], margin=20)
contract = cpp.coordinate(retailer, supplier, fee=cpp.AdditiveFee(50.0))

plan, jit = (", ".join(f"{units:.2f}" for units in part) for part in (contract.plan, contract.jit))
print(f"plan      {plan} units at the inbound nodes; just in time it would be {jit}")
print(f"gain      {contract.gain:.2f} for the chain")
print(f"price     {contract.price:.2f} paid by the supplier, the fee of 50 included")
sure = contract.certificate
print(f"certain   the plan to {sure.efficiency_gap:.4f} of the best, the price to {sure.price_error:.4f}")
