"""From the fleet's columns to bundles: padded arrays of equal shape, one row a bundle.

A product's demand is cut into tiles of one width, so that a bundle's size is the number of its tiles,
whatever its largest product. Bundles go into a few buckets by their number of products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.bundles import Bundle, Bundles, Capacity
from jaxcpp.fleet.contracts import Contracts, Index, contract_ids
from jaxcpp.fleet.data import Fleet, Floats, Ints
from jaxcpp.fleet.pack import BundleKey, Packer, Padding

WIDTH = 32
"""Demand entries of a tile."""

TILE_STEPS = (16, 64, 192, 448, 896)
"""Bundles of so many tiles at most are padded to the largest of them; beyond, of twice as many. Every
further step is a few more programs to compile."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class BundleLanes:
    """Raw numbers of some bundles, in currency and units; first axis is the bundle. See `agents.bundle`."""

    outbound: Floats  # (lane, tile, inbound, entry)
    demand: Floats  # (lane, tile, entry)
    week: Ints  # (lane, tile, entry)
    left: Bools  # (lane, tile, entry)
    product: Ints  # (lane, tile)
    retailer: Floats  # (lane, product, 5): margin, holding, backlog, lost sale, leftover
    inventory: Floats  # (lane, product, inbound)
    slot: Ints  # (lane, product, slot)
    supplier: Floats  # (lane, product, slot, 2): margin, holding
    own: Floats  # (lane, product, slot, source, inbound)
    own_capacity: Floats  # (lane, product, slot, source, week)
    shared: Floats  # (lane, product, source, inbound)
    draws: Bools  # (lane, product, source, week)
    capacity: Floats  # (lane, source, week)
    owner: Ints  # (lane, source)
    here: Bools  # (lane, vendor)
    scale: Floats  # (lane,)


@dataclass(frozen=True)
class Piece:
    """One bundle's numbers before padding, and the way back to the fleet."""

    bundle: Bundle
    nodes: Index  # (inbound,) positions in the fleet
    tiles: list[tuple[int, Index]]  # product of the bundle, and rows of the fleet's demand
    spare: list[bool]  # whether a tile's last entry is what is left over of its product
    slots: list[list[int]]  # by product: the offers that fill its slots
    own: dict[tuple[int, int], list[tuple[int, Floats, Floats]]]  # (product, slot): source, lanes, capacity
    shared: list[tuple[int, Floats, Bools, Floats]]  # source, lanes (product, inbound), draws, capacity

    @property
    def key(self) -> BundleKey:
        """What programs differ by: the step of its tiles, several vendors of a product, own sources."""
        step = _step(len(self.tiles))
        if step == TILE_STEPS[0]:
            return step, False, False  # too small for padding to matter
        return step, max(len(slots) for slots in self.slots) > 1, bool(self.own)


@dataclass(frozen=True)
class BundleBucket:
    """Bundles of one shape."""

    pieces: list[Piece]
    lanes: BundleLanes

    @property
    def size(self) -> int:
        """Numbers that a step of one bundle goes through."""
        _, tiles, inbound, width = self.lanes.outbound.shape
        _, products, slots = self.lanes.slot.shape
        weeks, sources = self.lanes.capacity.shape[2], self.lanes.capacity.shape[1]
        nodes = slots * inbound * weeks
        return nodes * (tiles * (width + nodes) + products * (nodes + sources * weeks))


class OrderPacker(Packer):
    """Products of bundles as lanes of their own, for what the retailer decides product by product.

    All vendors of a product count as one source that reaches whatever one of them reaches.
    """

    def __init__(
        self,
        fleet: Fleet,
        tied: Bundles,
        capacity: Capacity,
        whole_units: bool = False,
        padding: Padding | None = None,
    ) -> None:
        rows = tied.offers()
        products, first = np.unique(fleet.offers.product[rows], return_index=True)
        rows = rows[first]
        super().__init__(
            fleet,
            Contracts(
                fleet.product_ids[products],
                rows,
                fleet.offers.vendor[rows].astype(np.intp),
                products.astype(np.intp),
            ),
            whole_units,
            padding,
        )
        self._limits = capacity

    def sources(self, vendor: int, product: int) -> tuple[Ints, Floats, Floats]:
        """All vendors' sources of a product as one: position, lanes (1, inbound), capacity (1, week)."""
        del vendor
        cost, most = np.full((1, len(self.fleet.inbound_ids)), np.inf), np.zeros((1, self.fleet.weeks))
        used = 0
        for offer in np.flatnonzero(self.fleet.offers.product == product):
            for source, lanes, own, draws in supplies(self, self._limits, int(offer)):
                used = source
                cost[0] = np.minimum(cost[0], lanes)
                most[0] += np.nan_to_num(own) + np.where(
                    draws, np.nan_to_num(self._limits.shared(source)), 0.0
                )
        return np.asarray([used], np.int32), cost, most


