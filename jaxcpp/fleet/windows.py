"""From a fleet over many weeks to groups of contracts, and from a state to one week's lanes.

A window's demand entries sit on a grid of (region, week), with the week before the first for what is
past due. Only entries that may hold units become columns of a lane; how many a lane needs at most is
known before the first week, so every week has the same shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.contracts import Contracts, Index
from jaxcpp.fleet.data import Fleet, Floats, Ints
from jaxcpp.fleet.pack import Lane, Lanes, Packer, Shape, scales, step_up
from jaxcpp.fleet.roll_settings import RollSettings
from jaxcpp.fleet.told import Told, forecasts_of, regions_of, targets_of


@dataclass(frozen=True)
class Group:
    """Contracts whose weeks have one shape; weeks run over the table, then `window` empty ones."""

    shape: Shape
    contract: Index  # (lane,) position among the contracts
    nodes: Ints  # (lane, inbound) position among the fleet's inbound nodes, or -1
    region: Ints  # (lane, region) position among the fleet's regions, or -1
    source: Ints  # (lane, source) position among the fleet's sources, or -1
    outbound: Floats  # (lane, inbound, region) currency / unit; inf = no lane
    demand: Floats  # (lane, region, week) units, as it will come
    inventory: Floats  # (lane, inbound) units on hand before the first week
    inbound: Floats  # (lane, source, inbound) currency / unit; inf = no lane
    capacity: Floats  # (lane, source, week) units
    retailer: Floats  # (lane, 5): margin, holding, backlog, lost sale, leftover
    supplier: Floats  # (lane, 2): margin, holding
    targets: Floats  # (lane, inbound, week) units; NaN where the fleet has none for the product
    told: Told


@dataclass(frozen=True)
class Window:
    """One week's lanes, and where their columns sit on the grid of (region, past due or week)."""

    lanes: Lanes
    entry: Index  # (lane, column); the last place of the grid is nowhere


def forecast(group: Group, settings: RollSettings, week: int, weeks: int) -> Floats:
    """What is expected of each region in the window from `week` on, (lane, region, window) [units]."""
    ahead = group.demand[:, :, week : week + settings.window]
    if settings.forecast == "perfect":
        return ahead
    if settings.forecast == "table":
        return group.told.of(week, np.zeros_like(ahead), weeks)
    past = group.demand[:, :, max(week - settings.trailing, 0) : week]
    known = np.arange(week, week + settings.window) < weeks  # nothing is sold after the table's last week
    return np.mean(past, axis=2, keepdims=True) * known


def entries(group_demand: Floats, expected: Floats, week: int) -> NDArray[np.bool_]:
    """Where of (lane, region, window) units may be: expected, or in the first week about to come."""
    some = expected > 0.0
    some[:, :, 0] |= group_demand[:, :, week] > 0.0
    return some


def groups(fleet: Fleet, found: Contracts, settings: RollSettings) -> list[Group]:
    """Every contract in its group, the largest programs first."""
    packer = Packer(fleet, found)
    spoken_of = [regions_of(fleet, int(product), settings) for product in found.product]
    lanes = [packer.lane(contract, regions) for contract, regions in enumerate(spoken_of)]
    by_regions: dict[tuple[int, int, bool], list[int]] = {}
    for contract, lane in enumerate(lanes):
        stocked = settings.forecast != "perfect" or settings.policy != "best" or bool(lane.inventory.any())
        regions = step_up(len(spoken_of[contract]), REGION_STEPS)
        by_regions.setdefault((regions, packer.shape(lane).inbound, stocked), []).append(contract)
    found_groups = [
        _group(fleet, found, packer, lanes, members, key, settings) for key, members in by_regions.items()
    ]
    return sorted(found_groups, key=lambda g: (-g.shape.columns * len(g.contract), g.shape.inbound))


REGION_STEPS = (4, 16, 48, 112)
"""Regions per lane are padded up to one of these, then to multiples of the last."""

COLUMNS = 32
"""A group's programs are its own, so its columns are padded up to a multiple of this and no further."""


