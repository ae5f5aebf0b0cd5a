"""What a rolling week comes to for each contract: units, currency, and what the state left is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcpp.fleet.data import Floats
from jaxcpp.fleet.pack import Lanes
from jaxcpp.fleet.windows import Group
from jaxcpp.horizon.state import State


@dataclass(frozen=True)
class Account:
    """What happened to each contract in one week: units, and currency (lane,)."""

    asked: Floats
    sold: Floats
    lost: Floats
    unmet: Floats  # of those lost, units that had to be served
    delivered: Floats
    built: Floats
    left: Floats
    backlog: Floats  # at the end of the week, as the next two
    on_hand: Floats
    vendor_stock: Floats
    churn_cost: Floats
    retailer_shipping: Floats
    retailer_holding: Floats
    backlog_cost: Floats
    lost_sale_cost: Floats
    leftover_cost: Floats
    retailer_profit: Floats
    supplier_shipping: Floats
    supplier_holding: Floats
    supplier_profit: Floats


def account(
    group: Group,
    state: State,
    live: Any,
    sent: Any,
    actual: Lanes,
    from_kept: Floats,
    following: State,
    came: Floats,
    churn: Floats,
) -> Account:
    """Units and money of the week, one number a contract."""
    margin, holding, late, lost_sale, leftover = group.retailer.T
    open_lane, open_region = np.isfinite(actual.outbound), np.isfinite(group.outbound)
    shipping = np.sum(np.where(open_lane, actual.outbound, 0.0) * live.shipped, axis=(1, 2))
    shipping += np.sum(np.where(open_region, group.outbound, 0.0) * from_kept, axis=(1, 2))
    sold = live.shipped.sum(axis=(1, 2)) + from_kept.sum(axis=(1, 2))
    lost, left = live.lost.sum(axis=1), live.left.sum(axis=1)
    past_due = actual.week == -1
    still_owed = state.backlog.sum(axis=1) - np.where(past_due, live.lost, 0.0).sum(axis=1)
    on_hand = following.spare.sum(axis=1) + following.kept.sum(axis=(1, 2, 3))
    costs = {
        "churn_cost": churn,
        "retailer_shipping": shipping,
        "retailer_holding": holding * on_hand,
        # A week later than it was: whether it is served now or later.
        "backlog_cost": np.where(still_owed > 0.0, np.where(np.isfinite(late), late, 0.0) * still_owed, 0.0),
        "lost_sale_cost": np.where(np.isfinite(lost_sale), lost_sale, 0.0) * lost,
        "leftover_cost": np.where(np.isfinite(leftover), leftover, 0.0) * left,
    }
    delivered = sent.shipped.sum(axis=(1, 2))
    inbound = np.where(np.isfinite(group.inbound), group.inbound, 0.0)
    theirs = {
        "supplier_shipping": np.sum(inbound * sent.shipped, axis=(1, 2)),
        "supplier_holding": group.supplier[:, 1] * sent.stock.sum(axis=1),
    }
    return Account(
        asked=came.sum(axis=1), sold=sold, lost=lost, unmet=live.unmet, delivered=delivered,
        built=sent.built.sum(axis=1), left=left, backlog=following.backlog.sum(axis=1), on_hand=on_hand,
        vendor_stock=sent.stock.sum(axis=1), **costs,
        retailer_profit=margin * sold - sum(costs.values()), **theirs,
        supplier_profit=group.supplier[:, 0] * delivered - sum(theirs.values()),
    )  # fmt: skip


def value(group: Group, opened: Any, quo: Any, state: State) -> tuple[Floats, Floats]:
    """What a state is worth to retailer and vendor if both go on with the order that stands [currency].

    Profit over the window, what is kept for its demand included. Demand that must be served and is not is
    worth its margin: the ceiling at which plans weigh it is no money.
    """
    terms = opened.prepared.terms
    unit = terms.money * terms.volume
    margin, holding = group.retailer[:, 0], group.retailer[:, 1]
    weeks = np.arange(group.shape.weeks)
    cost = np.where(np.isfinite(group.outbound), group.outbound, 0.0)[:, :, :, None]
    each = margin[:, None, None, None] - cost - holding[:, None, None, None] * weeks
    kept = np.sum(each * state.kept, axis=(1, 2, 3))
    spent = quo.retailer.upper * unit - (terms.ceiling - margin) * quo.unmet * terms.volume
    return opened.prepared.own - spent + kept, -quo.supplier.upper * unit
