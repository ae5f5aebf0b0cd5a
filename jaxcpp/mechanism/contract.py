"""What both parties are offered, what it is worth to each, and what is certain about it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.terms import Terms
from jaxcpp.consensus.outcome import SUMS, Outcome, feasible
from jaxcpp.mechanism import status as codes
from jaxcpp.mechanism.choice import certified
from jaxcpp.mechanism.fees import Schedule
from jaxcpp.mechanism.status_quo import StatusQuo

ROUNDING = 1e-12
"""Of the money at stake: what float64 arithmetic may add to a proven bound; float32 adds more."""


class Certificate(eqx.Module):
    """Proven bounds, in currency.

    No plan on the price schedule is worth more to the supplier than the offered one by more than
    `efficiency_gap`; without a fee, or with an additive one, that bounds the joint utility lost against
    the best plan there is. The price is within `price_error` of what it would be with the retailer's
    exact cost of that same plan, and the joint utility truly lost with the plan carried out is at most
    `efficiency_lost + lost_error`. A choice that is best but for the gap is truthful up to the gap.
    """

    efficiency_gap: Float[Array, ""]
    price_error: Float[Array, ""]
    lost_error: Float[Array, ""]


class Party(eqx.Module):
    """One party's side of the account, in currency: costs are money spent, utility is profit."""

    cost_jit: Float[Array, ""]
    cost_plan: Float[Array, ""]
    utility_jit: Float[Array, ""]
    utility_plan: Float[Array, ""]


class Contract(eqx.Module):
    """An offer from the retailer to the supplier: deviate from just-in-time, at a price.

    `plan` [units] is the offered plan and `issued` the one carried out: `plan` if the supplier accepts,
    else the just-in-time plan as confirmed, `jit`; `order` is what the retailer ordered.
    `price = cbt + fee`, where `cbt`, the cost-benefit transfer, is what the deviation costs the retailer
    (arXiv:2605.16695 section 3.1). Only that transfer is charged; if the retailer were paid its own as
    well, the principal would be left with `budget` (section 3.2): a deficit of the whole gain, since the
    two are complements.
    """

    plan: Float[Array, ...]
    jit: Float[Array, ...]
    issued: Float[Array, ...]
    order: Float[Array, ...]
    ordered: Float[Array, ""]  # units of the order in all
    retailer: Party
    supplier: Party
    gain: Float[Array, ""]  # both parties' utility, plan over just-in-time
    cbt: Float[Array, ""]
    fee: Float[Array, ""]
    price: Float[Array, ""]
    paid: Float[Array, ""]
    supplier_surplus: Float[Array, ""]  # gain in the supplier's utility, less the price
    efficiency_lost: Float[Array, ""]  # joint utility of the fee-free plan, less that of `issued`
    budget: Float[Array, ""]  # of two-sided VCG: both transfers, before fees; negative = a deficit
    certificate: Certificate
    accepted: Bool[Array, ""]
    filled: Bool[Array, ""]  # could the supplier fill the just-in-time order?
    unmet: Float[Array, ""]  # units that had to be served and are not, in the offered plan
    code: Int[Array, ""]
    rounds: Int[Array, ""]

    @property
    def status(self) -> str | np.ndarray:
        """The status in words: one name, or an array of names for a batch."""
        names = np.asarray(codes.NAMES)[np.asarray(self.code)]
        return names if names.ndim else str(names)

    @property
    def chain_cost(self) -> Any:
        """Money both parties spend under the offered plan [currency]."""
        return self.retailer.cost_plan + self.supplier.cost_plan