def _group(
    fleet: Fleet,
    found: Contracts,
    packer: Packer,
    lanes: list[Lane],
    members: list[int],
    key: tuple[int, int, bool],
    settings: RollSettings,
) -> Group:
    regions, nodes, stocked = key
    count, weeks, sources = len(members), fleet.weeks + settings.window, packer.most_sources
    outbound, inbound = np.full((count, nodes, regions), np.inf), np.full((count, sources, nodes), np.inf)
    demand, capacity = np.zeros((count, regions, weeks)), np.zeros((count, sources, weeks))
    inventory, targets = np.zeros((count, nodes)), np.full((count, nodes, weeks), np.nan)
    told: list[tuple[Any, ...]] = []
    where = {name: np.full((count, size), -1, np.int32) for name, size in
             (("nodes", nodes), ("region", regions), ("source", sources))}  # fmt: skip
    for row, member in enumerate(members):
        lane = lanes[member]
        product = int(found.product[member])
        known = regions_of(fleet, product, settings)
        at = np.searchsorted(known, lane.region)
        a, b, c = len(lane.nodes), len(known), len(lane.source)
        outbound[row, :a, :b] = packer.outbound(product)[np.ix_(lane.nodes, known)]
        demand[row, at, lane.week] = lane.demand
        inbound[row, :c, :a], capacity[row, :c, : fleet.weeks] = lane.inbound, lane.capacity
        inventory[row, :a] = lane.inventory
        where["nodes"][row, :a], where["region"][row, :b] = lane.nodes, known
        where["source"][row, :c] = lane.source
        targets[row, :a] = targets_of(fleet, product, weeks)[lane.nodes]
        told.append(forecasts_of(fleet, product, row, known, settings))
    contract = np.asarray(members, np.intp)
    retailer, supplier = packer.numbers(contract)
    shape = Shape(nodes, settings.window, 0, sources, stocked)
    group = Group(
        shape=shape, contract=contract, outbound=outbound, demand=demand, inventory=inventory,
        inbound=inbound, capacity=capacity, retailer=retailer, supplier=supplier, targets=targets,
        told=Told(*(np.concatenate(columns) for columns in zip(*told, strict=True))),
        **where,
    )  # fmt: skip
    # One week more than orders are placed in: what the last one leaves is valued too.
    real = (group.region >= 0).sum(axis=1)
    most = max(
        int(
            np.max(
                entries(demand, forecast(group, settings, week, fleet.weeks), week).sum(axis=(1, 2)) + real
            )
        )
        for week in range(settings.start, settings.start + settings.weeks + 1)
    )
    return replace(group, shape=replace(shape, columns=-(-most // COLUMNS) * COLUMNS))


def window(
    group: Group,
    week: int,
    some: NDArray[np.bool_],
    grid: Floats,
    stock: Floats,
    spare: Floats,
    foreseen: bool = True,
) -> Window:
    """One week's lanes.

    `some` marks the (lane, region, window) entries that may hold units, `grid` has the units of
    (lane, region, past due and window); `stock` is what the vendor built early, `spare` what the
    retailer has on hand for nothing in particular [units]. Later weeks' capacity is `foreseen`, or taken
    to be this one's.
    """
    count, regions, places = grid.shape
    may = np.concatenate([np.repeat((group.region >= 0)[:, :, None], 1, axis=2), some], axis=2)
    may = may.reshape(count, -1)
    columns = group.shape.columns
    first = np.argsort(~may, axis=1, kind="stable")[:, :columns]
    chosen = np.take_along_axis(may, first, axis=1)
    entry = np.where(chosen, first, regions * places)
    entry = np.pad(entry, ((0, 0), (0, columns - entry.shape[1])), constant_values=regions * places)
    units = take(grid, entry)
    region = np.minimum(entry // places, regions - 1)
    outbound = np.take_along_axis(group.outbound, region[:, None, :], axis=2)
    # A column without units has no lanes: it must not reach the scale of the contract's costs.
    outbound = np.where((units > 0.0)[:, None, :], outbound, np.inf)
    needed = np.where(entry < regions * places, entry % places - 1, 0)
    capacity = group.capacity[:, :, week : week + group.shape.weeks].copy()
    if not foreseen:
        made = np.arange(week, week + group.shape.weeks) < group.capacity.shape[2] - group.shape.weeks
        capacity = np.where(made, capacity[:, :, :1], 0.0)
    capacity[:, :, 0] += stock
    lanes = Lanes(
        outbound=outbound, demand=units, week=needed.astype(np.int32),
        inventory=spare if group.shape.stocked else None, retailer=group.retailer, inbound=group.inbound,
        capacity=capacity, supplier=group.supplier, scale=scales(outbound, group.inbound),
    )  # fmt: skip
    return Window(lanes, entry)


def take(grid: Floats, entry: Index) -> Floats:
    """The units of each column from a grid (lane, region, place)."""
    flat = np.pad(grid.reshape(len(grid), -1), ((0, 0), (0, 1)))
    return np.take_along_axis(flat, entry, axis=1)


def put(columns: Floats, entry: Index, regions: int, places: int) -> Floats:
    """Columns (lane, ..., column) back on the grid (lane, ..., region, place)."""
    shape = columns.shape[:-1]
    entry = entry.reshape(len(entry), *(1,) * (columns.ndim - 2), -1)
    flat = np.zeros((*shape, regions * places + 1))
    np.put_along_axis(flat, np.broadcast_to(entry, columns.shape), columns, axis=-1)
    return flat[..., :-1].reshape(*shape, regions, places)
