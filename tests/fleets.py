"""Random ragged fleets: the tables of a whole fleet, and each contract as a plain problem.

Vendors share the retailer's general lanes; a vendor's products share the vendor's general lanes; a
product may have rows of its own, which win. Each product's capacity is its own. The tables say in
their roundabout way (weights, rows for every product or every week) what the problems say plainly,
so an oracle on the problem judges the whole way from the file to the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jaxcpp.fleet.data import Fleet
from jaxcpp.tables import read_fleet, write_fleet
from jaxcpp.tables.schema import FLEET
from tests.oracles import Problem
from tests.oracles.problem import Floats
from tests.strategies import Options, build

Tables = dict[str, pa.Table]
Row = dict[str, Any]

# Not in sorted order: a position in a problem is not the position of the id in the fleet.
INBOUND = ("quay", "depot", "annex", "terminal", "yard", "hub")
REGIONS = ("north", "east", "south", "west", "coast", "inland", "valley", "plain")
SOURCES = ("works", "brewery", "mill", "plant")

FLAGS = ("inventory", "lost_sales", "backlog", "leftovers", "zeros", "ties")


@dataclass(frozen=True)
class Size:
    """Positions per contract."""

    inbound: int = 4
    regions: int = 6
    sources: int = 3
    weeks: int = 3


@dataclass
class Sample:
    """A fleet's tables as rows, and the problem behind each contract id.

    A problem's axes are the first entries of `INBOUND`, `REGIONS` and `SOURCES`.
    """

    size: Size
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in FLEET})
    problems: dict[str, Problem] = field(default_factory=dict)

    def tables(self) -> Tables:
        """The rows as tables of the file contract."""
        return {
            name: pa.Table.from_pylist(rows, schema=FLEET[name].arrow)
            for name, rows in self.rows.items()
            if rows or not FLEET[name].optional
        }

    def add(self, *entries: tuple[str, Row]) -> None:
        """Append rows to tables."""
        for table, row in entries:
            self.rows[table].append(row)


def read(tables: Mapping[str, pa.Table], folder: Path) -> Fleet:
    """The fleet that `tables` hold, by way of files."""
    write_fleet(folder, tables, {"name": "sample"})
    return read_fleet(folder)[0]


def without(tables: Mapping[str, pa.Table], vendors: set[str]) -> Tables:
    """The tables without some vendors and their products."""
    offers = tables["offers"].to_pylist()
    gone = {row["product_id"] for row in offers if row["vendor_id"] in vendors}
    kept = {}
    for name, table in tables.items():
        rows = table.to_pylist()
        keep = [row.get("vendor_id") not in vendors and row.get("product_id") not in gone for row in rows]
        kept[name] = table.filter(pa.array(keep, pa.bool_()))
    return kept


def shuffled(tables: Mapping[str, pa.Table], seed: int) -> Tables:
    """The same tables with their rows in another order."""
    rng = np.random.default_rng(seed)
    return {name: table.take(rng.permutation(table.num_rows)) for name, table in tables.items()}


def random_sample(seed: int, contracts: int, size: Size | None = None) -> Sample:
    """A fleet of `contracts` feasible contracts of one size, any option on or off in each."""
    rng = np.random.default_rng([seed, 2])
    sample = Sample(Size() if size is None else size)
    outbound = _general_lanes(rng, sample.size.inbound, sample.size.regions)
    sample.add(
        *(
            ("outbound_lanes", {"inbound_id": INBOUND[i], "region_id": REGIONS[j], **costs})
            for (i, j), costs in outbound.rows()
        )
    )
    while len(sample.problems) < contracts:
        most = min(4, contracts - len(sample.problems))
        _add_vendor(sample, rng, outbound, int(rng.integers(1, most + 1)))
    return sample


def from_problems(problems: Mapping[str, Problem]) -> Sample:
    """A fleet with one contract a problem, all lanes and capacities by product; keys name products.

    Every problem must have the same weeks. Sizes may differ.
    """
    most = [
        max(getattr(p, name) for p in problems.values())
        for name in ("inbound", "regions", "sources", "weeks")
    ]
    sample = Sample(Size(*most))
    for product, problem in problems.items():
        vendor = f"vendor-of-{product}"
        own_out = {(i, j): {"unit_cost": problem.unit_cost[i, j]} for i, j in _open(problem.unit_cost)}
        own_in = {
            (k, i): {"unit_cost": problem.supplier_unit_cost[k, i]}
            for k, i in _open(problem.supplier_unit_cost)
        }
        _add_product(sample, vendor, product, problem, 0.0, own_out, own_in, alone=False)
    return sample


@dataclass(frozen=True)
class _Lanes:
    """Lanes for every product: cost is `unit + per_kg * weight`; inf in `unit` = no lane."""

    unit: Floats
    per_kg: Floats

    def cost(self, weight: float) -> Floats:
        return self.unit + self.per_kg * weight

    def rows(self) -> list[tuple[tuple[int, int], Row]]:
        return [
            (at, {"unit_cost": self.unit[at], "cost_per_kg": self.per_kg[at] or None})
            for at in _open(self.unit)
        ]


def _open(cost: Floats) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in np.argwhere(np.isfinite(cost))]


def _general_lanes(rng: np.random.Generator, rows: int, columns: int) -> _Lanes:
    """Lanes with holes; the first row has none."""
    unit = rng.uniform(1.0, 6.0, (rows, columns))
    holes = rng.random(unit.shape) < 0.2
    holes[0] = False
    return _Lanes(
        np.where(holes, np.inf, unit), rng.uniform(0.0, 1.0, unit.shape) * (rng.random(unit.shape) < 0.7)
    )


def _add_vendor(sample: Sample, rng: np.random.Generator, outbound: _Lanes, products: int) -> None:
    size, number = sample.size, len({row["vendor_id"] for row in sample.rows["offers"]})
    lanes = _general_lanes(rng, size.inbound, size.sources)
    if size.inbound > 1 and rng.random() < 0.5:
        lanes.unit[rng.integers(1, size.inbound)] = np.inf  # a node the vendor does not deliver to
    inbound = _Lanes(lanes.unit.T, lanes.per_kg.T)
    vendor = f"vendor-{rng.integers(100):02d}-{number:03d}"
    for (k, i), costs in inbound.rows():
        lane = {"vendor_id": vendor, "source_id": SOURCES[k], "inbound_id": INBOUND[i], **costs}
        sample.add(("inbound_lanes", lane))
    for _ in range(products):
        product = f"{rng.integers(1000):03d}-{len(sample.problems):04d}"
        options = _random_options(rng, size)
        weight = float(rng.choice([0.0, 0.5, 2.0]))
        ours, own_out = _own_lanes(rng, outbound, weight, options.ties)
        theirs, own_in = _own_lanes(rng, inbound, weight, options.ties)
        problem = build(options, (ours, theirs))
        _add_product(sample, vendor, product, problem, weight, own_out, own_in, alone=products == 1)


def _random_options(rng: np.random.Generator, size: Size) -> Options:
    return Options(
        inbound=size.inbound,
        regions=size.regions,
        sources=size.sources,
        weeks=size.weeks,
        capacity="tight" if rng.random() < 0.3 else "loose",
        size=int(rng.choice([0, 0, 4, 12])),
        seed=int(rng.integers(2**31)),
        **{flag: bool(rng.random() < 0.5) for flag in FLAGS},
    )


def _own_lanes(
    rng: np.random.Generator, general: _Lanes, weight: float, ties: bool
) -> tuple[Floats, dict[tuple[int, int], Row]]:
    """A product's costs, and the rows of its own: on some lanes, or with `ties` on all of them."""
    cost, rows = general.cost(weight), {}
    for at in np.ndindex(cost.shape):
        if not (ties and np.isfinite(cost[at])) and rng.random() >= 0.1:
            continue
        unit, per_kg = (float(rng.integers(1, 4)), 0.0) if ties else rng.uniform((1.0, 0.0), (6.0, 1.0))
        cost[at] = unit + per_kg * weight
        rows[at] = {"unit_cost": unit, "cost_per_kg": per_kg}
    return cost, rows


