"""Run one bucket: fixed-size batches, finished lanes leave, waiting ones take their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np

from jaxcpp.consensus.outcome import FEASIBLE, Outcome
from jaxcpp.consensus.solve import METHODS
from jaxcpp.fleet import store
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Floats
from jaxcpp.fleet.fees import Charges, free
from jaxcpp.fleet.pack import Bucket, Lanes, Shape
from jaxcpp.fleet.programs import PROGRAMS, Prepared
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.whole import Lane, issue_whole
from jaxcpp.mechanism.choice import steps
from jaxcpp.mechanism.contract import Contract
from jaxcpp.mechanism.status_quo import StatusQuo
from jaxcpp.transport import kernels
from jaxcpp.transport.through import worth_joining

ENTRIES = {"cpu": 400_000, "gpu": 50_000_000}
"""Lane entries (public times private nodes) of a batch, by backend: enough to keep the device busy; on a
CPU few enough to stay in cache, elsewhere to fit in memory a few dozen times."""

LANES = {"cpu": 512, "gpu": 32_768}
"""Most contracts of a batch, by backend."""

IN_STEP = 16
"""Most contracts of a batch by ADMM on a CPU without kernels: every round waits for its slowest answer."""

IN_TURNS = 64
"""With kernels: a turn waits for its slowest contract, and those that fill a batch up are judged too."""

SMALL = {"cpu": 256, "gpu": 8192}
"""Most lanes of a batch where no demand entry is looked at, by backend."""

SMALL_ENTRIES = {backend: most // 4 for backend, most in ENTRIES.items()}
"""Lane entries of such a batch: few, since its last one is filled up whatever the bucket holds."""

OnLanes = Callable[[int, int, float], None]
"""Told of lanes that ended: how many, how many of them certified, their worst relative gap."""


@dataclass(frozen=True)
class Solved:
    """A bucket's answers, first axis the lane, in the bucket's order; numpy leaves."""

    bucket: Bucket
    volume: Floats  # (lane,) units that a contract of scaled volume 1 holds
    unmet: Floats  # (lane,) scaled units that had to be served and just in time are not
    price: Floats  # (lane, public node) of the consensus [currency / unit]
    jit_width: Floats  # (lane,) what the vendor's cost just in time may be off by [currency]
    contract: Contract
    on_schedule: Floats | None = None  # (lane, one or two a node) likewise of the suppliers' choices, if any


def lanes_per_batch(shape: Shape, contracts: int, settings: Settings) -> int:
    """How many contracts are solved together.

    On a CPU that depends on nothing but the shape, the settings and whether there are kernels; a device that
    wants many at once does not get more than twice what there are.
    """
    if settings.batch is not None:
        return _shared_out(settings.batch)
    entries = shape.inbound * shape.weeks * (shape.columns + shape.sources * shape.weeks)
    lanes = LANES[_kind()]
    if settings.method == "admm" and _kind() == "cpu":
        lanes = IN_STEP if kernels.shut() else IN_TURNS
    most = int(np.clip(2 ** np.round(np.log2(ENTRIES[_kind()] / entries)), 8, lanes))
    return _shared_out(most if _kind() == "cpu" else min(most, _power(contracts)))


def lanes_per_small_batch(shape: Shape, contracts: int) -> int:
    """How many contracts go together where no demand entry is looked at."""
    entries = shape.inbound * shape.weeks * shape.sources * shape.weeks
    most = int(np.clip(2 ** np.floor(np.log2(SMALL_ENTRIES[_kind()] / entries)), 8, SMALL[_kind()]))
    return _shared_out(most if _kind() == "cpu" else min(most, _power(contracts)))


def _shared_out(lanes: int) -> int:
    """As many lanes, or a few more, so that every device gets the same number."""
    devices = len(store.devices())
    return -(-lanes // devices) * devices


def _kind() -> str:
    return "cpu" if jax.default_backend() == "cpu" else "gpu"


def _power(contracts: int) -> int:
    """The least power of two that holds so many, so that a few more tonight compile nothing."""
    return max(8, 1 << (contracts - 1).bit_length())


def rows(tree: Any, index: Index | slice | int) -> Any:
    """Some lanes of a batch on the host."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def in_batches(
    size: int,
    step: str,
    args: tuple[Any, ...],
    shared: tuple[Any, ...],
    static: tuple[Any, ...] = (),
    chosen: Index | None = None,
    into: Any = None,
) -> Any:
    """Run a step on all lanes or on some, `size` at a time; the last batch is filled up with its own lanes.

    Answers are put into the lanes they came from, of `into` where it is given.
    """
    lanes = store.count(args)
    chosen = np.arange(lanes) if chosen is None else chosen
    for first in range(0, len(chosen), size):
        index = np.resize(chosen[first : first + size], size)
        part = PROGRAMS(step, *store.take(args, index), *shared, static=static)
        into = store.put(into, part, index, lanes)
    return into


