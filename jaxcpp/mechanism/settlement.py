"""Who pays what in a bundle: each vendor that takes part its own transfer and fee.

Source: arXiv:2605.16695 Definition 1, sections 3.1, 3.2 and 4; for fees see `mechanism.bundle_fees`, for who
takes part `mechanism.alternatives`.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.bundle import Frame
from jaxcpp.consensus.outcome import SUMS, Outcome, feasible
from jaxcpp.mechanism import status as codes
from jaxcpp.mechanism.alternatives import Offers, Outside, weigh
from jaxcpp.mechanism.bundle_fees import Accounts, BundleFees
from jaxcpp.mechanism.contract import ROUNDING
from jaxcpp.mechanism.several import Absent, Found, Standing, Without
from jaxcpp.mechanism.status_quo import Cost


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
    which: Int[Array, ""]  # of `alternatives.Alternatives`: 0 all take part, 1 + m all but m, then none
    accepted: Bool[Array, " m"]  # takes part in a plan that is carried out
    stays: Bool[Array, ""]  # just-in-time is the plan
    budget: Float[Array, ""]  # all transfers, the retailer's own too, before fees; negative = a deficit
    unpriced: Bool[Array, " m"]  # nobody could do without this vendor
    regret: Float[Array, " m"]  # what taking part with all others would have left it short of, at most
    outside: Outside


class Carried(eqx.Module):
    """An alternative that is settled as it stands, and the retailer's life with it where `lived` says so.

    Costs in scaled units, as `Standing`'s.
    """

    which: Int[Array, ""]
    retailer: Cost
    lived: Bool[Array, ""]


class _Kept(eqx.Module):
    """Whether just-in-time is the plan, with fees and without, and how far from best it may be."""

    at_no_fee: Bool[Array, ""]
    kept: Bool[Array, ""]
    gap: Float[Array, " m"]  # in each vendor's own money

    def either(self, jit: Any, plan: Any) -> Any:
        """One or the other."""
        return jnp.where(self.kept, jit, plan)


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
    carried: Carried | None = None,
    *,
    how: Absent = "jit",
) -> Settlement:
    """Price a bundle's plans for each vendor, and decide which is carried out.

    `own` is what the retailer would earn if every unit were sold at no cost [currency], `here` says which
    vendors there are, `choice` is the consensus under fees that move plans, `carried` an alternative that was
    decided on before. Nothing but just-in-time is carried out that is not certified.
    """
    unit, one = known.terms.money * known.terms.volume, jnp.sum(here) == 1
    found = efficient if choice is None else choice
    outcome, before = found.outcome, standing.vendors.upper
    noise = _noise(own / unit, standing, found)
    keeps = _kept(standing, efficient, choice, fees, noise, tolerance, may=one | (how == "jit"))
    may = weigh(found, without, standing, fees, here, unit, noise, how=how, posed=choice is not None)
    weight, back = fees.weight(), fees.scale() / fees.weight()
    willing = may.willing(jnp.where(one, noise * back[None], -(may.offers.gap + may.offers.error)))
    which = may.choose(willing, noise, one) if carried is None else carried.which
    at = may.offered(which)
    offers = jax.tree.map(lambda leaf: leaf[at], may.offers)
    gap = keeps.either(keeps.gap, may.within(which, willing, weight)) + noise
    certain = (without.cost - without.bound <= tolerance * jnp.maximum(without.spend, 1e-6)) | one
    # As for the plan itself: some plan that left nothing missing could not be this much cheaper.
    ceiling = 0.5 * known.terms.ceiling / known.terms.money
    lacking = ceiling / fees.scale() * without.missing > without.cost - without.bound
    lacking = ~feasible(without.missing) & (certain | lacking)
    unpriced = here & lacking & ~jnp.isfinite(standing.apart.upper) & ~one
    proven = keeps.kept | (outcome.certified(tolerance) & jnp.all(certain | lacking | ~here) & may.known[at])
    carries = proven & ~keeps.kept & ~jnp.any(unpriced) & (which < may.count)
    accepted = carries & offers.takes
    missing, all_of_them = efficient.outcome.missing, jnp.ones_like(here)
    impossible = ~feasible(missing) & (ceiling * missing > efficient.outcome.gap)
    code = jnp.select(
        [keeps.kept & all_of_them, impossible & all_of_them, ~proven & all_of_them, unpriced, accepted],
        [codes.NO_GAIN, codes.INFEASIBLE, codes.NOT_CONVERGED, codes.INFEASIBLE, codes.ACCEPTED],
        codes.DECLINED,
    )
    books = jax.tree.map(lambda leaf: leaf[at], may.books)
    shown = _shown(books, offers, standing, carried, how=how)
    cbt, fee = (keeps.either(0.0 * amount, amount * unit) for amount in (offers.cbt, offers.fee))
    price = cbt + fee
    surplus = keeps.either(0.0 * before, offers.surplus) * unit
    lost, lost_error = _efficiency_lost(standing, efficient, shown, keeps, carries)
    return Settlement(
        **_columns(own, unit, standing, shown, keeps),
        cbt=cbt,
        fee=fee,
        price=price,
        paid=jnp.where(accepted, price, 0.0),
        supplier_surplus=surplus,
        efficiency_lost=lost * unit,
        lost_error=(lost_error + noise) * unit * jnp.ones_like(price),
        efficiency_gap=gap * unit,
        price_error=keeps.either(noise * (back + fees.after), offers.error) * unit,
        code=code,
        rounds=outcome.rounds + (0 if choice is None else efficient.outcome.rounds) + 0 * without.rounds,
        which=jnp.where(carries, which, may.count).astype(jnp.int32),
        accepted=accepted,
        stays=keeps.kept,
        budget=jnp.sum(cbt) + jnp.sum(keeps.either(0.0 * before, shown.vendors - before)) * unit,
        unpriced=unpriced,
        regret=jnp.where(here, -may.offers.surplus[0], 0.0) * unit,
        outside=may.outside,
    )


class _Shown(eqx.Module):
    """What a plan costs each party, by vendor's row, and how wrong that may be; scaled units."""

    retailer: Float[Array, " m"]
    retailer_spend: Float[Array, " m"]
    vendors: Float[Array, " m"]
    spend: Float[Array, " m"]
    wide: Float[Array, ""]


