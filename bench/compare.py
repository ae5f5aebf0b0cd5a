"""Two result files beside each other: `python -m bench compare BEFORE AFTER`."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from rich.table import Table

from bench.stored import Document, Row, rate


class OtherDeviceError(ValueError):
    """The two results were measured on different devices."""


@dataclass(frozen=True)
class Ratio:
    """One row that both files have; seconds a contract, fastest and slowest repetition."""

    label: str
    before: float  # contracts / second
    after: float
    apart: bool  # no repetition of one is as fast as any of the other
    enough: bool  # both have more than one repetition

    @property
    def words(self) -> str:
        """Which is faster, and whether that is more than noise."""
        ratio = max(self.after / self.before, self.before / self.after)
        if not self.apart:
            return "no difference beyond the noise of the repeats"
        which = "the second" if self.after > self.before else "the first"
        sure = "beyond the noise of the repeats" if self.enough else "one repeat only: noise is not known"
        return f"{which} is {ratio:.2f} times as fast, {sure}"


def ratios(before: Document, after: Document, *, other_device: bool = False) -> list[Ratio]:
    """A ratio for every row whose label is in both.

    Raises OtherDeviceError where processor or device differ, unless `other_device`, and ValueError where
    nothing is in both.
    """
    theirs = {row["label"]: row for row in after["rows"]}
    both = [(row, theirs[row["label"]]) for row in before["rows"] if row["label"] in theirs]
    if not both:
        raise ValueError("the two files have no row in common")
    different = {
        (one, other)
        for old, new in both
        for one, other in [(before["processor"], after["processor"]), (old["device"], new["device"])]
        if one != other
    }
    if different and not other_device:
        pairs = "; ".join(f"{one} and {other}" for one, other in sorted(different))
        raise OtherDeviceError(
            f"measured on different devices: {pairs}. --other-device compares them all the same"
        )
    return [_ratio(old, new) for old, new in both]


def _ratio(old: Row, new: Row) -> Ratio:
    ours, theirs = ([spent / row["contracts"] for spent in row["solve"]] for row in (old, new))
    apart = max(ours) < min(theirs) or max(theirs) < min(ours)
    return Ratio(old["label"], rate(old), rate(new), apart, min(len(ours), len(theirs)) > 1)


def shown(found: list[Ratio]) -> Table:
    """The ratios as people read them."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "first, a second", "second, a second", "ratio", ""):
        table.add_column(column, justify="right" if column.strip() else "left")
    for one in found:
        cells = (f"{one.before:,.1f}", f"{one.after:,.1f}", f"{one.after / one.before:.2f}")
        table.add_row(one.label, *cells, one.words)
    return table


def summary(found: list[Ratio]) -> str:
    """One line on all of them."""
    faster = sum(one.apart and one.after > one.before for one in found)
    slower = sum(one.apart and one.after < one.before for one in found)
    middle = statistics.geometric_mean([one.after / one.before for one in found])
    return (
        f"of {len(found)} rows the second is faster in {faster}, slower in {slower}, "
        f"not told apart in {len(found) - faster - slower}; on average {middle:.2f} times as fast"
    )
