"""Derivatives of consensus plans that a search has found, and of what they cost both parties.

A best plan moves with units (demand, capacity, stock, the order that deviations are charged from) as its
optimal basis does, and stays where it is when costs, margins or fees move a little: its derivative with
respect to those is nought almost everywhere. Costs then move with the flows held, the envelope theorem.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents.terms import Terms
from jaxcpp.agents.tolled import TolledAgent
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus import newton, tolled
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.mechanism.choice import pose
from jaxcpp.mechanism.fees import Schedule
from jaxcpp.transport import implicit, path
from jaxcpp.transport.rounding import Flows

Parties = tuple[TransportAgent, TransportAgent]
Moving = tuple[Array, Array, Array, Array, Array]


def of_best(outcome: Outcome, buys: TransportAgent, ships: TransportAgent) -> Outcome:
    """The outcome of a consensus of both parties, with its derivatives; bounds have none."""
    return _with(outcome, implicit.attached(_best_moves, _moving(outcome), (buys, ships), outcome))


def of_choice(
    found: Outcome,
    posed: Outcome,
    schedule: Schedule,
    parties: Parties,
    order: Float[Array, " n"],
    terms: Terms,
) -> Outcome:
    """Likewise the supplier's choice on a schedule: `found` in both parties' costs, `posed` as searched."""
    held = implicit.still((schedule, terms)), posed
    return _with(found, implicit.attached(_choice_moves, _moving(found), (*parties, order), held))


def _moving(outcome: Outcome) -> Any:  # also of trees that `tree_at` makes of one
    received, shipped = outcome.retailer, outcome.supplier
    return outcome.plan, received.cost, received.spend, shipped.cost, shipped.spend


def _with(outcome: Outcome, moving: Moving) -> Outcome:
    return eqx.tree_at(_moving, outcome, moving)


def _best_moves(parties: Any, outcome: Outcome) -> Moving:
    buys, ships = parties
    fixed = buys.with_costs_held(), ships.with_costs_held()
    price = implicit.optimum(newton.evaluate, fixed, outcome.price, outcome.epsilon)
    epsilon, plan = outcome.epsilon, outcome.plan
    rounded = _rounded(fixed, plan, outcome.price, outcome.price, epsilon)
    flows = fixed[0].answered(price, epsilon), fixed[1].answered(-price, epsilon)
    return _accounts(parties, plan, rounded, flows)


def _choice_moves(params: Any, held: tuple[tuple[Schedule, Terms], Outcome]) -> Moving:
    (buys, ships, order), ((schedule, terms), outcome) = params, held
    epsilon, plan = outcome.epsilon, outcome.plan
    posed = pose(schedule, buys.with_costs_held(), ships.with_costs_held(), order, terms)
    one, other = posed.retailer, posed.supplier
    if isinstance(one, TolledAgent):
        dual = implicit.still(one).dual(outcome.price)
        inner = path.reached(implicit.search(dual, outcome.price, epsilon))
        both = jnp.concatenate([inner, outcome.price])
        moved = implicit.optimum(tolled.evaluate, (one, other), both, epsilon)
        (taking, price), one = jnp.split(moved, 2), one.agent
    else:
        inner = outcome.price
        taking = price = implicit.optimum(newton.evaluate, (one, other), inner, epsilon)
    rounded = _rounded((one, other), plan, inner, outcome.price, epsilon)
    flows = one.answered(taking, epsilon), other.answered(-price, epsilon)
    return _accounts((buys, ships), plan, rounded, flows)


def _rounded(
    parties: Parties,
    plan: Float[Array, " n"],
    taking: Float[Array, " n"],
    price: Float[Array, " n"],
    epsilon: Float[Array, ""],
) -> tuple[Flows, Flows]:
    """The flows behind a plan as it was issued: rounding is a loop, which derivatives must not enter."""
    buys, ships = implicit.still(parties)
    return buys.flows(plan, taking, epsilon), ships.flows(plan, -price, epsilon)


def _accounts(
    parties: Parties, plan: Float[Array, " n"], rounded: tuple[Flows, Flows], flows: tuple[Flows, Flows]
) -> Moving:
    """What moves: the plan with its flows; costs with lanes' costs at the flows issued, and with flows."""
    moved = jnp.sum(flows[0].lane, axis=1) - flows[0].used
    answers: list[Array] = []
    for agent, issued, moving in zip(parties, rounded, flows, strict=True):
        at_once = agent.account(issued, plan)
        after = agent.with_costs_held().account(moving, moved)
        answers += [at_once.cost + after.cost, at_once.spend + after.spend]
    return moved, answers[0], answers[1], answers[2], answers[3]
