"""moreau: the joint plans of a batch as linear programs of one structure, by its batched interior point."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import moreau
import numpy as np
import scipy.sparse as sp

from bench.cases import Floats, Instances
from bench.network import all_costs, limits, network, rows, unbalanced
from bench.peers.answers import Answer, main
from bench.peers.clock import clocked
from bench.peers.pool import cores


def build(instances: Instances) -> tuple[Any, Floats, Floats]:
    """A solver of the whole batch, its costs and its right-hand sides; each contract scaled by its demand."""
    count = len(instances)
    out, net = rows(network(instances.case))
    matrix = sp.csr_array(sp.vstack([net, out]))
    size = matrix.shape[1]
    nothing = sp.csr_array((size, size))
    solver = moreau.CompiledSolver(
        n=size,
        m=matrix.shape[0],
        P_row_offsets=nothing.indptr.tolist(),
        P_col_indices=[],
        A_row_offsets=matrix.indptr.tolist(),
        A_col_indices=matrix.indices.tolist(),
        cones=moreau.Cones(
            num_zero_cones=net.shape[0],
            num_nonneg_cones=out.shape[0],
            dir_cones=[moreau.DirectConeSpec(kind="nonneg", indices=list(range(size)))],
        ),
        settings=moreau.Settings(device="cpu", batch_size=count),
    )
    solver.setup(np.zeros((count, 0)), np.tile(matrix.data, (count, 1)))
    most, exactly = limits(instances)
    right = np.concatenate([exactly, most], axis=1) / instances.demand.sum(axis=(1, 2))[:, None]
    return solver, all_costs(instances), right


def solved(solver: Any, cost: Floats, right: Floats) -> Floats:
    """Flows of a demand of 1, (contract, arc). Raises RuntimeError where a contract is not solved."""
    found = solver.solve(cost, right)
    failed = {moreau.SolverStatus(int(status)).name for status in np.atleast_1d(solver.info.status)}
    if failed != {"Solved"}:
        raise RuntimeError(f"moreau: {', '.join(sorted(failed))}")
    return np.asarray(found.x, np.float64).reshape(len(cost), -1)


def run(instances: Instances, tolerance: float, repeats: int, variant: str) -> Answer:  # noqa: ARG001
    """All contracts as one batch, at moreau's own tolerances."""
    clock = clocked(lambda: build(instances), lambda made: solved(*made), repeats, compiles=False)
    flows = clock.found * instances.demand.sum(axis=(1, 2))[:, None]
    cost = all_costs(instances)
    return Answer(
        np.sum(cost * flows, axis=1).tolist(),
        clock.build,
        clock.solve,
        device=f"{cores()} threads",
        versions={"moreau": importlib.metadata.version("moreau")},
        accuracy="default tolerances, 1e-8",
        unbalanced=unbalanced(instances, flows),
    )


if __name__ == "__main__":
    main(run)
