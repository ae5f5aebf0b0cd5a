"""Who pays what in a bundle: each vendor its own VCG transfer, from its own counterfactual.

    x_{-m} = the best plan of all others while vendor m stays out of the mechanism
    t_m    = sum of the others' utilities at x_{-m}, minus the same at x*

A vendor that stays out keeps its part of the just-in-time order, whatever the others do, or, where it is
excluded, delivers nothing. With one vendor `x_{-m}` is the just-in-time order itself and `t_m` the
cost-benefit transfer. Source: arXiv:2605.16695 Definition 1, sections 3.1 and 3.2.
"""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.bundle import Absence, Catalogue, Frame, Vendors
from jaxcpp.consensus.outcome import SUMS, Outcome, feasible
from jaxcpp.mechanism import status as codes
from jaxcpp.mechanism.bundle import Filling, agents, agree, begin
from jaxcpp.mechanism.contract import ROUNDING
from jaxcpp.mechanism.status_quo import Cost

Absent = Literal["jit", "excluded"]
"""What a vendor delivers that stays out of the mechanism: its share of the just-in-time order, or nothing."""


class Without(eqx.Module):
    """The best the others can do without each vendor: their joint cost, bracketed, in scaled units."""

    cost: Float[Array, " m"]
    bound: Float[Array, " m"]
    spend: Float[Array, " m"]
    missing: Float[Array, " m"]
    rounds: Int[Array, " m"]


class Standing(eqx.Module):
    """Just-in-time, in scaled units: as ordered, and as the vendors confirm it."""

    ordered: Cost  # the retailer's, of the whole order
    retailer: Cost  # the retailer's, of what is confirmed
    vendors: Filling
    unmet: Float[Array, ""]  # units that had to be served and with what is confirmed are not
    share: Float[Array, " m"]  # of the retailer's account that stands in each vendor's row


class Settlement(eqx.Module):
    """What each vendor is offered; one entry a vendor, in currency, columns as in `contract.Contract`.

    The retailer's numbers are the vendors' parts of its account by their share of the order, so that the
    rows of a bundle add up; the certified `efficiency_gap` is the bundle's, in each row.
    """

    retailer_cost_jit: Float[Array, " m"]
    retailer_cost_plan: Float[Array, " m"]
    supplier_cost_jit: Float[Array, " m"]
    supplier_cost_plan: Float[Array, " m"]
    retailer_utility_jit: Float[Array, " m"]
    retailer_utility_plan: Float[Array, " m"]
    supplier_utility_jit: Float[Array, " m"]
    supplier_utility_plan: Float[Array, " m"]
    gain: Float[Array, " m"]
    cbt: Float[Array, " m"]  # the vendor's VCG transfer
    fee: Float[Array, " m"]
    price: Float[Array, " m"]
    paid: Float[Array, " m"]
    supplier_surplus: Float[Array, " m"]
    efficiency_lost: Float[Array, " m"]  # joint utility of the plan less that of the one carried out
    lost_error: Float[Array, " m"]
    efficiency_gap: Float[Array, " m"]
    price_error: Float[Array, " m"]
    code: Int[Array, " m"]
    rounds: Int[Array, " m"]
    accepted: Bool[Array, ""]  # by all vendors: the plan is carried out
    stays: Bool[Array, ""]  # just-in-time is the plan
    budget: Float[Array, ""]  # all transfers, the retailer's own too, before fees; negative = a deficit
    unpriced: Bool[Array, " m"]  # nobody could do without this vendor
    unwilling: Bool[Array, " m"]


