"""A run's folder: written table by table, whole or not at all, and read back."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jaxcpp.fleet.results import Columns, Rejected, Run, in_words
from jaxcpp.fleet.totals import Totals, totals_of
from jaxcpp.tables.places import Folder, Place, missing_bucket, opened, place, remove_folder
from jaxcpp.tables.schema import RUN, TableSpec
from jaxcpp.tables.whole import write_parquet, write_text

RUN_JSON: Final = "run.json"
REPORT: Final = ("report.html", "report.json")
"""What a report of a run adds to its folder; gone when the run is replaced."""
PARTS: Final = "parts"
"""The folder of the parts of a run that is made in parts; gone when the run is whole."""
MANIFEST: Final = "manifest.parquet"
"""What is known of each part of such a run."""
SUCCESS: Final = "_SUCCESS"
"""Written last of all in such a run."""
INFO: Final = ("version", "settings", "fleet_fingerprint")
"""What `write_run` must be told; the rest of `run.json` comes from the run."""


class RunFolderError(FileExistsError):
    """The folder named for a run holds something else than a run."""


def check_run_folder(folder: str | Path | Place) -> None:
    """Makes sure that a folder is new, empty, or an earlier run's, so that a run may be written there.

    A run that was cut off while its tables were written counts as a run. Raises `RunFolderError`
    with a message for people otherwise.
    """
    folder = place(folder)
    if not folder.exists():
        if isinstance(folder, Place):
            if bucket := missing_bucket(folder):
                raise RunFolderError(f"{folder}: there is no bucket {bucket!r}; make it, or mend its name")
            return
        base = next(parent for parent in folder.absolute().parents if parent.exists())
        if not base.is_dir():
            raise RunFolderError(f"{base} is a file; name a folder for the run")
        return
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; name a folder for the run")
    names = {f"{name}.parquet" for name in RUN} | {RUN_JSON, *REPORT, PARTS, MANIFEST, SUCCESS}
    held = {path.name for path in folder.iterdir()}
    ours = names | {f".{name}.tmp" for name in names}
    if not held <= ours and not _is_run_json(folder / RUN_JSON):
        other = min(held - ours)
        raise RunFolderError(f"{folder} holds {other!r} and no run; name a new or an empty folder")


def write_run(
    run: Run, rejected: Sequence[Rejected], folder: str | Path | Place, *, info: Mapping[str, Any]
) -> None:
    """Writes `contracts`, `plans`, `flows` and `prices` (if present), `rejected` (if any) and `run.json`.

    `info` goes into `run.json` and must hold `version`, `settings` (a mapping or a dataclass) and
    `fleet_fingerprint`. The run gives `device` and `seconds`, the counts by status, the rounds and
    the worst efficiency gap (fraction of chain cost as planned), unless `info` has them. The seconds
    of `write` are measured here; `total` counts from `info["started"]` (`time.perf_counter()` at the
    start of the job, not written), or is the sum of the phases. Parquet files hold nothing that
    differs between two runs of the same input. An earlier run in the folder is replaced; `run.json`
    goes first and comes last, so that a folder with one is a whole run.

    Raises `RunFolderError` for a folder that holds something else, `ValueError` where columns or
    `info` do not match the file contract.
    """
    started = time.perf_counter()
    folder = place(folder)
    check_run_folder(folder)
    if missing := [key for key in INFO if key not in info]:
        raise ValueError(f"info lacks {', '.join(missing)}")
    columns: dict[str, Columns | None] = {
        "contracts": run.contracts,
        "plans": run.plans,
        "flows": run.flows,
        "prices": run.prices,
        "rejected": rejected_columns(rejected),
    }
    tables = {name: table_of(RUN[name], given) for name, given in columns.items() if given is not None}
    folder.mkdir(parents=True, exist_ok=True)
    remove_outcome(folder)
    remove_folder(folder / PARTS)
    for name in RUN:
        path = folder / f"{name}.parquet"
        if name in tables:
            write_parquet(tables[name], path)
        else:
            path.unlink(missing_ok=True)
    facts = facts_of(totals_of(run.contracts, run.worst_gap), {"device": run.device, **info})
    facts["seconds"] = {**run.seconds, **info.get("seconds", {})}
    _time(facts, started)
    write_facts(facts, folder)


def remove_outcome(folder: Folder) -> None:
    """Takes away what says that a folder holds a whole run, before something of it changes."""
    for name in (SUCCESS, RUN_JSON, *REPORT, MANIFEST):
        (folder / name).unlink(missing_ok=True)


def write_facts(facts: Mapping[str, Any], folder: Folder) -> None:
    """Writes `run.json`, which a folder with a whole run has."""
    write_text(_json(facts), folder / RUN_JSON)


def read_run(folder: str | Path) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """The tables of a whole run by name, and its `run.json`.

    Raises `FileNotFoundError` where the folder holds no whole run.
    """
    folder = Path(folder)
    facts = json.loads((folder / RUN_JSON).read_text(encoding="utf-8"))
    paths = {name: folder / f"{name}.parquet" for name in RUN}
    return {name: pq.read_table(path) for name, path in paths.items() if path.exists()}, facts


def read_prices(folder: str | Path | Place, contracts: Collection[str] | None = None) -> Columns:
    """The prices of an earlier run, as columns: where tonight's search may begin.

    With `contracts` those of some only, without holding the others.

    Raises `RunFolderError`, with a message for people, where there are none or they cannot be read.
    """
    path, spec = place(folder) / "prices.parquet", RUN["prices"]
    wanted = None if contracts is None else pa.array(sorted(contracts), pa.string())
    filters = None if wanted is None else _between(wanted)
    try:
        table = pq.read_table(opened(path), columns=list(spec.by_name), filters=filters).cast(spec.arrow)
    except FileNotFoundError:
        raise RunFolderError(
            f"{path} is not there; name the folder of an earlier run of stand-alone contracts"
        ) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunFolderError(f"{path} holds no prices of a run: {error}") from error
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in spec.by_name}


def _between(ids: pa.Array) -> pc.Expression:
    """The rows of some contracts; the first and last of them tell which groups of rows to read at all."""
    if not len(ids):
        return pc.scalar(False)
    name = pc.field("contract_id")
    return (name >= ids[0]) & (name <= ids[-1]) & name.isin(ids)


def run_columns(folder: str | Path) -> tuple[dict[str, Columns], dict[str, Any]]:
    """As `read_run`, the columns as numpy arrays (lists of ids as lists)."""
    tables, facts = read_run(folder)
    return {name: columns_of(table) for name, table in tables.items()}, facts


def write_page(page: str, figures: Mapping[str, Any], folder: str | Path) -> None:
    """Writes a report: `report.html`, and its figures as `report.json` (what is not finite as null)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for text, name in zip((page, _json(figures)), REPORT, strict=True):
        write_text(text, folder / name)


