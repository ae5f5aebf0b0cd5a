"""What is wrong with a fleet's files: found all at once, told by file, row and column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from jaxcpp.tables.schema import FLEET

SHOWN = 5
"""Rows listed for one kind of problem in one column; the others are counted."""

Positions = NDArray[np.int64]

Words = str | Callable[[int], str]
"""Text, or text for the k-th row of a finding."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one file.

    `row` counts data rows from 1 in a Parquet file and is the line number in a CSV file (the header
    is line 1); None where the problem is not one row's. `column` lists the columns of a key, separated
    by commas, and is "" where the problem is not in a column.
    """

    file: str
    row: int | None
    column: str
    message: str

    def __str__(self) -> str:
        place = [self.file]
        if self.row is not None:
            place.append(f"{'line' if self.file.endswith('.csv') else 'row'} {self.row}")
        if self.column:
            place.append(_named(self.column))
        return f"{', '.join(place)}: {self.message}"


class FleetError(ValueError):
    """A fleet that cannot be planned as it stands; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem in the fleet" if count == 1 else f"{count} problems in the fleet"
        super().__init__("\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)]))


@dataclass(frozen=True)
class Finding:
    """One kind of problem in one column, with every row that has it.

    `what` says what is wrong with the k-th of the rows without naming a row, so that it reads the
    same whatever the order of rows; `remedy` says what to do about it. A finding without `lines`
    speaks of the whole file. `products` holds, a row each, the product (a position in the fleet's
    names) that the problem concerns alone, or -1.
    """

    file: str
    column: str
    what: Words
    remedy: Words
    many: str  # what the rows beyond the listed ones are called
    lines: Positions
    products: Positions

    def problems(self, chosen: NDArray[np.bool_] | None = None) -> list[Problem]:
        """The first few of the chosen rows, and how many more there are."""
        rows = np.arange(len(self.lines)) if chosen is None else np.flatnonzero(chosen)
        rows = rows[np.argsort(self.lines[rows], kind="stable")]
        listed = [
            Problem(
                self.file, int(self.lines[k]), self.column, f"{_say(self.what, k)}; {_say(self.remedy, k)}"
            )
            for k in rows[:SHOWN].tolist()
        ]
        if len(rows) > SHOWN:
            more = f"and {len(rows) - SHOWN:,} more {self.many}"
            listed.append(Problem(self.file, None, self.column, more))
        return listed


def _named(column: str) -> str:
    return f"{'columns' if ',' in column else 'column'} {column}"


def _say(words: Words, k: int) -> str:
    return words if isinstance(words, str) else words(k)


def _by_file(whole: list[Problem], found: list[list[Problem]]) -> list[Problem]:
    problems = [*whole, *chain.from_iterable(found)]
    order = {name: place for place, name in enumerate(FLEET)}
    return sorted(problems, key=lambda problem: order.get(problem.file.rsplit(".", 1)[0], -1))


class Report:
    """Collects what the checks find."""

    def __init__(self) -> None:
        self.whole: list[Problem] = []
        self.findings: list[Finding] = []

    def file(self, file: str, message: str, *, column: str = "") -> None:
        """A problem of a whole file or column."""
        self.whole.append(Problem(file, None, column, message))

    def problems(self) -> list[Problem]:
        """Everything found, file by file."""
        return _by_file(self.whole, [finding.problems() for finding in self.findings])

    def structural(self) -> list[Problem]:
        """What is found and does not concern one product only, file by file."""
        return _by_file(self.whole, [finding.problems(finding.products < 0) for finding in self.findings])

    def by_product(self) -> dict[int, str]:
        """Products (positions in the fleet's names) with problems of their own, and why, in words."""
        reasons: dict[int, list[str]] = {}
        for finding in self.findings:
            texts: dict[int, list[str]] = {}
            for k in np.flatnonzero(finding.products >= 0).tolist():
                texts.setdefault(int(finding.products[k]), []).append(_say(finding.what, k))
            table = finding.file.rsplit(".", 1)[0]
            for product, found in texts.items():
                others = f" (and {len(found) - 1:,} more {finding.many})" if len(found) > 1 else ""
                reason = f"{table}, {_named(finding.column)}: {min(found)}{others}"
                reasons.setdefault(product, []).append(reason)
        return {product: "; ".join(found) for product, found in sorted(reasons.items())}
