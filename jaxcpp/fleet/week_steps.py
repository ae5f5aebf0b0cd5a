"""A rolling week's steps of one contract; `programs` vmaps and compiles them with all others."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcpp.consensus import newton
from jaxcpp.fleet import programs
from jaxcpp.fleet.pack import Lanes
from jaxcpp.fleet.programs import Prepared, parties
from jaxcpp.horizon import Continuation, Shipment, continuation, orders, shipment

Money = Float[Array, ""]


class Opened(eqx.Module):
    """A week before its first price."""

    prepared: Prepared
    cancelled: Float[Array, " n"]  # units of the plan of record that no demand takes any more


def open_week(
    policy: str,
    binding: bool,
    lane: Lanes,
    price: Array,
    record: Array,
    targets: Array,
    recorded: Array,
    cover: Int[Array, ""],
    tolerance: Money,
) -> Opened:
    """The order that stands without a new plan, and a first state at the last week's price.

    `binding` says that plans of record bind, and `recorded` that there is one; if not, the order is the
    retailer's policy: `best`, or `target`, up to `targets` [units], or where they are NaN to the forecast
    of `cover` weeks.
    """
    retailer, vendor, terms = parties(lane)
    if policy == "best":
        placed = orders.just_in_time(retailer, terms, tolerance)
    else:
        target = jnp.where(jnp.isnan(targets), orders.cover_target(retailer, terms, cover), targets)
        placed = orders.base_stock(retailer, terms, target, tolerance)
    if binding and retailer.weeks > 1:
        bound = orders.on_record(retailer, terms, jnp.where(recorded, record, 0.0), tolerance)
        placed = jax.tree.map(lambda a, b: jnp.where(recorded, a, b), bound, placed)
    ships = vendor.agent(terms)
    known = jnp.all(jnp.isfinite(price))
    begin = jnp.where(known, price / terms.money, ships.quote())
    state: Any = newton.begin(retailer.agent(terms), ships, begin)
    prepared = Prepared(terms, retailer.profit_at_no_cost(), placed.order, state)
    return Opened(prepared, placed.cancelled)


def go_on(binding: int, lane: Lanes, plan: Array, tolerance: Money) -> Continuation:
    """The retailer's best continuation, with the first `binding` weeks of `plan` [units] delivered."""
    retailer, _, terms = parties(lane)
    return continuation(retailer, terms, plan, binding, tolerance)


def ship(lane: Lanes, plan: Array, stock: Array, tolerance: Money) -> Shipment:
    """The vendor's week under `plan` [units]."""
    _, vendor, terms = parties(lane)
    return shipment(vendor, terms, plan, stock, tolerance)


programs.STEPS.update(
    {
        "open_week": (open_week, (0, 0, 0, 0, None, None, None)),
        "go_on": (go_on, (0, 0, None)),
        "ship": (ship, (0, 0, 0, None)),
    }
)
