"""A menu for one product of a vendor that is planned together with others.

A plan of the product is priced with the vendor's other products delivered as ordered just in time and all
others' plans the best around it, all of them taking part. Nothing that the vendor says moves those prices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcpp.consensus import newton
from jaxcpp.consensus.outcome import feasible
from jaxcpp.fleet import store
from jaxcpp.fleet.batch import in_batches
from jaxcpp.fleet.bundle_fees import bundle_charges
from jaxcpp.fleet.bundle_solve import BundleSolved, solve_bundles
from jaxcpp.fleet.bundles import Bundle, Bundles
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings
from jaxcpp.mechanism.bundle_fees import BundleFees
from jaxcpp.mechanism.menu import SAME, Menu, Pick
from jaxcpp.mechanism.several import Found

TOLERANCE = 1e-6
"""Relative bracket of what plans cost the others, and the vendor."""


def lay_bundle(
    fleet: Fleet, bundle: Bundle, offer: int, fees: tuple[FeeRule, ...]
) -> tuple[Callable[[Floats], tuple[Menu, Pick]], list[str], Floats]:
    """What prices plans of an offer, its inbound nodes, its order as confirmed (inbound, week) [units]."""
    settings = Settings(fees=fees, tolerance=TOLERANCE)
    (part,) = solve_bundles(fleet, Bundles([bundle]), settings, lambda *_: None)
    (one,) = part.bucket.pieces
    product = int(np.flatnonzero(bundle.products == fleet.offers.product[offer])[0])
    slot = one.slots[product].index(offer)
    reached = np.flatnonzero(_reached(part, product, slot))

    def price(plans: Floats) -> tuple[Menu, Pick]:
        every = np.zeros((len(plans), len(one.nodes), fleet.weeks))
        every[:, reached] = plans
        return _priced(fleet, part, product, slot, every, settings)

    names = [str(fleet.inbound_ids[node]) for node in one.nodes[reached]]
    return price, names, part.jit[0, product, slot, reached]


def _reached(part: BundleSolved, product: int, slot: int) -> Any:
    lanes = part.bucket.lanes
    nodes = len(part.bucket.pieces[0].nodes)
    mine = lanes.owner[0] == lanes.slot[0, product, slot]
    own = np.isfinite(lanes.own[0, product, slot]).any(axis=0)
    return (own | np.isfinite(lanes.shared[0, product][mine]).any(axis=0))[:nodes]


def _priced(
    fleet: Fleet, part: BundleSolved, product: int, slot: int, plans: Floats, settings: Settings
) -> tuple[Menu, Pick]:
    lanes, count, terms = part.bucket.lanes, len(plans), part.agreed.known.terms
    vendor = int(lanes.slot[0, product, slot])
    mine = np.broadcast_to((lanes.slot[0] == vendor)[:, :, None, None], part.order[0].shape)
    held = np.repeat(np.where(mine, part.order[0], 0.0)[None], count, axis=0)
    held[:, product, slot, : plans.shape[1]] = plans
    fees = bundle_charges(settings.fees, fleet, part.bucket.pieces, lanes)
    order = part.order.reshape(1, -1)
    lanes, fees, order = store.take((lanes, fees, order), np.zeros(count, np.intp))
    flat, who = held.reshape(count, -1), np.full(count, vendor, np.int32)
    limit, target = np.asarray(newton.MAX_ROUNDS, np.int32), np.asarray(settings.tolerance)
    size = min(count, 16)
    args = lanes, fees, order, flat, who
    found = store.fetch(in_batches(size, "bundle_around", args, (target, limit)))
    asked = lanes, flat, np.zeros(lanes.here.shape, bool)
    ships = store.fetch(in_batches(size, "bundle_fill", asked, (target, limit), (False,)))
    unit, volume = float(terms.money[0] * terms.volume[0]), float(terms.volume[0])
    menu = _menu(part, vendor, fees, found, flat / volume, order / volume, unit)
    return menu, _pick(part, vendor, ships, menu, flat / volume, unit)


def _menu(
    part: BundleSolved,
    vendor: int,
    fees: Any,
    answer: Found,
    plan: Floats,
    order: Floats,
    unit: float,
) -> Menu:
    """The prices; `plan` and `order` are scaled."""
    found, books, outside = answer.outcome, answer.accounts, part.settlement.outside
    weight, scale = (np.asarray(part) for part in jax.vmap(_counted)(fees.alpha, fees.after, fees.rate))
    back = scale / weight[:, vendor]
    owed = np.where(part.bucket.lanes.here, weight * fees.alpha, 0.0) / unit
    owed = owed.sum(axis=1) - owed[:, vendor] - outside.fees[0, vendor]
    asked = found.cost * back + (owed - outside.cost[0, vendor]) / weight[:, vendor]
    cbt: Any = books.retailer + books.vendors.sum(axis=1) - outside.own[0, vendor]
    if fees.over is not None:
        money, apart = part.agreed.known.terms.money[0], plan - order
        node = part.bucket.lanes.slot[0] == vendor
        mine = np.repeat(node.reshape(-1), apart.shape[1] // node.size)
        over, under = (charge.reshape(apart.shape) * mine / money for charge in (fees.over, fees.under))
        asked = asked + (over * np.maximum(apart, 0.0) + under * np.maximum(-apart, 0.0)).sum(axis=1)
    alpha, after = fees.alpha[:, vendor], fees.after[:, vendor]
    same = _same(part, vendor, plan)
    possible = feasible(found.missing) & (plan >= 0.0).all(axis=1)
    offered = (asked + after * np.abs(cbt)) * unit + alpha
    wide = (outside.cost + outside.fees - outside.bound)[0, vendor] / weight[:, vendor]
    wide = np.maximum(found.gap * back, wide)
    price = np.where(same, 0.0, np.where(possible, offered, np.inf))
    cbt = np.where(same, 0.0, np.where(possible, np.asarray(cbt) * unit, np.inf))
    fee = np.where(same | ~possible, 0.0, price - np.where(possible, cbt, 0.0))
    error = np.where(same, 0.0, wide * (1.0 + after) * unit)
    return Menu(
        *(jnp.asarray(column) for column in (plan, books.retailer_spend * unit, cbt, fee, price, error))
    )


def _counted(*fees: Any) -> tuple[Any, Any]:
    """How much each vendor's utility counts, and what costs are divided by."""
    charged = BundleFees(*fees)
    return charged.weight(), charged.scale()


