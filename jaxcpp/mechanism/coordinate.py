"""The whole mechanism for one contract: status quo, consensus, transfer, decision. Pure: jit, vmap."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms
from jaxcpp.consensus.solve import solve
from jaxcpp.mechanism.choice import choose
from jaxcpp.mechanism.contract import Contract, offer
from jaxcpp.mechanism.fees import AdditiveFee, Fee
from jaxcpp.mechanism.status_quo import StatusQuo, filling, in_full, in_part, just_in_time
from jaxcpp.mechanism.terms import frame, money


def coordinate(
    retailer: Retailer,
    supplier: Supplier,
    fee: Fee | None = None,
    *,
    tolerance: ArrayLike | None = None,
    method: Literal["newton", "admm"] = "newton",
    max_rounds: int | None = None,
) -> Contract:
    """Find the plan that is best for both parties, or on a fee's price schedule, and price it.

    Without a fee, or with an additive one, that is the plan with the lowest joint cost; other fees leave
    the supplier another best choice (`Contract.efficiency_lost`).

    Compiled once for each shape of its arguments, a matter of seconds, and then for any numbers.

    Args:
        retailer: the party that orders; its numbers stay behind its own agent.
        supplier: the party that ships; likewise.
        fee: what is charged beyond the transfer, or a sum of such fees; none by default.
        tolerance: certified efficiency gap to reach, as a fraction of chain cost; by default 1e-6 in
            float64 and 1e-3 in float32.
        method: `newton` (prices, with the agents' slopes) or `admm` (the paper's protocol).
        max_rounds: of the coordinator; the method's own limit by default.

    Raises:
        ValueError: the two parties do not speak of the same inbound nodes and weeks, or a fee speaks of
            others.

    Source: arXiv:2605.16695 Definition 1, sections 3.1 and 4.
    """
    _same_nodes(retailer, supplier)
    dtype = retailer.demand.dtype
    reach = (1e-6 if dtype == jnp.float64 else 1e-3) if tolerance is None else tolerance
    charged: Fee = AdditiveFee() if fee is None else fee
    return _compiled(retailer, supplier, charged, jnp.asarray(reach, dtype), method, max_rounds)


def _coordinate(
    retailer: Retailer,
    supplier: Supplier,
    fee: Fee,
    target: Float[Array, ""],
    method: Literal["newton", "admm"],
    max_rounds: int | None,
) -> Contract:
    terms = frame(retailer, supplier, money(retailer, supplier))
    quo = status_quo(retailer, supplier, terms, target)
    buys, ships = retailer.agent(terms), supplier.agent(terms)
    efficient = solve(buys, ships, target, method, max_rounds)
    schedule, choice = fee.schedule(buys.side.cost.shape[0] // retailer.weeks, retailer.weeks), None
    if schedule.distorts:
        choice = choose(schedule, buys, ships, quo.order.plan, terms, target, method, max_rounds)
    contract = offer(retailer.profit_at_no_cost(), terms, quo, efficient, schedule, target, choice)
    shape = (-1, retailer.weeks) if retailer.weekly else (-1,)
    plans = contract.plan, contract.jit, contract.issued, contract.order
    return eqx.tree_at(
        lambda c: (c.plan, c.jit, c.issued, c.order), contract, tuple(plan.reshape(shape) for plan in plans)
    )


_compiled = jax.jit(_coordinate, static_argnames=("method", "max_rounds"))


def status_quo(
    retailer: Retailer, supplier: Supplier, terms: Terms, tolerance: Float[Array, ""]
) -> StatusQuo:
    """Just-in-time as ordered by the retailer and confirmed by the supplier."""
    agent = retailer.agent(terms)
    order = just_in_time(retailer, agent, terms, tolerance)
    whole = in_full(order, *filling(supplier, terms, order.plan * terms.volume, tolerance))
    part = in_part(agent, supplier, terms, order, tolerance, whole.filled)
    return jax.tree.map(lambda full, some: jnp.where(whole.filled, full, some), whole, part)


def _same_nodes(retailer: Retailer, supplier: Supplier) -> None:
    ours = (retailer.unit_cost.shape[-2], retailer.weeks)
    theirs = (supplier.unit_cost.shape[-1], supplier.capacity.shape[-1])
    if ours != theirs:
        raise ValueError(
            f"coordinate: the retailer plans {ours[0]} inbound nodes over {ours[1]} weeks, the supplier "
            f"{theirs[0]} over {theirs[1]}; give both the same nodes and weeks"
        )
