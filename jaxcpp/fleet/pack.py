"""From the fleet's columns to lanes: padded arrays of equal shape, one row a contract.

Lanes are put into a few buckets by the size of their private problems, so that few programs are
compiled and little padding is computed. Padding has no mass and no lanes, not a huge cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jaxcpp.fleet.contracts import Contracts, Index
from jaxcpp.fleet.data import EVERY, Fleet, Floats, Ints

BundleKey = tuple[int, bool, bool]

COLUMN_STEPS = (32, 96, 256, 640)
"""Demand entries per lane are padded up to one of these, then to multiples of the last. Every further
step is one more program to compile (seconds), every missing one more padding to compute."""

NODE_STEPS = (1, 2, 4, 8, 16)
"""Likewise for inbound nodes and for a vendor's sources, but never beyond what the fleet has."""


@dataclass(frozen=True)
class Shape:
    """What a compiled program depends on."""

    inbound: int
    weeks: int
    columns: int  # demand entries
    sources: int
    stocked: bool  # some lane has inventory on hand


@dataclass(frozen=True)
class Lanes:
    """Raw numbers of a bucket's contracts, in currency and units; first axis is the lane."""

    outbound: Floats  # (lane, inbound, column) currency / unit; inf = no lane
    demand: Floats  # (lane, column) units
    week: Ints  # (lane, column)
    inventory: Floats | None  # (lane, inbound) units
    retailer: Floats  # (lane, 5): margin, holding, backlog, lost sale, leftover
    inbound: Floats  # (lane, source, inbound) currency / unit; inf = no lane
    capacity: Floats  # (lane, source, week) units
    supplier: Floats  # (lane, 2): margin, holding
    scale: Floats  # (lane,) currency / unit


@dataclass(frozen=True)
class Padding:
    """Sizes that problems are padded to at least: those of a larger fleet, of which this one is a part.

    With them a part's answers are those of the whole, to the last bit on a CPU: padding, and how many
    bundles are solved together, reach the order in which sums are taken.
    """

    inbound: int  # inbound nodes of the fleet
    sources: int  # most sources of a vendor
    bundles: Mapping[BundleKey, tuple[int, ...]]  # by kind of bundle: see `bundle_pack.largest`


@dataclass(frozen=True)
class Bucket:
    """Contracts whose lanes have one shape; `contract`, `region` and `source` lead back to the fleet."""

    shape: Shape
    contract: Index  # (lane,) position among the contracts
    lanes: Lanes
    nodes: Ints  # (lane, inbound) position among the fleet's inbound nodes, or -1
    region: Ints  # (lane, column) position among the fleet's regions, or -1
    source: Ints  # (lane, source) position among the fleet's sources, or -1


class _Groups:
    """Rows of a table sorted by (first, second): the slice that belongs to a pair of positions."""

    def __init__(self, first: Ints, second: Ints, seconds: int) -> None:
        self._width = seconds + 1  # EVERY, -1, is a position too
        self._keys = first.astype(np.int64) * self._width + (second.astype(np.int64) + 1)
        firsts = int(first[-1]) + 1 if len(first) else 0
        self._starts = np.searchsorted(first, np.arange(EVERY, firsts + 1)).tolist()

    def of(self, first: int, second: int) -> slice:
        key = first * self._width + second + 1
        return slice(*np.searchsorted(self._keys, (key, key + 1)).tolist())

    def within(self, first: int) -> slice:
        if first + 2 >= len(self._starts):
            return slice(len(self._keys), len(self._keys))
        return slice(self._starts[first - EVERY], self._starts[first - EVERY + 1])


class _OwnRows:
    """Rows of a table of sources that speak of one product, by product and source."""

    def __init__(self, source: Ints, product: Ints, products: int) -> None:
        self._rows = np.lexsort((source, product))
        self._source = source[self._rows]
        self._starts = np.searchsorted(product[self._rows], np.arange(products + 1)).tolist()

    def of(self, product: int, sources: range) -> Index:
        mine = slice(self._starts[product], self._starts[product + 1])
        first, last = np.searchsorted(self._source[mine], (sources.start, sources.stop))
        return self._rows[mine][first:last]


