"""Large buckets in parts: while one part is on its way to or from the device, another is solved.

Contracts do not feel each other, so neither do parts; a search that refills its batches is cut into few parts
or none: the last batches of each wait for its slowest contracts.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from jaxcpp.fleet.batch import OnLanes, Solved, lanes_per_batch, lanes_per_small_batch, rows, solve_bucket
from jaxcpp.fleet.data import Floats
from jaxcpp.fleet.fees import Charges, free
from jaxcpp.fleet.pack import Bucket
from jaxcpp.fleet.settings import Settings
from jaxcpp.transport import kernels

MOST_WORKERS = 8
"""Threads that solve, compile and carry; there are never many more buckets."""

ON_A_GPU = 8192
"""Most contracts of a part there: few enough that its arrays travel while another part is solved."""


def workers() -> int:
    """Threads worth having on this machine."""
    return min(len(os.sched_getaffinity(0)), MOST_WORKERS)


def solve_in_parts(
    bucket: Bucket,
    settings: Settings,
    on_lanes: OnLanes,
    fees: Charges | None = None,
    warm: Floats | None = None,
) -> Solved:
    """Every contract of a bucket, as `solve_bucket`; parts of it side by side where that is faster."""
    count = len(bucket.contract)
    fees = free(count) if fees is None else fees
    shape = bucket.shape
    size = max(lanes_per_batch(shape, count, settings), lanes_per_small_batch(shape, count))
    if jax.default_backend() != "cpu":
        size = min(size, ON_A_GPU)
    refills = settings.method != "newton" or not kernels.usable(bucket.lanes.demand)
    if settings.method == "admm" and jax.default_backend() == "cpu" and kernels.usable(bucket.lanes.demand):
        # Each part refills its batches from its own: one for each core.
        refills, size = False, max(lanes_per_batch(shape, count, settings), -(-count // workers()))
    if refills or count <= size:
        return solve_bucket(bucket, settings, on_lanes, fees, warm)
    cuts = [slice(first, first + size) for first in range(0, count, size)]

    def one(cut: slice) -> Solved:
        known = None if warm is None else warm[cut]
        return solve_bucket(_some(bucket, cut), settings, on_lanes, rows(fees, cut), known)

    with ThreadPoolExecutor(min(workers(), len(cuts))) as pool:
        solved = list(pool.map(one, cuts))
    trees = [
        (part.volume, part.unmet, part.price, part.jit_width, part.contract, part.on_schedule)
        for part in solved
    ]
    return Solved(bucket, *jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees))


def _some(bucket: Bucket, cut: slice) -> Bucket:
    return Bucket(
        bucket.shape, bucket.contract[cut], rows(bucket.lanes, cut),
        bucket.nodes[cut], bucket.region[cut], bucket.source[cut],
    )  # fmt: skip