@dataclass(frozen=True)
class Agreed:
    """A bucket's status quo and efficient plans, on which any fee may be charged."""

    bucket: Bucket
    lanes: Lanes
    prepared: Prepared
    quo: StatusQuo
    outcome: Outcome


def solve_bucket(
    bucket: Bucket,
    settings: Settings,
    on_lanes: OnLanes,
    fees: Charges | None = None,
    warm: Floats | None = None,
) -> Solved:
    """Every contract of a bucket, to its certificate or to the end of its rounds; no fees by default.

    `warm` are prices to begin at (lane, public node) [currency / unit]; a lane with NaN begins as usual.
    """
    fees = free(len(bucket.contract)) if fees is None else fees
    return charge(agree(bucket, settings, on_lanes, warm), settings, fees)


def agree(bucket: Bucket, settings: Settings, on_lanes: OnLanes, warm: Floats | None = None) -> Agreed:
    """What no fee changes: just-in-time as ordered and filled, and the plan that is best for both."""
    count = len(bucket.contract)
    size = lanes_per_batch(bucket.shape, count, settings)
    small = lanes_per_small_batch(bucket.shape, count)
    tolerance, whole = np.asarray(settings.tolerance), settings.units == "integer"
    lanes = store.place(bucket.lanes)
    start = unknown(bucket) if warm is None else warm
    prepared = in_batches(size, "prepare", (lanes, start), (tolerance,), (settings.method, whole))
    voluntary = settings.just_in_time == "voluntary"
    quo = status_quo(lanes, prepared, size, small, tolerance, whole, voluntary=voluntary)
    outcome = consensus(lanes, prepared, size, settings, on_lanes)
    if warm is not None:
        known = np.flatnonzero(np.isfinite(warm).all(axis=1))
        outcome = _afresh(bucket, lanes, outcome, known, size, settings)
    if whole:
        outcome, volume = store.fetch((outcome, prepared.terms.volume))
        outcome = issue_whole(outcome, volume, _private(bucket, outcome, size))
    return Agreed(bucket, lanes, prepared, quo, outcome)


def charge(agreed: Agreed, settings: Settings, fees: Charges, warm: Floats | None = None) -> Solved:
    """The contracts under some fees: the suppliers' choices, prices and decisions.

    The search for the choices begins at `warm`, the `on_schedule` of an answer under other fees.
    """
    bucket, prepared, outcome = agreed.bucket, agreed.prepared, agreed.outcome
    count = len(bucket.contract)
    size = lanes_per_batch(bucket.shape, count, settings)
    small = lanes_per_small_batch(bucket.shape, count)
    choice = known = None
    if fees.distorts:
        given = agreed.lanes, prepared.terms, prepared.order.plan, outcome
        choice, known = best_on_schedule(given, fees, (size, small), settings, warm)
    judged = prepared.own, prepared.terms, agreed.quo, outcome, choice, fees
    contract = in_batches(small, "conclude", judged, (np.asarray(settings.tolerance),))
    confirmed = agreed.quo.supplier
    told = prepared.terms.volume, agreed.quo.unmet, outcome.price, prepared.terms.money, contract
    volume, unmet, price, money, contract = store.fetch(told)
    lower, upper = store.fetch((confirmed.lower, confirmed.upper))
    width = (upper - lower) * money * volume
    return Solved(bucket, volume, unmet, price * money[:, None], width, contract, known)


def unknown(bucket: Bucket) -> Floats:
    """No price is known of any contract of a bucket."""
    return np.full((len(bucket.contract), bucket.shape.inbound * bucket.shape.weeks), np.nan)


