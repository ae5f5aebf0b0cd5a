"""One contract's steps on raw lanes, and the one place that vmaps and compiles them."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import nullcontext
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
from jaxcpp.agents.toll import Toll
from jaxcpp.agents.tolled import TolledAgent
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus import newton
from jaxcpp.consensus.outcome import Outcome, proven
from jaxcpp.consensus.solve import METHODS, turned
from jaxcpp.fleet import bundle_steps, store
from jaxcpp.fleet.fees import Charges
from jaxcpp.fleet.pack import Lanes
from jaxcpp.mechanism import choice as chosen
from jaxcpp.mechanism import status_quo as quo
from jaxcpp.mechanism.contract import Contract, offer
from jaxcpp.mechanism.coordinate import exact
from jaxcpp.mechanism.fees import Schedule
from jaxcpp.mechanism.smooth import smooth
from jaxcpp.mechanism.terms import frame
from jaxcpp.transport import kernels, living, path, rounding, through
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
jax.tree_util.register_dataclass(
    Charges, data_fields=["alpha", "after", "rate", "over", "under"], meta_fields=[]
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


def prepare(method: str, whole: bool, lane: Lanes, price: Array, tolerance: Money) -> Prepared:
    """The just-in-time order, and the method's first state: at `price` [currency / unit], if known."""
    retailer, vendor, terms = parties(lane)
    agent = retailer.agent(terms)
    order = quo.just_in_time(retailer, agent, terms, tolerance, whole)
    return Prepared(
        terms, retailer.profit_at_no_cost(), order, opening(method, agent, vendor.agent(terms), terms, price)
    )


def opening(method: str, buys: TransportAgent, ships: TransportAgent, terms: Terms, price: Array) -> Any:
    """A method's first state: at the vendor's quote, or at `price` where no part of that is NaN."""
    return METHODS[method].begin(buys, ships, *first_price(ships, terms, price))


def first_price(ships: TransportAgent, terms: Terms, price: Array) -> tuple[Array, Array]:
    """Where a search begins, in scaled units: the vendor's quote, or `price`; and whether that is known."""
    known = jnp.all(jnp.isfinite(price))
    return jnp.where(known, price / terms.money, ships.quote()), known


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
    return turned(method, retailer.agent(terms), vendor.agent(terms), state, tolerance)


def search(lane: Lanes, state: Any, tolerance: Money, limit: Int[Array, ""]) -> tuple[Any, Outcome]:
    """A whole path of price Newton by the native kernel, or of the joined sides, and a certificate.

    The platform runs both parties here, so a search may see both sides; what it finds is judged by
    the parties' own answers, as in `turn`.
    """
    retailer, vendor, terms = parties(lane)
    return searched(retailer.agent(terms), vendor.agent(terms), state, tolerance, limit)


def searched(
    buys: TransportAgent, ships: TransportAgent, state: Any, tolerance: Money, limit: Int[Array, ""]
) -> tuple[Any, Outcome]:
    """A search that sees both agents' sides, and what the agents say of what it has found."""
    follow = kernels.follow_joint if kernels.usable(state.price) else through.follow
    both = buys.side, ships.side, buys.lost_margin, ships.unit_margin
    state, named = follow(*both, state, tolerance, limit)
    shipped = ships.account(rounding.checked(ships.side, named.shipped, named.proposal), named.proposal)
    plan = jnp.maximum(named.proposal - shipped.short, 0.0)
    taken = buys.account(rounding.checked(buys.side, named.taken, plan), plan)
    outcome = proven(buys, ships, path.reached(state), state.epsilon, state.rounds, plan, taken, shipped)
    return newton.judged(state, outcome, tolerance), outcome


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
) -> tuple[TransportAgent, Flows, TransportAgent, Flows, None]:
    """Both parties, and the flows near `price` behind a plan, in scaled units."""
    retailer, vendor, terms = parties(lane)
    buys, ships = retailer.agent(terms), vendor.agent(terms)
    return buys, buys.flows(plan, price, epsilon), ships, ships.flows(plan, -price, epsilon), None


def schedule(fees: Charges) -> Schedule:
    """The prices of one contract."""
    numbers: tuple[Any, ...] = (fees.alpha, fees.after, fees.rate, fees.over, fees.under)
    return Schedule(*(None if part is None else jnp.asarray(part) for part in numbers))  # type: ignore[arg-type]


def _posed(lane: Lanes, fees: Charges, order: Array) -> chosen.Posed:
    retailer, vendor, terms = parties(lane)
    return chosen.pose(schedule(fees), retailer.agent(terms), vendor.agent(terms), order, terms)


