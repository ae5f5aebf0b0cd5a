"""MPAX: the joint plans of a batch as linear programs, by its first-order method r2HPDHG under `vmap`."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import jax
import jax.numpy as jnp
import mpax
import numpy as np
from jax.experimental.sparse import BCOO

from bench.cases import Instances
from bench.network import all_costs, limits, network, rows, unbalanced
from bench.peers.answers import Answer, main
from bench.peers.clock import clocked
from bench.peers.jaxcpp_batch import settle_backend

MOST_ITERATIONS = 20_000


def solver(instances: Instances, tolerance: float) -> Any:
    """A compiled function of a batch's costs and right-hand sides; flows of a demand of 1."""
    out, net = (BCOO.from_scipy_sparse(matrix) for matrix in rows(network(instances.case)))
    size = out.shape[1]
    method = mpax.r2HPDHG(eps_abs=tolerance, eps_rel=tolerance, iteration_limit=MOST_ITERATIONS)

    def one(cost: jax.Array, most: jax.Array, exactly: jax.Array) -> tuple[jax.Array, jax.Array]:
        program = mpax.create_lp(
            cost, net, exactly, -out, -most, jnp.zeros(size), jnp.full(size, jnp.inf), use_sparse_matrix=True
        )
        answer = method.optimize(program)
        return answer.primal_solution, answer.iteration_count

    return jax.jit(jax.vmap(one))


def run(instances: Instances, tolerance: float, repeats: int, variant: str) -> Answer:  # noqa: ARG001
    """All contracts as one batch on JAX's first device, in float64."""
    settle_backend()
    device = jax.devices()[0]
    solve, total = solver(instances, tolerance), instances.demand.sum(axis=(1, 2))[:, None]

    def build() -> Any:
        sides = (side / total for side in limits(instances))
        return jax.block_until_ready(jax.device_put((all_costs(instances), *sides)))

    clock = clocked(build, lambda arrays: jax.block_until_ready(solve(*arrays)), repeats)
    flows, iterations = clock.found
    units = np.asarray(flows) * total
    return Answer(
        np.sum(all_costs(instances) * units, axis=1).tolist(),
        clock.build,
        clock.solve,
        device=f"{device.platform} {device.device_kind}",
        versions={"mpax": importlib.metadata.version("mpax"), "jax": jax.__version__},
        accuracy=f"residuals and gap {tolerance:g}, at most {MOST_ITERATIONS} iterations",
        platform=device.platform,
        compile=clock.compile,
        unbalanced=unbalanced(instances, units),
        rounds=np.asarray(iterations).tolist(),
    )


if __name__ == "__main__":
    main(run)
