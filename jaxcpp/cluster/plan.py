"""A fleet planned in parts: cut, check, solve what is missing, join; at any point it may be cut off."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jaxcpp.cluster.cut import read_sizes, write_cut
from jaxcpp.cluster.engines import Engine, one_by_one
from jaxcpp.cluster.ids import Ids, read_ids
from jaxcpp.cluster.job import Checked, Job, check_part, do_part
from jaxcpp.cluster.join import join_parts
from jaxcpp.cluster.manifest import (
    CUT,
    Row,
    begin,
    begun_with,
    check_same,
    earlier,
    is_whole,
    key,
    mark_begun,
    padding_of,
    rows_of,
    write_manifest,
)
from jaxcpp.fleet.bundle_pack import larger
from jaxcpp.fleet.pack import BundleKey, Padding
from jaxcpp.fleet.settings import OnProgress, Progress, Settings
from jaxcpp.fleet.totals import NEEDED, Totals
from jaxcpp.tables.files import read_toml
from jaxcpp.tables.places import Folder, Place, opened, place, remove_folder
from jaxcpp.tables.problems import FleetError, Problem, Report
from jaxcpp.tables.read import NONE_LEFT
from jaxcpp.tables.runs import (
    PARTS,
    SUCCESS,
    check_run_folder,
    columns_of,
    facts_of,
    read_prices,
    write_facts,
)
from jaxcpp.tables.whole import write_text

PART_SIZE: Final = 5_000
"""Contracts of a part, where nobody says: about a gibibyte while it is solved."""

SHOWN: Final = 50
"""Problems that are told of a fleet; the others are counted."""


class PartsFailedError(RuntimeError):
    """Some parts were not done, however often they were tried; the others are there."""

    def __init__(self, message: str, problems: Sequence[Exception]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class RefusedError(ValueError):
    """What is asked for is not done for this fleet."""


@dataclass(frozen=True)
class Asked:
    """What a run in parts is asked to do.

    `part_size` is in contracts; None: that of the parts there, or `PART_SIZE`.
    """

    fleet: str | Place
    run: str | Place
    settings: Settings
    part_size: int | None = None
    skip_bad: bool = False
    warm_start: str | None = None
    resume: bool = False


@dataclass(frozen=True)
class Done:
    """What came out: totals over contracts, products left out, and how many parts were done just now."""

    totals: Totals
    rejected: list[tuple[str, str]]  # product_id, reason
    parts: int


def plan_in_parts(
    asked: Asked, engine: Engine[Any] = one_by_one, on_progress: OnProgress | None = None
) -> Done:
    """Plan a fleet part by part; the run's tables are byte for byte those of one process.

    No process holds more of the fleet than one part, and the ids. A part's files are written under a
    temporary name and renamed, its row in the manifest last; `_SUCCESS` is the last file of the run.

    Raises:
        FleetError: the fleet cannot be read, or has problems; nothing was solved.
        RefusedError: the settings are not for this fleet; nothing was solved.
        ResumeError: parts of another run would be mixed with this one's.
        RunFolderError: the folder holds something else than a run, or there are no prices to begin at.
        PartsFailedError: some parts failed; the others are kept.
    """
    started = time.perf_counter()
    fleet, run = place(asked.fleet), place(asked.run)
    check_run_folder(run)
    if asked.warm_start is not None:
        read_prices(asked.warm_start, [])
    before = earlier(run) if asked.resume and run.exists() else None
    size = asked.part_size or (PART_SIZE if before is None else int(before["part_size"]))
    facts = begun_with(
        fleet, asked.settings, part_size=size, skip_bad=asked.skip_bad, warm_start=asked.warm_start
    )
    job = Job(asked.fleet, asked.run, asked.settings, asked.skip_bad, asked.warm_start, facts)
    if before is None:
        _prepare(fleet, run, job, engine, size)
    else:
        check_same(before, facts)
        if is_whole(run):
            remove_folder(run / PARTS)
            return Done(_totals_of(run), _rejected_of(run), 0)
    job = replace(job, padding=padding_of(run))
    sizes = read_sizes(run / PARTS / CUT)
    rows = rows_of(run, key(facts))
    missing = [part for part in range(len(sizes)) if part not in rows]
    _do(job, engine, missing, rows, sizes, on_progress)
    solved = time.perf_counter()
    totals = join_parts(run, rows)
    write_manifest(run, rows)
    info = _info(fleet, job, facts, rows)
    info["seconds"] |= {"join": time.perf_counter() - solved, "total": time.perf_counter() - started}
    write_facts(facts_of(totals, info), run)
    write_text("", run / SUCCESS)
    remove_folder(run / PARTS)
    return Done(totals, _rejected_of(run), len(missing))


def _prepare(fleet: Folder, run: Folder, job: Job, engine: Engine[Any], size: int) -> None:
    """Cut the fleet and check every part of it; the folder is then begun."""
    ids = read_ids(fleet)
    _check_fees(job.settings, ids)
    begin(run)
    counts = write_cut(fleet, ids, size, run / PARTS / CUT)
    inbound, sources = len(ids.inbound_ids), ids.most_sources
    del ids
    try:
        bundles = _check(engine, job, range(len(counts)))
    except (FleetError, RefusedError):
        remove_folder(run / PARTS)
        raise
    mark_begun(run, job.begun, Padding(inbound, sources, bundles))


def _check(engine: Engine[Checked], job: Job, parts: Sequence[int]) -> dict[BundleKey, tuple[int, ...]]:
    """Read and check every part; the sizes of the fleet's largest bundles."""
    bundles: dict[BundleKey, tuple[int, ...]] = {}
    problems: dict[Problem, None] = {}  # those of rows that speak for every product come from every part
    failed: dict[int, Exception] = {}
    refused, products = "", 0
    for part, found in engine(check_part, job, parts):
        if isinstance(found, Exception):
            failed[part] = found
            continue
        problems |= dict.fromkeys(found.problems)
        refused = refused or found.refused
        products += found.products
        bundles = larger(bundles, found.bundles)
    if problems:
        told = sorted(problems, key=lambda problem: (problem.file, problem.row or 0, problem.column))
        more = [Problem("", None, "", f"and {len(told) - SHOWN:,} more")] if len(told) > SHOWN else []
        raise FleetError([*told[:SHOWN], *more])
    if failed:
        raise _failure(failed, {})
    if refused:
        raise RefusedError(refused)
    if not products:
        raise FleetError([Problem("products", None, "", NONE_LEFT)])
    return bundles