def pose(method: str, lane: Lanes, fees: Charges, order: Array, price: Array) -> Any:
    """The method's first state on the way to the supplier's choice: as `opening`, in the pose's own scale.

    `price` [currency / unit] holds a price for each side where the fees hold charges on deviations.
    """
    posed, known = _posed(lane, fees, order), jnp.all(jnp.isfinite(price))
    quote = posed.supplier.quote()
    quote = jnp.tile(quote, price.shape[0] // quote.shape[0])
    unit = jnp.asarray(lane.scale) * posed.scale
    return METHODS[method].begin(posed.retailer, posed.supplier, jnp.where(known, price / unit, quote), known)


def turn_on(
    method: str, lane: Lanes, fees: Charges, order: Array, state: Any, tolerance: Money,
    limit: Int[Array, ""],
) -> tuple[Any, Outcome]:  # fmt: skip
    """As `turn`, on a price schedule."""
    del limit
    posed = _posed(lane, fees, order)
    return turned(method, posed.retailer, posed.supplier, state, tolerance)


def search_on(
    lane: Lanes, fees: Charges, order: Array, state: Any, tolerance: Money, limit: Int[Array, ""]
) -> tuple[Any, Outcome]:
    """As `search`, on a price schedule without a toll: the kernel knows two sides."""
    posed = _posed(lane, fees, order)
    assert isinstance(posed.retailer, TransportAgent)
    return searched(posed.retailer, posed.supplier, state, tolerance, limit)


def private_on(
    lane: Lanes, fees: Charges, order: Array, plan: Array, tolerance: Money
) -> tuple[TransportAgent, Flows, TransportAgent, Flows, Toll | None]:
    """As `private`, on a price schedule; with the cheapest flows for the plan."""
    posed = _posed(lane, fees, order)
    one = posed.retailer
    buys, toll = (one.agent, one.toll) if isinstance(one, TolledAgent) else (one, None)
    taken = living.cheapest(buys.side, plan, tolerance).flows
    shipped = living.cheapest(posed.supplier.side, plan, tolerance).flows
    return buys, taken, posed.supplier, shipped, toll


def read(fees: Charges, outcome: Outcome, order: Array, terms: Terms, price: Array) -> tuple[Outcome, Array]:
    """What was found on a price schedule, in both parties' own costs; its price in currency / unit."""
    prices = schedule(fees)
    return chosen.read(prices, outcome, order, terms), price * terms.money * chosen.scale_of(prices)


def live(lane: Lanes, plan: Array, tolerance: Money) -> tuple[quo.Cost, Money]:
    """What living with a plan [units] costs a product's retailer, and what it leaves unserved; scaled."""
    retailer, _, terms = parties(lane)
    return quo.living_with(retailer.agent(terms), plan / terms.volume, tolerance, jnp.zeros((), bool))


def conclude(
    own: Money, terms: Terms, status: quo.StatusQuo, efficient: Outcome, choice: Outcome | None,
    fees: Charges, tolerance: Money,
) -> Contract:  # fmt: skip
    """The offer and the supplier's decision."""
    return offer(own, terms, status, efficient, schedule(fees), tolerance, choice)


def smoothed(lane: Lanes, fees: Charges, smoothing: Money) -> Contract:
    """The contract of smoothed parties, a function that may be differentiated: see `mechanism.smooth`."""
    return smooth(*parties(lane), schedule(fees), smoothing)


def as_they_are(lane: Lanes, fees: Charges, tolerance: Money) -> Contract:
    """The contract of one lane as one function that may be differentiated: see `mechanism.derivative`."""
    return exact(*parties(lane), schedule(fees), tolerance)


STEPS: dict[str, tuple[Callable[..., Any], tuple[int | None, ...]]] = {
    "prepare": (prepare, (0, 0, None)),
    "fill": (fill, (0, 0, 0, 0, 0, None)),
    "in_part": (in_part, (0, 0, None)),
    "turn": (turn, (0, 0, None, None)),
    "search": (search, (0, 0, None, None)),
    "flows": (flows, (0, 0, None)),
    "private": (private, (0, 0, 0, 0)),
    "pose": (pose, (0, 0, 0, 0)),
    "turn_on": (turn_on, (0, 0, 0, 0, None, None)),
    "search_on": (search_on, (0, 0, 0, 0, None, None)),
    "private_on": (private_on, (0, 0, 0, 0, None)),
    "read": (read, (0, 0, 0, 0, 0)),
    "live": (live, (0, 0, None)),
    "bundle_agree": (bundle_steps.agree, (0, None, None)),
    "bundle_choose": (bundle_steps.choose, (0, 0, 0, 0, None, None)),
    "bundle_fill": (bundle_steps.fill, (0, 0, 0, None, None)),
    "bundle_private": (bundle_steps.private, (0, 0, 0, 0, 0)),
    "bundle_absent": (bundle_steps.absent, (0, 0, 0, 0, 0, None, None)),
    "bundle_around": (bundle_steps.around, (0, 0, 0, 0, 0, None, None)),
    "bundle_stand": (bundle_steps.stand, (0, 0, 0, 0, 0, 0)),
    "bundle_alone": (bundle_steps.alone, (0, 0, 0)),
    "bundle_settle": (bundle_steps.settle, (0, 0, 0, 0, 0, 0, 0, None)),
    "conclude": (conclude, (0, 0, 0, 0, 0, 0, None)),
}
"""Each step of a contract or a bundle, and which arguments (after the static ones) have a lane axis."""


ONE_ORDER: dict[str, bool | str] = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""XLA's CPU back end hands sums over large arrays, and only those, to a library that adds in an order of
its own (YNNPACK): how many lanes are solved together would then reach the last bits of every answer."""


class _Clock:
    """Counts the seconds in which at least one thread is inside."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside, self._since, self._lock = 0, 0.0, threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._since = self._since if self._inside else time.perf_counter()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self.seconds += time.perf_counter() - self._since


def _at_once() -> int:
    """Programs that may run at the same time: one a core; on any other device, one."""
    return len(os.sched_getaffinity(0)) if jax.default_backend() == "cpu" else 1


class Programs:
    """The steps, vectorized over lanes and compiled once for each shape of their arguments."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}
        self._busy: dict[Any, threading.Lock] = {}
        self._lock = threading.Lock()
        # Two batched LAPACK calls at once can wait for each other's XLA worker threads for ever.
        self._lapack = threading.Lock()
        self._clock = _Clock()
        self.compiled = 0  # programs compiled so far
        self.seconds: defaultdict[str, float] = defaultdict(float)  # on the device, by step
        self.calls: Counter[str] = Counter()

    def __call__(self, step: str, *args: Any, static: tuple[Any, ...] = ()) -> Any:
        """Run a step on a batch; gives arrays back where the lanes lie."""
        key = (step, static, *((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(args)))
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:  # two threads with the same shapes compile one program
            if key not in self._known:
                self._known[key] = self._compile(step, args, static)
        program, alone = self._known[key]
        with self._lapack if alone else nullcontext(), self._device, self._clock:
            begun = time.perf_counter()
            answer = jax.block_until_ready(program(*args))
            answer = answer if store.away() else store.fetch(answer)
            self.seconds[step] += time.perf_counter() - begun
            self.calls[step] += 1
        return answer

    @functools.cached_property
    def _device(self) -> threading.BoundedSemaphore:
        return threading.BoundedSemaphore(_at_once())  # not before JAX is told what to run on

    @property
    def running(self) -> float:
        """Seconds so far in which a program ran."""
        return self._clock.seconds

    def _compile(self, step: str, args: tuple[Any, ...], static: tuple[Any, ...]) -> tuple[Any, bool]:
        """A program, and whether it calls LAPACK."""
        function, axes = STEPS[step]
        batched = jax.vmap(partial(function, *static), in_axes=axes)
        shares = _shared_out(batched, axes) if len(store.devices()) > 1 else batched
        program = jax.jit(shares).lower(*args).compile(compiler_options=_options())
        with self._lock:
            self.compiled += 1
        return program, "lapack" in (program.as_text() or "")


def _shared_out(batched: Callable[..., Any], axes: tuple[int | None, ...]) -> Callable[..., Any]:
    """An equal share of the lanes on each device; every share stops when its own lanes have ended."""
    mesh = jax.sharding.Mesh(np.asarray(store.devices()), ("lanes",))
    each, all_of_it = jax.sharding.PartitionSpec("lanes"), jax.sharding.PartitionSpec()
    specs = tuple(all_of_it if axis is None else each for axis in axes)
    return jax.shard_map(batched, mesh=mesh, in_specs=specs, out_specs=each, check_vma=False)


NO_TRIALS: dict[str, bool | str] = {"xla_gpu_autotune_level": "0"}
"""On a GPU, XLA times many ways to do every product of matrices before it chooses one: minutes for the
shapes of one fleet, and another choice on another night. Ours are small; any way will do."""


@functools.cache
def _options() -> dict[str, bool | str]:
    """What programs are compiled with, where this XLA knows it; else nothing."""
    wanted = ONE_ORDER if jax.default_backend() == "cpu" else NO_TRIALS
    try:
        jax.jit(lambda x: x + x).lower(1.0).compile(compiler_options=wanted)
    except jax.errors.JaxRuntimeError:
        return {}
    return wanted


PROGRAMS = Programs()
"""Shared by every run of this process: a second night of the same shapes compiles nothing."""