def supplies(packer: Packer, limits: Capacity, offer: int) -> list[tuple[int, Floats, Floats, Bools]]:
    """Where an offer ships from: source, lanes, own capacity (nan where none), weeks drawn on shared."""
    vendor, product = (
        int(column[offer]) for column in (packer.fleet.offers.vendor, packer.fleet.offers.product)
    )
    found, every = [], packer.vendor_lanes(vendor, product)
    for lanes, source in zip(every, packer.sources_of(vendor), strict=True):
        own, draws = limits.own(source, product), limits.draws(source, product)
        if np.isfinite(lanes).any() and (np.isfinite(own).any() or draws.any()):
            found.append((source, lanes, packer.whole(own), draws))
    return found


def piece(packer: OrderPacker, limits: Capacity, bundle: Bundle, nodes_of: dict[int, Index]) -> Piece:
    """One bundle's numbers; `nodes_of` gives each product's inbound nodes."""
    fleet = packer.fleet
    nodes = np.unique(np.concatenate([nodes_of[int(product)] for product in bundle.products]))
    place = {int(product): at for at, product in enumerate(bundle.products)}
    slots: list[list[int]] = [[] for _ in bundle.products]
    for offer in bundle.offers.tolist():
        slots[place[int(fleet.offers.product[offer])]].append(offer)
    own: dict[tuple[int, int], list[tuple[int, Floats, Floats]]] = {}
    drawn: dict[int, dict[int, tuple[Floats, Bools]]] = {}
    for at, offers in enumerate(slots):
        for slot, offer in enumerate(offers):
            for source, lanes, units, draws in supplies(packer, limits, offer):
                if np.isfinite(units).any():
                    own.setdefault((at, slot), []).append((source, lanes[nodes], np.nan_to_num(units)))
                if draws.any():
                    drawn.setdefault(source, {})[at] = lanes[nodes], draws
    shared = []
    for source, users in sorted(drawn.items()):
        units = np.nan_to_num(packer.whole(limits.shared(source)))
        lanes, draws = np.full((len(slots), len(nodes)), np.inf), np.zeros((len(slots), fleet.weeks), bool)
        for at, (cost, weeks) in users.items():
            lanes[at], draws[at] = cost, weeks
        shared.append((source, lanes, draws, units))
    tiles, spare = [], []
    for at, product in enumerate(bundle.products.tolist()):
        rows = np.arange(*packer.demand_rows(product).indices(len(fleet.demand.units)))
        keeps = bool(np.isfinite(fleet.products.leftover_cost[product]))
        count = max(1, -(-(len(rows) + keeps) // WIDTH))
        tiles += [(at, part) for part in (rows[WIDTH * k : WIDTH * (k + 1)] for k in range(count))]
        spare += [keeps and k == count - 1 for k in range(count)]
    return Piece(bundle, nodes, tiles, spare, slots, own, shared)


def bundle_buckets(
    packer: OrderPacker, limits: Capacity, tied: Bundles, nodes_of: dict[int, Index]
) -> list[BundleBucket]:
    """Every bundle, packed; the largest first."""
    groups = _by_kind(packer, limits, tied, nodes_of)
    return [BundleBucket(groups[key], _pack(packer, groups[key])) for key in sorted(groups, reverse=True)]


def largest(fleet: Fleet, tied: Bundles) -> dict[BundleKey, tuple[int, ...]]:
    """By kind of bundle how many there are, and what their arrays must hold: see `Padding`.

    That is products, tiles, nodes, slots, own and shared sources, vendors.
    """
    if not len(tied):
        return {}
    limits = Capacity(fleet)
    packer = OrderPacker(fleet, tied, limits)
    lanes = (packer.lane(at) for at in range(len(packer.found)))
    nodes_of = {int(packer.found.product[at]): lane.nodes for at, lane in enumerate(lanes)}
    groups = _by_kind(packer, limits, tied, nodes_of)
    return {key: (len(pieces), *_largest(pieces)) for key, pieces in groups.items()}


def larger(
    one: Mapping[BundleKey, tuple[int, ...]], other: Mapping[BundleKey, tuple[int, ...]]
) -> dict[BundleKey, tuple[int, ...]]:
    """What `largest` is of a fleet of two parts."""
    result = {**one, **other}
    for key in one.keys() & other.keys():
        (count, *sizes), (more, *others) = one[key], other[key]
        result[key] = (count + more, *map(max, sizes, others))
    return result


def _by_kind(
    packer: OrderPacker, limits: Capacity, tied: Bundles, nodes_of: dict[int, Index]
) -> dict[BundleKey, list[Piece]]:
    groups: dict[BundleKey, list[Piece]] = {}
    for bundle in tied.items:
        one = piece(packer, limits, bundle, nodes_of)
        groups.setdefault(one.key, []).append(one)
    return groups


def _largest(pieces: list[Piece]) -> tuple[int, ...]:
    return (
        max(len(one.bundle.products) for one in pieces),
        max(len(one.tiles) for one in pieces),
        max(len(one.nodes) for one in pieces),
        max(len(slots) for one in pieces for slots in one.slots),
        max((len(rows) for one in pieces for rows in one.own.values()), default=0),
        max(1, *(len(one.shared) for one in pieces)),
        max(len(one.bundle.vendors) for one in pieces),
    )


def _pack(packer: OrderPacker, pieces: list[Piece]) -> BundleLanes:
    fleet, count, weeks = packer.fleet, len(pieces), packer.fleet.weeks
    sizes = _largest(pieces)
    if packer.padding is not None:
        sizes = tuple(map(max, sizes, packer.padding.bundles[pieces[0].key][1:]))
    products, t, i, v, k, s, m = sizes
    products, t = _round(products), _round(t)
    lanes = BundleLanes(
        outbound=np.full((count, t, i, WIDTH), np.inf), demand=np.zeros((count, t, WIDTH)),
        week=np.zeros((count, t, WIDTH), np.int32), left=np.zeros((count, t, WIDTH), bool),
        product=np.zeros((count, t), np.int32), retailer=_nothing(count, products),
        inventory=np.zeros((count, products, i)), slot=np.full((count, products, v), -1, np.int32),
        supplier=np.zeros((count, products, v, 2)), own=np.full((count, products, v, k, i), np.inf),
        own_capacity=np.zeros((count, products, v, k, weeks)),
        shared=np.full((count, products, s, i), np.inf),
        draws=np.zeros((count, products, s, weeks), bool), capacity=np.zeros((count, s, weeks)),
        owner=np.full((count, s), -1, np.int32), here=np.zeros((count, m), bool), scale=np.ones(count),
    )  # fmt: skip
    for row, one in enumerate(pieces):
        view = BundleLanes(**{field.name: getattr(lanes, field.name)[row] for field in fields(lanes)})
        _fill_retailer(packer, one, view)
        _fill_vendors(fleet, one, view)
        costs = np.concatenate([part[np.isfinite(part)] for part in (view.outbound, view.own, view.shared)])
        middle = float(np.median(costs)) if len(costs) else 0.0
        lanes.scale[row] = middle if middle > 0.0 else float(costs.mean()) if costs.any() else 1.0
    return lanes


def _nothing(count: int, products: int) -> Floats:
    """The retailer's numbers of a product that is not there: nothing late, lost or left over."""
    return np.broadcast_to([0.0, 0.0, np.inf, np.inf, np.inf], (count, products, 5)).copy()


def _fill_retailer(packer: OrderPacker, one: Piece, view: BundleLanes) -> None:
    fleet, goods = packer.fleet, packer.fleet.products
    i = len(one.nodes)
    of = one.bundle.products
    view.retailer[: len(of)] = np.stack(
        [goods.margin[of], goods.holding_cost[of], goods.backlog_cost[of], goods.lost_sale_cost[of],
         goods.leftover_cost[of]], axis=1,
    )  # fmt: skip
    costs = {}
    for at, product in enumerate(of.tolist()):
        costs[at] = packer.outbound(product)[one.nodes]
        view.inventory[at, :i] = packer.stock(product)[one.nodes]
    for tile, ((at, rows), spare) in enumerate(zip(one.tiles, one.spare, strict=True)):
        size = len(rows)
        view.outbound[tile, :i, :size] = costs[at][:, fleet.demand.region[rows]]
        view.demand[tile, :size], view.week[tile, :size] = fleet.demand.units[rows], fleet.demand.week[rows]
        view.left[tile, -1] = spare
        view.product[tile] = at


def _fill_vendors(fleet: Fleet, one: Piece, view: BundleLanes) -> None:
    i, offers = len(one.nodes), fleet.offers
    vendor_at = {int(vendor): at for at, vendor in enumerate(one.bundle.vendors)}
    view.here[: len(vendor_at)] = True
    for at, slots in enumerate(one.slots):
        for slot, offer in enumerate(slots):
            view.slot[at, slot] = vendor_at[int(offers.vendor[offer])]
            view.supplier[at, slot] = offers.margin[offer], offers.holding_cost[offer]
    for (at, slot), rows in one.own.items():
        for k, (_, lanes, units) in enumerate(rows):
            view.own[at, slot, k, :i], view.own_capacity[at, slot, k] = lanes, units
    for k, (source, lanes, draws, units) in enumerate(one.shared):
        view.shared[: len(lanes), k, :i], view.draws[: len(draws), k] = lanes, draws
        view.capacity[k], view.owner[k] = units, vendor_at[int(fleet.source_vendor[source])]


def first_ids(fleet: Fleet, one: Piece) -> tuple[list[str], list[list[int]]]:
    """Each vendor's contract id, and its products as positions in the bundle."""
    offers, names, products = fleet.offers, [], []
    for vendor in one.bundle.vendors.tolist():
        mine = [
            at for at, slots in enumerate(one.slots) if any(offers.vendor[offer] == vendor for offer in slots)
        ]
        first = one.bundle.products[mine[:1]]
        names.append(str(contract_ids(fleet, np.asarray([vendor]), first)[0]))
        products.append(mine)
    return names, products


def _step(size: int) -> int:
    for step in TILE_STEPS:
        if size <= step:
            return step
    return 1 << (size - 1).bit_length()


def _round(size: int) -> int:
    """Up to an eighth more, so that a little more tonight compiles nothing."""
    step = max(1, 1 << max(0, (size - 1).bit_length() - 4))
    return -(-size // step) * step
