"""Lies that vendors tell, and the best of those that were tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.settings import Settings

SIZES = (0.05, 0.3, 1.0)
"""Standard deviations of the logarithm of what a vendor reports, drawn anew for every lie."""

NEARER = 0.1
"""Of the tolerance of plans: how precisely a vendor's true cost of a plan is known."""


@dataclass(frozen=True)
class Worth:
    """What vendors truly have of their reports [currency], and what may be wrong in it."""

    has: Floats
    unsure: Floats
    gap: Floats
    comparable: Any  # bool: ended with a plan both can carry out
    filled: Any


@dataclass
class Best:
    """The lie that gained each vendor most, by what the certificates leave open."""

    regret: Floats
    slack: Floats
    tried: NDArray[np.int32]

    @staticmethod
    def of(shape: tuple[int, ...]) -> Best:
        """No lie yet."""
        return Best(np.full(shape, -np.inf), np.zeros(shape), np.zeros(shape, np.int32))

    def add(self, truth: Worth, lie: Worth, who: Any, settings: Settings) -> None:
        """Compare one lie of each of some vendors, `who`, with the truth."""
        open_ = truth.gap + truth.unsure + lie.unsure
        counts = truth.comparable & lie.comparable & who
        if settings.just_in_time == "obliged":
            counts = counts & (truth.filled == lie.filled)
        # An upper bound on what was gained: all that is unsure is counted for the lie.
        gained = np.where(counts, lie.has, -np.inf) - np.where(counts, truth.has, 0.0)
        gained = gained + truth.unsure + lie.unsure
        better = counts & (gained - open_ > self.regret - self.slack)
        self.regret, self.slack = np.where(better, gained, self.regret), np.where(better, open_, self.slack)
        self.tried = self.tried + counts.astype(np.int32)

    @staticmethod
    def columns(ids: Any, vendors: Any, parts: list[Best], who: list[Any]) -> Columns:
        """The columns of an audit, of those vendors of each part that there are."""
        regret, slack, tried = (
            np.concatenate([getattr(part, name)[here] for part, here in zip(parts, who, strict=True)])
            for name in ("regret", "slack", "tried")
        )
        seen = tried > 0
        return {
            "contract_id": ids,
            "vendor_id": vendors,
            "tried": tried,
            "regret": np.where(seen, regret, np.nan),
            "slack": np.where(seen, 2.0 * slack, np.nan),
            "gained": seen & (regret > 2.0 * slack),
        }


def misreported(fleet: Fleet, rng: np.random.Generator) -> Fleet:
    """The fleet as vendors would have it believed: lane costs, margins, capacities, or all of them."""
    size, kind = rng.choice(SIZES), int(rng.integers(4))
    lanes, offers, sources = fleet.inbound_lanes, fleet.offers, fleet.sources

    def factor(like: Floats, one: int) -> Floats:
        return np.exp(size * rng.normal(size=like.shape)) if kind in (one, 3) else np.ones_like(like)

    cost = factor(lanes.unit_cost, 0)
    return replace(
        fleet,
        inbound_lanes=replace(lanes, unit_cost=lanes.unit_cost * cost, cost_per_kg=lanes.cost_per_kg * cost),
        offers=replace(offers, margin=offers.margin * factor(offers.margin, 1)),
        sources=replace(sources, capacity=sources.capacity * factor(sources.capacity, 2)),
    )