@dataclass(frozen=True)
class _ForEveryProduct:
    """What a vendor's sources have for products without rows of their own."""

    vendor: int
    capacity: Floats  # (source, week) units; nan = none
    unit_cost: Floats  # (source, inbound) currency / unit; inf = no lane
    cost_per_kg: Floats


@dataclass(frozen=True)
class Lane:
    """One contract's numbers before padding; `nodes`, `region` and `source` lead back to the fleet."""

    nodes: Index
    region: Ints
    source: Ints
    outbound: Floats
    demand: Floats
    week: Ints
    inventory: Floats
    inbound: Floats
    capacity: Floats


class Packer:
    """Looks up each contract's numbers and pads them into buckets.

    With `whole_units`, capacity and stock are rounded down: half a unit cannot be shipped.
    """

    def __init__(
        self, fleet: Fleet, found: Contracts, whole_units: bool = False, padding: Padding | None = None
    ) -> None:
        self.fleet, self.found, self.whole_units = fleet, found, whole_units
        products = len(fleet.product_ids)
        self._every: _ForEveryProduct | None = None
        self._demand = _Groups(fleet.demand.product, fleet.demand.week, fleet.weeks)
        self._stock = _Groups(fleet.inventory.product, fleet.inventory.inbound, len(fleet.inbound_ids))
        self._capacity = _Groups(fleet.sources.source, fleet.sources.product, products)
        self._inbound = _Groups(fleet.inbound_lanes.source, fleet.inbound_lanes.product, products)
        self._own_capacity = _OwnRows(fleet.sources.source, fleet.sources.product, products)
        self._own_lanes = _OwnRows(fleet.inbound_lanes.source, fleet.inbound_lanes.product, products)
        self._outbound = _Groups(
            fleet.outbound_lanes.product, fleet.outbound_lanes.inbound, len(fleet.inbound_ids)
        )
        self._sources_of = np.searchsorted(fleet.source_vendor, np.arange(len(fleet.vendor_ids) + 1))
        per_vendor = np.bincount(fleet.source_vendor, minlength=1)
        self.padding = padding
        self.most_sources = int(per_vendor.max()) if padding is None else padding.sources
        self.most_inbound = len(fleet.inbound_ids) if padding is None else padding.inbound
        grid = (len(fleet.inbound_ids), len(fleet.region_ids))
        self._base_unit, self._base_kg = np.full(grid, np.inf), np.zeros(grid)
        lanes, rows = fleet.outbound_lanes, self._outbound.within(EVERY)
        at = lanes.inbound[rows], lanes.region[rows]
        self._base_unit[at], self._base_kg[at] = lanes.unit_cost[rows], lanes.cost_per_kg[rows]

    def outbound(self, product: int) -> Floats:
        """The retailer's lanes for a product, (inbound, region) [currency / unit]."""
        lanes, weight = self.fleet.outbound_lanes, self.fleet.products.weight[product]
        cost = self._base_unit + self._base_kg * weight
        own = self._outbound.within(product)
        cost[lanes.inbound[own], lanes.region[own]] = lanes.unit_cost[own] + lanes.cost_per_kg[own] * weight
        return cost

    def sources(self, vendor: int, product: int) -> tuple[Ints, Floats, Floats]:
        """A vendor's sources of a product: positions, lanes (source, inbound), capacity (source, week)."""
        table, sources = self.fleet.sources, self.sources_of(vendor)
        capacity, cost = self._for_every_product(vendor).capacity.copy(), self.vendor_lanes(vendor, product)
        own = self._own_capacity.of(product, sources)
        if len(own):
            capacity = _with_rows(
                capacity, table.source[own] - sources.start, table.week[own], table.capacity[own]
            )
        used = np.flatnonzero(np.isfinite(capacity).any(axis=1) & np.isfinite(cost).any(axis=1))
        return (
            (used + sources.start).astype(np.int32),
            cost[used],
            self.whole(np.where(np.isnan(capacity[used]), 0.0, capacity[used])),
        )

    def vendor_lanes(self, vendor: int, product: int) -> Floats:
        """A vendor's lanes for a product, (source, inbound) [currency / unit]; a product's own row wins."""
        lanes, weight = self.fleet.inbound_lanes, self.fleet.products.weight[product]
        sources, every = self.sources_of(vendor), self._for_every_product(vendor)
        cost: Floats = every.unit_cost + every.cost_per_kg * weight
        own = self._own_lanes.of(product, sources)
        if len(own):
            at = lanes.source[own] - sources.start, lanes.inbound[own]
            cost[at] = lanes.unit_cost[own] + lanes.cost_per_kg[own] * weight
        return cost

    def _for_every_product(self, vendor: int) -> _ForEveryProduct:
        """Kept for the vendor asked for last: contracts come vendor by vendor."""
        found = self._every
        if found is not None and found.vendor == vendor:
            return found
        fleet, sources = self.fleet, self.sources_of(vendor)
        grid = (len(sources), len(fleet.inbound_ids))
        capacity = np.full((len(sources), fleet.weeks), np.nan)
        unit_cost, cost_per_kg = np.full(grid, np.inf), np.zeros(grid)
        for at, source in enumerate(sources):
            rows = self._capacity.of(source, EVERY)
            week = fleet.sources.week[rows]
            capacity = _with_rows(capacity, np.full(len(week), at), week, fleet.sources.capacity[rows])
            rows, lanes = self._inbound.of(source, EVERY), fleet.inbound_lanes
            unit_cost[at, lanes.inbound[rows]] = lanes.unit_cost[rows]
            cost_per_kg[at, lanes.inbound[rows]] = lanes.cost_per_kg[rows]
        self._every = _ForEveryProduct(vendor, capacity, unit_cost, cost_per_kg)
        return self._every

    def stock(self, product: int) -> Floats:
        """A product's inventory, (inbound,) [units]."""
        units, rows = np.zeros(len(self.fleet.inbound_ids)), self._stock.within(product)
        units[self.fleet.inventory.inbound[rows]] = self.whole(self.fleet.inventory.units[rows])
        return units

    def demand_rows(self, product: int) -> slice:
        """The rows of the fleet's demand that speak of a product."""
        return self._demand.within(product)

    def sources_of(self, vendor: int) -> range:
        """A vendor's sources, as positions in the fleet."""
        return range(int(self._sources_of[vendor]), int(self._sources_of[vendor + 1]))

    def whole(self, units: Floats) -> Floats:
        """Units as they can be shipped: rounded down where only whole ones are."""
        return np.floor(units + 1e-9) if self.whole_units else units

    def lane(self, contract: int, regions: Ints | None = None) -> Lane:
        """One contract's numbers, with the inbound nodes that matter to it.

        `regions` are those that a node may serve to matter; by default, those with demand.
        """
        fleet = self.fleet
        vendor, product = int(self.found.vendor[contract]), int(self.found.product[contract])
        rows = self.demand_rows(product)
        source, inbound, capacity = self.sources(vendor, product)
        stock = self.stock(product)
        region = fleet.demand.region[rows]
        every = self.outbound(product)
        outbound = every[:, region]
        useful = outbound if regions is None else every[:, regions]
        reached, serves = np.isfinite(inbound).any(axis=0), np.isfinite(useful).any(axis=1)
        # What may be left over may be left at a node that serves nobody.
        keeps = bool(np.isfinite(fleet.products.leftover_cost[product]))
        nodes = np.flatnonzero((reached & (serves | keeps)) | ((stock > 0.0) & serves))
        if not len(nodes):
            nodes = np.arange(1)  # nothing can reach anything: one node, no lanes, no use for its stock
            stock[:] = 0.0
        return Lane(
            nodes, region, source, outbound[nodes], fleet.demand.units[rows], fleet.demand.week[rows],
            stock[nodes], inbound[:, nodes], capacity,
        )  # fmt: skip

    def shape(self, lane: Lane) -> Shape:
        """The bucket a lane goes into."""
        return Shape(
            inbound=min(step_up(len(lane.nodes), NODE_STEPS), self.most_inbound),
            weeks=self.fleet.weeks,
            columns=step_up(len(lane.demand), COLUMN_STEPS),
            sources=self.most_sources,
            stocked=bool((lane.inventory > 0.0).any()),
        )

    def buckets(self) -> list[Bucket]:
        """Every contract, packed; the largest programs first."""
        lanes = [self.lane(contract) for contract in range(len(self.found))]
        groups: dict[Shape, list[int]] = {}
        for contract, lane in enumerate(lanes):
            groups.setdefault(self.shape(lane), []).append(contract)
        keys = sorted(groups, key=lambda s: (-s.columns * len(groups[s]), -s.sources, -s.inbound, s.stocked))
        return [self._bucket(shape, groups[shape], lanes) for shape in keys]

    def numbers(self, contract: Index) -> tuple[Floats, Floats]:
        """The retailer's (contract, 5) and the vendor's (contract, 2) own numbers, as in `Lanes`."""
        product, offer = self.found.product[contract], self.found.offer[contract]
        goods, offers = self.fleet.products, self.fleet.offers
        retailer = (
            goods.margin,
            goods.holding_cost,
            goods.backlog_cost,
            goods.lost_sale_cost,
            goods.leftover_cost,
        )
        supplier = np.stack([offers.margin[offer], offers.holding_cost[offer]], axis=1)
        return np.stack([column[product] for column in retailer], axis=1), supplier

    def _bucket(self, shape: Shape, members: list[int], lanes: list[Lane]) -> Bucket:
        count, i, t, m, k = len(members), shape.inbound, shape.weeks, shape.columns, shape.sources
        outbound, inbound = np.full((count, i, m), np.inf), np.full((count, k, i), np.inf)
        demand, inventory, capacity = np.zeros((count, m)), np.zeros((count, i)), np.zeros((count, k, t))
        week = np.zeros((count, m), np.int32)
        nodes, region, source = (np.full((count, size), -1, np.int32) for size in (i, m, k))
        for row, member in enumerate(members):
            lane = lanes[member]
            a, b, c = len(lane.nodes), len(lane.demand), len(lane.source)
            outbound[row, :a, :b], inbound[row, :c, :a] = lane.outbound, lane.inbound
            demand[row, :b], week[row, :b] = lane.demand, lane.week
            inventory[row, :a], capacity[row, :c] = lane.inventory, lane.capacity
            nodes[row, :a], region[row, :b], source[row, :c] = lane.nodes, lane.region, lane.source
        contract = np.asarray(members, np.intp)
        retailer, supplier = self.numbers(contract)
        return Bucket(
            shape=shape,
            contract=contract,
            lanes=Lanes(
                outbound=outbound, demand=demand, week=week, inventory=inventory if shape.stocked else None,
                retailer=retailer, inbound=inbound, capacity=capacity, supplier=supplier,
                scale=scales(outbound, inbound),
            ),
            nodes=nodes, region=region, source=source,
        )  # fmt: skip


