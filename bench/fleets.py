"""Whole fleets through the main job: the toy, the Iowa week, the nightly Iowa fleet, and fleets like it.

    python -m bench fleets --names toy,iowa-week,iowa

Reading and writing files are told apart from solving; `bench cold` times the command itself.
"""

from __future__ import annotations

import time
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from bench.contracts import in_short, spread
from bench.memory import forget_peak, held_megabytes, peak_megabytes
from bench.stored import Row, rate

if TYPE_CHECKING:
    from jaxcpp.fleet.data import Fleet

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = ("toy", "iowa-week", "iowa")
CERTIFICATE = 1e-5  # the main job's own default


def fleet_called(name: str) -> Fleet:
    """A bundled fleet; `iowa-week` is the first week of it, `iowa-N` has N products like its own.

    Raises ValueError for any other name.
    """
    from jaxcpp.tables import read_fleet

    if name == "iowa-week":
        return one_week(read_fleet(str(EXAMPLES / "iowa"))[0])
    if name in ("toy", "iowa"):
        return read_fleet(str(EXAMPLES / name))[0]
    base, _, count = name.rpartition("-")
    if base != "iowa" or not count.isdigit() or int(count) < 1:
        raise ValueError(f"{name}: not a fleet of the bench; take toy, iowa-week, iowa or iowa-N")
    return of_size(read_fleet(str(EXAMPLES / base))[0], int(count))


def one_week(fleet: Fleet) -> Fleet:
    """The fleet's first week alone: its demand, and the products that have any."""
    tables = {}
    for name in ("demand", "targets", "sources"):
        table = getattr(fleet, name)
        tables[name] = _rows(table, table.week <= 0)  # of every week, or of the first
    return with_products(replace(fleet, weeks=1, **tables), np.unique(tables["demand"].product))


def of_size(fleet: Fleet, products: int) -> Fleet:
    """As many products as asked for, taken evenly from the fleet's, each as often as it takes."""
    return with_products(fleet, np.arange(products) * len(fleet.product_ids) // products)


def with_products(fleet: Fleet, chosen: np.ndarray) -> Fleet:
    """The fleet with these of its products: sorted positions, which may repeat; copies get own names."""
    again = np.arange(len(chosen)) - np.searchsorted(chosen, chosen)
    names = [f"{fleet.product_ids[p]}~{copy:07d}" for p, copy in zip(chosen, again, strict=True)]
    tables: dict[str, Any] = {}
    for field in fields(fleet):
        table = getattr(fleet, field.name)
        if is_dataclass(table) and not isinstance(table, type):
            tables[field.name] = _of_products(table, chosen)
    return replace(fleet, product_ids=np.array(names), **tables)


def _of_products(table: Any, chosen: np.ndarray) -> Any:
    """A table's rows for the products chosen, in its own order; rows for every product stay."""
    if not hasattr(table, "product"):
        return _rows(table, chosen)
    low, high = np.searchsorted(chosen, table.product), np.searchsorted(chosen, table.product, side="right")
    every = table.product < 0
    copies = np.where(every, 1, high - low)
    row = np.repeat(np.arange(len(copies)), copies)
    first = np.repeat(np.cumsum(copies) - copies, copies)
    product = np.where(every[row], -1, low[row] + np.arange(len(row)) - first).astype(np.int32)
    spread = replace(_rows(table, row), product=product)
    names = [field.name for field in fields(table)]
    keys = [getattr(spread, name) for name in names[: names.index("product") + 1]]
    return _rows(spread, np.lexsort(keys[::-1]))  # stable: what else a table is sorted by stays as it is


def _rows(table: Any, index: np.ndarray) -> Any:
    return replace(table, **{field.name: getattr(table, field.name)[index] for field in fields(table)})


def measured(name: str, repeats: int, tolerance: float = CERTIFICATE) -> Row:
    """Read and plan a fleet, once more than `repeats`: the first time compiles."""
    from bench.peers.jaxcpp_batch import settle_backend

    settle_backend()
    import jax

    import jaxcpp
    from jaxcpp.fleet.settings import Settings
    from jaxcpp.fleet.solve import plan_fleet

    begun = time.perf_counter()
    fleet = fleet_called(name)
    read = time.perf_counter() - begun
    forget_peak()  # of reading
    idle = held_megabytes()
    settings, seconds = Settings(tolerance=tolerance), []
    for _ in range(repeats + 1):
        begun, worked = time.perf_counter(), time.process_time()
        found = plan_fleet(fleet, settings).contracts  # the rest goes: two runs at once would count twice
        seconds.append(time.perf_counter() - begun)
        worked = time.process_time() - worked
    rounds, told = np.asarray(found["rounds"]), np.asarray(found["status"], str)
    device = jax.devices()[0]
    return {
        "label": f"{name}, {tolerance:g}",
        "fleet": name,
        "tolerance": tolerance,
        "contracts": len(told),
        "certified": float(np.mean(told != "not_converged")),
        "rounds": spread(rounds),
        "solve": seconds[1:],
        "work": worked,
        "compile": max(seconds[0] - float(np.median(seconds[1:])), 0.0),
        "read": read,
        "megabytes": peak_megabytes(),
        "megabytes_before": idle,
        "platform": device.platform,
        "device": f"{device.platform} {device.device_kind}",
        "versions": {"jaxcpp": jaxcpp.__version__, "jax": jax.__version__},
    }


def shown(rows: list[Row]) -> Table:
    """Fleets as people read them."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("fleet", "contracts", "certified", "seconds", "read", "compile", "rounds", "MB", "on"):
        table.add_column(column, justify="left" if column in ("fleet", "on") else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["fleet"],
            f"{row['contracts']:,}",
            f"{row['certified']:.4f}",
            f"{row['contracts'] / rate(row):.3f}",
            f"{row['read']:.2f}",
            f"{row['compile']:.1f}",
            in_short(row["rounds"]),
            f"{row['megabytes']:,.0f}",
            row["device"],
        )
    return table
