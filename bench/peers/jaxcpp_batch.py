"""jaxcpp itself: the whole mechanism for every contract of a batch, in one jitted call.

A contract here is more than the peers' joint plan: it holds the just-in-time plan, the transfer and
a certificate too. Arrays are built outside the timing, as they are for the peers; compilation is
reported apart.
"""

from __future__ import annotations

import importlib.metadata
import time
from typing import Any

import jax
import numpy as np

import jaxcpp
from bench.cases import Instances
from bench.peers.answers import Answer, main
from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.mechanism.coordinate import coordinate


def run(instances: Instances, tolerance: float, repeats: int) -> Answer:
    """All contracts at once on JAX's first device, in float64."""
    config: Any = jax.config
    config.update("jax_enable_x64", True)
    seconds: dict[str, list[float]] = {"build": [], "solve": []}

    build = jax.jit(lambda arrays: _parties(arrays, instances))
    parties = build(_arrays(instances))
    started = time.perf_counter()
    solve = jax.jit(jax.vmap(lambda r, s: coordinate(r, s, tolerance=tolerance))).lower(*parties).compile()
    compiling = time.perf_counter() - started
    for _ in range(repeats):
        started = time.perf_counter()
        parties = jax.block_until_ready(build(_arrays(instances)))
        seconds["build"].append(time.perf_counter() - started)
        started = time.perf_counter()
        contracts = jax.block_until_ready(solve(*parties))
        seconds["solve"].append(time.perf_counter() - started)
    costs = np.asarray(contracts.retailer.cost_plan + contracts.supplier.cost_plan)
    gaps = np.asarray(contracts.certificate.efficiency_gap) / costs
    device = jax.devices()[0]
    return Answer(
        costs.tolist(),
        **seconds,
        device=f"{device.platform} {device.device_kind}",
        versions={
            "jaxcpp": jaxcpp.__version__,
            "jax": jax.__version__,
            "jaxlib": importlib.metadata.version("jaxlib"),
        },
        accuracy=f"certified to {tolerance:g}",
        platform=device.platform,
        compile=compiling,
        certified=gaps.tolist(),
    )


def _arrays(instances: Instances) -> tuple[Any, ...]:
    return instances.unit_cost, instances.demand, instances.supplier_unit_cost, instances.capacity


def _parties(arrays: tuple[Any, ...], instances: Instances) -> tuple[Retailer, Supplier]:
    """Both parties of every contract. Margins do not matter: all demand is met."""

    def one(unit_cost: Any, demand: Any, supplier_unit_cost: Any, capacity: Any) -> tuple[Retailer, Supplier]:
        retailer = Retailer(
            unit_cost, demand, 0.0, holding_cost=instances.holding, backlog_cost=instances.backlog
        )
        return retailer, Supplier(supplier_unit_cost, capacity, 0.0, holding_cost=instances.supplier_holding)

    return jax.vmap(one)(*arrays)


if __name__ == "__main__":
    main(run)
