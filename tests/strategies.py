"""Random contracts with every option on: for Hypothesis, and from a seed.

Units are multiples of 1/8 times a power of two, so that their sums are exact and "exactly tight"
means what it says. Every problem is feasible by construction: its capacity and inventory come from
a random plan that serves all demand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from tests.oracles.problem import Floats, Problem


@dataclass(frozen=True)
class Options:
    """What a random problem is made of."""

    inbound: int = 1
    regions: int = 1
    sources: int = 1
    weeks: int = 1
    inventory: bool = False  # units on hand, some of them of no use
    lost_sales: bool = False
    backlog: bool = False
    leftovers: bool = False
    holes: bool = False  # missing lanes, inbound nodes without any among them
    ties: bool = False  # costs from {1, 2, 3} and twin inbound nodes
    zeros: bool = False  # regions, weeks and sources with nothing in them
    capacity: Literal["loose", "tight"] = "loose"
    size: int = 0  # units times 2 ** size
    seed: int = 0


def build(options: Options, lanes: tuple[Floats, Floats] | None = None) -> Problem:
    """The problem that `options` describe; equal options, equal problems.

    `lanes`, costs (I, J) and (K, I), take the place of drawn ones; one inbound node at least must
    have all of its lanes.
    """
    rng = np.random.default_rng(options.seed)
    unit_cost, supplier_unit_cost = _lanes(options, rng) if lanes is None else lanes
    demand = rng.integers(1, 41, (options.regions, options.weeks)) / 8.0
    if options.zeros:
        demand[rng.random(options.regions) < 0.3] = 0.0
        demand[:, rng.random(options.weeks) < 0.3] = 0.0
    if options.zeros and rng.random() < 0.1:
        demand[:] = 0.0
    elif not demand.any():
        demand[0, 0] = 1.0

    capacity, inventory = _what_serves(options, rng, unit_cost, supplier_unit_cost, demand)
    if options.capacity == "loose":
        capacity = capacity * rng.choice([1.125, 1.5, 2.0])
        capacity += rng.integers(0, 9, capacity.shape) / 8.0 * (rng.random(capacity.shape) < 0.7)
    unused = rng.integers(0, 17, options.inbound) / 8.0 if options.inventory else 0.0

    units = 2.0**options.size
    rate = (lambda low, high: float(rng.integers(low, high + 1))) if options.ties else rng.uniform
    return Problem(
        unit_cost=unit_cost,
        demand=demand * units,
        margin=rate(4, 12),
        supplier_unit_cost=supplier_unit_cost,
        capacity=capacity * units,
        supplier_margin=rate(4, 12),
        inventory=(inventory + unused) * units,
        holding=rate(0, 2),
        backlog=rate(0, 3) if options.backlog else np.inf,
        lost_sale=rate(0, 6) if options.lost_sales else np.inf,
        leftover=rate(0, 6) if options.leftovers else np.inf,
        supplier_holding=rate(0, 1),
    )


def random_options(seed: int) -> Options:
    """Options drawn from a seed: four problems in five have several nodes, regions and sources."""
    rng = np.random.default_rng([seed, 1])
    least = 1 if rng.random() < 0.2 else 2
    flags = ("inventory", "lost_sales", "backlog", "leftovers", "holes", "ties", "zeros")
    return Options(
        inbound=int(rng.integers(least, 6)),
        regions=int(rng.integers(least, 7)),
        sources=int(rng.integers(least, 5)),
        weeks=int(rng.integers(1, 5)),
        capacity="tight" if rng.random() < 0.3 else "loose",
        size=int(rng.choice([0, 0, 4, 12])),
        seed=seed,
        **{flag: bool(rng.random() < 0.5) for flag in flags},
    )


def random_problem(seed: int) -> Problem:
    """A feasible problem drawn from a seed, any option on or off."""
    return build(random_options(seed))


@st.composite
def options(draw: st.DrawFn) -> Options:
    """Options that shrink towards one node, one region, one source, one week and nothing on."""
    return Options(
        inbound=draw(st.integers(1, 5)),
        regions=draw(st.integers(1, 6)),
        sources=draw(st.integers(1, 4)),
        weeks=draw(st.integers(1, 4)),
        inventory=draw(st.booleans()),
        lost_sales=draw(st.booleans()),
        backlog=draw(st.booleans()),
        leftovers=draw(st.booleans()),
        holes=draw(st.booleans()),
        ties=draw(st.booleans()),
        zeros=draw(st.booleans()),
        capacity=draw(st.sampled_from(("loose", "tight"))),
        size=draw(st.sampled_from((0, 4, 12))),
        seed=draw(st.integers(0, 2**16)),
    )


def problems() -> st.SearchStrategy[Problem]:
    """Feasible problems with any option on or off."""
    return options().map(build)


def short_of_capacity(problem: Problem) -> Problem:
    """The same problem without lost sales and with less stock and capacity than its demand needs."""
    have = problem.capacity.sum() + problem.inventory.sum()
    share = 0.75 * problem.demand.sum() / have if have else 0.0
    share = min(share, 1.0)
    return replace(
        problem, capacity=problem.capacity * share, inventory=problem.inventory * share, lost_sale=np.inf
    )


def with_unreachable_region(problem: Problem) -> Problem:
    """The same problem without lost sales and with demand in a region that no lane reaches."""
    demand = problem.demand.copy()
    demand[-1, -1] = max(demand[-1, -1], 1.0)
    unit_cost = problem.unit_cost.copy()
    unit_cost[:, -1] = np.inf
    return replace(problem, demand=demand, unit_cost=unit_cost, lost_sale=np.inf)


def _lanes(options: Options, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Costs (I, J) and (K, I); every region and every source keeps a lane through a public node."""
    shapes = ((options.inbound, options.regions), (options.sources, options.inbound))
    if options.ties:
        ours, theirs = (rng.integers(1, 4, shape).astype(np.float64) for shape in shapes)
        if options.inbound > 1 and rng.random() < 0.5:
            ours[1], theirs[:, 1] = ours[0], theirs[:, 0]
    else:
        ours, theirs = (rng.uniform(1.0, 6.0, shape) for shape in shapes)
    if options.holes:
        keep = rng.integers(options.inbound)
        for cost, line in ((ours, keep), (theirs.T, keep)):
            holes = rng.random(cost.shape) < 0.4
            holes[line] = False
            cost[holes] = np.inf
        if options.inbound > 1 and rng.random() < 0.3:
            theirs[:, (keep + 1) % options.inbound] = np.inf
    return ours, theirs