def offer(
    own: Float[Array, ""],
    terms: Terms,
    quo: StatusQuo,
    efficient: Outcome,
    schedule: Schedule,
    tolerance: Float[Array, ""],
    choice: Outcome | None = None,
) -> Contract:
    """Price a consensus plan against the status quo, and let the supplier decide.

    Scaled answers in, currency and units out; `own` is what the retailer would earn if every unit
    were sold at no cost [currency]. `choice` is the supplier's best plan on the schedule, where that
    may be another than the `efficient` one. The supplier accepts when its surplus is positive.
    """
    outcome = efficient if choice is None else choice
    unit = terms.money * terms.volume
    noise = _noise(own / unit, quo, outcome)
    jit_cost = quo.retailer.upper + quo.supplier.upper
    spent = quo.retailer.spend + quo.supplier.spend
    enough = tolerance * jnp.maximum(spent, 1e-6)
    stays, jit_gap = _just_in_time_is_best(quo, efficient, jit_cost - efficient.cost, noise, enough)
    kept, kept_gap = stays, jit_gap
    order, plan = quo.order.plan * terms.volume, outcome.plan * terms.volume
    if choice is not None:
        # On the schedule, just-in-time costs the supplier its own cost of it, and nothing is paid.
        weighs = schedule.weight() * (quo.retailer.upper - choice.retailer.cost)
        dearer = weighs + quo.supplier.upper - choice.supplier.cost - schedule.deviation(plan, order) / unit
        enough = enough * schedule.weight()
        kept, kept_gap = _just_in_time_is_best(quo, choice, dearer, noise * schedule.weight(), enough)
        kept_gap = jnp.where(kept, kept_gap, jit_gap)
        kept = (kept & quo.filled) | stays

    def either(jit: Float[Array, ...], other: Float[Array, ...]) -> Float[Array, ...]:
        return jnp.where(kept, jit, other)

    buyer, seller = _accounts(own, unit, quo, outcome, kept)
    cbt = either(jnp.zeros_like(unit), outcome.retailer.cost - quo.order.cost.upper) * unit
    charged = jnp.where(kept, 0.0, schedule.charge(cbt, plan, order))
    price = cbt + charged
    surplus = seller.utility_plan - seller.utility_jit - price
    proven = kept | certified(schedule, outcome, tolerance)
    accepted = proven & ~kept & (surplus > (noise * unit) * schedule.slope())
    impossible = _impossible(terms, efficient)
    code = jnp.select(
        [stays, impossible, ~proven, accepted],
        [codes.NO_GAIN, codes.INFEASIBLE, codes.NOT_CONVERGED, codes.ACCEPTED],
        codes.DECLINED,
    )
    wide = jnp.maximum(outcome.retailer.cost - outcome.retailer_floor, 0.0)
    baseline = quo.order.cost.upper - quo.order.cost.lower
    uncertain = either(jnp.zeros_like(unit), jnp.maximum(wide, baseline) * schedule.slope())
    lost, lost_error = _efficiency_lost(quo, efficient, outcome, stays, accepted)
    plan, jit = either(quo.plan * terms.volume, plan), quo.plan * terms.volume
    return Contract(
        plan=plan,
        jit=jit,
        issued=jnp.where(accepted, plan, jit),
        order=order,
        ordered=jnp.sum(order),
        retailer=buyer,
        supplier=seller,
        gain=buyer.utility_plan - buyer.utility_jit + seller.utility_plan - seller.utility_jit,
        cbt=cbt,
        fee=charged,
        price=price,
        paid=jnp.where(accepted, price, 0.0),
        supplier_surplus=surplus,
        efficiency_lost=lost * unit,
        budget=cbt - (seller.utility_plan - seller.utility_jit),
        certificate=Certificate(
            efficiency_gap=(either(kept_gap, outcome.gap) + noise) * unit,
            price_error=(uncertain + noise * schedule.slope()) * unit,
            lost_error=(lost_error + noise) * unit,
        ),
        accepted=accepted,
        filled=quo.filled,
        unmet=either(quo.unmet, outcome.missing) * terms.volume,
        code=code,
        rounds=outcome.rounds if choice is None else efficient.rounds + choice.rounds,
    )


def _noise(own: Float[Array, ""], quo: StatusQuo, outcome: Outcome) -> Float[Array, ""]:
    """What rounding may add up to, of the money at stake just in time and with the plan."""
    rounding = max(ROUNDING, SUMS * float(jnp.finfo(own.dtype).eps))
    quo_stake = jnp.abs(quo.supplier.upper) + quo.retailer.spend + quo.supplier.spend
    plan_stake = jnp.abs(outcome.retailer.cost) + jnp.abs(outcome.supplier.cost) + outcome.spend
    return rounding * (jnp.abs(own) + quo_stake + plan_stake)


def _just_in_time_is_best(
    quo: StatusQuo,
    outcome: Outcome,
    saved: Float[Array, ""],
    noise: Float[Array, ""],
    enough: Float[Array, ""],
) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether the plan saves nothing that its certificate can tell, and how far from best that is.

    Then just-in-time is the plan.
    """
    gap = jnp.maximum(saved + outcome.cost - outcome.bound, 0.0)
    best = (saved <= jnp.maximum(outcome.gap, noise)) & (gap <= enough) & feasible(quo.unmet)
    return best, gap


def _accounts(
    own: Float[Array, ""], unit: Float[Array, ""], quo: StatusQuo, outcome: Outcome, kept: Bool[Array, ""]
) -> tuple[Party, Party]:
    """Retailer's and supplier's side of the account."""

    def either(jit: Float[Array, ""], plan: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.where(kept, jit, plan)

    return Party(
        cost_jit=quo.retailer.spend * unit,
        cost_plan=either(quo.retailer.spend, outcome.retailer.spend) * unit,
        utility_jit=own - quo.retailer.upper * unit,
        utility_plan=own - either(quo.retailer.upper, outcome.retailer.cost) * unit,
    ), Party(
        cost_jit=quo.supplier.spend * unit,
        cost_plan=either(quo.supplier.spend, outcome.supplier.spend) * unit,
        utility_jit=-quo.supplier.upper * unit,
        utility_plan=-either(quo.supplier.upper, outcome.supplier.cost) * unit,
    )


def _impossible(terms: Terms, outcome: Outcome) -> Bool[Array, ""]:
    """Whether no plan serves all that must be served.

    If some plan left nothing missing, one within the gap of it could not miss this much: half the
    ceiling is still dearer than any detour. A plan that is not near the best yet shows nothing.
    """
    shortage = 0.5 * terms.ceiling / terms.money * outcome.missing
    return ~feasible(outcome.missing) & (shortage > outcome.gap)


def _efficiency_lost(
    quo: StatusQuo, efficient: Outcome, outcome: Outcome, stays: Bool[Array, ""], accepted: Bool[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Joint cost of what is carried out over that of the fee-free plan, and how wrong that may be."""
    jit = quo.retailer.upper + quo.supplier.upper
    jit_width = jit - quo.retailer.lower - quo.supplier.lower
    width = outcome.cost - outcome.retailer_floor - outcome.supplier_floor
    best = jnp.where(stays, jit, efficient.cost)
    lost = jnp.maximum(jnp.where(accepted, outcome.cost, jit) - best, 0.0)
    error = jnp.maximum(jnp.where(accepted, width, jit_width), jnp.maximum(best - efficient.bound, 0.0))
    return lost, jnp.maximum(error, 0.0)
