"""What is known of an agent's utility from its answers alone, by contract.

A *point* `(x, u)` is a plan with its reported utility: by concavity, mixtures of points are plans that the
agent can live with, worth at least the same mixture of utilities. A *cut* `(g, c)` says that no plan `y` is
worth more than `c + g @ y`: the answer `x` to a price `g` gives one, `c = u(x) - g @ x`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from jaxcpp.consensus import simplex_qp

Plans = Float[np.ndarray, "c n"]
Numbers = Float[np.ndarray, " c"]

SAME = 1e-13
"""Rows that differ by no more than this, in scaled units, are one."""
SPARE = 24
"""Rows kept beyond twice the number of nodes; those that go are the ones of no use for the longest."""


class Rows:
    """Vectors with a number each, by contract; only the first `count` of a contract's mean something."""

    def __init__(self, contracts: int, width: int) -> None:
        self._limit = 2 * width + SPARE
        self._vector = np.zeros((contracts, self._limit, width))
        self._number = np.zeros((contracts, self._limit))
        self._used = np.zeros((contracts, self._limit))
        self._clock = 0
        self.count = np.zeros(contracts, int)

    @property
    def most(self) -> int:
        """Rows of the contract that has most."""
        return int(np.max(self.count, initial=0))

    @property
    def vector(self) -> Float[np.ndarray, "c k n"]:
        """The vectors; a contract with fewer repeats its first."""
        return np.take_along_axis(self._vector, self._index()[:, :, None], axis=1)

    @property
    def number(self) -> Float[np.ndarray, "c k"]:
        """Their numbers, likewise."""
        return np.take_along_axis(self._number, self._index(), axis=1)

    def of(self, lane: int) -> tuple[Float[np.ndarray, "k n"], Float[np.ndarray, " k"]]:
        """One contract's vectors and numbers."""
        count = self.count[lane]
        return self._vector[lane, :count], self._number[lane, :count]

    def add(self, vector: Plans, number: Numbers, where: Bool[np.ndarray, " c"]) -> Bool[np.ndarray, " c"]:
        """Take in a row for some contracts; says where it was new."""
        self._clock += 1
        here = np.arange(self._limit)[None, :] < self.count[:, None]
        apart = np.max(np.abs(self._vector - vector[:, None, :]), axis=2) + np.abs(
            self._number - number[:, None]
        )
        size = 1.0 + np.max(np.abs(vector), axis=1) + np.abs(number)
        known = np.any(here & (apart <= SAME * size[:, None]), axis=1)
        lanes = np.flatnonzero(where & ~known)
        # Where there is no room the row of no use for the longest goes.
        full = self.count[lanes] >= self._limit
        slot = np.where(full, np.argmin(self._used[lanes], axis=1), self.count[lanes])
        self._vector[lanes, slot], self._number[lanes, slot] = vector[lanes], number[lanes]
        self._used[lanes, slot] = self._clock
        self.count[lanes] += ~full
        return where & ~known

    def use(self, weights: Float[np.ndarray, "c k"]) -> None:
        """Note which rows an answer was made of."""
        self._clock += 1
        lane, row = np.nonzero((weights > 1e-7) & (np.arange(weights.shape[1]) < self.count[:, None]))
        self._used[lane, row] = self._clock

    def _index(self) -> np.ndarray:
        index = np.arange(max(self.most, 1))[None, :]
        return np.where(index < self.count[:, None], index, 0)


