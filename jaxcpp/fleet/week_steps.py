"""A rolling week's steps of one contract; `programs` vmaps and compiles them with all others."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcpp.agents.tolled import TolledAgent
from jaxcpp.consensus import newton, tolled
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.fleet import programs
from jaxcpp.fleet.pack import Lanes
from jaxcpp.fleet.programs import Prepared, first_price, parties
from jaxcpp.horizon import Continuation, Shipment, changes, continuation, orders, shipment

Money = Float[Array, ""]


class Opened(eqx.Module):
    """A week before its first price."""

    prepared: Prepared
    cancelled: Float[Array, " n"]  # units of the plan of record that no demand takes any more


def open_week(
    policy: str,
    binding: bool,
    priced: bool,
    lane: Lanes,
    price: Array,
    record: Array,
    targets: Array,
    recorded: Array,
    cover: Int[Array, ""],
    churn: Money,
    tolerance: Money,
) -> Opened:
    """The order that stands without a new plan, and a first state at the last week's price.

    `binding` says that plans of record bind, and `recorded` that there is one; if not, the order is the
    retailer's policy: `best`, or `target`, up to `targets` [units], or where they are NaN to the forecast
    of `cover` weeks. With `priced`, leaving the plan of `record` [units] costs `churn` [currency / unit].
    """
    retailer, vendor, terms = parties(lane)
    kept = changes.on_record(retailer, terms, record, churn) if priced else None
    if policy == "best" and kept is not None:
        placed = changes.just_in_time(retailer, terms, kept, tolerance)
    elif policy == "best":
        placed = orders.just_in_time(retailer, terms, tolerance)
    else:
        target = jnp.where(jnp.isnan(targets), orders.cover_target(retailer, terms, cover), targets)
        placed = orders.base_stock(retailer, terms, target, tolerance)
        placed = placed if kept is None else changes.charged(placed, kept)
    if binding and retailer.weeks > 1:
        bound = orders.on_record(retailer, terms, jnp.where(recorded, record, 0.0), tolerance)
        bound = bound if kept is None else changes.charged(bound, kept)
        placed = jax.tree.map(lambda a, b: jnp.where(recorded, a, b), bound, placed)
    ships = vendor.agent(terms)
    begin, _ = first_price(ships, terms, price)
    buys = retailer.agent(terms)
    if kept is None:
        state: Any = newton.begin(buys, ships, begin)
    else:
        state = tolled.begin(TolledAgent(buys, kept.toll), ships, begin)
    prepared = Prepared(terms, retailer.profit_at_no_cost(), placed.order, state)
    return Opened(prepared, placed.cancelled)


def go_on(
    binding: int, priced: bool, lane: Lanes, plan: Array, churn: Money, tolerance: Money
) -> Continuation:
    """The retailer's best continuation, with the first `binding` weeks of `plan` [units] delivered."""
    retailer, _, terms = parties(lane)
    return continuation(retailer, terms, plan, binding, tolerance, churn if priced else None)


def turn_on_record(
    lane: Lanes, record: Array, churn: Money, state: Any, tolerance: Money, limit: Int[Array, ""]
) -> tuple[Any, Outcome]:
    """A few rounds of consensus where leaving the plan of `record` costs `churn` [currency / unit].

    Its cost is the retailer's, as a toll beside its own; the caller minds the limit of rounds.
    """
    del limit
    retailer, vendor, terms = parties(lane)
    kept = changes.on_record(retailer, terms, record, churn)
    buys = TolledAgent(retailer.agent(terms), kept.toll)
    state, outcome = tolled.turn(buys, vendor.agent(terms), state, tolerance)
    costs = outcome.retailer.cost, outcome.bound, outcome.retailer_floor
    return state, eqx.tree_at(
        lambda o: (o.retailer.cost, o.bound, o.retailer_floor), outcome, tuple(c + kept.gone for c in costs)
    )


def ship(lane: Lanes, plan: Array, stock: Array, tolerance: Money) -> Shipment:
    """The vendor's week under `plan` [units]."""
    _, vendor, terms = parties(lane)
    return shipment(vendor, terms, plan, stock, tolerance)


programs.STEPS.update(
    {
        "open_week": (open_week, (0, 0, 0, 0, None, None, None, None)),
        "go_on": (go_on, (0, 0, None, None)),
        "turn_on_record": (turn_on_record, (0, 0, 0, 0, None, None)),
        "ship": (ship, (0, 0, 0, None)),
    }
)