def _what_serves(
    options: Options, rng: np.random.Generator, unit_cost: Floats, supplier_unit_cost: Floats, demand: Floats
) -> tuple[Floats, Floats]:
    """Capacity (K, T) and inventory (I,) [units] just enough for one random plan that serves all demand.

    The plan splits every demand over two routes at most. A route starts on the shelf or at a source,
    whose production week is no later than the week of demand, or with backlog any week.
    """
    capacity = np.zeros((options.sources, options.weeks))
    inventory = np.zeros(options.inbound)
    routes = np.argwhere(np.isfinite(supplier_unit_cost)[:, :, None] & np.isfinite(unit_cost)[None, :, :])
    idle = rng.integers(options.sources) if options.zeros and options.sources > 1 else -1
    for region, week in np.argwhere(demand > 0):
        through = routes[routes[:, 2] == region]
        busy = through[through[:, 0] != idle]
        through = busy if len(busy) else through
        part = rng.integers(0, int(demand[region, week] * 8) + 1) / 8.0
        for units in (part, demand[region, week] - part):
            source, node, _ = through[rng.integers(len(through))]
            if options.inventory and rng.random() < 0.3:
                inventory[node] += units
            else:
                last = options.weeks if options.backlog else week + 1
                capacity[source, rng.integers(last)] += units
    return capacity, inventory
