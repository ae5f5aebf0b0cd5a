"""A run in parts, whatever cuts it off: the bytes of one process, nothing done twice, nothing mixed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from jaxcpp.cluster.engines import RETRIES, one_by_one
from jaxcpp.cluster.job import Job, do_part
from jaxcpp.cluster.join import merged
from jaxcpp.cluster.plan import Asked, PartsFailedError, RefusedError, plan_in_parts
from jaxcpp.fleet.rules import FeeError, FeeRule
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.tables import (
    FleetError,
    Place,
    ResumeError,
    RunFolderError,
    read_fleet,
    read_prices,
    write_fleet,
    write_run,
)
from jaxcpp.tables.places import filesystem_of, opened, place
from tests.cluster.samples import Spoilt, alone, mixed

SETTINGS = Settings(fees=(FeeRule(additive=0.5), FeeRule(vendor="vendor-of-p3", additive=1.0)))
TABLES = ("contracts", "plans", "prices")
SIZE = 3


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    write_fleet(folder, alone().tables(), {"name": "alone"})
    return folder


@pytest.fixture(scope="module")
def one(fleet, tmp_path_factory):
    """The run of one process."""
    folder = tmp_path_factory.mktemp("one")
    read, _ = read_fleet(fleet)
    info = {"version": "", "settings": {}, "fleet_fingerprint": read.fingerprint}
    write_run(plan_fleet(read, SETTINGS), [], folder, info=info)
    return folder


def asked(fleet, run, **more):
    return Asked(
        str(fleet), run if isinstance(run, Place) else str(run), SETTINGS, **{"part_size": SIZE, **more}
    )


def same(run, one):
    return all(
        (run / f"{name}.parquet").read_bytes() == (one / f"{name}.parquet").read_bytes() for name in TABLES
    )


def uploaded(folder, store, name):
    """A folder of this machine in the store."""
    to, path = filesystem_of(place(store.address(name)))
    fs.copy_files(str(folder), path, source_filesystem=fs.LocalFileSystem(), destination_filesystem=to)
    return store.address(name)


class Counted:
    """An engine that says what it did, and is cut off before some part."""

    def __init__(self, cut_off=None):
        self.done, self.cut_off = [], cut_off

    def __call__(self, task, job, parts):
        for part in parts:
            if task is do_part and part == self.cut_off:
                raise KeyboardInterrupt
            if task is do_part:
                self.done.append(part)
            yield from one_by_one(task, job, [part])


def test_the_bytes_of_one_process_and_nothing_left_behind(fleet, one, tmp_path):
    done = plan_in_parts(asked(fleet, tmp_path / "run"))
    assert done.parts == 3
    assert same(tmp_path / "run", one)
    held = {path.name for path in (tmp_path / "run").iterdir()}
    assert held == {f"{name}.parquet" for name in (*TABLES, "manifest")} | {"run.json", "_SUCCESS"}
    facts, alike = (json.loads((folder / "run.json").read_text()) for folder in (tmp_path / "run", one))
    for name in ("status_counts", "rounds", "worst_efficiency_gap"):
        assert facts[name] == alike[name]
    assert facts["budget"] == pytest.approx(alike["budget"], rel=1e-12)
    assert done.totals.status_counts() == facts["status_counts"]
    rows = pq.read_table(tmp_path / "run" / "manifest.parquet").to_pylist()
    assert [(row["part"], row["contracts"]) for row in rows] == [(0, 3), (1, 3), (2, 1)]
    assert len({row["input"] for row in rows}) == 3
    assert len({row["begun_with"] for row in rows}) == 1
    for row in rows:
        assert row["contracts_bytes"] > 0
        assert row["statuses"]


def test_a_driver_that_is_cut_off_is_resumed(fleet, one, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        plan_in_parts(asked(fleet, run), Counted(cut_off=1))
    assert not (run / "run.json").exists()
    (run / "parts" / ".part-000001.plans.parquet.0123.tmp").write_bytes(b"half a file")
    for other, words in (
        ({"part_size": 4}, r"another part size \(3, now 4\)"),
        ({"settings": Settings(tolerance=1e-3)}, "another fees, tolerance"),
        ({"skip_bad": True}, "another skip bad"),
        ({"warm_start": str(one)}, "another warm start"),
        ({"fleet": None}, "another fleet"),
    ):
        now = asked(fleet, run, resume=True)
        if other.get("fleet", "") is None:
            other = {"fleet": str(tmp_path / "other")}
            write_fleet(tmp_path / "other", alone(6).tables(), {})
        with pytest.raises(ResumeError, match=words):
            plan_in_parts(Asked(**{**now.__dict__, **other}))
    again = Counted()
    plan_in_parts(asked(fleet, run, resume=True, part_size=None), again)
    assert again.done == [1, 2]
    assert same(run, one)
    nothing = Counted()
    done = plan_in_parts(asked(fleet, run, resume=True), nothing)
    assert nothing.done == []
    assert done.parts == 0
    assert done.totals.status.total() == 7
    with pytest.raises(ResumeError, match="another part size"):
        plan_in_parts(asked(fleet, run, resume=True, part_size=1))


def test_a_part_whose_file_is_cut_short_is_done_again(fleet, one, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        plan_in_parts(asked(fleet, run), Counted(cut_off=2))
    path = run / "parts" / "part-000001.plans.parquet"
    path.write_bytes(path.read_bytes()[:100])
    again = Counted()
    plan_in_parts(asked(fleet, run, resume=True), again)
    assert again.done == [1, 2]
    assert same(run, one)


@pytest.mark.slow
def test_google_s_store(fleet, one, google):
    """The same through another protocol: a run that is cut off is resumed, with the bytes of a disk."""
    where, run = uploaded(fleet, google, "fleet"), google.address("run")
    with pytest.raises(KeyboardInterrupt):
        plan_in_parts(asked(where, run), Counted(cut_off=1))
    assert not (place(run) / "_SUCCESS").exists()
    again = Counted()
    plan_in_parts(asked(where, run, resume=True), again)
    assert again.done == [1, 2]
    assert same(place(run), one)
    held = {entry.name for entry in place(run).iterdir()}
    assert held == {f"{name}.parquet" for name in (*TABLES, "manifest")} | {"run.json", "_SUCCESS"}


@pytest.mark.slow
def test_an_object_store(fleet, one, store):
    """No file is there before it is whole, `_SUCCESS` is the last, and a run that is cut off is resumed."""
    where, run = uploaded(fleet, store, "fleet"), place(store.address("run"))
    with pytest.raises(KeyboardInterrupt):
        plan_in_parts(asked(where, store.address("run")), Counted(cut_off=1))
    assert not (run / "_SUCCESS").exists()
    again = Counted()
    plan_in_parts(asked(where, store.address("run"), resume=True), again)
    assert again.done == [1, 2]
    assert same(run, one)
    put = [key.rpartition("/")[2] for key in store.written() if key.startswith("run/")]
    put = [name for name in put if name]  # of folders
    assert put[-1] == "_SUCCESS"
    for at, name in enumerate(put):  # each file is first written whole under another name
        if not name.endswith(".tmp"):
            assert re.fullmatch(rf"\.{re.escape(name)}\.(\w+\.)?tmp", put[at - 1])
    held = {path.name for path in run.iterdir()}
    assert held == {f"{name}.parquet" for name in (*TABLES, "manifest")} | {"run.json", "_SUCCESS"}


def test_another_version_is_refused(fleet, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        plan_in_parts(asked(fleet, tmp_path / "run"), Counted(cut_off=0))
    monkeypatch.setattr("jaxcpp.__version__", "99.0.0")
    with pytest.raises(ResumeError, match=r"another version \(.*, now 99\.0\.0\)"):
        plan_in_parts(asked(fleet, tmp_path / "run", resume=True))


@pytest.mark.parametrize("where", ["part-000001.plans", "contracts.parquet", "run.json"])
def test_a_full_disk(fleet, one, tmp_path, where):
    """On a filesystem of pyarrow's that is none of this machine: while a part, or the run, is written."""
    disk, inner = {"full": True}, fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    spoilt = fs.PyFileSystem(Spoilt(inner, lambda path: disk["full"] and f"/.{where}" in path))
    run, tried = Place(spoilt, "run"), Counted()
    error = PartsFailedError if where.startswith("part") else OSError
    with pytest.raises(error, match="no space left on device") as told:
        plan_in_parts(asked(fleet, run), tried)
    assert not (tmp_path / "run" / "_SUCCESS").exists()
    assert not list((tmp_path / "run").rglob("*.tmp"))
    if error is PartsFailedError:
        assert "1 parts failed, 2 are whole" in str(told.value)
        assert "--resume" in str(told.value)
    disk["full"] = False
    again = Counted()
    plan_in_parts(asked(fleet, run, resume=True), again)
    assert again.done == ([1] if error is PartsFailedError else [])
    assert same(tmp_path / "run", one)


