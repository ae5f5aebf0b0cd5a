"""The private transport plans behind bundles' plans: see `fleet.flows`.

What the retailer does with a plan it decides product by product; what a vendor ships, all its products
together, is a linear program of its own, solved exactly and off the main path.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from jaxcpp.fleet.bundle_pack import BundleBucket, OrderPacker
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.flows import DUST, retailer_shipments
from jaxcpp.fleet.pack import Bucket
from jaxcpp.fleet.results import Columns, joined
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.vertex import cheapest_shipments


def bundle_flows(
    packer: OrderPacker, products: list[Bucket], bucket: BundleBucket, plan: Floats, settings: Settings
) -> Columns:
    """Shipments behind the plans (bundle, product, slot, inbound, week) [units] of a bucket, as columns."""
    fleet, whole = packer.fleet, settings.units == "integer"
    parts = [_vendors(fleet, bucket, row, plan[row], whole=whole) for row in range(len(bucket.pieces))]
    arrives = np.zeros((len(fleet.product_ids), len(fleet.inbound_ids), fleet.weeks))
    ours = np.zeros(len(fleet.product_ids), bool)
    for row, one in enumerate(bucket.pieces):
        of = one.bundle.products
        ours[of] = True
        arrives[np.ix_(of, one.nodes)] = plan[row].sum(axis=1)[: len(of), : len(one.nodes)]
    for lanes in products:
        product = packer.found.product[lanes.contract]
        chosen = np.flatnonzero(ours[product])
        if len(chosen):
            units = arrives[product[:, None], lanes.nodes] * (lanes.nodes >= 0)[:, :, None]
            shipped = retailer_shipments(fleet, lanes, units.reshape(len(product), -1), chosen, settings)
            contract = shipped.pop("contract")
            shipped["product_id"] = fleet.product_ids[packer.found.product[contract]]
            shipped["vendor_id"] = np.full(len(contract), None, object)
            parts.append(shipped)
    return joined(parts)


@dataclass(frozen=True)
class _Lanes:
    """Lanes of one kind of source that might ship a plan: positions, and cost."""

    product: Index
    slot: Index
    source: Index  # of the kind
    inbound: Index
    made: Index
    due: Index
    paid: Floats


def _vendors(fleet: Fleet, bucket: BundleBucket, row: int, plan: Floats, *, whole: bool) -> Columns:
    """One bundle's vendors' shipments."""
    one, lanes = bucket.pieces[row], bucket.lanes
    own = _lanes(lanes.own[row], lanes.own_capacity[row] > 0.0, bucket, row, plan)
    shared = _lanes(*_shared(bucket, row), bucket, row, plan)
    slots, count = lanes.slot.shape[2], lanes.own.shape[3]
    mine = (own.product * slots + own.slot) * count + own.source
    after = lanes.own_capacity[row][..., 0].size
    number = np.concatenate(
        [mine * fleet.weeks + own.made, (after + shared.source) * fleet.weeks + shared.made]
    )
    both = _Lanes(*(np.concatenate([getattr(x, f.name) for x in (own, shared)]) for f in fields(_Lanes)))
    node = np.ravel_multi_index((both.product, both.slot, both.inbound, both.due), plan.shape)
    capacity = np.concatenate([lanes.own_capacity[row].reshape(-1), lanes.capacity[row].reshape(-1)])
    units, _ = cheapest_shipments((node, number, both.paid), plan.reshape(-1), capacity)
    kept = np.flatnonzero(units > DUST * plan.sum())
    names = [
        one.shared[source][0] if at >= len(own.source) else one.own[product, slot][source][0]
        for at, product, slot, source in zip(
            kept.tolist(), both.product[kept].tolist(), both.slot[kept].tolist(), both.source[kept].tolist(),
            strict=True,
        )
    ]  # fmt: skip
    vendor = one.bundle.vendors[lanes.slot[row][both.product[kept], both.slot[kept]]]
    return {
        "party": np.full(len(kept), "supplier"),
        "from_id": fleet.source_ids[np.asarray(names, np.intp)],
        "to_id": fleet.inbound_ids[one.nodes[both.inbound[kept]]],
        "week_from": both.made[kept].astype(np.int32),
        "week_to": both.due[kept].astype(np.int32),
        "units": np.rint(units[kept]) if whole else units[kept],
        "product_id": fleet.product_ids[one.bundle.products[both.product[kept]]],
        "vendor_id": fleet.vendor_ids[vendor].astype(object),
    }


def _lanes(cost: Floats, has: Any, bucket: BundleBucket, row: int, plan: Floats) -> _Lanes:
    """Lanes (product, slot, source, inbound) into nodes where the plan brings anything, in weeks it can."""
    week = np.arange(plan.shape[3])
    waits = week[None, :] - week[:, None]
    open_lane = np.isfinite(cost)[..., None, None] & has[:, :, :, None, :, None] & (waits >= 0)
    product, slot, source, inbound, made, due = np.nonzero(open_lane & (plan > 0.0)[:, :, None, :, None, :])
    holding = bucket.lanes.supplier[row, product, slot, 1]
    paid = cost[product, slot, source, inbound] + holding * waits[made, due]
    return _Lanes(product, slot, source, inbound, made, due, paid)


def _shared(bucket: BundleBucket, row: int) -> tuple[Floats, Any]:
    """Shared sources as each product's vendor sees them: lanes, and the weeks it may draw on them."""
    lanes = bucket.lanes
    ours = lanes.owner[row][None, None, :] == lanes.slot[row][:, :, None]
    cost = np.where(ours[:, :, :, None], lanes.shared[row][:, None, :, :], np.inf)
    weeks = lanes.draws[row] & (lanes.capacity[row] > 0.0)[None, :, :]
    return cost, np.broadcast_to(weeks[:, None], (*ours.shape, weeks.shape[2]))
