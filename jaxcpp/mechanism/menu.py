"""A menu of contracts: a list of plans with prices, from which the supplier picks (section 6.1).

The prices come from the retailer's side alone, so no report of the supplier's can move them: choosing
from them is truthful (arXiv:2605.16695 Theorems 1-3). The list may be the retailer's, or name the plans a
supplier would like to have priced; a hint from the supplier makes a list that is worth its while.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.arrays import Numbers, floats
from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms
from jaxcpp.consensus.outcome import feasible
from jaxcpp.mechanism.coordinate import status_quo
from jaxcpp.mechanism.fees import AdditiveFee, Fee, Schedule
from jaxcpp.mechanism.status_quo import StatusQuo
from jaxcpp.mechanism.terms import frame, money
from jaxcpp.transport import living

TOLERANCE = 1e-7
"""Relative bracket of every cost, by default."""

SAME = 1e-9
"""Of a contract's volume: a plan this near to just-in-time is just-in-time, and costs nothing."""


class Menu(eqx.Module):
    """Plans [units] and what each costs a supplier that picks it [currency]; first axis the plan.

    `price = cbt + fee` lies within `price_error` of the price at the retailer's exact costs. A plan the
    retailer cannot live with costs inf.
    """

    plans: Float[Array, "*b n"]
    retailer_cost: Float[Array, " *b"]  # money the retailer spends with it
    cbt: Float[Array, " *b"]
    fee: Float[Array, " *b"]
    price: Float[Array, " *b"]
    price_error: Float[Array, " *b"]


class Pick(eqx.Module):
    """What a supplier makes of a menu [currency]: utilities before and after the price, and its choice.

    A plan it cannot ship is worth -inf. `choice` is -1 where opting out (just-in-time as confirmed, at
    `opting_out`) is at least as good, to within `error`.
    """

    supplier_cost: Float[Array, " *b"]
    utility: Float[Array, " *b"]
    net: Float[Array, " *b"]
    opting_out: Float[Array, ""]
    supplier_cost_jit: Float[Array, ""]
    retailer_cost_jit: Float[Array, ""]
    error: Float[Array, " *b"]
    choice: Int[Array, ""]


def menu(
    retailer: Retailer,
    supplier: Supplier,
    plans: Numbers,
    fee: Fee | None = None,
    *,
    tolerance: ArrayLike | None = None,
) -> tuple[Menu, Pick]:
    """Price a list of plans and let the supplier pick. Compiled once for each shape of its arguments.

    Args:
        retailer: prices the plans.
        supplier: picks; the prices know only which nodes it delivers to.
        plans: (plan, inbound), or (plan, inbound, week) [units].
        fee: what is charged beyond the transfer; none by default.
        tolerance: relative bracket of each cost; 1e-7 by default, the finest that is reached everywhere.

    Raises:
        ValueError: the plans have other nodes or weeks than the retailer.
    """
    (listed,) = floats(plans)
    listed = listed.reshape(listed.shape[0], -1)
    if listed.shape[1] != retailer.nodes:
        raise ValueError(
            f"menu: the retailer plans {retailer.nodes} nodes and weeks, the plans have {listed.shape[1]}"
        )
    charged: Fee = AdditiveFee() if fee is None else fee
    reach = jnp.asarray(TOLERANCE if tolerance is None else tolerance, listed.dtype)
    return _compiled(retailer, supplier, listed, charged, reach)


@jax.jit
def _compiled(
    retailer: Retailer, supplier: Supplier, plans: Float[Array, "b n"], fee: Fee, tolerance: Float[Array, ""]
) -> tuple[Menu, Pick]:
    terms = frame(retailer, supplier, money(retailer, supplier))
    quo = status_quo(retailer, supplier, terms, tolerance)
    found = price_plans(retailer, terms, quo, plans, fee, tolerance=tolerance)
    return found, pick(supplier, terms, quo, found, tolerance=tolerance)


@jax.jit
def ordered(retailer: Retailer, supplier: Supplier) -> Float[Array, " n"]:
    """The just-in-time plan as the supplier confirms it, by public node [units]."""
    terms = frame(retailer, supplier, money(retailer, supplier))
    tolerance = jnp.full((), TOLERANCE, terms.volume.dtype)
    return status_quo(retailer, supplier, terms, tolerance).plan * terms.volume


