"""A menu for one contract of a fleet: plans named, hinted at or taken from all sides, priced in one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.fleet.bundle_fees import check_bundle_fees
from jaxcpp.fleet.bundle_menu import lay_bundle
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import Contracts, contracts
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.fees import charges, check_fees
from jaxcpp.fleet.pack import Packer
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.mechanism.fees import AdditiveFee, DeviationFee, Fee, MultiplicativeFee, RoiFee
from jaxcpp.mechanism.menu import Menu, Pick, hinted, menu, ordered

JIT = "jit"
"""The plan id of opting out."""

STEPS = 4
"""Plans towards one node."""


class MenuError(ValueError):
    """A menu was asked for that the fleet has no contract or node for."""


@dataclass(frozen=True)
class Table:
    """One contract to make a menu for: what prices its plans, and the names of the inbound nodes."""

    price: Callable[[Floats], tuple[Menu, Pick]]  # of plans (plan, inbound, week) [units]
    inbound_ids: list[str]
    order: Floats  # (inbound, week) units: just-in-time as the vendor confirms it

    @property
    def weeks(self) -> int:
        """Weeks of a plan."""
        return self.order.shape[1]


def lay(fleet: Fleet, vendor: str, product: str, fees: tuple[FeeRule, ...] = ()) -> Table:
    """The contract between the retailer and a vendor for a product.

    Raises:
        MenuError: the vendor does not offer the product, or can deliver none of it.
        CoupledContractsError, FeeError: as `plan_fleet`.
    """
    check_fees(fees, fleet)
    tied = bundles(fleet)
    offers = fleet.offers
    wanted = (fleet.vendor_ids[offers.vendor] == vendor) & (fleet.product_ids[offers.product] == product)
    for bundle in tied.items:
        for offer in bundle.offers[wanted[bundle.offers]].tolist():
            check_bundle_fees(fees, fleet, tied)
            return Table(*lay_bundle(fleet, bundle, offer, fees))
    found = contracts(fleet, tied)
    offered = (fleet.vendor_ids[found.vendor] == vendor) & (fleet.product_ids[found.product] == product)
    which = np.flatnonzero(offered)
    if not len(which):
        raise MenuError(_no_such_offer(fleet, found, vendor, product))
    lane = Packer(fleet, found).lane(int(which[0]))
    if not len(lane.source):
        raise MenuError(f"vendor {vendor!r} has no source that can deliver product {product!r}")
    goods, p, o = fleet.products, int(found.product[which[0]]), int(found.offer[which[0]])
    retailer = Retailer(
        lane.outbound, lane.demand, goods.margin[p], holding_cost=goods.holding_cost[p],
        backlog_cost=goods.backlog_cost[p], lost_sale_cost=goods.lost_sale_cost[p],
        leftover_cost=goods.leftover_cost[p], inventory=lane.inventory, week=lane.week, weeks=fleet.weeks,
    )  # fmt: skip
    supplier = Supplier(
        lane.inbound, lane.capacity, fleet.offers.margin[o], holding_cost=fleet.offers.holding_cost[o]
    )
    nodes = lane.nodes.astype(np.int32)[None]
    order = np.asarray(ordered(retailer, supplier)).reshape(-1, fleet.weeks)
    names = [str(fleet.inbound_ids[node]) for node in lane.nodes]
    fee = _fee(fees, fleet, found, which, nodes)
    return Table(lambda plans: menu(retailer, supplier, plans, fee), names, order)


def _fee(
    rules: tuple[FeeRule, ...], fleet: Fleet, found: Contracts, which: np.ndarray, nodes: np.ndarray
) -> Fee:
    charged = charges(rules, fleet, found, which, nodes)
    fee: Fee = AdditiveFee(charged.alpha[0]) + RoiFee(charged.after[0], "efficient")
    if charged.rate is not None:
        fee = fee + MultiplicativeFee(charged.rate[0])
    if charged.over is not None and charged.under is not None:
        grid = (-1, fleet.weeks)
        fee = fee + DeviationFee(charged.over[0].reshape(grid), charged.under[0].reshape(grid))
    return fee


def towards(table: Table, node: str | None = None) -> tuple[list[str], Floats]:
    """Plans that bring more and more of the order in through one node, or through each in turn.

    Raises:
        MenuError: the vendor does not deliver the product to that node.
    """
    if node is not None and node not in table.inbound_ids:
        known = ", ".join(table.inbound_ids)
        raise MenuError(f"hint: the vendor delivers this product to no node {node!r}; known: {known}")
    ids, plans = [], []
    for position, name in enumerate(table.inbound_ids):
        if node in (None, name):
            plans.append(np.asarray(hinted(jnp.asarray(table.order), position, STEPS)))
            ids += [f"{name} {step}/{STEPS}" for step in range(1, STEPS + 1)]
    return ids, np.concatenate(plans)


def served(table: Table, ids: list[str], plans: Floats) -> tuple[Columns, Columns]:
    """What plans (plan, inbound, week) cost and what the vendor makes of them, as columns.

    The first row of the menu is opting out.
    """
    priced, pick = table.price(plans)
    choice = int(pick.choice)

    def column(opting_out: float, values: object) -> Floats:
        return np.concatenate([[opting_out], np.asarray(values, np.float64)])

    zero = 0.0
    opting_out = float(pick.opting_out)
    columns: Columns = {
        "plan_id": [JIT, *ids],
        "retailer_cost": column(float(pick.retailer_cost_jit), priced.retailer_cost),
        "cbt": column(zero, priced.cbt),
        "fee": column(zero, priced.fee),
        "price": column(zero, priced.price),
        "price_error": column(zero, priced.price_error),
        "supplier_cost": column(float(pick.supplier_cost_jit), pick.supplier_cost),
        "supplier_utility": column(opting_out, pick.utility),
        "supplier_net": column(opting_out, pick.net),
        "choice": np.arange(-1, len(ids)) == choice,
    }
    every = np.concatenate([table.order[None], plans])
    plan, node, week = np.nonzero(every > 0.0)
    return columns, {
        "plan_id": np.asarray([JIT, *ids], object)[plan],
        "inbound_id": np.asarray(table.inbound_ids, object)[node],
        "week": week.astype(np.int32),
        "units": every[plan, node, week],
    }


def _no_such_offer(fleet: Fleet, found: Contracts, vendor: str, product: str) -> str:
    if vendor not in fleet.vendor_ids:
        return f"the fleet has no vendor {vendor!r}"
    if product not in fleet.product_ids:
        return f"the fleet has no product {product!r}"
    theirs = fleet.product_ids[found.product[fleet.vendor_ids[found.vendor] == vendor]]
    some = ", ".join(map(str, theirs[:5])) + (", ..." if len(theirs) > 5 else "")
    return f"vendor {vendor!r} does not offer product {product!r}; it offers {some}"
