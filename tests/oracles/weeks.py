"""Exact answers to one week of a rolling horizon, by linear programming (arXiv:2605.16695 section 5).

The retailer's best continuation with the first weeks' deliveries fixed and later ones free, and the
chain's cheapest way through a whole horizon. Costs [currency]; lost margins count as cost.
"""

from __future__ import annotations

import numpy as np

from tests.oracles.problem import Floats, Problem
from tests.oracles.program import Program


def continuation_cost(problem: Problem, plan: Floats, binding: int) -> float:
    """The retailer's least cost if `plan` (I, T) arrives in its first `binding` weeks; inf if it cannot.

    Later deliveries to public nodes are free and unlimited. No inventory.
    """
    program = Program()
    inbound, weeks = problem.inbound, problem.weeks
    free = np.where(problem.public, np.inf, 0.0)[:, None] * np.ones(weeks)
    lower, upper = np.zeros((inbound, weeks)), np.nan_to_num(free, nan=0.0, posinf=np.inf)
    lower[:, :binding] = upper[:, :binding] = plan[:, :binding]
    arrives = program.columns(np.zeros((inbound, weeks)), lower, upper)
    balance = program.rows("equal", np.zeros((inbound, weeks)))
    program.put("equal", balance, arrives, -1.0)
    served = program.rows("equal", problem.demand)
    for i, t, j, u in np.ndindex(inbound, weeks, problem.regions, weeks):
        cost = problem.unit_cost[i, j]
        cost += problem.holding * (u - t) if u >= t else problem.backlog * (t - u)
        if np.isfinite(cost):
            flow = program.columns(np.array([cost]))
            program.put("equal", balance[i, t], flow)
            program.put("equal", served[j, u], flow)
    if np.isfinite(problem.lost_sale):
        lost = program.columns(np.full(problem.demand.shape, problem.lost_sale + problem.margin))
        program.put("equal", served, lost)
    if np.isfinite(problem.leftover):
        program.put("equal", balance, program.columns(np.full((inbound, weeks), problem.leftover)))
    answer = program.solve()
    return np.inf if answer is None else answer[0]
