"""Consensus of agents that are not ours: the rounds run on the host, for a batch of contracts.

    z <- mean of x_m,    pi_m <- pi_m + rho (x_m - z)

as in `jaxcpp.consensus.admm`, from answers that `jaxcpp.consensus.party` makes proximal. Now and then, a
certificate: the best mixture of plans that both agents have answered against the highest point under both
agents' cuts, and both agents asked again at the price and plan of that mixture, which soon makes the two
meet. Source: arXiv:2408.16462; Boyd et al. (2011), section 7; Dantzig and Wolfe (1960).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcpp.consensus import bounds
from jaxcpp.consensus.party import Party
from jaxcpp.consensus.seen import Numbers, Plans, Seen

MAX_ROUNDS = 400
CHECK = 10
"""Rounds between two certificates; the first comes earlier."""
FIRST_CHECK = 4
POLISH = 8
"""Questions at most about the best mixture, each certificate."""
RELAXATION = 1.6
BALANCE = 5.0
"""Ratio of the residuals at which `rho` is changed, by a factor of two."""
PATIENCE = 5
"""Rounds between two changes of `rho`."""
ACCURACY = 0.1
"""Of the residual: the error allowed in a proximal answer."""
SETTLED = 1e-6
"""Units, of a volume of 1, and money, of 1, by which a run without certificates may move and be at rest."""
ROUNDING = 1e-6
"""Residual below which the ratio of its parts says nothing about `rho`."""
APART = 1e-9
"""Units of a volume of 1 by which the agents' plans may differ and still be one plan."""
DEAR = 10.0
"""What a unit on which the agents differ costs in a mixture, in dearest prices."""
LOOSEST = 1e-2
"""Weight of a proposal, scaled, below which an agent that looks for its favourite is not let go."""
WINDOW = 5
"""Rounds that `moved` looks back."""


@dataclass(frozen=True)
class Agreement:
    """How a consensus of outside agents ended, by contract, in scaled units.

    `low` and `high` bracket the largest joint utility, as far as the reported utilities are true: the plan
    reaches `low`. `moved_units` and `moved_money` say how far plans and prices still moved, and the two
    agents' plans still differed, in the last rounds.
    """

    plan: Plans
    price: Plans
    low: Numbers
    high: Numbers
    retailer_utility: Numbers  # at the plan, from below; NaN where none is reported
    supplier_utility: Numbers
    certified: Bool[np.ndarray, " c"]
    moved_units: Numbers
    moved_money: Numbers
    rounds: Int[np.ndarray, " c"]


@dataclass
class _Run:
    """Where the rounds stand."""

    proposal: Plans
    price: Plans
    rho: Numbers
    taken: Plans
    shipped: Plans
    residual: Numbers
    low: Numbers
    high: Numbers
    utilities: Float[np.ndarray, "2 c"]
    plan: Plans
    done: Bool[np.ndarray, " c"]
    rounds: Int[np.ndarray, " c"]
    moves: Float[np.ndarray, "w 2 c"]  # units and money, the last rounds


def agree(
    retailer: Party, supplier: Party, start: Plans, tolerance: Numbers, max_rounds: int = MAX_ROUNDS
) -> Agreement:
    """Rounds until every contract is certified, at rest or out of rounds; `tolerance` of a scaled 1."""
    valued = retailer.valued and supplier.valued
    run = _begin(start)
    for number in range(1, max_rounds + 1):
        active = ~run.done & retailer.agent.alive & supplier.agent.alive
        if not np.any(active):
            break
        retailer.agent.round = supplier.agent.round = number
        _round(retailer, supplier, run, active, number)
        if valued and (number in (FIRST_CHECK, max_rounds) or number % CHECK == 0):
            _certify(retailer, supplier, run, active, tolerance)
        if not valued and number > WINDOW:
            run.done |= active & np.all(np.max(run.moves, axis=0) <= SETTLED, axis=0)
    for party in (retailer, supplier):
        party.judge()
    known = valued & np.isfinite(run.low)
    moved = np.max(run.moves, axis=0)
    return Agreement(
        plan=np.where(known[:, None], run.plan, run.proposal), price=run.price, low=run.low, high=run.high,
        retailer_utility=run.utilities[0], supplier_utility=run.utilities[1],
        certified=run.done & valued, moved_units=moved[0], moved_money=moved[1], rounds=run.rounds,
    )  # fmt: skip


def _begin(start: Plans) -> _Run:
    contracts = len(start)
    nothing = np.full(contracts, np.nan)
    return _Run(
        proposal=start, price=np.zeros_like(start),
        # Of the order of (cost) / (units a node), both 1 / nodes of the contract's scale.
        rho=np.maximum(np.sum(start > 0.0, axis=1), 1).astype(np.float64),
        taken=start, shipped=start, residual=np.ones(contracts),
        low=np.full(contracts, -np.inf), high=np.full(contracts, np.inf),
        utilities=np.stack([nothing, nothing]), plan=start.copy(), done=np.zeros(contracts, bool),
        rounds=np.zeros(contracts, int), moves=np.zeros((WINDOW, 2, contracts)),
    )  # fmt: skip


