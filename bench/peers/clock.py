"""Build and solve a batch a few times, and keep the seconds of each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Built = TypeVar("Built")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Clocked(Generic[Found]):
    """The last answer, and seconds: one a repetition, and of compiling."""

    found: Found
    build: list[float]
    solve: list[float]
    compile: float


def clocked(
    build: Callable[[], Built], solve: Callable[[Built], Found], repeats: int, *, compiles: bool = True
) -> Clocked[Found]:
    """Run both `repeats` times; where the solver `compiles`, once more before that.

    `compile` is how many seconds that first run took beyond a later one. Both must block until done.
    """
    first = 0.0
    seconds: tuple[list[float], list[float]] = ([], [])
    if compiles:
        made = build()
        started = time.perf_counter()
        solve(made)
        first = time.perf_counter() - started
    for _ in range(repeats):
        started = time.perf_counter()
        made = build()
        built = time.perf_counter()
        found = solve(made)
        seconds[1].append(time.perf_counter() - built)
        seconds[0].append(built - started)
    return Clocked(found, *seconds, compile=max(first - statistics.median(seconds[1]), 0.0))
