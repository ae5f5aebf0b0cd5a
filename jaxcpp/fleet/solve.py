"""Plan a whole fleet: pack, solve bucket by bucket, and lay the answers out as tables."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax

from jaxcpp.fleet.batch import OnLanes, Solved
from jaxcpp.fleet.bundle_fees import check_bundle_fees
from jaxcpp.fleet.bundle_layout import with_bundles
from jaxcpp.fleet.bundle_solve import solve_bundles
from jaxcpp.fleet.bundles import Bundles, bundles
from jaxcpp.fleet.contracts import Contracts, contracts
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.fees import Charges, charges, check_fees
from jaxcpp.fleet.layout import lay_out
from jaxcpp.fleet.pack import Bucket, Packer, Padding
from jaxcpp.fleet.parts import solve_in_parts, workers
from jaxcpp.fleet.programs import PROGRAMS
from jaxcpp.fleet.results import Columns, Run
from jaxcpp.fleet.settings import OnProgress, Progress, Settings
from jaxcpp.fleet.warm import Prices
from jaxcpp.fleet.whole import check_whole


def plan_fleet(
    fleet: Fleet,
    settings: Settings,
    on_progress: OnProgress | None = None,
    yesterday: Columns | None = None,
    padding: Padding | None = None,
) -> Run:
    """Find, certify and price a plan for every contract of a fleet.

    The answer depends on the fleet and the settings alone: not on the order of its rows, and not on
    how many contracts are solved together. `yesterday`, the prices of an earlier run, is where the search
    begins for contracts that stand alone; it may change the rounds and what the tolerance leaves open. One
    that leads astray is dropped. With a `padding` the fleet is a part of a larger one: fees may speak of
    vendors, products and nodes of the others.

    Raises:
        CoupledContractsError: a fee is asked for by product that is charged for several products at once.
        FeeError: a fee speaks of a vendor, product, node or week the fleet does not have.
        WholeUnitsError: whole units were asked for, and demand or inventory is not whole.
    """
    begun, running = time.perf_counter(), PROGRAMS.running
    tied = bundles(fleet)
    found = contracts(fleet, tied)
    if padding is None:
        check_fees(settings.fees, fleet)
    check_settings(fleet, settings, tied)
    packer = Packer(fleet, found, settings.units == "integer", padding)
    buckets = packer.buckets()
    rows = len(found) + sum(len(item.vendors) for item in tied.items)
    report = reporter(rows, on_progress)
    packed = time.perf_counter()
    known = None if yesterday is None else Prices(fleet, found, yesterday)
    solved = solve_all(fleet, found, buckets, settings, report, known)
    joint = solve_bundles(fleet, tied, settings, report, workers(), padding)
    waited = time.perf_counter() - packed - (PROGRAMS.running - running)
    run = with_bundles(lay_out(fleet, found, packer, solved, settings) if solved else None, fleet, joint)
    run.device = f"{jax.devices()[0].device_kind} ({jax.default_backend()})"
    # Compiling goes on beside solving: what counts is how long the device had to wait for it.
    run.seconds = {"compile": max(waited, 0.0), "solve": time.perf_counter() - begun - max(waited, 0.0)}
    return run


def check_settings(fleet: Fleet, settings: Settings, tied: Bundles | None = None) -> None:
    """Refuse what cannot be done for a fleet under these settings, before anything is solved.

    Raises:
        CoupledContractsError, WholeUnitsError: as `plan_fleet`.
    """
    if settings.units == "integer":
        check_whole(fleet)
    check_bundle_fees(settings.fees, fleet, bundles(fleet) if tied is None else tied)


def solve_all(
    fleet: Fleet,
    found: Contracts,
    buckets: list[Bucket],
    settings: Settings,
    report: OnLanes,
    known: Prices | None = None,
) -> list[Solved]:
    """Every bucket with its fees, in order; compiling goes on beside solving."""
    fees = [charges(settings.fees, fleet, found, bucket.contract, bucket.nodes) for bucket in buckets]

    def one(bucket: Bucket, fee: Charges) -> Solved:
        warm = None if known is None else known.of(bucket)
        return solve_in_parts(bucket, settings, report, fee, warm)

    with ThreadPoolExecutor(workers()) as pool:
        return list(pool.map(one, buckets, fees))


def reporter(total: int, on_progress: OnProgress | None) -> OnLanes:
    """Adds up what the buckets report, and passes it on."""
    lock = threading.Lock()
    state = Progress(total=total, done=0, certified=0, worst_gap=0.0)

    def report(done: int, certified: int, worst: float) -> None:
        nonlocal state
        with lock:
            state = Progress(
                total, state.done + done, state.certified + certified, max(state.worst_gap, worst)
            )
            if on_progress is not None:
                on_progress(state)

    return report