def _round(retailer: Party, supplier: Party, run: _Run, active: Bool[np.ndarray, " c"], number: int) -> None:
    """Two questions, two answers, new prices and a new proposal."""
    accuracy = np.clip(ACCURACY * run.residual, 1e-8, 1e-2)
    z, rho, price = run.proposal, run.rho, run.price
    taken = retailer.answer(price, z, rho, accuracy, active)
    shipped = supplier.answer(-price, z, rho, accuracy, active)
    relaxed = [RELAXATION * plan + (1.0 - RELAXATION) * z for plan in (taken, shipped)]
    mean = 0.5 * (relaxed[0] + relaxed[1])
    change = rho[:, None] * (relaxed[0] - mean)
    mean = np.maximum(mean, 0.0)
    primal = np.sum(np.abs(taken - shipped), axis=1)
    dual = 2.0 * np.sum(np.abs(mean - z), axis=1)
    size = np.abs(price)
    money = np.sum(np.abs(change) * mean + size * (np.abs(taken - shipped) + np.abs(mean - z)), axis=1)
    moves = np.concatenate([run.moves[1:], np.stack([primal + 0.5 * dual, money])[None]])
    run.moves = np.where(active, moves, run.moves)

    lanes = active[:, None]
    run.proposal, run.price = np.where(lanes, mean, z), np.where(lanes, price + change, price)
    run.taken, run.shipped = np.where(lanes, taken, run.taken), np.where(lanes, shipped, run.shipped)
    run.residual = np.where(active, primal + dual, run.residual)
    run.rounds = run.rounds + active
    if number % PATIENCE == 0:
        due = active & (run.residual > ROUNDING)
        stiffer, softer = primal > BALANCE * dual, dual > BALANCE * primal
        run.rho = rho * np.where(due & stiffer, 2.0, np.where(due & softer, 0.5, 1.0))


def _certify(
    retailer: Party, supplier: Party, run: _Run, active: Bool[np.ndarray, " c"], tolerance: Numbers
) -> None:
    """Ask both agents about the agreement as it stands, and prove what it is worth."""
    price, taken, shipped = run.price.copy(), run.taken.copy(), run.shipped.copy()
    for _ in range(POLISH):
        open_ = active & ~run.done & retailer.agent.alive & supplier.agent.alive
        if not np.any(open_):
            return
        # Each is asked for its worth of the other's plan: that of its own it knows already.
        retailer.probe(price, np.maximum(shipped, 0.0))
        supplier.probe(-price, np.maximum(taken, 0.0))
        for lane in np.flatnonzero(open_).tolist():
            dear = DEAR * (1.0 + np.max(np.abs(run.price[lane])))
            mixture = bounds.best_mixture(retailer.seen, supplier.seen, lane, dear)
            if mixture is None:
                continue
            price[lane], taken[lane], shipped[lane] = mixture.price, mixture.taken, mixture.shipped
            if mixture.apart > APART:
                continue
            run.high[lane] = min(run.high[lane], bounds.ceiling([retailer.seen, supplier.seen], lane))
            if mixture.utility >= run.low[lane]:
                run.low[lane], run.plan[lane] = mixture.utility, mixture.taken
                run.utilities[:, lane] = mixture.retailer, mixture.supplier
            run.done[lane] = run.high[lane] - run.low[lane] <= tolerance[lane]


class Worth(NamedTuple):
    """An agent's utility of a plan lies in `[low, high]`, scaled; `low` is -inf where it refuses the plan."""

    low: Numbers
    high: Numbers


def favourite(party: Party, start: Plans, tolerance: Numbers, max_rounds: int = 60) -> tuple[Plans, Worth]:
    """The plan that an agent likes best when units are free, and its worth.

    Asked for in one question where the agent answers prices, else by proximal answers that are held less
    and less.
    """
    zero = np.zeros_like(start)
    if party.agent.offers("best_plan"):
        plan, utility = party.best(zero)
        return plan, Worth(utility, utility)
    plan, rho = start, np.ones(len(start))
    everybody = np.ones(len(start), bool)
    for _ in range(max_rounds):
        following = party.answer(zero, plan, rho, np.full(len(start), 1e-9), everybody)
        still = np.max(np.abs(following - plan), axis=1) <= APART
        plan, rho = following, np.maximum(0.5 * rho, LOOSEST)
        if np.all(still | ~party.agent.alive):
            break
    party.probe(zero, plan)
    unknown = np.full(len(start), np.nan)
    if not party.valued:
        return plan, Worth(unknown, unknown)
    low = worth(party, plan, tolerance).low
    high = np.array([bounds.ceiling([party.seen], lane) for lane in range(len(start))])
    return plan, Worth(low, np.maximum(high, low))


def worth(party: Party, plan: Plans, tolerance: Numbers, max_rounds: int = 40) -> Worth:
    """What an agent reports that a plan is worth; from its answers to prices where that is all it has."""
    unknown = np.full(len(plan), np.nan)
    if party.agent.kind == "primal":
        utility = party.at(plan)
        return Worth(utility, utility)
    if party.agent.offers("value"):
        utility = party.worth(plan)
        return Worth(utility, utility)
    if not party.valued:
        return Worth(unknown, unknown)
    target = Seen(*plan.shape)
    target.point(plan, np.zeros(len(plan)), np.ones(len(plan), bool))
    low, high = np.full(len(plan), -np.inf), party.seen.above(plan)
    dear = DEAR * (1.0 + np.max(np.abs(party.seen.cuts.vector), axis=(1, 2)))
    for _ in range(max_rounds):
        price = np.zeros_like(plan)
        open_ = (high - low > tolerance) & party.agent.alive
        for lane in np.flatnonzero(open_).tolist():
            mixture = bounds.best_mixture(target, party.seen, lane, dear[lane])
            if mixture is None:
                continue
            price[lane] = -mixture.price
            if mixture.apart <= APART:
                low[lane] = max(low[lane], mixture.utility)
        if not np.any(open_ & (high - low > tolerance)):
            break
        party.best(price)
        high = np.minimum(high, party.seen.above(plan))
    return Worth(low, high)
