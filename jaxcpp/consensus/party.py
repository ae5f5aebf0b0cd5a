"""An outside agent as the coordinator meets it: one that answers proximally, whatever kind it is.

A dual agent's proximal answer is made of its own plans: the best mixture of those it has answered, and one
more price asked until no plan of its own would improve the mixture (simplicial decomposition). A primal
agent's is the best plan under the cuts it has answered, and one more plan asked until the cuts are exact
there (a proximal bundle). Everything here is in scaled units: a contract's volume and money are 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from jaxcpp.agents.outside import Kind
from jaxcpp.consensus.seen import Answers, Numbers, Plans, Seen

INNER = 12
"""Questions at most for one proximal answer of an agent that does not answer proximally."""
EXACT = 1e-12
"""Of the utilities at stake: what a proximal answer need not be nearer to than that."""
LOOSE = 0.1
"""Weight, scaled, of a proposal where a proximal agent is asked what it likes best at a price."""


@runtime_checkable
class Asked(Protocol):
    """What stands between the coordinator and an agent: `jaxcpp.agents.border.Border`, or our own."""

    name: str
    kind: Kind
    round: int
    calls: int

    @property
    def alive(self) -> Bool[np.ndarray, " contracts"]:
        """Whose answers have been sound so far."""
        ...

    def offers(self, method: str) -> bool:
        """Whether the agent has a method."""
        ...

    def ask(self, method: str, **question: Any) -> tuple[np.ndarray, ...]:
        """The checked parts of an answer."""
        ...

    def blame(self, contracts: Any, fault: str, reason: str) -> None:
        """Give contracts a fault."""
        ...


@dataclass(frozen=True)
class Scale:
    """The units a contract is scaled by, both (contracts,): public, and of the right order at best."""

    volume: Numbers  # units
    money: Numbers  # currency / unit

    @property
    def value(self) -> Numbers:
        """What one scaled unit of utility is [currency]."""
        return self.volume * self.money


class Party:
    """One agent, what has been seen of it, and its proximal answers.

    `consistency` is how far answers may contradict one concave utility, in scaled money.
    """

    def __init__(self, agent: Asked, scale: Scale, nodes: int, consistency: float) -> None:
        contracts = len(scale.volume)
        self.agent, self.scale = agent, scale
        self.seen, self.answers = Seen(contracts, nodes), Answers(contracts, nodes)
        self._consistency = consistency

    @property
    def valued(self) -> bool:
        """Whether the agent reports utilities at all: without them nothing is certified."""
        return self.agent.kind != "proximal" or self.agent.offers("value") or self.agent.offers("best_plan")

    def answer(
        self, price: Plans, proposal: Plans, rho: Numbers, accuracy: Numbers, active: Bool[np.ndarray, " c"]
    ) -> Plans:
        """The proximal answer, to `accuracy` [scaled units] where `active`; the proposal where it failed."""
        if self.agent.kind == "proximal":
            plan, _ = self._proximal(price, proposal, rho)
        else:
            close = 0.5 * rho * accuracy**2
            ask = self._mixed if self.agent.kind == "dual" else self._under_cuts
            plan = ask(price, proposal, rho, close, active)
        return np.where(self.agent.alive[:, None], plan, proposal)

    def probe(self, price: Plans, plan: Plans) -> None:
        """Learn what the agent reports near an agreement: its answer to a price, its worth of a plan."""
        if self.agent.kind == "primal":
            self.at(plan)
        elif self.agent.offers("best_plan"):
            self.best(price)
        elif self.agent.offers("value"):
            answered, behind = self._proximal(price, plan, np.full(len(plan), LOOSE))
            utility = self.worth(answered)
            self.agent.blame(np.isneginf(utility), "inconsistent", "it refuses its own plan")
            utility = np.where(np.isfinite(utility), utility, 0.0)
            self.seen.cut(behind, answered, utility, self.agent.alive)
            self._check()
        if self.agent.kind != "primal" and self.agent.offers("value"):
            self.worth(plan)

    def best(self, price: Plans) -> tuple[Plans, Numbers]:
        """A dual answer: the best plan at a price, and its utility."""
        units, currency = self.agent.ask("best_plan", price=price * self.scale.money[:, None])
        plan, utility = units / self.scale.volume[:, None], currency / self.scale.value
        self.seen.point(plan, utility, self.agent.alive)
        self.seen.cut(price, plan, utility, self.agent.alive)
        self._check()
        return plan, utility

    def at(self, plan: Plans) -> Numbers:
        """A primal answer: the utility of a plan."""
        currency, slope = self.agent.ask("value_and_gradient", plan=plan * self.scale.volume[:, None])
        utility, gradient = currency / self.scale.value, slope / self.scale.money[:, None]
        self.seen.point(plan, utility, self.agent.alive)
        self.seen.cut(gradient, plan, utility, self.agent.alive)
        self._check()
        return utility

    def worth(self, plan: Plans) -> Numbers:
        """The utility of a plan, from an agent that offers `value`; -inf where it refuses."""
        (currency,) = self.agent.ask("value", plan=plan * self.scale.volume[:, None])
        utility = currency / self.scale.value
        self.seen.point(plan, np.where(np.isfinite(utility), utility, 0.0), np.isfinite(utility))
        self._check()
        return utility

    def judge(self) -> None:
        """Look once at all answers together: find those that no concave utility explains."""
        circular = self.answers.cycle(self._consistency)
        self.agent.blame(circular, "inconsistent", "its best responses go round in a circle")

    def _check(self) -> None:
        amount = self.seen.contradiction()
        self._blame(amount, "a plan is worth more than an earlier answer allows")

    def _blame(self, amount: Numbers, words: str) -> None:
        for lane in np.flatnonzero((amount > self._consistency) & self.agent.alive):
            currency = amount[lane] * self.scale.value[lane]
            self.agent.blame(int(lane), "inconsistent", f"{words}, by {currency:.4g}")

    def _proximal(self, price: Plans, proposal: Plans, rho: Numbers) -> tuple[Plans, Plans]:
        """A proximal answer, and the price to which it is the best answer without a proposal."""
        volume, money = self.scale.volume, self.scale.money
        (units,) = self.agent.ask(
            "best_response", price=price * money[:, None], proposal=proposal * volume[:, None],
            rho=rho * money / volume,
        )  # fmt: skip
        plan = units / volume[:, None]
        behind = price + rho[:, None] * (plan - proposal)
        self.answers.add(behind, plan, self.agent.alive)
        self._blame(self.answers.contradiction(), "it takes more of what is dearer")
        return plan, behind

    def _mixed(
        self, price: Plans, proposal: Plans, rho: Numbers, close: Numbers, active: Bool[np.ndarray, " c"]
    ) -> Plans:
        if not self.seen.points.most:
            self.best(price)
        for _ in range(INNER):
            plan, mixed = self.seen.best_mixture(price, proposal, rho)
            behind = price + rho[:, None] * (plan - proposal)
            count = self.seen.points.count.copy()
            better, utility = self.best(behind)
            short = utility - mixed - np.sum(behind * (better - plan), axis=1)
            enough = np.maximum(close, EXACT * (1.0 + np.abs(utility)))
            nothing_new = self.seen.points.count == count
            if np.all((short <= enough) | nothing_new | ~self.agent.alive | ~active):
                break
        return plan

    def _under_cuts(
        self, price: Plans, proposal: Plans, rho: Numbers, close: Numbers, active: Bool[np.ndarray, " c"]
    ) -> Plans:
        if not self.seen.cuts.most:
            self.at(proposal)
        for _ in range(INNER):
            plan = self.seen.best_under_cuts(price, proposal, rho)
            promised = self.seen.above(plan)
            utility = self.at(plan)
            enough = np.maximum(close, EXACT * (1.0 + np.abs(utility)))
            if np.all((promised - utility <= enough) | ~self.agent.alive | ~active):
                break
        return plan
