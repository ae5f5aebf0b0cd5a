"""The mechanism where one party, or both, is anybody's own program: plans, prices, decisions, or a status.

The plan comes from `jaxcpp.consensus.outside`. The price is the retailer's cost-benefit transfer and an
additive fee; the supplier has the last word. A contract without a sound, certified plan has no price:
just-in-time stands and nobody pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcpp.agents.border import FAULTS, Border, BorderLog
from jaxcpp.agents.platform import SHORT, TOLERANCE, Platform
from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.terms import Terms
from jaxcpp.consensus import outside, outside_newton
from jaxcpp.consensus.outcome import SUMS
from jaxcpp.consensus.outside import Agreement, Worth
from jaxcpp.consensus.party import Party, Scale
from jaxcpp.mechanism.fees import AdditiveFee, Fee
from jaxcpp.mechanism.status import NAMES, REASONS
from jaxcpp.mechanism.status_quo import Cost, just_in_time
from jaxcpp.mechanism.terms import own_frame

Plans = Float[np.ndarray, "c n"]
Numbers = Float[np.ndarray, " c"]

ENDINGS = {
    **dict(zip(NAMES, REASONS, strict=True)),
    "uncertified": "an agent reports no utilities, so nothing proves the plan: just-in-time stands; give "
    "the agent value(plan) or best_plan(price)",
    "undecided": "the supplier did not say what just-in-time is worth to it: give it decide(offer), or "
    "confirm(order)",
    **FAULTS,
}
"""What a status means, by name: all that `OutsideContracts.status` can hold."""

ROUNDING = 1e-9
"""Of the utilities at stake: what the arithmetic may add to a bound; a surplus no larger is none."""


@dataclass(frozen=True)
class OutsideContracts:
    """A batch of offers, as `jaxcpp.Contract`, where a party is not ours; plain NumPy arrays.

    Plans are (contracts, nodes) [units], all else is (contracts,), money in currency; NaN is not known.
    `order` is the just-in-time order, `jit` the part of it that the supplier confirms, `plan` what the rounds
    ended at and `issued` what is carried out. `efficiency_gap` bounds the joint utility lost against the best
    plan, and `price_error` how far the transfer is from the one at exact utilities of the plan; both take
    what outside agents report for true. `moved_units` and `moved_money` say how far plans and prices still
    moved in the last rounds.
    """

    status: np.ndarray  # names: the keys of `ENDINGS`
    reason: tuple[str, ...]
    order: Plans
    jit: Plans
    plan: Plans
    issued: Plans
    cbt: Numbers
    fee: Numbers
    price: Numbers
    paid: Numbers
    gain: Numbers
    supplier_surplus: Numbers
    efficiency_gap: Numbers
    price_error: Numbers
    moved_units: Numbers
    moved_money: Numbers
    rounds: Int[np.ndarray, " c"]
    calls: dict[str, int]  # questions to each party
    log: BorderLog

    @property
    def accepted(self) -> Bool[np.ndarray, " c"]:
        """Whose plan is carried out."""
        return self.status == "accepted"


def coordinate_outside(
    retailer: Retailer | Sequence[Retailer] | object,
    supplier: object,
    fee: Fee | None = None,
    *,
    start: Plans | None = None,
    money: float | Numbers | None = None,
    reached: Bool[np.ndarray, "c i"] | None = None,
    ceiling: float | None = None,
    tolerance: float = 1e-6,
    consistency: float = 1e-6,
    max_rounds: int = outside.MAX_ROUNDS,
    deadline: float | None = None,
    log: BorderLog | None = None,
) -> OutsideContracts:
    """Find, certify and price plans for a batch of contracts with agents that are not ours.

    Args:
        retailer: ours (one a contract, in a sequence, or stacked), or an outside agent or a sequence of them.
        supplier: an outside agent for the batch, or a sequence of them, one a contract; see
            `jaxcpp.agents.outside` for what either must answer.
        fee: charged beyond the transfer, an `AdditiveFee`; none by default.
        start: (contracts, nodes) [units] a plan to begin at, whose sum says how large a contract is; needed
            where the retailer is not ours, else just-in-time.
        money: [currency / unit] the size of a unit's cost, of the right order; needed where the retailer is
            not ours, else its median lane.
        reached: (contracts, inbound) nodes that the supplier delivers to; all by default. For a retailer of
            ours only: one that is not ours knows.
        ceiling: [currency / unit] above this price a retailer of ours would not serve what it must; 20 times
            its dearest lane and margin by default.
        tolerance: certified efficiency gap to reach, as a fraction of the contract's volume times `money`.
        consistency: by how much, of the same, answers may contradict one concave utility.
        max_rounds: of the coordinator.
        deadline: seconds an outside agent may take for an answer; no limit by default.
        log: where crossings are written down; a new log by default.

    Raises:
        ValueError: `start` or `money` is missing, or shapes or the fee do not fit.
        TypeError: a party answers none of the three kinds.

    Source: arXiv:2605.16695 sections 2.2 and 3.1; arXiv:2408.16462.
    """
    charged = _additive(fee)
    written = BorderLog() if log is None else log
    if isinstance(retailer, Retailer) or _all_ours(retailer):
        buyer, order, ordered = _ours(retailer, reached, ceiling, money, start)
    else:
        buyer, order, ordered = _theirs(
            retailer, start, money, reached, ceiling, deadline, written, consistency, tolerance
        )
    scale, (contracts, nodes) = buyer.scale, order.shape
    border = Border(supplier, "supplier", contracts, nodes, deadline=deadline, log=written)
    seller = Party(border, scale, nodes, consistency)
    target = np.full(contracts, tolerance)
    agreement = _agreed(buyer, seller, order, target, max_rounds)
    quo = _status_quo(buyer, seller, order, ordered, target, bool(np.any(agreement.certified)))
    return _settle(buyer, seller, agreement, quo, np.broadcast_to(charged, (contracts,)), written)


def _agreed(buyer: Party, seller: Party, order: Plans, target: Numbers, max_rounds: int) -> Agreement:
    """By Newton steps where a retailer of ours meets a supplier that tells its slopes."""
    if isinstance(buyer.agent, Platform) and all(map(seller.agent.offers, outside_newton.ASKED)):
        own = np.asarray(buyer.agent.profit) / buyer.scale.value
        buyers = outside_newton.Buyers(buyer.agent.agents, own, buyer)
        return outside_newton.agree(buyers, seller, order, target, max_rounds)
    return outside.agree(buyer, seller, order, target, max_rounds)


@dataclass(frozen=True)
class _StatusQuo:
    """What stands without an agreement, and what it is worth to both; scaled units."""

    order: Plans
    jit: Plans  # the part that the supplier confirms
    ordered: Worth  # the order, to the retailer: the transfer's baseline
    received: Numbers  # the confirmed part, to the retailer
    filled: Worth  # the confirmed part, to the supplier


def _additive(fee: Fee | None) -> Numbers:
    if fee is None:
        return np.zeros(1)
    if not isinstance(fee, AdditiveFee):
        raise ValueError(
            f"coordinate_outside: {type(fee).__name__} moves plans, which agents that are not ours cannot be "
            "asked about; use an AdditiveFee"
        )
    return np.atleast_1d(np.asarray(fee.alpha, np.float64))


def _all_ours(retailer: object) -> bool:
    return isinstance(retailer, Sequence) and all(isinstance(each, Retailer) for each in retailer)


def _ours(
    retailer: Any,
    reached: Bool[np.ndarray, "c i"] | None,
    ceiling: float | None,
    money: float | Numbers | None,
    start: Plans | None,
) -> tuple[Party, Plans, Worth]:
    """Retailers on the platform, their just-in-time orders, and what those are worth to them."""
    if money is not None or start is not None:
        raise ValueError("coordinate_outside: `start` and `money` are for a retailer that is not ours")
    if isinstance(retailer, Retailer):
        batch = jax.tree.map(lambda leaf: leaf[None], retailer) if retailer.unit_cost.ndim == 2 else retailer
    else:
        batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *retailer)
    contracts, inbound = batch.unit_cost.shape[:2]
    open_ = np.ones((contracts, inbound), bool) if reached is None else np.asarray(reached, bool)
    if open_.shape != (contracts, inbound):
        raise ValueError(
            f"coordinate_outside: `reached` must be (contracts, inbound) = ({contracts}, {inbound}); "
            f"got {open_.shape}"
        )
    most = None if ceiling is None else jnp.full(contracts, ceiling, batch.demand.dtype)
    terms, agents, plan, cost = _stand(batch, jnp.asarray(open_), most)
    platform = Platform(agents, terms, np.asarray(jax.vmap(Retailer.profit_at_no_cost)(batch)), "retailer")
    scale = Scale(np.asarray(terms.volume), np.asarray(terms.money))
    party = Party(platform, scale, plan.shape[1], np.inf)  # ours need no looking after
    own = np.asarray(platform.profit) / scale.value
    return party, np.asarray(plan), Worth(own - np.asarray(cost.upper), own - np.asarray(cost.lower))


@jax.jit
def _stand(batch: Retailer, reached: Any, ceiling: Any) -> tuple[Terms, Any, Any, Cost]:
    """Terms, agents, just-in-time orders and their costs of a batch of retailers."""

    def one(retailer: Retailer, nodes: Any, most: Any) -> tuple[Terms, Any, Any, Cost]:
        terms = own_frame(retailer, nodes, most)
        agent = retailer.agent(terms)
        order = just_in_time(retailer, agent, terms, jnp.asarray(TOLERANCE, retailer.demand.dtype))
        return terms, agent, order.plan, order.cost

    return jax.vmap(one, in_axes=(0, 0, None if ceiling is None else 0))(batch, reached, ceiling)


def _theirs(
    retailer: object, start: Plans | None, money: float | Numbers | None, reached: Any, ceiling: Any,
    deadline: float | None, log: BorderLog, consistency: float, tolerance: float,
) -> tuple[Party, Plans, Worth]:  # fmt: skip
    """Outside retailers, what they order just in time, and what that is worth to them."""
    if start is None or money is None:
        raise ValueError(
            "coordinate_outside: a retailer that is not ours needs `start`, a plan (contracts, nodes) of the "
            "right size to begin at, and `money`, the size of a unit's cost"
        )
    if reached is not None or ceiling is not None:
        raise ValueError("coordinate_outside: `reached` and `ceiling` are for a retailer of ours")
    begin = np.asarray(start, np.float64)
    if begin.ndim != 2 or not np.all(np.isfinite(begin)) or np.any(begin < 0.0):
        raise ValueError("coordinate_outside: `start` must be (contracts, nodes), finite and not negative")
    volume = np.where(np.sum(begin, axis=1) > 0.0, np.sum(begin, axis=1), 1.0)
    scale = Scale(volume, np.broadcast_to(np.asarray(money, np.float64), volume.shape))
    border = Border(retailer, "retailer", *begin.shape, deadline=deadline, log=log)
    party = Party(border, scale, begin.shape[1], consistency)
    target = np.full(len(begin), tolerance)
    order, ordered = outside.favourite(party, begin / volume[:, None], target)
    return party, order, ordered


def _status_quo(
    buyer: Party, seller: Party, order: Plans, ordered: Worth, target: Numbers, worthwhile: bool
) -> _StatusQuo:
    """What stands if nothing is agreed; its worth only where there is something to agree on."""
    unknown = np.full(len(order), np.nan)
    jit, received, filled = order, ordered.low, Worth(unknown, unknown)
    if seller.agent.offers("confirm"):
        volume = seller.scale.volume[:, None]
        (confirmed,) = seller.agent.ask("confirm", order=order * volume)
        jit = np.where(seller.agent.alive[:, None], np.minimum(confirmed / volume, order), order)
        if worthwhile and np.any(jit < order):
            received = outside.worth(buyer, jit, target).low
    if worthwhile:
        filled = outside.worth(seller, jit, target)
    return _StatusQuo(order, jit, ordered, received, filled)


def _settle(
    buyer: Party, seller: Party, agreed: Agreement, quo: _StatusQuo, fee: Numbers, log: BorderLog
) -> OutsideContracts:
    """Price the plans that are certified, let the supplier decide, and give everything else its status."""
    unit, volume = buyer.scale.value, buyer.scale.volume[:, None]
    mine, theirs = agreed.retailer_utility, agreed.supplier_utility
    status = _without_a_plan(buyer, seller, agreed)
    gap = np.maximum(agreed.high - agreed.low, 0.0)
    noise = _rounding(buyer) * (np.abs(mine) + np.abs(theirs) + np.abs(quo.ordered.low))
    known = np.isfinite(quo.filled.low)
    gain = np.where(known, mine - quo.received + theirs - quo.filled.high, np.nan)
    same = np.sum(np.abs(agreed.plan - quo.jit), axis=1) <= outside.APART
    stays = (status == "") & (same | (gain <= np.maximum(gap, noise)))
    status[stays] = "no_gain"
    gap = gap + np.where(stays & (gain > 0.0), gain, 0.0)  # just-in-time is so much further from the best

    cbt = (quo.ordered.low - mine) * unit
    wide = np.maximum(buyer.seen.above(agreed.plan) - mine, 0.0) + noise
    error = (wide + quo.ordered.high - quo.ordered.low) * unit
    surplus = np.where(known, (theirs - quo.filled.high) * unit - cbt - fee, np.nan)
    offered = status == ""
    price = np.where(offered, cbt + fee, np.nan)
    _decide(seller, agreed.plan * volume, quo.order * volume, price, surplus, noise * unit, status)
    priced = (status == "accepted") | (status == "declined")
    accepted = status == "accepted"

    def shown(numbers: Numbers) -> Numbers:
        return np.where(priced, numbers, np.where(status == "no_gain", 0.0, np.nan))

    plan = np.where((status == "no_gain")[:, None], quo.jit, agreed.plan) * volume
    reason = [ENDINGS[str(name)] for name in status]
    for party in (seller, buyer):
        if isinstance(party.agent, Border):
            reason = [mine or words for mine, words in zip(party.agent.reason, reason, strict=True)]
    return OutsideContracts(
        status=status, reason=tuple(reason), order=quo.order * volume, jit=quo.jit * volume, plan=plan,
        issued=np.where(accepted[:, None], plan, quo.jit * volume),
        cbt=shown(cbt), fee=shown(fee), price=shown(cbt + fee), paid=np.where(accepted, cbt + fee, 0.0),
        gain=shown(gain * unit), supplier_surplus=shown(surplus),
        efficiency_gap=np.where(np.isfinite(gap), (gap + noise) * unit, np.nan), price_error=shown(error),
        moved_units=agreed.moved_units * volume[:, 0], moved_money=agreed.moved_money * unit,
        rounds=agreed.rounds, log=log,
        calls={party.agent.name: party.agent.calls for party in (buyer, seller)},
    )  # fmt: skip


def _rounding(buyer: Party) -> float:
    """Of the utilities at stake: what arithmetic may add, more where a retailer of ours has float32."""
    return max(ROUNDING, SUMS * buyer.agent.precision) if isinstance(buyer.agent, Platform) else ROUNDING


def _without_a_plan(buyer: Party, seller: Party, agreed: Agreement) -> np.ndarray:
    """The status of contracts that have no plan to offer; empty for those that have one."""
    status = np.full(len(agreed.plan), "", dtype="<U16")
    for party in (buyer, seller):
        if isinstance(party.agent, Border):
            status = np.where(status == "", party.agent.fault, status)
    valued = buyer.valued and seller.valued
    status[(status == "") & ~agreed.certified] = "not_converged" if valued else "uncertified"
    if isinstance(buyer.agent, Platform):
        volume = buyer.scale.volume
        unmet = buyer.agent.living(agreed.plan * volume[:, None])[1]
        status[(status == "") & (unmet > SHORT * volume)] = "infeasible"
    return status


def _decide(
    seller: Party, plan: Plans, order: Plans, price: Numbers, surplus: Numbers, noise: Numbers,
    status: np.ndarray,
) -> None:  # fmt: skip
    """Enter the supplier's decision on every offer: its own word, or whether its surplus is positive."""
    offered = status == ""
    if not np.any(offered):
        return
    yes = surplus > noise
    if seller.agent.offers("decide"):
        yes = seller.agent.ask("decide", plan=plan, order=order, price=price)[0] > 0.0
        failed = offered & ~seller.agent.alive
        if isinstance(seller.agent, Border):
            status[failed] = seller.agent.fault[failed]
        offered &= ~failed
    else:
        status[offered & np.isnan(surplus)] = "undecided"
        offered &= ~np.isnan(surplus)
    status[offered] = np.where(yes[offered], "accepted", "declined")
