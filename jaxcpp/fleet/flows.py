"""The private transport plans behind the plans carried out, as rows (`--flows`).

These are each party's own business: they are written only on request, for a platform that runs both
sides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jaxcpp.fleet.batch import Solved, in_batches, lanes_per_batch, rows
from jaxcpp.fleet.contracts import Contracts, Index
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.pack import Bucket
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.store import fetch
from jaxcpp.fleet.vertex import cheapest_flows
from jaxcpp.transport.living import Bracket
from jaxcpp.transport.side import Side

DUST = 1e-9
"""Of a contract's volume: flows below this are rounding."""

NEARER = 0.1
"""Of the tolerance of plans: how near to their cheapest flows are, so that their costs tell the same."""

EXACT = 1e-8
"""Of a contract's volume: flows that miss their plan by more are found anew, exactly."""


def flow_columns(fleet: Fleet, found: Contracts, solved: list[Solved], settings: Settings) -> Columns:
    """Shipments of every contract's issued plan, sorted by contract, party and nodes."""
    parts = [part for one in solved for part in _shipments(fleet, one, settings)]
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    keys = ("week_to", "week_from", "to_id", "from_id", "party", "contract")
    merged = rows(merged, np.lexsort(tuple(merged[key] for key in keys)))
    contract = merged.pop("contract")
    vendor = fleet.vendor_ids[found.vendor[contract]].astype(object)
    return merged | {
        "vendor_id": np.where(merged["party"] == "supplier", vendor, None),
        "product_id": fleet.product_ids[found.product[contract]],
    }


def _shipments(fleet: Fleet, part: Solved, settings: Settings) -> list[dict[str, Any]]:
    """A bucket's shipments: the retailer's to regions, the supplier's to inbound nodes."""
    bucket, weeks = part.bucket, fleet.weeks
    size = lanes_per_batch(bucket.shape, len(bucket.contract), settings)
    volume = part.volume
    plan = np.asarray(part.contract.issued)
    tolerance = NEARER * settings.tolerance
    found = fetch(in_batches(size, "flows", (bucket.lanes, plan), (np.asarray(tolerance),)))
    whole = settings.units == "integer"
    taken, shipped = (_units(side, bracket, plan, volume, tolerance, whole) for side, bracket in found)
    lane, node, row = np.nonzero(shipped > DUST * volume[:, None, None])
    supplier = {
        "contract": bucket.contract[lane],
        "party": np.full(len(lane), "supplier"),
        "from_id": fleet.source_ids[bucket.source[lane, row // weeks]],
        "to_id": fleet.inbound_ids[bucket.nodes[lane, node // weeks]],
        "week_from": (row % weeks).astype(np.int32),
        "week_to": (node % weeks).astype(np.int32),
        "units": shipped[lane, node, row],
    }
    return [_retailers(fleet, bucket, taken, volume), supplier]


def retailer_shipments(
    fleet: Fleet, bucket: Bucket, plan: Floats, chosen: Index, settings: Settings
) -> dict[str, Any]:
    """The retailer's shipments of some lanes of a bucket, whose plans (lane, public node) are in units."""
    size = lanes_per_batch(bucket.shape, len(bucket.contract), settings)
    tolerance = NEARER * settings.tolerance
    args, target = (bucket.lanes, plan), np.asarray(tolerance)
    side, bracket = rows(fetch(in_batches(size, "flows", args, (target,), chosen=chosen))[0], chosen)
    volume = bucket.lanes.demand.sum(axis=1)[chosen]
    volume = np.where(volume > 0.0, volume, 1.0)
    taken = _units(side, bracket, plan[chosen], volume, tolerance, settings.units == "integer")
    columns = {name: getattr(bucket, name)[chosen] for name in ("contract", "nodes", "region", "source")}
    return _retailers(fleet, replace(bucket, lanes=rows(bucket.lanes, chosen), **columns), taken, volume)


def _retailers(fleet: Fleet, bucket: Bucket, taken: Floats, volume: Floats) -> dict[str, Any]:
    taken = taken[:, :, :-1]  # the last of the retailer's private nodes is what is left over
    lane, node, column = np.nonzero(taken > DUST * volume[:, None, None])
    return {
        "contract": bucket.contract[lane],
        "party": np.full(len(lane), "retailer"),
        "from_id": fleet.inbound_ids[bucket.nodes[lane, node // fleet.weeks]],
        "to_id": fleet.region_ids[bucket.region[lane, column]],
        "week_from": (node % fleet.weeks).astype(np.int32),
        "week_to": bucket.lanes.week[lane, column],
        "units": taken[lane, node, column],
    }


def _units(
    side: Side, bracket: Bracket, plan: Floats, volume: Floats, tolerance: float, whole: bool
) -> Floats:
    """Flows [units] that ship exactly the plan: the search's own where they are near enough and may be."""
    flows = np.array(bracket.flows.lane)
    wide = bracket.upper - bracket.lower > tolerance * np.maximum(np.abs(bracket.upper), 1e-6)
    missed = np.sum(bracket.flows.short, axis=1)
    for row in np.flatnonzero((missed > EXACT) | wide | whole):
        one, x = rows(side, int(row)), plan[row] / volume[row]
        flows[row], missed[row] = cheapest_flows(one, x, flows[row] > 0.0)
        if missed[row] > EXACT or wide[row]:
            flows[row], _ = cheapest_flows(one, x, np.isfinite(one.cost))
    units = flows * volume[:, None, None]
    return np.rint(units) if whole else units
