"""Who takes part: all vendors of a bundle, all but one, or none; and what each is asked for.

The alternatives are the best plan of all vendors, the best plan of all but `m` for every vendor `m`, and
just-in-time for all. Each is worth the retailer's utility and the vendors', counted `w_m` times with their
charges on deviations taken off, less `w_m` times the additive fees of those who take part. The best is
carried out. Who takes part pays its own fees, and `1 / w_m` times what the others, so counted and less their
fees, have less than in the best alternative without it; who stays out pays nothing.

What a vendor is left with over what it has outside is then `1 / w_m` times what the best alternative is worth
over the best without it. That is nothing less than nought, and as large as it can be made if the best
alternative is found for the vendor's true numbers: alternatives, weights and fees depend on no report.

A vendor that stays out has the part of its order that it confirms, yet the others plan, and are priced, as
if its whole share arrived: else a report of its own would move what the others are asked for. What does not
arrive is the retailer's loss, as it is just in time.

Source: Roberts 1979, "The characterization of implementable choice rules" (affine maximizers); Nisan and
Ronen 2007, "Computationally feasible VCG mechanisms" (maximal in a range); arXiv:2605.16695 Definition 1.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.consensus.outcome import feasible
from jaxcpp.mechanism.bundle_fees import Accounts, BundleFees
from jaxcpp.mechanism.several import Absent, Found, Standing, Without


class Outside(eqx.Module):
    """The best that the others have without each vendor, bracketed, in scaled units."""

    cost: Float[Array, " m"]  # as the fees count it
    fees: Float[Array, " m"]  # the others' additive fees, counted
    bound: Float[Array, " m"]  # below cost and fees together
    own: Float[Array, " m"]  # in everybody's own costs
    own_floor: Float[Array, " m"]


class Offers(eqx.Module):
    """One plan as the vendors see it; scaled units, each vendor's in its own money."""

    takes: Bool[Array, " m"]
    vendors: Float[Array, " m"]  # what each vendor has, its margin netted out
    cost: Float[Array, ""]  # as the fees count it, fees included
    cbt: Float[Array, " m"]
    fee: Float[Array, " m"]
    error: Float[Array, " m"]
    surplus: Float[Array, " m"]
    gap: Float[Array, " m"]  # of the plan, among plans with the same vendors


class Alternatives(eqx.Module):
    """Plans that might be carried out, first axis all vendors' and then that without each; scaled units.

    `cost` and `bound` bracket what each is worth as the fees count it, fees included; the last is
    just-in-time for all.
    """

    books: Accounts
    offers: Offers
    known: Bool[Array, " a"]  # there is such a plan
    cost: Float[Array, " b"]
    bound: Float[Array, " b"]
    outside: Outside

    @property
    def count(self) -> int:
        """Plans; the number of just-in-time among the alternatives."""
        return self.known.shape[0]

    def willing(self, slack: Float[Array, "a m"]) -> Bool[Array, " a"]:
        """Plans that leave nobody who takes part with less than `slack`.

        The best alternative is one of them by itself, but for fees charged afterwards.
        """
        return self.known & jnp.all((self.offers.surplus > slack) | ~self.offers.takes, axis=1)

    def choose(
        self, willing: Bool[Array, " a"], noise: Float[Array, ""], one: Bool[Array, ""]
    ) -> Int[Array, ""]:
        """The alternative carried out: the plan of all vendors, unless another is surely better.

        A vendor alone decides by itself.
        """
        worth = self.cost[:-1].at[0].set(jnp.where(one, -jnp.inf, self.bound[0] - noise))
        none = jnp.minimum(self.cost[-1], jnp.finfo(worth.dtype).max)  # there is always that
        return jnp.argmin(jnp.append(jnp.where(willing, worth, jnp.inf), none)).astype(jnp.int32)

    def within(
        self, which: Int[Array, ""], willing: Bool[Array, " a"], weight: Float[Array, " m"]
    ) -> Float[Array, " m"]:
        """How far what is carried out may be from the best there is, in each vendor's own money."""
        best = jnp.min(jnp.where(jnp.append(willing, True), self.bound, jnp.inf))
        cost = jnp.where(jnp.isfinite(self.cost[which]), self.cost[which], best)
        return jnp.maximum(self.offers.gap[self.offered(which)], (cost - best) / weight)

    def offered(self, which: Int[Array, ""]) -> Int[Array, ""]:
        """The plan that there is an offer of: where none is carried out, that of all vendors."""
        return jnp.where(which < self.count, which, 0)


