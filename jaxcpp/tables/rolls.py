"""A rolled fleet's folder: a folder a week, whole or not there, so that a roll can be resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from jaxcpp.fleet.results import Columns
from jaxcpp.tables.roll_schema import ROLL, SUMMARY
from jaxcpp.tables.runs import REPORT, RUN_JSON, RunFolderError, columns_of, table_of
from jaxcpp.tables.whole import write_parquet, write_text

ROLL_JSON: Final = "roll.json"
"""Written first: what the weeks in the folder are of."""

SAME: Final = ("version", "settings", "fleet_fingerprint")
"""What must not differ between a roll and the one that resumes it."""


class ResumeError(ValueError):
    """The folder holds the weeks of another roll."""


def begin_roll(folder: str | Path, info: Mapping[str, Any], *, resume: bool) -> int | None:
    """Makes the folder ready, and says which week of the fleet is the last that is whole there.

    `info` holds `version`, `settings` and `fleet_fingerprint`. Without `resume` an earlier roll's
    weeks are removed.

    A kill at any moment leaves a folder that this knows again. Raises `RunFolderError` for a folder that
    holds something else, and `ResumeError` where the weeks there are of another fleet, other settings or
    another version.
    """
    folder = Path(folder)
    if folder.is_file():
        raise RunFolderError(f"{folder} is a file; name a folder for the run")
    known = {ROLL_JSON, RUN_JSON, "weeks", "summary.parquet", *REPORT}
    held = (
        {path.name for path in folder.iterdir() if not path.name.endswith(".tmp")}
        if folder.exists()
        else set()
    )
    if held and (ROLL_JSON not in held or held - known):
        other = min(held - known or held)
        raise RunFolderError(
            f"{folder} holds {other!r} and is no rolled fleet; name a new or an empty folder"
        )
    facts = json.loads(json.dumps({name: info[name] for name in SAME}))
    weeks, gone = folder / "weeks", folder / ".weeks.tmp"
    shutil.rmtree(gone, ignore_errors=True)
    if resume and whole_weeks(folder):
        _check_same(json.loads((folder / ROLL_JSON).read_text(encoding="utf-8")), facts)
    else:
        for name in (RUN_JSON, "summary.parquet", *REPORT):
            (folder / name).unlink(missing_ok=True)
        if weeks.exists():  # under their own name the weeks are all there, or none is
            weeks.replace(gone)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", folder / ROLL_JSON)
    weeks.mkdir(exist_ok=True)
    shutil.rmtree(gone, ignore_errors=True)
    done = whole_weeks(folder)
    missing = sorted(set(range(facts["settings"]["start"], done[-1])) - set(done)) if done else []
    if missing:
        raise ResumeError(
            f"cannot resume: {weeks} has week {done[-1]} and not week {missing[0]}; remove the later weeks, "
            f"or leave out --resume"
        )
    return done[-1] if done else None


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name in SAME:
        if before.get(name) != now[name]:
            raise ResumeError(
                f"cannot resume: the weeks there are of another {name.replace('_', ' ')} "
                f"({before.get(name)!r}, now {now[name]!r}); name another folder, or leave out --resume"
            )


def whole_weeks(folder: str | Path) -> list[int]:
    """The weeks whose folders are there, in order."""
    return sorted(int(path.name.partition("=")[2]) for path in (Path(folder) / "weeks").glob("week=*"))


def write_week(folder: str | Path, week: int, tables: Mapping[str, Columns]) -> None:
    """Writes `contracts`, `plans` and `state` of one week; the folder has its name when it is whole."""
    target = _week_folder(folder, week)
    hidden = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(hidden, ignore_errors=True)
    hidden.mkdir(parents=True)
    for name, spec in ROLL.items():
        write_parquet(table_of(spec, tables[name]), hidden / f"{name}.parquet")
    hidden.replace(target)


def read_week(folder: str | Path, week: int, name: str) -> Columns:
    """One table of one week, its columns as numpy arrays (lists of ids as lists)."""
    return columns_of(pq.read_table(_week_folder(folder, week) / f"{name}.parquet", partitioning=None))


def finish_roll(folder: str | Path, summary: Columns, facts: Mapping[str, Any]) -> None:
    """Writes `summary.parquet`, then `run.json`: a folder with one is a whole roll."""
    folder = Path(folder)
    write_parquet(table_of(SUMMARY, summary), folder / "summary.parquet")
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(text, folder / RUN_JSON)


def _week_folder(folder: str | Path, week: int) -> Path:
    return Path(folder) / "weeks" / f"week={week:02d}"
