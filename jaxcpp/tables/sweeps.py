"""A sweep's folder: a fleet under every fee of a grid, by vendor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxcpp.fleet.results import Columns
from jaxcpp.tables.runs import RUN_JSON, check_run_folder, table_of, write_facts
from jaxcpp.tables.schema import SWEEP
from jaxcpp.tables.whole import write_parquet


def write_sweep(columns: Columns, folder: str | Path, facts: Mapping[str, Any]) -> None:
    """Writes `sweep.parquet`, then `run.json`: a folder with one is a whole sweep.

    `facts` must hold `fleet_fingerprint`, by which the folder is known again. Raises `RunFolderError` for a
    folder that holds something else.
    """
    folder = Path(folder)
    check_run_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN_JSON).unlink(missing_ok=True)
    write_parquet(table_of(SWEEP, columns), folder / f"{SWEEP.name}.parquet")
    write_facts(facts, folder)
