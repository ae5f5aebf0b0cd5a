"""A run's answers contract by contract, in the axes of the problems behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxcpp.fleet.results import Columns, Run
from jaxcpp.tables import write_run
from tests import oracles
from tests.fleets import INBOUND, Sample
from tests.oracles import Problem
from tests.oracles.problem import Floats

LP = 1e-9
"""What an answer of the LP solver may be off by, as a fraction of the money at stake."""


@dataclass(frozen=True)
class Answer:
    """One contract's row, its plans as (I, T) arrays, and the problem it answers."""

    id: str
    problem: Problem
    row: dict[str, Any]
    jit: Floats
    plan: Floats

    @property
    def chain(self) -> float:
        """Chain cost of the offered plan [currency]."""
        return float(self.row["retailer_cost_plan"] + self.row["supplier_cost_plan"])

    @property
    def filled(self) -> bool:
        """Whether the vendor confirms the whole just-in-time order."""
        return "confirm" not in self.row["reason"]

    @property
    def accuracy(self) -> float:
        """What an oracle's utility of this contract may be off by [currency]."""
        units = self.problem.demand.sum() + self.problem.capacity.sum()
        return LP * float(units * (self.problem.margin + self.problem.supplier_margin + 10.0))


@dataclass(frozen=True)
class Truth:
    """What the oracles say of one contract [currency]."""

    best: float  # the chain's utility
    jit: float  # the retailer's utility if deliveries were free and unlimited
    retailer_at_jit: float
    supplier_at_jit: float
    retailer_at_plan: float
    supplier_at_plan: float


def row_of(run: Run, contract_id: str) -> dict[str, Any]:
    """A contract's row."""
    (row,) = np.flatnonzero(np.asarray(run.contracts["contract_id"]) == contract_id)
    return {name: column[row] for name, column in run.contracts.items()}


def answers(run: Run, sample: Sample) -> Iterator[Answer]:
    """Every contract of the run, in its order."""
    units = {id_: np.zeros((2, problem.inbound, problem.weeks)) for id_, problem in sample.problems.items()}
    plans = run.plans
    for id_, node, week, jit, plan in zip(
        *(plans[name] for name in ("contract_id", "inbound_id", "week", "jit_units", "plan_units")),
        strict=True,
    ):
        at = INBOUND.index(str(node)), int(week)
        assert not units[str(id_)][:, *at].any(), f"{id_}: two rows for {node} week {week}"
        units[str(id_)][:, *at] = jit, plan
    for row, id_ in enumerate(map(str, run.contracts["contract_id"])):
        columns = {name: column[row] for name, column in run.contracts.items()}
        yield Answer(id_, sample.problems[id_], columns, *units[id_])


def truth(answer: Answer) -> Truth:
    """The exact utilities behind an answer."""
    problem = answer.problem
    return Truth(
        oracles.joint_optimum(problem)[0],
        oracles.best_jit_utility(problem),
        oracles.retailer_utility(problem, answer.jit),
        oracles.supplier_utility(problem, answer.jit),
        oracles.retailer_utility(problem, answer.plan),
        oracles.supplier_utility(problem, answer.plan),
    )


def files(run: Run, folder: Path) -> dict[str, bytes]:
    """The run's Parquet files, byte by byte."""
    write_run(run, [], folder, info={"version": "", "settings": {}, "fleet_fingerprint": ""})
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def only(columns: Columns, ids: set[str]) -> dict[str, Any]:
    """The rows of some contracts, as lists."""
    keep = [row for row, id_ in enumerate(columns["contract_id"]) if str(id_) in ids]
    return {name: [column[row] for row in keep] for name, column in columns.items()}