class Seen:
    """The points and cuts of an agent, in scaled units, and whether they can be true together."""

    def __init__(self, contracts: int, nodes: int) -> None:
        self.points, self.cuts = Rows(contracts, nodes), Rows(contracts, nodes)

    def point(self, plan: Plans, utility: Numbers, where: Bool[np.ndarray, " c"]) -> Bool[np.ndarray, " c"]:
        """Take in plans with their utilities; says where they were new."""
        return self.points.add(plan, utility, where)

    def cut(self, price: Plans, plan: Plans, utility: Numbers, where: Bool[np.ndarray, " c"]) -> None:
        """Take in that no plan is worth more than `utility + price @ (y - plan)`."""
        self.cuts.add(price, utility - np.sum(price * plan, axis=1), where)

    def above(self, plan: Plans) -> Numbers:
        """What no plan's worth exceeds, by the cuts; inf where there are none."""
        height = self.cuts.number + np.einsum("ckn,cn->ck", self.cuts.vector, plan)
        return np.where(self.cuts.count > 0, np.min(height, axis=1), np.inf)

    def contradiction(self) -> Numbers:
        """By how much a point lies above a cut: of a concave utility, truly reported, none does."""
        height = self.cuts.number[:, :, None] + np.einsum(
            "ckn,cln->ckl", self.cuts.vector, self.points.vector
        )
        worst = np.max(self.points.number[:, None, :] - height, axis=(1, 2))
        return np.where((self.cuts.count > 0) & (self.points.count > 0), np.maximum(worst, 0.0), 0.0)

    def best_mixture(self, price: Plans, proposal: Plans, rho: Numbers) -> tuple[Plans, Numbers]:
        """The mixture of points that is the best proximal answer, and its mixed utility."""
        points, utility = self.points.vector, self.points.number
        away = np.einsum("ckn,cn->ck", points, price - rho[:, None] * proposal)
        square = np.einsum("ckn,cln->ckl", points, points) * rho[:, None, None]
        weights = simplex_qp.solve(square, away - utility, np.ones(points.shape[1]))
        self.points.use(weights)
        return np.einsum("ck,ckn->cn", weights, points), np.sum(weights * utility, axis=1)

    def best_under_cuts(self, price: Plans, proposal: Plans, rho: Numbers) -> Plans:
        """The best proximal answer if the cuts were all there is to the utility."""
        slopes, number = self.cuts.vector, self.cuts.number
        contracts, count, nodes = slopes.shape
        # Beside the cuts' weights, a price that keeps each node's units from falling below zero.
        whole = np.concatenate([slopes, np.broadcast_to(np.eye(nodes), (contracts, nodes, nodes))], axis=1)
        ask = proposal - price / rho[:, None]
        linear = np.einsum("ckn,cn->ck", whole, ask)
        linear[:, :count] += number
        square = np.einsum("ckn,cln->ckl", whole, whole) / rho[:, None, None]
        weights = simplex_qp.solve(square, linear, np.append(np.ones(count), np.zeros(nodes)))
        self.cuts.use(weights[:, :count])
        return np.maximum(ask + np.einsum("ck,ckn->cn", weights, whole) / rho[:, None], 0.0)


class Answers:
    """Plans answered to prices whose utility was not reported, and whether they can be best answers."""

    def __init__(self, contracts: int, nodes: int) -> None:
        self._rows = Rows(contracts, 2 * nodes)
        self._nodes = nodes

    def add(self, price: Plans, plan: Plans, where: Bool[np.ndarray, " c"]) -> None:
        """Take in that a plan was the best answer to a price."""
        self._rows.add(np.concatenate([price, plan], axis=1), np.zeros(len(plan)), where)

    def contradiction(self) -> Numbers:
        """How far the worst pair is from what one concave utility allows, in money.

        Of any two best answers `(x - y) @ (price_x - price_y) <= 0`: more of what is cheaper.
        """
        price, plan = self._rows.vector[:, :, : self._nodes], self._rows.vector[:, :, self._nodes :]
        gain = self._gains(price, plan)
        return np.max(-(gain + np.swapaxes(gain, 1, 2)), axis=(1, 2)).clip(0.0)

    def cycle(self, slack: float) -> Bool[np.ndarray, " c"]:
        """Whether some round of answers gains more than `slack` a step: then no utility explains them all.

        Cyclic monotonicity, by Bellman and Ford's search for a negative cycle. Source: Rockafellar, Convex
        Analysis (1970), section 24; Afriat (1967).
        """
        price, plan = self._rows.vector[:, :, : self._nodes], self._rows.vector[:, :, self._nodes :]
        gain = self._gains(price, plan) + slack
        reach = np.zeros(gain.shape[:2])
        for _ in range(gain.shape[1] + 1):
            nearer = np.minimum(reach, np.min(reach[:, :, None] + gain, axis=1))
            if np.array_equal(nearer, reach):
                return np.zeros(len(gain), bool)
            changed, reach = np.any(nearer < reach - slack * SAME, axis=1), nearer
        return changed

    @staticmethod
    def _gains(price: Float[np.ndarray, "c k n"], plan: Float[np.ndarray, "c k n"]) -> np.ndarray:
        """`price_i @ (plan_j - plan_i)`: how much more the plan `j` can be worth than `i` at most."""
        crossed = np.einsum("cin,cjn->cij", price, plan)
        own = np.einsum("cin,cin->ci", price, plan)
        return crossed - own[:, :, None]
