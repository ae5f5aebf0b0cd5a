"""Folders of sweeps and tuned fees: a fleet under every fee of a grid, and the fee that is best."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxcpp.fleet.results import Columns
from jaxcpp.tables.runs import RUN_JSON, check_run_folder, table_of, write_facts
from jaxcpp.tables.schema import SWEEP, TUNE, TableSpec
from jaxcpp.tables.whole import write_parquet


def write_sweep(columns: Columns, folder: str | Path, facts: Mapping[str, Any]) -> None:
    """Writes `sweep.parquet`, then `run.json`: a folder with one is a whole sweep.

    `facts` must hold `fleet_fingerprint`, by which the folder is known again. Raises `RunFolderError` for a
    folder that holds something else.
    """
    _write({SWEEP.name: (SWEEP, columns)}, Path(folder), facts)


def write_tune(tables: Mapping[str, Columns], folder: str | Path, facts: Mapping[str, Any]) -> None:
    """Writes `tune.parquet`, `fees.parquet` and `curve.parquet`, then `run.json`, as `write_sweep`."""
    _write({name: (TUNE[name], columns) for name, columns in tables.items()}, Path(folder), facts)


def _write(tables: Mapping[str, tuple[TableSpec, Columns]], folder: Path, facts: Mapping[str, Any]) -> None:
    check_run_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN_JSON).unlink(missing_ok=True)
    for name, (spec, columns) in tables.items():
        write_parquet(table_of(spec, columns), folder / f"{name}.parquet")
    write_facts(facts, folder)
