"""One contract's steps on raw lanes, and the one place that vmaps and compiles them."""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus import newton
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.consensus.solve import METHODS
from jaxcpp.fleet import bundle_steps, store
from jaxcpp.fleet.pack import Lanes
from jaxcpp.mechanism import status_quo as quo
from jaxcpp.mechanism.contract import Contract, offer
from jaxcpp.mechanism.fees import AdditiveFee
from jaxcpp.mechanism.terms import frame
from jaxcpp.transport import kernels, living
from jaxcpp.transport.rounding import Flows
from jaxcpp.transport.side import Side

jax.tree_util.register_dataclass(
    Lanes,
    data_fields=[
        "outbound",
        "demand",
        "week",
        "inventory",
        "retailer",
        "inbound",
        "capacity",
        "supplier",
        "scale",
    ],
    meta_fields=[],
)

Money = Float[Array, ""]


class Prepared(eqx.Module):
    """What the retailer's side of a contract says before the first price."""

    terms: Terms
    own: Money  # what the retailer would earn at no cost
    order: quo.Order
    state: Any  # of the consensus method


def parties(lane: Lanes) -> tuple[Retailer, Supplier, Terms]:
    """Both parties of one contract, and the frame they share."""
    weeks = lane.capacity.shape[1]
    margin, holding, backlog, lost, leftover = lane.retailer
    retailer = Retailer(
        lane.outbound, lane.demand, margin, holding_cost=holding, backlog_cost=backlog, lost_sale_cost=lost,
        leftover_cost=leftover, inventory=lane.inventory, week=lane.week, weeks=weeks,
    )  # fmt: skip
    vendor = supplier(lane.inbound, lane.capacity, lane.supplier)
    return retailer, vendor, frame(retailer, vendor, jnp.asarray(lane.scale))


def supplier(inbound: ArrayLike, capacity: ArrayLike, numbers: Any) -> Supplier:
    """The vendor's side of one contract."""
    return Supplier(inbound, capacity, numbers[0], holding_cost=numbers[1])


def prepare(method: str, whole: bool, lane: Lanes, tolerance: Money) -> Prepared:
    """The just-in-time order, and the method's first state."""
    retailer, vendor, terms = parties(lane)
    agent = retailer.agent(terms)
    order = quo.just_in_time(retailer, agent, terms, tolerance, whole)
    return Prepared(
        terms, retailer.profit_at_no_cost(), order, METHODS[method].begin(agent, vendor.agent(terms))
    )


def fill(
    inbound: Array, capacity: Array, numbers: Array, terms: Terms, order: quo.Order, tolerance: Money
) -> quo.StatusQuo:
    """The status quo if the vendor fills the order; `filled` says whether it can.

    Knows nothing of demand, so that one program serves buckets of every size.
    """
    vendor = supplier(inbound, capacity, numbers)
    return quo.in_full(order, *quo.filling(vendor, terms, order.plan * terms.volume, tolerance))


def in_part(whole: bool, lane: Lanes, order: quo.Order, tolerance: Money) -> quo.StatusQuo:
    """The status quo of a contract whose just-in-time order capacity does not allow."""
    retailer, vendor, terms = parties(lane)
    return quo.in_part(retailer.agent(terms), vendor, terms, order, tolerance, jnp.zeros((), bool), whole)


def turn(
    method: str, lane: Lanes, state: Any, tolerance: Money, limit: Int[Array, ""]
) -> tuple[Any, Outcome]:
    """A few rounds of consensus and a certificate; the caller minds the limit of rounds."""
    del limit
    retailer, vendor, terms = parties(lane)
    return METHODS[method].turn(retailer.agent(terms), vendor.agent(terms), state, tolerance)


def search(lane: Lanes, state: Any, tolerance: Money, limit: Int[Array, ""]) -> tuple[Any, Outcome]:
    """A whole path of price Newton by the native kernel, and a certificate.

    The platform runs both parties here, so the kernel may see both sides; what it finds is judged by
    the parties' own answers, as in `turn`.
    """
    retailer, vendor, terms = parties(lane)
    buys, ships = retailer.agent(terms), vendor.agent(terms)
    state = kernels.follow_joint(
        buys.side, ships.side, buys.lost_margin, ships.unit_margin, state, tolerance, limit
    )
    return newton.certify(buys, ships, state, tolerance)


def flows(
    lane: Lanes, plan: Array, tolerance: Money
) -> tuple[tuple[Side, living.Bracket], tuple[Side, living.Bracket]]:
    """Retailer's and supplier's private problems, and their cheapest flows for a plan, in scaled units."""
    retailer, vendor, terms = parties(lane)
    buys, ships = retailer.agent(terms).side, vendor.agent(terms).side
    x = plan / terms.volume
    return (buys, living.cheapest(buys, x, tolerance)), (ships, living.cheapest(ships, x, tolerance))


