"""Exact utilities of one contract: the chain's best, each party's at a given plan, just-in-time.

Utility [currency] is gross profit less cost. The retailer earns its margin on every unit sold and
pays for transport, holding, backlog, lost sales and units left over; the supplier earns its margin
on every unit delivered and pays for transport and holding. A plan is (I, T) units delivered.

Every program is solved in units of the total demand, so that HiGHS's absolute tolerances are
relative ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.oracles.problem import Floats, Problem
from tests.oracles.program import Ints, Program

SLACK = 1e-9
"""How far a given plan may miss feasibility by rounding, as a fraction of the total demand."""


def joint_optimum(problem: Problem) -> tuple[float, Floats | None]:
    """Largest total utility and a plan (I, T) that reaches it; (-inf, None) if there is none."""
    program, plan = _start(problem)
    add_retailer(program, problem, plan)
    add_supplier(program, problem, plan)
    return _finish(program, problem, plan)


def best_choice(
    problem: Problem, order: Floats, weight: float, over: float | Floats, under: float | Floats
) -> tuple[float, Floats | None]:
    """Largest `u_S(x) + weight u_A(x) - over (x - order)+ - under (order - x)+`, and a plan that has it.

    Charges by unit away from `order` (I, T): what a supplier maximizes on a price schedule, its constant
    `weight u_A(order)` left out.
    """
    program, plan = _start(problem)
    add_retailer(program, problem, plan, weight)
    add_supplier(program, problem, plan)
    apart = program.rows("equal", np.asarray(order) / _scale(problem))
    program.put("equal", apart, plan)
    program.put("equal", apart, program.columns(np.broadcast_to(over, plan.shape)), -1.0)
    program.put("equal", apart, program.columns(np.broadcast_to(under, plan.shape)))
    return _finish(program, problem, plan)


def best_paying(
    problem: Problem,
    order: Floats,
    stand: float,
    rate: float,
    over: Floats,
    under: Floats,
    record: tuple[Floats, Floats] | None = None,
) -> tuple[float, Floats | None]:
    """Largest `u_S(x) - B(x) - rate max(B(x), 0) - over (x - order)+ - under (order - x)+`, and its plan.

    `B(x) = stand - u_A(x)` [currency] may be negative: `stand` is what the retailer has otherwise. With a
    `record` (plan, price), both (I, T), it also holds the price on every unit by which `x` leaves that plan.
    """
    program, plan = _start(problem)
    add_retailer(program, problem, plan)
    if record is not None:
        known, price = record
        moved = program.rows("equal", known / _scale(problem))
        program.put("equal", moved, plan)
        program.put("equal", moved, program.columns(price.copy()), -1.0)
        program.put("equal", moved, program.columns(price.copy()))
    costs = program.cost_so_far()
    add_supplier(program, problem, plan)
    paid = program.columns(np.full(1, rate))
    share = program.rows("at_most", np.full(1, -stand / _scale(problem)))
    program.put("at_most", np.repeat(share, costs.size), np.arange(costs.size), costs)
    program.put("at_most", share, paid, -1.0)
    apart = program.rows("equal", np.asarray(order) / _scale(problem))
    program.put("equal", apart, plan)
    program.put("equal", apart, program.columns(np.broadcast_to(over, plan.shape)), -1.0)
    program.put("equal", apart, program.columns(np.broadcast_to(under, plan.shape)))
    utility, best = _finish(program, problem, plan)
    return utility - stand, best


def best_jit(problem: Problem) -> tuple[float, Floats | None]:
    """The retailer's best utility and plan when deliveries to public nodes are free and unlimited."""
    program, plan = _start(problem, upper=np.where(problem.public, np.inf, 0.0)[:, None])
    add_retailer(program, problem, plan)
    return _finish(program, problem, plan)


def best_jit_utility(problem: Problem) -> float:
    """The retailer's best utility when deliveries to public nodes are free and unlimited."""
    return best_jit(problem)[0]


def retailer_utility(problem: Problem, plan: Floats) -> float:
    """What the retailer earns with `plan`; -inf where it cannot live with it."""
    return _utility_at(problem, plan, add_retailer)


def supplier_utility(problem: Problem, plan: Floats) -> float:
    """What the supplier earns by delivering `plan`; -inf where it cannot."""
    return _utility_at(problem, plan, add_supplier)


def supplier_status_quo(problem: Problem, order: Floats) -> tuple[float, Floats]:
    """The supplier's utility and deliveries when the retailer orders without coordination.

    It fills the whole order if it can, and otherwise the fraction of every line that suits it best.
    """
    whole = supplier_utility(problem, order)
    if np.isfinite(whole):
        return whole, order
    return best_part(problem, order)


