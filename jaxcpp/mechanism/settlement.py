"""Who pays what in a bundle: each vendor its own transfer and fee; all of them accept, or none.

Source: arXiv:2605.16695 Definition 1, sections 3.1, 3.2 and 4; for fees see `mechanism.bundle_fees`.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.bundle import Frame
from jaxcpp.consensus.outcome import SUMS, Outcome, feasible
from jaxcpp.mechanism import status as codes
from jaxcpp.mechanism.bundle_fees import Accounts, BundleFees
from jaxcpp.mechanism.contract import ROUNDING
from jaxcpp.mechanism.several import Absent, Found, Standing, Without


class Settlement(eqx.Module):
    """What each vendor is offered; one entry a vendor, in currency, columns as in `contract.Contract`.

    The retailer's numbers are the vendors' parts of its account by their share of the order, so that the
    rows of a bundle add up; the certified `efficiency_gap` is the bundle's, in each row in the vendor's own
    money where a fee makes it count less.
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
    cbt: Float[Array, " m"]  # the vendor's VCG transfer: what the others lose by its taking part
    fee: Float[Array, " m"]
    price: Float[Array, " m"]
    paid: Float[Array, " m"]
    supplier_surplus: Float[Array, " m"]
    efficiency_lost: Float[Array, " m"]  # joint utility of the fee-free plan less that of the one carried out
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


class _Kept(eqx.Module):
    """Whether just-in-time is the plan, with fees and without, and how far from best it may be."""

    at_no_fee: Bool[Array, ""]
    kept: Bool[Array, ""]
    gap: Float[Array, " m"]  # in each vendor's own money

    def either(self, jit: Any, plan: Any) -> Any:
        """One or the other."""
        return jnp.where(self.kept, jit, plan)


class _Asked(eqx.Module):
    """What is asked of each vendor [currency], and how wrong that may be [scaled]."""

    cbt: Float[Array, " m"]
    fee: Float[Array, " m"]
    error: Float[Array, " m"]


def settle(
    own: Float[Array, ""],
    known: Frame,
    here: Bool[Array, " m"],
    standing: Standing,
    efficient: Found,
    without: Without,
    fees: BundleFees,
    tolerance: Float[Array, ""],
    choice: Found | None = None,
    *,
    how: Absent = "jit",
) -> Settlement:
    """Price a bundle's consensus plan for each vendor, and let the vendors decide.

    `own` is what the retailer would earn if every unit were sold at no cost [currency], `here` says which
    vendors there are, `choice` is the consensus under fees that move plans. The plan is carried out if no
    vendor is worse off by more than what is certain; else just-in-time stands for all of them.
    """
    unit, one = known.terms.money * known.terms.volume, jnp.sum(here) == 1
    found = efficient if choice is None else choice
    plan, outcome, before = found.accounts, found.outcome, standing.vendors.upper
    noise = _noise(own / unit, standing, found)
    keeps = _kept(standing, efficient, choice, fees, noise, tolerance, may=one | (how == "jit"))
    asked = _asked(plan, without, fees, keeps, here, unit, noise, posed=choice is not None)
    price = asked.cbt + asked.fee
    back = fees.scale() / fees.weight()
    gap = keeps.either(keeps.gap, (outcome.gap + plan.dust) * back) + noise
    least = jnp.where((how == "excluded") & ~one, 0.0, before)
    surplus = (least - keeps.either(before, plan.vendors)) * unit - price
    certain = (without.cost - without.bound <= tolerance * jnp.maximum(without.spend, 1e-6)) | one
    # As for the plan itself: some plan that left nothing missing could not be this much cheaper.
    ceiling = 0.5 * known.terms.ceiling / known.terms.money
    lacking = ceiling / fees.scale() * without.missing > without.cost - without.bound
    unpriced = here & ~feasible(without.missing) & (certain | lacking)
    proven = keeps.kept | (outcome.certified(tolerance) & jnp.all(certain | unpriced | ~here))
    slack = jnp.where(one, noise * back, -(gap + asked.error))
    willing = (surplus > slack * unit) | ~here
    accepted = proven & ~keeps.kept & jnp.all(willing) & ~jnp.any(unpriced)
    missing, all_of_them = efficient.outcome.missing, jnp.ones_like(here)
    impossible = ~feasible(missing) & (ceiling * missing > efficient.outcome.gap)
    code = jnp.select(
        [keeps.kept & all_of_them, impossible & all_of_them, ~proven & all_of_them, unpriced,
         accepted & all_of_them],
        [codes.NO_GAIN, codes.INFEASIBLE, codes.NOT_CONVERGED, codes.INFEASIBLE, codes.ACCEPTED],
        codes.DECLINED,
    )  # fmt: skip
    lost, lost_error = _efficiency_lost(standing, efficient, plan, keeps, accepted)
    return Settlement(
        **_columns(own, unit, standing, plan, keeps),
        cbt=asked.cbt,
        fee=asked.fee,
        price=price,
        paid=jnp.where(accepted, price, 0.0),
        supplier_surplus=surplus,
        efficiency_lost=lost * unit,
        lost_error=(lost_error + noise) * unit * jnp.ones_like(price),
        efficiency_gap=gap * unit,
        price_error=asked.error * unit,
        code=code,
        rounds=outcome.rounds + (0 if choice is None else efficient.outcome.rounds) + 0 * without.rounds,
        accepted=accepted,
        stays=keeps.kept,
        budget=jnp.sum(asked.cbt) + jnp.sum(keeps.either(0.0 * before, plan.vendors - before)) * unit,
        unpriced=unpriced,
        unwilling=here & ~willing,
    )


