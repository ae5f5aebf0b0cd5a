"""Fees in a rolling week: what they are levied on, and the plan that a vendor likes best under them.

A transfer may be negative here: where the order that stands is not the retailer's best, a change may save
the retailer money, and it pays for that. A share is levied on what the vendor pays, and on nothing else:

    P(x) = B(x) + alpha + rate max(B(x), 0) + over (x - y)+ + under (y - x)+

with `y` the order that stands and `B(x)` what `x` costs the retailer over it. `P` is convex, and for every
`part` of the rate above the same with `part B(x)`: so the vendor's best plan is its best one under some part
of the rate: all of it where the vendor then pays, nothing where it is paid, else one under which neither is.

With a price on changes `B(x)` holds what `x` is charged for leaving the plan of record. In the search for the
vendor's best plan that is a charge on deviations like another, from the record and as many times as the
retailer's cost counts; so there is no other one beside it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from jaxcpp.agents.terms import Terms
from jaxcpp.consensus.outcome import FEASIBLE, Outcome
from jaxcpp.fleet import store
from jaxcpp.fleet.batch import best_on_schedule, rows
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Floats
from jaxcpp.fleet.fees import Charges
from jaxcpp.fleet.pack import Lanes
from jaxcpp.fleet.settings import Settings
from jaxcpp.mechanism.status_quo import Order

TRIES = 20
"""Parts of a rate that are looked at before a contract is given up for the week."""

NEARER = 0.25
"""Of the tolerance of plans: how near to best the plans for parts of a rate are, since two are mixed."""

NEGLIGIBLE = 1e-9
"""Of what a plan costs: a transfer nearer to nothing than this is nothing. And of a rate: the least part."""


class Record(NamedTuple):
    """A price on leaving the plan of record; first axis the lane, on the host."""

    plan: Floats  # (lane, public node) units
    price: Floats  # (lane, public node) currency / unit

    def charge(self, plan: Floats) -> Floats:
        """What plans [units] are charged [currency]."""
        return np.asarray(np.sum(self.price * np.abs(plan - self.plan), axis=1))


class Known(NamedTuple):
    """What vendors choose from; first axis the lane, on the host."""

    lanes: Lanes
    terms: Terms
    order: Order  # the one that stands, in scaled units
    efficient: Outcome
    record: Record | None = None  # where leaving it is priced: in the retailer's costs, here and elsewhere

    def transfer(self, found: Outcome) -> Floats:
        """What plans cost the retailer over the order that stands, in scaled units."""
        return np.asarray(found.retailer.cost) - np.asarray(self.order.cost.upper)

    def without_share(self, fees: Charges, found: Outcome) -> Floats:
        """What plans cost the vendor, but for a share of the transfer and what is fixed; in scaled units."""
        away = deviation(fees, np.asarray(found.plan), np.asarray(self.order.plan))
        return self.transfer(found) + np.asarray(found.supplier.cost) + away / np.asarray(self.terms.money)


def in_week(fees: Charges, inbound: int, window: int, week: int, commit: int) -> Charges:
    """The fees on a plan made in `week`, from charges by node and week of the demand table.

    Units away from the order that stands are charged in the `commit` weeks that bind, and never after the
    table's last week.
    """

    def ahead(table: Floats | None) -> Floats | None:
        if table is None:
            return None
        known = table.reshape(len(table), inbound, -1)[:, :, week : week + commit]
        by_week = np.zeros((len(table), inbound, window))
        by_week[:, :, : known.shape[2]] = known
        return by_week.reshape(len(table), -1)

    return replace(fees, over=ahead(fees.over), under=ahead(fees.under))


def deviation(fees: Charges, plan: Floats, order: Floats) -> Floats:
    """What is charged for units away from an order, by lane."""
    if fees.over is None or fees.under is None:
        return np.zeros(len(plan))
    more, less = np.maximum(plan - order, 0.0), np.maximum(order - plan, 0.0)
    return np.sum(fees.over * more + fees.under * less, axis=1)


def levied(fees: Charges, transfer: Floats, plan: Floats, order: Floats) -> Floats:
    """The fees [currency] on a transfer [currency] and a plan [units], by lane."""
    return fees.alpha + fees.share * np.maximum(transfer, 0.0) + deviation(fees, plan, order)


def choice(
    known: Known, fees: Charges, sizes: tuple[int, int], settings: Settings
) -> tuple[Outcome | None, Charges]:
    """The vendors' best plans, and fees with the part of each rate that is levied on them.

    No plan where no fee of the run moves any: then it is the efficient one.
    """
    found = known.efficient
    if fees.distorts:
        # Near the best and still short of units: on no schedule are there any to be had.
        hopeless = (found.missing > FEASIBLE) & (
            found.gap <= settings.tolerance * np.maximum(found.spend, 1e-6)
        )
        possible = np.flatnonzero(~hopeless)
        found = _some(known, fees, possible, sizes, settings)
    transfer = known.transfer(found)
    if fees.rate is not None:
        paid = (fees.rate > 0.0) & (transfer < -NEGLIGIBLE * found.spend) & (found.missing <= FEASIBLE)
        at = np.flatnonzero(paid)
        if len(at):
            some, part = _in_part(rows(known, at), rows(fees, at), sizes, settings)
            found, rate = _put(found, some, at), fees.rate.copy()
            rate[at] = part
            fees, transfer = replace(fees, rate=rate), known.transfer(found)
    fees = replace(fees, after=np.where(transfer > 0.0, fees.after, 0.0))
    return (found if fees.distorts else None), fees


def _some(known: Known, fees: Charges, at: Index, sizes: tuple[int, int], settings: Settings) -> Outcome:
    """The best plans of some lanes; the others keep the efficient one."""
    if not len(at):
        return known.efficient
    (lanes, terms, order, efficient, record), its = rows((known, fees), at)
    if record is None:
        found, _ = best_on_schedule((lanes, terms, order.plan, efficient), its, sizes, settings)
        return _put(known.efficient, found, at)
    volume, rate = np.asarray(terms.volume)[:, None], np.asarray(its.rate)
    each = np.where(rate > 0.0, 1.0 + rate, 0.0)[:, None] * record.price
    posed = lanes, terms, np.where(terms.open, record.plan, 0.0) / volume, efficient
    found, _ = best_on_schedule(posed, replace(its, over=each, under=each), sizes, settings)
    charge = record.charge(found.plan * volume) / np.asarray(terms.money * terms.volume)
    charge = np.where(rate > 0.0, charge, 0.0)  # the others keep the efficient plan, which has its charge
    priced = found.retailer.cost + charge, found.bound + charge, found.retailer_floor + charge
    found = eqx.tree_at(lambda o: (o.retailer.cost, o.bound, o.retailer_floor), found, priced)
    return _put(known.efficient, found, at)


def _in_part(
    known: Known, fees: Charges, sizes: tuple[int, int], settings: Settings
) -> tuple[Outcome, Floats]:
    """The best plans where under the whole rate the vendor would be paid, and the part levied.

    What plans under a part are worth to the vendor is concave in the part, and the transfer is its slope:
    the best part is where the tangents of two plans meet, one that the vendor pays for and one that it is
    paid for, and then a mix of the two is best, for which nobody pays.
    """
    rate = np.asarray(fees.rate)
    close = replace(settings, tolerance=NEARER * settings.tolerance)
    everyone = np.arange(len(rate))
    # Not quite nothing, so that it is searched as closely as the others.
    answer = _some(known, replace(fees, rate=NEGLIGIBLE * rate), everyone, sizes, close)
    part = np.zeros(len(rate))
    left = np.flatnonzero(known.transfer(answer) > NEGLIGIBLE * answer.spend)
    if not len(left):
        return answer, part
    some, its, pays = rows((known, fees, answer), left)
    mixed, part[left] = _between(some, its, pays, sizes, close, settings.tolerance)
    return _put(answer, mixed, left), part


def _between(
    known: Known, fees: Charges, pays: Outcome, sizes: tuple[int, int], close: Settings, tolerance: float
) -> tuple[Outcome, Floats]:
    """The best plans where the vendor pays under nothing of the rate, and is paid under all of it."""
    left = np.arange(len(pays.gap))
    answer, part = pays, np.zeros(len(left))
    paid = _some(known, fees, left, sizes, close)
    for _ in range(TRIES):
        rate, apart = np.asarray(fees.rate), known.transfer(pays) - known.transfer(paid)
        apart = np.maximum(apart, NEGLIGIBLE * np.maximum(pays.spend, 1e-6))
        now = (known.without_share(fees, paid) - known.without_share(fees, pays)) / apart
        now = np.clip(now, NEGLIGIBLE * rate, rate)
        seen = _some(known, replace(fees, rate=now), np.arange(len(left)), sizes, close)
        transfer = known.transfer(seen)
        pays, paid = _either(transfer > 0.0, seen, pays), _either(transfer > 0.0, paid, seen)
        mixed = _mix(known, pays, paid, seen)
        # No plan costs the vendor less than this, whatever part of the rate it is charged.
        proven = known.without_share(fees, seen) + now * transfer - np.asarray(seen.gap)
        gap = known.without_share(fees, mixed) + now * known.transfer(mixed) - proven
        gap = np.maximum(gap, 0.0)
        mixed = eqx.tree_at(
            lambda o: (o.bound, o.retailer_floor, o.supplier_floor),
            mixed,
            (mixed.cost - gap, mixed.retailer.cost - gap / (1.0 + now), mixed.supplier.cost - gap),
        )
        answer, part[left] = _put(answer, mixed, left), now
        weighed = (1.0 + now) * np.asarray(mixed.retailer.spend) + np.asarray(mixed.supplier.spend)
        wide = np.flatnonzero(gap > tolerance * np.maximum(weighed, 1e-6))
        if not len(wide):
            break
        left = left[wide]
        known, fees, pays, paid = rows((known, fees, pays, paid), wide)
    return answer, part


def _mix(known: Known, pays: Outcome, paid: Outcome, seen: Outcome) -> Outcome:
    """As much of two plans as makes the transfer nothing: it costs no more than both in proportion."""
    over, under = known.transfer(pays), known.transfer(paid)
    share = np.clip(-under / np.where(over > under, over - under, 1.0), 0.0, 1.0)

    def both(a: Any, b: Any) -> Any:
        weight = share.reshape(-1, *(1,) * (a.ndim - 1))
        return a + b if a.dtype.kind == "i" else weight * a + (1.0 - weight) * b  # rounds add up

    mixed: Outcome = jax.tree.map(both, pays, paid)
    return eqx.tree_at(lambda o: (o.price, o.epsilon), mixed, (seen.price, seen.epsilon))


def _either(first: Any, a: Outcome, b: Outcome) -> Outcome:
    """Lane by lane one outcome or another."""
    chosen: Outcome = jax.tree.map(lambda x, y: np.where(first.reshape(-1, *(1,) * (x.ndim - 1)), x, y), a, b)
    return chosen


def _put(into: Outcome, some: Outcome, at: Index) -> Outcome:
    """A copy with some lanes replaced."""
    whole: Outcome = store.put(store.mine(into), some, at, store.count(into))
    return whole