def columns_of(table: pa.Table) -> Columns:
    """A table's columns as numpy arrays; lists of ids as lists."""
    return {
        name: table[name].to_pylist() if pa.types.is_list(table[name].type) else table[name].to_numpy()
        for name in table.column_names
    }


def _is_run_json(path: Folder) -> bool:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and "fleet_fingerprint" in facts


def rejected_columns(rejected: Sequence[Rejected]) -> Columns | None:
    """The table of products left out, in the order of their ids; none where there are none."""
    if not rejected:
        return None
    ordered = sorted(rejected, key=lambda entry: (entry.product_id, entry.reason))
    return {
        "product_id": [entry.product_id for entry in ordered],
        "reason": [entry.reason for entry in ordered],
    }


def table_of(spec: TableSpec, columns: Columns) -> pa.Table:
    """Columns as the table of a spec; raises `ValueError` where they do not match it."""
    if set(columns) != set(spec.by_name):
        odd = sorted(set(columns) ^ set(spec.by_name))
        raise ValueError(f"{spec.name} has missing or unknown columns: {', '.join(odd)}")
    try:
        arrays = [pa.array(columns[field.name], type=field.type) for field in spec.arrow]
        return pa.table(arrays, schema=spec.arrow)
    except pa.ArrowException as error:
        raise ValueError(f"{spec.name} does not match its columns: {error}") from error


def facts_of(totals: Totals, info: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` says of a run's contracts, and `info`, which wins."""
    facts: dict[str, Any] = {
        "status_counts": totals.status_counts(),
        "worst_efficiency_gap": totals.worst_gap,
        "budget": totals.budget,
        "budget_in_words": in_words(totals.budget),
        "rounds": totals.rounds_facts(),
        **info,
    }
    if dataclasses.is_dataclass(facts["settings"]) and not isinstance(facts["settings"], type):
        facts["settings"] = dataclasses.asdict(facts["settings"])
    return facts


def _time(facts: dict[str, Any], started: float) -> None:
    """Fills in the seconds of writing, and of everything."""
    now = time.perf_counter()
    seconds = facts["seconds"]
    seconds.setdefault("write", now - started)
    job = facts.pop("started", None)
    seconds.setdefault("total", sum(seconds.values()) if job is None else now - job)


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(plain(facts), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """The value as JSON knows it: numpy scalars as numbers, NaN and inf as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