def price_plans(
    retailer: Retailer,
    terms: Terms,
    quo: StatusQuo,
    plans: Float[Array, "b n"],
    fee: Fee | None = None,
    *,
    tolerance: Float[Array, ""],
) -> Menu:
    """Price a list of plans by public node, all in one batch; the supplier has no part in it."""
    charged: Fee = AdditiveFee() if fee is None else fee
    nodes = plans.shape[-1] // retailer.weeks
    schedule = charged.schedule(nodes, retailer.weeks)
    return jax.vmap(lambda plan: _priced(retailer, terms, quo, schedule, plan, tolerance))(plans)


def _priced(
    retailer: Retailer,
    terms: Terms,
    quo: StatusQuo,
    schedule: Schedule,
    plan: Float[Array, " n"],
    tolerance: Float[Array, ""],
) -> Menu:
    agent, unit = retailer.agent(terms), terms.money * terms.volume
    scaled, order = plan / terms.volume, quo.order.plan * terms.volume
    bracket = living.cheapest(agent.side, scaled, tolerance)
    lives = agent.account(bracket.flows, scaled)
    possible = feasible(lives.unmet + jnp.sum(lives.short)) & jnp.all(plan >= 0.0)
    same = _is_just_in_time(plan, quo, terms)
    cbt = (bracket.upper - quo.order.cost.upper) * unit
    charged = jnp.where(same, 0.0, schedule.charge(cbt, plan, order))
    cbt = jnp.where(same, 0.0, jnp.where(possible, cbt, jnp.inf))
    wide = jnp.maximum(bracket.upper - bracket.lower, quo.order.cost.upper - quo.order.cost.lower)
    error = jnp.where(same, 0.0, wide * unit * schedule.slope())
    return Menu(plan, lives.spend * unit, cbt, charged, cbt + charged, error)


def pick(
    supplier: Supplier,
    terms: Terms,
    quo: StatusQuo,
    menu: Menu,
    *,
    tolerance: Float[Array, ""],
) -> Pick:
    """The supplier's choice from a menu, on its own costs."""
    agent, unit = supplier.agent(terms), terms.money * terms.volume

    def worth(
        plan: Float[Array, " n"],
    ) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        bracket = living.cheapest(agent.side, plan / terms.volume, tolerance)
        done = agent.account(bracket.flows, plan / terms.volume)
        utility = jnp.where(feasible(jnp.sum(done.short)), -bracket.upper * unit, -jnp.inf)
        return done.spend * unit, utility, (bracket.upper - bracket.lower) * unit

    cost, utility, wide = jax.vmap(worth)(menu.plans)
    opting_out = -quo.supplier.upper * unit
    same = jax.vmap(lambda plan: _is_just_in_time(plan, quo, terms))(menu.plans)
    net = jnp.where(jnp.isfinite(utility) & jnp.isfinite(menu.price), utility - menu.price, -jnp.inf)
    error = wide + menu.price_error + (quo.supplier.upper - quo.supplier.lower) * unit
    better: Bool[Array, " b"] = (net > opting_out + error) & ~same
    best = jnp.argmax(jnp.where(better, net, -jnp.inf))
    choice = jnp.where(jnp.any(better), best, -1).astype(jnp.int32)
    spent = quo.supplier.spend * unit, quo.retailer.spend * unit
    return Pick(cost, utility, net, opting_out, *spent, error, choice)


def hinted(order: Float[Array, "i t"], node: Int[Array, ""] | int, count: int = 4) -> Float[Array, "b i t"]:
    """Plans that bring more and more of a just-in-time order in through one node (section 7.7).

    In `count` equal steps, week by week, the last with everything there.
    """
    elsewhere = jnp.arange(order.shape[0]) != node
    share = jnp.arange(1, count + 1).astype(order.dtype)[:, None, None] / count
    moved = jnp.where(elsewhere[:, None], order, 0.0)
    gained = jnp.where(elsewhere[:, None], 0.0, jnp.sum(moved, axis=0)[None, :])
    return order[None] + share * (gained - moved)[None]


def _is_just_in_time(plan: Float[Array, " n"], quo: StatusQuo, terms: Terms) -> Bool[Array, ""]:
    return jnp.max(jnp.abs(plan / terms.volume - quo.plan)) <= SAME
