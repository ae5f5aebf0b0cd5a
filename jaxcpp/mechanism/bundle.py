"""Products that must be planned together, one vendor or several: frame, filling, consensus.

One bundle is one joint solve by price Newton; `mechanism.several` prices what each vendor owes where
there is more than one.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.bundle import Absence, Catalogue, Frame, Vendors, buyer, seller
from jaxcpp.agents.bundle_agents import BundleBuyer, BundleSeller, Lines, TolledBuyer
from jaxcpp.agents.terms import Terms, finite
from jaxcpp.consensus import newton, tolled
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.mechanism.status_quo import WHOLE
from jaxcpp.mechanism.terms import CEILING
from jaxcpp.transport import implicit, path

NO_DERIVATIVES = (
    "contracts that are planned together (several products or vendors) have no derivatives; take contracts "
    "that stand alone, with `coordinate` or `fleet.gradients`"
)

FAR = 20.0
"""Of the cost scale: where deviations are charged more, prices may have further to go, and the search begins
with as much more smoothing, since a step goes no further than a few smoothings."""


class Filling(eqx.Module):
    """What vendors confirm of an order, and each one's bracketed cost of it, in scaled units.

    Costs have the margin of what is shipped netted out; `spend` is money.
    """

    plan: Float[Array, " N"]
    lower: Float[Array, " m"]
    upper: Float[Array, " m"]
    spend: Float[Array, " m"]
    unfilled: Float[Array, " m"]  # units


def frame(catalogue: Catalogue, vendors: Vendors, scale: Float[Array, ""]) -> Frame:
    """What all parties know, with cost scale `scale` [currency / unit].

    A public node is open where its vendor has a lane into it and the retailer can do something with a
    unit there: ship it on, or leave it over.
    """
    weeks, products = vendors.weeks, catalogue.margin.shape[0]
    serves = jnp.any(jnp.isfinite(catalogue.outbound), axis=2).astype(jnp.int32)
    serves = jax.ops.segment_max(serves, catalogue.product, products) > 0
    useful = serves | jnp.isfinite(catalogue.leftover)[:, None]
    opened = vendors.reached() & useful[:, None, :]
    volume = jnp.sum(catalogue.demand)
    dearest = (
        jnp.max(finite(catalogue.outbound), initial=0.0)
        + jnp.maximum(jnp.max(finite(vendors.own), initial=0.0), jnp.max(finite(vendors.shared), initial=0.0))
        + weeks * jnp.max(catalogue.holding + finite(catalogue.backlog))
        + weeks * jnp.max(vendors.holding)
        + jnp.max(finite(catalogue.leftover))
        + jnp.max(jnp.abs(vendors.margin))
    )
    drawn = jnp.sum(jnp.where(vendors.draws, vendors.capacity[None, :, :], 0.0), axis=(1, 2))
    asked = jax.ops.segment_sum(jnp.sum(catalogue.demand, axis=1), catalogue.product, products)
    most = asked + jnp.sum(vendors.own_capacity, axis=(1, 2, 3)) + drawn
    terms = Terms(
        open=jnp.repeat(opened.reshape(products, -1), weeks, axis=1).reshape(-1),
        volume=jnp.where(volume > 0.0, volume, 1.0),
        money=scale,
        ceiling=CEILING * jnp.maximum(dearest, scale),
        most=jnp.sum(most),
    )
    return Frame(terms, most)


def agents(
    catalogue: Catalogue, vendors: Vendors, known: Frame, absence: Absence | None = None
) -> tuple[BundleBuyer, BundleSeller]:
    """Both sides of a bundle, with everybody or without the absent."""
    if absence is None:
        products = catalogue.margin.shape[0]
        absence = Absence.of_nobody(jnp.zeros((products, known.terms.open.shape[0] // products)))
    return buyer(catalogue, known, absence, vendors.weeks), seller(vendors, known, absence)


def begin(
    retailer: BundleBuyer | TolledBuyer | Lines,
    supplier: BundleSeller,
    price: Float[Array, " N"] | Float[Array, " two_N"] | None = None,
    warm: Bool[Array, ""] | None = None,
) -> path.PathState:
    """Open at the vendors' quote, or at a `price`: where `warm`, near the best, with less smoothing."""
    if not isinstance(retailer, TolledBuyer):
        return newton.begin(retailer, supplier, price, warm)
    begun, toll = tolled.begin(retailer, supplier, price, warm), retailer.toll
    far = jnp.maximum(1.0, jnp.max(jnp.maximum(toll.over, toll.under)) / FAR)
    far = far if warm is None else jnp.where(warm, 1.0, far)
    smoothing = far * begun.epsilon
    return eqx.tree_at(lambda s: (s.epsilon, s.trial_epsilon), begun, (smoothing, smoothing))


