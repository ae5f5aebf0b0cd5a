"""Random geometric contracts: what every side of a comparison solves.

Nodes are points in the unit square; a unit costs 1 plus 5 times the distance over the diagonal, so
1 to 6. Demand is lognormal in whole units, capacity 1.5 times the week's demand, split over the
sources at random. All demand must be met, and nothing may be left over.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """The size of a contract."""

    inbound: int
    regions: int
    sources: int
    weeks: int = 1


CASES = {
    "S": Case(20, 50, 5),
    "M": Case(40, 60, 8),
    "L": Case(100, 300, 20),
    "W": Case(40, 60, 8, weeks=6),
}


@dataclass(frozen=True)
class Instances:
    """A batch of B contracts of one size; costs in currency per unit, quantities in whole units."""

    unit_cost: Floats  # (B, I, J) inbound to region
    demand: Floats  # (B, J, T)
    supplier_unit_cost: Floats  # (B, K, I) source to inbound
    capacity: Floats  # (B, K, T)
    holding: float = 0.05  # currency / unit / week
    backlog: float = 0.3  # currency / unit / week
    supplier_holding: float = 0.03  # currency / unit / week

    def __len__(self) -> int:
        return len(self.unit_cost)

    @property
    def case(self) -> Case:
        """The size of every contract in the batch."""
        _, inbound, regions = self.unit_cost.shape
        return Case(inbound, regions, self.capacity.shape[1], self.capacity.shape[2])

    def some(self, index: slice | NDArray[np.intp]) -> Instances:
        """A part of the batch."""
        arrays = {name: value[index] for name, value in vars(self).items() if np.ndim(value)}
        return replace(self, **arrays)

    def save(self, path: Path) -> None:
        """Write the batch to an .npz file."""
        np.savez(path, **asdict(self))

    @classmethod
    def load(cls, path: Path) -> Instances:
        """Read what `save` wrote."""
        with np.load(path) as stored:
            values: dict[str, Any] = {
                name: stored[name] if stored[name].ndim else float(stored[name]) for name in stored.files
            }
        return cls(**values)


def generate(case: Case, batch: int, seed: int = 0) -> Instances:
    """`batch` contracts of one size; equal seeds, equal contracts."""
    rng = np.random.default_rng([seed, *asdict(case).values()])

    def cost(ours: Floats, theirs: Floats) -> Floats:
        miles = np.linalg.norm(ours[:, :, None, :] - theirs[:, None, :, :], axis=-1)
        return 1.0 + 5.0 * miles / np.sqrt(2.0)

    inbound, regions, sources = (
        rng.random((batch, n, 2)) for n in (case.inbound, case.regions, case.sources)
    )
    demand = np.maximum(np.round(rng.lognormal(4.0, 1.0, (batch, case.regions, case.weeks))), 1.0)
    shares = rng.dirichlet(np.full(case.sources, 2.0), (batch, case.weeks)).transpose(0, 2, 1)
    return Instances(
        unit_cost=cost(inbound, regions),
        demand=demand,
        supplier_unit_cost=cost(sources, inbound),
        capacity=np.ceil(1.5 * shares * demand.sum(axis=1)[:, None, :]),
    )
