"""`jaxcpp plan` in parts: in this process, or on a cluster's workers."""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcpp.cli import backend
from jaxcpp.cli.options import Device
from jaxcpp.cli.status import Status, fail
from jaxcpp.fleet.settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from jaxcpp.fleet.totals import Totals


def plan_parts(
    fleet: str,
    run: str,
    settings: Settings,
    *,
    cluster: str | None,
    part_size: int | None,
    resume: bool,
    skip_bad: bool,
    device: Device | None,
    warm_start: str | None,
) -> tuple[Totals, list[tuple[str, str]]]:
    """Plan part by part; the totals, and the products left out with the reason."""
    from rich.console import Console

    from jaxcpp import tables
    from jaxcpp.cli.progress import progress_bar
    from jaxcpp.cluster.engines import ClusterError
    from jaxcpp.cluster.plan import Asked, PartsFailedError, RefusedError, plan_in_parts
    from jaxcpp.fleet.rules import FeeError

    asked = Asked(
        _whole(fleet),
        _whole(run),
        settings,
        part_size=part_size,
        skip_bad=skip_bad,
        warm_start=None if warm_start is None else _whole(warm_start),
        resume=resume,
    )
    bad_input = (
        *(tables.FleetError, tables.RunFolderError, tables.ResumeError, tables.PlaceError),
        *(RefusedError, FeeError),
    )
    try:
        with _engine(cluster, device) as engine, progress_bar(Console(stderr=True)) as on_progress:
            done = plan_in_parts(asked, engine, on_progress)
    except bad_input as error:
        fail(str(error), Status.BAD_INPUT)
    except PartsFailedError as error:
        no_device = all(isinstance(problem, backend.NoDeviceError) for problem in error.problems)
        fail(str(error), Status.NO_DEVICE if no_device else Status.OUR_FAULT)
    except ClusterError as error:
        fail(str(error), Status.OUR_FAULT)
    return done.totals, done.rejected


def _engine(cluster: str | None, device: Device | None) -> AbstractContextManager[Any]:
    """Who does the parts."""
    from jaxcpp.cluster.engines import one_by_one

    if cluster is None:
        backend.start(device)
        return nullcontext(one_by_one)
    if importlib.util.find_spec("distributed") is None:
        fail("--cluster needs Dask: pip install 'jaxcpp[cluster]'", Status.BAD_INPUT)
    from jaxcpp.cluster.workers import workers

    return workers(cluster, partial(backend.settle, device))


def _whole(address: str) -> str:
    """An address or a path that means the same in every process."""
    return address if "://" in address else str(Path(address).absolute())