def _shown(
    books: Accounts, offers: Offers, standing: Standing, carried: Carried | None, *, how: Absent
) -> _Shown:
    """The rows of a plan: who stays out has its part of the retailer's account as it is just in time."""
    takes, share = offers.takes, standing.share
    filled, buys = standing.vendors, standing.retailer
    life = Cost(books.retailer_floor, books.retailer, books.retailer_spend)
    if carried is not None:
        life = jax.tree.map(lambda a, b: jnp.where(carried.lived, a, b), carried.retailer, life)
    least = jnp.where(jnp.any((share > 0.0) & takes), share, 1.0)
    part = jnp.where(takes, least, 0.0)
    part = part / jnp.sum(part)

    def row(total: Float[Array, ""], jit: Float[Array, ""]) -> Float[Array, " m"]:
        kept = jnp.where(takes | (share == 0.0), 0.0, share * jit)
        return jnp.where(takes, part * (total - jnp.sum(kept)), kept)

    stays = how == "jit"
    apart = jnp.where(takes, 0.0, jnp.where(stays, filled.upper - filled.lower, 0.0))
    wide = jnp.where(takes, books.vendors - books.floors, apart)
    return _Shown(
        retailer=row(life.upper, buys.upper),
        retailer_spend=row(life.spend, buys.spend),
        vendors=offers.vendors,
        spend=jnp.where(takes, books.spend, jnp.where(stays, filled.spend, 0.0)),
        wide=life.upper - life.lower + jnp.sum(wide),
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


def _efficiency_lost(
    standing: Standing, efficient: Found, shown: _Shown, keeps: _Kept, carries: Bool[Array, ""]
) -> tuple[Float[Array, " m"], Float[Array, ""]]:
    """Joint cost of what is carried out over that of the fee-free plan, and how wrong that may be.

    By vendor's row, the retailer's part by its share of the order.
    """
    filled, buys, best = standing.vendors, standing.retailer, efficient.accounts
    jit = standing.share * buys.upper + filled.upper
    issued = jnp.where(carries, shown.retailer + shown.vendors, jit)
    lost = issued - jnp.where(keeps.at_no_fee, jit, standing.share * best.retailer + best.vendors)
    lost = jnp.where(jnp.sum(lost) > 0.0, lost, 0.0)
    wide = buys.upper - buys.lower + jnp.sum(filled.upper - filled.lower)
    wide = jnp.where(carries, shown.wide, jnp.where(keeps.at_no_fee, 0.0, wide))
    known = jnp.where(keeps.at_no_fee, jnp.sum(jit), best.cost)
    above = jnp.maximum(known - efficient.outcome.bound, 0.0) + best.dust
    return lost, jnp.maximum(jnp.maximum(wide, above), 0.0)


def _columns(
    own: Float[Array, ""], unit: Float[Array, ""], standing: Standing, shown: _Shown, keeps: _Kept
) -> dict[str, Float[Array, " m"]]:
    """Costs and utilities of both parties, just in time and with the plan, by vendor's row."""
    share, filled, buys, either = standing.share, standing.vendors, standing.retailer, keeps.either
    columns = {
        "retailer_cost_jit": share * buys.spend * unit,
        "retailer_cost_plan": either(share * buys.spend, shown.retailer_spend) * unit,
        "supplier_cost_jit": filled.spend * unit,
        "supplier_cost_plan": either(filled.spend, shown.spend) * unit,
        "retailer_utility_jit": share * (own - buys.upper * unit),
        "retailer_utility_plan": share * own - either(share * buys.upper, shown.retailer) * unit,
        "supplier_utility_jit": -filled.upper * unit,
        "supplier_utility_plan": -either(filled.upper, shown.vendors) * unit,
    }
    columns["gain"] = (
        columns["retailer_utility_plan"]
        - columns["retailer_utility_jit"]
        + columns["supplier_utility_plan"]
        - columns["supplier_utility_jit"]
    )
    return columns