def test_a_part_that_fails_once_is_tried_again():
    tries = []

    def moody(_, part):
        tries.append(part)
        if tries.count(1) <= RETRIES and part == 1:
            raise OSError("not now")
        return part

    job = Job("", "", SETTINGS, False, None, {})
    assert list(one_by_one(moody, job, [0, 1, 2])) == [(0, 0), (1, 1), (2, 2)]
    assert tries.count(1) == RETRIES + 1


def test_bad_input_stops_before_anything_is_solved(fleet, one, tmp_path):
    tables = alone().tables()
    units = np.asarray(tables["demand"]["units"]).copy()
    units[[0, -1]] = -1.0
    at = tables["demand"].column_names.index("units")
    tables["demand"] = tables["demand"].set_column(at, "units", pa.array(units))
    write_fleet(tmp_path / "bad", tables, {})
    run, engine = tmp_path / "run", Counted()
    for name in TABLES:
        (run / f"{name}.parquet").parent.mkdir(exist_ok=True)
        (run / f"{name}.parquet").write_bytes((one / f"{name}.parquet").read_bytes())
    (run / "run.json").write_text((one / "run.json").read_text())
    with pytest.raises(FleetError) as told:
        plan_in_parts(asked(tmp_path / "bad", run), engine)
    assert [problem.row for problem in told.value.problems] == [1, len(units)]
    fees = Settings(fees=(FeeRule(vendor="nobody", additive=1.0),))
    with pytest.raises(FeeError, match="the fleet has no vendor 'nobody'"):
        plan_in_parts(Asked(str(fleet), str(run), fees, part_size=SIZE), engine)
    with pytest.raises(RunFolderError, match="name the folder of an earlier run"):
        plan_in_parts(asked(fleet, run, warm_start=str(tmp_path)), engine)
    with pytest.raises(ResumeError, match="was not made in parts"):
        plan_in_parts(asked(fleet, run, resume=True), engine)
    assert engine.done == []
    assert same(run, one)  # the earlier run still stands
    write_fleet(tmp_path / "mixed", mixed().tables(), {})
    fees = Settings(fees=(FeeRule(product="shared-p000", additive=1.0),))
    with pytest.raises(RefusedError, match="only deviation can be charged by product"):
        plan_in_parts(Asked(str(tmp_path / "mixed"), str(run), fees, part_size=SIZE), engine)


