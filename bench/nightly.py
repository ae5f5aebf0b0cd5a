"""A large fleet in parts on local workers, killed on the way and resumed: `python -m bench nightly`.

With a third of the parts done a worker is killed, with half of them the command itself; `--resume` does the
rest. What is written must be, row for row and byte for byte, what one process makes of the fleet's first
copies alone; only then is anything told. The memory of every process is read each second.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.alone import ROOT, alone
from bench.big_fleet import IOWA, write_big_fleet
from bench.memory import held_megabytes, peak_megabytes
from bench.stored import RESULTS, Document, Row, document, store
from jaxcpp.tables.schema import RUN
from jaxcpp.tables.whole import write_stream

TABLES = ("contracts", "plans", "prices")
STEPS = 10
"""So many stretches of the run have their largest memory told."""
ORPHANS = 60.0
"""Seconds that workers may take to end after their command was killed."""


class DifferentError(RuntimeError):
    """The run is not what it must be; nothing is told."""


@dataclass
class Watch:
    """What is seen of a command and its workers while it runs."""

    run: Path
    parts: int
    seen: list[tuple[int, str, float]] = field(default_factory=list)  # whole parts, who, MiB

    def rows(self) -> dict[int, dict[str, Any]]:
        """The rows of the parts that are whole."""
        found = (json.loads(path.read_text("utf-8")) for path in (self.run / "parts").glob("part-*.json"))
        return {row["part"]: row for row in found}

    def workers(self) -> list[int]:
        """The processes that have done a part and are still there, the latest part's first."""
        rows = sorted(self.rows().values(), key=lambda row: -row["part"])
        pids = dict.fromkeys(int(row["worker"].rpartition(":")[2]) for row in rows)
        return [pid for pid in pids if _alive(pid)]

    def look(self, command: int) -> int:
        """Read the memory of all; the parts that are whole by now."""
        whole = len(self.rows())
        for who, pid in [("command", command), *(("worker", pid) for pid in self.workers())]:
            try:
                self.seen.append((whole, who, held_megabytes(pid)))
            except OSError:  # it has just ended
                continue
        return whole

    def memory(self, who: str) -> list[float]:
        """The most that one such process held [MiB], in each stretch of the run."""
        most = [0.0] * STEPS
        for whole, name, megabytes in self.seen:
            if name == who:
                at = min(STEPS * whole // self.parts, STEPS - 1)
                most[at] = max(most[at], megabytes)
        return [round(each) for each in most]


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False


def planned(
    words: Sequence[str], watch: Watch | None = None, act: Callable[[int, int], bool] | None = None
) -> dict[str, float]:
    """`jaxcpp plan` with these words: seconds passed, and seconds of work of it and its workers.

    `act` is told, each second, the process and the whole parts; once it says that the process is killed no
    work is known. Raises `DifferentError` where the command fails.
    """
    begun, killed = time.perf_counter(), False
    command = [sys.executable, "-m", "jaxcpp", "plan", *words]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            whole = watch.look(process.pid) if watch is not None else 0
            killed = killed or (act is not None and act(process.pid, whole))
            time.sleep(1.0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read()
    if process.returncode != (-signal.SIGKILL if killed else 0):
        raise DifferentError(f"jaxcpp plan {' '.join(words)}: status {process.returncode}\n{said}")
    seconds = {"seconds": round(time.perf_counter() - begun, 1)}
    return seconds if killed else seconds | {"work": round(used.ru_utime + used.ru_stime, 1)}


def cut_alone(fleet: str, size: int) -> Row:
    """Reading a fleet's ids, hashing its files and cutting it, in a process that does nothing else."""
    from jaxcpp.cluster.cut import write_cut
    from jaxcpp.cluster.ids import digest, read_ids

    before, worked = held_megabytes(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        digest(Path(fleet))
        ids = read_ids(Path(fleet))
        counts = write_cut(Path(fleet), ids, size, Path(folder) / "cut.parquet")
    return {
        "parts": len(counts),
        "work": time.process_time() - worked,
        "megabytes": peak_megabytes(),
        "megabytes_before": before,
    }


def phases(fleet: str, size: int) -> Row:
    """Every phase of a run in parts in one process [seconds of its work]; the first part compiles."""
    from bench.peers.jaxcpp_batch import settle_backend
    from jaxcpp.cluster.job import Job
    from jaxcpp.cluster.plan import Asked, plan_in_parts
    from jaxcpp.fleet.settings import Settings

    settle_backend()
    spent: dict[str, list[float]] = {"check_part": [], "do_part": []}

    def engine(task: Any, job: Job, parts: Sequence[int]) -> Iterator[tuple[int, Any]]:
        for part in parts:
            worked = time.process_time()
            found = task(job, part)
            spent[task.__name__].append(time.process_time() - worked)
            yield part, found

    with tempfile.TemporaryDirectory() as folder:
        worked = time.process_time()
        done = plan_in_parts(Asked(fleet, folder, Settings(), part_size=size), engine)
        worked = time.process_time() - worked
        rows = pq.read_table(Path(folder) / "manifest.parquet").to_pylist()
    later = sum(row["contracts"] for row in rows[1:])
    contracts = int(done.totals.status.total())
    return {
        "label": f"{contracts:,} contracts in one process, seconds of work",
        "contracts": contracts,
        "part_size": size,
        "solve": [sum(spent["do_part"])],
        "check_each": sum(spent["check_part"]) / contracts,
        "first_part": spent["do_part"][0],
        "part_each": sum(spent["do_part"][1:]) / later,
        "cut_and_join_each": (worked - sum(map(sum, spent.values()))) / contracts,
        "peaks": [round(row["peak_memory"]) for row in rows],
        "platform": rows[0]["device"].split()[0],
    }


def killed_and_resumed(fleet: Path, run: Path, words: Sequence[str], parts: int) -> dict[str, Any]:
    """Plan, kill a worker, kill the command, resume: what was seen. Raises `DifferentError`."""
    watch, facts = Watch(run, parts), dict[str, Any]()

    def act(command: int, whole: int) -> bool:
        if "worker" not in facts and whole >= parts // 3 and (workers := watch.workers()):
            os.kill(workers[0], signal.SIGKILL)
            facts["worker"] = whole
        if whole < parts // 2:
            return False
        left = watch.workers()
        os.kill(command, signal.SIGKILL)
        killed = time.perf_counter()
        while any(map(_alive, left)) and time.perf_counter() < killed + ORPHANS:
            time.sleep(0.1)
        facts["orphans"] = round(time.perf_counter() - killed, 1)
        return True

    common = [str(fleet), str(run), *words]
    first = planned(common, watch, act)
    kept = {part: row["worker"] for part, row in watch.rows().items()}
    if (run / "_SUCCESS").exists() or not 0 < len(kept) < parts:
        raise DifferentError(f"{len(kept)} of {parts} parts were whole when the command was killed")
    second = planned([*common, "--resume"], watch)
    rows = pq.read_table(run / "manifest.parquet").to_pylist()
    again = [part for part, worker in kept.items() if rows[part]["worker"] != worker]
    if again or len(rows) != parts or not (run / "_SUCCESS").exists():
        raise DifferentError(f"{len(rows)} of {parts} parts, done twice: {again}")
    return {
        "killed": {"worker_after": facts["worker"], "command_after": len(kept), "orphans": facts["orphans"]},
        "parts_resumed": parts - len(kept),
        "contracts_resumed": sum(row["contracts"] for row in rows if row["part"] not in kept),
        "first": first,
        "second": second,
        "memory": {who: watch.memory(who) for who in ("command", "worker")},
        "peaks": [round(row["peak_memory"]) for row in rows],
    }


def check_same(run: Path, one: Path) -> int:
    """The contracts of a smaller run that are, byte for byte, the first ones of a larger run.

    Raises `DifferentError` where any of them is not.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in TABLES:
            theirs = one / f"{name}.parquet"
            count = pq.ParquetFile(theirs).metadata.num_rows
            ours = Path(folder) / f"{name}.parquet"
            write_stream([_first(run / f"{name}.parquet", count)], RUN[name].arrow, ours)
            if ours.read_bytes() != theirs.read_bytes():
                raise DifferentError(f"{name}: not those of one process")
    return int(pq.ParquetFile(one / "contracts.parquet").metadata.num_rows)


def _first(path: Path, count: int) -> pa.Table:
    pieces, held = [], 0
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            if held < count:
                pieces.append(file.read_row_group(group))
                held += pieces[-1].num_rows
    return pa.concat_tables(pieces).slice(0, count)


def measured(folder: Path, contracts: int, size: int, workers: int, sample: int) -> Document:
    """Make the fleets, plan both, compare. Raises `DifferentError`."""
    each = pq.ParquetFile(IOWA / "offers.parquet").metadata.num_rows
    copies = max(-(-sample // each), 1)
    fleet, some, run, one = (folder / name for name in ("fleet", "some", "run", "one"))
    write_big_fleet(fleet, contracts)
    write_big_fleet(some, copies * each)
    cut = alone("bench.nightly:cut_alone", fleet=str(fleet), size=size)
    words = ["--part-size", str(size), "--cluster", f"local:{workers}"]
    seen = killed_and_resumed(fleet, run, words, cut["parts"])
    single = planned([str(some), str(one)])
    same = check_same(run, one)
    facts = json.loads((run / "run.json").read_text("utf-8"))
    certified = sum(row["certified"] for row in pq.read_table(run / "manifest.parquet").to_pylist())
    row = {
        "label": f"{contracts:,} contracts in {cut['parts']} parts",
        "contracts": contracts,
        "certified": certified,
        "worst_gap": facts["worst_efficiency_gap"],
        "status_counts": facts["status_counts"],
        "solve": [facts["seconds"]["solve"]],
        "seconds": {name: round(value, 1) for name, value in facts["seconds"].items()},
        "workers": workers,
        "part_size": size,
        **seen,
        "cut": cut,
        "one_process": {"contracts": same, **single},
        "bytes": {
            "input": _bytes(fleet),
            **{name: (run / f"{name}.parquet").stat().st_size for name in TABLES},
        },
        "rows": {name: pq.ParquetFile(run / f"{name}.parquet").metadata.num_rows for name in TABLES},
        "device": facts["device"],
        "platform": facts["device"].split()[0],
    }
    return document("nightly", [row, alone("bench.nightly:phases", fleet=str(some), size=size)])


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def shown(found: Document) -> Table:
    """What came out, as people read it."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    row, each = found["rows"]
    killed, one, second = row["killed"], row["one_process"], row["second"]
    ended = f"a worker after {killed['worker_after']} parts, the command after {killed['command_after']}"
    for name, text in {
        "parts": f"{row['label']} of {row['part_size']:,}, {row['workers']} workers",
        "certified": f"{row['certified']:,}; worst certificate {row['worst_gap']:.1e} of chain cost",
        "killed": ended,
        "resumed": f"{row['parts_resumed']} parts, none of the others again",
        "byte for byte": f"the first {one['contracts']:,} contracts, as one process plans them alone",
        "memory, command": f"{_numbers(row['memory']['command'])} MiB, at most in each tenth of the parts",
        "memory, a worker": f"{_numbers(row['memory']['worker'])} MiB",
        "work, resumed": _each(second["work"], row["contracts_resumed"]),
        "work, one process": _each(one["work"], one["contracts"]),
        "seconds": ", ".join(f"{key} {value}" for key, value in row["seconds"].items()),
        "cut": f"{row['cut']['work']:.1f} s of work, {row['cut']['megabytes']:.0f} MiB at most",
        "work each, later parts": f"check {_ms(each['check_each'])}, read, solve and write "
        f"{_ms(each['part_each'])}, cut and join {_ms(each['cut_and_join_each'])}",
        "bytes": ", ".join(f"{key} {value:,}" for key, value in row["bytes"].items()),
    }.items():
        table.add_row(name, text)
    return table


def _each(seconds: float, contracts: int) -> str:
    return f"{seconds} s, {1e3 * seconds / contracts:.2f} ms a contract"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f} ms"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:,.0f}" for value in values if value)


def main(arguments: list[str] | None = None) -> int:
    """Measure, compare, write; 1 where the run is not what it must be."""
    parser = argparse.ArgumentParser(prog="python -m bench nightly", description=__doc__)
    parser.add_argument("--contracts", type=int, default=200_000)
    parser.add_argument("--part-size", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=20_000, help="contracts that one process plans too")
    parser.add_argument("--folder", type=Path, help="keep fleets and runs here")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as spare:
        try:
            found = measured(
                asked.folder or Path(spare), asked.contracts, asked.part_size, asked.workers, asked.sample
            )
        except DifferentError as error:
            print(error, file=sys.stderr)  # noqa: T201
            return 1
    Console(width=None if sys.stdout.isatty() else 150).print(shown(found))
    store("nightly", found, asked.results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