def best_part(problem: Problem, order: Floats) -> tuple[float, Floats]:
    """The supplier's largest utility with any part of every line of an order, and that part."""
    program, columns = _start(problem, 0.0, np.asarray(order) / _scale(problem))
    add_supplier(program, problem, columns)
    utility, confirmed = _finish(program, problem, columns)
    assert confirmed is not None, "confirming nothing is always possible"
    return utility, confirmed


def is_feasible(problem: Problem, plan: Floats | None = None) -> bool:
    """Whether both parties can live with `plan`, or with any plan at all."""
    if plan is None:
        return joint_optimum(problem)[1] is not None
    return bool(np.isfinite(retailer_utility(problem, plan) + supplier_utility(problem, plan)))


def _scale(problem: Problem) -> float:
    return float(problem.demand.sum()) or 1.0


def _utility_at(problem: Problem, plan: Floats, add: Callable[[Program, Problem, Ints], None]) -> float:
    """One party's utility at exactly `plan`; within SLACK of it only where rounding makes it infeasible."""
    share = np.asarray(plan, dtype=np.float64) / _scale(problem)
    utility = -np.inf
    for slack in (0.0, SLACK):
        program, columns = _start(problem, np.maximum(share - slack, 0.0), np.maximum(share + slack, 0.0))
        add(program, problem, columns)
        utility, _ = _finish(program, problem, columns)
        if np.isfinite(utility):
            break
    return utility


def _start(
    problem: Problem, lower: float | Floats = 0.0, upper: float | Floats = np.inf
) -> tuple[Program, Ints]:
    program = Program()
    return program, program.columns(np.zeros((problem.inbound, problem.weeks)), lower, upper)


def _finish(program: Program, problem: Problem, plan: Ints) -> tuple[float, Floats | None]:
    answer = program.solve()
    if answer is None:
        return -np.inf, None
    cost, values = answer
    return -cost * _scale(problem), values[plan] * _scale(problem)


def weeks_cost(weeks: int, holding: float, late: float) -> Floats:
    """(T, T) currency / unit for a unit that arrives in one week and is used in another."""
    gap = np.arange(weeks)[None, :] - np.arange(weeks)[:, None]
    cost = holding * np.maximum(gap, 0.0)
    cost[gap < 0] = late * -gap[gap < 0]
    return cost


def add_retailer(
    program: Program, problem: Problem, plan: Ints, weight: float = 1.0, *, scale: float = 0.0
) -> None:
    """The retailer's rows and columns in units of `scale`, by default the problem's own."""
    scale = scale or _scale(problem)
    weeks = weeks_cost(problem.weeks, problem.holding, problem.backlog)
    served = program.rows("equal", problem.demand / scale)  # (J, T)
    arrived = program.rows("equal", np.zeros(plan.shape))  # (I, T)
    program.put("equal", arrived, plan, -1.0)

    cost = problem.unit_cost[:, None, :, None] + weeks[None, :, None, :]
    node, week, region, week_used = np.nonzero(np.isfinite(cost))
    shipped = program.columns(weight * (cost[node, week, region, week_used] - problem.margin))
    program.put("equal", arrived[node, week], shipped)
    program.put("equal", served[region, week_used], shipped)

    cost = problem.unit_cost[:, :, None] + weeks[0][None, None, :]
    node, region, week_used = np.nonzero(np.isfinite(cost))
    from_stock = program.columns(weight * (cost[node, region, week_used] - problem.margin))
    program.put("equal", served[region, week_used], from_stock)
    program.put("at_most", program.rows("at_most", problem.inventory / scale)[node], from_stock)

    if np.isfinite(problem.lost_sale):
        program.put("equal", served, program.columns(np.full(served.shape, weight * problem.lost_sale)))
    if np.isfinite(problem.leftover):
        program.put("equal", arrived, program.columns(np.full(arrived.shape, weight * problem.leftover)))


def add_supplier(program: Program, problem: Problem, plan: Ints) -> None:
    """The supplier's rows and columns in units of the total demand."""
    weeks = weeks_cost(problem.weeks, problem.supplier_holding, np.inf)
    made = program.rows("at_most", problem.capacity / _scale(problem))  # (K, T)
    delivered = program.rows("equal", np.zeros(plan.shape))  # (I, T)
    program.put("equal", delivered, plan, -1.0)

    cost = problem.supplier_unit_cost[:, None, :, None] + weeks[None, :, None, :]
    source, week, node, week_delivered = np.nonzero(np.isfinite(cost))
    shipped = program.columns(cost[source, week, node, week_delivered] - problem.supplier_margin)
    program.put("at_most", made[source, week], shipped)
    program.put("equal", delivered[node, week_delivered], shipped)
