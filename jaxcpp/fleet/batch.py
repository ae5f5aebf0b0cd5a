"""Run one bucket: fixed-size batches, finished lanes leave, waiting ones take their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxcpp.consensus.outcome import FEASIBLE, Outcome
from jaxcpp.consensus.solve import METHODS
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.fees import Charges, free
from jaxcpp.fleet.pack import Bucket, Shape
from jaxcpp.fleet.programs import PROGRAMS, Prepared
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.whole import Lane, issue_whole
from jaxcpp.mechanism.choice import steps
from jaxcpp.mechanism.contract import Contract
from jaxcpp.mechanism.fees import Schedule
from jaxcpp.mechanism.status_quo import StatusQuo
from jaxcpp.transport import kernels

ENTRIES = 400_000
"""Lane entries (public times private nodes) of a batch: enough to keep the cores busy, few enough to
stay in cache."""

SMALL = 256
"""Lanes of a batch where no demand entry is looked at."""

OnLanes = Callable[[int, int, float], None]
"""Told of lanes that ended: how many, how many of them certified, their worst relative gap."""


@dataclass(frozen=True)
class Solved:
    """A bucket's answers, first axis the lane, in the bucket's order; numpy leaves."""

    bucket: Bucket
    prepared: Prepared
    quo: StatusQuo
    outcome: Outcome
    contract: Contract


def lanes_per_batch(shape: Shape, settings: Settings) -> int:
    """How many contracts are solved together; depends on nothing but the shape and the settings."""
    if settings.batch is not None:
        return settings.batch
    entries = shape.inbound * shape.weeks * (shape.columns + shape.sources * shape.weeks)
    return int(2 ** np.clip(np.round(np.log2(ENTRIES / entries)), 3, 9))


def rows(tree: Any, index: Index | slice | int) -> Any:
    """Some lanes of a batch."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def in_batches(
    size: int, step: str, args: tuple[Any, ...], shared: tuple[Any, ...], static: tuple[Any, ...] = ()
) -> Any:
    """Run a step on all lanes, `size` at a time; the last batch is filled up with its first lane."""
    count = len(jax.tree.leaves(args)[0])
    parts = []
    for first in range(0, count, size):
        index = np.arange(first, first + size)
        index[index >= count] = first
        part = PROGRAMS(step, *rows(args, index), *shared, static=static)
        parts.append(rows(part, slice(0, min(size, count - first))))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def solve_bucket(
    bucket: Bucket, settings: Settings, on_lanes: OnLanes, fees: Charges | None = None
) -> Solved:
    """Every contract of a bucket, to its certificate or to the end of its rounds; no fees by default."""
    size = lanes_per_batch(bucket.shape, settings)
    tolerance, whole = np.asarray(settings.tolerance), settings.units == "integer"
    prepared = in_batches(size, "prepare", (bucket.lanes,), (tolerance,), (settings.method, whole))
    vendor = bucket.lanes.inbound, bucket.lanes.capacity, bucket.lanes.supplier
    quo = in_batches(SMALL, "fill", (*vendor, prepared.terms, prepared.order), (tolerance,))
    quo = _confirmed(bucket, quo, size, tolerance, whole)
    outcome = _consensus(bucket, prepared, size, settings, on_lanes)
    if whole:
        outcome = issue_whole(outcome, prepared.terms.volume, _private(bucket, outcome, size))
    fees = free(len(bucket.contract)) if fees is None else fees
    charged: tuple[Any, ...] = (fees.alpha, fees.after, fees.rate, fees.over, fees.under)
    schedule = Schedule(*charged)
    choice = _choice(bucket, prepared, outcome, schedule, fees.distorted, size, settings)
    judged = prepared.own, prepared.terms, quo, outcome, choice, schedule
    contract = in_batches(SMALL, "conclude", judged, (tolerance,))
    return Solved(bucket, prepared, quo, outcome, contract)


def _private(bucket: Bucket, outcome: Outcome, size: int) -> Callable[[Index], Iterator[Lane]]:
    """Both parties and their flows, for some contracts, one batch at a time."""

    def lanes(chosen: Index) -> Iterator[Lane]:
        for first in range(0, len(chosen), size):
            some = chosen[first : first + size]
            args = rows((bucket.lanes, outcome.plan, outcome.price, outcome.epsilon), some)
            batch = in_batches(size, "private", args, ())
            yield from (rows(batch, lane) for lane in range(len(some)))

    return lanes


def _confirmed(bucket: Bucket, quo: StatusQuo, size: int, tolerance: np.ndarray, whole: bool) -> StatusQuo:
    """The status quo; where capacity does not allow the order, the part the supplier confirms."""
    short = np.flatnonzero(~quo.filled)
    if not len(short):
        return quo
    part = in_batches(size, "in_part", rows((bucket.lanes, quo.order), short), (tolerance,), (whole,))

    def put(all_lanes: np.ndarray, some: np.ndarray) -> np.ndarray:
        merged = np.array(all_lanes)
        merged[short] = some
        return merged

    return jax.tree.map(put, quo, part)