def _same(part: BundleSolved, vendor: int, plan: Floats) -> Any:
    """Whether a plan is just-in-time as the vendor confirms it."""
    mine = np.broadcast_to((part.bucket.lanes.slot[0] == vendor)[:, :, None, None], part.jit[0].shape)
    jit = np.where(mine, part.jit[0], 0.0).reshape(-1) / float(part.agreed.known.terms.volume[0])
    return np.abs(plan - jit[None]).max(axis=1) <= SAME


def _pick(part: BundleSolved, vendor: int, ships: Any, menu: Menu, plan: Floats, unit: float) -> Pick:
    """The vendor's choice, on its own costs of all that it delivers."""
    standing = part.standing
    cost, width = ships.upper[:, vendor] * unit, (ships.upper - ships.lower)[:, vendor] * unit
    can = feasible(ships.unfilled[:, vendor])
    utility = np.where(can, -cost, -np.inf)
    opting_out = -float(standing.vendors.upper[0, vendor]) * unit
    price = np.asarray(menu.price)
    with np.errstate(invalid="ignore"):
        net = np.where(can & np.isfinite(price), utility - price, -np.inf)
    unsure = float(standing.vendors.upper[0, vendor] - standing.vendors.lower[0, vendor]) * unit
    error = width + np.asarray(menu.price_error) + unsure
    better = np.where((net > opting_out + error) & ~_same(part, vendor, plan), net, -np.inf)
    choice = int(np.argmax(better)) if np.isfinite(better).any() else -1
    spent = float(standing.vendors.spend[0, vendor]) * unit, float(standing.retailer.spend[0]) * unit
    columns = ships.spend[:, vendor] * unit, utility, net, opting_out, *spent, error, np.int32(choice)
    return Pick(*(jnp.asarray(column) for column in columns))