def _afresh(
    bucket: Bucket, lanes: Lanes, outcome: Outcome, known: Index, size: int, settings: Settings
) -> Outcome:
    """Contracts that a known price has led astray begin again as if none were known."""
    left = known[~store.fetch(outcome.certified(settings.tolerance))[known]]
    if not len(left):
        return outcome
    some, tolerance = store.take(lanes, left), np.asarray(settings.tolerance)
    args = some, unknown(bucket)[left]
    prepared = in_batches(size, "prepare", args, (tolerance,), (settings.method, settings.units == "integer"))
    again = consensus(some, prepared, size, settings, _nobody)
    again = eqx.tree_at(lambda o: o.rounds, again, again.rounds + store.take(outcome.rounds, left))
    whole: Outcome = store.put(store.mine(outcome), again, left, store.count(outcome))
    return whole


def status_quo(
    lanes: Lanes,
    prepared: Prepared,
    size: int,
    small: int,
    tolerance: np.ndarray,
    whole: bool = False,
    *,
    voluntary: bool = False,
) -> StatusQuo:
    """The orders that stand, filled by the vendors; where capacity does not allow one, in part.

    Where it is `voluntary`, every vendor confirms what suits it best.
    """
    if voluntary:
        best: StatusQuo = in_batches(size, "in_part", (lanes, prepared.order), (tolerance,), (whole,))
        return best
    vendor = lanes.inbound, lanes.capacity, lanes.supplier
    quo = in_batches(small, "fill", (*vendor, prepared.terms, prepared.order), (tolerance,))
    short = np.flatnonzero(~np.asarray(quo.filled))
    part: StatusQuo = in_batches(
        size, "in_part", (lanes, quo.order), (tolerance,), (whole,), chosen=short, into=quo
    )
    return part


def _private(bucket: Bucket, outcome: Outcome, size: int) -> Callable[[Index], Iterator[Lane]]:
    """Both parties and their flows, for some contracts, one batch at a time."""

    def lanes(chosen: Index) -> Iterator[Lane]:
        for first in range(0, len(chosen), size):
            some = chosen[first : first + size]
            args = rows((bucket.lanes, outcome.plan, outcome.price, outcome.epsilon), some)
            batch = store.fetch(in_batches(size, "private", args, ()))
            yield from (rows(batch, lane) for lane in range(len(some)))

    return lanes


def _searches(lanes: Lanes) -> bool:
    """Whether a search that sees both sides goes before the turns: native, or of the joined sides."""
    sources, nodes = lanes.inbound.shape[1:]
    return kernels.usable(lanes.demand) or worth_joining(nodes, sources, lanes.inventory is not None)


def consensus(lanes: Lanes, prepared: Prepared, size: int, settings: Settings, on_lanes: OnLanes) -> Outcome:
    """Every contract's consensus; one that a search leaves uncertified is taken up by turns."""
    everyone = np.arange(store.count(lanes))
    of, state = (lanes,), prepared.state
    if settings.method != "newton" or not _searches(lanes):
        return turns(of, state, everyone, size, "turn", settings.method, settings, on_lanes)[1]
    _, outcome = turns(of, state, everyone, size, "search", "newton", settings, on_lanes)
    certified, missing = store.fetch((outcome.certified(settings.tolerance), outcome.missing))
    left = np.flatnonzero(~certified & (missing <= FEASIBLE))
    return turns(of, state, left, size, "turn", "newton", settings, _nobody, outcome)[1]


