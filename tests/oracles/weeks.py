"""Exact answers to one week of a rolling horizon, by linear programming (arXiv:2605.16695 section 5).

The retailer's best continuation with the first weeks' deliveries fixed and later ones free, and the
chain's cheapest way through a whole horizon. Costs [currency]; lost margins count as cost.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.oracles.problem import Floats, Problem
from tests.oracles.program import Ints, Program

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


def continuation_cost(
    problem: Problem, plan: Floats, binding: int, churn: float = 0.0, beyond: bool = False
) -> float:
    """The retailer's least cost if `plan` (I, T) arrives in its first `binding` weeks; inf if it cannot.

    Later deliveries to public nodes are free and unlimited, but for `churn` on every unit by which they
    move from `plan`; with `beyond`, demand may also wait for one in the week after the last. No inventory.
    """
    slack = SLACK * float(problem.demand.sum())
    for room in (0.0, slack):
        program, arrives, served = _arrivals(problem, plan, binding, room)
        _moves(program, arrives[:, binding:], plan[:, binding:], np.full(plan[:, binding:].shape, churn))
        if beyond and np.isfinite(problem.backlog):
            wait = problem.backlog * (problem.weeks - np.arange(problem.weeks))
            lane = np.min(problem.unit_cost[problem.public], axis=0, initial=np.inf)
            cost_of_waiting = lane[:, None] + wait[None, :]
            program.put(
                "equal", served, program.columns(np.where(np.isfinite(cost_of_waiting), cost_of_waiting, 1e9))
            )
        answer = program.solve()
        cost = np.inf if answer is None else answer[0]
        if np.isfinite(cost):
            break
    return cost


def _arrivals(problem: Problem, plan: Floats, binding: int, slack: float) -> tuple[Program, Ints, Ints]:
    """The retailer's program, its deliveries (I, T), near `plan` in the first weeks, and its demand rows."""
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
    return program, arrives, served


def best_on_record(problem: Problem, record: Floats, price: Floats) -> tuple[float, Floats]:
    """Least cost of the retailer's own best plan, and the plan, where leaving `record` (I, T) is priced."""
    program, arrives, _ = _arrivals(problem, np.zeros((problem.inbound, problem.weeks)), 0, 0.0)
    _moves(program, arrives, record, price)
    answer = program.solve()
    assert answer is not None
    return answer[0], answer[1][arrives]


def _moves(program: Program, arrives: Ints, record: Floats, price: Floats) -> None:
    """Charge every unit by which deliveries differ from `record`, at `price` (I, T)."""
    apart = program.rows("equal", record)
    program.put("equal", apart, arrives)
    program.put("equal", apart, program.columns(np.broadcast_to(price, record.shape).copy()), -1.0)
    program.put("equal", apart, program.columns(np.broadcast_to(price, record.shape).copy()))
