"""One bundle's steps on raw lanes; `programs` vmaps and compiles them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.bundle import Catalogue, Frame, Vendors
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.fleet.bundle_pack import BundleLanes
from jaxcpp.mechanism import bundle, several
from jaxcpp.mechanism.bundle import Filling
from jaxcpp.mechanism.status_quo import Cost

jax.tree_util.register_dataclass(
    BundleLanes, data_fields=[field.name for field in fields(BundleLanes)], meta_fields=[]
)

Money = Float[Array, ""]


class Agreed(eqx.Module):
    """A bundle's consensus, and the frame its numbers are scaled by."""

    known: Frame
    own: Money  # what the retailer would earn at no cost [currency]
    outcome: Outcome


def parties(lane: Any) -> tuple[Catalogue, Vendors, Frame]:
    """The retailer's products, the vendors, and what all of them know."""
    margin, holding, backlog, lost, leftover = (lane.retailer[:, column] for column in range(5))
    catalogue = Catalogue(
        outbound=lane.outbound, demand=lane.demand, week=lane.week, left=lane.left, product=lane.product,
        margin=margin, holding=holding, backlog=backlog, lost_sale=lost, leftover=leftover,
        inventory=lane.inventory,
    )  # fmt: skip
    vendors = Vendors(
        slot=lane.slot, margin=lane.supplier[:, :, 0], holding=lane.supplier[:, :, 1], own=lane.own,
        own_capacity=lane.own_capacity, shared=lane.shared, draws=lane.draws, capacity=lane.capacity,
        owner=lane.owner, count=lane.here.shape[0],
    )  # fmt: skip
    return catalogue, vendors, bundle.frame(catalogue, vendors, lane.scale)


def agree(lane: Any, tolerance: Money, limit: Int[Array, ""]) -> Agreed:
    """The joint consensus of all parties."""
    catalogue, vendors, known = parties(lane)
    retailer, supplier = bundle.agents(catalogue, vendors, known)
    _, outcome = bundle.agree(retailer, supplier, bundle.begin(supplier), tolerance, limit)
    return Agreed(known, catalogue.profit_at_no_cost(), outcome)


def fill(
    lane: Any, order: Array, in_part: Bool[Array, " m"], tolerance: Money, limit: Int[Array, ""]
) -> bundle.Filling:
    """What the vendors confirm of the just-in-time order [units]."""
    _, vendors, known = parties(lane)
    return bundle.fill(vendors, known, order, in_part, tolerance, limit)[0]


def absent(
    how: several.Absent,
    lane: Any,
    order: Array,
    outcome: Outcome,
    tolerance: Money,
    limit: Int[Array, ""],
) -> several.Without:
    """Every vendor's counterfactual."""
    return several.absent(*parties(lane), order, outcome, tolerance, limit, how=how)


def stand(
    ordered: tuple[Money, ...], retailer: tuple[Money, ...], filling: Filling, unmet: Money, share: Array
) -> several.Standing:
    """Just-in-time of a bundle, from its products' numbers added up."""
    return several.Standing(Cost(*ordered), Cost(*retailer), filling, unmet, share)


def settle(
    how: several.Absent,
    lane: Any,
    agreed: Agreed,
    standing: several.Standing,
    without: several.Without,
    alpha: Float[Array, " m"],
    tolerance: Money,
) -> several.Settlement:
    """The offers and the vendors' decisions."""
    return several.settle(
        agreed.own, *parties(lane), standing, agreed.outcome, without, alpha, tolerance, how=how
    )
