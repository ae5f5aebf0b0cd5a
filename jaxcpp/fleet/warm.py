"""Prices of an earlier run, as a start for tonight's: read off its columns, lane by lane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.contracts import Contracts
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.pack import Bucket
from jaxcpp.fleet.results import Columns

Places = NDArray[np.signedinteger[Any]]

FARTHEST = 1e3
"""Of a contract's cost scale: a price beyond this is none."""


class Prices:
    """An earlier run's prices of this fleet's contracts; what the fleet does not know is left out."""

    def __init__(self, fleet: Fleet, found: Contracts, columns: Columns) -> None:
        self._nodes, self._weeks = len(fleet.inbound_ids), fleet.weeks
        contract = _positions(found.ids, columns["contract_id"])
        inbound = _positions(fleet.inbound_ids, columns["inbound_id"])
        week = np.asarray(columns["week"], np.int64)
        known = (contract >= 0) & (inbound >= 0) & (week >= 0) & (week < fleet.weeks)
        keys = self._keys(contract, inbound, week)[known]
        order = np.argsort(keys, kind="stable")
        self._sorted = keys[order]
        self._price = np.asarray(columns["price"], float)[known][order]

    def of(self, bucket: Bucket) -> Floats:
        """Prices for a bucket's lanes (lane, public node) [currency / unit].

        NaN where one is missing or can be none; nodes that pad a lane have price zero.
        """
        week = np.arange(self._weeks)
        real = bucket.nodes >= 0
        wanted = self._keys(bucket.contract[:, None, None], np.maximum(bucket.nodes, 0)[:, :, None], week)
        at = np.minimum(np.searchsorted(self._sorted, wanted), max(len(self._sorted) - 1, 0))
        if not len(self._sorted):
            return np.full((len(bucket.nodes), bucket.nodes.shape[1] * self._weeks), np.nan)
        price = np.where(self._sorted[at] == wanted, self._price[at], np.nan)
        price = np.where(np.abs(price) <= FARTHEST * bucket.lanes.scale[:, None, None], price, np.nan)
        price = np.where(real[:, :, None], price, 0.0)
        return price.reshape(len(price), -1)

    def _keys(self, contract: Places, inbound: Places, week: Places) -> Places:
        return (contract.astype(np.int64) * self._nodes + inbound) * self._weeks + week


def _positions(ids: Any, names: Any) -> Places:
    """Where names stand among ids; -1 for those that do not."""
    order = np.argsort(ids, kind="stable")
    known, asked = np.asarray(ids)[order].astype(str), np.asarray(names).astype(str)
    if not len(known):
        return np.full(len(asked), -1)
    at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return np.where(known[at] == asked, order[at], -1)
