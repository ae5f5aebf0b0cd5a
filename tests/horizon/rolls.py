"""Whole rolls for the tests: small fleets, and every week's result by contract."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.roll import Roll
from jaxcpp.fleet.roll_layout import summary_columns, summary_row, week_columns
from jaxcpp.fleet.roll_settings import RollSettings
from jaxcpp.fleet.settings import Settings
from tests.fleets import from_problems, read
from tests.oracles import Problem
from tests.strategies import Options, build

TIGHT = Settings(tolerance=1e-7, batch=16)
"""As many lanes as any of these fleets has contracts, so that all their rolls run the same programs."""


@dataclass(frozen=True)
class Rolled:
    """Every week's tables, and the summary."""

    roll: Roll
    weeks: list[dict[str, Columns]]
    summary: Columns

    def each(self, name: str) -> np.ndarray:
        """A column of `contracts`, (week, contract)."""
        return np.stack([np.asarray(week["contracts"][name]) for week in self.weeks])


def rolled(fleet: Fleet, **settings: Any) -> Rolled:
    """A fleet rolled to the end."""
    roll = Roll(fleet, RollSettings(**{"solve": TIGHT, **settings}))
    weeks: list[dict[str, Columns]] = []
    rows: list[Columns] = []

    def keep(week: int, done: Any) -> None:
        tables = week_columns(roll, week, done)
        rows.append(summary_row(week, tables["contracts"], tables["plans"], rows[-1] if rows else None))
        weeks.append(tables)

    roll.all_weeks(roll.start(), roll.settings.start, keep)
    return Rolled(roll, weeks, summary_columns(rows))


def hand_problem() -> Problem:
    """The two weeks of docs/horizon.md."""
    return Problem(
        unit_cost=np.array([[1.0], [3.0]]),
        demand=np.array([[10.0, 30.0]]),
        margin=20.0,
        supplier_unit_cost=np.array([[6.0, 1.0]]),
        capacity=np.array([[20.0, 20.0]]),
        supplier_margin=20.0,
        inventory=np.zeros(2),
        holding=1.0,
        supplier_holding=2.0,
    )


def random_fleet(folder: Path, contracts: int = 6, weeks: int = 4) -> Fleet:
    """The fleet of `random_problems`."""
    return read(from_problems(random_problems(contracts, weeks)).tables(), folder)


def random_problems(contracts: int = 6, weeks: int = 4) -> dict[str, Problem]:
    """Contracts of one size by product; demand may be lost in every other one, and be late in all."""
    problems = {}
    for seed in range(contracts):
        options = Options(
            inbound=3, regions=3, sources=2, weeks=weeks, lost_sales=seed % 2 == 0, backlog=True, seed=seed
        )
        found = build(options)
        # Worth shipping for the vendor, so that offers are taken.
        problems[f"p{seed}"] = replace(found, supplier_margin=found.supplier_margin + 5.0)
    return problems
