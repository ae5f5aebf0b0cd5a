"""A linear program put together block by block, solved by HiGHS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_INFEASIBLE = 2


class Program:
    """Minimize `cost @ v` over `lower <= v <= upper` under rows of equalities and inequalities."""

    def __init__(self) -> None:
        self._cost: list[Floats] = []
        self._lower: list[Floats] = []
        self._upper: list[Floats] = []
        self._columns = 0
        self._rhs: dict[str, list[Floats]] = {"equal": [], "at_most": []}
        self._rows = {"equal": 0, "at_most": 0}
        self._entries: dict[str, list[tuple[Ints, Ints, Floats]]] = {"equal": [], "at_most": []}

    def columns(self, cost: Floats, lower: float | Floats = 0.0, upper: float | Floats = np.inf) -> Ints:
        """New variables, one an entry of `cost`; returns their numbers in the shape of `cost`."""
        self._cost.append(np.ravel(cost))
        self._lower.append(np.ravel(np.broadcast_to(lower, cost.shape)))
        self._upper.append(np.ravel(np.broadcast_to(upper, cost.shape)))
        first, self._columns = self._columns, self._columns + cost.size
        return np.arange(first, self._columns).reshape(cost.shape)

    def rows(self, kind: str, rhs: Floats) -> Ints:
        """New rows, "equal" or "at_most" `rhs`; returns their numbers in the shape of `rhs`."""
        self._rhs[kind].append(np.ravel(rhs))
        first, self._rows[kind] = self._rows[kind], self._rows[kind] + rhs.size
        return np.arange(first, self._rows[kind]).reshape(rhs.shape)

    def put(self, kind: str, rows: Ints, columns: Ints, value: float | Floats = 1.0) -> None:
        """Add `value * column` to each of `rows`."""
        values = np.broadcast_to(np.asarray(value, np.float64), np.shape(columns))
        self._entries[kind].append((np.ravel(rows), np.ravel(columns), np.ravel(values)))

    def cost_so_far(self) -> Floats:
        """What each variable costs, those that there are."""
        return np.concatenate(self._cost)

    def solve(self) -> tuple[float, Floats] | None:
        """Least cost and the variables, or None where no point satisfies all rows.

        Raises RuntimeError when HiGHS ends in any other way: the oracle must not guess.
        """
        answer = linprog(
            **self.arrays(),
            method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if answer.status == _INFEASIBLE:
            return None
        if answer.status != 0:
            raise RuntimeError(f"HiGHS: {answer.message}")
        return float(answer.fun), np.asarray(answer.x)

    def arrays(self) -> dict[str, Any]:
        """The program as `scipy.optimize.linprog` takes it."""
        return {
            "c": np.concatenate(self._cost),
            "A_eq": self._matrix("equal"),
            "b_eq": self._right("equal"),
            "A_ub": self._matrix("at_most"),
            "b_ub": self._right("at_most"),
            "bounds": np.stack([np.concatenate(self._lower), np.concatenate(self._upper)], axis=1),
        }

    def _matrix(self, kind: str) -> csr_array | None:
        if not self._rows[kind]:
            return None
        entries = self._entries[kind]
        rows = np.concatenate([rows for rows, _, _ in entries])
        columns = np.concatenate([columns for _, columns, _ in entries])
        values = np.concatenate([value for _, _, value in entries])
        return csr_array((values, (rows, columns)), shape=(self._rows[kind], self._columns))

    def _right(self, kind: str) -> Floats | None:
        return np.concatenate(self._rhs[kind]) if self._rows[kind] else None