def _with_rows(capacity: Floats, source: Index | Ints, week: Ints, units: Floats) -> Floats:
    """Capacity (source, week) with rows of it put in; a week's own row wins."""
    always = week == EVERY
    capacity[source[always]] = units[always, None]
    capacity[source[~always], week[~always]] = units[~always]
    return capacity


def step_up(size: int, steps: tuple[int, ...]) -> int:
    """The smallest step that holds `size`; beyond the last, a multiple of it."""
    for step in steps:
        if size <= step:
            return step
    return -(-size // steps[-1]) * steps[-1]


def scales(outbound: Floats, inbound: Floats) -> Floats:
    """Each lane's cost scale: the median of both parties' lanes [currency / unit]."""
    costs = np.concatenate([outbound.reshape(len(outbound), -1), inbound.reshape(len(inbound), -1)], axis=1)
    result = np.ones(len(costs))
    for row, lane in enumerate(costs):
        known = lane[np.isfinite(lane)]
        if len(known) and known.max() > 0.0:
            middle = _median(known)
            result[row] = middle if middle > 0.0 else float(known.mean())
    return result


def _median(known: Floats) -> float:
    """As `numpy.median`, without its checks: they take longer than a lane's numbers do."""
    low, high = (len(known) - 1) // 2, len(known) // 2
    parted = np.partition(known, (low, high))
    return float(0.5 * (parted[low] + parted[high]))