def _consensus(
    bucket: Bucket, prepared: Prepared, size: int, settings: Settings, on_lanes: OnLanes
) -> Outcome:
    """Every contract's consensus; one that the native search leaves uncertified is taken up by its twin."""
    lanes, state = (bucket.lanes,), prepared.state
    if settings.method != "newton" or not kernels.usable(bucket.lanes.demand):
        return _turns(lanes, state, size, "turn", settings.method, settings, on_lanes)
    outcome = _turns(lanes, state, size, "search", "newton", settings, on_lanes)
    left = np.flatnonzero(~outcome.certified(settings.tolerance) & (outcome.missing <= FEASIBLE))
    if len(left):
        again = _turns(rows(lanes, left), rows(state, left), size, "turn", "newton", settings, _nobody)
        _put(outcome, again, left)
    return outcome


def _choice(
    bucket: Bucket,
    prepared: Prepared,
    efficient: Outcome,
    schedule: Schedule,
    moved: Index,
    size: int,
    settings: Settings,
) -> Outcome | None:
    """What suppliers like best on their schedules; the efficient plan where no fee moves it."""
    if not schedule.distorts:
        return None
    choice = jax.tree.map(np.array, efficient)
    if not len(moved):
        return choice
    method, tolerance = steps(schedule, settings.method), np.asarray(settings.tolerance)
    lanes, terms = rows((bucket.lanes, schedule, prepared.order.plan), moved), rows(prepared.terms, moved)
    state = in_batches(size, "pose", lanes, (), (method,))
    if method == "newton" and kernels.usable(bucket.lanes.demand):
        found = _turns(lanes, state, size, "search_on", method, settings, _nobody)
        left = np.flatnonzero(~found.certified(settings.tolerance))
        if len(left):
            again = rows(lanes, left), rows(state, left)
            _put(found, _turns(*again, size, "turn_on", method, settings, _nobody), left)
    else:
        found = _turns(lanes, state, size, "turn_on", method, settings, _nobody)
    if settings.units == "integer":

        def private(chosen: Index) -> Iterator[Lane]:
            args = rows((*lanes, found.plan), chosen)
            batch = in_batches(size, "private_on", args, (tolerance,)) if len(chosen) else None
            yield from (rows(batch, lane) for lane in range(len(chosen)))

        found = issue_whole(found, terms.volume, private)
    _put(choice, in_batches(SMALL, "read", (lanes[1], found, lanes[2], terms), ()), moved)
    return choice


def _turns(
    lanes: tuple[Any, ...],
    begun: Any,
    size: int,
    step: str,
    name: str,
    settings: Settings,
    on_lanes: OnLanes,
) -> Outcome:
    """Turn after turn of a step on the first `size` contracts that still need one.

    `lanes` are the step's arguments that stay, `begun` the first states of the method called `name`.
    """
    method = METHODS[name]
    limit = np.asarray(method.MAX_ROUNDS if settings.max_rounds is None else settings.max_rounds, np.int32)
    tolerance = np.asarray(settings.tolerance)
    static = (name,) if step in ("turn", "turn_on") else ()
    states = jax.tree.map(np.array, begun)
    count = len(jax.tree.leaves(states)[0])
    waiting = np.arange(count)
    outcomes: Any = None
    while len(waiting):
        now = waiting[:size]
        index = np.resize(now, size) if len(now) < size else now
        state, outcome = PROGRAMS(step, *rows((*lanes, states), index), tolerance, limit, static=static)
        if outcomes is None:
            outcomes = jax.tree.map(lambda leaf: np.zeros((count, *leaf.shape[1:]), leaf.dtype), outcome)
        _put(states, state, now)
        _put(outcomes, outcome, now)
        ended = np.asarray(method.finished(rows(state, slice(0, len(now))), limit))
        waiting = np.concatenate([now[~ended], waiting[size:]])
        if ended.any():
            _tell(rows(outcomes, now[ended]), settings.tolerance, on_lanes)
    return outcomes


def _nobody(*_: Any) -> None:
    """Contracts that were told of already."""


def _tell(ended: Outcome, tolerance: float, on_lanes: OnLanes) -> None:
    """Report contracts whose search is over."""
    certified = np.asarray(ended.certified(tolerance))
    relative = np.where(certified, ended.gap / np.maximum(ended.spend, 1e-6), 0.0)
    on_lanes(len(certified), int(certified.sum()), float(np.max(relative, initial=0.0)))


def _put(into: Any, batch: Any, index: Index) -> None:
    for target, source in zip(jax.tree.leaves(into), jax.tree.leaves(batch), strict=True):
        target[index] = source[: len(index)]
