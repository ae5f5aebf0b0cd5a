"""Exact answers to one week of a rolling horizon, by linear programming (arXiv:2605.16695 section 5).

The retailer's best continuation with the first weeks' deliveries fixed and later ones free, and the
chain's cheapest way through a whole horizon. Costs [currency]; lost margins count as cost.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.oracles.problem import Floats, Problem
from tests.oracles.program import Program

SLACK = 1e-7
"""How far a given delivery may miss feasibility by rounding, as a fraction of the total demand."""


def at_week(problem: Problem, week: int, kept: Floats, backlog: Floats, stock: Floats, weeks: int) -> Problem:
    """What is left of a problem at the start of a week, `weeks` of it in sight.

    `kept` (J, weeks) is already on hand for the demand of regions and weeks, `backlog` (J,) is past
    due, `stock` (K,) is with the vendor. Past-due demand is that of more regions, in the first week,
    at a lane that costs a week's lateness more.
    """
    ahead = slice(week, week + weeks)
    demand, capacity = problem.demand[:, ahead].copy(), problem.capacity[:, ahead].copy()
    demand = np.maximum(demand - kept[:, : demand.shape[1]], 0.0)
    capacity[:, 0] += stock
    if backlog.any():
        late = np.zeros_like(demand)
        late[:, 0] = backlog
        demand = np.concatenate([demand, late])
        lanes = np.concatenate([problem.unit_cost, problem.unit_cost + problem.backlog], axis=1)
    else:
        lanes = problem.unit_cost
    return replace(problem, unit_cost=lanes, demand=demand, capacity=capacity)


def continuation_cost(problem: Problem, plan: Floats, binding: int) -> float:
    """The retailer's least cost if `plan` (I, T) arrives in its first `binding` weeks; inf if it cannot.

    Later deliveries to public nodes are free and unlimited. No inventory.
    """
    slack = SLACK * float(problem.demand.sum())
    for room in (0.0, slack):
        cost = _continuation_cost(problem, plan, binding, room)
        if np.isfinite(cost):
            break
    return cost


def _continuation_cost(problem: Problem, plan: Floats, binding: int, slack: float) -> float:
    program = Program()
    inbound, weeks = problem.inbound, problem.weeks
    free = np.where(problem.public, np.inf, 0.0)[:, None] * np.ones(weeks)
    lower, upper = np.zeros((inbound, weeks)), np.nan_to_num(free, nan=0.0, posinf=np.inf)
    lower[:, :binding] = np.maximum(plan[:, :binding] - slack, 0.0)
    upper[:, :binding] = plan[:, :binding] + slack
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
