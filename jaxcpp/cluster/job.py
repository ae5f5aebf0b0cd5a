"""One part's work: read, checked, solved, written; the one door through which any engine calls it."""

from __future__ import annotations

import os
import resource
import socket
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxcpp.cluster.cut import read_cut
from jaxcpp.cluster.manifest import CUT, TABLES, Row, key, part_file, size_of, versions, write_row
from jaxcpp.fleet.bundle_pack import largest
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import CoupledContractsError, contracts
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.pack import BundleKey, Padding
from jaxcpp.fleet.results import Columns, Rejected, Run, worst_gap
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.totals import UNCERTIFIED
from jaxcpp.tables.places import Place, place
from jaxcpp.tables.problems import FleetError, Problem
from jaxcpp.tables.read import read_part
from jaxcpp.tables.runs import PARTS, read_prices, rejected_columns, table_of
from jaxcpp.tables.schema import RUN
from jaxcpp.tables.whole import write_parquet


@dataclass(frozen=True)
class Job:
    """What every part of a run needs to be told; addresses, so that it can be sent to another machine."""

    fleet: str | Place
    run: str | Place
    settings: Settings
    skip_bad: bool
    warm_start: str | None
    begun: Mapping[str, Any]  # see manifest.begun_with
    padding: Padding | None = None  # known once all parts are checked

    def read(self, part: int) -> tuple[Fleet, list[Rejected]]:
        """A part's fleet, and its products left out; raises `FleetError`."""
        chosen = read_cut(place(self.run) / PARTS / CUT, part)
        return read_part(self.fleet, chosen, skip_bad=self.skip_bad)


@dataclass(frozen=True)
class Checked:
    """What is wrong with a part before anything is solved."""

    problems: tuple[Problem, ...] = ()
    refused: str = ""
    products: int = 0  # that stay
    bundles: dict[BundleKey, tuple[int, ...]] = field(default_factory=dict)  # see bundle_pack.largest


def check_part(job: Job, part: int) -> Checked:
    """Read and check one part, nothing solved."""
    from jaxcpp.fleet.solve import check_settings
    from jaxcpp.fleet.whole import WholeUnitsError

    try:
        fleet, _ = job.read(part)
        check_settings(fleet, job.settings)
    except FleetError as error:
        return Checked(problems=error.problems)
    except (CoupledContractsError, WholeUnitsError) as error:
        return Checked(refused=str(error))
    return Checked(products=len(fleet.product_ids), bundles=largest(fleet, bundles(fleet)))


def do_part(job: Job, part: int) -> Row:
    """Read, solve and write one part; the row of the manifest, which is written last.

    Doing a part again, or twice at once, gives the same files.
    """
    begun = time.perf_counter()
    fleet, rejected = job.read(part)
    read = time.perf_counter()
    solved = _solve(job, fleet)
    done = time.perf_counter()
    tables: dict[str, Columns | None] = dict.fromkeys(TABLES)
    if solved is not None:
        tables |= {name: getattr(solved, name) for name in ("contracts", "plans", "flows", "prices")}
    tables["rejected"] = rejected_columns(rejected)
    run, mark, sizes = place(job.run), uuid.uuid4().hex, {}
    for name, columns in tables.items():
        path = part_file(run, part, name)
        if columns is not None:
            write_parquet(table_of(RUN[name], columns), path, mark)
        sizes[f"{name}_bytes"] = size_of(path)
    row = {
        "part": part,
        "input": fleet.fingerprint,
        "begun_with": key(job.begun),
        **versions(),
        "worker": f"{socket.gethostname()}:{os.getpid()}",
        **_of_run(solved),
        "read": read - begun,
        "write": time.perf_counter() - done,
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
        **sizes,
    }
    write_row(run, row, mark)
    return row


def _solve(job: Job, fleet: Fleet) -> Run | None:
    """A part's run; None where it has no contract."""
    from jaxcpp.fleet.solve import plan_fleet

    if not len(fleet.offers.vendor):
        return None
    prices = None
    if job.warm_start is not None:
        alone = contracts(fleet, bundles(fleet)).ids.tolist()
        prices = read_prices(job.warm_start, alone)
    return plan_fleet(fleet, job.settings, yesterday=prices, padding=job.padding)


def _of_run(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {"contracts": 0, "certified": 0, "statuses": "", "worst_gap": 0.0, "device": ""}
    status = Counter(np.asarray(run.contracts["status"], dtype=str).tolist())
    ids = run.contracts["contract_id"]
    return {
        "contracts": status.total(),
        "certified": status.total() - sum(status[name] for name in UNCERTIFIED),
        "statuses": ", ".join(f"{name} {count}" for name, count in sorted(status.items())),
        "first": str(ids[0]),
        "last": str(ids[-1]),
        "worst_gap": worst_gap(run.contracts) if run.worst_gap is None else run.worst_gap,
        "device": run.device,
        **run.seconds,
    }
