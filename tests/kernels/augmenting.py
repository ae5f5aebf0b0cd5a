"""The twin of the native augmenting paths, in few lines: one side that lives with a plan, from any price."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NEGLIGIBLE = 1e-13


class Numbers(NamedTuple):
    """A side as the kernel takes it, in numpy."""

    cost: Floats  # (n, m); inf = no lane
    mass: Floats  # (m,)
    outside: Floats  # (m,)
    stock: Floats  # (n,)


def cheapest(side: Numbers, plan: Floats, price: Floats, most: int = 10_000) -> tuple[Floats, Floats] | None:
    """Price and flows (n, m) that are optimal for `plan`; none where `most` paths do not get there.

    Row n of what follows is the ground: outside options, and stock that is not used, as one more column.
    """
    n, m = side.cost.shape
    stock = side.stock
    cost = np.vstack([side.cost, side.outside])
    idle = np.full((n + 1, n), np.inf)
    idle[:n][np.eye(n, dtype=bool)] = 0.0
    idle[n] = 0.0
    cost = np.hstack([cost, idle])  # a unit of stock is "served" at its node where it is not used
    price = np.append(price, 0.0)
    units = np.append(side.mass, stock)
    flow = np.zeros_like(cost)
    flow[np.argmin(cost + price[:, None], axis=0), np.arange(m + n)] = units
    excess = np.append(flow[:n].sum(axis=1) - plan - stock, 0.0)
    for _ in range(most):
        many, few = excess[:n] > NEGLIGIBLE, excess[:n] < -NEGLIGIBLE
        if not many.any() and not few.any():
            return price[:n], flow[:n, :m]
        from_ground = not many.any()
        begun = np.append(many, from_ground) if not from_ground else np.arange(n + 1) == n
        far, before, column = _shortest(cost, flow, price, begun)
        ends = np.append(few, not from_ground)
        target = int(np.argmin(np.where(ends, far, np.inf)))
        if not np.isfinite(far[target]):
            return None
        price = price - np.minimum(far, far[target])
        price -= price[n]
        hops = []
        while before[target] >= 0:
            hops.append((target, before[target], column[target]))
            target = before[target]
        sent = min(flow[a, j] for _, a, j in hops)
        sent = min([sent, *([excess[target]] if target < n else [])])
        sent = min([sent, *([-excess[hops[0][0]]] if hops[0][0] < n else [])])
        for b, a, j in hops:
            flow[a, j] -= sent
            flow[b, j] += sent
        excess[target] -= sent
        excess[hops[0][0]] += sent
        excess[n] = 0.0
    return None


def _shortest(
    cost: Floats, flow: Floats, price: Floats, begun: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Bellman and Ford's: how far every node is, the node before it, and the column that moves."""
    nodes = len(cost)
    with np.errstate(invalid="ignore"):
        asked = np.where(flow[:, None, :] > 0.0, cost[None, :, :] - cost[:, None, :], np.inf)
    carrier = np.argmin(asked, axis=2)
    way = np.maximum(np.min(asked, axis=2) + price[None, :] - price[:, None], 0.0)
    far = np.where(begun, 0.0, np.inf)
    before = np.full(nodes, -1)
    for _ in range(nodes):
        through = far[:, None] + way
        best = np.argmin(through, axis=0)
        nearer = through[best, np.arange(nodes)] < far
        before[nearer] = best[nearer]
        far = np.where(nearer, through[best, np.arange(nodes)], far)
    return far, before, carrier[np.maximum(before, 0), np.arange(nodes)]
