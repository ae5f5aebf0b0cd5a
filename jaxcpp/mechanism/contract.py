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
from jaxcpp.mechanism.fees import AdditiveFee
from jaxcpp.mechanism.status_quo import StatusQuo

ROUNDING = 1e-12
"""Of the money at stake: what float64 arithmetic may add to a proven bound; float32 adds more."""


class Certificate(eqx.Module):
    """Proven bounds, in currency.

    The offered plan's joint utility is within `efficiency_gap` of the best, and the price is within
    `price_error` of what it would be with both parties' exact costs of that same plan. An
    approximately efficient transfer is truthful up to the efficiency gap.
    """

    efficiency_gap: Float[Array, ""]
    price_error: Float[Array, ""]


class Party(eqx.Module):
    """One party's side of the account, in currency: costs are money spent, utility is profit."""

    cost_jit: Float[Array, ""]
    cost_plan: Float[Array, ""]
    utility_jit: Float[Array, ""]
    utility_plan: Float[Array, ""]


class Contract(eqx.Module):
    """An offer from the retailer to the supplier: deviate from just-in-time, at a price.

    `plan` [units] is the offered plan and `issued` the one carried out: `plan` if the supplier
    accepts, else the just-in-time plan as confirmed, `jit`. `price = cbt + fee`, where `cbt`, the
    cost-benefit transfer, is what the deviation costs the retailer (arXiv:2605.16695 section 3.1).
    Only that transfer is charged; if the retailer were paid its own as well, the principal would be
    left with `budget` (section 3.2): a deficit of the whole gain, since the two are complements.
    """

    plan: Float[Array, ...]
    jit: Float[Array, ...]
    issued: Float[Array, ...]
    ordered: Float[Array, ""]  # units the retailer ordered just in time, before they were confirmed
    retailer: Party
    supplier: Party
    gain: Float[Array, ""]  # both parties' utility, plan over just-in-time
    cbt: Float[Array, ""]
    fee: Float[Array, ""]
    price: Float[Array, ""]
    paid: Float[Array, ""]
    supplier_surplus: Float[Array, ""]  # gain in the supplier's utility, less the price
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
    outcome: Outcome,
    fee: AdditiveFee,
    tolerance: Float[Array, ""],
) -> Contract:
    """Price a consensus plan against the status quo, and let the supplier decide.

    Scaled answers in, currency and units out; `own` is what the retailer would earn if every unit
    were sold at no cost [currency]. The supplier accepts when its surplus is positive.
    """
    unit = terms.money * terms.volume
    rounding = max(ROUNDING, SUMS * float(jnp.finfo(unit.dtype).eps))
    # The money at stake: gross profits and costs, just in time and with the plan.
    quo_stake = jnp.abs(quo.supplier.upper) + quo.retailer.spend + quo.supplier.spend
    plan_stake = jnp.abs(outcome.retailer.cost) + jnp.abs(outcome.supplier.cost) + outcome.spend
    noise = rounding * (jnp.abs(own) / unit + quo_stake + plan_stake)
    # Where just-in-time is as good as anything the certificate can tell, it is the plan.
    jit_cost = quo.retailer.upper + quo.supplier.upper
    jit_gap = jnp.maximum(jit_cost - outcome.bound, 0.0)
    enough = tolerance * jnp.maximum(quo.retailer.spend + quo.supplier.spend, 1e-6)
    stays = (
        (jit_cost - outcome.cost <= jnp.maximum(outcome.gap, noise))
        & (jit_gap <= enough)
        & feasible(quo.unmet)
    )

    def either(jit: Float[Array, ...], plan: Float[Array, ...]) -> Float[Array, ...]:
        return jnp.where(stays, jit, plan)

    buyer = Party(
        cost_jit=quo.retailer.spend * unit,
        cost_plan=either(quo.retailer.spend, outcome.retailer.spend) * unit,
        utility_jit=own - quo.retailer.upper * unit,
        utility_plan=own - either(quo.retailer.upper, outcome.retailer.cost) * unit,
    )
    seller = Party(
        cost_jit=quo.supplier.spend * unit,
        cost_plan=either(quo.supplier.spend, outcome.supplier.spend) * unit,
        utility_jit=-quo.supplier.upper * unit,
        utility_plan=-either(quo.supplier.upper, outcome.supplier.cost) * unit,
    )
    cbt = either(jnp.zeros_like(unit), outcome.retailer.cost - quo.order.cost.upper) * unit
    charged = jnp.where(stays, 0.0, fee.charge())
    price = cbt + charged
    gain = buyer.utility_plan - buyer.utility_jit + seller.utility_plan - seller.utility_jit
    surplus = seller.utility_plan - seller.utility_jit - price
    wide = jnp.maximum(outcome.retailer.cost - outcome.retailer_floor, 0.0)
    baseline = quo.order.cost.upper - quo.order.cost.lower
    certificate = Certificate(
        efficiency_gap=(either(jit_gap, outcome.gap) + noise) * unit,
        price_error=(either(jnp.zeros_like(unit), jnp.maximum(wide, baseline)) + noise) * unit,
    )
    proven = stays | outcome.certified(tolerance)
    accepted = proven & ~stays & (surplus > noise * unit)
    # If some plan left nothing missing, one within the gap of it could not miss this much: half the
    # ceiling is still dearer than any detour. A plan that is not near the best yet shows nothing.
    shortage = 0.5 * terms.ceiling / terms.money * outcome.missing
    impossible = ~feasible(outcome.missing) & (shortage > outcome.gap)
    code = jnp.select(
        [stays, impossible, ~proven, accepted],
        [codes.NO_GAIN, codes.INFEASIBLE, codes.NOT_CONVERGED, codes.ACCEPTED],
        codes.DECLINED,
    )
    plan, jit = either(quo.plan, outcome.plan) * terms.volume, quo.plan * terms.volume
    return Contract(
        plan=plan,
        jit=jit,
        issued=jnp.where(accepted, plan, jit),
        ordered=jnp.sum(quo.order.plan) * terms.volume,
        retailer=buyer,
        supplier=seller,
        gain=gain,
        cbt=cbt,
        fee=charged,
        price=price,
        paid=jnp.where(accepted, price, 0.0),
        supplier_surplus=surplus,
        budget=cbt - (seller.utility_plan - seller.utility_jit),
        certificate=certificate,
        accepted=accepted,
        filled=quo.filled,
        unmet=either(quo.unmet, outcome.missing) * terms.volume,
        code=code,
        rounds=outcome.rounds,
    )
