"""One contract's steps on raw lanes, and the one place that vmaps and compiles them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.consensus.solve import METHODS
from jaxcpp.fleet.pack import Lanes
from jaxcpp.mechanism import status_quo as quo
from jaxcpp.mechanism.contract import Contract, offer
from jaxcpp.mechanism.fees import AdditiveFee
from jaxcpp.mechanism.terms import frame
from jaxcpp.transport.rounding import Flows

jax.tree_util.register_dataclass(
    Lanes,
    data_fields=["outbound", "demand", "week", "inventory", "retailer", "inbound", "capacity", "supplier", "scale"],
    meta_fields=[],
)

Money = Float[Array, ""]


class Prepared(eqx.Module):
    """What is known of a contract before its first price."""

    terms: Terms
    own: Money  # what the retailer would earn at no cost
    quo: quo.StatusQuo  # with the order filled in full; `filled` says whether it can be
    state: Any  # of the consensus method


def parties(lane: Lanes) -> tuple[Retailer, Supplier, Terms]:
    """Both parties of one contract, and the frame they share."""
    weeks = lane.capacity.shape[1]
    margin, holding, backlog, lost, leftover = lane.retailer
    retailer = Retailer(
        lane.outbound, lane.demand, margin, holding_cost=holding, backlog_cost=backlog, lost_sale_cost=lost,
        leftover_cost=leftover, inventory=lane.inventory, week=lane.week, weeks=weeks,
    )  # fmt: skip
    supplier = Supplier(lane.inbound, lane.capacity, lane.supplier[0], holding_cost=lane.supplier[1])
    return retailer, supplier, frame(retailer, supplier, jnp.asarray(lane.scale))


def prepare(method: str, lane: Lanes, tolerance: Money) -> Prepared:
    """Just-in-time, the supplier's filling of it, and the method's first state."""
    retailer, supplier, terms = parties(lane)
    agent = retailer.agent(terms)
    order = quo.just_in_time(retailer, agent, terms, tolerance)
    whole = quo.in_full(order, *quo.filling(supplier, terms, order.plan * terms.volume, tolerance))
    state = METHODS[method].begin(agent, supplier.agent(terms))
    return Prepared(terms, retailer.profit_at_no_cost(), whole, state)


def in_part(lane: Lanes, order: quo.Order, tolerance: Money) -> quo.StatusQuo:
    """The status quo of a contract whose just-in-time order capacity does not allow."""
    retailer, supplier, terms = parties(lane)
    return quo.in_part(retailer.agent(terms), supplier, terms, order, tolerance, jnp.zeros((), bool))


def turn(method: str, lane: Lanes, state: Any, tolerance: Money) -> tuple[Any, Outcome]:
    """A few rounds of consensus and a certificate."""
    retailer, supplier, terms = parties(lane)
    return METHODS[method].turn(retailer.agent(terms), supplier.agent(terms), state, tolerance)


def flows(lane: Lanes, plan: Array, price: Array, epsilon: Money) -> tuple[Flows, Flows]:
    """Both parties' private flows for a plan, in units."""
    retailer, supplier, terms = parties(lane)
    taken = retailer.agent(terms).flows(plan, price, epsilon)
    shipped = supplier.agent(terms).flows(plan, -price, epsilon)
    return jax.tree.map(lambda units: units * terms.volume, (taken, shipped))


def conclude(
    prepared: Prepared, status: quo.StatusQuo, outcome: Outcome, alpha: Money, tolerance: Money
) -> Contract:
    """The offer and the supplier's decision."""
    return offer(prepared.own, prepared.terms, status, outcome, AdditiveFee(alpha), tolerance)


STEPS: dict[str, tuple[Callable[..., Any], tuple[int | None, ...]]] = {
    "prepare": (prepare, (0, None)),
    "in_part": (in_part, (0, 0, None)),
    "turn": (turn, (0, 0, None)),
    "flows": (flows, (0, 0, 0, 0)),
    "conclude": (conclude, (0, 0, 0, None, None)),
}
"""Each step of one contract, and which of its arguments have a lane axis."""


class Programs:
    """The steps, vectorized over lanes and compiled once for each shape of their arguments."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}
        self._lock = threading.Lock()
        self.compiled = 0  # programs compiled so far
        self.seconds = 0.0  # spent compiling, over all threads

    def __call__(self, step: str, *args: Any, method: str | None = None) -> Any:
        """Run a step on a batch; gives numpy arrays back."""
        key = (step, method, *((np.shape(leaf), np.result_type(leaf)) for leaf in jax.tree.leaves(args)))
        with self._lock:
            program = self._known.get(key)
        if program is None:
            program = self._compile(step, args, method)
            with self._lock:
                self._known[key] = program
        return jax.device_get(program(*args))

    def _compile(self, step: str, args: tuple[Any, ...], method: str | None) -> Any:
        begun = time.perf_counter()
        function, axes = STEPS[step]
        one = function if method is None else partial(function, method)
        program = jax.jit(jax.vmap(one, in_axes=axes)).lower(*args).compile()
        with self._lock:
            self.compiled += 1
            self.seconds += time.perf_counter() - begun
        return program


PROGRAMS = Programs()
"""Shared by every run of this process: a second night of the same shapes compiles nothing."""