def test_bad_products_are_left_out_as_in_one_process(tmp_path):
    tables = alone(4).tables()
    margin = tables["products"].column_names.index("margin")
    values = [float("nan"), *np.asarray(tables["products"]["margin"])[1:]]
    tables["products"] = tables["products"].set_column(margin, "margin", pa.array(values))
    write_fleet(tmp_path / "fleet", tables, {})
    read, rejected = read_fleet(tmp_path / "fleet", skip_bad=True)
    info = {"version": "", "settings": {}, "fleet_fingerprint": read.fingerprint}
    write_run(plan_fleet(read, SETTINGS_ALONE), rejected, tmp_path / "one", info=info)
    done = plan_in_parts(
        Asked(str(tmp_path / "fleet"), str(tmp_path / "run"), SETTINGS_ALONE, part_size=1, skip_bad=True)
    )
    assert [product for product, _ in done.rejected] == ["p0"]
    for name in (*TABLES, "rejected"):
        ours, theirs = (tmp_path / folder / f"{name}.parquet" for folder in ("run", "one"))
        assert ours.read_bytes() == theirs.read_bytes()


SETTINGS_ALONE = Settings()


def test_a_warm_start_reads_its_own_prices_part_by_part(fleet, one, tmp_path):
    some = read_prices(one, ["vendor-of-p1:p1", "vendor-of-p4:p4", "unknown"])
    assert set(some["contract_id"]) == {"vendor-of-p1:p1", "vendor-of-p4:p4"}
    assert read_prices(one, [])["price"].size == 0
    read, _ = read_fleet(fleet)
    info = {"version": "", "settings": {}, "fleet_fingerprint": ""}
    write_run(plan_fleet(read, SETTINGS, yesterday=read_prices(one)), [], tmp_path / "warm", info=info)
    plan_in_parts(asked(fleet, tmp_path / "run", warm_start=str(one)))
    assert same(tmp_path / "run", tmp_path / "warm")


