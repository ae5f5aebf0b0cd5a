"""Time and memory a contract, over how many there are and how large they are: `python -m bench scaling`.

Every point is a process of its own. A batch holds up to 1,024 different contracts; more are these again.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from bench.alone import alone, own_cache
from bench.cases import CASES, Case, generate
from bench.contracts import in_short, spread
from bench.limits import numbers
from bench.memory import forget_peak, held_megabytes, peak_megabytes
from bench.stored import Document, Row, document

LONG_ENOUGH = 0.5
"""Seconds that a point is timed for at least: a few milliseconds once say little."""
DIFFERENT = 1024
PROBLEMS = tuple(Case(10 * k, 25 * k, max(5 * k // 2, 1)) for k in (1, 2, 4, 8))
AT_ONCE = 64  # contracts of each problem size
FLAT = (1_000, 100_000)
"""Between these numbers of contracts the time of one should stay the same."""


@dataclass(frozen=True)
class Point:
    """One measurement, a function of this package in a process of its own, and where it belongs."""

    label: str
    series: str
    function: str
    asked: dict[str, Any]


def of_batches(size: str, batches: Sequence[int]) -> list[Point]:
    """Batches of contracts of one size."""
    series, case = f"contracts of size {size}", asdict(CASES[size])
    return [
        Point(f"{size} x {n}", series, "bench.scaling:measured", {"case": case, "batch": n}) for n in batches
    ]


def of_problems() -> list[Point]:
    """Contracts of growing size, equally many of each."""
    return [
        Point(
            f"{case.inbound} x {case.regions} x {case.sources}", "problems", "bench.scaling:measured",
            {"case": asdict(case), "batch": AT_ONCE},
        )
        for case in PROBLEMS
    ]  # fmt: skip


def of_fleets(products: Sequence[int]) -> list[Point]:
    """Fleets like the bundled one, of so many products."""
    series = "products like Iowa's"
    return [Point(f"iowa x {n}", series, "bench.fleets:measured", {"name": f"iowa-{n}"}) for n in products]


def measure(points: Sequence[Point], repeats: int, told: Callable[[str], None]) -> list[Row]:
    """A row a point; what one of them has compiled the next ones need not."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for point in points:
            told(point.label)
            row = alone(point.function, own_cache(Path(cache)), repeats=repeats, **point.asked)
            rows.append(row | {"label": point.label, "series": point.series})
    return rows


def measured(case: dict[str, Any], batch: int, repeats: int, tolerance: float = 1e-6) -> Row:
    """Solve a batch, after a part of it has compiled the programs."""
    from bench.peers.jaxcpp_batch import bucket_of, settle_backend, silent

    settle_backend()
    import jax

    from jaxcpp.fleet.parts import solve_in_parts
    from jaxcpp.fleet.settings import Settings
    from jaxcpp.mechanism.status import NOT_CONVERGED

    settings = Settings(tolerance=tolerance)
    few = generate(Case(**case), min(batch, DIFFERENT))
    begun = time.perf_counter()
    solve_in_parts(bucket_of(few), settings, silent)
    first = time.perf_counter() - begun
    spent: list[float] = []
    bucket = bucket_of(few.some(np.resize(np.arange(len(few)), batch)))
    forget_peak()  # of making the arrays
    before = held_megabytes()
    worked = time.process_time()
    while len(spent) < repeats or sum(spent) < LONG_ENOUGH:
        begun = time.perf_counter()
        solved = solve_in_parts(bucket, settings, silent)
        spent.append(time.perf_counter() - begun)
    worked = time.process_time() - worked
    device = jax.devices()[0]
    contract = solved.contract
    return {
        "case": case,
        "contracts": batch,
        "tolerance": tolerance,
        "certified": float(np.mean(np.asarray(contract.code) != NOT_CONVERGED)),
        "rounds": spread(np.asarray(contract.rounds)),
        "solve": spent,
        "work": worked / len(spent),
        "compile": max(first - statistics.median(spent) * min(1.0, len(few) / batch), 0.0),
        "numbers": numbers(Case(**case)),
        "megabytes": peak_megabytes(),
        "megabytes_before": before,
        "platform": device.platform,
        "device": f"{device.platform} {device.device_kind}",
    }


