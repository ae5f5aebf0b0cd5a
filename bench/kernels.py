"""The native search alone, on JAX's first device: `python -m bench kernels --sizes S,M --batches 4096,1024`.

Every contract's price is judged first: the dual bound it proves must be that of the kernel on the CPU,
to the tolerance. Nothing is timed otherwise.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

import numpy as np

from bench.cases import CASES, Instances, generate

TOLERANCE = 1e-6
FIRST_EPSILON = 0.05
NEVER = 30.0  # currency / unit in scaled units: what no unit is left out for
CHECKED = 24  # contracts whose bounds are compared


def problem(instances: Instances) -> tuple[Any, Any, np.ndarray]:
    """Both sides of every contract in scaled units, weeks as space plus time, and where to start."""
    import jaxcpp_kernels as native

    case, count = instances.case, len(instances)
    weeks, nodes = case.weeks, case.inbound * case.weeks
    both = [instances.unit_cost.reshape(count, -1), instances.supplier_unit_cost.reshape(count, -1)]
    scale = np.median(np.concatenate(both, axis=1), axis=1)[:, None, None]
    total = instances.demand.sum(axis=(1, 2))[:, None]
    week = np.arange(weeks)
    early = np.tile(week, case.regions)[None, :] - week[:, None]
    buys = np.where(early >= 0, instances.holding * early, -instances.backlog * early) / scale
    wait = week[:, None] - np.tile(week, case.sources)[None, :]
    ships = np.where(wait >= 0, instances.supplier_holding * np.maximum(wait, 0), np.inf) / scale
    ours = np.repeat(instances.unit_cost, weeks, axis=2) / scale
    theirs = np.repeat(instances.supplier_unit_cost.transpose(0, 2, 1), weeks, axis=2) / scale
    none = np.zeros((count, nodes))
    demand, capacity = instances.demand.reshape(count, -1), instances.capacity.reshape(count, -1)
    retailer = native.Side(ours, demand / total, np.full_like(demand, NEVER), none, time=buys)
    supplier = native.Side(theirs, capacity / total, np.zeros_like(capacity), none, time=ships)
    return retailer, supplier, np.repeat(theirs.min(axis=2), weeks, axis=1)


def bound(retailer: Any, supplier: Any, price: np.ndarray, lane: int) -> float:
    """What a price proves of one contract: no plan is cheaper."""

    def best(side: Any, paid: np.ndarray) -> float:
        cost = side.cost[lane][:, None, :] + side.time[lane][None, :, :]
        options = cost.reshape(len(paid), -1) + paid[:, None]
        return float(np.minimum(options.min(axis=0), side.outside[lane]) @ side.mass[lane])

    return best(retailer, price[lane]) + best(supplier, -price[lane])


def main(arguments: list[str] | None = None) -> int:
    """Check, time and print; 1 where a price is not worth what the CPU's is."""
    parser = argparse.ArgumentParser(prog="python -m bench kernels", description=__doc__)
    parser.add_argument("--sizes", default="S,M,L,W")
    parser.add_argument("--batches", default="4096,1024,256,64", help="contracts, for each size")
    parser.add_argument("--repeats", type=int, default=5, help="timed repetitions; the median counts")
    options = parser.parse_args(arguments)
    import jax

    config: Any = jax.config
    config.update("jax_enable_x64", True)
    device = jax.devices()[0]
    sys.stdout.write(f"jax {jax.__version__} on {device.platform} {device.device_kind}\n")
    good = True
    for size, batch in zip(options.sizes.split(","), options.batches.split(","), strict=True):
        good = _measure(size, int(batch), options.repeats) and good
    return 0 if good else 1


def _measure(size: str, batch: int, repeats: int) -> bool:
    import jax

    each = min(batch, 1024)  # different contracts; more of them are these again
    retailer, supplier, start = problem(generate(CASES[size], each))
    few = jax.tree.map(lambda leaf: leaf[:CHECKED] if np.ndim(leaf) else leaf, (retailer, supplier, start))
    with jax.default_device(jax.devices("cpu")[0]):
        judged = jax.tree.map(np.asarray, jax.jit(_search)(*few))
    again = -(-batch // each)
    whole = jax.tree.map(
        lambda leaf: np.tile(leaf, (again,) + (1,) * (np.ndim(leaf) - 1))[:batch] if np.ndim(leaf) else leaf,
        (retailer, supplier, start),
    )
    there = jax.device_put(whole, jax.devices()[0])
    search = jax.jit(_search)
    found = jax.tree.map(np.asarray, search(*there))
    proven = [
        [bound(few[0], few[1], path.price, lane) for path in (found, judged)] for lane in range(len(few[2]))
    ]
    worst = max(abs(mine / theirs - 1.0) for mine, theirs in proven)
    done, rounds = int(found.done.sum()), found.rounds
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        jax.block_until_ready(search(*there))
        seconds.append(time.perf_counter() - begun)
    second = statistics.median(seconds)
    # The same contract twice in a batch gives the same bits.
    same = all(
        np.array_equal(leaf[:each], leaf[each : 2 * each])
        for leaf in jax.tree.leaves(found)
        if batch >= 2 * each
    )
    sys.stdout.write(
        f"{size} x {batch:6d}: {batch / second:10,.0f} contracts/s  {second * 1e3:9.3f} ms  "
        f"done {done / batch:.4f}  rounds {np.median(rounds):.0f} max {rounds.max()} "
        f"(cpu {np.median(judged.rounds):.0f})  bound off {worst:.1e}  "
        f"repeats {'alike' if same else 'DIFFER'}\n"
    )
    sys.stdout.flush()
    return worst <= 2.0 * TOLERANCE and done == batch and same


def _search(retailer: Any, supplier: Any, start: Any) -> Any:
    import jaxcpp_kernels as native

    return native.solve_path(
        retailer, supplier, start, epsilon=FIRST_EPSILON, tolerance=TOLERANCE, flows=True
    )


if __name__ == "__main__":
    sys.exit(main())
