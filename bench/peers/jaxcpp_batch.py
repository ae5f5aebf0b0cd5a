"""jaxcpp itself: the whole mechanism for every contract, as the main job runs it.

A contract here is more than the peers' joint plan: it holds the just-in-time plan, the transfer and a
certificate too. Packing the arrays counts as building, as it does for the peers; a first run compiles
and is reported apart.
"""

from __future__ import annotations

import importlib.metadata
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

import jaxcpp
from bench.cases import Instances
from bench.peers.answers import Answer, main
from bench.peers.pool import cores
from jaxcpp.fleet.batch import Solved, solve_bucket
from jaxcpp.fleet.pack import Bucket, Lanes, Shape
from jaxcpp.fleet.settings import Settings


def run(instances: Instances, tolerance: float, repeats: int) -> Answer:
    """All contracts on JAX's first device, in float64; on a CPU one bucket a core, side by side."""
    config: Any = jax.config
    config.update("jax_enable_x64", True)
    os.environ.setdefault("PJRT_NPROC", "1")  # as the main job does: see jaxcpp.cli.backend
    device = jax.devices()[0]
    workers = min(cores(), len(instances)) if device.platform == "cpu" else 1
    settings = Settings(tolerance=tolerance)
    seconds: dict[str, list[float]] = {"build": [], "solve": []}
    started = time.perf_counter()
    solved = _solve(_buckets(instances, workers), settings, workers)
    first = time.perf_counter() - started
    for _ in range(repeats):
        started = time.perf_counter()
        buckets = _buckets(instances, workers)
        seconds["build"].append(time.perf_counter() - started)
        started = time.perf_counter()
        solved = _solve(buckets, settings, workers)
        seconds["solve"].append(time.perf_counter() - started)
    contracts = [part.contract for part in solved]
    costs = np.concatenate([c.retailer.cost_plan + c.supplier.cost_plan for c in contracts])
    gaps = np.concatenate([c.certificate.efficiency_gap for c in contracts])
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
        compile=max(first - statistics.median(seconds["solve"]), 0.0),
        certified=(gaps / costs).tolist(),
    )


def _solve(buckets: list[Bucket], settings: Settings, workers: int) -> list[Solved]:
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda bucket: solve_bucket(bucket, settings, lambda *_: None), buckets))


def _buckets(instances: Instances, workers: int) -> list[Bucket]:
    """The contracts as packed lanes, in as many parts as there are workers.

    Margins do not matter: all demand is met.
    """
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
    return [
        Bucket(
            shape,
            contract=part,
            lanes=jax.tree.map(lambda leaf, part=part: leaf[part], lanes),
            nodes=nowhere[part],
            region=nowhere[part],
            source=nowhere[part],
        )
        for part in np.array_split(np.arange(count), workers)
    ]


if __name__ == "__main__":
    main(run)
