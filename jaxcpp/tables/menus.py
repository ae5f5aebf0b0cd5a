"""Files of a menu: plans to price, read and checked, and what became of them, written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from jaxcpp.fleet.data import Floats
from jaxcpp.fleet.results import Columns
from jaxcpp.tables.files import UNREADABLE, read_table_file
from jaxcpp.tables.problems import FleetError, Problem, Report
from jaxcpp.tables.runs import table_of
from jaxcpp.tables.schema import MENU
from jaxcpp.tables.whole import write_parquet


def read_plans(path: Path, inbound_ids: list[str], weeks: int) -> tuple[list[str], Floats]:
    """The plans in a Parquet or CSV file: their ids in order of appearance, and units (plan, inbound, week).

    Columns are those of the table `plans` that `write_menu` writes: `plan_id`, `inbound_id`, `week` (0 where
    absent) and `units`; what a plan does not name is 0.

    Raises `FleetError` with every problem found, by row and column.
    """
    spec, report = MENU["plans"], Report()
    try:
        raw = read_table_file(path, spec, report)
    except UNREADABLE as error:
        words = " ".join(str(error).split())
        raise FleetError([Problem(path.name, None, "", f"cannot be read: {words}")]) from None
    problems = report.problems()
    if problems:
        raise FleetError(problems)
    columns = {name: raw.table[name].to_pylist() for name in raw.table.column_names}
    week = columns.get("week", [0] * len(raw.lines))
    place = {node: position for position, node in enumerate(inbound_ids)}
    ids: dict[str, int] = {}
    entries: dict[tuple[int, int, int], float] = {}
    for line, plan, node, when, units in zip(
        raw.lines.tolist(), columns["plan_id"], columns["inbound_id"], week, columns["units"], strict=True
    ):
        found = _entry(plan, node, when, units, place, weeks)
        if isinstance(found, dict):
            problems += [Problem(path.name, line, column, what) for column, what in found.items()]
            continue
        key = ids.setdefault(str(plan), len(ids)), *found[:2]
        if key in entries:
            problems.append(Problem(path.name, line, "", f"plan {plan!r} names this node and week before"))
        entries[key] = found[2]
    if not problems and not entries:
        problems.append(Problem(path.name, None, "", "has no rows; name at least one plan"))
    if problems:
        raise FleetError(problems)
    plans = np.zeros((len(ids), len(inbound_ids), weeks))
    for key, units in entries.items():
        plans[key] = units
    return list(ids), plans


def _entry(
    plan: object, node: object, week: object, units: object, place: dict[str, int], weeks: int
) -> tuple[int, int, float] | dict[str, str]:
    """Position, week and units of a row, or what is wrong with it by column."""
    wrong = {}
    if plan is None:
        wrong["plan_id"] = "is empty; name the plan"
    if str(node) not in place:
        wrong["inbound_id"] = f"{node!r} is no inbound node this vendor delivers the product to; known: " + (
            ", ".join(place)
        )
    amounts = []
    for name, value in (("week", 0 if week is None else week), ("units", units)):
        try:
            amounts.append(float(str(value)))
        except ValueError:
            amounts.append(np.nan)
        if name == "week" and amounts[0] not in range(weeks):
            wrong[name] = f"{value!r} is no week from 0 to {weeks - 1}"
        if name == "units" and not 0.0 <= amounts[-1] < np.inf:
            wrong[name] = f"{value!r} is not a finite number of at least 0"
    return wrong or (place[str(node)], int(amounts[0]), amounts[1])


def write_menu(menu: Columns, plans: Columns, folder: Path) -> None:
    """Writes `menu` and `plans` (Parquet) into a folder; files of the same names are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, pa.Table] = {
        name: table_of(MENU[name], columns) for name, columns in (("menu", menu), ("plans", plans))
    }
    for name, table in tables.items():
        write_parquet(table, folder / f"{name}.parquet")
