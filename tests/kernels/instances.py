"""Random contracts as the kernels are given them, and what two kernels' answers must have in common."""

from __future__ import annotations

from typing import Any

import jaxcpp_kernels as native
import numpy as np

TOLERANCE = 1e-6

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"places": 6, "columns": 9, "sources": 4},
    "one of each": {"places": 1, "columns": 1, "sources": 1},
    "one node": {"places": 1, "columns": 5, "sources": 3},
    "one source": {"places": 5, "columns": 6, "sources": 1},
    "weeks": {"places": 5, "weeks": 3, "columns": 12, "sources": 6},
    "ties": {"places": 6, "columns": 8, "sources": 4, "ties": True},
    "holes": {"places": 6, "columns": 8, "sources": 4, "holes": 0.3},
    "no mass": {"places": 6, "columns": 9, "sources": 4, "empty": 0.4},
    "closed nodes": {"places": 6, "columns": 9, "sources": 4, "closed": 0.4},
    "stock": {"places": 6, "columns": 9, "sources": 4, "stocked": True},
    "lost sales": {"places": 6, "columns": 9, "sources": 4, "never": 2.0},
    "tight": {"places": 6, "columns": 9, "sources": 4, "slack": 1.0},
    "everything": {
        "places": 6,
        "weeks": 2,
        "columns": 10,
        "sources": 4,
        "holes": 0.2,
        "empty": 0.2,
        "closed": 0.2,
        "stocked": True,
        "never": 3.0,
    },
    "more than a chunk of columns": {"places": 7, "columns": 70, "sources": 5},
    "many nodes": {"places": 37, "columns": 30, "sources": 6},
}


def contracts(
    places, columns, sources, weeks=1, ties=False, holes=0.0, empty=0.0, closed=0.0, stocked=False,
    never=30.0, slack=1.5, lanes=4,
):  # fmt: skip
    """Random contracts, and where to start."""
    rng = np.random.default_rng(places + 100 * columns)
    nodes = places * weeks

    def side(count, low, high, total):
        cost = rng.uniform(low, high, (lanes, places, count))
        cost = np.round(4.0 * cost) / 4.0 if ties else cost
        cost = np.where(rng.random(cost.shape) < holes, np.inf, cost)
        mass = total * rng.dirichlet(np.full(count, 2.0), lanes)
        mass = np.where(rng.random(mass.shape) < empty, 0.0, mass)
        is_open = rng.random((lanes, nodes)) >= closed
        return cost, mass, is_open, rng.uniform(0.0, 0.3, (lanes, weeks, count))

    cost, mass, is_open, time = side(columns, 0.3, 2.0, 1.0)
    stock = rng.uniform(0.0, 0.1, (lanes, nodes)) * stocked
    margin = rng.uniform(0.0, 0.5, (lanes, columns))
    ours = native.Side(
        cost, mass, np.full((lanes, columns), never), stock, margin, 0.2, time=time, open=is_open
    )
    cost, mass, is_open, time = side(sources, 0.1, 1.0, slack)
    none = np.zeros((lanes, nodes))
    theirs = native.Side(cost, mass, np.zeros((lanes, sources)), none, time=time, open=is_open)
    return ours, theirs, rng.uniform(-0.2, 0.2, (lanes, nodes))


def dual(sides, price, lane):
    """What a price proves: no plan is cheaper."""
    total = 0.0
    for side, sign in zip(sides, (1.0, -1.0), strict=False):
        paid = sign * price[lane]
        cost = (np.asarray(side.cost)[lane][:, None] + np.asarray(side.time)[lane][None]).reshape(
            len(paid), -1
        )
        cost = np.where(np.asarray(side.open)[lane][:, None], cost, np.inf)
        best = np.minimum(np.min(cost + paid[:, None], axis=0), side.outside[lane])
        total += best @ side.mass[lane] - side.stock[lane] @ np.maximum(paid, 0.0)
    return total


def lanes_of(side):
    """What a unit costs on every lane; inf where there is none."""
    cost = np.asarray(side.cost)[:, :, None, :] + np.asarray(side.time)[:, None, :, :]
    cost = cost.reshape(len(cost), -1, cost.shape[-1])
    return np.where(np.asarray(side.open)[:, :, None], cost, np.inf)


def worth(flows, sides):
    """What flows cost, after every constraint on them has been seen to hold."""
    ours, theirs = sides
    for side, lane in ((ours, flows.taken), (theirs, flows.shipped)):
        assert np.all(lane >= 0.0)
        assert not np.any((lane > 0.0) & np.isinf(lanes_of(side))), "a missing lane is used"
        assert np.all(lane.sum(axis=1) <= np.asarray(side.mass) + 1e-13)
    np.testing.assert_allclose(flows.shipped.sum(axis=2), flows.proposal, atol=1e-9)
    assert np.all(flows.taken.sum(axis=2) <= flows.proposal + np.asarray(ours.stock) + 1e-13)
    total = 0.0
    for side, lane in ((ours, flows.taken), (theirs, flows.shipped)):
        cost = lanes_of(side)
        total = total + np.sum(np.where(lane > 0.0, cost, 0.0) * lane, axis=(1, 2))
        total = total + np.sum(side.outside * (side.mass - lane.sum(axis=1)), axis=1)
    return total


def same_worth(mine, reference, sides, done):
    """Flows that cost the same, in the contracts that are done."""
    costs = [worth(flows, sides)[done] for flows in (mine, reference)]
    np.testing.assert_allclose(costs[0], costs[1], atol=6.0 * TOLERANCE)


BY_A_PATH = 0.999
"""Of the tolerance: the CPU then follows a path, as a device does, where else it might end exactly."""


def alike(mine, reference, sides, plan=None):
    """As good as the CPU kernel's, contract by contract; the scale of costs and mass is 1."""
    lanes = len(reference.price)
    for lane in range(lanes):
        bounds = [dual(sides, found.price, lane) for found in (mine, reference)]
        if plan is not None:
            bounds = [
                bound - found.price[lane] @ plan[lane]
                for bound, found in zip(bounds, (mine, reference), strict=True)
            ]
        assert abs(bounds[0] - bounds[1]) <= 3.0 * TOLERANCE, (lane, bounds)
    np.testing.assert_array_equal(mine.done, reference.done)
    assert np.all(np.abs(mine.rounds - reference.rounds) <= 12 + reference.rounds // 2)
