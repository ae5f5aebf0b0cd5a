"""One bundle's steps on raw lanes; `programs` vmaps and compiles them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.bundle import Absence, Catalogue, Frame, Vendors
from jaxcpp.agents.bundle_agents import TolledBuyer
from jaxcpp.agents.terms import Terms
from jaxcpp.consensus import tolled
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.fleet.bundle_pack import BundleLanes
from jaxcpp.fleet.fees import Charges
from jaxcpp.mechanism import bundle, several
from jaxcpp.mechanism.bundle import Filling
from jaxcpp.mechanism.bundle_fees import BundleFees, PosedBundle, account, pose
from jaxcpp.mechanism.settlement import Carried, Settlement
from jaxcpp.mechanism.settlement import settle as decide
from jaxcpp.mechanism.several import Found
from jaxcpp.mechanism.status_quo import Cost
from jaxcpp.transport import path
from jaxcpp.transport.bundle_rounding import Shipped, Taken

jax.tree_util.register_dataclass(
    BundleLanes, data_fields=[field.name for field in fields(BundleLanes)], meta_fields=[]
)

Money = Float[Array, ""]


class Agreed(eqx.Module):
    """A bundle's fee-free consensus, and the frame its numbers are scaled by."""

    known: Frame
    own: Money  # what the retailer would earn at no cost [currency]
    found: Found

    @property
    def outcome(self) -> Outcome:
        """The consensus alone."""
        return self.found.outcome


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
    catalogue, _, known = parties(lane)
    nothing = jnp.zeros(known.terms.open.shape, known.terms.volume.dtype)
    posed, terms = _posed(lane, None, nothing)
    begun = bundle.begin(posed.retailer, posed.supplier)
    return Agreed(known, catalogue.profit_at_no_cost(), _found(posed, terms, begun, tolerance, limit))


def choose(
    lane: Any, fees: Charges, order: Array, prices: Array, tolerance: Money, limit: Int[Array, ""]
) -> tuple[Found, Array]:
    """The joint consensus under fees that move plans; `order` [units] is just-in-time by vendor.

    It begins at `prices` (2, public node) [scaled money], the retailer's and the vendors', where none is NaN,
    and tells those that it ends at.
    """
    posed, terms = _posed(lane, fees, order)
    known = jnp.all(jnp.isfinite(prices))
    inner, outer = jnp.where(known, prices / posed.scale, posed.supplier.quote())
    if isinstance(posed.retailer, TolledBuyer):
        outer = tolled.together(inner, outer, posed.retailer.blocks)
    begun = bundle.begin(posed.retailer, posed.supplier, outer, known)
    found = _found(posed, terms, begun, tolerance, limit)
    return found, jnp.stack([found.taking, found.outcome.price]) * posed.scale


def _found(
    posed: PosedBundle, terms: Terms, begun: path.PathState, tolerance: Money, limit: Int[Array, ""]
) -> Found:
    state, outcome = bundle.agree(posed.retailer, posed.supplier, begun, tolerance, limit)
    return Found(outcome, account(posed, outcome, terms), several.taking(posed, state, outcome))


NOBODY = -2
"""The vendor that stays out of a consensus of all; -1 owns the nodes that nobody has."""


def private(
    how: several.Absent,
    lane: Any,
    fees: Charges | None,
    order: Array,
    vendor: Int[Array, ""],
    found: Found,
) -> tuple[PosedBundle, Taken, Shipped]:
    """Both sides as a consensus was posed to them, all or one vendor's absence; and their flows."""
    _, vendors, _ = parties(lane)
    lines = order.reshape(vendors.node_vendor().shape)
    fixed = lines if how == "jit" else jnp.zeros_like(lines)
    posed, _ = _posed(lane, fees, order, several.staying_out(vendors, vendor, fixed))
    buys = posed.retailer.agent if isinstance(posed.retailer, TolledBuyer) else posed.retailer
    outcome = found.outcome
    taken = buys.flows(outcome.plan, found.taking, outcome.epsilon)
    return posed, taken, posed.supplier.flows(outcome.plan, -outcome.price, outcome.epsilon)


