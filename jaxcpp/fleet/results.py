"""What a run gives back: columns for the run's tables, no files, no JAX."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Columns = dict[str, Any]
"""Column name to a numpy array (or a list, for lists of ids and worded reasons) of equal lengths."""


@dataclass(frozen=True)
class Rejected:
    """A product or contract left out of the solve by `--skip-bad`, and why."""

    product_id: str
    reason: str


@dataclass
class Run:
    """A solved fleet, in the units of its input, rows in the order of `contract_id`.

    `contracts`, `plans` and `flows` hold exactly the columns that the file contract names;
    `flows` is None unless it was asked for.
    """

    contracts: Columns
    plans: Columns
    flows: Columns | None
    seconds: dict[str, float] = field(default_factory=dict)
    device: str = ""
    budget: float = (
        0.0  # currency; of the principal, if every party's transfer were made: negative = a deficit
    )
    worst_gap: float | None = None  # relative; None: to be read off the contracts

    def status_counts(self) -> dict[str, int]:
        """Contracts by status."""
        names, counts = np.unique(np.asarray(self.contracts["status"], dtype=str), return_counts=True)
        return {str(name): int(count) for name, count in zip(names, counts, strict=True)}