def absent(
    catalogue: Catalogue,
    vendors: Vendors,
    known: Frame,
    order: Float[Array, " N"],
    outcome: Outcome,
    tolerance: Float[Array, ""],
    limit: int | Int[Array, ""],
    *,
    how: Absent = "jit",
    warm: bool = True,
) -> Without:
    """Every vendor's counterfactual run, all as lanes of one batch.

    `order` [units] is the just-in-time order by vendor; `warm` starts from the full run's price.
    """
    who = vendors.node_vendor()
    lines = order.reshape(who.shape) if how == "jit" else jnp.zeros(who.shape, order.dtype)

    def one(vendor: Int[Array, ""]) -> tuple[Outcome, Int[Array, ""]]:
        held = who == vendor
        absence = Absence(jnp.where(held, lines, 0.0), held)
        retailer, supplier = agents(catalogue, vendors, known, absence)
        # With the usual first smoothing: prices may have a long way to go, in steps of a few smoothings.
        begun = begin(supplier, outcome.price if warm else None)
        begun = eqx.tree_at(lambda s: s.done, begun, ~jnp.any(held))
        state, found = agree(retailer, supplier, begun, tolerance, limit)
        return found, state.rounds

    found, rounds = jax.vmap(one)(jnp.arange(vendors.count, dtype=jnp.int32))
    return Without(found.cost, found.bound, found.spend, found.missing, rounds)


def alone(standing: Standing, rounds: Int[Array, ""]) -> Without:
    """A single vendor's counterfactual: the retailer's life with its whole order, which needs no run."""
    ordered = standing.ordered
    zero = jnp.zeros((1,), ordered.upper.dtype)
    return Without(ordered.upper[None], ordered.lower[None], ordered.spend[None], zero, 0 * rounds[None])


