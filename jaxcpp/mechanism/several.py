"""What each vendor of a bundle is measured against: what the others could do without it.

    x_{-m} = the best plan of all others while vendor m stays out of the mechanism
    t_m    = sum of the others' utilities at x_{-m}, minus the same at x*

A vendor that stays out keeps its part of the just-in-time order, whatever the others do, or, where it is
excluded, delivers nothing. With one vendor `x_{-m}` is the just-in-time order itself and `t_m` the
cost-benefit transfer. Under fees that move plans, "best" and "utilities" are those of
`mechanism.bundle_fees`. `mechanism.alternatives` decides who takes part, `mechanism.settlement` makes
offers of it.

Source: arXiv:2605.16695 Definition 1, sections 3.1, 3.2 and 4.
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcpp.agents.bundle import Absence, Catalogue, Frame, Vendors
from jaxcpp.consensus import tolled
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.mechanism.bundle import Filling, agents, agree, begin
from jaxcpp.mechanism.bundle_fees import Accounts, BundleFees, PosedBundle, account, pose
from jaxcpp.mechanism.status_quo import Cost
from jaxcpp.transport import path

Absent = Literal["jit", "excluded"]
"""What a vendor delivers that stays out of the mechanism: its share of the just-in-time order, or nothing."""


class Found(eqx.Module):
    """A bundle's consensus as it was posed, and what its plan costs each party in its own costs.

    `taking` is the price that the retailer answers: the outcome's own, but where a toll stands between.
    """

    outcome: Outcome
    accounts: Accounts
    taking: Float[Array, " N"]


class Without(eqx.Module):
    """The best the others can do without each vendor: their joint cost, bracketed, as the consensus is posed.

    `own` and `own_floor` are the same plans' costs in everybody's own costs, `books` each party's, first axis
    the vendor that stays out; None in a bundle of one vendor, whose counterfactual is no plan to carry out.
    All in scaled units.
    """

    cost: Float[Array, " m"]
    bound: Float[Array, " m"]
    spend: Float[Array, " m"]
    missing: Float[Array, " m"]
    own: Float[Array, " m"]
    own_floor: Float[Array, " m"]
    rounds: Int[Array, " m"]
    books: Accounts | None = None


class Standing(eqx.Module):
    """Just-in-time, in scaled units: as ordered, and as the vendors confirm it."""

    ordered: Cost  # the retailer's, of the whole order
    retailer: Cost  # the retailer's, of what is confirmed
    vendors: Filling
    unmet: Float[Array, ""]  # units that had to be served and with what is confirmed are not
    share: Float[Array, " m"]  # of the retailer's account that stands in each vendor's row
    apart: Cost  # the retailer's where all stay out, as that counts among the alternatives; inf: it does not


def absent(
    catalogue: Catalogue,
    vendors: Vendors,
    known: Frame,
    order: Float[Array, " N"],
    outcome: Outcome,
    tolerance: Float[Array, ""],
    limit: int | Int[Array, ""],
    fees: BundleFees | None = None,
    *,
    how: Absent = "jit",
    warm: bool = True,
) -> tuple[Without, Found]:
    """Every vendor's counterfactual run, all as lanes of one batch; and what each has found.

    `order` [units] is the just-in-time order by vendor; `warm` starts from the full run's price.
    """
    who = vendors.node_vendor()
    lines = order.reshape(who.shape)
    fixed = lines if how == "jit" else jnp.zeros_like(lines)

    def one(vendor: Int[Array, ""]) -> tuple[Found, Int[Array, ""]]:
        price = outcome.price if warm else None
        return around(catalogue, vendors, known, vendor, fixed, lines, price, tolerance, limit, fees)

    runs, rounds = jax.vmap(one)(jnp.arange(vendors.count, dtype=jnp.int32))
    found, plan = runs.outcome, runs.accounts
    return Without(
        cost=found.cost, bound=found.bound, spend=found.spend, missing=found.missing,
        own=plan.retailer + jnp.sum(plan.vendors, axis=1),
        own_floor=plan.retailer_floor + jnp.sum(plan.floors, axis=1),
        rounds=rounds, books=plan,
    ), runs  # fmt: skip


def around(
    catalogue: Catalogue,
    vendors: Vendors,
    known: Frame,
    vendor: Int[Array, ""],
    fixed: Float[Array, "p n"],
    order: Float[Array, "p n"],
    price: Float[Array, " N"] | None,
    tolerance: Float[Array, ""],
    limit: int | Int[Array, ""],
    fees: BundleFees | None,
) -> tuple[Found, Int[Array, ""]]:
    """The best plan of all others around what one vendor delivers, its part of `fixed` [units]."""
    absence = staying_out(vendors, vendor, fixed)
    held = absence.held
    posed = pose(fees, *agents(catalogue, vendors, known, absence), order / known.terms.volume, known.terms)
    # With the usual first smoothing: prices may have a long way to go, in steps of a few smoothings.
    begun = begin(posed.retailer, posed.supplier, price)
    begun = eqx.tree_at(lambda s: s.done, begun, ~jnp.any(held))
    state, found = agree(posed.retailer, posed.supplier, begun, tolerance, limit)
    return Found(found, account(posed, found, known.terms), taking(posed, state, found)), state.rounds


def staying_out(vendors: Vendors, vendor: Int[Array, ""], fixed: Float[Array, "p n"]) -> Absence:
    """One vendor's deliveries as they stand while it takes no part: its part of `fixed` [units]."""
    held = vendors.node_vendor() == vendor
    return Absence(jnp.where(held, fixed, 0.0), held)


def taking(posed: PosedBundle, state: path.PathState, outcome: Outcome) -> Float[Array, " N"]:
    """The price that the retailer answers: `Found.taking`."""
    return outcome.price if posed.toll is None else tolled.between(posed.retailer, state)


def alone(standing: Standing, rounds: Int[Array, ""], fees: BundleFees) -> Without:
    """A single vendor's counterfactual: the retailer's life with its whole order, which needs no run.

    One entry a vendor that might be there, all but the first of no meaning.
    """
    ordered, like = standing.ordered, jnp.ones_like(fees.alpha)
    scale = fees.scale()
    cost, bound, spend = (part * like / scale for part in (ordered.upper, ordered.lower, ordered.spend))
    return Without(
        cost, bound, spend, 0.0 * like, ordered.upper * like, ordered.lower * like,
        jnp.zeros(like.shape, rounds.dtype),
    )  # fmt: skip
