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
from jaxcpp.mechanism.contract import Contract, offer
from jaxcpp.mechanism.fees import AdditiveFee
from jaxcpp.mechanism.status_quo import StatusQuo, filling, in_full, in_part, just_in_time
from jaxcpp.mechanism.terms import frame, money


def coordinate(
    retailer: Retailer,
    supplier: Supplier,
    fee: AdditiveFee | None = None,
    *,
    tolerance: ArrayLike | None = None,
    method: Literal["newton", "admm"] = "newton",
    max_rounds: int | None = None,
) -> Contract:
    """Find the plan with the lowest joint cost and price it against just-in-time.

    Compiled once for each shape of its arguments, a matter of seconds, and then for any numbers.

    Args:
        retailer: the party that orders; its numbers stay behind its own agent.
        supplier: the party that ships; likewise.
        fee: the activity fee; none by default.
        tolerance: certified efficiency gap to reach, as a fraction of chain cost; by default 1e-6 in
            float64 and 1e-3 in float32.
        method: `newton` (prices, with the agents' slopes) or `admm` (the paper's protocol).
        max_rounds: of the coordinator; the method's own limit by default.

    Raises:
        ValueError: the two parties do not speak of the same inbound nodes and weeks.

    Source: arXiv:2605.16695 Definition 1 and section 3.1.
    """
    _same_nodes(retailer, supplier)
    dtype = retailer.demand.dtype
    reach = (1e-6 if dtype == jnp.float64 else 1e-3) if tolerance is None else tolerance
    charged = AdditiveFee() if fee is None else fee
    return _compiled(retailer, supplier, charged, jnp.asarray(reach, dtype), method, max_rounds)


def _coordinate(
    retailer: Retailer,
    supplier: Supplier,
    fee: AdditiveFee,
    target: Float[Array, ""],
    method: Literal["newton", "admm"],
    max_rounds: int | None,
) -> Contract:
    terms = frame(retailer, supplier, money(retailer, supplier))
    quo = status_quo(retailer, supplier, terms, target)
    outcome = solve(retailer.agent(terms), supplier.agent(terms), target, method, max_rounds)
    contract = offer(retailer.profit_at_no_cost(), terms, quo, outcome, fee, target)
    shape = (-1, retailer.weeks) if retailer.weekly else (-1,)
    plans = tuple(plan.reshape(shape) for plan in (contract.plan, contract.jit, contract.issued))
    return eqx.tree_at(lambda c: (c.plan, c.jit, c.issued), contract, plans)


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