def _add_product(
    sample: Sample,
    vendor: str,
    product: str,
    problem: Problem,
    weight: float,
    own_out: Mapping[tuple[int, int], Row],
    own_in: Mapping[tuple[int, int], Row],
    *,
    alone: bool,
) -> None:
    """A product's rows in all tables; `alone`: its vendor has no other, and capacity names no product."""
    ours, source = {"product_id": product}, {"vendor_id": vendor}
    known = {row["source_id"] for row in sample.rows["sources"] if row["vendor_id"] == vendor}
    # A source of the vendor's other products only: it has no row for this one.
    foreign = [
        SOURCES[k] in known and not weeks.any() and bool(problem.capacity.any())
        for k, weeks in enumerate(problem.capacity)
    ]
    theirs = np.where(np.asarray(foreign)[:, None], np.inf, problem.supplier_unit_cost)
    sample.problems[f"{vendor}:{product}"] = replace(problem, supplier_unit_cost=theirs)
    sample.add(
        ("products", {**ours, "weight_kg": weight, "margin": problem.margin, **_retailer_costs(problem)}),
        (
            "offers",
            {**source, **ours, "margin": problem.supplier_margin, "holding_cost": problem.supplier_holding},
        ),
        *(
            ("outbound_lanes", {**ours, "inbound_id": INBOUND[i], "region_id": REGIONS[j], **row})
            for (i, j), row in own_out.items()
        ),
        *(
            ("inbound_lanes", {**ours, **source, "source_id": SOURCES[k], "inbound_id": INBOUND[i], **row})
            for (k, i), row in own_in.items()
        ),
    )
    for k, weeks in enumerate(problem.capacity):
        if not foreign[k]:
            for row in _capacity_rows(weeks, every_week=len(sample.problems) % 2 == 0):
                sample.add(("sources", {**source, "source_id": SOURCES[k], **({} if alone else ours), **row}))
    _add_units(sample, ours, problem)