def weigh(
    found: Found,
    without: Without,
    standing: Standing,
    fees: BundleFees,
    here: Bool[Array, " m"],
    unit: Float[Array, ""],
    noise: Float[Array, ""],
    *,
    how: Absent,
    posed: bool,
) -> Alternatives:
    """What every alternative is worth, and what each vendor would be asked for; `unit` [currency]."""
    one, scale, several = jnp.sum(here) == 1, fees.scale(), without.books is not None
    weight, alpha = fees.weight(), jnp.where(here, fees.weight() * fees.alpha / unit, 0.0)
    low, high = _apart(standing, here, stays=one | (how == "jit"))
    outside = _outside(without, standing, fees, alpha, low, high, one)
    books, bounds = found.accounts, (found.outcome.gap, found.outcome.bound, jnp.ones((), bool))
    exists = here & ~one & feasible(without.missing)
    rest = without.cost - without.bound, without.bound, exists
    out = ~jnp.eye(here.shape[0], dtype=bool)
    takes = here[None] & (jnp.concatenate([jnp.ones_like(here)[None], out]) if several else here[None])
    books = _joined(books, without.books)
    gap, bound, known = (_joined(a, b if several else None) for a, b in zip(bounds, rest, strict=True))

    def offer(
        books: Accounts, takes: Bool[Array, " m"], gap: Float[Array, ""], bound: Float[Array, ""]
    ) -> tuple[Offers, Float[Array, ""], Float[Array, ""]]:
        vendors, floors = jnp.where(takes, books.vendors, high), jnp.where(takes, books.floors, low)
        charged, owed = jnp.where(takes, books.deviation, 0.0), jnp.where(takes, alpha, 0.0)
        counts, counts_low = weight * (vendors + charged), weight * (floors + charged)
        others, others_low = _others(books.retailer, counts), _others(books.retailer_floor, counts_low)
        asked = (others - outside.cost) / weight
        due = (jnp.sum(owed) - outside.fees) / weight
        # Where no fee moves plans, what the others lose is the transfer, to the last bit.
        cbt = _others(books.retailer, vendors) - outside.own if posed else asked
        fee = (charged + asked - cbt + due if posed else due) + fees.after * jnp.abs(cbt)
        wide = books.retailer - books.retailer_floor + jnp.sum(vendors - floors)
        wide = fees.after * jnp.maximum(jnp.maximum(outside.own - outside.own_floor, wide), 0.0)
        error = jnp.maximum(others - others_low, outside.cost + outside.fees - outside.bound)
        error = jnp.maximum(error, 0.0) / weight + wide + books.dust
        below = bound * scale + jnp.sum(jnp.where(takes, owed, weight * low))
        return Offers(
            takes=takes,
            vendors=vendors,
            cost=books.retailer + jnp.sum(counts + owed),
            cbt=jnp.where(takes, cbt, 0.0),
            fee=jnp.where(takes, fee, 0.0),
            error=jnp.where(takes, error, 0.0) + noise * (scale / weight + fees.after),
            surplus=jnp.where(takes, high - vendors - cbt - fee, 0.0),
            gap=(gap * scale + books.dust) / weight,
        ), below, jnp.sum(owed)  # fmt: skip

    offers, bound, owed = jax.vmap(offer)(books, takes, gap, bound)
    none, none_low = (
        jnp.where(one, ordered, buys) + jnp.sum(weight * costs)
        for ordered, buys, costs in (
            (standing.ordered.upper, standing.apart.upper, high),
            (jnp.inf, standing.apart.lower, low),
        )
    )
    bound = jnp.maximum(jnp.append(bound, none_low), _not_below(found, standing, fees, owed, how=how))
    return Alternatives(books, offers, known, jnp.append(offers.cost, none), bound, outside)


def _joined(all_of_them: Any, without: Any) -> Any:
    """Of the plan of all vendors and of those without each, if there are any; first axis the plan."""
    if without is None:
        return jax.tree.map(lambda leaf: leaf[None], all_of_them)
    return jax.tree.map(lambda leaf, rest: jnp.concatenate([leaf[None], rest]), all_of_them, without)


def _apart(
    standing: Standing, here: Bool[Array, " m"], *, stays: Bool[Array, ""]
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """A bracket of what each vendor's life outside costs it: its just-in-time order, or nothing."""
    filled = standing.vendors
    return jnp.where(here & stays, filled.lower, 0.0), jnp.where(here & stays, filled.upper, 0.0)


def _others(retailer: Float[Array, ""], counts: Float[Array, " m"]) -> Float[Array, " m"]:
    """What everybody but each vendor has."""
    return retailer + jnp.sum(counts) - counts


def _outside(
    without: Without,
    standing: Standing,
    fees: BundleFees,
    alpha: Float[Array, " m"],
    low: Float[Array, " m"],
    high: Float[Array, " m"],
    one: Bool[Array, ""],
) -> Outside:
    """The better of the best plan without each vendor and just-in-time for all."""
    weight, scale, buys = fees.weight(), fees.scale(), standing.apart
    owe = jnp.sum(alpha) - alpha
    runs = jnp.where(feasible(without.missing), without.cost * scale + owe, jnp.inf)
    jit, jit_low = _others(buys.upper, weight * high), _others(buys.lower, weight * low)
    stay = ~one & (jit < runs)
    return Outside(
        cost=jnp.where(stay, jit, without.cost * scale),
        fees=jnp.where(stay, 0.0, owe),
        bound=jnp.minimum(without.bound * scale + owe, jnp.where(one, jnp.inf, jit_low)),
        own=jnp.where(stay, _others(buys.upper, high), without.own),
        own_floor=jnp.where(stay, _others(buys.lower, low), without.own_floor),
    )


def _not_below(
    found: Found, standing: Standing, fees: BundleFees, owed: Float[Array, " a"], *, how: Absent
) -> Float[Array, " b"]:
    """Below every alternative, fees included: where who stays out delivers what it might if it took part.

    Then a plan without it is one of those that the plan of all was found among.
    """
    best, full = found.outcome.bound * fees.scale(), feasible(standing.vendors.unfilled)
    if how == "excluded":
        full = jnp.full(full.shape, fees.over is None)
    runs = jnp.where(full[: len(owed) - 1], best + owed[1:], -jnp.inf)
    none = jnp.where(jnp.all(full), best, -jnp.inf)
    return jnp.concatenate([jnp.full_like(none, -jnp.inf)[None], runs, none[None]])