def _noise(own: Float[Array, ""], standing: Standing, found: Found) -> Float[Array, ""]:
    """What rounding may add up to, of the money at stake just in time and with the plan."""
    rounding = max(ROUNDING, SUMS * float(jnp.finfo(own.dtype).eps))
    filled, buys, plan = standing.vendors, standing.retailer, found.accounts
    stake = jnp.sum(jnp.abs(filled.upper)) + buys.spend + jnp.sum(filled.spend)
    stake = stake + jnp.abs(plan.retailer) + jnp.sum(jnp.abs(plan.vendors))
    return rounding * (jnp.abs(own) + stake + plan.retailer_spend + jnp.sum(plan.spend))


def _kept(
    standing: Standing,
    efficient: Found,
    choice: Found | None,
    fees: BundleFees,
    noise: Float[Array, ""],
    tolerance: Float[Array, ""],
    *,
    may: Bool[Array, ""],
) -> _Kept:
    """Where the plan saves nothing that its certificate can tell, just-in-time is the plan."""
    one = jnp.ones_like(fees.alpha)
    stays, gap = _just_in_time_is_best(standing, efficient.outcome, one[0], one, noise, tolerance)
    stays = stays & may
    if choice is None:
        return _Kept(stays, stays, gap * one)
    weight, scale = fees.weight(), fees.scale()
    kept, posed = _just_in_time_is_best(standing, choice.outcome, scale, weight / scale, noise, tolerance)
    # Just-in-time as ordered costs nothing on any schedule; a part of the order would.
    kept = kept & may & feasible(jnp.sum(standing.vendors.unfilled))
    return _Kept(stays, kept | stays, jnp.where(kept, posed * scale / weight, gap))