def _add_units(sample: Sample, ours: Row, problem: Problem) -> None:
    """Demand and stock on hand; zeros of demand are written now and then, the first region's always."""
    for (j, t), units in np.ndenumerate(problem.demand):
        if units > 0.0 or j == 0 or (j + t) % 3 == 0:
            sample.add(("demand", {**ours, "region_id": REGIONS[j], "week": t, "units": units}))
    for i, units in enumerate(problem.inventory):
        if units > 0.0:
            sample.add(("inventory", {**ours, "inbound_id": INBOUND[i], "units": units}))


def _retailer_costs(problem: Problem) -> Row:
    """The retailer's costs; what is infinite is left empty, as a file may have it."""
    costs = {
        "holding_cost": problem.holding,
        "backlog_cost": problem.backlog,
        "lost_sale_cost": problem.lost_sale,
        "leftover_cost": problem.leftover,
    }
    return {name: cost if np.isfinite(cost) else None for name, cost in costs.items()}


def _capacity_rows(weeks: Floats, *, every_week: bool) -> list[Row]:
    """One source's capacity: a row a week with any, or a row for every week and rows that differ from it."""
    if not every_week:
        rows = [{"week": week, "capacity": units} for week, units in enumerate(weeks) if units > 0.0]
        return rows or [{"week": 0, "capacity": 0.0}]
    usual = float(weeks[0])
    other = [{"week": week, "capacity": units} for week, units in enumerate(weeks) if units != usual]
    return [{"week": None, "capacity": usual}, *other]
