"""Price Newton with suppliers that are not ours: one smoothed answer a round, certificates apart.

The path is that of `jaxcpp.consensus.newton`: the retailer's half of every round is computed here, the
supplier's is asked for, with its slope. Smoothed answers steer and prove nothing: where a path has ended,
the retailer names a plan, and the supplier says exactly what that is worth to it and what it could earn at
most at the price. Source: arXiv:2605.16695 section 2.2; arXiv:2408.16462.
"""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcpp.agents.protocol import Confirmation, Responder, Response
from jaxcpp.consensus import newton
from jaxcpp.consensus.outcome import Outcome, feasible, settle
from jaxcpp.consensus.outside import Agreement
from jaxcpp.consensus.party import Party
from jaxcpp.consensus.seen import Numbers, Plans
from jaxcpp.transport import path

ASKED = ("smoothed_plan", "best_plan", "value")
"""What a supplier must answer."""


class _Heard(eqx.Module):
    """A supplier's answer to the price that is being looked at, in its place."""

    response: Response

    def respond(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Response:
        del price, epsilon
        return self.response


class _Confirmed(eqx.Module):
    """What a supplier has said of the plan and the price of a certificate, in its place."""

    confirmation: Confirmation
    least: Float[Array, ""]

    def confirm(
        self,
        plan: Float[Array, " n"],
        price: Float[Array, " n"],
        epsilon: Float[Array, ""],
        memory: object = None,
    ) -> Confirmation:
        del plan, price, epsilon, memory
        return self.confirmation

    def bound(self, price: Float[Array, " n"]) -> Float[Array, ""]:
        del price
        return self.least


@dataclass(frozen=True)
class Buyers:
    """The retailers of a batch of contracts, all ours: as agents on the platform, and as a party to it.

    `profit` is what they would earn at no cost, scaled: it makes utilities of costs.
    """

    agents: Responder  # with a leading contract axis
    profit: Numbers
    party: Party


@dataclass
class _Run:
    """Where the rounds stand, and the last certificate; scaled units, by contract."""

    state: path.PathState
    ended: Bool[np.ndarray, " c"]  # certified or given up
    certified: Bool[np.ndarray, " c"]
    plan: Plans
    price: Plans
    confirmed: Plans  # the last plan that the supplier was asked to confirm in part
    low: Numbers
    high: Numbers
    utilities: Float[np.ndarray, "2 c"]
    moved: Float[np.ndarray, "2 c"]  # units and money


def agree(buyers: Buyers, seller: Party, start: Plans, tolerance: Numbers, max_rounds: int) -> Agreement:
    """Newton steps on the price until every contract is certified, has failed, or is out of rounds.

    The seller answers all of `ASKED`; `tolerance` is of a scaled 1, as in `jaxcpp.consensus.outside`.
    """
    run, limit = _begin(start), jnp.asarray(tolerance)
    for number in range(1, max_rounds + 1):
        if not np.any(~run.ended & seller.agent.alive):
            break
        buyers.party.agent.round = seller.agent.round = number
        run.state = _advance(buyers.agents, _hear(seller, run.state), run.state, limit)
        at_rest = np.asarray(run.state.done) | ~seller.agent.alive
        if number % newton.TURN == 0 or number == max_rounds or np.all(at_rest):
            _certify(buyers, seller, run, limit)
    return Agreement(
        plan=run.plan, price=run.price, low=run.low, high=run.high, retailer_utility=run.utilities[0],
        supplier_utility=run.utilities[1], certified=run.certified, moved_units=run.moved[0],
        moved_money=run.moved[1], rounds=np.asarray(run.state.rounds),
    )  # fmt: skip


def _begin(start: Plans) -> _Run:
    contracts = len(start)
    return _Run(
        state=jax.vmap(path.start)(jnp.zeros_like(start)), ended=np.zeros(contracts, bool),
        certified=np.zeros(contracts, bool), plan=start, price=np.zeros_like(start),
        confirmed=np.zeros_like(start), low=np.full(contracts, -np.inf), high=np.full(contracts, np.inf),
        utilities=np.full((2, contracts), np.nan), moved=np.full((2, contracts), np.nan),
    )  # fmt: skip


def _hear(seller: Party, state: path.PathState) -> Response:
    """The supplier's smoothed answers to the prices that are tried, as costs in scaled units."""
    scale, price = seller.scale, -np.asarray(state.trial)
    plan, utility, surplus, best, drift, slope = seller.agent.ask(
        "smoothed_plan",
        price=price * scale.money[:, None],
        smoothing=np.asarray(state.trial_epsilon) * scale.money,
    )
    bend, units = scale.money / scale.volume, plan / scale.volume[:, None]
    paid = np.sum(price * units, axis=1) - utility / scale.value
    numbers = (-surplus / scale.value, paid + surplus / scale.value, -best / scale.value, units,
               slope * bend[:, None, None], drift * bend[:, None], np.zeros_like(paid))  # fmt: skip
    return jax.vmap(Response)(*map(jnp.asarray, numbers))


@jax.jit
@jax.vmap
def _advance(
    retailer: Responder, heard: Response, state: path.PathState, tolerance: Float[Array, ""]
) -> path.PathState:
    joint = newton.evaluate(retailer, _Heard(heard))

    def at(price: Float[Array, " n"], epsilon: Float[Array, ""]) -> path.Evaluation:
        # What the supplier spends is not known here: the tolerance is of a scaled 1.
        return eqx.tree_at(lambda seen: seen.spend, joint(price, epsilon), jnp.ones_like(epsilon))

    return path.advance(at, state, tolerance)


def _certify(buyers: Buyers, seller: Party, run: _Run, tolerance: Float[Array, " c"]) -> None:
    """Prove what the plans of ended paths are worth; a path whose proof fails goes on at a tighter target."""
    due = np.asarray(run.state.done) & ~run.ended & seller.agent.alive
    if not np.any(due):
        return
    # Contracts that are not due repeat their last questions, which then do not cross again.
    price, named = (np.where(due[:, None], new, old) for new, old in zip(
        map(np.asarray, _named(buyers.agents, run.state)), (run.price, run.plan), strict=True))  # fmt: skip
    theirs, plan = _worth(seller, run, named, due)
    best, earned = seller.best(-price)
    buyers.party.best(price)  # a cut, which bounds what any plan is worth to the retailer
    least = -earned - np.sum(price * best, axis=1)
    cost = np.where(np.isfinite(theirs), -theirs, np.inf)
    outcome, certified, following = _proved(
        buyers.agents, run.state, *map(jnp.asarray, (price, named, named - plan, cost, least, due)), tolerance
    )
    due &= seller.agent.alive
    run.state, run.price, run.plan = following, price, plan
    run.certified |= due & np.asarray(certified)
    run.ended |= due & np.asarray(following.done)
    own = buyers.profit
    moved = np.sum(named - plan, axis=1), np.sum(np.abs(np.asarray(run.state.move)) * plan, axis=1)
    run.low = np.where(due, own - np.asarray(outcome.cost), run.low)
    run.high = np.where(due, own - np.asarray(outcome.bound), run.high)
    run.utilities = np.where(due, np.stack([own - np.asarray(outcome.retailer.cost), theirs]), run.utilities)
    run.moved = np.where(due, np.stack(moved), run.moved)


def _worth(seller: Party, run: _Run, named: Plans, due: Bool[np.ndarray, " c"]) -> tuple[Numbers, Plans]:
    """What plans are worth to the supplier, or the parts of them that it would ship; and those parts."""
    utility = seller.worth(named)
    refused = due & np.isneginf(utility)
    if not (np.any(refused) and seller.agent.offers("confirm")):
        return utility, named
    run.confirmed, volume = np.where(refused[:, None], named, run.confirmed), seller.scale.volume[:, None]
    (part,) = seller.agent.ask("confirm", order=run.confirmed * volume)
    plan = np.where(refused[:, None], np.minimum(part / volume, named), named)
    return seller.worth(plan), plan


@jax.jit
@jax.vmap
def _named(retailer: Responder, state: path.PathState) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """The price a path has ended at, and a plan near the retailer's answer that it can live with."""
    price = path.reached(state)
    return price, retailer.propose(price, state.epsilon)


@jax.jit
@jax.vmap
def _proved(
    retailer: Responder,
    state: path.PathState,
    price: Float[Array, " n"],
    plan: Float[Array, " n"],
    short: Float[Array, " n"],
    cost: Float[Array, ""],
    least: Float[Array, ""],
    due: Bool[Array, ""],
    tolerance: Float[Array, ""],
) -> tuple[Outcome, Bool[Array, ""], path.PathState]:
    """The certificate, whether it holds, and the path as it goes on."""
    nothing = jnp.zeros_like(cost)
    supplier = _Confirmed(Confirmation(cost, nothing, short, nothing), least)
    outcome = settle(retailer, supplier, price, state.epsilon, state.rounds, plan)
    unmet = outcome.retailer.unmet
    # Units that cannot be had are no fault of the path's: the plan is the best there is without them.
    served = feasible(unmet) | (unmet > tolerance)
    certified = feasible(jnp.sum(outcome.retailer.short)) & served & (outcome.gap <= tolerance)
    following = newton.ended(state, outcome, certified, tolerance)
    return outcome, certified, path.choose(due, following, state)
