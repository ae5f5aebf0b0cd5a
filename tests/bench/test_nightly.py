"""The large fleet's measurement: one number that differs is found, memory is told by how far the run was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bench.nightly import TABLES, DifferentError, Watch, check_same
from jaxcpp.tables.schema import RUN
from jaxcpp.tables.whole import write_stream


def write(folder, rows, change=0.0):
    folder.mkdir()
    for name in TABLES:
        schema = RUN[name].arrow
        columns: dict[str, Any] = {}
        for field in schema:
            if pa.types.is_string(field.type):
                columns[field.name] = [f"c{row}" for row in range(rows)]
            elif pa.types.is_list(field.type):
                columns[field.name] = [[f"p{row}"] for row in range(rows)]
            else:
                columns[field.name] = np.arange(rows) + (change if pa.types.is_floating(field.type) else 0)
        write_stream([pa.table(columns, schema=schema)], schema, folder / f"{name}.parquet")


def test_the_first_rows_are_compared_byte_by_byte(tmp_path):
    write(tmp_path / "run", 9)
    write(tmp_path / "one", 4)
    write(tmp_path / "other", 4, change=1e-12)
    assert check_same(tmp_path / "run", tmp_path / "one") == 4
    with pytest.raises(DifferentError, match="contracts: not those of one process"):
        check_same(tmp_path / "run", tmp_path / "other")


def test_workers_are_those_that_did_a_part_and_live(tmp_path):
    (tmp_path / "parts").mkdir()
    waits = "import time; print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", waits], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()  # until it is up it holds next to nothing
        for part, pid in enumerate((process.pid, 2**22 + 1)):
            row = json.dumps({"part": part, "worker": f"host:{pid}"})
            (tmp_path / "parts" / f"part-{part:06d}.json").write_text(row)
        watch = Watch(tmp_path, parts=4)
        assert watch.workers() == [process.pid]
        assert watch.look(os.getpid()) == 2
        memory = watch.memory("worker")
        assert memory[5] > 0
        assert sum(memory) == memory[5]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert watch.workers() == []
