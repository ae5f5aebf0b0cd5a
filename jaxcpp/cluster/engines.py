"""Who does the parts: this process one after the other, or a cluster (see `workers`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from jaxcpp.cluster.job import Job

Given = TypeVar("Given")
Task = Callable[[Job, int], Given]

RETRIES: Final = 2
"""How often a part that failed is tried again."""

Engine = Callable[[Task[Given], Job, Sequence[int]], Iterator[tuple[int, "Given | Exception"]]]
"""Does a task for every part, in any order; a part that fails again and again gives its last exception."""


class ClusterError(RuntimeError):
    """There is no such cluster, or it is gone."""


def one_by_one(task: Task[Given], job: Job, parts: Sequence[int]) -> Iterator[tuple[int, Given | Exception]]:
    """Parts in this process, one after the other."""
    for part in parts:
        yield part, _tried(task, job, part)


def _tried(task: Task[Given], job: Job, part: int) -> Given | Exception:
    problem: Exception | None = None
    for _ in range(RETRIES + 1):
        try:
            return task(job, part)
        except Exception as error:  # noqa: BLE001  (whatever it is, the other parts go on and it is told)
            problem = error
    assert problem is not None
    return problem