def result(rows: list[Row]) -> Document:
    """The document, with how flat time and memory are."""
    return document("scaling", rows, flatness={name: flatness(part) for name, part in series(rows).items()})


def series(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of one kind, in order."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    return {name: [row for row in rows if row["series"] == name] for name in names}


def each(row: Row) -> float:
    """Seconds a contract."""
    return float(statistics.median(row["solve"]) / row["contracts"])


def flatness(rows: list[Row]) -> dict[str, float] | None:
    """Between a thousand contracts and a hundred thousand: dearest over cheapest contract, and memory.

    `time` is of seconds passed, `work` of seconds that all cores together worked on it, which others on the
    machine hardly touch. `kilobytes_each` is what each further contract adds to the most memory held,
    `solving` the part of it that was not there before the clock started. Nothing where fewer than two rows
    lie there.
    """
    within = [row for row in rows if FLAT[0] <= row["contracts"] <= FLAT[1]]
    if len({row["contracts"] for row in within}) < 2:
        return None
    first, last = within[0], within[-1]
    more = last["contracts"] - first["contracts"]
    return {
        "from": first["contracts"],
        "to": last["contracts"],
        "time": _spread([each(row) for row in within]),
        "work": _spread([row["work"] / row["contracts"] for row in within]),
        "kilobytes_each": 1024.0 * (last["megabytes"] - first["megabytes"]) / more,
        "solving": 1024.0 * (_added(last) - _added(first)) / more,
    }


def shown(found: Document) -> Table:
    """Points as people read them."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "contracts", "ms each", "work", "compile", "MB", "rounds"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for row in found["rows"]:
        table.add_row(
            row["label"],
            f"{row['contracts']:,}",
            f"{1e3 * each(row):.3f}",
            f"{1e3 * row['work'] / row['contracts']:.3f}",
            f"{row['compile']:.1f} s",
            f"{row['megabytes']:,.0f}",
            in_short(row["rounds"]),
        )
    for name, flat in found["flatness"].items():
        if flat is not None:
            table.caption = (table.caption or "") + (
                f"{name}, {flat['from']:,} to {flat['to']:,}: dearest over cheapest {flat['time']:.2f} "
                f"({flat['work']:.2f} in work), "
                f"{flat['kilobytes_each']:.1f} kB for each more, {flat['solving']:.1f} of them in solving\n"
            )
    return table


def _spread(seconds: list[float]) -> float:
    """Most over least."""
    return max(seconds) / min(seconds)


def _added(row: Row) -> float:
    """Megabytes that solving took beyond what was held before."""
    return float(row["megabytes"] - row["megabytes_before"])


def plot(found: Document, path: Path) -> None:
    """Time and memory over contracts, and time over the size of a problem, on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "bench"
    figure, (time_axis, memory, size) = plt.subplots(1, 3, figsize=(11.0, 3.4), layout="constrained")
    for name, rows in series(found["rows"]).items():
        if name == "problems":
            size.loglog([row["numbers"] for row in rows], [1e3 * each(row) for row in rows], "o-")
            continue
        counts = [row["contracts"] for row in rows]
        time_axis.loglog(counts, [1e3 * each(row) for row in rows], "o-", label=name)
        memory.loglog(counts, [row["megabytes"] for row in rows], "o-", label=name)
    time_axis.set(xlabel="contracts", ylabel="milliseconds a contract", title="time")
    memory.set(xlabel="contracts", ylabel="megabytes, at most", title="memory of the process")
    size.set(
        xlabel="numbers in a contract", ylabel="milliseconds a contract", title=f"time, {AT_ONCE} contracts"
    )
    for axis in (time_axis, memory, size):
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.set_visible(bool(axis.lines))
    if time_axis.lines:
        time_axis.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