def _just_in_time_is_best(
    standing: Standing,
    outcome: Outcome,
    scale: Float[Array, ""],
    times: Float[Array, " m"],
    noise: Float[Array, ""],
    tolerance: Float[Array, ""],
) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether a consensus is no better than just-in-time as far as is known; how far that is from best."""
    filled, buys = standing.vendors, standing.retailer
    cost = buys.upper / scale + jnp.sum(times * filled.upper)
    spend = buys.spend / scale + jnp.sum(times * filled.spend)
    gap = jnp.maximum(cost - outcome.bound, 0.0)
    saves_nothing = cost - outcome.cost <= jnp.maximum(outcome.gap, noise)
    best = saves_nothing & (gap <= tolerance * jnp.maximum(spend, 1e-6)) & feasible(standing.unmet)
    return best, gap


def _asked(
    plan: Accounts,
    without: Without,
    fees: BundleFees,
    keeps: _Kept,
    here: Bool[Array, " m"],
    unit: Float[Array, ""],
    noise: Float[Array, ""],
    *,
    posed: bool,
) -> _Asked:
    """What the others, as the fees count them, lose by each vendor's taking part, and its own charges."""
    weight, scale = fees.weight(), fees.scale()
    counts = weight * (plan.vendors + plan.deviation)
    others = (plan.retailer + jnp.sum(counts) - counts) / weight
    price = others + plan.deviation - without.cost * scale / weight
    # Where no fee moves plans, what the others lose is the transfer, to the last bit.
    cbt = plan.cost - plan.vendors - without.own if posed else price
    after = fees.after * jnp.abs(cbt)
    unsure = weight * (plan.vendors - plan.floors)
    unsure = (plan.retailer - plan.retailer_floor + jnp.sum(unsure) - unsure) / weight
    error = jnp.maximum(unsure, (without.cost - without.bound) * scale / weight)
    wide = jnp.maximum(without.own - without.own_floor, plan.cost - plan.floor)
    error = jnp.maximum(error, 0.0) + fees.after * jnp.maximum(wide, 0.0) + plan.dust

    def offered(amount: Float[Array, " m"]) -> Float[Array, " m"]:
        return jnp.where(here & ~keeps.kept, amount, 0.0)

    return _Asked(
        cbt=offered(cbt * unit),
        fee=offered(fees.alpha + (price - cbt + after) * unit),
        error=offered(error) + noise * (scale / weight + fees.after),
    )


def _efficiency_lost(
    standing: Standing, efficient: Found, plan: Accounts, keeps: _Kept, accepted: Bool[Array, ""]
) -> tuple[Float[Array, " m"], Float[Array, ""]]:
    """Joint cost of what is carried out over that of the fee-free plan, and how wrong that may be.

    By vendor's row, the retailer's part by its share of the order.
    """
    filled, buys, best = standing.vendors, standing.retailer, efficient.accounts
    jit = standing.share * buys.upper + filled.upper
    issued = jnp.where(accepted, standing.share * plan.retailer + plan.vendors, jit)
    lost = issued - jnp.where(keeps.at_no_fee, jit, standing.share * best.retailer + best.vendors)
    lost = jnp.where(jnp.sum(lost) > 0.0, lost, 0.0)
    wide = buys.upper - buys.lower + jnp.sum(filled.upper - filled.lower)
    wide = jnp.where(accepted, plan.cost - plan.floor, jnp.where(keeps.at_no_fee, 0.0, wide))
    known = jnp.where(keeps.at_no_fee, jnp.sum(jit), best.cost)
    above = jnp.maximum(known - efficient.outcome.bound, 0.0) + best.dust
    return lost, jnp.maximum(jnp.maximum(wide, above), 0.0)


def _columns(
    own: Float[Array, ""], unit: Float[Array, ""], standing: Standing, plan: Accounts, keeps: _Kept
) -> dict[str, Float[Array, " m"]]:
    """Costs and utilities of both parties, just in time and with the plan, by vendor's row."""
    share, filled, buys, either = standing.share, standing.vendors, standing.retailer, keeps.either
    columns = {
        "retailer_cost_jit": share * buys.spend * unit,
        "retailer_cost_plan": share * either(buys.spend, plan.retailer_spend) * unit,
        "supplier_cost_jit": filled.spend * unit,
        "supplier_cost_plan": either(filled.spend, plan.spend) * unit,
        "retailer_utility_jit": share * (own - buys.upper * unit),
        "retailer_utility_plan": share * (own - either(buys.upper, plan.retailer) * unit),
        "supplier_utility_jit": -filled.upper * unit,
        "supplier_utility_plan": -either(filled.upper, plan.vendors) * unit,
    }
    columns["gain"] = (
        columns["retailer_utility_plan"]
        - columns["retailer_utility_jit"]
        + columns["supplier_utility_plan"]
        - columns["supplier_utility_jit"]
    )
    return columns
