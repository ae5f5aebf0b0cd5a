"""The whole mechanism for one contract: status quo, consensus, transfer, decision. Pure: jit, vmap."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms
from jaxcpp.consensus.solve import solve
from jaxcpp.mechanism.choice import choose, read
from jaxcpp.mechanism.contract import Contract, offer
from jaxcpp.mechanism.derivative import of_best, of_choice
from jaxcpp.mechanism.fees import AdditiveFee, Fee, Schedule
from jaxcpp.mechanism.smooth import smooth
from jaxcpp.mechanism.status_quo import JustInTime, StatusQuo, filling, in_full, in_part, just_in_time
from jaxcpp.mechanism.terms import frame, money
from jaxcpp.transport.implicit import still


def coordinate(
    retailer: Retailer,
    supplier: Supplier,
    fee: Fee | None = None,
    *,
    tolerance: ArrayLike | None = None,
    method: Literal["newton", "admm"] = "newton",
    max_rounds: int | None = None,
    smoothing: ArrayLike | None = None,
    just_in_time: JustInTime = "obliged",
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
        smoothing: above 0, in currency / unit: the contract of parties whose choices are smoothed that
            much, differentiable everywhere (`mechanism.smooth`); by default none. Derivatives with
            respect to every number of both parties and of the fee go through either.
        just_in_time: without a contract the supplier fills every order that its capacity allows
            (`obliged`), or what of it suits it best (`voluntary`: then no lie about capacity pays).

    Raises:
        ValueError: the two parties do not speak of the same inbound nodes and weeks, or a fee speaks of
            others; `smoothing` is not above 0, or is asked for together with ADMM, a limit of rounds or
            voluntary orders.

    Source: arXiv:2605.16695 Definition 1, sections 3.1 and 4.
    """
    _same_nodes(retailer, supplier)
    dtype = retailer.demand.dtype
    reach = (1e-6 if dtype == jnp.float64 else 1e-3) if tolerance is None else tolerance
    charged: Fee = AdditiveFee() if fee is None else fee
    if smoothing is not None:
        if method != "newton" or max_rounds is not None or just_in_time != "obliged":
            raise ValueError(
                "coordinate: with `smoothing`, leave `method`, `max_rounds` and `just_in_time` as they are"
            )
        if not isinstance(smoothing, jax.core.Tracer) and not np.all(np.asarray(smoothing) > 0.0):
            raise ValueError(f"coordinate: smoothing must be above 0 [currency / unit]; got {smoothing}")
        smoothing = jnp.asarray(smoothing, dtype)
    target = jnp.asarray(reach, dtype)
    return _compiled(retailer, supplier, charged, target, smoothing, method, max_rounds, just_in_time)


def _coordinate(
    retailer: Retailer,
    supplier: Supplier,
    fee: Fee,
    target: Float[Array, ""],
    smoothing: Float[Array, ""] | None,
    method: Literal["newton", "admm"],
    max_rounds: int | None,
    filling_is: JustInTime,
) -> Contract:
    terms = frame(retailer, supplier, money(retailer, supplier))
    schedule = fee.schedule(retailer.unit_cost.shape[0], retailer.weeks)
    if smoothing is None:
        contract = exact(retailer, supplier, terms, schedule, target, method, max_rounds, filling_is)
    else:
        contract = smooth(retailer, supplier, terms, schedule, smoothing)
    return _shaped(contract, retailer)


def exact(
    retailer: Retailer,
    supplier: Supplier,
    terms: Terms,
    schedule: Schedule,
    target: Float[Array, ""],
    method: Literal["newton", "admm"] = "newton",
    max_rounds: int | None = None,
    filling_is: JustInTime = "obliged",
) -> Contract:
    """The contract of two parties as they are, its plans as flat vectors; `target` as `tolerance`."""
    quo = status_quo(retailer, supplier, terms, target, filling_is)
    buys, ships = parties = retailer.agent(terms), supplier.agent(terms)
    # Searches see no derivatives: those of what they find are attached afterwards.
    efficient = of_best(solve(still(buys), still(ships), target, method, max_rounds), buys, ships)
    choice = None
    if schedule.distorts:
        order = quo.order.plan
        held, known, fixed = still((schedule, order, terms))
        found = choose(held, still(buys), still(ships), known, fixed, target, method, max_rounds)
        choice = of_choice(read(held, found, known, fixed), found, schedule, parties, order, terms)
    return offer(retailer.profit_at_no_cost(), terms, quo, efficient, schedule, target, choice)


def _shaped(contract: Contract, retailer: Retailer) -> Contract:
    """Plans as the retailer's demand is given: by inbound node, or by inbound node and week."""
    shape = (-1, retailer.weeks) if retailer.weekly else (-1,)
    plans = contract.plan, contract.jit, contract.issued, contract.order
    return eqx.tree_at(
        lambda c: (c.plan, c.jit, c.issued, c.order), contract, tuple(plan.reshape(shape) for plan in plans)
    )


_compiled = jax.jit(_coordinate, static_argnames=("method", "max_rounds", "filling_is"))


def status_quo(
    retailer: Retailer,
    supplier: Supplier,
    terms: Terms,
    tolerance: Float[Array, ""],
    filling_is: JustInTime = "obliged",
) -> StatusQuo:
    """Just-in-time as ordered by the retailer and confirmed by the supplier."""
    agent = retailer.agent(terms)
    order = just_in_time(retailer, agent, terms, tolerance)
    if filling_is == "voluntary":
        return in_part(agent, supplier, terms, order, tolerance, jnp.zeros((), bool))
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
