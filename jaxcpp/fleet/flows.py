"""The private transport plans behind the plans carried out, as rows (`--flows`).

These are each party's own business: they are written only on request, for a platform that runs both
sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcpp.fleet.batch import Solved, in_batches, lanes_per_batch, rows
from jaxcpp.fleet.contracts import Contracts
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.settings import Settings

DUST = 1e-9
"""Of a contract's volume: flows below this are rounding."""

TOLERANCE = 1e-9
"""Of each party's cost: how near to their cheapest flows are, and to shipping exactly the plan. Far below
the tolerance of plans, which certifies what a plan costs and not which truck it is on."""


def flow_columns(fleet: Fleet, found: Contracts, solved: list[Solved], settings: Settings) -> Columns:
    """Shipments of every contract's issued plan, sorted by contract, party and nodes."""
    parts = [part for one in solved for part in _shipments(fleet, one, settings)]
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    keys = ("week_to", "week_from", "to_id", "from_id", "party", "contract")
    merged = rows(merged, np.lexsort(tuple(merged[key] for key in keys)))
    contract = merged.pop("contract")
    return merged | {"product_id": fleet.product_ids[found.product[contract]]}


def _shipments(fleet: Fleet, part: Solved, settings: Settings) -> list[dict[str, Any]]:
    """A bucket's shipments: the retailer's to regions, the supplier's to inbound nodes."""
    bucket, weeks = part.bucket, fleet.weeks
    size = lanes_per_batch(bucket.shape, settings)
    issued = np.asarray(part.contract.issued)
    taken, shipped = in_batches(size, "flows", (bucket.lanes, issued), (np.asarray(TOLERANCE),))
    least = DUST * np.asarray(part.prepared.terms.volume)[:, None, None]
    lane, node, column = np.nonzero(taken > least)
    retailer = {
        "contract": bucket.contract[lane],
        "party": np.full(len(lane), "retailer"),
        "from_id": fleet.inbound_ids[bucket.nodes[lane, node // weeks]],
        "to_id": fleet.region_ids[bucket.region[lane, column]],
        "week_from": (node % weeks).astype(np.int32),
        "week_to": bucket.lanes.week[lane, column],
        "units": taken[lane, node, column],
    }
    lane, node, row = np.nonzero(shipped > least)
    supplier = {
        "contract": bucket.contract[lane],
        "party": np.full(len(lane), "supplier"),
        "from_id": fleet.source_ids[bucket.source[lane, row // weeks]],
        "to_id": fleet.inbound_ids[bucket.nodes[lane, node // weeks]],
        "week_from": (row % weeks).astype(np.int32),
        "week_to": (node % weeks).astype(np.int32),
        "units": shipped[lane, node, row],
    }
    return [retailer, supplier]
