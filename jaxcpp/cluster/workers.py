"""Parts done by the workers of a Dask cluster: `local:N` processes of this machine, or a scheduler's."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import distributed

from jaxcpp.cluster.engines import RETRIES, ClusterError, Engine, Given, Task
from jaxcpp.cluster.job import Job

Prepare = Callable[[], None]
"""Settles JAX in a worker, once, before the first part; must be picklable."""

TIMEOUT: Final = 10.0
"""Seconds that a scheduler may take to answer."""

LOCAL: Final = re.compile(r"local:([1-9]\d*)")
GPUS: Final = Path("/proc/driver/nvidia/gpus")
CLAIMED: Final = 0.75
"""The share of a GPU's memory that JAX claims where nobody says otherwise."""


@contextmanager
def workers(address: str, prepare: Prepare) -> Iterator[Engine[Any]]:
    """Workers at an address, `local:N` or `HOST:PORT` of a scheduler, as an engine.

    Workers have a process each, with one thread. Those of `local:N` share this machine's cores and GPUs
    among them; elsewhere that is the matter of whoever starts them.

    Raises:
        ClusterError: nothing answers there.
    """
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is told by the part
    local = LOCAL.fullmatch(address)
    share = int(local[1]) if local else 0
    with ExitStack() as held:
        try:
            where = held.enter_context(_local(share)) if share else address
            client = held.enter_context(distributed.Client(where, timeout=TIMEOUT))
        except (OSError, ValueError) as error:
            raise ClusterError(f"no cluster at {address!r}: {error}") from error
        yield _engine(client, prepare, share)


def _local(count: int) -> distributed.LocalCluster:
    return distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # else it asks for one port, and warns where that is taken
        memory_limit=0,  # parts are sized by whoever cuts them: no worker is paused or ended for its memory
        silence_logs=logging.CRITICAL,
    )


def _engine(client: distributed.Client, prepare: Prepare, share: int) -> Engine[Any]:
    def do(task: Task[Given], job: Job, parts: Sequence[int]) -> Iterator[tuple[int, Given | Exception]]:
        once = uuid.uuid4().hex  # else a scheduler that outlives a run would answer for another
        futures = {
            client.submit(
                _in_worker, task, job, part, prepare, share,
                key=f"{task.__name__}-{once}-{part}", retries=RETRIES, pure=False,
            ): part
            for part in parts
        }  # fmt: skip
        for future in distributed.as_completed(futures):
            yield futures[future], _result(future)
            future.release()

    return do


def _result(future: distributed.Future) -> Any:
    """What a part came to, or why there is nothing: the scheduler may be gone with it."""
    try:
        problem = future.exception() if future.status != "cancelled" else _gone()
        return future.result() if problem is None else problem
    except (OSError, CancelledError):
        return _gone()


def _gone() -> Exception:
    return ClusterError("the scheduler is gone")


def _in_worker(task: Task[Given], job: Job, part: int, prepare: Prepare, share: int) -> Given:
    """One part, in a worker's process."""
    worker = distributed.get_worker()
    if not getattr(worker, "jaxcpp_is_settled", False):
        if share:
            _take_share(int(worker.name), share)
        prepare()
        worker.jaxcpp_is_settled = True
    return task(job, part)


def _take_share(number: int, workers: int) -> None:
    """Keep to this worker's cores and GPU; threads that start from here inherit it.

    Workers that have to share a GPU take their part of the memory that JAX would claim at once.
    """
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[number % len(cores) :: workers] or cores)
    known = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = [str(at) for at in range(_gpus())] if known is None else known.split(",")
    if not devices or devices == [""]:
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    if (beside := -(-workers // len(devices))) > 1:
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{CLAIMED / beside:.3f}")


def _gpus() -> int:
    """NVIDIA's GPUs in this machine, as its driver counts them."""
    return len(list(GPUS.iterdir())) if GPUS.is_dir() else 0