def test_parts_that_lie_among_each_other_are_merged_at_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxcpp.cluster.join.BATCH", 4)
    rng = np.random.default_rng(0)
    names = np.sort([f"{name:03d}" for name in range(60)])
    owner = rng.integers(0, 4, len(names))
    owner[[0, -1]] = 0  # one part spans all the others
    rows = [(name, at) for name in names for at in range(rng.integers(1, 9))]
    parts = []
    for part in range(4):
        mine = [row for row in rows if owner[int(row[0])] == part]
        table = pa.table({"contract_id": [row[0] for row in mine], "at": [row[1] for row in mine]})
        pq.write_table(table, tmp_path / f"{part}.parquet", row_group_size=7)
        parts.append((mine[0][0], tmp_path / f"{part}.parquet"))
    pieces = list(merged(sorted(parts), "contract_id"))
    assert max(piece.num_rows for piece in pieces) <= 4 * 4
    whole = pa.concat_tables(pieces)
    assert list(zip(*(whole[name].to_pylist() for name in ("contract_id", "at")), strict=True)) == rows
    one_after_the_other = pa.concat_tables(merged(sorted(parts), None))
    assert one_after_the_other.num_rows == len(rows)


def settle():
    """JAX in a worker as in these tests."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", os.environ["CACHE_OF_TESTS"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def killed_once(job, part):
    """Part 1 takes its worker down the first time."""
    marker = Path(os.environ["KILLED_IN_TESTS"])
    if part == 1 and not marker.exists():
        marker.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return do_part(job, part)


@pytest.mark.slow
def test_a_worker_that_is_killed(fleet, one, store, tmp_path, monkeypatch):
    """Fleet and run in an object store, which every worker finds by its address."""
    from jaxcpp.cluster.workers import workers

    monkeypatch.setenv("CACHE_OF_TESTS", str(Path(__file__).resolve().parents[2] / ".jax_cache"))
    monkeypatch.setenv("KILLED_IN_TESTS", str(tmp_path / "killed"))
    monkeypatch.setenv("PJRT_NPROC", "1")
    uploaded(fleet, store, "fleet-of-workers")
    with workers("local:2", settle) as engine:

        def do(task, job, parts):
            return engine(killed_once if task is do_part else task, job, parts)

        plan_in_parts(asked(store.address("fleet-of-workers"), store.address("run-of-workers")), do)
    run = place(store.address("run-of-workers"))
    assert same(run, one)
    rows = pq.read_table(opened(run / "manifest.parquet"))
    killed = (tmp_path / "killed").read_text()
    assert not any(name.endswith(f":{killed}") for name in rows["worker"].to_pylist()[1:2])


def scheduler_killed(job, part):
    """The whole cluster loses its scheduler while the second part is done."""
    if part == 1:
        os.kill(int(os.environ["SCHEDULER_IN_TESTS"]), signal.SIGKILL)
        time.sleep(60.0)  # a worker without a scheduler is of no use to anybody
    return do_part(job, part)


@pytest.mark.slow
def test_a_scheduler_that_is_killed(fleet, one, tmp_path, monkeypatch):
    from jaxcpp.cluster.workers import workers

    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("CACHE_OF_TESTS", str(root / ".jax_cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), str(root / "kernels")]))
    monkeypatch.setenv("PJRT_NPROC", "1")
    told, run, null = tmp_path / "scheduler.json", tmp_path / "run", subprocess.DEVNULL
    at = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told), "--no-dashboard")
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", *at], stdout=null, stderr=null
    )
    monkeypatch.setenv("SCHEDULER_IN_TESTS", str(scheduler.pid))
    words = ("--scheduler-file", str(told), "--nthreads", "1", "--no-nanny", "--no-dashboard")
    worker = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", *words], stdout=null, stderr=null
    )
    try:
        while not told.exists():
            assert scheduler.poll() is None
            time.sleep(0.05)
        address = json.loads(told.read_text())["address"]
        with workers(address, settle) as engine:

            def do(task, job, parts):
                return engine(scheduler_killed if task is do_part else task, job, parts)

            with pytest.raises(PartsFailedError, match="the scheduler is gone"):
                plan_in_parts(asked(fleet, run), do)
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait(30)
    assert not (run / "_SUCCESS").exists()
    again = Counted()
    plan_in_parts(asked(fleet, run, resume=True), again)
    assert 1 in again.done
    assert same(run, one)


def test_one_process_loads_no_cluster():
    program = """
import sys
import time
import jaxcpp.cli.plan_parts, jaxcpp.cluster.plan
print([name for name in ("dask", "distributed") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
