"""One contract in plain arrays: one retailer, one supplier, one product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """I inbound nodes, J demand regions, K sources, T weeks; money in currency, quantities in units."""

    unit_cost: Floats  # (I, J) currency / unit, inbound to region; inf = no lane
    demand: Floats  # (J, T) units
    margin: float  # currency / unit sold
    supplier_unit_cost: Floats  # (K, I) currency / unit, source to inbound; inf = no lane
    capacity: Floats  # (K, T) units
    supplier_margin: float  # currency / unit delivered
    inventory: Floats  # (I,) units on hand at the start of week 0, free to stay where they are
    holding: float = 0.0  # currency / unit / week
    backlog: float = np.inf  # currency / unit / week; inf = never late
    lost_sale: float = np.inf  # currency / unit beyond the lost margin; inf = all demand must be met
    leftover: float = np.inf  # currency / unit delivered and not sold; inf = none may be left over
    supplier_holding: float = 0.0  # currency / unit / week

    @property
    def inbound(self) -> int:
        return self.unit_cost.shape[0]

    @property
    def regions(self) -> int:
        return self.unit_cost.shape[1]

    @property
    def sources(self) -> int:
        return self.supplier_unit_cost.shape[0]

    @property
    def weeks(self) -> int:
        return self.demand.shape[1]

    @property
    def public(self) -> NDArray[np.bool_]:
        """(I,) the inbound nodes that some source can reach."""
        return np.asarray(np.isfinite(self.supplier_unit_cost).any(axis=0))


def toy() -> Problem:
    """The example of section 7 of arXiv:2605.16695."""
    return Problem(
        unit_cost=np.array([[1.0, 5.0], [2.0, 3.0]]),
        demand=np.array([[40.0], [60.0]]),
        margin=20.0,
        supplier_unit_cost=np.array([[10.0, 5.0], [1.0, 2.0]]),
        capacity=np.array([[100.0], [10.0]]),
        supplier_margin=20.0,
        inventory=np.zeros(2),
    )