def agree(
    retailer: BundleBuyer | TolledBuyer | Lines,
    supplier: BundleSeller,
    state: path.PathState,
    tolerance: Float[Array, ""],
    limit: int | Int[Array, ""],
) -> tuple[path.PathState, Outcome]:
    """Turns of price Newton until the certificate holds, or nothing more can be done.

    A state that is done gives an empty outcome at no cost. Raises NotImplementedError where it is
    differentiated: through a loop there would be numbers, and they would be wrong.
    """
    retailer, supplier = implicit.refused(NO_DERIVATIVES, (retailer, supplier))

    def turn(now: path.PathState) -> tuple[path.PathState, Outcome]:
        if isinstance(retailer, TolledBuyer):
            return tolled.turn(retailer, supplier, now, tolerance)
        return newton.turn(retailer, supplier, now, tolerance)

    def going(now: tuple[path.PathState, Outcome]) -> Bool[Array, ""]:
        return ~now[0].done & (now[0].rounds < limit)

    def body(now: tuple[path.PathState, Outcome]) -> tuple[path.PathState, Outcome]:
        return turn(now[0])

    shapes = jax.eval_shape(lambda s: turn(s)[1], state)
    empty: Any = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return jax.lax.while_loop(going, body, (state, empty))


def fill(
    vendors: Vendors,
    known: Frame,
    order: Float[Array, " N"],
    in_part: Bool[Array, " m"],
    tolerance: Float[Array, ""],
    limit: int | Int[Array, ""],
    *,
    whole: bool = False,
) -> tuple[Filling, Int[Array, ""]]:
    """How vendors fill an order [units]: as much as they can, or, `in_part`, what suits them best.

    With `whole` units, a part of a unit is not confirmed.

    Vendors have nothing in common, so one consensus fills every vendor's order (section 3.1).
    """
    terms = known.terms
    lines = (order / terms.volume).reshape(known.most.shape[0], -1)
    supplier = seller(vendors, known, Absence.of_nobody(lines))
    likes = (supplier.node_owner >= 0) & in_part[jnp.maximum(supplier.node_owner, 0)]
    # Costs are net of margins: not to fill a line earns nothing.
    unfilled = jnp.where(likes, 0.0, terms.ceiling / terms.money)
    asked = Lines(lines, unfilled)
    state, outcome = agree(asked, supplier, begin(asked, supplier), tolerance, limit)
    flows = supplier.flows(outcome.plan, -outcome.price, outcome.epsilon)
    plan = jnp.maximum(outcome.plan - flows.short.reshape(-1), 0.0)
    if whole:
        filled = jnp.floor(plan * terms.volume + WHOLE) / terms.volume
        kept = jnp.where(plan > 0.0, filled / jnp.where(plan > 0.0, plan, 1.0), 0.0)
        kept, plan = kept.reshape(lines.shape)[:, :, None], filled
        flows = eqx.tree_at(lambda f: (f.own, f.shared), flows, (flows.own * kept, flows.shared * kept))
    upper, spend = supplier.accounts(flows)
    left = lines.reshape(-1) - plan
    penalty = supplier.by_node(unfilled * left.reshape(lines.shape))
    owed = supplier.by_node(asked.by_line(outcome.price))
    sources = supplier.floors(jnp.zeros_like(plan), -outcome.price)
    return Filling(
        plan=plan,
        lower=jnp.minimum(owed + sources - penalty, upper),
        upper=upper,
        spend=spend,
        unfilled=supplier.by_node(left.reshape(lines.shape)),
    ), state.rounds
