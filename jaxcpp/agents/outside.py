"""What anybody's plain Python object must answer to take part: NumPy in, NumPy out, no JAX.

An outside agent speaks for a *batch* of contracts, always the same ones in the same order. It offers at
least one of three kinds of answer, after Maggiar, Dicker and Mahoney, arXiv:2408.16462:

    kind      method                                what it answers
    proximal  best_response(price, proposal, rho)   argmax_x u(x) - price @ x - rho/2 |x - proposal|^2
    dual      best_plan(price)                      argmax_x u(x) - price @ x, and u there
    primal    value_and_gradient(plan)              u(plan), and the value of one more unit at each node

Conventions, the same for a retailer and a supplier:

- A *plan* `x` is (contracts, nodes) [units], never negative; nodes are inbound nodes times weeks, week
  fastest.
- A *price* is (contracts, nodes) [currency / unit], of either sign: what the agent pays for a unit. The
  supplier is sent minus the price that the retailer is sent.
- `rho` is (contracts,) [currency / unit^2], positive.
- A *utility* `u` is (contracts,) [currency], concave in the plan: profit less cost, up to a constant of the
  agent's own that must stay the same.
- Questions may be off by rounding: a plan that exceeds a capacity by 1e-8 of its volume is one that the
  agent can live with.
- Answers must be exact to the accuracy asked of the contract. A contract that is over, or whose agent has
  failed, is still in the batch; what is answered for it is not looked at.

Kinds may be mixed: a proximal retailer with a dual supplier, say. An agent that offers several kinds is
asked proximally, and `best_plan` then serves the certificate. A supplier that offers `smoothed_plan` beside
`best_plan` and `value` is asked for that where the retailer is ours: it takes the fewest questions by far.
Nothing but these methods is ever touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

Plans = Float[np.ndarray, "contracts nodes"]
Numbers = Float[np.ndarray, " contracts"]
Slopes = Float[np.ndarray, "contracts nodes nodes"]
Kind = Literal["proximal", "dual", "primal"]


@runtime_checkable
class OutsideProximal(Protocol):
    """Answers a price and a proposal."""

    def best_response(self, price: Plans, proposal: Plans, rho: Numbers) -> Plans:
        """`argmax_x u(x) - price @ x - rho/2 |x - proposal|^2` [units]."""
        ...


@runtime_checkable
class OutsideDual(Protocol):
    """Answers a price alone."""

    def best_plan(self, price: Plans) -> tuple[Plans, Numbers]:
        """`argmax_x u(x) - price @ x` [units], and the utility `u` of that plan [currency]."""
        ...


@runtime_checkable
class OutsidePrimal(Protocol):
    """Answers a plan, any plan: what it cannot live with must cost it a finite sum."""

    def value_and_gradient(self, plan: Plans) -> tuple[Numbers, Plans]:
        """Utility of a plan [currency], and the value of one more unit at each node [currency / unit]."""
        ...


class Smoothed(NamedTuple):
    """The answer of `smoothed_plan`: the maximum of `u(x) - price @ x + smoothing * H(x)`, with derivatives.

    `H` is any concave entropy of how the agent carries out the plan; `best` is the maximum without it.
    """

    plan: Plans  # units
    utility: Numbers  # currency: of the plan as it is carried out, without the entropy
    surplus: Numbers  # currency: the maximum
    best: Numbers  # currency: of `u(x) - price @ x` alone
    drift: Plans  # units / (currency / unit): change of the plan with the smoothing
    slope: Slopes  # units / (currency / unit): minus the change of the plan with the price


@runtime_checkable
class Smooths(Protocol):
    """An extra for agents with a model that can be smoothed: the coordinator's Newton steps on the price.

    What is answered here steers the search and proves nothing: that is left to `best_plan` and `value`.
    """

    def smoothed_plan(self, price: Plans, smoothing: Numbers) -> Smoothed:
        """The smoothed best plan at a price; `smoothing` is (contracts,) [currency / unit], positive."""
        ...


@runtime_checkable
class Values(Protocol):
    """An extra: the worth of a plan, which makes certificates and prices out of proximal answers."""

    def value(self, plan: Plans) -> Numbers:
        """Utility of a plan [currency]; -inf where the agent cannot live with it."""
        ...


@runtime_checkable
class Confirms(Protocol):
    """An extra for suppliers that cannot always fill a just-in-time order."""

    def confirm(self, order: Plans) -> Plans:
        """The part of an order [units] that the supplier would fill without coordination."""
        ...


@dataclass(frozen=True)
class Offer:
    """What a supplier decides on, by contract; NaN prices where there is nothing to decide.

    `plan` and `order` are (contracts, nodes) [units]; the supplier pays `price` (contracts,) [currency] to
    have `plan` instead of the just-in-time `order`.
    """

    plan: Plans
    order: Plans
    price: Numbers


@runtime_checkable
class Decides(Protocol):
    """An extra for suppliers that want the last word; without it, a positive surplus is a yes."""

    def decide(self, offer: Offer) -> Bool[np.ndarray, " contracts"]:
        """Whether the supplier accepts, by contract."""
        ...


KINDS: dict[Kind, tuple[type, str]] = {
    "proximal": (OutsideProximal, "best_response"),
    "dual": (OutsideDual, "best_plan"),
    "primal": (OutsidePrimal, "value_and_gradient"),
}
"""Kinds of answer in the order in which they are asked for, with their method."""


def kind_of(agent: object) -> Kind:
    """How an agent is asked for its answers.

    Raises:
        TypeError: it offers none of the three kinds.
    """
    for kind, (protocol, _) in KINDS.items():
        if isinstance(agent, protocol):
            return kind
    raise TypeError(
        f"{type(agent).__name__} is no agent: give it best_response(price, proposal, rho), best_plan(price) "
        "or value_and_gradient(plan); see jaxcpp.agents.outside"
    )
