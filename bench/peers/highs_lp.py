"""HiGHS: the joint plan as one linear program, solved by simplex at its default tolerances."""

from __future__ import annotations

import functools
import importlib.metadata

import highspy
import numpy as np

from bench.cases import Case, Instances
from bench.network import Network, costs, network
from bench.peers.answers import Answer, main
from bench.peers.pool import solve_all


@functools.cache
def _network(case: Case) -> Network:
    return network(case)


def build(instances: Instances, index: int, tolerance: float) -> highspy.Highs:  # noqa: ARG001  (exact)
    """The contract as a linear program: one column an arc, one row a node."""
    arcs = _network(instances.case)
    cost = costs(instances, index)
    nothing = np.zeros(arcs.inbound)
    demand = instances.demand[index].ravel()
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(cost), arcs.sources + arcs.inbound + arcs.regions
    lp.col_cost_, lp.col_lower_ = cost, np.zeros(len(cost))
    lp.col_upper_ = np.full(len(cost), highspy.kHighsInf)
    lp.row_lower_ = np.concatenate([np.full(arcs.sources, -highspy.kHighsInf), nothing, demand])
    lp.row_upper_ = np.concatenate([instances.capacity[index].ravel(), nothing, demand])
    sign = np.ones((len(cost), 2))
    sign[arcs.supplier_arcs :, 0] = -1.0  # the retailer's arcs leave an inbound node
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = 2 * np.arange(len(cost) + 1)
    lp.a_matrix_.index_ = np.stack([arcs.tail, arcs.head], axis=1).ravel()
    lp.a_matrix_.value_ = sign.ravel()
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("threads", 1)
    model.passModel(lp)
    return model


def solve(model: highspy.Highs) -> float:
    """The least cost [currency]."""
    model.run()
    status = model.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"HiGHS: {status}")
    return float(model.getInfo().objective_function_value)


def run(instances: Instances, tolerance: float, repeats: int, variant: str) -> Answer:  # noqa: ARG001
    """All contracts on all cores."""
    timed = solve_all(instances, tolerance, repeats, build, solve)
    return timed.answer({"highspy": importlib.metadata.version("highspy")}, "exact, default tolerances")


if __name__ == "__main__":
    main(run)