def best_on_schedule(
    given: tuple[Lanes, Any, Any, Outcome],
    fees: Charges,
    sizes: tuple[int, int],
    settings: Settings,
    warm: Floats | None = None,
) -> tuple[Outcome, Floats]:
    """What suppliers like best on their schedules, and the prices that say so [currency / unit].

    `given` are the lanes, their terms, the orders that deviations are counted from (scaled units) and the
    efficient plans; `sizes` how many lanes go together, with demand looked at and without. Where no fee moves
    a plan it is the efficient one at its price. On the host.
    """
    (lanes, *told), (size, small), moved = given, sizes, fees.distorted
    terms, order, efficient = store.fetch(tuple(told))
    choice, known = jax.tree.map(np.array, efficient), efficient.price * terms.money[:, None]
    tolled = fees.over is not None
    known = np.tile(known, 2 if steps(tolled, settings.method) == "tolled" else 1)
    if not len(moved):
        return choice, known
    terms, order = rows((terms, order), moved)
    of = store.take(lanes, moved), rows(fees, moved), order
    start = np.full_like(known[moved], np.nan) if warm is None else warm[moved]
    found, price = _found(of, start, tolled, size, settings)
    if warm is not None and len(left := np.flatnonzero(~found.certified(settings.tolerance))):
        # What a known price has led astray begins again as if none were known.
        unknown = np.full_like(start[left], np.nan)
        again, afresh = _found(store.take(of, left), unknown, tolled, size, settings)
        again = eqx.tree_at(lambda o: o.rounds, again, again.rounds + found.rounds[left])
        found, price[left] = store.put(found, again, left, len(moved)), afresh
    if settings.units == "integer":
        tolerance = np.asarray(settings.tolerance)

        def private(chosen: Index) -> Iterator[Lane]:
            args = store.take((*of, found.plan), chosen)
            batch = store.fetch(in_batches(size, "private_on", args, (tolerance,))) if len(chosen) else None
            yield from (rows(batch, lane) for lane in range(len(chosen)))

        found = issue_whole(found, terms.volume, private)
    certified = found.certified(settings.tolerance)[:, None]
    back, asked = store.fetch(in_batches(small, "read", (of[1], found, order, terms, price), ()))
    known[moved] = np.where(certified & np.isfinite(asked), asked, known[moved])
    return store.put(choice, back, moved, store.count(choice)), known


def _found(
    of: tuple[Any, ...], start: Floats, tolled: bool, size: int, settings: Settings
) -> tuple[Outcome, Floats]:
    """Suppliers' choices and the prices that their searches ended at, as posed; from `start` where known."""
    method, everyone = steps(tolled, settings.method), np.arange(len(start))
    begun = in_batches(size, "pose", (*of, start), (), (method,))
    searches = method == "newton" and _searches(of[0])
    step = "search_on" if searches else "turn_on"
    states, found = store.mine(store.fetch(turns(of, begun, everyone, size, step, method, settings, _nobody)))
    if searches and len(left := np.flatnonzero(~found.certified(settings.tolerance))):
        mended = store.take(of, left), store.take(begun, left), np.arange(len(left))
        later, better = store.fetch(turns(*mended, size, "turn_on", method, settings, _nobody))
        states, found = store.put((states, found), (later, better), left, len(start))
    return found, states.price


def turns(
    lanes: tuple[Any, ...],
    begun: Any,
    waiting: Index,
    size: int,
    step: str,
    name: str,
    settings: Settings,
    on_lanes: OnLanes,
    outcomes: Any = None,
) -> tuple[Any, Outcome]:
    """Turn after turn of a step on the first `size` of the contracts that still need one.

    `lanes` are the step's arguments that stay, `begun` the first states of the method called `name`;
    answers go into `outcomes`. Returns the last states and the answers.
    """
    method = METHODS[name]
    limit = np.asarray(method.MAX_ROUNDS if settings.max_rounds is None else settings.max_rounds, np.int32)
    tolerance = np.asarray(settings.tolerance)
    static = (name,) if step in ("turn", "turn_on") else ()
    states, count = store.mine(begun), store.count(lanes)
    while len(waiting):
        now = waiting[:size]
        index = np.resize(now, size)
        *some, state = store.take((*lanes, states), index)
        if len(now) < size:  # nobody searches for those who fill the batch up
            state = eqx.tree_at(lambda s: s.done, state, state.done | (np.arange(size) >= len(now)))
            index[len(now) :] = store.NOWHERE
        state, outcome = PROGRAMS(step, *some, state, tolerance, limit, static=static)
        states = store.put(states, state, index, count)
        outcomes = store.put(outcomes, outcome, index, count)
        certified = outcome.certified(settings.tolerance)
        facts = store.fetch((method.finished(state, limit), certified, outcome.gap, outcome.spend))
        ended, *known = (fact[: len(now)] for fact in facts)
        waiting = np.concatenate([now[~ended], waiting[size:]])
        if ended.any():
            _tell(on_lanes, *(fact[ended] for fact in known))
    return states, outcomes


def _nobody(*_: Any) -> None:
    """Contracts that were told of already."""


def _tell(on_lanes: OnLanes, certified: Any, gap: Floats, spend: Floats) -> None:
    """Report contracts whose search is over."""
    relative = np.where(certified, gap / np.maximum(spend, 1e-6), 0.0)
    on_lanes(len(certified), int(certified.sum()), float(np.max(relative, initial=0.0)))
