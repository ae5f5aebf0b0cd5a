"""jaxcpp itself: the whole mechanism for every contract, as the main job runs it.

A contract here is more than the peers' joint plan: it holds the just-in-time plan, the transfer and a
certificate too. Packing the arrays, and bringing them to the device, counts as building, as it does
for the peers; a first run compiles and is reported apart.
"""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import replace
from typing import Any

import jax
import numpy as np

import jaxcpp
from bench.cases import Instances
from bench.peers.answers import Answer, main
from bench.peers.clock import clocked
from jaxcpp.fleet import store
from jaxcpp.fleet.pack import Bucket, Lanes, Shape
from jaxcpp.fleet.parts import solve_in_parts
from jaxcpp.fleet.settings import Settings


def run(instances: Instances, tolerance: float, repeats: int, variant: str) -> Answer:
    """All contracts on JAX's first device, in float64, as one bucket of the main job.

    `variant` is the method of consensus: newton or admm.
    """
    settle_backend()
    device = jax.devices()[0]
    settings = Settings(tolerance=tolerance, method="admm" if variant == "admm" else "newton")

    def build() -> Bucket:
        bucket = bucket_of(instances)
        return replace(bucket, lanes=store.place(bucket.lanes))

    clock = clocked(build, lambda bucket: solve_in_parts(bucket, settings, silent).contract, repeats)
    contracts = clock.found
    costs = np.asarray(contracts.retailer.cost_plan + contracts.supplier.cost_plan)
    gaps = np.asarray(contracts.certificate.efficiency_gap)
    return Answer(
        costs.tolist(),
        clock.build,
        clock.solve,
        device=f"{device.platform} {device.device_kind}",
        versions={
            "jaxcpp": jaxcpp.__version__,
            "jax": jax.__version__,
            "jaxlib": importlib.metadata.version("jaxlib"),
        },
        accuracy=f"certified to {tolerance:g}",
        platform=device.platform,
        compile=clock.compile,
        certified=(gaps / costs).tolist(),
        rounds=np.asarray(contracts.rounds).tolist(),
    )


def settle_backend() -> None:
    """JAX as the main job uses it: see `jaxcpp.cli.backend`."""
    config: Any = jax.config
    config.update("jax_enable_x64", True)
    config.update("jax_cpu_enable_async_dispatch", False)
    os.environ.setdefault("PJRT_NPROC", "1")


def silent(done: int, certified: int, worst: float) -> None:
    """Nobody watches the progress of a benchmark."""


def bucket_of(instances: Instances) -> Bucket:
    """The contracts as packed lanes. Margins do not matter: all demand is met."""
    case, count = instances.case, len(instances)
    weeks = case.weeks
    shape = Shape(case.inbound, weeks, case.regions * weeks, case.sources, stocked=False)
    both = [instances.unit_cost.reshape(count, -1), instances.supplier_unit_cost.reshape(count, -1)]
    retailer = [0.0, instances.holding, instances.backlog, np.inf, np.inf]
    lanes = Lanes(
        outbound=np.repeat(instances.unit_cost, weeks, axis=2),
        demand=instances.demand.reshape(count, -1),
        week=np.tile(np.arange(weeks, dtype=np.int32), (count, case.regions)),
        inventory=None,
        retailer=np.tile(retailer, (count, 1)),
        inbound=instances.supplier_unit_cost,
        capacity=instances.capacity,
        supplier=np.tile([0.0, instances.supplier_holding], (count, 1)),
        scale=np.median(np.concatenate(both, axis=1), axis=1),
    )
    nowhere = np.full((count, 1), -1, np.int32)  # the lanes come from no fleet
    return Bucket(shape, np.arange(count), lanes, nodes=nowhere, region=nowhere, source=nowhere)


if __name__ == "__main__":
    main(run)
