"""How a consensus ended: a plan both agents can live with, and what is proved about it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcpp.agents.protocol import Confirmation, Confirmer, PriceAgent, Responder

FEASIBLE = 1e-9
"""Units of a contract of volume 1 that may be missing from a plan still called feasible, in float64."""
SUMS = 32
"""Of rounding error: what sums over a contract of volume 1 may be off by."""


def feasible(missing: Any) -> Any:
    """Whether a plan that misses so much of a volume of 1 may be called feasible; one plan or a batch."""
    return missing <= max(FEASIBLE, SUMS * float(jnp.finfo(missing.dtype).eps))


class Outcome(eqx.Module):
    """A consensus plan with both agents' costs of it, in scaled units.

    `bound` is below the joint cost of every plan, `gap = cost - bound` bounds how far this plan is
    from the best. `retailer_floor` and `supplier_floor` bound each agent's own cheapest cost of this
    plan from below: they bracket a transfer.
    """

    plan: Float[Array, " n"]
    price: Float[Array, " n"]
    epsilon: Float[Array, ""]
    retailer: Confirmation
    supplier: Confirmation
    bound: Float[Array, ""]
    retailer_floor: Float[Array, ""]
    supplier_floor: Float[Array, ""]
    missing: Float[Array, ""]  # units not served that had to be, or planned and not shipped
    rounds: Int[Array, ""]

    @property
    def cost(self) -> Any:
        """Joint cost of the plan, margins netted out."""
        return self.retailer.cost + self.supplier.cost

    @property
    def gap(self) -> Any:
        """Certified: the joint cost of this plan is within `gap` of the best."""
        return (self.cost - self.bound).clip(0.0)  # a method: numpy's numbers stay numpy's

    @property
    def spend(self) -> Any:
        """Chain cost of the plan: money spent by both, the base of relative tolerances."""
        return self.retailer.spend + self.supplier.spend

    def certified(self, tolerance: Any) -> Any:
        """Whether the plan is feasible and its gap within `tolerance` of its chain cost."""
        return feasible(self.missing) & (self.gap <= tolerance * self.spend.clip(1e-6))


def settle(
    retailer: Responder,
    supplier: Confirmer,
    price: Float[Array, " n"],
    epsilon: Float[Array, ""],
    rounds: Int[Array, ""],
    proposal: Float[Array, " n"] | None = None,
    memories: tuple[Any, Any] = (None, None),
) -> Outcome:
    """Agree on a plan near a common price, and prove what it is worth.

    The retailer names a plan it can live with, the supplier says what of it it cannot ship, the
    retailer confirms the rest.
    `proposal` is a plan the retailer is known to be able to live with; `memories` are the agents' own.
    """
    plan = retailer.propose(price, epsilon) if proposal is None else proposal
    shipped = supplier.confirm(plan, -price, epsilon, memories[1])
    plan = jnp.maximum(plan - shipped.short, 0.0)
    received = retailer.confirm(plan, price, epsilon, memories[0])
    return proven(retailer, supplier, price, epsilon, rounds, plan, received, shipped)


def proven(
    retailer: PriceAgent,
    supplier: PriceAgent,
    price: Float[Array, " n"],
    epsilon: Float[Array, ""],
    rounds: Int[Array, ""],
    plan: Float[Array, " n"],
    received: Confirmation,
    shipped: Confirmation,
) -> Outcome:
    """What a plan that both have confirmed is worth; the bound is the sum of their exact answers."""
    retailer_bound, supplier_bound = retailer.bound(price), supplier.bound(-price)
    return Outcome(
        plan=plan,
        price=price,
        epsilon=epsilon,
        retailer=received,
        supplier=shipped,
        bound=retailer_bound + supplier_bound,
        retailer_floor=retailer_bound - jnp.vdot(price, plan),
        supplier_floor=supplier_bound + jnp.vdot(price, plan),
        missing=received.unmet + jnp.sum(received.short),
        rounds=rounds,
    )
