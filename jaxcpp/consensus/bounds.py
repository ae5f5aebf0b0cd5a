"""What the answers of two agents prove about their joint utility, one contract: two linear programs.

From below, a plan that is a mixture of both agents' points; from above, the highest point under both agents'
cuts. In scaled units. Both take the reported utilities for true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

from jaxcpp.consensus.seen import Seen

TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
Vector = Float[np.ndarray, " n"]


class Mixture(NamedTuple):
    """The best mixture of points: what each agent has of it, their utilities, and the price between them.

    `apart` is by how many units the agents' plans differ: none, where the mixture is a plan of both.
    """

    taken: Vector
    shipped: Vector
    retailer: float
    supplier: float
    price: Vector
    apart: float

    @property
    def utility(self) -> float:
        """The joint utility."""
        return self.retailer + self.supplier


def best_mixture(retailer: Seen, supplier: Seen, lane: int, dear: float) -> Mixture | None:
    """The plan of largest joint utility among mixtures of what both agents have answered.

    A unit on which they do not agree costs `dear`: more than any price between them. None where an agent
    has told the utility of no plan yet, or numbers are too far apart for the program.
    """
    if not (retailer.points.count[lane] and supplier.points.count[lane]):
        return None
    X, u = retailer.points.of(lane)
    Y, v = supplier.points.of(lane)
    nodes = X.shape[1]
    apart = np.full(2 * nodes, dear)
    one, other = np.ones((1, len(u))), np.ones((1, len(v)))
    empty = np.zeros((1, 2 * nodes))
    rows = np.block([
        [X.T, -Y.T, np.eye(nodes), -np.eye(nodes)],
        [one, 0.0 * other, empty],
        [0.0 * one, other, empty],
    ])  # fmt: skip
    right = np.append(np.zeros(nodes), [1.0, 1.0])
    found = linprog(np.concatenate([-u, -v, apart]), A_eq=rows, b_eq=right, method="highs", options=TIGHT)
    if found.status != 0:
        return None
    mine, theirs = found.x[: len(u)], found.x[len(u) : len(u) + len(v)]
    return Mixture(
        taken=mine @ X,
        shipped=theirs @ Y,
        retailer=float(mine @ u),
        supplier=float(theirs @ v),
        price=np.asarray(-found.eqlin.marginals[:nodes]),
        apart=float(np.sum(found.x[len(u) + len(v) :])),
    )


def ceiling(agents: Sequence[Seen], lane: int) -> float:
    """What the joint utility of no plan exceeds, by all agents' cuts; inf where they bound nothing."""
    if not all(seen.cuts.count[lane] for seen in agents):
        return np.inf
    slopes, number = (np.concatenate(part) for part in zip(*(s.cuts.of(lane) for s in agents), strict=True))
    owner = np.repeat(np.arange(len(agents)), [seen.cuts.count[lane] for seen in agents])
    mine = (owner[:, None] == np.arange(len(agents))).astype(np.float64)
    nodes = slopes.shape[1]
    found = linprog(
        np.append(np.zeros(nodes), -np.ones(len(agents))), A_ub=np.hstack([-slopes, mine]), b_ub=number,
        bounds=[(0.0, None)] * nodes + [(None, None)] * len(agents), method="highs", options=TIGHT,
    )  # fmt: skip
    return float(-found.fun) if found.status == 0 else np.inf