def settle(
    own: Float[Array, ""],
    catalogue: Catalogue,
    vendors: Vendors,
    known: Frame,
    standing: Standing,
    outcome: Outcome,
    without: Without,
    alpha: Float[Array, " m"],
    tolerance: Float[Array, ""],
    *,
    how: Absent = "jit",
) -> Settlement:
    """Price a bundle's consensus plan for each vendor, and let the vendors decide.

    `own` is what the retailer would earn if every unit were sold at no cost, `alpha` each vendor's
    fee [currency]. The plan is carried out if no vendor is worse off by more than what is certain;
    else just-in-time stands for all of them.
    """
    terms = known.terms
    unit = terms.money * terms.volume
    _, supplier = agents(catalogue, vendors, known)
    flows = supplier.flows(outcome.plan, -outcome.price, outcome.epsilon)
    cost, spend = supplier.accounts(flows)
    floors = jnp.minimum(supplier.floors(outcome.plan, -outcome.price), cost)
    dust = jnp.sum(flows.short) * terms.ceiling / terms.money
    filled, buys = standing.vendors, standing.retailer
    here = jax.ops.segment_max((vendors.slot >= 0).astype(jnp.int32).reshape(-1),
                               jnp.maximum(vendors.slot, 0).reshape(-1), vendors.count) > 0  # fmt: skip

    one = jnp.sum(here) == 1

    rounding = max(ROUNDING, SUMS * float(jnp.finfo(unit.dtype).eps))
    stake = jnp.sum(jnp.abs(filled.upper)) + buys.spend + jnp.sum(filled.spend)
    stake = stake + jnp.abs(outcome.retailer.cost) + jnp.sum(jnp.abs(cost)) + outcome.spend
    noise = rounding * (jnp.abs(own) / unit + stake)
    jit_cost = buys.upper + jnp.sum(filled.upper)
    jit_spend = buys.spend + jnp.sum(filled.spend)
    jit_gap = jnp.maximum(jit_cost - outcome.bound, 0.0)
    stays = (
        (jit_cost - outcome.cost <= jnp.maximum(outcome.gap, noise))
        & (jit_gap <= tolerance * jnp.maximum(jit_spend, 1e-6))
        & feasible(standing.unmet)
        & (one | (how == "jit"))  # one that is excluded pays even where nothing changes
    )

    def either(jit: Any, plan: Any) -> Any:
        return jnp.where(stays, jit, plan)

    others = outcome.retailer.cost + jnp.sum(cost) - cost
    others_floor = outcome.retailer_floor + jnp.sum(floors) - floors
    cbt = jnp.where(here, either(jnp.zeros_like(cost), others - without.cost) * unit, 0.0)
    error = jnp.maximum(jnp.maximum(without.cost - without.bound, others - others_floor), 0.0) + dust
    gap = either(jit_gap, outcome.gap + dust) + noise
    error = either(jnp.zeros_like(cost), error) + noise
    columns = _columns(own, unit, standing, outcome, either, cost, spend)
    before = jnp.where((how == "excluded") & ~one, 0.0, filled.upper)
    charged = jnp.where(stays | ~here, 0.0, alpha)
    surplus = (before - either(filled.upper, cost)) * unit - cbt - charged
    certain = (without.cost - without.bound <= tolerance * jnp.maximum(without.spend, 1e-6)) | one
    # As for the plan itself: some plan that left nothing missing could not be this much cheaper.
    lacking = 0.5 * terms.ceiling / terms.money * without.missing > without.cost - without.bound
    unpriced = here & ~feasible(without.missing) & (certain | lacking)
    certain = certain | unpriced
    proven = stays | (outcome.certified(tolerance) & jnp.all(certain | ~here))
    slack = jnp.where(one, noise, -(gap + error))
    willing = (surplus > slack * unit) | ~here
    accepted = proven & ~stays & jnp.all(willing) & ~jnp.any(unpriced)
    shortage = 0.5 * terms.ceiling / terms.money * outcome.missing
    impossible = ~feasible(outcome.missing) & (shortage > outcome.gap)
    code = jnp.select(
        [stays | jnp.zeros_like(here), impossible | jnp.zeros_like(here), (~proven) | jnp.zeros_like(here),
         unpriced, accepted | jnp.zeros_like(here)],
        [codes.NO_GAIN, codes.INFEASIBLE, codes.NOT_CONVERGED, codes.INFEASIBLE, codes.ACCEPTED],
        codes.DECLINED,
    )  # fmt: skip
    price = cbt + charged
    lost = jnp.where(accepted | stays, 0.0, 1.0)
    wide = jnp.maximum(buys.upper - buys.lower, 0.0) + jnp.sum(jnp.maximum(filled.upper - filled.lower, 0.0))
    return Settlement(
        **columns,
        cbt=cbt,
        fee=charged,
        price=price,
        paid=jnp.where(accepted, price, 0.0),
        supplier_surplus=surplus,
        efficiency_lost=lost * columns["gain"],
        lost_error=(gap + lost * wide) * unit * jnp.ones_like(cost),
        efficiency_gap=gap * unit * jnp.ones_like(cost),
        price_error=error * unit,
        code=code,
        rounds=outcome.rounds + 0 * without.rounds,
        accepted=accepted,
        stays=stays,
        budget=jnp.sum(cbt) + jnp.sum(either(jnp.zeros_like(cost), cost - filled.upper)) * unit,
        unpriced=unpriced,
        unwilling=here & ~willing,
    )


def _columns(
    own: Float[Array, ""], unit: Float[Array, ""], standing: Standing, outcome: Outcome, either: Any,
    cost: Float[Array, " m"], spend: Float[Array, " m"],
) -> dict[str, Float[Array, " m"]]:  # fmt: skip
    """Costs and utilities of both parties, just in time and with the plan, by vendor's row."""
    share, filled, buys = standing.share, standing.vendors, standing.retailer
    plan = outcome.retailer
    columns = {
        "retailer_cost_jit": share * buys.spend * unit,
        "retailer_cost_plan": share * either(buys.spend, plan.spend) * unit,
        "supplier_cost_jit": filled.spend * unit,
        "supplier_cost_plan": either(filled.spend, spend) * unit,
        "retailer_utility_jit": share * (own - buys.upper * unit),
        "retailer_utility_plan": share * (own - either(buys.upper, plan.cost) * unit),
        "supplier_utility_jit": -filled.upper * unit,
        "supplier_utility_plan": -either(filled.upper, cost) * unit,
    }
    columns["gain"] = (
        columns["retailer_utility_plan"]
        - columns["retailer_utility_jit"]
        + columns["supplier_utility_plan"]
        - columns["supplier_utility_jit"]
    )
    return columns