def _posed(
    lane: Any, fees: Charges | None, order: Array, absence: Absence | None = None
) -> tuple[PosedBundle, Terms]:
    catalogue, vendors, known = parties(lane)
    retailer, supplier = bundle.agents(catalogue, vendors, known, absence)
    lines = order.reshape(retailer.fixed.shape) / known.terms.volume
    charged = None if fees is None else charges(fees)
    return pose(charged, retailer, supplier, lines, known.terms), known.terms


def charges(fees: Charges) -> BundleFees:
    """The fees of one bundle: by vendor, and by product and public node."""
    numbers = (fees.alpha, fees.after, fees.rate, fees.over, fees.under)
    return BundleFees(*(None if part is None else jnp.asarray(part) for part in numbers))  # type: ignore[arg-type]


def fill(
    whole: bool,
    lane: Any,
    order: Array,
    in_part: Bool[Array, " m"],
    tolerance: Money,
    limit: Int[Array, ""],
) -> bundle.Filling:
    """What the vendors confirm of the just-in-time order [units]."""
    _, vendors, known = parties(lane)
    return bundle.fill(vendors, known, order, in_part, tolerance, limit, whole=whole)[0]


def absent(
    how: several.Absent,
    lane: Any,
    order: Array,
    outcome: Outcome,
    standing: several.Standing,
    fees: Charges,
    tolerance: Money,
    limit: Int[Array, ""],
) -> tuple[several.Without, Found]:
    """Every vendor's counterfactual; that of one without others is the order itself."""
    charged = charges(fees)
    rest, runs = several.absent(*parties(lane), order, outcome, tolerance, limit, charged, how=how)
    single, one = several.alone(standing, outcome.rounds, charged), jnp.sum(lane.here) == 1
    bare = eqx.tree_at(lambda w: w.books, rest, None)
    known = jax.tree.map(lambda a, b: jnp.where(one, a, b), single, bare)
    return eqx.tree_at(lambda w: w.books, known, rest.books, is_leaf=lambda x: x is None), runs


def around(
    lane: Any,
    fees: Charges,
    order: Array,
    plan: Array,
    vendor: Int[Array, ""],
    tolerance: Money,
    limit: Int[Array, ""],
) -> Found:
    """The best of all others around one vendor's deliveries, its part of a plan [units]."""
    catalogue, vendors, known = parties(lane)
    shape = vendors.node_vendor().shape
    lines = plan.reshape(shape), order.reshape(shape)
    return several.around(catalogue, vendors, known, vendor, *lines, None, tolerance, limit, charges(fees))[0]


def alone(standing: several.Standing, rounds: Int[Array, ""], fees: Charges) -> several.Without:
    """As `absent`, in a bundle of one vendor."""
    return several.alone(standing, rounds, charges(fees))


def stand(
    ordered: tuple[Money, ...],
    retailer: tuple[Money, ...],
    filling: Filling,
    unmet: Money,
    share: Array,
    apart: tuple[Money, ...],
) -> several.Standing:
    """Just-in-time of a bundle, from its products' numbers added up."""
    return several.Standing(Cost(*ordered), Cost(*retailer), filling, unmet, share, Cost(*apart))


def settle(
    how: several.Absent,
    lane: Any,
    agreed: Agreed,
    standing: several.Standing,
    without: several.Without,
    fees: Charges,
    choice: Found | None,
    carried: tuple[Int[Array, ""], tuple[Money, ...], Bool[Array, ""]] | None,
    tolerance: Money,
) -> Settlement:
    """The offers, and who takes part; `carried` says it where it is known, and how the retailer lives."""
    stands = None if carried is None else Carried(carried[0], Cost(*carried[1]), carried[2])
    return decide(
        agreed.own, agreed.known, jnp.asarray(lane.here), standing, agreed.found, without,
        charges(fees), tolerance, choice, stands, how=how,
    )  # fmt: skip
