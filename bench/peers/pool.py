"""Exact peers solve one contract after the other: here, one worker a core, all in step."""

from __future__ import annotations

import multiprocessing as mp
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

from bench.cases import Instances
from bench.memory import peak_megabytes
from bench.peers.answers import Answer

Build = Callable[[Instances, int, float], Any]
Solve = Callable[[Any], float]

PATIENCE = 1800.0  # seconds a worker waits for the others

_in_step: Barrier | None = None


@dataclass(frozen=True)
class Timed:
    """Costs in the order of the contracts; seconds of the slowest worker, one a repetition."""

    costs: list[float]
    build: list[float]
    solve: list[float]
    workers: int
    megabytes: float  # the most that all workers together held

    def answer(self, versions: dict[str, str], accuracy: str) -> Answer:
        """What a peer that takes one contract after the other hands in."""
        return Answer(
            self.costs,
            self.build,
            self.solve,
            device=f"{self.workers} processes",
            megabytes=self.megabytes,
            versions=versions,
            accuracy=accuracy,
        )


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def solve_all(instances: Instances, tolerance: float, repeats: int, build: Build, solve: Solve) -> Timed:
    """Build, then solve, every contract on all cores, `repeats` times.

    `build(instances, index, tolerance)` makes a model, `solve(model)` returns the cost of its plan.
    """
    workers = min(cores(), len(instances))
    context = mp.get_context("spawn")
    barrier = context.Barrier(workers)
    shares = [
        (instances.some(mine), tolerance, repeats, build, solve)
        for mine in (slice(w, None, workers) for w in range(workers))
    ]
    with context.Pool(workers, _join, (barrier,)) as pool:
        done = pool.map(_work, shares, chunksize=1)
    costs = [0.0] * len(instances)
    for w, (found, *_) in enumerate(done):
        costs[w::workers] = found
    return Timed(
        costs,
        build=[max(spent) for spent in zip(*(worker[1] for worker in done), strict=True)],
        solve=[max(spent) for spent in zip(*(worker[2] for worker in done), strict=True)],
        workers=workers,
        megabytes=sum(held for *_, held in done),
    )


def _join(barrier: Barrier) -> None:
    global _in_step  # noqa: PLW0603  (a pool's initializer has no other way to hand over a barrier)
    _in_step = barrier


def _work(
    share: tuple[Instances, float, int, Build, Solve],
) -> tuple[list[float], list[float], list[float], float]:
    instances, tolerance, repeats, build, solve = share
    assert _in_step is not None
    costs: list[float] = []
    seconds: tuple[list[float], list[float]] = ([], [])
    try:
        for _ in range(repeats):
            _in_step.wait(PATIENCE)
            started = time.perf_counter()
            models = [build(instances, index, tolerance) for index in range(len(instances))]
            seconds[0].append(time.perf_counter() - started)
            _in_step.wait(PATIENCE)
            started = time.perf_counter()
            costs = [solve(model) for model in models]
            seconds[1].append(time.perf_counter() - started)
    except BaseException:
        _in_step.abort()
        raise
    return costs, *seconds, peak_megabytes()
