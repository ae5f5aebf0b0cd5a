"""The mechanism between parties whose choices are smoothed: differentiable, and the same mechanism.

With a smoothing `s` [currency / unit] every unit chooses among its lanes, and the option of doing without,
with weights `exp(-cost / s)` instead of taking the cheapest: each party's cost of a plan is then

    C_s(x) = min over flows that ship x of  cost of the flows - s * their entropy,

the expected least cost if lanes' costs had independent Gumbel noise of scale `s` (a logit choice). These
are convex and smooth, and everything else is Definition 1 of the paper for parties with such costs: the
order is the retailer's best plan, the transfer is what a plan costs it beyond the order, fees are schedules
on it, and gain and transfer are never negative. `C <= C_s + s * entropy` and `C_s <= C` hold plan by plan,
which is what the certificate reports. Where the baseline or a choice is searched for, its derivative is
`transport.implicit`'s.

Source: arXiv:2605.16695 Definition 1, sections 3.1 and 4; Peyré and Cuturi, Computational Optimal Transport
(2019), section 4.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.protocol import Confirmation, Response
from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms
from jaxcpp.agents.toll import Toll
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.agents.weighed import WeighedAgent, WeighedBesideToll
from jaxcpp.consensus import newton, tolled
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.mechanism.choice import toll_of
from jaxcpp.mechanism.contract import Certificate, Contract, offer
from jaxcpp.mechanism.fees import Schedule
from jaxcpp.mechanism.status_quo import Cost, Order, StatusQuo
from jaxcpp.transport import implicit, living, path
from jaxcpp.transport.rounding import Flows, cost_of, smoothed
from jaxcpp.transport.side import Side, exponents

PRECISE = 1e-8
"""Of chain cost: what a smoothed plan may be off its own optimum, which is searched to rounding error."""


class Found(eqx.Module):
    """The optimum of a smoothed dual as a function of its parameters, and how far a search ended from it."""

    price: Float[Array, " n"]
    off: Float[Array, ""]  # imbalance
    rounds: Int[Array, ""]


class Hidden(eqx.Module):
    """How much smoothing lowers each cost at most, in scaled units."""

    order: Float[Array, ""]  # the retailer's of its order
    jit: Float[Array, ""]  # both parties' of the status quo
    plan: Float[Array, ""]  # the retailer's of the plan
    both: Float[Array, ""]  # both parties' of the plan
    gap: Float[Array, ""]  # joint cost of the flows behind the efficient plan, over the least joint cost


def smooth(
    retailer: Retailer, supplier: Supplier, terms: Terms, schedule: Schedule, smoothing: Float[Array, ""]
) -> Contract:
    """The contract of two parties smoothed by `smoothing` [currency / unit], which carries no derivative.

    Utilities, transfer, gain and price are those of the smoothed costs; `cost_jit` and `cost_plan`, money
    spent, are those of the flows. The certificate says what the smoothing hides: the flows behind the plan
    cost both at most `efficiency_gap` more than the best plan there is (on a schedule: the efficient
    plan's), and the price is within `price_error` of one with the retailer's exact costs of the same plan
    and order.
    """
    epsilon = implicit.still(smoothing) / terms.money
    buys, ships = retailer.agent(terms), supplier.agent(terms)
    order, hid_order, sound = _order(buys, terms, epsilon, stocked=retailer.inventory is not None)
    quo, hid_jit, confirmed = _status_quo(buys, ships, supplier, order, terms, epsilon)
    sound = sound & confirmed
    hid_jit = hid_jit + jnp.where(quo.filled, hid_order, 0.0)
    efficient, hid_retailer, hid_supplier, bound = _best(buys, ships, epsilon)
    gap = efficient.cost + hid_retailer + hid_supplier - bound
    choice = None
    if schedule.distorts:
        choice, hid_retailer, hid_supplier = _choice(
            schedule, buys, ships, quo.order.plan, efficient.price, terms, epsilon
        )
    chosen = efficient if choice is None else choice
    outcome = eqx.tree_at(lambda o: o.bound, chosen, jnp.where(sound, chosen.bound, -jnp.inf))
    efficient, choice = (outcome, None) if choice is None else (efficient, outcome)
    tolerance = jnp.asarray(_precise(smoothing.dtype), smoothing.dtype)
    contract = offer(retailer.profit_at_no_cost(), terms, quo, efficient, schedule, tolerance, choice)
    hidden = Hidden(hid_order, hid_jit, hid_retailer, hid_retailer + hid_supplier, gap)
    unit = terms.money * terms.volume
    return eqx.tree_at(
        lambda c: c.certificate, contract, implicit.still(_widened(contract, hidden, unit, schedule))
    )


def _widened(contract: Contract, hidden: Hidden, unit: Float[Array, ""], schedule: Schedule) -> Certificate:
    """The certificate with what the smoothing hides."""
    own = contract.certificate
    price = jnp.maximum(hidden.order, hidden.plan) * schedule.slope()
    lost = jnp.maximum(jnp.maximum(hidden.jit, hidden.both), hidden.gap)
    return Certificate(
        efficiency_gap=own.efficiency_gap + jnp.maximum(hidden.gap, 0.0) * unit,
        price_error=own.price_error + price * unit,
        lost_error=own.lost_error + lost * unit,
    )


def _found(
    family: implicit.Family,
    params: implicit.Params,
    start: Float[Array, " n"],
    epsilon: Float[Array, ""],
) -> Found:
    """Search without derivatives, attach them, and look how far the search has come."""
    known = family(*implicit.still(params))
    state = implicit.search(known, implicit.still(start), epsilon)
    reached = path.reached(state)
    off = jnp.sum(jnp.abs(known(reached, epsilon).gradient))
    return Found(implicit.optimum(family, params, reached, epsilon), off, state.rounds)


def _costs(seen: Response, price: Float[Array, " n"]) -> Float[Array, ""]:
    """A party's smoothed cost of the plan that it answers to a price."""
    return seen.value - jnp.vdot(price, seen.plan)


def _best(
    buys: TransportAgent, ships: TransportAgent, epsilon: Float[Array, ""]
) -> tuple[Outcome, Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """The plan that is best for both, what smoothing hides of each party's cost, and the exact bound."""
    found = _found(newton.evaluate, (buys, ships), ships.quote(), epsilon)
    taken, shipped = buys.respond(found.price, epsilon), ships.respond(-found.price, epsilon)
    outcome = _outcome((buys, found.price, taken), (ships, -found.price, shipped), found, epsilon)
    return outcome, taken.bias, shipped.bias, taken.bound + shipped.bound


Answered = tuple[TransportAgent, Float[Array, " n"], Response]


def _outcome(buyer: Answered, seller: Answered, found: Found, epsilon: Float[Array, ""]) -> Outcome:
    """Both parties' smoothed costs of one plan; what the search has left undone counts against it."""
    (buys, price, taken), (_, paid, shipped) = buyer, seller
    none = jnp.zeros_like(taken.plan)
    unmet = jnp.vdot(buys.must_serve, buys.answered(price, epsilon).outside)
    received = Confirmation(_costs(taken, price), taken.spend, none, unmet)
    sent = Confirmation(_costs(shipped, paid), shipped.spend, none, jnp.zeros_like(unmet))
    unsure = path.REPAIR_PRICE * implicit.still(found.off)
    return Outcome(
        plan=taken.plan, price=-paid, epsilon=epsilon, retailer=received, supplier=sent,
        bound=received.cost + sent.cost - unsure,
        retailer_floor=received.cost, supplier_floor=sent.cost, missing=unmet, rounds=found.rounds,
    )  # fmt: skip


def _choice(
    schedule: Schedule,
    buys: TransportAgent,
    ships: TransportAgent,
    order: Float[Array, " n"],
    start: Float[Array, " n"],
    terms: Terms,
    epsilon: Float[Array, ""],
) -> tuple[Outcome, Float[Array, ""], Float[Array, ""]]:
    """What the supplier likes best on the schedule, and what smoothing hides of each party's cost of it."""
    weight = schedule.weight()
    minded = WeighedAgent(buys, weight)
    toll = toll_of(schedule, buys, order, terms, jnp.ones_like(weight))
    if toll is None:
        found = _found(newton.evaluate, (minded, ships), start, epsilon)
        inner = price = found.price
    else:
        found = _found(
            tolled.evaluate,
            (WeighedBesideToll(minded, toll), ships),
            jnp.concatenate([start, start]),
            epsilon,
        )
        inner, price = jnp.split(found.price, 2)
    taken, shipped = buys.respond(inner / weight, epsilon), ships.respond(-price, epsilon)
    outcome = _outcome((buys, inner / weight, taken), (ships, -price, shipped), found, epsilon)
    return outcome, taken.bias, shipped.bias


def _status_quo(
    buys: TransportAgent,
    ships: TransportAgent,
    supplier: Supplier,
    order: Order,
    terms: Terms,
    epsilon: Float[Array, ""],
) -> tuple[StatusQuo, Float[Array, ""], Bool[Array, ""]]:
    """The order as confirmed, what smoothing hides of its cost but for the order's own, and whether found."""
    # Each order line is filled, or left at a price that only a lack of capacity is worth.
    ceiling = terms.ceiling / terms.money
    filling, _ = _confirmed(order.plan, ceiling, ships, ships.quote(), epsilon)
    left = jnp.sum(order.plan - ships.respond(-filling.price, epsilon).plan)
    filled = _near(implicit.still(left))
    # The margin of a unit is in the agent's costs: what it would not ship for, it does not ship.
    worth = jnp.where(filled, ceiling, jnp.maximum(-supplier.margin, 0.0) / terms.money)
    found, shipped = _confirmed(order.plan, worth, ships, filling.price, epsilon)
    cost = _costs(shipped, -found.price)
    plan = jnp.where(filled, order.plan, shipped.plan)
    lives = _found(living.evaluate, (buys.side, plan), jnp.zeros_like(plan), epsilon)
    seen = buys.respond(lives.price, epsilon)
    unmet = jnp.vdot(buys.must_serve, buys.answered(lives.price, epsilon).outside)
    living_cost = Cost(_costs(seen, lives.price), _costs(seen, lives.price), seen.spend)
    retailer: Cost = jax.tree.map(lambda a, b: jnp.where(filled, a, b), order.cost, living_cost)
    quo = StatusQuo(
        order, plan, filled, retailer, Cost(cost, cost, shipped.spend), jnp.where(filled, order.unmet, unmet)
    )
    hid = jnp.where(filled, 0.0, seen.bias) + shipped.bias
    return quo, hid, _near(found.off) & (filled | _near(lives.off))


def _near(off: Float[Array, ""]) -> Bool[Array, ""]:
    """Whether a search has come as far as rounding allows."""
    return off <= _precise(off.dtype)


def _precise(dtype: Any) -> float:
    return PRECISE if dtype == jnp.float64 else 1e-3


def _confirmed(
    order: Float[Array, " n"],
    worth: Float[Array, ""],
    ships: TransportAgent,
    start: Float[Array, " n"],
    epsilon: Float[Array, ""],
) -> tuple[Found, Response]:
    """What a supplier ships of an order whose lines may each be left unfilled, a unit of which is `worth`."""
    zero = jnp.zeros_like(order)
    lines = Toll(baseline=order, over=zero, under=jnp.broadcast_to(worth, order.shape), most=zero)
    found = _found(newton.evaluate, (lines, ships), start, epsilon)
    return found, ships.respond(-found.price, epsilon)


def _order(
    buys: TransportAgent, terms: Terms, epsilon: Float[Array, ""], stocked: bool
) -> tuple[Order, Float[Array, ""], Bool[Array, ""]]:
    """The retailer's own best plan, what smoothing hides of its cost, and whether it was found.

    Units come from open nodes at no price, or from stock, at the price at which no more is used than there
    is: to what chooses among stocks, all fresh units are one option.
    """
    side = buys.side
    fresh = Side(
        jnp.where(terms.open[:, None], side.cost, jnp.inf),
        side.mass,
        side.outside,
        jnp.zeros_like(side.stock),
    )
    lane, away, best = exponents(fresh, jnp.zeros_like(side.stock), epsilon)
    weight, without = jnp.exp(lane), jnp.exp(away)
    total = jnp.sum(weight, axis=0) + without
    none = jnp.zeros_like(side.stock)
    shelf = Side(
        jnp.where(side.stock[:, None] > 0.0, side.cost, jnp.inf),
        side.mass,
        best - epsilon * jnp.log(total),
        side.stock,
    )
    found = Found(none, jnp.zeros_like(epsilon), jnp.zeros((), jnp.int32))
    if stocked:
        found = _found(living.evaluate, (shelf, none), none, epsilon)
    held = smoothed(shelf, found.price, epsilon)
    ordered, lost = weight * (held.outside / total)[None, :], without * held.outside / total
    flows = Flows(held.lane + ordered, lost, held.used, none)
    value = living.evaluate(shelf, none)(found.price, epsilon).value
    plan = jnp.sum(ordered, axis=1)
    spend, cost = buys.account(flows, plan).spend, cost_of(side, flows)
    unmet = jnp.vdot(buys.must_serve, lost)
    return Order(plan, Cost(value, value, spend), unmet), cost - value, _near(implicit.still(found.off))
