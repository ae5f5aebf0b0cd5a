"""Random sides: scaled like a contract's, with closed nodes, stock, holes and private nodes without mass."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxcpp.transport.side import Side


def random_side(
    seed: int, n: int = 5, m: int = 7, *, stock: bool = True, holes: bool = True, dear: float = 5.0
) -> Side:
    """Mass 1, costs of order 1, outside options up to `dear`; the last node closed, the first entry empty."""
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0.2, 3.0, (n, m))
    if holes:
        cost[rng.uniform(size=(n, m)) < 0.2] = np.inf
    cost[-1] = np.inf
    mass = rng.uniform(0.1, 1.0, m)
    mass[0] = 0.0
    amount = np.where(rng.uniform(size=n) < 0.4, rng.uniform(0.0, 0.2, n), 0.0) if stock else np.zeros(n)
    amount[-1] = 0.0
    return Side(*(jnp.asarray(x) for x in (cost, mass / mass.sum(), rng.uniform(2.0, dear, m), amount)))


def stacked(sides: Sequence[Side]) -> Side:
    """Sides of one shape with a leading lane axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *sides)