def private(
    lane: Lanes, plan: Array, price: Array, epsilon: Money
) -> tuple[TransportAgent, Flows, TransportAgent, Flows]:
    """Both parties, and the flows near `price` behind a plan, in scaled units."""
    retailer, vendor, terms = parties(lane)
    buys, ships = retailer.agent(terms), vendor.agent(terms)
    return buys, buys.flows(plan, price, epsilon), ships, ships.flows(plan, -price, epsilon)


def live(lane: Lanes, plan: Array, tolerance: Money) -> tuple[quo.Cost, Money]:
    """What living with a plan [units] costs a product's retailer, and what it leaves unserved; scaled."""
    retailer, _, terms = parties(lane)
    agent = retailer.agent(terms)
    x = plan / terms.volume
    bracket = living.cheapest(agent.side, x, tolerance)
    lives = agent.account(bracket.flows, x)
    return quo.Cost(bracket.lower, bracket.upper, lives.spend), lives.unmet + jnp.sum(bracket.flows.short)


def conclude(
    own: Money, terms: Terms, status: quo.StatusQuo, outcome: Outcome, alpha: Money, tolerance: Money
) -> Contract:
    """The offer and the supplier's decision."""
    return offer(own, terms, status, outcome, AdditiveFee(alpha), tolerance)


STEPS: dict[str, tuple[Callable[..., Any], tuple[int | None, ...]]] = {
    "prepare": (prepare, (0, None)),
    "fill": (fill, (0, 0, 0, 0, 0, None)),
    "in_part": (in_part, (0, 0, None)),
    "turn": (turn, (0, 0, None, None)),
    "search": (search, (0, 0, None, None)),
    "flows": (flows, (0, 0, None)),
    "private": (private, (0, 0, 0, 0)),
    "live": (live, (0, 0, None)),
    "bundle_agree": (bundle_steps.agree, (0, None, None)),
    "bundle_fill": (bundle_steps.fill, (0, 0, 0, None, None)),
    "bundle_absent": (bundle_steps.absent, (0, 0, 0, None, None)),
    "bundle_settle": (bundle_steps.settle, (0, 0, 0, 0, None, None)),
    "conclude": (conclude, (0, 0, 0, 0, None, None)),
}
"""Each step of a contract or a bundle, and which arguments (after the static ones) have a lane axis."""


ONE_ORDER: dict[str, bool | str] = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""XLA's CPU back end hands sums over large arrays, and only those, to a library that adds in an order of
its own (YNNPACK): how many lanes are solved together would then reach the last bits of every answer."""


class Programs:
    """The steps, vectorized over lanes and compiled once for each shape of their arguments."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}
        self._busy: dict[Any, threading.Lock] = {}
        self._lock = threading.Lock()
        # Two batches at once in one process can wait for each other's XLA worker threads for ever.
        self._device = threading.Lock()
        self.compiled = 0  # programs compiled so far
        self.seconds: defaultdict[str, float] = defaultdict(float)  # on the device, by step
        self.calls: Counter[str] = Counter()

    def __call__(self, step: str, *args: Any, static: tuple[Any, ...] = ()) -> Any:
        """Run a step on a batch; gives arrays back where the lanes lie."""
        key = (step, static, *((np.shape(leaf), np.result_type(leaf)) for leaf in jax.tree.leaves(args)))
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:  # two threads with the same shapes compile one program
            if key not in self._known:
                self._known[key] = self._compile(step, args, static)
        program = self._known[key]
        with self._device:
            begun = time.perf_counter()
            answer = jax.block_until_ready(program(*args))
            answer = answer if store.away() else store.fetch(answer)
            self.seconds[step] += time.perf_counter() - begun
            self.calls[step] += 1
        return answer

    @property
    def running(self) -> float:
        """Seconds on the device so far."""
        return sum(self.seconds.values(), 0.0)

    def _compile(self, step: str, args: tuple[Any, ...], static: tuple[Any, ...]) -> Any:
        function, axes = STEPS[step]
        batched = jax.jit(jax.vmap(partial(function, *static), in_axes=axes))
        program = batched.lower(*args).compile(compiler_options=_options())
        with self._lock:
            self.compiled += 1
        return program


@functools.cache
def _options() -> dict[str, bool | str]:
    """What programs are compiled with: `ONE_ORDER` where this XLA knows it, else nothing."""
    try:
        jax.jit(lambda x: x + x).lower(1.0).compile(compiler_options=ONE_ORDER)
    except jax.errors.JaxRuntimeError:
        return {}
    return ONE_ORDER


PROGRAMS = Programs()
"""Shared by every run of this process: a second night of the same shapes compiles nothing."""