def _do(
    job: Job,
    engine: Engine[Row],
    missing: Sequence[int],
    rows: dict[int, Row],
    sizes: Sequence[int],
    on_progress: OnProgress | None,
) -> None:
    """Solve what is missing; the rows grow."""
    failed: dict[int, Exception] = {}

    def tell() -> None:
        if on_progress is not None:
            done, certified = (sum(row[name] for row in rows.values()) for name in ("contracts", "certified"))
            worst = max((row["worst_gap"] for row in rows.values()), default=0.0)
            on_progress(Progress(max(sum(sizes), done), done, certified, worst))

    tell()
    for part, row in engine(do_part, job, missing):
        if isinstance(row, Exception):
            failed[part] = row
        else:
            rows[part] = row
            tell()
    if failed:
        raise _failure(failed, rows)
    for part in sorted(rows):  # the order of the cut, whichever was done first
        rows[part] = rows.pop(part)


def _failure(failed: Mapping[int, Exception], rows: Mapping[int, Row]) -> PartsFailedError:
    told = [
        f"  part {part}: {type(error).__name__}: {' '.join(str(error).split())}"
        for part, error in sorted(failed.items())
    ]
    more = [f"  and {len(told) - SHOWN:,} more"] if len(told) > SHOWN else []
    head = f"{len(failed):,} parts failed, {len(rows):,} are whole; see to it and run again with --resume:"
    return PartsFailedError("\n".join([head, *told[:SHOWN], *more]), list(failed.values()))


@dataclass(frozen=True)
class _Known:
    """The names that fees may speak of."""

    weeks: int
    vendor_ids: frozenset[str]
    product_ids: frozenset[str]
    inbound_ids: frozenset[str]


def _check_fees(settings: Settings, ids: Ids) -> None:
    from jaxcpp.fleet.fees import check_fees

    asked = {"vendor_id": set[str](), "product_id": set[str]()}
    for rule in settings.fees:
        asked["vendor_id"].add(rule.vendor)
        asked["product_id"].add(rule.product)
    found = {name: _found(ids.offers[name], names) for name, names in asked.items()}
    spare = asked["product_id"] & set(ids.spare_products)
    known = _Known(ids.weeks, found["vendor_id"], found["product_id"] | spare, frozenset(ids.inbound_ids))
    check_fees(settings.fees, known)


def _found(values: pa.ChunkedArray, names: Collection[str]) -> frozenset[str]:
    """Those of the names that occur."""
    among = pa.array(sorted(names), pa.string())
    return frozenset(among.filter(pc.is_in(among, value_set=values.unique())).to_pylist())


def _info(fleet: Folder, job: Job, facts: Mapping[str, Any], rows: Mapping[int, Row]) -> dict[str, Any]:
    """What `run.json` says beside the totals; seconds are those of all workers together."""
    texts = read_toml(fleet, Report())
    seconds = {
        name: sum(row.get(name) or 0.0 for row in rows.values())
        for name in ("read", "compile", "solve", "write")
    }
    peak = max((row["peak_memory"] for row in rows.values()), default=0.0)
    return {
        "version": facts["version"],
        "settings": job.settings,
        "fleet_fingerprint": facts["fleet"],
        "warm_start": None if job.warm_start is None else str(place(job.warm_start)),
        "fleet": texts["name"],
        "currency": texts["currency"],
        "first_week": texts["first_week"],
        "device": ", ".join(sorted({row["device"] for row in rows.values() if row["device"]})),
        "seconds": seconds,
        "parts": {**facts, "count": len(rows), "peak_memory_mib": peak},
    }


def _totals_of(run: Folder) -> Totals:
    """The totals of a whole run."""
    totals = Totals()
    with pq.ParquetFile(opened(run / "contracts.parquet")) as file:
        for group in range(file.num_row_groups):
            totals.add(columns_of(file.read_row_group(group, columns=list(NEEDED))))
    return totals


def _rejected_of(run: Folder) -> list[tuple[str, str]]:
    path = run / "rejected.parquet"
    if not path.exists():
        return []
    table = pq.read_table(opened(path))
    return list(zip(*(table[name].to_pylist() for name in ("product_id", "reason")), strict=True))
