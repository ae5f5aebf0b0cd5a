"""Outside twins of our own agents: their private problems by SciPy, one linear program an answer.

Each class answers in one way; they know nothing of JAX and share no code with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linprog

from tests.oracles import lp, qp
from tests.oracles.problem import Floats, Problem
from tests.oracles.program import Program

SLACK = 1e-8
"""Of the demand: how far a plan asked about may be off by rounding."""
DEAR = 200.0
"""What a unit of a plan that cannot be lived with costs a primal twin [currency]."""

FLOOD = 4.0
"""Times the demand: no twin takes or ships more at a node."""

TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


class Private:
    """One party's private problem of one contract, in units of the total demand."""

    def __init__(self, problem: Problem, party: str) -> None:
        self.scale = float(problem.demand.sum()) or 1.0
        program = Program()
        plan = program.columns(np.zeros((problem.inbound, problem.weeks)))
        add = lp.add_retailer if party == "retailer" else lp.add_supplier
        add(program, problem, plan)
        self.plan, self._arrays = plan.reshape(-1), program.arrays()
        self._arrays["bounds"][self.plan, 1] = FLOOD  # a best plan must exist at any price

    def best_plan(self, price: Floats) -> tuple[Floats, float]:
        cost = self._arrays["c"].copy()
        cost[self.plan] += price
        answer = linprog(**(self._arrays | {"c": cost}), method="highs", options=TIGHT)
        plan = answer.x[self.plan]
        return plan * self.scale, -float(self._arrays["c"] @ answer.x) * self.scale

    def value(self, plan: Floats) -> float:
        share = plan / self.scale
        for slack in (0.0, SLACK):
            bounds = self._arrays["bounds"].copy()
            bounds[self.plan] = np.stack([np.maximum(share - slack, 0.0), share + slack], axis=1)
            answer = linprog(**(self._arrays | {"bounds": bounds}), method="highs", options=TIGHT)
            if answer.status == 0:
                return -float(answer.fun) * self.scale
        return -np.inf

    def confirm(self, order: Floats) -> Floats:
        if np.isfinite(self.value(order)):
            return order
        bounds = self._arrays["bounds"].copy()
        bounds[self.plan, 1] = order / self.scale
        answer = linprog(**(self._arrays | {"bounds": bounds}), method="highs", options=TIGHT)
        return answer.x[self.plan] * self.scale

    def value_and_gradient(self, plan: Floats) -> tuple[float, Floats]:
        arrays, nodes = self._arrays, len(plan)
        count = len(arrays["c"])
        link = np.zeros((nodes, count + 2 * nodes))
        link[np.arange(nodes), self.plan] = 1.0
        link[:, count:] = np.hstack([np.eye(nodes), -np.eye(nodes)])
        pad = np.zeros((arrays["A_eq"].shape[0], 2 * nodes))
        under = None if arrays["A_ub"] is None else arrays["A_ub"].toarray()
        answer = linprog(
            np.append(arrays["c"], np.full(2 * nodes, DEAR)),
            A_eq=np.vstack([link, np.hstack([arrays["A_eq"].toarray(), pad])]),
            b_eq=np.append(plan / self.scale, arrays["b_eq"]),
            A_ub=None if under is None else np.hstack([under, np.zeros((len(under), 2 * nodes))]),
            b_ub=arrays["b_ub"],
            bounds=np.vstack([arrays["bounds"], np.tile([0.0, np.inf], (2 * nodes, 1))]),
            method="highs", options=TIGHT,
        )  # fmt: skip
        return -float(answer.fun) * self.scale, -np.asarray(answer.eqlin.marginals[:nodes])

    def best_response(self, price: Floats, proposal: Floats, rho: float) -> Floats:
        arrays, weight = self._arrays, rho * self.scale
        equal = arrays["A_eq"].toarray()
        under = np.zeros((0, equal.shape[1])) if arrays["A_ub"] is None else arrays["A_ub"].toarray()
        spare = len(under)
        A = np.block([[equal, np.zeros((len(equal), spare))], [under, np.eye(spare)]])
        b = np.append(arrays["b_eq"], [] if arrays["b_ub"] is None else arrays["b_ub"])
        H = np.zeros((A.shape[1], A.shape[1]))
        H[self.plan, self.plan] = weight
        g = np.append(arrays["c"], np.zeros(spare))
        g[self.plan] += price - weight * proposal / self.scale
        size = np.abs(g).max() + weight
        x = qp.solve(H / size, g / size, A, b)[self.plan]
        return np.maximum(x, 0.0) * self.scale


class Twin:
    """A batch of private problems; its subclasses answer in one way each."""

    def __init__(self, problems: Sequence[Problem], party: str) -> None:
        self._private = [Private(problem, party) for problem in problems]

    def _each(self, answer: Callable[..., Any], *question: Floats) -> list[Any]:
        return [answer(private, *(part[i] for part in question)) for i, private in enumerate(self._private)]


class Supplies(Twin):
    """A supplier that says what part of an order it would fill."""

    def confirm(self, order: Floats) -> Floats:
        return np.stack(self._each(Private.confirm, order))


class Proximal(Twin):
    def best_response(self, price: Floats, proposal: Floats, rho: Floats) -> Floats:
        return np.stack(self._each(Private.best_response, price, proposal, rho))


class Valued(Proximal):
    def value(self, plan: Floats) -> Floats:
        return np.array(self._each(Private.value, plan))


class Dual(Twin):
    def best_plan(self, price: Floats) -> tuple[Floats, Floats]:
        plans, utilities = zip(*self._each(Private.best_plan, price), strict=True)
        return np.stack(plans), np.array(utilities)


class Primal(Twin):
    def value_and_gradient(self, plan: Floats) -> tuple[Floats, Floats]:
        utilities, gradients = zip(*self._each(Private.value_and_gradient, plan), strict=True)
        return np.array(utilities), np.stack(gradients)


RETAILERS: dict[str, Any] = {"proximal": Valued, "dual": Dual, "primal": Primal}
"""A twin of every kind, with utilities."""

SUPPLIERS: dict[str, Any] = {
    name: type(f"{kind.__name__}Supplier", (Supplies, kind), {}) for name, kind in RETAILERS.items()
}
"""The same, for suppliers."""
